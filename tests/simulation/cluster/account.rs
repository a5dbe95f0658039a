//! What the store says, held against what the bodies have seen: after each step of the script, and at the end.

use std::collections::{BTreeMap, HashMap, HashSet};

use symphra_scheduler::backend::{Backend, RunQuery, RunRow, TaskKey};
use symphra_scheduler::{Ledger, MemoryBackend, Origin, Overlap, Record, RunId, RunState};

use super::super::body::How;
use super::super::calendar::{Calendar, Rule};
use super::super::scenario::TaskSpec;
use super::contact::Fate;
use super::journal::{Attempt, CLOCK_SLACK, Journal, NodeSeen, Seen};
use super::world::{Kind, LEASE, World};

/// Looks at a store again and again.
pub(crate) struct Account {
    journal: Journal,
    /// For the keys of tasks; what is asked of the contract is asked through [`store`](Self::store).
    memory: MemoryBackend,
    store: Box<dyn Backend>,
    /// The runs whose end was seen.
    ended: HashSet<RunId>,
}

/// A task as its store shows it.
struct Shown {
    ledger: Ledger,
    records: Vec<Record>,
    rows: Vec<RunRow>,
}

impl Account {
    pub(crate) fn new(journal: Journal, memory: MemoryBackend, store: impl Backend) -> Self {
        Self { journal, memory, store: Box::new(store), ended: HashSet::new() }
    }

    fn key(&self, spec: &TaskSpec) -> Option<TaskKey> {
        self.memory.key_of(&spec.name)
    }

    /// The tasks that are registered, by their numbers.
    async fn shown(&self, world: &World) -> BTreeMap<usize, Shown> {
        let mut rows: HashMap<TaskKey, Vec<RunRow>> = HashMap::new();
        for row in self.store.runs(&RunQuery::default()).await.expect("memory answers") {
            rows.entry(row.task).or_default().push(row);
        }
        let mut shown = BTreeMap::new();
        for (number, spec) in world.tasks.iter().enumerate() {
            let Some(key) = self.key(spec) else { continue };
            let ledger = self.store.ledger(key).await.expect("memory answers");
            let records = self.store.records(key).await.expect("memory answers");
            let rows = rows.remove(&key).unwrap_or_default();
            shown.insert(number, Shown { ledger, records, rows });
        }
        shown
    }

    /// What must be so at every moment.
    pub(crate) async fn look(&mut self) {
        let world = std::sync::Arc::clone(&self.journal.see().world);
        let shown = self.shown(&world).await;
        let mut seen = self.journal.see();
        for (number, task) in &shown {
            let spec = &world.tasks[*number];
            balances(&mut seen, *number, spec, task);
            for row in task.rows.iter().filter(|row| row.state.is_final()) {
                if self.ended.insert(row.id)
                    && let Some((promise, what)) = contradicts(&seen, spec, row)
                {
                    seen.violation(promise, format_args!("{}: {} is {}: {what}", spec.name, row.id, row.state));
                }
            }
        }
        let there: HashSet<RunId> = shown.values().flat_map(|task| &task.rows).map(|row| row.id).collect();
        for id in self.ended.iter().filter(|id| !there.contains(id)) {
            seen.violation("no run is lost", format_args!("the row of {id} is gone"));
        }
    }

    /// Whether nothing is under way.
    pub(crate) async fn is_at_rest(&self) -> bool {
        let mut alive = RunQuery::default();
        alive.states.extend([RunState::Queued, RunState::Running, RunState::Retrying]);
        self.store.runs(&alive).await.expect("memory answers").is_empty()
    }

