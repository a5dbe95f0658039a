//! How timetables are written in a store that outlives its programs: JSON, with its way back; and in `words` the words of a run.
//!
//! Invariant: what is equal is written equal, so that two declarations can be compared as texts. A text that this version
//! cannot read, because a newer one wrote it, is an error that shows it.

#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
mod words;

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use symphra_scheduler_core::Timestamp;

use super::BackendError;
use crate::schedule::{Delay, Moment, Rule, Schedule, Timetable, Window};
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
pub(in crate::backend) use words::*;

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

/// The window in which a job has its occurrences: it has none.
const NEVER: (i64, i64) = (1, -1);

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
        // In words that a program which knows no jobs reads too: an instant that no window holds.
        Rule::Never => (stored.at_ms, stored.start_ms, stored.end_ms) = (Some(0), Some(NEVER.0), Some(NEVER.1)),
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
        (None, None, Some(0), None) if stored.start_ms.zip(stored.end_ms) == Some(NEVER) => Schedule::never(),
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
