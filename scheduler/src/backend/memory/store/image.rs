//! All that a store has, of the history of ended runs but the newest, as values that can be written down and become a store again.
//!
//! Of a store and of the one that its image becomes the same steps make the same: so whoever makes an image goes on with what
//! becomes of it, and so does everybody who reads it. Places of tasks, groups and holders are kept, for keys and rows name them;
//! slots of runs are not, and what may be claimed is worked out anew.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::alive::{Begun, Links};
use super::control::Log;
use super::holders::HolderRow;
use super::jobs::image::JobImage;
use super::owners::{Neighbours, Owner};
use super::{AliveRun, GroupRow, Operator, Seldom, Step, Store, TaskRow, index, number};
use crate::TaskName;
use crate::backend::memory::history::Kept;
use crate::backend::weight::{TIMETABLE, Weigh, all_pieces};
use crate::backend::{Action, Ledger, Pause, Record, Refusal, RunLog, RunRow, TaskRules, Token};
use crate::outcome::CancelCause;
use crate::run::{RunId, RunState};
use crate::schedule::Timetable;

/// How many tasks or runs one part of an image holds: few enough that nobody waits long for it. One that is heavy has fewer.
const PART_MAX: usize = 500;

/// How many numbers of tasks, or ids of jobs that are gone, one part holds.
const NUMBERS_MAX: usize = 50_000;

/// How many of the runs that ended last, over all tasks, are in an image beside the last of each task: a page or two for whoever
/// looks, and small beside what has to be in it.
const ENDED_MAX: usize = 2_000;

/// How much of what runs wrote to the log is in an image: that of those which ended last.
const LOG_BYTES_MAX: usize = 1 << 20;

/// A part of an image. The first is the head, groups and holders come before tasks, and tasks before the others.
#[derive(Deserialize, Serialize)]
pub(in crate::backend) enum Part {
    Head(Box<Head>),
    Groups(Vec<GroupImage>),
    Holders(Vec<HolderImage>),
    Tasks(Vec<TaskImage>),
    /// Tasks that no node has, the first given up before the others.
    Unowned(Vec<u32>),
    Jobs(Vec<JobImage>),
    /// Jobs that were there, the first to go first.
    GoneJobs(Vec<RunId>),
    Runs(Vec<RunImage>),
    /// Runs that have ended, in the order in which they did.
    Ended(Vec<EndedImage>),
    /// What people have asked for, the oldest first.
    Actions(Vec<Action>),
}

#[derive(Clone, Deserialize, Serialize)]
pub(in crate::backend) struct EndedImage {
    row: RunRow,
    log: Option<RunLog>,
    /// The number of its end; 0 of a run of an older program, which did not number them.
    #[serde(default)]
    end: u64,
}

#[derive(Deserialize, Serialize)]
pub(in crate::backend) struct Head {
    log: Log,
    made: u64,
    submitted: VecDeque<RunId>,
    pause_of_all: Option<Pause>,
    all_resumed_at: Option<Timestamp>,
    /// How many jobs were made; it was not said before there were any.
    #[serde(default)]
    jobs_made: u64,
    /// The number of the last end; it was not said before ends had numbers.
    #[serde(default)]
    last_end: u64,
}

#[derive(Deserialize, Serialize)]
pub(in crate::backend) struct GroupImage {
    name: Arc<str>,
    max: u32,
}

#[derive(Deserialize, Serialize)]
pub(in crate::backend) struct HolderImage {
    node: Arc<str>,
    tzdb: Box<str>,
    lease_ms: u64,
    silence_max_ms: u64,
    last_beat_ns: u64,
    in_contact_since_ns: u64,
    has_left: bool,
    last_claim: Option<u64>,
}

