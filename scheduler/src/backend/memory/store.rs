//! The rows of the memory backend and the steps that change them, each of them one step under the caller's lock.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::history::{Chain, History};
use crate::TaskName;
use crate::backend::{
    Admission, Claim, Claimed, Finish, Firing, Holder, Ledger, NewRun, Reason, Record, Registered, Registration,
    RunQuery, RunRow, Stored, TaskKey, Token,
};
use crate::outcome::Outcome;
use crate::run::{Missed, RunId, RunState};

#[derive(Default)]
pub(super) struct Store {
    /// The places of the first tasks in `tasks`, as far as they have been [indexed](Self::index_names).
    keys: HashMap<TaskName, u32>,
    tasks: Vec<TaskRow>,
    alive: Slab,
    by_id: HashMap<RunId, u32, BuildHasherDefault<RandomBits>>,
    holders: Vec<HolderRow>,
    history: History,
}

struct TaskRow {
    name: TaskName,
    mark: Timestamp,
    /// The last step of the mark and what became of it, to recognise the same call again.
    last_step: Option<(RunId, Step)>,
    anchor: Timestamp,
    /// Slots of its runs that are alive, oldest first.
    alive: Vec<u32>,
    /// One span for each reason.
    records: Vec<Record>,
    ledger: Ledger,
    ended: Chain,
}

#[derive(Clone, Copy)]
enum Step {
    Run,
    Overlap,
    Record,
}

struct AliveRun {
    row: RunRow,
    token: Token,
    holder: u32,
    /// The number of its holder's claim that took it over.
    claim: Option<u64>,
    missed: Option<Missed>,
}

struct HolderRow {
    node: Arc<str>,
    /// On the time that passes: a wall clock that is set must not end the lease of a node that lives.
    lease_until: Instant,
    /// How many runs it holds.
    held: u32,
    last_claim: Option<u64>,
}

impl Store {
    /// Makes tasks known, each of them named once.
    pub(super) fn register(&mut self, tasks: &[Registration], now: Timestamp) -> Vec<Registered> {
        self.tasks.reserve(tasks.len());
        if self.tasks.is_empty() {
            return tasks.iter().map(|task| self.add(task, now)).collect();
        }
        self.index_names();
        tasks
            .iter()
            .map(|task| match self.keys.get(&task.name) {
                Some(&index) => {
                    let known = &self.tasks[index as usize];
                    Registered { key: key(index), mark: known.mark, anchor: known.anchor }
                }
                None => self.add(task, now),
            })
            .collect()
    }

    /// Names are looked up from the second registration on: most stores see one, of perhaps a million tasks.
    fn index_names(&mut self) {
        let unknown = self.keys.len()..self.tasks.len();
        self.keys.reserve(unknown.len());
        for index in unknown {
            self.keys.insert(self.tasks[index].name.clone(), number(index));
        }
    }

    fn add(&mut self, task: &Registration, now: Timestamp) -> Registered {
        let mark = task.only.map_or(now, |only| now.min(only.minus(Duration::from_millis(1))));
        self.tasks.push(TaskRow {
            name: task.name.clone(),
            mark,
            last_step: None,
            anchor: now,
            alive: Vec::new(),
            records: Vec::new(),
            ledger: Ledger::default(),
            ended: Chain::default(),
        });
        Registered { key: key(number(self.tasks.len() - 1)), mark, anchor: now }
    }

    pub(super) fn heartbeat(&mut self, holder: &Holder, now: Instant) {
        let index = self.holder(holder, now);
        self.holders[index as usize].lease_until = now + holder.lease;
    }

    /// The row of a holder; one that is new begins with a full lease.
    pub(super) fn holder(&mut self, holder: &Holder, now: Instant) -> u32 {
        let index = self.holders.iter().rposition(|row| row.node == holder.node).unwrap_or_else(|| {
            let lease_until = now + holder.lease;
            self.holders.push(HolderRow { node: Arc::clone(&holder.node), lease_until, held: 0, last_claim: None });
            self.holders.len() - 1
        });
        u32::try_from(index).expect("a process starts fewer than 2^32 schedulers")
    }

