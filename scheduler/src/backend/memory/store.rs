//! The rows of the memory backend and the steps that change them, each of them one step under the caller's lock.
//!
//! Invariants: a task's `alive` holds its runs oldest first, and `waiting` those of them that are queued, by the instant
//! at which they were due; what is not waiting takes up room. A task is among `runnable` if one of its waiting runs might
//! be claimed; it may be there in vain, and never missing.

mod admit;
mod claim;
mod control;
mod finish;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::history::{Chain, History};
use crate::TaskName;
use crate::backend::{
    Hold, Holder, Ledger, Pause, Record, Registered, Registration, RunQuery, RunRow, TaskKey, TaskRules, Token,
    add_record,
};
use crate::run::{Origin, RunId, RunState};
use crate::schedule::Timetable;
use control::{Change, Log};

#[derive(Default)]
pub(super) struct Store {
    /// The places of the first tasks in `tasks`, as far as they have been [indexed](Self::index_names).
    keys: HashMap<TaskName, u32>,
    tasks: Vec<TaskRow>,
    groups: Vec<GroupRow>,
    alive: Slab,
    by_id: HashMap<RunId, u32, BuildHasherDefault<RandomBits>>,
    holders: Vec<HolderRow>,
    history: History,
    /// Tasks with waiting runs that might be claimed, by priority and the instant of the first.
    runnable: BTreeSet<(Reverse<i8>, Timestamp, u32)>,
    /// Runs between two attempts, by the instant of the next.
    retrying: BTreeSet<(Timestamp, u32)>,
    /// The last submissions.
    submitted: VecDeque<RunId>,
    pause_of_all: Option<Pause>,
    all_resumed_at: Option<Timestamp>,
    log: Log,
}

struct TaskRow {
    name: TaskName,
    rules: TaskRules,
    declared: Arc<Timetable>,
    /// What an operator put in the place of what is declared.
    rescheduled: Option<Arc<Timetable>>,
    since: Timestamp,
    /// Since when it has been declared as it is: enabled, or not.
    declared_at: Timestamp,
    mark: Timestamp,
    /// The last step of the mark and what became of it, to recognise the same call again.
    last_step: Option<(RunId, Step)>,
    anchor: Timestamp,
    operator: Option<Operator>,
    resumed_at: Option<Timestamp>,
    /// The place of its group.
    group: Option<u32>,
    /// Slots of its runs that are alive, oldest first.
    alive: Vec<u32>,
    /// Those of them that wait for room.
    waiting: VecDeque<u32>,
    records: Vec<Record>,
    ledger: Ledger,
    ended: Chain,
    /// The instant of its last run at a start: another one then is the same.
    last_start: Option<Timestamp>,
    last_success: Option<Timestamp>,
    last_end: Option<Timestamp>,
    failed_in_a_row: u32,
    /// The nodes that declared it, where that matters.
    known_by: Vec<u32>,
}

/// What an operator said last of whether the task is paused.
enum Operator {
    Paused(Box<Pause>),
    Resumed,
}

struct GroupRow {
    name: Arc<str>,
    max: u32,
    /// How many runs of its tasks are held.
    held: u32,
    tasks: Vec<u32>,
}

#[derive(Clone, Copy)]
enum Step {
    Run,
    Recorded(crate::backend::Refusal),
    Passed,
}

struct AliveRun {
    row: RunRow,
    token: Token,
    /// Who holds it; `None` while it waits.
    holder: Option<u32>,
    /// The number of its holder's claim that got it, and where it was before.
    claim: Option<(u64, RunState)>,
    abandoned: u32,
    /// Who put off its next attempt.
    put_off_by: Option<u32>,
    /// How many of the abandoned attempts ended because their node died; the others were given back.
    deaths: u32,
    /// Whether it runs beside others, however many there are.
    beside: bool,
    /// Whether its holder was asked to cancel it.
    cancelling: Option<crate::outcome::CancelCause>,
}

struct HolderRow {
    node: Arc<str>,
    /// On the time that passes: a wall clock that is set must not end the lease of a node that lives.
    lease_until: Instant,
    has_left: bool,
    /// How many runs it holds.
    held: u32,
    last_claim: Option<u64>,
}

