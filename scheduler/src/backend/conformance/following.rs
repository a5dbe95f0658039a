//! Promises about what nodes learn of each other's doings.

use std::sync::Arc;

use super::{
    Subject, Ticking, cancel, changes, control, declared, every, node, now, pause, register, retry, submit, trigger,
    version,
};
use crate::backend::{Admission, Command, Died, End, Firing, TaskRules};
use crate::outcome::{CancelCause, Outcome};
use crate::run::RunState;
use crate::schedule::{Delay, Delivery, Timetable};

/// A schedule whose next instant depends on the end of the last run.
fn fixed_delay() -> Arc<Timetable> {
    Arc::new(Timetable { delay: Delay::FixedDelay, ..(*every(1)).clone() })
}

/// Without a version the present one is told at once; with it, what has changed since, as soon as something has.
pub async fn changes_are_told_to_who_waits(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let first = tokio::time::timeout(super::PATIENCE, backend.changes(None)).await;
    let first = first.expect("the present version is told at once").expect("changes are told");
    assert!(first.tasks.is_empty() && first.cancelled.is_empty() && !first.runnable, "nothing besides");
    let waiting = {
        let backend = backend.clone();
        tokio::spawn(async move { changes(&backend, first.version).await })
    };
    tokio::task::yield_now().await;
    control(&backend, pause(Some(task.key))).await;
    let told = waiting.await.expect("the wait does not panic");
    assert!(told.version > first.version, "the version is another");
    assert_eq!(told.tasks.len(), 1, "one task has changed");
    assert_eq!((told.tasks[0].key, told.tasks[0].pause.is_some()), (task.key, true), "and how it stands now");
    let other = Ticking::new(&backend, "ship").await;
    control(&backend, pause(Some(other.key))).await;
    let later = changes(&backend, told.version).await.tasks;
    assert_eq!(later.iter().map(|task| task.key).collect::<Vec<_>>(), [other.key], "nothing is told twice");
}

/// Everything that a node has to know of is told, in one answer to who was away.
pub async fn every_kind_of_change_is_told(backend: Subject) {
    let (paused, moved) = (Ticking::new(&backend, "paused").await, Ticking::new(&backend, "moved").await);
    let (reset, other) = (Ticking::new(&backend, "reset").await, Ticking::new(&backend, "other").await);
    other.hold(&node("a"), 1).await;
    let before = version(&backend).await;
    control(&backend, pause(Some(paused.key))).await;
    control(&backend, Command::Reschedule { task: moved.key, timetable: every(9) }).await;
    control(&backend, Command::ResetMark { task: reset.key }).await;
    cancel(&backend, other.id(1)).await;
    submit(&backend, trigger(other.key, 1)).await;
    register(&backend, &node("b"), declared("other", &every(5), &TaskRules::default())).await;
    let told = changes(&backend, before).await;
    let of = |task: &Ticking| told.tasks.iter().find(|told| told.key == task.key).expect("its change is told");
    assert!(of(&paused).pause.is_some(), "a pause");
    assert_eq!(of(&moved).timetable, every(9), "a schedule");
    assert_eq!(of(&reset).mark, reset.start, "a mark, which lies behind and stays");
    assert_eq!(of(&other).timetable, every(5), "a declaration");
    assert_eq!(told.cancelled.iter().map(|run| run.id).collect::<Vec<_>>(), [other.id(1)], "a cancellation");
    assert!(told.runnable, "and that something waits");
}

/// A run that was given back is told, so that another node claims it.
pub async fn a_run_given_back_is_told(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let hold = task.hold(&node("a"), 1).await;
    let before = version(&backend).await;
    task.end(1, hold, End::HandBack).await;
    assert!(changes(&backend, before).await.runnable);
}

