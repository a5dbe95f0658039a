//! Promises about runs that no occurrence asks for: triggers, backfills, and the start of a node.

use symphra_scheduler_core::Timestamp;

use super::{Subject, Ticking, control, id, ids, node, now, pause, submit, succeed, trigger};
use crate::backend::{Admission, Refusal, Submission, Submitted, TRIGGERS_WAITING_MAX, TaskKey, TaskRules};
use crate::run::{Origin, RunId, RunState};
use crate::schedule::Overlap;

const QUEUED: Submitted = Submitted::Queued { cancel: None };

/// The `number`-th run of a backfill.
pub(super) fn backfill(task: TaskKey, number: u64, at: Timestamp) -> Submission {
    let whole = RunId::from_parts(Timestamp::from_millis(1), 77);
    let id = id(task, 2_000_000 + number);
    Submission { id, task, origin: Origin::Backfill(whole), scheduled_at: Some(at), overlap: None }
}

fn start(task: TaskKey, overlap: Overlap) -> Submission {
    Submission { origin: Origin::Start, overlap: Some(overlap), ..trigger(task, 1) }
}

/// A trigger makes a run of the store's present that waits to be claimed, and leaves the mark and the ledger.
pub async fn a_trigger_leaves_the_schedule_alone(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let (before, submission) = (now(&backend).await, trigger(task.key, 1));
    let version = super::version(&backend).await;
    assert_eq!(submit(&backend, submission.clone()).await, QUEUED);
    assert!(super::changes(&backend, version).await.runnable, "all nodes are told that there is something");
    let run = task.claim(&node("a"), 1).await.remove(0);
    assert_eq!((run.id, run.origin, run.was), (submission.id, submission.origin, RunState::Queued));
    assert!(before <= run.scheduled_at && run.scheduled_at <= now(&backend).await, "it is of the store's present");
    let seen = task.look().await;
    assert_eq!((seen.mark, seen.alive), (task.start, None), "it is no occurrence");
    succeed(&backend, task.key, run.id, run.hold).await;
    assert_eq!(task.look().await.last_end, None, "nor does its end count for a fixed delay");
    task.accounts_for(0, 0).await;
}

/// A trigger of a full task waits its turn, and is never skipped.
pub async fn a_trigger_of_a_full_task_waits_its_turn(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let hold = task.hold(&node("a"), 1).await;
    for number in 1..=3 {
        assert_eq!(submit(&backend, trigger(task.key, number)).await, QUEUED, "however many wait");
    }
    assert_eq!(task.claim(&node("a"), 1).await, [], "the task is full");
    task.succeed(1, hold).await;
    for number in 1..=3 {
        let claimed = task.claim(&node("a"), 1 + number).await;
        assert_eq!(ids(&claimed), [trigger(task.key, number).id], "one after another");
        succeed(&backend, task.key, claimed[0].id, claimed[0].hold).await;
    }
}

/// The same submission again makes no second run, also when the first has ended.
pub async fn a_submission_whose_answer_was_lost_is_recognised(backend: Subject) {
    let task = Ticking::unlimited(&backend, "pay").await;
    for _ in 0..2 {
        assert_eq!(submit(&backend, trigger(task.key, 1)).await, QUEUED);
    }
    let claimed = task.claim(&node("a"), 1).await;
    assert_eq!(claimed.len(), 1, "there is one run");
    succeed(&backend, task.key, claimed[0].id, claimed[0].hold).await;
    assert_eq!(submit(&backend, trigger(task.key, 1)).await, QUEUED);
    assert_eq!(task.claim(&node("a"), 2).await, [], "it has run");
    assert_eq!(task.rows().await.len(), 1);
}