    /// What must be so when all has come to rest.
    pub(crate) async fn close(&mut self) {
        self.look().await;
        let world = std::sync::Arc::clone(&self.journal.see().world);
        let shown = self.shown(&world).await;
        let mut seen = self.journal.see();
        let mut rows: HashMap<RunId, &RunRow> = HashMap::new();
        for (number, task) in &shown {
            let spec = &world.tasks[*number];
            seen.note(format_args!("{} {:?} {} records", spec.name, task.ledger, task.records.len()));
            rows.extend(task.rows.iter().map(|row| (row.id, row)));
            if let Err(what) = adds_up(&seen, *number, spec, task) {
                let (name, ledger, records) = (&spec.name, task.ledger, &task.records);
                seen.violation(
                    "every occurrence is a run or recorded",
                    format_args!("{name}: {what}; {ledger:?} {records:?}"),
                );
            }
            for row in task.rows.iter().filter(|row| !row.state.is_final()) {
                seen.violation(
                    "every run comes to its end",
                    format_args!("{}: {} is {}", spec.name, row.id, row.state),
                );
            }
        }
        let (begun, accepted): (Vec<RunId>, _) = (seen.runs.keys().copied().collect(), seen.accepted.clone());
        for id in begun.into_iter().filter(|id| !rows.contains_key(id)) {
            seen.violation("no run is lost", format_args!("{id} has begun, and is not there"));
        }
        for id in accepted {
            let Some(row) = rows.get(&id) else {
                seen.violation("what is accepted runs", format_args!("{id} is not there"));
                continue;
            };
            let was_given_up = row.state != RunState::Succeeded || seen.cancelled.contains_key(&id);
            if !seen.runs.contains_key(&id) && !was_given_up {
                seen.violation("what is accepted runs", format_args!("{id} is {}, and has never begun", row.state));
            }
        }
    }
}

/// The ledger, its records and its runs.
fn balances(seen: &mut Seen, number: usize, spec: &TaskSpec, task: &Shown) {
    let Shown { ledger, records, rows } = task;
    let recorded: u64 = records.iter().map(|record| record.count).sum();
    if !ledger.balances() || ledger.recorded != recorded {
        seen.violation("the ledger balances", format_args!("{}: {ledger:?} {records:?}", spec.name));
    }
    let of_schedule: Vec<&RunRow> = rows.iter().filter(|row| row.origin == Origin::Schedule).collect();
    if ledger.runs != of_schedule.len() as u64 {
        let there = of_schedule.len();
        seen.violation("the ledger counts the runs", format_args!("{}: {ledger:?}, and {there} are there", spec.name));
    }
    let mut instants = HashSet::new();
    for row in of_schedule.iter().filter(|row| !instants.insert(row.scheduled_at)) {
        seen.violation("one run for one occurrence", format_args!("{}: {}", spec.name, row.scheduled_at));
    }
    let holds = |row: &&RunRow| matches!(row.state, RunState::Running | RunState::Retrying);
    let alive = rows.iter().filter(holds).count();
    if spec.alive_max().is_some_and(|max| alive > max) {
        seen.violation("as many at once as may be", format_args!("{}: {alive} are alive", spec.name));
    }
    if spec.max_runs.is_some_and(|max| ledger.runs > max) {
        seen.violation("as many runs as may be", format_args!("{}: {ledger:?}", spec.name));
    }
    let most = occurrences(seen, number, spec).1;
    if most.is_some_and(|most| ledger.occurrences > most) {
        seen.violation("only occurrences are counted", format_args!("{}: {ledger:?} of {most:?}", spec.name));
    }
}