    pub(super) fn fire(&mut self, firing: &Firing, holder: u32, now: Timestamp) -> Admission {
        let Some(task) = self.tasks.get_mut(index(firing.task)) else { return Admission::MarkMoved(firing.advance_to) };
        let is_repeated = task.last_step.is_some_and(|(id, _)| id == firing.id);
        if is_repeated || task.mark != firing.mark {
            return self.repeated(firing, holder);
        }
        if let Some(run) = &firing.run {
            if run.due_at > now {
                return Admission::Early(now);
            }
            if run.accept_until.is_some_and(|until| now > until) {
                return Admission::Late(now);
            }
        }
        task.mark = firing.advance_to;
        if let Some(passed) = &firing.passed {
            task.record(passed);
        }
        let (step, admission) = match &firing.run {
            None => (Step::Record, Admission::Recorded),
            Some(run) if run.alive_max.is_some_and(|max| task.alive.len() >= max as usize) => {
                task.record(&Record::one(Reason::Overlap, run.scheduled_at));
                (Step::Overlap, Admission::Overlapped(self.oldest_alive(firing)))
            }
            Some(run) => {
                self.insert(firing, run, holder);
                (Step::Run, Admission::Claimed(FIRST_TOKEN))
            }
        };
        self.tasks[index(firing.task)].last_step = Some((firing.id, step));
        admission
    }

    fn insert(&mut self, firing: &Firing, run: &NewRun, holder: u32) {
        let slot = self.alive.insert(AliveRun {
            row: RunRow::accepted(firing.id, firing.task, run),
            token: FIRST_TOKEN,
            holder,
            claim: None,
            missed: run.missed,
        });
        self.by_id.insert(firing.id, slot);
        self.holders[holder as usize].held += 1;
        let task = &mut self.tasks[index(firing.task)];
        task.ledger.count_run();
        task.alive.push(slot);
    }

    /// The answer to a firing that was made before, or whose mark somebody else has moved.
    fn repeated(&self, firing: &Firing, holder: u32) -> Admission {
        if let Some(run) = self.by_id.get(&firing.id).map(|&slot| self.alive.get(slot))
            && run.holder == holder
        {
            return Admission::Claimed(run.token);
        }
        let task = &self.tasks[index(firing.task)];
        match task.last_step {
            Some((id, Step::Record)) if id == firing.id => Admission::Recorded,
            Some((id, Step::Overlap)) if id == firing.id => Admission::Overlapped(self.oldest_alive(firing)),
            _ => Admission::MarkMoved(task.mark),
        }
    }

    /// The run that fills the task; by the time of a repeated call it may have ended.
    fn oldest_alive(&self, firing: &Firing) -> RunId {
        let oldest = self.tasks[index(firing.task)].alive.first();
        oldest.map_or(firing.id, |&slot| self.alive.get(slot).row.id)
    }

    pub(super) fn claim(&mut self, holder: &Holder, claim: &Claim, now: Instant) -> Vec<Claimed> {
        let claimant = self.holder(holder, now);
        let is_repeated = |run: &AliveRun| run.holder == claimant && run.claim == Some(claim.number);
        let known = self.holders[claimant as usize].last_claim == Some(claim.number);
        let any_lost = self.holders.iter().any(|row| row.held > 0 && row.lease_until < now && row.node != holder.node);
        self.holders[claimant as usize].last_claim = Some(claim.number);
        if claim.max == 0 || !(known || any_lost) {
            return Vec::new();
        }
        let is_lost = |run: &AliveRun| run.holder != claimant && self.holders[run.holder as usize].lease_until < now;
        let mut orphans: Vec<u32> = claim
            .tasks
            .iter()
            .filter_map(|&task| self.tasks.get(index(task)))
            .flat_map(|task| task.alive.iter().copied())
            .filter(|&slot| is_lost(self.alive.get(slot)) || is_repeated(self.alive.get(slot)))
            .collect();
        orphans.sort_by_key(|&slot| (!is_repeated(self.alive.get(slot)), self.alive.get(slot).row.due_at));
        orphans.truncate(claim.max);
        let holders = &mut self.holders;
        let alive = &mut self.alive;
        let claimed = orphans.into_iter().map(|slot| {
            let run = alive.get_mut(slot);
            holders[run.holder as usize].held -= 1;
            holders[claimant as usize].held += 1;
            run.take_over(claimant, claim.number)
        });
        claimed.collect()
    }

