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
            Rule::Cron(_) | Rule::Interval(_) | Rule::Never => (registered, since.max(registered)),
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
        let first = self.scheduled_next(after.max(self.after))?;
        if self.is_excepted(first) { self.next_beyond(first) } else { Some(first) }
    }

    /// The last occurrence at or before `upto`.
    pub(crate) fn last(&self, upto: Timestamp) -> Option<Timestamp> {
        let last = self.scheduled_last(upto).filter(|&last| last > self.after)?;
        if self.is_excepted(last) { self.last_before(last) } else { Some(last) }
    }

    /// The first occurrence after `excepted`. Spans are counted, each twice as long as the one before, until one holds an
    /// occurrence, and then its halves: exceptions that reach over years are passed as fast as those over minutes.
    fn next_beyond(&self, excepted: Timestamp) -> Option<Timestamp> {
        let end = self.timetable.window.end;
        let (mut none_upto, mut span) = (excepted, FIRST_SPAN);
        while self.count(none_upto, none_upto.plus(span)) == 0 {
            none_upto = none_upto.plus(span);
            if none_upto >= end {
                return None;
            }
            span = span.saturating_mul(2);
        }
        let mut some_upto = none_upto.plus(span).min(end);
        loop {
            let next = self.scheduled_next(none_upto)?;
            if !self.is_excepted(next) {
                return Some(next);
            }
            let middle = middle(none_upto, some_upto);
            *(if self.count(none_upto, middle) == 0 { &mut none_upto } else { &mut some_upto }) = middle;
        }
    }

    /// The last occurrence before `excepted`, in the same way.
    fn last_before(&self, excepted: Timestamp) -> Option<Timestamp> {
        let start = self.after.max(just_before(self.timetable.window.start));
        let (mut none_after, mut span) = (excepted, FIRST_SPAN);
        while self.count(none_after.minus(span), none_after) == 0 {
            none_after = none_after.minus(span);
            if none_after <= start {
                return None;
            }
            span = span.saturating_mul(2);
        }
        let mut some_after = none_after.minus(span).max(start);
        loop {
            let last = self.scheduled_last(none_after)?;
            if !self.is_excepted(last) {
                return Some(last);
            }
            let middle = middle(some_after, none_after);
            *(if self.count(middle, none_after) == 0 { &mut none_after } else { &mut some_after }) = middle;
        }
    }

    /// How many occurrences lie in `after < t <= through`. The cost grows with the days in between where there are
    /// exceptions, and else not at all or with the months.
    pub(crate) fn count(&self, after: Timestamp, through: Timestamp) -> u64 {
        #[cfg(test)]
        tests::COUNTS.set(tests::COUNTS.get() + 1);
        let (start, end) = (self.timetable.window.start, self.timetable.window.end);
        let (after, through) = (after.max(self.after).max(just_before(start)), through.min(end));
        if through <= after {
            return 0;
        }
        let (zone, except) = (self.zone(), self.timetable.except.as_deref());
        match self.schedule().rule() {
            Rule::Cron(expression) => {
                let excepted = except.map_or(0, |except| expression.count_shared(except, zone, after, through));
                expression.count(zone, after, through) - excepted
            }
            Rule::Interval(grid) => {
                let (anchor, period) = (self.anchor, grid.period());
                let excepted = except.map_or(0, |except| except.count_on_grid(zone, anchor, period, after, through));
                grid.count(anchor, after, through) - excepted
            }
            Rule::Never => 0,
            Rule::Once(_) => u64::from(self.anchor > after && self.anchor <= through && !self.is_excepted(self.anchor)),
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

    /// The first instant from `at` on that no exception takes out, if it lies in the window. Exceptions are whole seconds:
    /// past one, the next second is looked for.
    pub(crate) fn not_excepted_from(&self, at: Timestamp) -> Option<Timestamp> {
        if !self.is_excepted(at) {
            return (at <= self.timetable.window.end).then_some(at);
        }
        let seconds = Timetable { schedule: Schedule::from_millis(1_000), ..(*self.timetable).clone() };
        Self { timetable: Arc::new(seconds), anchor: at, after: at, ..self.clone() }.next(at)
    }

    fn scheduled_next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.max(just_before(self.timetable.window.start));
        let next = match self.schedule().rule() {
            Rule::Cron(expression) => expression.next(self.zone(), after)?,
            Rule::Interval(grid) => grid.next(self.anchor, after),
            Rule::Once(_) => self.anchor,
            Rule::Never => return None,
        };
        // What is later than instants reach is the latest of them, which is no occurrence.
        (next <= self.timetable.window.end && next > after && next < Timestamp::MAX).then_some(next)
    }

    fn scheduled_last(&self, upto: Timestamp) -> Option<Timestamp> {
        let before = just_after(upto.min(self.timetable.window.end));
        let last = match self.schedule().rule() {
            Rule::Cron(expression) => expression.previous(self.zone(), before)?,
            Rule::Interval(grid) => grid.previous(self.anchor, before)?,
            Rule::Once(_) => self.anchor,
            Rule::Never => return None,
        };
        (last >= self.timetable.window.start && last < before).then_some(last)
    }

    /// The instant of a schedule that has only one.
    pub(crate) fn only(&self) -> Option<Timestamp> {
        match self.schedule().rule() {
            Rule::Once(_) => Some(self.anchor),
            Rule::Cron(_) | Rule::Interval(_) | Rule::Never => None,
        }
    }
}

