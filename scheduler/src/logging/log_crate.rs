//! The engine's events for programs on the crate `log`.

use log::kv::{Error, Key, Source, Value, VisitSource};
use log::{Metadata, Record};
use tracing::Level;

use super::adapter::{LogEvent, LogValue, LoggerAdapter};
use super::events::TARGET;

/// Hands the engine's events to the logger of the crate `log`, under the target `symphra_scheduler`.
///
/// The text of a record is the message and the fields. Its key-value pairs are the fields once more, and `event`, the
/// stable name.
///
/// ```
/// use symphra_scheduler::Scheduler;
/// use symphra_scheduler::logging::LogAdapter;
///
/// let scheduler = Scheduler::empty().logger(LogAdapter);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAdapter;

impl LoggerAdapter for LogAdapter {
    fn log(&self, event: &LogEvent<'_>) {
        let pairs = Pairs(event);
        let mut record = Record::builder();
        record.target(TARGET).module_path_static(Some(TARGET)).level(level_of(event.level())).key_values(&pairs);
        log::logger().log(&record.args(format_args!("{event}")).build());
    }

    fn enabled(&self, level: Level) -> bool {
        let level = level_of(level);
        level <= log::max_level() && log::logger().enabled(&Metadata::builder().target(TARGET).level(level).build())
    }
}

fn level_of(level: Level) -> log::Level {
    match level {
        Level::ERROR => log::Level::Error,
        Level::WARN => log::Level::Warn,
        Level::INFO => log::Level::Info,
        Level::DEBUG => log::Level::Debug,
        Level::TRACE => log::Level::Trace,
    }
}

/// The name and the fields of an event.
struct Pairs<'a>(&'a LogEvent<'a>);

impl Source for Pairs<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), Error> {
        visitor.visit_pair(Key::from_str("event"), Value::from(self.0.name()))?;
        self.0.fields().try_for_each(|(name, value)| {
            let value = match value {
                LogValue::Text(text) => Value::from(text),
                LogValue::Count(count) => Value::from(count),
                LogValue::Number(number) => Value::from(number),
                LogValue::Shown(shown) => Value::from_dyn_display(shown),
            };
            visitor.visit_pair(Key::from_str(name), value)
        })
    }
}
