//! What a configuration changes of a task: the options that differ from its attribute or its builder.
//!
//! An override says nothing about what it does not name. Whether the task is possible with it is checked with all other
//! rules of tasks, after all overrides were laid over it.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use symphra_scheduler_core::{CronExpr, Timestamp};

use super::{Metadata, Task};
use crate::retry::{RetryChange, RetryPolicy};
use crate::schedule::{Delay, Delivery, Misfire, Moment, Overlap, Schedule};

/// What of a task differs from what its attribute or its builder says.
///
/// Each option means what its namesake of [`Task`] means. Where an option may be absent, `None` makes it so again.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::TaskOverride;
///
/// let patient = TaskOverride::new().timeout(Duration::from_secs(90)).max_runs(None);
/// # let _ = patient;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "an override changes nothing until it is part of a configuration"]
pub struct TaskOverride {
    place: Option<Place>,
    schedule: Option<Schedule>,
    timezone: Option<Tz>,
    enabled: Option<bool>,
    tags: Option<Vec<Cow<'static, str>>>,
    metadata: Metadata,
    start: Option<Option<Moment>>,
    end: Option<Option<Moment>>,
    except: Option<Option<Box<CronExpr>>>,
    jitter: Option<Option<Duration>>,
    delay: Option<Delay>,
    max_instances: Option<Option<u32>>,
    overlap: Option<Overlap>,
    misfire: Option<Misfire>,
    catch_up_window: Option<Option<Duration>>,
    timeout: Option<Option<Duration>>,
    retry: Option<RetryChange>,
    max_runs: Option<Option<u64>>,
    priority: Option<i8>,
    run_on_start: Option<bool>,
    delivery: Option<Delivery>,
    group: Option<Option<Cow<'static, str>>>,
    pause_after: Option<Option<u32>>,
    expect_success_within: Option<Option<Duration>>,
}

/// Where a setting is written outside the program's code.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "config"), expect(dead_code, reason = "only what was read has a place"))]
pub(crate) enum Place {
    /// A line of a file, counted from 1.
    Line(Arc<Path>, u32),
    /// A variable of the environment.
    Variable(Arc<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(file, line) => write!(f, "{}:{line}", file.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $option:ident: $of:ty = $value:ident => $set:expr;)+) => {
        impl TaskOverride {
            $(
                $(#[$doc])*
                pub fn $option(mut self, $value: $of) -> Self {
                    self.$option = Some($set);
                    self
                }
            )+
        }
    };
}

setters! {
    /// Another schedule.
    schedule: impl Into<Schedule> = schedule => schedule.into();
    /// Another zone; see [`Task::timezone`].
    timezone: Tz = zone => zone;
    /// Whether its occurrences become runs; see [`Task::enabled`].
    enabled: bool = enabled => enabled;
    /// See [`Task::except`].
    except: impl Into<Option<CronExpr>> = expression => expression.into().map(Box::new);
    /// See [`Task::jitter`].
    jitter: impl Into<Option<Duration>> = longest => longest.into();
    /// See [`Task::delay`].
    delay: Delay = delay => delay;
    /// See [`Task::max_instances`].
    max_instances: impl Into<Option<u32>> = runs => runs.into();
    /// See [`Task::overlap`].
    overlap: Overlap = overlap => overlap;
    /// See [`Task::misfire`].
    misfire: Misfire = misfire => misfire;
    /// See [`Task::catch_up_window`].
    catch_up_window: impl Into<Option<Duration>> = window => window.into();
    /// See [`Task::timeout`].
    timeout: impl Into<Option<Duration>> = timeout => timeout.into();
    /// Another policy; see [`Task::retry`].
    retry: RetryPolicy = policy => RetryChange::whole(policy);
    /// See [`Task::max_runs`].
    max_runs: impl Into<Option<u64>> = runs => runs.into();
    /// See [`Task::priority`].
    priority: i8 = priority => priority;
    /// See [`Task::run_on_start`].
    run_on_start: bool = run => run;
    /// See [`Task::delivery`].
    delivery: Delivery = delivery => delivery;
    /// See [`Task::group`].
    group: impl Into<Option<Cow<'static, str>>> = name => name.into();
    /// See [`Task::pause_after`].
    pause_after: impl Into<Option<u32>> = failed_runs => failed_runs.into();
    /// See [`Task::expect_success_within`].
    expect_success_within: impl Into<Option<Duration>> = time => time.into();
}

impl TaskOverride {
    /// An override that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Other tags, instead of all that it has; see [`Task::tags`].
    pub fn tags<T: Into<Cow<'static, str>>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// A fact more, or another value of one; see [`Task::metadata`].
    pub fn metadata(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Self {
        self.metadata.set(key.into(), value.into());
        self
    }

    /// See [`Task::start_at`].
    pub fn start_at<Z: TimeZone>(self, start: Option<DateTime<Z>>) -> Self {
        self.starting(start.map(|start| Timestamp::from(start).into()))
    }

    /// See [`Task::end_at`].
    pub fn end_at<Z: TimeZone>(self, end: Option<DateTime<Z>>) -> Self {
        self.ending(end.map(|end| Timestamp::from(end).into()))
    }

    pub(crate) fn starting(mut self, start: Option<Moment>) -> Self {
        self.start = Some(start);
        self
    }

    pub(crate) fn ending(mut self, end: Option<Moment>) -> Self {
        self.end = Some(end);
        self
    }

    /// Parts of a retry policy, over those that the task has.
    #[cfg(feature = "config")]
    pub(crate) fn retrying(mut self, change: RetryChange) -> Self {
        self.retry = Some(change);
        self
    }

    #[cfg(feature = "config")]
    pub(crate) fn written_at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Where it is written, if not in the program's code.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }
}

impl Task {
    /// Whether this declaration of a task says the same as another.
    #[cfg(feature = "config")]
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.schedule == other.schedule && self.options == other.options
    }

