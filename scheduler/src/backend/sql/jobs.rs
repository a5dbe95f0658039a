//! Jobs: what waits in a table of its own until a claim makes a run of it, and what is left there when that has ended.
//!
//! So what fires never reads a job's arguments, and to enqueue one locks no task: also a caller's own transaction, which may
//! take its time, holds up nobody but who wants the same key. Invariant: a row that waits has no run, and one that has begun has one.

mod enqueue;
mod in_tx;
mod statements;
mod turns;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use symphra_scheduler_core::Timestamp;

use super::rows::{Run, at, count, id};
use super::step::Change;
use super::{Database, Failed, Shared, Step, Transaction, text};
use crate::backend::{
    Begin, Claim, Claimed, Enqueued, JobArguments, LETTERS_KEPT_FOR, LETTERS_LISTED, LetterQuery, LetterRow, NewJob,
    TaskKey, Unique,
};
use crate::outcome::CancelCause;
use crate::run::{Origin, RunId, RunState};
pub(super) use enqueue::Backlog;
use enqueue::Comes;
pub use in_tx::{JobStore, JobTransaction};
use statements::GIVEN_UP_MAX;
pub(super) use statements::{JobStatements, WAITS};
pub(super) use turns::{Key, TURN_MAX, Turns};

/// What of a job its claim is about.
#[derive(Deserialize)]
pub(super) struct Facts {
    run: String,
    pub(super) priority: i64,
    pub(super) version: u32,
    /// How long its arguments are.
    pub(super) bytes: usize,
}

/// A job that waits: its run, task, priority, instant and place in the line, and how long its arguments are.
#[derive(Deserialize)]
struct Waiting(String, i64, i64, i64, i64, usize);

/// A task in which a job waits.
#[derive(Deserialize)]
pub(super) struct WaitsIn {
    pub(super) task: i64,
    /// 1, if the node cannot read the first.
    pub(super) unread: i64,
}

/// What might be claimed of jobs.
#[derive(Default, Deserialize)]
pub(super) struct Claimable {
    #[serde(default)]
    tasks: Option<Vec<i64>>,
    next_at: Option<i64>,
}

/// One row.
#[derive(Deserialize)]
struct One {
    run: String,
    task: i64,
    stand: String,
    priority: i64,
    scheduled_at: i64,
    version: u32,
    arguments: String,
    unique_key: Option<String>,
    unique_ms: Option<u64>,
}

/// How a job has ended.
pub(super) struct JobEnd {
    pub(super) run: String,
    /// Whether it is a dead letter from now on.
    pub(super) is_dead: bool,
    pub(super) state: RunState,
    pub(super) attempt: i64,
    pub(super) failure: Option<String>,
    pub(super) at: Timestamp,
}

impl Claimable {
    pub(super) fn tasks(&self) -> impl Iterator<Item = i64> {
        self.tasks.iter().flatten().copied()
    }

    pub(super) fn next_at(&self) -> Option<i64> {
        self.next_at
    }
}

