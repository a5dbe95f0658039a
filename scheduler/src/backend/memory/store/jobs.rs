//! Jobs: those that wait to be claimed, what is kept of those that are alive, their keys, and dead letters.
//!
//! A job that waits is no run of the store yet: it becomes one when a claim takes it, so that what waits for days is beside
//! all that fires. Invariant: a row is alive, dead, or there for its key alone, whose time is not over.

#[cfg(feature = "rabbitmq")]
pub(super) mod image;
pub(super) mod letters;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use symphra_scheduler_core::Timestamp;

use super::waiting::Waiting;
use super::{LastIds, Rank, Store};
use crate::backend::{
    Claim, Enqueued, JOBS_WAITING_MAX, JobArguments, LETTERS_KEPT_FOR, NewJob, NewRun, RunRow, TaskKey,
};
use crate::outcome::{CancelCause, Outcome};
use crate::run::{Origin, RunId, RunState};

/// How many bytes the arguments of all jobs may have together, dead letters included: what waits for days is for a store that
/// has a disk.
const BYTES_MAX: usize = 256 << 20;

/// How many bytes of arguments one claim brings, a single job apart. Where its answer is a message they become six times as many
/// at worst, and that has 15 MB at most.
pub(super) const CLAIMED_BYTES_MAX: usize = 2 << 20;

/// How many jobs that are gone are remembered, to recognise those whose answer was lost: as many as may end while a caller
/// tries again.
const GONE_MAX: usize = 16_384;

pub(super) struct Jobs {
    rows: HashMap<RunId, JobRow>,
    /// Of each task that has any.
    of_tasks: BTreeMap<TaskKey, OfTask>,
    keys: HashMap<(TaskKey, Arc<str>), RunId>,
    /// Jobs that are over, and there for their keys, by the instant up to which.
    over: BTreeSet<(Timestamp, RunId)>,
    /// Dead letters of all tasks, the first to die first.
    dead: BTreeSet<(Timestamp, u64, RunId)>,
    /// Those that were there.
    gone: LastIds,
    bytes: usize,
    bytes_max: usize,
    /// How many of the bytes are of dead letters, which give way to what is enqueued.
    dead_bytes: usize,
    made: u64,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            rows: HashMap::new(),
            of_tasks: BTreeMap::new(),
            keys: HashMap::new(),
            over: BTreeSet::new(),
            dead: BTreeSet::new(),
            gone: LastIds::default(),
            bytes: 0,
            bytes_max: BYTES_MAX,
            dead_bytes: 0,
            made: 0,
        }
    }
}

#[derive(Default)]
struct OfTask {
    /// Those that may begin, the first first, by the version of their arguments: a claim does not pass through what its node
    /// cannot read.
    due: BTreeMap<u32, BTreeSet<(Rank, u64, RunId)>>,
    /// Those that may not yet.
    later: BTreeSet<(Timestamp, u64, RunId)>,
    /// Dead letters, the first to die first.
    dead: BTreeSet<(Timestamp, u64, RunId)>,
}

#[cfg_attr(feature = "rabbitmq", derive(Clone, serde::Deserialize, serde::Serialize))]
struct JobRow {
    task: TaskKey,
    arguments: Arc<JobArguments>,
    priority: i8,
    scheduled_at: Timestamp,
    key: Option<Arc<str>>,
    /// Until when its key is held, whether or not it is alive.
    unique_until: Option<Timestamp>,
    /// The order in which it came.
    number: u64,
    stand: Stand,
}

#[cfg_attr(feature = "rabbitmq", derive(Clone, serde::Deserialize, serde::Serialize))]
enum Stand {
    Waits,
    Begun,
    Over,
    Dead(Death),
}

#[cfg_attr(feature = "rabbitmq", derive(Clone, serde::Deserialize, serde::Serialize))]
struct Death {
    at: Timestamp,
    state: RunState,
    attempt: u32,
    failure: Option<Box<str>>,
}

