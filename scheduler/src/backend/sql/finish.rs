//! How attempts end, are followed by another, are given back, and are cancelled.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;
use symphra_scheduler_core::Timestamp;

use super::rows::{Run, id};
use super::step::Change;
use super::{Database, Failed, Shared, Step, Transaction, halves, is_of_first_half};
use crate::backend::{Cancelled, End, Finish, Stored, TaskKey};
use crate::outcome::{CancelCause, Outcome};
use crate::run::{RunId, RunState};

impl<D: Database> Shared<D> {
    pub(super) async fn finish(&self, ended: &[Finish]) -> Result<Vec<Stored>, Failed> {
        let ended: Vec<&Finish> = ended.iter().collect();
        if !self.goes_by_two(ended.len()) {
            return self.finish_together(&ended).await;
        }
        let [some, others] = halves(ended.clone(), |end| end.task);
        let (first, second) = tokio::join!(self.finish_together(&some), self.finish_together(&others));
        let (mut first, mut second) = (first?.into_iter(), second?.into_iter());
        let stored = ended.iter().map(|end| if is_of_first_half(end.task) { first.next() } else { second.next() });
        stored.map(|stored| stored.ok_or_else(|| Failed::broken("an end has no answer"))).collect()
    }

    async fn finish_together(&self, ended: &[&Finish]) -> Result<Vec<Stored>, Failed> {
        if ended.is_empty() {
            return Ok(Vec::new());
        }
        let mut step = self.begin().await?;
        step.lock_ending(ended.iter().map(|end| id(end.task))).await?;
        let mut runs = step.runs(ended.iter().map(|end| end.id.to_string())).await?;
        let jobs = || runs.values().filter(|run| run.is_job());
        let of_jobs: BTreeSet<i64> = jobs().map(|run| run.task).collect();
        let node = jobs().find_map(|run| run.holder.clone()).unwrap_or_default();
        let mut done = Vec::with_capacity(ended.len());
        for end in ended {
            let id = end.id.to_string();
            let task = match runs.get(&id) {
                Some(run) => step.finish(end, run.clone())?,
                None => None,
            };
            if task.is_some() {
                runs.remove(&id);
            }
            done.push(task);
        }
        let mut due = step.tasks_with_due_attempts().await?;
        let unread: Vec<i64> = match of_jobs.is_empty() {
            true => Vec::new(),
            false => {
                let waiting = step.tasks_with_jobs(&node).await?;
                due.extend(waiting.iter().map(|waits| waits.task));
                waiting.iter().filter(|waits| waits.unread == 1).map(|waits| waits.task).collect()
            }
        };
        let groups = step.groups().await?;
        let mut is_for_others = false;
        let stored = done.into_iter().map(|task| {
            let Some(task) = task.and_then(|task| step.tasks.get(&task)) else { return Stored::Stale };
            let waits = task.queued > 0 || due.contains(&task.id) || groups.is_waited_for(task.grp.as_deref());
            // Jobs that wait as runs were given back, by somebody who cannot read them perhaps.
            let is_unread = unread.contains(&task.id) || task.queued > 0 && of_jobs.contains(&task.id);
            is_for_others |= waits && (task.grp.is_some() || is_unread);
            Stored::Done { more: waits }
        });
        let stored = stored.collect();
        if is_for_others {
            // Whoever ended these runs may not know the task that their room goes to, or not read what waits of it.
            step.log.push(Change::Runnable);
        }
        self.commit(step).await?;
        Ok(stored)
    }

    pub(super) async fn cancel(&self, run: RunId) -> Result<Option<Cancelled>, Failed> {
        #[derive(Deserialize)]
        struct Of {
            task: i64,
        }
        let mut step = self.begin().await?;
        let id = run.to_string();
        let of: Option<Of> = step.ask(&self.statements.task_of_run, json!({ "id": id })).await?;
        let waiting = if of.is_none() { step.task_of_job(run).await? } else { None };
        let Some(task) = of.map(|of| of.task).or(waiting) else { return Ok(None) };
        step.lock([task]).await?;
        // It may have begun, or ended, while the lock was waited for.
        let run = match step.runs([id]).await?.pop_first() {
            Some((_, run)) => Some(run),
            None => step.admit_job(run).await?,
        };
        let Some(run) = run else { return Ok(None) };
        let cause = CancelCause::Requested;
        let cancelled =
            Cancelled { id: run.run_id()?, task: TaskKey(run.task.unsigned_abs()), cause, was: run.run_state()? };
        step.ask_to_cancel(run, cause)?;
        self.commit(step).await?;
        Ok(Some(cancelled))
    }
}

impl<T: Transaction> Step<'_, T> {
    /// Ends an attempt; the task of which it was, if it was not stale.
    fn finish(&mut self, end: &Finish, mut run: Run) -> Result<Option<i64>, Failed> {
        if run.holder.is_none() || run.token != super::rows::count(end.token.0) {
            return Ok(None);
        }
        let task = run.task;
        let started_at = end.started_at.map(Timestamp::as_millis);
        run.started_at = started_at.or(run.started_at);
        if let Some(log) = &end.log {
            self.keep_log(&run, log);
        }
        match &end.end {
            End::Final(outcome) => self.end_run(run, outcome, end.started_at, end.finished_at),
            // Whoever was asked to cancel it did not come to know in time.
            End::Retry { .. } | End::HandBack if run.cancelling.is_some() => {
                let cause = run.cancelling().unwrap_or(CancelCause::Requested);
                // The holder takes it for one that goes on.
                let was = if matches!(end.end, End::Retry { .. }) { RunState::Retrying } else { RunState::Queued };
                self.log.push(Change::Cancelled(Cancelled { id: end.id, task: end.task, cause, was }));
                let now = self.now;
                self.end_run(run, &Outcome::Cancelled(cause), end.started_at, now);
            }
            End::Retry { at, failure } => {
                run.put_off_by = run.holder.take();
                run.state = RunState::Retrying.to_string();
                run.due_at = at.as_millis();
                run.failure = Some(failure.to_string());
                self.change(run);
            }
            End::HandBack => {
                run.holder = None;
                if end.started_at.is_some() {
                    run.abandoned += 1;
                } else {
                    run.attempt -= 1;
                    // A token is never used twice, although no attempt has begun under it.
                    run.token += 1;
                }
                if end.started_at.is_none() && run.attempt > 0 && run.failure.is_some() {
                    // Between two attempts it keeps its room: queued, it would let others begin before it goes on.
                    run.state = RunState::Retrying.to_string();
                } else {
                    self.enter_queue(&mut run);
                }
                self.log.push(Change::Runnable);
                self.change(run);
            }
        }
        Ok(Some(task))
    }

    /// Those of the locked tasks of which a next attempt is due.
    async fn tasks_with_due_attempts(&mut self) -> Result<Vec<i64>, Failed> {
        let ids: Vec<i64> = self.tasks.values().filter(|task| task.begun > 0).map(|task| task.id).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.list(&self.sql.due_attempts, json!({ "ids": ids })).await
    }
}
