//! A task: a name, a schedule, a handler and options, as a program writes it.
//!
//! Builders do not fail: what is wrong is told at start, for all tasks at once, by [`Task::problems`].

mod live;
mod name;

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use symphra_scheduler_core::Timestamp;

use crate::error::Problem;
use crate::handler::{Call, Handler};
use crate::schedule::{Moment, Plan, Schedule, Window};
pub(crate) use live::LiveTask;
pub use name::{TaskName, TaskNameError};

/// A named function and when it runs, built at run time. The attributes give the same at compile time.
///
/// A handler is an async function or closure; its arguments are extractors.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::{RunContext, Schedule, Task};
///
/// let task = Task::new("heartbeat", Schedule::interval(Duration::from_secs(10))?, |run: RunContext| async move {
///     println!("due at {}", run.scheduled_at());
/// })
/// .tags(["monitoring"])
/// .max_instances(2);
/// assert_eq!(task.name(), "heartbeat");
/// # Ok::<(), symphra_scheduler::IntervalError>(())
/// ```
#[must_use = "a task does nothing until it is registered"]
pub struct Task {
    name: Cow<'static, str>,
    schedule: Schedule,
    options: Options,
    source: Source,
    call: Call,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    tags: Vec<Cow<'static, str>>,
    timezone: Option<Tz>,
    start: Option<Moment>,
    end: Option<Moment>,
    max_instances: Option<u32>,
    overlap: Overlap,
}

/// What happens to an occurrence that falls due while its task is full: while `max_instances` of its runs are alive.
///
/// A run takes 2.5 periods, and `max_instances` is 1 (`━` a run, `×` recorded):
///
/// ```text
/// due    1     2     3     4     5     6     7
/// Skip   ━━━━━━━━━━━━━━━   ━━━━━━━━━━━━━━━   ━━━
///              ×     ×           ×     ×
/// Allow  ━━━━━━━━━━━━━━━
///              ━━━━━━━━━━━━━━━
///                    ━━━━━━━━━━━━━━━              and so on: every occurrence runs
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overlap {
    /// The occurrence is recorded and does not run.
    #[default]
    Skip,
    /// It runs beside the others, without limit: `max_instances` beside it is a contradiction.
    Allow,
}

/// Where a task is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    file: &'static str,
    line: u32,
    module: &'static str,
}

impl Source {
    /// A place in a program. `module` may be empty where it is not known.
    #[must_use]
    pub const fn new(file: &'static str, line: u32, module: &'static str) -> Self {
        Self { file, line, module }
    }

