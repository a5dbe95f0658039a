//! The engine's events for programs on the crate `slog`.

use slog::{BorrowedKV, Drain, KV, Record, RecordLocation, RecordStatic, Serializer};
use tracing::Level;

use super::adapter::{LogEvent, LogValue, LoggerAdapter};
use super::events::TARGET;

/// No file and line: an event is known by its name, which is the tag of the record.
static LOCATION: RecordLocation = RecordLocation { file: "", line: 0, column: 0, function: "", module: TARGET };

/// Hands the engine's events to a `slog::Logger`. The tag of a record and its key `event` are the stable name; the other
/// keys are the fields.
///
/// ```
/// use symphra_scheduler::Scheduler;
/// use symphra_scheduler::logging::SlogAdapter;
///
/// let logger = slog::Logger::root(slog::Discard, slog::o!("service" => "billing"));
/// let scheduler = Scheduler::empty().logger(SlogAdapter::new(logger));
/// ```
#[derive(Clone, Debug)]
pub struct SlogAdapter(slog::Logger);

impl SlogAdapter {
    /// Hands them to `logger`, with what that adds.
    #[must_use]
    pub fn new(logger: slog::Logger) -> Self {
        Self(logger)
    }
}

impl LoggerAdapter for SlogAdapter {
    fn log(&self, event: &LogEvent<'_>) {
        let fixed = RecordStatic { location: &LOCATION, tag: event.name(), level: level_of(event.level()) };
        self.0.log(&Record::new(&fixed, &format_args!("{}", event.message()), BorrowedKV(&Pairs(event))));
    }

    fn enabled(&self, level: Level) -> bool {
        self.0.is_enabled(level_of(level))
    }
}

fn level_of(level: Level) -> slog::Level {
    match level {
        Level::ERROR => slog::Level::Error,
        Level::WARN => slog::Level::Warning,
        Level::INFO => slog::Level::Info,
        Level::DEBUG => slog::Level::Debug,
        Level::TRACE => slog::Level::Trace,
    }
}

/// The name and the fields of an event.
struct Pairs<'a>(&'a LogEvent<'a>);

impl KV for Pairs<'_> {
    fn serialize(&self, _: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        serializer.emit_str(key("event"), self.0.name())?;
        self.0.fields().try_for_each(|(name, value)| match value {
            LogValue::Text(text) => serializer.emit_str(key(name), text),
            LogValue::Count(count) => serializer.emit_u64(key(name), count),
            LogValue::Number(number) => serializer.emit_f64(key(name), number),
            LogValue::Shown(shown) => serializer.emit_arguments(key(name), &format_args!("{shown}")),
        })
    }
}

#[expect(clippy::useless_conversion, reason = "a key is another type where a program turns on slog's dynamic keys")]
fn key(name: &'static str) -> slog::Key {
    name.into()
}
