//! How pauses, deaths, records and the words of a run are written in a store in SQL: JSON and plain words, each with its way
//! back. What other stores write in the same way stands beside the stores.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Serializer;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

pub(super) use crate::backend::text::{
    OVERLAPS, at, count, json, overlap, read_cause, read_reason, read_timetable, reason, run_id, state, timetable,
    unreadable,
};
use crate::backend::{BackendError, Died, Pause, Record, Refusal, TaskKey};
use crate::outcome::CancelCause;
use crate::run::{Origin, RunId};
use crate::schedule::Overlap;

#[derive(Serialize, Deserialize)]
struct StoredPause {
    by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    since_ms: i64,
}

pub(super) fn pause(pause: &Pause) -> String {
    json(&StoredPause {
        by: pause.by.to_string(),
        reason: pause.reason.as_ref().map(ToString::to_string),
        since_ms: pause.since.as_millis(),
    })
}

pub(super) fn read_pause(text: &str) -> Result<Pause, BackendError> {
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

pub(super) fn died(died: &Died) -> String {
    json(&StoredDeath {
        node: died.node.to_string(),
        attempt: died.attempt,
        deaths: died.deaths,
        state: died.state.to_string(),
        at_ms: died.ended_at.as_millis(),
    })
}

pub(super) fn read_died(id: RunId, task: TaskKey, text: &str) -> Result<Died, BackendError> {
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

pub(super) fn records(records: &[Record]) -> String {
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

pub(super) fn read_records(text: &str) -> Result<Vec<Record>, BackendError> {
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

/// What became of a step of a mark.
#[derive(Clone, Copy)]
pub(super) enum Became {
    Run,
    Passed,
    Recorded(Refusal),
}

pub(super) fn became(became: Became) -> String {
    match became {
        Became::Run => "run".into(),
        Became::Passed => "passed".into(),
        Became::Recorded(Refusal::Paused) => "paused".into(),
        Became::Recorded(Refusal::BufferFull) => "buffer_full".into(),
        Became::Recorded(Refusal::Overlap(by)) => format!("overlap {by}"),
        Became::Recorded(Refusal::CoveredBy(by)) => format!("covered {by}"),
    }
}

pub(super) fn read_became(text: &str) -> Result<Became, BackendError> {
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

pub(super) fn origin(origin: Origin) -> (&'static str, Option<String>) {
    match origin {
        Origin::Schedule => ("schedule", None),
        Origin::Start => ("start", None),
        Origin::Trigger(id) => ("trigger", Some(id.to_string())),
        Origin::Backfill(id) => ("backfill", Some(id.to_string())),
        Origin::Job(id) => ("job", Some(id.to_string())),
    }
}

pub(super) fn read_origin(word: &str, id: Option<&str>) -> Result<Origin, BackendError> {
    Ok(match (word, id) {
        ("schedule", None) => Origin::Schedule,
        ("start", None) => Origin::Start,
        ("trigger", Some(id)) => Origin::Trigger(run_id(id)?),
        ("backfill", Some(id)) => Origin::Backfill(run_id(id)?),
        ("job", Some(id)) => Origin::Job(run_id(id)?),
        _ => return Err(unreadable("origin", word, "unknown word".into())),
    })
}

pub(super) const fn cause(cause: CancelCause) -> &'static str {
    match cause {
        CancelCause::Stopped => "stopped",
        CancelCause::Requested => "requested",
        CancelCause::Replaced => "replaced",
        CancelCause::TakenOver => "taken_over",
        CancelCause::Unclaimed => "unclaimed",
    }
}

pub(super) fn read_overlap(word: &str) -> Result<Overlap, BackendError> {
    let known = OVERLAPS.iter().find(|(_, known)| *known == word);
    known.map(|(overlap, _)| *overlap).ok_or_else(|| unreadable("overlap policy", word, "unknown word".into()))
}

/// The parameter of a statement. What no text of PostgreSQL can hold, the character of number zero, becomes the mark of an
/// unknown one: an error that a task has met must not keep its end from being stored.
pub(super) fn input(value: &impl Serialize) -> String {
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
