//! Words that say how often a run is tried, and when.

use symphra_scheduler::test_util::TestScheduler;
use symphra_scheduler::{RunState, Scheduler, SchedulerEvent, every, hourly};
use symphra_scheduler_tests::{START, seconds};

use super::{ends, start};

#[every(10, retry = "none")]
async fn tried_once() -> Result<(), &'static str> {
    Err("down")
}

#[tokio::test(start_paused = true)]
async fn a_retry_preset_is_followed() {
    let test = start("tried_once").await;
    test.advance(seconds(10)).await;
    assert_eq!(ends(&test), [RunState::Failed]);
}

#[hourly(retry(jitter = false))]
async fn again() -> Result<(), &'static str> {
    Err("down")
}

#[hourly(retry(jitter = true))]
async fn again_with_jitter() -> Result<(), &'static str> {
    Err("down")
}

#[hourly(retry(jitter = false, max_attempts = 2))]
async fn again_twice() -> Result<(), &'static str> {
    Err("down")
}

#[hourly(retry(jitter = false, strategy = "fixed"))]
async fn again_fixed() -> Result<(), &'static str> {
    Err("down")
}

#[hourly(retry(jitter = false, wait_min = 5))]
async fn again_later() -> Result<(), &'static str> {
    Err("down")
}

#[hourly(retry(jitter = false, wait_max = 1))]
async fn again_sooner() -> Result<(), &'static str> {
    Err("down")
}

#[hourly(retry(jitter = false, multiplier = 3))]
async fn again_rarer() -> Result<(), &'static str> {
    Err("down")
}

#[hourly(retry(jitter = false, when = never))]
async fn again_never() -> Result<(), &'static str> {
    Err("down")
}

fn never(_error: &(dyn std::error::Error + 'static)) -> bool {
    false
}

/// How long a run of `task` waited for each of its further attempts, in milliseconds.
async fn waits(task: &'static str) -> Vec<i64> {
    let build = move || Scheduler::from_registry().filter(|known| known.name() == task);
    let test = TestScheduler::new(START, build).await.expect("it can start");
    test.trigger_task(task).await.expect("it is accepted");
    test.advance(seconds(60)).await;
    let mut from = test.all_fired()[0].began_at.timestamp_millis();
    let next = test.told().into_iter().filter_map(|event| match event {
        SchedulerEvent::AttemptFailed { next_at, .. } => Some(next_at.as_millis()),
        _ => None,
    });
    next.map(|next| next - std::mem::replace(&mut from, next)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_keys_of_a_retry_set_its_instants() {
    assert_eq!(waits("again").await, [1_000, 2_000], "what is the same in all");
    assert_eq!(waits("again_twice").await, [1_000]);
    assert_eq!(waits("again_fixed").await, [1_000, 1_000]);
    assert_eq!(waits("again_later").await, [5_000, 10_000]);
    assert_eq!(waits("again_sooner").await, [1_000, 1_000]);
    assert_eq!(waits("again_rarer").await, [1_000, 3_000]);
    assert!(waits("again_never").await.is_empty());
    assert_ne!(waits("again_with_jitter").await, [1_000, 2_000]);
}
