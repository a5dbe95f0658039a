//! What the macros and the runtime of Symphra Scheduler share, pure and without I/O: cron expressions, durations,
//! time zones, names of options.
//!
//! Nothing here reads a clock, starts a thread or knows tokio: the same parser runs inside the compiler and inside the
//! service, so that what compiles is what runs.

mod cron;
mod duration;
mod instant;
mod suggest;
mod task_name;
mod timestamp;
mod timezone;

pub use chrono;
pub use chrono_tz;

#[cfg(feature = "interop")]
pub use crate::cron::InteropError;
pub use crate::cron::{CronError, CronExpr, CronField, EXPRESSION_BYTES_MAX, Language, Occurrences};
pub use duration::{DurationError, format_duration, parse_duration};
pub use instant::{WrittenInstant, parse_instant};
pub use suggest::nearest;
pub use task_name::{TASK_NAME_BYTES_MAX, TaskNameError, check_task_name};
pub use timestamp::Timestamp;
pub use timezone::{TZDB_VERSION, TimezoneError, parse_timezone};