    /// The source file, as the compiler was given it.
    #[must_use]
    pub const fn file(&self) -> &'static str {
        self.file
    }

    /// The line, counted from 1.
    #[must_use]
    pub const fn line(&self) -> u32 {
        self.line
    }

    /// The module's path; empty for a task that was built at run time.
    #[must_use]
    pub const fn module(&self) -> &'static str {
        self.module
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Task {
    /// A task named `name` that runs `handler` by `schedule`, with the default options.
    ///
    /// A name has 1 to 128 bytes, no control characters and no space at either end; it is checked at start.
    #[track_caller]
    pub fn new<Args>(
        name: impl Into<Cow<'static, str>>,
        schedule: impl Into<Schedule>,
        handler: impl Handler<Args>,
    ) -> Self {
        let place = Location::caller();
        let source = Source::new(place.file(), place.line(), "");
        Self::declared(name.into(), schedule.into(), source, Call::shared(handler))
    }

    pub(crate) fn declared(name: Cow<'static, str>, schedule: Schedule, source: Source, call: Call) -> Self {
        Self { name, schedule, options: Options::default(), source, call }
    }

    /// Words to find the task by. Default: none.
    pub fn tags<T: Into<Cow<'static, str>>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.options.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// The zone in which a cron expression is read. Default: the scheduler's.
    pub fn timezone(mut self, zone: Tz) -> Self {
        self.options.timezone = Some(zone);
        self
    }

    /// No occurrence lies before `start`. An interval counts from it and first runs at it. Default: no bound.
    pub fn start_at<Z: TimeZone>(self, start: DateTime<Z>) -> Self {
        self.starting(Timestamp::from(start).into())
    }

    /// No occurrence lies after `end`, which may be one itself. Default: no bound.
    pub fn end_at<Z: TimeZone>(self, end: DateTime<Z>) -> Self {
        self.ending(Timestamp::from(end).into())
    }

    pub(crate) fn starting(mut self, start: Moment) -> Self {
        self.options.start = Some(start);
        self
    }

    pub(crate) fn ending(mut self, end: Moment) -> Self {
        self.options.end = Some(end);
        self
    }

    /// How many runs of the task may be alive at once. Default 1; zero is an error at start.
    pub fn max_instances(mut self, runs: u32) -> Self {
        self.options.max_instances = Some(runs);
        self
    }

    /// What happens to an occurrence that falls due while the task is full. Default [`Overlap::Skip`].
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.options.overlap = overlap;
        self
    }

    /// The task's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the task is written.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.source
    }

    /// When it runs.
    #[must_use]
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The tags of the task.
    #[must_use]
    pub fn tag_list(&self) -> &[Cow<'static, str>] {
        &self.options.tags
    }

    /// Everything that is wrong with this task by itself, and its name if that is right.
    pub(crate) fn problems(&self, zone: Tz) -> (Option<TaskName>, Vec<Problem>) {
        let mut found = Vec::new();
        let name = TaskName::new(&self.name)
            .map_err(|reason| found.push(Problem::Name { name: self.name.to_string(), reason, source: self.source }))
            .ok();
        let mut wrong = |says: String| {
            found.push(Problem::Task { name: self.name.to_string(), says, source: self.source });
        };
        let options = &self.options;
        if options.max_instances == Some(0) {
            wrong("max_instances = 0 would never let it run; allowed is 1 or more".into());
        }
        if options.overlap == Overlap::Allow && options.max_instances.is_some() {
            wrong(
                "overlap = \"allow\" has no limit, so max_instances beside it contradicts it; drop one of them".into(),
            );
        }
        let window = self.window(zone);
        if window.end < window.start {
            wrong(format!("end ({}) lies before start ({}), so it would never run", window.end, window.start));
        } else if self.plan(zone, window.start).next(Timestamp::MIN).is_none() {
            wrong(format!("its schedule ({}) has no occurrence at all", self.schedule.describe()));
        }
        (name, found)
    }

    fn zone(&self, default: Tz) -> Tz {
        self.options.timezone.unwrap_or(default)
    }

    fn window(&self, default_zone: Tz) -> Window {
        let zone = self.zone(default_zone);
        let resolve = |moment: Option<Moment>| moment.map(|moment| moment.resolve(zone));
        Window {
            start: resolve(self.options.start).unwrap_or(Window::ALWAYS.start),
            end: resolve(self.options.end).unwrap_or(Window::ALWAYS.end),
        }
    }

    /// The occurrences of the task; an interval without `start` counts from `first_registered`.
    pub(crate) fn plan(&self, default_zone: Tz, first_registered: Timestamp) -> Plan {
        let window = self.window(default_zone);
        let anchor = if self.options.start.is_some() { window.start } else { first_registered };
        Plan::new(self.schedule, self.zone(default_zone), anchor, window)
    }

    /// The instant of a task that has only one.
    pub(crate) fn only_instant(&self, default_zone: Tz) -> Option<Timestamp> {
        self.schedule.only().map(|at| at.resolve(self.zone(default_zone)))
    }

    /// How many runs may be alive at once; `None` is no limit.
    pub(crate) fn alive_max(&self) -> Option<u32> {
        match self.options.overlap {
            Overlap::Skip => Some(self.options.max_instances.unwrap_or(1)),
            Overlap::Allow => None,
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("name", &self.name)
            .field("schedule", &self.schedule)
            .field("options", &self.options)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskStatus {
    /// A run of it is executing.
    Running,
    /// It has not run yet, or its latest run waits for a worker.
    Pending,
    /// Its latest run succeeded.
    Completed,
    /// Its latest run failed.
    Failed,
    /// Its latest run was cancelled.
    Cancelled,
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Pending => "pending",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        })
    }
}

/// What a scheduler knows of one task at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskInfo {
    /// The task's name.
    pub name: TaskName,
    /// When it runs.
    pub schedule: Schedule,
    /// The zone in which its schedule is read.
    pub timezone: Tz,
    /// Its tags.
    pub tags: Vec<Cow<'static, str>>,
    /// Where it is written.
    pub source: Source,
    /// Where it stands.
    pub status: TaskStatus,
    /// Its next occurrence, in its zone; `None` when its schedule is over.
    pub next: Option<DateTime<Tz>>,
    /// Runs that ended since this scheduler started.
    pub total_runs: u64,
    /// Those that succeeded.
    pub successful_runs: u64,
    /// Those that failed.
    pub failed_runs: u64,
    /// Runs that execute now.
    pub running: u32,
}
