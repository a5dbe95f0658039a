//! How jobs come into the store: by a step of its own, or by a transaction of the caller, in which nothing else is locked.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::rows::id;
use super::super::step::Change;
use super::super::{Failed, Step, Transaction, text};
use super::millis;
use crate::backend::{Begin, Enqueued, JOBS_WAITING_MAX, NewJob, Unique};
use crate::run::RunId;

/// How often a key is looked up anew whose holder is gone by the time that it is looked at: each time another job has ended
/// in between.
const KEY_TRIES_MAX: u32 = 8;

/// How many jobs of a task are enqueued at most before those that wait are counted again: to count them costs what a hundred
/// insertions do.
const UNCOUNTED_MAX: usize = 1_000;

/// How many nodes may enqueue beside one another without more waiting than may, each by what it has counted.
const NODES: usize = 8;

/// By task, how many more of its jobs may be enqueued before those that wait are counted again. The nearer the bound, the
/// fewer; at the bound each time.
#[derive(Debug, Default)]
pub(in super::super) struct Backlog(Mutex<HashMap<i64, usize>>);

impl Backlog {
    /// Takes so many, if as many are left.
    fn take(&self, task: i64, count: usize) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_task = left.get_mut(&task).and_then(|left| Some((left.checked_sub(count)?, left)));
        of_task.map(|(rest, left)| *left = rest).is_some()
    }

    /// Notes how many wait.
    fn counted(&self, task: i64, waiting: usize) {
        let left = (JOBS_WAITING_MAX.saturating_sub(waiting) / NODES).min(UNCOUNTED_MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(task, left);
    }
}

/// How jobs come into the store.
#[derive(Clone, Copy, PartialEq)]
pub(in super::super) enum Comes {
    /// In a step of the store, which tells of it.
    ByStep,
    /// In a transaction of the caller, which the store finds when it has been committed.
    ByCaller,
}

impl<T: Transaction> Step<'_, T> {
    pub(in super::super) async fn enqueue_jobs(
        &mut self,
        jobs: &[NewJob],
        comes: Comes,
        backlog: &Backlog,
    ) -> Result<Vec<Enqueued>, Failed> {
        let ids: Vec<String> = jobs.iter().map(|job| job.id.to_string()).collect();
        let mut of_tasks: BTreeMap<i64, usize> = BTreeMap::new();
        for job in jobs {
            *of_tasks.entry(id(job.task)).or_default() += 1;
        }
        let counted: BTreeSet<i64> =
            of_tasks.iter().filter(|&(&task, &count)| !backlog.take(task, count)).map(|(&task, _)| task).collect();
        let keys = keys(jobs);
        if !keys.is_empty() {
            // Before anything is read: a transaction of SQLite that has read cannot always go on to write.
            self.tell(&self.sql.jobs.free_keys, json!({ "keys": keys })).await?;
        }
        let there = self.known_jobs(&ids).await?;
        let mut waiting = self.waiting_jobs(&of_tasks, &counted).await?;
        let mut answers: Vec<Option<Enqueued>> = Vec::with_capacity(jobs.len());
        let mut holders = self.key_holders(&keys).await?;
        let mut rows = Vec::with_capacity(jobs.len());
        for (job, run) in jobs.iter().zip(&ids) {
            let holder = key_of(job).and_then(|key| holders.get(&key).copied());
            let answer = match (there.contains(run), waiting.get_mut(&id(job.task)), holder) {
                (true, ..) => Some(Enqueued::Queued),
                (false, None, _) => Some(Enqueued::UnknownTask),
                (false, Some(_), Some(known)) => Some(Enqueued::Known(known)),
                (false, Some(count), None) if *count >= JOBS_WAITING_MAX => Some(Enqueued::TooMany),
                (false, Some(count), None) => {
                    *count += 1;
                    rows.push(row(job, rows.len(), comes));
                    None
                }
            };
            answers.push(answer);
        }
        for (&task, &waiting) in waiting.iter().filter(|(task, _)| counted.contains(*task)) {
            backlog.counted(task, waiting);
        }
        if !rows.is_empty() {
            self.tell(&self.sql.jobs.insert, json!({ "jobs": rows })).await?;
            holders = self.key_holders(&keys).await?;
        }
        let mut enqueued = Vec::with_capacity(jobs.len());
        for (job, answer) in jobs.iter().zip(answers) {
            let is_new = answer.is_none();
            let answer = match (answer, key_of(job)) {
                (Some(answer), _) => answer,
                (None, None) => Enqueued::Queued,
                (None, Some(key)) => match holders.get(&key) {
                    Some(&holder) if holder == job.id => Enqueued::Queued,
                    Some(&holder) => Enqueued::Known(holder),
                    None => self.insert_once_more(job, comes).await?,
                },
            };
            if is_new && answer == Enqueued::Queued && comes == Comes::ByStep {
                self.log.push(Change::Runnable);
            }
            enqueued.push(answer);
        }
        Ok(enqueued)
    }

    /// Inserts a job whose key somebody held as it was inserted, and has given up since.
    async fn insert_once_more(&mut self, job: &NewJob, comes: Comes) -> Result<Enqueued, Failed> {
        let keys = keys(std::slice::from_ref(job));
        for _ in 0..KEY_TRIES_MAX {
            self.tell(&self.sql.jobs.insert, json!({ "jobs": [row(job, 0, comes)] })).await?;
            if let Some(holder) = self.key_holders(&keys).await?.into_values().next() {
                return Ok(if holder == job.id { Enqueued::Queued } else { Enqueued::Known(holder) });
            }
        }
        Err(Failed::broken("a key is held by nobody and cannot be had"))
    }

    /// Those of the runs that are or were jobs.
    pub(super) async fn known_jobs(&mut self, ids: &[String]) -> Result<HashSet<String>, Failed> {
        let mut there: Vec<String> = self.list(&self.sql.jobs.known, json!({ "run_ids": ids })).await?;
        there.extend(self.list::<String>(&self.sql.known_runs, json!({ "run_ids": ids })).await?);
        Ok(there.into_iter().collect())
    }

    /// Those of the tasks that are there, and how many jobs wait of those that are to be counted.
    async fn waiting_jobs(
        &mut self,
        tasks: &BTreeMap<i64, usize>,
        counted: &BTreeSet<i64>,
    ) -> Result<BTreeMap<i64, usize>, Failed> {
        #[derive(Deserialize)]
        struct OfTask {
            id: i64,
            waiting: usize,
        }
        let tasks: Vec<i64> = tasks.keys().copied().collect();
        let of_tasks: Vec<OfTask> =
            self.list(&self.sql.jobs.tasks, json!({ "ids": tasks, "counted": counted })).await?;
        Ok(of_tasks.into_iter().map(|of| (of.id, of.waiting)).collect())
    }

    async fn key_holders(&mut self, keys: &[Value]) -> Result<HashMap<(i64, String), RunId>, Failed> {
        #[derive(Deserialize)]
        struct Held {
            task: i64,
            unique_key: String,
            run: String,
        }
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let held: Vec<Held> = self.list(&self.sql.jobs.key_holders, json!({ "keys": keys })).await?;
        let held = held.into_iter().map(|held| Ok(((held.task, held.unique_key), text::run_id(&held.run)?)));
        held.collect()
    }
}

