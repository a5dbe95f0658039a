//! Pauses: what they hold, what goes on in them, and what is left of them afterwards.

use std::time::Duration;

use symphra_scheduler::{
    Backoff, Overlap, Reason, RetryPolicy, RunContext, RunState, Scheduler, SchedulerConfig, Task, TaskStatus,
};

use crate::kit::{at, began, every, ledger, records, seconds, start, start_one, start_with, states};

fn tick() -> Task {
    Task::new("tick", every(10), async || {})
}

fn slow(overlap: Overlap) -> Task {
    Task::new("slow", every(10), async || tokio::time::sleep(seconds(24)).await).overlap(overlap)
}

#[tokio::test(start_paused = true)]
async fn what_falls_due_in_a_pause_is_recorded_and_never_caught_up() {
    let test = start_one(tick).await;
    test.advance(seconds(15)).await;
    test.pause_task_with("tick", "the printer is on fire").await.expect("it pauses");
    assert_eq!(test.task("tick").expect("it is there").status, TaskStatus::Paused);
    test.advance(seconds(30)).await;
    test.resume_task("tick").await.expect("it resumes");
    test.advance(seconds(10)).await;
    assert_eq!(began(&test, "tick"), [(10, 10), (50, 50)]);
    assert_eq!(records(&test, "tick").await, [(Reason::Paused, 20, 40, 3)]);
    let note = test.records("tick").await.expect("memory answers")[0].note.clone().expect("it says by whom");
    assert!(note.ends_with(&format!("since {}: the printer is on fire", at(15))), "{note}");
    assert_eq!(ledger(&test, "tick").await, (5, 2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_a_worker_waits_out_the_pause() {
    let test = start(|| {
        let holder = Task::new("holder", every(9), async || tokio::time::sleep(seconds(3)).await);
        Scheduler::empty().config(SchedulerConfig::new().max_workers(1)).register(holder).register(tick())
    })
    .await;
    test.advance(seconds(11)).await;
    test.pause_task("tick").await.expect("it pauses");
    test.advance(seconds(4)).await;
    assert_eq!(states(&test, "tick").await, [(10, RunState::Queued, None)]);
    test.resume_task("tick").await.expect("it resumes");
    test.advance(Duration::ZERO).await;
    assert_eq!(began(&test, "tick"), [(10, 15)]);
    assert_eq!(ledger(&test, "tick").await, (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_buffered_run_waits_out_the_pause_and_the_one_that_executes_goes_on() {
    let test = start_one(|| slow(Overlap::BufferAll)).await;
    test.advance(seconds(25)).await;
    test.pause_task("slow").await.expect("it pauses");
    test.advance(seconds(20)).await;
    assert_eq!(states(&test, "slow").await, [(10, RunState::Succeeded, Some(34)), (20, RunState::Queued, None)]);
    test.resume_task("slow").await.expect("it resumes");
    test.advance(seconds(1)).await;
    assert_eq!(began(&test, "slow"), [(10, 10), (20, 45)]);
    assert_eq!(records(&test, "slow").await, [(Reason::Paused, 30, 40, 2)]);
    assert_eq!(ledger(&test, "slow").await, (4, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_run_between_two_attempts_waits_out_the_pause() {
    let policy = RetryPolicy::standard().strategy(Backoff::Fixed).wait_min(seconds(5)).jitter(false);
    let body = |run: RunContext| async move { if run.attempt() == 1 { Err("down") } else { Ok(()) } };
    let test = start_one(move || Task::new("tick", every(10), body).retry(policy)).await;
    test.advance(seconds(11)).await;
    test.pause_task("tick").await.expect("it pauses");
    test.advance(seconds(30)).await;
    assert_eq!(states(&test, "tick").await, [(10, RunState::Retrying, None)]);
    test.resume_task("tick").await.expect("it resumes");
    test.advance(seconds(1)).await;
    assert_eq!(states(&test, "tick").await, [(10, RunState::Succeeded, Some(41))]);
    assert_eq!(ledger(&test, "tick").await, (4, 1, 3));
}

#[tokio::test(start_paused = true)]
async fn triggers_and_backfills_work_in_a_pause() {
    let test = start_one(tick).await;
    test.pause_task("tick").await.expect("it pauses");
    test.advance(seconds(25)).await;
    test.trigger_task("tick").await.expect("it is accepted");
    test.advance(Duration::ZERO).await;
    assert_eq!(began(&test, "tick"), [(25, 25)]);
    let backfill = test.backfill("tick", at(1).to_utc()..).await.expect("it is accepted");
    assert_eq!(backfill.runs.len(), 2);
    test.advance(Duration::ZERO).await;
    assert_eq!(began(&test, "tick"), [(25, 25), (10, 25), (20, 25)]);
    assert_eq!(ledger(&test, "tick").await, (2, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_pause_survives_a_restart_and_so_does_its_end() {
    let mut test = start_one(tick).await;
    test.advance(seconds(15)).await;
    test.pause_task_with("tick", "audit").await.expect("it pauses");
    test.restart(seconds(10)).await.expect("it starts again");
    test.advance(seconds(10)).await;
    let pause = test.task("tick").expect("it is there").pause.expect("it is paused");
    assert_eq!((pause.reason.as_deref(), pause.since), (Some("audit"), at(15)));
    test.resume_task("tick").await.expect("it resumes");
    test.restart(Duration::ZERO).await.expect("it starts again");
    test.advance(seconds(10)).await;
    assert_eq!(began(&test, "tick"), [(10, 10), (40, 40)]);
    assert_eq!(records(&test, "tick").await, [(Reason::Paused, 20, 30, 2)]);
    assert_eq!(ledger(&test, "tick").await, (4, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_not_enabled_is_paused_until_it_is_resumed() {
    let mut test = start_one(|| tick().enabled(false)).await;
    test.advance(seconds(25)).await;
    assert_eq!(test.task_counts().disabled, 1);
    assert_eq!(records(&test, "tick").await, [(Reason::Paused, 10, 20, 2)]);
    test.resume_task("tick").await.expect("it resumes");
    test.advance(seconds(10)).await;
    test.restart(Duration::ZERO).await.expect("it starts again");
    test.advance(seconds(10)).await;
    assert_eq!(began(&test, "tick"), [(30, 30), (40, 40)]);
    assert_eq!(ledger(&test, "tick").await, (4, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn pausing_all_holds_every_task_and_resuming_all_leaves_single_pauses() {
    let test = start(|| Scheduler::empty().register(tick()).register(Task::new("other", every(10), async || {}))).await;
    test.pause_task("other").await.expect("it pauses");
    test.pause_all("migration").await.expect("all pause");
    test.advance(seconds(15)).await;
    assert_eq!(test.tasks_by_status(TaskStatus::Paused).len(), 2);
    test.resume_all().await.expect("all resume");
    test.advance(seconds(10)).await;
    assert_eq!((began(&test, "tick"), began(&test, "other")), (vec![(20, 20)], vec![]));
    assert_eq!(records(&test, "other").await, [(Reason::Paused, 10, 20, 2)]);
    assert_eq!((ledger(&test, "tick").await, ledger(&test, "other").await), ((2, 1, 1), (2, 0, 2)));
}

#[tokio::test(start_paused = true)]
async fn after_so_many_failed_runs_in_a_row_a_task_is_paused() {
    let failing = || {
        Task::new("tick", every(10), |run: RunContext| async move {
            if run.scheduled_at() == at(20).to_utc() { Ok(()) } else { Err("down") }
        })
        .retry(RetryPolicy::standard().max_attempts(2).jitter(false))
        .pause_after(2)
    };
    let test = start_with(SchedulerConfig::new(), failing).await;
    test.advance(seconds(65)).await;
    assert_eq!(began(&test, "tick"), [(10, 10), (20, 20), (30, 30), (40, 40)], "a success between does not count");
    let pause = test.task("tick").expect("it is there").pause.expect("it is paused");
    assert!(pause.by.contains("pause_after"), "{pause}");
    assert_eq!(records(&test, "tick").await, [(Reason::Paused, 50, 60, 2)]);
    test.resume_task("tick").await.expect("it resumes");
    test.advance(seconds(30)).await;
    assert_eq!(began(&test, "tick")[4..], [(70, 70), (80, 80)], "the count begins anew");
    assert_eq!(ledger(&test, "tick").await, (9, 6, 3));
}
