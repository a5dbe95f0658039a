//! What a program asks of a running scheduler: schedules, tasks, cancellations, backfills, marks.

use std::time::Duration;

use symphra_scheduler::{
    Backoff, MemoryBackend, Origin, Overlap, RetryPolicy, RunState, Scheduler, SchedulerConfig, SchedulerEvent, Task,
    TaskStatus,
};

use crate::kit::{at, began, every, ledger, records, runs, second, seconds, start, start_one, start_with, states};

fn tick() -> Task {
    Task::new("tick", every(10), async || {})
}

fn slow() -> Task {
    Task::new("tick", every(10), async || tokio::time::sleep(seconds(24)).await)
}

#[tokio::test(start_paused = true)]
async fn another_schedule_counts_from_its_change_on_and_keeps_the_grid() {
    let test = start_one(tick).await;
    test.advance(seconds(15)).await;
    test.reschedule("tick", every(4)).await.expect("it has occurrences");
    test.advance(seconds(10)).await;
    assert_eq!(began(&test, "tick"), [(10, 10), (16, 16), (20, 20), (24, 24)]);
    assert_eq!(records(&test, "tick").await, []);
    assert_eq!(ledger(&test, "tick").await, (4, 4, 0));
}

#[tokio::test(start_paused = true)]
async fn another_schedule_survives_a_restart_and_ends_when_the_program_declares_another() {
    let period = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(10));
    let declared = std::sync::Arc::clone(&period);
    let mut test =
        start_one(move || Task::new("tick", every(declared.load(std::sync::atomic::Ordering::SeqCst)), async || {}))
            .await;
    test.reschedule("tick", every(6)).await.expect("it has occurrences");
    test.advance(seconds(7)).await;
    test.restart(Duration::ZERO).await.expect("it starts again");
    test.advance(seconds(6)).await;
    assert_eq!(began(&test, "tick"), [(6, 6), (12, 12)]);
    period.store(5, std::sync::atomic::Ordering::SeqCst);
    test.restart(Duration::ZERO).await.expect("it starts again");
    test.advance(seconds(9)).await;
    assert_eq!(began(&test, "tick"), [(6, 6), (12, 12), (15, 15), (20, 20)]);
    assert_eq!(ledger(&test, "tick").await, (4, 4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_unregistered_fires_no_more_and_its_run_goes_on() {
    let test = start_one(slow).await;
    test.advance(seconds(15)).await;
    test.unregister("tick").await.expect("it is there");
    assert!(test.task("tick").expect_err("it is gone").is_unknown_task());
    assert!(test.trigger_task("tick").await.expect_err("it is gone").is_unknown_task());
    test.advance(seconds(30)).await;
    assert_eq!(began(&test, "tick"), [(10, 10)]);
    let all = test.runs(&symphra_scheduler::RunFilter::new()).await.expect("memory answers");
    assert_eq!((all.len(), all[0].state, all[0].finished_at.map(second)), (1, RunState::Succeeded, Some(34)));
}

#[tokio::test(start_paused = true)]
async fn runs_that_wait_as_their_task_is_unregistered_begin_when_it_is_registered_again() {
    let test = start_one(|| slow().overlap(Overlap::BufferAll)).await;
    test.advance(seconds(25)).await;
    test.unregister("tick").await.expect("it is there");
    test.advance(seconds(15)).await;
    test.register(slow().overlap(Overlap::BufferAll)).await.expect("its name is free");
    test.advance(Duration::ZERO).await;
    assert_eq!(began(&test, "tick"), [(10, 10), (20, 40)]);
    test.advance(seconds(1)).await;
    test.balanced_ledger("tick").await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_refused() {
    let test = start_one(tick).await;
    let error = test.register(tick()).await.expect_err("it is taken");
    assert!(error.is_duplicate_task() && error.to_string().contains("controlling.rs"), "{error}");
    test.register(Task::new("other", every(10), async || {})).await.expect("it is free");
    test.advance(seconds(10)).await;
    assert_eq!((began(&test, "tick"), began(&test, "other")), (vec![(10, 10)], vec![(10, 10)]));
}

#[tokio::test(start_paused = true)]
async fn a_trigger_during_a_stop_is_refused_and_one_just_before_it_is_listed() {
    let store = MemoryBackend::new();
    let test = start(move || {
        let config = SchedulerConfig::new().max_workers(1);
        let endless = Task::new("tick", every(1_000), async || std::future::pending::<()>().await);
        Scheduler::empty().config(config).backend(store.clone()).register(endless)
    })
    .await;
    let first = test.trigger_task("tick").await.expect("it is accepted");
    test.advance(seconds(1)).await;
    let second = test.trigger_task("tick").await.expect("it is accepted");
    let (report, refused) = tokio::join!(test.stop(), async {
        tokio::task::yield_now().await;
        test.trigger_task("tick").await
    });
    assert!(refused.expect_err("it stops").is_stopped());
    let report = report.expect("it stops");
    let mut listed: Vec<_> = report.cancelled.iter().map(|run| (run.id, run.began)).collect();
    listed.sort();
    let mut expected = [(first, true), (second, false)];
    expected.sort();
    assert_eq!(listed, expected);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_cancelled_in_whichever_state_it_is() {
    let test = start_one(|| slow().overlap(Overlap::BufferAll)).await;
    test.advance(seconds(21)).await;
    let [running, queued] = &runs(&test, "tick").await[..] else { panic!("two are alive") };
    test.cancel_run(queued.id).await.expect("it waits");
    assert_eq!(states(&test, "tick").await[1], (20, RunState::Cancelled, Some(21)));
    test.cancel_run(running.id).await.expect("it executes");
    test.advance(seconds(6)).await;
    assert_eq!(states(&test, "tick").await[0], (10, RunState::Cancelled, Some(26)));
    let error = test.cancel_run(running.id).await.expect_err("it has ended");
    assert!(error.is_unknown_run() && error.to_string().contains("has ended already: cancelled"), "{error}");
    assert_eq!(ledger(&test, "tick").await, (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_between_two_attempts_is_cancelled_at_once() {
    let policy = RetryPolicy::standard().strategy(Backoff::Fixed).wait_min(seconds(8)).jitter(false);
    let test = start_one(move || Task::new("tick", every(10), async || Err::<(), _>("down")).retry(policy)).await;
    test.advance(seconds(12)).await;
    let run = runs(&test, "tick").await[0].id;
    test.cancel_run(run).await.expect("it waits");
    assert_eq!(states(&test, "tick").await, [(10, RunState::Cancelled, Some(12))]);
    test.advance(Duration::ZERO).await;
    assert_eq!(test.task("tick").expect("it is there").status, TaskStatus::Cancelled);
    test.advance(seconds(8)).await;
    assert_eq!(began(&test, "tick"), [(10, 10), (20, 20)]);
    assert_eq!(ledger(&test, "tick").await, (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn the_cancellation_of_one_run_leaves_the_other_between_its_attempts() {
    let policy = RetryPolicy::standard().strategy(Backoff::Fixed).wait_min(seconds(50)).jitter(false);
    let failing = move || Task::new("tick", every(10), async || Err::<(), _>("down")).retry(policy).max_instances(2);
    let test = start_one(failing).await;
    test.advance(seconds(25)).await;
    let first = runs(&test, "tick").await[0].id;
    test.cancel_run(first).await.expect("it waits");
    test.advance(seconds(1)).await;
    assert_eq!(states(&test, "tick").await, [(10, RunState::Cancelled, Some(25)), (20, RunState::Retrying, None)]);
    assert_eq!(test.task("tick").expect("it is there").status, TaskStatus::Retrying);
    assert_eq!(ledger(&test, "tick").await, (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_backfill_runs_what_has_no_success_one_after_another() {
    let fails_at_twenty = || {
        Task::new("tick", every(10), |run: symphra_scheduler::RunContext| async move {
            tokio::time::sleep(seconds(2)).await;
            let fails = second(run.scheduled_at()) == 20 && run.origin() == Origin::Schedule;
            if fails { Err("down") } else { Ok(()) }
        })
        .retry(RetryPolicy::none())
    };
    let test = start_one(fails_at_twenty).await;
    test.advance(seconds(33)).await;
    test.pause_task("tick").await.expect("it pauses");
    test.advance(seconds(20)).await;
    let previewed = test.backfill("tick", at(1).to_utc()..at(50).to_utc()).preview().await.expect("it is known");
    assert_eq!(previewed.into_iter().map(second).collect::<Vec<_>>(), [20, 40], "the end is not included");
    let backfill = test.backfill("tick", at(1).to_utc()..=at(50).to_utc()).await.expect("it is accepted");
    assert_eq!((backfill.runs.len(), backfill.left_out), (3, 0));
    test.advance(seconds(10)).await;
    assert_eq!(began(&test, "tick")[3..], [(20, 53), (40, 55), (50, 57)]);
    let again = test.backfill("tick", at(1).to_utc()..=at(50).to_utc()).preview().await.expect("it is known");
    assert!(again.is_empty(), "{again:?}");
    let rerun = test.backfill("tick", at(1).to_utc()..=at(50).to_utc()).rerun().preview().await.expect("it is known");
    assert_eq!(rerun.len(), 5);
    assert_eq!(ledger(&test, "tick").await, (6, 3, 3), "a backfill moves no mark");
}

#[tokio::test(start_paused = true)]
async fn a_backfill_runs_a_thousand_at_most_and_says_how_many_are_left_out() {
    let test = start_with(SchedulerConfig::new(), || tick().enabled(false)).await;
    test.advance(seconds(12_345)).await;
    let backfill = test.backfill("tick", at(1).to_utc()..).await.expect("it is accepted");
    assert_eq!((backfill.runs.len(), backfill.left_out), (1_000, 234));
    assert!(test.backfill("tick", ..at(5).to_utc()).await.is_err(), "a backfill needs a beginning");
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_a_clock_ahead_has_left_is_reset() {
    let mut test = start_one(tick).await;
    test.advance(seconds(15)).await;
    test.set_clock_forward(seconds(1_000));
    test.advance(seconds(3)).await;
    test.set_clock_back(seconds(1_000));
    test.advance(seconds(20)).await;
    assert!(test.health().clock_repeats_until.is_some());
    test.restart(seconds(1)).await.expect("it starts again");
    assert!(test.health().clock_repeats_until.is_some(), "whoever starts behind a mark is told so too");
    assert!(!test.health().is_well());
    test.reset_mark("tick").await.expect("it is reset");
    test.advance(seconds(1)).await;
    let begun = began_count(&test);
    assert!(test.health().clock_repeats_until.is_none() && test.health().is_well(), "there is nothing to wait for");
    test.advance(seconds(10)).await;
    assert_eq!(began_count(&test), begun + 1, "it fires again at once");
    test.balanced_ledger("tick").await;
}

#[tokio::test(start_paused = true)]
async fn a_warning_of_a_mark_ahead_goes_with_its_task() {
    let mut test = start(|| {
        let other = Task::new("other", every(10), async || {});
        Scheduler::empty().register(tick()).register(other)
    })
    .await;
    test.set_clock_forward(seconds(1_000));
    test.advance(seconds(13)).await;
    test.set_clock_back(seconds(1_000));
    test.restart(seconds(1)).await.expect("it starts again");
    assert!(test.health().clock_repeats_until.is_some());
    test.unregister("other").await.expect("it is there");
    test.advance(seconds(1)).await;
    assert!(test.health().clock_repeats_until.is_some(), "the other one is still ahead");
    test.reset_mark("tick").await.expect("it is reset");
    test.advance(seconds(1)).await;
    assert!(test.health().clock_repeats_until.is_none(), "and nobody else is");
}

fn began_count<B: Fn() -> Scheduler>(test: &crate::kit::Test<B>) -> usize {
    test.fired("tick").len()
}

#[tokio::test(start_paused = true)]
async fn events_come_in_order_and_a_slow_listener_is_told_what_it_missed() {
    let test = start_one(tick).await;
    let mut events = test.events();
    test.advance(seconds(10)).await;
    test.pause_task("tick").await.expect("it pauses");
    test.advance(seconds(10)).await;
    test.resume_task("tick").await.expect("it resumes");
    test.advance(Duration::ZERO).await;
    let mut kinds = Vec::new();
    while let Some(event) = events.try_next() {
        kinds.push(match event {
            SchedulerEvent::AttemptStarted { .. } => "started",
            SchedulerEvent::RunEnded { state: RunState::Succeeded, .. } => "succeeded",
            SchedulerEvent::TaskPaused { .. } => "paused",
            SchedulerEvent::Recorded { .. } => "recorded",
            SchedulerEvent::TaskResumed { .. } => "resumed",
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(kinds, ["started", "succeeded", "paused", "recorded", "resumed"]);
    let mut slow = test.events();
    test.advance(seconds(30_000)).await;
    assert!(matches!(slow.try_next(), Some(SchedulerEvent::Missed { events }) if events > 1_000));
    assert!(matches!(slow.try_next(), Some(SchedulerEvent::AttemptStarted { .. } | SchedulerEvent::RunEnded { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_a_worker_is_cancelled_and_never_begins() {
    let test = start(|| {
        let holder = Task::new("holder", every(9), async || tokio::time::sleep(seconds(30)).await);
        Scheduler::empty().config(SchedulerConfig::new().max_workers(1)).register(holder).register(tick())
    })
    .await;
    test.advance(seconds(11)).await;
    let run = runs(&test, "tick").await.remove(0);
    assert_eq!(
        (run.state, test.stats().queued_runs),
        (RunState::Running, 1),
        "its store has given it, and it waits here"
    );
    test.cancel_run(run.id).await.expect("it is alive");
    test.advance(seconds(1)).await;
    assert_eq!(runs(&test, "tick").await[0].state, RunState::Cancelled, "nothing had to be waited for");
    assert_eq!(test.stats().queued_runs, 0);
    test.advance(seconds(28)).await;
    assert!(!began(&test, "tick").contains(&(10, 39)), "it never begins");
    assert_eq!(runs(&test, "tick").await[0].started_at, None);
}
