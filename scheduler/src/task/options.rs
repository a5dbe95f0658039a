//! The options of a task and the builder that sets them. What contradicts what is in [`rules`](super::rules).

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use symphra_scheduler_core::{CronExpr, Timestamp};

use super::{Metadata, Task};
use crate::retry::RetryPolicy;
use crate::schedule::{Delay, Delivery, Misfire, Moment, Overlap};

/// What a task declares besides its schedule. An option that is absent has its default, which is not the same as having
/// it set to the default: some options contradict others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Options {
    pub(crate) tags: Vec<Cow<'static, str>>,
    pub(crate) metadata: Metadata,
    pub(crate) timezone: Option<Tz>,
    pub(crate) start: Option<Moment>,
    pub(crate) end: Option<Moment>,
    pub(crate) except: Option<Box<CronExpr>>,
    pub(crate) jitter: Option<Duration>,
    pub(crate) delay: Delay,
    pub(crate) max_instances: Option<u32>,
    pub(crate) overlap: Option<Overlap>,
    pub(crate) misfire: Option<Misfire>,
    pub(crate) catch_up_window: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Box<RetryPolicy>>,
    pub(crate) max_runs: Option<u64>,
    pub(crate) disabled: bool,
    pub(crate) priority: i8,
    pub(crate) run_on_start: bool,
    pub(crate) delivery: Delivery,
    pub(crate) group: Option<Cow<'static, str>>,
    pub(crate) pause_after: Option<u32>,
    pub(crate) expect_success_within: Option<Duration>,
}

