//! How values travel to the script and back: JSON objects. Instants, tasks and runs are texts, since numbers of Lua are
//! floating; a field that is not there is nothing.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use symphra_scheduler_core::Timestamp;

use crate::backend::text;
use crate::backend::{
    Admission, BackendError, Begin, Claimed, Enqueued, Firing, Hold, Holder, JobArguments, LetterRow, NewJob, NewRun,
    Pause, Record, Refusal, RunRow, Submission, Submitted, TaskKey, Token,
};
use crate::outcome::{Failure, Outcome};
use crate::run::{Missed, Origin, RunId, RunState};

/// The largest whole number that every part of the way writes in full.
const WHOLE_MAX: u64 = 99_999_999_999_999;

pub(super) fn whole(number: u64) -> u64 {
    number.min(WHOLE_MAX)
}

pub(super) fn millis(duration: Duration) -> u64 {
    // Half of it, so that an instant and it are still one.
    text::millis(duration).min(WHOLE_MAX / 2)
}

/// A value that travels as a text.
macro_rules! texts {
    ($($(#[$doc:meta])* $word:ident($of:ty), $read:expr, $write:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub(super) struct $word(pub(super) $of);

        impl FromStr for $word {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let read: fn(&str) -> Option<$of> = $read;
                read(text).map(Self).ok_or_else(|| format!("{text:?} is no {}", stringify!($of)))
            }
        }

        impl Serialize for $word {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let write: fn(&$of, S) -> Result<S::Ok, S::Error> = $write;
                write(&self.0, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $word {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text(PhantomData))
            }
        }
    )+};
}

texts! {
    /// An instant.
    At(Timestamp), |text| text.parse().ok().map(Timestamp::from_millis), |at, to| to.collect_str(&at.as_millis());
    /// A task.
    Key(TaskKey), |text| text.parse().ok().map(TaskKey), |key, to| to.collect_str(&key.0);
    /// A run.
    Id(RunId), |text| text.parse().ok(), |id, to| to.collect_str(id);
    /// A number that may be any of 64 bits.
    Number(u64), |text| text.parse().ok(), |number, to| to.collect_str(number);
}

struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

#[derive(Serialize)]
pub(super) struct HolderWord<'a> {
    node: &'a str,
    lease_ms: u64,
    silence_ms: u64,
    tzdb: &'a str,
}

impl<'a> HolderWord<'a> {
    pub(super) fn of(holder: &'a Holder) -> Self {
        let (lease_ms, silence_ms) = (millis(holder.lease), millis(holder.silence_max()));
        Self { node: &holder.node, lease_ms, silence_ms, tzdb: holder.tzdb }
    }
}

/// A pause: of an operator, or because of so many failures, or else as it is declared.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct PauseWord {
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<u64>,
    since: At,
}

impl PauseWord {
    pub(super) fn read(self) -> Pause {
        let since = self.since.0;
        let by = match (self.by, self.failures) {
            (Some(by), _) => by,
            (None, Some(failed)) => format!("its option pause_after, after {failed} failed runs in a row"),
            (None, None) => return Pause::declared(since),
        };
        Pause { by: by.into(), reason: self.reason.map(Into::into), since }
    }
}

/// A record. What is to be said of it is a note, or follows from a run or a pause.
#[derive(Deserialize, Serialize)]
pub(super) struct RecordWord {
    reason: String,
    first: At,
    last: At,
    count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    noted_from: Option<At>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<Id>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pause: Option<PauseWord>,
}

impl RecordWord {
    pub(super) fn of(record: &Record) -> Self {
        Self {
            reason: text::reason(record.reason).into(),
            first: At(record.first),
            last: At(record.last),
            count: whole(record.count),
            noted_from: (record.noted_from != record.first).then_some(At(record.noted_from)),
            note: record.note.as_deref().map(str::to_owned),
            run: None,
            pause: None,
        }
    }