impl OfTask {
    fn is_due(&mut self, row: &JobRow, id: RunId) {
        self.due.entry(row.arguments.version).or_default().insert((row.rank(), row.number, id));
    }

    fn is_not_due(&mut self, version: u32, place: (Rank, u64, RunId)) {
        if let Some(due) = self.due.get_mut(&version) {
            due.remove(&place);
            if due.is_empty() {
                self.due.remove(&version);
            }
        }
    }

    /// What is first of those that a reader of this version can read.
    fn first_due(&self, version: u32) -> Option<(Rank, u64, RunId)> {
        self.due.range(..=version).filter_map(|(_, due)| due.first().copied()).min()
    }

    fn waiting(&self) -> usize {
        self.later.len() + self.due.values().map(BTreeSet::len).sum::<usize>()
    }
}

impl JobRow {
    /// How many bytes are counted of it: its arguments, and of a letter why it is one.
    fn bytes(&self) -> usize {
        let failure = if let Stand::Dead(death) = &self.stand { death.failure.as_deref() } else { None };
        self.arguments.json.len() + failure.map_or(0, str::len)
    }

    fn rank(&self) -> Rank {
        (Reverse(self.priority), self.scheduled_at)
    }

    fn is_alive(&self) -> bool {
        matches!(self.stand, Stand::Waits | Stand::Begun)
    }

    /// Is there for its key alone from now on.
    fn be_over(&mut self) {
        let version = self.arguments.version;
        (self.arguments, self.stand) = (Arc::new(JobArguments { version, json: Arc::from("") }), Stand::Over);
    }

    /// How it is listed while it waits.
    fn waiting(&self, id: RunId) -> RunRow {
        let run = NewRun {
            origin: Origin::Job(id),
            scheduled_at: self.scheduled_at,
            due_at: self.scheduled_at,
            missed: None,
            accept_until: None,
        };
        RunRow { state: RunState::Queued, attempt: 0, ..RunRow::accepted(id, self.task, &run) }
    }
}

impl Jobs {
    fn of(&mut self, task: TaskKey) -> &mut OfTask {
        self.of_tasks.entry(task).or_default()
    }

    /// Lets those that may begin by now do so.
    fn come_due(&mut self, task: TaskKey, now: Timestamp) {
        let Some(of) = self.of_tasks.get_mut(&task) else { return };
        while let Some(&(at, number, id)) = of.later.first().filter(|&&(at, ..)| at <= now) {
            of.later.remove(&(at, number, id));
            of.is_due(&self.rows[&id], id);
        }
    }

    /// Has a new row wait.
    fn wait(&mut self, id: RunId, row: JobRow, now: Timestamp) {
        let (task, at, number) = (row.task, row.scheduled_at, row.number);
        self.bytes += row.bytes();
        if let Some(key) = &row.key {
            self.keys.insert((task, Arc::clone(key)), id);
        }
        let of = self.of(task);
        if at <= now {
            of.is_due(&row, id);
        } else {
            of.later.insert((at, number, id));
        }
        self.rows.insert(id, row);
    }

    /// Takes a job from those that wait.
    fn take(&mut self, id: RunId) -> Option<RunRow> {
        let row = self.rows.get_mut(&id).filter(|row| matches!(row.stand, Stand::Waits))?;
        row.stand = Stand::Begun;
        let (listed, task) = (row.waiting(id), row.task);
        let (rank, at, number, version) = (row.rank(), row.scheduled_at, row.number, row.arguments.version);
        let of = self.of(task);
        of.is_not_due(version, (rank, number, id));
        of.later.remove(&(at, number, id));
        Some(listed)
    }

    /// Who holds the key of a task, if anybody does by now.
    fn holder_of(&mut self, task: TaskKey, key: &Arc<str>, now: Timestamp) -> Option<RunId> {
        let id = *self.keys.get(&(task, Arc::clone(key)))?;
        let row = &self.rows[&id];
        let is_held = row.is_alive() || row.unique_until.is_some_and(|until| until > now);
        if !is_held {
            self.keys.remove(&(task, Arc::clone(key)));
        }
        is_held.then_some(id)
    }