impl<D: Database> Shared<D> {
    pub(super) async fn enqueue_jobs(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Failed> {
        let mut step = self.begin().await?;
        let keys: BTreeSet<&str> = jobs.iter().filter_map(|job| Some(&*job.unique.as_ref()?.key)).collect();
        if !keys.is_empty() {
            step.be_brief().await?;
        }
        let held = || match keys.first() {
            Some(key) if keys.len() == 1 => format!("the key {key:?}"),
            _ => format!("one of {} keys", keys.len()),
        };
        let enqueued = step.enqueue_jobs(jobs, Comes::ByStep, &self.backlog).await;
        let enqueued = enqueued.map_err(|failed| failed.or_held(held))?;
        self.commit(step).await?;
        Ok(enqueued)
    }

    /// Learns which store it is: one text for as long as its tables are there.
    pub(super) async fn learn_id(&self) -> Result<(), Failed> {
        #[derive(Deserialize)]
        struct Meta {
            store: Option<String>,
        }
        if self.id.get().is_some() {
            return Ok(());
        }
        let mut step = self.read().await?;
        let meta: Option<Meta> = step.ask(&self.statements.jobs.store, json!({})).await?;
        let id =
            meta.and_then(|meta| meta.store).ok_or_else(|| Failed::broken("the store does not know which it is"))?;
        self.id.get_or_init(|| id);
        Ok(())
    }

    pub(super) async fn dead_letters(&self, query: &LetterQuery) -> Result<Vec<LetterRow>, Failed> {
        #[derive(Deserialize)]
        struct Letter {
            run: String,
            task: i64,
            scheduled_at: i64,
            version: u32,
            arguments: String,
            died_at: i64,
            state: String,
            attempt: i64,
            failure: Option<String>,
        }
        let mut step = self.read().await?;
        let input = json!({
            "task": query.task.map(id),
            "id": query.id.map(|id| id.to_string()),
            "kept_ms": millis(LETTERS_KEPT_FOR),
            "limit": i64::try_from(query.limit.unwrap_or(LETTERS_LISTED)).unwrap_or(i64::MAX),
        });
        let letters: Vec<Letter> = step.list(&self.statements.jobs.letters, input).await?;
        let rows = letters.into_iter().map(|letter| {
            Ok(LetterRow {
                task: TaskKey(letter.task.unsigned_abs()),
                id: text::run_id(&letter.run)?,
                arguments: JobArguments { version: letter.version, json: letter.arguments.into() },
                scheduled_at: at(letter.scheduled_at),
                died_at: at(letter.died_at),
                state: text::state(&letter.state)?,
                attempt: u32::try_from(letter.attempt).unwrap_or(u32::MAX),
                failure: letter.failure.map(String::into_boxed_str),
            })
        });
        rows.collect()
    }

    pub(super) async fn run_again(&self, letter: RunId, again: RunId) -> Result<Option<Enqueued>, Failed> {
        let mut step = self.begin().await?;
        step.be_brief().await?;
        let held = || "the letter, or its key,".to_owned();
        if !step.known_jobs(&[again.to_string()]).await?.is_empty() {
            return Ok(Some(Enqueued::Queued));
        }
        let there = step.one_job(letter).await.map_err(|failed| failed.or_held(held))?;
        let Some(dead) = there.filter(|dead| dead.stand == "dead") else { return Ok(None) };
        let dropped = step.tell(&self.statements.jobs.drop_letter, json!({ "id": letter.to_string() })).await;
        dropped.map_err(|failed| failed.or_held(held))?;
        let key =
            dead.unique_key.map(|key| Unique { key: key.into(), at_least: dead.unique_ms.map(Duration::from_millis) });
        let job = NewJob {
            id: again,
            task: TaskKey(dead.task.unsigned_abs()),
            arguments: JobArguments { version: dead.version, json: dead.arguments.into() },
            begin: Begin::Now,
            priority: i8::try_from(dead.priority).ok(),
            unique: key,
        };
        let answers = step.enqueue_jobs(&[job], Comes::ByStep, &self.backlog).await;
        let answer = answers.map_err(|failed| failed.or_held(held))?.pop();
        if answer == Some(Enqueued::Queued) {
            // Otherwise the letter stays: the step is undone.
            self.commit(step).await?;
        }
        Ok(answer)
    }

    pub(super) async fn drop_letter(&self, letter: RunId) -> Result<bool, Failed> {
        let mut step = self.begin().await?;
        step.be_brief().await?;
        let (jobs, input) = (&self.statements.jobs, json!({ "id": letter.to_string() }));
        let held = |failed: Failed| failed.or_held(|| "the letter".to_owned());
        let mut dropped = step.tell(&jobs.keep_letter_key, input.clone()).await.map_err(held)?;
        if dropped == 0 {
            dropped = step.tell(&jobs.drop_letter, input).await.map_err(held)?;
        }
        self.commit(step).await?;
        Ok(dropped > 0)
    }

    /// Tells nodes of jobs that came by callers' own transactions.
    pub(super) async fn take_note_of_jobs(&self) -> Result<(), Failed> {
        let mut step = self.begin().await?;
        if step.tell(&self.statements.jobs.take_note, json!({ "all": 1 })).await? > 0 {
            step.log.push(Change::Runnable);
            self.commit(step).await?;
        }
        Ok(())
    }

    /// Gives up letters that are too old, and keys whose time is over, a batch of each; tells whether there may be more.
    pub(super) async fn prune_jobs(&self) -> Result<bool, Failed> {
        let mut step = self.begin().await?;
        step.be_brief().await?;
        step.tell(&self.statements.jobs.bury_lost, json!({ "failure": "its run is gone" })).await?;
        let mut is_cut = false;
        for statement in &self.statements.jobs.prune {
            let input = json!({ "kept_ms": millis(LETTERS_KEPT_FOR) });
            is_cut |= step.tell(statement, input).await? >= GIVEN_UP_MAX;
        }
        self.commit(step).await?;
        Ok(is_cut)
    }

    /// Jobs that have waited for so long and that no node could claim, a batch at most; tells how many have ended as dead
    /// letters by that.
    pub(super) async fn end_unclaimed_jobs(&self, wait_max: Duration, batch: usize) -> Result<usize, Failed> {
        #[derive(Deserialize)]
        struct Unclaimed {
            id: String,
            task: i64,
        }
        let mut step = self.begin().await?;
        let input = json!({ "wait_ms": millis(wait_max), "max": batch });
        let found: Vec<Unclaimed> = step.list(&self.statements.jobs.unclaimed, input).await?;
        if found.is_empty() {
            return Ok(0);
        }
        step.lock(found.iter().map(|job| job.task)).await?;
        let oldest = step.now.minus(wait_max);
        let mut ended = 0;
        for job in found {
            let id = text::run_id(&job.id)?;
            // The instant of one that was enqueued for the past may be older than the job itself.
            if id.made_at() < oldest
                && let Some(run) = step.admit_job(id).await?
            {
                step.ask_to_cancel(run, CancelCause::Unclaimed)?;
                ended += 1;
            }
        }
        self.commit(step).await?;
        Ok(ended)
    }
}

impl<T: Transaction> Step<'_, T> {
    async fn one_job(&mut self, run: RunId) -> Result<Option<One>, Failed> {
        self.ask(&self.sql.jobs.one, json!({ "id": run.to_string() })).await
    }

