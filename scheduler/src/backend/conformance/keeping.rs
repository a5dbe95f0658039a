//! Promises about what is kept: the history, the records, the ledger.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Subject, Ticking, after, cancel, control, declared, enqueue, every, finish, give_back, node, register, retry, runs,
    submit, trigger,
};
use crate::backend::{
    Admission, Command, End, Finish, Firing, NewRun, RECORDS_MAX, Reason, Record, Retention, RunQuery, Stored,
    TaskRules,
};
use crate::outcome::{CancelCause, Failure, Outcome};
use crate::run::RunState;
use crate::schedule::Overlap;

/// The runs of a task that are kept where nothing is said.
const KEPT_PER_TASK: u64 = 100;

/// How many rows of a task a backend may keep for a while beyond those that it has to.
const FOR_A_WHILE: usize = 100;

/// The history shows how runs ended, the newest first, and at least the last hundred of a task, but not all for ever.
pub async fn ended_runs_are_kept_newest_first_and_bounded(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let last = KEPT_PER_TASK + 20;
    for n in 1..=last {
        let token = task.hold(&node("a"), n).await.token;
        let outcome = match n % 3 {
            0 => super::disk_full(),
            1 => Outcome::Succeeded,
            _ => Outcome::Cancelled(CancelCause::Requested),
        };
        let (key, id, at) = (task.key, task.id(n), task.at(n));
        let started_at = Some(at);
        let end =
            Finish { task: key, id, token, end: End::Final(outcome), started_at, finished_at: after(at, 7), log: None };
        assert!(matches!(finish(&backend, end).await, Stored::Done { .. }));
    }
    let rows = task.rows().await;
    let shown: Vec<_> = rows.iter().map(|run| run.scheduled_at).collect();
    let expected: Vec<_> = (last - KEPT_PER_TASK + 1..=last).rev().map(|n| task.at(n)).collect();
    assert!(shown.starts_with(&expected), "the last {KEPT_PER_TASK} runs are there, the newest first");
    for run in &rows {
        let n = run.scheduled_at.since(task.start).as_secs();
        let cancelled = Outcome::Cancelled(CancelCause::Requested).text();
        let (state, failure) = match n % 3 {
            0 => (RunState::Failed, Some("disk full".into())),
            1 => (RunState::Succeeded, None),
            _ => (RunState::Cancelled, cancelled),
        };
        assert_eq!((run.state, &run.failure), (state, &failure), "run {n} shows how it ended");
        let ended = after(task.at(n), 7);
        assert_eq!((run.started_at, run.finished_at), (Some(task.at(n)), Some(ended)), "run {n} shows when");
    }
    let mut query = RunQuery::of(task.key);
    query.limit = Some(5);
    assert_eq!(runs(&backend, &query).await, rows[..5], "a limit cuts the oldest");
}

/// A run is listed with the node that holds it, and in the history with the one that held it last; one that waits is nobody's.
pub async fn a_run_is_listed_with_the_node_that_has_it(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", Overlap::BufferAll).await;
    let held_by = async |n| task.row(n).await.node;
    let (one, other): (Option<Arc<str>>, Option<Arc<str>>) = (Some("a".into()), Some("b".into()));
    let hold = task.hold(&node("a"), 1).await;
    task.wait(2).await;
    assert_eq!((held_by(1).await, held_by(2).await), (one.clone(), None));
    assert_eq!(task.end(1, hold, retry(task.at(1))).await, Stored::Done { more: true });
    let claimed = task.claim_until_some(&node("b"), 1).await;
    assert_eq!(held_by(1).await, other, "the holder of the next attempt");
    task.succeed(1, claimed[0].hold).await;
    let claimed = task.claim_until_some(&node("a"), 1).await;
    give_back(&backend, &claimed[0]).await;
    assert_eq!((held_by(1).await, held_by(2).await), (other, None));
    cancel(&backend, task.id(2)).await;
    assert_eq!(task.row(2).await.node, None, "nobody held it when it ended");
    let hold = task.hold(&node("a"), 3).await;
    task.end(3, hold, End::Final(super::disk_full())).await;
    assert_eq!(held_by(3).await, one);
}