fn key_of(job: &NewJob) -> Option<(i64, String)> {
    job.unique.as_ref().map(|unique| (id(job.task), key_text(unique)))
}

/// A key as databases can hold it; see [`text::input`].
fn key_text(unique: &Unique) -> String {
    unique.key.replace('\0', "\u{fffd}")
}

fn keys(jobs: &[NewJob]) -> Vec<Value> {
    let keys: BTreeSet<(i64, String)> = jobs.iter().filter_map(key_of).collect();
    keys.into_iter().map(|(task, key)| json!({ "task": task, "unique_key": key })).collect()
}

fn row(job: &NewJob, place: usize, comes: Comes) -> Value {
    let (begins_at, delay) = match job.begin {
        Begin::Now => (None, 0),
        Begin::At(at) => (Some(at.as_millis()), 0),
        Begin::After(delay) => (None, millis(delay)),
    };
    let unique_ms = job.unique.as_ref().and_then(|unique| unique.at_least).map(millis);
    json!({
        "place": place,
        "run": job.id.to_string(),
        "task": id(job.task),
        "is_fresh": i64::from(comes == Comes::ByCaller),
        "priority": job.priority,
        "begins_at": begins_at,
        "delay_ms": delay,
        "version": job.arguments.version,
        "arguments": &*job.arguments.json,
        "unique_key": job.unique.as_ref().map(key_text),
        "unique_ms": unique_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::{Backlog, JOBS_WAITING_MAX};

    #[test]
    fn jobs_are_counted_the_more_often_the_more_of_them_wait() {
        let backlog = Backlog::default();
        assert!(!backlog.take(1, 1), "nobody has counted");
        backlog.counted(1, 0);
        assert!(backlog.take(1, 999) && backlog.take(1, 1) && !backlog.take(1, 1));
        assert!(!backlog.take(2, 1), "of another task");
        backlog.counted(1, JOBS_WAITING_MAX - 80);
        assert!(backlog.take(1, 10) && !backlog.take(1, 1));
        backlog.counted(1, JOBS_WAITING_MAX - 7);
        assert!(!backlog.take(1, 1), "near the bound each time");
    }
}
