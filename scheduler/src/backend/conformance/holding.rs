//! Promises about leases and fencing tokens: who holds a run, and who may end it.

use super::{
    SHORT, Subject, Ticking, beat, cancel, claim, claim_until_some, dying, end, finish, give_back, ids, mortal, node,
    now, pass, pause,
};
use crate::backend::{Command, End, Finish, Stored, TaskRules, Token};
use crate::outcome::{CancelCause, Outcome};
use crate::run::RunState;
use crate::schedule::Delivery;

/// A run is ended by the token under which it is held, once; another token, a second end and an unknown run change
/// nothing.
pub async fn a_stale_token_finishes_nothing(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let hold = task.hold(&node("a"), 1).await;
    let at = now(&backend).await;
    let by = |id, token| {
        let end = End::Final(Outcome::Succeeded);
        Finish { task: task.key, id, token, end, started_at: Some(at), finished_at: at, log: None }
    };
    let ends = [by(task.id(1), Token(hold.token.0 + 1)), by(task.id(2), hold.token), by(task.id(1), hold.token)];
    let stored = backend.finish(&ends).await.expect("a finish is answered");
    assert_eq!(stored, [Stored::Stale, Stored::Stale, Stored::Done { more: false }], "only the holder ends a run");
    let again = backend.finish(&ends[2..]).await.expect("a finish is answered");
    assert_eq!(again, [Stored::Stale], "a run ends once");
    assert_eq!(task.row(1).await.state, RunState::Succeeded);
}

/// When the lease of a holder has ended, one other node gets its run, under a higher token and as the next attempt.
pub async fn a_run_of_a_dead_node_is_taken_over_once(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let dead = task.hold(&dying("dead"), 1).await;
    let claimed = task.claim_until_some(&node("b"), 1).await;
    assert_eq!(claimed.len(), 1, "there is one run");
    let run = &claimed[0];
    assert_eq!((run.id, run.scheduled_at, run.attempt), (task.id(1), task.at(1), 2), "it is the same run");
    assert_eq!((run.was, run.abandoned), (RunState::Running, 1), "its first attempt was abandoned");
    assert!(run.hold.token > dead.token, "each claim has a higher token");
    assert_eq!(task.claim(&node("c"), 1).await, [], "what is held is not taken over");
    let late = task.end(1, dead, End::Final(Outcome::Succeeded)).await;
    assert_eq!(late, Stored::Stale, "who lost a run cannot end it");
    task.succeed(1, run.hold).await;
    let rows = task.rows().await;
    assert_eq!((rows.len(), rows[0].state, rows[0].attempt), (1, RunState::Succeeded, 2), "it is one run to the end");
    task.accounts_for(1, 0).await;
}

/// A run is its holder's to end until somebody has taken it over, also when the lease has run out.
pub async fn who_lost_its_lease_may_end_a_run_that_nobody_took(backend: Subject) {
    let (first, second) = (Ticking::new(&backend, "first").await, Ticking::new(&backend, "second").await);
    let late = dying("late");
    let hold = first.hold(&late, 1).await;
    second.hold(&late, 1).await;
    // Both have one holder: when the one can be taken over, the lease of the other is over too.
    second.claim_until_some(&node("b"), 1).await;
    first.succeed(1, hold).await;
    assert_eq!(first.claim(&node("b"), 1_000_000).await, [], "what has ended is not taken over");
}

/// A holder whose heartbeat goes on keeps its runs beyond the length of its lease.
pub async fn a_heartbeat_keeps_the_runs(backend: Subject) {
    let task = Ticking::unlimited(&backend, "pay").await;
    let kept = super::Holder { lease: 20 * SHORT, ..node("kept") };
    task.hold(&kept, 1).await;
    task.hold(&dying("lost"), 2).await;
    for _ in 0..5 {
        beat(&backend, &kept).await;
        super::pass(&backend, 5 * SHORT).await;
    }
    beat(&backend, &kept).await;
    let claimed = task.claim_until_some(&node("b"), 1).await;
    assert_eq!(ids(&claimed), [task.id(2)], "only the run of the node without a heartbeat is taken over");
}

/// A node whose own lease has ended, because it was suspended, does not claim what it is still executing.
pub async fn a_node_does_not_take_over_its_own_runs(backend: Subject) {
    let task = Ticking::unlimited(&backend, "pay").await;
    let own = mortal("own");
    task.hold(&own, 1).await;
    task.hold(&dying("other"), 2).await;
    pass(&backend, own.lease + SHORT).await;
    assert_eq!(task.claim(&own, 1).await, [], "it does not know yet that it was away");
    let claimed = task.claim_until_some(&own, 2).await;
    assert_eq!(ids(&claimed), [task.id(2)], "its own run is not among them");
}