/// Of each task as much is kept as its rules say: the last runs, and beyond them the last failures, for so long. What is
/// declared anew counts from then on.
pub async fn of_a_task_as_much_is_kept_as_it_says(backend: Subject) {
    let day = Duration::from_secs(24 * 60 * 60);
    let keeping = |runs| {
        let retention = Arc::new(Retention { runs, failures: 5, failures_for: day });
        TaskRules { retention, ..TaskRules::default() }
    };
    let task = Ticking::with(&backend, "pay", keeping(3)).await;
    let run = async |n: u64, outcome: Outcome, finished_at| {
        let token = task.hold(&node("a"), n).await.token;
        let (id, started_at) = (task.id(n), Some(task.at(n)));
        let end = Finish { task: task.key, id, token, end: End::Final(outcome), started_at, finished_at, log: None };
        assert!(matches!(finish(&backend, end).await, Stored::Done { .. }));
    };
    for n in 1..=4 {
        run(n, super::disk_full(), task.at(n).minus(2 * day)).await;
    }
    for n in 5..=120 {
        let outcome = if n <= 60 && n % 2 == 0 { super::disk_full() } else { Outcome::Succeeded };
        run(n, outcome, task.at(n)).await;
    }
    let kept = async || task.rows().await.iter().map(|run| run.scheduled_at).collect::<Vec<_>>();
    let rows = kept().await;
    assert!(rows.starts_with(&[task.at(120), task.at(119), task.at(118)]), "the last three runs are there: {rows:?}");
    for n in [60, 58, 56, 54, 52] {
        assert!(rows.contains(&task.at(n)), "run {n} is among the last five that failed");
    }
    assert!((1..=4).all(|n| !rows.contains(&task.at(n))), "older failures than a day are gone");
    assert!(rows.len() <= 8 + FOR_A_WHILE, "{} rows are there", rows.len());

    register(&backend, &node("setup"), declared("pay", &every(1), &keeping(150))).await;
    for n in 121..=240 {
        run(n, Outcome::Succeeded, task.at(n)).await;
    }
    let newest: Vec<_> = (121..=240).rev().map(|n| task.at(n)).collect();
    assert!(kept().await.starts_with(&newest), "and now more of them");
}

/// What is said of a run, and by those who pause its task, may have any characters; one that a store cannot hold has the mark of
/// one that is unknown in its place.
pub async fn any_text_is_kept(backend: Subject) {
    let text = "nul \0, quote ', \" and \\u0000, {brace}, $1, line\nend, 支付 \u{1F4B0}";
    let held = text.replace('\0', "\u{fffd}");
    let task = Ticking::new(&backend, text.replace(['\0', '\n'], " ").as_str()).await;
    let token = task.hold(&node("a"), 1).await.token;
    let (key, id, at) = (task.key, task.id(1), task.at(1));
    let failed = Outcome::Failed(Failure::error(&std::io::Error::other(text)));
    let end =
        Finish { task: key, id, token, end: End::Final(failed), started_at: Some(at), finished_at: at, log: None };
    assert!(matches!(finish(&backend, end).await, Stored::Done { .. }));
    let failure = task.row(1).await.failure.expect("it failed");
    assert_eq!(failure.replace('\0', "\u{fffd}"), held);

    let pause = Command::Pause { task: Some(key), by: text.into(), reason: Some(text.into()) };
    control(&backend, pause).await;
    let pause = task.look().await.pause.expect("it is paused");
    let shown = |text: &str| text.replace('\0', "\u{fffd}");
    assert_eq!((shown(&pause.by), pause.reason.map(|reason| shown(&reason))), (held.clone(), Some(held.clone())));
    let passed = Record::one(Reason::Missed, task.at(2)).noted(Some(text));
    let step = Firing { run: None, passed: Some(passed), ..task.firing(2) };
    assert_eq!(enqueue(&backend, &node("a"), step).await, Admission::Passed);
    let note = task.records().await.remove(0).note.expect("there is one");
    assert_eq!(shown(&note), held);
}

