//! An async task scheduler for Rust services.
//!
//! Write `#[cron]` or `#[interval]` over an async function. It is registered at link time; one line starts it.
//!
//! ```no_run
//! use symphra_scheduler::{Scheduler, cron, interval};
//!
//! #[interval(seconds = 10, name = "health_check", tags = ["monitoring"])]
//! async fn health_check() {
//!     println!("ok");
//! }
//!
//! #[cron("0 30 9 * * MON-FRI", timezone = "Asia/Shanghai")]
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
//! Inside a service that has a life of its own, [`Scheduler::start`] returns a [`SchedulerHandle`] instead:
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
//! # What happens to an occurrence
//!
//! - It never starts early, never becomes two runs, and never disappears: it becomes a run, or is counted in a record
//!   that says why not. [`Stats::ledger`] always balances.
//! - It starts within milliseconds; if nobody could start it within
//!   [`misfire_grace`](SchedulerConfig::misfire_grace), the newest of those missed runs and covers the others.
//! - If its task is full (see [`Overlap`]), it is recorded.
//! - A panic or an error ends its run, and nothing else.
//!
//! # Features
//!
//! - `macros` (default): the attributes.
//! - `conformance`: the suite of tests that defines a [`Backend`](backend::Backend).

pub mod backend;
mod clock;
mod config;
mod engine;
mod error;
mod executor;
mod foreground;
mod handle;
mod handler;
mod launch;
mod node;
mod outcome;
mod registry;
mod run;
mod schedule;
mod scheduler;
mod stats;
mod task;

pub use backend::MemoryBackend;
pub use config::SchedulerConfig;
pub use engine::{CancelledRun, StopReport};
pub use error::Error;
pub use executor::{Extract, ExtractError, RunContext, RunningRun, ScheduledAt};
pub use handle::SchedulerHandle;
pub use handler::{Body, Handler};
pub use outcome::{BoxError, ERROR_TEXT_BYTES_MAX, Failure, FailureKind, IntoOutcome, Outcome};
pub use run::{Missed, Origin, RunId, RunKey, RunState};
pub use schedule::{INTERVAL_MAX, IntervalError, Schedule};
pub use scheduler::Scheduler;
pub use stats::Stats;
pub use task::{Overlap, Source, Task, TaskInfo, TaskName, TaskNameError, TaskStatus};

pub use chrono;
pub use chrono_tz;
pub use symphra_scheduler_core::{
    CronError, CronExpr, CronField, DurationError, EXPRESSION_BYTES_MAX, InteropError, Language, Occurrences,
    TASK_NAME_BYTES_MAX, TZDB_VERSION, Timestamp, TimezoneError, format_duration, parse_duration, parse_timezone,
};
pub use uuid;

#[cfg(feature = "macros")]
pub use symphra_scheduler_macros::{cron, daily, every, hourly, interval, monthly, once, scheduled, weekly};

/// What the attributes write. Not for use by hand: it may change with every version.
#[doc(hidden)]
pub mod __private {
    pub use crate::executor::{ExtractError, RunContext};
    pub use crate::handler::{Body, extract, start};
    pub use crate::outcome::IntoOutcome;
    pub use crate::registry::Declaration;
    pub use crate::schedule::{Moment, Schedule};
    pub use crate::task::Source;
    pub use chrono_tz::Tz;
    pub use inventory;
    pub use symphra_scheduler_core::CronExpr;
}
