//! Promises about which schedule counts, and since when; and about who starts first.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use symphra_scheduler_core::Timestamp;

use super::{Subject, Ticking, claim_until_some, control, declared, dying, enqueue, every, node, now, once, register};
use crate::backend::{Admission, Command, Firing, Ledger, NewRun, Reason, Record, Registered, TaskRules};
use crate::schedule::{Delay, Schedule, Timetable};

/// A task declared otherwise counts from the change on, and keeps mark and anchor.
pub async fn a_task_declared_otherwise_counts_from_the_change(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let before = task.look().await;
    let present = super::tick(&backend, before.anchor).await;
    let changed = register(&backend, &node("b"), declared("pay", &every(7), &TaskRules::default())).await;
    assert_eq!(changed.timetable, every(7), "the last declaration counts");
    assert!(present <= changed.since && changed.since <= now(&backend).await, "from the store's present on");
    assert_eq!((changed.mark, changed.anchor), (before.mark, before.anchor), "mark and anchor stay");

    let same = register(&backend, &node("c"), declared("pay", &every(7), &TaskRules::default())).await;
    assert_eq!(same.since, changed.since, "the same declaration changes nothing");
    let rules = TaskRules { priority: 9, ..TaskRules::default() };
    let same = register(&backend, &node("c"), declared("pay", &every(7), &rules)).await;
    assert_eq!(same.since, changed.since, "nor do other rules change the schedule");
}

/// What an operator put in the place of a schedule survives the same declaration and ends with another.
pub async fn a_reschedule_lasts_until_the_task_is_declared_otherwise(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let present = now(&backend).await;
    let command = Command::Reschedule { task: task.key, timetable: every(30) };
    let changes = control(&backend, command).await;
    assert_eq!(changes.tasks.len(), 1, "the answer is what has changed");
    let changed = &changes.tasks[0];
    assert_eq!((&changed.timetable, changed.mark), (&every(30), task.start), "the new schedule counts, the mark stays");
    assert!(present <= changed.since, "from the store's present on");

    let same = register(&backend, &node("b"), declared("pay", &every(1), &TaskRules::default())).await;
    assert_eq!((&same.timetable, same.since), (&every(30), changed.since), "the same declaration leaves it");
    let other = register(&backend, &node("b"), declared("pay", &every(2), &TaskRules::default())).await;
    assert_eq!(other.timetable, every(2), "another one ends it");
    let back = register(&backend, &node("b"), declared("pay", &every(1), &TaskRules::default())).await;
    assert_eq!(back.timetable, every(1), "for good");
}

/// What was found by a schedule that counts no more does not fire, and nothing is changed by the attempt.
pub async fn an_occurrence_of_a_replaced_schedule_does_not_fire(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    control(&backend, Command::Reschedule { task: task.key, timetable: every(30) }).await;
    let passed = Some(Record::one(Reason::Missed, task.at(1)));
    let steps = [task.firing(1), Firing { run: None, passed, ..task.firing(1) }];
    let before = task.ledger().await;
    for step in steps {
        assert_eq!(enqueue(&backend, &node("a"), step).await, Admission::Outdated, "another schedule counts");
    }
    assert_eq!(task.look().await.mark, task.start, "the mark stays");
    assert_eq!(task.ledger().await, before, "and so does what is counted");
    let since = task.look().await.since;
    let answer = enqueue(&backend, &node("a"), Firing { since, ..task.firing(1) }).await;
    assert!(matches!(answer, Admission::Claimed(_)), "by the one that counts it fires: {answer:?}");
    let again = enqueue(&backend, &node("a"), Firing { since, ..task.firing(1) }).await;
    assert_eq!(again, answer, "also when its answer was lost");
}

/// What had fallen due and not fired as a task is rescheduled ends with the schedule that named it, and is recorded in
/// that step: whoever stops then, nothing is lost.
pub async fn what_a_rescheduled_task_still_owed_is_recorded(backend: Subject) {
    let task = register(&backend, &node("a"), declared("pay", &every_millisecond(), &TaskRules::default())).await;
    let fired = pass_over(&backend, &task, 1).await;
    let command = Command::Reschedule { task: task.key, timetable: every(86_400) };
    let changed = control(&backend, command.clone()).await.tasks.remove(0);
    assert_eq!(changed.mark, fired, "the mark stays");
    owed(&backend, &changed, fired).await;

    let recorded = counted(&backend, &task).await;
    let again = control(&backend, command).await.tasks.remove(0);
    assert_eq!(again.ended, None, "a schedule that has named nothing owes nothing");
    assert_eq!(counted(&backend, &task).await, recorded, "and what is recorded is not owed any more");
}