/// Who is so far behind that the changes are no longer all there is told that all has changed.
pub async fn who_is_far_behind_is_told_all(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let quiet = Ticking::new(&backend, "quiet").await;
    let before = version(&backend).await;
    quiet.hold(&node("a"), 1).await;
    cancel(&backend, quiet.id(1)).await;
    control(&backend, pause(Some(quiet.key))).await;
    for _ in 0..2_000 {
        control(&backend, pause(Some(task.key))).await;
    }
    let told = changes(&backend, before).await;
    assert!(told.tasks.iter().any(|told| told.key == quiet.key && told.pause.is_some()), "no change is missed");
    assert!(told.cancelled.iter().any(|run| run.id == quiet.id(1)), "nor a cancellation that still holds");
    assert_eq!(told.version, version(&backend).await, "and one is up to date then");
}

/// A claim tells when the task's latest successful run was, and so does the answer to a firing.
pub async fn the_previous_success_is_told(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let hold = task.hold(&node("a"), 1).await;
    task.succeed(1, hold).await;
    let hold = task.hold(&node("a"), 2).await;
    assert_eq!(hold.previous_success, Some(task.at(1)), "to a firing");
    task.end(2, hold, End::Final(super::disk_full())).await;
    submit(&backend, trigger(task.key, 1)).await;
    let run = task.claim(&node("a"), 1).await.remove(0);
    assert_eq!(run.hold.previous_success, Some(task.at(1)), "to a claim; a failure is none");
}

/// A look tells how the run ended that ended last, whoever asks, and so does a registration.
pub async fn how_the_last_run_ended_is_told(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    assert_eq!(task.look().await.latest, None, "none has ended");
    let ends = [
        (Outcome::Succeeded, RunState::Succeeded),
        (super::disk_full(), RunState::Failed),
        (Outcome::Cancelled(CancelCause::Requested), RunState::Cancelled),
    ];
    for (n, (outcome, state)) in (1..).zip(ends) {
        let hold = task.hold(&node("a"), n).await;
        task.end(n, hold, End::Final(outcome)).await;
        assert_eq!(task.look().await.latest, Some(state));
    }
    task.hold(&node("a"), 4).await;
    let again = register(&backend, &node("b"), declared("pay", &super::every(1), &TaskRules::default())).await;
    assert_eq!(again.latest, Some(RunState::Cancelled), "one that is alive has not ended");
}

/// A look tells the oldest scheduled run that is alive, and when the last one ended: all that a fixed delay needs.
pub async fn a_look_tells_what_a_fixed_delay_counts_from(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    control(&backend, Command::Reschedule { task: task.key, timetable: fixed_delay() }).await;
    let since = task.look().await.since;
    let fired = Firing { since, ..task.firing(1) };
    super::enqueue(&backend, &node("a"), fired).await;
    let seen = task.look().await;
    assert_eq!((seen.alive, seen.last_end), (Some(task.id(1)), None), "it is under way");

    let before = version(&backend).await;
    let hold = match super::enqueue(&backend, &node("a"), Firing { since, ..task.firing(1) }).await {
        Admission::Claimed(hold) => hold,
        other => panic!("a repeated call is the same: {other:?}"),
    };
    task.end(1, hold, retry(task.at(1))).await;
    assert_eq!(task.look().await.alive, Some(task.id(1)), "a run is all its attempts");
    let run = task.claim(&node("b"), 1).await.remove(0);
    let at = now(&backend).await;
    task.end(1, run.hold, End::Final(Outcome::Succeeded)).await;
    let seen = task.look().await;
    assert!(seen.alive.is_none() && seen.last_end.is_some_and(|end| end >= at), "then it has ended: {seen:?}");
    let told = changes(&backend, before).await;
    assert!(told.tasks.iter().any(|told| told.last_end == seen.last_end), "all nodes are told");
    let again = register(&backend, &node("c"), declared("pay", &every(1), &TaskRules::default())).await;
    assert_eq!(again.last_end, seen.last_end, "and it survives a registration");
}