/// Runs are listed by task, id, state and instant; those that are alive are among them.
pub async fn runs_are_listed_by_what_is_asked(backend: Subject) {
    let (task, other) = (Ticking::unlimited(&backend, "pay").await, Ticking::new(&backend, "ship").await);
    other.hold(&node("a"), 1).await;
    for n in 1..=4 {
        let hold = task.hold(&node("a"), n).await;
        if n <= 2 {
            task.succeed(n, hold).await;
        }
    }
    submit(&backend, trigger(task.key, 1)).await;
    let listed = async |query: RunQuery| {
        let rows = runs(&backend, &query).await;
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let of = RunQuery::of(task.key);
    let all = [trigger(task.key, 1).id, task.id(4), task.id(3), task.id(2), task.id(1)];
    assert_eq!(listed(of.clone()).await, all, "all of a task, the newest first");
    assert_eq!(listed(RunQuery::default()).await.len(), 6, "or of all tasks");
    let running = RunQuery { states: vec![RunState::Running], ..of.clone() };
    assert_eq!(listed(running).await, [task.id(4), task.id(3)], "by state");
    let range = RunQuery { from: Some(task.at(2)), to: Some(task.at(3)), ..of.clone() };
    assert_eq!(listed(range).await, [task.id(3), task.id(2)], "by instant, both ends included");
    let one = RunQuery { id: Some(task.id(2)), ..RunQuery::default() };
    assert_eq!(listed(one).await, [task.id(2)], "by id");
    let neither = RunQuery { id: Some(other.id(1)), ..of };
    assert_eq!(listed(neither).await, [], "and by all of them together");
}

/// Occurrences passed over for one reason are one record, until another reason comes: spans, in the order of time.
pub async fn records_are_spans_in_the_order_of_time(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let missed = |first, last| Record::span(Reason::Missed, task.at(first), task.at(last), last - first + 1);
    let steps = [
        (0, missed(1, 3)),
        (3, missed(4, 5)),
        (5, Record::one(Reason::ClockSetBack, task.at(6))),
        (6, missed(7, 9).noted(Some("away"))),
    ];
    for (number, (mark, record)) in (1..).zip(steps) {
        let (mark, advance_to) = (task.at(mark), record.last);
        let step = Firing { mark, advance_to, run: None, passed: Some(record), ..task.firing(number) };
        assert_eq!(enqueue(&backend, &node("a"), step).await, Admission::Passed);
    }
    let back = Record::one(Reason::ClockSetBack, task.at(6));
    let expected = [missed(1, 5), back, missed(7, 9).noted(Some("away"))];
    assert_eq!(task.records().await, expected, "one that goes on is extended, another begins anew");
    task.accounts_for(0, 9).await;
}

/// However often the reasons alternate, the records are bounded, and count every occurrence.
pub async fn records_are_bounded_and_lose_no_count(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let steps = 5 * RECORDS_MAX as u64;
    for n in 1..=steps {
        let reason = if n % 2 == 0 { Reason::Missed } else { Reason::ClockSetBack };
        let step = Firing { run: None, passed: Some(Record::one(reason, task.at(n))), ..task.firing(n) };
        assert_eq!(enqueue(&backend, &node("a"), step).await, Admission::Passed);
    }
    let records = task.records().await;
    assert!(records.len() <= RECORDS_MAX, "{} spans are kept", records.len());
    assert_eq!(records.iter().map(|record| record.count).sum::<u64>(), steps, "every occurrence is in one");
    let newest = records.last().expect("there are records");
    assert_eq!((newest.last, newest.count), (task.at(steps), 1), "the newest are exact");
    assert_eq!(records.iter().map(|record| record.first).min(), Some(task.at(1)), "and the oldest is not forgotten");
    task.accounts_for(0, steps).await;
}

/// Every occurrence is in the ledger once: as a run, or as recorded.
pub async fn the_ledger_counts_every_occurrence_once(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let passed = Some(Record::span(Reason::Missed, task.at(1), task.at(4), 4));
    let covering = Firing { mark: task.start, passed, ..task.firing(5) };
    let first = enqueue(&backend, &node("a"), covering.clone()).await;
    assert!(matches!(first, Admission::Claimed(_)), "{first:?}");
    enqueue(&backend, &node("a"), covering).await;
    task.fire(&node("a"), 6).await;
    let late = NewRun { accept_until: Some(task.at(7)), ..task.run(7) };
    enqueue(&backend, &node("a"), Firing { run: Some(late), ..task.firing(7) }).await;
    let ledger = task.ledger().await;
    let counts = (ledger.occurrences, ledger.runs, ledger.recorded);
    assert_eq!(counts, (6, 1, 5), "six occurrences: one run, five recorded");
    task.accounts_for(1, 5).await;
}
