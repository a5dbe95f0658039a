//! Runs that are cancelled while no node holds them: their ends are told and counted like those of others.

use std::time::Duration;

use symphra_scheduler::{Backoff, Overlap, RetryPolicy, RunId, RunState, SchedulerEvent, SchedulerHandle, Task};

use crate::kit::{every, runs, seconds, start_one};

fn slow() -> Task {
    Task::new("tick", every(10), async || tokio::time::sleep(seconds(24)).await)
}

/// What `events` has told of ends.
fn ends(events: &mut symphra_scheduler::Events) -> Vec<(RunId, RunState)> {
    let all = std::iter::from_fn(|| events.try_next());
    all.filter_map(|event| match event {
        SchedulerEvent::RunEnded { run, state, .. } => Some((run, state)),
        _ => None,
    })
    .collect()
}

/// How many runs of the task, and of all, have ended as cancelled.
fn cancelled(test: &SchedulerHandle) -> (u64, u64) {
    let of_task = test.metrics().iter().map(|task| task.cancelled_runs).sum();
    (of_task, test.stats().cancelled_runs)
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_as_it_waits_is_told_and_counted() {
    let test = start_one(|| slow().overlap(Overlap::BufferAll)).await;
    test.advance(seconds(21)).await;
    let mut events = test.events();
    let waiting = runs(&test, "tick").await[1].id;
    test.cancel_run(waiting).await.expect("it waits");
    test.advance(seconds(1)).await;
    assert_eq!(ends(&mut events), [(waiting, RunState::Cancelled)]);
    assert_eq!(cancelled(&test), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_between_two_attempts_is_told_and_counted() {
    let policy = RetryPolicy::standard().strategy(Backoff::Fixed).wait_min(seconds(8)).jitter(false);
    let test = start_one(move || Task::new("tick", every(10), async || Err::<(), _>("down")).retry(policy)).await;
    test.advance(seconds(12)).await;
    let mut events = test.events();
    let retrying = runs(&test, "tick").await[0].id;
    test.cancel_run(retrying).await.expect("it waits");
    test.advance(seconds(1)).await;
    assert_eq!(ends(&mut events), [(retrying, RunState::Cancelled)]);
    assert_eq!(cancelled(&test), (1, 1));
}

/// The run of 2 takes until 9 to end; those of 4 and 6 wait for that, and each is replaced by the next.
#[tokio::test(start_paused = true)]
async fn a_run_that_another_replaces_as_it_waits_is_told_and_counted() {
    let body = async || tokio::time::sleep(seconds(24)).await;
    let test = start_one(move || Task::new("tick", every(2), body).overlap(Overlap::CancelRunning)).await;
    let mut events = test.events();
    test.advance(Duration::from_millis(8_500)).await;
    let all = runs(&test, "tick").await;
    let replaced = [(all[1].id, RunState::Cancelled), (all[2].id, RunState::Cancelled)];
    assert_eq!(ends(&mut events), replaced);
    assert_eq!(cancelled(&test), (2, 2));
}
