//! A timetable resolved for one task: from its anchor, and from when on it counts.
//!
//! Invariant: `next` strictly increases, `last` mirrors it, and `count` is the number of steps between. The instants of
//! a fixed delay are not here: they depend on when runs end, which the engine is told.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use symphra_scheduler_core::Timestamp;

use super::jitter::JitterSeed;
use super::{Rule, Schedule, Timetable};

/// The occurrences of one task. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    timetable: Arc<Timetable>,
    /// Where the grid of an interval begins; the one instant of a `once`.
    anchor: Timestamp,
    /// When this timetable was declared in place of another; the earliest instant if it never was.
    since: Timestamp,
    /// Nothing up to here is an occurrence: another timetable counted, or the task was not registered yet.
    after: Timestamp,
    seed: JitterSeed,
}

impl Plan {
    /// The plan of the task `name`, which was first registered at `registered`. An interval counts from there, unless its
    /// timetable is anchored.
    pub(crate) fn new(timetable: Arc<Timetable>, name: &str, registered: Timestamp, since: Timestamp) -> Self {
        let (anchor, after) = match timetable.schedule.rule() {
            // One instant is accounted for although it may be past at first sight.
            Rule::Once(at) => (at.resolve(timetable.zone), since),
            Rule::Interval(_) if timetable.anchored => (timetable.window.start, since.max(registered)),
            Rule::Cron(_) | Rule::Interval(_) => (registered, since.max(registered)),
        };
        Self { timetable, anchor, since, after, seed: JitterSeed::of(name) }
    }

    pub(crate) fn timetable(&self) -> &Arc<Timetable> {
        &self.timetable
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.timetable.schedule
    }

    pub(crate) fn zone(&self) -> Tz {
        self.timetable.zone
    }

    /// From when on this timetable counts.
    pub(crate) const fn since(&self) -> Timestamp {
        self.since
    }

    /// The period of a fixed delay.
    pub(crate) fn fixed_delay(&self) -> Option<Duration> {
        self.schedule().period().filter(|_| self.timetable.is_fixed_delay())
    }

    /// The first instant of a fixed delay, whose task has not run yet.
    pub(crate) fn first_of_delay(&self) -> Timestamp {
        self.next(if self.timetable.anchored { Timestamp::MIN } else { self.anchor }).unwrap_or(Timestamp::MAX)
    }

