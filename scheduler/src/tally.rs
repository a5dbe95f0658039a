//! What is counted of a task since its scheduler started: the runs it has now, how they ended, how long they took.
//!
//! Counts of this node alone; the store's own are its history and its ledger.

use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use crate::run::RunState;
use crate::task::{TaskName, TaskStatus};

/// The counts of one task.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Runs that execute.
    pub(crate) running: u32,
    /// Runs that wait for a worker.
    queued: u32,
    /// Runs that wait for their next attempt.
    retrying: u32,
    pub(crate) succeeded: u64,
    /// Failed, timed out and abandoned.
    pub(crate) failed: u64,
    /// Those of them that timed out, and those that were abandoned.
    pub(crate) timed_out: u64,
    pub(crate) abandoned: u64,
    pub(crate) cancelled: u64,
    consecutive_failures: u32,
    latest: Option<RunState>,
    /// How long last attempts took.
    took: Spread,
    /// How late attempts began.
    late: Spread,
    pub(crate) last_success: Option<Timestamp>,
    last_failure: Option<Timestamp>,
}

/// Some durations, in nanoseconds: half a thousand years fit.
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    count: u64,
    total: u64,
    min: u64,
    max: u64,
    last: u64,
}

impl Spread {
    fn add(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.min = if self.count == 0 { nanos } else { self.min.min(nanos) };
        self.max = self.max.max(nanos);
        self.total = self.total.saturating_add(nanos);
        self.last = nanos;
        self.count += 1;
    }

    fn told(&self, nanos: u64) -> Option<Duration> {
        (self.count > 0).then(|| Duration::from_nanos(nanos))
    }

    fn average(&self) -> Option<Duration> {
        self.total.checked_div(self.count).map(Duration::from_nanos)
    }
}

impl Tally {
    /// Of a task whose last run ended so before this scheduler started.
    pub(crate) fn after(latest: Option<RunState>) -> Self {
        Self { latest, ..Self::default() }
    }

    /// A run was accepted that waits in the store: for room in its task or its group.
    pub(crate) fn waits_in_store(&mut self) {
        self.latest = Some(RunState::Queued);
    }

    pub(crate) fn accepted(&mut self) {
        self.queued += 1;
    }

    /// A run goes back to the store, before it began or after.
    pub(crate) fn given_back(&mut self, began: bool) {
        *(if began { &mut self.running } else { &mut self.queued }) -= 1;
    }

    pub(crate) fn began(&mut self, lateness: Duration) {
        self.queued -= 1;
        self.running += 1;
        self.late.add(lateness);
    }

    /// An attempt has ended whose run will have another one.
    pub(crate) fn retries(&mut self) {
        self.running -= 1;
        self.retrying += 1;
    }

    /// The wait of a run between two attempts is over: it begins again, here or elsewhere.
    pub(crate) fn retried(&mut self) {
        self.retrying -= 1;
    }

    /// A run that no node held was cancelled.
    pub(crate) fn cancelled_in_store(&mut self) {
        self.latest = Some(RunState::Cancelled);
        self.cancelled += 1;
    }

    /// A run has ended by the death of its node, at `at`: it was nobody's then.
    pub(crate) fn died(&mut self, state: RunState, at: Timestamp) {
        self.latest = Some(state);
        self.abandoned += u64::from(state == RunState::Abandoned);
        self.failed_at(at);
    }

    /// A run has ended at `at`; `took` is the duration of its last attempt, `None` if it never began.
    pub(crate) fn ended(&mut self, state: RunState, at: Timestamp, took: Option<Duration>) {
        match took {
            Some(took) => {
                self.running -= 1;
                self.took.add(took);
            }
            None => self.queued -= 1,
        }
        self.latest = Some(state);
        match state {
            RunState::Succeeded => {
                self.succeeded += 1;
                self.consecutive_failures = 0;
                self.last_success = Some(at);
            }
            RunState::Failed => self.failed_at(at),
            RunState::TimedOut => {
                self.timed_out += 1;
                self.failed_at(at);
            }
            _ => self.cancelled += 1,
        }
    }

    const fn failed_at(&mut self, at: Timestamp) {
        self.failed += 1;
        self.consecutive_failures += 1;
        self.last_failure = Some(at);
    }

