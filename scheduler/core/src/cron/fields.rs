//! What each field may hold: its range, its names, and the set of years, which does not fit in one word.

use super::error::CronField;

/// The first year a field can name; bit 0 of [`Years`].
pub(super) const YEAR_FIRST: u32 = 1970;
/// The last year a field can name: nothing fires after it.
pub(super) const YEAR_LAST: u32 = 2100;

pub(super) const MONTH_NAMES: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
pub(super) const WEEKDAY_NAMES: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// All values of a mask field.
pub(super) const ALL_60: u64 = (1 << 60) - 1;
pub(super) const ALL_HOURS: u32 = (1 << 24) - 1;
pub(super) const ALL_DAYS: u32 = !1;
pub(super) const ALL_MONTHS: u16 = 0x1ffe;
pub(super) const ALL_WEEKDAYS: u8 = 0x7f;

/// The range of a field as the text may name it.
pub(super) struct Bounds {
    pub(super) field: CronField,
    pub(super) min: u32,
    pub(super) max: u32,
    /// The values that `*` stands for end here: 6 in the day of week, where 7 is Sunday again.
    pub(super) star_max: u32,
    /// The name of value `min + index`.
    pub(super) names: &'static [&'static str],
}

impl Bounds {
    pub(super) const fn of(field: CronField) -> Self {
        let (min, max, star_max, names): (u32, u32, u32, &'static [&'static str]) = match field {
            CronField::Second | CronField::Minute => (0, 59, 59, &[]),
            CronField::Hour => (0, 23, 23, &[]),
            CronField::DayOfMonth => (1, 31, 31, &[]),
            CronField::Month => (1, 12, 12, &MONTH_NAMES),
            CronField::DayOfWeek => (0, 7, 6, &WEEKDAY_NAMES),
            CronField::Year => (YEAR_FIRST, YEAR_LAST, YEAR_LAST, &[]),
        };
        Self { field, min, max, star_max, names }
    }

    /// How many different values the field has: the largest step, and where a range wraps around.
    pub(super) const fn count(&self) -> u32 {
        self.star_max - self.min + 1
    }
}

/// A set of years from 1970 to 2100, in words of 32 bits so that it takes no more room than it must.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Years([u32; 5]);

impl Years {
    pub(super) const NONE: Self = Self([0; 5]);
    /// 131 years.
    pub(super) const ALL: Self = Self([!0, !0, !0, !0, 0b111]);

    /// The years of the bits, the lowest being 1970; bits beyond 2100 are dropped.
    pub(super) const fn from_words([a, b, c]: [u64; 3]) -> Self {
        Self([a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32, c as u32 & 0b111])
    }

    pub(super) const fn words(self) -> [u64; 3] {
        let [a, b, c, d, e] = self.0;
        [a as u64 | (b as u64) << 32, c as u64 | (d as u64) << 32, e as u64]
    }

    pub(super) const fn is_empty(self) -> bool {
        let [a, b, c, d, e] = self.0;
        a | b | c | d | e == 0
    }

    #[inline]
    pub(super) const fn contains(self, year: u32) -> bool {
        let index = year.wrapping_sub(YEAR_FIRST) as usize;
        index < 160 && self.0[index / 32] >> (index % 32) & 1 == 1
    }

    pub(super) const fn insert(&mut self, year: u32) {
        let index = (year - YEAR_FIRST) as usize;
        self.0[index / 32] |= 1 << (index % 32);
    }

    pub(super) fn union(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
        self
    }

    pub(super) fn intersection(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= other);
        self
    }

    /// The first year of the set that is `year` or later.
    pub(super) fn first_from(self, year: u32) -> Option<u32> {
        let index = year.saturating_sub(YEAR_FIRST);
        let mut start = index / 32;
        let mut bits = self.0.get(start as usize)? & (!0 << (index % 32));
        while bits == 0 {
            start += 1;
            bits = *self.0.get(start as usize)?;
        }
        Some(YEAR_FIRST + start * 32 + bits.trailing_zeros())
    }

    /// The last year of the set that is `year` or earlier.
    pub(super) fn last_through(self, year: u32) -> Option<u32> {
        let index = year.min(YEAR_LAST).checked_sub(YEAR_FIRST)?;
        let mut start = index / 32;
        let mut bits = self.0[start as usize] & (!0 >> (31 - index % 32));
        while bits == 0 {
            start = start.checked_sub(1)?;
            bits = self.0[start as usize];
        }
        Some(YEAR_FIRST + start * 32 + bits.ilog2())
    }

    /// The years of the set, in order.
    pub(super) fn iter(self) -> impl Iterator<Item = u32> {
        (YEAR_FIRST..=YEAR_LAST).filter(move |&year| self.contains(year))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_are_found_in_both_directions() {
        let mut years = Years::NONE;
        assert_eq!((years.first_from(1970), years.last_through(2100)), (None, None));
        for year in [1970, 2033, 2034, 2097, 2100] {
            years.insert(year);
        }
        assert_eq!(years.iter().collect::<Vec<_>>(), [1970, 2033, 2034, 2097, 2100]);
        assert_eq!(years.first_from(1900), Some(1970));
        assert_eq!(years.first_from(2035), Some(2097));
        assert_eq!(years.first_from(2101), None);
        assert_eq!(years.last_through(2099), Some(2097));
        assert_eq!(years.last_through(2033), Some(2033));
        assert_eq!(years.last_through(1969), None);
        assert_eq!(years.last_through(9999), Some(2100));
        assert_eq!(Years::ALL.iter().count(), 131);
    }
}
