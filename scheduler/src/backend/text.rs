//! How timetables, pauses, records and the words of a run are written in a store that outlives its programs: JSON and plain
//! words, each with its way back.
//!
//! Invariant: what is equal is written equal, so that two declarations can be compared as texts. A text that this version
//! cannot read, because a newer one wrote it, is an error that shows it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::Serializer;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};
use symphra_scheduler_core::Timestamp;

use super::{BackendError, Died, Pause, Reason, Record, Refusal, TaskKey};
use crate::outcome::CancelCause;
use crate::run::{Origin, RunId, RunState};
use crate::schedule::{Delay, Moment, Overlap, Rule, Schedule, Timetable, Window};

/// A timetable. Fields that it does not have are left out.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StoredTimetable {
    #[serde(skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    every_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_ms: Option<i64>,
    /// A civil time of the zone, read as if it were UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_local_ms: Option<i64>,
    zone: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_ms: Option<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    anchored: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    except: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter_ms: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    fixed_delay: bool,
}

pub(in crate::backend) fn timetable(timetable: &Timetable) -> String {
    let mut stored = StoredTimetable {
        zone: timetable.zone.name().into(),
        start_ms: (timetable.window.start != Timestamp::MIN).then(|| timetable.window.start.as_millis()),
        end_ms: (timetable.window.end != Timestamp::MAX).then(|| timetable.window.end.as_millis()),
        anchored: timetable.anchored,
        except: timetable.except.as_ref().map(ToString::to_string),
        jitter_ms: Some(millis(timetable.jitter)).filter(|&jitter| jitter > 0),
        fixed_delay: timetable.delay == Delay::FixedDelay,
        ..StoredTimetable::default()
    };
    match timetable.schedule.rule() {
        Rule::Cron(expression) => stored.cron = Some(expression.to_string()),
        Rule::Interval(grid) => stored.every_ms = Some(millis(grid.period())),
        Rule::Once(moment) => match moment.civil() {
            Some(civil) => stored.at_local_ms = Some(civil.as_millis()),
            None => stored.at_ms = Some(moment.resolve(Tz::UTC).as_millis()),
        },
    }
    json(&stored)
}

pub(in crate::backend) fn read_timetable(text: &str) -> Result<Arc<Timetable>, BackendError> {
    let unread = |why: String| unreadable("timetable", text, why);
    let stored: StoredTimetable = serde_json::from_str(text).map_err(|error| unread(error.to_string()))?;
    let schedule = match (&stored.cron, stored.every_ms, stored.at_ms, stored.at_local_ms) {
        (Some(cron), None, None, None) => Schedule::cron(cron).map_err(|error| unread(error.to_string()))?,
        (None, Some(every), None, None) => {
            Schedule::interval(Duration::from_millis(every)).map_err(|error| unread(error.to_string()))?
        }
        (None, None, Some(at), None) => Schedule::from_moment(Moment::utc(at)),
        (None, None, None, Some(civil)) => Schedule::from_moment(Moment::local(civil)),
        _ => return Err(unread("it has not one rule".into())),
    };
    let zone: Tz = stored.zone.parse().map_err(|_| unread(format!("unknown time zone {:?}", stored.zone)))?;
    let except = stored.except.map(|except| except.parse().map(Box::new)).transpose();
    Ok(Arc::new(Timetable {
        window: Window {
            start: stored.start_ms.map_or(Timestamp::MIN, at),
            end: stored.end_ms.map_or(Timestamp::MAX, at),
        },
        anchored: stored.anchored,
        except: except.map_err(|error: symphra_scheduler_core::CronError| unread(error.to_string()))?,
        jitter: Duration::from_millis(stored.jitter_ms.unwrap_or(0)),
        delay: if stored.fixed_delay { Delay::FixedDelay } else { Delay::FixedRate },
        ..Timetable::new(schedule, zone)
    }))
}

#[derive(Serialize, Deserialize)]
struct StoredPause {
    by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    since_ms: i64,
}

pub(in crate::backend) fn pause(pause: &Pause) -> String {
    json(&StoredPause {
        by: pause.by.to_string(),
        reason: pause.reason.as_ref().map(ToString::to_string),
        since_ms: pause.since.as_millis(),
    })
}

pub(in crate::backend) fn read_pause(text: &str) -> Result<Pause, BackendError> {
    let stored: StoredPause =
        serde_json::from_str(text).map_err(|error| unreadable("pause", text, error.to_string()))?;
    Ok(Pause { by: stored.by.into(), reason: stored.reason.map(Into::into), since: at(stored.since_ms) })
}

