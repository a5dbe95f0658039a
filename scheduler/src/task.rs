//! A task: a name, a schedule, a handler and options, as a program writes it.
//!
//! Builders do not fail: what is wrong is told at start, for all tasks at once, by [`Task::problems`].

#[cfg(feature = "jobs")]
mod jobs;
mod live;
mod metadata;
mod name;
mod options;
mod overriding;
mod rules;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;

use chrono::DateTime;
use chrono_tz::Tz;

use crate::backend::Pause;
use crate::handler::{BlockingHandler, Call, Handler};
#[cfg(feature = "jobs")]
use crate::job::JobKind;
use crate::schedule::Schedule;
pub(crate) use live::{Alike, LiveTask, Shown};
pub use metadata::Metadata;
pub use name::{TaskName, TaskNameError};
pub(crate) use options::Options;
pub(crate) use overriding::Place;
pub use overriding::TaskOverride;
#[cfg(any(feature = "config", feature = "jobs"))]
pub(crate) use rules::PRIORITY_MAX;
#[cfg(feature = "config")]
pub(crate) use rules::{JITTER_MAX, TIMEOUT_MAX};

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
#[derive(Clone)]
#[must_use = "a task does nothing until it is registered"]
pub struct Task {
    name: Cow<'static, str>,
    schedule: Schedule,
    options: Options,
    source: Source,
    call: Call,
    #[cfg(feature = "jobs")]
    job: Option<Box<JobKind>>,
}

/// Where a task is written.
///
/// ```
/// use symphra_scheduler::{Schedule, Source, Task};
///
/// let task = Task::new("report", Schedule::cron("0 9 * * *")?, async || {});
/// assert_eq!(task.source().file(), file!());
/// assert_eq!(Source::new("src/main.rs", 7, "shop").to_string(), "src/main.rs:7");
/// # Ok::<(), symphra_scheduler::CronError>(())
/// ```
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

    /// A task whose handler is an ordinary function, which is called on tokio's pool for blocking work.
    ///
    /// Once it has begun it cannot be stopped: past its timeout it keeps its worker until it returns, and is listed as
    /// stuck.
    #[track_caller]
    pub fn blocking<Args>(
        name: impl Into<Cow<'static, str>>,
        schedule: impl Into<Schedule>,
        handler: impl BlockingHandler<Args>,
    ) -> Self {
        let place = Location::caller();
        let source = Source::new(place.file(), place.line(), "");
        Self::declared(name.into(), schedule.into(), source, Call::blocking(handler))
    }

    pub(crate) fn declared(name: Cow<'static, str>, schedule: Schedule, source: Source, call: Call) -> Self {
        Self {
            name,
            schedule,
            options: Options::default(),
            source,
            call,
            #[cfg(feature = "jobs")]
            job: None,
        }
    }

    /// The newest version of arguments that is read of its jobs; 0 if it has none.
    pub(crate) fn reads(&self) -> u32 {
        #[cfg(feature = "jobs")]
        return self.job.as_ref().map_or(0, |kind| kind.version());
        #[cfg(not(feature = "jobs"))]
        0
    }

    /// Whether it has no schedule, and runs when it is enqueued.
    pub(crate) const fn is_job(&self) -> bool {
        #[cfg(feature = "jobs")]
        return self.job.is_some();
        #[cfg(not(feature = "jobs"))]
        false
    }

    pub(crate) const fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) const fn call(&self) -> &Call {
        &self.call
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
///
/// ```
/// use symphra_scheduler::{SchedulerHandle, TaskStatus};
///
/// fn failed(scheduler: &SchedulerHandle) -> Vec<String> {
///     scheduler.tasks_by_status(TaskStatus::Failed).iter().map(|task| task.name.to_string()).collect()
/// }
///
/// assert_eq!(TaskStatus::Failed.to_string(), "failed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TaskStatus {
    /// It is paused, or not enabled.
    Paused,
    /// A run of it is executing.
    Running,
    /// Its latest run waits for its next attempt.
    Retrying,
    /// It has not run yet, or its latest run waits for a worker.
    Pending,
    /// Its latest run succeeded.
    Completed,
    /// Its latest run failed or timed out.
    Failed,
    /// Its latest run was cancelled.
    Cancelled,
}

impl TaskStatus {
    /// All of them, in their order.
    #[cfg(any(feature = "cli", feature = "dashboard"))]
    pub(crate) const ALL: [Self; 7] =
        [Self::Paused, Self::Running, Self::Retrying, Self::Pending, Self::Completed, Self::Failed, Self::Cancelled];
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Paused => "paused",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Pending => "pending",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        })
    }
}

/// What a scheduler knows of one task at one moment.
///
/// ```
/// use symphra_scheduler::{Schedule, Scheduler, Task, TaskStatus};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let report = Task::new("report", Schedule::cron("0 9 * * MON-FRI")?, async || {}).priority(10);
/// let scheduler = Scheduler::empty().register(report).start().await?;
/// let info = scheduler.task("report")?;
/// assert_eq!((info.status, info.priority), (TaskStatus::Pending, 10));
/// println!("{}: {}, next at {:?}", info.name, info.schedule.describe(), info.next);
/// # scheduler.stop().await?;
/// # Ok(())
/// # }
/// ```
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
    /// Facts about it.
    pub metadata: Metadata,
    /// Where it is written.
    pub source: Source,
    /// Where it stands.
    pub status: TaskStatus,
    /// Which of its runs start first where not all can.
    pub priority: i8,
    /// By whom and why it is paused, if it is.
    pub pause: Option<Pause>,
    /// Its next occurrence, in its zone; `None` when its schedule is over, and for a fixed delay whose run is alive.
    pub next: Option<DateTime<Tz>>,
    /// Runs that ended since this scheduler started.
    pub total_runs: u64,
    /// Those that succeeded.
    pub successful_runs: u64,
    /// Those that failed or timed out.
    pub failed_runs: u64,
    /// Runs that execute now.
    pub running: u32,
}

/// How many tasks a scheduler has.
///
/// ```
/// use symphra_scheduler::{Schedule, Scheduler, Task, TaskStatus};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let report = Task::new("report", Schedule::cron("0 9 * * *")?, async || {});
/// let idle = Task::new("idle", Schedule::cron("0 9 * * *")?, async || {}).enabled(false);
/// let scheduler = Scheduler::empty().register(report).register(idle).start().await?;
/// let counts = scheduler.task_counts();
/// assert_eq!((counts.total, counts.enabled, counts.disabled), (2, 1, 1));
/// assert_eq!(counts.by_status[&TaskStatus::Paused], 1);
/// # scheduler.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskCounts {
    /// All.
    pub total: usize,
    /// Those whose occurrences become runs.
    pub enabled: usize,
    /// Those that are paused or not enabled.
    pub disabled: usize,
    /// How many stand where; a status that none has is absent.
    pub by_status: BTreeMap<TaskStatus, usize>,
}
