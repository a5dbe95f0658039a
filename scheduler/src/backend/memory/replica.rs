//! A store as a state machine: the same calls at the same moments make the same store, wherever they are made.
//!
//! It reads no clock. A moment is what its owner's clock showed, and how much time had passed for the store, which goes on
//! under the next owner where it stood: while there was none, no lease has run.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::store::Store;
use super::store::image::Part;
pub(in crate::backend) use super::store::page::{Further, ListedLetter};
use crate::backend::weight::piece;
use crate::backend::{
    Action, Admission, Cancelled, Changes, Claim, Claims, Command, Enqueued, Finish, Firing, Holder, Holding,
    LETTERS_LISTED, Ledger, Left, LetterQuery, LetterRow, NamedTask, NewAction, NewJob, NodeRow, Record, Registered,
    Registration, RunLog, RunQuery, RunRow, RunRows, Stored, Submission, Submitted, TaskKey, Unregistration,
};
use crate::clock::Clock;
use crate::run::RunId;

/// How many sets of tasks are remembered, and how many tasks in all of them: those that nodes name in their claims. The least used
/// go first, and whoever names one of these tells it again.
const SETS_MAX: usize = 256;
const SETS_TASKS_MAX: usize = 1_000_000;

/// How many rows one answer lists. One that is heavy before has fewer.
const LISTED_MAX: usize = 2_000;

/// How many tasks of a set one message names.
pub(in crate::backend) const NAMED_MAX: usize = 40_000;

/// When a call is made.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(in crate::backend) struct At {
    /// What the clock of the owner showed.
    pub(in crate::backend) now: Timestamp,
    /// How much time had passed for the store. To the nanosecond: a lease that is cut to milliseconds ends one too early.
    pub(in crate::backend) passed_ns: u64,
}

/// A call that changes the store. Those that are repeated change it once.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::backend) enum Call {
    Register {
        holder: Holder,
        tasks: Vec<Registration>,
    },
    Unregister {
        holder: Holder,
        tasks: Vec<Unregistration>,
    },
    Heartbeat {
        holder: Holder,
    },
    Enqueue {
        holder: Holder,
        firings: Vec<Firing>,
    },
    /// Tells which tasks a set is: some of them, after so many that were told before.
    Name {
        set: u64,
        /// How many they are.
        total: usize,
        told: usize,
        tasks: Vec<TaskKey>,
        /// Those of these that are jobs, as a claim names them.
        #[serde(default)]
        jobs: Vec<(TaskKey, u32)>,
    },
    /// A claim of runs of the tasks of a set.
    Claim {
        holder: Holder,
        number: u64,
        set: u64,
        max: usize,
    },
    Finish {
        ended: Vec<Finish>,
    },
    Submit {
        submissions: Vec<Submission>,
    },
    Control {
        command: Command,
    },
    Cancel {
        run: RunId,
    },
    Leave {
        holder: Holder,
    },
    EndUnclaimed {
        waited_ms: u64,
        max: usize,
    },
    EnqueueJobs {
        jobs: Vec<NewJob>,
    },
    /// Has a dead letter run again, as this run.
    RunAgain {
        letter: RunId,
        again: RunId,
    },
    DropLetter {
        letter: RunId,
    },
    Note {
        action: NewAction,
    },
}

/// A call that changes nothing. What has no bound is asked for in pieces.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::backend) enum Question {
    Look {
        tasks: Vec<TaskKey>,
    },
    /// All tasks, from this place on.
    LookAtAll {
        from: u32,
    },
    Lost {
        held: Vec<Holding>,
    },
    Changes {
        since: Option<u64>,
    },
    RunsPage {
        query: RunQuery,
    },
    /// The last run to end of each of these tasks.
    LastEnded {
        tasks: Vec<TaskKey>,
    },
    Log {
        run: RunId,
    },
    Records {
        task: TaskKey,
    },
    Ledger {
        task: TaskKey,
    },
    /// The names of tasks, from this place on.
    Tasks {
        from: u32,
    },
    /// The nodes, after the one of this name.
    Nodes {
        after: Option<Arc<str>>,
    },
    /// Dead letters, after the one that was listed last.
    DeadLetters {
        query: LetterQuery,
        after: Option<ListedLetter>,
    },
    Actions {
        limit: usize,
    },
}

