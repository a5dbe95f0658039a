//! The step of a task that is due: which occurrence becomes a run, and which are recorded. Pure.

use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::state::{Next, TaskState};
use crate::backend::{Firing, NewRun, Reason, Record};
use crate::run::{Missed, Origin, RunId};

/// The step of `task`, which is due at `now`, under the name `id`.
///
/// An occurrence at most `grace` late runs as itself. Of those that are later, the newest runs and covers the others
/// (the misfire policy `run_once`): a task that was away for a year runs once, not for each time it missed.
pub(super) fn step(task: &TaskState, now: Timestamp, grace: Duration, id: RunId) -> Option<Firing> {
    match task.next {
        Next::Ahead(at) if now.since(at) <= grace => {
            let run = Some(NewRun { accept_until: Some(at.plus(grace)), ..new_run(task, at) });
            Some(Firing { run, ..advance(task, at, id) })
        }
        Next::Ahead(first) => Some(misfire(task, first, now, grace, id)),
        Next::Again(first) => {
            let upto = now.min(task.mark);
            let last = task.live.plan.last(upto).unwrap_or(first).max(first);
            let count = task.live.plan.count(before(first), last);
            let passed = Some(Record::span(Reason::ClockSetBack, first, last, count));
            Some(Firing { passed, ..advance(task, task.mark, id) })
        }
        Next::LateOnce(at) => {
            let run = Some(new_run(task, at));
            Some(Firing { run, ..advance(task, at, id) })
        }
        Next::PastOnce(at) => {
            let passed = Some(Record::one(Reason::PastAtFirstSight, at));
            Some(Firing { passed, ..advance(task, at, id) })
        }
        Next::Answer | Next::Over => None,
    }
}

fn misfire(task: &TaskState, first: Timestamp, now: Timestamp, grace: Duration, id: RunId) -> Firing {
    let plan = &task.live.plan;
    let newest = plan.last(before(now.minus(grace))).unwrap_or(first).max(first);
    let covered = plan.last(before(newest)).filter(|&last| last >= first);
    let missed = covered.map(|last| Record::span(Reason::Missed, first, last, plan.count(before(first), last)));
    let run = NewRun { missed: missed.map(|record| Missed::new(record.count, record.first)), ..new_run(task, newest) };
    Firing { run: Some(run), passed: missed, ..advance(task, newest, id) }
}

/// A run that is accepted however late: it is known to be.
fn new_run(task: &TaskState, at: Timestamp) -> NewRun {
    NewRun {
        origin: Origin::Schedule,
        scheduled_at: at,
        due_at: at,
        missed: None,
        alive_max: task.live.alive_max,
        accept_until: None,
    }
}

fn advance(task: &TaskState, to: Timestamp, id: RunId) -> Firing {
    Firing { id, task: task.live.key, mark: task.mark, advance_to: to, run: None, passed: None }
}

fn before(at: Timestamp) -> Timestamp {
    at.minus(Duration::from_millis(1))
}