#[derive(Deserialize, Serialize)]
pub(in crate::backend) struct TaskImage {
    name: TaskName,
    generation: u32,
    owners: Vec<(u32, u64, bool)>,
    /// Up to which version each of them reads arguments; it was not said before there were jobs.
    #[serde(default)]
    reads: Vec<u32>,
    rules: TaskRules,
    declared: Arc<Timetable>,
    rescheduled: Option<Arc<Timetable>>,
    since: Timestamp,
    declared_at: Timestamp,
    mark: Timestamp,
    last_step: Option<(RunId, StepImage)>,
    anchor: Timestamp,
    operator: Option<OperatorImage>,
    resumed_at: Option<Timestamp>,
    group: Option<u32>,
    ledger: Ledger,
    last_start: Option<Timestamp>,
    last_success: Option<Timestamp>,
    last_end: Option<Timestamp>,
    failed_in_a_row: u32,
    records: Vec<Record>,
    behind: Option<Timestamp>,
}

#[derive(Deserialize, Serialize)]
enum StepImage {
    Run,
    Recorded(Refusal),
    Passed,
}

#[derive(Deserialize, Serialize)]
enum OperatorImage {
    Paused(Pause),
    Resumed,
}

#[derive(Deserialize, Serialize)]
pub(in crate::backend) struct RunImage {
    row: RunRow,
    token: Token,
    holder: Option<u32>,
    claim: Option<(u64, RunState)>,
    abandoned: u32,
    put_off_by: Option<u32>,
    deaths: u32,
    beside: bool,
    number: u64,
    cancelling: Option<CancelCause>,
    log: Option<RunLog>,
}

impl Store {
    /// The parts of its image; instants of the time that passes are told as nanoseconds after `base`.
    pub(in super::super) fn image(&self, base: Instant) -> Vec<Part> {
        let head = Head {
            log: self.log.clone(),
            made: self.alive.made(),
            submitted: self.submitted.in_order.clone(),
            pause_of_all: self.pause_of_all.clone(),
            all_resumed_at: self.all_resumed_at,
            jobs_made: self.jobs.made(),
            last_end: self.history.last_end(),
        };
        let mut parts = vec![Part::Head(Box::new(head))];
        let groups = self.groups.iter().map(|group| GroupImage { name: Arc::clone(&group.name), max: group.max });
        parts.extend(all_pieces(groups, PART_MAX).map(Part::Groups));
        let holders = self.holders.iter().map(|holder| holder.image(base));
        parts.extend(all_pieces(holders, PART_MAX).map(Part::Holders));
        parts.extend(all_pieces(self.tasks.iter().map(TaskRow::image), PART_MAX).map(Part::Tasks));
        let unowned = self.unowned.in_order(&self.tasks);
        parts.extend(unowned.chunks(NUMBERS_MAX).map(|tasks| Part::Unowned(tasks.to_vec())));
        parts.extend(all_pieces(self.jobs.image(), PART_MAX).map(Part::Jobs));
        parts.extend(self.jobs.gone().chunks(NUMBERS_MAX).map(|ids| Part::GoneJobs(ids.to_vec())));
        // Those of a task that have begun, in the order in which they did; then those that have not, as they were accepted.
        let begun = self.tasks.iter().flat_map(|task| task.begun.iter(&self.alive));
        let mut runs: Vec<&AliveRun> = begun.map(|slot| self.alive.get(slot)).collect();
        let mut queued: Vec<_> = self.alive.iter().filter(|run| run.row.state == RunState::Queued).collect();
        queued.sort_unstable_by_key(|run| run.number);
        runs.append(&mut queued);
        let runs = runs.into_iter().map(|run| run.image(self.run_log(run.row.id)));
        parts.extend(all_pieces(runs, PART_MAX).map(Part::Runs));
        parts.extend(all_pieces(self.newest_ended().into_iter(), PART_MAX).map(Part::Ended));
        parts.extend(all_pieces(self.actions.image(), PART_MAX).map(Part::Actions));
        parts
    }

