//! Promises about runs between two attempts.

use super::{SHORT, Subject, Ticking, claim, claim_until_some, ids, node, now, retry};
use crate::backend::{End, Stored};
use crate::outcome::Outcome;
use crate::run::RunState;

/// A failed attempt that is tried again leaves its run alive, held by nobody, with its instant and its error.
pub async fn a_run_that_is_tried_again_is_alive_until_then(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let hold = task.hold(&node("a"), 1).await;
    let later = now(&backend).await.plus(super::HOUR);
    assert_eq!(task.end(1, hold, retry(later)).await, Stored::Done { more: false });
    let row = task.row(1).await;
    assert_eq!((row.state, row.due_at, row.attempt), (RunState::Retrying, later, 1));
    assert_eq!((row.failure.as_deref(), row.finished_at), (Some("disk full"), None));
    assert!(row.started_at.is_some(), "its attempt had begun");
    assert_eq!(task.look().await.alive, Some(task.id(1)), "it is alive");
    let claims = claim(&backend, &node("b"), 1, &[task.key]).await;
    assert_eq!(claims.runs, [], "it does not begin before its instant");
    assert_eq!(claims.next_at, Some(later), "which is told");
    let ends = [End::Final(Outcome::Succeeded), retry(later), End::HandBack];
    for end in ends {
        assert_eq!(task.end(1, hold, end).await, Stored::Stale, "the attempt has ended");
    }
}

/// When its instant has come, any node may claim it: the next attempt, under a higher token.
pub async fn the_next_attempt_begins_at_its_instant(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let hold = task.hold(&node("a"), 1).await;
    let at = now(&backend).await.plus(4 * SHORT);
    task.end(1, hold, retry(at)).await;
    let claimed = task.claim_until_some(&node("b"), 1).await;
    assert!(now(&backend).await >= at, "it is never early");
    let run = &claimed[0];
    assert_eq!((run.id, run.attempt, run.abandoned), (task.id(1), 2, 0), "it is the same run");
    assert_eq!((run.scheduled_at, run.due_at, run.was), (task.at(1), at, RunState::Retrying));
    assert!(run.hold.token > hold.token, "each claim has a higher token");
    let claims = claim(&backend, &node("b"), 1_000_000, &[task.key]).await;
    assert_eq!((claims.runs, claims.next_at), (Vec::new(), None), "nothing else is to come");
    task.succeed(1, run.hold).await;
    let row = task.row(1).await;
    assert_eq!((row.state, row.attempt, row.failure), (RunState::Succeeded, 2, None));
    task.accounts_for(1, 0).await;
}

/// A claim tells the first instant to come of the tasks that it names, and not that of others.
pub async fn the_instant_of_the_next_attempt_is_told_to_who_knows_the_task(backend: Subject) {
    let (known, unknown) = (Ticking::unlimited(&backend, "known").await, Ticking::new(&backend, "unknown").await);
    let present = now(&backend).await;
    for (n, wait) in [(1, 3), (2, 2)] {
        let hold = known.hold(&node("a"), n).await;
        known.end(n, hold, retry(present.plus(wait * super::HOUR))).await;
    }
    let hold = unknown.hold(&node("a"), 1).await;
    unknown.end(1, hold, retry(present.plus(super::HOUR))).await;
    let claims = claim(&backend, &node("b"), 1, &[known.key]).await;
    assert_eq!(claims.next_at, Some(present.plus(2 * super::HOUR)));
}

/// A claim of due attempts whose answer was lost is recognised.
pub async fn a_lost_claim_of_a_next_attempt_is_recognised(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let hold = task.hold(&node("a"), 1).await;
    task.end(1, hold, retry(task.at(2))).await;
    let (number, got) = claim_until_some(&backend, &node("b"), 1, &[task.key]).await;
    assert_eq!(task.claim(&node("b"), number).await, got, "a repeated claim has the same answer");
    assert_eq!(ids(&got), [task.id(1)]);
    assert_eq!(task.claim(&node("c"), 1).await, [], "and nobody else gets it");
}

/// An end whose answer was lost changes nothing when it is repeated, although the run goes on meanwhile.
pub async fn a_repeated_end_does_not_touch_the_next_attempt(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let hold = task.hold(&node("a"), 1).await;
    task.end(1, hold, retry(task.at(2))).await;
    let next = task.claim(&node("a"), 1).await.remove(0);
    assert_eq!(task.end(1, hold, retry(task.at(2))).await, Stored::Stale, "the old attempt is over");
    assert_eq!(task.row(1).await.state, RunState::Running, "the new one goes on");
    task.succeed(1, next.hold).await;
}

/// The node that has put off an attempt is told when another node begins it, and when it does so itself it knows.
pub async fn a_next_attempt_on_another_node_is_told(backend: Subject) {
    let task = Ticking::unlimited(&backend, "pay").await;
    let at = now(&backend).await;
    for n in 1..=2 {
        let hold = task.hold(&node("a"), n).await;
        task.end(n, hold, retry(at)).await;
    }
    let before = super::version(&backend).await;
    let one = super::Claim { number: 1, tasks: [task.key].into(), jobs: [].into(), max: 1 };
    let own = backend.claim(&node("a"), &one).await.expect("a claim is answered").runs;
    let other = task.claim(&node("b"), 1).await;
    assert_eq!((own.len(), other.len()), (1, 1), "each node has one");
    let told = super::changes(&backend, before).await;
    assert_eq!(told.resumed, [other[0].id]);
    let later = super::version(&backend).await;
    task.end(1, own[0].hold, End::HandBack).await;
    assert_eq!(super::changes(&backend, later).await.resumed, [], "nothing is told twice");
}
