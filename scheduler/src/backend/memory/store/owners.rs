//! Which nodes have which tasks, and what is kept of tasks that none has.
//!
//! Invariant: a task that is there has an owner, or it is among those that were given up. A node that is dead, and has neither
//! given up its tasks nor left, may come back, and has them.

use symphra_scheduler_core::Timestamp;

use super::{Store, TaskRow};
use crate::backend::{Holder, TaskRules, Unregistration};
use crate::outcome::{CancelCause, Outcome};

/// How many tasks that no node has are kept, with their marks, ledgers and histories: as many as a scheduler knows by name
/// after they were unregistered. A program that makes tasks as it goes, each under another name, must not fill its memory.
pub(super) const UNOWNED_MAX: u32 = 10_000;

/// A node that has a task.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    pub(super) holder: u32,
    /// The version of the store when it was registered there last.
    since: u64,
    /// Whether it is to run at a start there: a node that does not ask for that does not keep another from it.
    pub(super) runs_on_start: bool,
    /// The newest version of arguments that it reads of the task's jobs.
    #[cfg(feature = "rabbitmq")]
    reads: u32,
}

#[cfg(feature = "rabbitmq")]
impl Owner {
    pub(super) const fn new((holder, since, runs_on_start): (u32, u64, bool), reads: u32) -> Self {
        Self { holder, since, runs_on_start, reads }
    }

    pub(super) const fn parts(&self) -> (u32, u64, bool) {
        (self.holder, self.since, self.runs_on_start)
    }

    pub(super) const fn reads(&self) -> u32 {
        self.reads
    }
}

/// The number of no task.
const NONE: u32 = u32::MAX;

/// The neighbours of a task among those that were given up.
#[derive(Clone, Copy)]
pub(super) struct Neighbours {
    older: u32,
    newer: u32,
}

impl Default for Neighbours {
    fn default() -> Self {
        Self { older: NONE, newer: NONE }
    }
}

/// The tasks that no node has, in the order in which they were given up. A chain through their rows: a node may leave a
/// million at once, and the next take them over.
pub(super) struct Unowned {
    oldest: u32,
    newest: u32,
    pub(super) len: u32,
    /// How many are kept.
    pub(super) max: u32,
}

impl Default for Unowned {
    fn default() -> Self {
        Self { oldest: NONE, newest: NONE, len: 0, max: UNOWNED_MAX }
    }
}

impl Unowned {
    /// All of them, the first given up before the others.
    #[cfg(feature = "rabbitmq")]
    pub(super) fn in_order(&self, rows: &[TaskRow]) -> Vec<u32> {
        let some = |task: u32| (task != NONE).then_some(task);
        std::iter::successors(some(self.oldest), |&task| some(rows[task as usize].neighbours.newer)).collect()
    }

    pub(super) fn push(&mut self, task: u32, rows: &mut [TaskRow]) {
        rows[task as usize].neighbours = Neighbours { older: self.newest, newer: NONE };
        match self.newest {
            NONE => self.oldest = task,
            newest => rows[newest as usize].neighbours.newer = task,
        }
        self.newest = task;
        self.len += 1;
    }

    fn remove(&mut self, task: u32, rows: &mut [TaskRow]) {
        let Neighbours { older, newer } = std::mem::take(&mut rows[task as usize].neighbours);
        match older {
            NONE => self.oldest = newer,
            older => rows[older as usize].neighbours.newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => rows[newer as usize].neighbours.older = older,
        }
        self.len -= 1;
    }
}

impl TaskRow {
    pub(super) fn owners(&self) -> impl Iterator<Item = &Owner> {
        self.owner.iter().chain(self.seldom.iter().flat_map(|seldom| &seldom.further_owners))
    }

    /// Whether no task has this place. It is given to another under another generation, so that nobody takes that for the one
    /// which was forgotten.
    pub(super) const fn is_vacant(&self) -> bool {
        self.generation % 2 == 1
    }
}

