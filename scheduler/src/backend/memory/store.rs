//! The rows of the memory backend and the steps that change them, each of them one step under the caller's lock.
//!
//! Invariants: a run that is alive has begun, and takes up room, or it is queued; one that is queued, or whose next attempt
//! is due, is in its task's `waiting`. A task is listed if one of those might be claimed: among `runnable`, or, if it has a
//! group, with that, which is among `runnable` while it has room. It may be listed in vain, and is never missing.

mod actions;
mod admit;
mod alive;
mod claim;
mod control;
mod finish;
mod holders;
#[cfg(feature = "rabbitmq")]
pub(super) mod image;
mod jobs;
mod last_ids;
mod list;
mod listed;
mod owners;
#[cfg(feature = "rabbitmq")]
pub(super) mod page;
#[cfg(feature = "rabbitmq")]
mod unclaimed;
mod waiting;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::history::{History, Kept};
use crate::TaskName;
use crate::backend::{
    Hold, Ledger, NamedTask, Pause, Record, Registered, Registration, RunLog, RunRow, TaskKey, TaskRules, Token,
    add_record,
};
use crate::equals::Equals;
use crate::run::{Origin, RunId, RunState};
use crate::schedule::Timetable;
use actions::Actions;
use alive::{Begun, Links, Slab};
use control::{Change, Log};
use holders::HolderRow;
use jobs::Jobs;
use last_ids::LastIds;
use owners::{Neighbours, Owner, Unowned};
use waiting::Waiting;

/// The order in which runs are claimed.
type Rank = (Reverse<i8>, Timestamp);

#[derive(Default)]
pub(super) struct Store {
    /// The places of the first tasks in `tasks`, as far as they have been [indexed](Self::index_names).
    keys: HashMap<TaskName, u32>,
    indexed: usize,
    tasks: Vec<TaskRow>,
    /// Of tasks whose rules are equal.
    rules: Equals<TaskRules>,
    /// Places of tasks that were forgotten.
    vacant: Vec<u32>,
    unowned: Unowned,
    groups: Vec<GroupRow>,
    alive: Slab,
    by_id: HashMap<RunId, u32, BuildHasherDefault<RandomBits>>,
    holders: Vec<HolderRow>,
    history: History,
    /// Tasks without a group that have something which might be claimed, and groups with room that have such tasks.
    runnable: BTreeSet<(Rank, Listed)>,
    /// Runs between two attempts, by the instant of the next, which has not come.
    retrying: BTreeSet<(Timestamp, u32)>,
    /// The last submissions.
    submitted: LastIds,
    jobs: Jobs,
    pause_of_all: Option<Pause>,
    all_resumed_at: Option<Timestamp>,
    log: Log,
    actions: Actions,
}

struct TaskRow {
    name: TaskName,
    /// How often its place was given to a task and became [vacant](Self::is_vacant).
    generation: u32,
    /// A node that has it; most tasks have one.
    owner: Option<Owner>,
    /// Of a task that no node has.
    neighbours: Neighbours,
    rules: Arc<TaskRules>,
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
    begun: Begun,
    /// Seldom there: most tasks have nothing that waits.
    waiting: Option<Box<Waiting>>,
    seldom: Option<Box<Seldom>>,
    ledger: Ledger,
    kept: Kept,
    /// The instant of its last run at a start: another one then is the same.
    last_start: Option<Timestamp>,
    last_success: Option<Timestamp>,
    last_end: Option<Timestamp>,
    failed_in_a_row: u32,
}

/// What most tasks do not have.
#[derive(Default)]
struct Seldom {
    records: Vec<Record>,
    /// The nodes that have it beside its owner.
    further_owners: Vec<Owner>,
    /// [`Registered::behind`].
    behind: Option<Timestamp>,
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
    /// How many tasks are in it. One that has none leaves its place to another.
    tasks: u32,
    /// Its tasks that have something which might be claimed.
    runnable: BTreeSet<(Rank, u32)>,
    /// Under what it is among those of the store.
    listed: Option<Rank>,
}

