//! Conversion from and to [`cron::Schedule`], with the meaning each of them has.
//!
//! The crate `cron` asks for both day fields at once, counts Sunday as 1, finds nothing in a gap and both passes of a
//! repeated hour. That is an interval expression with the "both" rule here, whatever its text looked like there; only
//! the order differs, since ours always goes forward.

use std::fmt;

use cron::{Schedule, TimeUnitSpec};

use super::fields::{ALL_60, ALL_DAYS, ALL_HOURS, ALL_MONTHS, ALL_WEEKDAYS, Years};
use super::{CronExpr, INTERVAL};

impl From<&Schedule> for CronExpr {
    /// The same instants as the schedule gives in UTC. In other zones too, but in order and each once: nothing in a
    /// gap, both passes of a repeated hour.
    fn from(schedule: &Schedule) -> Self {
        let mut years = Years::NONE;
        for year in schedule.years().iter().filter(|year| (1970..=2100).contains(year)) {
            years.insert(year);
        }
        let weekdays = mask(schedule.days_of_week()) >> 1;
        Self {
            second: mask(schedule.seconds()) & ALL_60,
            minute: mask(schedule.minutes()) & ALL_60,
            nth: 0,
            years,
            firing_years: Years::NONE,
            firing_kinds: 0,
            hour: mask(schedule.hours()) as u32 & ALL_HOURS,
            day: mask(schedule.days_of_month()) as u32 & ALL_DAYS,
            last: 0,
            near: 0,
            month: mask(schedule.months()) as u16 & ALL_MONTHS,
            weekday: weekdays as u8 & ALL_WEEKDAYS,
            weekday_last: 0,
            flags: INTERVAL,
        }
        .normalized()
    }
}

impl From<Schedule> for CronExpr {
    fn from(schedule: Schedule) -> Self {
        Self::from(&schedule)
    }
}

impl TryFrom<&CronExpr> for Schedule {
    type Error = InteropError;

    /// The schedule of the crate `cron` that gives the same instants in UTC. In a zone with clock changes gaps and
    /// repeats then follow `cron`: a fixed time in a gap is skipped, a repeated one may come twice.
    ///
    /// # Errors
    /// What `cron` cannot say: `L`, `W` and `#`, and two restricted day fields of which either may match.
    fn try_from(expr: &CronExpr) -> Result<Self, InteropError> {
        let refuse = |what| Err(InteropError { expression: expr.to_string(), what });
        if expr.last != 0 || expr.near != 0 {
            return refuse("L or W in the day of month");
        }
        if expr.weekday_last != 0 || expr.nth != 0 {
            return refuse("L or # in the day of week");
        }
        let every_day = expr.day == ALL_DAYS || expr.weekday == ALL_WEEKDAYS;
        if expr.matches_either_day() && !every_day {
            return refuse("two restricted day fields of which either may match");
        }
        // Either of two fields, one of which is always true, is always true.
        let free = expr.matches_either_day();
        let day = if free { ALL_DAYS } else { expr.day };
        let weekday = if free { ALL_WEEKDAYS } else { expr.weekday };
        let years = match expr.years {
            Years::ALL => "*".to_owned(),
            years => list(years.iter()),
        };
        let text = [
            field(expr.second, ALL_60),
            field(expr.minute, ALL_60),
            field(expr.hour.into(), ALL_HOURS.into()),
            field(day.into(), ALL_DAYS.into()),
            field(expr.month.into(), ALL_MONTHS.into()),
            field(u64::from(weekday) << 1, u64::from(ALL_WEEKDAYS) << 1),
            years,
        ]
        .join(" ");
        Ok(text.parse().expect("lists of values within their ranges are an expression of cron"))
    }
}

impl TryFrom<CronExpr> for Schedule {
    type Error = InteropError;

    fn try_from(expr: CronExpr) -> Result<Self, InteropError> {
        Self::try_from(&expr)
    }
}

/// An expression that [`cron::Schedule`] cannot hold.
///
/// ```
/// use symphra_scheduler_core::CronExpr;
///
/// let last_friday: CronExpr = "0 9 * * 5L".parse()?;
/// let error = cron::Schedule::try_from(last_friday).unwrap_err();
/// assert!(error.to_string().contains("L or # in the day of week"));
/// # Ok::<(), symphra_scheduler_core::CronError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InteropError {
    expression: String,
    what: &'static str,
}

impl InteropError {
    /// A schedule, given in words, that is no cron expression.
    #[must_use]
    pub fn not_cron(schedule: &str) -> Self {
        Self { expression: schedule.to_owned(), what: "a schedule that is no cron expression" }
    }
}

impl fmt::Display for InteropError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expression, what } = self;
        write!(f, "cron::Schedule cannot say {what}, as {expression:?} has; keep it as it is")
    }
}

impl std::error::Error for InteropError {}

fn mask(field: &impl TimeUnitSpec) -> u64 {
    field.iter().fold(0, |mask, value| mask | 1 << value)
}

fn field(mask: u64, all: u64) -> String {
    if mask == all { "*".to_owned() } else { list((0..64).filter(|bit| mask >> bit & 1 == 1)) }
}

fn list(values: impl Iterator<Item = u32>) -> String {
    values.map(|value| value.to_string()).collect::<Vec<_>>().join(",")
}
