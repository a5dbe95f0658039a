//! What the engine writes to the log, where it goes, and how a program without a subscriber gets one.
//!
//! [`events`](self::EVENTS) is the only place that writes: each event has a stable name, a level, a message and fields.
//! It goes to `tracing`, or, if the program has set one by [`Scheduler::logger`](crate::Scheduler::logger), to a
//! [`LoggerAdapter`] instead. The span of a run and what task bodies log are `tracing`'s either way.
//!
//! A scheduler that was started never touches the global subscriber. `init` (feature `logging`) installs one, for
//! programs that ask for it, and [`Scheduler::run`](crate::Scheduler::run) does so if there is none.
//!
//! ```
//! use symphra_scheduler::logging::{EVENTS, Level, LogFormat, LoggingConfig};
//! use symphra_scheduler::{Scheduler, SchedulerConfig};
//!
//! let logging = LoggingConfig::new().level("warn,symphra_scheduler=info").format(LogFormat::Json);
//! let scheduler = Scheduler::empty().config(SchedulerConfig::new().logging(logging));
//!
//! let grave = EVENTS.iter().filter(|event| event.level == Level::ERROR);
//! assert!(grave.count() > 0, "these are worth an alert");
//! ```

mod adapter;
mod events;
mod settings;

#[cfg(feature = "logging")]
mod file;
#[cfg(feature = "log")]
mod log_crate;
#[cfg(feature = "logging")]
mod run_log;
#[cfg(test)]
pub(crate) mod seen;
#[cfg(feature = "slog")]
mod slog_crate;
#[cfg(feature = "logging")]
mod subscriber;
#[cfg(test)]
mod tests;
#[cfg(feature = "logging")]
mod writing;

pub use adapter::{LogEvent, LogValue, LoggerAdapter, Silent};
pub use events::{EVENTS, KnownEvent, TARGET};
#[cfg(feature = "log")]
pub use log_crate::LogAdapter;
#[cfg(feature = "logging")]
pub use run_log::run_log_layer;
pub use settings::{LogFormat, LoggingConfig, Rotation, UnknownWord};
#[cfg(feature = "slog")]
pub use slog_crate::SlogAdapter;
#[cfg(feature = "logging")]
pub use subscriber::{BoxedLayer, LogGuard, init, layer, subscriber};
pub use tracing::Level;

pub(crate) use adapter::Logger;
pub(crate) use events::{Entry, run_span};
#[cfg(feature = "logging")]
pub(crate) use run_log::taken as run_log_taken;
#[cfg(feature = "config")]
pub(crate) use settings::{FILES_KEPT_MAX, LEVELS_ALLOWED};
#[cfg(all(feature = "daemon", feature = "logging"))]
pub(crate) use subscriber::hindrance;
#[cfg(feature = "logging")]
pub(crate) use subscriber::init_unless_set;

/// Without the feature nobody gathers what runs write.
#[cfg(not(feature = "logging"))]
pub(crate) const fn run_log_taken(_: &tracing::Span) -> Option<Box<str>> {
    None
}
