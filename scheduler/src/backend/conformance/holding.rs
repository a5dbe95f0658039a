//! Promises about leases and fencing tokens: who holds a run, and who may end it.

use std::time::Duration;

use super::{
    LONG, PATIENCE, SHORT, Subject, after, claim, claim_until_some, fire_and_hold, firing, id, node, run, success,
    task_with_past,
};
use crate::backend::{Claim, RunQuery, Stored, Token};
use crate::run::RunState;

const MINUTE: Duration = Duration::from_secs(60);

/// A run is ended by the token under which it is held, once; a lower token, a second end and an unknown run change
/// nothing.
pub async fn a_stale_token_finishes_nothing(backend: Subject) {
    let (task, mark) = task_with_past(&backend, "pay", MINUTE).await;
    let at = after(mark, 1_000);
    let token = fire_and_hold(&backend, &node("a", LONG), firing(1, task, mark, run(at))).await;
    let ends = [
        success(task, id(1), Token(token.0 + 1), at),
        success(task, id(2), token, at),
        success(task, id(1), token, at),
    ];
    let stored = backend.finish(&ends).await.expect("a finish is answered");
    assert_eq!(stored, [Stored::Stale, Stored::Stale, Stored::Done], "only the holder ends a run");
    let again = backend.finish(&ends[2..]).await.expect("a finish is answered");
    assert_eq!(again, [Stored::Stale], "a run ends once");
}

/// When the lease of a holder has ended, one other node gets its run, under a higher token and as the next attempt.
pub async fn a_run_of_a_dead_node_is_taken_over_once(backend: Subject) {
    let (task, mark) = task_with_past(&backend, "pay", MINUTE).await;
    let at = after(mark, 1_000);
    let dead = fire_and_hold(&backend, &node("dead", SHORT), firing(1, task, mark, run(at))).await;
    let claimed = claim_until_some(&backend, &node("b", LONG), &[task]).await;
    assert_eq!(claimed.len(), 1, "there is one run");
    assert_eq!((claimed[0].id, claimed[0].scheduled_at, claimed[0].attempt), (id(1), at, 2), "it is the same run");
    assert!(claimed[0].token > dead, "each claim has a higher token");
    let again = claim(&backend, &node("c", LONG), 1, &[task]).await;
    assert!(again.is_empty(), "what is held is not taken over");

    let late = backend.finish(&[success(task, id(1), dead, at)]).await.expect("a finish is answered");
    assert_eq!(late, [Stored::Stale], "who lost a run cannot end it");
    let ended = backend.finish(&[success(task, id(1), claimed[0].token, at)]).await.expect("a finish is answered");
    assert_eq!(ended, [Stored::Done], "who holds it can");
    let runs = backend.runs(&RunQuery::of(task)).await.expect("runs are listed");
    assert_eq!((runs.len(), runs[0].state, runs[0].attempt), (1, RunState::Succeeded, 2), "it is one run to the end");
}

/// A holder whose heartbeat goes on keeps its runs beyond the length of its lease.
pub async fn a_heartbeat_keeps_the_runs(backend: Subject) {
    let (task, mark) = task_with_past(&backend, "pay", MINUTE).await;
    let (kept, lost) = (node("kept", 20 * SHORT), node("lost", SHORT));
    let (first, second) = (after(mark, 1_000), after(mark, 2_000));
    fire_and_hold(&backend, &kept, firing(1, task, mark, run(first))).await;
    fire_and_hold(&backend, &lost, firing(2, task, first, run(second))).await;
    for _ in 0..5 {
        backend.heartbeat(&kept).await.expect("a heartbeat is answered");
        tokio::time::sleep(5 * SHORT).await;
    }
    backend.heartbeat(&kept).await.expect("a heartbeat is answered");
    let claimed = claim_until_some(&backend, &node("b", LONG), &[task]).await;
    let claimed: Vec<_> = claimed.iter().map(|run| run.id).collect();
    assert_eq!(claimed, [id(2)], "only the run of the node without a heartbeat is taken over");
}

/// A node whose own lease has ended, because it was suspended, does not claim what it is still executing.
pub async fn a_node_does_not_take_over_its_own_runs(backend: Subject) {
    let (task, mark) = task_with_past(&backend, "pay", MINUTE).await;
    let (own, other) = (node("own", SHORT), node("other", SHORT));
    let (first, second) = (after(mark, 1_000), after(mark, 2_000));
    fire_and_hold(&backend, &own, firing(1, task, mark, run(first))).await;
    fire_and_hold(&backend, &other, firing(2, task, first, run(second))).await;
    let claimed = claim_until_some(&backend, &own, &[task]).await;
    let claimed: Vec<_> = claimed.iter().map(|run| run.id).collect();
    assert_eq!(claimed, [id(2)], "its own run is not among them");
}

/// The same claim again, by the same holder, finds the runs that it had got, under the same tokens; the next finds none.
pub async fn a_claim_whose_answer_was_lost_is_recognised(backend: Subject) {
    let (task, mark) = task_with_past(&backend, "pay", MINUTE).await;
    let (first, second) = (after(mark, 1_000), after(mark, 2_000));
    fire_and_hold(&backend, &node("dead", SHORT), firing(1, task, mark, run(first))).await;
    fire_and_hold(&backend, &node("b", LONG), firing(2, task, first, run(second))).await;
    let claimant = node("b", LONG);
    let mut number: u32 = 0;
    let got = loop {
        number += 1;
        let got = claim(&backend, &claimant, number.into(), &[task]).await;
        if !got.is_empty() {
            break got;
        }
        assert!(SHORT * number < PATIENCE, "a run whose holder's lease has ended can be taken over");
        tokio::time::sleep(SHORT).await;
    };
    assert_eq!(claim(&backend, &claimant, number.into(), &[task]).await, got, "a repeated claim has the same answer");
    assert_eq!(
        claim(&backend, &claimant, u64::from(number) + 1, &[task]).await,
        [],
        "another claim does not get them again"
    );
}

/// A node gets runs of the tasks that it names, no more than it asks for, the oldest first.
pub async fn only_runs_of_known_tasks_are_taken_over_the_oldest_first(backend: Subject) {
    let (known, mark) = task_with_past(&backend, "known", MINUTE).await;
    let (unknown, unknown_mark) = task_with_past(&backend, "unknown", 2 * MINUTE).await;
    let dead = node("dead", SHORT);
    let at = |n: u64| after(mark, n * 1_000);
    fire_and_hold(&backend, &dead, firing(9, unknown, unknown_mark, run(after(unknown_mark, 1_000)))).await;
    fire_and_hold(&backend, &dead, firing(1, known, mark, run(at(1)))).await;
    fire_and_hold(&backend, &dead, firing(2, known, at(1), run(at(2)))).await;
    fire_and_hold(&backend, &dead, firing(3, known, at(2), run(at(3)))).await;
    let none = Claim { number: 0, tasks: [known].into(), max: 0 };
    let none = backend.claim(&node("b", LONG), &none).await.expect("a claim is answered");
    assert!(none.is_empty(), "who asks for none gets none");
    // All of them have one holder, so when one can be taken over, all can.
    let got = claim_until_some(&backend, &node("b", LONG), &[known]).await;
    let ids: Vec<_> = got.iter().map(|run| run.id).collect();
    assert_eq!(ids, [id(1), id(2), id(3)], "runs of known tasks, the oldest first");
}
