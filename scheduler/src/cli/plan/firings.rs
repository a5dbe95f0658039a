//! The instants at which a task fires, as arithmetic progressions. Pure.
//!
//! Invariant: the progressions of a task lie one after another, each has one instant at least, and one of several has a
//! step of at least a millisecond. Thus a day of `* * * * * *` is one progression, and the memory of a task is that of
//! its irregularities.

use symphra_scheduler_core::Timestamp;

use crate::schedule::{Plan, Timetable};

/// `count` instants from `first` on, `every` milliseconds apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progression {
    pub(crate) first: Timestamp,
    /// Zero for a single instant.
    pub(crate) every_millis: u64,
    pub(crate) count: u64,
}

impl Progression {
    pub(super) fn nth(&self, n: u64) -> Timestamp {
        Timestamp::from_millis(self.first.as_millis().saturating_add_unsigned(self.every_millis.saturating_mul(n)))
    }

    pub(crate) fn last(&self) -> Timestamp {
        self.nth(self.count - 1)
    }

    /// How many of its instants lie before `at`.
    pub(super) fn before(&self, at: Timestamp) -> u64 {
        match u64::try_from(at.as_millis() - self.first.as_millis()) {
            Ok(0) | Err(_) => 0,
            Ok(distance) => distance.div_ceil(self.every_millis.max(1)).min(self.count),
        }
    }
}

/// Strictly increasing instants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Firings(Vec<Progression>);

/// The instants from `from` (inclusive) to `to` (exclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Firings {
    /// The occurrences of `timetable` within `span`, `most` at most. An interval that counts from a registration counts
    /// from the beginning of `span`, and a run of a fixed delay takes no time.
    pub(crate) fn of(timetable: &Timetable, span: Span, most: u64) -> Self {
        let registered = timetable.period_from_registration().map_or(Timestamp::MIN, |_| span.from);
        let plan = |timetable: Timetable| Plan::new(timetable.into(), "", registered, Timestamp::MIN);
        let mut found = match timetable.schedule.period() {
            Some(period) => {
                let grid = plan(Timetable { except: None, ..timetable.clone() });
                let every = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
                let first = grid.next(just_before(span.from)).filter(|first| *first < span.to);
                let last = just_before(span.to).min(timetable.window.end);
                let grid = first.map_or_else(Self::default, |first| Self::grid(first, every, last));
                grid.without_excepted(timetable)
            }
            None => {
                let plan = plan(timetable.clone());
                let from = plan.next(just_before(span.from));
                let instants = std::iter::successors(from, |&at| plan.next(at)).take_while(|at| *at < span.to);
                instants.take(usize::try_from(most).unwrap_or(usize::MAX)).collect()
            }
        };
        found.keep_first(most);
        found
    }

    fn grid(first: Timestamp, every_millis: u64, last: Timestamp) -> Self {
        let count = (last.as_millis() - first.as_millis()).unsigned_abs() / every_millis + 1;
        let every_millis = if count == 1 { 0 } else { every_millis };
        Self(vec![Progression { first, every_millis, count }])
    }

    /// Takes out what `except` names: whole seconds, each once, whatever the period is.
    fn without_excepted(self, timetable: &Timetable) -> Self {
        let Some(except) = &timetable.except else { return self };
        let mut kept = Self::default();
        for grid in self.0 {
            let (end, mut from) = (just_after(grid.last()), grid.first);
            let mut excepted = except.next(timetable.zone, just_before(grid.first));
            while let Some(at) = excepted.filter(|at| *at < end) {
                kept.extend_grid(&grid, from, at);
                from = just_after(at);
                excepted = except.next(timetable.zone, at);
            }
            kept.extend_grid(&grid, from, end);
        }
        kept
    }

    /// Adds the instants of `grid` from `from` (inclusive) to `to` (exclusive).
    fn extend_grid(&mut self, grid: &Progression, from: Timestamp, to: Timestamp) {
        let (skipped, until) = (grid.before(from), grid.before(to));
        match until.saturating_sub(skipped) {
            0 => {}
            1 => self.push(grid.nth(skipped)),
            count => self.0.push(Progression { first: grid.nth(skipped), count, ..*grid }),
        }
    }

    /// Adds an instant after all others.
    pub(crate) fn push(&mut self, at: Timestamp) {
        if let Some(open) = self.0.last_mut() {
            let step = (at.as_millis() - open.last().as_millis()).unsigned_abs();
            if open.count == 1 || step == open.every_millis {
                open.every_millis = step;
                open.count += 1;
                return;
            }
        }
        self.0.push(Progression { first: at, every_millis: 0, count: 1 });
    }

    fn keep_first(&mut self, most: u64) {
        let mut left = most;
        self.0.retain_mut(|progression| {
            progression.count = progression.count.min(left);
            left -= progression.count;
            if progression.count == 1 {
                progression.every_millis = 0;
            }
            progression.count > 0
        });
    }

    /// These progressions, if they lie one after another within `span`.
    pub(crate) fn checked(progressions: Vec<Progression>, span: Span) -> Option<Self> {
        let mut free = span.from;
        for progression in &progressions {
            let possible = progression.count > 0
                && (progression.count == 1) == (progression.every_millis == 0)
                && progression.first >= free
                && progression.last() < span.to;
            if !possible {
                return None;
            }
            free = just_after(progression.last());
        }
        Some(Self(progressions))
    }

    pub(crate) fn progressions(&self) -> &[Progression] {
        &self.0
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|progression| progression.count).sum()
    }

    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.0.first().map(|progression| progression.first)
    }

    pub(crate) fn last(&self) -> Option<Timestamp> {
        self.0.last().map(Progression::last)
    }

    /// How many lie in `span`.
    pub(crate) fn count_in(&self, span: Span) -> u64 {
        // Those before the span end before it begins, so that a task with many progressions is not read for each minute.
        let skipped = self.0.partition_point(|progression| progression.last() < span.from);
        let near = self.0[skipped..].iter().take_while(|progression| progression.first < span.to);
        near.map(|progression| progression.before(span.to) - progression.before(span.from)).sum()
    }

    pub(crate) fn instants(&self) -> impl Iterator<Item = Timestamp> + '_ {
        self.0.iter().flat_map(|progression| (0..progression.count).map(|n| progression.nth(n)))
    }

    /// By how many milliseconds all of `later` lie after these, if it is the same distance for all.
    pub(crate) fn shift_to(&self, later: &Self) -> Option<i64> {
        let shift = later.first()?.as_millis() - self.first()?.as_millis();
        let moved = |at: Timestamp| Timestamp::from_millis(at.as_millis() + shift);
        let same = self.0.len() == later.0.len()
            && self
                .0
                .iter()
                .zip(&later.0)
                .all(|(one, other)| Progression { first: moved(one.first), ..*one } == *other);
        same.then_some(shift)
    }

    /// Those of these that are not among `others`.
    pub(crate) fn without(&self, others: &Self) -> Self {
        let mut others = others.instants().peekable();
        let is_new = |at: &Timestamp| {
            while others.next_if(|other| other < at).is_some() {}
            others.peek() != Some(at)
        };
        self.instants().filter(is_new).collect()
    }
}