impl Question {
    /// Whether an answer that was true a while ago is wrong now: what somebody who has been replaced, and does not know it,
    /// must not answer.
    pub(in crate::backend) const fn is_about_the_present(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Changes { .. })
    }
}

/// What is answered to a call or a question.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::backend) enum Answer {
    Done,
    Registered(Vec<Registered>),
    /// Where so many of the tasks stand that were asked for, those apart that are not known.
    Looked {
        seen: usize,
        registered: Vec<Registered>,
    },
    /// Where tasks stand, and from which place on there are others.
    LookedAtAll {
        registered: Vec<Registered>,
        next: Option<u32>,
    },
    Beat(Timestamp),
    Admissions(Vec<Admission>),
    Claims(Claims),
    /// The set that a claim names is not known here, or not all of it.
    UnknownSet,
    Stored(Vec<Stored>),
    Submitted(Vec<Submitted>),
    /// What has changed, and which further tasks have.
    Changes {
        changes: Changes,
        further: Further,
    },
    Cancelled(Option<Cancelled>),
    Left(Vec<Left>),
    Ended(usize),
    Lost(Vec<RunId>),
    RunsPage(RunRows),
    /// The last runs to end of so many of the tasks that were asked for, those apart that have none.
    LastEnded {
        seen: usize,
        rows: Vec<RunRow>,
    },
    Log(Option<RunLog>),
    Records(Vec<Record>),
    Ledger(Ledger),
    Tasks {
        tasks: Vec<NamedTask>,
        next: Option<u32>,
    },
    Nodes {
        nodes: Vec<NodeRow>,
        is_last: bool,
    },
    Enqueued(Vec<Enqueued>),
    RunAgain(Option<Enqueued>),
    Dropped(bool),
    /// Dead letters, and after which one there are others.
    Letters {
        letters: Vec<LetterRow>,
        next: Option<ListedLetter>,
    },
    Actions(Vec<Action>),
}

/// A part of an image.
#[derive(Deserialize, Serialize)]
pub(in crate::backend) enum ImagePart {
    Store(Part),
    /// Some of the tasks of a set, after those in the parts before.
    Set {
        set: u64,
        total: usize,
        told: usize,
        tasks: Vec<TaskKey>,
        #[serde(default)]
        jobs: Vec<(TaskKey, u32)>,
    },
}

/// Tasks that nodes name together in their claims.
struct Set {
    id: u64,
    /// How many they are.
    total: usize,
    /// Those that were told.
    tasks: Arc<[TaskKey]>,
    /// Those of them that are jobs.
    jobs: Arc<[(TaskKey, u32)]>,
}

pub(in crate::backend) struct Replica {
    store: Store,
    /// From which the time that passes for the store is counted: any instant, for no clock is asked for it.
    base: Instant,
    /// The last used last.
    sets: VecDeque<Set>,
}

impl Replica {
    /// An empty store.
    pub(in crate::backend) fn new() -> Self {
        Self { store: Store::keeping_all_tasks(), base: Clock::System.monotonic(), sets: VecDeque::new() }
    }

    pub(in crate::backend) fn image(&self) -> Vec<ImagePart> {
        let store = self.store.image(self.base).into_iter().map(ImagePart::Store);
        store.chain(self.sets.iter().flat_map(Set::image)).collect()
    }

    pub(in crate::backend) fn of_image(parts: Vec<ImagePart>) -> Self {
        let (base, mut sets, mut store) = (Clock::System.monotonic(), VecDeque::new(), Vec::with_capacity(parts.len()));
        for part in parts {
            match part {
                ImagePart::Store(part) => store.push(part),
                ImagePart::Set { set, total, told, tasks, jobs } => tell(&mut sets, set, total, told, (&tasks, &jobs)),
            }
        }
        Self { store: Store::of_image(store, base), base, sets }
    }

    /// What becomes of its own image, with the history: from here on it does as everybody does who reads the image.
    pub(in crate::backend) fn going_on_as(self, image: Vec<ImagePart>) -> Self {
        let Self { store, sets, base } = Self::of_image(image);
        Self { store: store.with_history_of(self.store), sets, base }
    }

    /// Has nodes tell again what they claim: an owner that knew no jobs has kept of it what it could read.
    pub(in crate::backend) fn forget_sets(&mut self) {
        self.sets.clear();
    }

