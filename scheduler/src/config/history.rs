//! How much is kept of the runs that have ended: plain data, with what is allowed.

use std::ops::RangeInclusive;
use std::time::Duration;

use symphra_scheduler_core::format_duration;

use crate::error::Problem;
use crate::retention::Retention;

/// How many runs, or failures, of one task may be kept: a store is pruned a task at a time, in one statement.
pub(super) const ROWS: RangeInclusive<u32> = 1..=100_000;

/// How long failures may be kept: ten years.
pub(super) const AGES: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3_650 * 24 * 60 * 60);

/// How much of the history of each task is kept, for [`SchedulerConfig::history`](crate::SchedulerConfig::history).
///
/// What [`MemoryBackend`](crate::MemoryBackend) keeps is besides 100,000 runs over all tasks at most. Counts and records of
/// why occurrences did not run are not part of the history; they stay. On a store of several nodes the settings of the
/// node that started last count.
///
/// Setters do not fail; what is impossible is an error at start.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::{HistoryConfig, SchedulerConfig};
///
/// let a_year = Duration::from_secs(365 * 24 * 60 * 60);
/// let config = SchedulerConfig::new().history(HistoryConfig::new().runs(1_000).failures_for(a_year));
/// # let _ = config;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryConfig {
    runs: Option<u32>,
    failures: Option<u32>,
    failures_for: Option<Duration>,
}

impl HistoryConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many runs of a task are kept, the last ones, however they ended. Default 100; allowed 1 to 100,000.
    #[must_use]
    pub fn runs(mut self, runs: u32) -> Self {
        self.runs = Some(runs);
        self
    }

    /// How many failures of a task are kept, the last ones, also where they are not among its last runs. Default 1,000;
    /// allowed 1 to 100,000.
    #[must_use]
    pub fn failures(mut self, runs: u32) -> Self {
        self.failures = Some(runs);
        self
    }

    /// How long failures that are not among the last runs are kept after their end. Default 30 days; allowed 0 s to 3,650
    /// days.
    #[must_use]
    pub fn failures_for(mut self, age: Duration) -> Self {
        self.failures_for = Some(age);
        self
    }

    pub(crate) fn retention(&self) -> Retention {
        let default = Retention::default();
        Retention {
            runs: self.runs.unwrap_or(default.runs),
            failures: self.failures.unwrap_or(default.failures),
            failures_for: self.failures_for.unwrap_or(default.failures_for),
        }
    }

    /// These settings, and where they say nothing, those of `below`.
    #[cfg(feature = "config")]
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            runs: self.runs.or(below.runs),
            failures: self.failures.or(below.failures),
            failures_for: self.failures_for.or(below.failures_for),
        }
    }

    /// What each key says, to be compared.
    #[cfg(feature = "config")]
    pub(super) fn said(&self) -> Vec<(&'static str, String)> {
        let Self { runs, failures, failures_for } = self;
        vec![
            ("history.runs", format!("{runs:?}")),
            ("history.failures", format!("{failures:?}")),
            ("history.failures_for", format!("{failures_for:?}")),
        ]
    }

    /// Everything that is impossible in these settings.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let Retention { runs, failures, failures_for } = self.retention();
        let mut found = Vec::new();
        for (key, value) in [("history.runs", runs), ("history.failures", failures)] {
            if !ROWS.contains(&value) {
                found.push(Problem::Setting { key, value: value.to_string(), allowed: "1 to 100000" });
            }
        }
        if !AGES.contains(&failures_for) {
            let value = format_duration(failures_for);
            found.push(Problem::Setting { key: "history.failures_for", value, allowed: "0s to 3650d" });
        }
        found
    }
}
