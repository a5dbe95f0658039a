//! An expression in plain words: here what is said, in the modules below how each language says it.
//!
//! Nothing is left out: every list is given in full, so that two expressions whose fields differ have different words.

mod chinese;
mod english;

use super::CronExpr;
use super::fields::{ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS, Years};

/// A language that [`CronExpr::describe_in`] speaks.
///
/// ```
/// use symphra_scheduler_core::{CronExpr, Language};
///
/// let expr: CronExpr = "30 2 * * *".parse()?;
/// assert_eq!(expr.describe_in(Language::English), "at 02:30 every day");
/// assert_ne!(expr.describe_in(Language::Chinese), expr.describe());
/// # Ok::<(), symphra_scheduler_core::CronError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Simplified Chinese.
    Chinese,
}

pub(super) fn describe(expr: &CronExpr, language: Language) -> String {
    match language {
        Language::English => english::describe(&Meaning::of(expr)),
        Language::Chinese => chinese::describe(&Meaning::of(expr)),
    }
}

/// More times of day than this are told as a pattern and not one by one.
const TIMES_MAX: usize = 6;

/// What an expression says, free of any language.
struct Meaning {
    time: Time,
    days: Days,
    /// `None`: every month.
    months: Option<Vec<Run>>,
    /// `None`: every year.
    years: Option<Vec<Run>>,
    can_fire: bool,
}

enum Time {
    /// Single times of day: hour, minute, second.
    At(Vec<(u32, u32, u32)>),
    Pattern {
        second: Pattern,
        minute: Pattern,
        hour: Pattern,
    },
}

/// The values of a time field.
#[derive(PartialEq, Eq)]
enum Pattern {
    Every,
    /// Evenly spaced all the way round: `first`, `first + step`, … with the last as far from the first again.
    Step {
        first: u32,
        step: u32,
    },
    One(u32),
    List(Vec<Run>),
}

enum Days {
    Every,
    OfMonth(Vec<MonthDay>),
    OfWeek(Vec<WeekDay>),
    Both(Vec<MonthDay>, Vec<WeekDay>),
    Either(Vec<MonthDay>, Vec<WeekDay>),
}

/// A part of the day-of-month field.
enum MonthDay {
    Plain(Run),
    /// So many days before the last; 0 is the last.
    BeforeLast(u32),
    NearestWorkday(u32),
    LastWorkday,
}

/// A part of the day-of-week field; 0 is Sunday.
enum WeekDay {
    Plain(Run),
    Last(u32),
    Nth { weekday: u32, nth: u32 },
}

/// Neighbouring values, both ends included; in a cycle the last may be below the first.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u32,
    last: u32,
}

impl Run {
    fn is_one(self) -> bool {
        self.first == self.last
    }
}

impl Meaning {
    fn of(expr: &CronExpr) -> Self {
        Self {
            time: time(expr),
            days: days(expr),
            months: (expr.month != ALL_MONTHS).then(|| runs(expr.month.into(), Some((1, 12)))),
            years: (expr.years != Years::ALL).then(|| spans(expr.years.iter())),
            can_fire: expr.can_fire(),
        }
    }
}

fn time(expr: &CronExpr) -> Time {
    let hours: Vec<u32> = bits(expr.hour.into()).collect();
    let (minutes, seconds) = (expr.minute.count_ones(), expr.second.count_ones());
    // "from 22:00 to 02:59" on chosen days would be taken for the night that follows them.
    let every_day = matches!(days(expr), Days::Every) && expr.month == ALL_MONTHS && expr.years == Years::ALL;
    let wrap = if every_day { Wrap::AroundTheEnd } else { Wrap::Never };
    let pattern = Time::Pattern {
        second: Pattern::of(expr.second, 60, Wrap::Never),
        minute: Pattern::of(expr.minute, 60, Wrap::Never),
        hour: Pattern::of(expr.hour.into(), 24, wrap),
    };
    // "every 6 hours" says more than its four times, if that is how it was meant.
    if let Time::Pattern { second: Pattern::One(0), minute: Pattern::One(_), hour: Pattern::Step { .. } } = pattern
        && expr.is_interval()
    {
        return pattern;
    }
    if hours.len() * minutes as usize * seconds as usize > TIMES_MAX {
        return pattern;
    }
    let mut times = Vec::new();
    for hour in hours {
        for minute in bits(expr.minute) {
            times.extend(bits(expr.second).map(|second| (hour, minute, second)));
        }
    }
    Time::At(times)
}