impl Store {
    pub(super) fn owner(&self, holder: u32, rules: &TaskRules) -> Owner {
        Owner {
            holder,
            since: self.log.version(),
            runs_on_start: rules.run_on_start,
            #[cfg(feature = "rabbitmq")]
            reads: rules.reads,
        }
    }

    /// `holder` has the task, as of now, under its present rules.
    pub(super) fn own(&mut self, task: u32, holder: u32) {
        let new = self.owner(holder, &self.tasks[task as usize].rules);
        let row = &mut self.tasks[task as usize];
        let further = row.seldom.iter_mut().flat_map(|seldom| &mut seldom.further_owners);
        if let Some(known) = row.owner.iter_mut().chain(further).find(|owner| owner.holder == holder) {
            *known = new;
        } else if row.owner.is_some() {
            row.seldom.get_or_insert_default().further_owners.push(new);
        } else {
            row.owner = Some(new);
            self.unowned.remove(task, &mut self.tasks);
        }
    }

    fn disown(&mut self, task: u32, holder: u32) {
        let row = &mut self.tasks[task as usize];
        let further = row.seldom.as_mut().map(|seldom| &mut seldom.further_owners);
        if row.owner.is_some_and(|owner| owner.holder == holder) {
            row.owner = further.and_then(Vec::pop);
            if row.owner.is_none() {
                self.unowned.push(task, &mut self.tasks);
            }
        } else if let Some(further) = further {
            further.retain(|owner| owner.holder != holder);
        }
    }

    /// A holder has none of its tasks any more.
    pub(super) fn disown_all(&mut self, holder: u32) {
        for task in (0..).take(self.tasks.len()) {
            self.disown(task, holder);
        }
    }

    /// `holder` gives up tasks, but for those that it has registered again since.
    pub(in super::super) fn unregister(&mut self, holder: &Holder, tasks: &[Unregistration], now: Timestamp) {
        // Whoever is not known has nothing, and is not made known by this.
        let Some(holder) = self.known_holder(holder) else { return };
        for given_up in tasks {
            let Some(task) = self.find(given_up.task) else { continue };
            let is_meant = |owner: &Owner| owner.holder == holder && owner.since <= given_up.version;
            if self.tasks[task as usize].owners().any(is_meant) {
                self.disown(task, holder);
            }
        }
        self.forget_the_oldest(now);
    }

    /// Forgets of the tasks that no node has those that were given up first, if there are too many. One of which a run
    /// executes has its turn again later.
    pub(super) fn forget_the_oldest(&mut self, now: Timestamp) {
        for _ in self.unowned.max..self.unowned.len {
            let task = self.unowned.oldest;
            self.unowned.remove(task, &mut self.tasks);
            if self.tasks[task as usize].begun.iter(&self.alive).any(|slot| self.alive.get(slot).holder.is_some()) {
                self.unowned.push(task, &mut self.tasks);
            } else {
                self.forget(task, now);
            }
        }
    }

    /// Forgets a task with all that it has; what waits of it ends.
    fn forget(&mut self, task: u32, now: Timestamp) {
        self.index_names();
        let row = &self.tasks[task as usize];
        let waiting = row.waiting.iter().flat_map(|waiting| waiting.all_queued());
        let alive: Vec<u32> = row.begun.iter(&self.alive).chain(waiting).collect();
        for slot in alive {
            self.end_run(slot, &Outcome::Cancelled(CancelCause::Stopped), None, now);
        }
        let key = self.key(task);
        self.end_waiting_jobs(Some(key), now);
        self.forget_jobs(key);
        self.unlist(task);
        self.change_group(&TaskRules::default(), task);
        let row = &mut self.tasks[task as usize];
        self.history.drop_all_of(&mut row.kept);
        self.keys.remove(&row.name);
        row.generation = row.generation.wrapping_add(1);
        (row.waiting, row.seldom, row.group) = (None, None, None);
        self.vacant.push(task);
    }
}
