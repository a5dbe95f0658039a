//! An async task scheduler for Rust services: write `#[cron]` or `#[interval]` over an ordinary async function, start it
//! with one line, and know of each occurrence that it ran, or why it did not.
//!
//! ```no_run
//! use symphra_scheduler::{Scheduler, cron, interval};
//!
//! #[interval(seconds = 10, name = "health_check", tags = ["monitoring"])]
//! async fn health_check() {
//!     println!("ok");
//! }
//!
//! #[cron("0 30 9 * * MON-FRI", timezone = "Asia/Shanghai", timeout = "30s")]
//! async fn report() -> Result<(), std::io::Error> {
//!     std::fs::write("report.txt", "all is well")
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), symphra_scheduler::Error> {
//!     Scheduler::from_registry().run().await // Ctrl+C and SIGTERM drain and stop
//! }
//! ```
//!
//! A schedule that is wrong does not compile. The functions are found at link time, and stay as they are written: callable,
//! testable, documented. What they need they take as arguments, such as [`State`] and [`RunContext`].
//!
//! Inside a service that has a life of its own, [`Scheduler::start`] returns a [`SchedulerHandle`] instead, and tasks can be
//! made at run time:
//!
//! ```
//! use std::time::Duration;
//! use symphra_scheduler::{Schedule, Scheduler, Task};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tick = Task::new("tick", Schedule::interval(Duration::from_secs(10))?, || async { println!("tick") });
//! let scheduler = Scheduler::empty().register(tick).start().await?;
//! // … the service serves …
//! let report = scheduler.stop().await?;
//! assert!(report.is_clean());
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised of an occurrence
//!
//! - It never starts early, never becomes two runs, and never disappears: it becomes a run, or is counted in a record
//!   that says why not. [`Stats::ledger`] always balances, and [`explain`](SchedulerHandle::explain) says it in a sentence.
//! - If nobody could start it within [`misfire_grace`](SchedulerConfig::misfire_grace), the newest of those missed runs and
//!   covers the others: see [`Misfire`].
//! - While its task is full it is recorded, waits, or takes the place of another: see [`Overlap`].
//! - An error, a panic and a timeout end its attempt, and nothing else; three attempts are made by default: see
//!   [`RetryPolicy`].
//! - On a store that outlives the program, a run whose node dies is executed again by another, unless its task forbids it:
//!   see [`Delivery`].
//!
//! # Where to look
//!
//! | for | look at |
//! |---|---|
//! | the attributes; their options | [`#[cron]`](attr.cron.html), [`#[interval]`](attr.interval.html) and the others; [the crate that has them](https://docs.rs/symphra-scheduler-macros) |
//! | when a task runs; cron expressions and clock changes | [`Schedule`], [`CronExpr`] |
//! | the same options at run time | [`Task`] |
//! | what a task's function may take | [`State`], [`RunContext`], [`ScheduledAt`], [`Extract`] |
//! | what is said of a failure | [`Retry`], [`RetryPolicy`] |
//! | how a scheduler is put together and started | [`Scheduler`], [`SchedulerConfig`] |
//! | pausing, triggering, rescheduling, asking | [`SchedulerHandle`], [`SchedulerEvent`], [`Health`] |
//! | where runs are kept; stores of one's own | [`MemoryBackend`], [`backend`] |
//! | what is logged, and to whom | [`logging`] |
//! | tests that do not wait | [`test_util`](test_util/index.html) |
//! | guides, and what is promised on which store | [the book](https://github.com/getaix/symphra-scheduler-rust/tree/main/docs) |
//!
//! # Features
//!
//! None changes what is there without it. The default is `macros`.
//!
//! | feature | brings |
//! |---|---|
//! | `macros` | the attributes: `#[cron]`, `#[interval]`, `#[every]`, `#[once]`, `#[hourly]`, `#[daily]`, `#[weekly]`, `#[monthly]`, `#[scheduled]` |
//! | `sqlite` | [`SqliteBackend`](backend/struct.SqliteBackend.html): a store in a file, for the processes of one host; compiles SQLite, so it needs a C compiler |
//! | `postgres` | [`PostgresBackend`](backend/struct.PostgresBackend.html): a store for many nodes |
//! | `redis` | [`RedisBackend`](backend/struct.RedisBackend.html): a store for many nodes, as durable as Redis is set up to be |
//! | `rabbitmq` | [`RabbitMqBackend`](backend/struct.RabbitMqBackend.html): a store for many nodes, one of which owns it |
//! | `jobs` | [`#[task]`](attr.task.html) and [`SchedulerHandle::enqueue`](struct.SchedulerHandle.html#method.enqueue): work with arguments, dead letters |
//! | `config` | [`SchedulerConfig::load`](struct.SchedulerConfig.html#method.load): settings from YAML, TOML or JSON and from the environment |
//! | `logging` | [`logging::init`](logging/fn.init.html): a subscriber of `tracing` for programs that have none, a rolling file |
//! | `log`, `slog` | [`LogAdapter`](logging/struct.LogAdapter.html), [`SlogAdapter`](logging/struct.SlogAdapter.html): the engine's events for programs on these crates |
//! | `metrics` | [`export_prometheus`](struct.SchedulerHandle.html#method.export_prometheus): what a scheduler counts and measures |
//! | `dashboard` | [`SchedulerHandle::dashboard`](struct.SchedulerHandle.html#method.dashboard): pages and an HTTP API, as a router of axum |
//! | `daemon` | [`Scheduler::daemon`](struct.Scheduler.html#method.daemon), [`Daemon`](struct.Daemon.html): running detached, on Unix |
//! | `cli` | [`cli::main`](cli/fn.main.html): a command line for the program, and the binary `symphra`; with it `config` and `daemon` |
//! | `test-util` | [`test_util`](test_util/index.html): a virtual clock, simulations, a backend that fails; for `[dev-dependencies]` |
//! | `conformance` | [`conformance_tests!`](macro.conformance_tests.html): the suite of tests that defines a [`Backend`](backend::Backend) |
//! | `full` | all of these but `test-util` and `conformance` |

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod backend;
#[cfg(feature = "cli")]
pub mod cli;
mod clock;
mod config;
#[cfg(any(feature = "cli", feature = "dashboard"))]
mod control;
#[cfg(feature = "daemon")]
mod daemon;
#[cfg(feature = "dashboard")]
mod dashboard;
mod engine;
mod equals;
mod error;
mod events;
mod executor;
mod foreground;
mod handle;
mod handler;
#[cfg(feature = "jobs")]
mod job;
mod launch;
pub mod logging;
#[cfg(feature = "metrics")]
mod meters;
mod migrate;
mod namespace;
mod node;
mod outcome;
#[cfg(any(feature = "logging", all(unix, feature = "daemon")))]
mod own_file;
mod process;
mod registry;
mod retention;
mod retry;
mod run;
#[cfg(all(unix, feature = "daemon"))]
mod runtime_dir;
mod schedule;
mod scheduler;
mod secret;
mod stats;
mod tally;
mod task;
mod terminal;
#[cfg(any(test, feature = "test-util"))]
pub mod test_util;

pub use backend::{Ledger, MemoryBackend, Pause, Reason, Record, Refusal, RunCursor, RunCursorError, RunLog};
#[cfg(feature = "postgres")]
pub use backend::{PostgresBackend, PostgresOptions};
#[cfg(feature = "rabbitmq")]
pub use backend::{RabbitMqBackend, RabbitMqOptions};
#[cfg(feature = "redis")]
pub use backend::{RedisBackend, RedisOptions};
#[cfg(feature = "sqlite")]
pub use backend::{SqliteBackend, SqliteOptions};
#[cfg(feature = "metrics")]
pub use config::MetricsConfig;
pub use config::{
    BackendConfig, BackendSettings, DaemonConfig, HistoryConfig, SchedulerConfig, register_backend, registered_backends,
};
#[cfg(feature = "config")]
pub use config::{ConfigError, ConfigProblem};
#[cfg(feature = "daemon")]
pub use daemon::{Daemon, DaemonStatus, DaemonStop, Pid};
#[cfg(feature = "dashboard")]
pub use dashboard::Dashboard;
pub use engine::{CancelledRun, StopReport};
pub use error::Error;
pub use events::{Events, SchedulerEvent};
pub use executor::{Extract, ExtractError, Needs, Provided, RunContext, RunningRun, ScheduledAt, State};
#[cfg(feature = "jobs")]
pub use handle::Enqueue;
#[cfg(feature = "metrics")]
pub use handle::PROMETHEUS_CONTENT_TYPE;
pub use handle::{
    Backfill, Backfilled, ClockHealth, DeadLetter, Explanation, Health, LetterFilter, NoOccurrence, Run, RunFilter,
    RunsPage, SchedulerHandle, StaleTask, StopOnDrop, StoreHealth, Triggered,
};
pub use handler::{BlockingHandler, Body, Handler};
#[cfg(feature = "jobs")]
pub use job::{BlockingJobHandler, JobHandler, JobTask, Payload, Upgrade};
pub use migrate::Migrate;
pub use outcome::{BoxError, CancelCause, ERROR_TEXT_BYTES_MAX, Failure, FailureKind, IntoOutcome, Outcome};
pub use retry::{ATTEMPTS_MAX, Backoff, Retry, RetryPolicy, RetryWhen, WAIT_MAX};
pub use run::{Missed, Origin, RunId, RunKey, RunState};
pub use schedule::{
    BUFFERED_MAX, CAUGHT_UP_MAX, Delay, Delivery, INTERVAL_MAX, IntervalError, Misfire, Overlap, Schedule,
    ScheduleError, Timetable, Window,
};
pub use scheduler::Scheduler;
pub use stats::Stats;
pub use tally::TaskMetrics;
pub use task::{Metadata, Source, Task, TaskCounts, TaskInfo, TaskName, TaskNameError, TaskOverride, TaskStatus};

pub use chrono;
pub use chrono_tz;
pub use symphra_scheduler_core::{
    CronError, CronExpr, CronField, DurationError, EXPRESSION_BYTES_MAX, InteropError, Language, Occurrences,
    TASK_NAME_BYTES_MAX, TZDB_VERSION, Timestamp, TimezoneError, format_duration, parse_duration, parse_timezone,
};
pub use uuid;

#[cfg(all(feature = "macros", feature = "jobs"))]
pub use symphra_scheduler_macros::task;
#[cfg(feature = "macros")]
pub use symphra_scheduler_macros::{cron, daily, every, hourly, interval, monthly, once, scheduled, weekly};

/// What the attributes write. Not for use by hand: it may change with every version.
#[doc(hidden)]
pub mod __private {
    pub use crate::handler::{extract, start, start_blocking};
    #[cfg(feature = "jobs")]
    pub use crate::job::{JobKind, payload};
    pub use crate::registry::Declaration;
    pub use crate::retry::{Backoff, RetryPolicy};
    pub use crate::schedule::{Delay, Delivery, Misfire, Moment, Overlap, Schedule};
    pub use crate::task::Source;
    pub use chrono_tz::Tz;
    pub use core::time::Duration;
    pub use inventory;
    pub use symphra_scheduler_core::CronExpr;
}