/// A run that may be executed at most once ends as abandoned when its node dies; it makes room.
pub async fn a_run_of_a_dead_node_that_may_run_once_ends_as_abandoned(backend: Subject) {
    let rules = TaskRules { delivery: Delivery::AtMostOnce, ..TaskRules::default() };
    let task = Ticking::with(&backend, "pay", rules).await;
    let witness = Ticking::new(&backend, "witness").await;
    let dead = dying("dead");
    let hold = task.hold(&dead, 1).await;
    witness.hold(&dead, 1).await;
    let (_, claimed) = claim_until_some(&backend, &node("b"), 1, &[task.key, witness.key]).await;
    assert_eq!(ids(&claimed), [witness.id(1)], "it is not executed again");
    let row = task.row(1).await;
    assert_eq!((row.state, row.attempt), (RunState::Abandoned, 1), "it has ended");
    assert!(row.finished_at.is_some() && row.failure.is_some(), "when, and why");
    assert_eq!(task.end(1, hold, End::Final(Outcome::Succeeded)).await, Stored::Stale, "its late result is too late");
    task.hold(&node("b"), 2).await;
}

/// A run whose nodes died three times may be what kills them: it ends as failed.
pub async fn a_run_whose_node_died_three_times_ends_as_failed(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let witness = Ticking::unlimited(&backend, "witness").await;
    task.hold(&dying("first"), 1).await;
    for (abandoned, name) in [(1, "second"), (2, "third")] {
        let claimed = task.claim_until_some(&mortal(name), 1).await;
        assert_eq!((claimed[0].id, claimed[0].abandoned, claimed[0].attempt), (task.id(1), abandoned, abandoned + 1));
    }
    witness.hold(&mortal("third"), 1).await;
    let (_, claimed) = claim_until_some(&backend, &node("last"), 1, &[task.key, witness.key]).await;
    assert_eq!(ids(&claimed), [witness.id(1)], "it is not executed a fourth time");
    let row = task.row(1).await;
    assert_eq!((row.state, row.failure.as_deref()), (RunState::Failed, Some("its node died 3 times")));
}

/// A run that is given back before it began loses nothing: not an attempt, and not its place.
pub async fn a_run_given_back_unbegun_keeps_its_attempt(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let hold = task.hold(&node("a"), 1).await;
    let finished_at = now(&backend).await;
    let (key, id) = (task.key, task.id(1));
    let back =
        Finish { task: key, id, token: hold.token, end: End::HandBack, started_at: None, finished_at, log: None };
    assert_eq!(finish(&backend, back.clone()).await, Stored::Done { more: true }, "it waits to be claimed");
    assert_eq!(finish(&backend, back).await, Stored::Stale, "a repeated call changes nothing");
    assert_eq!(task.row(1).await.state, RunState::Queued);
    let claimed = task.claim(&node("b"), 1).await;
    assert_eq!(ids(&claimed), [id], "another node gets it");
    let run = &claimed[0];
    assert_eq!((run.attempt, run.abandoned, run.was), (1, 0, RunState::Queued), "its first attempt begins now");
    assert!(run.hold.token > hold.token, "no token is used twice");
    assert_eq!(task.end(1, hold, End::Final(Outcome::Succeeded)).await, Stored::Stale, "the old one is stale");
    task.succeed(1, run.hold).await;
}

/// An attempt that began and is given back is abandoned: the next one has a higher number, and does not count it.
pub async fn a_run_given_back_begun_has_an_abandoned_attempt(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let hold = task.hold(&node("a"), 1).await;
    assert_eq!(task.end(1, hold, End::HandBack).await, Stored::Done { more: true }, "it waits to be claimed");
    let run = task.claim(&node("b"), 1).await.remove(0);
    assert_eq!((run.attempt, run.abandoned), (2, 1), "the first attempt is abandoned");
    assert!(run.hold.token > hold.token, "each claim has a higher token");
    assert_eq!(task.end(1, hold, End::Final(Outcome::Succeeded)).await, Stored::Stale, "the old one is stale");
    assert_eq!(task.end(1, hold, End::HandBack).await, Stored::Stale, "nor can it give the run back");
    task.succeed(1, run.hold).await;
}

/// A node that gives its runs back has not died: however often it happens, the run goes on.
pub async fn giving_back_is_not_dying(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let mut hold = task.hold(&node("a"), 1).await;
    for number in 1..=3 {
        task.end(1, hold, End::HandBack).await;
        hold = task.claim(&node("a"), number).await.remove(0).hold;
    }
    task.end(1, hold, End::HandBack).await;
    task.claim(&dying("dead"), 1).await;
    let claimed = task.claim_until_some(&node("b"), 1).await;
    assert_eq!(ids(&claimed), [task.id(1)], "after one death it is executed again");
    assert_eq!(claimed[0].abandoned, 5, "and all attempts that were cut short are told");
}

