//! What the macros and the runtime of Symphra Scheduler share, pure and without I/O: cron expressions, durations,
//! time zones, names of tasks.
//!
//! Nothing here reads a clock, starts a thread or knows tokio: the same parser runs inside the compiler and inside the
//! service, so that what compiles is what runs. A program uses it by `symphra-scheduler`, which re-exports what is of use
//! there; by itself it is a parser of cron expressions that knows time zones.
//!
//! ```
//! use chrono::TimeZone;
//! use chrono_tz::Europe::Paris;
//! use symphra_scheduler_core::{CronExpr, chrono, chrono_tz};
//!
//! let expr: CronExpr = "0 9 * * MON-FRI".parse()?;
//! assert_eq!(expr.describe(), "at 09:00, Monday to Friday");
//! let friday_evening = Paris.with_ymd_and_hms(2026, 6, 5, 18, 0, 0).unwrap();
//! assert_eq!(expr.next_after(friday_evening).unwrap().to_string(), "2026-06-08 09:00:00 CEST");
//!
//! let error = "0 25 * * *".parse::<CronExpr>().unwrap_err();
//! assert!(error.to_string().starts_with("hour field: 25 is out of range; allowed 0-23"));
//! # Ok::<(), symphra_scheduler_core::CronError>(())
//! ```
//!
//! | for | look at |
//! |---|---|
//! | the grammar of cron expressions, and what a clock change does | [`CronExpr`] |
//! | what is wrong with one, and where | [`CronError`] |
//! | periods such as `1m30s` | [`parse_duration`], [`format_duration`] |
//! | instants as people write them | [`parse_instant`], [`Timestamp`] |
//! | time zones by their names | [`parse_timezone`], [`TZDB_VERSION`] |
//! | what may name a task; what was probably meant | [`check_task_name`], [`nearest`] |
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `interop` | conversions of [`CronExpr`] from and to [`cron::Schedule`](https://docs.rs/cron), where both can say the same |
//! | `serde` | `Serialize` and `Deserialize` of [`Timestamp`], as its milliseconds |

#![cfg_attr(docsrs, feature(doc_cfg))]

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
