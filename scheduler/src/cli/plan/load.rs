//! How many firings fall into each minute, and which tasks meet in the busiest. Pure.

use symphra_scheduler_core::Timestamp;

use super::firings::{Firings, Span};

pub(crate) const MINUTE_MILLIS: i64 = 60_000;

/// How many of the busiest minutes are named.
const BUSIEST: usize = 10;

/// The firings of all tasks by minute of a span.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) span: Span,
    /// A number for each minute from the beginning of the span.
    pub(crate) minutes: Vec<u64>,
    /// The highest of these numbers.
    pub(crate) most: u64,
}

/// A minute in which much happens.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Busy {
    pub(crate) at: Timestamp,
    pub(crate) firings: u64,
    /// The place of each task that fires in it, and how often, the most frequent first.
    pub(crate) tasks: Vec<(usize, u64)>,
}

impl Load {
    pub(crate) fn of<'a>(all: impl Iterator<Item = &'a Firings>, span: Span) -> Self {
        let millis = (span.to.as_millis() - span.from.as_millis()).unsigned_abs();
        let minutes = usize::try_from(millis.div_ceil(MINUTE_MILLIS.unsigned_abs())).unwrap_or_default();
        let mut load = Self { span, minutes: vec![0; minutes], most: 0 };
        all.for_each(|firings| load.add(firings));
        load.most = load.minutes.iter().copied().max().unwrap_or(0);
        load
    }

    fn add(&mut self, firings: &Firings) {
        for progression in firings.progressions() {
            let (first, last) = (self.minute_of(progression.first), self.minute_of(progression.last()));
            if first == last {
                self.minutes[first] += progression.count;
                continue;
            }
            // Never more steps than instants or minutes, whichever are fewer.
            if progression.every_millis >= MINUTE_MILLIS.unsigned_abs() {
                for n in 0..progression.count {
                    let minute = self.minute_of(progression.nth(n));
                    self.minutes[minute] += 1;
                }
                continue;
            }
            let mut before = 0;
            for minute in first..=last {
                let through = progression.before(self.start_of(minute + 1));
                self.minutes[minute] += through - before;
                before = through;
            }
        }
    }

    fn minute_of(&self, at: Timestamp) -> usize {
        usize::try_from((at.as_millis() - self.span.from.as_millis()) / MINUTE_MILLIS).unwrap_or_default()
    }

    /// When the minute of this number begins.
    pub(crate) fn start_of(&self, minute: usize) -> Timestamp {
        let passed = i64::try_from(minute).unwrap_or(i64::MAX).saturating_mul(MINUTE_MILLIS);
        Timestamp::from_millis(self.span.from.as_millis().saturating_add(passed))
    }

    /// The busiest minutes, the busiest first, then the earliest; of `all` the tasks that meet there.
    pub(crate) fn busiest<'a>(&self, all: impl Iterator<Item = &'a Firings> + Clone) -> Vec<Busy> {
        let mut order: Vec<usize> = (0..self.minutes.len()).filter(|&minute| self.minutes[minute] > 0).collect();
        order.sort_by_key(|&minute| (std::cmp::Reverse(self.minutes[minute]), minute));
        order.truncate(BUSIEST);
        let busy = order.into_iter().map(|minute| {
            let span = Span { from: self.start_of(minute), to: self.start_of(minute + 1).min(self.span.to) };
            let counts = all.clone().map(|firings| firings.count_in(span)).enumerate();
            let mut tasks: Vec<_> = counts.filter(|(_, count)| *count > 0).collect();
            tasks.sort_by_key(|&(task, count)| (std::cmp::Reverse(count), task));
            Busy { at: span.from, firings: self.minutes[minute], tasks }
        });
        busy.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn every(millis: i64, first: i64, count: i64) -> Firings {
        (0..count).map(|n| at(first + n * millis)).collect()
    }

    #[test]
    fn the_load_of_a_minute_is_what_fires_in_it() {
        let span = Span { from: at(0), to: at(4 * MINUTE_MILLIS) };
        let all = [every(1_000, 30_000, 100), every(90_000, 0, 3), every(7, 59_990, 4), every(60_000, 59_999, 4)];
        let load = Load::of(all.iter(), span);
        for (minute, count) in load.minutes.iter().enumerate() {
            let (from, to) = (load.start_of(minute), load.start_of(minute + 1));
            let instants = all.iter().flat_map(Firings::instants).filter(|at| (from..to).contains(at));
            assert_eq!(*count, instants.count() as u64, "minute {minute}");
        }
        assert_eq!(load.minutes.iter().sum::<u64>(), all.iter().map(Firings::count).sum::<u64>());
    }

    #[test]
    fn the_busiest_minutes_name_the_tasks_that_meet_there() {
        let span = Span { from: at(0), to: at(60 * MINUTE_MILLIS) };
        let all = [every(MINUTE_MILLIS, 0, 60), every(1_000, 120_000, 60), Firings::default()];
        let busiest = Load::of(all.iter(), span).busiest(all.iter());
        assert_eq!(busiest.len(), BUSIEST);
        assert_eq!(busiest[0], Busy { at: at(120_000), firings: 61, tasks: vec![(1, 60), (0, 1)] });
        assert_eq!(
            busiest[1],
            Busy { at: at(0), firings: 1, tasks: vec![(0, 1)] },
            "the earliest of those that are even"
        );
        assert_eq!(Load::of(all[2..].iter(), span).busiest(all[2..].iter()), []);
    }
}