impl Store {
    /// Makes tasks known, each of them named once.
    pub(super) fn register(
        &mut self,
        holder: u32,
        tasks: &[Registration],
        now: Timestamp,
        present: Instant,
    ) -> Vec<Registered> {
        self.tasks.reserve(tasks.len());
        if self.tasks.is_empty() {
            return tasks.iter().map(|task| self.add(holder, task, now)).collect();
        }
        self.index_names();
        tasks
            .iter()
            .map(|task| match self.keys.get(&task.name) {
                Some(&known) => self.declare_again(known, holder, task, now, present),
                None => {
                    let registered = self.add(holder, task, now);
                    self.keys.insert(task.name.clone(), number(index(registered.key)));
                    registered
                }
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

    fn add(&mut self, holder: u32, task: &Registration, now: Timestamp) -> Registered {
        let number = number(self.tasks.len());
        let mark = task.timetable.only().map_or(now, |only| now.min(only.minus(Duration::from_millis(1))));
        let group = self.join_group(&task.rules, number);
        self.tasks.push(TaskRow {
            name: task.name.clone(),
            rules: task.rules.clone(),
            declared: Arc::clone(&task.timetable),
            rescheduled: None,
            since: Timestamp::MIN,
            declared_at: now,
            mark,
            last_step: None,
            anchor: now,
            operator: None,
            resumed_at: None,
            group,
            alive: Vec::new(),
            waiting: VecDeque::new(),
            records: Vec::new(),
            ledger: Ledger::default(),
            ended: Chain::default(),
            last_start: None,
            last_success: None,
            last_end: None,
            failed_in_a_row: 0,
            known_by: if task.rules.run_on_start { vec![holder] } else { Vec::new() },
        });
        Registered { run_on_start: task.rules.run_on_start, ..self.view(number) }
    }

    fn declare_again(
        &mut self,
        number: u32,
        holder: u32,
        task: &Registration,
        now: Timestamp,
        present: Instant,
    ) -> Registered {
        let group = self.join_group(&task.rules, number);
        let known_elsewhere = self.tasks[number as usize].known_by.iter().any(|&other| {
            let row = &self.holders[other as usize];
            other != holder && !row.has_left && row.lease_until >= present
        });
        let is_other = self.tasks[number as usize].declared != task.timetable;
        let ended = is_other.then(|| {
            self.replace_timetable(number, now, |row| {
                row.declared = Arc::clone(&task.timetable);
                row.rescheduled = None;
            })
        });
        let known = &mut self.tasks[number as usize];
        if known.rules.disabled != task.rules.disabled {
            known.declared_at = now;
            match known.operator {
                Some(Operator::Resumed) => known.operator = None,
                // The end of a pause, like an operator's: what fell due in it is not caught up.
                None if known.rules.disabled => known.resumed_at = Some(now),
                _ => {}
            }
        }
        known.rules = task.rules.clone();
        known.group = group;
        if task.rules.run_on_start && !known.known_by.contains(&holder) {
            known.known_by.push(holder);
        }
        self.log.push(Change::Task(number));
        self.mark_runnable(number);
        let run_on_start = task.rules.run_on_start && !known_elsewhere;
        Registered { run_on_start, ended: ended.flatten(), ..self.view(number) }
    }

    /// The place of the group that the rules name, which the task is in from now on, and in no other.
    fn join_group(&mut self, rules: &TaskRules, task: u32) -> Option<u32> {
        if let Some(before) = self.tasks.get(task as usize).and_then(|row| row.group) {
            let held = self.tasks[task as usize].alive.iter().filter(|&&slot| self.alive.get(slot).holder.is_some());
            let held = number(held.count());
            let group = &mut self.groups[before as usize];
            group.tasks.retain(|&other| other != task);
            group.held -= held;
        }
        let group = rules.group.as_ref()?;
        let place = self.groups.iter().position(|row| row.name == group.name).unwrap_or_else(|| {
            self.groups.push(GroupRow { name: Arc::clone(&group.name), max: 0, held: 0, tasks: Vec::new() });
            self.groups.len() - 1
        });
        let held = self
            .tasks
            .get(task as usize)
            .map_or(0, |row| number(row.alive.iter().filter(|&&slot| self.alive.get(slot).holder.is_some()).count()));
        let row = &mut self.groups[place];
        row.max = group.max;
        row.held += held;
        row.tasks.push(task);
        Some(number(place))
    }

    #[cfg(any(test, feature = "test-util"))]
    pub(super) fn key_of(&mut self, task: &str) -> Option<TaskKey> {
        self.index_names();
        self.keys.get(task).map(|&number| key(number))
    }

    /// Where a task stands; `None` for a key of another store.
    pub(super) fn look(&self, task: TaskKey) -> Option<Registered> {
        self.tasks.get(index(task)).map(|_| self.view(number(index(task))))
    }

    fn view(&self, number: u32) -> Registered {
        let row = &self.tasks[number as usize];
        let scheduled = row.alive.iter().map(|&slot| &self.alive.get(slot).row);
        Registered {
            key: key(number),
            version: self.log.version(),
            mark: row.mark,
            anchor: row.anchor,
            timetable: Arc::clone(row.timetable()),
            since: row.since,
            pause: self.pause(row),
            resumed_at: row.resumed_at.max(self.all_resumed_at),
            last_end: row.last_end,
            alive: scheduled.filter(|run| run.origin == Origin::Schedule).map(|run| run.id).next(),
            runs: row.ledger.runs,
            max_runs: row.rules.max_runs,
            run_on_start: false,
            ended: None,
        }
    }

    /// Has another timetable count from now on. What the one before still owes is recorded in this step.
    fn replace_timetable(
        &mut self,
        number: u32,
        now: Timestamp,
        with: impl FnOnce(&mut TaskRow),
    ) -> Option<Box<Record>> {
        let before = self.view(number);
        let row = &mut self.tasks[number as usize];
        let owed = before.owed(&row.name, now);
        if let Some(owed) = &owed {
            row.record(owed.clone());
        }
        row.since = now;
        with(row);
        owed.map(Box::new)
    }

    /// Why no occurrence of the task becomes a run.
    fn pause(&self, row: &TaskRow) -> Option<Pause> {
        let own = match &row.operator {
            Some(Operator::Paused(pause)) => Some((**pause).clone()),
            Some(Operator::Resumed) => None,
            None => row.rules.disabled.then(|| Pause {
                by: Arc::from("its declaration (enabled = false)"),
                reason: None,
                since: row.declared_at,
            }),
        };
        own.or_else(|| self.pause_of_all.clone())
    }

    fn is_paused(&self, row: &TaskRow) -> bool {
        row.is_paused() || self.pause_of_all.is_some()
    }

    pub(super) fn heartbeat(&mut self, holder: &Holder, now: Instant) {
        let index = self.holder(holder, now);
        self.holders[index as usize].lease_until = now + holder.lease;
    }

    /// The row of a holder; one that is new begins with a full lease.
    pub(super) fn holder(&mut self, holder: &Holder, now: Instant) -> u32 {
        let index = self.holders.iter().rposition(|row| row.node == holder.node).unwrap_or_else(|| {
            let lease_until = now + holder.lease;
            let node = Arc::clone(&holder.node);
            self.holders.push(HolderRow { node, lease_until, has_left: false, held: 0, last_claim: None });
            self.holders.len() - 1
        });
        number(index)
    }

    fn hold(&self, slot: u32) -> Hold {
        let run = self.alive.get(slot);
        Hold { token: run.token, previous_success: self.tasks[index(run.row.task)].last_success }
    }

    pub(super) fn runs(&self, query: &RunQuery) -> Vec<RunRow> {
        let limit = query.limit.unwrap_or(usize::MAX);
        let wanted = |row: &&RunRow| query.includes(row);
        let mut alive: Vec<RunRow> = self.alive.iter().map(|run| &run.row).filter(wanted).cloned().collect();
        alive.sort_by_key(|row| Reverse((row.scheduled_at, row.id)));
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
    u32::try_from(index).expect("a process holds fewer than 2^32 of anything")
}

fn key(index: u32) -> TaskKey {
    TaskKey(u64::from(index))
}

/// A key of another store gives an index beyond all tasks, which no row has.
fn index(key: TaskKey) -> usize {
    usize::try_from(key.0).unwrap_or(usize::MAX)
}

impl TaskRow {
    fn record(&mut self, record: Record) {
        self.ledger.count_recorded(record.count);
        add_record(&mut self.records, record);
    }

    /// Whether it is paused itself, whatever holds for all tasks.
    fn is_paused(&self) -> bool {
        match self.operator {
            Some(Operator::Paused(_)) => true,
            Some(Operator::Resumed) => false,
            None => self.rules.disabled,
        }
    }

    /// Whether as many occurrences have become runs as may: then there are no others.
    fn is_exhausted(&self) -> bool {
        self.rules.max_runs.is_some_and(|max| self.ledger.runs >= max)
    }

    /// The occurrences that count.
    fn timetable(&self) -> &Arc<Timetable> {
        self.rescheduled.as_ref().unwrap_or(&self.declared)
    }

    /// How many of its runs take up room: those that are held and those between two attempts.
    fn occupied(&self) -> usize {
        self.alive.len() - self.waiting.len()
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
