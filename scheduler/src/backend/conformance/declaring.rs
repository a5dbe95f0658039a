//! Promises about which schedule counts, and since when; and about who starts first.

use std::sync::Arc;

use super::{Subject, Ticking, claim_until_some, control, declared, dying, enqueue, every, node, now, once, register};
use crate::backend::{Admission, Command, Firing, NewRun, Reason, Record, TaskRules};

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
    for step in steps {
        assert_eq!(enqueue(&backend, &node("a"), step).await, Admission::Rescheduled, "another schedule counts");
    }
    assert_eq!(task.look().await.mark, task.start, "the mark stays");
    task.accounts_for(0, 0).await;
    let since = task.look().await.since;
    let answer = enqueue(&backend, &node("a"), Firing { since, ..task.firing(1) }).await;
    assert!(matches!(answer, Admission::Claimed(_)), "by the one that counts it fires: {answer:?}");
    let again = enqueue(&backend, &node("a"), Firing { since, ..task.firing(1) }).await;
    assert_eq!(again, answer, "also when its answer was lost");
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
    assert!(
        !backend.look(&[super::TaskKey(0)]).await.expect("a look is answered").iter().any(|task| task.run_on_start)
    );
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