    fn is_full(&self, task: TaskKey, bytes: usize) -> bool {
        let waiting = self.of_tasks.get(&task).map_or(0, OfTask::waiting);
        waiting >= JOBS_WAITING_MAX || self.bytes - self.dead_bytes + bytes > self.bytes_max
    }

    /// Gives up the oldest letters where there is no room for so many bytes: what has failed must not keep out what is to be
    /// done.
    fn make_room(&mut self, bytes: usize, now: Timestamp) {
        while self.bytes + bytes > self.bytes_max
            && let Some(&(.., id)) = self.dead.first()
        {
            self.give_up(id, now);
        }
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether a job was enqueued before, whatever has become of it.
    fn has_had(&self, id: RunId) -> bool {
        self.rows.contains_key(&id) || self.gone.ids.contains(&id)
    }

    /// Gives up letters that are too old, and rows that were there for their keys, whose time is over.
    pub(super) fn settle(&mut self, now: Timestamp) {
        while let Some(&(died_at, _, id)) = self.dead.first()
            && now.since(died_at) > LETTERS_KEPT_FOR
        {
            self.give_up(id, now);
        }
        while let Some(&(until, id)) = self.over.first().filter(|&&(until, _)| until <= now) {
            self.over.remove(&(until, id));
            self.forget(id);
        }
    }

    fn forget(&mut self, id: RunId) {
        let Some(row) = self.rows.remove(&id) else { return };
        self.gone.remember(id, GONE_MAX);
        let bytes = row.bytes();
        self.bytes -= bytes;
        if let Some(key) = row.key {
            let key = (row.task, key);
            // Another may have it by now.
            if self.keys.get(&key) == Some(&id) {
                self.keys.remove(&key);
            }
        }
        if let Stand::Dead(death) = &row.stand {
            self.dead_bytes -= bytes;
            self.dead.remove(&(death.at, row.number, id));
            self.of(row.task).dead.remove(&(death.at, row.number, id));
        }
        if let Some(until) = row.unique_until {
            self.over.remove(&(until, id));
        }
        if self.of_tasks.get(&row.task).is_some_and(|of| of.waiting() == 0 && of.dead.is_empty()) {
            self.of_tasks.remove(&row.task);
        }
    }

    /// The run of a job has ended: what failed is a dead letter, and what did not goes.
    fn ended(&mut self, run: &RunRow, is_dead: bool, at: Timestamp) {
        let Some(row) = self.rows.get_mut(&run.id) else { return };
        let (task, number) = (row.task, row.number);
        let holds_on = row.unique_until.filter(|&until| until > at);
        if is_dead {
            let (state, attempt, failure) = (run.state, run.attempt, run.failure.clone());
            let before = row.bytes();
            row.stand = Stand::Dead(Death { at, state, attempt, failure });
            let bytes = row.bytes();
            self.bytes += bytes - before;
            self.dead_bytes += bytes;
            self.dead.insert((at, number, run.id));
            self.of(task).dead.insert((at, number, run.id));
            self.prune_letters(task, at);
            return self.make_room(0, at);
        }
        match holds_on {
            Some(until) => {
                self.bytes -= row.bytes();
                row.be_over();
                self.over.insert((until, run.id));
            }
            None => self.forget(run.id),
        }
    }
}

impl Store {
    /// Has jobs wait. That there are some is told once, however many they are: nodes keep up with so many changes only.
    pub(in super::super) fn enqueue_jobs(&mut self, jobs: &[NewJob], now: Timestamp) -> Vec<Enqueued> {
        let enqueued: Vec<Enqueued> = jobs.iter().map(|job| self.enqueue_job(job, now)).collect();
        if enqueued.contains(&Enqueued::Queued) {
            self.log.push(super::Change::Runnable);
        }
        enqueued
    }