/// What of the end of a run the bodies have not seen so.
fn contradicts(seen: &Seen, spec: &TaskSpec, row: &RunRow) -> Option<(&'static str, String)> {
    if let Some(open) = seen.executing().find(|attempt| attempt.run == row.id) {
        return Some(("a stale token changes nothing", format!("attempt {} goes on, on n{}", open.number, open.node)));
    }
    let of_run = seen.runs.get(&row.id).into_iter().flat_map(|run| &run.attempts);
    let attempts: Vec<&Attempt> = of_run.map(|&attempt| &seen.attempts[attempt]).collect();
    let last = attempts.iter().find(|attempt| attempt.number == row.attempt);
    let how = last.and_then(|attempt| attempt.ended).map(|(_, how)| how);
    let is_tried_out = row.attempt >= spec.tries().max || how == Some(How::FailedForGood);
    let has_died = row.failure.as_deref().is_some_and(|failure| failure.starts_with("its node died"));
    let is_so = match row.state {
        RunState::Succeeded => {
            let node = row.node.as_deref().and_then(number_of);
            how == Some(How::Succeeded) && last.is_some_and(|attempt| Some(attempt.node) == node)
        }
        RunState::Failed if has_died => row.attempt >= 3,
        RunState::Failed => is_tried_out && last.is_some() && how != Some(How::Succeeded),
        RunState::TimedOut => spec.timeout.is_some() && is_tried_out,
        RunState::Abandoned => spec.at_most_once && some_node_was_lost(seen),
        RunState::Cancelled => {
            let is_replaced = spec.overlap == Some(Overlap::CancelRunning);
            let is_stopped = |node: &NodeSeen| !matches!(node.contact.fate, Fate::Lives | Fate::Killed);
            let is_given_up = spec.at_most_once && seen.nodes.iter().any(is_stopped);
            seen.cancelled.contains_key(&row.id) || is_replaced || is_given_up
        }
        _ => true,
    };
    (!is_so).then(|| ("a run ends as its body does", format!("attempt {} has ended as {how:?}", row.attempt)))
}

fn some_node_was_lost(seen: &Seen) -> bool {
    seen.nodes.iter().any(|node| node.contact.may_have_lost(i64::MIN, seen.now() + LEASE))
}

/// The number of a node, by the name of its holder.
fn number_of(holder: &str) -> Option<usize> {
    holder.strip_prefix('n')?.split('-').next()?.parse().ok()
}

/// Every occurrence of the schedules that counted is in the ledger, and no other.
fn adds_up(seen: &Seen, number: usize, spec: &TaskSpec, task: &Shown) -> Result<(), String> {
    let (Some(least), Some(most)) = occurrences(seen, number, spec) else { return Ok(()) };
    let Shown { ledger, records, .. } = task;
    if ledger.occurrences > most {
        return Err(format!("there were {most} occurrences at most"));
    }
    let is_exhausted = spec.max_runs.is_some_and(|max| ledger.runs >= max);
    if ledger.occurrences < least && !is_exhausted {
        return Err(format!("there were {least} occurrences at least"));
    }
    for record in records {
        let (first, last) = (record.first.as_millis(), record.last.as_millis());
        let versions = &seen.tasks[number].versions;
        let within: u64 = versions.iter().map(|(_, calendar)| calendar.count(first - 1, last)).sum();
        if record.count > within {
            return Err(format!("{within} occurrences lie in {record:?}"));
        }
    }
    Ok(())
}

/// How many occurrences must have fallen due, and how many may have; of a fixed delay nobody knows beforehand.
fn occurrences(seen: &Seen, number: usize, spec: &TaskSpec) -> (Option<u64>, Option<u64>) {
    let (now, versions) = (seen.now(), &seen.tasks[number].versions);
    if versions.iter().any(|(_, calendar)| calendar.is_delay()) {
        return (None, None);
    }
    let (mut least, mut most) = (0, 0);
    for (place, (since, calendar)) in versions.iter().enumerate() {
        let next = versions.get(place + 1).map(|&(since, _)| since);
        least += calendar.count(*since, next.unwrap_or(now - UNDER_WAY) - spec.jitter);
        most += calendar.count(*since, next.unwrap_or(now) + CLOCK_SLACK);
    }
    let is_past = |(since, calendar): &(i64, Calendar)| matches!(calendar.rule, Rule::Once(at) if at <= *since);
    let past = u64::from(versions.first().is_some_and(is_past));
    (Some(least + past), Some(most + past))
}

/// What has just fallen due may not be accepted yet.
const UNDER_WAY: i64 = 10;

/// How many runs of the ticking task have begun in the last seconds, and how late the latest of them.
pub(crate) fn ticks(seen: &Seen, seconds: i64) -> (usize, i64) {
    let (now, tick) = (seen.now(), seen.world.of(Kind::Tick));
    let since = now - seconds * 1_000;
    let last = seen.attempts.iter().filter(|attempt| attempt.task == tick && attempt.began > since);
    let late = last.clone().map(|attempt| (attempt.began - seen.world.begins_at) % 1_000);
    (last.count(), late.max().unwrap_or(0))
}