/// A policy that is given with a submission holds for it, whatever the task's own is.
pub async fn a_submission_may_have_its_own_policy(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", Overlap::BufferAll).await;
    let with = |number, overlap| Submission { overlap: Some(overlap), ..trigger(task.key, number) };
    let hold = task.hold(&node("a"), 1).await;
    let refused = Submitted::Refused(Refusal::Overlap(task.id(1)));
    assert_eq!(submit(&backend, with(1, Overlap::Skip)).await, refused, "skip refuses");
    assert_eq!(submit(&backend, with(2, Overlap::BufferOne)).await, QUEUED, "buffer_one lets one wait");
    let covered = Submitted::Refused(Refusal::CoveredBy(trigger(task.key, 2).id));
    assert_eq!(submit(&backend, with(3, Overlap::BufferOne)).await, covered, "and refuses the next");
    let cancelling = Submitted::Queued { cancel: Some(task.id(1)) };
    assert_eq!(submit(&backend, with(4, Overlap::CancelRunning)).await, cancelling, "cancel_running names the oldest");
    task.succeed(1, hold).await;
    task.accounts_for(1, 0).await;
    assert_eq!(task.records().await, [], "what is refused to a caller is no occurrence");
}

/// A run beside the others ignores their limit.
pub async fn a_run_beside_others_ignores_the_limit(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    task.hold(&node("a"), 1).await;
    let beside = Submission { overlap: Some(Overlap::Allow), ..trigger(task.key, 1) };
    assert_eq!(submit(&backend, beside.clone()).await, QUEUED);
    assert_eq!(ids(&task.claim(&node("a"), 1).await), [beside.id], "it begins beside the other");
    let overlap = task.fire(&node("a"), 2).await;
    assert!(matches!(overlap, Admission::Recorded(Refusal::Overlap(_))), "and counts for the next: {overlap:?}");
}

/// The runs of one backfill go one after another, the oldest first, whatever room there is.
pub async fn the_runs_of_a_backfill_go_one_after_another(backend: Subject) {
    let rules = TaskRules { alive_max: Some(2), ..TaskRules::default() };
    let task = Ticking::with(&backend, "pay", rules).await;
    let batch: Vec<_> = (1..=3).map(|number| backfill(task.key, number, task.at(number))).collect();
    let answers = backend.submit(&batch).await.expect("submissions are answered");
    assert_eq!(answers, [QUEUED; 3], "each submission has its answer");
    let mut number = 0;
    for submission in &batch {
        number += 1;
        let claimed = task.claim(&node("a"), number).await;
        assert_eq!(ids(&claimed), [submission.id], "one at a time, the oldest first");
        assert_eq!(Some(claimed[0].scheduled_at), submission.scheduled_at, "each of its instant");
        super::give_back(&backend, &claimed[0]).await;
        number += 1;
        let claimed = task.claim(&node("b"), number).await;
        assert_eq!(ids(&claimed), [submission.id], "also after it was given back");
        let later = now(&backend).await.plus(super::HOUR);
        let again = super::end(&backend, task.key, submission.id, claimed[0].hold.token, super::retry(later)).await;
        assert!(matches!(again, crate::backend::Stored::Done { .. }));
        number += 1;
        assert_eq!(task.claim(&node("a"), number).await, [], "nor does the next begin between two attempts");
        super::cancel(&backend, submission.id).await.expect("it is alive");
    }
    assert_eq!(task.look().await.mark, task.start, "a backfill moves no mark");
    task.accounts_for(0, 0).await;
}

/// A run at the start of a node is refused in a pause, and where the task is full by its policy.
pub async fn a_run_at_start_heeds_pause_and_overlap(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    control(&backend, pause(Some(task.key))).await;
    let refused = submit(&backend, start(task.key, Overlap::Skip)).await;
    assert_eq!(refused, Submitted::Refused(Refusal::Paused), "a pause applies");
    control(&backend, super::Command::Resume { task: Some(task.key) }).await;
    let hold = task.hold(&node("a"), 1).await;
    let refused = submit(&backend, start(task.key, Overlap::Skip)).await;
    assert_eq!(refused, Submitted::Refused(Refusal::Overlap(task.id(1))), "overlap applies");
    task.succeed(1, hold).await;
    assert_eq!(submit(&backend, start(task.key, Overlap::Skip)).await, QUEUED, "else it runs");
    assert_eq!(task.claim(&node("a"), 1).await[0].origin, Origin::Start);
}

