//! What became of an instant, as a sentence: one test for each kind of answer.

use std::time::Duration;

use symphra_scheduler::{
    CronExpr, Explanation, Misfire, NoOccurrence, Overlap, Reason, RunState, Schedule, SchedulerHandle, Task,
};

use crate::kit::{at, every, runs, seconds, start_one};

fn tick() -> Task {
    Task::new("tick", every(10), async || {})
}

fn slow(overlap: Overlap) -> Task {
    Task::new("tick", every(10), async || tokio::time::sleep(seconds(24)).await).overlap(overlap)
}

async fn explained(test: &SchedulerHandle, second: i64) -> Explanation {
    test.explain("tick", at(second)).await.expect("memory answers")
}

/// The reason and the words of an instant that is counted in a record.
async fn recorded(test: &SchedulerHandle, second: i64) -> (Reason, String) {
    let explanation = explained(test, second).await;
    match &explanation {
        Explanation::Recorded { record, surely: true, .. } => (record.reason, explanation.to_string()),
        other => panic!("{other:?}"),
    }
}

/// Why an instant is no occurrence, and its neighbours in seconds.
async fn none(test: &SchedulerHandle, second: i64) -> (NoOccurrence, Option<i64>, Option<i64>) {
    match explained(test, second).await {
        Explanation::NoOccurrence { why, previous, next, .. } => {
            (why, previous.map(crate::kit::second), next.map(crate::kit::second))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_ran_is_told_with_its_run() {
    let test = start_one(tick).await;
    test.advance(seconds(15)).await;
    let explanation = explained(&test, 10).await;
    let run = &runs(&test, "tick").await[0];
    assert!(matches!(&explanation, Explanation::Ran(ran) if ran.id == run.id && ran.state == RunState::Succeeded));
    assert_eq!(explanation.to_string(), format!("{} became run {}: succeeded at {}", at(10), run.id, at(10)));
}

#[tokio::test(start_paused = true)]
async fn an_overlap_names_the_run_in_the_way() {
    let test = start_one(|| slow(Overlap::Skip)).await;
    test.advance(seconds(25)).await;
    let (reason, says) = recorded(&test, 20).await;
    let alive = runs(&test, "tick").await[0].id;
    assert_eq!(reason, Reason::Overlap);
    assert!(says.contains(&format!("run {alive} was alive")), "{says}");
}

#[tokio::test(start_paused = true)]
async fn what_a_waiting_run_covers_names_it() {
    let test = start_one(|| slow(Overlap::BufferOne)).await;
    test.advance(seconds(32)).await;
    let (reason, says) = recorded(&test, 30).await;
    let waiting = runs(&test, "tick").await[1].id;
    assert_eq!(reason, Reason::Covered);
    assert!(says.contains(&format!("run {waiting} covers it")), "{says}");
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_is_told() {
    let endless = || Task::new("tick", every(10), async || std::future::pending::<()>().await);
    let test = start_one(move || endless().overlap(Overlap::BufferAll)).await;
    test.advance(seconds(10_025)).await;
    assert_eq!(recorded(&test, 10_020).await.0, Reason::BufferFull);
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_told_with_who_why_and_since_when() {
    let test = start_one(tick).await;
    test.advance(seconds(15)).await;
    test.pause_task_with("tick", "audit").await.expect("it pauses");
    test.advance(seconds(20)).await;
    let node = test.stats().node;
    let (reason, says) = recorded(&test, 20).await;
    assert_eq!(reason, Reason::Paused);
    assert!(says.contains(&format!("paused by {node} since {}: audit", at(15))), "{says}");
    assert!(says.contains("one of 2 from"), "{says}");
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_told() {
    for (task, reason) in [
        (tick as fn() -> Task, Reason::Missed),
        (|| tick().misfire(Misfire::Skip), Reason::Missed),
        (|| tick().catch_up_window(seconds(1)), Reason::TooOld),
    ] {
        let mut test = start_one(task).await;
        test.advance(seconds(15)).await;
        test.restart(seconds(30)).await.expect("it starts again");
        assert_eq!(recorded(&test, 20).await.0, reason);
    }
}

#[tokio::test(start_paused = true)]
async fn the_run_that_covers_what_was_missed_says_how_much() {
    let mut test = start_one(tick).await;
    test.advance(seconds(15)).await;
    test.restart(seconds(30)).await.expect("it starts again");
    let says = explained(&test, 40).await.to_string();
    assert!(says.contains(&format!("for 2 occurrences before it, the first at {}", at(20))), "{says}");
}

#[tokio::test(start_paused = true)]
async fn an_instant_off_the_schedule_is_told_with_its_neighbours() {
    let test = start_one(tick).await;
    test.advance(seconds(35)).await;
    assert_eq!(none(&test, 23).await, (NoOccurrence::OffSchedule, Some(20), Some(30)));
    let says = explained(&test, 23).await.to_string();
    assert!(says.contains("is no occurrence: the schedule does not name it"), "{says}");
    assert!(says.contains(&format!("the last before it is {}; the next is {}", at(20), at(30))), "{says}");
}

#[tokio::test(start_paused = true)]
async fn before_the_registration_there_are_no_occurrences() {
    let minutes = || Task::new("tick", Schedule::cron("* * * * *").expect("it is valid"), async || {});
    let test = start_one(minutes).await;
    assert_eq!(none(&test, -60).await.0, NoOccurrence::BeforeRegistration);
    assert_eq!(none(&test, 0).await.0, NoOccurrence::BeforeRegistration);
}

#[tokio::test(start_paused = true)]
async fn before_its_schedule_was_changed_another_counted() {
    let test = start_one(tick).await;
    test.advance(seconds(15)).await;
    test.reschedule("tick", every(7)).await.expect("it has occurrences");
    test.advance(seconds(10)).await;
    assert_eq!(none(&test, 14).await.0, NoOccurrence::BeforeThisSchedule);
    assert!(matches!(explained(&test, 10).await, Explanation::Ran(_)), "what ran before is still told");
}

#[tokio::test(start_paused = true)]
async fn outside_the_window_there_are_no_occurrences() {
    let test = start_one(|| tick().start_at(at(30).to_utc()).end_at(at(50).to_utc())).await;
    test.advance(seconds(100)).await;
    assert_eq!(none(&test, 20).await, (NoOccurrence::OutsideWindow, None, Some(30)));
    assert_eq!(none(&test, 60).await, (NoOccurrence::OutsideWindow, Some(50), None));
}

#[tokio::test(start_paused = true)]
async fn an_exception_is_told() {
    let except: CronExpr = "20 * * * * *".parse().expect("it is valid");
    let test = start_one(move || tick().except(except)).await;
    test.advance(seconds(35)).await;
    assert_eq!(none(&test, 20).await, (NoOccurrence::Excepted, Some(10), Some(30)));
}

#[tokio::test(start_paused = true)]
async fn after_max_runs_there_are_no_occurrences() {
    let test = start_one(|| tick().max_runs(1)).await;
    test.advance(seconds(25)).await;
    assert_eq!(none(&test, 20).await.0, NoOccurrence::AfterMaxRuns);
}

#[tokio::test(start_paused = true)]
async fn what_lies_ahead_is_still_to_come() {
    let test = start_one(tick).await;
    assert_eq!(explained(&test, 10).await, Explanation::Ahead { at: at(10), due_at: at(10) });
    assert_eq!(explained(&test, 10).await.to_string(), format!("{} is still to come", at(10)));
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_what_is_kept_is_told_as_such() {
    let test = start_one(tick).await;
    test.advance(seconds(2_000)).await;
    assert_eq!(explained(&test, 10).await, Explanation::Forgotten { at: at(10) });
    assert!(matches!(explained(&test, 2_000).await, Explanation::Ran(_)));
    test.advance(Duration::ZERO).await;
}
