//! What a run writes, as an excerpt that is kept with the run: the last events in its span.
//!
//! The layer gathers lines while an attempt executes, the executor takes them when it has ended. Invariant: an excerpt has
//! at most [`LINES_MAX`] lines and [`BYTES_MAX`] bytes, and there is one for each attempt that executes at most.

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

/// A layer that keeps with each run an excerpt of what it wrote: the last 64 lines, or 8 KB if that is less, of events at
/// INFO and above that happen in its span.
///
/// It is stored when an attempt ends, in place of that of the attempt before, and read by
/// [`SchedulerHandle::run_log`](crate::SchedulerHandle::run_log) and the command `log`. What the engine itself says of a run
/// is not part of it. A task that is spawned by a body is in its run's span only if the program says so, as with
/// `tracing::Instrument::in_current_span`; what it writes after the attempt has ended is not kept.
///
/// [`init`](super::init), [`subscriber`](super::subscriber), the foreground and the daemon add one by themselves, which keeps
/// what [`LoggingConfig::level`](super::LoggingConfig::level) lets pass. A program with a subscriber of its own adds it:
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

/// Takes what is kept of the attempt whose span this is, if its subscriber has such a layer.
pub(crate) fn taken(span: &Span) -> Option<Box<str>> {
    span.with_subscriber(|(id, dispatch)| {
        let excerpt = dispatch.downcast_ref::<RunLog>()?.excerpts().remove(id)?;
        Some(excerpt.into_text())
    })
    .flatten()
}

#[derive(Default)]
struct RunLog {
    excerpts: Mutex<HashMap<Id, Excerpt>>,
    clock: Clock,
}

impl RunLog {
    /// The lock guards a map whose entries are right at every moment.
    fn excerpts(&self) -> MutexGuard<'_, HashMap<Id, Excerpt>> {
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
        // Written before the lock is taken: a value that displays itself may write to the log.
        let written = Written::of(event);
        let text = written.line(&self.clock, event.metadata());
        self.excerpts().entry(run).or_default().add(&text);
    }

    /// What is written after the attempt has ended goes with its span, whose number another will have.
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
            while self.lines.len() > LINES_MAX || self.bytes > BYTES_MAX - LEFT_OUT_BYTES_MAX {
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
    message: String,
    fields: String,
    /// Of an event that comes from the crate `log`: where it happened.
    target: Option<String>,
}

impl Written {
    fn of(event: &Event<'_>) -> Self {
        let mut written = Self::default();
        event.record(&mut written);
        written
    }

    fn line(&self, clock: &Clock, event: &Metadata<'_>) -> String {
        let target = self.target.as_deref().unwrap_or(event.target());
        format!("{} {} {target}: {}{}", clock.now(), event.level(), self.message, self.fields)
    }

    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let written = match field.name() {
            "message" => self.message.write_fmt(value),
            "log.target" => self.target.insert(String::new()).write_fmt(value),
            name if name.starts_with("log.") => Ok(()),
            name => write!(self.fields, " {name}={value}"),
        };
        // Of a value that fails to display itself there is what it has written so far.
        written.unwrap_or_default();
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
        for (count, line, first) in
            [(64, "short", "short"), (65, "short", "lines before"), (1_000, "long", "lines before")]
        {
            let line = if line == "long" { "任".repeat(500) } else { line.to_owned() };
            let text = kept(|span| span.in_scope(|| (0..count).for_each(|n| tracing::info!("{n} {line}"))));
            let text = text.expect("something is kept");
            assert!(text.len() <= BYTES_MAX, "{} bytes", text.len());
            let (head, _) = text.split_once('\n').expect("several lines");
            assert!(head.contains(first), "{head}");
            let lines = text.lines().filter(|line| !line.contains("lines before")).count();
            assert!((7..=LINES_MAX).contains(&lines), "{lines}");
            let left_out = count - lines;
            assert!(left_out == 0 || head == format!("({left_out} lines before these are not kept)"), "{head}");
            let last = text.lines().last().expect("a last line");
            assert!(last.contains(&format!(": {} ", count - 1)) && last.len() <= LINE_BYTES_MAX, "{last}");
        }
    }

    #[test]
    fn what_comes_after_the_end_goes_with_its_span() {
        let layer = RunLog::default();
        let subscriber = Registry::default().with(layer.with_filter(LevelFilter::INFO));
        let dispatch = tracing::Dispatch::new(subscriber);
        tracing::dispatcher::with_default(&dispatch, || {
            let span = attempt(1);
            let late = span.clone();
            assert_eq!(taken(&span), None);
            drop(span);
            late.in_scope(|| tracing::info!("late"));
            let log = dispatch.downcast_ref::<RunLog>().expect("it has one");
            assert_eq!(log.excerpts().len(), 1);
            drop(late);
            assert_eq!(log.excerpts().len(), 0, "nothing is left of a run");
        });
    }

    #[test]
    fn a_value_that_writes_to_the_log_itself_does_not_hang() {
        struct Chatty;
        impl fmt::Display for Chatty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                tracing::warn!("from within");
                f.write_str("chatty")
            }
        }
        let text = kept(|span| span.in_scope(|| tracing::info!(value = %Chatty, "outer"))).expect("it is kept");
        assert!(text.contains("outer value=chatty"), "{text}");
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
