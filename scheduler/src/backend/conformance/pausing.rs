//! Promises about pauses: what falls due in one, what waits, and how it ends.

use std::sync::Arc;

use super::{
    Subject, Ticking, claim, control, declared, disk_full, every, ids, node, now, pause, register, retry, submit,
    trigger,
};
use crate::backend::{Admission, Command, End, Reason, Record, Refusal, TaskRules};
use crate::outcome::Outcome;
use crate::run::RunState;
use crate::schedule::{Delivery, Overlap};

const PAUSED: Admission = Admission::Recorded(Refusal::Paused);

/// What falls due in a pause is recorded, with who paused the task, since when and why; the mark advances.
pub async fn what_falls_due_in_a_pause_is_recorded(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let before = now(&backend).await;
    let changes = control(&backend, pause(Some(task.key))).await;
    let told = changes.tasks[0].pause.clone().expect("the answer says that the task is paused");
    assert_eq!((&*told.by, told.reason.as_deref()), ("ada", Some("flood")), "by whom and why");
    assert!(before <= told.since && told.since <= now(&backend).await, "and since when, by the store's clock");
    for n in 1..=2 {
        assert_eq!(task.fire(&node("a"), n).await, PAUSED);
        assert_eq!(task.fire(&node("a"), n).await, PAUSED, "a repeated call has the same answer");
    }
    let record = Record::span(Reason::Paused, task.at(1), task.at(2), 2).noted(Some(told.to_string()));
    assert_eq!(task.records().await, [record], "the record says what the pause says");
    assert_eq!(task.look().await.mark, task.at(2), "the mark has passed them");
    task.accounts_for(0, 2).await;
}

/// A pause ends with the answer, and says when: what fell due in it is not caught up.
pub async fn the_end_of_a_pause_is_told(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    assert_eq!(task.look().await.resumed_at, None, "there was no pause");
    control(&backend, Command::Resume { task: Some(task.key) }).await;
    assert_eq!(task.look().await.resumed_at, None, "nor is what was not paused resumed");
    control(&backend, pause(Some(task.key))).await;
    let before = now(&backend).await;
    let changes = control(&backend, Command::Resume { task: Some(task.key) }).await;
    let told = &changes.tasks[0];
    assert_eq!(told.pause, None, "the pause has ended");
    assert!(told.resumed_at.is_some_and(|at| before <= at), "and it is told when");
    task.hold(&node("a"), 1).await;
}

/// A pause of all tasks holds for each, new ones too; its end leaves those that were paused on their own.
pub async fn a_pause_of_all_is_apart_from_that_of_one(backend: Subject) {
    let (one, other) = (Ticking::new(&backend, "one").await, Ticking::new(&backend, "other").await);
    control(&backend, pause(Some(one.key))).await;
    let changes = control(&backend, pause(None)).await;
    assert_eq!(changes.tasks.len(), 2, "all tasks have changed");
    assert!(changes.tasks.iter().all(|task| task.pause.is_some()), "all are paused");
    let new = Ticking::new(&backend, "new").await;
    for task in [&one, &other, &new] {
        assert_eq!(task.fire(&node("a"), 1).await, PAUSED);
        task.accounts_for(0, 1).await;
    }
    control(&backend, Command::Resume { task: Some(other.key) }).await;
    assert_eq!(other.fire(&node("a"), 2).await, PAUSED, "the end of one pause does not end that of all");
    let changes = control(&backend, Command::Resume { task: None }).await;
    assert_eq!(changes.tasks.len(), 3, "all tasks have changed");
    assert!(changes.tasks.iter().all(|task| task.resumed_at.is_some()), "it is told when it ended");
    assert_eq!(one.fire(&node("a"), 2).await, PAUSED, "nor the end of that of all the one");
    new.hold(&node("a"), 2).await;
}

/// Operators who pause and resume everything at the same moment all get their answer, and the last one holds.
pub async fn pauses_of_all_do_not_wait_for_each_other(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let asked = (0..8).map(|number| {
        let backend = Arc::clone(&backend);
        tokio::spawn(async move {
            let command = if number % 2 == 0 { pause(None) } else { Command::Resume { task: None } };
            control(&backend, command).await
        })
    });
    for answer in asked.collect::<Vec<_>>() {
        let changes = answer.await.expect("it is answered");
        assert_eq!(changes.tasks.len(), 1, "all tasks are among what has changed");
    }
    control(&backend, pause(None)).await;
    assert!(task.look().await.pause.is_some(), "the last one holds");
    control(&backend, Command::Resume { task: None }).await;
    assert_eq!(task.look().await.pause, None);
}

