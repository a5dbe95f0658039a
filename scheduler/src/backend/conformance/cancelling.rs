//! Promises about cancelling runs.

use super::{Subject, Ticking, cancel, changes, claim, control, node, now, pause, retry, submit, trigger, version};
use crate::backend::Cancelled;
use crate::outcome::{CancelCause, Outcome};
use crate::run::RunState;
use crate::schedule::Overlap;

/// A run that waits has ended with the answer.
pub async fn a_waiting_run_is_cancelled_at_once(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", Overlap::BufferAll).await;
    let hold = task.hold(&node("a"), 1).await;
    task.wait(2).await;
    let cancelled = cancel(&backend, task.id(2)).await.expect("it is alive");
    let cause = CancelCause::Requested;
    let expected = Cancelled { id: task.id(2), task: task.key, cause, was: RunState::Queued };
    assert_eq!(cancelled, expected);
    let row = task.row(2).await;
    assert_eq!((row.state, row.failure), (RunState::Cancelled, Outcome::Cancelled(cause).text()));
    assert!(row.finished_at.is_some() && row.started_at.is_none(), "it ended, and never began");
    task.succeed(1, hold).await;
    assert_eq!(task.claim(&node("a"), 1).await, [], "nothing waits any more");
    task.accounts_for(2, 0).await;
}

/// A run between two attempts has ended with the answer, and leaves its place.
pub async fn a_retrying_run_is_cancelled_at_once(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let hold = task.hold(&node("a"), 1).await;
    submit(&backend, trigger(task.key, 1)).await;
    let later = now(&backend).await.plus(super::HOUR);
    task.end(1, hold, retry(later)).await;
    let cancelled = cancel(&backend, task.id(1)).await.expect("it is alive");
    assert_eq!(cancelled.was, RunState::Retrying);
    assert_eq!(task.row(1).await.state, RunState::Cancelled);
    let claims = claim(&backend, &node("a"), 1, &[task.key]).await;
    assert_eq!((claims.runs.len(), claims.next_at), (1, None), "what waited begins, and nothing is tried again");
}

/// A run that is held is asked to cancel: its holder is told, and ends it.
pub async fn a_running_run_is_asked_to_cancel(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let hold = task.hold(&node("a"), 1).await;
    let before = version(&backend).await;
    let cancelled = cancel(&backend, task.id(1)).await.expect("it is alive");
    assert_eq!((cancelled.was, cancelled.cause), (RunState::Running, CancelCause::Requested));
    assert_eq!(changes(&backend, before).await.cancelled, [cancelled], "all nodes are told");
    assert_eq!(task.row(1).await.state, RunState::Running, "it runs until it ends");
    task.succeed(1, hold).await;
    assert_eq!(task.row(1).await.state, RunState::Succeeded, "and may have been faster");
}

/// What has ended or never was cannot be cancelled.
pub async fn what_is_not_alive_is_not_cancelled(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    assert_eq!(cancel(&backend, task.id(9)).await, None, "there is no such run");
    let hold = task.hold(&node("a"), 1).await;
    task.succeed(1, hold).await;
    assert_eq!(cancel(&backend, task.id(1)).await, None, "it has ended");
}

/// A run that a pause holds back can be cancelled.
pub async fn a_run_can_be_cancelled_in_a_pause(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", Overlap::BufferAll).await;
    task.hold(&node("a"), 1).await;
    task.wait(2).await;
    control(&backend, pause(Some(task.key))).await;
    assert!(cancel(&backend, task.id(2)).await.is_some());
    assert_eq!(task.row(2).await.state, RunState::Cancelled);
}
