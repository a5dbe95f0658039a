//! Bodies that panic, in every place where they can: a run ends, and nothing else.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use super::rig::{Rig, counts, every, millis, pass, seconds};
use crate::{ERROR_TEXT_BYTES_MAX, Extract, ExtractError, RetryPolicy, RunContext, RunState, SchedulerHandle, Task};

/// The task beside the one that panics.
const WITNESS: &str = "witness";

/// Starts `task` beside one that is well, lets `ticks` of 10 ms pass, and tells that everything goes on.
async fn start_beside_a_witness(rig: &Rig, task: Task, ticks: u64) -> SchedulerHandle {
    let task = task.retry(RetryPolicy::none());
    let scheduler = rig.start([task, rig.quick(WITNESS, every(10))]).await;
    pass(millis(ticks * 10 + 5)).await;
    let stats = scheduler.stats();
    assert_eq!(rig.fired(WITNESS).len() as u64, ticks, "the other task fires as ever");
    assert_eq!((stats.active_workers, stats.queued_runs), (0, 0), "every slot is free");
    scheduler
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_panics_leave_slots_counts_and_firing_as_they_are() {
    let rig = Rig::new();
    let held = Arc::new(());
    let holds = Arc::clone(&held);
    let panics = Task::new("panics", every(10), move || {
        let held = Arc::clone(&holds);
        async move {
            assert!(Arc::strong_count(&held) == 0, "boom");
        }
    });
    let scheduler = start_beside_a_witness(&rig, panics, 10_000).await;
    assert_eq!(Arc::strong_count(&held), 2, "of what bodies held nothing is left but the task's own");
    let stats = scheduler.stats();
    assert_eq!((stats.failed_runs, stats.successful_runs), (10_000, 10_000));
    assert_eq!(counts(rig.ledger("panics").await), (10_000, 10_000, 0));
    let runs = rig.runs("panics").await;
    assert_eq!(runs.len(), 1_000, "the history is bounded");
    assert!(runs.iter().all(|run| run.state == RunState::Failed));
    assert_eq!(runs[0].failure.as_deref(), Some("panicked: boom"));
    assert!(scheduler.stop().await.expect("it stops").is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_panic_after_an_await_ends_its_run_only() {
    let rig = Rig::new();
    let late = Task::new("panics", every(10), async || -> () {
        tokio::time::sleep(millis(3)).await;
        panic!("late {}", 7);
    });
    start_beside_a_witness(&rig, late, 500).await;
    assert_eq!(rig.runs("panics").await[0].failure.as_deref(), Some("panicked: late 7"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_there_is_a_future_ends_its_run_only() {
    let rig = Rig::new();
    let eager = Task::new("panics", every(10), |run: RunContext| {
        assert!(run.attempt() > 1, "no future today");
        std::future::ready(())
    });
    start_beside_a_witness(&rig, eager, 100).await;
    assert_eq!(rig.runs("panics").await[0].failure.as_deref(), Some("panicked: no future today"));
}

struct Refused;

impl Extract for Refused {
    fn extract(_run: &RunContext) -> Result<Self, ExtractError> {
        Err(ExtractError::new("the pool is empty"))
    }
}

struct Explodes;

impl Extract for Explodes {
    fn extract(_run: &RunContext) -> Result<Self, ExtractError> {
        panic!("the pool explodes")
    }
}

#[tokio::test(start_paused = true)]
async fn an_argument_that_cannot_be_had_fails_the_run() {
    let rig = Rig::new();
    start_beside_a_witness(&rig, Task::new("refused", every(10), async |_: Refused| {}), 10).await;
    let said = rig.runs("refused").await[0].failure.clone().expect("it failed");
    assert_eq!(&*said, "an argument of the task could not be had: the pool is empty");

    let rig = Rig::new();
    start_beside_a_witness(&rig, Task::new("explodes", every(10), async |_: Explodes| {}), 10).await;
    assert_eq!(rig.runs("explodes").await[0].failure.as_deref(), Some("panicked: the pool explodes"));
}

/// A future whose destructor panics.
struct DropBomb;

impl Future for DropBomb {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Drop for DropBomb {
    fn drop(&mut self) {
        panic!("in the destructor");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_destructor_of_a_body_ends_its_run_only() {
    let rig = Rig::new();
    let scheduler = start_beside_a_witness(&rig, Task::new("bomb", every(10), || DropBomb), 500).await;
    assert_eq!(scheduler.stats().failed_runs, 500);
    assert_eq!(rig.runs("bomb").await[0].failure.as_deref(), Some("panicked: in the destructor"));
}

/// A panic payload whose destructor panics with another of its kind.
struct PayloadBomb {
    more: u32,
    dropped: Arc<AtomicUsize>,
}

impl Drop for PayloadBomb {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
        if self.more > 0 {
            std::panic::panic_any(PayloadBomb { more: self.more - 1, dropped: Arc::clone(&self.dropped) });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_whose_payload_panics_when_it_is_dropped_ends_its_run_only() {
    for more in [0, 1, 2, 5] {
        let rig = Rig::new();
        let dropped = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&dropped);
        let bomb = Task::new("bomb", every(10), move || {
            let dropped = Arc::clone(&dropped);
            poll_fn(move |_| -> Poll<()> { std::panic::panic_any(PayloadBomb { more, dropped: Arc::clone(&dropped) }) })
        });
        let scheduler = start_beside_a_witness(&rig, bomb, 50).await;
        assert_eq!(scheduler.stats().failed_runs, 50, "a chain of {more}");
        assert!(seen.load(Ordering::SeqCst) >= 50, "the payloads were dropped");
        assert_eq!(rig.runs("bomb").await[0].failure.as_deref(), Some("panicked: a payload that is not text"));
    }
}

#[derive(Debug)]
struct Caused(&'static str, Option<Box<Caused>>);

impl std::fmt::Display for Caused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Caused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.1.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}

#[tokio::test(start_paused = true)]
async fn the_history_keeps_an_error_with_all_its_causes() {
    let rig = Rig::new();
    let fails = Task::new("fails", every(1_000), async || {
        let root = Caused("connection refused", None);
        let query = Caused("the query failed", Some(Box::new(root)));
        Err::<(), _>(Caused("the report was not sent", Some(Box::new(query))))
    });
    let long = Task::new("long", every(1_000), async || Err::<(), _>("é".repeat(2 * ERROR_TEXT_BYTES_MAX)));
    let once = RetryPolicy::none();
    let scheduler = rig.start([fails.retry(once), long.retry(once)]).await;
    pass(seconds(1) + millis(500)).await;
    let run = &rig.runs("fails").await[0];
    assert_eq!(run.failure.as_deref(), Some("the report was not sent: the query failed: connection refused"));
    assert_eq!((run.started_at, run.finished_at), (Some(rig.at(1_000)), Some(rig.at(1_000))));
    let long = rig.runs("long").await[0].failure.clone().expect("it failed");
    assert!(long.len() <= ERROR_TEXT_BYTES_MAX && long.ends_with("é [cut]"));
    let task = scheduler.task("fails").expect("it is registered");
    assert_eq!((task.total_runs, task.failed_runs, task.status), (1, 1, crate::TaskStatus::Failed));
}

/// An error whose text panics.
#[derive(Debug)]
struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("no words for it")
    }
}

impl std::error::Error for Unspeakable {}

#[tokio::test(start_paused = true)]
async fn an_error_that_panics_when_it_is_told_ends_its_attempt_and_frees_its_worker() {
    let rig = Rig::new();
    start_beside_a_witness(&rig, Task::new("mute", every(10), async || Err::<(), _>(Unspeakable)), 100).await;
    let runs = rig.runs("mute").await;
    assert_eq!(runs.len(), 100);
    assert!(runs.iter().all(|run| run.failure.as_deref() == Some("panicked: no words for it")));
}
