//! Runs that have ended: of each task as many as its [`Retention`] says, and [`ROWS_MAX`] over all tasks.
//!
//! Rows stand in slots that are used again, on two chains: one over all rows, and one of their task, which is that of its
//! last runs or that of the failures before them. All are kept in the order in which runs ended, so that the oldest row of
//! each is found in one step, whatever the other tasks do.

use std::collections::VecDeque;

use symphra_scheduler_core::Timestamp;

use super::logs::Logs;
use super::store::index;
use crate::backend::{Retention, RunRow};
use crate::run::RunState;

/// The rows kept over all tasks; at some 140 bytes each they are 14 MB.
pub(super) const ROWS_MAX: usize = 100_000;

/// Ended runs, and what they wrote, as runs that are alive did.
#[derive(Default)]
pub(super) struct History {
    rows: Vec<Ended>,
    free: Vec<u32>,
    all: Chain,
    /// The number of the last end.
    last_end: u64,
    /// Every so often a row with its number, the oldest first: where to begin to look for a number.
    marks: VecDeque<(u64, Slot)>,
    /// How many marks stand for rows that were there when that was looked at last.
    marks_kept: usize,
    pub(super) run_logs: Logs,
}

/// As many marks are not worth a look at whose rows are gone.
const MARKS_MIN: usize = 64;

/// Each row whose number is a multiple of this is marked: from a mark to what is looked for it is not far, and marks are few
/// beside rows.
const MARKED_EVERY: u64 = 64;

/// The rows of one task.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    /// Its last runs, however they ended.
    last: Chain,
    /// Those before them that failed.
    failures: Chain,
    /// How many of the last ones failed.
    failed: u32,
}

/// The two ends of a chain and its length.
#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    oldest: Option<Slot>,
    newest: Option<Slot>,
    len: u32,
}

/// A slot's number plus one, so that an absent one costs no space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot(std::num::NonZeroU32);

impl Slot {
    fn new(index: usize) -> Self {
        let number = u32::try_from(index + 1).ok().and_then(std::num::NonZeroU32::new);
        Self(number.expect("the history holds fewer rows than 2^32"))
    }

    const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

struct Ended {
    run: RunRow,
    /// The number of its end; 0 of a slot that is free.
    number: u64,
    in_all: Links,
    in_task: Links,
}

#[derive(Clone, Copy, Default)]
struct Links {
    older: Option<Slot>,
    newer: Option<Slot>,
}

/// Which of the two chains of a row.
type Side = fn(&mut Ended) -> &mut Links;

const ALL: Side = |row| &mut row.in_all;
const TASK: Side = |row| &mut row.in_task;

impl History {
    /// Adds a run that has just ended; `tasks` are the rows in which `kept` is what is kept of each task.
    pub(super) fn push<T>(
        &mut self,
        run: RunRow,
        retention: &Retention,
        tasks: &mut [T],
        kept: fn(&mut T) -> &mut Kept,
    ) {
        self.put(self.last_end + 1, run, retention, tasks, kept);
    }

    /// Adds a run that has ended after all that are here, and whose end has a number already.
    pub(super) fn put<T>(
        &mut self,
        number: u64,
        run: RunRow,
        retention: &Retention,
        tasks: &mut [T],
        kept: fn(&mut T) -> &mut Kept,
    ) {
        let (task, now, failed) = (index(run.task), run.finished_at, run.state.is_failure());
        let slot = self.slot(Ended { run, number, in_all: Links::default(), in_task: Links::default() });
        self.last_end = number;
        if number.is_multiple_of(MARKED_EVERY) {
            self.mark(number, slot);
        }
        append(&mut self.rows, &mut self.all, slot, ALL);
        let of_task = kept(&mut tasks[task]);
        append(&mut self.rows, &mut of_task.last, slot, TASK);
        of_task.failed += u32::from(failed);
        while of_task.last.len > retention.runs
            && let Some(oldest) = of_task.last.oldest
        {
            self.put_behind(oldest, of_task);
        }
        while let Some(oldest) = of_task.failures.oldest
            && (of_task.failed + of_task.failures.len > retention.failures || self.is_older(oldest, now, retention))
        {
            self.forget(oldest, of_task);
        }
        while self.all.len as usize > ROWS_MAX
            && let Some(oldest) = self.all.oldest
        {
            let task = index(self.rows[oldest.index()].run.task);
            self.forget(oldest, kept(&mut tasks[task]));
        }
    }

