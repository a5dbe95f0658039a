//! What has no bound, a piece at a time: as much as one message between nodes holds.

use std::borrow::Cow;
use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use symphra_scheduler_core::Timestamp;

use super::control::Changed;
pub(in crate::backend) use super::jobs::letters::ListedLetter;
use super::{Store, number};
use crate::backend::weight::piece;
use crate::backend::{Changes, NamedTask, Registered, RunQuery, RunRow, TaskKey};
use crate::run::RunId;

/// How many tasks one piece tells.
const TASKS_MAX: usize = 1_000;

/// Which tasks have changed besides those that were told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(in crate::backend) enum Further {
    Nothing,
    These(Vec<TaskKey>),
    /// All from this place on.
    AllFrom(u32),
}

/// The run that was listed last.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(in crate::backend) struct Listed {
    id: RunId,
    scheduled_at: Timestamp,
    finished_at: Option<Timestamp>,
}

impl Listed {
    pub(in crate::backend) const fn of(run: &RunRow) -> Self {
        Self { id: run.id, scheduled_at: run.scheduled_at, finished_at: run.finished_at }
    }
}

impl Store {
    /// What has changed; of tasks the first.
    pub(in super::super) fn changes_page(&self, version: u64) -> (Changes, Further) {
        let (mut changes, changed) = self.changed_since(version);
        let further = match changed {
            Changed::All => {
                let (tasks, next) = self.look_at_all(0);
                changes.tasks = tasks;
                next.map_or(Further::Nothing, Further::AllFrom)
            }
            Changed::These(tasks) => {
                let mut seen = self.seen(tasks.into_iter()).peekable();
                changes.tasks = piece(&mut seen, TASKS_MAX);
                let left: Vec<TaskKey> = seen.map(|task| task.key).collect();
                if left.is_empty() { Further::Nothing } else { Further::These(left) }
            }
        };
        (changes, further)
    }

    /// Where tasks stand from a place on, and from where there are others.
    pub(in super::super) fn look_at_all(&self, from: u32) -> (Vec<Registered>, Option<u32>) {
        let mut seen = self.seen(from..number(self.tasks.len())).peekable();
        let some = piece(&mut seen, TASKS_MAX);
        (some, seen.peek().map(|next| number(super::index(next.key))))
    }

    fn seen(&self, places: impl Iterator<Item = u32>) -> impl Iterator<Item = Registered> {
        places.filter(|&place| !self.tasks[place as usize].is_vacant()).map(|place| self.view(place))
    }

    /// The names of tasks from a place on, in no order, and from where there are others.
    pub(in super::super) fn named_from(&self, from: u32, max: usize) -> (Vec<NamedTask>, Option<u32>) {
        let places = (from..number(self.tasks.len())).filter(|&place| !self.tasks[place as usize].is_vacant());
        let named = |place: u32| NamedTask { name: self.tasks[place as usize].name.clone(), key: self.key(place) };
        let mut named = places.map(named).peekable();
        let some = piece(&mut named, max);
        (some, named.peek().map(|next| number(super::index(next.key))))
    }

    /// Runs in the order of [`runs`](Self::runs), after one of them. One that ends meanwhile may be listed twice, and none that
    /// is there all along is left out.
    pub(in super::super) fn runs_after(&self, query: &RunQuery, after: Option<Listed>) -> impl Iterator<Item = RunRow> {
        let wanted = |row: &&RunRow| query.includes(row);
        let was_alive = after.is_none_or(|after| after.finished_at.is_none());
        let is_after = |row: &RunRow| {
            was_alive && after.is_none_or(|after| (row.scheduled_at, row.id) < (after.scheduled_at, after.id))
        };
        let alive = self.alive.iter().map(|run| Cow::Borrowed(&run.row));
        let alive = alive.chain(self.waiting_jobs().map(Cow::Owned));
        let mut alive: Vec<Cow<'_, RunRow>> = alive.filter(|row| query.includes(row) && is_after(row)).collect();
        alive.sort_by_key(|row| Reverse((row.scheduled_at, row.id)));
        // If the one that was listed last is forgotten by now, those before it in the order are known by their ends.
        let last = after.filter(|_| !was_alive);
        let is_kept = last.is_some_and(|last| self.history.newest_first().any(|row| row.id == last.id));
        let mut passed = last.is_none();
        let is_later = move |row: &&RunRow| {
            let Some(last) = last.filter(|_| !passed) else { return true };
            if is_kept {
                passed = row.id == last.id;
                return false;
            }
            passed = row.finished_at <= last.finished_at;
            passed
        };
        let ended = self.history.newest_first().filter(is_later).filter(wanted);
        alive.into_iter().map(Cow::into_owned).chain(ended.cloned())
    }
}
