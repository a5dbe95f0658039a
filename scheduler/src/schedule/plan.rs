//! A schedule resolved for one task: its rule in its zone, from its anchor, within its window.
//!
//! Invariant: `next` strictly increases, `previous` mirrors it, and `count` is the number of steps between.

use chrono_tz::Tz;
use symphra_scheduler_core::{CronExpr, Timestamp};

use super::{Grid, Rule, Schedule};

/// The instants between which occurrences exist, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

impl Window {
    pub(crate) const ALWAYS: Self = Self { start: Timestamp::MIN, end: Timestamp::MAX };
}

/// The occurrences of one task.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    rule: Resolved,
    window: Window,
}

#[derive(Clone, Debug)]
enum Resolved {
    Cron(CronExpr, Tz),
    Interval { grid: Grid, anchor: Timestamp },
    Once(Timestamp),
}

impl Plan {
    /// The plan of `schedule` in `zone`. An interval counts from `anchor`; the first of its grid is `anchor` itself.
    pub(crate) fn new(schedule: &Schedule, zone: Tz, anchor: Timestamp, window: Window) -> Self {
        let rule = match *schedule.rule() {
            Rule::Cron(expression) => Resolved::Cron(expression, zone),
            Rule::Interval(grid) => Resolved::Interval { grid, anchor },
            Rule::Once(at) => Resolved::Once(at.resolve(zone)),
        };
        Self { rule, window }
    }

    /// The first occurrence after `after`.
    pub(crate) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.max(just_before(self.window.start));
        let next = match &self.rule {
            Resolved::Cron(expression, zone) => expression.next(*zone, after)?,
            Resolved::Interval { grid, anchor } => grid.next(*anchor, after),
            Resolved::Once(at) => (*at > after).then_some(*at)?,
        };
        (next <= self.window.end && next > after).then_some(next)
    }

    /// The last occurrence at or before `upto`.
    pub(crate) fn last(&self, upto: Timestamp) -> Option<Timestamp> {
        let before = just_after(upto.min(self.window.end));
        let last = match &self.rule {
            Resolved::Cron(expression, zone) => expression.previous(*zone, before)?,
            Resolved::Interval { grid, anchor } => grid.previous(*anchor, before)?,
            Resolved::Once(at) => (*at < before).then_some(*at)?,
        };
        (last >= self.window.start).then_some(last)
    }

    /// How many occurrences lie in `after < t <= through`.
    pub(crate) fn count(&self, after: Timestamp, through: Timestamp) -> u64 {
        let after = after.max(just_before(self.window.start));
        let through = through.min(self.window.end);
        if through <= after {
            return 0;
        }
        match &self.rule {
            Resolved::Cron(expression, zone) => expression.count(*zone, after, through),
            Resolved::Interval { grid, anchor } => grid.count(*anchor, after, through),
            Resolved::Once(at) => u64::from(*at > after && *at <= through),
        }
    }

    /// The instant of a schedule that has only one.
    pub(crate) fn only(&self) -> Option<Timestamp> {
        match self.rule {
            Resolved::Once(at) => Some(at),
            Resolved::Cron(..) | Resolved::Interval { .. } => None,
        }
    }
}

fn just_before(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis() - 1)
}

fn just_after(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn every_second(window: Window) -> Plan {
        let schedule = Schedule::interval(Duration::from_secs(1)).expect("a valid period");
        Plan::new(&schedule, Tz::UTC, at(0), window)
    }

    #[test]
    fn a_window_bounds_the_occurrences_and_includes_both_ends() {
        let plan = every_second(Window { start: at(3_000), end: at(5_000) });
        assert_eq!(plan.next(Timestamp::MIN), Some(at(3_000)));
        assert_eq!(plan.next(at(4_999)), Some(at(5_000)));
        assert_eq!(plan.next(at(5_000)), None);
        assert_eq!(plan.last(at(9_000)), Some(at(5_000)));
        assert_eq!(plan.last(at(3_000)), Some(at(3_000)));
        assert_eq!(plan.last(at(2_999)), None);
        assert_eq!(plan.count(Timestamp::MIN, Timestamp::MAX), 3);
    }

    #[test]
    fn once_is_one_instant() {
        let plan = Plan::new(&Schedule::once(at(7_000).to_utc()), Tz::UTC, at(0), Window::ALWAYS);
        assert_eq!(plan.next(at(6_999)), Some(at(7_000)));
        assert_eq!(plan.next(at(7_000)), None);
        assert_eq!(plan.count(at(0), at(7_000)), 1);
        assert_eq!(plan.last(at(6_999)), None);
    }

    #[test]
    fn a_cron_plan_counts_as_it_steps() {
        let schedule = Schedule::cron("*/7 * * * * *").expect("a valid expression");
        let plan = Plan::new(&schedule, Tz::Europe__London, at(0), Window::ALWAYS);
        let (mut steps, mut next) = (0, plan.next(at(0)));
        while let Some(instant) = next.filter(|&instant| instant <= at(600_000)) {
            steps += 1;
            next = plan.next(instant);
        }
        assert_eq!(plan.count(at(0), at(600_000)), steps);
        assert_eq!(plan.last(at(600_000)), Some(at(600_000)));
    }
}
