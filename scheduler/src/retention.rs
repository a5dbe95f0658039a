//! How much of the history of a task is kept: a word that settings and stores share.

use std::time::Duration;

/// How much is kept of the runs of a task that have ended. A store may keep more for a while, and forgets the oldest first.
///
/// ```
/// use symphra_scheduler::backend::Retention;
///
/// let short = Retention { runs: 10, ..Retention::default() };
/// assert_eq!((short.runs, short.failures), (10, 1_000));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Retention {
    /// The last runs, however they ended. At least one.
    pub runs: u32,
    /// The last failures, those among the last runs included.
    pub failures: u32,
    /// How long a failure that is not among the last runs is kept after its end.
    pub failures_for: Duration,
}

impl Default for Retention {
    /// The last 100 runs, and for 30 days the last 1,000 failures.
    fn default() -> Self {
        Self { runs: 100, failures: 1_000, failures_for: Duration::from_secs(30 * 24 * 60 * 60) }
    }
}
