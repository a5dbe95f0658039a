//! What a run writes, as an excerpt that is kept with the run: the last events in its span.
//!
//! The layer gathers lines while an attempt executes, the executor takes them when it has ended, and what is written later is
//! not gathered. Invariant: an excerpt has at most [`LINES_MAX`] lines and [`BYTES_MAX`] bytes, and there is one for each
//! attempt that executes at most.

use std::collections::{HashMap, VecDeque};
use std::fmt::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::Id;
use tracing::{Event, Metadata, Span, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::events::{RUN_SPAN, TARGET};
use super::subscriber::BoxedLayer;
use crate::clock::Clock;

/// The most lines of an excerpt.
const LINES_MAX: usize = 64;

/// The most bytes of an excerpt, line breaks included.
const BYTES_MAX: usize = 8 * 1024;

/// A line is cut after this many bytes: one that holds a document must not drive out all others.
const LINE_BYTES_MAX: usize = 1024;

/// What the line takes that tells how many were left out.
const LEFT_OUT_BYTES_MAX: usize = 64;

/// No more is formatted of a message, and of all fields together: an excerpt has no room for it.
const WRITTEN_BYTES_MAX: usize = BYTES_MAX;

/// A layer that keeps with each run an excerpt of what it wrote: the last 64 lines, or 8 KB if that is less, of events at
/// INFO and above that happen in its span.
///
/// It is stored when an attempt ends that wrote something, in place of that of the attempt before, and read by
/// [`SchedulerHandle::run_log`](crate::SchedulerHandle::run_log) and the command `log`. What the engine itself says of a run
/// is not part of it. A task that is spawned by a body is in its run's span only if the program says so, as with
/// `tracing::Instrument::in_current_span`; what it writes after the attempt has ended is not kept.
///
/// The foreground and the daemon add one by themselves where they install the subscriber; it keeps what
/// [`LoggingConfig::level`](super::LoggingConfig::level) lets pass. A program with a subscriber of its own, which must let the
/// target `symphra_scheduler` pass at INFO, since spans of runs have that, adds it:
///
/// ```no_run
/// use symphra_scheduler::logging;
/// use tracing_subscriber::layer::SubscriberExt;
/// use tracing_subscriber::util::SubscriberInitExt;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// tracing_subscriber::registry().with(logging::run_log_layer()).with(tracing_subscriber::fmt::layer()).try_init()?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn run_log_layer<S>() -> BoxedLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    keeping(Targets::new().with_default(LevelFilter::INFO))
}

/// The same for events that `wanted` lets pass.
pub(super) fn keeping<S>(wanted: Targets) -> BoxedLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // Without the spans of runs nobody could tell whose a line is.
    Box::new(RunLog::default().with_filter(wanted.with_target(TARGET, LevelFilter::INFO)))
}

/// Takes what is kept of the attempt whose span this is, if its subscriber has such a layer. From now on nothing is.
pub(crate) fn taken(span: &Span) -> Option<Box<str>> {
    span.with_subscriber(|(id, dispatch)| {
        let before = dispatch.downcast_ref::<RunLog>()?.excerpts().insert(id.clone(), Kept::NoMore);
        match before {
            Some(Kept::Excerpt(excerpt)) => Some(excerpt.into_text()),
            Some(Kept::NoMore) | None => None,
        }
    })
    .flatten()
}

/// What is kept of an attempt, as long as its span lives.
enum Kept {
    Excerpt(Excerpt),
    /// It has ended.
    NoMore,
}

#[derive(Default)]
struct RunLog {
    excerpts: Mutex<HashMap<Id, Kept>>,
    clock: Clock,
}

impl RunLog {
    /// The lock guards a map whose entries are right at every moment.
    fn excerpts(&self) -> MutexGuard<'_, HashMap<Id, Kept>> {
        self.excerpts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Layer<S> for RunLog
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == TARGET {
            return;
        }
        let mut spans = context.event_scope(event).into_iter().flatten();
        let Some(run) = spans.find(|span| is_of_a_run(span.metadata())).map(|span| span.id()) else { return };
        if matches!(self.excerpts().get(&run), Some(Kept::NoMore)) {
            return;
        }
        // Written before the lock is taken again: a value that displays itself may write to the log.
        let written = Written::of(event);
        if written.target(event.metadata()) == TARGET {
            return;
        }
        let text = written.line(&self.clock, event.metadata());
        if let Kept::Excerpt(excerpt) = self.excerpts().entry(run).or_insert_with(|| Kept::Excerpt(Excerpt::default()))
        {
            excerpt.add(&text);
        }
    }

    /// Another span will have its number.
    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if context.span(&id).is_some_and(|span| is_of_a_run(span.metadata())) {
            self.excerpts().remove(&id);
        }
    }
}

