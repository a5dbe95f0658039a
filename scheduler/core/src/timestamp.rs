//! An instant in whole milliseconds: the one unit in which the scheduler compares, stores and adds time.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// An instant: whole milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// Arithmetic saturates at the ends of what [`chrono`] can show, so that an absurd duration gives a far instant and
/// never a wrapped one.
///
/// An `Option<Timestamp>` is no larger than a `Timestamp`.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler_core::Timestamp;
///
/// let at = Timestamp::from_millis(60_000);
/// assert_eq!(at.to_string(), "1970-01-01T00:01:00.000Z");
/// assert_eq!(at.plus(Duration::from_secs(5)).since(at), Duration::from_secs(5));
/// assert_eq!(at.since(Timestamp::MAX), Duration::ZERO, "it is not after that");
/// assert_eq!(Timestamp::MAX.plus(Duration::MAX), Timestamp::MAX);
/// assert_eq!(Timestamp::from(at.to_utc()), at);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(NonZeroU64);

/// Turned by this bit, signed milliseconds keep their order as unsigned ones, and what they never are is zero.
const SIGN: u64 = 1 << 63;

impl Timestamp {
    /// The earliest instant that [`DateTime<Utc>`] can hold.
    pub const MIN: Self = Self::within(DateTime::<Utc>::MIN_UTC.timestamp_millis());
    /// The latest instant that [`DateTime<Utc>`] can hold.
    pub const MAX: Self = Self::within(DateTime::<Utc>::MAX_UTC.timestamp_millis());

    const fn within(millis: i64) -> Self {
        Self(NonZeroU64::new(millis as u64 ^ SIGN).expect("a Timestamp is above the least number of milliseconds"))
    }

    /// The instant `millis` milliseconds after the epoch, clamped to [`MIN`](Self::MIN)..=[`MAX`](Self::MAX).
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        if millis < Self::MIN.as_millis() {
            Self::MIN
        } else if millis > Self::MAX.as_millis() {
            Self::MAX
        } else {
            Self::within(millis)
        }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        (self.0.get() ^ SIGN) as i64
    }

    /// The instant `duration` later; what is below a millisecond is dropped.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.as_millis().saturating_add(millis))
    }

    /// The instant `duration` earlier; what is below a millisecond is dropped.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.as_millis().saturating_sub(millis))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        let millis = self.as_millis().saturating_sub(earlier.as_millis());
        Duration::from_millis(if millis > 0 { millis.unsigned_abs() } else { 0 })
    }

    /// The same instant as a [`DateTime<Utc>`].
    #[must_use]
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.as_millis()).expect("a Timestamp is within the range of DateTime<Utc>")
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

/// As its milliseconds since 1970.
#[cfg(feature = "serde")]
impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.as_millis())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self::from_millis)
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
    fn the_order_is_that_of_time_on_both_sides_of_the_epoch() {
        let millis = [i64::MIN, -1_000, -1, 0, 1, 1_000, i64::MAX].map(Timestamp::from_millis);
        assert!(millis.is_sorted() && millis.windows(2).all(|two| two[0] != two[1]), "{millis:?}");
        assert_eq!(millis[1..6].iter().map(|at| at.as_millis()).collect::<Vec<_>>(), [-1_000, -1, 0, 1, 1_000]);
        assert_eq!(size_of::<Option<Timestamp>>(), size_of::<Timestamp>());
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
