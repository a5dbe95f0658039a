//! A schedule resolved for one task: its rule in its zone, from its anchor, within its window.
//!
//! Invariant: `next` strictly increases, `previous` mirrors it, and `count` is the number of steps between.

use chrono_tz::Tz;
use symphra_scheduler_core::Timestamp;

use super::{Rule, Schedule};

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
    schedule: Schedule,
    zone: Tz,
    /// Where the grid of an interval begins; the one instant of a `once`.
    anchor: Timestamp,
    window: Window,
}

impl Plan {
    /// The plan of `schedule` in `zone`. An interval counts from `anchor`; the first of its grid is `anchor` itself.
    pub(crate) fn new(schedule: Schedule, zone: Tz, anchor: Timestamp, window: Window) -> Self {
        let anchor = match schedule.rule() {
            Rule::Once(at) => at.resolve(zone),
            Rule::Cron(_) | Rule::Interval(_) => anchor,
        };
        Self { schedule, zone, anchor, window }
    }

    pub(crate) const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub(crate) const fn zone(&self) -> Tz {
        self.zone
    }

    /// The first occurrence after `after`.
    pub(crate) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.max(just_before(self.window.start));
        let next = match self.schedule.rule() {
            Rule::Cron(expression) => expression.next(self.zone, after)?,
            Rule::Interval(grid) => grid.next(self.anchor, after),
            Rule::Once(_) => self.anchor,
        };
        (next <= self.window.end && next > after).then_some(next)
    }

    /// The last occurrence at or before `upto`.
    pub(crate) fn last(&self, upto: Timestamp) -> Option<Timestamp> {
        let before = just_after(upto.min(self.window.end));
        let last = match self.schedule.rule() {
            Rule::Cron(expression) => expression.previous(self.zone, before)?,
            Rule::Interval(grid) => grid.previous(self.anchor, before)?,
            Rule::Once(_) => self.anchor,
        };
        (last >= self.window.start && last < before).then_some(last)
    }

    /// How many occurrences lie in `after < t <= through`.
    pub(crate) fn count(&self, after: Timestamp, through: Timestamp) -> u64 {
        let after = after.max(just_before(self.window.start));
        let through = through.min(self.window.end);
        if through <= after {
            return 0;
        }
        match self.schedule.rule() {
            Rule::Cron(expression) => expression.count(self.zone, after, through),
            Rule::Interval(grid) => grid.count(self.anchor, after, through),
            Rule::Once(_) => u64::from(self.anchor > after && self.anchor <= through),
        }
    }

    /// The instant of a schedule that has only one.
    pub(crate) fn only(&self) -> Option<Timestamp> {
        match self.schedule.rule() {
            Rule::Once(_) => Some(self.anchor),
            Rule::Cron(_) | Rule::Interval(_) => None,
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
        Plan::new(schedule, Tz::UTC, at(0), window)
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
        let plan = Plan::new(Schedule::once(at(7_000).to_utc()), Tz::UTC, at(0), Window::ALWAYS);
        assert_eq!(plan.next(at(6_999)), Some(at(7_000)));
        assert_eq!(plan.next(at(7_000)), None);
        assert_eq!(plan.count(at(0), at(7_000)), 1);
        assert_eq!(plan.last(at(6_999)), None);
    }

    #[test]
    fn a_cron_plan_counts_as_it_steps() {
        let schedule = Schedule::cron("*/7 * * * * *").expect("a valid expression");
        let plan = Plan::new(schedule, Tz::Europe__London, at(0), Window::ALWAYS);
        let (mut steps, mut next) = (0, plan.next(at(0)));
        while let Some(instant) = next.filter(|&instant| instant <= at(600_000)) {
            steps += 1;
            next = plan.next(instant);
        }
        assert_eq!(plan.count(at(0), at(600_000)), steps);
        assert_eq!(plan.last(at(600_000)), Some(at(600_000)));
    }
}
