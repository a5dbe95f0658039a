//! Which instants are occurrences, by the words of the contract: the model's own arithmetic for grids, windows and
//! exceptions. Only cron expressions are asked of the library, whose oracle is elsewhere.
//!
//! Instants are milliseconds since the epoch.

use symphra_scheduler::chrono::{DateTime, Utc};
use symphra_scheduler::chrono_tz::Tz;
use symphra_scheduler::{CronExpr, Schedule};

/// The rule of a schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule {
    Cron(CronExpr),
    /// A grid; its anchor is the task's start, or its first registration.
    Every(i64),
    /// As long after the end of the run before.
    Delay(i64),
    Once(i64),
}

impl Rule {
    pub(crate) fn schedule(&self) -> Schedule {
        match *self {
            Self::Cron(expression) => Schedule::from_cron(expression),
            Self::Every(period) | Self::Delay(period) => {
                let period = std::time::Duration::from_millis(period.unsigned_abs());
                Schedule::interval(period).expect("a valid period")
            }
            Self::Once(at) => Schedule::once(utc(at)),
        }
    }
}

/// A rule with its zone, window, exceptions and anchor.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    pub(crate) rule: Rule,
    pub(crate) zone: Tz,
    pub(crate) start: Option<i64>,
    pub(crate) end: Option<i64>,
    pub(crate) except: Option<CronExpr>,
    /// When the task was first registered.
    pub(crate) registered: i64,
}

impl Calendar {
    /// The first occurrence after `after`; of a fixed delay there is none that could be told beforehand.
    pub(crate) fn next(&self, after: i64) -> Option<i64> {
        let mut after = self.start.map_or(after, |start| after.max(start - 1));
        loop {
            let next = match self.rule {
                Rule::Cron(expression) => {
                    expression.next_after(utc(after).with_timezone(&self.zone))?.timestamp_millis()
                }
                Rule::Every(period) => {
                    let anchor = self.start.unwrap_or(self.registered);
                    if after < anchor { anchor } else { anchor + ((after - anchor) / period + 1) * period }
                }
                Rule::Once(at) if at > after => at,
                Rule::Once(_) | Rule::Delay(_) => return None,
            };
            if self.end.is_some_and(|end| next > end) {
                return None;
            }
            if !self.is_excepted(next) {
                return Some(next);
            }
            after = next;
        }
    }

    pub(crate) fn includes(&self, at: i64) -> bool {
        self.next(at - 1) == Some(at)
    }

    /// How many occurrences lie in `after < t <= through`.
    pub(crate) fn count(&self, after: i64, through: i64) -> u64 {
        if let (Rule::Every(period), None) = (self.rule, &self.except) {
            let Some(first) = self.next(after) else { return 0 };
            let last = through.min(self.end.unwrap_or(through));
            return if first > last { 0 } else { ((last - first) / period).unsigned_abs() + 1 };
        }
        let all = std::iter::successors(self.next(after), |&at| self.next(at));
        all.take_while(|&at| at <= through).count() as u64
    }

    fn is_excepted(&self, at: i64) -> bool {
        self.except.is_some_and(|except| except.includes(utc(at).with_timezone(&self.zone)))
    }

    pub(crate) const fn is_delay(&self) -> bool {
        matches!(self.rule, Rule::Delay(_))
    }
}

pub(crate) fn utc(at: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at).expect("an instant of this age")
}