    /// The first occurrence after `after`.
    pub(crate) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let mut next = self.scheduled_next(after.max(self.after))?;
        while self.is_excepted(next) {
            next = self.scheduled_next(self.excepted_around(next).1)?;
        }
        Some(next)
    }

    /// The last occurrence at or before `upto`.
    pub(crate) fn last(&self, upto: Timestamp) -> Option<Timestamp> {
        let mut last = self.scheduled_last(upto)?;
        while self.is_excepted(last) {
            last = self.scheduled_last(just_before(self.excepted_around(last).0))?;
        }
        (last > self.after).then_some(last)
    }

    /// How many occurrences lie in `after < t <= through`.
    pub(crate) fn count(&self, after: Timestamp, through: Timestamp) -> u64 {
        let after = after.max(self.after);
        if self.timetable.except.is_some() {
            // Which instants two rules share can only be found by looking at them.
            return std::iter::successors(self.next(after), |&at| self.next(at)).take_while(|&at| at <= through).count()
                as u64;
        }
        let (start, end) = (self.timetable.window.start, self.timetable.window.end);
        let (after, through) = (after.max(just_before(start)), through.min(end));
        if through <= after {
            return 0;
        }
        match self.schedule().rule() {
            Rule::Cron(expression) => expression.count(self.zone(), after, through),
            Rule::Interval(grid) => grid.count(self.anchor, after, through),
            Rule::Once(_) => u64::from(self.anchor > after && self.anchor <= through),
        }
    }

    /// The first instant after which `back` occurrences lie up to `last`, which is one: where the newest `back` begin.
    pub(crate) fn nth_before(&self, last: Timestamp, back: u64) -> Timestamp {
        let mut first = last;
        for _ in 1..back {
            match self.last(just_before(first)) {
                Some(earlier) => first = earlier,
                None => break,
            }
        }
        first
    }

    /// Whether `at` is an occurrence.
    pub(crate) fn includes(&self, at: Timestamp) -> bool {
        self.next(just_before(at)) == Some(at)
    }

    /// When the occurrence at `at` is due: the instant plus its jitter, and before the next one.
    pub(crate) fn due(&self, at: Timestamp) -> Timestamp {
        let longest = self.timetable.jitter;
        if longest.is_zero() {
            return at;
        }
        let due = at.plus(self.seed.of_occurrence(at, longest));
        match self.next(at) {
            Some(next) if due >= next => just_before(next),
            _ => due,
        }
    }

    /// The newest occurrence from `first` on that was due at `until`; at least `first`.
    pub(crate) fn newest_due(&self, first: Timestamp, until: Timestamp) -> Timestamp {
        let newest = self.last(until).unwrap_or(first).max(first);
        // Jitter never passes the next occurrence, so that only the last one before can still lie ahead.
        if newest > first && self.due(newest) > until {
            return self.last(just_before(newest)).unwrap_or(first).max(first);
        }
        newest
    }

    /// Whether `at` is an instant of the rule that `except` takes out.
    pub(crate) fn is_excepted(&self, at: Timestamp) -> bool {
        let Some(except) = &self.timetable.except else { return false };
        except.next(self.zone(), just_before(at)) == Some(at)
    }

    /// Whether the rule names `at` within the window, exceptions apart.
    pub(crate) fn is_scheduled(&self, at: Timestamp) -> bool {
        self.scheduled_next(just_before(at)) == Some(at)
    }

    /// The first instant from `at` on that no exception takes out, if it lies in the window.
    pub(crate) fn not_excepted_from(&self, mut at: Timestamp) -> Option<Timestamp> {
        while at <= self.timetable.window.end {
            if !self.is_excepted(at) {
                return Some(at);
            }
            at = just_after(self.excepted_around(at).1);
        }
        None
    }

    /// How far the exceptions around `at` reach without a gap, as far as it is known.
    fn excepted_around(&self, at: Timestamp) -> (Timestamp, Timestamp) {
        // Only whole seconds are excepted, so an interval below a second goes on from here.
        let is_fine = self.schedule().period().is_some_and(|period| period.subsec_millis() > 0);
        self.timetable.except.as_ref().filter(|_| !is_fine).map_or((at, at), |except| except.covered(at))
    }

    fn scheduled_next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.max(just_before(self.timetable.window.start));
        let next = match self.schedule().rule() {
            Rule::Cron(expression) => expression.next(self.zone(), after)?,
            Rule::Interval(grid) => grid.next(self.anchor, after),
            Rule::Once(_) => self.anchor,
        };
        (next <= self.timetable.window.end && next > after).then_some(next)
    }

    fn scheduled_last(&self, upto: Timestamp) -> Option<Timestamp> {
        let before = just_after(upto.min(self.timetable.window.end));
        let last = match self.schedule().rule() {
            Rule::Cron(expression) => expression.previous(self.zone(), before)?,
            Rule::Interval(grid) => grid.previous(self.anchor, before)?,
            Rule::Once(_) => self.anchor,
        };
        (last >= self.timetable.window.start && last < before).then_some(last)
    }

    /// The instant of a schedule that has only one.
    pub(crate) fn only(&self) -> Option<Timestamp> {
        match self.schedule().rule() {
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

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn plan(timetable: Timetable) -> Plan {
        Plan::new(Arc::new(timetable), "a", at(-1_000_000), Timestamp::MIN)
    }

    fn every_second() -> Timetable {
        Timetable::new(Schedule::interval(Duration::from_secs(1)).expect("a valid period"), Tz::UTC)
    }

    fn cron(expression: &str, zone: Tz) -> Timetable {
        Timetable::new(Schedule::cron(expression).expect("a valid expression"), zone)
    }

    #[test]
    fn a_window_bounds_the_occurrences_and_includes_both_ends() {
        let mut timetable = every_second();
        timetable.window = super::super::Window { start: at(3_000), end: at(5_000) };
        let plan = plan(timetable);
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
        let plan = plan(Timetable::new(Schedule::once(at(7_000).to_utc()), Tz::UTC));
        assert_eq!(plan.next(at(6_999)), Some(at(7_000)));
        assert_eq!(plan.next(at(7_000)), None);
        assert_eq!(plan.count(at(0), at(7_000)), 1);
        assert_eq!(plan.last(at(6_999)), None);
    }

    #[test]
    fn a_cron_plan_counts_as_it_steps() {
        let plan = plan(cron("*/7 * * * * *", Tz::Europe__London));
        let (mut steps, mut next) = (0, plan.next(at(0)));
        while let Some(instant) = next.filter(|&instant| instant <= at(600_000)) {
            steps += 1;
            next = plan.next(instant);
        }
        assert_eq!(plan.count(at(0), at(600_000)), steps);
        assert_eq!(plan.last(at(600_000)), Some(at(600_000)));
    }

    #[test]
    fn exceptions_are_no_occurrences_and_are_passed_in_few_steps() {
        let mut timetable = every_second();
        timetable.except = Some(Box::new("* * 9-17 * * *".parse().expect("a valid expression")));
        timetable.window.start = at(0);
        let busy = plan(timetable);
        let nine = at(9 * 3_600_000);
        let eighteen = at(18 * 3_600_000);
        assert_eq!(busy.next(at(nine.as_millis() - 1_000)), Some(eighteen));
        assert_eq!(busy.last(at(eighteen.as_millis() - 1)), Some(at(nine.as_millis() - 1_000)));
        assert_eq!(busy.count(at(nine.as_millis() - 2_000), eighteen), 2);
        assert!(busy.is_excepted(nine) && !busy.includes(nine) && busy.includes(eighteen));

        let mut never = cron("0 0 9 * * *", Tz::Europe__Paris);
        never.except = Some(Box::new("* * * * * *".parse().expect("a valid expression")));
        assert_eq!(plan(never).next(at(1_800_000_000_000)), None);
    }

    #[test]
    fn exceptions_of_an_interval_below_a_second_take_out_whole_seconds_only() {
        let mut timetable = Timetable::new(Schedule::interval(Duration::from_millis(250)).expect("valid"), Tz::UTC);
        timetable.except = Some(Box::new("* * * * * *".parse().expect("a valid expression")));
        assert_eq!(plan(timetable).next(at(750)), Some(at(1_250)));
    }

    #[test]
    fn jitter_never_passes_the_next_occurrence() {
        let mut timetable = every_second();
        timetable.jitter = Duration::from_secs(60);
        let plan = plan(timetable);
        for second in 0..500 {
            let occurrence = at(second * 1_000);
            let due = plan.due(occurrence);
            assert!(occurrence <= due && due < at((second + 1) * 1_000), "{due}");
        }
    }

    #[test]
    fn a_changed_timetable_counts_from_its_change() {
        let plan = Plan::new(Arc::new(every_second()), "a", at(0), at(5_000));
        assert_eq!(plan.next(at(0)), Some(at(6_000)));
        assert_eq!(plan.last(at(5_000)), None);
        assert_eq!(plan.count(at(0), at(7_000)), 2);
    }

    #[test]
    fn the_newest_of_many_begin_where_nth_before_says() {
        let plan = plan(every_second());
        assert_eq!(plan.nth_before(at(10_000), 3), at(8_000));
        assert_eq!(plan.nth_before(at(-998_000), 9), at(-999_000));
    }

    #[test]
    fn nothing_is_an_occurrence_before_the_first_registration_nor_at_it() {
        let interval = plan(every_second());
        assert_eq!(interval.next(Timestamp::MIN), Some(at(-999_000)));
        assert_eq!(interval.last(at(-999_001)), None);
        let timetable = cron("* * * * * *", Tz::UTC);
        let plan = Plan::new(Arc::new(timetable), "a", at(1_700_000_000_000), Timestamp::MIN);
        assert_eq!(plan.next(at(0)), Some(at(1_700_000_001_000)));
        assert_eq!(plan.count(at(0), at(1_700_000_003_000)), 3);
    }
}
