//! Runs that no occurrence asks for: triggers, backfills, starts of nodes.

use std::collections::HashSet;

use serde_json::json;

use super::enqueue::{Groups, Room};
use super::rows::{Run, id};
use super::step::Change;
use super::{Database, Failed, Shared, Step, Transaction};
use crate::backend::line::{Failing, Line, Submits};
use crate::backend::{BackendError, NewRun, Refusal, Submission, Submitted, TRIGGERS_WAITING_MAX};
use crate::run::Origin;
use crate::schedule::Overlap;

impl Failing for Failed {
    fn is_of_a_row(&self) -> bool {
        Self::is_of_a_row(self)
    }

    fn during(self, call: &'static str) -> BackendError {
        Self::during(self, call)
    }
}

impl<D: Database> Submits for Shared<D> {
    type Failed = Failed;

    fn line(&self) -> &Line {
        &self.submitting
    }

    async fn submit_all(&self, submissions: &[Submission]) -> Result<Vec<Submitted>, Failed> {
        self.in_time(self.submit(submissions)).await
    }
}

impl<D: Database> Shared<D> {
    async fn submit(&self, submissions: &[Submission]) -> Result<Vec<Submitted>, Failed> {
        let mut step = self.begin().await?;
        step.lock(submissions.iter().map(|submission| id(submission.task))).await?;
        let groups = step.groups().await?;
        let known: Vec<String> = submissions.iter().map(|submission| submission.id.to_string()).collect();
        let there: Vec<String> = step.list(&self.statements.known_runs, json!({ "run_ids": known })).await?;
        let mut there: HashSet<String> = there.into_iter().collect();
        let mut submitted = Vec::with_capacity(submissions.len());
        for (submission, known) in submissions.iter().zip(known) {
            let answer = step.submit(submission, there.contains(&known), &groups).await?;
            if matches!(answer, Submitted::Queued { .. }) {
                // A caller that has gone may have come again, and both calls wait here.
                there.insert(known);
            }
            submitted.push(answer);
        }
        self.commit(step).await?;
        Ok(submitted)
    }
}

impl<T: Transaction> Step<'_, T> {
    async fn submit(&mut self, submission: &Submission, is_there: bool, groups: &Groups) -> Result<Submitted, Failed> {
        let at = submission.scheduled_at.unwrap_or(self.now);
        if is_there {
            return Ok(Submitted::Queued { cancel: None });
        }
        let Some(task) = self.tasks.get(&id(submission.task)).cloned() else {
            return Ok(Submitted::UnknownTask);
        };
        let is_start = submission.origin == Origin::Start;
        if is_start && self.is_paused(&task) {
            return Ok(Submitted::Refused(Refusal::Paused));
        }
        if is_start && task.last_start == Some(at.as_millis()) {
            return Ok(Submitted::Queued { cancel: None });
        }
        if !is_start && task.submitted >= TRIGGERS_WAITING_MAX as i64 {
            return Ok(Submitted::TooMany);
        }
        let mut crowd = None;
        if submission.overlap.is_some() && task.is_full() {
            // What fills it may have come with this very batch.
            self.write_runs_and_tasks().await?;
            crowd = self.crowds(vec![task.id]).await?.remove(&task.id);
        }
        let room = self.room(&task, crowd.as_ref(), groups, submission.overlap, submission.origin)?;
        let cancel = match room {
            Room::Refused(refusal) => return Ok(Submitted::Refused(refusal)),
            Room::AfterOldest(oldest) => self.make_way(task.id, oldest).await?,
            Room::Free | Room::Wait => None,
        };
        let run =
            NewRun { origin: submission.origin, scheduled_at: at, due_at: self.now, missed: None, accept_until: None };
        let mut run = Run::queued(submission.id, self.task_mut(task.id), &run);
        run.beside = i64::from(submission.overlap == Some(Overlap::Allow));
        if is_start {
            self.task_mut(task.id).last_start = Some(at.as_millis());
        }
        self.insert(run);
        self.log.push(Change::Runnable);
        Ok(Submitted::Queued { cancel })
    }
}