    fn mark(&mut self, number: u64, slot: Slot) {
        // Marks whose rows are gone cost no more than those whose rows are there.
        if self.marks.len() > 2 * self.marks_kept {
            self.marks.retain(|&(number, slot)| self.rows[slot.index()].number == number);
            self.marks_kept = self.marks.len().max(MARKS_MIN);
        }
        self.marks.push_back((number, slot));
    }

    fn slot(&mut self, ended: Ended) -> Slot {
        match self.free.pop() {
            Some(free) => {
                self.rows[free as usize] = ended;
                Slot::new(free as usize)
            }
            None => {
                self.rows.push(ended);
                Slot::new(self.rows.len() - 1)
            }
        }
    }

    /// The oldest of the last runs of a task is none of them any more: it is kept if it failed.
    fn put_behind(&mut self, oldest: Slot, kept: &mut Kept) {
        if !self.rows[oldest.index()].run.state.is_failure() {
            return self.forget(oldest, kept);
        }
        unlink(&mut self.rows, &mut kept.last, oldest, TASK);
        kept.failed -= 1;
        append(&mut self.rows, &mut kept.failures, oldest, TASK);
    }

    fn is_older(&self, slot: Slot, now: Option<Timestamp>, retention: &Retention) -> bool {
        let ended = self.rows[slot.index()].run.finished_at;
        ended.zip(now).is_some_and(|(ended, now)| now.since(ended) > retention.failures_for)
    }

    /// Forgets the oldest row of a task, or of all: the chains have one order, so it is the oldest of its task too.
    fn forget(&mut self, oldest: Slot, kept: &mut Kept) {
        if kept.failures.oldest == Some(oldest) {
            unlink(&mut self.rows, &mut kept.failures, oldest, TASK);
        } else {
            unlink(&mut self.rows, &mut kept.last, oldest, TASK);
            kept.failed -= u32::from(self.rows[oldest.index()].run.state.is_failure());
        }
        unlink(&mut self.rows, &mut self.all, oldest, ALL);
        let Ended { run, number, .. } = &mut self.rows[oldest.index()];
        *number = 0;
        run.failure = None;
        self.run_logs.forget_that_of(run.id);
        self.free.push(u32::try_from(oldest.index()).expect("a slot is a u32"));
    }

    /// Drops the rows of a task that is forgotten.
    pub(super) fn drop_all_of(&mut self, kept: &mut Kept) {
        while let Some(oldest) = kept.failures.oldest.or(kept.last.oldest) {
            self.forget(oldest, kept);
        }
    }

    /// How the last run of a task ended.
    pub(super) fn latest(&self, kept: &Kept) -> Option<RunState> {
        kept.last.newest.map(|slot| self.rows[slot.index()].run.state)
    }

    /// The last run of a task.
    #[cfg(feature = "rabbitmq")]
    pub(super) fn latest_row(&self, kept: &Kept) -> Option<&RunRow> {
        kept.last.newest.map(|slot| &self.rows[slot.index()].run)
    }

    #[cfg(test)]
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &RunRow> {
        self.all_below(u64::MAX).map(|(_, run)| run)
    }

    /// The number of the last end.
    pub(super) const fn last_end(&self) -> u64 {
        self.last_end
    }

    /// Says how many runs have ended, some of which are not kept.
    #[cfg(feature = "rabbitmq")]
    pub(super) const fn set_last_end(&mut self, number: u64) {
        if self.last_end < number {
            self.last_end = number;
        }
    }

    /// Runs whose ends have lower numbers than `end`, the last first, with these numbers.
    pub(super) fn all_below(&self, end: u64) -> impl Iterator<Item = (u64, &RunRow)> {
        let begin = self.marked_at(end).or(self.all.newest);
        self.older(begin, |row| row.in_all.older).skip_while(move |&(number, _)| number >= end)
    }

    /// The nearest marked row that has this number, or a higher one.
    fn marked_at(&self, number: u64) -> Option<Slot> {
        let first = self.marks.partition_point(|&(marked, _)| marked < number);
        let is_there = |&&(marked, slot): &&(u64, Slot)| self.rows[slot.index()].number == marked;
        self.marks.range(first..).find(is_there).map(|&(_, slot)| slot)
    }

