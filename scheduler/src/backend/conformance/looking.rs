//! Promises to those who only look at a store: its tasks and its nodes.

use std::sync::Arc;

use super::{Holder, PATIENCE, SHORT, Subject, Ticking, dying, node, now, pass};
use crate::backend::{NamedTask, NodeRow, Presence, Registration, TaskRules};
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