    pub(in crate::backend) fn version(&self) -> u64 {
        self.store.version()
    }

    pub(in crate::backend) fn call(&mut self, call: &Call, at: At) -> Answer {
        let (now, present) = (at.now, self.base + Duration::from_nanos(at.passed_ns));
        let store = &mut self.store;
        match call {
            Call::Register { holder, tasks } => {
                let by = store.holder(holder, present);
                Answer::Registered(store.register(by, tasks, now, present))
            }
            Call::Unregister { holder, tasks } => {
                store.unregister(holder, tasks, now);
                Answer::Done
            }
            Call::Heartbeat { holder } => {
                store.heartbeat(holder, present);
                Answer::Beat(now)
            }
            Call::Enqueue { holder, firings } => {
                let by = store.holder(holder, present);
                Answer::Admissions(firings.iter().map(|firing| store.fire(firing, by, now)).collect())
            }
            Call::Name { set, total, told, tasks, jobs } => {
                tell(&mut self.sets, *set, *total, *told, (tasks, jobs));
                Answer::Done
            }
            Call::Claim { holder, number, set, max } => {
                let place = self.sets.iter().position(|known| known.id == *set && known.is_whole());
                let Some(known) = place.and_then(|place| self.sets.remove(place)) else {
                    return Answer::UnknownSet;
                };
                let (number, tasks, jobs) = (*number, Arc::clone(&known.tasks), Arc::clone(&known.jobs));
                let claim = Claim { number, tasks, jobs, max: *max };
                self.sets.push_back(known);
                Answer::Claims(store.claim(holder, &claim, now, present))
            }
            Call::Finish { ended } => Answer::Stored(ended.iter().map(|end| store.finish(end, now)).collect()),
            Call::Submit { submissions } => {
                Answer::Submitted(submissions.iter().map(|submission| store.submit(submission, now)).collect())
            }
            Call::Control { command } => {
                let before = store.version();
                let ended = store.control(command, now);
                let (mut changes, further) = store.changes_page(before);
                if let (Some(_), [changed]) = (&ended, &mut changes.tasks[..]) {
                    changed.ended = ended;
                }
                Answer::Changes { changes, further }
            }
            Call::Cancel { run } => Answer::Cancelled(store.cancel(*run, now)),
            Call::Leave { holder } => Answer::Left(store.leave(holder, true, now, present)),
            Call::EndUnclaimed { waited_ms, max } => {
                Answer::Ended(store.end_unclaimed(Duration::from_millis(*waited_ms), *max, now, present))
            }
            Call::EnqueueJobs { jobs } => Answer::Enqueued(store.enqueue_jobs(jobs, now)),
            Call::RunAgain { letter, again } => Answer::RunAgain(store.run_again(*letter, *again, now)),
            Call::DropLetter { letter } => Answer::Dropped(store.drop_letter(*letter, now)),
            Call::Note { action } => {
                store.note(action.clone(), now);
                Answer::Done
            }
        }
    }