/// A task that is not enabled is paused by its declaration, until that is another or an operator resumes it.
pub async fn a_declaration_pauses_and_an_operator_resumes(backend: Subject) {
    let disabled = TaskRules { disabled: true, ..TaskRules::default() };
    let task = Ticking::with(&backend, "pay", disabled.clone()).await;
    assert!(task.look().await.pause.is_some(), "it is paused");
    assert_eq!(task.fire(&node("a"), 1).await, PAUSED);
    assert!(task.records().await[0].note.is_some(), "the record says by what");
    control(&backend, Command::Resume { task: Some(task.key) }).await;
    let hold = task.hold(&node("a"), 2).await;
    task.succeed(2, hold).await;

    let again = register(&backend, &node("b"), declared("pay", &every(1), &disabled)).await;
    assert_eq!(again.pause, None, "what an operator said survives the same declaration");
    let enabled = register(&backend, &node("b"), declared("pay", &every(1), &TaskRules::default())).await;
    assert_eq!(enabled.pause, None);
    let later = super::tick(&backend, enabled.anchor).await;
    let again = register(&backend, &node("b"), declared("pay", &every(1), &disabled)).await;
    let since = again.pause.expect("another declaration counts").since;
    assert!(since >= later, "from when it was made");
    let later = super::tick(&backend, since).await;
    let enabled = register(&backend, &node("b"), declared("pay", &every(1), &TaskRules::default())).await;
    assert_eq!(enabled.pause, None, "as the declaration says");
    assert!(enabled.resumed_at.is_some_and(|at| at >= later), "what fell due until then is not caught up");
    task.accounts_for(1, 1).await;
}

/// A pause is kept in the store: a node that starts finds it.
pub async fn a_pause_survives_a_registration(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    control(&backend, pause(Some(task.key))).await;
    let changed = register(&backend, &node("b"), declared("pay", &every(9), &TaskRules::default())).await;
    assert_eq!(changed.pause.expect("the task is paused").by, Arc::from("ada"));
    control(&backend, pause(None)).await;
    let other = register(&backend, &node("b"), declared("ship", &every(9), &TaskRules::default())).await;
    assert!(other.pause.is_some(), "that of all holds for what comes");
}

/// Scheduled runs that wait, or wait for their next attempt, go on waiting in a pause; those under way go on.
pub async fn a_pause_holds_back_what_waits(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", Overlap::BufferAll).await;
    let retried = Ticking::new(&backend, "retried").await;
    let running = task.hold(&node("a"), 1).await;
    task.wait(2).await;
    let hold = retried.hold(&node("a"), 1).await;
    retried.end(1, hold, retry(retried.at(2))).await;
    control(&backend, pause(Some(task.key))).await;
    control(&backend, pause(Some(retried.key))).await;
    task.succeed(1, running).await;
    let tasks = [task.key, retried.key];
    assert_eq!(claim(&backend, &node("b"), 1, &tasks).await.runs, [], "neither begins");
    assert_eq!((task.row(2).await.state, retried.row(1).await.state), (RunState::Queued, RunState::Retrying));
    let before = super::version(&backend).await;
    control(&backend, Command::Resume { task: Some(task.key) }).await;
    assert!(super::changes(&backend, before).await.runnable, "the end of the pause lets them go on");
    assert_eq!(ids(&claim(&backend, &node("b"), 2, &tasks).await.runs), [task.id(2)]);
    control(&backend, Command::Resume { task: Some(retried.key) }).await;
    assert_eq!(ids(&claim(&backend, &node("b"), 3, &tasks).await.runs), [retried.id(1)]);
}

/// A run that was given back in a pause waits for its end.
pub async fn a_run_given_back_in_a_pause_waits(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let hold = task.hold(&node("a"), 1).await;
    control(&backend, pause(None)).await;
    task.end(1, hold, End::HandBack).await;
    assert_eq!(task.claim(&node("a"), 1).await, [], "it does not begin");
    control(&backend, Command::Resume { task: None }).await;
    assert_eq!(ids(&task.claim(&node("a"), 2).await), [task.id(1)], "until the pause has ended");
}