    pub(super) fn finish(&mut self, end: &Finish) -> Stored {
        let Some(&slot) = self.by_id.get(&end.id) else { return Stored::Stale };
        let (state, failure) = match &end.outcome {
            Outcome::Succeeded => (RunState::Succeeded, None),
            Outcome::Failed(failure) => (RunState::Failed, Some(failure.text().into())),
            Outcome::Cancelled => (RunState::Cancelled, None),
        };
        let run = self.alive.get(slot);
        if run.token != end.token || !run.row.state.may_become(state) {
            return Stored::Stale;
        }
        self.by_id.remove(&end.id);
        let AliveRun { mut row, holder, .. } = self.alive.remove(slot);
        self.holders[holder as usize].held -= 1;
        row.state = state;
        row.started_at = end.started_at;
        row.finished_at = Some(end.finished_at);
        row.failure = failure;
        let task = &mut self.tasks[index(row.task)];
        task.alive.retain(|&alive| alive != slot);
        self.history.push(row, &mut self.tasks, |task| &mut task.ended);
        Stored::Done
    }

    pub(super) fn runs(&self, query: &RunQuery) -> Vec<RunRow> {
        let limit = query.limit.unwrap_or(usize::MAX);
        let wanted = |row: &&RunRow| query.task.is_none_or(|task| row.task == task);
        let mut alive: Vec<RunRow> = self.alive.iter().map(|run| &run.row).filter(wanted).cloned().collect();
        alive.sort_by_key(|row| std::cmp::Reverse((row.scheduled_at, row.id)));
        let ended = self.history.newest_first().filter(wanted).cloned();
        alive.into_iter().chain(ended).take(limit).collect()
    }

    pub(super) fn records(&self, task: TaskKey) -> Vec<Record> {
        self.tasks.get(index(task)).map(|task| task.records.clone()).unwrap_or_default()
    }

    pub(super) fn ledger(&self, task: TaskKey) -> Ledger {
        self.tasks.get(index(task)).map(|task| task.ledger).unwrap_or_default()
    }
}

/// The token of a run's first claim.
const FIRST_TOKEN: Token = Token(1);

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("a process holds fewer than 2^32 tasks")
}

fn key(index: u32) -> TaskKey {
    TaskKey(u64::from(index))
}

/// A key of another store gives an index beyond all tasks, which no row has.
fn index(key: TaskKey) -> usize {
    usize::try_from(key.0).unwrap_or(usize::MAX)
}

impl TaskRow {
    fn record(&mut self, record: &Record) {
        self.ledger.count_recorded(record.count);
        if let Some(last) = self.records.iter_mut().rfind(|known| known.reason == record.reason) {
            last.extend(record);
            return;
        }
        self.records.push(*record);
    }
}

impl AliveRun {
    /// Gives the run to `holder`, unless this very claim has done so before.
    fn take_over(&mut self, holder: u32, claim: u64) -> Claimed {
        if (self.holder, self.claim) != (holder, Some(claim)) {
            (self.holder, self.claim) = (holder, Some(claim));
            self.token = Token(self.token.0 + 1);
            self.row.attempt += 1;
        }
        let row = &self.row;
        Claimed {
            task: row.task,
            id: row.id,
            token: self.token,
            origin: row.origin,
            scheduled_at: row.scheduled_at,
            due_at: row.due_at,
            missed: self.missed,
            attempt: row.attempt,
        }
    }
}

/// Runs that are alive, in slots that are used again.
#[derive(Default)]
struct Slab {
    slots: Vec<Option<AliveRun>>,
    free: Vec<u32>,
}

impl Slab {
    fn insert(&mut self, run: AliveRun) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(run);
            return slot;
        }
        self.slots.push(Some(run));
        u32::try_from(self.slots.len() - 1).expect("a process holds fewer than 2^32 runs")
    }

    fn get(&self, slot: u32) -> &AliveRun {
        self.slots[slot as usize].as_ref().expect("a slot that is referred to holds a run")
    }

    fn get_mut(&mut self, slot: u32) -> &mut AliveRun {
        self.slots[slot as usize].as_mut().expect("a slot that is referred to holds a run")
    }

    fn remove(&mut self, slot: u32) -> AliveRun {
        self.free.push(slot);
        self.slots[slot as usize].take().expect("a slot that is referred to holds a run")
    }

    fn iter(&self) -> impl Iterator<Item = &AliveRun> {
        self.slots.iter().flatten()
    }
}

/// The hash of a run id is its last eight bytes, which are random already.
#[derive(Default)]
struct RandomBits(u64);

impl Hasher for RandomBits {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk() {
            self.0 = u64::from_le_bytes(*last);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