impl Pattern {
    fn of(mask: u64, size: u32, wrap: Wrap) -> Self {
        let count = mask.count_ones();
        let first = mask.trailing_zeros();
        if count == size {
            return Self::Every;
        }
        if count == 1 {
            return Self::One(first);
        }
        let step = size / count;
        let even = (0..count).fold(0, |even, nth| even | 1 << ((first + nth * step) % size));
        if size.is_multiple_of(count) && even == mask {
            return Self::Step { first, step };
        }
        let cycle = match wrap {
            Wrap::AroundTheEnd => Some((0, size - 1)),
            Wrap::Never => None,
        };
        Self::List(runs(mask, cycle))
    }
}

/// Whether the last values of a field and the first are neighbours.
#[derive(Clone, Copy)]
enum Wrap {
    AroundTheEnd,
    Never,
}

fn days(expr: &CronExpr) -> Days {
    let of_month = || {
        let plain = runs(expr.day.into(), None).into_iter().map(MonthDay::Plain);
        let last = bits(expr.last.into()).map(MonthDay::BeforeLast);
        let near = bits(expr.near.into()).map(|day| match day {
            0 => MonthDay::LastWorkday,
            day => MonthDay::NearestWorkday(day),
        });
        plain.chain(last).chain(near).collect()
    };
    let of_week = || {
        let plain = runs(expr.weekday.into(), Some((0, 6))).into_iter().map(WeekDay::Plain);
        let nth = bits(expr.nth).map(|bit| WeekDay::Nth { weekday: bit % 7, nth: bit / 7 + 1 });
        plain.chain(nth).chain(bits(expr.weekday_last.into()).map(WeekDay::Last)).collect()
    };
    if expr.matches_either_day() {
        return Days::Either(of_month(), of_week());
    }
    match (expr.day == ALL_DAYS, expr.weekday == ALL_WEEKDAYS) {
        (true, true) => Days::Every,
        (false, true) => Days::OfMonth(of_month()),
        (true, false) => Days::OfWeek(of_week()),
        (false, false) => Days::Both(of_month(), of_week()),
    }
}

/// The set bits as runs of three and more, else one by one; in a `cycle` (its first and last value) what lies around
/// its end is one run.
fn runs(mask: u64, cycle: Option<(u32, u32)>) -> Vec<Run> {
    let mut spans = spans(bits(mask));
    if let (Some((low, high)), [start, .., end]) = (cycle, &mut spans[..])
        && start.first == low
        && end.last == high
    {
        end.last = start.last;
        spans.remove(0);
    }
    let size = cycle.map_or(0, |(low, high)| high - low + 1);
    let mut runs = Vec::new();
    for span in spans {
        let length = if span.first <= span.last { span.last - span.first } else { span.last + size - span.first };
        if length == 1 {
            runs.extend([span.first, span.last].map(|value| Run { first: value, last: value }));
        } else {
            runs.push(span);
        }
    }
    runs
}

/// Neighbours joined, also two.
fn spans(values: impl Iterator<Item = u32>) -> Vec<Run> {
    let mut spans: Vec<Run> = Vec::new();
    for value in values {
        match spans.last_mut() {
            Some(span) if span.last + 1 == value => span.last = value,
            _ => spans.push(Run { first: value, last: value }),
        }
    }
    spans
}

/// The set bits, lowest first.
fn bits(mask: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |bit| mask >> bit & 1 == 1)
}

/// `a, b and c` with the language's own signs.
fn enumerate(items: &[String], comma: &str, and: &str) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [start @ .., last] => format!("{}{and}{last}", start.join(comma)),
    }
}

/// The span of the day that neighbouring hours make, as its first and last minute.
fn hours_span(run: Run) -> (String, String) {
    (format!("{:02}:00", run.first), format!("{:02}:59", run.last))
}

fn clock(hour: u32, minute: u32, second: u32, seconds: Seconds) -> String {
    match seconds {
        Seconds::Shown => format!("{hour:02}:{minute:02}:{second:02}"),
        Seconds::Hidden => format!("{hour:02}:{minute:02}"),
    }
}

/// Whether the times of a list show their seconds: all do if one needs to.
#[derive(Clone, Copy)]
enum Seconds {
    Shown,
    Hidden,
}

impl Seconds {
    fn of(times: &[(u32, u32, u32)]) -> Self {
        if times.iter().any(|&(.., second)| second != 0) { Self::Shown } else { Self::Hidden }
    }
}
