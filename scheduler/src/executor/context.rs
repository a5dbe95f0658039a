//! What a body may know of its run: [`RunContext`], and the extractors made of it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use symphra_scheduler_core::Timestamp;

use super::Job;
use super::cancel::Cancel;
use super::extract::{Extract, ExtractError};
use crate::run::{Missed, Origin, RunId, RunKey};
use crate::task::{LiveTask, TaskName};

/// The present run, as an argument of a task: which it is, what it covers, and whether it should end. Cheap to clone.
///
/// ```
/// use symphra_scheduler::{RunContext, interval};
///
/// #[interval(minutes = 5)]
/// async fn import(run: RunContext) {
///     for page in 1..=100 {
///         if run.is_cancelled() {
///             return;
///         }
///         println!("{} imports page {page}", run.task());
///     }
/// }
/// ```
#[derive(Clone)]
pub struct RunContext {
    task: Arc<LiveTask>,
    id: RunId,
    scheduled_at: Timestamp,
    attempt: u32,
    missed: Option<Missed>,
    cancel: Arc<Cancel>,
}

impl RunContext {
    pub(super) fn new(job: &Job, cancel: Arc<Cancel>) -> Self {
        Self {
            task: Arc::clone(&job.task),
            id: job.id,
            scheduled_at: job.scheduled_at,
            attempt: job.attempt,
            missed: job.missed,
            cancel,
        }
    }

    /// The task's name.
    #[must_use]
    pub fn task(&self) -> &TaskName {
        &self.task.name
    }

    /// The run's id, the same on every attempt.
    #[must_use]
    pub const fn run_id(&self) -> RunId {
        self.id
    }

    /// What makes this run unique in its store, the same on every attempt: a key for idempotent work.
    #[must_use]
    pub fn key(&self) -> RunKey {
        RunKey { task: self.task.name.clone(), origin: Origin::Schedule, instant: self.scheduled_at }
    }

    /// The nominal instant of the occurrence.
    #[must_use]
    pub fn scheduled_at(&self) -> DateTime<Utc> {
        self.scheduled_at.to_utc()
    }

    /// Which attempt of the run this is, counted from 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The occurrences that nobody could start in time and that this run covers.
    #[must_use]
    pub const fn missed(&self) -> Option<Missed> {
        self.missed
    }

    /// Whether the run has been asked to end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_asked()
    }

    /// Returns when the run is asked to end: its scheduler stops and will soon abort what is left.
    ///
    /// # Cancellation
    /// Safe to drop and to call again: a request is never lost.
    pub async fn cancelled(&self) {
        self.cancel.requested().await;
    }
}

impl std::fmt::Debug for RunContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunContext")
            .field("task", &self.task.name)
            .field("run_id", &self.id)
            .field("scheduled_at", &self.scheduled_at)
            .field("attempt", &self.attempt)
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}

impl Extract for RunContext {
    fn extract(run: &RunContext) -> Result<Self, ExtractError> {
        Ok(run.clone())
    }
}

/// The nominal instant of the present occurrence, as an argument of a task.
///
/// ```
/// use symphra_scheduler::{ScheduledAt, daily};
///
/// #[daily(at = "00:30")]
/// async fn close_the_day(ScheduledAt(at): ScheduledAt) {
///     println!("closing {}", at.date_naive().pred_opt().unwrap_or_default());
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduledAt(pub DateTime<Utc>);

impl Extract for ScheduledAt {
    fn extract(run: &RunContext) -> Result<Self, ExtractError> {
        Ok(Self(run.scheduled_at()))
    }
}