/// How a run ended by the death of its node; which run that is stands in columns of its own.
#[derive(Serialize, Deserialize)]
struct StoredDeath {
    node: String,
    attempt: u32,
    deaths: u32,
    state: String,
    at_ms: i64,
}

pub(in crate::backend) fn died(died: &Died) -> String {
    json(&StoredDeath {
        node: died.node.to_string(),
        attempt: died.attempt,
        deaths: died.deaths,
        state: died.state.to_string(),
        at_ms: died.ended_at.as_millis(),
    })
}

pub(in crate::backend) fn read_died(id: RunId, task: TaskKey, text: &str) -> Result<Died, BackendError> {
    let StoredDeath { node, attempt, deaths, state: ended_as, at_ms } =
        serde_json::from_str(text).map_err(|error| unreadable("death", text, error.to_string()))?;
    Ok(Died { id, task, node: node.into(), attempt, deaths, state: state(&ended_as)?, ended_at: at(at_ms) })
}

#[derive(Serialize, Deserialize)]
struct StoredRecord {
    reason: String,
    first_ms: i64,
    last_ms: i64,
    count: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Left out if the note is about the whole span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    noted_from_ms: Option<i64>,
}

pub(in crate::backend) fn records(records: &[Record]) -> String {
    let stored: Vec<_> = records
        .iter()
        .map(|record| StoredRecord {
            reason: reason(record.reason).into(),
            first_ms: record.first.as_millis(),
            last_ms: record.last.as_millis(),
            count: count(record.count),
            note: record.note.as_ref().map(ToString::to_string),
            noted_from_ms: (record.noted_from > record.first).then(|| record.noted_from.as_millis()),
        })
        .collect();
    json(&stored)
}

pub(in crate::backend) fn read_records(text: &str) -> Result<Vec<Record>, BackendError> {
    let stored: Vec<StoredRecord> =
        serde_json::from_str(text).map_err(|error| unreadable("list of records", text, error.to_string()))?;
    let record = |stored: StoredRecord| {
        let reason = read_reason(&stored.reason)?;
        let (first, last) = (at(stored.first_ms), at(stored.last_ms));
        let record = Record::span(reason, first, last, stored.count.unsigned_abs()).noted(stored.note);
        Ok(Record { noted_from: stored.noted_from_ms.map_or(first, at), ..record })
    };
    stored.into_iter().map(record).collect()
}

const REASONS: [(Reason, &str); 10] = [
    (Reason::Overlap, "overlap"),
    (Reason::Covered, "covered"),
    (Reason::BufferFull, "buffer_full"),
    (Reason::Missed, "missed"),
    (Reason::TooOld, "too_old"),
    (Reason::TooMany, "too_many"),
    (Reason::Paused, "paused"),
    (Reason::Rescheduled, "rescheduled"),
    (Reason::PastAtFirstSight, "past_at_first_sight"),
    (Reason::ClockSetBack, "clock_set_back"),
];

pub(in crate::backend) fn reason(reason: Reason) -> &'static str {
    REASONS.iter().find(|(known, _)| *known == reason).expect("every reason has its word").1
}

pub(in crate::backend) fn read_reason(word: &str) -> Result<Reason, BackendError> {
    let known = REASONS.iter().find(|(_, known)| *known == word);
    known.map(|(reason, _)| *reason).ok_or_else(|| unreadable("record", word, "unknown reason".into()))
}

/// What became of a step of a mark.
#[derive(Clone, Copy)]
pub(in crate::backend) enum Became {
    Run,
    Passed,
    Recorded(Refusal),
}

pub(in crate::backend) fn became(became: Became) -> String {
    match became {
        Became::Run => "run".into(),
        Became::Passed => "passed".into(),
        Became::Recorded(Refusal::Paused) => "paused".into(),
        Became::Recorded(Refusal::BufferFull) => "buffer_full".into(),
        Became::Recorded(Refusal::Overlap(by)) => format!("overlap {by}"),
        Became::Recorded(Refusal::CoveredBy(by)) => format!("covered {by}"),
    }
}

pub(in crate::backend) fn read_became(text: &str) -> Result<Became, BackendError> {
    let (word, by) = text.split_once(' ').map_or((text, None), |(word, by)| (word, Some(by)));
    Ok(match (word, by) {
        ("run", None) => Became::Run,
        ("passed", None) => Became::Passed,
        ("paused", None) => Became::Recorded(Refusal::Paused),
        ("buffer_full", None) => Became::Recorded(Refusal::BufferFull),
        ("overlap", Some(by)) => Became::Recorded(Refusal::Overlap(run_id(by)?)),
        ("covered", Some(by)) => Became::Recorded(Refusal::CoveredBy(run_id(by)?)),
        _ => return Err(unreadable("step", text, "unknown word".into())),
    })
}

