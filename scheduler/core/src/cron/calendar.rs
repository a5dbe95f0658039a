//! Dates from 1970 to 2100 in a few additions, and the days of a month that an expression asks for, as one mask.
//!
//! In this span every fourth year is a leap year but 2100, so that neither centuries nor negative days need a thought.

use super::fields::{ALL_DAYS, ALL_WEEKDAYS, YEAR_FIRST, YEAR_LAST, Years};
use super::{CronExpr, EITHER};

/// The days from 1970-01-01 to 2101-01-01: a day number is below this.
pub(super) const DAYS_END: u32 = 47_847;

/// What is the same in every year of its length: for common and leap years, by month; a search takes it from here
/// because a rare date may be many months away. Sixteen entries, so that no index is out of bounds.
static MONTHS: [[MonthShape; 16]; 2] = [month_shapes(0), month_shapes(1)];

#[derive(Clone, Copy)]
struct MonthShape {
    /// Days of the year before the month.
    before: u16,
    length: u8,
    /// By how many weekdays its first day is ahead of 1 January.
    ahead: u8,
}

const fn month_shapes(leap: u8) -> [MonthShape; 16] {
    let mut shapes = [MonthShape { before: 0, length: 0, ahead: 0 }; 16];
    let mut before = 0;
    let mut month = 1;
    while month <= 12 {
        let length = match month {
            2 => 28 + leap,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        shapes[month] = MonthShape { before, length, ahead: (before % 7) as u8 };
        before += length as u16;
        month += 1;
    }
    shapes
}

/// The first day of a month and what decides which of its days match.
#[derive(Clone, Copy)]
pub(super) struct Month {
    /// Days from 1970-01-01 to the day before the first: day `d` of the month is `base + d`.
    pub(super) base: u32,
    /// 28 to 31.
    pub(super) length: u32,
    /// Of the first day; 0 is Sunday.
    pub(super) weekday: u32,
}

impl Month {
    #[inline]
    pub(super) fn new(year: u32, month: u32) -> Self {
        // Leap days before the year: one every fourth from 1972 on, 2000 among them.
        let year_start = 365 * (year - YEAR_FIRST) + (year - 1969) / 4;
        let shape = MONTHS[usize::from(is_leap(year))][month as usize & 15];
        let base = (year_start + u32::from(shape.before)).wrapping_sub(1);
        Self { base, length: shape.length.into(), weekday: shape.weekday(first_weekday(year)) }
    }

    /// What decides which days match: the weekday of the first, and the length. Below 28.
    const fn kind(self) -> u32 {
        self.weekday * 4 + self.length - 28
    }

    /// The day number of day `day` of this month.
    #[inline]
    pub(super) const fn day(self, day: u32) -> u32 {
        self.base.wrapping_add(day)
    }
}

impl MonthShape {
    /// The weekday of its first day in a year that begins with `first`.
    #[inline]
    const fn weekday(self, first: u32) -> u32 {
        let weekday = first + self.ahead as u32;
        if weekday < 7 { weekday } else { weekday - 7 }
    }
}

/// The weekday of 1 January; 1970 began with a Thursday.
#[inline]
const fn first_weekday(year: u32) -> u32 {
    (year - YEAR_FIRST + (year - 1969) / 4 + 4) % 7
}

#[inline]
const fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && year != 2100
}

/// The date of a day number below [`DAYS_END`]: year, month, day.
#[inline]
pub(super) const fn date_of(day: u32) -> (u32, u32, u32) {
    // Counted from 1968-03-01, so that the leap day is the last of its year; 2100-02-29, which is missing, is put in.
    const MARCH_2100: u32 = 47_541;
    let days = day + 671 + (day >= MARCH_2100) as u32;
    let quarters = 4 * days + 3;
    let year = 1968 + quarters / 1_461;
    let day_of_year = quarters % 1_461 / 4;
    let months = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months + 2) / 5 + 1;
    if months < 10 { (year, months + 3, day) } else { (year + 1, months - 9, day) }
}

impl CronExpr {
    /// The days of a month that match, as bits 1–31.
    #[inline]
    pub(super) fn days_in(&self, month: Month) -> u32 {
        let Month { length, weekday, .. } = month;
        let mut by_day = self.day;
        if self.last | self.near != 0 {
            by_day |= self.special_days(length, weekday);
        }
        let mut by_week = repeated(turned(self.weekday, weekday));
        if self.nth != 0 || self.weekday_last != 0 {
            by_week |= self.special_weekdays(length, weekday);
        }
        let days = if self.flags & EITHER != 0 { by_day | by_week } else { by_day & by_week };
        days & ALL_DAYS >> (31 - length) & ALL_DAYS
    }

    /// `L`, `L-n`, `nW` and `LW`.
    const fn special_days(&self, length: u32, first: u32) -> u32 {
        let mut days = 0;
        let mut last = self.last;
        while last != 0 {
            let back = last.trailing_zeros();
            last &= last - 1;
            if back < length {
                days |= 1 << (length - back);
            }
        }
        let mut near = self.near;
        while near != 0 {
            let wanted = near.trailing_zeros();
            near &= near - 1;
            // Bit 0 is the last weekday of the month: the weekday nearest its last day, which never lies after it.
            let day = if wanted == 0 { length } else { wanted };
            if day <= length {
                days |= 1 << nearest_weekday(day, length, (first + day - 1) % 7);
            }
        }
        days
    }