    pub(in crate::backend) fn ask(&self, question: &Question, at: At) -> Answer {
        let store = &self.store;
        match question {
            Question::Look { tasks } => {
                let mut looked = tasks.iter().map(|&task| store.look(task)).peekable();
                let some = piece(&mut looked, LISTED_MAX);
                Answer::Looked { seen: some.len(), registered: some.into_iter().flatten().collect() }
            }
            Question::LookAtAll { from } => {
                let (registered, next) = store.look_at_all(*from);
                Answer::LookedAtAll { registered, next }
            }
            Question::Lost { held } => {
                let lost = held.iter().filter(|run| store.held(run.id, run.token).is_none());
                Answer::Lost(lost.map(|run| run.id).collect())
            }
            Question::Changes { since: Some(since) } => {
                let (changes, further) = store.changes_page(*since);
                Answer::Changes { changes, further }
            }
            Question::Changes { since: None } => Answer::Changes {
                changes: Changes { version: store.version(), ..Changes::default() },
                further: Further::Nothing,
            },
            Question::RunsPage { query } => {
                let mut listed = store.listed(query).peekable();
                let some = piece(&mut listed, LISTED_MAX.min(query.limit.unwrap_or(usize::MAX)));
                let next = some.last().map(|&(place, _)| place).filter(|_| listed.peek().is_some());
                Answer::RunsPage(RunRows { rows: some.into_iter().map(|(_, row)| row).collect(), next })
            }
            Question::LastEnded { tasks } => {
                let last = |&task: &TaskKey| store.listed(&RunQuery::last_ended_of(task)).next().map(|(_, row)| row);
                let some = piece(&mut tasks.iter().map(last).peekable(), LISTED_MAX);
                Answer::LastEnded { seen: some.len(), rows: some.into_iter().flatten().collect() }
            }
            Question::Log { run } => Answer::Log(store.run_log(*run)),
            Question::Records { task } => Answer::Records(store.records(*task)),
            Question::Ledger { task } => Answer::Ledger(store.ledger(*task)),
            Question::Tasks { from } => {
                let (tasks, next) = store.named_from(*from, LISTED_MAX);
                Answer::Tasks { tasks, next }
            }
            Question::Nodes { after } => {
                let nodes = store.nodes(at.now, self.base + Duration::from_nanos(at.passed_ns));
                let is_after = |node: &NodeRow| after.as_ref().is_none_or(|after| node.node > *after);
                let mut nodes = nodes.into_iter().filter(is_after).peekable();
                let some = piece(&mut nodes, LISTED_MAX);
                Answer::Nodes { nodes: some, is_last: nodes.peek().is_none() }
            }
            // They are few, and short.
            Question::Actions { limit } => Answer::Actions(store.actions(*limit)),
            Question::DeadLetters { query, after } => {
                let mut listed = store.letters_after(query, *after, at.now).peekable();
                let some = piece(&mut listed, LISTED_MAX.min(query.limit.unwrap_or(LETTERS_LISTED)));
                let last = some.last().map(|&(place, _)| place).filter(|_| listed.peek().is_some());
                Answer::Letters { letters: some.into_iter().map(|(_, letter)| letter).collect(), next: last }
            }
        }
    }
}

impl Set {
    fn is_whole(&self) -> bool {
        self.tasks.len() == self.total
    }

    fn image(&self) -> impl Iterator<Item = ImagePart> {
        let (set, total) = (self.id, self.total);
        let parts = self.tasks.chunks(NAMED_MAX).enumerate();
        parts.map(move |(part, tasks)| {
            let jobs = jobs_of(&self.jobs, tasks).to_vec();
            ImagePart::Set { set, total, told: part * NAMED_MAX, tasks: tasks.to_vec(), jobs }
        })
    }
}

/// Those of some tasks that are jobs, of all that are: both are in ascending order.
pub(in crate::backend) fn jobs_of<'a>(jobs: &'a [(TaskKey, u32)], tasks: &[TaskKey]) -> &'a [(TaskKey, u32)] {
    let (Some(first), Some(last)) = (tasks.first(), tasks.last()) else { return &[] };
    let from = jobs.partition_point(|(task, _)| task < first);
    let to = jobs.partition_point(|(task, _)| task <= last);
    &jobs[from..to.max(from)]
}

/// Some tasks of a set are told, after those that were told before, and which of them are jobs. What is told again, or out of turn,
/// changes nothing: several nodes may tell one set at once, and each tells all of it in order.
fn tell(sets: &mut VecDeque<Set>, id: u64, total: usize, told: usize, (tasks, jobs): (&[TaskKey], &[(TaskKey, u32)])) {
    match sets.iter().position(|known| known.id == id) {
        Some(place) if sets[place].tasks.len() == told => {
            let before = sets.remove(place);
            let (known, known_jobs) =
                before.iter().map(|before| (&*before.tasks, &*before.jobs)).next().unwrap_or_default();
            let (tasks, jobs) = ([known, tasks].concat().into(), [known_jobs, jobs].concat().into());
            sets.push_back(Set { id, total, tasks, jobs });
        }
        None if told == 0 => sets.push_back(Set { id, total, tasks: tasks.into(), jobs: jobs.into() }),
        _ => return,
    }
    // One that is larger than all may be together is there alone.
    while sets.len() > 1
        && (sets.len() > SETS_MAX || sets.iter().map(|set| set.tasks.len()).sum::<usize>() > SETS_TASKS_MAX)
    {
        sets.pop_front();
    }
}

#[cfg(test)]
mod replay;
#[cfg(all(test, feature = "conformance"))]
mod tests;
