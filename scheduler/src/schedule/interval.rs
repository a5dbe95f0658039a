//! The grid of an interval: `anchor + n × period`, in whole milliseconds.
//!
//! Invariant: a period is 1 ms at least, so that every step goes forward, and the grid is computed, never accumulated,
//! so that it cannot drift.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use symphra_scheduler_core::{Language, Timestamp, format_duration};

/// The longest period: 100 years of 365 days. What is longer is a mistake in a unit.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::{INTERVAL_MAX, Schedule};
///
/// assert!(Schedule::interval(INTERVAL_MAX).is_ok());
/// assert!(Schedule::interval(INTERVAL_MAX + Duration::from_millis(1)).is_err());
/// ```
pub const INTERVAL_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A period that no grid can have.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::Schedule;
///
/// let error = Schedule::interval(Duration::ZERO).unwrap_err();
/// assert_eq!(error.to_string(), "an interval of zero never ends; write 1ms or more");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntervalError {
    period: Duration,
}

impl fmt::Display for IntervalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = self.period;
        if period.is_zero() {
            f.write_str("an interval of zero never ends; write 1ms or more")
        } else if period > INTERVAL_MAX {
            write!(
                f,
                "an interval of {} is too long; at most {} is allowed",
                format_duration(period),
                format_duration(INTERVAL_MAX)
            )
        } else {
            write!(f, "an interval of {period:?} is not a whole number of milliseconds; write 1ms, 2ms, …")
        }
    }
}

impl std::error::Error for IntervalError {}

/// The period of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Grid {
    period_millis: NonZeroU64,
}

impl Grid {
    pub(crate) fn new(period: Duration) -> Result<Self, IntervalError> {
        let refused = || IntervalError { period };
        if period > INTERVAL_MAX || !period.subsec_nanos().is_multiple_of(1_000_000) {
            return Err(refused());
        }
        let millis = u64::try_from(period.as_millis()).ok().and_then(NonZeroU64::new).ok_or_else(refused)?;
        Ok(Self { period_millis: millis })
    }

    /// For periods that the macros have checked while compiling.
    pub(crate) const fn from_checked_millis(millis: u64) -> Self {
        Self { period_millis: NonZeroU64::new(millis).expect("the macros refuse a period of zero") }
    }

    pub(crate) const fn period(self) -> Duration {
        Duration::from_millis(self.period_millis.get())
    }

    const fn step(self) -> i64 {
        self.period_millis.get() as i64
    }

    /// The first instant of the grid after `after`, and not before `anchor`.
    pub(crate) fn next(self, anchor: Timestamp, after: Timestamp) -> Timestamp {
        if after < anchor {
            return anchor;
        }
        let steps = (after.as_millis() - anchor.as_millis()) / self.step();
        Timestamp::from_millis(anchor.as_millis().saturating_add((steps + 1).saturating_mul(self.step())))
    }

    /// The last instant of the grid before `before`, and not before `anchor`.
    pub(crate) fn previous(self, anchor: Timestamp, before: Timestamp) -> Option<Timestamp> {
        let distance = before.as_millis().saturating_sub(anchor.as_millis());
        (distance > 0).then(|| Timestamp::from_millis(anchor.as_millis() + (distance - 1) / self.step() * self.step()))
    }

    /// How many instants of the grid lie in `after < t <= through`.
    pub(crate) fn count(self, anchor: Timestamp, after: Timestamp, through: Timestamp) -> u64 {
        let upto = |at: Timestamp| {
            if at < anchor { 0 } else { ((at.as_millis() - anchor.as_millis()) / self.step()).unsigned_abs() + 1 }
        };
        upto(through).saturating_sub(upto(after))
    }
}

/// Units of time from the largest, with their names.
const UNITS: [(u64, &str, &str); 5] = [
    (86_400_000, "day", "天"),
    (3_600_000, "hour", "小时"),
    (60_000, "minute", "分钟"),
    (1_000, "second", "秒"),
    (1, "millisecond", "毫秒"),
];

/// `every second`, `every 1 hour 30 minutes`, `每 10 秒`.
pub(super) fn describe(period: Duration, language: Language) -> String {
    let mut rest = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
    let mut parts = Vec::new();
    for (unit, english, chinese) in UNITS {
        let count = rest / unit;
        rest %= unit;
        if count > 0 {
            parts.push((count, english, chinese));
        }
    }
    match (&parts[..], language) {
        ([(1, _, chinese)], Language::Chinese) => format!("每{chinese}"),
        (parts, Language::Chinese) => {
            format!(
                "每 {}",
                parts.iter().map(|(count, _, unit)| format!("{count} {unit}")).collect::<Vec<_>>().join(" ")
            )
        }
        ([(1, english, _)], _) => format!("every {english}"),
        (parts, _) => {
            let words =
                parts.iter().map(|(count, unit, _)| format!("{count} {unit}{}", if *count == 1 { "" } else { "s" }));
            format!("every {}", words.collect::<Vec<_>>().join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn the_grid_always_lies_ahead_and_never_drifts() {
        let grid = Grid::new(Duration::from_millis(250)).expect("a valid period");
        assert_eq!(grid.next(at(100), at(0)), at(100));
        assert_eq!(grid.next(at(100), at(100)), at(350));
        assert_eq!(grid.next(at(100), at(349)), at(350));
        assert_eq!(grid.next(at(100), at(10_099)), at(10_100));
    }

    #[test]
    fn previous_mirrors_next() {
        let grid = Grid::new(Duration::from_millis(250)).expect("a valid period");
        assert_eq!(grid.previous(at(100), at(100)), None);
        assert_eq!(grid.previous(at(100), at(101)), Some(at(100)));
        assert_eq!(grid.previous(at(100), at(600)), Some(at(350)));
        assert_eq!(grid.previous(at(100), at(601)), Some(at(600)));
    }

    #[test]
    fn count_equals_the_steps() {
        let grid = Grid::new(Duration::from_millis(7)).expect("a valid period");
        for (after, through) in [(0, 0), (0, 50), (50, 50), (49, 50), (50, 1_000), (90, 91)] {
            let mut steps = 0;
            let mut next = grid.next(at(50), at(after));
            while next <= at(through) {
                steps += 1;
                next = grid.next(at(50), next);
            }
            assert_eq!(grid.count(at(50), at(after), at(through)), steps, "{after}..={through}");
        }
    }

    #[test]
    fn a_sub_millisecond_period_is_refused_and_never_cut_to_zero() {
        for (period, says) in [
            (Duration::ZERO, "zero"),
            (Duration::from_micros(1_500), "whole number of milliseconds"),
            (Duration::from_nanos(1), "whole number of milliseconds"),
            (Duration::MAX, "too long"),
        ] {
            let error = Grid::new(period).expect_err("no such grid").to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_period_is_told_in_words() {
        for (millis, english, chinese) in [
            (1_000, "every second", "每秒"),
            (10_000, "every 10 seconds", "每 10 秒"),
            (5_400_000, "every 1 hour 30 minutes", "每 1 小时 30 分钟"),
            (1, "every millisecond", "每毫秒"),
            (86_400_000 * 2, "every 2 days", "每 2 天"),
        ] {
            let period = Duration::from_millis(millis);
            assert_eq!(describe(period, Language::English), english);
            assert_eq!(describe(period, Language::Chinese), chinese);
        }
    }
}
