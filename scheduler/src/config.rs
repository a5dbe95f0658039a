//! The settings of a scheduler, with their defaults and what is allowed.
//!
//! A [`SchedulerConfig`] knows what was set and by which layer: what a program sets in code stands above the environment,
//! which stands above a file. Reading files and the environment is in the folder, behind the feature `config`; nothing
//! is read unless [`SchedulerConfig::load`] or the command line asks for it.

pub(crate) mod backend;
pub(crate) mod daemon;
#[cfg(feature = "config")]
mod env;
#[cfg(feature = "config")]
mod error;
#[cfg(feature = "config")]
mod file;
mod history;
#[cfg(feature = "metrics")]
mod metrics;
mod overrides;
#[cfg(feature = "config")]
mod read;
pub(crate) mod registered;
#[cfg(feature = "config")]
mod schema;
#[cfg(feature = "config")]
mod settings;
#[cfg(feature = "config")]
mod shape;
#[cfg(feature = "config")]
mod source;
#[cfg(all(test, feature = "config"))]
mod tests;
#[cfg(feature = "config")]
mod waiting;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use symphra_scheduler_core::format_duration;

pub use self::backend::BackendConfig;
pub use self::daemon::DaemonConfig;
pub use self::history::HistoryConfig;
#[cfg(feature = "metrics")]
pub use self::metrics::MetricsConfig;
pub use self::registered::{BackendSettings, register_backend, registered_backends};
use crate::error::Problem;
use crate::logging::LoggingConfig;
use crate::retention::Retention;
use crate::task::TaskOverride;
#[cfg(feature = "config")]
pub use error::{ConfigError, ConfigProblem};
pub(crate) use overrides::Overrides;
#[cfg(feature = "config")]
pub(crate) use source::Again;
#[cfg(feature = "cli")]
pub(crate) use source::Read;

/// The upper bound of `max_workers` and of `queue_size`: more runs than this in one process are a mistake in a unit.
const RUNS_MAX: usize = 10_000_000;

/// The upper bound of every duration: 30 days.
const DURATION_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Settings that hold for a whole scheduler.
///
/// `SchedulerConfig::new()` reads nothing; with the feature `config`, `SchedulerConfig::load()` reads a file and the
/// environment, and what is set on it afterwards rules. Setters do not fail; what is impossible is an error at start.
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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchedulerConfig {
    max_workers: Option<usize>,
    queue_size: Option<usize>,
    timezone: Option<Tz>,
    shutdown_timeout: Option<Duration>,
    misfire_grace: Option<Duration>,
    lease: Option<Duration>,
    node: Option<Arc<str>>,
    history: HistoryConfig,
    #[cfg(feature = "metrics")]
    metrics: MetricsConfig,
    groups: Vec<(Arc<str>, u32)>,
    overrides: Overrides,
    pub(crate) backend: BackendConfig,
    pub(crate) daemon: DaemonConfig,
    pub(crate) logging: LoggingConfig,
    /// What was read, so that it can be read again.
    #[cfg(feature = "config")]
    origin: Option<source::Origin>,
    /// What was read, without the overrides: the layer below that of the program's code.
    #[cfg(feature = "config")]
    as_read: Option<Arc<Self>>,
}

/// What each setting is where nothing is said.
mod defaults {
    use super::{Duration, Tz};

