//! Who is told: `tracing`, or an adapter of the program. Whatever they do, a panic ends with the event that caused it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tracing::Level;

use super::events::Entry;

/// A logger that takes the engine's own events instead of `tracing`.
///
/// It is called on the threads of the runtime, in the middle of scheduling: it must not wait. What it throws is caught,
/// and costs the event and nothing else.
///
/// ```
/// use symphra_scheduler::Scheduler;
/// use symphra_scheduler::logging::{Level, LogEvent, LoggerAdapter};
///
/// struct Plain;
///
/// impl LoggerAdapter for Plain {
///     fn log(&self, event: &LogEvent<'_>) {
///         eprintln!("{event}"); // scheduler started node="host-7" tasks=3 backend="memory"
///     }
///
///     fn enabled(&self, level: Level) -> bool {
///         level <= Level::INFO // the greater a level, the more is said
///     }
/// }
///
/// let scheduler = Scheduler::empty().logger(Plain);
/// # let _ = scheduler;
/// ```
pub trait LoggerAdapter: Send + Sync + 'static {
    /// Takes an event.
    fn log(&self, event: &LogEvent<'_>);

    /// Whether events of this level are wanted. Default: all are.
    fn enabled(&self, level: Level) -> bool {
        let _ = level;
        true
    }
}

/// An event of the engine, as an adapter sees it. [`EVENTS`](super::EVENTS) lists all there are.
///
/// `Display` gives the message and then the fields, as `name=value`, text in quotation marks.
///
/// ```
/// use symphra_scheduler::logging::{Level, LogEvent, LoggerAdapter};
///
/// /// Counts what is grave, by name.
/// struct Alarms;
///
/// impl LoggerAdapter for Alarms {
///     fn log(&self, event: &LogEvent<'_>) {
///         if event.level() <= Level::WARN {
///             println!("{}: {}", event.name(), event.message());
///             event.fields().for_each(|(name, value)| println!("  {name} = {value}"));
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LogEvent<'a> {
    pub(super) name: &'static str,
    pub(super) level: Level,
    pub(super) message: &'static str,
    pub(super) fields: &'a [(&'static str, Option<LogValue<'a>>)],
}

impl<'a> LogEvent<'a> {
    /// Its stable name, such as `task.paused`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How grave it is.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// What is said; it may change between versions.
    #[must_use]
    pub fn message(&self) -> &'static str {
        self.message
    }

    /// Its fields that apply, in the order of [`EVENTS`](super::EVENTS).
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, LogValue<'a>)> + use<'a> {
        self.fields.iter().filter_map(|&(name, value)| Some((name, value?)))
    }
}

impl fmt::Display for LogEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)?;
        self.fields().try_for_each(|(name, value)| match value {
            LogValue::Text(text) => write!(f, " {name}={text:?}"),
            // What an error or a reason says may hold anything, line breaks included.
            LogValue::Shown(shown) => write!(f, " {name}={:?}", shown.to_string()),
            other => write!(f, " {name}={other}"),
        })
    }
}

/// The value of a field.
///
/// ```
/// use symphra_scheduler::logging::LogValue;
///
/// /// As a metric, if it is a number.
/// fn number(value: LogValue<'_>) -> Option<f64> {
///     match value {
///         LogValue::Count(count) => Some(count as f64),
///         LogValue::Number(number) => Some(number),
///         _ => None,
///     }
/// }
///
/// assert_eq!(number(LogValue::Count(3)), Some(3.0));
/// assert_eq!(LogValue::Text("report").to_string(), "report");
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum LogValue<'a> {
    /// A text.
    Text(&'a str),
    /// A whole number.
    Count(u64),
    /// A fraction.
    Number(f64),
    /// Something that displays itself: an id, an instant, a duration, an error.
    Shown(&'a dyn fmt::Display),
}

impl fmt::Display for LogValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Count(count) => fmt::Display::fmt(count, f),
            Self::Number(number) => fmt::Display::fmt(number, f),
            Self::Shown(shown) => fmt::Display::fmt(shown, f),
        }
    }
}

impl fmt::Debug for LogValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Takes the engine's events and says nothing.
///
/// ```
/// use symphra_scheduler::Scheduler;
/// use symphra_scheduler::logging::Silent;
///
/// let scheduler = Scheduler::empty().logger(Silent);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl LoggerAdapter for Silent {
    fn log(&self, _: &LogEvent<'_>) {}

    fn enabled(&self, _: Level) -> bool {
        false
    }
}

/// Where the rooms of the scheduler write what is to be known. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Logger {
    adapter: Option<Arc<dyn LoggerAdapter>>,
    task_success: bool,
}

impl Logger {
    /// Writes to `adapter` instead of `tracing`.
    pub(crate) fn with_adapter(adapter: impl LoggerAdapter) -> Self {
        Self { adapter: Some(Arc::new(adapter)), ..Self::default() }
    }

    /// Whether runs that succeed are said at INFO.
    pub(crate) fn task_success(mut self, at_info: bool) -> Self {
        self.task_success = at_info;
        self
    }

    /// Writes one event. Never panics: a subscriber, an adapter and the `Display` of a foreign error are the program's.
    pub(crate) fn write(&self, entry: Entry<'_>) {
        let raise = entry.is_raised(self.task_success);
        let written = catch_unwind(AssertUnwindSafe(|| match &self.adapter {
            Some(adapter) => entry.tell(&**adapter, raise),
            None => entry.trace(raise),
        }));
        if let Err(payload) = written
            && let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload)))
        {
            // What the destructor threw may panic in turn; forgetting it is the one safe way to be rid of it.
            std::mem::forget(another);
        }
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.adapter.is_some() { "Logger(adapter)" } else { "Logger(tracing)" })
    }
}
