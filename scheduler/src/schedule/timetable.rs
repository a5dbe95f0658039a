//! A schedule with all that decides which instants are occurrences: zone, window, exceptions, jitter, delay.

use std::time::Duration;

use chrono_tz::Tz;
use symphra_scheduler_core::{CronExpr, Timestamp};

use super::policy::Delay;
use super::{Rule, Schedule};

/// The instants between which occurrences exist, both included.
///
/// ```text
/// schedule   │     │     │     │     │     │
/// window           ├─────────────────┤            its ends are in it
/// occurs           ━     ━     ━     ━
/// ```
///
/// ```
/// use symphra_scheduler::{Timestamp, Window};
///
/// let until_2000 = Window { end: Timestamp::from_millis(946_684_799_999), ..Window::ALWAYS };
/// assert_eq!(until_2000.start, Timestamp::MIN);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first instant that may be an occurrence.
    pub start: Timestamp,
    /// The last.
    pub end: Timestamp,
}

impl Window {
    /// No bounds.
    pub const ALWAYS: Self = Self { start: Timestamp::MIN, end: Timestamp::MAX };
}

/// What a task declares about its occurrences. A store keeps it, and two that are equal mean the same instants.
///
/// ```
/// use symphra_scheduler::chrono_tz::Tz;
/// use symphra_scheduler::{Schedule, Timetable, Window};
///
/// let timetable = Timetable::new(Schedule::cron("0 9 * * *")?, Tz::Europe__Paris);
/// assert_eq!(timetable.window, Window::ALWAYS);
/// assert_eq!(timetable.only(), None, "a cron expression has many instants");
/// # Ok::<(), symphra_scheduler::CronError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Timetable {
    /// The rule.
    pub schedule: Schedule,
    /// The zone in which it is read.
    pub zone: Tz,
    /// Where occurrences begin and end.
    pub window: Window,
    /// Whether the grid of an interval begins at `window.start` instead of at the first registration.
    pub anchored: bool,
    /// Instants of this expression, in the same zone, are no occurrences.
    pub except: Option<Box<CronExpr>>,
    /// The longest jitter.
    pub jitter: Duration,
    /// From where an interval counts.
    pub delay: Delay,
}

impl Timetable {
    /// The occurrences of `schedule` in `zone`, without bounds, exceptions or jitter.
    #[must_use]
    pub const fn new(schedule: Schedule, zone: Tz) -> Self {
        Self {
            schedule,
            zone,
            window: Window::ALWAYS,
            anchored: false,
            except: None,
            jitter: Duration::ZERO,
            delay: Delay::FixedRate,
        }
    }

    /// The instant of a schedule that has only one.
    #[must_use]
    pub fn only(&self) -> Option<Timestamp> {
        match self.schedule.rule() {
            Rule::Once(at) => Some(at.resolve(self.zone)),
            Rule::Cron(_) | Rule::Interval(_) | Rule::Never => None,
        }
    }

    /// The period of an interval whose grid hangs on a first registration.
    pub(crate) fn period_from_registration(&self) -> Option<Duration> {
        self.schedule.period().filter(|_| !self.anchored)
    }

    /// Whether each instant depends on the end of the run before.
    #[must_use]
    pub fn is_fixed_delay(&self) -> bool {
        self.delay == Delay::FixedDelay && self.schedule.period().is_some()
    }
}