    /// `nL` and `n#k`.
    const fn special_weekdays(&self, length: u32, first: u32) -> u32 {
        let mut days = repeated(turned(self.weekday_last, first)) & (!0 << (length - 6));
        let mut k = 0;
        while k < 5 {
            let weekdays = (self.nth >> (7 * k)) as u8 & ALL_WEEKDAYS;
            days |= (turned(weekdays, first) << (7 * k + 1)) as u32;
            k += 1;
        }
        days
    }

    /// With what is derived filled in: the kinds of months and the years in which some day matches.
    pub(super) fn with_derived(mut self) -> Self {
        // Almost every expression has a day that exists in every month.
        let every_month =
            self.weekday == ALL_WEEKDAYS && self.day & 0x1fff_fffe != 0 || self.day == ALL_DAYS && self.weekday != 0;
        if every_month {
            (self.firing_kinds, self.firing_years) = (ALL_KINDS, self.years);
            return self;
        }
        self.firing_kinds = 0;
        for weekday in 0..7 {
            for length in 28..=31 {
                let month = Month { base: 0, length, weekday };
                if self.days_in(month) != 0 {
                    self.firing_kinds |= 1 << month.kind();
                }
            }
        }
        let mut matching = Years::NONE;
        for (kind, &years) in YEARS_OF_KIND.iter().enumerate() {
            if self.firing_months_by(kind / 2, kind % 2) != 0 {
                matching = matching.union(years);
            }
        }
        self.firing_years = self.years.intersection(matching);
        self
    }

    /// The months of a year in which some day matches, as bits 1–12.
    #[inline]
    pub(super) fn firing_months(&self, year: u32) -> u32 {
        if self.firing_kinds == ALL_KINDS {
            return self.month.into();
        }
        self.firing_months_by(first_weekday(year) as usize, is_leap(year).into())
    }

    fn firing_months_by(&self, first_weekday: usize, leap: usize) -> u32 {
        let kinds = &MONTH_KINDS[leap][first_weekday];
        let firing = (1..=12).fold(0, |months, month| months | (self.firing_kinds >> kinds[month] & 1) << month);
        firing & u32::from(self.month)
    }
}

/// Every weekday and every length.
const ALL_KINDS: u32 = (1 << 28) - 1;

/// The kind of each month, for common and leap years by the weekday of 1 January.
static MONTH_KINDS: [[[u8; 16]; 7]; 2] = {
    let mut kinds = [[[0; 16]; 7]; 2];
    let mut leap = 0;
    while leap < 2 {
        let mut first = 0;
        while first < 7 {
            let mut month = 1;
            while month <= 12 {
                let shape = month_shapes(leap as u8)[month];
                let month_of_kind =
                    Month { base: 0, length: shape.length as u32, weekday: shape.weekday(first as u32) };
                kinds[leap][first][month] = month_of_kind.kind() as u8;
                month += 1;
            }
            first += 1;
        }
        leap += 1;
    }
    kinds
};

/// The years that share a calendar: twice the weekday of 1 January, plus one in a leap year.
static YEARS_OF_KIND: [Years; 14] = {
    let mut kinds = [Years::NONE; 14];
    let mut year = YEAR_FIRST;
    while year <= YEAR_LAST {
        kinds[(first_weekday(year) * 2 + is_leap(year) as u32) as usize].insert(year);
        year += 1;
    }
    kinds
};

/// Weekday bits turned so that bit 0 is the weekday `first`.
#[inline]
const fn turned(weekdays: u8, first: u32) -> u64 {
    let twice = weekdays as u64 | (weekdays as u64) << 7;
    twice >> first & ALL_WEEKDAYS as u64
}

/// Seven bits over a whole month: bit `d` is day `d`.
#[inline]
const fn repeated(week: u64) -> u32 {
    ((week * 0x1020_4081) << 1) as u32
}

/// Monday to Friday nearest to `day`, in the same month.
const fn nearest_weekday(day: u32, length: u32, weekday: u32) -> u32 {
    match weekday {
        0 if day == length => day - 2,
        0 => day + 1,
        6 if day == 1 => day + 2,
        6 => day - 1,
        _ => day,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Datelike, NaiveDate};

    #[test]
    fn every_day_has_the_date_that_chrono_gives_it() {
        let mut date = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date");
        for day in 0..DAYS_END {
            assert_eq!(date_of(day), (date.year_ce().1, date.month(), date.day()));
            let month = Month::new(date.year_ce().1, date.month());
            assert_eq!(month.day(date.day()), day);
            assert_eq!((month.weekday + date.day() - 1) % 7, date.weekday().num_days_from_sunday());
            assert_eq!(month.length, u32::from(date.num_days_in_month()));
            date = date.succ_opt().expect("a next day");
        }
        assert_eq!(date.year(), 2101);
    }
}
