//! Promises to those who only look at a store: its tasks and its nodes.

use std::sync::Arc;

use super::words::disk_full;
use super::{Holder, PATIENCE, SHORT, Subject, Ticking, dying, node, now, pass};
use crate::backend::{End, NamedTask, NodeRow, Presence, Registration, TaskKey, TaskRules};
use crate::run::RunState;
use crate::schedule::Overlap;

async fn tasks(backend: &Subject) -> Vec<NamedTask> {
    backend.tasks().await.expect("the question is answered")
}

async fn seen(backend: &Subject, holder: &Holder) -> NodeRow {
    let nodes = backend.nodes().await.expect("the question is answered");
    let mut of_name = nodes.into_iter().filter(|row| row.node == holder.node);
    let row = of_name.next().unwrap_or_else(|| panic!("{} is known", holder.node));
    assert!(of_name.next().is_none(), "{} is listed once", holder.node);
    row
}

/// A store tells its tasks by name, each with its key, whoever declared them and whether or not anybody still does.
pub async fn the_tasks_of_a_store_are_told_by_name(backend: Subject) {
    assert_eq!(tasks(&backend).await, [], "an empty store has none");
    let [pay, bill] = [Ticking::new(&backend, "pay").await, Ticking::new(&backend, "bill").await];
    let other = Registration {
        name: crate::TaskName::new("a\"b'c").expect("a name"),
        timetable: Arc::clone(&backend.look(&[pay.key]).await.expect("a look is answered")[0].timetable),
        rules: TaskRules::default(),
    };
    let registered = backend.register(&node("other"), &[other]).await.expect("it is registered");
    backend.leave(&node("other")).await.expect("a leave is answered");
    let told: Vec<_> = tasks(&backend).await.into_iter().map(|task| (task.name.to_string(), task.key)).collect();
    let expected = [("a\"b'c", registered[0].key), ("bill", bill.key), ("pay", pay.key)];
    assert_eq!(told, expected.map(|(name, key)| (name.to_owned(), key)));
}

/// A store tells its nodes: whether their leases go on, when they were last heard of, on its own clock, and how many runs
/// they hold.
pub async fn the_nodes_of_a_store_are_told(backend: Subject) {
    assert_eq!(backend.nodes().await.expect("the question is answered"), [], "an empty store has none");
    let task = Ticking::overlapping(&backend, "pay", Overlap::Allow).await;
    let (alive, silent, left) = (Holder { tzdb: "1999z", ..node("alive") }, dying("silent"), node("left"));
    let before = now(&backend).await;
    for holder in [&alive, &silent, &left] {
        backend.heartbeat(holder).await.expect("a heartbeat is answered");
    }
    let hold = task.hold(&alive, 1).await;
    task.hold(&silent, 2).await;
    backend.leave(&left).await.expect("a leave is answered");
    pass(&backend, 2 * SHORT).await;

    let row = seen(&backend, &alive).await;
    assert_eq!((row.presence, row.held, row.lease), (Presence::Alive, 1, alive.lease));
    assert_eq!(&*row.tzdb, "1999z", "by which zones it goes");
    let after = now(&backend).await;
    assert!(before <= row.seen_at && row.seen_at <= after, "{} is between {before} and {after}", row.seen_at);
    let row = seen(&backend, &silent).await;
    assert_eq!((row.presence, row.held), (Presence::Silent, 1), "its runs are its own until somebody takes them over");
    let row = seen(&backend, &left).await;
    assert_eq!((row.presence, row.held), (Presence::Left, 0));

    task.succeed(1, hold).await;
    assert_eq!(seen(&backend, &alive).await.held, 0, "what has ended is held no more");
    // Its lease is so short that it may have run out again before anybody looks.
    let back = async {
        while seen(&backend, &silent).await.presence != Presence::Alive {
            backend.heartbeat(&silent).await.expect("a heartbeat is answered");
        }
    };
    tokio::time::timeout(PATIENCE, back).await.expect("who is heard of again is back");
}

/// Of many tasks a store tells the run of each that was the last to end, whatever is alive or was due later; of a task without
/// a run that has ended it tells none.
pub async fn the_last_run_to_end_of_each_task_is_told(backend: Subject) {
    let pay = Ticking::overlapping(&backend, "pay", Overlap::Allow).await;
    let [bill, idle] = [Ticking::new(&backend, "bill").await, Ticking::new(&backend, "idle").await];
    let holder = node("a");
    let [first, second, _alive] = [pay.hold(&holder, 1).await, pay.hold(&holder, 2).await, pay.hold(&holder, 3).await];
    pay.succeed(2, second).await;
    pay.end(1, first, End::Final(disk_full())).await;
    let only = bill.hold(&holder, 1).await;
    bill.succeed(1, only).await;
    let keys = [pay.key, bill.key, idle.key, TaskKey(u64::MAX >> 1)];
    let told = backend.last_ended(&keys).await.expect("the question is answered");
    let mut told: Vec<_> = told.into_iter().map(|run| (run.task, run.scheduled_at, run.state)).collect();
    told.sort_unstable_by_key(|(task, ..)| *task);
    let mut expected = vec![(pay.key, pay.at(1), RunState::Failed), (bill.key, bill.at(1), RunState::Succeeded)];
    expected.sort_unstable_by_key(|(task, ..)| *task);
    assert_eq!(told, expected);
    assert_eq!(backend.last_ended(&[]).await.expect("the question is answered"), []);
}
