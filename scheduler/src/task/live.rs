//! A task while its scheduler runs: what the engine, the executor and the handle share of it.

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::{Source, Task, TaskInfo, TaskName, TaskStatus};
use crate::backend::TaskKey;
use crate::handler::Call;
use crate::outcome::Outcome;
use crate::schedule::Plan;

/// A registered task.
pub(crate) struct LiveTask {
    pub(crate) name: TaskName,
    pub(crate) key: TaskKey,
    pub(crate) plan: Plan,
    pub(crate) alive_max: Option<u32>,
    pub(crate) call: Call,
    tags: Vec<Cow<'static, str>>,
    has_start: bool,
    source: Source,
    tally: Mutex<Tally>,
}

/// What is counted of a task since its scheduler started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) running: u32,
    queued: u32,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    last_ended: Option<TaskStatus>,
}

impl Tally {
    pub(crate) fn accepted(&mut self) {
        self.queued += 1;
    }

    pub(crate) fn began(&mut self) {
        self.queued -= 1;
        self.running += 1;
    }

    /// Counts the end of a run which began, or which never did.
    pub(crate) fn ended(&mut self, outcome: &Outcome, began: bool) {
        if began {
            self.running -= 1;
        } else {
            self.queued -= 1;
        }
        let (count, status) = match outcome {
            Outcome::Succeeded => (&mut self.succeeded, TaskStatus::Completed),
            Outcome::Failed(_) => (&mut self.failed, TaskStatus::Failed),
            Outcome::Cancelled => (&mut self.cancelled, TaskStatus::Cancelled),
        };
        *count += 1;
        self.last_ended = Some(status);
    }

    fn status(&self) -> TaskStatus {
        match self.last_ended {
            _ if self.running > 0 => TaskStatus::Running,
            Some(status) if self.queued == 0 => status,
            Some(_) | None => TaskStatus::Pending,
        }
    }
}

impl LiveTask {
    pub(crate) fn new(task: Task, name: TaskName, key: TaskKey, plan: Plan) -> Self {
        Self {
            name,
            key,
            plan,
            alive_max: task.alive_max(),
            call: task.call,
            tags: task.options.tags,
            has_start: task.options.start.is_some(),
            source: task.source,
            tally: Mutex::default(),
        }
    }

    /// The lock is held for a few additions and never across an await; what a panic leaves behind is still a count.
    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn source(&self) -> Source {
        self.source
    }

    /// The period of an interval whose grid hangs on a first registration.
    pub(crate) fn period_from_registration(&self) -> Option<Duration> {
        self.plan.schedule().period().filter(|_| !self.has_start)
    }

    pub(crate) fn info(&self, now: Timestamp) -> TaskInfo {
        let tally = *self.tally();
        TaskInfo {
            name: self.name.clone(),
            schedule: *self.plan.schedule(),
            timezone: self.plan.zone(),
            tags: self.tags.clone(),
            source: self.source,
            status: tally.status(),
            next: self.plan.next(now).map(|next| next.to_utc().with_timezone(&self.plan.zone())),
            total_runs: tally.succeeded + tally.failed + tally.cancelled,
            successful_runs: tally.succeeded,
            failed_runs: tally.failed,
            running: tally.running,
        }
    }
}
