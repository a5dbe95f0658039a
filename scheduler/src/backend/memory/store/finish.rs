//! How runs end, are tried again, are given back, and are cancelled.

use std::sync::Arc;

use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::{Change, Operator, Store, index, number};
use crate::backend::{Cancelled, End, Finish, Holder, Left, Pause, RunLog, Stored, Token};
use crate::outcome::{CancelCause, Outcome};
use crate::run::{Origin, RunId, RunState};

impl Store {
    pub(in super::super) fn finish(&mut self, end: &Finish, now: Timestamp) -> Stored {
        self.retries_come_due(now);
        let Some(slot) = self.held(end.id, end.token) else { return Stored::Stale };
        let row = &self.alive.get(slot).row;
        let task = number(index(row.task));
        let read = self.arguments_of(row).map(|arguments| arguments.version);
        let run = self.alive.get_mut(slot);
        let cancelling = run.cancelling;
        run.row.started_at = end.started_at.or(run.row.started_at);
        if let Some(text) = &end.log {
            self.history.run_logs.put(end.id, RunLog { attempt: run.row.attempt, text: text.clone() });
        }
        match &end.end {
            End::Final(outcome) => self.end_run(slot, outcome, end.started_at, end.finished_at),
            // Whoever was asked to cancel it did not come to know in time.
            End::Retry { .. } | End::HandBack if cancelling.is_some() => {
                let cause = cancelling.unwrap_or(CancelCause::Requested);
                // The holder takes it for one that goes on.
                let was = if matches!(end.end, End::Retry { .. }) { RunState::Retrying } else { RunState::Queued };
                self.log.push(Change::Cancelled(Cancelled { id: end.id, task: end.task, cause, was }));
                self.end_run(slot, &Outcome::Cancelled(cause), end.started_at, now);
            }
            End::Retry { at, failure } => {
                run.put_off_by = run.holder;
                self.release(slot);
                let run = self.alive.get_mut(slot);
                run.row.state = RunState::Retrying;
                run.row.due_at = *at;
                run.row.failure = Some(failure.clone());
                self.retrying.insert((*at, slot));
            }
            End::HandBack => {
                self.release(slot);
                let run = self.alive.get_mut(slot);
                if end.started_at.is_some() {
                    run.abandoned += 1;
                } else {
                    run.row.attempt -= 1;
                    // A token is never used twice, although no attempt has begun under it.
                    run.token.0 += 1;
                }
                if end.started_at.is_none() && run.row.attempt > 0 && run.row.failure.is_some() {
                    // Between two attempts it keeps its room: queued, it would let others begin before it goes on.
                    run.row.state = RunState::Retrying;
                    let due_at = run.row.due_at;
                    self.retrying.insert((due_at, slot));
                } else {
                    run.row.state = RunState::Queued;
                    self.tasks[task as usize].begun.remove(slot, &mut self.alive);
                    self.enter_waiting(slot);
                }
                self.log.push(Change::Runnable);
            }
        }
        let group = self.tasks[task as usize].group;
        let more = self.list(task) | self.is_group_listed(group) | self.has_job_for(task, now);
        if more && (group.is_some() || read.is_some_and(|read| self.has_newer_job(task, read))) {
            // Whoever ended this run may not know the task that its room goes to, or not read what waits of it.
            self.log.push(Change::Runnable);
        }
        Stored::Done { more }
    }

    /// The slot of a run that is held under this token.
    pub(in super::super) fn held(&self, id: RunId, token: Token) -> Option<u32> {
        let &slot = self.by_id.get(&id)?;
        let run = self.alive.get(slot);
        (run.holder.is_some() && run.token == token).then_some(slot)
    }

    /// The end of a run, held or not. `started_at` is the beginning of an attempt that ends with it.
    pub(super) fn end_run(&mut self, slot: u32, outcome: &Outcome, started_at: Option<Timestamp>, at: Timestamp) {
        let state = match outcome {
            Outcome::Succeeded => RunState::Succeeded,
            Outcome::Failed(_) => RunState::Failed,
            Outcome::TimedOut(_) => RunState::TimedOut,
            Outcome::Cancelled(_) => RunState::Cancelled,
        };
        let cause = if let Outcome::Cancelled(cause) = outcome { Some(*cause) } else { None };
        self.end_in(slot, state, outcome.text(), cause, started_at, at);
    }

    /// The end of a run whose node died and that may not be executed again.
    pub(super) fn abandon(&mut self, slot: u32, at: Timestamp) {
        self.end_in(slot, RunState::Abandoned, Some("its node died".into()), None, None, at);
    }

