//! Promises about a task that is full: what becomes of the next occurrence.

use super::{Subject, Ticking, ids, node, now, retry, submit, trigger};
use crate::backend::{Admission, End, Firing, NewRun, Reason, Record, Refusal, Stored, TaskRules};
use crate::outcome::{CancelCause, Outcome};
use crate::run::{Missed, RunState};
use crate::schedule::{BUFFERED_MAX, Overlap};

/// With as many runs alive as are allowed, whoever holds them, the occurrence is recorded and the mark advances.
pub async fn a_full_task_is_recorded_with_the_run_that_fills_it(backend: Subject) {
    let task = Ticking::with(&backend, "pay", TaskRules { alive_max: Some(2), ..TaskRules::default() }).await;
    task.hold(&node("a"), 1).await;
    task.hold(&node("b"), 2).await;
    let overlap = Refusal::Overlap(task.id(1));
    assert_eq!(task.fire(&node("a"), 3).await, Admission::Recorded(overlap), "the oldest run is named");
    let record = Record::one(Reason::Overlap, task.at(3)).noted(overlap.note());
    assert_eq!(task.records().await, [record], "the occurrence is recorded, with the run in the way");
    assert_eq!(task.look().await.mark, task.at(3), "the mark has passed it");
    task.accounts_for(2, 1).await;
}

/// A task is full by runs that wait and by those between two attempts as by those under way.
pub async fn a_run_is_alive_from_its_acceptance_to_its_end(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    submit(&backend, trigger(task.key, 1)).await;
    assert!(matches!(task.fire(&node("a"), 1).await, Admission::Recorded(Refusal::Overlap(_))), "a queued run is");
    let run = task.claim(&node("a"), 1).await.remove(0);
    assert!(matches!(task.fire(&node("a"), 2).await, Admission::Recorded(Refusal::Overlap(_))), "a running one is");
    let later = now(&backend).await.plus(super::HOUR);
    super::end(&backend, task.key, run.id, run.hold.token, retry(later)).await;
    assert!(matches!(task.fire(&node("a"), 3).await, Admission::Recorded(Refusal::Overlap(_))), "a retrying one is");
    super::cancel(&backend, run.id).await;
    task.hold(&node("a"), 4).await;
}

/// A run that has ended is no longer alive: a task with one place is free again.
pub async fn a_run_that_has_ended_makes_room(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    for n in 1..=3 {
        let hold = task.hold(&node("a"), n).await;
        assert_eq!(task.end(n, hold, End::Final(Outcome::Succeeded)).await, Stored::Done { more: false });
    }
}

/// `alive_max: None` is no limit.
pub async fn without_a_limit_every_occurrence_runs(backend: Subject) {
    let task = Ticking::unlimited(&backend, "pay").await;
    for n in 1..=50 {
        task.hold(&node("a"), n).await;
    }
    assert_eq!(task.rows().await.len(), 50, "all of them are alive");
}

/// Under `buffer_one` one occurrence waits; the next are covered by it, which tells their number.
pub async fn buffer_one_lets_one_wait_that_covers_the_next(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", Overlap::BufferOne).await;
    let hold = task.hold(&node("a"), 1).await;
    task.wait(2).await;
    assert_eq!(task.row(2).await.state, RunState::Queued);
    assert_eq!(task.claim(&node("b"), 1).await, [], "there is no room for it yet");
    for n in 3..=5 {
        let covered = Admission::Recorded(Refusal::CoveredBy(task.id(2)));
        assert_eq!(task.fire(&node("a"), n).await, covered, "it is covered");
        assert_eq!(task.fire(&node("a"), n).await, covered, "a repeated call has the same answer");
    }
    let records = task.records().await;
    assert_eq!((records.len(), records[0].reason, records[0].count), (1, Reason::Covered, 3), "and recorded");
    let ended = task.end(1, hold, End::Final(Outcome::Succeeded)).await;
    assert_eq!(ended, Stored::Done { more: true }, "who ends the run is told that one waits");
    let claimed = task.claim(&node("b"), 2).await;
    assert_eq!(ids(&claimed), [task.id(2)], "it begins when there is room");
    assert_eq!(claimed[0].missed, Some(Missed::new(3, task.at(3))), "and knows what it covers");
    task.succeed(2, claimed[0].hold).await;
    task.accounts_for(2, 3).await;
}