    /// The same of one task.
    pub(super) fn of_task_below(&self, kept: &Kept, end: u64) -> impl Iterator<Item = (u64, &RunRow)> {
        let of = |chain: Chain| self.older(chain.newest, |row| row.in_task.older);
        of(kept.last).chain(of(kept.failures)).skip_while(move |&(number, _)| number >= end)
    }

    /// Rows from `begin` on, along a chain.
    fn older(&self, begin: Option<Slot>, older: fn(&Ended) -> Option<Slot>) -> impl Iterator<Item = (u64, &RunRow)> {
        let row = |slot: Slot| &self.rows[slot.index()];
        std::iter::successors(begin.map(row), move |&ended| older(ended).map(row))
            .map(|ended| (ended.number, &ended.run))
    }
}

fn append(rows: &mut [Ended], chain: &mut Chain, slot: Slot, side: Side) {
    *side(&mut rows[slot.index()]) = Links { older: chain.newest, newer: None };
    match chain.newest {
        Some(newest) => side(&mut rows[newest.index()]).newer = Some(slot),
        None => chain.oldest = Some(slot),
    }
    chain.newest = Some(slot);
    chain.len += 1;
}

fn unlink(rows: &mut [Ended], chain: &mut Chain, slot: Slot, side: Side) {
    let Links { older, newer } = *side(&mut rows[slot.index()]);
    match older {
        Some(older) => side(&mut rows[older.index()]).newer = newer,
        None => chain.oldest = newer,
    }
    match newer {
        Some(newer) => side(&mut rows[newer.index()]).older = older,
        None => chain.newest = older,
    }
    chain.len -= 1;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::backend::{NewRun, TaskKey};
    use crate::run::{Origin, RunId};

    fn run(task: u64, at: i64) -> RunRow {
        let at = Timestamp::from_millis(at);
        let id = RunId::from_parts(at, u128::from(task));
        let new = NewRun { origin: Origin::Schedule, scheduled_at: at, due_at: at, missed: None, accept_until: None };
        RunRow { state: RunState::Succeeded, finished_at: Some(at), ..RunRow::accepted(id, TaskKey(task), &new) }
    }

    fn failed(task: u64, at: i64) -> RunRow {
        RunRow { state: RunState::TimedOut, ..run(task, at) }
    }

    fn instants(history: &History, task: u64) -> Vec<i64> {
        let of_task = history.newest_first().filter(|row| row.task == TaskKey(task));
        of_task.map(|row| row.scheduled_at.as_millis()).collect()
    }

    fn keeping(runs: u32, failures: u32, failures_for: Duration) -> Retention {
        Retention { runs, failures, failures_for }
    }

    /// However many rows there are and were, those below a number are found where they are.
    #[test]
    fn rows_are_found_by_the_numbers_of_their_ends() {
        let (mut history, mut tasks) = (History::default(), vec![Kept::default(); 1_000]);
        let retention = keeping(3, 3, Duration::MAX);
        for at in 0..20_000_i64 {
            // Every other run is of one task, so that half of all rows go at once; the others are of all in turn.
            let task = if at % 2 == 0 { 0 } else { at.unsigned_abs() / 2 % 1_000 };
            history.push(run(task, at), &retention, &mut tasks, itself);
        }
        let all: Vec<u64> = history.all_below(u64::MAX).map(|(number, _)| number).collect();
        assert!(all.len() > 2_500 && all.is_sorted_by(|newer, older| newer > older), "{} rows", all.len());
        assert_eq!(history.last_end(), 20_000);
        for end in (0..=20_001).step_by(37) {
            let below: Vec<u64> = all.iter().copied().filter(|&number| number < end).take(5).collect();
            let found: Vec<(u64, &RunRow)> = history.all_below(end).take(5).collect();
            assert_eq!(found.iter().map(|(number, _)| *number).collect::<Vec<_>>(), below, "below {end}");
            assert!(found.iter().all(|(number, row)| row.scheduled_at.as_millis().unsigned_abs() + 1 == *number));
        }
        let begun = history.marked_at(15_000).map_or(u64::MAX, |slot| history.rows[slot.index()].number);
        assert!((15_000..15_000 + MARKED_EVERY).contains(&begun), "a mark is near: {begun}");
        assert!(history.marks.len() < 3 * all.len() / 64 + 3 * MARKS_MIN, "{} marks", history.marks.len());
        let of_task = |task: usize, end| history.of_task_below(&tasks[task], end).map(|(number, _)| number);
        assert_eq!(of_task(0, u64::MAX).collect::<Vec<_>>(), [19_999, 19_997, 19_995]);
        assert_eq!(of_task(0, 19_997).collect::<Vec<_>>(), [19_995]);
    }

    #[test]
    fn a_busy_task_keeps_its_last_runs_and_displaces_nobody() {
        let (mut history, mut tasks) = (History::default(), [Kept::default(); 2]);
        let retention = Retention::default();
        history.push(run(1, -1), &retention, &mut tasks, itself);
        for at in 0..10_000 {
            history.push(run(0, at), &retention, &mut tasks, itself);
        }
        assert_eq!(instants(&history, 0), (9_900..10_000).rev().collect::<Vec<_>>());
        assert_eq!(instants(&history, 1), [-1]);
        assert!(history.rows.len() <= retention.runs as usize + 2, "slots are used again");
    }

    #[test]
    fn failures_are_kept_beyond_the_last_runs_by_number_and_age() {
        let (mut history, mut tasks) = (History::default(), [Kept::default()]);
        let retention = keeping(2, 3, Duration::from_millis(50));
        for at in 0..10 {
            let row = if at % 2 == 0 { failed(0, at) } else { run(0, at) };
            history.push(row, &retention, &mut tasks, itself);
        }
        assert_eq!(instants(&history, 0), [9, 8, 6, 4], "two runs, and three failures with the one among them");
        history.push(failed(0, 55), &retention, &mut tasks, itself);
        assert_eq!(instants(&history, 0), [55, 9, 8, 6], "three failures are kept");
        history.push(run(0, 57), &retention, &mut tasks, itself);
        assert_eq!(instants(&history, 0), [57, 55, 8], "for so long");
        for at in 100..200 {
            history.push(run(0, at), &retention, &mut tasks, itself);
        }
        assert_eq!(instants(&history, 0), [199, 198], "after it none is left");
        assert!(history.rows.len() <= 7, "slots are used again");
    }

    #[test]
    fn less_is_kept_when_less_is_asked_for() {
        let (mut history, mut tasks) = (History::default(), [Kept::default()]);
        for at in 0..10 {
            history.push(failed(0, at), &keeping(4, 8, Duration::MAX), &mut tasks, itself);
        }
        assert_eq!(instants(&history, 0).len(), 8);
        history.push(run(0, 10), &keeping(1, 2, Duration::MAX), &mut tasks, itself);
        assert_eq!(instants(&history, 0), [10, 9, 8]);
        history.push(run(0, 11), &keeping(1, 0, Duration::MAX), &mut tasks, itself);
        assert_eq!(instants(&history, 0), [11]);
    }

    #[test]
    fn over_all_tasks_the_oldest_row_goes_first() {
        let tasks = 2 * ROWS_MAX as u64;
        let (mut history, mut kept) = (History::default(), vec![Kept::default(); 2 * ROWS_MAX]);
        let retention = keeping(1, 1, Duration::MAX);
        for task in 0..tasks {
            history.push(failed(task, task as i64), &retention, &mut kept, itself);
        }
        assert_eq!(history.newest_first().count(), ROWS_MAX);
        assert_eq!(instants(&history, tasks - 1).len(), 1);
        assert_eq!(instants(&history, ROWS_MAX as u64 - 1).len(), 0);
        assert!(history.rows.len() <= ROWS_MAX + 1, "slots are used again");
        // The oldest of all may be a failure behind the last run of its task.
        let (first, later) = (ROWS_MAX as u64, 10_000_000);
        history.push(run(first + 1, later), &retention, &mut kept, itself);
        assert_eq!(instants(&history, first), [0; 0]);
        assert_eq!(instants(&history, first + 1), [later, first as i64 + 1]);
        history.push(run(first, later + 1), &retention, &mut kept, itself);
        assert_eq!(instants(&history, first + 1), [later]);
        assert_eq!(history.newest_first().count(), ROWS_MAX);
    }

    fn itself(kept: &mut Kept) -> &mut Kept {
        kept
    }
}
