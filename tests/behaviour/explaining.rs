//! What became of an instant, as a sentence: one test for each kind of answer.

use std::time::Duration;

use symphra_scheduler::test_util::Held;
use symphra_scheduler::{
    Backoff, CronExpr, Delay, Explanation, Misfire, NoOccurrence, Overlap, Reason, RetryPolicy, RunState, Schedule,
    Scheduler, SchedulerConfig, SchedulerHandle, Task,
};

use symphra_scheduler_tests::samples::line_is_as;
use symphra_scheduler_tests::shown::block;

use crate::kit::{at, every, runs, seconds, start, start_one, start_one_between};

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
async fn a_note_is_told_only_of_what_it_is_about() {
    let test = start_one(tick).await;
    test.advance(seconds(15)).await;
    test.pause_task_with("tick", "audit").await.expect("it pauses");
    test.advance(seconds(10)).await;
    test.resume_task("tick").await.expect("it goes on");
    test.pause_task_with("tick", "deploy").await.expect("it pauses");
    test.advance(seconds(20)).await;
    let records = test.records("tick").await.expect("memory answers");
    assert_eq!((records.len(), records[0].count), (1, 3), "one span");
    for (second, (has, has_not)) in [(20, ("paused", "deploy")), (30, ("deploy", "audit")), (40, ("deploy", "audit"))] {
        let (reason, says) = recorded(&test, second).await;
        assert!(reason == Reason::Paused && says.contains(has) && !says.contains(has_not), "{second}: {says}");
    }

    let test = start_one(|| slow(Overlap::Skip)).await;
    test.advance(seconds(62)).await;
    let ran: Vec<_> = runs(&test, "tick").await.into_iter().map(|run| run.id.to_string()).collect();
    assert_eq!(ran.len(), 2, "at 10 and at 40");
    let says = explained(&test, 20).await.to_string();
    assert!(says.contains("overlap") && !says.contains(&ran[1]), "the run of 40 was in nobody's way at 20: {says}");
    assert!(explained(&test, 50).await.to_string().contains(&ran[1]));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_room_is_told_so() {
    let config = SchedulerConfig::new().max_workers(1).queue_size(1);
    let busy = |name: &'static str| Task::new(name, every(10), async || tokio::time::sleep(seconds(25)).await);
    let test = start(move || {
        let first = [busy("a").priority(2), busy("b").priority(1)];
        let all = first.into_iter().chain([tick()]);
        all.fold(Scheduler::empty().config(config.clone()), Scheduler::register)
    })
    .await;
    test.advance(Duration::from_millis(10_500)).await;
    let explanation = explained(&test, 10).await;
    assert!(matches!(explanation, Explanation::Waiting { held_max: 2, .. }), "{explanation:?}");
    assert!(explanation.to_string().contains("waits for room: the node holds the 2 runs that it may"), "{explanation}");
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
    let except: CronExpr = "15,20 * * * * *".parse().expect("it is valid");
    let test = start_one(move || tick().except(except)).await;
    test.advance(seconds(35)).await;
    assert_eq!(none(&test, 20).await, (NoOccurrence::Excepted, Some(10), Some(30)));
    assert_eq!(none(&test, 15).await.0, NoOccurrence::OffSchedule, "it would be none anyway");
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

/// What is said of an instant.
async fn says(test: &SchedulerHandle, second: i64) -> String {
    explained(test, second).await.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_failed_run_and_one_that_is_tried_again_are_told_with_their_error() {
    let policy = RetryPolicy::standard().strategy(Backoff::Fixed).max_attempts(2).wait_min(seconds(3)).jitter(false);
    let test = start_one(move || Task::new("tick", every(10), async || Err::<(), _>("down")).retry(policy)).await;
    test.advance(seconds(11)).await;
    let id = runs(&test, "tick").await[0].id;
    let retrying = format!("{} became run {id}: retrying; its next attempt is due at {} (down)", at(10), at(13));
    assert_eq!(says(&test, 10).await, retrying);
    test.advance(seconds(4)).await;
    assert_eq!(says(&test, 10).await, format!("{} became run {id}: failed, attempt 2 at {} (down)", at(10), at(13)));
}

#[tokio::test(start_paused = true)]
async fn what_had_not_started_when_its_task_was_rescheduled_is_told() {
    let (test, store) = start_one_between(tick).await;
    test.advance(seconds(15)).await;
    store.hold("enqueue", Held::Call);
    test.advance(seconds(20)).await;
    test.reschedule("tick", every(7)).await.expect("it has occurrences");
    store.let_go("enqueue");
    test.advance(seconds(1)).await;
    let span = format!("one of 2 from {} to {}", at(20), at(30));
    for second in [20, 30] {
        let expected = format!(
            "{} did not run; rescheduled: it had not started when its task got another schedule; {span}",
            at(second)
        );
        assert_eq!(says(&test, second).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_the_thousand_that_are_caught_up_is_told() {
    let mut test = start_one(|| tick().misfire(Misfire::RunAll).overlap(Overlap::Allow)).await;
    test.restart(seconds(10_025)).await.expect("it starts again");
    test.advance(seconds(1)).await;
    let why = "missed: nobody could start it in time, and too many were missed to catch all up";
    let expected = format!("{} did not run; {why}; one of 2 from {} to {}", at(20), at(10), at(20));
    assert_eq!(says(&test, 20).await, expected);
    assert!(!matches!(explained(&test, 30).await, Explanation::Recorded { .. }), "the thousandth has run");
}

#[tokio::test(start_paused = true)]
async fn one_instant_that_was_past_at_first_sight_is_told() {
    let long_ago = || Task::new("tick", Schedule::once(at(-90_000).to_utc()), async || {});
    let test = start_one(long_ago).await;
    test.advance(seconds(1)).await;
    let expected = format!("{} did not run; past when its task was first seen", at(-90_000));
    assert_eq!(says(&test, -90_000).await, expected);
}

#[tokio::test(start_paused = true)]
async fn what_a_clock_set_back_showed_again_is_told_where_it_did_not_run_before() {
    let test = start_one(tick).await;
    test.pause_task("tick").await.expect("it pauses");
    test.advance(seconds(35)).await;
    test.resume_task("tick").await.expect("it resumes");
    test.advance(seconds(10)).await;
    test.set_clock_back(seconds(30));
    test.advance(seconds(20)).await;
    let expected = format!(
        "{} did not run; the clock was set back and showed it a second time; one of 2 from {} to {}",
        at(20),
        at(20),
        at(30)
    );
    assert_eq!(says(&test, 20).await, expected);
    assert!(matches!(explained(&test, 40).await, Explanation::Ran(_)), "what ran is told as that");
}

#[tokio::test(start_paused = true)]
async fn what_is_due_and_not_answered_is_told_as_pending() {
    for held in [Held::Call, Held::Answer] {
        let (test, store) = start_one_between(tick).await;
        store.hold("enqueue", held);
        test.advance(seconds(12)).await;
        if held == Held::Call {
            assert_eq!(explained(&test, 10).await, Explanation::Pending { at: at(10) });
            assert_eq!(says(&test, 10).await, format!("{} is due, and its store has not answered yet", at(10)));
        }
        store.let_go("enqueue");
        test.advance(seconds(1)).await;
        assert!(matches!(explained(&test, 10).await, Explanation::Ran(_) | Explanation::Recorded { .. }), "{held:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_fixed_delay_only_what_ran_or_is_recorded_is_known() {
    let takes_three = || Task::new("tick", every(10), async || tokio::time::sleep(seconds(3)).await);
    let test = start_one(move || takes_three().delay(Delay::FixedDelay)).await;
    test.advance(seconds(25)).await;
    assert!(matches!(explained(&test, 10).await, Explanation::Ran(_)));
    assert!(matches!(explained(&test, 23).await, Explanation::Ran(_)), "ten seconds after 13");
    assert_eq!(none(&test, 20).await, (NoOccurrence::FixedDelay, None, None));
    let why = "no scheduled run of this fixed delay had it as its instant";
    assert_eq!(says(&test, 20).await, format!("{} is no occurrence: {why}", at(20)));
    test.pause_task_with("tick", "audit").await.expect("it pauses");
    test.advance(seconds(15)).await;
    assert_eq!(recorded(&test, 36).await.0, Reason::Paused);
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_record_is_told_in_one_sentence() {
    let test = start_one(|| slow(Overlap::Skip)).await;
    test.advance(seconds(25)).await;
    let alive = runs(&test, "tick").await[0].id;
    let overlap = "overlap: as many runs of the task were alive as are allowed";
    assert_eq!(says(&test, 20).await, format!("{} did not run; {overlap} (run {alive} was alive)", at(20)));

    let test = start_one(|| slow(Overlap::BufferOne)).await;
    test.advance(seconds(32)).await;
    let waiting = runs(&test, "tick").await[1].id;
    let expected = format!("{} did not run; covered: a run was waiting already (run {waiting} covers it)", at(30));
    assert_eq!(says(&test, 30).await, expected);

    let mut test = start_one(tick).await;
    test.advance(seconds(15)).await;
    test.restart(seconds(17)).await.expect("it starts again");
    assert_eq!(says(&test, 20).await, format!("{} did not run; missed: nobody could start it in time", at(20)));

    let mut test = start_one(|| tick().catch_up_window(seconds(1))).await;
    test.advance(seconds(15)).await;
    test.restart(seconds(10)).await.expect("it starts again");
    let too_old = "missed: nobody could start it in time, and it was older than the catch-up window";
    assert_eq!(says(&test, 20).await, format!("{} did not run; {too_old}", at(20)));

    let test = start_one(tick).await;
    test.pause_task_with("tick", "audit").await.expect("it pauses");
    test.advance(seconds(15)).await;
    let expected = format!("{} did not run; paused by {} since {}: audit", at(10), test.stats().node, at(0));
    assert_eq!(says(&test, 10).await, expected);
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_none_is_told_in_one_sentence_with_its_neighbours() {
    let bounded = || tick().start_at(at(20).to_utc()).end_at(at(40).to_utc());
    let test = start_one(bounded).await;
    test.advance(seconds(60)).await;
    let outside = "it lies before `start` or after `end`";
    assert_eq!(says(&test, 10).await, format!("{} is no occurrence: {outside}; the next is {}", at(10), at(20)));
    let expected = format!("{} is no occurrence: {outside}; the last before it is {}", at(50), at(40));
    assert_eq!(says(&test, 50).await, expected);

    let except: CronExpr = "20 * * * * *".parse().expect("it is valid");
    let test = start_one(move || tick().except(except)).await;
    test.advance(seconds(35)).await;
    let neighbours = format!("the last before it is {}; the next is {}", at(10), at(30));
    assert_eq!(says(&test, 20).await, format!("{} is no occurrence: its `except` takes it out; {neighbours}", at(20)));
    let before = "the task was first registered later";
    assert_eq!(says(&test, -5).await, format!("{} is no occurrence: {before}; the next is {}", at(-5), at(10)));

    let test = start_one(tick).await;
    test.advance(seconds(15)).await;
    test.reschedule("tick", every(7)).await.expect("it has occurrences");
    let expected = format!("{} is no occurrence: the present schedule counts only from later on", at(14));
    assert!(says(&test, 14).await.starts_with(&expected), "{}", says(&test, 14).await);

    let test = start_one(|| tick().max_runs(1)).await;
    test.advance(seconds(25)).await;
    assert_eq!(says(&test, 20).await, format!("{} is no occurrence: max_runs were reached before", at(20)));

    let test = start_one(|| tick().jitter(seconds(9))).await;
    let Explanation::Ahead { due_at, .. } = explained(&test, 10).await else { panic!("it lies ahead") };
    assert_eq!(says(&test, 10).await, format!("{} is still to come, due at {due_at}", at(10)));
    assert!(due_at > at(10), "its jitter is not zero");

    let test = start_one(tick).await;
    test.advance(seconds(2_000)).await;
    assert_eq!(says(&test, 10).await, format!("what became of {} is older than what is kept", at(10)));
}

#[tokio::test(start_paused = true)]
async fn sentences_of_the_page_are_what_is_said() {
    let samples = block("docs/en/control.md", "text", " became run ");
    let takes_fourteen = || Task::new("tick", every(10), async || tokio::time::sleep(seconds(14)).await);
    let test = start_one(takes_fourteen).await;
    test.advance(seconds(28)).await;
    let mut said = Vec::new();
    for second in [10, 20, 25, 60] {
        said.push(says(&test, second).await);
    }
    let long = start_one(tick).await;
    long.advance(seconds(2_000)).await;
    said.push(says(&long, 10).await);
    let samples: Vec<&str> = samples.lines().collect();
    assert_eq!(samples.len(), said.len());
    for (sample, said) in samples.iter().zip(&said) {
        // Ids are shortened there.
        let sample = sample.replace("019ca2f8-", "").replace("019ca2f1-", "");
        assert!(line_is_as(&sample, said), "{sample}\n{said}");
    }
}
