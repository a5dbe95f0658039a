//! One step of a store: what it locks and reads, what it changes in memory, and how that is written before it commits.
//!
//! Whoever changes a run holds the lock of its task's row, and locks are taken in one order: tasks by their keys, then
//! groups by their names, the number of the last change at the end. So no two steps wait for each other.

mod write;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use symphra_scheduler_core::Timestamp;

use super::jobs::JobEnd;
use super::rows::{Ended, Ending, Run, Task, at};
use super::statements::Statements;
use super::text;
use super::{Failed, Transaction};
use crate::backend::{BackendError, Cancelled, Died, Pause, Record, TaskKey, add_record};
use crate::outcome::{CancelCause, Outcome};
use crate::run::{RunId, RunState};

/// How many changes are kept: a node that is further behind looks at everything.
pub(super) const CHANGES_MAX: i64 = 1_024;

/// A step under way.
pub(super) struct Step<'a, T> {
    tx: T,
    pub(super) sql: &'a Statements,
    /// The store's present, when its first rows were locked.
    pub(super) now: Timestamp,
    pub(super) pause_of_all: Option<Pause>,
    pub(super) all_resumed_at: Option<i64>,
    /// The number of the store's last change.
    pub(super) version: i64,
    pub(super) tasks: BTreeMap<i64, Task>,
    /// Whether of the tasks no more was read than what the end of a run is about: no more of them is written then.
    has_read_ending_only: bool,
    /// Tasks that were changed since the last write, each as it was then.
    changed_tasks: BTreeMap<i64, Task>,
    /// Marks that this step advances, each with where it stood.
    advanced: BTreeMap<i64, i64>,
    born: Vec<Run>,
    changed_runs: BTreeMap<String, Run>,
    gone: Vec<String>,
    ended: Vec<Ended>,
    run_logs: Vec<RunLog>,
    job_ends: Vec<JobEnd>,
    records: BTreeMap<i64, Vec<Record>>,
    pub(super) log: Vec<Change>,
}

/// Something that nodes should know.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Where a task stands.
    Task(i64),
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

/// What an attempt wrote.
#[derive(Serialize)]
struct RunLog {
    run: String,
    task: i64,
    attempt: i64,
    log: String,
}

/// The answer to a lock.
#[derive(Deserialize)]
struct Locked<R> {
    now: i64,
    paused: Option<String>,
    resumed_at: Option<i64>,
    version: i64,
    tasks: Option<Vec<R>>,
}

