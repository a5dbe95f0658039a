//! An instant as a program writes it: absolute, or local to a zone that is known only at start.

use std::fmt;

use chrono::{LocalResult, NaiveDateTime, TimeZone};
use chrono_tz::{GapInfo, Tz};
use symphra_scheduler_core::Timestamp;

/// An instant, or a civil time that becomes one in the task's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moment(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Utc(Timestamp),
    /// The civil time read as if it were UTC.
    Local(Timestamp),
}

impl Moment {
    /// The instant `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn utc(millis: i64) -> Self {
        Self(Kind::Utc(Timestamp::from_millis(millis)))
    }

    /// The civil time that, read as UTC, is `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn local(millis: i64) -> Self {
        Self(Kind::Local(Timestamp::from_millis(millis)))
    }

    /// The instant in `zone`. A civil time that happens twice is its first pass; one that a clock change skips is the
    /// first instant after the gap: the rule of a cron expression of fixed time.
    pub(crate) fn resolve(self, zone: Tz) -> Timestamp {
        match self.0 {
            Kind::Utc(at) => at,
            Kind::Local(civil) => {
                let naive = civil.to_utc().naive_utc();
                match zone.from_local_datetime(&naive) {
                    LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Timestamp::from(at),
                    LocalResult::None => after_gap(&naive, zone),
                }
            }
        }
    }

    /// The civil time read as if it were UTC, if it is one.
    #[cfg(any(feature = "postgres", feature = "rabbitmq", feature = "redis", feature = "sqlite"))]
    pub(crate) const fn civil(self) -> Option<Timestamp> {
        match self.0 {
            Kind::Utc(_) => None,
            Kind::Local(civil) => Some(civil),
        }
    }

    /// As it may be written in a file.
    #[cfg(feature = "cli")]
    pub(crate) fn written(self) -> String {
        match self.0 {
            Kind::Utc(at) => at.to_utc().format("%Y-%m-%dT%H:%M:%S%.fZ").to_string(),
            Kind::Local(civil) => civil.to_utc().format("%Y-%m-%dT%H:%M:%S%.f").to_string(),
        }
    }
}

fn after_gap(naive: &NaiveDateTime, zone: Tz) -> Timestamp {
    GapInfo::new(naive, &zone)
        .and_then(|gap| gap.end)
        .map_or_else(|| Timestamp::from_millis(naive.and_utc().timestamp_millis()), Timestamp::from)
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self(Kind::Utc(at))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Utc(at) => write!(f, "{}", at.to_utc().format("%Y-%m-%d %H:%M:%S%.f UTC")),
            Kind::Local(civil) => write!(f, "{}", civil.to_utc().format("%Y-%m-%d %H:%M:%S%.f local time")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(text: &str) -> Moment {
        let naive = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a civil time");
        Moment::local(naive.and_utc().timestamp_millis())
    }

    #[test]
    fn a_civil_time_in_a_gap_is_the_first_instant_after_it() {
        let at = local("2026-03-08 02:30").resolve(Tz::America__New_York);
        assert_eq!(at.to_string(), "2026-03-08T07:00:00.000Z");
    }

    #[test]
    fn a_civil_time_that_happens_twice_is_its_first_pass() {
        let at = local("2026-11-01 01:30").resolve(Tz::America__New_York);
        assert_eq!(at.to_string(), "2026-11-01T05:30:00.000Z");
    }

    #[test]
    fn an_absolute_instant_needs_no_zone() {
        assert_eq!(Moment::utc(5).resolve(Tz::Asia__Shanghai), Timestamp::from_millis(5));
    }
}