    pub(super) fn read(self) -> Result<Record, BackendError> {
        let reason = text::read_reason(&self.reason)?;
        let note = match (self.note, self.run, self.pause) {
            (Some(note), ..) => Some(note),
            (None, Some(Id(run)), _) if self.reason == "covered" => Refusal::CoveredBy(run).note(),
            (None, Some(Id(run)), _) => Refusal::Overlap(run).note(),
            (None, None, Some(pause)) => Some(pause.read().to_string()),
            (None, None, None) => None,
        };
        let first = self.first.0;
        let record = Record::span(reason, first, self.last.0, self.count).noted(note);
        Ok(Record { noted_from: self.noted_from.map_or(first, |at| at.0), ..record })
    }
}

fn origin(origin: Origin) -> (&'static str, Option<Id>) {
    match origin {
        Origin::Schedule => ("schedule", None),
        Origin::Start => ("start", None),
        Origin::Trigger(id) => ("trigger", Some(Id(id))),
        Origin::Backfill(id) => ("backfill", Some(Id(id))),
        Origin::Job(id) => ("job", Some(Id(id))),
    }
}

fn read_origin(word: &str, id: Option<Id>) -> Result<Origin, BackendError> {
    match (word, id) {
        ("schedule", None) => Ok(Origin::Schedule),
        ("start", None) => Ok(Origin::Start),
        ("trigger", Some(Id(id))) => Ok(Origin::Trigger(id)),
        ("backfill", Some(Id(id))) => Ok(Origin::Backfill(id)),
        ("job", Some(Id(id))) => Ok(Origin::Job(id)),
        _ => Err(text::unreadable("origin", word, "unknown word".into())),
    }
}

fn missed(count: Option<u64>, first: Option<At>) -> Option<Missed> {
    count.zip(first).map(|(count, first)| Missed::new(count, first.0))
}

#[derive(Serialize)]
pub(super) struct FiringWord {
    id: Id,
    task: Key,
    mark: At,
    to: At,
    /// Unless its timetable has always counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<NewRunWord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passed: Option<RecordWord>,
}

#[derive(Serialize)]
struct NewRunWord {
    /// Unless it is an occurrence.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_id: Option<Id>,
    /// Unless the mark advances to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_at: Option<At>,
    /// Unless it is due then.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missed_first: Option<At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accept_until: Option<At>,
}

impl FiringWord {
    pub(super) fn of(firing: &Firing) -> Self {
        Self {
            id: Id(firing.id),
            task: Key(firing.task),
            mark: At(firing.mark),
            to: At(firing.advance_to),
            since: (firing.since != Timestamp::MIN).then_some(At(firing.since)),
            behind: firing.behind.map(At),
            run: firing.run.as_ref().map(|run| NewRunWord::of(run, firing.advance_to)),
            passed: firing.passed.as_ref().map(RecordWord::of),
        }
    }
}

impl NewRunWord {
    fn of(run: &NewRun, advance_to: Timestamp) -> Self {
        let (origin, origin_id) = origin(run.origin);
        Self {
            origin: (run.origin != Origin::Schedule).then_some(origin),
            origin_id,
            scheduled_at: (run.scheduled_at != advance_to).then_some(At(run.scheduled_at)),
            due_at: (run.due_at != run.scheduled_at).then_some(At(run.due_at)),
            missed: run.missed.map(|missed| whole(missed.count)),
            missed_first: run.missed.map(|missed| At(missed.first)),
            accept_until: run.accept_until.map(At),
        }
    }
}

#[derive(Serialize)]
pub(super) struct SubmissionWord {
    id: Id,
    task: Key,
    origin: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_at: Option<At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overlap: Option<&'static str>,
}

impl SubmissionWord {
    pub(super) fn of(submission: &Submission) -> Self {
        let (origin, origin_id) = origin(submission.origin);
        Self {
            id: Id(submission.id),
            task: Key(submission.task),
            origin,
            origin_id,
            scheduled_at: submission.scheduled_at.map(At),
            overlap: submission.overlap.map(text::overlap),
        }
    }
}

/// What became of a firing or a submission.
#[derive(Deserialize)]
pub(super) struct BecameWord {
    a: String,
    token: Option<Number>,
    success: Option<At>,
    run: Option<Id>,
    at: Option<At>,
}