    /// The task of a job that waits.
    pub(super) async fn task_of_job(&mut self, run: RunId) -> Result<Option<i64>, Failed> {
        #[derive(Deserialize)]
        struct Of {
            task: i64,
        }
        let of: Option<Of> = self.ask(&self.sql.jobs.task_of, json!({ "id": run.to_string() })).await?;
        Ok(of.map(|of| of.task))
    }

    /// Makes a run that waits of a job that does, so that it can end as one; its task is locked.
    pub(super) async fn admit_job(&mut self, run: RunId) -> Result<Option<Run>, Failed> {
        let Some(job) = self.one_job(run).await?.filter(|job| job.stand == "waits") else { return Ok(None) };
        if !self.tasks.contains_key(&job.task) || self.begin_jobs(std::slice::from_ref(&job.run)).await? == 0 {
            return Ok(None);
        }
        let mut run = queued(&job.run, job.task, job.scheduled_at);
        run.made = self.task_mut(job.task).number();
        self.insert(run.clone());
        self.write_runs_and_tasks().await?;
        Ok(Some(run))
    }

    async fn begin_jobs(&mut self, runs: &[String]) -> Result<u64, Failed> {
        self.tell(&self.sql.jobs.begin, json!({ "run_ids": runs })).await
    }

    /// In which tasks jobs might be claimed.
    pub(super) async fn claimable_jobs(&mut self, claim: &Claim) -> Result<Claimable, Failed> {
        if claim.jobs.is_empty() {
            return Ok(Claimable::default());
        }
        Ok(self.ask(&self.sql.jobs.claimable, json!({ "reads": reads(claim) })).await?.unwrap_or_default())
    }

    /// What a claim is about of these jobs.
    pub(super) async fn facts_of_jobs(&mut self, jobs: Vec<String>) -> Result<HashMap<String, Facts>, Failed> {
        if jobs.is_empty() {
            return Ok(HashMap::new());
        }
        let facts: Vec<Facts> = self.list(&self.sql.jobs.facts, json!({ "run_ids": jobs })).await?;
        Ok(facts.into_iter().map(|facts| (facts.run.clone(), facts)).collect())
    }

    /// Jobs that wait and that the claim may have: as many of each of the locked tasks that have room, with their priorities and
    /// how long their arguments are.
    pub(super) async fn waiting_for_a_claim(
        &mut self,
        claim: &Claim,
        wanted: usize,
    ) -> Result<Vec<(Run, i64, usize)>, Failed> {
        let mut mine = reads(claim);
        mine.retain(|read| {
            let task = read["task"].as_i64().unwrap_or_default();
            self.tasks.get(&task).is_some_and(|task| task.has_room())
        });
        if mine.is_empty() {
            return Ok(Vec::new());
        }
        let waiting: Vec<Waiting> =
            self.list(&self.sql.jobs.candidates, json!({ "reads": mine, "max": wanted })).await?;
        let waiting = waiting.into_iter().map(|Waiting(run, task, priority, scheduled_at, seq, bytes)| {
            (Run { made: seq, ..queued(&run, task, scheduled_at) }, priority, bytes)
        });
        Ok(waiting.collect())
    }

    /// Puts a job that waited into the hands of `node`, as a run that begins.
    pub(super) fn begin_job(&mut self, run: &mut Run, node: &str) {
        let task = self.task_mut(run.task);
        (run.made, run.began) = (task.number(), Some(task.number()));
        run.holder = Some(node.into());
        run.state = RunState::Running.to_string();
        run.attempt = 1;
        task.begun += 1;
    }