    /// This task with what `changed` says of it.
    pub(crate) fn overridden(mut self, changed: &TaskOverride) -> Self {
        fn set<T: Clone>(option: &mut T, changed: Option<&T>) {
            if let Some(changed) = changed {
                option.clone_from(changed);
            }
        }
        set(&mut self.schedule, changed.schedule.as_ref());
        let options = &mut self.options;
        if let Some(zone) = changed.timezone {
            options.timezone = Some(zone);
        }
        if let Some(enabled) = changed.enabled {
            options.disabled = !enabled;
        }
        if let Some(change) = &changed.retry {
            let policy = change.over(options.retry.as_deref().copied().unwrap_or_default());
            options.retry = Some(Box::new(policy));
        }
        if let Some(overlap) = changed.overlap {
            options.overlap = Some(overlap);
        }
        if let Some(misfire) = changed.misfire {
            options.misfire = Some(misfire);
        }
        set(&mut options.tags, changed.tags.as_ref());
        set(&mut options.start, changed.start.as_ref());
        set(&mut options.end, changed.end.as_ref());
        set(&mut options.except, changed.except.as_ref());
        set(&mut options.jitter, changed.jitter.as_ref());
        set(&mut options.delay, changed.delay.as_ref());
        set(&mut options.max_instances, changed.max_instances.as_ref());
        set(&mut options.catch_up_window, changed.catch_up_window.as_ref());
        set(&mut options.timeout, changed.timeout.as_ref());
        set(&mut options.max_runs, changed.max_runs.as_ref());
        set(&mut options.priority, changed.priority.as_ref());
        set(&mut options.run_on_start, changed.run_on_start.as_ref());
        set(&mut options.delivery, changed.delivery.as_ref());
        set(&mut options.group, changed.group.as_ref());
        set(&mut options.pause_after, changed.pause_after.as_ref());
        set(&mut options.expect_success_within, changed.expect_success_within.as_ref());
        options.metadata.set_all(&changed.metadata);
        self
    }
}
