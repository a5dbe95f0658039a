//! A subscriber of `tracing` by the settings: for programs that have none, and in the foreground.

use std::env;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use super::events::Entry;
use super::file::RollingFile;
use super::run_log;
use super::settings::{LogFormat, LoggingConfig};
use super::writing::{Sink, Writing};
use crate::clock::Clock;
use crate::error::Error;

/// A layer by the settings, for a subscriber that a program composes.
///
/// ```
/// use symphra_scheduler::Error;
/// use symphra_scheduler::logging::{self, BoxedLayer, LogFormat, LogGuard, LoggingConfig};
/// use tracing_subscriber::Registry;
///
/// /// The layer of the log of this service.
/// fn layer() -> Result<(BoxedLayer<Registry>, LogGuard), Error> {
///     logging::layer(&LoggingConfig::new().format(LogFormat::Json))
/// }
///
/// assert!(layer().is_ok());
/// ```
pub type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;

/// Keeps the thread of the log file at work. When it is dropped, what was logged before is written, unless the disk takes
/// nothing for five seconds, and nothing that comes after: keep it until the end of `main`.
///
/// Lines that were lost are told in the file, by the event `log.lost`: when the rush is over, at the latest after a minute,
/// and at the end.
///
/// ```
/// use symphra_scheduler::logging::{self, LoggingConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("scheduler.log");
/// let (subscriber, log) = logging::subscriber(&LoggingConfig::new().file(file))?;
/// # let _ = subscriber;
/// assert_eq!(log.lost(), 0);
/// drop(log); // what was logged is written
/// # Ok(())
/// # }
/// ```
#[must_use = "the log file is written until this is dropped"]
pub struct LogGuard(Option<Writing>);

impl LogGuard {
    /// How many lines were lost, because the disk did not keep up or could not be written.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.as_ref().map_or(0, Writing::lost)
    }
}

impl fmt::Debug for LogGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogGuard").field("file", &self.0.is_some()).field("lost", &self.lost()).finish()
    }
}

/// Installs the global subscriber, which writes by the settings to standard error or to a file. With
/// [`LogFormat::Off`] it is installed too, and silent.
///
/// ```no_run
/// use symphra_scheduler::logging::{self, LogFormat, LoggingConfig};
///
/// fn main() -> Result<(), symphra_scheduler::Error> {
///     let _log = logging::init(&LoggingConfig::new().format(LogFormat::Pretty))?;
///     tracing::info!("it is there for the whole program");
///     Ok(())
/// }
/// ```
///
/// # Errors
/// [`Error::is_config`] for impossible settings; if the file cannot be opened; if there is a global subscriber already,
/// which stays.
pub fn init(settings: &LoggingConfig) -> Result<LogGuard, Error> {
    let (subscriber, guard) = subscriber(settings)?;
    install(subscriber)?;
    Ok(guard)
}

/// [`init`], unless a program has brought its own subscriber; and what runs write is kept with them.
pub(crate) fn init_unless_set(settings: &LoggingConfig) -> Result<Option<LogGuard>, Error> {
    if tracing::dispatcher::has_been_set() {
        return Ok(None);
    }
    let (subscriber, guard) = subscriber(settings)?;
    install(subscriber.with(run_log::keeping(wanted(settings)?)))?;
    Ok(Some(guard))
}

fn install(subscriber: impl Subscriber + Send + Sync) -> Result<(), Error> {
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Error::subscriber_is_set())
}

/// What would keep [`init_unless_set`] from opening the log file, found out without making it.
#[cfg(feature = "daemon")]
pub(crate) fn hindrance(settings: &LoggingConfig) -> Option<Error> {
    let is_written = settings.wanted_format() != LogFormat::Off && !tracing::dispatcher::has_been_set();
    let path = settings.wanted_file().filter(|_| is_written)?;
    super::file::could_be_opened(path).err().map(|cause| Error::log_file(path, cause))
}

/// What [`init`] installs, for a program that adds layers to it, such as [`run_log_layer`](super::run_log_layer).
///
/// ```no_run
/// use symphra_scheduler::logging::{self, LoggingConfig, run_log_layer};
/// use tracing_subscriber::layer::SubscriberExt;
/// use tracing_subscriber::util::SubscriberInitExt;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (subscriber, _log) = logging::subscriber(&LoggingConfig::new())?;
/// subscriber.with(run_log_layer()).try_init()?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`init`], but for the last.
pub fn subscriber(
    settings: &LoggingConfig,
) -> Result<(impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync + use<>, LogGuard), Error> {
    let (layer, guard) = layer(settings)?;
    Ok((Registry::default().with(layer), guard))
}

