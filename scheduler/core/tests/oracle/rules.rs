//! The rules of cron expressions once more, as a person would check them by hand: sets written out one by one, dates
//! asked of chrono, nothing shared with the crate under test but the text.

use std::fmt;

use chrono::{Datelike, NaiveDate, Weekday};

use crate::oracle::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Star,
    Question,
    StarStep(u32),
    One(u32),
    From(u32, u32),
    Range(u32, u32),
    RangeStep(u32, u32, u32),
    /// `L-n`.
    Last(u32),
    /// `nW`.
    Near(u32),
    /// `LW`.
    LastWorkday,
    /// `nL` in the day of week.
    WeekdayLast(u32),
    /// `n#k`.
    Nth(u32, u32),
}

/// The range of a field; in the day of week `*` ends at 6, everything else at 7.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) last: u32,
}

pub(crate) const SECOND: Bounds = Bounds { min: 0, max: 59, last: 59 };
pub(crate) const HOUR: Bounds = Bounds { min: 0, max: 23, last: 23 };
pub(crate) const DAY: Bounds = Bounds { min: 1, max: 31, last: 31 };
pub(crate) const MONTH: Bounds = Bounds { min: 1, max: 12, last: 12 };
pub(crate) const WEEKDAY: Bounds = Bounds { min: 0, max: 7, last: 6 };
pub(crate) const YEAR: Bounds = Bounds { min: 1970, max: 2100, last: 2100 };

impl Item {
    /// The plain values it stands for, one by one.
    fn values(self, Bounds { min, max, last }: Bounds) -> Vec<u32> {
        let week = max == 7;
        let every = |step: u32, walk: Vec<u32>| walk.into_iter().step_by(step as usize).collect::<Vec<_>>();
        let walk = |from: u32, to: u32| {
            let mut walk = vec![from];
            let mut at = from;
            while at != to && !(week && at % 7 == to % 7 && from > to) {
                at = if from > to && at >= last { min } else { at + 1 };
                if week && from == 7 && to < 7 && walk.len() == 1 {
                    // 7 is the Sunday before Monday.
                    at = 1;
                }
                walk.push(at);
            }
            walk
        };
        let values = match self {
            Self::Star | Self::Question => walk(min, last),
            Self::StarStep(step) => every(step, walk(min, last)),
            Self::One(value) => vec![value],
            Self::From(from, step) => every(step, walk(from, max)),
            Self::Range(from, to) => walk(from, to),
            Self::RangeStep(from, to, step) => every(step, walk(from, to)),
            _ => Vec::new(),
        };
        values.into_iter().map(|value| if week { value % 7 } else { value }).collect()
    }

    /// Whether a special item of a day field means this date.
    fn special(self, date: NaiveDate) -> bool {
        let length = u32::from(date.num_days_in_month());
        let workday = |day: i64| {
            let date = u32::try_from(day).ok().and_then(|day| date.with_day(day));
            date.is_some_and(|date| !matches!(date.weekday(), Weekday::Sat | Weekday::Sun))
        };
        let nearest = |day: u32| [0, -1, 1, -2, 2].map(|by| i64::from(day) + by).into_iter().find(|&day| workday(day));
        match self {
            Self::Last(back) => date.day() + back == length,
            Self::Near(day) => day <= length && nearest(day) == Some(date.day().into()),
            Self::LastWorkday => (1..=i64::from(length)).rfind(|&day| workday(day)) == Some(date.day().into()),
            Self::WeekdayLast(day) => weekday(date) == day % 7 && date.day() + 7 > length,
            Self::Nth(day, nth) => weekday(date) == day % 7 && date.day().div_ceil(7) == nth,
            _ => false,
        }
    }

    fn begins_with_star(self) -> bool {
        matches!(self, Self::Star | Self::Question | Self::StarStep(_))
    }
}

fn weekday(date: NaiveDate) -> u32 {
    date.weekday().num_days_from_sunday()
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Star => write!(f, "*"),
            Self::Question => write!(f, "?"),
            Self::StarStep(step) => write!(f, "*/{step}"),
            Self::One(value) => write!(f, "{value}"),
            Self::From(from, step) => write!(f, "{from}/{step}"),
            Self::Range(from, to) => write!(f, "{from}-{to}"),
            Self::RangeStep(from, to, step) => write!(f, "{from}-{to}/{step}"),
            Self::Last(0) => write!(f, "L"),
            Self::Last(back) => write!(f, "L-{back}"),
            Self::Near(day) => write!(f, "{day}W"),
            Self::LastWorkday => write!(f, "LW"),
            Self::WeekdayLast(day) => write!(f, "{day}L"),
            Self::Nth(day, nth) => write!(f, "{day}#{nth}"),
        }
    }
}

/// An expression as lists of items.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) second: Vec<Item>,
    pub(crate) minute: Vec<Item>,
    pub(crate) hour: Vec<Item>,
    pub(crate) day: Vec<Item>,
    pub(crate) month: Vec<Item>,
    pub(crate) weekday: Vec<Item>,
    pub(crate) year: Vec<Item>,
    pub(crate) plus: bool,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: &[Item]| items.iter().map(Item::to_string).collect::<Vec<_>>().join(",");
        let time = [list(&self.second), list(&self.minute), list(&self.hour), list(&self.day)].join(" ");
        let plus = if self.plus { "+" } else { "" };
        write!(f, "{time} {} {plus}{} {}", list(&self.month), list(&self.weekday), list(&self.year))
    }
}

