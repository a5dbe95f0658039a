//! Instants in `at`, `start` and `end`: absolute with an offset, local to the task's zone without one.
//!
//! A local one stays local: the zone may be the scheduler's, which only the running program knows.

use std::cmp::Ordering;

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use symphra_scheduler_core::{WrittenInstant, parse_instant};

use crate::attr::Value;
use crate::form::Word;

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
        Ok(match parse_instant(text)? {
            WrittenInstant::Utc(millis) => Self::Utc(millis),
            WrittenInstant::Local(millis) => Self::Local(millis),
        })
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
