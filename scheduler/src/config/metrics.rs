//! How much of metrics is told by task: plain data, with what is allowed.

use std::ops::RangeInclusive;

use crate::error::Problem;

/// How many tasks may have a label of their own: what reads metrics keeps a series for each value of each label.
pub(super) const TASK_LIMITS: RangeInclusive<u32> = 0..=100_000;

/// The tasks that have a label of their own where nothing is said.
const TASK_LIMIT: u32 = 1_000;

/// How much of metrics is told by task, for [`SchedulerConfig::metrics`](crate::SchedulerConfig::metrics).
///
/// Setters do not fail; what is impossible is an error at start.
///
/// ```
/// use symphra_scheduler::{MetricsConfig, SchedulerConfig};
///
/// let config = SchedulerConfig::new().metrics(MetricsConfig::new().task_limit(50).task_histograms(true));
/// # let _ = config;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricsConfig {
    task_limit: Option<u32>,
    task_histograms: Option<bool>,
}

impl MetricsConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many tasks have a label of their own: those that were registered first. All others are told together, as the task
    /// `_other`. Default 1,000; allowed 0 to 100,000.
    #[must_use]
    pub fn task_limit(mut self, tasks: u32) -> Self {
        self.task_limit = Some(tasks);
        self
    }

    /// Whether histograms are told by task too: 30 series for each. Default false.
    #[must_use]
    pub fn task_histograms(mut self, are_told: bool) -> Self {
        self.task_histograms = Some(are_told);
        self
    }

    /// How many tasks have a label, and whether histograms have it too.
    pub(crate) fn labels(&self) -> (usize, bool) {
        (self.task_limit.unwrap_or(TASK_LIMIT) as usize, self.task_histograms.unwrap_or(false))
    }

    /// These settings, and where they say nothing, those of `below`.
    #[cfg(feature = "config")]
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            task_limit: self.task_limit.or(below.task_limit),
            task_histograms: self.task_histograms.or(below.task_histograms),
        }
    }

    /// What each key says, to be compared.
    #[cfg(feature = "config")]
    pub(super) fn said(&self) -> Vec<(&'static str, String)> {
        let Self { task_limit, task_histograms } = self;
        vec![
            ("metrics.task_limit", format!("{task_limit:?}")),
            ("metrics.task_histograms", format!("{task_histograms:?}")),
        ]
    }

    /// Everything that is impossible in these settings.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let wrong = self.task_limit.filter(|limit| !TASK_LIMITS.contains(limit));
        let problem = |limit: u32| Problem::Setting {
            key: "metrics.task_limit",
            value: limit.to_string(),
            allowed: "0 to 100000",
        };
        wrong.map(problem).into_iter().collect()
    }
}