impl Rule {
    pub(crate) fn is_fixed(&self) -> bool {
        [&self.second, &self.minute, &self.hour]
            .into_iter()
            .all(|items| items.iter().all(|item| matches!(item, Item::One(_))))
    }

    /// The sets of the three time fields.
    pub(crate) fn times(&self) -> [Vec<bool>; 3] {
        [(&self.second, SECOND), (&self.minute, SECOND), (&self.hour, HOUR)].map(|(items, bounds)| {
            let mut set = vec![false; 60];
            for item in items {
                for value in item.values(bounds) {
                    set[value as usize] = true;
                }
            }
            set
        })
    }

    pub(crate) fn matches_date(&self, date: NaiveDate) -> bool {
        let has = |items: &[Item], bounds, value| items.iter().any(|item| item.values(bounds).contains(&value));
        let special = |items: &[Item]| items.iter().any(|item| item.special(date));
        let by_day = has(&self.day, DAY, date.day()) || special(&self.day);
        let by_week = has(&self.weekday, WEEKDAY, weekday(date)) || special(&self.weekday);
        let restricted = |items: &[Item]| !items[0].begins_with_star();
        let either = restricted(&self.day) && restricted(&self.weekday) && !self.plus;
        has(&self.year, YEAR, date.year_ce().1)
            && has(&self.month, MONTH, date.month())
            && if either { by_day || by_week } else { by_day && by_week }
    }

    /// Any rule of the grammar whatever, of all kinds of items.
    pub(crate) fn any(random: &mut Random) -> Self {
        let field = |random: &mut Random, bounds: Bounds, star: u64| match random.once_in(star) {
            true => vec![Item::Star],
            false => (0..random.range(1, 3)).map(|_| any_item(random, bounds)).collect(),
        };
        let mut rule = Self {
            second: field(random, SECOND, 3),
            minute: field(random, SECOND, 3),
            hour: field(random, HOUR, 3),
            day: field(random, DAY, 3),
            month: field(random, MONTH, 2),
            weekday: field(random, WEEKDAY, 3),
            year: field(random, YEAR, 2),
            plus: random.once_in(4),
        };
        if random.once_in(3) {
            let day = match random.range(0, 3) {
                0 => Item::Last(0),
                1 => Item::Last(random.range(0, 30)),
                2 => Item::Near(random.range(1, 31)),
                _ => Item::LastWorkday,
            };
            add(random, &mut rule.day, day);
        }
        if random.once_in(3) {
            let weekday = random.range(0, 7);
            let item = match random.range(0, 1) {
                0 => Item::WeekdayLast(weekday),
                _ => Item::Nth(weekday, random.range(1, 5)),
            };
            add(random, &mut rule.weekday, item);
        }
        rule
    }

    /// Times of day near `local` (seconds since 1970 on the local clock), fixed or not, mostly on every day.
    pub(crate) fn near(random: &mut Random, local: i64, fixed: bool, whole_minutes: bool) -> Self {
        let hour = local.div_euclid(3_600).rem_euclid(24) as u32;
        let some = |random: &mut Random, bounds: Bounds| -> Vec<Item> {
            (0..random.range(1, 4)).map(|_| Item::One(random.range(bounds.min, bounds.last))).collect()
        };
        let hours = |random: &mut Random| -> Vec<Item> {
            (0..random.range(1, 3)).map(|_| Item::One((hour + 22 + random.range(0, 4)) % 24)).collect()
        };
        let span = |random: &mut Random, bounds| match random.once_in(2) {
            true => vec![Item::Star],
            false => vec![any_item(random, bounds)],
        };
        let mut rule = Self {
            second: if whole_minutes || random.once_in(2) { vec![Item::One(0)] } else { some(random, SECOND) },
            minute: some(random, SECOND),
            hour: hours(random),
            day: vec![Item::Star],
            month: vec![Item::Star],
            weekday: vec![if random.once_in(2) { Item::Star } else { Item::Question }],
            year: vec![Item::Star],
            plus: false,
        };
        if !fixed {
            match random.range(0, if whole_minutes { 1 } else { 2 }) {
                0 => rule.minute = span(random, SECOND),
                1 => rule.hour = span(random, HOUR),
                _ => rule.second = span(random, SECOND),
            }
            if rule.is_fixed() {
                rule.hour = vec![Item::Range(hour.saturating_sub(1), 23)];
            }
        }
        if random.once_in(3) {
            rule.weekday = vec![any_item(random, WEEKDAY)];
        }
        if random.once_in(4) {
            rule.day = vec![any_item(random, DAY)];
        }
        rule
    }
}

fn add(random: &mut Random, items: &mut Vec<Item>, item: Item) {
    if items == &[Item::Star] || random.once_in(2) {
        items.clear();
    }
    items.push(item);
}

fn any_item(random: &mut Random, bounds: Bounds) -> Item {
    let Bounds { min, max, last } = bounds;
    let (mut from, mut to) = (random.range(min, max), random.range(min, max));
    if min == YEAR.min && from > to {
        (from, to) = (to, from);
    }
    let step = match random.once_in(3) {
        true => random.range(1, last - min + 1),
        false => random.range(1, 5),
    };
    match random.range(0, 7) {
        0 => Item::StarStep(step),
        1 => Item::From(from, step),
        2 => Item::Range(from, to),
        3 => Item::RangeStep(from, to, step),
        4 => Item::Question,
        _ => Item::One(from),
    }
}
