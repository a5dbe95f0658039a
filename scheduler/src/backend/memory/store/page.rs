//! What has no bound, a piece at a time: as much as one message between nodes holds.

use serde::{Deserialize, Serialize};

use super::control::Changed;
pub(in crate::backend) use super::jobs::letters::ListedLetter;
use super::{Store, number};
use crate::backend::weight::piece;
use crate::backend::{Changes, NamedTask, Registered, TaskKey};

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
}
