//! Promises about a mark that lies ahead of the store's clock, which was set back: what is shown again before it.

use symphra_scheduler_core::Timestamp;

use super::declaring::{counted, every_millisecond};
use super::{HOUR, Subject, after, control, declared, enqueue, every, id, node, now, register, tick};
use crate::backend::{Admission, Command, Firing, Reason, Record, Registered, TaskRules};

/// What is shown again is recorded once, by whichever node, and the store remembers how far.
pub async fn what_is_shown_again_is_recorded_once(backend: Subject) {
    let task = ahead(&backend, "pay").await;
    assert_eq!(task.behind, None, "nothing was shown again yet");
    let shown = shown_again(&task, 2, task.anchor, after(task.anchor, 4));
    assert_eq!(enqueue(&backend, &node("a"), shown.clone()).await, Admission::Passed);
    let seen = look(&backend, &task).await;
    assert_eq!((seen.mark, seen.behind), (task.mark, Some(after(task.anchor, 4))), "the mark stays where it is");
    assert_eq!(counted(&backend, &task).await.0.recorded, 5);

    assert_eq!(enqueue(&backend, &node("a"), shown).await, Admission::Passed, "also when its answer was lost");
    let other = shown_again(&task, 3, task.anchor, after(task.anchor, 4));
    assert_eq!(enqueue(&backend, &node("b"), other).await, Admission::Outdated, "another node is told to look");
    assert_eq!(counted(&backend, &task).await.0.recorded, 5, "nothing is recorded twice");

    let more = shown_again(&seen, 4, after(task.anchor, 5), after(task.anchor, 6));
    assert_eq!(enqueue(&backend, &node("b"), more).await, Admission::Passed, "who has looked goes on from there");
    let seen = look(&backend, &task).await;
    let back = shown_again(&seen, 5, task.anchor, task.anchor);
    assert_eq!(enqueue(&backend, &node("b"), back).await, Admission::Passed, "a clock may be set back once more");
    assert_eq!(look(&backend, &task).await.behind, Some(task.anchor));
    let on = Firing { advance_to: after(task.mark, 1), ..shown_again(&task, 6, task.mark, after(task.mark, 1)) };
    assert_eq!(enqueue(&backend, &node("a"), on).await, Admission::Passed);
    assert_eq!(look(&backend, &task).await.behind, None, "a mark that goes on has nothing behind it");
}

/// Where another schedule counts while the mark lies ahead, none of its instants up to the mark is lost: who comes later is
/// told from where on they are to be recorded, and what replaces it records what it owed.
pub async fn a_schedule_that_begins_behind_the_mark_is_accounted_for_from_there(backend: Subject) {
    let task = ahead(&backend, "pay").await;
    let command = Command::Reschedule { task: task.key, timetable: every_millisecond() };
    let changed = control(&backend, command).await.tasks.remove(0);
    assert_eq!((changed.mark, changed.behind), (task.mark, Some(changed.since)), "from the change on");

    tick(&backend, after(changed.since, 5)).await;
    let step = shown_again(&changed, 2, after(changed.since, 1), after(changed.since, 3));
    assert_eq!(enqueue(&backend, &node("a"), step).await, Admission::Passed);
    let upto = after(changed.since, 3);
    let again = register(&backend, &node("b"), declared("pay", &every(1), &TaskRules::default())).await;
    assert_eq!(again.behind, Some(upto), "a node that comes later is told how far it is recorded");

    let other = declared("pay", &every(86_400), &TaskRules::default());
    let replaced = register(&backend, &node("b"), other).await;
    let count = u64::try_from(replaced.since.since(upto).as_millis()).expect("a short time");
    let owed = Record::span(Reason::Rescheduled, after(upto, 1), replaced.since, count);
    assert_eq!(replaced.ended.as_deref(), Some(&owed), "what it owed is recorded, and told");
    assert_eq!(replaced.behind, Some(replaced.since), "and the next counts from its own change");
}

/// A mark that is put back to the store's present leaves what lies before that to be recorded.
pub async fn a_mark_that_is_put_back_keeps_what_is_to_be_recorded_before_it(backend: Subject) {
    let task = ahead(&backend, "pay").await;
    let command = Command::Reschedule { task: task.key, timetable: every_millisecond() };
    let changed = control(&backend, command).await.tasks.remove(0);
    tick(&backend, after(changed.since, 2)).await;
    let reset = control(&backend, Command::ResetMark { task: task.key }).await.tasks.remove(0);
    assert!(changed.since < reset.mark && reset.mark <= now(&backend).await, "the mark stands at the present");
    assert_eq!(reset.behind, Some(changed.since), "instants before it are still to be recorded");
}

/// A task whose mark lies a day ahead of the store's clock.
async fn ahead(backend: &Subject, name: &str) -> Registered {
    let task = register(backend, &node("a"), declared(name, &every(1), &TaskRules::default())).await;
    let leap =
        Firing { advance_to: task.mark.plus(24 * HOUR), passed: None, ..shown_again(&task, 1, task.mark, task.mark) };
    assert_eq!(enqueue(backend, &node("a"), leap).await, Admission::Passed);
    look(backend, &task).await
}

/// A step that leaves the mark where it is.
fn shown_again(task: &Registered, number: u64, first: Timestamp, last: Timestamp) -> Firing {
    let count = u64::try_from(last.since(first).as_millis()).expect("a short time") + 1;
    Firing {
        id: id(task.key, number),
        task: task.key,
        mark: task.mark,
        advance_to: task.mark,
        since: task.since,
        run: None,
        passed: Some(Record::span(Reason::ClockSetBack, first, last, count)),
        behind: task.behind,
    }
}

async fn look(backend: &Subject, task: &Registered) -> Registered {
    backend.look(&[task.key]).await.expect("a look is answered").remove(0)
}
