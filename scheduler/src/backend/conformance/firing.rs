//! Promises about the mark: what fires, what does not, and how often.

use std::time::Duration;

use super::{LONG, Subject, after, fire, fire_and_hold, firing, id, node, now, registered, run, task_with_past};
use crate::TaskName;
use crate::backend::{Admission, Firing, NewRun, Reason, Record, Registration, RunQuery};

const MINUTE: Duration = Duration::from_secs(60);

/// A task seen for the first time gets the present as mark and anchor; registered again, it has both as they stand.
pub async fn a_new_task_has_missed_nothing_and_a_known_one_keeps_its_mark(backend: Subject) {
    let before = now(&backend).await;
    let new = registered(&backend, "pay").await;
    let later = now(&backend).await;
    assert!(before <= new.mark && new.mark <= later, "the mark of a new task is the store's present");
    assert_eq!(new.anchor, new.mark, "the anchor of a new task is the store's present");

    let (_, mark) = task_with_past(&backend, "pay", MINUTE).await;
    let known = registered(&backend, "pay").await;
    assert_eq!((known.key, known.mark, known.anchor), (new.key, mark, new.anchor), "a known task keeps what it has");
    assert_ne!(registered(&backend, "ship").await.key, new.key, "two tasks have two keys");

    let past = new.mark.minus(MINUTE);
    let once = |name| Registration { name: TaskName::new(name).expect("a valid name"), only: Some(past) };
    let answers = backend.register(&[once("once"), once("pay")]).await.expect("a registration is answered");
    assert_eq!(
        answers[0].mark,
        past.minus(Duration::from_millis(1)),
        "an only instant that is past is not passed over"
    );
    assert!(answers[0].anchor >= before, "the anchor is the first registration all the same");
    assert_eq!(answers[1].mark, mark, "a known task keeps its mark");
}

/// Of many callers with one belief about the mark, one inserts the run; the others are told where the mark stands.
pub async fn one_of_many_callers_fires_an_occurrence(backend: Subject) {
    const CALLERS: u128 = 16;
    let (task, mark) = task_with_past(&backend, "pay", MINUTE).await;
    let at = after(mark, 1_000);
    let calls: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (backend, holder) = (backend.clone(), node(&format!("node-{caller}"), LONG));
            tokio::spawn(async move { fire(&backend, &holder, firing(caller, task, mark, run(at))).await })
        })
        .collect();
    let mut fired = 0;
    for call in calls {
        match call.await.expect("no caller panics") {
            Admission::Claimed(_) => fired += 1,
            other => assert_eq!(other, Admission::MarkMoved(at), "who comes second is told where the mark stands"),
        }
    }
    assert_eq!(fired, 1, "an occurrence fires once");
    let runs = backend.runs(&RunQuery::of(task)).await.expect("runs are listed");
    assert_eq!(runs.len(), 1, "an occurrence is one run");
    assert_eq!(registered(&backend, "pay").await.mark, at, "the mark stands at what has fired");
}

/// The same call again, by the same holder, finds its own run and token, and makes no second one.
pub async fn a_call_whose_answer_was_lost_is_recognised(backend: Subject) {
    let (task, mark) = task_with_past(&backend, "pay", MINUTE).await;
    let fired = firing(1, task, mark, run(after(mark, 1_000)));
    let holder = node("a", LONG);
    let token = fire_and_hold(&backend, &holder, fired.clone()).await;
    assert_eq!(fire(&backend, &holder, fired.clone()).await, Admission::Claimed(token), "a repeated call is the same");
    let elsewhere = fire(&backend, &node("b", LONG), fired.clone()).await;
    assert_eq!(elsewhere, Admission::MarkMoved(fired.advance_to), "the run of one holder is not that of another");
    assert_eq!(backend.runs(&RunQuery::of(task)).await.expect("runs are listed").len(), 1, "there is one run");

    let at = |n: u64| after(mark, n * 1_000);
    let full = firing(2, task, at(1), NewRun { alive_max: Some(1), ..run(at(2)) });
    let passed = Some(Record::one(Reason::ClockSetBack, at(1)));
    let standing = Firing { id: id(3), task, mark: at(2), advance_to: at(2), run: None, passed };
    for step in [full, standing] {
        let first = fire(&backend, &holder, step.clone()).await;
        assert_eq!(fire(&backend, &holder, step).await, first, "a repeated call has the same answer");
    }
    let ledger = backend.ledger(task).await.expect("a ledger is kept");
    assert_eq!((ledger.runs, ledger.recorded), (1, 2), "and everything is counted once");
}

