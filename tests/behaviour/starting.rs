//! What happens as a scheduler starts and stops: runs on start beside everything else, and the guard that stops it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use symphra_scheduler::{Backoff, Delay, Origin, Overlap, RetryPolicy, RunContext, RunState, Schedule, Task};

use crate::kit::{Log, Test, at, began, every, ledger, records, runs, second, seconds, start_one, states};

/// A task that runs on start; its scheduled runs fail at first and are tried again 50 s later.
fn tried_again(overlap: Overlap) -> Task {
    let policy = RetryPolicy::standard().strategy(Backoff::Fixed).wait_min(seconds(50)).jitter(false);
    let hourly = Schedule::interval(seconds(3_600)).expect("it is possible");
    let body = |run: RunContext| async move {
        if run.origin() == Origin::Schedule && run.attempt() == 1 { Err("not yet") } else { Ok(()) }
    };
    Task::new("tick", hourly, body).start_at(at(10).to_utc()).overlap(overlap).retry(policy).run_on_start(true)
}

/// Starts it again at 15, while the run of 10 waits for its next attempt, at 60, and tells the runs on start that began.
async fn runs_on_start(overlap: Overlap) -> (Vec<(i64, i64)>, Test<impl Fn() -> symphra_scheduler::Scheduler>) {
    let mut test = start_one(move || tried_again(overlap)).await;
    test.advance(seconds(12)).await;
    test.restart(seconds(3)).await.expect("it starts again");
    test.advance(seconds(60)).await;
    let begun = began(&test, "tick").into_iter().filter(|&(at, _)| at != 10).collect();
    (begun, test)
}

#[tokio::test(start_paused = true)]
async fn overlap_holds_for_a_run_on_start() {
    let (begun, test) = runs_on_start(Overlap::Skip).await;
    assert_eq!(begun, [], "before the window there is none, and at 15 the run of 10 is alive");
    assert_eq!(states(&test, "tick").await, [(10, RunState::Succeeded, Some(60))]);
    assert_eq!(records(&test, "tick").await, [], "a run on start is no occurrence");
    assert_eq!(ledger(&test, "tick").await, (1, 1, 0));

    let (begun, test) = runs_on_start(Overlap::BufferOne).await;
    assert_eq!(begun, [(15, 60)], "it waits for the other's end");
    assert_eq!(ledger(&test, "tick").await, (1, 1, 0));

    let (begun, test) = runs_on_start(Overlap::BufferAll).await;
    assert_eq!(begun, [(15, 60)]);
    assert_eq!(ledger(&test, "tick").await, (1, 1, 0));

    let (begun, test) = runs_on_start(Overlap::CancelRunning).await;
    assert_eq!(begun, [(15, 15)], "what waits between two attempts ends at once");
    assert_eq!(states(&test, "tick").await[0], (10, RunState::Cancelled, Some(15)));

    let (begun, test) = runs_on_start(Overlap::Allow).await;
    assert_eq!(begun, [(15, 15)], "beside the other");
    assert_eq!(states(&test, "tick").await[0], (10, RunState::Succeeded, Some(60)));
}

#[tokio::test(start_paused = true)]
async fn in_a_pause_there_is_no_run_on_start_and_none_is_caught_up() {
    let mut test = start_one(|| Task::new("tick", every(10), async || {}).run_on_start(true)).await;
    test.advance(seconds(2)).await;
    test.pause_task("tick").await.expect("it pauses");
    test.restart(seconds(3)).await.expect("it starts again");
    test.advance(seconds(2)).await;
    test.resume_task("tick").await.expect("it resumes");
    test.advance(seconds(5)).await;
    assert_eq!(began(&test, "tick"), [(0, 0), (10, 10)]);
    assert_eq!(ledger(&test, "tick").await, (1, 1, 0));

    let test = start_one(|| Task::new("tick", every(10), async || {}).run_on_start(true).enabled(false)).await;
    test.advance(seconds(2)).await;
    assert_eq!(began(&test, "tick"), [], "nor where its declaration pauses it");
}

