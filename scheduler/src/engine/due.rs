//! The step of a task that is due: which occurrence becomes a run, and which are recorded. Pure.

use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::state::{Next, TaskState};
use crate::backend::{Firing, NewRun, Reason, Record};
use crate::run::{Missed, Origin, RunId};
use crate::schedule::{CAUGHT_UP_MAX, Misfire, Plan};

/// The step of `task`, which is due at `now`, under the name `id`; `behind` is up to where it is recorded what a clock that
/// was set back has shown again.
///
/// An occurrence at most `grace` late runs as itself. What becomes of those that are later is the task's misfire policy;
/// what fell due in a pause is recorded and never caught up.
pub(crate) fn step(
    task: &TaskState,
    behind: Option<Timestamp>,
    now: Timestamp,
    grace: Duration,
    id: RunId,
) -> Option<Firing> {
    let plan = &task.plan;
    match task.next {
        Next::Ahead(first) => {
            let paused = task.pause.as_ref().map(|pause| (now, Some(pause.to_string())));
            let resumed = task.resumed_at.filter(|&at| plan.due(first) <= at).map(|at| (at, None));
            if let Some((upto, note)) = paused.or(resumed) {
                let last = plan.newest_due(first, upto);
                let passed = span(plan, Reason::Paused, first, last).noted(note);
                return Some(Firing { passed: Some(passed), ..advance(task, last, id) });
            }
            let due_at = plan.due(first);
            if now.since(due_at) <= grace {
                let run = NewRun { due_at, accept_until: Some(due_at.plus(grace)), ..new_run(first) };
                return Some(Firing { run: Some(run), ..advance(task, first, id) });
            }
            Some(misfire(task, first, now, grace, id))
        }
        Next::Again(first) => {
            let upto = now.min(task.mark);
            let last = plan.last(upto).unwrap_or(first).max(first);
            let passed = Some(span(plan, Reason::ClockSetBack, first, last));
            Some(Firing { passed, behind, ..advance(task, task.mark, id) })
        }
        Next::Delayed(at) => {
            if let Some(pause) = &task.pause {
                let passed = Record::one(Reason::Paused, at).noted(Some(pause.to_string()));
                return Some(Firing { passed: Some(passed), ..advance(task, at, id) });
            }
            Some(Firing { run: Some(new_run(at)), ..advance(task, at, id) })
        }
        Next::LateOnce(at) => Some(Firing { run: Some(new_run(at)), ..advance(task, at, id) }),
        Next::PastOnce(at) => {
            let passed = Some(Record::one(Reason::PastAtFirstSight, at));
            Some(Firing { passed, ..advance(task, at, id) })
        }
        Next::Answer | Next::Awaits(_) | Next::Over => None,
    }
}

fn misfire(task: &TaskState, first: Timestamp, now: Timestamp, grace: Duration, id: RunId) -> Firing {
    let plan = &task.plan;
    // Those that are due before this instant are late.
    let newest = plan.newest_due(first, just_before(now.minus(grace)));
    let oldest_wanted = task.live.policy.catch_up_window.map_or(Timestamp::MIN, |window| now.minus(window));
    match task.live.policy.misfire {
        Misfire::Skip => {
            let passed = Some(span(plan, Reason::Missed, first, newest));
            Firing { passed, ..advance(task, newest, id) }
        }
        Misfire::RunOnce | Misfire::RunAll if newest < oldest_wanted => {
            let passed = Some(span(plan, Reason::TooOld, first, newest));
            Firing { passed, ..advance(task, newest, id) }
        }
        Misfire::RunOnce => {
            let passed = before(plan, Reason::Missed, first, newest);
            let missed = passed.as_ref().map(|record| Missed::new(record.count, record.first));
            Firing { run: Some(NewRun { missed, ..late_run(plan, newest) }), passed, ..advance(task, newest, id) }
        }
        Misfire::RunAll => {
            let in_window = plan.next(just_before(oldest_wanted.max(first))).unwrap_or(first).min(newest);
            let too_many = plan.count(just_before(in_window), newest) > CAUGHT_UP_MAX;
            // A step makes one record: first of what is too old, and then of what is too much.
            let (at, reason) = match too_many {
                true if in_window > first => {
                    let passed = before(plan, Reason::TooOld, first, in_window);
                    let upto = passed.as_ref().map_or(first, |record| record.last);
                    return Firing { passed, ..advance(task, upto, id) };
                }
                true => (plan.nth_before(newest, CAUGHT_UP_MAX), Reason::TooMany),
                false => (in_window, Reason::TooOld),
            };
            let passed = before(plan, reason, first, at);
            Firing { run: Some(late_run(plan, at)), passed, ..advance(task, at, id) }
        }
    }
}

fn span(plan: &Plan, reason: Reason, first: Timestamp, last: Timestamp) -> Record {
    Record::span(reason, first, last, plan.count(just_before(first), last))
}

/// The occurrences from `first` on that lie before `at`.
fn before(plan: &Plan, reason: Reason, first: Timestamp, at: Timestamp) -> Option<Record> {
    let last = plan.last(just_before(at)).filter(|&last| last >= first)?;
    Some(span(plan, reason, first, last))
}

/// A run that is accepted however late: it is known to be.
fn new_run(at: Timestamp) -> NewRun {
    NewRun { origin: Origin::Schedule, scheduled_at: at, due_at: at, missed: None, accept_until: None }
}

fn late_run(plan: &Plan, at: Timestamp) -> NewRun {
    NewRun { due_at: plan.due(at), ..new_run(at) }
}

fn advance(task: &TaskState, to: Timestamp, id: RunId) -> Firing {
    Firing {
        id,
        task: task.live.key,
        mark: task.mark,
        advance_to: to,
        since: task.plan.since(),
        run: None,
        passed: None,
        behind: None,
    }
}

fn just_before(at: Timestamp) -> Timestamp {
    at.minus(Duration::from_millis(1))
}
