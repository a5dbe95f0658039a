//! Who executes what: one slot for each worker, in which its present run can be found, asked to cancel and aborted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::cancel::Cancel;
use super::{GRACE, Job, Surroundings};
use crate::backend::{Holding, Token};
use crate::run::RunId;
use crate::task::{LiveTask, TaskName};

/// The slots of all workers that live.
#[derive(Default)]
pub(super) struct Slots(Mutex<Vec<Arc<Shown>>>);

/// What a slot shows of its worker.
pub(super) struct Shown {
    running: Mutex<Option<Running>>,
    /// Here, so that a run takes one reference, which only its own worker counts, and not one that all workers do.
    pub(super) surroundings: Arc<Surroundings>,
}

impl Shown {
    /// What is shown is replaced whole, so a panic cannot leave half of it.
    pub(super) fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long after it should have been dropped a body counts as stuck: a busy machine is no stuck body.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// One worker's side of its slot.
pub(super) struct Slot {
    shown: Arc<Shown>,
    /// The cancellation of the last run, to be used again.
    spare: Arc<Cancel>,
}

/// A run that executes.
pub(super) struct Running {
    pub(super) task: Arc<LiveTask>,
    pub(super) id: RunId,
    token: Token,
    pub(super) scheduled_at: Timestamp,
    pub(super) attempt: u32,
    pub(super) started_at: Timestamp,
    pub(super) began: Instant,
    pub(super) cancel: Arc<Cancel>,
    pub(super) progress: Option<Arc<str>>,
}

impl Running {
    pub(super) fn holding(&self) -> Holding {
        Holding { task: self.task.key, id: self.id, token: self.token }
    }

    /// Whether its body should have been dropped by now, and never came to an await.
    fn is_stuck(&self, now: Instant) -> bool {
        let asked_at = self.cancel.why().map(|(_, at)| at);
        let too_long = self.task.policy.timeout.map(|timeout| self.began + timeout);
        asked_at.or(too_long).is_some_and(|at| now > at + GRACE + STUCK_AFTER)
    }
}

/// A run that executes, as it is listed.
///
/// ```
/// use symphra_scheduler::SchedulerHandle;
///
/// fn show(scheduler: &SchedulerHandle) {
///     for run in scheduler.running_runs() {
///         let progress = run.progress.as_deref().unwrap_or("no word of its progress");
///         println!("{} attempt {}, for {:?}: {progress}", run.task, run.attempt, run.running_for);
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunningRun {
    /// The task's name.
    pub task: TaskName,
    /// The run.
    pub id: RunId,
    /// The nominal instant.
    pub scheduled_at: Timestamp,
    /// Its attempt, counted from 1.
    pub attempt: u32,
    /// When its attempt began, by the store's clock as the node knew it then.
    pub started_at: Timestamp,
    /// How long ago that was, by the time that passed.
    pub running_for: Duration,
    /// What its body last said of its progress.
    pub progress: Option<Arc<str>>,
    /// Whether its body should have been dropped more than a second ago and cannot be, because it never comes to an
    /// await.
    pub stuck: bool,
}

impl Slot {
    /// Shows the run that begins, and answers with its cancellation.
    pub(super) fn begin(&mut self, job: &Job, started_at: Timestamp, began: Instant) -> Arc<Cancel> {
        let cancel = Cancel::recycle(std::mem::take(&mut self.spare));
        *self.shown.running() = Some(Running {
            task: Arc::clone(&job.task),
            id: job.id,
            token: job.token,
            scheduled_at: job.scheduled_at,
            attempt: job.attempt,
            started_at,
            began,
            cancel: Arc::clone(&cancel),
            progress: None,
        });
        cancel
    }

    /// What the slot shows, for the run that executes in it.
    pub(super) fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown)
    }

    /// Shows nothing any more.
    pub(super) fn end(&mut self) {
        if let Some(running) = self.shown.running().take() {
            self.spare = running.cancel;
        }
    }
}

impl Slots {
    pub(super) fn enter(&self, surroundings: &Arc<Surroundings>) -> Slot {
        let shown = Shown { running: Mutex::default(), surroundings: Arc::clone(surroundings) };
        let slot = Slot { shown: Arc::new(shown), spare: Arc::default() };
        self.all().push(Arc::clone(&slot.shown));
        slot
    }

    pub(super) fn leave(&self, slot: Slot) {
        self.all().retain(|known| !Arc::ptr_eq(known, &slot.shown));
    }

    pub(super) fn for_each(&self, act: impl Fn(&Running)) {
        for slot in self.all().iter() {
            if let Some(running) = &*slot.running() {
                act(running);
            }
        }
    }

    /// Acts on the run `id`, if it executes here, and tells whether it does.
    pub(super) fn find(&self, id: RunId, act: impl Fn(&Running)) -> bool {
        let all = self.all();
        let found = all.iter().find_map(|slot| {
            let shown = slot.running();
            shown.as_ref().filter(|running| running.id == id).map(&act)
        });
        found.is_some()
    }

    pub(super) fn holdings(&self) -> Vec<Holding> {
        self.all().iter().filter_map(|slot| slot.running().as_ref().map(Running::holding)).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.all().iter().filter(|slot| slot.running().is_some()).count()
    }

    pub(super) fn list(&self, now: Instant) -> Vec<RunningRun> {
        let all = self.all();
        let listed = all.iter().filter_map(|slot| {
            slot.running().as_ref().map(|running| RunningRun {
                task: running.task.name.clone(),
                id: running.id,
                scheduled_at: running.scheduled_at,
                attempt: running.attempt,
                started_at: running.started_at,
                running_for: now.duration_since(running.began),
                progress: running.progress.clone(),
                stuck: running.is_stuck(now),
            })
        });
        listed.collect()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Shown>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Workers end whenever nothing waits: what they left would grow with each burst of runs.
    #[test]
    fn of_a_worker_that_has_gone_nothing_stays() {
        let surroundings = Surroundings::of_a_test();
        let slots = Slots::default();
        let (stays, goes) = (slots.enter(&surroundings), slots.enter(&surroundings));
        slots.leave(goes);
        assert!(matches!(&slots.all()[..], [left] if Arc::ptr_eq(left, &stays.shown)));
    }
}