/// A batch may be about one task more than once: what comes later in it finds what came before.
pub async fn submissions_of_one_batch_see_each_other(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let with = |number, overlap| Submission { overlap, ..trigger(task.key, number) };
    let batch =
        [with(1, Some(Overlap::Skip)), with(2, Some(Overlap::Skip)), with(3, Some(Overlap::BufferOne)), with(4, None)];
    let answers = backend.submit(&batch).await.expect("a submission is answered");
    let first = batch[0].id;
    let expected = [
        Submitted::Queued { cancel: None },
        Submitted::Refused(Refusal::Overlap(first)),
        Submitted::Refused(Refusal::CoveredBy(first)),
        Submitted::Queued { cancel: None },
    ];
    assert_eq!(answers, expected);
    let again = backend.submit(&batch[..1]).await.expect("a submission is answered");
    assert_eq!(again, [Submitted::Queued { cancel: None }], "also when its answer was lost");
    assert_eq!(task.rows().await.len(), 2);
}

/// Two starts of a task at one instant have one key: they are one run.
pub async fn two_starts_at_one_instant_are_one_run(backend: Subject) {
    let task = Ticking::unlimited(&backend, "pay").await;
    let at = now(&backend).await;
    let first = Submission { scheduled_at: Some(at), ..start(task.key, Overlap::Allow) };
    let second = Submission { id: id(task.key, 3_000_000), ..first.clone() };
    let later = Submission { id: id(task.key, 3_000_001), scheduled_at: Some(super::after(at, 1)), ..first.clone() };
    assert_eq!(submit(&backend, first.clone()).await, QUEUED);
    let hold = task.claim(&node("a"), 1).await.remove(0).hold;
    assert_eq!(submit(&backend, second.clone()).await, QUEUED);
    assert_eq!(task.claim(&node("a"), 2).await, [], "while the first is alive");
    succeed(&backend, task.key, first.id, hold).await;
    assert_eq!(submit(&backend, second).await, QUEUED);
    assert_eq!(task.claim(&node("a"), 3).await, [], "and after its end");
    assert_eq!(submit(&backend, later.clone()).await, QUEUED);
    assert_eq!(ids(&task.claim(&node("a"), 4).await), [later.id], "a later start is another");
}

/// Of one task as many triggers and runs of backfills may wait as the contract says; the next is refused, until one has
/// begun. Neither other tasks nor a run at the start of a node are kept out.
pub async fn triggers_that_wait_are_bounded(backend: Subject) {
    let (task, other) = (Ticking::new(&backend, "pay").await, Ticking::new(&backend, "bill").await);
    let most = TRIGGERS_WAITING_MAX as u64;
    let mut batch: Vec<_> = (1..most).map(|number| trigger(task.key, number)).collect();
    batch.push(backfill(task.key, 1, task.at(1)));
    let answers = backend.submit(&batch).await.expect("a submission is answered");
    assert!(answers.iter().all(|&answer| answer == QUEUED), "as many as may wait are accepted");
    assert_eq!(submit(&backend, trigger(task.key, most + 1)).await, Submitted::TooMany, "the next is not");
    assert_eq!(submit(&backend, backfill(task.key, 2, task.at(2))).await, Submitted::TooMany);
    assert_eq!(submit(&backend, trigger(task.key, most - 1)).await, QUEUED, "one that was accepted is recognised");
    assert_eq!(submit(&backend, trigger(other.key, 1)).await, QUEUED, "another task has its own");
    let start = Submission { overlap: None, ..start(task.key, Overlap::Skip) };
    assert_eq!(submit(&backend, Submission { id: id(task.key, 1), ..start }).await, QUEUED);
    let begun = task.claim(&node("a"), 1).await;
    assert_eq!(begun.len(), 1, "one begins");
    assert_eq!(submit(&backend, trigger(task.key, most + 2)).await, QUEUED, "and another may wait in its place");
}