/// A trigger and a backfill run in a pause, also before what the pause holds back.
pub async fn a_trigger_and_a_backfill_run_in_a_pause(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", Overlap::BufferAll).await;
    let hold = task.hold(&node("a"), 1).await;
    task.wait(2).await;
    control(&backend, pause(Some(task.key))).await;
    task.succeed(1, hold).await;
    submit(&backend, trigger(task.key, 1)).await;
    submit(&backend, super::submitting::backfill(task.key, 1, task.at(1))).await;
    let mut begun = Vec::new();
    for number in 1..=2 {
        let run = task.claim(&node("a"), number).await.remove(0);
        super::succeed(&backend, task.key, run.id, run.hold).await;
        begun.push(run.id);
    }
    assert!(!begun.contains(&task.id(2)), "what is scheduled is held back");
    assert_eq!(task.claim(&node("a"), 3).await, []);
}

/// After so many failed runs in a row as its rules say, a task is paused; a success in between begins the count anew.
pub async fn failures_in_a_row_pause_a_task(backend: Subject) {
    let rules = TaskRules { pause_after: Some(2), ..TaskRules::default() };
    let task = Ticking::with(&backend, "pay", rules).await;
    let run = async |n, outcome| {
        let hold = task.hold(&node("a"), n).await;
        task.end(n, hold, End::Final(outcome)).await;
    };
    run(1, disk_full()).await;
    run(2, Outcome::Succeeded).await;
    run(3, disk_full()).await;
    assert_eq!(task.look().await.pause, None, "they were not in a row");
    let before = super::version(&backend).await;
    run(4, Outcome::TimedOut(super::SHORT)).await;
    let pause = task.look().await.pause.expect("the second in a row pauses it");
    assert!(pause.to_string().contains("2 failed runs"), "and it is said why: {pause}");
    let told = super::changes(&backend, before).await;
    assert!(told.tasks.iter().any(|told| told.key == task.key && told.pause.is_some()), "all nodes are told");
    assert_eq!(task.fire(&node("a"), 5).await, PAUSED);
    control(&backend, Command::Resume { task: Some(task.key) }).await;
    run(6, disk_full()).await;
    assert_eq!(task.look().await.pause, None, "after a pause the count begins anew");
    task.accounts_for(5, 1).await;
}

/// A run that ends with its node has failed, and counts towards the pause: also as one that is abandoned.
pub async fn deaths_in_a_row_pause_a_task(backend: Subject) {
    let rules = TaskRules { pause_after: Some(2), delivery: Delivery::AtMostOnce, ..TaskRules::default() };
    let task = Ticking::with(&backend, "pay", rules).await;
    for n in 1..=2 {
        assert_eq!(task.look().await.pause, None, "one is not enough");
        task.hold(&super::dying("dead"), n).await;
        let ending = async {
            for number in 1.. {
                super::beat(&backend, &node("b")).await;
                assert_eq!(task.claim(&node("b"), n * 1_000_000 + number).await, [], "it may run once");
                if task.row(n).await.state == RunState::Abandoned {
                    return;
                }
                tokio::time::sleep(super::SHORT / 5).await;
            }
        };
        tokio::time::timeout(super::PATIENCE, ending).await.expect("the run of a dead node ends");
    }
    let pause = task.look().await.pause.expect("the second in a row pauses it");
    assert!(pause.to_string().contains("2 failed runs"), "{pause}");
}

/// An attempt that failed and is tried again is no failed run.
pub async fn a_retry_is_no_failed_run(backend: Subject) {
    let rules = TaskRules { pause_after: Some(1), ..TaskRules::default() };
    let task = Ticking::with(&backend, "pay", rules).await;
    let hold = task.hold(&node("a"), 1).await;
    task.end(1, hold, retry(task.at(1))).await;
    assert_eq!(task.look().await.pause, None);
    let run = task.claim(&node("a"), 1).await.remove(0);
    task.end(1, run.hold, End::Final(disk_full())).await;
    assert!(task.look().await.pause.is_some(), "its end is");
}