    fn enqueue_job(&mut self, job: &NewJob, now: Timestamp) -> Enqueued {
        self.jobs.settle(now);
        if self.jobs.has_had(job.id) {
            return Enqueued::Queued;
        }
        let Some(number) = self.find(job.task) else { return Enqueued::UnknownTask };
        let key = job.unique.as_ref().map(|unique| Arc::clone(&unique.key));
        if let Some(known) = key.as_ref().and_then(|key| self.jobs.holder_of(job.task, key, now)) {
            return Enqueued::Known(known);
        }
        if self.jobs.is_full(job.task, job.arguments.json.len()) {
            return Enqueued::TooMany;
        }
        self.jobs.make_room(job.arguments.json.len(), now);
        let own = self.tasks[number as usize].rules.priority;
        let at_least = job.unique.as_ref().and_then(|unique| unique.at_least);
        self.jobs.made += 1;
        let row = JobRow {
            task: job.task,
            arguments: Arc::new(job.arguments.clone()),
            priority: job.priority.unwrap_or(own),
            scheduled_at: job.begin.instant(now),
            key,
            unique_until: at_least.map(|at_least| now.plus(at_least)),
            number: self.jobs.made,
            stand: Stand::Waits,
        };
        self.jobs.wait(job.id, row, now);
        Enqueued::Queued
    }

    #[cfg(test)]
    pub(super) fn kept_of_jobs(&self) -> usize {
        self.jobs.rows.len()
    }

    /// Has the jobs come due that the claim may have and whose instant is past.
    pub(super) fn jobs_come_due(&mut self, claim: &Claim, now: Timestamp) {
        claim.jobs.iter().for_each(|&(task, _)| self.jobs.come_due(task, now));
    }

    /// The first job that the claim may have, of those that wait.
    pub(super) fn first_job(&self, claim: &Claim) -> Option<(Rank, RunId)> {
        if self.jobs.is_empty() {
            return None;
        }
        let mut best: Option<(Rank, RunId)> = None;
        for &(task, version) in &*claim.jobs {
            let Some(of) = self.jobs.of_tasks.get(&task) else { continue };
            let Some(row) = self.find(task).map(|number| &self.tasks[number as usize]) else { continue };
            let has_room = row.rules.alive_max.is_none_or(|max| row.begun.len() < max as usize);
            if self.is_paused(row) || !has_room || !self.group_has_room(row.group) {
                continue;
            }
            let first = of.first_due(version).map(|(rank, _, id)| (rank, id));
            best = best.into_iter().chain(first).min();
        }
        best
    }

    /// Has a job that waits become a run, which is queued, and yet to be given to a holder or to those that wait.
    pub(super) fn admit_job(&mut self, id: RunId) -> Option<u32> {
        let row = self.jobs.take(id)?;
        Some(self.insert(row))
    }

    /// When the next job of those that the claim may have can begin.
    pub(super) fn next_job_at(&self, claim: &Claim) -> Option<Timestamp> {
        let of_tasks = claim.jobs.iter().filter_map(|(task, _)| self.jobs.of_tasks.get(task));
        of_tasks.filter_map(|of| of.later.first()).map(|&(at, ..)| at).min()
    }

    /// Whether a job of the task, or of another in its group, could begin but for want of room.
    pub(super) fn has_job_for(&mut self, task: u32, now: Timestamp) -> bool {
        if self.jobs.is_empty() {
            return false;
        }
        let keys: Vec<TaskKey> = match self.tasks[task as usize].group {
            None => vec![self.key(task)],
            Some(group) => {
                let place = |key: TaskKey| self.find(key).map(|other| &self.tasks[other as usize]);
                let is_in = |key: &TaskKey| place(*key).is_some_and(|row| row.group == Some(group));
                self.jobs.of_tasks.keys().copied().filter(is_in).collect()
            }
        };
        // Of all of them, also where the first has one: which are due must not hang on the order in which they are looked at.
        keys.iter().for_each(|&key| self.jobs.come_due(key, now));
        keys.iter().any(|key| self.jobs.of_tasks.get(key).is_some_and(|of| !of.due.is_empty()))
    }