impl FromIterator<Timestamp> for Firings {
    /// Of instants in order.
    fn from_iter<I: IntoIterator<Item = Timestamp>>(instants: I) -> Self {
        let mut firings = Self::default();
        instants.into_iter().for_each(|at| firings.push(at));
        firings
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
    use std::time::Duration;

    use super::*;
    use crate::Schedule;
    use crate::chrono_tz::Tz;
    use crate::schedule::Window;

    const DAY: Span = Span { from: Timestamp::from_millis(0), to: Timestamp::from_millis(86_400_000) };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn timetable(schedule: &str) -> Timetable {
        Timetable::new(schedule.parse().expect("a schedule"), Tz::UTC)
    }

    /// What stepping through the plan finds, one by one.
    fn walked(timetable: &Timetable, span: Span) -> Vec<Timestamp> {
        let registered = if timetable.schedule.period().is_some() { span.from } else { Timestamp::MIN };
        let plan = Plan::new(timetable.clone().into(), "", registered, Timestamp::MIN);
        let first = plan.next(just_before(span.from));
        std::iter::successors(first, |&at| plan.next(at)).take_while(|at| *at < span.to).collect()
    }

    #[test]
    fn progressions_are_the_occurrences_one_by_one() {
        for schedule in ["* * * * * *", "0 9-17 * * *", "0,7,20 30 * * * *", "@daily", "1h", "7m", "@monthly"] {
            for except in [None, Some("0 30 10-11 * * *"), Some("* * 0-22 * * *")] {
                let mut timetable = timetable(schedule);
                timetable.except = except.map(|text| Box::new(text.parse().expect("an expression")));
                let firings = Firings::of(&timetable, DAY, u64::MAX);
                assert_eq!(
                    firings.instants().collect::<Vec<_>>(),
                    walked(&timetable, DAY),
                    "{schedule} except {except:?}"
                );
                assert_eq!(Firings::checked(firings.progressions().to_vec(), DAY), Some(firings));
            }
        }
    }

    #[test]
    fn a_regular_day_is_one_progression() {
        for (schedule, every_millis, count) in
            [("* * * * * *", 1_000, 86_400), ("0 * * * *", 3_600_000, 24), ("@daily", 0, 1)]
        {
            let expected = Progression { first: at(0), every_millis, count };
            assert_eq!(Firings::of(&timetable(schedule), DAY, u64::MAX).progressions(), [expected], "{schedule}");
        }
        // The anchor of an interval is assumed at the beginning, and its first firing comes one period later.
        let often = Progression { first: at(1), every_millis: 1, count: 86_399_999 };
        assert_eq!(Firings::of(&timetable("1ms"), DAY, u64::MAX).progressions(), [often]);
    }

    #[test]
    fn windows_anchors_and_limits_bound_the_firings() {
        let mut anchored = timetable("1h");
        (anchored.anchored, anchored.window) = (true, Window { start: at(-1_800_000), end: at(9_000_000) });
        let firings = Firings::of(&anchored, DAY, u64::MAX);
        assert_eq!(firings.instants().collect::<Vec<_>>(), [at(1_800_000), at(5_400_000), at(9_000_000)]);
        let limited = Firings::of(&anchored, DAY, 1);
        assert_eq!(limited.progressions(), [Progression { first: at(1_800_000), every_millis: 0, count: 1 }]);
        assert_eq!(Firings::of(&timetable("* * * * *"), DAY, 5).count(), 5);
        assert_eq!(Firings::of(&timetable("1970-01-01 12:00"), DAY, u64::MAX).first(), Some(at(43_200_000)));
        assert_eq!(Firings::of(&timetable("2d"), DAY, u64::MAX), Firings::default());
        let to_the_end = Schedule::interval(Duration::from_secs(43_200)).expect("a period");
        let ends = Firings::of(&Timetable::new(to_the_end, Tz::UTC), DAY, u64::MAX);
        assert_eq!(ends.count(), 1, "the end of the span lies outside it");
    }

    #[test]
    fn a_count_within_a_span_is_that_of_its_instants() {
        let firings: Firings = [0, 10, 20, 25, 26, 27, 28, 90].map(at).into_iter().collect();
        for from in 0..100 {
            for to in from..100 {
                let span = Span { from: at(from), to: at(to) };
                let expected = firings.instants().filter(|at| *at >= span.from && *at < span.to).count();
                assert_eq!(firings.count_in(span), expected as u64, "{from}..{to}");
            }
        }
    }

    #[test]
    fn a_difference_is_what_the_other_lacks_and_a_shift_is_seen() {
        let hourly = Firings::of(&timetable("0 * * * *"), DAY, u64::MAX);
        let half = Firings::of(&timetable("30 * * * *"), DAY, u64::MAX);
        let fewer = Firings::of(&timetable("0 0-5 * * *"), DAY, u64::MAX);
        assert_eq!((hourly.shift_to(&half), half.shift_to(&hourly)), (Some(1_800_000), Some(-1_800_000)));
        assert_eq!((hourly.shift_to(&fewer), hourly.shift_to(&Firings::default())), (None, None));
        assert_eq!((hourly.without(&fewer).count(), fewer.without(&hourly).count()), (18, 0));
        assert_eq!(hourly.without(&half), hourly);
    }

    #[test]
    fn what_is_out_of_order_or_of_bounds_is_no_list_of_firings() {
        let one = |first: i64, every_millis: u64, count: u64| Progression { first: at(first), every_millis, count };
        for wrong in [
            vec![one(-1, 0, 1)],
            vec![one(86_400_000, 0, 1)],
            vec![one(0, 0, 0)],
            vec![one(0, 0, 2)],
            vec![one(0, 5, 1)],
            vec![one(0, 1_000, u64::MAX)],
            vec![one(0, u64::MAX, 3)],
            vec![one(0, 10, 3), one(20, 0, 1)],
        ] {
            assert_eq!(Firings::checked(wrong.clone(), DAY), None, "{wrong:?}");
        }
    }
}