/// In a pause the scheduled run of a dead node waits, and goes on when the pause has ended.
pub async fn the_run_of_a_dead_node_waits_for_the_end_of_a_pause(backend: Subject) {
    let (task, witness) = (Ticking::new(&backend, "pay").await, Ticking::new(&backend, "witness").await);
    let dead = dying("dead");
    task.hold(&dead, 1).await;
    witness.hold(&dead, 1).await;
    super::control(&backend, pause(Some(task.key))).await;
    let tasks = [task.key, witness.key];
    let (number, claimed) = claim_until_some(&backend, &node("b"), 1, &tasks).await;
    assert_eq!(ids(&claimed), [witness.id(1)], "a pause keeps it from beginning again");
    super::control(&backend, Command::Resume { task: Some(task.key) }).await;
    let claimed = claim(&backend, &node("b"), number + 1, &tasks).await.runs;
    assert_eq!(ids(&claimed), [task.id(1)], "then it goes on");
}

/// A run that was asked to cancel and would go on instead, ends as cancelled.
pub async fn a_cancelled_run_does_not_go_on(backend: Subject) {
    let task = Ticking::unlimited(&backend, "pay").await;
    let (again, back) = (task.hold(&node("a"), 1).await, task.hold(&node("a"), 2).await);
    task.hold(&dying("dead"), 3).await;
    for n in 1..=3 {
        cancel(&backend, task.id(n)).await.expect("it is alive");
    }
    let at = now(&backend).await;
    assert!(matches!(task.end(1, again, super::retry(at)).await, Stored::Done { .. }));
    assert!(matches!(task.end(2, back, End::HandBack).await, Stored::Done { .. }));
    let witness = Ticking::new(&backend, "witness").await;
    witness.hold(&dying("dead"), 1).await;
    let (_, claimed) = claim_until_some(&backend, &node("b"), 1, &[task.key, witness.key]).await;
    assert_eq!(ids(&claimed), [witness.id(1)], "none of them is executed again");
    for row in task.rows().await {
        assert_eq!(row.state, RunState::Cancelled, "{row:?}");
        assert_eq!(row.failure, Outcome::Cancelled(CancelCause::Requested).text(), "{row:?}");
    }
}

/// What a node claims and gives back at once, another may claim at once.
pub async fn a_claimed_run_can_be_given_back(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    super::submit(&backend, super::trigger(task.key, 1)).await;
    let run = task.claim(&node("a"), 1).await.remove(0);
    assert_eq!(give_back(&backend, &run).await, Stored::Done { more: true });
    let again = task.claim(&node("a"), 2).await.remove(0);
    assert_eq!((again.id, again.attempt), (run.id, 1), "its node may have it again");
    let stale = end(&backend, task.key, run.id, run.hold.token, End::Final(Outcome::Succeeded)).await;
    assert_eq!(stale, Stored::Stale, "under another token");
}

/// A run that may be executed at most once and has not begun can be given back.
pub async fn an_unbegun_run_that_may_run_once_can_be_given_back(backend: Subject) {
    let rules = TaskRules { delivery: Delivery::AtMostOnce, ..TaskRules::default() };
    let task = Ticking::with(&backend, "pay", rules).await;
    super::submit(&backend, super::trigger(task.key, 1)).await;
    let run = task.claim(&node("a"), 1).await.remove(0);
    give_back(&backend, &run).await;
    let again = task.claim(&node("b"), 1).await;
    assert_eq!((ids(&again), again[0].attempt), (vec![run.id], 1), "it has not run yet");
}

/// A run between two attempts that is claimed and given back before it began keeps its room: it is between two attempts
/// again, and what waits behind it does not begin first.
pub async fn a_next_attempt_given_back_unbegun_keeps_its_room(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", crate::schedule::Overlap::BufferAll).await;
    let hold = task.hold(&node("a"), 1).await;
    task.wait(2).await;
    let at = now(&backend).await;
    task.end(1, hold, super::retry(at)).await;
    let next = task.claim(&node("a"), 1).await.remove(0);
    assert_eq!((next.id, next.attempt), (task.id(1), 2));
    assert!(matches!(give_back(&backend, &next).await, Stored::Done { .. }));
    let row = task.row(1).await;
    assert_eq!((row.state, row.attempt), (RunState::Retrying, 1), "its next attempt has not begun");
    let again = task.claim(&node("b"), 1).await;
    assert_eq!((ids(&again), again[0].attempt, again[0].abandoned), (vec![task.id(1)], 2, 0), "it goes on first");
    task.succeed(1, again[0].hold).await;
    assert_eq!(ids(&task.claim(&node("b"), 2).await), [task.id(2)], "then the other begins");
    task.accounts_for(2, 0).await;
}