    /// Whether the first job of the task that waits may be one that a reader of this version cannot read.
    pub(super) fn has_newer_job(&self, task: u32, read: u32) -> bool {
        let of = self.jobs.of_tasks.get(&self.key(task));
        let first = of.and_then(|of| of.first_due(u32::MAX)).and_then(|(.., id)| self.jobs.rows.get(&id));
        first.is_some_and(|row| row.arguments.version > read) || self.waiting_of(task).is_some_and(Waiting::has_jobs)
    }

    /// What a run is called with, if it is a job.
    pub(super) fn arguments_of(&self, run: &RunRow) -> Option<Arc<JobArguments>> {
        let Origin::Job(id) = run.origin else { return None };
        self.jobs.rows.get(&id).map(|row| Arc::clone(&row.arguments))
    }

    /// How many bytes a run, or a job, is called with.
    pub(super) fn bytes_of_arguments(&self, run: RunId) -> usize {
        self.jobs.rows.get(&run).map_or(0, |row| row.arguments.json.len())
    }

    /// The priority of a job that is alive.
    pub(super) fn priority_of(&self, run: &RunRow) -> Option<i8> {
        let Origin::Job(id) = run.origin else { return None };
        self.jobs.rows.get(&id).map(|row| row.priority)
    }

    pub(super) fn job_ended(&mut self, run: &RunRow, cause: Option<CancelCause>, at: Timestamp) {
        if let Origin::Job(_) = run.origin {
            let is_dead = run.state.is_failure() || cause == Some(CancelCause::Unclaimed);
            self.jobs.ended(run, is_dead, at);
        }
    }

    /// Ends all jobs of a task that wait, or of all tasks.
    pub(super) fn end_waiting_jobs(&mut self, task: Option<TaskKey>, now: Timestamp) -> Vec<RunRow> {
        let of_tasks = self.jobs.of_tasks.iter().filter(|(key, _)| task.is_none_or(|task| task == **key));
        let waiting = of_tasks.flat_map(|(_, of)| {
            of.due
                .values()
                .flatten()
                .map(|&(_, number, id)| (number, id))
                .chain(of.later.iter().map(|&(_, number, id)| (number, id)))
        });
        let mut waiting: Vec<(u64, RunId)> = waiting.collect();
        waiting.sort_unstable();
        let ended = waiting.into_iter().filter_map(|(_, id)| {
            let slot = self.wait_as_run(id)?;
            let row = self.alive.get(slot).row.clone();
            self.end_run(slot, &Outcome::Cancelled(CancelCause::Stopped), None, now);
            Some(row)
        });
        ended.collect()
    }

    /// Has a job that waits do so as a run, so that it can end as one.
    pub(super) fn wait_as_run(&mut self, id: RunId) -> Option<u32> {
        let slot = self.admit_job(id)?;
        self.enter_waiting(slot);
        Some(slot)
    }

    /// Gives up what is kept of the jobs of a task, none of which is alive.
    pub(super) fn forget_jobs(&mut self, task: TaskKey) {
        if !self.jobs.is_empty() {
            let ids = self.jobs.rows.iter().filter(|(_, row)| row.task == task).map(|(&id, _)| id);
            ids.collect::<Vec<_>>().into_iter().for_each(|id| self.jobs.forget(id));
        }
    }

    /// Jobs that wait, as they are listed.
    pub(super) fn waiting_jobs(&self) -> impl Iterator<Item = RunRow> {
        self.waiting_versions().map(|(row, _)| row)
    }

    /// Jobs that wait, as they are listed, each with the version of its arguments.
    pub(super) fn waiting_versions(&self) -> impl Iterator<Item = (RunRow, u32)> {
        let waiting = self.jobs.rows.iter().filter(|(_, row)| matches!(row.stand, Stand::Waits));
        waiting.map(|(&id, row)| (row.waiting(id), row.arguments.version))
    }
}
