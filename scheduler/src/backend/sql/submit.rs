//! Runs that no occurrence asks for: triggers, backfills, starts of nodes.
//!
//! Whoever submits while a step is under way is taken into the next, with all others who wait: many callers cost few commits.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use tokio::sync::oneshot;

use super::enqueue::{Groups, Room};
use super::rows::{Run, id};
use super::step::Change;
use super::{Database, Failed, Shared, Sql, Step, Transaction};
use crate::backend::{BackendError, BackendFuture, NewRun, Refusal, Submission, Submitted, TRIGGERS_WAITING_MAX};
use crate::run::Origin;
use crate::schedule::Overlap;

/// How many submissions of several callers are made in one step: few enough that nobody waits long for its locks.
const TOGETHER_MAX: usize = 1_000;

/// How many callers wait for a step at most. While the store is away nobody is served, and whoever asks goes on to ask.
const WAITING_MAX: usize = 10_000;

const DURING: &str = "submit runs";

/// Callers whose submissions have not been taken into a step.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Line>);

#[derive(Debug, Default)]
struct Line {
    callers: Vec<Caller>,
    /// Whether somebody takes them from the line, until there are none.
    is_served: bool,
}

/// Who has submitted runs, and waits for the answer.
#[derive(Debug)]
struct Caller {
    submissions: Vec<Submission>,
    answer: oneshot::Sender<Result<Vec<Submitted>, BackendError>>,
}

impl Waiting {
    /// Has a caller wait; tells whether the line has to be served from now on. It is dropped where too many wait.
    fn join(&self, caller: Caller) -> Result<bool, BackendError> {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those who have gone are done no favour.
        if line.callers.len() >= WAITING_MAX {
            line.callers.retain(|caller| !caller.answer.is_closed());
        }
        if line.callers.len() >= WAITING_MAX {
            return Err(BackendError::new(DURING, format!("{WAITING_MAX} callers wait for the store already")));
        }
        line.callers.push(caller);
        Ok(!std::mem::replace(&mut line.is_served, true))
    }

    /// Those who make the next step together, the first first; none ends the service.
    fn next(&self) -> Vec<Caller> {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut submissions = 0;
        let fit = line.callers.iter().take_while(|caller| {
            submissions += caller.submissions.len();
            submissions <= TOGETHER_MAX
        });
        let count = fit.count().max(1).min(line.callers.len());
        line.is_served = count > 0;
        line.callers.drain(..count).collect()
    }
}

/// Serves the line. If it ends otherwise than for want of callers, by a panic, those who wait are told so by the end of
/// their channels, and the next caller has the line served anew.
struct Service<'a> {
    waiting: &'a Waiting,
    is_over: bool,
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            *self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner) = Line::default();
        }
    }
}

impl<D: Database> Sql<D> {
    /// Submits runs, together with what others submit meanwhile. It is not undone where its caller goes away.
    pub(super) fn submit(&self, submissions: Vec<Submission>) -> BackendFuture<'_, Vec<Submitted>> {
        let (answer, answered) = oneshot::channel();
        match self.shared.submitting.join(Caller { submissions, answer }) {
            Ok(true) => {
                let shared = Arc::clone(&self.shared);
                self.thread.spawn(async move { shared.serve().await });
            }
            Ok(false) => {}
            Err(full) => return Box::pin(std::future::ready(Err(full))),
        }
        Box::pin(async move { answered.await.unwrap_or_else(|gone| Err(BackendError::new(DURING, gone))) })
    }
}

impl<D: Database> Shared<D> {
    async fn serve(&self) {
        let mut service = Service { waiting: &self.submitting, is_over: false };
        loop {
            let callers = service.waiting.next();
            if callers.is_empty() {
                service.is_over = true;
                return;
            }
            self.submit_together(callers).await;
        }
    }

    /// One step for all callers. What one of them alone is to blame for is not the answer of the others.
    async fn submit_together(&self, callers: Vec<Caller>) {
        let all: Vec<Submission> = callers.iter().flat_map(|caller| caller.submissions.clone()).collect();
        match self.in_time(self.submit(&all)).await {
            Ok(submitted) => {
                let mut submitted = submitted.into_iter();
                for Caller { submissions, answer } in callers {
                    // Whoever asked may have gone.
                    let _ = answer.send(Ok(submitted.by_ref().take(submissions.len()).collect()));
                }
            }
            Err(failed) if callers.len() > 1 && failed.is_of_a_row() => {
                for Caller { submissions, answer } in callers {
                    let alone = self.in_time(self.submit(&submissions)).await;
                    let _ = answer.send(alone.map_err(|failed| failed.during(DURING)));
                }
            }
            Err(failed) => {
                let failed = Arc::new(failed.during(DURING));
                for Caller { answer, .. } in callers {
                    let _ = answer.send(Err(BackendError::new(DURING, Common(Arc::clone(&failed)))));
                }
            }
        }
    }

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

/// Why a step has failed that several callers have made.
#[derive(Debug)]
struct Common(Arc<BackendError>);

impl Common {
    fn cause(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0)
    }
}

impl fmt::Display for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause().map_or(Ok(()), |cause| fmt::Display::fmt(cause, f))
    }
}

impl std::error::Error for Common {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause()?.source()
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

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = oneshot::Receiver<Result<Vec<Submitted>, BackendError>>;

    fn join(line: &Waiting) -> (Result<bool, BackendError>, Answer) {
        let (answer, answered) = oneshot::channel();
        (line.join(Caller { submissions: Vec::new(), answer }), answered)
    }

    #[test]
    fn so_many_callers_may_wait_and_those_who_have_gone_are_none_of_them() {
        let line = Waiting::default();
        let mut waiting: Vec<Answer> = (0..WAITING_MAX).map(|_| join(&line).1).collect();
        let full = join(&line).0.expect_err("there are too many");
        assert!(
            std::error::Error::source(&full).is_some_and(|why| why.to_string().contains("10000 callers wait")),
            "{full:?}"
        );
        waiting.truncate(WAITING_MAX - 1);
        assert!(matches!(join(&line), (Ok(false), _)), "one has gone, and the line is served already");
    }
}