    /// Writes the runs that have become of jobs.
    pub(super) async fn write_begun_jobs(&mut self, runs: &[Run]) -> Result<(), Failed> {
        if runs.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = runs.iter().map(|run| run.id.clone()).collect();
        if self.begin_jobs(&ids).await? != runs.len() as u64 {
            return Err(Failed::broken("a job has begun twice"));
        }
        let rows: Vec<Value> =
            runs.iter().map(|run| serde_json::to_value(run).expect("rows are plain values")).collect();
        self.tell(&self.sql.jobs.insert_begun, json!({ "runs": rows })).await?;
        Ok(())
    }

    /// Adds to runs that were claimed what they are called with.
    pub(super) async fn with_arguments(&mut self, mut claimed: Vec<Claimed>) -> Result<Vec<Claimed>, Failed> {
        #[derive(Deserialize)]
        struct Called {
            run: String,
            version: u32,
            arguments: String,
        }
        let jobs = claimed.iter().filter(|run| matches!(run.origin, Origin::Job(_)));
        let jobs: Vec<String> = jobs.map(|run| run.id.to_string()).collect();
        if jobs.is_empty() {
            return Ok(claimed);
        }
        let called: Vec<Called> = self.list(&self.sql.jobs.arguments, json!({ "run_ids": jobs })).await?;
        let mut called: HashMap<String, Arc<JobArguments>> = called
            .into_iter()
            .map(|called| {
                (called.run, Arc::new(JobArguments { version: called.version, json: called.arguments.into() }))
            })
            .collect();
        for run in claimed.iter_mut().filter(|run| matches!(run.origin, Origin::Job(_))) {
            run.arguments = called.remove(&run.id.to_string());
        }
        Ok(claimed)
    }

    /// Those of the locked tasks that have a job which could begin but for want of room, and whether `node` can read the
    /// first of it.
    pub(super) async fn tasks_with_jobs(&mut self, node: &str) -> Result<Vec<WaitsIn>, Failed> {
        let ids: Vec<i64> = self.tasks.keys().copied().collect();
        self.list(&self.sql.jobs.waiting, json!({ "ids": ids, "node": node })).await
    }

    /// Gives up the letters of these tasks that are too many.
    pub(super) async fn crowd_out_letters(&mut self, tasks: &[i64]) -> Result<(), Failed> {
        for statement in &self.sql.jobs.crowd_out {
            self.tell(statement, json!({ "ids": tasks })).await?;
        }
        Ok(())
    }

    /// What is left of jobs whose runs have ended: a dead letter, a key, or nothing.
    pub(super) async fn write_job_ends(&mut self, ended: Vec<JobEnd>) -> Result<(), Failed> {
        let (dead, others): (Vec<JobEnd>, Vec<JobEnd>) = ended.into_iter().partition(|end| end.is_dead);
        if !dead.is_empty() {
            let rows = dead.into_iter().map(|end| {
                json!({
                    "run": end.run, "died_at": end.at.as_millis(), "state": end.state.to_string(), "attempt": end.attempt,
                    "failure": end.failure,
                })
            });
            self.tell(&self.sql.jobs.bury, json!({ "dead": rows.collect::<Vec<_>>() })).await?;
        }
        if !others.is_empty() {
            let ids: Vec<String> = others.into_iter().map(|end| end.run).collect();
            let gone = self.tell(&self.sql.jobs.forget, json!({ "run_ids": ids })).await?;
            if gone < ids.len() as u64 {
                self.tell(&self.sql.jobs.keep_keys, json!({ "run_ids": ids })).await?;
            }
        }
        Ok(())
    }
}

/// A job's run as it is while it waits.
fn queued(run: &str, task: i64, scheduled_at: i64) -> Run {
    Run {
        id: run.into(),
        task,
        origin: "job".into(),
        origin_id: Some(run.into()),
        scheduled_at,
        due_at: scheduled_at,
        state: RunState::Queued.to_string(),
        token: 1,
        ..Run::default()
    }
}

fn reads(claim: &Claim) -> Vec<Value> {
    claim.jobs.iter().map(|&(task, version)| json!({ "task": id(task), "version": version })).collect()
}

/// A time as databases count on with it: a century at most, which nobody waits for.
fn millis(time: Duration) -> i64 {
    const MOST: i64 = 100 * 366 * 24 * 60 * 60 * 1_000;
    count(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_exact_up_to_a_century_and_a_century_beyond() {
        let day = Duration::from_secs(86_400);
        assert_eq!(millis(Duration::from_millis(1_500)), 1_500);
        assert_eq!(millis(day * 36_599), 36_599 * 86_400_000);
        assert_eq!(millis(day * 36_601), 36_600 * 86_400_000);
        assert_eq!(millis(Duration::MAX), 36_600 * 86_400_000);
    }
}