pub(in crate::backend) fn origin(origin: Origin) -> (&'static str, Option<String>) {
    match origin {
        Origin::Schedule => ("schedule", None),
        Origin::Start => ("start", None),
        Origin::Trigger(id) => ("trigger", Some(id.to_string())),
        Origin::Backfill(id) => ("backfill", Some(id.to_string())),
    }
}

pub(in crate::backend) fn read_origin(word: &str, id: Option<&str>) -> Result<Origin, BackendError> {
    Ok(match (word, id) {
        ("schedule", None) => Origin::Schedule,
        ("start", None) => Origin::Start,
        ("trigger", Some(id)) => Origin::Trigger(run_id(id)?),
        ("backfill", Some(id)) => Origin::Backfill(run_id(id)?),
        _ => return Err(unreadable("origin", word, "unknown word".into())),
    })
}

pub(in crate::backend) const fn cause(cause: CancelCause) -> &'static str {
    match cause {
        CancelCause::Stopped => "stopped",
        CancelCause::Requested => "requested",
        CancelCause::Replaced => "replaced",
        CancelCause::TakenOver => "taken_over",
        CancelCause::Unclaimed => "unclaimed",
    }
}

/// A cause that only a newer version knows is a request.
pub(in crate::backend) fn read_cause(word: &str) -> CancelCause {
    match word {
        "stopped" => CancelCause::Stopped,
        "replaced" => CancelCause::Replaced,
        "taken_over" => CancelCause::TakenOver,
        "unclaimed" => CancelCause::Unclaimed,
        _ => CancelCause::Requested,
    }
}

const OVERLAPS: [(Overlap, &str); 5] = [
    (Overlap::Skip, "skip"),
    (Overlap::BufferOne, "buffer_one"),
    (Overlap::BufferAll, "buffer_all"),
    (Overlap::CancelRunning, "cancel_running"),
    (Overlap::Allow, "allow"),
];

pub(in crate::backend) fn overlap(overlap: Overlap) -> &'static str {
    OVERLAPS.iter().find(|(known, _)| *known == overlap).expect("every policy has its word").1
}

pub(in crate::backend) fn read_overlap(word: &str) -> Result<Overlap, BackendError> {
    let known = OVERLAPS.iter().find(|(_, known)| *known == word);
    known.map(|(overlap, _)| *overlap).ok_or_else(|| unreadable("overlap policy", word, "unknown word".into()))
}

const STATES: [RunState; 8] = [
    RunState::Queued,
    RunState::Running,
    RunState::Retrying,
    RunState::Succeeded,
    RunState::Failed,
    RunState::TimedOut,
    RunState::Cancelled,
    RunState::Abandoned,
];

pub(in crate::backend) fn state(word: &str) -> Result<RunState, BackendError> {
    let known = STATES.into_iter().find(|state| state.to_string() == word);
    known.ok_or_else(|| unreadable("state of a run", word, "unknown word".into()))
}

pub(in crate::backend) fn run_id(text: &str) -> Result<RunId, BackendError> {
    text.parse().map_err(|error: uuid::Error| unreadable("id of a run", text, error.to_string()))
}

/// The parameter of a statement. What no text of PostgreSQL can hold, the character of number zero, becomes the mark of an
/// unknown one: an error that a task has met must not keep its end from being stored.
pub(in crate::backend) fn input(value: &impl Serialize) -> String {
    let mut written = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut written, WithoutZero);
    value.serialize(&mut serializer).expect("rows are plain values");
    String::from_utf8(written).expect("JSON is text")
}

struct WithoutZero;

impl Formatter for WithoutZero {
    fn write_char_escape<W: io::Write + ?Sized>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        match escape {
            CharEscape::AsciiControl(0) => writer.write_all("\u{fffd}".as_bytes()),
            other => CompactFormatter.write_char_escape(writer, other),
        }
    }
}

pub(in crate::backend) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("rows are plain values")
}

pub(in crate::backend) fn unreadable(what: &'static str, text: &str, why: String) -> BackendError {
    BackendError::new(
        "read its rows",
        format!("a {what} is stored as {text:?}: {why}; a newer version may have written it"),
    )
}

pub(in crate::backend) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(in crate::backend) const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A count as the stores have it.
pub(in crate::backend) fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