    /// Counts anew; runs that are alive stay so.
    pub(crate) fn reset(&mut self) {
        let Self { running, queued, retrying, latest, last_success, .. } = *self;
        *self = Self { running, queued, retrying, latest, last_success, ..Self::default() };
    }

    pub(crate) const fn ended_runs(&self) -> u64 {
        self.succeeded + self.failed + self.cancelled
    }

    /// How runs ended: succeeded, failed, timed out, abandoned, cancelled.
    #[cfg(feature = "metrics")]
    pub(crate) const fn outcomes(&self) -> [u64; 5] {
        let failed = self.failed - self.timed_out - self.abandoned;
        [self.succeeded, failed, self.timed_out, self.abandoned, self.cancelled]
    }

    /// Where the task stands, pauses apart.
    pub(crate) fn status(&self) -> TaskStatus {
        if self.running > 0 {
            return TaskStatus::Running;
        }
        if self.retrying > 0 {
            return TaskStatus::Retrying;
        }
        match self.latest {
            _ if self.queued > 0 => TaskStatus::Pending,
            None | Some(RunState::Queued) => TaskStatus::Pending,
            Some(RunState::Succeeded) => TaskStatus::Completed,
            Some(RunState::Cancelled) => TaskStatus::Cancelled,
            Some(_) => TaskStatus::Failed,
        }
    }

    pub(crate) fn metrics(&self, task: TaskName) -> TaskMetrics {
        let Self { took, late, .. } = self;
        TaskMetrics {
            task,
            total_runs: self.ended_runs(),
            successful_runs: self.succeeded,
            failed_runs: self.failed,
            cancelled_runs: self.cancelled,
            consecutive_failures: self.consecutive_failures,
            total_duration: Duration::from_nanos(took.total),
            average_duration: took.average(),
            min_duration: took.told(took.min),
            max_duration: took.told(took.max),
            last_duration: took.told(took.last),
            last_success: self.last_success,
            last_failure: self.last_failure,
            last_lateness: late.told(late.last),
            average_lateness: late.average(),
            max_lateness: late.told(late.max),
        }
    }
}

/// What a scheduler has counted of one task since it started, or since
/// [`reset_metrics`](crate::SchedulerHandle::reset_metrics).
///
/// Durations are of the time that passed, whatever was done to a clock. Instants, and what follows from them, are by the
/// store's clock, as the node has measured it: [`ClockHealth`](crate::ClockHealth).
///
/// ```
/// use symphra_scheduler::{Schedule, Scheduler, Task};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let report = Task::new("report", Schedule::cron("0 9 * * *")?, async || {});
/// let scheduler = Scheduler::empty().register(report).start().await?;
/// let metrics = scheduler.metrics();
/// assert_eq!((metrics[0].task.as_str(), metrics[0].total_runs), ("report", 0));
/// assert_eq!(metrics[0].average_duration, None);
/// # scheduler.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskMetrics {
    /// The task.
    pub task: TaskName,
    /// Runs that ended.
    pub total_runs: u64,
    /// Those that succeeded.
    pub successful_runs: u64,
    /// Those that failed or timed out, in all their attempts, and those that ended by the death of their node. One of the
    /// latter is nobody's, and is counted by every node that has the task.
    pub failed_runs: u64,
    /// Those that were cancelled. One that no node held, because it waited, is counted by every node that has the task.
    pub cancelled_runs: u64,
    /// How many runs have failed since the last that succeeded.
    pub consecutive_failures: u32,
    /// How long the last attempts of all runs took together.
    pub total_duration: Duration,
    /// How long one took on average; `None` before the first.
    pub average_duration: Option<Duration>,
    /// How long the shortest took.
    pub min_duration: Option<Duration>,
    /// How long the longest took.
    pub max_duration: Option<Duration>,
    /// How long the latest took.
    pub last_duration: Option<Duration>,
    /// When a run last succeeded.
    pub last_success: Option<Timestamp>,
    /// When a run last failed.
    pub last_failure: Option<Timestamp>,
    /// How long after it was due the latest attempt started: both by the store's clock. If the node's own clock was set in
    /// the second before, and that was not noticed yet, it is wrong by that much.
    pub last_lateness: Option<Duration>,
    /// The same on average.
    pub average_lateness: Option<Duration>,
    /// The longest of them.
    pub max_lateness: Option<Duration>,
}
