//! How many occurrences an expression shares with another, or with an even grid of instants.
//!
//! Counted by days, never by instants: the rules are laid over each other on the local clock, where a day is a set of
//! times, and all days in which a grid begins at the same time have the same count. So what is excepted over years costs as
//! much as the calendar in between.

use std::ops::Range;
use std::time::Duration;

use chrono_tz::Tz;

use super::CronExpr;
use super::calendar::{Month, date_of};
use super::fields::ALL_60;
use super::search::{DAY_SECONDS, LOCAL_END};
use super::zone::{INSTANT_MAX, INSTANT_MIN, Stretches, offset_at, reached_at};
use crate::Timestamp;

/// Grids up to this step remember the counts of a day: a longer one has so few instants in it that they are looked at each
/// time.
const REMEMBERED_STEP_MAX: i64 = 3_600;

impl CronExpr {
    /// How many instants after `after` (exclusive) and up to `through` (inclusive) are occurrences of both expressions in
    /// `zone`.
    ///
    /// The cost grows with the days in between, not with the occurrences.
    #[must_use]
    pub fn count_shared(&self, other: &Self, zone: Tz, after: Timestamp, through: Timestamp) -> u64 {
        let times = Times::of(self).and(Times::of(other));
        let mut count = 0;
        for_each_stretch(zone, second(after), second(through), |local, _, reached| {
            let (one, from_one) = self.in_stretch(local.start, reached);
            let (two, from_two) = other.in_stretch(local.start, reached);
            count += u64::from(one && two);
            let days = |year, month| self.days_of(year, month) & other.days_of(year, month);
            count += sum_of_days(from_one.max(from_two)..local.end, days, |_, within| times.count(within));
        });
        count
    }

    /// How many occurrences in `zone` after `after` (exclusive) and up to `through` (inclusive) lie on the grid of
    /// `anchor`, `anchor + period`, `anchor + 2 × period` and so on.
    ///
    /// The cost grows with the days in between, not with the occurrences nor with the instants of the grid.
    ///
    /// # Panics
    /// If `period` is below a millisecond or above some thousand years.
    #[must_use]
    pub fn count_on_grid(
        &self,
        zone: Tz,
        anchor: Timestamp,
        period: Duration,
        after: Timestamp,
        through: Timestamp,
    ) -> u64 {
        let Some(mut grid) = Grid::of_seconds(anchor, period) else { return 0 };
        let times = Times::of(self);
        let mut count = 0;
        for_each_stretch(zone, second(after).max(grid.anchor - 1), second(through), |local, offset, reached| {
            let (fires, from) = self.in_stretch(local.start, reached);
            count += u64::from(fires && grid.phase(local.start - offset) == 0);
            let days = |year, month| self.days_of(year, month);
            count += sum_of_days(from..local.end, days, |day, within| {
                grid.count(times, i64::from(day) * i64::from(DAY_SECONDS) - offset, within)
            });
        });
        count
    }

    /// Whether the first second of a stretch is an occurrence, at which the local clock shows `first` and before which it
    /// had reached `reached`; and from which local second on those after it are, where the clock shows a matching time.
    fn in_stretch(&self, first: i64, reached: i64) -> (bool, i64) {
        if self.is_interval() {
            return (self.local_count(first, first + 1) > 0, first + 1);
        }
        // What the clock passes in one jump fires once, together with what lies at its end.
        (self.local_count(reached + 1, first + 1) > 0, first.max(reached) + 1)
    }

    /// The days of a month that match, as bits 1–31; none if its year or the month itself does not.
    fn days_of(&self, year: u32, month: u32) -> u32 {
        let matches = self.firing_years.contains(year) && self.month >> month & 1 == 1;
        if matches { self.days_in(Month::new(year, month)) } else { 0 }
    }
}

/// Calls `stretch` with each span of local seconds that the clock of `zone` shows without a change after second `after` and
/// up to second `through`, its offset, and the latest local second that the clock had reached before.
fn for_each_stretch(zone: Tz, after: i64, through: i64, mut stretch: impl FnMut(Range<i64>, i64, i64)) {
    let (after, through) = (after.max(INSTANT_MIN), through.min(INSTANT_MAX));
    if after >= through {
        return;
    }
    let mut reached = reached_at(zone, after, offset_at(zone, after));
    for same in Stretches::new(zone, after + 1, through) {
        stretch(same.first + same.offset..same.last + same.offset + 1, same.offset, reached);
        reached = reached.max(same.last + same.offset);
    }
}

