//! Who gets which run: those that wait, those whose next attempt is due, and those of dead nodes.

use std::cmp::Reverse;

use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::control::Change;
use super::holders::HolderRow;
use super::jobs::CLAIMED_BYTES_MAX;
use super::waiting::Waiting;
use super::{Store, index, number};
use crate::backend::rows::ClaimTurn;
use crate::backend::{Cancelled, Claim, Claimed, Claims, Died, Holder, NODE_DEATHS_MAX, Token};
use crate::outcome::{Failure, Outcome};
use crate::run::{Origin, RunId, RunState};
use crate::schedule::Delivery;

/// What a claim gets next.
enum First {
    Run(u32),
    Job(RunId),
}

impl Store {
    pub(in super::super) fn claim(
        &mut self,
        holder: &Holder,
        claim: &Claim,
        now: Timestamp,
        present: Instant,
    ) -> Claims {
        let claimant = self.holder(holder, present);
        let last_claim = &mut self.holders[claimant as usize].last_claim;
        let turn = claim.turn(*last_claim);
        let mut claims = Claims::default();
        *last_claim = (*last_claim).max(Some(claim.number));
        if turn == ClaimTurn::GivenUp {
            return claims;
        }
        if turn == ClaimTurn::Repeated {
            let mut got = self.of_tasks(claim);
            got.retain(|&slot| self.alive.get(slot).holder == Some(claimant));
            got.sort_by_key(|&slot| self.rank(slot));
            let got = got.into_iter().filter_map(|slot| match self.alive.get(slot).claim {
                Some((number, was)) if number == claim.number => Some(self.claimed(slot, was)),
                _ => None,
            });
            claims.runs = got.take(claim.max).collect();
            claims.next_at = (claims.runs.len() < claim.max).then_some(now);
            return claims;
        }
        self.retries_come_due(now);
        self.jobs_come_due(claim, now);
        self.set_aside_retries(claimant, claim);
        let mut orphans = self.orphans(claimant, claim, now, present);
        orphans.sort_by_key(|&slot| Reverse(self.rank(slot)));
        let (mut bytes, mut is_full) = (0, false);
        while claims.runs.len() < claim.max
            && let Some(first) = self.first(claim, orphans.last().copied())
        {
            bytes += self.bytes_of_arguments(match first {
                First::Run(slot) => self.alive.get(slot).row.id,
                First::Job(id) => id,
            });
            is_full = bytes > CLAIMED_BYTES_MAX && !claims.runs.is_empty();
            if is_full {
                break;
            }
            let slot = match first {
                First::Run(slot) => {
                    orphans.pop_if(|orphan| *orphan == slot);
                    slot
                }
                First::Job(id) => self.wait_as_run(id).expect("a job that was found waits"),
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
        let mut later = self.retrying.iter();
        let retried_at = later.find(|&&(_, slot)| self.is_wanted(slot, claim)).map(|&(at, _)| at);
        // What is left for the next claim may begin.
        let left = is_full.then_some(now);
        claims.next_at = retried_at.into_iter().chain(self.next_job_at(claim)).chain(left).min();
        claims
    }

    /// What comes first of what waits and of a run of a dead node.
    fn first(&mut self, claim: &Claim, orphan: Option<u32>) -> Option<First> {
        let orphan = orphan.map(|slot| (self.rank(slot), slot));
        let run = match (self.first_waiting(claim), orphan) {
            (Some((rank, slot)), Some((before, _))) if rank <= before => Some((rank, slot)),
            (Some(waiting), None) => Some(waiting),
            (_, orphan) => orphan,
        };
        match (run, self.first_job(claim)) {
            (Some((rank, slot)), job) if job.is_none_or(|(before, _)| rank <= before) => Some(First::Run(slot)),
            (_, job) => job.map(|(_, id)| First::Job(id)),
        }
    }

    fn is_wanted(&self, slot: u32, claim: &Claim) -> bool {
        claim.tasks.binary_search(&self.alive.get(slot).row.task).is_ok()
    }

    /// Takes a run from where it is, and answers with where that was.
    fn take(&mut self, slot: u32) -> RunState {
        let was = self.alive.get(slot).row.state;
        match was {
            RunState::Queued => self.leave_waiting(slot),
            RunState::Retrying => self.leave_retrying(slot),
            _ => {
                self.release(slot);
                let run = self.alive.get_mut(slot);
                run.abandoned += 1;
                run.deaths += 1;
            }
        }
        was
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
            arguments: self.arguments_of(row),
        }
    }

    /// The runs that have begun of the tasks that a claim names.
    fn of_tasks(&self, claim: &Claim) -> Vec<u32> {
        let rows = claim.tasks.iter().filter_map(|&task| self.find(task));
        rows.flat_map(|task| self.tasks[task as usize].begun.iter(&self.alive)).collect()
    }

    /// The runs of other holders that are free for the claimant and may be executed again; the others end. Under a pause they stay
    /// where they are.
    fn orphans(&mut self, claimant: u32, claim: &Claim, now: Timestamp, present: Instant) -> Vec<u32> {
        let heir = &self.holders[claimant as usize];
        let is_free = |row: &HolderRow| row.leaves_to(heir, present);
        if !self.holders.iter().any(|row| row.held > 0 && is_free(row)) {
            return Vec::new();
        }
        let mut orphans = self.of_tasks(claim);
        orphans.retain(|&slot| {
            let holder = self.alive.get(slot).holder.filter(|&holder| holder != claimant);
            holder.is_some_and(|holder| is_free(&self.holders[holder as usize]))
        });
        orphans.retain(|&slot| {
            let run = self.alive.get(slot);
            let delivery = self.tasks[index(run.row.task)].rules.delivery;
            let deaths = run.deaths + 1;
            if let Some(cause) = run.cancelling {
                let (id, task, was) = (run.row.id, run.row.task, RunState::Queued);
                self.log.push(Change::Cancelled(Cancelled { id, task, cause, was }));
                self.end_run(slot, &Outcome::Cancelled(cause), None, now);
            } else if delivery == Delivery::AtMostOnce {
                self.tell_of_death(slot, RunState::Abandoned, now);
                self.abandon(slot, now);
            } else if deaths >= NODE_DEATHS_MAX {
                self.tell_of_death(slot, RunState::Failed, now);
                self.end_run(slot, &Outcome::Failed(Failure::node_died(deaths)), None, now);
            } else if self.can_read(slot, claim) {
                return !self.is_held_back(slot);
            } else {
                self.set_aside(slot, claimant);
            }
            false
        });
        orphans
    }

    /// Sets aside the jobs that the claimer cannot read and whose next attempt is due.
    fn set_aside_retries(&mut self, claimant: u32, claim: &Claim) {
        for &(task, _) in &*claim.jobs {
            let waiting = self.find(task).and_then(|task| self.waiting_of(task));
            let again = waiting.into_iter().flat_map(Waiting::jobs_again);
            let unread: Vec<u32> = again.filter(|&slot| !self.can_read(slot, claim)).collect();
            unread.into_iter().for_each(|slot| self.set_aside(slot, claimant));
        }
    }

    /// Has a job that the claimer cannot read, and that has begun, wait for somebody who can, without room: after a roll-back
    /// it would keep its task from all other work.
    fn set_aside(&mut self, slot: u32, claimant: u32) {
        let was = self.take(slot);
        let run = self.alive.get_mut(slot);
        if was == RunState::Retrying && run.put_off_by != Some(claimant) {
            self.log.push(Change::Resumed(run.row.id));
        }
        let task = index(run.row.task);
        run.row.state = RunState::Queued;
        self.tasks[task].begun.remove(slot, &mut self.alive);
        self.enter_waiting(slot);
        self.log.push(Change::Runnable);
    }

    /// Tells the nodes of a run that is about to end because its holder died.
    fn tell_of_death(&mut self, slot: u32, state: RunState, ended_at: Timestamp) {
        let run = self.alive.get(slot);
        let Some(holder) = run.holder else { return };
        let node = self.holders[holder as usize].name();
        let (id, task, attempt, deaths) = (run.row.id, run.row.task, run.row.attempt, run.deaths + 1);
        self.log.push(Change::Died(Died { id, task, node, attempt, deaths, state, ended_at }));
    }

    /// Whether the claimer can read what the run is called with.
    pub(super) fn can_read(&self, slot: u32, claim: &Claim) -> bool {
        let row = &self.alive.get(slot).row;
        self.arguments_of(row).is_none_or(|arguments| claim.reads(row.task, arguments.version))
    }

    /// Whether a pause keeps the run from going on: a trigger and a backfill are not kept.
    pub(super) fn is_held_back(&self, slot: u32) -> bool {
        let row = &self.alive.get(slot).row;
        let is_kept = matches!(row.origin, Origin::Schedule | Origin::Start | Origin::Job(_));
        is_kept && self.is_paused(&self.tasks[index(row.task)])
    }

    pub(super) fn group_has_room(&self, group: Option<u32>) -> bool {
        group.is_none_or(|group| {
            let group = &self.groups[group as usize];
            group.held < group.max
        })
    }

    /// Puts a run into the hands of `holder`, for its next attempt.
    pub(super) fn give(&mut self, slot: u32, holder: u32) {
        let task = index(self.alive.get(slot).row.task);
        if self.alive.get(slot).row.state == RunState::Queued {
            self.tasks[task].begun.push(slot, &mut self.alive);
        }
        let node = self.holders[holder as usize].name();
        let run = self.alive.get_mut(slot);
        run.row.node = Some(node);
        if run.row.attempt > 0 {
            run.token = Token(run.token.0 + 1);
        }
        run.holder = Some(holder);
        run.claim = None;
        run.row.state = RunState::Running;
        run.row.attempt += 1;
        self.holders[holder as usize].held += 1;
        if let Some(group) = self.tasks[task].group {
            self.groups[group as usize].held += 1;
            self.list_group(group);
        }
        self.list(number(task));
    }

    /// Takes a run out of its holder's hands.
    pub(super) fn release(&mut self, slot: u32) {
        let run = self.alive.get_mut(slot);
        let task = index(run.row.task);
        if let Some(holder) = run.holder.take() {
            run.row.node = None;
            self.holders[holder as usize].held -= 1;
            if let Some(group) = self.tasks[task].group {
                self.groups[group as usize].held -= 1;
                self.list_group(group);
            }
        }
    }
}
