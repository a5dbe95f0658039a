//! What a scheduler says of itself at one moment.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::Ledger;

/// A scheduler at one moment.
///
/// ```
/// use symphra_scheduler::Scheduler;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), symphra_scheduler::Error> {
/// let scheduler = Scheduler::empty().start().await?;
/// let stats = scheduler.stats();
/// assert!(stats.running && stats.ledger.balances());
/// assert_eq!((stats.backend, stats.max_workers), ("memory", 10));
/// assert_eq!(stats.success_rate(), None, "nothing has run yet");
/// # scheduler.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Whether it still runs: false once a stop is over or its runtime has ended.
    pub running: bool,
    /// The name of this node.
    pub node: Arc<str>,
    /// The name of its backend.
    pub backend: &'static str,
    /// How many tasks are registered.
    pub tasks: usize,
    /// Accepted runs that wait for a worker.
    pub queued_runs: usize,
    /// How many may wait.
    pub queue_size: usize,
    /// Runs that execute.
    pub active_workers: usize,
    /// How many may execute at once.
    pub max_workers: usize,
    /// How long ago it started.
    pub uptime: Duration,
    /// What became of the occurrences that fell due since it started.
    pub ledger: Ledger,
    /// Runs that ended since it started.
    pub total_runs: u64,
    /// Those that succeeded.
    pub successful_runs: u64,
    /// Those that failed.
    pub failed_runs: u64,
    /// Those that were cancelled. One that no node held, because it waited, is counted by every node that has its task.
    pub cancelled_runs: u64,
    /// Attempts that failed and were followed by another.
    pub retried_attempts: u64,
}

impl Stats {
    /// The part of ended runs that succeeded, 0 to 1; `None` before the first has ended.
    #[must_use]
    pub fn success_rate(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than the 53 bits of a float")]
        let rate = || self.successful_runs as f64 / self.total_runs as f64;
        (self.total_runs > 0).then(rate)
    }
}