/// The sum of `count` over the days that `days` gives of each month, within the span `local`: of a day's number and the
/// seconds of it that lie in the span.
fn sum_of_days(
    local: Range<i64>,
    days: impl Fn(u32, u32) -> u32,
    mut count: impl FnMut(u32, Range<u32>) -> u64,
) -> u64 {
    let (from, end) = (local.start.max(0), local.end.min(LOCAL_END));
    if from >= end {
        return 0;
    }
    let whole = |local: i64| u32::try_from(local).expect("a local second up to the end of 2100 fits in 32 bits");
    let (from, end) = (whole(from), whole(end));
    let last_day = (end - 1) / DAY_SECONDS;
    let mut sum = 0;
    let mut day = from / DAY_SECONDS;
    while day <= last_day {
        let (year, month, day_of_month) = date_of(day);
        let here = Month::new(year, month);
        let mut left = days(year, month) & (!0 << day_of_month);
        while left != 0 {
            let matching = here.day(left.trailing_zeros());
            if matching > last_day {
                break;
            }
            left &= left - 1;
            let midnight = matching * DAY_SECONDS;
            // The last day's end is beyond 32 bits of seconds only where nothing is counted any more.
            sum += count(matching, from.saturating_sub(midnight)..(end - midnight).min(DAY_SECONDS));
        }
        day = here.day(here.length + 1);
    }
    sum
}

/// Times of day, as masks of hours, minutes and seconds.
#[derive(Clone, Copy)]
pub(super) struct Times {
    hour: u32,
    minute: u64,
    second: u64,
}

impl Times {
    pub(super) const fn of(expr: &CronExpr) -> Self {
        Self { hour: expr.hour, minute: expr.minute, second: expr.second }
    }

    const fn and(self, other: Self) -> Self {
        Self { hour: self.hour & other.hour, minute: self.minute & other.minute, second: self.second & other.second }
    }

    const fn holds(self, time: u32) -> bool {
        let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
        self.hour >> hour & 1 == 1 && self.minute >> minute & 1 == 1 && self.second >> second & 1 == 1
    }

    /// How many of them lie within a span of seconds of the day.
    fn count(self, within: Range<u32>) -> u64 {
        self.before(within.end) - self.before(within.start)
    }

    /// How many of them lie before a second of the day.
    pub(super) fn before(self, time: u32) -> u64 {
        let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
        let below = |mask: u64, bit: u32| (mask & !(!0 << bit)).count_ones();
        let hours = u64::from(self.hour);
        let mut count = below(hours, hour) * self.minute.count_ones() * self.second.count_ones();
        if hours >> hour & 1 == 1 {
            count += below(self.minute, minute) * self.second.count_ones();
            if self.minute >> minute & 1 == 1 {
                count += below(self.second, second);
            }
        }
        u64::from(count)
    }

    /// How many of them lie within a span of seconds of the day and on a grid of `step` seconds that begins at `first`: in
    /// a look at each minute or at each instant of the grid, whichever are fewer, which is 1,440 at most.
    fn count_on_grid(self, first: i64, step: i64, within: Range<u32>) -> u64 {
        let time = |seconds: i64| u32::try_from(seconds).expect("a second of a day fits in 32 bits");
        let (start, end) = (i64::from(within.start), i64::from(within.end));
        if step >= 60 {
            let behind = (start - first).max(0);
            let from = first + (behind + step - 1) / step * step;
            let on_grid = (from..end).step_by(usize::try_from(step).unwrap_or(usize::MAX));
            return on_grid.filter(|&seconds| self.holds(time(seconds))).count() as u64;
        }
        let mut count = 0;
        for minute in start / 60..(end + 59) / 60 {
            if self.hour >> (minute / 60) & 1 == 0 || self.minute >> (minute % 60) & 1 == 0 {
                continue;
            }
            let mut on_grid = 0_u64;
            let mut second = (first - minute * 60).rem_euclid(step);
            while second < 60 {
                on_grid |= 1 << second;
                second += step;
            }
            let from = (start - minute * 60).clamp(0, 60);
            let until = (end - minute * 60).clamp(0, 60);
            let in_span = !(!0 << until) & (!0 << from) & ALL_60;
            count += u64::from((self.second & on_grid & in_span).count_ones());
        }
        count
    }
}