/// Under `buffer_all` each occurrence waits its turn.
pub async fn buffer_all_lets_each_wait_its_turn(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", Overlap::BufferAll).await;
    let mut hold = task.hold(&node("a"), 1).await;
    for n in 2..=4 {
        task.wait(n).await;
    }
    for n in 2..=4 {
        task.succeed(n - 1, hold).await;
        let claimed = task.claim(&node("a"), n).await;
        assert_eq!(ids(&claimed), [task.id(n)], "one after another, the oldest first");
        hold = claimed[0].hold;
    }
    task.accounts_for(4, 0).await;
}

/// Under `buffer_all` a thousand wait at most; what is beyond is recorded.
pub async fn buffer_all_is_bounded(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", Overlap::BufferAll).await;
    task.hold(&node("a"), 1).await;
    let waiting = BUFFERED_MAX as u64;
    for n in 2..=waiting + 1 {
        task.wait(n).await;
    }
    let beyond = task.fire(&node("a"), waiting + 2).await;
    assert_eq!(beyond, Admission::Recorded(Refusal::BufferFull), "no more may wait");
    assert_eq!(task.records().await, [Record::one(Reason::BufferFull, task.at(waiting + 2))]);
    task.accounts_for(waiting + 1, 1).await;
}

/// Under `cancel_running` the oldest run is asked to cancel and the occurrence waits for its end.
pub async fn cancel_running_waits_for_the_end_of_the_oldest(backend: Subject) {
    let rules = TaskRules { alive_max: Some(2), overlap: Overlap::CancelRunning, ..TaskRules::default() };
    let task = Ticking::with(&backend, "pay", rules).await;
    let hold = task.hold(&node("a"), 1).await;
    task.hold(&node("b"), 2).await;
    let before = super::version(&backend).await;
    assert_eq!(task.fire(&node("b"), 3).await, Admission::Queued { cancel: Some(task.id(1)) }, "the oldest is named");
    let told = super::changes(&backend, before).await.cancelled;
    let told: Vec<_> = told.iter().map(|run| (run.id, run.cause, run.was)).collect();
    assert_eq!(told, [(task.id(1), CancelCause::Replaced, RunState::Running)], "all nodes are told");
    assert_eq!(task.claim(&node("b"), 1).await, [], "there is no room yet");
    let cancelled = End::Final(Outcome::Cancelled(CancelCause::Replaced));
    assert_eq!(task.end(1, hold, cancelled).await, Stored::Done { more: true });
    assert_eq!(ids(&task.claim(&node("b"), 2).await), [task.id(3)], "then it begins");
    task.accounts_for(3, 0).await;
}

/// Under `cancel_running` a second arrival takes the place of the one that waits, which ends as cancelled.
pub async fn cancel_running_lets_only_the_newest_wait(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", Overlap::CancelRunning).await;
    let hold = task.hold(&node("a"), 1).await;
    for n in 2..=3 {
        assert_eq!(task.fire(&node("a"), n).await, Admission::Queued { cancel: Some(task.id(1)) });
    }
    let replaced = task.row(2).await;
    assert_eq!(replaced.state, RunState::Cancelled, "the one that waited has ended");
    assert_eq!(replaced.failure, Outcome::Cancelled(CancelCause::Replaced).text(), "and says why");
    task.succeed(1, hold).await;
    assert_eq!(ids(&task.claim(&node("a"), 1).await), [task.id(3)], "the newest begins");
    task.accounts_for(3, 0).await;
}

/// Under `cancel_running` a run between two attempts ends at once, and the occurrence begins.
pub async fn cancel_running_ends_a_retrying_run_at_once(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", Overlap::CancelRunning).await;
    let hold = task.hold(&node("a"), 1).await;
    let later = now(&backend).await.plus(super::HOUR);
    task.end(1, hold, retry(later)).await;
    task.hold(&node("a"), 2).await;
    assert_eq!(task.row(1).await.state, RunState::Cancelled, "nothing had to be waited for");
    assert_eq!(super::claim(&backend, &node("a"), 1, &[task.key]).await.next_at, None, "nor is it tried again");
}

