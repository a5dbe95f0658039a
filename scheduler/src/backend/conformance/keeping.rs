//! Promises about what is kept: the history, the records, the ledger.

use std::time::Duration;

use super::{LONG, Subject, after, fire, fire_and_hold, firing, id, node, run, success, task_with_past};
use crate::backend::{Admission, Finish, Firing, NewRun, Reason, Record, RunQuery, Stored};
use crate::outcome::{Failure, Outcome};
use crate::run::RunState;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The runs of a task that every backend keeps.
const KEPT_PER_TASK: u64 = 100;

/// A run that has ended is no longer alive: a task with one place is free again.
pub async fn a_run_that_has_ended_makes_room(backend: Subject) {
    let (task, mut mark) = task_with_past(&backend, "pay", HOUR).await;
    let holder = node("a", LONG);
    for number in 1..=3 {
        let at = after(mark, 1_000);
        let single = NewRun { alive_max: Some(1), ..run(at) };
        let token = fire_and_hold(&backend, &holder, firing(number, task, mark, single)).await;
        let stored = backend.finish(&[success(task, id(number), token, at)]).await.expect("a finish is answered");
        assert_eq!(stored, [Stored::Done]);
        mark = at;
    }
}

/// The history shows how runs ended, the newest first, and at least the last hundred of a task, but not all for ever.
pub async fn ended_runs_are_kept_newest_first_and_bounded(backend: Subject) {
    let (task, start) = task_with_past(&backend, "pay", HOUR).await;
    let holder = node("a", LONG);
    let at = |n: u64| after(start, n * 1_000);
    let last = KEPT_PER_TASK + 20;
    for n in 1..=last {
        let token = fire_and_hold(&backend, &holder, firing(u128::from(n), task, at(n - 1), run(at(n)))).await;
        let outcome = match n % 3 {
            0 => Outcome::Failed(Failure::error(&std::io::Error::other("disk full"))),
            1 => Outcome::Succeeded,
            _ => Outcome::Cancelled,
        };
        let end = Finish { outcome, ..success(task, id(u128::from(n)), token, at(n)) };
        assert_eq!(backend.finish(&[end]).await.expect("a finish is answered"), [Stored::Done]);
    }
    let runs = backend.runs(&RunQuery::of(task)).await.expect("runs are listed");
    let shown: Vec<_> = runs.iter().map(|run| run.scheduled_at).collect();
    let expected: Vec<_> = (last - KEPT_PER_TASK + 1..=last).rev().map(at).collect();
    assert!(shown.starts_with(&expected), "the last {KEPT_PER_TASK} runs are there, the newest first");
    for run in &runs {
        let n = run.scheduled_at.since(start).as_secs();
        let (state, failure) = match n % 3 {
            0 => (RunState::Failed, Some("disk full")),
            1 => (RunState::Succeeded, None),
            _ => (RunState::Cancelled, None),
        };
        assert_eq!((run.state, run.failure.as_deref()), (state, failure), "run {n} shows how it ended");
        assert_eq!((run.started_at, run.finished_at), (Some(at(n)), Some(at(n))), "run {n} shows when");
    }
    let mut query = RunQuery::of(task);
    query.limit = Some(5);
    let five = backend.runs(&query).await.expect("runs are listed");
    assert_eq!(five, runs[..5], "a limit cuts the oldest");
}

/// Occurrences passed over for one reason are one record, however many there are.
pub async fn records_with_one_reason_are_one_span(backend: Subject) {
    let (task, mark) = task_with_past(&backend, "pay", HOUR).await;
    let at = |n: u64| after(mark, n * 1_000);
    let steps = [
        (at(0), Record::span(Reason::Missed, at(1), at(3), 3)),
        (at(3), Record::one(Reason::ClockSetBack, at(4))),
        (at(4), Record::span(Reason::Missed, at(5), at(9), 5)),
    ];
    for (number, (mark, record)) in (1..).zip(steps) {
        let step = Firing { id: id(number), task, mark, advance_to: record.last, run: None, passed: Some(record) };
        assert_eq!(fire(&backend, &node("a", LONG), step).await, Admission::Recorded);
    }
    let records = backend.records(task).await.expect("records are kept");
    let expected = [Record::span(Reason::Missed, at(1), at(9), 8), Record::one(Reason::ClockSetBack, at(4))];
    assert_eq!(records, expected, "the next one with the same reason extends the span");
}

/// Every occurrence is in the ledger once: as a run, or as recorded.
pub async fn the_ledger_counts_every_occurrence_once(backend: Subject) {
    let (task, mark) = task_with_past(&backend, "pay", HOUR).await;
    let holder = node("a", LONG);
    let at = |n: u64| after(mark, n * 1_000);
    let single = |at| NewRun { alive_max: Some(1), ..run(at) };
    let passed = Some(Record::span(Reason::Missed, at(1), at(4), 4));
    let covering = Firing { passed, ..firing(1, task, mark, single(at(5))) };
    fire_and_hold(&backend, &holder, covering.clone()).await;
    fire(&backend, &holder, covering).await;
    fire(&backend, &holder, firing(2, task, at(5), single(at(6)))).await;
    let ledger = backend.ledger(task).await.expect("a ledger is kept");
    assert_eq!(
        (ledger.occurrences, ledger.runs, ledger.recorded),
        (6, 1, 5),
        "six occurrences: one run, five recorded"
    );
    assert!(ledger.balances(), "occurrences = runs + recorded");
}
