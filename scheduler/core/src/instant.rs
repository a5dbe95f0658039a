//! Instants as people write them: absolute with an offset, local to a time zone without one.
//!
//! A local one stays local here: which zone it is read in may be known only to the running program.

use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

/// The years an instant may lie in: those of RFC 3339 from the epoch on.
const YEARS: RangeInclusive<i32> = 1970..=9999;

/// An instant, in milliseconds.
///
/// ```
/// use symphra_scheduler_core::{WrittenInstant, parse_instant};
///
/// /// Whether a zone has to say which instant is meant.
/// fn needs_a_zone(text: &str) -> Result<bool, String> {
///     parse_instant(text).map(|written| matches!(written, WrittenInstant::Local(_)))
/// }
///
/// assert_eq!(needs_a_zone("2026-12-31"), Ok(true));
/// assert_eq!(needs_a_zone("2026-12-31T23:59:59Z"), Ok(false));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrittenInstant {
    /// Since the epoch.
    Utc(i64),
    /// A civil time, read as if it were in UTC.
    Local(i64),
}

/// Reads an RFC 3339 instant, or one without offset: `2026-12-31T23:59:59+08:00`, `2026-12-31T23:59`, `2026-12-31`. A
/// space may stand for the `T`.
///
/// # Errors
/// A sentence that says how an instant is written, or what of this one is not possible.
///
/// ```
/// use symphra_scheduler_core::{WrittenInstant, parse_instant};
///
/// assert_eq!(parse_instant("1970-01-01T08:00:01+08:00"), Ok(WrittenInstant::Utc(1_000)));
/// assert_eq!(parse_instant("1970-01-01 00:01"), Ok(WrittenInstant::Local(60_000)));
/// assert!(parse_instant("tomorrow").is_err());
/// ```
pub fn parse_instant(text: &str) -> Result<WrittenInstant, String> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        check(instant.naive_local())?;
        return Ok(WrittenInstant::Utc(instant.timestamp_millis()));
    }
    let civil = civil(text).ok_or_else(|| {
        "an instant is written \"2026-12-31T23:59:59+08:00\", or \"2026-12-31T23:59:59\" in the task's time zone, and \
         must be a date and time that exist"
            .to_owned()
    })?;
    check(civil)?;
    Ok(WrittenInstant::Local(civil.and_utc().timestamp_millis()))
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
