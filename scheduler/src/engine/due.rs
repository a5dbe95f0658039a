//! The step of a task that is due: which occurrence becomes a run, and which are recorded. Pure.

use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::state::{Next, TaskState};
use crate::backend::{Firing, NewRun, Reason, Record};
use crate::run::{Missed, Origin, RunIds};

/// The step of `task`, which is due at `now`.
///
/// An occurrence at most `grace` late runs as itself. Of those that are later, the newest runs and covers the others
/// (the misfire policy `run_once`): a task that was away for a year runs once, not for each time it missed.
pub(super) fn step(task: &TaskState, now: Timestamp, grace: Duration, ids: &mut RunIds) -> Option<Firing> {
    match task.next {
        Next::Ahead(at) if now.since(at) <= grace => {
            let run = Some(NewRun { accept_until: Some(at.plus(grace)), ..new_run(task, at, now, ids) });
            Some(Firing { run, ..advance(task, at) })
        }
        Next::Ahead(first) => Some(misfire(task, first, now, grace, ids)),
        Next::Again(first) => {
            let upto = now.min(task.mark);
            let last = task.live.plan.last(upto).unwrap_or(first).max(first);
            let count = task.live.plan.count(before(first), last);
            let passed = Some(Record::span(Reason::ClockSetBack, first, last, count));
            Some(Firing { passed, ..advance(task, task.mark) })
        }
        Next::LateOnce(at) => {
            let run = Some(new_run(task, at, now, ids));
            Some(Firing { run, ..advance(task, after(task.mark)) })
        }
        Next::PastOnce(at) => {
            let passed = Some(Record::one(Reason::PastAtFirstSight, at));
            Some(Firing { passed, ..advance(task, after(task.mark)) })
        }
        Next::Answer | Next::Over => None,
    }
}

fn misfire(task: &TaskState, first: Timestamp, now: Timestamp, grace: Duration, ids: &mut RunIds) -> Firing {
    let plan = &task.live.plan;
    let newest = plan.last(before(now.minus(grace))).unwrap_or(first).max(first);
    let covered = plan.last(before(newest)).filter(|&last| last >= first);
    let missed = covered.map(|last| Record::span(Reason::Missed, first, last, plan.count(before(first), last)));
    let run = NewRun {
        missed: missed.map(|record| Missed::new(record.count, record.first)),
        ..new_run(task, newest, now, ids)
    };
    Firing { run: Some(run), passed: missed, ..advance(task, newest) }
}

/// A run that is accepted however late: it is known to be.
fn new_run(task: &TaskState, at: Timestamp, now: Timestamp, ids: &mut RunIds) -> NewRun {
    NewRun {
        id: ids.next(now),
        origin: Origin::Schedule,
        scheduled_at: at,
        due_at: at,
        missed: None,
        alive_max: task.live.alive_max,
        accept_until: None,
    }
}

fn advance(task: &TaskState, to: Timestamp) -> Firing {
    Firing { task: task.live.key, mark: task.mark, advance_to: to, run: None, passed: None }
}

fn before(at: Timestamp) -> Timestamp {
    at.minus(Duration::from_millis(1))
}

fn after(at: Timestamp) -> Timestamp {
    at.plus(Duration::from_millis(1))
}