/// The end of a run by the death of its node is told like any other.
pub async fn the_end_of_a_run_by_the_death_of_its_node_is_told(backend: Subject) {
    let rules = TaskRules { delivery: Delivery::AtMostOnce, ..TaskRules::default() };
    let task = Ticking::with(&backend, "pay", rules.clone()).await;
    let since = register(&backend, &node("a"), declared("pay", &fixed_delay(), &rules)).await.since;
    let dead = super::dying("dead");
    let fired = super::enqueue(&backend, &dead, Firing { since, ..task.firing(1) }).await;
    assert!(matches!(fired, Admission::Claimed(_)), "{fired:?}");
    let before = version(&backend).await;
    let following = {
        let backend = backend.clone();
        tokio::spawn(async move { changes(&backend, before).await })
    };
    let ending = async {
        for number in 1.. {
            assert_eq!(task.claim(&node("b"), number).await, [], "it may run once");
            if task.row(1).await.state == RunState::Abandoned {
                return;
            }
            tokio::time::sleep(super::SHORT / 5).await;
        }
    };
    tokio::time::timeout(super::PATIENCE, ending).await.expect("the run of a dead node ends");
    let told = following.await.expect("the wait does not panic").tasks;
    assert!(told.iter().any(|told| told.key == task.key && told.last_end.is_some()), "{told:?}");
}

/// A run that ends with its node is told to everybody who follows, once, whoever has ended it: as abandoned if it may be
/// executed once, else, at the third death, as failed.
pub async fn a_run_that_ends_with_its_node_is_told_once(backend: Subject) {
    let rules = TaskRules { delivery: Delivery::AtMostOnce, ..TaskRules::default() };
    let (once, killer) = (Ticking::with(&backend, "once", rules).await, Ticking::new(&backend, "killer").await);
    let before = version(&backend).await;
    once.hold(&super::dying("dead"), 1).await;
    killer.hold(&super::dying("first"), 1).await;
    for name in ["second", "third"] {
        killer.claim_until_some(&super::mortal(name), 1).await;
    }
    let following = async {
        let (mut told, mut version) = (Vec::new(), before);
        while told.len() < 2 {
            let more = changes(&backend, version).await;
            (told, version) = ([told, more.died].concat(), more.version);
        }
        (told, version)
    };
    let ending = async {
        for number in 1.. {
            // Of several who might, one ends it.
            for heir in ["b", "c"] {
                super::beat(&backend, &node(heir)).await;
                let claimed = super::claim(&backend, &node(heir), number, &[once.key, killer.key]).await.runs;
                assert_eq!(claimed, [], "neither is executed again");
            }
            let ended = (once.row(1).await.finished_at, killer.row(1).await.finished_at);
            if let (Some(one), Some(other)) = ended {
                return (one, other);
            }
            tokio::time::sleep(super::SHORT / 5).await;
        }
        unreachable!("the numbers do not end")
    };
    let both = async { tokio::join!(following, ending) };
    let ((mut told, version), ended) = tokio::time::timeout(super::PATIENCE, both).await.expect("both end");
    let (id, task, node) = (once.id(1), once.key, Arc::from("dead"));
    let abandoned = Died { id, task, node, attempt: 1, deaths: 1, state: RunState::Abandoned, ended_at: ended.0 };
    let (id, task, node) = (killer.id(1), killer.key, Arc::from("third"));
    let failed = Died { id, task, node, attempt: 3, deaths: 3, state: RunState::Failed, ended_at: ended.1 };
    told.sort_by_key(|died| died.attempt);
    assert_eq!(told, [abandoned, failed]);
    submit(&backend, trigger(once.key, 1)).await;
    assert_eq!(changes(&backend, version).await.died, [], "nothing is told twice");
    let mut again = changes(&backend, before).await.died;
    again.sort_by_key(|died| died.attempt);
    assert_eq!(again, told, "but to another who follows from before");
}

/// A fixed delay counts from the end that was stored last, also where a clock that was set back says that it was earlier.
pub async fn the_last_end_is_the_one_stored_last(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    for (n, end) in [(1, 9), (2, 5)] {
        let hold = task.hold(&node("a"), n).await;
        let (id, token) = (task.id(n), hold.token);
        let (end, finished_at) = (End::Final(Outcome::Succeeded), task.at(end));
        let ended = crate::backend::Finish { task: task.key, id, token, end, started_at: None, finished_at, log: None };
        super::finish(&backend, ended).await;
        assert_eq!(task.look().await.last_end, Some(finished_at), "run {n}");
    }
}
