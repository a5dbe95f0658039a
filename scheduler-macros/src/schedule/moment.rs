//! Instants in `at`, `start` and `end`: absolute with an offset, local to the task's zone without one.
//!
//! A local one stays local: the zone may be the scheduler's, which only the running program knows.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike};
use chrono_tz::Tz;

use crate::attr::Value;
use crate::form::Word;

/// The years an instant may lie in: those of RFC 3339 from the epoch on.
const YEARS: RangeInclusive<i32> = 1970..=9999;

/// An instant, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Since the epoch.
    Utc(i64),
    /// A civil time, read as if it were in UTC.
    Local(i64),
}

impl Moment {
    /// Reads an RFC 3339 instant, or one without offset.
    pub(crate) fn read(value: &Value, word: &Word) -> syn::Result<Self> {
        let text = value.text(word)?;
        Self::parse(&text).map_err(|message| value.error(format!("`{}` is {text:?}; {message}", word.name)))
    }

    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
            check(instant.naive_local())?;
            return Ok(Self::Utc(instant.timestamp_millis()));
        }
        let civil = civil(text).ok_or_else(|| {
            "an instant is written \"2026-12-31T23:59:59+08:00\", or \"2026-12-31T23:59:59\" in the task's time zone, \
             and must be a date and time that exist"
                .to_owned()
        })?;
        check(civil)?;
        Ok(Self::Local(civil.and_utc().timestamp_millis()))
    }

    /// Which of two instants of a task in `zone` is earlier; `None` if only the running program can tell.
    pub(crate) fn order(self, other: Self, zone: Option<Tz>) -> Option<Ordering> {
        match (self, other) {
            (Self::Utc(a), Self::Utc(b)) | (Self::Local(a), Self::Local(b)) => Some(a.cmp(&b)),
            (a, b) => Some(a.to_utc(zone?)?.cmp(&b.to_utc(zone?)?)),
        }
    }

    /// Milliseconds since the epoch; `None` for a local time that `zone` skips.
    pub(crate) fn to_utc(self, zone: Tz) -> Option<i64> {
        match self {
            Self::Utc(millis) => Some(millis),
            Self::Local(millis) => {
                let civil = DateTime::from_timestamp_millis(millis)?.naive_utc();
                Some(zone.from_local_datetime(&civil).earliest()?.timestamp_millis())
            }
        }
    }
}

fn civil(text: &str) -> Option<NaiveDateTime> {
    let with_time = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    with_time
        .into_iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN)))
}

fn check(civil: NaiveDateTime) -> Result<(), String> {
    if !YEARS.contains(&civil.year()) {
        return Err(format!("its year must lie in {} to {}", YEARS.start(), YEARS.end()));
    }
    if !civil.nanosecond().is_multiple_of(1_000_000) {
        return Err("instants are whole milliseconds: write at most three digits after the second".to_owned());
    }
    Ok(())
}
