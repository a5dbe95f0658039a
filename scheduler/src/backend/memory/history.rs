//! Runs that have ended: of each task as many as its [`Retention`] says, and [`ROWS_MAX`] over all tasks.
//!
//! Rows stand in slots that are used again, on two chains: one over all rows, and one of their task, which is that of its
//! last runs or that of the failures before them. All are kept in the order in which runs ended, so that the oldest row of
//! each is found in one step, whatever the other tasks do.

use symphra_scheduler_core::Timestamp;

use super::logs::Logs;
use super::store::index;
use crate::backend::{Retention, RunRow};
use crate::run::RunState;

/// The rows kept over all tasks; at some 130 bytes each they are 13 MB.
pub(super) const ROWS_MAX: usize = 100_000;

/// Ended runs, and what they wrote, as runs that are alive did.
#[derive(Default)]
pub(super) struct History {
    rows: Vec<Ended>,
    free: Vec<u32>,
    all: Chain,
    pub(super) run_logs: Logs,
}

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
        let (task, now, failed) = (index(run.task), run.finished_at, run.state.is_failure());
        let slot = self.slot(Ended { run, in_all: Links::default(), in_task: Links::default() });
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
        let run = &mut self.rows[oldest.index()].run;
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

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &RunRow> {
        let row = |slot: Slot| &self.rows[slot.index()];
        std::iter::successors(self.all.newest.map(row), move |ended| ended.in_all.older.map(row))
            .map(|ended| &ended.run)
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
