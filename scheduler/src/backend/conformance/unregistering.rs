//! Promises about tasks that nodes give up.

use super::{Subject, Ticking, declared, every, ids, node, register, submit, trigger};
use crate::backend::{Holder, Registered, TaskKey, TaskRules, Unregistration};

/// Has `holder` give up a task as it knew it.
async fn give_up(backend: &Subject, holder: &Holder, known: &Registered) {
    let given_up = [Unregistration { task: known.key, version: known.version }];
    backend.unregister(holder, &given_up).await.expect("an unregistration is answered");
}

/// A task that asks for a run at a start, as `holder` registers it.
async fn greet(backend: &Subject, holder: &Holder) -> Registered {
    let rules = TaskRules { run_on_start: true, ..TaskRules::default() };
    register(backend, holder, declared("hello", &every(60), &rules)).await
}

/// After all nodes have given up a task, the next that registers it is the first to know it; a node gives it up for itself.
pub async fn a_task_that_all_have_given_up_starts_anew(backend: Subject) {
    let (first, second) = (node("first"), node("second"));
    let (ones, others) = (greet(&backend, &first).await, greet(&backend, &second).await);
    assert!(ones.run_on_start && !others.run_on_start);
    give_up(&backend, &first, &ones).await;
    give_up(&backend, &first, &ones).await;
    assert!(!greet(&backend, &node("third")).await.run_on_start, "the second has it still");
    give_up(&backend, &second, &others).await;
    assert!(!greet(&backend, &node("fourth")).await.run_on_start, "the third has it");
    for name in ["third", "fourth"] {
        let known = backend.look(&[ones.key]).await.expect("a look is answered").remove(0);
        give_up(&backend, &node(name), &known).await;
    }
    assert!(greet(&backend, &second).await.run_on_start, "nobody had it");
}

/// What was registered again is not meant by an unregistration that comes late, or once more.
pub async fn what_is_registered_again_is_not_given_up(backend: Subject) {
    let holder = node("a");
    let known = greet(&backend, &holder).await;
    give_up(&backend, &holder, &known).await;
    greet(&backend, &holder).await;
    give_up(&backend, &holder, &known).await;
    assert!(!greet(&backend, &node("b")).await.run_on_start, "it has it");
    let unknown = Registered { key: TaskKey(987_654), ..known };
    give_up(&backend, &holder, &unknown).await;
}

/// A task that was given up goes on where it stood when it is registered again: mark, counts, history, and what waits.
pub async fn a_task_that_was_given_up_goes_on_where_it_stood(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let hold = task.hold(&node("a"), 1).await;
    task.succeed(1, hold).await;
    let held = task.hold(&node("a"), 2).await;
    submit(&backend, trigger(task.key, 1)).await;
    let known = task.look().await;
    for name in ["setup", "a"] {
        give_up(&backend, &node(name), &known).await;
    }
    assert_eq!(task.look().await.mark, task.at(2), "it is there");
    task.succeed(2, held).await;
    let again = register(&backend, &node("b"), declared("pay", &every(1), &TaskRules::default())).await;
    assert_eq!((again.key, again.mark, again.anchor), (task.key, task.at(2), known.anchor));
    task.accounts_for(2, 0).await;
    let rows = task.rows().await;
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [trigger(task.key, 1).id, task.id(2), task.id(1)]);
    assert_eq!(ids(&task.claim(&node("b"), 1).await), [trigger(task.key, 1).id]);
}