    /// The runs that ended last, and of each task the last: how that ended is told with the task. In the order of their ends.
    fn newest_ended(&self) -> Vec<EndedImage> {
        let newest = self.history.all_below(u64::MAX).enumerate();
        let is_last = |row: &RunRow| {
            let last = self.history.latest_row(&self.tasks[index(row.task)].kept);
            last.is_some_and(|last| last.id == row.id)
        };
        let kept = newest.filter(|(place, (_, row))| *place < ENDED_MAX || is_last(row));
        let mut left = LOG_BYTES_MAX;
        let with_log = |(_, (end, row)): (usize, (u64, &RunRow))| {
            let log = self.run_log(row.id).filter(|log| log.text.len() <= left);
            left -= log.as_ref().map_or(0, |log| log.text.len());
            EndedImage { row: row.clone(), log, end }
        };
        let mut ended: Vec<EndedImage> = kept.map(with_log).collect();
        ended.reverse();
        ended
    }

    /// The store of an image.
    pub(in super::super) fn of_image(parts: Vec<Part>, base: Instant) -> Self {
        let mut store = Self::keeping_all_tasks();
        let (mut made, mut last_end) = (0, 0);
        for part in parts {
            match part {
                Part::Head(head) => {
                    (made, last_end) = (head.made, head.last_end);
                    store.jobs.set_made(head.jobs_made);
                    store.log = head.log;
                    store.submitted.ids = head.submitted.iter().copied().collect();
                    store.submitted.in_order = head.submitted;
                    (store.pause_of_all, store.all_resumed_at) = (head.pause_of_all, head.all_resumed_at);
                }
                Part::Groups(groups) => {
                    store.groups.extend(groups.into_iter().map(|group| GroupRow::new(group.name, group.max)));
                }
                Part::Holders(holders) => {
                    store.holders.extend(holders.into_iter().map(|holder| HolderRow::of_image(holder, base)));
                }
                Part::Tasks(tasks) => tasks.into_iter().for_each(|task| store.add_image_of_task(task)),
                Part::Unowned(tasks) => {
                    tasks.into_iter().for_each(|task| store.unowned.push(task, &mut store.tasks));
                }
                Part::Actions(actions) => actions.into_iter().for_each(|action| store.actions.add(action)),
                Part::Jobs(jobs) => jobs.into_iter().for_each(|job| store.jobs.add_image(job)),
                Part::GoneJobs(ids) => store.jobs.add_gone(ids),
                Part::Runs(runs) => runs.into_iter().for_each(|run| store.add_image_of_run(run)),
                Part::Ended(ended) => ended.into_iter().for_each(|EndedImage { row, log, end }| {
                    let id = row.id;
                    let retention = Arc::clone(&store.tasks[index(row.task)].rules.retention);
                    let end = if end == 0 { store.history.last_end() + 1 } else { end };
                    store.history.put(end, row, &retention, &mut store.tasks, |task| &mut task.kept);
                    log.into_iter().for_each(|log| store.history.run_logs.put(id, log));
                }),
            }
        }
        store.alive.set_made(made);
        store.history.set_last_end(last_end);
        store.index_names();
        for group in 0..number(store.groups.len()) {
            store.list_group(group);
        }
        store
    }

    fn add_image_of_task(&mut self, task: TaskImage) {
        // Of whom an older program has not said what he reads he may read all, until he leaves or registers anew.
        let reads = task.reads.into_iter().chain(std::iter::repeat(u32::MAX));
        let mut owners = task.owners.into_iter().zip(reads).map(|(owner, reads)| Owner::new(owner, reads));
        let owner = owners.next();
        let further_owners: Vec<_> = owners.collect();
        let has_seldom = !task.records.is_empty() || !further_owners.is_empty() || task.behind.is_some();
        let seldom = Seldom { records: task.records, further_owners, behind: task.behind };
        if let Some(group) = task.group {
            self.groups[group as usize].tasks += 1;
        }
        self.tasks.push(TaskRow {
            name: task.name,
            generation: task.generation,
            owner,
            neighbours: Neighbours::default(),
            rules: self.rules.one(task.rules),
            declared: task.declared,
            rescheduled: task.rescheduled,
            since: task.since,
            declared_at: task.declared_at,
            mark: task.mark,
            last_step: task.last_step.map(|(id, step)| (id, step.into())),
            anchor: task.anchor,
            operator: task.operator.map(|operator| match operator {
                OperatorImage::Paused(pause) => Operator::Paused(Box::new(pause)),
                OperatorImage::Resumed => Operator::Resumed,
            }),
            resumed_at: task.resumed_at,
            group: task.group,
            begun: Begun::default(),
            waiting: None,
            seldom: has_seldom.then(|| Box::new(seldom)),
            ledger: task.ledger,
            kept: Kept::default(),
            last_start: task.last_start,
            last_success: task.last_success,
            last_end: task.last_end,
            failed_in_a_row: task.failed_in_a_row,
        });
    }

