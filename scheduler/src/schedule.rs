//! The rule that says when a task is due, and its instants once zone, window and anchor are known. Pure: no clock.
//!
//! A [`Schedule`] is what a program writes. A [`Plan`] is the same rule resolved for one task; the engine asks it for
//! the next instant, the previous one and how many lie between.

mod interval;
mod jitter;
mod moment;
mod plan;
mod policy;
mod timetable;
mod written;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeZone};
use symphra_scheduler_core::{CronError, CronExpr, InteropError, Language, Timestamp, format_duration};

pub(crate) use interval::Grid;
pub use interval::{INTERVAL_MAX, IntervalError};
pub use moment::Moment;
pub(crate) use plan::Plan;
pub use policy::{BUFFERED_MAX, CAUGHT_UP_MAX, Delay, Delivery, Misfire, Overlap};
pub use timetable::{Timetable, Window};
pub use written::ScheduleError;

/// When a task is due: by a cron expression, at an interval, or once.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::Schedule;
///
/// let workdays = Schedule::cron("0 30 9 * * MON-FRI")?;
/// let often = Schedule::interval(Duration::from_secs(10))?;
/// assert_eq!(often.describe(), "every 10 seconds");
/// # let _ = workdays;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Schedule(Rule);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Rule {
    Cron(CronExpr),
    Interval(Grid),
    Once(Moment),
    /// No instant: what is a job runs when it is enqueued.
    Never,
}

impl Schedule {
    /// The instants of a cron expression of 5, 6 or 7 fields, or of `@daily` and its kin.
    ///
    /// # Errors
    /// [`CronError`] names the field, the value and what is allowed there.
    pub fn cron(expression: &str) -> Result<Self, CronError> {
        expression.parse().map(Self::from_cron)
    }

    /// A fixed grid: every `period` from the task's anchor, which is its `start` or, without one, its first
    /// registration. The grid never drifts, whatever a run takes.
    ///
    /// # Errors
    /// [`IntervalError`] if `period` is not a whole number of milliseconds from 1 ms to [`INTERVAL_MAX`].
    pub fn interval(period: Duration) -> Result<Self, IntervalError> {
        Grid::new(period).map(|grid| Self(Rule::Interval(grid)))
    }

    /// One instant, rounded down to the millisecond.
    pub fn once<Z: TimeZone>(at: DateTime<Z>) -> Self {
        Self(Rule::Once(Moment::utc(Timestamp::from(at).as_millis())))
    }

    /// The schedule of a parsed expression.
    #[must_use]
    pub const fn from_cron(expression: CronExpr) -> Self {
        Self(Rule::Cron(expression))
    }

    /// For the macros, which have checked the period while compiling.
    #[doc(hidden)]
    #[must_use]
    pub const fn from_millis(period_millis: u64) -> Self {
        Self(Rule::Interval(Grid::from_checked_millis(period_millis)))
    }

    /// For the macros: one instant, perhaps local to a zone that is known at start.
    #[doc(hidden)]
    #[must_use]
    pub const fn from_moment(at: Moment) -> Self {
        Self(Rule::Once(at))
    }

    /// That of a job, which runs when it is enqueued: it has no occurrences.
    #[must_use]
    pub const fn never() -> Self {
        Self(Rule::Never)
    }

    /// Whether it is that of a job.
    #[must_use]
    pub const fn is_never(&self) -> bool {
        matches!(self.0, Rule::Never)
    }

    /// The schedule in plain English.
    #[must_use]
    pub fn describe(&self) -> String {
        self.describe_in(Language::English)
    }

    /// The schedule in words of `language`.
    #[must_use]
    pub fn describe_in(&self, language: Language) -> String {
        match (&self.0, language) {
            (Rule::Cron(expression), _) => expression.describe_in(language),
            (Rule::Interval(grid), _) => interval::describe(grid.period(), language),
            (Rule::Once(at), Language::Chinese) => format!("一次，于 {at}"),
            (Rule::Once(at), _) => format!("once, at {at}"),
            (Rule::Never, Language::Chinese) => "入队时".to_owned(),
            (Rule::Never, _) => "when it is enqueued".to_owned(),
        }
    }

    /// The period of an interval.
    pub(crate) fn period(&self) -> Option<Duration> {
        match self.0 {
            Rule::Interval(grid) => Some(grid.period()),
            Rule::Cron(_) | Rule::Once(_) | Rule::Never => None,
        }
    }

    pub(crate) const fn rule(&self) -> &Rule {
        &self.0
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Rule::Cron(expression) => write!(f, "Schedule::cron(\"{expression}\")"),
            Rule::Interval(grid) => write!(f, "Schedule::interval({})", format_duration(grid.period())),
            Rule::Once(at) => write!(f, "Schedule::once({at})"),
            Rule::Never => f.write_str("Schedule::never()"),
        }
    }
}

impl From<CronExpr> for Schedule {
    fn from(expression: CronExpr) -> Self {
        Self::from_cron(expression)
    }
}

/// With the meaning that the `cron` crate gives it: both day fields must match, Sunday is 1, nothing runs in a gap.
impl From<cron::Schedule> for Schedule {
    fn from(schedule: cron::Schedule) -> Self {
        Self::from_cron(CronExpr::from(schedule))
    }
}

/// Back to the `cron` crate, where it can say the same. Gaps and repeats of a zone then follow that crate.
impl TryFrom<Schedule> for cron::Schedule {
    type Error = InteropError;

    fn try_from(schedule: Schedule) -> Result<Self, Self::Error> {
        match schedule.0 {
            Rule::Cron(expression) => Self::try_from(expression),
            Rule::Interval(_) | Rule::Once(_) | Rule::Never => Err(InteropError::not_cron(&schedule.describe())),
        }
    }
}