/// So it does with a schedule that ends because the task is declared otherwise; the same declaration ends nothing.
pub async fn what_a_task_declared_otherwise_still_owed_is_recorded(backend: Subject) {
    let task = register(&backend, &node("a"), declared("pay", &every_millisecond(), &TaskRules::default())).await;
    super::tick(&backend, task.anchor).await;
    let same = register(&backend, &node("b"), declared("pay", &every_millisecond(), &TaskRules::default())).await;
    assert_eq!((same.ended, counted(&backend, &task).await.0.recorded), (None, 0));
    let changed = register(&backend, &node("b"), declared("pay", &every(86_400), &TaskRules::default())).await;
    assert_eq!(changed.mark, task.mark, "the mark stays");
    owed(&backend, &changed, task.mark).await;
}

/// Of two nodes one ends a schedule, and what it owed is recorded once; nor can it fire any more.
pub async fn what_was_owed_is_recorded_once(backend: Subject) {
    let task = register(&backend, &node("a"), declared("pay", &every_millisecond(), &TaskRules::default())).await;
    super::tick(&backend, task.anchor).await;
    let other = declared("pay", &every(86_400), &TaskRules::default());
    let first = register(&backend, &node("a"), other.clone()).await;
    assert!(first.ended.is_some(), "a millisecond has passed");
    let recorded = counted(&backend, &task).await;
    let second = register(&backend, &node("b"), other).await;
    assert_eq!((second.ended, second.since), (None, first.since), "the second changes nothing");
    let step = passing(&task, task.mark, super::after(task.mark, 1));
    assert_eq!(enqueue(&backend, &node("b"), step).await, Admission::Outdated);
    assert_eq!(counted(&backend, &task).await, recorded);
}

/// Each of several schedules owes what lies in its own time: they end one after another, and none is counted twice.
pub async fn each_of_several_schedules_owes_its_own(backend: Subject) {
    let task = register(&backend, &node("a"), declared("pay", &every_millisecond(), &TaskRules::default())).await;
    let mut since = task.anchor;
    for _ in 0..4 {
        super::tick(&backend, since).await;
        let command = Command::Reschedule { task: task.key, timetable: every_millisecond() };
        let changed = control(&backend, command).await.tasks.remove(0);
        let owed = u64::try_from(changed.since.since(since).as_millis()).expect("a short time");
        assert_eq!(changed.ended.map(|record| record.count), Some(owed), "from one change to the next");
        since = changed.since;
    }
    let (ledger, records) = counted(&backend, &task).await;
    let all = u64::try_from(since.since(task.anchor).as_millis()).expect("a short time");
    assert_eq!((ledger.occurrences, ledger.recorded, records.len()), (all, all, 1), "all in one span");
}

/// After the last of its runs a task has no occurrences, and a fixed delay is never missed: neither owes anything.
pub async fn what_is_over_or_counts_from_an_end_owes_nothing(backend: Subject) {
    let rules = TaskRules { max_runs: Some(0), ..TaskRules::default() };
    let over = match backend.capabilities().max_runs {
        true => Some(register(&backend, &node("a"), declared("pay", &every_millisecond(), &rules)).await),
        false => None,
    };
    let timetable = Arc::new(Timetable { delay: Delay::FixedDelay, ..(*every_millisecond()).clone() });
    let delayed = register(&backend, &node("a"), declared("ship", &timetable, &TaskRules::default())).await;
    super::tick(&backend, delayed.anchor).await;
    for task in over.into_iter().chain([delayed]) {
        let command = Command::Reschedule { task: task.key, timetable: every(86_400) };
        assert_eq!(control(&backend, command).await.tasks[0].ended, None);
        assert_eq!(counted(&backend, &task).await, Default::default());
    }
}

pub(super) fn every_millisecond() -> Arc<Timetable> {
    let schedule = Schedule::interval(Duration::from_millis(1)).expect("a valid period");
    Arc::new(Timetable::new(schedule, Tz::UTC))
}

/// A step of the mark without a run.
fn passing(task: &Registered, mark: Timestamp, advance_to: Timestamp) -> Firing {
    let (id, since) = (super::id(task.key, 1), task.since);
    let passed = Some(Record::one(Reason::Missed, advance_to));
    Firing { id, task: task.key, mark, advance_to, since, run: None, passed, behind: None }
}

/// Lets more than `millis` pass, and passes over that many occurrences of a new task; where its mark stands then.
async fn pass_over(backend: &Subject, task: &Registered, millis: u64) -> Timestamp {
    let to = super::after(task.mark, millis);
    super::tick(backend, to).await;
    assert_eq!(enqueue(backend, &node("a"), passing(task, task.mark, to)).await, Admission::Passed);
    to
}

pub(super) async fn counted(backend: &Subject, task: &Registered) -> (Ledger, Vec<Record>) {
    let ledger = backend.ledger(task.key).await.expect("a ledger is kept");
    (ledger, backend.records(task.key).await.expect("records are kept"))
}