/// Even instants in whole seconds, and how many of a day's matching times lie on them, by where in the day they begin.
struct Grid {
    anchor: i64,
    step: i64,
    /// By the first second of a whole day that is on the grid.
    of_day: Vec<Option<u32>>,
}

impl Grid {
    /// Those instants of a grid that are whole seconds, if there are any.
    fn of_seconds(anchor: Timestamp, period: Duration) -> Option<Self> {
        let period = i64::try_from(period.as_millis()).expect("a period is below some thousand years");
        assert!(period > 0, "a period is a millisecond at least");
        // The remainders by a second repeat after a thousand steps at most.
        let repeats = 1_000 / greatest_common_divisor(period, 1_000);
        let anchor = (0..repeats)
            .map(|steps| anchor.as_millis().saturating_add(steps.saturating_mul(period)))
            .find(|millis| millis.rem_euclid(1_000) == 0)?;
        let step = period.saturating_mul(repeats) / 1_000;
        let remembered = if step <= REMEMBERED_STEP_MAX { step } else { 0 };
        let of_day = vec![None; usize::try_from(remembered).expect("a step that is remembered is short")];
        Some(Self { anchor: anchor.div_euclid(1_000), step, of_day })
    }

    /// How long after `instant` the next instant of the grid is; zero if it is one.
    const fn phase(&self, instant: i64) -> i64 {
        (self.anchor - instant).rem_euclid(self.step)
    }

    /// How many of `times` lie on the grid within a span of the day that begins at the instant `midnight`.
    fn count(&mut self, times: Times, midnight: i64, within: Range<u32>) -> u64 {
        let first = self.phase(midnight);
        let looked_at = |within| times.count_on_grid(first, self.step, within);
        if within != (0..DAY_SECONDS) {
            return looked_at(within);
        }
        let Ok(first) = usize::try_from(first) else { return 0 };
        match self.of_day.get(first) {
            Some(&Some(known)) => known.into(),
            Some(None) => {
                let count = looked_at(within);
                self.of_day[first] = u32::try_from(count).ok();
                count
            }
            None => looked_at(within),
        }
    }
}

const fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

const fn second(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_may_end_anywhere_about_midnight() {
        let expr: CronExpr = "* * * * * *".parse().expect("a valid expression");
        for through in 86_397..86_403 {
            let at = |second: i64| Timestamp::from_millis(second * 1_000);
            assert_eq!(expr.count_shared(&expr, Tz::UTC, at(-1), at(through)), through.unsigned_abs() + 1, "{through}");
        }
    }

    #[test]
    fn the_anchor_is_on_its_grid_and_nothing_before_it_is() {
        let expr: CronExpr = "* * * * * *".parse().expect("a valid expression");
        let at = |second: i64| Timestamp::from_millis(second * 1_000);
        for (after, through, expected) in
            [(0, 99, 0), (0, 100, 1), (99, 100, 1), (0, 109, 1), (0, 110, 2), (100, 110, 1)]
        {
            let counted = expr.count_on_grid(Tz::UTC, at(100), Duration::from_secs(10), at(after), at(through));
            assert_eq!(counted, expected, "after {after} and up to {through}");
        }
    }

    /// What is excepted for seventy years is looked at in a few days: those that differ.
    #[test]
    fn a_grid_is_looked_at_once_for_each_time_of_day_at_which_it_begins() {
        let expr: CronExpr = "* * 9-17 * * *".parse().expect("a valid expression");
        for (period, different) in [(1, 1), (10, 1), (7, 7), (61, 61), (3_600, 1)] {
            let mut grid =
                Grid::of_seconds(Timestamp::from_millis(0), Duration::from_secs(period)).expect("it has seconds");
            let mut sum = 0;
            for_each_stretch(Tz::UTC, -1, INSTANT_MAX, |local, _, _| {
                let days = |year, month| expr.days_of(year, month);
                sum += sum_of_days(local, days, |day, within| {
                    grid.count(Times::of(&expr), i64::from(day) * i64::from(DAY_SECONDS), within)
                });
            });
            assert_eq!(grid.of_day.iter().flatten().count(), different, "{period} s");
            assert!(sum > 47_000 * 9);
        }
    }
}
