//! Who executes what: one slot for each worker, in which its present run can be found, asked to cancel and aborted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use symphra_scheduler_core::Timestamp;

use super::Job;
use super::cancel::Cancel;
use crate::run::RunId;
use crate::task::{LiveTask, TaskName};

/// The slots of all workers that live.
#[derive(Default)]
pub(super) struct Slots(Mutex<Vec<Arc<Shown>>>);

/// What a slot shows of its worker.
type Shown = Mutex<Option<Running>>;

/// One worker's side of its slot.
#[derive(Default)]
pub(super) struct Slot {
    shown: Arc<Shown>,
    /// The cancellation of the last run, to be used again.
    spare: Arc<Cancel>,
}

/// A run that executes.
pub(super) struct Running {
    pub(super) task: Arc<LiveTask>,
    pub(super) id: RunId,
    pub(super) scheduled_at: Timestamp,
    pub(super) started_at: Timestamp,
    pub(super) cancel: Arc<Cancel>,
}

/// A run that executes, as it is listed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunningRun {
    /// The task's name.
    pub task: TaskName,
    /// The run.
    pub id: RunId,
    /// The nominal instant.
    pub scheduled_at: Timestamp,
    /// When its attempt began.
    pub started_at: Timestamp,
}

impl Slot {
    /// Shows the run that begins, and answers with its cancellation.
    pub(super) fn begin(&mut self, job: &Job, started_at: Timestamp) -> Arc<Cancel> {
        let cancel = Cancel::recycle(std::mem::take(&mut self.spare));
        *shown(&self.shown) = Some(Running {
            task: Arc::clone(&job.task),
            id: job.id,
            scheduled_at: job.scheduled_at,
            started_at,
            cancel: Arc::clone(&cancel),
        });
        cancel
    }

    /// Shows nothing any more.
    pub(super) fn end(&mut self) {
        if let Some(running) = shown(&self.shown).take() {
            self.spare = running.cancel;
        }
    }
}

/// What is shown is replaced whole, so a panic cannot leave half of it.
fn shown(slot: &Shown) -> MutexGuard<'_, Option<Running>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slots {
    pub(super) fn enter(&self) -> Slot {
        let slot = Slot::default();
        self.all().push(Arc::clone(&slot.shown));
        slot
    }

    pub(super) fn leave(&self, slot: Slot) {
        self.all().retain(|known| !Arc::ptr_eq(known, &slot.shown));
    }

    pub(super) fn for_each(&self, act: impl Fn(&Running)) {
        for slot in self.all().iter() {
            if let Some(running) = &*shown(slot) {
                act(running);
            }
        }
    }

    pub(super) fn list(&self) -> Vec<RunningRun> {
        let all = self.all();
        let listed = all.iter().filter_map(|slot| {
            shown(slot).as_ref().map(|running| RunningRun {
                task: running.task.name.clone(),
                id: running.id,
                scheduled_at: running.scheduled_at,
                started_at: running.started_at,
            })
        });
        listed.collect()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Shown>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