/// Checks that each millisecond after `mark` up to the change is recorded, and told to who has made the change.
async fn owed(backend: &Subject, changed: &Registered, mark: Timestamp) {
    let count = u64::try_from(changed.since.since(mark).as_millis()).expect("a short time");
    let owed = Record::span(Reason::Rescheduled, super::after(mark, 1), changed.since, count);
    assert_eq!(changed.ended.as_deref(), Some(&owed), "who makes the change is told");
    let (ledger, records) = counted(backend, changed).await;
    assert_eq!(records.last(), Some(&owed), "and it is recorded");
    let all = u64::try_from(changed.since.since(changed.anchor).as_millis()).expect("a short time");
    assert_eq!((ledger.occurrences, ledger.recorded), (all, all), "every occurrence is counted once");
    let seen = backend.look(&[changed.key]).await.expect("a look is answered").remove(0);
    assert_eq!((seen.ended, seen.mark), (None, mark), "who looks is not told again");
}

/// A mark that lies far ahead is put back to the store's present.
pub async fn a_mark_that_lies_ahead_can_be_put_back(backend: Subject) {
    let present = now(&backend).await;
    let task = register(&backend, &node("a"), declared("pay", &every(1), &TaskRules::default())).await;
    let ahead = present.plus(24 * super::HOUR);
    let leap = |mark, advance_to, number| Firing {
        id: super::id(task.key, number),
        task: task.key,
        mark,
        advance_to,
        since: task.since,
        run: None,
        passed: None,
        behind: None,
    };
    assert_eq!(enqueue(&backend, &node("a"), leap(task.mark, ahead, 1)).await, Admission::Passed);
    let changes = control(&backend, Command::ResetMark { task: task.key }).await;
    let mark = changes.tasks[0].mark;
    assert!(present <= mark && mark <= now(&backend).await, "the mark stands at the store's present: {mark}");
    let answer = enqueue(&backend, &node("a"), leap(ahead, ahead, 2)).await;
    assert_eq!(answer, Admission::MarkMoved(mark), "who believed the old one is told");
    let run = NewRun {
        origin: crate::run::Origin::Schedule,
        scheduled_at: mark,
        due_at: mark,
        missed: None,
        accept_until: None,
    };
    let step = Firing { run: Some(run), ..leap(mark, mark, 3) };
    assert!(matches!(enqueue(&backend, &node("a"), step).await, Admission::Claimed(_)), "the task fires again");
}

/// A schedule that is declared again as a single past instant owes nothing: it counts from the change.
pub async fn a_known_task_declared_as_a_past_instant_keeps_its_mark(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let past = task.start.minus(super::HOUR);
    let changed = register(&backend, &node("b"), declared("pay", &once(past), &TaskRules::default())).await;
    assert_eq!(changed.mark, task.start, "the mark stays");
    assert!(changed.since > past, "the instant lies before the change");
}

/// The first live node that knows a task is told to run it at its start, and again the first after that one is gone.
pub async fn a_run_at_start_is_asked_of_the_first_live_node(backend: Subject) {
    let rules = TaskRules { run_on_start: true, ..TaskRules::default() };
    let told = async |holder| register(&backend, holder, declared("pay", &every(1), &rules)).await.run_on_start;
    let (first, second, third) = (node("first"), node("second"), node("third"));
    assert!(told(&first).await, "the first node that knows the task is told");
    assert!(told(&first).await, "also when the answer was lost");
    assert!(!told(&second).await, "another live node knows the task");
    let key = register(&backend, &second, declared("pay", &every(1), &rules)).await.key;
    assert!(!backend.look(&[key]).await.expect("a look is answered").iter().any(|task| task.run_on_start));
    backend.leave(&first).await.expect("a leave is answered");
    assert!(!told(&third).await, "the second is there still");
    backend.leave(&second).await.expect("a leave is answered");
    backend.leave(&third).await.expect("a leave is answered");
    assert!(told(&node("fourth")).await, "after all have left the next one is the first");
    let plain = register(&backend, &node("fifth"), declared("ship", &every(1), &TaskRules::default())).await;
    assert!(!plain.run_on_start, "a task that does not ask for it is not run");
}

/// A node that died is no live node.
pub async fn a_dead_node_does_not_keep_a_task_from_running_at_start(backend: Subject) {
    let rules = TaskRules { run_on_start: true, ..TaskRules::default() };
    let work = Ticking::new(&backend, "work").await;
    let dead = dying("dead");
    assert!(register(&backend, &dead, declared("pay", &every(1), &rules)).await.run_on_start);
    work.hold(&dead, 1).await;
    claim_until_some(&backend, &node("b"), 1, &[work.key]).await;
    assert!(register(&backend, &node("b"), declared("pay", &every(1), &rules)).await.run_on_start, "it is gone");
}

/// A declaration is compared by what it says, and not by where it lies.
pub async fn an_equal_declaration_is_the_same(backend: Subject) {
    let first = register(&backend, &node("a"), declared("pay", &every(60), &TaskRules::default())).await;
    let equal = Arc::new((*every(60)).clone());
    let again = register(&backend, &node("b"), declared("pay", &equal, &TaskRules::default())).await;
    assert_eq!(again.since, first.since, "nothing has changed");
}