    fn end_in(
        &mut self,
        slot: u32,
        state: RunState,
        failure: Option<Box<str>>,
        cause: Option<CancelCause>,
        started_at: Option<Timestamp>,
        at: Timestamp,
    ) {
        debug_assert!(self.alive.get(slot).row.state.may_become(state), "a run passes along the table");
        let node = self.alive.get(slot).row.node.clone();
        match self.alive.get(slot).row.state {
            RunState::Queued => self.leave_waiting(slot),
            RunState::Retrying => self.leave_retrying(slot),
            _ => self.release(slot),
        }
        let place = index(self.alive.get(slot).row.task);
        if self.alive.get(slot).row.state != RunState::Queued {
            self.tasks[place].begun.remove(slot, &mut self.alive);
        }
        let mut row = self.alive.remove(slot).row;
        self.by_id.remove(&row.id);
        row.node = node;
        row.state = state;
        row.started_at = started_at.or(row.started_at);
        row.finished_at = Some(at);
        row.failure = failure;
        self.job_ended(&row, cause, at);
        let task = &mut self.tasks[place];
        if row.origin == Origin::Schedule {
            // Not the latest of all ends: from one before the clock was set back an instant would follow that has run.
            task.last_end = Some(at);
            if task.timetable().is_fixed_delay() {
                self.log.push(Change::Task(number(place)));
            }
        }
        match state {
            RunState::Succeeded => {
                task.failed_in_a_row = 0;
                task.last_success = task.last_success.max(Some(row.scheduled_at));
            }
            state if state.is_failure() => self.count_failure(number(place), at),
            _ => {}
        }
        let retention = Arc::clone(&self.tasks[place].rules.retention);
        self.history.push(row, &retention, &mut self.tasks, |task| &mut task.kept);
        self.list(number(place));
    }

    fn count_failure(&mut self, task: u32, at: Timestamp) {
        let row = &mut self.tasks[task as usize];
        row.failed_in_a_row += 1;
        let failed = row.failed_in_a_row;
        if row.rules.pause_after.is_some_and(|limit| failed >= limit)
            && !matches!(row.operator, Some(Operator::Paused(_)))
        {
            row.failed_in_a_row = 0;
            let by = format!("its option pause_after, after {failed} failed runs in a row").into();
            row.operator = Some(Operator::Paused(Box::new(Pause { by, reason: None, since: at })));
            self.log.push(Change::Task(task));
        }
    }

    pub(in super::super) fn cancel(&mut self, run: RunId, now: Timestamp) -> Option<Cancelled> {
        let slot = self.by_id.get(&run).copied().or_else(|| self.wait_as_run(run))?;
        let row = &self.alive.get(slot).row;
        let cancelled = Cancelled { id: run, task: row.task, cause: CancelCause::Requested, was: row.state };
        self.ask_to_cancel(slot, CancelCause::Requested, now);
        Some(cancelled)
    }

    /// Ends a run that nobody holds; asks the holder of one that is held, and answers with it.
    pub(super) fn ask_to_cancel(&mut self, slot: u32, cause: CancelCause, now: Timestamp) -> Option<RunId> {
        let run = self.alive.get_mut(slot);
        let (id, task, was) = (run.row.id, run.row.task, run.row.state);
        self.log.push(Change::Cancelled(Cancelled { id, task, cause, was }));
        if run.holder.is_some() {
            run.cancelling.get_or_insert(cause);
            return Some(id);
        }
        self.end_run(slot, &Outcome::Cancelled(cause), None, now);
        None
    }

    /// The end of a holder. Where nothing outlives the process, the last one takes what waits with it.
    pub(in super::super) fn leave(
        &mut self,
        holder: &Holder,
        is_durable: bool,
        now: Timestamp,
        present: Instant,
    ) -> Vec<Left> {
        let leaving = self.holder(holder, present);
        let row = &mut self.holders[leaving as usize];
        row.leave();
        if row.held > 0 {
            self.log.push(Change::Runnable);
        }
        let others = self.holders.iter().any(|row| row.lives(present));
        if is_durable || others {
            return Vec::new();
        }
        let waiting = self.by_id.values().copied().filter(|&slot| self.alive.get(slot).holder.is_none());
        let mut waiting: Vec<u32> = waiting.collect();
        waiting.sort_by_key(|&slot| (self.alive.get(slot).row.scheduled_at, self.alive.get(slot).row.id));
        let left = waiting.into_iter().map(|slot| {
            let row = &self.alive.get(slot).row;
            let left = Left { id: row.id, task: row.task, scheduled_at: row.scheduled_at, began: row.attempt > 0 };
            self.end_run(slot, &Outcome::Cancelled(CancelCause::Stopped), None, now);
            left
        });
        let mut left: Vec<Left> = left.collect();
        let jobs = self.end_waiting_jobs(None, now).into_iter();
        left.extend(jobs.map(|row| Left { id: row.id, task: row.task, scheduled_at: row.scheduled_at, began: false }));
        left
    }
}