/// Exceptions of some minutes are passed in a few counts, and those without end in some forty.
const FIRST_SPAN: Duration = Duration::from_secs(60);

/// Halfway between two instants of which the earlier comes first.
fn middle(earlier: Timestamp, later: Timestamp) -> Timestamp {
    let middle = earlier.as_millis() + (later.as_millis() - earlier.as_millis()) / 2;
    assert!(middle > earlier.as_millis(), "a span that counts an occurrence holds one");
    Timestamp::from_millis(middle)
}

fn just_before(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis() - 1)
}

fn just_after(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis() + 1)
}

#[cfg(test)]
mod tests {
    use super::super::Moment;
    use super::*;
    use symphra_scheduler_core::CronExpr;

    thread_local! {
        /// How often occurrences were counted.
        pub(super) static COUNTS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    }

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
    fn what_is_later_than_instants_reach_is_no_occurrence() {
        let once = Schedule::from_moment(Moment::utc(i64::MAX));
        let interval = Schedule::interval(Duration::from_secs(3_600)).expect("a period");
        for schedule in [once, interval] {
            let plan = plan(Timetable::new(schedule, Tz::UTC));
            let late = Timestamp::from_millis(Timestamp::MAX.as_millis() - 1);
            assert_eq!((plan.next(late), plan.next(Timestamp::MAX)), (None, None), "{schedule:?}");
        }
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

    /// Were they passed one after another, these would take from a thousand steps to two thousand million.
    #[test]
    fn however_far_exceptions_reach_a_few_counts_pass_them() {
        let zone = Tz::America__New_York;
        let every = |millis| Timetable::new(Schedule::from_millis(millis), zone);
        let year_2101 = Some(at(4_133_998_800_000));
        for (timetable, except, next) in [
            (cron("* * * * *", zone), "* * * * *", None),
            (cron("*/15 * * * *", zone), "0/5 * * * *", None),
            (cron("0 0 9 * * *", zone), "* * * * * *", None),
            (cron("0 9 * * *", zone), "0 0 9 * * * 2026-2098", Some(at(4_070_959_200_000))),
            (every(1_000), "* * * * * *", year_2101),
            (every(60_000), "* * * * *", year_2101),
            (every(7_000), "* * 0-22 * * *", Some(at(1_800_072_002_000))),
        ] {
            let timetable = Timetable { except: Some(Box::new(except.parse().expect("it is valid"))), ..timetable };
            let name = format!("{:?} except {except}", timetable.schedule);
            let plan = Plan::new(Arc::new(timetable), "a", at(1_800_000_000_000), Timestamp::MIN);
            COUNTS.set(0);
            assert_eq!(plan.next(Timestamp::MIN), next, "{name}");
            let before_next = just_before(next.unwrap_or(Timestamp::MAX));
            assert_eq!(plan.last(before_next), None, "{name}");
            assert_eq!(plan.count(Timestamp::MIN, before_next), 0, "{name}");
            assert!(COUNTS.get() <= 200, "{name}: {} counts", COUNTS.get());
        }
    }

    #[test]
    fn with_exceptions_too_next_last_and_count_are_those_of_one_instant_after_another() {
        let mut random = fastrand::Rng::with_seed(fastrand::u64(..));
        println!("seed {}", random.get_seed());
        let excepts =
            ["* * * * * *", "*/2 * * * * *", "* * * * *", "30 10-20 2 * * *", "0-40 */3 * * * *", "* * 0-22 * * *"];
        let zones = [Tz::UTC, Tz::America__New_York, Tz::Australia__Lord_Howe];
        for _ in 0..300 {
            let zone = zones[random.usize(..zones.len())];
            // Half of them around a change of clocks in New York and in Lord Howe.
            let begin = [1_772_953_200_000, 1_793_440_800_000, 1_775_318_400_000][random.usize(..3)]
                + if random.bool() { 0 } else { random.i64(0..31_536_000_000) };
            let begin = begin + random.i64(-4_000..4_000);
            let mut timetable = match random.u8(..4) {
                0 => cron("*/10 * * * * *", zone),
                1 => cron("30 2 * * *", zone),
                2 => Timetable::new(Schedule::from_millis(random.u64(1..40) * 250), zone),
                _ => Timetable::new(Schedule::from_millis(random.u64(1..90) * 1_000), zone),
            };
            timetable.window.end = at(begin + 10_800_000);
            let plain = Plan::new(Arc::new(timetable.clone()), "a", at(begin), Timestamp::MIN);
            let except: CronExpr = excepts[random.usize(..excepts.len())].parse().expect("it is valid");
            timetable.except = Some(Box::new(except));
            let what = format!("{timetable:?} from {begin}");
            let plan = Plan::new(Arc::new(timetable), "a", at(begin), Timestamp::MIN);
            let all = std::iter::successors(plain.next(at(begin)), |&at| plain.next(at));
            let left: Vec<_> = all.filter(|at| !except.includes(at.to_utc().with_timezone(&zone))).collect();
            for _ in 0..20 {
                let from = at(begin + random.i64(-1_000..10_801_000));
                let to = from.plus(Duration::from_millis(random.u64(..10_800_000)));
                let (passed, within) = (left.partition_point(|&at| at <= from), left.partition_point(|&at| at <= to));
                assert_eq!(plan.next(from), left.get(passed).copied(), "next after {from}: {what}");
                assert_eq!(plan.last(from), left[..passed].last().copied(), "last up to {from}: {what}");
                assert_eq!(plan.count(from, to), (within - passed) as u64, "count after {from} to {to}: {what}");
            }
        }
    }

    #[test]
    fn past_an_exception_a_delay_ends_at_the_first_second_that_is_none() {
        let mut timetable = every_second();
        timetable.except = Some(Box::new("* * 9-17 * * *".parse().expect("a valid expression")));
        let plan = plan(timetable);
        let (nine, eighteen) = (at(9 * 3_600_000), at(18 * 3_600_000));
        assert_eq!(plan.not_excepted_from(nine), Some(eighteen));
        let between = nine.plus(Duration::from_millis(250));
        assert_eq!(plan.not_excepted_from(between), Some(between), "only whole seconds are excepted");
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
