//! For tests: takes what is written, as an adapter and as a subscriber of `tracing`.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::{EVENTS, LogEvent, LoggerAdapter, TARGET};

/// How long something that is certain may take on a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

/// The fields of an event or of a span.
pub(crate) type Fields = Vec<(&'static str, String)>;

/// An event that was written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    pub(crate) message: String,
    pub(crate) fields: Fields,
    /// Those of the spans around it, the outermost first.
    pub(crate) spans: Vec<(&'static str, Fields)>,
}

impl Written {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(field, _)| *field == name);
        found.map_or_else(|| panic!("{self:?} has no {name}"), |(_, value)| value)
    }

    /// Fails unless it is as the list says.
    #[track_caller]
    pub(crate) fn is_as_listed(&self) {
        let known = EVENTS.iter().find(|known| known.name == self.name);
        let known = known.unwrap_or_else(|| panic!("{self:?} is not in the list"));
        assert_eq!((self.level, &*self.message), (known.level, known.message), "{self:?}");
        let fields: Vec<_> = self.fields.iter().map(|(name, _)| *name).collect();
        let listed: Vec<_> =
            known.fields.iter().copied().filter(|name| *name != "cause" || fields.contains(name)).collect();
        assert_eq!(fields, listed, "{self:?}");
    }
}

/// What was written. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Inner>);

#[derive(Default)]
struct Inner {
    written: Mutex<Vec<Written>>,
    more: Condvar,
    spans: Mutex<Vec<(&'static str, Fields)>>,
    entered: Mutex<Vec<u64>>,
}

impl Seen {
    pub(crate) fn all(&self) -> Vec<Written> {
        locked(&self.0.written).clone()
    }

    /// Waits until an event of this name is written, on whichever thread.
    pub(crate) fn take(&self, name: &str) -> Written {
        let written = locked(&self.0.written);
        let is_missing = |written: &mut Vec<Written>| written.iter().all(|event| event.name != name);
        let (written, _) =
            self.0.more.wait_timeout_while(written, PATIENCE, is_missing).unwrap_or_else(PoisonError::into_inner);
        let found = written.iter().find(|event| event.name == name);
        found.unwrap_or_else(|| panic!("{name} is not among {written:#?}")).clone()
    }

    fn push(&self, written: Written) {
        locked(&self.0.written).push(written);
        self.0.more.notify_all();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LoggerAdapter for Seen {
    fn log(&self, event: &LogEvent<'_>) {
        let fields = event.fields().map(|(name, value)| (name, value.to_string())).collect();
        let (name, level, message) = (event.name(), event.level(), event.message().to_owned());
        self.push(Written { name, level, message, fields, spans: Vec::new() });
    }
}

impl Visit for Written {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            "event" => assert_eq!(value, self.name, "the field `event` is the name"),
            name => self.fields.push((name, value.to_owned())),
        }
    }
}

fn nothing_of(metadata: &'static Metadata<'static>) -> Written {
    let (name, level) = (metadata.name(), *metadata.level());
    Written { name, level, message: String::new(), fields: Vec::new(), spans: Vec::new() }
}

/// For one thread: the spans that are entered are those of all.
impl Subscriber for Seen {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = nothing_of(span.metadata());
        span.record(&mut fields);
        let mut spans = locked(&self.0.spans);
        spans.push((span.metadata().name(), fields.fields));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {
        unreachable!("the engine gives a span all its fields at once");
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {
        unreachable!("the engine gives a span all its fields at once");
    }

    fn event(&self, event: &Event<'_>) {
        let mut written = nothing_of(event.metadata());
        event.record(&mut written);
        let spans = locked(&self.0.spans);
        let index = |id: &u64| usize::try_from(id - 1).expect("a small number");
        written.spans = locked(&self.0.entered).iter().map(|id| spans[index(id)].clone()).collect();
        drop(spans);
        self.push(written);
    }

    fn enter(&self, span: &Id) {
        locked(&self.0.entered).push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        let left = locked(&self.0.entered).pop();
        assert_eq!(left, Some(span.into_u64()), "spans are left in the order in which they were entered");
    }
}