/// Under `cancel_running` an occurrence that waits for its group is replaced like any other, although nothing runs.
pub async fn cancel_running_replaces_what_waits_for_its_group(backend: Subject) {
    let group = Some(crate::backend::Group { name: "db".into(), max: 1 });
    let filler = Ticking::with(&backend, "filler", TaskRules { group: group.clone(), ..TaskRules::default() }).await;
    let rules = TaskRules { group, overlap: Overlap::CancelRunning, ..TaskRules::default() };
    let task = Ticking::with(&backend, "pay", rules).await;
    let hold = filler.hold(&node("a"), 1).await;
    task.wait(1).await;
    task.wait(2).await;
    assert_eq!(task.row(1).await.state, RunState::Cancelled, "the newer takes its place");
    filler.succeed(1, hold).await;
    assert_eq!(ids(&task.claim(&node("a"), 1).await), [task.id(2)]);
    task.accounts_for(2, 0).await;
}

/// Under `cancel_running` a trigger that waits is not replaced: it was promised its turn.
pub async fn cancel_running_leaves_a_trigger_its_turn(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", Overlap::CancelRunning).await;
    let hold = task.hold(&node("a"), 1).await;
    submit(&backend, trigger(task.key, 1)).await;
    assert_eq!(task.fire(&node("a"), 2).await, Admission::Queued { cancel: Some(task.id(1)) });
    task.succeed(1, hold).await;
    let mut begun = Vec::new();
    for number in 1..=2 {
        let run = task.claim(&node("a"), number).await.remove(0);
        super::succeed(&backend, task.key, run.id, run.hold).await;
        begun.push(run.id);
    }
    begun.sort();
    assert_eq!(begun, [task.id(2), trigger(task.key, 1).id], "both have run");
}

/// The same firing again finds the run that waits, and names the run that is cancelled for it.
pub async fn a_firing_that_waits_is_recognised(backend: Subject) {
    for (name, overlap) in [("one", Overlap::BufferOne), ("all", Overlap::BufferAll), ("last", Overlap::CancelRunning)]
    {
        let task = Ticking::overlapping(&backend, name, overlap).await;
        task.hold(&node("a"), 1).await;
        let first = task.fire(&node("a"), 2).await;
        assert!(matches!(first, Admission::Queued { .. }), "{first:?}");
        assert_eq!(task.fire(&node("a"), 2).await, first, "a repeated call has the same answer");
        assert_eq!(task.rows().await.len(), 2, "and makes no second run");
        task.accounts_for(2, 0).await;
    }
}

/// A run that covers an occurrence covers what that one would have stood for.
pub async fn what_a_covered_occurrence_stood_for_is_covered_with_it(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", Overlap::BufferOne).await;
    let hold = task.hold(&node("a"), 1).await;
    task.wait(2).await;
    let missed = Some(Missed::new(2, task.at(3)));
    let passed = Some(Record::span(Reason::Missed, task.at(3), task.at(4), 2));
    let run = Some(NewRun { missed, ..task.run(5) });
    let late = Firing { mark: task.at(2), passed, run, ..task.firing(5) };
    let covered = super::enqueue(&backend, &node("a"), late).await;
    assert_eq!(covered, Admission::Recorded(Refusal::CoveredBy(task.id(2))));
    task.succeed(1, hold).await;
    let claimed = task.claim(&node("a"), 1).await;
    assert_eq!(claimed[0].missed, Some(Missed::new(3, task.at(3))));
    task.accounts_for(2, 3).await;
}

/// Under `buffer_one` a trigger and the runs of a backfill that wait stand for nothing but themselves: they neither cover
/// an occurrence nor keep it from waiting.
pub async fn buffer_one_is_for_occurrences_only(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", Overlap::BufferOne).await;
    let hold = task.hold(&node("a"), 1).await;
    submit(&backend, trigger(task.key, 1)).await;
    submit(&backend, super::submitting::backfill(task.key, 1, task.at(1))).await;
    task.wait(2).await;
    let covered = task.fire(&node("a"), 3).await;
    assert_eq!(covered, Admission::Recorded(Refusal::CoveredBy(task.id(2))), "an occurrence covers the next");
    let mut hold = (task.id(1), hold);
    let mut begun = Vec::new();
    for number in 1..=3 {
        super::succeed(&backend, task.key, hold.0, hold.1).await;
        let run = task.claim(&node("a"), number).await.remove(0);
        begun.push((run.id, run.missed));
        hold = (run.id, run.hold);
    }
    begun.sort_by_key(|&(id, _)| id);
    let missed = Some(Missed::new(1, task.at(3)));
    let backfilled = super::submitting::backfill(task.key, 1, task.at(1)).id;
    assert_eq!(begun, [(task.id(2), missed), (trigger(task.key, 1).id, None), (backfilled, None)], "each has its turn");
    task.accounts_for(2, 1).await;
}