fn is_of_a_run(span: &Metadata<'_>) -> bool {
    span.name() == RUN_SPAN && span.target() == TARGET
}

/// The last lines of an attempt.
#[derive(Default)]
struct Excerpt {
    lines: VecDeque<Box<str>>,
    /// Of all lines, each with its break.
    bytes: usize,
    left_out: u64,
}

impl Excerpt {
    /// Adds an event, which may have several lines.
    fn add(&mut self, text: &str) {
        for line in text.lines() {
            let line = &line[..line.floor_char_boundary(LINE_BYTES_MAX)];
            self.bytes += line.len() + 1;
            self.lines.push_back(line.into());
            while self.lines.len() + usize::from(self.left_out > 0) > LINES_MAX
                || self.bytes > BYTES_MAX - LEFT_OUT_BYTES_MAX
            {
                let Some(oldest) = self.lines.pop_front() else { break };
                self.bytes -= oldest.len() + 1;
                self.left_out += 1;
            }
        }
    }

    fn into_text(self) -> Box<str> {
        let left_out =
            (self.left_out > 0).then(|| format!("({} lines before these are not kept)", self.left_out).into());
        let lines: Vec<Box<str>> = left_out.into_iter().chain(self.lines).collect();
        lines.join("\n").into()
    }
}

/// The fields of an event, as they are written.
#[derive(Default)]
struct Written {
    message: Bounded,
    fields: Bounded,
    /// Whether it comes from the crate `log`, and where it happened then.
    is_of_log: bool,
    target: Option<String>,
}

impl Written {
    fn of(event: &Event<'_>) -> Self {
        let mut written = Self { is_of_log: event.metadata().target() == "log", ..Self::default() };
        event.record(&mut written);
        written
    }

    fn target<'a>(&'a self, event: &Metadata<'a>) -> &'a str {
        self.target.as_deref().unwrap_or(event.target())
    }

    fn line(&self, clock: &Clock, event: &Metadata<'_>) -> String {
        let (target, Bounded(message), Bounded(fields)) = (self.target(event), &self.message, &self.fields);
        format!("{} {} {target}: {message}{fields}", clock.now(), event.level())
    }

    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let written = match field.name() {
            "message" => self.message.write_fmt(value),
            "log.target" if self.is_of_log => self.target.insert(String::new()).write_fmt(value),
            name if self.is_of_log && name.starts_with("log.") => Ok(()),
            name => write!(self.fields, " {name}={value}"),
        };
        // Of a value that fails to display itself there is what it has written so far.
        written.unwrap_or_default();
    }
}

/// The beginning of a text that may be of any length.
#[derive(Default)]
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = WRITTEN_BYTES_MAX - self.0.len();
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        Ok(())
    }
}

impl Visit for Written {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" | "log.target" => self.add(field, format_args!("{value}")),
            _ => self.add(field, format_args!("{value:?}")),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let causes = std::iter::successors(Some(value), |error| error.source());
        let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        self.add(field, format_args!("{text}"));
    }
}

#[cfg(test)]
mod tests {
    use symphra_scheduler_core::Timestamp;
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt;

    use super::super::{Entry, Logger, run_span};
    use super::*;
    use crate::run::RunId;

    fn kept(act: impl FnOnce(&Span)) -> Option<String> {
        tracing::subscriber::with_default(Registry::default().with(run_log_layer()), || {
            let span = attempt(1);
            act(&span);
            taken(&span).map(String::from)
        })
    }

    fn attempt(attempt: u32) -> Span {
        let at = Timestamp::from_millis(0);
        run_span("tick", &RunId::from_parts(at, 1), &at, attempt, "node")
    }

    /// The lines without their instants, which the clock gives.
    fn undated(text: &str) -> Vec<&str> {
        text.lines().map(|line| line.split_once(' ').map_or(line, |(_, rest)| rest)).collect()
    }

    #[test]
    fn what_is_written_in_the_span_of_a_run_is_kept_and_nothing_else() {
        let text = kept(|span| {
            tracing::warn!("outside");
            span.in_scope(|| {
                tracing::info!(target: "shop", rows = 3, name = "ink", "read");
                tracing::info_span!("page", number = 7)
                    .in_scope(|| tracing::error!(target: "shop", "within\nanother span"));
                tracing::debug!(target: "shop", "below INFO");
                Logger::default().write(Entry::TaskRegistered { task: "said by the engine" });
            });
        });
        let text = text.expect("something is kept");
        assert_eq!(
            undated(&text),
            ["INFO shop: read rows=3 name=\"ink\"", "ERROR shop: within", "span"],
            "each line of an event is one"
        );
        let (instant, _) = text.split_once(' ').expect("an instant");
        assert!(instant.ends_with('Z') && instant.len() == "2026-01-01T00:00:00.000Z".len(), "{text}");
        assert_eq!(kept(|_| tracing::info!("outside")), None, "a run that wrote nothing has no log");
    }

