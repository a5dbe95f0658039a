//! What a body may know of its run: [`RunContext`], and the extractors made of it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use symphra_scheduler_core::Timestamp;

use super::Job;
use super::cancel::Cancel;
use super::extract::{Extract, ExtractError};
use super::provided::Provided;
use super::slots::Shown;
use crate::backend::JobArguments;
use crate::node::Contact;
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
    origin: Origin,
    scheduled_at: Timestamp,
    attempt: u32,
    missed: Option<Missed>,
    previous_success: Option<Timestamp>,
    #[cfg_attr(not(feature = "jobs"), expect(dead_code, reason = "nobody reads it where there are no jobs"))]
    arguments: Option<Arc<JobArguments>>,
    cancel: Arc<Cancel>,
    shown: Arc<Shown>,
}

impl RunContext {
    pub(super) fn new(job: &Job, cancel: Arc<Cancel>, shown: Arc<Shown>) -> Self {
        Self {
            task: Arc::clone(&job.task),
            id: job.id,
            origin: job.origin,
            scheduled_at: job.scheduled_at,
            attempt: job.attempt,
            missed: job.missed,
            previous_success: job.previous_success,
            arguments: job.arguments.clone(),
            cancel,
            shown,
        }
    }

    /// What the run was enqueued with, if it is a job.
    #[cfg(feature = "jobs")]
    pub(crate) fn arguments(&self) -> Option<&JobArguments> {
        self.arguments.as_deref()
    }

    #[cfg(feature = "jobs")]
    pub(crate) fn job(&self) -> Option<&crate::job::JobKind> {
        self.task.job()
    }

    pub(super) fn provided(&self) -> &Provided {
        &self.shown.surroundings.provided
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
        RunKey { task: self.task.name.clone(), origin: self.origin, instant: self.scheduled_at }
    }

    /// Why the run exists: its schedule, the start of a node, a trigger, a backfill, or because it was enqueued as a job.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// The nominal instant of the occurrence; of a run that was triggered, the instant of the trigger; of a job, the instant
    /// from which on it might begin.
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

    /// The nominal instant of the task's latest successful run before this one: what is new since then is this run's
    /// work. `None` before the first.
    ///
    /// ```
    /// use symphra_scheduler::{RunContext, interval};
    ///
    /// #[interval(minutes = 10)]
    /// async fn index_orders(run: RunContext) {
    ///     match run.previous_success() {
    ///         Some(since) => println!("orders after {since}"),
    ///         None => println!("all orders"),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn previous_success(&self) -> Option<DateTime<Utc>> {
        self.previous_success.map(Timestamp::to_utc)
    }

    /// Says how far the run has come, for whoever looks at the running runs. Only the last word is kept, 200 characters
    /// of it.
    ///
    /// ```
    /// use symphra_scheduler::{RunContext, interval};
    ///
    /// #[interval(hours = 1)]
    /// async fn resize_pictures(run: RunContext) {
    ///     for picture in 1..=250 {
    ///         run.progress(format!("{picture} of 250"));
    ///     }
    /// }
    /// ```
    pub fn progress(&self, says: impl AsRef<str>) {
        let says: String = says.as_ref().chars().take(PROGRESS_CHARS_MAX).collect();
        if let Some(running) = self.shown.running().as_mut().filter(|running| running.id == self.id) {
            running.progress = Some(says.into());
        }
    }

    /// Whether the node may have lost its hold on this run: it has not reached its store for the length of its lease but five
    /// seconds, so that another node may soon take the run over. If one has, the run is
    /// [cancelled](Self::cancelled) here as soon as the store answers again.
    #[must_use]
    pub fn is_lease_lost(&self) -> bool {
        self.shown.surroundings.lease.contact() == Contact::Lost
    }

    /// Returns when [`is_lease_lost`](Self::is_lease_lost) is true: the moment to stop work that must not be done twice.
    ///
    /// ```
    /// use symphra_scheduler::{RunContext, cron};
    ///
    /// #[cron("0 3 1 * *")]
    /// async fn charge_all(run: RunContext) {
    ///     for customer in 1..=1_000_u64 {
    ///         tokio::select! {
    ///             () = charge_one(customer) => {}
    ///             () = run.lease_lost() => return, // another node may go on from here
    ///         }
    ///     }
    /// }
    ///
    /// async fn charge_one(_customer: u64) {}
    /// ```
    ///
    /// # Cancellation
    /// Safe to drop and to call again.
    pub async fn lease_lost(&self) {
        self.shown.surroundings.lease.lost().await;
    }

    /// Whether the run has been asked to end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_asked()
    }

    /// Returns when the run is asked to end: its attempt has reached its timeout, somebody cancelled it, a newer
    /// occurrence takes its place, another node has taken it over, or its scheduler stops. Soon after, what is left of it is dropped at its next await.
    ///
    /// ```
    /// use symphra_scheduler::{RunContext, interval};
    ///
    /// #[interval(hours = 1, timeout = "10m")]
    /// async fn import_pages(run: RunContext) {
    ///     for page in 1..=100 {
    ///         tokio::select! {
    ///             () = import_page(page) => {}
    ///             () = run.cancelled() => return, // what was done so far is in order
    ///         }
    ///     }
    /// }
    ///
    /// async fn import_page(_page: u32) {}
    /// ```
    ///
    /// # Cancellation
    /// Safe to drop and to call again: a request is never lost.
    pub async fn cancelled(&self) {
        self.cancel.requested().await;
    }
}

/// The longest word of a run about its progress.
const PROGRESS_CHARS_MAX: usize = 200;

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
