//! Who gets which run: those that wait, those whose next attempt is due, and those of dead nodes.

use std::cmp::Reverse;
use std::ops::Bound;

use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::{Change, HolderRow, Store, index, key, number};
use crate::backend::{Claim, Claimed, Claims, Holder, NODE_DEATHS_MAX, Token};
use crate::outcome::{Failure, Outcome};
use crate::run::{Origin, RunState};
use crate::schedule::Delivery;

impl Store {
    pub(in super::super) fn claim(
        &mut self,
        holder: &Holder,
        claim: &Claim,
        now: Timestamp,
        present: Instant,
    ) -> Claims {
        let claimant = self.holder(holder, present);
        let is_repeated = self.holders[claimant as usize].last_claim.replace(claim.number) == Some(claim.number);
        let mut claims = Claims::default();
        if is_repeated {
            let mut got = self.of_tasks(claim);
            got.retain(|&slot| self.alive.get(slot).holder == Some(claimant));
            got.sort_by_key(|&slot| self.rank(slot));
            let got = got.into_iter().filter_map(|slot| match self.alive.get(slot).claim {
                Some((number, was)) if number == claim.number => Some(self.claimed(slot, was)),
                _ => None,
            });
            claims.runs = got.take(claim.max).collect();
        }
        let mut begun = self.orphans(claimant, claim, now, present);
        begun.extend(self.due_retries(claim, now));
        begun.sort_by_key(|&slot| Reverse(self.rank(slot)));
        while claims.runs.len() < claim.max {
            let slot = match (self.first_waiting(claim), begun.last().copied()) {
                (Some(waiting), Some(begun)) if self.rank(waiting) <= self.rank(begun) => waiting,
                (Some(waiting), None) => waiting,
                (_, Some(first)) => {
                    begun.pop();
                    if !self.may_go_on(first) {
                        continue;
                    }
                    first
                }
                (None, None) => break,
            };
            let was = self.take(slot);
            self.give(slot, claimant);
            if was == RunState::Retrying && self.alive.get(slot).put_off_by != Some(claimant) {
                self.log.push(Change::Resumed(self.alive.get(slot).row.id));
            }
            self.alive.get_mut(slot).claim = Some((claim.number, was));
            claims.runs.push(self.claimed(slot, was));
        }
        // Those that are due and had no room come when it is there.
        let mut later = self.retrying.iter().filter(|&&(at, _)| at > now);
        claims.next_at = later.find(|&&(_, slot)| self.is_wanted(slot, claim)).map(|&(at, _)| at);
        claims
    }

    /// The order in which runs are claimed.
    fn rank(&self, slot: u32) -> (Reverse<i8>, Timestamp) {
        let row = &self.alive.get(slot).row;
        (Reverse(self.tasks[index(row.task)].rules.priority), row.due_at)
    }

    fn is_wanted(&self, slot: u32, claim: &Claim) -> bool {
        claim.tasks.binary_search(&self.alive.get(slot).row.task).is_ok()
    }

    /// Takes a run from where it is, and answers with where that was.
    fn take(&mut self, slot: u32) -> RunState {
        let (was, due_at) = (self.alive.get(slot).row.state, self.alive.get(slot).row.due_at);
        match was {
            RunState::Queued => self.leave_waiting(slot),
            RunState::Retrying => drop(self.retrying.remove(&(due_at, slot))),
            _ => {
                self.release(slot);
                let run = self.alive.get_mut(slot);
                run.abandoned += 1;
                run.deaths += 1;
            }
        }
        was
    }

    /// Whether a run that has begun may go on: one of a dead node has its room in its group still.
    fn may_go_on(&self, slot: u32) -> bool {
        let row = &self.alive.get(slot).row;
        row.state == RunState::Running || self.group_has_room(self.tasks[index(row.task)].group)
    }

    fn claimed(&self, slot: u32, was: RunState) -> Claimed {
        let run = self.alive.get(slot);
        let row = &run.row;
        Claimed {
            task: row.task,
            id: row.id,
            hold: self.hold(slot),
            origin: row.origin,
            scheduled_at: row.scheduled_at,
            due_at: row.due_at,
            missed: row.missed,
            attempt: row.attempt,
            abandoned: run.abandoned,
            was,
        }
    }

    /// The runs that are alive of the tasks that a claim names.
    fn of_tasks(&self, claim: &Claim) -> Vec<u32> {
        let rows = claim.tasks.iter().filter_map(|&task| self.tasks.get(index(task)));
        rows.flat_map(|task| task.alive.iter().copied()).collect()
    }

    /// The runs whose holder's lease has run out and that may be executed again; the others end. Under a pause they stay
    /// where they are.
    fn orphans(&mut self, claimant: u32, claim: &Claim, now: Timestamp, present: Instant) -> Vec<u32> {
        let is_dead = |row: &HolderRow| row.has_left || row.lease_until < present;
        if !self.holders.iter().any(|row| row.held > 0 && is_dead(row)) {
            return Vec::new();
        }
        let mut orphans = self.of_tasks(claim);
        orphans.retain(|&slot| {
            let holder = self.alive.get(slot).holder.filter(|&holder| holder != claimant);
            holder.is_some_and(|holder| is_dead(&self.holders[holder as usize]))
        });
        orphans.retain(|&slot| {
            let run = self.alive.get(slot);
            let delivery = self.tasks[index(run.row.task)].rules.delivery;
            let deaths = run.deaths + 1;
            if let Some(cause) = run.cancelling {
                self.end_run(slot, &Outcome::Cancelled(cause), None, now);
            } else if delivery == Delivery::AtMostOnce {
                self.abandon(slot, now);
            } else if deaths >= NODE_DEATHS_MAX {
                self.end_run(slot, &Outcome::Failed(Failure::node_died(deaths)), None, now);
            } else {
                return !self.is_held_back(slot);
            }
            false
        });
        orphans
    }