impl BecameWord {
    pub(super) fn admission(self) -> Result<Admission, BackendError> {
        Ok(match (self.a.as_str(), self.token, self.at) {
            ("claimed", Some(Number(token)), _) => Admission::Claimed(hold(token, self.success)),
            ("queued", ..) => Admission::Queued { cancel: self.run.map(|run| run.0) },
            ("passed", ..) => Admission::Passed,
            ("exhausted", ..) => Admission::Exhausted,
            ("outdated", ..) => Admission::Outdated,
            ("moved", _, Some(At(at))) => Admission::MarkMoved(at),
            ("early", _, Some(At(at))) => Admission::Early(at),
            ("late", _, Some(At(at))) => Admission::Late(at),
            _ => Admission::Recorded(self.refusal()?),
        })
    }

    pub(super) fn enqueued(self) -> Result<Enqueued, BackendError> {
        match (self.a.as_str(), self.run) {
            ("queued", _) => Ok(Enqueued::Queued),
            ("known", Some(Id(run))) => Ok(Enqueued::Known(run)),
            ("too_many", _) => Ok(Enqueued::TooMany),
            ("unknown", _) => Ok(Enqueued::UnknownTask),
            (word, _) => Err(text::unreadable("step", word, "unknown word".into())),
        }
    }

    pub(super) fn submitted(self) -> Result<Submitted, BackendError> {
        Ok(match self.a.as_str() {
            "queued" => Submitted::Queued { cancel: self.run.map(|run| run.0) },
            "too_many" => Submitted::TooMany,
            "unknown" => Submitted::UnknownTask,
            _ => Submitted::Refused(self.refusal()?),
        })
    }

    fn refusal(&self) -> Result<Refusal, BackendError> {
        match (self.a.as_str(), self.run) {
            ("overlap", Some(Id(run))) => Ok(Refusal::Overlap(run)),
            ("covered", Some(Id(run))) => Ok(Refusal::CoveredBy(run)),
            ("buffer_full", _) => Ok(Refusal::BufferFull),
            ("paused", _) => Ok(Refusal::Paused),
            (word, _) => Err(text::unreadable("step", word, "unknown word".into())),
        }
    }
}

fn hold(token: u64, success: Option<At>) -> Hold {
    Hold { token: Token(token), previous_success: success.map(|at| at.0) }
}

#[derive(Deserialize)]
pub(super) struct ClaimedWord {
    task: Key,
    id: Id,
    token: Number,
    success: Option<At>,
    origin: String,
    origin_id: Option<Id>,
    scheduled_at: At,
    due_at: At,
    missed: Option<u64>,
    missed_first: Option<At>,
    attempt: u32,
    abandoned: u32,
    was: String,
    /// The version of what a job is called with.
    version: Option<u32>,
}

impl ClaimedWord {
    /// The run, given what the next jobs of the claim are called with.
    pub(super) fn read(self, arguments: &mut impl Iterator<Item = String>) -> Result<Claimed, BackendError> {
        let arguments = match self.version {
            None => None,
            Some(version) => Some(JobArguments { version, json: next_arguments(arguments)? }),
        };
        Ok(Claimed {
            task: self.task.0,
            id: self.id.0,
            hold: hold(self.token.0, self.success),
            origin: read_origin(&self.origin, self.origin_id)?,
            scheduled_at: self.scheduled_at.0,
            due_at: self.due_at.0,
            missed: missed(self.missed, self.missed_first),
            attempt: self.attempt,
            abandoned: self.abandoned,
            was: text::state(&self.was)?,
            arguments: arguments.map(Arc::new),
        })
    }
}

fn next_arguments(arguments: &mut impl Iterator<Item = String>) -> Result<Arc<str>, BackendError> {
    arguments.next().map(Arc::from).ok_or_else(|| BackendError::new("read its rows", "a job has no arguments"))
}

/// A job to be enqueued; what it is called with travels beside.
#[derive(Serialize)]
pub(super) struct NewJobWord<'a> {
    id: Id,
    task: Key,
    version: u32,
    /// Unless it is the store's present, or that and so much time.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    /// Unless it is that of its task.
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_ms: Option<u64>,
}