    fn add_image_of_run(&mut self, run: RunImage) {
        let RunImage { row, token, holder, claim, abandoned, put_off_by, deaths, beside, number, cancelling, log } =
            run;
        let (id, task, state, due_at) = (row.id, index(row.task), row.state, row.due_at);
        let links = Links::default();
        let row =
            AliveRun { row, token, holder, claim, abandoned, put_off_by, deaths, beside, number, links, cancelling };
        let slot = self.alive.insert(row);
        self.alive.get_mut(slot).number = number;
        self.by_id.insert(id, slot);
        log.into_iter().for_each(|log| self.history.run_logs.put(id, log));
        if let Some(holder) = holder {
            self.holders[holder as usize].held += 1;
            if let Some(group) = self.tasks[task].group {
                self.groups[group as usize].held += 1;
            }
        }
        match state {
            RunState::Queued => self.enter_waiting(slot),
            // Those whose instant has come are found by the next step.
            RunState::Retrying => _ = self.retrying.insert((due_at, slot)),
            _ => {}
        }
        if state != RunState::Queued {
            self.tasks[task].begun.push(slot, &mut self.alive);
        }
    }

    /// Takes over the history of the store that this one is the image of.
    pub(in super::super) fn with_history_of(mut self, before: Self) -> Self {
        self.history = before.history;
        for (task, before) in self.tasks.iter_mut().zip(before.tasks) {
            task.kept = before.kept;
        }
        self
    }
}

impl TaskRow {
    fn image(&self) -> TaskImage {
        let seldom = self.seldom.as_ref();
        TaskImage {
            name: self.name.clone(),
            generation: self.generation,
            owners: self.owners().map(Owner::parts).collect(),
            reads: self.owners().map(Owner::reads).collect(),
            rules: TaskRules::clone(&self.rules),
            declared: Arc::clone(&self.declared),
            rescheduled: self.rescheduled.clone(),
            since: self.since,
            declared_at: self.declared_at,
            mark: self.mark,
            last_step: self.last_step.map(|(id, step)| (id, step.into())),
            anchor: self.anchor,
            operator: self.operator.as_ref().map(|operator| match operator {
                Operator::Paused(pause) => OperatorImage::Paused((**pause).clone()),
                Operator::Resumed => OperatorImage::Resumed,
            }),
            resumed_at: self.resumed_at,
            group: self.group,
            ledger: self.ledger,
            last_start: self.last_start,
            last_success: self.last_success,
            last_end: self.last_end,
            failed_in_a_row: self.failed_in_a_row,
            records: seldom.map(|seldom| seldom.records.clone()).unwrap_or_default(),
            behind: self.behind(),
        }
    }
}

impl AliveRun {
    fn image(&self, log: Option<RunLog>) -> RunImage {
        RunImage {
            row: self.row.clone(),
            token: self.token,
            holder: self.holder,
            claim: self.claim,
            abandoned: self.abandoned,
            put_off_by: self.put_off_by,
            deaths: self.deaths,
            beside: self.beside,
            number: self.number,
            cancelling: self.cancelling,
            log,
        }
    }
}

