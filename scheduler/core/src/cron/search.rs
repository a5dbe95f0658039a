//! Next, previous and count on a plain local clock, which knows nothing of zones: seconds since 1970-01-01 00:00:00 of
//! the local calendar.
//!
//! Every step is a bit scan: the years and months that are entered are known to hold a matching day.

use super::CronExpr;
use super::calendar::{DAYS_END, Month, date_of};
use super::shared::Times;

pub(super) const DAY_SECONDS: u32 = 86_400;
/// The local second that ends 2100.
pub(super) const LOCAL_END: i64 = DAYS_END as i64 * DAY_SECONDS as i64;

impl CronExpr {
    /// The first matching local second that is `from` or later.
    pub(super) fn local_next(&self, from: i64) -> Option<i64> {
        if from >= LOCAL_END {
            return None;
        }
        // Below LOCAL_END everything fits in 32 bits, where divisions are cheap.
        let from = u32::try_from(from).unwrap_or(0);
        let (today, time) = (from / DAY_SECONDS, from % DAY_SECONDS);
        let (mut year, month, day) = date_of(today);
        let mut months = 0;
        if self.firing_years.contains(year) {
            if self.month >> month & 1 == 1 {
                let days = self.days_in(Month::new(year, month)) >> day;
                if days & 1 == 1
                    && let Some(time) = self.time_from(time)
                {
                    return Some(at(today, time));
                }
                let later = days & !1;
                if later != 0 {
                    return Some(at(today + later.trailing_zeros(), self.first_time()));
                }
            }
            months = self.firing_months(year) & (!1 << month);
        }
        loop {
            #[cfg(test)]
            super::work::step();
            while months != 0 {
                #[cfg(test)]
                super::work::step();
                let month = Month::new(year, months.trailing_zeros());
                let days = self.days_in(month);
                if days != 0 {
                    return Some(at(month.day(days.trailing_zeros()), self.first_time()));
                }
                months &= months - 1;
            }
            year = self.firing_years.first_from(year + 1)?;
            months = self.firing_months(year);
        }
    }

    /// The last matching local second that is `through` or earlier.
    pub(super) fn local_previous(&self, through: i64) -> Option<i64> {
        if through < 0 {
            return None;
        }
        let through = u32::try_from(through.min(LOCAL_END - 1)).expect("the end of 2100 fits in 32 bits");
        let (today, time) = (through / DAY_SECONDS, through % DAY_SECONDS);
        let (mut year, month, day) = date_of(today);
        let mut months = 0;
        if self.firing_years.contains(year) {
            if self.month >> month & 1 == 1 {
                let first = Month::new(year, month);
                let days = self.days_in(first);
                if days >> day & 1 == 1
                    && let Some(time) = self.time_through(time)
                {
                    return Some(at(today, time));
                }
                let earlier = days & !(!0 << day);
                if earlier != 0 {
                    return Some(at(first.day(earlier.ilog2()), self.last_time()));
                }
            }
            months = self.firing_months(year) & !(!0 << month);
        }
        loop {
            #[cfg(test)]
            super::work::step();
            while months != 0 {
                #[cfg(test)]
                super::work::step();
                let top = months.ilog2();
                let month = Month::new(year, top);
                let days = self.days_in(month);
                if days != 0 {
                    return Some(at(month.day(days.ilog2()), self.last_time()));
                }
                months ^= 1 << top;
            }
            year = self.firing_years.last_through(year - 1)?;
            months = self.firing_months(year);
        }
    }

    /// How many local seconds match from `from` (inclusive) to `end` (exclusive).
    pub(super) fn local_count(&self, from: i64, end: i64) -> u64 {
        let (from, end) = (from.max(0), end.min(LOCAL_END));
        if from >= end {
            return 0;
        }
        // Up to the end of 2100 inclusive: the day after it is never looked at, only counted to.
        let whole = |local: i64| u32::try_from(local).expect("a local second up to the end of 2100 fits in 32 bits");
        let (from, end) = (whole(from), whole(end));
        let (first_day, last_day) = (from / DAY_SECONDS, end / DAY_SECONDS);
        let times = u64::from(self.second.count_ones() * self.minute.count_ones() * self.hour.count_ones());
        // Whole days from the first to before the last, and the beginning of the last; then the beginning of the first
        // is taken off, which may be all of it.
        let mut count = self.days_between(first_day, last_day) * times;
        if end % DAY_SECONDS != 0 && self.matches_day(last_day) {
            count += Times::of(self).before(end % DAY_SECONDS);
        }
        if self.matches_day(first_day) {
            count -= Times::of(self).before(from % DAY_SECONDS);
        }
        count
    }

    /// How many days match from day number `first` (inclusive) to `end` (exclusive).
    fn days_between(&self, first: u32, end: u32) -> u64 {
        let mut count = 0;
        let mut day = first;
        while day < end {
            let (year, month, day_of_month) = date_of(day);
            let here = Month::new(year, month);
            let next_month = here.day(here.length + 1);
            if self.firing_years.contains(year) && self.month >> month & 1 == 1 {
                let mut days = self.days_in(here) >> day_of_month;
                if next_month > end {
                    days &= !(!0 << (end - day));
                }
                count += u64::from(days.count_ones());
            }
            day = next_month;
        }
        count
    }

    fn matches_day(&self, day: u32) -> bool {
        let (year, month, day) = date_of(day);
        self.firing_years.contains(year)
            && self.month >> month & 1 == 1
            && self.days_in(Month::new(year, month)) >> day & 1 == 1
    }

    /// The first matching second of a day that is `time` or later.
    #[inline]
    fn time_from(&self, time: u32) -> Option<u32> {
        let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
        let hours = self.hour >> hour;
        if hours & 1 == 1 {
            let minutes = self.minute >> minute;
            if minutes & 1 == 1 {
                let seconds = self.second >> second;
                if seconds != 0 {
                    return Some(time + seconds.trailing_zeros());
                }
            }
            let later = minutes & !1;
            if later != 0 {
                let minute = minute + later.trailing_zeros();
                return Some(hour * 3_600 + minute * 60 + self.second.trailing_zeros());
            }
        }
        let later = hours & !1;
        if later == 0 {
            return None;
        }
        let hour = hour + later.trailing_zeros();
        Some(hour * 3_600 + self.minute.trailing_zeros() * 60 + self.second.trailing_zeros())
    }

    /// The last matching second of a day that is `time` or earlier.
    fn time_through(&self, time: u32) -> Option<u32> {
        let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
        if self.hour >> hour & 1 == 1 {
            if self.minute >> minute & 1 == 1 {
                let seconds = self.second & !(!0 << second << 1);
                if seconds != 0 {
                    return Some(time - second + seconds.ilog2());
                }
            }
            let earlier = self.minute & !(!0 << minute);
            if earlier != 0 {
                return Some(hour * 3_600 + earlier.ilog2() * 60 + self.second.ilog2());
            }
        }
        let earlier = self.hour & !(!0 << hour);
        if earlier == 0 {
            return None;
        }
        Some(earlier.ilog2() * 3_600 + self.minute.ilog2() * 60 + self.second.ilog2())
    }

    #[inline]
    fn first_time(&self) -> u32 {
        self.hour.trailing_zeros() * 3_600 + self.minute.trailing_zeros() * 60 + self.second.trailing_zeros()
    }

    fn last_time(&self) -> u32 {
        self.hour.ilog2() * 3_600 + self.minute.ilog2() * 60 + self.second.ilog2()
    }
}

#[inline]
fn at(day: u32, time: u32) -> i64 {
    i64::from(day) * i64::from(DAY_SECONDS) + i64::from(time)
}
