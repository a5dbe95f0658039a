//! Runs that have ended: the last [`PER_TASK_MAX`] of each task, and [`ROWS_MAX`] over all tasks.
//!
//! Rows stand in slots that are used again, on two chains: one over all rows and one over each task's. Both are kept in
//! the order in which runs ended, so that the oldest row of either is found in one step, whatever the other tasks do.

use super::store::index;
use crate::backend::RunRow;

/// The last runs kept of each task.
pub(super) const PER_TASK_MAX: u32 = 100;

/// The rows kept over all tasks; at some 130 bytes each they are 13 MB.
pub(super) const ROWS_MAX: usize = 100_000;

/// Ended runs.
#[derive(Default)]
pub(super) struct History {
    rows: Vec<Ended>,
    free: Vec<u32>,
    all: Chain,
}

/// The two ends of a chain and its length.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain {
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
    /// Adds a run that has just ended; `tasks` are the rows in which `chain` is the one of each task.
    pub(super) fn push<T>(&mut self, run: RunRow, tasks: &mut [T], chain: fn(&mut T) -> &mut Chain) {
        let task = index(run.task);
        if chain(&mut tasks[task]).len >= PER_TASK_MAX {
            self.drop_oldest_of(chain(&mut tasks[task]));
        } else if self.all.len as usize >= ROWS_MAX
            && let Some(oldest) = self.all.oldest
        {
            let task = index(self.rows[oldest.index()].run.task);
            self.drop_oldest_of(chain(&mut tasks[task]));
        }
        let ended = Ended { run, in_all: Links::default(), in_task: Links::default() };
        let slot = match self.free.pop() {
            Some(free) => {
                self.rows[free as usize] = ended;
                Slot::new(free as usize)
            }
            None => {
                self.rows.push(ended);
                Slot::new(self.rows.len() - 1)
            }
        };
        append(&mut self.rows, &mut self.all, slot, ALL);
        append(&mut self.rows, chain(&mut tasks[task]), slot, TASK);
    }

    /// The oldest row of all is the oldest of its task too, since both chains are in the order of ending.
    fn drop_oldest_of(&mut self, chain: &mut Chain) {
        let Some(slot) = chain.oldest else { return };
        unlink(&mut self.rows, chain, slot, TASK);
        unlink(&mut self.rows, &mut self.all, slot, ALL);
        self.rows[slot.index()].run.failure = None;
        self.free.push(u32::try_from(slot.index()).expect("a slot is a u32"));
    }

    /// Drops the rows of a task that is forgotten.
    pub(super) fn drop_all_of(&mut self, chain: &mut Chain) {
        while chain.oldest.is_some() {
            self.drop_oldest_of(chain);
        }
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
    use super::*;
    use crate::backend::{NewRun, TaskKey};
    use crate::run::{Origin, RunId};
    use symphra_scheduler_core::Timestamp;

    fn run(task: u64, at: i64) -> RunRow {
        let at = Timestamp::from_millis(at);
        let id = RunId::from_parts(at, u128::from(task));
        let new = NewRun { origin: Origin::Schedule, scheduled_at: at, due_at: at, missed: None, accept_until: None };
        RunRow::accepted(id, TaskKey(task), &new)
    }

    fn instants(history: &History, task: u64) -> Vec<i64> {
        let of_task = history.newest_first().filter(|row| row.task == TaskKey(task));
        of_task.map(|row| row.scheduled_at.as_millis()).collect()
    }

    #[test]
    fn a_busy_task_keeps_its_last_runs_and_displaces_nobody() {
        let (mut history, mut chains) = (History::default(), [Chain::default(); 2]);
        history.push(run(1, -1), &mut chains, itself);
        for at in 0..10_000 {
            history.push(run(0, at), &mut chains, itself);
        }
        assert_eq!(instants(&history, 0), (9_900..10_000).rev().collect::<Vec<_>>());
        assert_eq!(instants(&history, 1), [-1]);
        assert!(history.rows.len() <= PER_TASK_MAX as usize + 2, "slots are used again");
    }

    #[test]
    fn over_all_tasks_the_oldest_row_goes_first() {
        let tasks = 2 * ROWS_MAX as u64;
        let (mut history, mut chains) = (History::default(), vec![Chain::default(); 2 * ROWS_MAX]);
        for task in 0..tasks {
            history.push(run(task, task as i64), &mut chains, itself);
        }
        assert_eq!(history.newest_first().count(), ROWS_MAX);
        assert_eq!(instants(&history, tasks - 1).len(), 1);
        assert_eq!(instants(&history, ROWS_MAX as u64 - 1).len(), 0);
        assert!(history.rows.len() <= ROWS_MAX + 1, "slots are used again");
    }

    fn itself(chain: &mut Chain) -> &mut Chain {
        chain
    }
}
