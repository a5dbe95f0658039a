//! Why occurrences did not run, and the ledger that counts them all.

use std::fmt;
use std::sync::Arc;

use symphra_scheduler_core::Timestamp;

/// Why occurrences did not run: a span, which the next one with the same reason extends.
///
/// ```
/// use symphra_scheduler::Timestamp;
/// use symphra_scheduler::backend::{Reason, Record};
///
/// let at = Timestamp::from_millis;
/// let mut span = Record::one(Reason::Overlap, at(1_000)).noted(Some("run 1 was alive"));
/// span.extend(Record::one(Reason::Overlap, at(2_000)).noted(Some("run 2 was alive")));
/// assert_eq!((span.first, span.last, span.count), (at(1_000), at(2_000), 2));
/// assert!(span.spans(at(1_500)));
/// assert_eq!(span.note_at(at(2_000)), Some("run 2 was alive"));
/// assert_eq!(span.note_at(at(1_000)), None, "only what there is to say of the last is kept");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Record {
    /// Why.
    pub reason: Reason,
    /// The first instant of the span.
    pub first: Timestamp,
    /// The last instant of the span.
    pub last: Timestamp,
    /// How many occurrences it counts.
    pub count: u64,
    /// What there is to say of the last of them: the run that was in the way, who paused the task.
    pub note: Option<Arc<str>>,
    /// From which instant of the span on that is to be said; of those before it something else was.
    pub noted_from: Timestamp,
}

impl Record {
    /// One occurrence that did not run.
    #[must_use]
    pub const fn one(reason: Reason, at: Timestamp) -> Self {
        Self::span(reason, at, at, 1)
    }

    /// `count` occurrences from `first` to `last`.
    #[must_use]
    pub const fn span(reason: Reason, first: Timestamp, last: Timestamp, count: u64) -> Self {
        Self { reason, first, last, count, note: None, noted_from: first }
    }

    /// What there is to say of the whole span.
    #[must_use]
    pub fn noted(mut self, note: Option<impl Into<Arc<str>>>) -> Self {
        (self.note, self.noted_from) = (note.map(Into::into), self.first);
        self
    }

    /// Adds `other`, which has the same reason and follows.
    pub fn extend(&mut self, other: Self) {
        debug_assert_eq!(self.reason, other.reason, "a span has one reason");
        if self.note != other.note {
            (self.note, self.noted_from) = (other.note, other.noted_from);
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.count += other.count;
    }

    /// What there is to say of the occurrence at `at`, as far as it is kept.
    #[must_use]
    pub fn note_at(&self, at: Timestamp) -> Option<&str> {
        self.note.as_deref().filter(|_| at >= self.noted_from)
    }

    /// Whether `at` lies in the span.
    #[must_use]
    pub fn spans(&self, at: Timestamp) -> bool {
        self.first <= at && at <= self.last
    }
}

/// How many spans are kept of a task. There are fewer reasons than that, so two of one reason can always be joined.
///
/// ```
/// use symphra_scheduler::Timestamp;
/// use symphra_scheduler::backend::{RECORDS_MAX, Reason, Record, add_record};
///
/// let mut spans = Vec::new();
/// for at in 0..1_000 {
///     let reason = if at % 2 == 0 { Reason::Overlap } else { Reason::Missed };
///     add_record(&mut spans, Record::one(reason, Timestamp::from_millis(at)));
/// }
/// assert!(spans.len() <= RECORDS_MAX);
/// assert_eq!(spans.iter().map(|span| span.count).sum::<u64>(), 1_000);
/// ```
pub const RECORDS_MAX: usize = 32;

/// Adds `record` to the spans of a task, the newest of which is the last: one that goes on is extended, and where there
/// are too many the two oldest with one reason become one. No count is ever lost.
///
/// ```
/// use symphra_scheduler::Timestamp;
/// use symphra_scheduler::backend::{Reason, Record, add_record};
///
/// let mut spans = Vec::new();
/// for at in 0..5 {
///     add_record(&mut spans, Record::one(Reason::Paused, Timestamp::from_millis(at)));
/// }
/// assert_eq!(spans.len(), 1);
/// assert_eq!(spans[0].count, 5);
/// ```
pub fn add_record(spans: &mut Vec<Record>, record: Record) {
    match spans.last_mut() {
        Some(last) if last.reason == record.reason => return last.extend(record),
        _ => spans.push(record),
    }
    if spans.len() > RECORDS_MAX {
        let pair = (0..spans.len()).find_map(|older| {
            let newer = (older + 1..spans.len()).find(|&newer| spans[newer].reason == spans[older].reason);
            newer.map(|newer| (older, newer))
        });
        let (older, newer) = pair.expect("there are fewer reasons than spans");
        let joined = spans.remove(older);
        let newer = &mut spans[newer - 1];
        if newer.note == joined.note {
            newer.noted_from = newer.noted_from.min(joined.noted_from);
        }
        newer.first = newer.first.min(joined.first);
        newer.count += joined.count;
    }
}

/// Why an occurrence did not become a run.
///
/// ```
/// use symphra_scheduler::Reason;
///
/// assert_eq!(Reason::Overlap.to_string(), "overlap: as many runs of the task were alive as are allowed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Reason {
    /// As many runs of the task were alive as are allowed.
    Overlap,
    /// A run that waited for its task to have room covers it.
    Covered,
    /// As many occurrences waited as may.
    BufferFull,
    /// Nobody could start it in time, and by its task's misfire policy it does not run.
    Missed,
    /// Nobody could start it in time, and it was older than its task's `catch_up_window`.
    TooOld,
    /// Nobody could start it in time, and more than may be caught up were missed with it.
    TooMany,
    /// Its task was paused.
    Paused,
    /// It had fallen due and not started when its task got another schedule.
    Rescheduled,
    /// It was past when its task was first seen.
    PastAtFirstSight,
    /// The clock had been set back, and showed again an instant that had fired.
    ClockSetBack,
}