impl Task {
    /// Words to find the task by. Default: none.
    pub fn tags<T: Into<Cow<'static, str>>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.options.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// For the macros: [`tags`](Self::tags) that need no code in the caller's crate.
    #[doc(hidden)]
    pub fn static_tags(self, tags: &'static [&'static str]) -> Self {
        self.tags(tags.iter().copied())
    }

    /// A fact about the task, shown with it: an owner, a link to a runbook. Default: none; a second value under one key
    /// replaces the first.
    ///
    /// What commands, JSON and `Debug` show of it hides secrets by the names of keys: see [`Metadata::shown`].
    ///
    /// ```
    /// use symphra_scheduler::{Schedule, Task};
    ///
    /// let report = Task::new("report", Schedule::cron("0 9 * * *")?, async || {}).metadata("owner", "billing");
    /// # Ok::<(), symphra_scheduler::CronError>(())
    /// ```
    pub fn metadata(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Self {
        self.options.metadata.set(key.into(), value.into());
        self
    }

    /// For the macros: [`metadata`](Self::metadata) that needs no code in the caller's crate.
    #[doc(hidden)]
    pub fn static_metadata(self, facts: &'static [(&'static str, &'static str)]) -> Self {
        facts.iter().fold(self, |task, &(key, value)| task.metadata(key, value))
    }

    /// The zone in which the schedule is read. Default: the scheduler's.
    pub fn timezone(mut self, zone: Tz) -> Self {
        self.options.timezone = Some(zone);
        self
    }

    /// No occurrence lies before `start`. An interval counts from it and first runs at it. Default: no bound.
    ///
    /// ```text
    /// registered   ┊     ━     ━     ━     ━         an interval without a start counts from its first registration
    /// start                ┊━     ━     ━     ━      and one that has a start from that
    /// ```
    pub fn start_at<Z: TimeZone>(self, start: DateTime<Z>) -> Self {
        self.starting(Timestamp::from(start).into())
    }

    /// No occurrence lies after `end`, which may be one itself. Default: no bound.
    pub fn end_at<Z: TimeZone>(self, end: DateTime<Z>) -> Self {
        self.ending(Timestamp::from(end).into())
    }

    /// For the macros: a start that may be local to the task's zone.
    #[doc(hidden)]
    pub fn starting(mut self, start: Moment) -> Self {
        self.options.start = Some(start);
        self
    }

    /// For the macros: an end that may be local to the task's zone.
    #[doc(hidden)]
    pub fn ending(mut self, end: Moment) -> Self {
        self.options.end = Some(end);
        self
    }

    /// The instants of `expression`, in the task's zone, are no occurrences. Default: none.
    ///
    /// ```
    /// use symphra_scheduler::{Schedule, Task};
    ///
    /// // At nine of each workday, but not at Christmas.
    /// let report = Task::new("report", Schedule::cron("0 9 * * MON-FRI")?, async || {}).except("* * 25 12 *".parse()?);
    /// # Ok::<(), symphra_scheduler::CronError>(())
    /// ```
    pub fn except(mut self, expression: CronExpr) -> Self {
        self.options.except = Some(Box::new(expression));
        self
    }

    /// Moves each occurrence by up to `longest`, always the same for the same occurrence, and never past the next one.
    /// Default: none; allowed up to 1 day.
    ///
    /// ```text
    /// scheduled_at  1         2         3         4
    /// due           ┊  ━      ┊━        ┊      ━  ┊ ━      the same on every node, and after every restart
    /// ```
    ///
    /// Keys, marks and handlers see `scheduled_at`.
    pub fn jitter(mut self, longest: Duration) -> Self {
        self.options.jitter = Some(longest);
        self
    }

    /// From where the next instant of an interval counts. Default [`Delay::FixedRate`].
    pub fn delay(mut self, delay: Delay) -> Self {
        self.options.delay = delay;
        self
    }

    /// How many runs of the task may be alive at once. Default 1, of a job no limit but the workers of all nodes; zero is an
    /// error at start.
    pub fn max_instances(mut self, runs: u32) -> Self {
        self.options.max_instances = Some(runs);
        self
    }

    /// What happens to an occurrence that falls due while the task is full. Default [`Overlap::Skip`].
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.options.overlap = Some(overlap);
        self
    }

    /// What happens to occurrences that nobody could start in time. Default [`Misfire::RunOnce`].
    pub fn misfire(mut self, misfire: Misfire) -> Self {
        self.options.misfire = Some(misfire);
        self
    }

    /// How old a missed occurrence may be to become a run all the same; what is older is recorded. Default: without
    /// limit, and 1 day under [`Misfire::RunAll`].
    ///
    /// The scheduler was away from 2 to 6, and is back shortly before 7; the window is two and a half periods (`━` a run,
    /// `━(5,6)` those of 5 and 6, late; `×` recorded):
    ///
    /// ```text
    /// due       1     2     3     4     5     6     7
    ///           ━     ─ ─ ─ ─  away  ─ ─ ─ ─        ━
    /// RunAll    ━     ×     ×     ×           ━(5,6)━      2, 3 and 4 are too old
    /// ```
    ///
    /// ```
    /// use std::time::Duration;
    /// use symphra_scheduler::{Misfire, Overlap, Schedule, Task};
    ///
    /// let reading = Task::new("reading", Schedule::cron("*/5 * * * *")?, async || {})
    ///     .misfire(Misfire::RunAll)
    ///     .overlap(Overlap::BufferAll)
    ///     .catch_up_window(Duration::from_secs(6 * 60 * 60));
    /// # Ok::<(), symphra_scheduler::CronError>(())
    /// ```
    pub fn catch_up_window(mut self, window: Duration) -> Self {
        self.options.catch_up_window = Some(window);
        self
    }

    /// How long an attempt may take. Default: as long as it likes; allowed 1 ms to 30 days.
    ///
    /// At its end the body is asked to cancel ([`RunContext::cancelled`](crate::RunContext::cancelled)), and 5 s later it
    /// is dropped at its next await. Whatever it then returns, the attempt has timed out.
    ///
    /// ```text
    /// ━━━━━━━━━━━━━┃ ─ ─ ─ ─ ─ ─ ┃✗
    ///           timeout   5 s    dropped
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// How often a failed attempt is repeated, and when. Default [`RetryPolicy::standard`]: 3 attempts.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.options.retry = Some(Box::new(policy));
        self
    }

    /// After this many occurrences have become runs the schedule is over, for the whole cluster. Default: without limit;
    /// zero is an error at start. Runs that were triggered, and attempts, do not count.
    pub fn max_runs(mut self, runs: u64) -> Self {
        self.options.max_runs = Some(runs);
        self
    }

    /// A task that is not enabled is registered and paused: what falls due is recorded. Default: true.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.options.disabled = !enabled;
        self
    }

    /// Which runs start first where not all can: the higher, then the one that was due earlier. Default 0; allowed −100
    /// to 100.
    pub fn priority(mut self, priority: i8) -> Self {
        self.options.priority = priority;
        self
    }

    /// Whether the task also runs once when a node starts and no other live node knows it. Default: false.
    ///
    /// Its run is no occurrence, and moves neither mark nor grid; overlap, pause and the window hold for it.
    pub fn run_on_start(mut self, run: bool) -> Self {
        self.options.run_on_start = run;
        self
    }

    /// Whether a run whose node has died is executed again. Default [`Delivery::AtLeastOnce`].
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.options.delivery = delivery;
        self
    }

    /// Of all tasks of the group at most as many run at once as
    /// [`SchedulerConfig::group`](crate::SchedulerConfig::group) says, 1 by default; the others wait their turn. Default:
    /// no group.
    ///
    /// ```
    /// use symphra_scheduler::{Schedule, Scheduler, SchedulerConfig, Task};
    ///
    /// let report = Task::new("report", Schedule::cron("0 9 * * *")?, async || {}).group("database");
    /// let vacuum = Task::new("vacuum", Schedule::cron("0 9 * * *")?, async || {}).group("database");
    /// // Two of them at once; without the setting one.
    /// let config = SchedulerConfig::new().group("database", 2);
    /// let scheduler = Scheduler::empty().config(config).register(report).register(vacuum);
    /// # Ok::<(), symphra_scheduler::CronError>(())
    /// ```
    pub fn group(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.options.group = Some(name.into());
        self
    }

    /// Pauses the task after this many failed runs in a row, whatever their attempts. Default: never; zero is an error at
    /// start.
    pub fn pause_after(mut self, failed_runs: u32) -> Self {
        self.options.pause_after = Some(failed_runs);
        self
    }

    /// If the task has not succeeded for this long, [`health`](crate::SchedulerHandle::health) lists it as stale.
    /// Default: until a minute after the second occurrence since its last success.
    ///
    /// ```
    /// use std::time::Duration;
    /// use symphra_scheduler::{Schedule, Task};
    ///
    /// let backup = Task::new("backup", Schedule::cron("0 3 * * *")?, async || {})
    ///     .expect_success_within(Duration::from_secs(26 * 60 * 60));
    /// # Ok::<(), symphra_scheduler::CronError>(())
    /// ```
    pub fn expect_success_within(mut self, time: Duration) -> Self {
        self.options.expect_success_within = Some(time);
        self
    }
}
