//! What operators ask, and the log of changes that the nodes follow.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use symphra_scheduler_core::Timestamp;

use super::{Operator, Store, TaskRow, number};
use crate::backend::{Cancelled, Changes, Command, Died, Pause, Record, TaskKey};
use crate::run::RunId;

/// How many changes are kept: a node that is further behind looks at everything.
const CHANGES_MAX: usize = 1_024;

/// Something that nodes should know.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub(super) enum Change {
    /// Where a task stands.
    Task(u32),
    /// Where all tasks stand.
    AllTasks,
    /// A run was asked to cancel.
    Cancelled(Cancelled),
    /// A run is tried again by another node than had put that off.
    Resumed(RunId),
    /// A run has ended by the death of its node.
    Died(Died),
    /// Runs wait that may be claimed.
    Runnable,
}

/// The places of tasks of which something has changed.
pub(super) enum Changed {
    All,
    These(BTreeSet<u32>),
}

/// The last changes, numbered from 1.
#[derive(Clone, Default)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub(super) struct Log {
    version: u64,
    last: VecDeque<Change>,
}

impl Log {
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn push(&mut self, change: Change) {
        self.version += 1;
        if self.last.len() == CHANGES_MAX {
            self.last.pop_front();
        }
        self.last.push_back(change);
    }

    /// The changes after `version`; `None` if they are no longer all here.
    fn since(&self, version: u64) -> Option<impl Iterator<Item = &Change>> {
        let behind = usize::try_from(self.version.saturating_sub(version)).unwrap_or(usize::MAX);
        (behind <= self.last.len()).then(|| self.last.iter().skip(self.last.len() - behind))
    }
}

impl Store {
    pub(in super::super) fn version(&self) -> u64 {
        self.log.version
    }

    pub(in super::super) fn changes_since(&self, version: u64) -> Changes {
        let (mut changes, changed) = self.changed_since(version);
        let tasks = match changed {
            Changed::All => (0..number(self.tasks.len())).collect(),
            Changed::These(tasks) => tasks,
        };
        // One that was forgotten meanwhile is nobody's.
        let tasks = tasks.into_iter().filter(|&task| !self.tasks[task as usize].is_vacant());
        changes.tasks = tasks.map(|task| self.view(task)).collect();
        changes
    }

    /// What has changed, and of which tasks something has.
    pub(super) fn changed_since(&self, version: u64) -> (Changes, Changed) {
        let mut changes = Changes { version: self.log.version, ..Changes::default() };
        let mut tasks = BTreeSet::new();
        let mut all = false;
        match self.log.since(version) {
            Some(since) => {
                for change in since {
                    match change {
                        Change::Task(task) => drop(tasks.insert(*task)),
                        Change::AllTasks => all = true,
                        Change::Cancelled(cancelled) => changes.cancelled.push(*cancelled),
                        Change::Resumed(resumed) => changes.resumed.push(*resumed),
                        Change::Died(died) => changes.died.push(died.clone()),
                        Change::Runnable => changes.runnable = true,
                    }
                }
            }
            None => {
                (all, changes.runnable) = (true, true);
                let asked = self.alive.iter().filter_map(|run| {
                    let (id, task, was) = (run.row.id, run.row.task, run.row.state);
                    run.cancelling.map(|cause| Cancelled { id, task, cause, was })
                });
                changes.cancelled.extend(asked);
                let resumed = self.alive.iter().filter(|run| run.holder.is_some() && run.put_off_by.is_some());
                changes.resumed.extend(resumed.map(|run| run.row.id));
            }
        }
        (changes, if all { Changed::All } else { Changed::These(tasks) })
    }

    /// Does what is asked; the answer is what is recorded of a timetable that ends with it.
    pub(in super::super) fn control(&mut self, command: &Command, now: Timestamp) -> Option<Box<Record>> {
        let mut ended = None;
        match command {
            Command::Pause { task, by, reason } => {
                let pause = Pause { by: Arc::clone(by), reason: reason.clone(), since: now };
                match task {
                    Some(task) => {
                        if let Some(row) = self.find(*task).map(|task| &mut self.tasks[task as usize]) {
                            row.operator = Some(Operator::Paused(Box::new(pause)));
                        }
                    }
                    None => self.pause_of_all = Some(pause),
                }
                self.changed(*task);
            }
            Command::Resume { task } => {
                match task {
                    Some(task) => {
                        if let Some(row) = self.find(*task).map(|task| &mut self.tasks[task as usize])
                            && row.is_paused()
                        {
                            row.operator = Some(Operator::Resumed);
                            row.resumed_at = Some(now);
                        }
                    }
                    None => {
                        if self.pause_of_all.take().is_some() {
                            self.all_resumed_at = Some(now);
                        }
                    }
                }
                match task {
                    Some(task) => _ = self.find(*task).map(|task| self.list(task)),
                    None => (0..).take(self.tasks.len()).for_each(|task| _ = self.list(task)),
                }
                self.changed(*task);
                self.log.push(Change::Runnable);
            }
            Command::Reschedule { task, timetable } => {
                if let Some(task) = self.find(*task) {
                    let with = |row: &mut TaskRow| row.rescheduled = Some(Arc::clone(timetable));
                    ended = self.replace_timetable(task, now, with);
                }
                self.changed(Some(*task));
            }
            Command::ResetMark { task } => {
                if let Some(row) = self.find(*task).map(|task| &mut self.tasks[task as usize]) {
                    row.mark = row.mark.min(now);
                    row.settle_behind(row.behind().filter(|&behind| behind < row.mark));
                    row.last_step = None;
                }
                self.changed(Some(*task));
            }
        }
        ended
    }

    fn changed(&mut self, task: Option<TaskKey>) {
        match task {
            Some(task) => _ = self.find(task).map(|task| self.log.push(Change::Task(task))),
            None => self.log.push(Change::AllTasks),
        }
    }
}