#[tokio::test(start_paused = true)]
async fn outside_the_window_there_is_no_run_on_start() {
    let bounded = || {
        let tick = Task::new("tick", every(10), async || {}).run_on_start(true);
        tick.start_at(at(10).to_utc()).end_at(at(30).to_utc())
    };
    let mut test = start_one(bounded).await;
    for _ in 0..4 {
        test.advance(seconds(5)).await;
        test.restart(seconds(5)).await.expect("it starts again");
    }
    // Starts at 0, 10, 20, 30 and 40, where 10 and 30 are the window's ends.
    let started = runs(&test, "tick").await.into_iter().filter(|run| run.origin == Origin::Start);
    assert_eq!(started.map(|run| second(run.scheduled_at)).collect::<Vec<_>>(), [10, 20, 30]);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_delay_counts_from_the_end_of_a_run_that_a_restart_cut_between_its_attempts() {
    let again = RetryPolicy::standard().strategy(Backoff::Fixed).wait_min(seconds(20)).jitter(false);
    let body = |run: RunContext| async move {
        tokio::time::sleep(seconds(2)).await;
        if run.attempt() == 1 { Err("not yet") } else { Ok(()) }
    };
    let mut test = start_one(move || Task::new("tick", every(10), body).delay(Delay::FixedDelay).retry(again)).await;
    test.advance(seconds(15)).await;
    test.restart(seconds(5)).await.expect("it starts again");
    test.advance(seconds(10)).await;
    assert_eq!(began(&test, "tick"), [(10, 10)], "its run is alive, between 12 and 32");
    test.advance(seconds(20)).await;
    // The second attempt ends at 34: the next is due at 44.
    assert_eq!(states(&test, "tick").await[0], (10, RunState::Succeeded, Some(34)));
    assert_eq!(began(&test, "tick"), [(10, 10), (44, 44)]);
    assert_eq!(ledger(&test, "tick").await, (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_guard_stops_its_scheduler_when_it_is_dropped_and_lets_its_runs_end() {
    let ended = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&ended);
    let test = start_one(move || {
        let ended = Arc::clone(&counted);
        let body = move || {
            let ended = Arc::clone(&ended);
            async move {
                tokio::time::sleep(seconds(4)).await;
                ended.fetch_add(1, Ordering::SeqCst);
            }
        };
        Task::new("tick", every(10), body)
    })
    .await;
    let guard = (*test).clone().stop_on_drop();
    test.advance(seconds(11)).await;
    assert!(guard.stats().running && guard.health().alive, "a guard is a handle");
    drop(guard);
    test.advance(Duration::ZERO).await;
    assert!(test.stats().running, "it drains");
    assert!(!test.health().alive);
    assert!(test.trigger_task("tick").await.expect_err("it takes nothing more").is_stopped());
    assert!(test.wait().await.expect("it stops").is_clean());
    test.advance(seconds(30)).await;
    assert_eq!((ended.load(Ordering::SeqCst), began(&test, "tick")), (1, vec![(10, 10)]));
    assert!(!test.stats().running);
}

#[tokio::test(start_paused = true)]
async fn the_runs_of_a_backfill_that_fail_are_tried_again_before_the_next_begins() {
    let log = Log::new();
    let attempts = log.clone();
    let again = RetryPolicy::standard().strategy(Backoff::Fixed).max_attempts(2).wait_min(seconds(3)).jitter(false);
    let test = start_one(move || {
        let attempts = attempts.clone();
        let body = move |run: RunContext| {
            let at = second(run.scheduled_at());
            attempts.write((at, run.attempt()));
            // 10 fails once, 20 for good.
            async move { if at == 20 || (at == 10 && run.attempt() == 1) { Err("down") } else { Ok(()) } }
        };
        // There is room for all of them.
        Task::new("tick", every(10), body).retry(again).max_instances(5).enabled(false)
    })
    .await;
    test.advance(seconds(35)).await;
    let backfill = test.backfill("tick", at(1).to_utc()..).await.expect("it is accepted");
    assert_eq!(backfill.runs.len(), 3);
    test.advance(seconds(20)).await;
    let expected = [(35_000, (10, 1)), (38_000, (10, 2)), (38_000, (20, 1)), (41_000, (20, 2)), (41_000, (30, 1))];
    assert_eq!(log.lines(), expected);
    let ends =
        [(10, RunState::Succeeded, Some(38)), (20, RunState::Failed, Some(41)), (30, RunState::Succeeded, Some(41))];
    assert_eq!(states(&test, "tick").await, ends);
    let left = test.backfill("tick", at(1).to_utc()..=at(30).to_utc()).preview().await.expect("it is known");
    assert_eq!(left.into_iter().map(second).collect::<Vec<_>>(), [20], "what failed may be run again");
}