impl HolderRow {
    fn image(&self, base: Instant) -> HolderImage {
        let since = |at: Instant| u64::try_from(at.duration_since(base).as_nanos()).unwrap_or(u64::MAX);
        HolderImage {
            node: Arc::clone(&self.node),
            tzdb: self.tzdb.into(),
            lease_ms: millis(self.lease),
            silence_max_ms: millis(self.silence_max),
            last_beat_ns: since(self.last_beat),
            in_contact_since_ns: since(self.in_contact_since),
            has_left: self.has_left,
            last_claim: self.last_claim,
        }
    }

    fn of_image(image: HolderImage, base: Instant) -> Self {
        Self {
            node: image.node,
            tzdb: crate::backend::declared::known_tzdb(&image.tzdb),
            lease: Duration::from_millis(image.lease_ms),
            silence_max: Duration::from_millis(image.silence_max_ms),
            last_beat: base + Duration::from_nanos(image.last_beat_ns),
            in_contact_since: base + Duration::from_nanos(image.in_contact_since_ns),
            has_left: image.has_left,
            held: 0,
            last_claim: image.last_claim,
        }
    }
}

impl Weigh for GroupImage {
    fn weight(&self) -> usize {
        50 + self.name.len()
    }
}

impl Weigh for HolderImage {
    fn weight(&self) -> usize {
        250 + self.node.len() + self.tzdb.len()
    }
}

impl Weigh for TaskImage {
    fn weight(&self) -> usize {
        let group = self.rules.group.as_ref().map_or(0, |group| group.name.len());
        let pause = if let Some(OperatorImage::Paused(pause)) = &self.operator { pause.weight() } else { 0 };
        let records: usize = self.records.iter().map(Weigh::weight).sum();
        1_000 + 2 * TIMETABLE + self.name.as_str().len() + group + pause + 60 * self.owners.len() + records
    }
}

impl Weigh for RunImage {
    fn weight(&self) -> usize {
        300 + self.row.weight() + self.log.weight()
    }
}

impl Weigh for EndedImage {
    fn weight(&self) -> usize {
        30 + self.row.weight() + self.log.weight()
    }
}

impl From<Step> for StepImage {
    fn from(step: Step) -> Self {
        match step {
            Step::Run => Self::Run,
            Step::Recorded(refusal) => Self::Recorded(refusal),
            Step::Passed => Self::Passed,
        }
    }
}

impl From<StepImage> for Step {
    fn from(step: StepImage) -> Self {
        match step {
            StepImage::Run => Self::Run,
            StepImage::Recorded(refusal) => Self::Recorded(refusal),
            StepImage::Passed => Self::Passed,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;
    use crate::backend::{Command, Group, Holder, Registration};
    use crate::schedule::Schedule;

    /// A part that is too heavy for a message would be no image.
    #[test]
    fn a_task_weighs_what_its_texts_take() {
        let (mut store, now, present) = (Store::default(), Timestamp::from_millis(0), Instant::now());
        let group = Group { name: "g".repeat(5_000).into(), max: 1 };
        let rules = TaskRules { group: Some(group), ..TaskRules::default() };
        let timetable = Arc::new(Timetable::new(Schedule::from_millis(1_000), Tz::UTC));
        let task = Registration { name: TaskName::new("task").expect("a name"), timetable, rules };
        let nodes = (0..50).map(|node| Holder::new(format!("node {node}"), Duration::from_secs(60)));
        let keys = nodes.map(|node| {
            let by = store.holder(&node, present);
            store.register(by, std::slice::from_ref(&task), now, present)[0].key
        });
        let task = keys.last().expect("there are nodes");
        let reason = Some("r".repeat(4_000).into());
        store.control(&Command::Pause { task: Some(task), by: "ada".into(), reason }, now);
        let image = store.tasks[0].image();
        let bytes = serde_json::to_string(&image).expect("it is written").len();
        assert!((bytes..bytes + 5_000).contains(&image.weight()), "{} for {bytes}", image.weight());
    }
}