impl<'a> NewJobWord<'a> {
    pub(super) fn of(job: &'a NewJob) -> Self {
        let (at, delay_ms) = match job.begin {
            Begin::Now => (None, None),
            Begin::At(at) => (Some(At(at)), None),
            Begin::After(delay) => (None, Some(millis(delay))),
        };
        let unique = job.unique.as_ref();
        Self {
            id: Id(job.id),
            task: Key(job.task),
            version: job.arguments.version,
            at,
            delay_ms,
            priority: job.priority,
            key: unique.map(|unique| &*unique.key),
            unique_ms: unique.and_then(|unique| unique.at_least).map(millis),
        }
    }
}

/// A dead letter as it is kept: its run as it ended, and the version of what it was called with.
#[derive(Deserialize)]
pub(super) struct LetterWord {
    #[serde(flatten)]
    run: RunWord,
    version: u32,
}

impl LetterWord {
    pub(super) fn read(self, id: RunId, json: String) -> Result<LetterRow, BackendError> {
        let run = self.run.read(id)?;
        Ok(LetterRow {
            task: run.task,
            id,
            arguments: JobArguments { version: self.version, json: json.into() },
            scheduled_at: run.scheduled_at,
            died_at: run.finished_at.unwrap_or(run.scheduled_at),
            state: run.state,
            attempt: run.attempt,
            failure: run.failure,
        })
    }
}

/// A run as it is kept: one that is alive, or one that has ended.
#[derive(Deserialize)]
pub(super) struct RunWord {
    task: Key,
    /// Where it is no occurrence.
    origin: Option<String>,
    origin_id: Option<Id>,
    scheduled_at: At,
    /// Where it is not that instant.
    due_at: Option<At>,
    missed: Option<u64>,
    missed_first: Option<At>,
    /// Where it is not running, or did not succeed.
    state: Option<String>,
    /// Where it is not the first.
    attempt: Option<u32>,
    started_at: Option<At>,
    finished_at: Option<At>,
    failure: Option<Box<str>>,
    /// Of one that was cancelled.
    cause: Option<String>,
    /// Of one that its nodes' deaths have ended.
    deaths: Option<u32>,
    /// Who held it at its end, or holds it.
    #[serde(alias = "holder")]
    node: Option<String>,
}

impl RunWord {
    /// A job that waits, of which less is kept.
    pub(super) fn read_waiting(self, id: RunId) -> Result<RunRow, BackendError> {
        let (origin, state) = (Some("job".to_owned()), Some(RunState::Queued.to_string()));
        let (origin_id, attempt) = (Some(Id(id)), Some(self.attempt.unwrap_or(0)));
        Self { origin, origin_id, state, attempt, ..self }.read(id)
    }

    pub(super) fn read(self, id: RunId) -> Result<RunRow, BackendError> {
        let state = match (&self.state, self.finished_at) {
            (Some(state), _) => text::state(state)?,
            (None, Some(_)) => RunState::Succeeded,
            (None, None) => RunState::Running,
        };
        let failure = match (self.failure, self.cause, state) {
            (Some(failure), ..) => Some(failure),
            (None, Some(cause), _) => Outcome::Cancelled(text::read_cause(&cause)).text(),
            (None, None, RunState::Abandoned) => Some("its node died".into()),
            (None, None, RunState::Failed) => self.deaths.map(|deaths| Failure::node_died(deaths).text().into()),
            (None, None, _) => None,
        };
        Ok(RunRow {
            task: self.task.0,
            id,
            origin: read_origin(self.origin.as_deref().unwrap_or("schedule"), self.origin_id)?,
            scheduled_at: self.scheduled_at.0,
            due_at: self.due_at.unwrap_or(self.scheduled_at).0,
            missed: missed(self.missed, self.missed_first),
            state,
            attempt: self.attempt.unwrap_or(1),
            started_at: self.started_at.map(|at| at.0),
            finished_at: self.finished_at.map(|at| at.0),
            failure,
            node: self.node.map(Arc::from),
        })
    }
}