/// What is due after the store's clock is refused, and the mark stays.
pub async fn nothing_is_accepted_before_the_stores_clock_says_so(backend: Subject) {
    let task = registered(&backend, "pay").await;
    let at = now(&backend).await.plus(10 * MINUTE);
    let answer = fire(&backend, &node("a", LONG), firing(1, task.key, task.mark, run(at))).await;
    assert!(matches!(answer, Admission::Early(_)), "what is not due is refused: {answer:?}");
    assert_eq!(registered(&backend, "pay").await.mark, task.mark, "a refusal leaves the mark");
    assert!(backend.runs(&RunQuery::of(task.key)).await.expect("runs are listed").is_empty(), "nor is there a run");
}

/// What comes after the instant until which it is accepted is refused, and the mark stays.
pub async fn what_comes_too_late_is_left_for_the_misfire_policy(backend: Subject) {
    let (task, mark) = task_with_past(&backend, "pay", MINUTE).await;
    let late = NewRun { accept_until: Some(after(mark, 2_000)), ..run(after(mark, 1_000)) };
    let answer = fire(&backend, &node("a", LONG), firing(1, task, mark, late)).await;
    assert!(matches!(answer, Admission::Late(_)), "what is late is a misfire: {answer:?}");
    assert_eq!(registered(&backend, "pay").await.mark, mark, "a refusal leaves the mark");
    assert_eq!(backend.ledger(task).await.expect("a ledger is kept").occurrences, 0, "nor is it counted");
}

/// With as many runs alive as are allowed, whoever holds them, the occurrence is recorded and the mark advances.
pub async fn a_full_task_is_recorded_with_the_run_that_fills_it(backend: Subject) {
    let (task, mark) = task_with_past(&backend, "pay", MINUTE).await;
    let limited = |at| NewRun { alive_max: Some(2), ..run(at) };
    let at = |n: u64| after(mark, n * 1_000);
    fire_and_hold(&backend, &node("a", LONG), firing(1, task, mark, limited(at(1)))).await;
    fire_and_hold(&backend, &node("b", LONG), firing(2, task, at(1), limited(at(2)))).await;
    let third = fire(&backend, &node("a", LONG), firing(3, task, at(2), limited(at(3)))).await;
    assert_eq!(third, Admission::Overlapped(id(1)), "a full task runs no more, and the oldest run is named");
    let records = backend.records(task).await.expect("records are kept");
    assert_eq!(records, [Record::one(Reason::Overlap, at(3))], "the occurrence is recorded");
    assert_eq!(registered(&backend, "pay").await.mark, at(3), "the mark has passed it");
}

/// `alive_max: None` is no limit.
pub async fn without_a_limit_every_occurrence_runs(backend: Subject) {
    let (task, mut mark) = task_with_past(&backend, "pay", MINUTE).await;
    for number in 1..=50 {
        let at = after(mark, 1_000);
        fire_and_hold(&backend, &node("a", LONG), firing(number, task, mark, run(at))).await;
        mark = at;
    }
    assert_eq!(backend.runs(&RunQuery::of(task)).await.expect("runs are listed").len(), 50, "all of them are alive");
}

/// A batch has one answer for each firing, in its order, whatever becomes of the others.
pub async fn answers_come_in_the_order_of_the_batch(backend: Subject) {
    let (free, free_mark) = task_with_past(&backend, "free", MINUTE).await;
    let (moved, moved_mark) = task_with_past(&backend, "moved", MINUTE).await;
    let early = registered(&backend, "early").await;
    let (passing, passing_mark) = task_with_past(&backend, "passing", MINUTE).await;
    let ahead = now(&backend).await.plus(10 * MINUTE);
    let passed = Some(Record::one(Reason::Missed, after(passing_mark, 1_000)));
    let batch = [
        firing(1, moved, after(moved_mark, 5), run(after(moved_mark, 1_000))),
        firing(2, early.key, early.mark, run(ahead)),
        firing(3, free, free_mark, run(after(free_mark, 1_000))),
        Firing { passed, run: None, ..firing(4, passing, passing_mark, run(after(passing_mark, 1_000))) },
    ];
    let answers = backend.enqueue(&node("a", LONG), &batch).await.expect("an enqueue is answered");
    assert_eq!(answers.len(), 4, "each firing has its answer");
    assert_eq!(answers[0], Admission::MarkMoved(moved_mark));
    assert!(matches!(answers[1], Admission::Early(_)), "{:?}", answers[1]);
    assert!(matches!(answers[2], Admission::Claimed(_)), "{:?}", answers[2]);
    assert_eq!(answers[3], Admission::Recorded);
}