/// What may have something to claim.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Listed {
    Task(u32),
    Group(u32),
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
    /// A higher one than that of any run accepted before.
    number: u64,
    /// Its neighbours among those of its task that have begun.
    links: Links,
    /// Whether its holder was asked to cancel it.
    cancelling: Option<crate::outcome::CancelCause>,
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
        let registered = tasks
            .iter()
            .map(|task| match self.keys.get(&task.name) {
                Some(&known) => self.declare_again(known, holder, task, now, present),
                None => {
                    let registered = self.add(holder, task, now);
                    self.keys.insert(task.name.clone(), number(index(registered.key)));
                    self.indexed = self.tasks.len();
                    registered
                }
            })
            .collect();
        // Those of a node that has stopped have had the time to be taken over by the next.
        self.forget_the_oldest(now);
        registered
    }

    /// The key of the task in a place: the place, under the generation that it is in.
    fn key(&self, number: u32) -> TaskKey {
        TaskKey(u64::from(self.tasks[number as usize].generation) << 32 | u64::from(number))
    }

    /// The place of a task; `None` for one that was forgotten, and for a key of another store.
    fn find(&self, key: TaskKey) -> Option<u32> {
        let place = index(key);
        (place < self.tasks.len()).then(|| number(place)).filter(|&number| self.key(number) == key)
    }

    /// Names are looked up from the second registration on: most stores see one, of perhaps a million tasks.
    fn index_names(&mut self) {
        let unknown = self.indexed..self.tasks.len();
        self.indexed = self.tasks.len();
        self.keys.reserve(unknown.len());
        for index in unknown {
            self.keys.insert(self.tasks[index].name.clone(), number(index));
        }
    }

    fn add(&mut self, holder: u32, task: &Registration, now: Timestamp) -> Registered {
        let seen = Registered::at_first_sight(TaskKey(0), Arc::clone(&task.timetable), now);
        let group = self.join_group(&task.rules, 0);
        let rules = self.rules.one(task.rules.clone());
        let place = self.vacant.pop();
        let row = TaskRow {
            name: task.name.clone(),
            generation: place.map_or(0, |place| self.tasks[place as usize].generation.wrapping_add(1)),
            owner: Some(self.owner(holder, &task.rules)),
            neighbours: Neighbours::default(),
            rules,
            declared: Arc::clone(&task.timetable),
            rescheduled: None,
            since: seen.since,
            declared_at: now,
            mark: seen.mark,
            last_step: None,
            anchor: seen.anchor,
            operator: None,
            resumed_at: None,
            group,
            begun: Begun::default(),
            waiting: None,
            seldom: None,
            ledger: Ledger::default(),
            kept: Kept::default(),
            last_start: None,
            last_success: None,
            last_end: None,
            failed_in_a_row: 0,
        };
        let number = place.unwrap_or_else(|| number(self.tasks.len()));
        match place {
            Some(place) => self.tasks[place as usize] = row,
            None => self.tasks.push(row),
        }
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
        self.unlist(number);
        let group = self.change_group(&task.rules, number);
        let rules = self.rules.one(task.rules.clone());
        let known_elsewhere = self.tasks[number as usize].owners().any(|other| {
            let row = &self.holders[other.holder as usize];
            other.runs_on_start && other.holder != holder && row.lives(present)
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
        known.rules = rules;
        known.group = group;
        self.log.push(Change::Task(number));
        self.own(number, holder);
        self.list(number);
        let run_on_start = task.rules.run_on_start && !known_elsewhere;
        Registered { run_on_start, ended: ended.flatten(), ..self.view(number) }
    }

    /// The place of the group that the rules name, in which the runs of the task that are held count from now on, and in no
    /// other.
    fn change_group(&mut self, rules: &TaskRules, task: u32) -> Option<u32> {
        let row = &self.tasks[task as usize];
        let held = row.begun.iter(&self.alive).filter(|&slot| self.alive.get(slot).holder.is_some());
        let held = number(held.count());
        if let Some(before) = row.group {
            self.groups[before as usize].held -= held;
            self.groups[before as usize].tasks -= 1;
            self.list_group(before);
        }
        self.join_group(rules, held)
    }

    /// The place of the group that the rules name, for a task of which `held` runs are.
    fn join_group(&mut self, rules: &TaskRules, held: u32) -> Option<u32> {
        let group = rules.group.as_ref()?;
        let known = self.groups.iter().position(|row| row.name == group.name);
        let place = known.or_else(|| self.groups.iter().position(|row| row.tasks == 0)).unwrap_or_else(|| {
            let name = Arc::clone(&group.name);
            self.groups.push(GroupRow::new(name, 0));
            self.groups.len() - 1
        });
        let row = &mut self.groups[place];
        row.name = Arc::clone(&group.name);
        row.max = group.max;
        row.held += held;
        row.tasks += 1;
        self.list_group(number(place));
        Some(number(place))
    }

    #[cfg(any(test, feature = "test-util"))]
    pub(super) fn key_of(&mut self, task: &str) -> Option<TaskKey> {
        self.index_names();
        self.keys.get(task).map(|&number| self.key(number))
    }

    pub(super) fn named_tasks(&self) -> Vec<NamedTask> {
        let mut tasks: Vec<_> = (self.tasks.iter().zip(0..))
            .filter(|(task, _)| !task.is_vacant())
            .map(|(task, place)| NamedTask { name: task.name.clone(), key: self.key(place) })
            .collect();
        tasks.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        tasks
    }

    /// Where a task stands; `None` for a key of another store.
    pub(super) fn look(&self, task: TaskKey) -> Option<Registered> {
        self.find(task).map(|number| self.view(number))
    }

    fn view(&self, number: u32) -> Registered {
        let row = &self.tasks[number as usize];
        let begun = row.begun.iter(&self.alive);
        let scheduled = begun.chain(row.waiting.iter().flat_map(|waiting| waiting.scheduled()));
        let mut scheduled = scheduled.map(|slot| &self.alive.get(slot).row);
        Registered {
            key: self.key(number),
            version: self.log.version(),
            mark: row.mark,
            behind: row.behind(),
            anchor: row.anchor,
            timetable: Arc::clone(row.timetable()),
            since: row.since,
            pause: self.pause(row),
            resumed_at: row.resumed_at.max(self.all_resumed_at),
            last_end: row.last_end,
            alive: scheduled.find(|run| run.origin == Origin::Schedule).map(|run| run.id),
            latest: self.history.latest(&row.kept),
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
        row.settle_behind((row.mark > now).then_some(now));
        with(row);
        owed.map(Box::new)
    }

    /// Why no occurrence of the task becomes a run.
    fn pause(&self, row: &TaskRow) -> Option<Pause> {
        let own = match &row.operator {
            Some(Operator::Paused(pause)) => Some((**pause).clone()),
            Some(Operator::Resumed) => None,
            None => row.rules.disabled.then(|| Pause::declared(row.declared_at)),
        };
        own.or_else(|| self.pause_of_all.clone())
    }

    fn is_paused(&self, row: &TaskRow) -> bool {
        row.is_paused() || self.pause_of_all.is_some()
    }

    fn hold(&self, slot: u32) -> Hold {
        let run = self.alive.get(slot);
        Hold { token: run.token, previous_success: self.tasks[index(run.row.task)].last_success }
    }

    pub(super) fn run_log(&self, run: RunId) -> Option<RunLog> {
        self.history.run_logs.of(run)
    }

    pub(super) fn records(&self, task: TaskKey) -> Vec<Record> {
        self.find(task)
            .and_then(|task| self.tasks[task as usize].seldom.as_ref())
            .map(|seldom| seldom.records.clone())
            .unwrap_or_default()
    }

    pub(super) fn ledger(&self, task: TaskKey) -> Ledger {
        self.find(task).map(|task| self.tasks[task as usize].ledger).unwrap_or_default()
    }
}

/// The token of a run's first claim.
const FIRST_TOKEN: Token = Token(1);

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("a process holds fewer than 2^32 of anything")
}

/// The place of a task that is there: of a run's task, say. A key that comes from outside is [looked up](Store::find).
pub(super) const fn index(key: TaskKey) -> usize {
    (key.0 & u32::MAX as u64) as usize
}

impl GroupRow {
    fn new(name: Arc<str>, max: u32) -> Self {
        Self { name, max, held: 0, tasks: 0, runnable: BTreeSet::new(), listed: None }
    }
}

impl TaskRow {
    fn record(&mut self, record: Record) {
        self.ledger.count_recorded(record.count);
        add_record(&mut self.seldom.get_or_insert_default().records, record);
    }

    fn behind(&self) -> Option<Timestamp> {
        self.seldom.as_ref().and_then(|seldom| seldom.behind)
    }

    fn settle_behind(&mut self, upto: Option<Timestamp>) {
        if let Some(seldom) = &mut self.seldom {
            seldom.behind = upto;
        } else if upto.is_some() {
            self.seldom.get_or_insert_default().behind = upto;
        }
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

    /// How many of its runs are alive: those that have begun, which take up room, and those that are queued.
    fn alive(&self) -> usize {
        self.begun.len() + self.waiting.as_ref().map_or(0, |waiting| waiting.queued())
    }
}

/// The hash of a run id comes of its last eight bytes, which are random but where a caller makes its own ids: mixed, so that
/// those do not all meet in one place either.
#[derive(Default)]
struct RandomBits(u64);

impl Hasher for RandomBits {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk() {
            self.0 = u64::from_le_bytes(*last);
        }
    }

    fn finish(&self) -> u64 {
        // An odd number of 64 bits without a pattern: the golden ratio.
        let wide = u128::from(self.0) * 0x9e37_79b9_7f4a_7c15;
        (wide >> 64) as u64 ^ wide as u64
    }
}

#[cfg(test)]
mod tests;
