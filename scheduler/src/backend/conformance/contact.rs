//! Promises about who is in contact, and about what a node that was not has lost.

use super::{
    Holder, SHORT, Subject, Ticking, after, beat, claim_until_some, dying, finish, ids, mortal, node, now, pass, retry,
};
use crate::backend::{End, Finish, Hold, Holding, TaskRules, Token};
use crate::run::{RunId, RunState};
use crate::schedule::Delivery;

/// A node that came when others were dead already gets their runs only after it has been there for as long as their lease
/// is, and ends none of them before; one that saw them die gets them at once.
pub async fn a_node_takes_over_only_after_a_lease_of_contact(backend: Subject) {
    let (first, second) = (Ticking::new(&backend, "first").await, Ticking::new(&backend, "second").await);
    let once = TaskRules { delivery: Delivery::AtMostOnce, ..TaskRules::default() };
    let once = Ticking::with(&backend, "once", once).await;
    let (dead, witness, newcomer) = (mortal("dead"), node("witness"), node("newcomer"));
    beat(&backend, &witness).await;
    for task in [&first, &second, &once] {
        task.hold(&dead, 1).await;
    }
    pass(&backend, dead.lease + SHORT).await;
    let came = beat(&backend, &newcomer).await;
    for task in [&first, &second, &once] {
        assert_eq!(task.claim(&newcomer, task.key.0).await, [], "it has not seen them die");
    }
    assert_eq!(once.row(1).await.state, RunState::Running, "nor does it end what may run once");
    assert_eq!(ids(&first.claim(&witness, 1).await), [first.id(1)], "who was there all along takes them over");
    assert_eq!(once.claim(&witness, 2).await, []);
    assert_eq!(once.row(1).await.state, RunState::Abandoned, "and ends what may run once");
    let claimed = second.claim_until_some(&newcomer, 1_000_000).await;
    assert_eq!(ids(&claimed), [second.id(1)]);
    let there = now(&backend).await.since(came);
    assert!(there >= dead.lease, "a newcomer waits for as long as their lease is, and not for {there:?}");
}

/// A silence that is too long breaks the contact of a node: while it lasts, and for the length of a lease afterwards, it
/// takes over nothing.
pub async fn a_silence_begins_the_contact_anew(backend: Subject) {
    let (before, behind) = (Ticking::new(&backend, "before").await, Ticking::new(&backend, "behind").await);
    let dead = mortal("dead");
    let heir = Holder { lease: 3 * dead.lease, ..node("heir") };
    before.hold(&dead, 1).await;
    behind.hold(&dead, 1).await;
    let claimed = before.claim_until_some(&heir, 1).await;
    assert_eq!(ids(&claimed), [before.id(1)], "its contact was unbroken for a lease");
    pass(&backend, heir.silence_max() + SHORT).await;
    assert_eq!(behind.claim(&heir, 1_000_000).await, [], "it has been silent for too long");
    let back = beat(&backend, &heir).await;
    assert_eq!(behind.claim(&heir, 1_000_001).await, [], "its contact has just begun anew");
    let claimed = behind.claim_until_some(&heir, 2_000_000).await;
    assert_eq!(ids(&claimed), [behind.id(1)]);
    let there = now(&backend).await.since(back);
    assert!(there >= dead.lease, "that took {there:?}, and a lease is {:?}", dead.lease);
}

/// An outage in which the leases of all nodes run out hands nothing over, whoever is back first.
pub async fn an_outage_hands_nothing_over(backend: Subject) {
    let (ones, others) = (Ticking::new(&backend, "one's").await, Ticking::new(&backend, "other's").await);
    let (one, other) = (mortal("one"), mortal("other"));
    let (kept, kept_too) = (ones.hold(&one, 1).await, others.hold(&other, 1).await);
    pass(&backend, one.lease + SHORT).await;
    let back = beat(&backend, &other).await;
    assert_eq!(ones.claim(&other, 1).await, [], "who is back first waits for the others");
    let mut number = 1;
    while now(&backend).await < after(back, 2 * u64::try_from(one.lease.as_millis()).expect("a short lease")) {
        number += 1;
        beat(&backend, &one).await;
        beat(&backend, &other).await;
        assert_eq!(others.claim(&one, number).await, [], "nor is anything handed over later");
        assert_eq!(ones.claim(&other, number).await, [], "nor is anything handed over later");
        pass(&backend, SHORT / 5).await;
    }
    ones.succeed(1, kept).await;
    others.succeed(1, kept_too).await;
}

/// A node that was cut off is told which of its runs it holds no more: those that it could not end either.
pub async fn what_a_node_holds_no_more_is_told(backend: Subject) {
    let task = Ticking::unlimited(&backend, "pay").await;
    let (away, other) = (dying("away"), node("other"));
    let (gone, held, kept) = (Ticking::new(&backend, "gone").await, node("held"), Ticking::new(&backend, "kept").await);
    let gones = gone.hold(&away, 1).await;
    let keeps = kept.hold(&away, 1).await;
    let mut holds = Vec::new();
    for n in 1..=5 {
        holds.push(task.hold(&held, n).await);
    }
    let (_, taken) = claim_until_some(&backend, &other, 1, &[gone.key]).await;
    task.succeed(2, holds[1]).await;
    let later = after(now(&backend).await, 600_000);
    task.end(3, holds[2], retry(later)).await;
    for (n, hold) in [(4, holds[3]), (5, holds[4])] {
        give_back(&backend, &task, n, hold).await;
    }
    task.claim(&node("third"), 1).await;

    let of = |task: &Ticking, id: RunId, token: Token| Holding { task: task.key, id, token };
    let unknown = super::id(task.key, 999);
    let asked = [
        of(&task, task.id(1), holds[0].token),
        of(&kept, kept.id(1), keeps.token),
        of(&gone, gone.id(1), gones.token),
        of(&task, task.id(2), holds[1].token),
        of(&task, task.id(3), holds[2].token),
        of(&task, task.id(4), holds[3].token),
        of(&task, unknown, Token(1)),
    ];
    let mut lost = backend.lost(&asked).await.expect("the question is answered");
    lost.sort();
    let mut expected = [gone.id(1), task.id(2), task.id(3), task.id(4), unknown];
    expected.sort();
    assert_eq!(
        lost, expected,
        "a run that is held, and one whose lease has run out while nobody took it, are not lost"
    );
    let again = [of(&gone, gone.id(1), taken[0].hold.token), of(&task, task.id(1), Token(holds[0].token.0 + 1))];
    let lost = backend.lost(&again).await.expect("the question is answered");
    assert_eq!(lost, [task.id(1)], "a run is held by its token");
    assert_eq!(backend.lost(&[]).await.expect("the question is answered"), []);
    kept.succeed(1, keeps).await;
    task.succeed(1, holds[0]).await;
}

async fn give_back(backend: &Subject, task: &Ticking, n: u64, hold: Hold) {
    let finished_at = now(backend).await;
    let end = End::HandBack;
    finish(
        backend,
        Finish { task: task.key, id: task.id(n), token: hold.token, end, started_at: None, finished_at, log: None },
    )
    .await;
}
