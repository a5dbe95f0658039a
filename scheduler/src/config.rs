//! The settings of a scheduler, with their defaults and what is allowed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use symphra_scheduler_core::format_duration;

use crate::error::Problem;
use crate::logging::LoggingConfig;

/// The upper bound of `max_workers` and of `queue_size`: more runs than this in one process are a mistake in a unit.
const RUNS_MAX: usize = 10_000_000;

/// The upper bound of every duration: 30 days.
const DURATION_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Settings that hold for a whole scheduler.
///
/// Nothing is read from files or the environment. Setters do not fail; what is impossible is an error at start.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::{SchedulerConfig, chrono_tz::Tz};
///
/// let config = SchedulerConfig::new()
///     .max_workers(20)
///     .timezone(Tz::Asia__Shanghai)
///     .shutdown_timeout(Duration::from_secs(10));
/// # let _ = config;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulerConfig {
    pub(crate) max_workers: usize,
    pub(crate) queue_size: usize,
    pub(crate) timezone: Tz,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) misfire_grace: Duration,
    pub(crate) lease: Duration,
    pub(crate) node: Option<Arc<str>>,
    pub(crate) groups: Vec<(Arc<str>, u32)>,
    pub(crate) logging: LoggingConfig,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            max_workers: 10,
            queue_size: 1_000,
            timezone: Tz::UTC,
            shutdown_timeout: Duration::from_secs(30),
            misfire_grace: Duration::from_secs(1),
            lease: Duration::from_secs(30),
            node: None,
            groups: Vec::new(),
            logging: LoggingConfig::default(),
        }
    }
}

impl SchedulerConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many runs may execute at once. Default 10; allowed 1 to 10,000,000.
    #[must_use]
    pub fn max_workers(mut self, runs: usize) -> Self {
        self.max_workers = runs;
        self
    }

    /// How many accepted runs may wait for a worker. Default 1,000; allowed 1 to 10,000,000.
    ///
    /// While the queue is full, due tasks wait as one mark each; what waits past [`misfire_grace`](Self::misfire_grace)
    /// is a misfire.
    #[must_use]
    pub fn queue_size(mut self, runs: usize) -> Self {
        self.queue_size = runs;
        self
    }

    /// The zone of tasks that name none. Default UTC.
    #[must_use]
    pub fn timezone(mut self, zone: Tz) -> Self {
        self.timezone = zone;
        self
    }

    /// How long a stop waits for what runs. Default 30 s; allowed up to 30 days; zero cancels at once.
    ///
    /// Five seconds before its end (or at once, if it is shorter) the runs that are left are asked to cancel; at its
    /// end they are aborted at their next await.
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// How late an occurrence may be accepted without being a misfire. Default 1 s; allowed up to 30 days.
    #[must_use]
    pub fn misfire_grace(mut self, grace: Duration) -> Self {
        self.misfire_grace = grace;
        self
    }

    /// How long after its last heartbeat the runs of a dead node stay its own. Default 30 s; allowed 10 s to 30 days.
    ///
    /// A heartbeat is sent each quarter of it.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The name of this node in logs and pages. Default: the host's name and the process id, `host-pid`.
    #[must_use]
    pub fn node(mut self, name: impl Into<String>) -> Self {
        self.node = Some(Arc::from(name.into()));
        self
    }

    /// How many runs of the tasks of a group execute at once. Default 1 for each group; allowed 1 or more.
    #[must_use]
    pub fn group(mut self, name: impl Into<Arc<str>>, runs: u32) -> Self {
        let name = name.into();
        self.groups.retain(|(known, _)| *known != name);
        self.groups.push((name, runs));
        self
    }

    /// How the log is written. Default: [`LoggingConfig::default`].
    #[must_use]
    pub fn logging(mut self, logging: LoggingConfig) -> Self {
        self.logging = logging;
        self
    }

    /// How many runs of a group execute at once.
    pub(crate) fn group_max(&self, name: &str) -> u32 {
        self.groups.iter().find(|(known, _)| **known == *name).map_or(1, |&(_, runs)| runs)
    }

    /// Everything that is impossible in these settings.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut found = self.logging.problems();
        for (key, runs) in [("max_workers", self.max_workers), ("queue_size", self.queue_size)] {
            if runs == 0 || runs > RUNS_MAX {
                found.push(setting(key, &runs, "1 to 10000000"));
            }
        }
        for (key, duration) in [("shutdown_timeout", self.shutdown_timeout), ("misfire_grace", self.misfire_grace)] {
            if duration > DURATION_MAX {
                found.push(setting(key, &format_duration(duration), "0s to 30d"));
            }
        }
        if self.lease < LEASE_MIN || self.lease > DURATION_MAX {
            found.push(setting("lease", &format_duration(self.lease), "10s to 30d"));
        }
        for (name, _) in self.groups.iter().filter(|(_, runs)| *runs == 0) {
            found.push(setting("groups", &format!("{{ {name}: 0 }}"), "1 or more runs for each group"));
        }
        if let Some(node) = &self.node
            && (node.is_empty() || node.len() > NODE_BYTES_MAX || node.chars().any(char::is_control))
        {
            found.push(setting("node", &format!("{node:?}"), "1 to 128 bytes without control characters"));
        }
        found
    }
}

/// A shorter lease would end while a loaded machine merely hesitates.
const LEASE_MIN: Duration = Duration::from_secs(10);

/// The longest name of a node, that of a task.
const NODE_BYTES_MAX: usize = 128;

fn setting(key: &'static str, value: &impl fmt::Display, allowed: &'static str) -> Problem {
    Problem::Setting { key, value: value.to_string(), allowed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_impossible_setting_is_named_with_its_value_and_what_is_allowed() {
        let config = SchedulerConfig::new()
            .max_workers(0)
            .queue_size(usize::MAX)
            .shutdown_timeout(Duration::MAX)
            .misfire_grace(Duration::MAX)
            .lease(Duration::from_secs(1))
            .group("imports", 0)
            .node("a\nb");
        let said: Vec<String> = config.problems().iter().map(ToString::to_string).collect();
        for (part, line) in [
            "max_workers = 0",
            "queue_size = 1844",
            "shutdown_timeout = ",
            "misfire_grace = ",
            "lease = 1s",
            "groups = { imports: 0 }",
            "node = \"a\\nb\"",
        ]
        .iter()
        .zip(&said)
        {
            assert!(line.starts_with(part) && line.contains("allowed is"), "{part}: {line}");
        }
        assert_eq!(said.len(), 7);
    }

    #[test]
    fn the_defaults_are_possible() {
        assert!(SchedulerConfig::new().problems().is_empty());
    }
}
