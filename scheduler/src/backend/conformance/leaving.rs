//! Promises about nodes that stop.

use super::{Holder, Subject, Ticking, changes, claim, ids, node, now, retry, submit, trigger, version};
use crate::backend::Left;
use crate::outcome::{CancelCause, Outcome};
use crate::run::RunState;
use crate::schedule::Overlap;

async fn leave(backend: &Subject, holder: &Holder) -> Vec<Left> {
    backend.leave(holder).await.expect("a leave is answered")
}

/// The lease of a node that leaves ends at once: what it holds still may be claimed, and the others are told.
pub async fn who_leaves_frees_its_runs_at_once(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let hold = task.hold(&node("a"), 1).await;
    let before = version(&backend).await;
    assert_eq!(leave(&backend, &node("a")).await, [], "another node is there");
    assert!(changes(&backend, before).await.runnable, "which is told");
    let claimed = task.claim(&node("b"), 1).await;
    assert_eq!(ids(&claimed), [task.id(1)], "and gets the run");
    assert!(claimed[0].hold.token > hold.token, "under a higher token");
}

/// What waits stays for the other nodes when one leaves.
pub async fn what_waits_stays_while_a_node_is_there(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    submit(&backend, trigger(task.key, 1)).await;
    backend.heartbeat(&node("b")).await.expect("a heartbeat is answered");
    assert_eq!(leave(&backend, &node("a")).await, []);
    assert_eq!(leave(&backend, &node("setup")).await, []);
    assert_eq!(ids(&task.claim(&node("b"), 1).await), [trigger(task.key, 1).id]);
}

/// Where nothing outlives the process, the last node that leaves takes what waits with it, and lists it; elsewhere it
/// stays for the next start.
pub async fn what_waits_ends_with_the_last_node_unless_it_is_kept(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", Overlap::BufferAll).await;
    let retried = Ticking::new(&backend, "retried").await;
    let last = node("a");
    let hold = task.hold(&last, 1).await;
    task.wait(2).await;
    let again = retried.hold(&last, 1).await;
    let later = now(&backend).await.plus(super::HOUR);
    retried.end(1, again, retry(later)).await;
    task.succeed(1, hold).await;
    for other in ["setup", "clock"] {
        assert_eq!(leave(&backend, &node(other)).await, [], "one node is there still");
    }
    let mut left = leave(&backend, &last).await;
    left.sort_by_key(|run| run.task);
    let waiting = Left { id: task.id(2), task: task.key, scheduled_at: task.at(2), began: false };
    let between = Left { id: retried.id(1), task: retried.key, scheduled_at: retried.at(1), began: true };
    let states = [task.row(2).await, retried.row(1).await].map(|row| (row.state, row.failure));
    if backend.capabilities().durable {
        assert_eq!(left, [], "what waits is kept");
        assert_eq!(states.map(|(state, _)| state), [RunState::Queued, RunState::Retrying]);
        let next = node("next");
        assert_eq!(ids(&claim(&backend, &next, 1, &[task.key]).await.runs), [task.id(2)], "for the next start");
    } else {
        assert_eq!(left, [waiting, between], "what ends with the last node is listed");
        let stopped = (RunState::Cancelled, Outcome::Cancelled(CancelCause::Stopped).text());
        assert_eq!(states, [stopped.clone(), stopped], "and has ended as cancelled");
    }
}