impl<'a, T: Transaction> Step<'a, T> {
    pub(super) fn new(tx: T, sql: &'a Statements) -> Self {
        Self {
            tx,
            sql,
            now: Timestamp::MIN,
            pause_of_all: None,
            all_resumed_at: None,
            version: 0,
            tasks: BTreeMap::new(),
            has_read_ending_only: false,
            changed_tasks: BTreeMap::new(),
            advanced: BTreeMap::new(),
            born: Vec::new(),
            changed_runs: BTreeMap::new(),
            gone: Vec::new(),
            ended: Vec::new(),
            run_logs: Vec::new(),
            job_ends: Vec::new(),
            records: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    /// Runs a statement, and reads the value that it gives.
    pub(super) async fn ask<R: DeserializeOwned>(&mut self, sql: &str, input: Value) -> Result<Option<R>, Failed> {
        let answer = self.tx.ask(sql, &text::input(&input)).await?;
        answer.map(|answer| serde_json::from_str(&answer).map_err(Failed::unreadable)).transpose()
    }

    /// Runs a statement, and answers with how many rows it has changed.
    pub(super) async fn tell(&mut self, sql: &str, input: Value) -> Result<u64, Failed> {
        Ok(self.tx.tell(sql, &text::input(&input)).await?)
    }

    /// A list that a statement gives; none is an empty one.
    pub(super) async fn list<R: DeserializeOwned>(&mut self, sql: &str, input: Value) -> Result<Vec<R>, Failed> {
        Ok(self.ask::<Vec<R>>(sql, input).await?.unwrap_or_default())
    }

    /// Waits for nobody else's lock for longer than a moment from now on. A caller's own transaction holds what it has
    /// enqueued under keys for as long as it takes; a step that waited for its end would be taken for one whose connection
    /// is silent, and all connections would be given up.
    pub(super) async fn be_brief(&mut self) -> Result<(), Failed> {
        match self.sql.jobs.be_brief {
            Some(sql) => Ok(self.tx.change(sql).await?),
            None => Ok(()),
        }
    }

    /// Locks tasks, and reads the store's present.
    pub(super) async fn lock(&mut self, tasks: impl IntoIterator<Item = i64>) -> Result<(), Failed> {
        self.lock_by::<Task>(&self.sql.lock, tasks).await
    }

    /// Locks tasks of which runs are to end and nothing else is to happen; the rest of them is not read.
    pub(super) async fn lock_ending(&mut self, tasks: impl IntoIterator<Item = i64>) -> Result<(), Failed> {
        self.has_read_ending_only = true;
        self.lock_by::<Ending>(&self.sql.lock_ending, tasks).await
    }

    /// Locks those of the tasks that nobody else has locked.
    pub(super) async fn lock_free(&mut self, tasks: impl IntoIterator<Item = i64>) -> Result<(), Failed> {
        self.lock_by::<Task>(&self.sql.lock_free, tasks).await
    }

    /// Locks what holds for all tasks: nothing is fired or claimed meanwhile.
    pub(super) async fn lock_all(&mut self) -> Result<(), Failed> {
        let _: Vec<Task> = self.look(&self.sql.lock_all, json!({})).await?;
        Ok(())
    }

    async fn lock_by<R>(&mut self, sql: &str, tasks: impl IntoIterator<Item = i64>) -> Result<(), Failed>
    where
        R: DeserializeOwned + Into<Task>,
    {
        let ids: BTreeSet<i64> = tasks.into_iter().collect();
        let tasks: Vec<R> = self.look(sql, json!({ "ids": ids })).await?;
        self.tasks.extend(tasks.into_iter().map(Into::into).map(|task: Task| (task.id, task)));
        Ok(())
    }

    /// Reads tasks, and what holds for all of them.
    pub(super) async fn look<R: DeserializeOwned>(&mut self, sql: &str, input: Value) -> Result<Vec<R>, Failed> {
        let seen: Locked<R> = self.ask(sql, input).await?.ok_or_else(|| Failed::broken("a look gave nothing"))?;
        if self.now == Timestamp::MIN {
            // A step has one present: that of its first look.
            self.now = at(seen.now);
        }
        self.pause_of_all = seen.paused.as_deref().map(text::read_pause).transpose()?;
        (self.all_resumed_at, self.version) = (seen.resumed_at, seen.version);
        Ok(seen.tasks.unwrap_or_default())
    }

    /// A locked task that is about to be changed.
    pub(super) fn task_mut(&mut self, id: i64) -> &mut Task {
        let task = self.tasks.get_mut(&id).expect("a task that is changed is locked");
        self.changed_tasks.entry(id).or_insert_with(|| task.clone());
        task
    }

    /// A task that this step has made or read under a lock of its own.
    pub(super) fn adopt(&mut self, task: Task) {
        self.tasks.insert(task.id, task);
    }

    pub(super) fn is_paused(&self, task: &Task) -> bool {
        task.is_paused() || self.pause_of_all.is_some()
    }

    /// Advances a task's mark; at the end it is compared once more with where it stood.
    pub(super) fn advance(&mut self, task: i64, to: i64) {
        let task = self.task_mut(task);
        let (id, was) = (task.id, std::mem::replace(&mut task.mark, to));
        self.advanced.entry(id).or_insert(was);
    }

    /// Counts occurrences in a record.
    pub(super) fn record(&mut self, task: i64, record: Record) {
        let count = super::rows::count(record.count);
        let row = self.task_mut(task);
        row.occurrences += count;
        row.recorded += count;
        self.records.entry(task).or_default().push(record);
    }

    /// A run that this step has made; whether it has begun is known by then.
    pub(super) fn insert(&mut self, run: Run) {
        let asked_for = !run.is_scheduled() || run.beside != 0;
        let task = self.task_mut(run.task);
        match run.began {
            Some(_) => task.begun += 1,
            None => {
                task.queued += 1;
                task.submitted += i64::from(asked_for);
            }
        }
        self.born.push(run);
    }

    /// Puts a run into the hands of `node`, for its next attempt.
    pub(super) fn give(&mut self, run: &mut Run, node: &str) {
        if run.is_queued() {
            self.leave_queue(run);
            let task = self.task_mut(run.task);
            run.began = Some(task.number());
            task.begun += 1;
        }
        if run.attempt > 0 {
            run.token += 1;
        }
        run.holder = Some(node.into());
        (run.claim, run.was) = (None, None);
        run.state = RunState::Running.to_string();
        run.attempt += 1;
    }

    /// Puts a run that has begun back among those that have not.
    pub(super) fn enter_queue(&mut self, run: &mut Run) {
        run.began = None;
        run.state = RunState::Queued.to_string();
        let asked_for = !run.is_scheduled() || run.beside != 0;
        let task = self.task_mut(run.task);
        task.begun -= 1;
        task.queued += 1;
        task.submitted += i64::from(asked_for);
    }

    fn leave_queue(&mut self, run: &Run) {
        let asked_for = !run.is_scheduled() || run.beside != 0;
        let task = self.task_mut(run.task);
        task.queued -= 1;
        task.submitted -= i64::from(asked_for);
    }

    pub(super) fn change(&mut self, run: Run) {
        self.changed_runs.insert(run.id.clone(), run);
    }

    /// The end of a run, held or not. `started_at` is the beginning of an attempt that ends with it.
    pub(super) fn end_run(&mut self, run: Run, outcome: &Outcome, started_at: Option<Timestamp>, at: Timestamp) {
        let state = match outcome {
            Outcome::Succeeded => RunState::Succeeded,
            Outcome::Failed(_) => RunState::Failed,
            Outcome::TimedOut(_) => RunState::TimedOut,
            Outcome::Cancelled(_) => RunState::Cancelled,
        };
        let is_unclaimed = *outcome == Outcome::Cancelled(CancelCause::Unclaimed);
        self.end_in(run, state, outcome.text().map(String::from), started_at, at);
        if let Some(end) = self.job_ends.last_mut().filter(|_| is_unclaimed) {
            end.is_dead = true;
        }
    }

    pub(super) fn end_in(
        &mut self,
        mut run: Run,
        state: RunState,
        failure: Option<String>,
        started_at: Option<Timestamp>,
        at: Timestamp,
    ) {
        if run.is_queued() {
            self.leave_queue(&run);
        } else {
            self.task_mut(run.task).begun -= 1;
        }
        run.started_at = started_at.map(Timestamp::as_millis).or(run.started_at);
        let id = run.task;
        let is_own = run.origin == "schedule";
        let is_failure = state.is_failure();
        let task = self.task_mut(id);
        if is_own {
            // Not the latest of all ends: from one before the clock was set back an instant would follow that has run.
            task.last_end = Some(at.as_millis());
        }
        match state {
            RunState::Succeeded => {
                task.failures = 0;
                task.last_success = task.last_success.max(Some(run.scheduled_at));
            }
            _ if is_failure => task.failures += 1,
            _ => {}
        }
        task.kept += 1;
        let is_delay = is_own && task.is_delay != 0;
        let failures = task.failures;
        let is_too_many = task.pause_after.is_some_and(|limit| failures >= limit) && task.paused.is_none();
        if is_too_many && is_failure {
            task.failures = 0;
            let by = format!("its option pause_after, after {failures} failed runs in a row").into();
            task.paused = Some(text::pause(&Pause { by, reason: None, since: at }));
            self.log.push(Change::Task(id));
        }
        if is_delay {
            self.log.push(Change::Task(id));
        }
        if run.is_job() {
            let (run_id, attempt, failure) = (run.id.clone(), run.attempt, failure.clone());
            self.job_ends.push(JobEnd { run: run_id, is_dead: is_failure, state, attempt, failure, at });
        }
        self.changed_runs.remove(&run.id);
        self.gone.push(run.id.clone());
        self.ended.push(run.ended(state, at, failure));
    }

    /// Keeps what an attempt wrote, in the place of what an earlier one did.
    pub(super) fn keep_log(&mut self, run: &Run, log: &str) {
        let (id, attempt) = (run.id.clone(), run.attempt);
        self.run_logs.push(RunLog { run: id, task: run.task, attempt, log: log.into() });
    }

    /// Ends a run that nobody holds; asks the holder of one that is held, and answers with it.
    pub(super) fn ask_to_cancel(&mut self, mut run: Run, cause: CancelCause) -> Result<Option<RunId>, BackendError> {
        let (id, task, was) = (run.run_id()?, TaskKey(run.task.unsigned_abs()), run.run_state()?);
        self.log.push(Change::Cancelled(Cancelled { id, task, cause, was }));
        if run.holder.is_some() {
            run.cancelling.get_or_insert_with(|| text::cause(cause).into());
            self.change(run);
            return Ok(Some(id));
        }
        let now = self.now;
        self.end_run(run, &Outcome::Cancelled(cause), None, now);
        Ok(None)
    }

    /// Runs that are alive, by their ids.
    pub(super) async fn runs(
        &mut self,
        ids: impl IntoIterator<Item = String>,
    ) -> Result<BTreeMap<String, Run>, Failed> {
        let ids: BTreeSet<String> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let runs: Vec<Run> = self.list(&self.sql.runs, json!({ "run_ids": ids })).await?;
        Ok(runs.into_iter().map(|run| (run.id.clone(), run)).collect())
    }

    /// Writes what the step has changed, and commits. The answer is the number of the store's last change, if the step has
    /// made any.
    pub(super) async fn commit(mut self) -> Result<Option<i64>, Failed> {
        let sql = self.sql;
        self.write_runs_and_tasks().await?;
        if !self.records.is_empty() {
            self.write_records(sql).await?;
        }
        let version = self.write_log(sql).await?;
        self.tx.commit().await?;
        Ok(version)
    }

    async fn write_records(&mut self, sql: &Statements) -> Result<(), Failed> {
        #[derive(Deserialize)]
        struct Kept {
            id: i64,
            records: Option<String>,
        }
        let mut added = std::mem::take(&mut self.records);
        let ids: Vec<i64> = added.keys().copied().collect();
        let kept: Vec<Kept> = self.list(&sql.records, json!({ "ids": ids })).await?;
        let mut written = Vec::with_capacity(kept.len());
        for Kept { id, records } in kept {
            let mut records = records.as_deref().map(text::read_records).transpose()?.unwrap_or_default();
            for record in added.remove(&id).unwrap_or_default() {
                add_record(&mut records, record);
            }
            written.push(json!({ "id": id, "records": text::records(&records) }));
        }
        self.tell(&sql.save_records, json!({ "records": written })).await?;
        Ok(())
    }

    async fn write_log(&mut self, sql: &Statements) -> Result<Option<i64>, Failed> {
        if self.log.is_empty() {
            return Ok(None);
        }
        #[derive(Deserialize)]
        struct Counted {
            version: i64,
        }
        let mut log = std::mem::take(&mut self.log);
        let mut is_said = false;
        log.retain(|change| !matches!(change, Change::Runnable) || !std::mem::replace(&mut is_said, true));
        let count = i64::try_from(log.len()).unwrap_or(i64::MAX);
        let counted: Option<Counted> = self.ask(&sql.count_changes, json!({ "count": count })).await?;
        let last = counted.ok_or_else(|| Failed::broken("the store has no row of its own"))?.version;
        let rows: Vec<Value> = (last - count + 1..).zip(&log).map(|(version, change)| change.row(version)).collect();
        self.tell(&sql.insert_changes, json!({ "changes": rows })).await?;
        if last / CHANGES_MAX != (last - count) / CHANGES_MAX {
            self.tell(&sql.prune_changes, json!({ "before": last - CHANGES_MAX })).await?;
        }
        Ok(Some(last))
    }
}

impl Change {
    fn row(&self, version: i64) -> Value {
        match self {
            Self::Task(task) => json!({ "version": version, "kind": "task", "task": task }),
            Self::AllTasks => json!({ "version": version, "kind": "all_tasks" }),
            Self::Cancelled(Cancelled { id, task, cause, was }) => json!({
                "version": version, "kind": "cancelled", "task": super::rows::id(*task), "run": id.to_string(),
                "cause": text::cause(*cause), "was": was.to_string(),
            }),
            Self::Resumed(run) => json!({ "version": version, "kind": "resumed", "run": run.to_string() }),
            Self::Died(died) => json!({
                "version": version, "kind": "died", "task": super::rows::id(died.task), "run": died.id.to_string(),
                "died": text::died(died),
            }),
            Self::Runnable => json!({ "version": version, "kind": "runnable" }),
        }
    }
}