impl Reason {
    /// One word for it, as metrics tell it.
    #[cfg(feature = "metrics")]
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Overlap => "overlap",
            Self::Covered => "covered",
            Self::BufferFull => "buffer_full",
            Self::Missed => "missed",
            Self::TooOld => "too_old",
            Self::TooMany => "too_many",
            Self::Paused => "paused",
            Self::Rescheduled => "rescheduled",
            Self::PastAtFirstSight => "past_at_first_sight",
            Self::ClockSetBack => "clock_set_back",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overlap => "overlap: as many runs of the task were alive as are allowed",
            Self::Covered => "covered: a run was waiting already",
            Self::BufferFull => "buffer full: as many occurrences waited as may",
            Self::Missed => "missed: nobody could start it in time",
            Self::TooOld => "missed: nobody could start it in time, and it was older than the catch-up window",
            Self::TooMany => "missed: nobody could start it in time, and too many were missed to catch all up",
            Self::Paused => "paused",
            Self::Rescheduled => "rescheduled: it had not started when its task got another schedule",
            Self::PastAtFirstSight => "past when its task was first seen",
            Self::ClockSetBack => "the clock was set back and showed it a second time",
        })
    }
}

/// What became of all occurrences: exact, and never pruned.
///
/// ```
/// use symphra_scheduler::Ledger;
///
/// let mut ledger = Ledger::default();
/// ledger.count_run();
/// ledger.count_recorded(4);
/// assert_eq!((ledger.occurrences, ledger.runs, ledger.recorded), (5, 1, 4));
/// assert!(ledger.balances());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Ledger {
    /// Occurrences that fell due.
    pub occurrences: u64,
    /// Those that became runs.
    pub runs: u64,
    /// Those that are counted in a record which says why not.
    pub recorded: u64,
}

impl Ledger {
    /// Whether every occurrence is accounted for: `occurrences = runs + recorded`.
    #[must_use]
    pub const fn balances(&self) -> bool {
        self.occurrences == self.runs + self.recorded
    }

    /// Counts an occurrence that became a run.
    pub const fn count_run(&mut self) {
        self.occurrences += 1;
        self.runs += 1;
    }

    /// Counts occurrences that are in a record.
    pub const fn count_recorded(&mut self, count: u64) {
        self.occurrences += count;
        self.recorded += count;
    }

    /// Adds the counts of `other`.
    pub const fn add(&mut self, other: Self) {
        self.occurrences += other.occurrences;
        self.runs += other.runs;
        self.recorded += other.recorded;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(reason: Reason, at: i64) -> Record {
        Record::one(reason, Timestamp::from_millis(at))
    }

    #[test]
    fn a_year_of_one_reason_is_one_span_and_another_reason_begins_a_new_one() {
        let mut spans = Vec::new();
        for at in 0..1_000 {
            add_record(&mut spans, one(Reason::Paused, at));
        }
        add_record(&mut spans, one(Reason::Overlap, 1_000));
        add_record(&mut spans, one(Reason::Paused, 1_001));
        let shape: Vec<_> = spans.iter().map(|span| (span.reason, span.count)).collect();
        assert_eq!(shape, [(Reason::Paused, 1_000), (Reason::Overlap, 1), (Reason::Paused, 1)]);
    }

    #[test]
    fn spans_are_bounded_and_their_counts_exact() {
        let mut spans = Vec::new();
        for at in 0..10_000 {
            add_record(&mut spans, one(if at % 2 == 0 { Reason::Overlap } else { Reason::Missed }, at));
            assert!(spans.len() <= RECORDS_MAX);
        }
        assert_eq!(spans.iter().map(|span| span.count).sum::<u64>(), 10_000);
    }
}