    /// The runs whose next attempt is due.
    fn due_retries(&self, claim: &Claim, now: Timestamp) -> impl Iterator<Item = u32> {
        let due = self.retrying.iter().take_while(move |&&(at, _)| at <= now).map(|&(_, slot)| slot);
        due.filter(|&slot| self.is_wanted(slot, claim) && !self.is_held_back(slot))
    }

    /// The waiting run that comes first among those that may begin. Tasks that turn out to have none are forgotten until
    /// something changes, and what stands among the runnable by a run that waits no more is put where it belongs.
    fn first_waiting(&mut self, claim: &Claim) -> Option<u32> {
        let mut after = None;
        loop {
            let bounds = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
            let entry = *self.runnable.range(bounds).next()?;
            let (priority, due_at, task) = entry;
            if claim.tasks.binary_search(&key(task)).is_err() {
                after = Some(entry);
                continue;
            }
            let mut waiting = self.tasks[task as usize].waiting.iter().copied();
            let first = waiting.find(|&slot| self.may_begin(slot));
            match first {
                Some(slot) if self.rank(slot) == (priority, due_at) => return first,
                Some(slot) => {
                    let (priority, due_at) = self.rank(slot);
                    self.runnable.remove(&entry);
                    self.runnable.insert((priority, due_at, task));
                    after = None;
                }
                None => {
                    self.runnable.remove(&entry);
                }
            }
        }
    }

    /// Whether a waiting run may begin: its task is not paused and has room, its group has room, and of its backfill no
    /// other run is alive and begun.
    pub(super) fn may_begin(&self, slot: u32) -> bool {
        let run = self.alive.get(slot);
        let task = &self.tasks[index(run.row.task)];
        let has_room = run.beside || task.rules.alive_max.is_none_or(|max| task.occupied() < max as usize);
        let is_next = !matches!(run.row.origin, Origin::Backfill(_))
            || !task.alive.iter().any(|&other| {
                let other = &self.alive.get(other).row;
                other.origin == run.row.origin && other.state != RunState::Queued
            });
        has_room && is_next && !self.is_held_back(slot) && self.group_has_room(task.group)
    }

    /// Whether a pause keeps the run from going on: a trigger and a backfill are not kept.
    pub(super) fn is_held_back(&self, slot: u32) -> bool {
        let row = &self.alive.get(slot).row;
        matches!(row.origin, Origin::Schedule | Origin::Start) && self.is_paused(&self.tasks[index(row.task)])
    }

    pub(super) fn group_has_room(&self, group: Option<u32>) -> bool {
        group.is_none_or(|group| {
            let group = &self.groups[group as usize];
            group.held < group.max
        })
    }

    /// Puts a run into the hands of `holder`, for its next attempt.
    pub(super) fn give(&mut self, slot: u32, holder: u32) {
        let run = self.alive.get_mut(slot);
        if run.row.attempt > 0 {
            run.token = Token(run.token.0 + 1);
        }
        run.holder = Some(holder);
        run.claim = None;
        run.row.state = RunState::Running;
        run.row.attempt += 1;
        let task = index(run.row.task);
        self.holders[holder as usize].held += 1;
        if let Some(group) = self.tasks[task].group {
            self.groups[group as usize].held += 1;
        }
        if self.tasks[task].waiting.is_empty() {
            return;
        }
        self.mark_runnable(number(task));
    }

    /// Takes a run out of its holder's hands.
    pub(super) fn release(&mut self, slot: u32) {
        let run = self.alive.get_mut(slot);
        let task = index(run.row.task);
        if let Some(holder) = run.holder.take() {
            self.holders[holder as usize].held -= 1;
            if let Some(group) = self.tasks[task].group {
                self.groups[group as usize].held -= 1;
            }
        }
    }

    /// Adds a queued run to those of its task that wait, by the instant at which it was due: runs of a backfill, which
    /// all were due at once, by their nominal instant, also when one is given back.
    pub(super) fn enter_waiting(&mut self, slot: u32) {
        let alive = &self.alive;
        let rank = |slot: u32| (alive.get(slot).row.due_at, alive.get(slot).row.scheduled_at);
        let waiting = &mut self.tasks[index(alive.get(slot).row.task)].waiting;
        let place = waiting.partition_point(|&other| rank(other) <= rank(slot));
        waiting.insert(place, slot);
    }

    pub(super) fn leave_waiting(&mut self, slot: u32) {
        let task = index(self.alive.get(slot).row.task);
        self.tasks[task].waiting.retain(|&other| other != slot);
    }

    /// One of the task's waiting runs might be claimed now, or one of a task of its group.
    pub(super) fn mark_runnable(&mut self, task: u32) -> bool {
        let mut any = self.mark_one_runnable(task);
        if let Some(group) = self.tasks[task as usize].group {
            let tasks = self.groups[group as usize].tasks.clone();
            for other in tasks {
                any |= self.mark_one_runnable(other);
            }
        }
        any
    }

    fn mark_one_runnable(&mut self, task: u32) -> bool {
        let row = &self.tasks[task as usize];
        let Some(&first) = row.waiting.front() else { return false };
        self.runnable.insert((Reverse(row.rules.priority), self.alive.get(first).row.due_at, task));
        true
    }
}