    pub(super) const MAX_WORKERS: usize = 10;
    pub(super) const QUEUE_SIZE: usize = 1_000;
    pub(super) const TIMEZONE: Tz = Tz::UTC;
    pub(super) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);
    pub(super) const MISFIRE_GRACE: Duration = Duration::from_secs(1);
    pub(super) const LEASE: Duration = Duration::from_secs(30);
    pub(super) const GROUP_MAX: u32 = 1;
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
        self.max_workers = Some(runs);
        self
    }

    /// How many accepted runs may wait for a worker. Default 1,000; allowed 1 to 10,000,000.
    ///
    /// While the queue is full, due tasks wait as one mark each; what waits past [`misfire_grace`](Self::misfire_grace)
    /// is a misfire.
    #[must_use]
    pub fn queue_size(mut self, runs: usize) -> Self {
        self.queue_size = Some(runs);
        self
    }

    /// The zone of tasks that name none. Default UTC.
    #[must_use]
    pub fn timezone(mut self, zone: Tz) -> Self {
        self.timezone = Some(zone);
        self
    }

    /// How long a stop waits for what runs. Default 30 s; allowed up to 30 days; zero cancels at once.
    ///
    /// Five seconds before its end (or at once, if it is shorter) the runs that are left are asked to cancel; at its
    /// end they are aborted at their next await.
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = Some(timeout);
        self
    }

    /// How late an occurrence may be accepted without being a misfire. Default 1 s; allowed up to 30 days.
    #[must_use]
    pub fn misfire_grace(mut self, grace: Duration) -> Self {
        self.misfire_grace = Some(grace);
        self
    }

    /// How long after its last heartbeat the runs of a dead node stay its own. Default 30 s; allowed 10 s to 30 days.
    ///
    /// Heartbeats are a sixth of it apart, three seconds at most.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// The name of this node in logs and pages. Default: the host's name and the process id, `host-pid`.
    #[must_use]
    pub fn node(mut self, name: impl Into<String>) -> Self {
        self.node = Some(Arc::from(name.into()));
        self
    }

    /// How much is kept of the runs that have ended. Default: [`HistoryConfig::new`].
    #[must_use]
    pub fn history(mut self, history: HistoryConfig) -> Self {
        self.history = history;
        self
    }

    /// How much of metrics is told by task. Default: [`MetricsConfig::new`].
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn metrics(mut self, metrics: MetricsConfig) -> Self {
        self.metrics = metrics;
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

    /// What of the task named `name` differs from what its attribute or its builder says. Several overrides of one task
    /// add up, the last one ruling. A name that no task has is an error at start.
    ///
    /// ```
    /// use symphra_scheduler::{Schedule, SchedulerConfig, TaskOverride};
    ///
    /// let often: Schedule = "30s".parse()?;
    /// let config = SchedulerConfig::new()
    ///     .task("report", TaskOverride::new().enabled(false))
    ///     .task("health_check", TaskOverride::new().schedule(often));
    /// # let _ = config;
    /// # Ok::<(), symphra_scheduler::ScheduleError>(())
    /// ```
    #[must_use]
    pub fn task(mut self, name: impl Into<String>, changed: TaskOverride) -> Self {
        self.overrides.push(name.into(), changed);
        self
    }

    /// Where marks, runs and records are kept: what is opened at start, unless
    /// [`Scheduler::backend`](crate::Scheduler::backend) has set a backend. Default: memory.
    #[must_use]
    pub fn backend(mut self, backend: BackendConfig) -> Self {
        self.backend = backend;
        self
    }

    /// The settings of a daemon, which count for `Scheduler::daemon` (feature `daemon`). Default: [`DaemonConfig::new`].
    #[must_use]
    pub fn daemon(mut self, daemon: DaemonConfig) -> Self {
        self.daemon = daemon;
        self
    }

    /// How the log is written. Default: [`LoggingConfig::default`].
    #[must_use]
    pub fn logging(mut self, logging: LoggingConfig) -> Self {
        self.logging = logging;
        self
    }

    pub(crate) fn workers(&self) -> usize {
        self.max_workers.unwrap_or(defaults::MAX_WORKERS)
    }

    pub(crate) fn queue(&self) -> usize {
        self.queue_size.unwrap_or(defaults::QUEUE_SIZE)
    }

    pub(crate) fn zone(&self) -> Tz {
        self.timezone.unwrap_or(defaults::TIMEZONE)
    }

    pub(crate) fn patience(&self) -> Duration {
        self.shutdown_timeout.unwrap_or(defaults::SHUTDOWN_TIMEOUT)
    }

    pub(crate) fn grace(&self) -> Duration {
        self.misfire_grace.unwrap_or(defaults::MISFIRE_GRACE)
    }

    pub(crate) fn lease_length(&self) -> Duration {
        self.lease.unwrap_or(defaults::LEASE)
    }

    pub(crate) fn node_name(&self) -> Option<Arc<str>> {
        self.node.clone()
    }

    /// How much of the history of each task is kept.
    pub(crate) fn retention(&self) -> Arc<Retention> {
        Arc::new(self.history.retention())
    }

    /// How many tasks have a label in metrics, and whether histograms have it too.
    #[cfg(feature = "metrics")]
    pub(crate) fn labels(&self) -> (usize, bool) {
        self.metrics.labels()
    }

    /// How many runs of a group execute at once.
    pub(crate) fn group_max(&self, name: &str) -> u32 {
        self.groups.iter().find(|(known, _)| **known == *name).map_or(defaults::GROUP_MAX, |&(_, runs)| runs)
    }

    pub(crate) fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// These settings, and where they say nothing, those of `below`.
    #[cfg(feature = "config")]
    pub(crate) fn over(self, below: Self) -> Self {
        let mut groups = below.groups;
        groups.retain(|(name, _)| self.groups.iter().all(|(known, _)| known != name));
        groups.extend(self.groups);
        Self {
            max_workers: self.max_workers.or(below.max_workers),
            queue_size: self.queue_size.or(below.queue_size),
            timezone: self.timezone.or(below.timezone),
            shutdown_timeout: self.shutdown_timeout.or(below.shutdown_timeout),
            misfire_grace: self.misfire_grace.or(below.misfire_grace),
            lease: self.lease.or(below.lease),
            node: self.node.or(below.node),
            history: self.history.over(below.history),
            #[cfg(feature = "metrics")]
            metrics: self.metrics.over(below.metrics),
            groups,
            overrides: self.overrides.over(below.overrides),
            backend: self.backend.over(below.backend),
            daemon: self.daemon.over(below.daemon),
            logging: self.logging.over(below.logging),
            origin: self.origin.or(below.origin),
            as_read: self.as_read.or(below.as_read),
        }
    }

    /// Everything that is impossible in these settings.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut found = self.logging.problems();
        for (key, runs) in [("max_workers", self.workers()), ("queue_size", self.queue())] {
            if runs == 0 || runs > RUNS_MAX {
                found.push(setting(key, &runs, "1 to 10000000"));
            }
        }
        for (key, duration) in [("shutdown_timeout", self.patience()), ("misfire_grace", self.grace())] {
            if duration > DURATION_MAX {
                found.push(setting(key, &format_duration(duration), "0s to 30d"));
            }
        }
        let lease = self.lease_length();
        if lease < LEASE_MIN || lease > DURATION_MAX {
            found.push(setting("lease", &format_duration(lease), "10s to 30d"));
        }
        for (name, _) in self.groups.iter().filter(|(_, runs)| *runs == 0) {
            found.push(setting("groups", &format!("{{ {name}: 0 }}"), "1 or more runs for each group"));
        }
        if let Some(node) = &self.node
            && (node.is_empty() || node.len() > NODE_BYTES_MAX || node.chars().any(char::is_control))
        {
            found.push(setting("node", &format!("{node:?}"), "1 to 128 bytes without control characters"));
        }
        found.extend(self.history.problems());
        #[cfg(feature = "metrics")]
        found.extend(self.metrics.problems());
        found.extend(self.daemon.problems(self.logging.named_file()));
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