    #[test]
    fn two_runs_at_once_do_not_mix() {
        tracing::subscriber::with_default(Registry::default().with(run_log_layer()), || {
            let (one, other) = (attempt(1), attempt(2));
            one.in_scope(|| tracing::info!("one"));
            other.in_scope(|| tracing::info!("other"));
            one.in_scope(|| tracing::info!("one more"));
            let of = |span| taken(span).expect("it is kept").lines().count();
            assert_eq!((of(&one), of(&other)), (2, 1));
            assert_eq!(taken(&one), None, "it is taken once");
        });
    }

    #[test]
    fn the_last_lines_are_kept_within_their_bounds_and_the_others_counted() {
        let long = "任".repeat(500);
        for (count, line, kept_lines) in [(64, "short", 64), (65, "short", 63), (1_000, &long, 7)] {
            let text = kept(|span| span.in_scope(|| (0..count).for_each(|n| tracing::info!("{n} {line}"))));
            let text = text.expect("something is kept");
            assert!(text.len() <= BYTES_MAX && text.lines().count() <= LINES_MAX, "{text}");
            let left_out = count - kept_lines;
            let head = format!("({left_out} lines before these are not kept)");
            assert_eq!(text.starts_with(&head), left_out > 0, "{text}");
            assert_eq!(text.lines().count(), kept_lines + usize::from(left_out > 0), "{text}");
            let last = text.lines().last().expect("a last line");
            assert!(last.contains(&format!(": {} ", count - 1)) && last.len() <= LINE_BYTES_MAX, "{last}");
        }
    }

    #[test]
    fn what_comes_after_the_end_is_not_kept_and_nothing_is_left_of_a_run() {
        let subscriber = Registry::default().with(RunLog::default().with_filter(LevelFilter::INFO));
        let dispatch = tracing::Dispatch::new(subscriber);
        tracing::dispatcher::with_default(&dispatch, || {
            let log = dispatch.downcast_ref::<RunLog>().expect("it has one");
            let span = attempt(1);
            let late = span.clone();
            span.in_scope(|| tracing::info!("in time"));
            assert!(taken(&span).is_some());
            drop(span);
            late.in_scope(|| tracing::info!("late"));
            assert!(log.excerpts().values().all(|kept| matches!(kept, Kept::NoMore)), "a late line is not gathered");
            assert_eq!(taken(&late), None);
            drop(late);
            assert_eq!(log.excerpts().len(), 0);
            let untold = attempt(2);
            untold.in_scope(|| tracing::info!("of a worker that was dropped"));
            drop(untold);
            assert_eq!(log.excerpts().len(), 0);
        });
    }

    #[test]
    fn what_comes_through_the_crate_log_has_its_own_target_and_the_engine_has_none() {
        let text = kept(|span| {
            span.in_scope(|| {
                tracing::info!(target: "log", { log.target = "shop", log.line = 7 }, "through a bridge");
                tracing::error!(target: "log", { log.target = "symphra_scheduler" }, "attempt failed");
                tracing::info!(target: "shop", { log.line = 7 }, "a field of its own");
            });
        });
        let text = text.expect("something is kept");
        assert_eq!(undated(&text), ["INFO shop: through a bridge", "INFO shop: a field of its own log.line=7"]);
    }

    #[test]
    fn a_value_without_end_is_cut_as_it_is_written() {
        struct Long;
        impl fmt::Display for Long {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (0..100_000).try_for_each(|_| f.write_str("任务"))
            }
        }
        let mut bounded = Bounded::default();
        write!(bounded, "{Long}").expect("it takes all");
        assert!((WRITTEN_BYTES_MAX - 3..=WRITTEN_BYTES_MAX).contains(&bounded.0.len()), "{}", bounded.0.len());
    }

    #[test]
    fn an_error_is_kept_with_its_causes() {
        #[derive(Debug)]
        struct Outer(fmt::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("cannot print")
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let outer = Outer(fmt::Error);
        let error: &(dyn std::error::Error + 'static) = &outer;
        let text = kept(|span| span.in_scope(|| tracing::error!(error, "it failed"))).expect("it is kept");
        assert!(text.contains(&format!("it failed error=cannot print: {}", fmt::Error)), "{text}");
    }
}