/// The events that the settings let pass.
fn wanted(settings: &LoggingConfig) -> Result<Targets, Error> {
    let levels = settings.levels().map_err(Error::logging)?;
    Ok(levels.into_iter().fold(Targets::new(), |wanted, (target, level)| match target {
        Some(target) => wanted.with_target(target, level),
        None => wanted.with_default(level),
    }))
}

/// One layer that writes by the settings, levels by target included, for a program's own subscriber.
///
/// ```no_run
/// use symphra_scheduler::logging::{self, LoggingConfig};
/// use tracing_subscriber::layer::SubscriberExt;
/// use tracing_subscriber::util::SubscriberInitExt;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (scheduler, _log) = logging::layer(&LoggingConfig::new().file("scheduler.log"))?;
/// tracing_subscriber::registry().with(scheduler).with(tracing_subscriber::fmt::layer()).try_init()?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`subscriber`].
pub fn layer<S>(settings: &LoggingConfig) -> Result<(BoxedLayer<S>, LogGuard), Error>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let problems = settings.problems();
    if !problems.is_empty() {
        return Err(Error::logging(problems));
    }
    if settings.wanted_format() == LogFormat::Off {
        return Ok((Box::new(Targets::new().with_default(None)), LogGuard(None)));
    }
    let wanted = wanted(settings)?;
    let Some(path) = settings.wanted_file() else {
        return Ok((formatted(settings.wanted_format(), wanted, io::stderr, colour()), LogGuard(None)));
    };
    // The file is opened again when it is put aside, and the working directory may be another by then.
    let path = std::path::absolute(path).map_err(|cause| Error::log_file(path, cause))?;
    let clock = Clock::default();
    let opened = RollingFile::open(&path, settings.wanted_rotation(), settings.kept(), Box::new(move || clock.now()));
    let mut file = opened.map_err(|why| why.into_error(&path))?;
    let sink = Sink {
        path: path.clone(),
        write: move |line: &[u8]| file.write_line(line),
        tell: lost_lines(settings.wanted_format()),
    };
    let (writing, lines) = Writing::start(sink).map_err(|cause| Error::log_file(&path, cause))?;
    Ok((formatted(settings.wanted_format(), wanted, move || lines.clone(), false), LogGuard(Some(writing))))
}

/// What makes the line that tells of lost ones, in the look of all others. It passes by the queue, which may be full.
fn lost_lines(format: LogFormat) -> impl Fn(u64, u64) -> Vec<u8> + Send + 'static {
    move |lines, total| {
        let line = OneLine::default();
        let writer = line.clone();
        let all = Targets::new().with_default(LevelFilter::TRACE);
        let subscriber = Registry::default().with(formatted(format, all, move || writer.clone(), false));
        tracing::subscriber::with_default(subscriber, || Entry::LogLost { lines, total }.trace(false));
        line.taken()
    }
}

/// Takes what a formatter writes.
#[derive(Clone, Default)]
struct OneLine(Arc<Mutex<Vec<u8>>>);

impl OneLine {
    fn taken(self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for OneLine {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a terminal is there to show colours to, and nobody minds: <https://no-color.org>.
fn colour() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|word| word.is_empty())
}

fn formatted<S, W>(format: LogFormat, wanted: Targets, writer: W, colour: bool) -> BoxedLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // A writer that fails is no matter for the program's standard error.
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colour).log_internal_errors(false);
    match format {
        LogFormat::Pretty => Box::new(lines.pretty().with_filter(wanted)),
        LogFormat::Compact | LogFormat::Off => Box::new(lines.compact().with_filter(wanted)),
        LogFormat::Json => Box::new(lines.json().with_span_list(false).with_filter(wanted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_lines_are_told_in_the_look_of_all_others() {
        for (format, parts) in [
            (LogFormat::Compact, &[" WARN symphra_scheduler: ", "event=\"log.lost\" lines=3 total=10\n"][..]),
            (LogFormat::Pretty, &["WARN", "log.lost", "lines: 3, total: 10"]),
            (LogFormat::Json, &["\"level\":\"WARN\"", "\"event\":\"log.lost\",\"lines\":3,\"total\":10}"]),
        ] {
            let line = String::from_utf8(lost_lines(format)(3, 10)).expect("the log is text");
            for part in parts {
                assert!(line.contains(part), "{part:?} is missing in {line:?}");
            }
            assert!(line.ends_with('\n') && !line.contains('\u{1b}'), "{line:?}");
        }
    }
}
