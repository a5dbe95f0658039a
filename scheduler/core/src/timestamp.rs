//! An instant in whole milliseconds: the one unit in which the scheduler compares, stores and adds time.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// An instant: whole milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// Arithmetic saturates at the ends of what [`chrono`] can show, so that an absurd duration gives a far instant and
/// never a wrapped one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest instant that [`DateTime<Utc>`] can hold.
    pub const MIN: Self = Self(DateTime::<Utc>::MIN_UTC.timestamp_millis());
    /// The latest instant that [`DateTime<Utc>`] can hold.
    pub const MAX: Self = Self(DateTime::<Utc>::MAX_UTC.timestamp_millis());

    /// The instant `millis` milliseconds after the epoch, clamped to [`MIN`](Self::MIN)..=[`MAX`](Self::MAX).
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        if millis < Self::MIN.0 {
            Self::MIN
        } else if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The instant `duration` later; what is below a millisecond is dropped.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// The instant `duration` earlier; what is below a millisecond is dropped.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_sub(millis))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(if millis > 0 { millis.unsigned_abs() } else { 0 })
    }

    /// The same instant as a [`DateTime<Utc>`].
    #[must_use]
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).expect("a Timestamp is within the range of DateTime<Utc>")
    }
}

impl<Z: chrono::TimeZone> From<DateTime<Z>> for Timestamp {
    /// Rounds down to the whole millisecond.
    fn from(instant: DateTime<Z>) -> Self {
        Self::from_millis(instant.timestamp_millis())
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(instant: Timestamp) -> Self {
        instant.to_utc()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_utc().format("%Y-%m-%dT%H:%M:%S%.3fZ"))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        assert_eq!(Timestamp::MAX.plus(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.minus(Duration::MAX), Timestamp::MIN);
        assert_eq!(Timestamp::from_millis(i64::MAX), Timestamp::MAX);
    }

    #[test]
    fn since_is_zero_for_what_lies_ahead() {
        let (early, late) = (Timestamp::from_millis(5), Timestamp::from_millis(1_505));
        assert_eq!(late.since(early), Duration::from_millis(1_500));
        assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn it_prints_as_rfc_3339() {
        assert_eq!(Timestamp::from_millis(1_500).to_string(), "1970-01-01T00:00:01.500Z");
    }
}
