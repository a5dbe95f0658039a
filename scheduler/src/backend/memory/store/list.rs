//! Which tasks have something that might be claimed, and which run of it comes first.
//!
//! A task whose first run may not begin is left out until something of it changes, and a group while it has no room, so
//! that a claim looks at what it gets and not at what waits.

use std::cmp::Reverse;
use std::ops::Bound;

use symphra_scheduler_core::Timestamp;

use super::waiting::{Lane, Waiting};
use super::{Listed, Rank, Store, index, number};
use crate::backend::Claim;
use crate::run::Origin;

impl Store {
    /// One of the task's runs that wait might be claimed now. Tells whether any wait.
    pub(super) fn list(&mut self, task: u32) -> bool {
        let row = &self.tasks[task as usize];
        let first = row.waiting.as_ref().and_then(|waiting| waiting.first_due());
        let Some(due_at) = first else { return false };
        let rank = (Reverse(row.rules.priority), due_at);
        self.list_under(task, Some(rank));
        true
    }

    pub(super) fn unlist(&mut self, task: u32) {
        self.list_under(task, None);
    }

    fn list_under(&mut self, task: u32, rank: Option<Rank>) {
        let row = &mut self.tasks[task as usize];
        let Some(waiting) = &mut row.waiting else { return };
        let before = std::mem::replace(&mut waiting.listed, rank);
        if before == rank {
            return;
        }
        match row.group {
            Some(group) => {
                let runnable = &mut self.groups[group as usize].runnable;
                before.map(|rank| runnable.remove(&(rank, task)));
                rank.map(|rank| runnable.insert((rank, task)));
                self.list_group(group);
            }
            None => {
                before.map(|rank| self.runnable.remove(&(rank, Listed::Task(task))));
                rank.map(|rank| self.runnable.insert((rank, Listed::Task(task))));
            }
        }
    }

    /// Puts a group where its first task belongs, or nowhere while it has no room.
    pub(super) fn list_group(&mut self, place: u32) {
        let group = &mut self.groups[place as usize];
        let first = group.runnable.first().map(|&(rank, _)| rank).filter(|_| group.held < group.max);
        let before = std::mem::replace(&mut group.listed, first);
        if before != first {
            before.map(|rank| self.runnable.remove(&(rank, Listed::Group(place))));
            first.map(|rank| self.runnable.insert((rank, Listed::Group(place))));
        }
    }

    /// Whether a run of the group might be claimed, if there is a group.
    pub(super) fn is_group_listed(&self, group: Option<u32>) -> bool {
        group.is_some_and(|group| self.groups[group as usize].listed.is_some())
    }

    /// Adds a run, which is queued or whose next attempt is due, to those of its task that wait.
    pub(super) fn enter_waiting(&mut self, slot: u32) {
        let run = self.alive.get(slot);
        let task = index(run.row.task);
        self.tasks[task].waiting.get_or_insert_default().insert(slot, run);
        self.list(number(task));
    }

    pub(super) fn leave_waiting(&mut self, slot: u32) {
        let run = self.alive.get(slot);
        let task = index(run.row.task);
        let waiting = self.tasks[task].waiting.as_mut().expect("a run that waits is among those of its task");
        waiting.remove(slot, run);
        if waiting.is_empty() {
            self.unlist(number(task));
            self.tasks[task].waiting = None;
        }
    }

    /// Takes a run that is between two attempts from where it waits for the next, or for that to be claimed.
    pub(super) fn leave_retrying(&mut self, slot: u32) {
        if !self.retrying.remove(&(self.alive.get(slot).row.due_at, slot)) {
            self.leave_waiting(slot);
        }
    }

    /// Lets those wait to be claimed whose next attempt is due.
    pub(super) fn retries_come_due(&mut self, now: Timestamp) {
        while let Some(&first) = self.retrying.first().filter(|&&(at, _)| at <= now) {
            self.retrying.remove(&first);
            self.enter_waiting(first.1);
        }
    }

    /// The waiting run that comes first among those that may begin and that the claim wants.
    pub(super) fn first_waiting(&mut self, claim: &Claim) -> Option<(Rank, u32)> {
        let mut best = None;
        let mut after = Bound::Unbounded;
        while let Some(&entry) = self.runnable.range((after, Bound::Unbounded)).next() {
            if best.is_some_and(|(rank, _)| rank <= entry.0) {
                break;
            }
            after = Bound::Excluded(entry);
            let found = match entry.1 {
                Listed::Task(task) => self.first_of(task, claim),
                Listed::Group(group) => self.first_of_group(group, claim),
            };
            best = earlier(best, found);
        }
        best
    }

    fn first_of_group(&mut self, group: u32, claim: &Claim) -> Option<(Rank, u32)> {
        let mut best = None;
        let mut after = Bound::Unbounded;
        while let Some(&entry) = self.groups[group as usize].runnable.range((after, Bound::Unbounded)).next() {
            if best.is_some_and(|(rank, _)| rank <= entry.0) {
                break;
            }
            after = Bound::Excluded(entry);
            let found = self.first_of(entry.1, claim);
            best = earlier(best, found);
        }
        best
    }

    /// The first run of a task that may begin. A task that turns out to have none is listed no more.
    fn first_of(&mut self, task: u32, claim: &Claim) -> Option<(Rank, u32)> {
        #[cfg(test)]
        tests::LOOKS.set(tests::LOOKS.get() + 1);
        if claim.tasks.binary_search(&self.key(task)).is_err() {
            return None;
        }
        let waiting = self.tasks[task as usize].waiting.as_ref()?;
        let first = waiting.first(|slot, lane| self.may_begin(slot, lane) && self.can_read(slot, claim));
        if first.is_none() && waiting.has_jobs() {
            // Another node may read them.
            return None;
        }
        let found = first.map(|slot| (self.rank(slot), slot));
        self.list_under(task, found.map(|(rank, _)| rank));
        found
    }

    /// Whether a waiting run may begin: its task is not paused and has room, its group has room, and of its backfill no
    /// other run is alive and begun.
    pub(super) fn may_begin(&self, slot: u32, lane: Lane) -> bool {
        let run = self.alive.get(slot);
        let task = &self.tasks[index(run.row.task)];
        let needs_room = matches!(lane, Lane::Scheduled | Lane::Triggered | Lane::Backfilled(_) | Lane::Job);
        let has_room = task.rules.alive_max.is_none_or(|max| task.begun.len() < max as usize);
        let is_next = match lane {
            Lane::Backfilled(whole) => {
                let mut begun = task.begun.iter(&self.alive);
                !begun.any(|other| self.alive.get(other).row.origin == Origin::Backfill(whole))
            }
            _ => true,
        };
        (has_room || !needs_room) && is_next && !self.is_held_back(slot) && self.group_has_room(task.group)
    }

    /// The order in which runs are claimed.
    pub(super) fn rank(&self, slot: u32) -> Rank {
        let row = &self.alive.get(slot).row;
        let priority = self.priority_of(row).unwrap_or_else(|| self.tasks[index(row.task)].rules.priority);
        (Reverse(priority), row.due_at)
    }

    /// What waits of a task.
    pub(super) fn waiting_of(&self, task: u32) -> Option<&Waiting> {
        self.tasks[task as usize].waiting.as_deref()
    }
}

/// The one that comes first; of two with one rank, the one that was found first.
fn earlier(one: Option<(Rank, u32)>, other: Option<(Rank, u32)>) -> Option<(Rank, u32)> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.0 < one.0 { other } else { one }),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
