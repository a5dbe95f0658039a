//! An attempt that reaches its timeout: asked to end, dropped five seconds later, and what cannot be dropped.

use std::future::pending;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use symphra_scheduler::{RetryPolicy, RunContext, RunState, Task};

use crate::kit::{Log, every, ledger, records, runs, second, seconds, start_one, states};

/// Writes when it is dropped.
struct Dropped(Log<&'static str>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.write("dropped");
    }
}

fn limited(task: Task) -> Task {
    task.timeout(seconds(3)).retry(RetryPolicy::none())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_in_time_is_not_disturbed() {
    let test = start_one(|| {
        limited(Task::new("job", every(10), |run: RunContext| async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert!(!run.is_cancelled());
        }))
    })
    .await;
    test.advance(seconds(19)).await;
    assert_eq!(states(&test, "job").await, [(10, RunState::Succeeded, Some(12))]);
    assert_eq!(ledger(&test, "job").await, (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn at_its_timeout_a_body_is_asked_to_end_and_has_timed_out_although_it_returns() {
    let log = Log::new();
    let asked = log.clone();
    let test = start_one(move || {
        let asked = asked.clone();
        let body = move |run: RunContext| {
            let asked = asked.clone();
            async move {
                run.cancelled().await;
                asked.write("asked");
                tokio::time::sleep(seconds(1)).await;
            }
        };
        limited(Task::new("job", every(10), body))
    })
    .await;
    test.advance(seconds(19)).await;
    assert_eq!(log.lines(), [(13_000, "asked")]);
    assert_eq!(states(&test, "job").await, [(10, RunState::TimedOut, Some(14))]);
    assert_eq!(runs(&test, "job").await[0].failure.as_deref(), Some("timed out after 3s"));
    assert_eq!(ledger(&test, "job").await, (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_error_after_the_timeout_is_a_timeout_too() {
    let body = async || {
        tokio::time::sleep(seconds(4)).await;
        Err::<(), _>("too late")
    };
    let test = start_one(move || limited(Task::new("job", every(10), body))).await;
    test.advance(seconds(19)).await;
    assert_eq!(states(&test, "job").await, [(10, RunState::TimedOut, Some(14))]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ignores_it_is_dropped_five_seconds_later() {
    let log = Log::new();
    let dropped = log.clone();
    let test = start_one(move || {
        let guard = dropped.clone();
        let body = move || {
            let guard = Dropped(guard.clone());
            async move {
                let _guard = guard;
                pending::<()>().await;
            }
        };
        limited(Task::new("job", every(10), body))
    })
    .await;
    test.advance(seconds(17)).await;
    assert_eq!(test.running_runs().len(), 1, "the grace is not over");
    test.advance(seconds(2)).await;
    assert_eq!(log.lines(), [(18_000, "dropped")]);
    assert_eq!(states(&test, "job").await, [(10, RunState::TimedOut, Some(18))]);
    assert!(test.health().is_well());
    assert_eq!(ledger(&test, "job").await, (1, 1, 0));
    test.advance(seconds(1)).await;
    assert_eq!(test.running_runs().len(), 1, "the next occurrence runs");
}

#[tokio::test(start_paused = true)]
async fn a_blocking_body_past_its_timeout_keeps_its_place_is_shown_stuck_and_its_result_does_not_count() {
    let (begin, began) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (begin, released) = (Arc::new(Mutex::new(begin)), Arc::new(Mutex::new(released)));
    let test = start_one(move || {
        let (begin, released) = (Arc::clone(&begin), Arc::clone(&released));
        let body = move || {
            begin.lock().expect("nobody panics").send(()).expect("the test listens");
            released.lock().expect("nobody panics").recv().expect("the test releases it");
        };
        limited(Task::blocking("job", every(10), body))
    })
    .await;
    // While a thread works, time does not pass by itself.
    let pass = async |seconds: u64| {
        for _ in 0..seconds {
            tokio::time::advance(Duration::from_secs(1)).await;
            test.advance(Duration::ZERO).await;
        }
    };
    pass(10).await;
    began.recv_timeout(seconds(10)).expect("the body begins");
    pass(8).await;
    assert!(test.health().stuck.is_empty(), "it should have ended only now");
    pass(2).await;
    let stuck = test.health().stuck;
    assert_eq!(stuck.iter().map(|run| (second(run.scheduled_at), run.stuck)).collect::<Vec<_>>(), [(10, true)]);
    assert!(test.running_runs()[0].stuck);
    assert_eq!(test.stats().active_workers, 1);
    pass(3).await;
    assert_eq!(records(&test, "job").await.len(), 1, "20 overlaps with it");
    release.send(()).expect("the body waits for it");
    while !test.running_runs().is_empty() {
        tokio::task::yield_now().await;
    }
    test.advance(Duration::ZERO).await;
    assert_eq!(states(&test, "job").await, [(10, RunState::TimedOut, Some(23))]);
    assert!(test.health().stuck.is_empty());
    assert_eq!(ledger(&test, "job").await, (2, 1, 1));
}
