//! What travels between the engine and a backend: plain values, one per task or run of a batch.
//!
//! The values that a backend is given, and the answers it chooses from, are not `#[non_exhaustive]`: a backend has to heed
//! every one of them, so a new one must not pass unseen.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::cursor::RunCursor;
use super::declared::TaskKey;
use super::jobs::JobArguments;
use super::record::{Reason, Record};
use crate::TaskName;
use crate::outcome::Outcome;
use crate::run::{Missed, Origin, RunId, RunState};
use crate::schedule::Overlap;

/// The fencing token of a claim: each claim of a run has a higher one, and only the highest may finish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Token(pub u64);

/// One step of a task's mark: the run that comes of it, if any, and what it passes over.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Firing {
    /// The step's id, chosen by the caller and the id of its run: by it a repeated call is recognised.
    pub id: RunId,
    /// The task.
    pub task: TaskKey,
    /// Where the caller believes the mark to stand; if it stands elsewhere, nothing is done.
    pub mark: Timestamp,
    /// Where the mark will stand; it may go back.
    pub advance_to: Timestamp,
    /// Since when the timetable counts by which this was found; if another counts by now, nothing is done.
    pub since: Timestamp,
    /// The run to insert.
    pub run: Option<NewRun>,
    /// Occurrences of the step that become no run.
    pub passed: Option<Record>,
    /// Of a step that is about [instants shown again](Self::shown_again): what the caller believes of
    /// [`Registered::behind`](super::Registered::behind); if it is otherwise, nothing is done.
    pub behind: Option<Timestamp>,
}

impl Firing {
    /// The occurrences behind the mark that a clock which was set back has shown, if this step is about those: it leaves the
    /// mark where it is.
    #[must_use]
    pub fn shown_again(&self) -> Option<&Record> {
        self.passed.as_ref().filter(|_| self.advance_to == self.mark)
    }
}

/// A run to be inserted. Its key is (task, `origin`, `scheduled_at`).
#[derive(Clone, Debug)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct NewRun {
    /// Why it exists.
    pub origin: Origin,
    /// The nominal instant.
    pub scheduled_at: Timestamp,
    /// The nominal instant plus jitter: the store refuses what its own clock has not reached.
    pub due_at: Timestamp,
    /// What it stands for besides itself.
    pub missed: Option<Missed>,
    /// After this instant of the store's clock the occurrence is a misfire, and not accepted as it is; `None` is never.
    pub accept_until: Option<Timestamp>,
}

/// What became of a [`Firing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Admission {
    /// The run exists, held by the caller.
    Claimed(Hold),
    /// The run exists and waits until its task, or its group, has room; a claim will get it.
    Queued {
        /// The run that has to be cancelled for it, under `overlap = "cancel_running"`, wherever it executes.
        cancel: Option<RunId>,
    },
    /// There is no run; the occurrence is recorded.
    Recorded(Refusal),
    /// No run was asked for, and what was passed over is recorded.
    Passed,
    /// As many occurrences have become runs as the task may have: it is no occurrence, and nothing was done.
    Exhausted,
    /// Another timetable counts by now, or somebody else has recorded what was shown again; nothing was done, and the
    /// caller looks again.
    Outdated,
    /// Somebody else advanced the mark, to here; nothing was done. It may also be that somebody else is just about to, where
    /// the caller has been too late before: then it is where the caller believes it to be.
    MarkMoved(Timestamp),
    /// The run is due after the store's clock, which says this; nothing was done.
    Early(Timestamp),
    /// The store's clock, which says this, is past the instant until which the run is accepted; nothing was done.
    Late(Timestamp),
}

/// A run in the caller's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Hold {
    /// The token under which it is held.
    pub token: Token,
    /// The nominal instant of the task's latest successful run.
    pub previous_success: Option<Timestamp>,
}

/// Why a store made no run of an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Refusal {
    /// The task was full, by this run among others.
    Overlap(RunId),
    /// This run waits already, and covers the occurrence.
    CoveredBy(RunId),
    /// As many runs wait as may.
    BufferFull,
    /// The task is paused.
    Paused,
}

impl Refusal {
    /// The reason under which the occurrence is recorded.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Overlap(_) => Reason::Overlap,
            Self::CoveredBy(_) => Reason::Covered,
            Self::BufferFull => Reason::BufferFull,
            Self::Paused => Reason::Paused,
        }
    }

    /// What there is to say of it besides; of a pause the store says it.
    #[must_use]
    pub fn note(self) -> Option<String> {
        match self {
            Self::Overlap(by) => Some(format!("run {by} was alive")),
            Self::CoveredBy(by) => Some(format!("run {by} covers it")),
            Self::BufferFull | Self::Paused => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.note() {
            Some(note) => write!(f, "{} ({note})", self.reason()),
            None => fmt::Display::fmt(&self.reason(), f),
        }
    }
}

/// A claim of runs: those that wait, those whose next attempt is due, and those whose holder's lease has run out.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The number of the claim, larger than that of each claim before it of its holder: by it a repeated call is recognised, and
    /// answered with the runs that it had got and no others, and so is one that was given up and comes after a later claim,
    /// which gets nothing.
    pub number: u64,
    /// Only runs of these tasks are wanted, in ascending order.
    pub tasks: Arc<[TaskKey]>,
    /// Those of them that are jobs, in ascending order, each with the newest version of arguments that the holder can read:
    /// a job with a newer one is not for it, nor is any of a task that is not named here.
    pub jobs: Arc<[(TaskKey, u32)]>,
    /// At most this many.
    pub max: usize,
}

impl Claim {
    /// Whether the claimer can read arguments of this version of this task's jobs.
    #[must_use]
    pub fn reads(&self, task: TaskKey, version: u32) -> bool {
        let found = self.jobs.binary_search_by_key(&task, |&(task, _)| task);
        found.is_ok_and(|place| version <= self.jobs[place].1)
    }

    /// What the claim is to a store whose last one of the same holder had the number `last`.
    pub(crate) fn turn(&self, last: Option<u64>) -> ClaimTurn {
        match last.map(|last| self.number.cmp(&last)) {
            None | Some(Ordering::Greater) => ClaimTurn::New,
            Some(Ordering::Equal) => ClaimTurn::Repeated,
            Some(Ordering::Less) => ClaimTurn::GivenUp,
        }
    }
}

/// What a claim is to a store, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimTurn {
    /// The store has had none of this number, nor of a larger one.
    New,
    /// It was the last, and is asked again: it is told what it got, and gets no more. If it comes late, nobody waits for its
    /// answer either; if not, its holder claims again at once.
    Repeated,
    /// Its holder has claimed since, and waits for no answer to it: what it got nobody would execute.
    GivenUp,
}

/// What a claim has got.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Claims {
    /// The runs.
    pub runs: Vec<Claimed>,
    /// When the next attempt of a run that waits for it is due, or the next job: the time to claim again. That is the present if
    /// others wait whose arguments were too many bytes for one answer, and if a repeated claim might get more as a new one.
    pub next_at: Option<Timestamp>,
}

/// A run that was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Claimed {
    /// Its task.
    pub task: TaskKey,
    /// Its id.
    pub id: RunId,
    /// The new token, and what the run may know of the one before.
    pub hold: Hold,
    /// Why it exists.
    pub origin: Origin,
    /// The nominal instant.
    pub scheduled_at: Timestamp,
    /// When this attempt was due.
    pub due_at: Timestamp,
    /// What it stands for besides itself.
    pub missed: Option<Missed>,
    /// Which attempt begins now, counted from 1.
    pub attempt: u32,
    /// How many of the attempts before ended because their node died or stopped.
    pub abandoned: u32,
    /// Where it was.
    pub was: RunState,
    /// What it is called with, if it is a job.
    pub arguments: Option<Arc<JobArguments>>,
}

/// A run that a node believes to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Holding {
    /// Its task.
    pub task: TaskKey,
    /// The run.
    pub id: RunId,
    /// The token under which the node got it.
    pub token: Token,
}

/// The end of an attempt.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Finish {
    /// Its task.
    pub task: TaskKey,
    /// Its run.
    pub id: RunId,
    /// The token under which it was held.
    pub token: Token,
    /// What becomes of the run.
    pub end: End,
    /// When the attempt began, by the store's clock as the caller knows it; `None` if it never did.
    pub started_at: Option<Timestamp>,
    /// When it ended, by the same.
    pub finished_at: Timestamp,
    /// An excerpt of what it wrote to the log, a few KB at most; `None` if it never began or wrote nothing.
    pub log: Option<Box<str>>,
}

/// What is kept of what a run wrote to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct RunLog {
    /// The attempt that wrote it, counted from 1.
    pub attempt: u32,
    /// The [excerpt](Finish::log).
    pub text: Box<str>,
}

/// What becomes of a run after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum End {
    /// It has ended.
    Final(Outcome),
    /// It has failed, and is tried again.
    Retry {
        /// When the next attempt is due.
        at: Timestamp,
        /// Why this one failed.
        failure: Box<str>,
    },
    /// Its holder gives it back: whoever claims it executes it. The attempt, if it began, does not count.
    HandBack,
}

/// What became of a [`Finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Stored {
    /// It is stored.
    Done {
        /// Whether runs wait that may be claimed now.
        more: bool,
    },
    /// The token is stale, or the run had ended: nothing was changed.
    Stale,
}

/// A run to be made although no occurrence asks for it: by a trigger, a backfill or the start of a node.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Submission {
    /// The id of the run, chosen by the caller: by it a repeated call is recognised.
    pub id: RunId,
    /// Its task.
    pub task: TaskKey,
    /// Why.
    pub origin: Origin,
    /// The nominal instant; `None` is the store's present.
    pub scheduled_at: Option<Timestamp>,
    /// What becomes of it while the task is full; `None` lets it wait, up to [`TRIGGERS_WAITING_MAX`].
    pub overlap: Option<Overlap>,
}

/// How many triggers and runs of backfills may wait for one task: more than anybody waits for, and few enough that a program
/// which triggers faster than its task runs is told so long before its memory, or its store, is full of them.
pub const TRIGGERS_WAITING_MAX: usize = 10_000;

/// What became of a [`Submission`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Submitted {
    /// The run exists and waits to be claimed.
    Queued {
        /// The run that has to be cancelled for it, wherever it executes.
        cancel: Option<RunId>,
    },
    /// There is no run.
    Refused(Refusal),
    /// There is no run: [`TRIGGERS_WAITING_MAX`] triggers and runs of backfills wait already for the task.
    TooMany,
    /// The store knows no such task.
    UnknownTask,
}

/// Which runs to list, and from where on.
///
/// The list has one order on all stores. First come the runs that are alive, those of the latest nominal instant first and of one
/// instant those with the greatest id; then those that have ended, the last to end first.
///
/// It is turned page by page with [`after`](Self::after). From its first page on each run has one place in it: one that ends
/// meanwhile keeps its place among those that are alive. So a run that is there from the first page to the last, and is asked
/// for all the while, is on one page, and on no other, whatever other runs come, end and are pruned. It is no snapshot:
/// of runs that come meanwhile those are listed whose place is behind what was read, runs that are pruned meanwhile are
/// missing, and a run whose [state](Self::states) is asked for at one page and not at the next is missing or not. The one
/// exception is PostgreSQL: a run whose end is on its way to the database while another end, numbered later, is stored, and
/// the list is begun just then, may be listed twice.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct RunQuery {
    /// Only runs of this task.
    pub task: Option<TaskKey>,
    /// Only the run with this id.
    pub id: Option<RunId>,
    /// Only runs in one of these states; none named is all.
    pub states: Vec<RunState>,
    /// Only runs whose nominal instant is this or later.
    pub from: Option<Timestamp>,
    /// Only runs whose nominal instant is this or earlier.
    pub to: Option<Timestamp>,
    /// Only runs behind this place; `None` begins the list.
    pub after: Option<RunCursor>,
    /// At most this many; `None` lists all that are kept.
    pub limit: Option<usize>,
}

impl RunQuery {
    /// All runs of one task.
    #[must_use]
    pub fn of(task: TaskKey) -> Self {
        Self { task: Some(task), ..Self::default() }
    }

    /// The run of a task that was the last to end.
    pub(crate) fn last_ended_of(task: TaskKey) -> Self {
        let states = RunState::ALL.into_iter().filter(|state| state.is_final()).collect();
        Self { states, limit: Some(1), ..Self::of(task) }
    }

    /// Whether a run is among those asked for, its place and the limit apart.
    #[must_use]
    pub fn includes(&self, run: &RunRow) -> bool {
        self.task.is_none_or(|task| run.task == task)
            && self.id.is_none_or(|id| run.id == id)
            && (self.states.is_empty() || self.states.contains(&run.state))
            && self.from.is_none_or(|from| run.scheduled_at >= from)
            && self.to.is_none_or(|to| run.scheduled_at <= to)
    }
}

/// A run as the store shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct RunRow {
    /// Its task.
    pub task: TaskKey,
    /// Its id.
    pub id: RunId,
    /// Why it exists.
    pub origin: Origin,
    /// The nominal instant.
    pub scheduled_at: Timestamp,
    /// The nominal instant plus jitter; of a run that is tried again, the instant of its next attempt.
    pub due_at: Timestamp,
    /// What it stands for besides itself.
    pub missed: Option<Missed>,
    /// Where it stands.
    pub state: RunState,
    /// Its latest attempt, counted from 1.
    pub attempt: u32,
    /// When its last attempt that has ended began, by the store's clock as its node knew it.
    pub started_at: Option<Timestamp>,
    /// When it ended, by the same; `None` while it is alive.
    pub finished_at: Option<Timestamp>,
    /// The error of its last attempt, or why it was cut short.
    pub failure: Option<Box<str>>,
    /// Who holds it, or held it when it ended, by the name of the [`Holder`](super::Holder); `None` of one that nobody held, and of one
    /// that an older program has ended.
    #[cfg_attr(feature = "rabbitmq", serde(default))]
    pub node: Option<Arc<str>>,
}

impl RunRow {
    /// A row of a run that has just been accepted; a backend fills in what came after.
    #[must_use]
    pub fn accepted(id: RunId, task: TaskKey, run: &NewRun) -> Self {
        Self {
            task,
            id,
            origin: run.origin,
            scheduled_at: run.scheduled_at,
            due_at: run.due_at,
            missed: run.missed,
            state: RunState::Running,
            attempt: 1,
            started_at: None,
            finished_at: None,
            failure: None,
            node: None,
        }
    }
}

/// A task that a store knows, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct NamedTask {
    /// Its name.
    pub name: TaskName,
    /// Its key.
    pub key: TaskKey,
}

/// A node as its store sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct NodeRow {
    /// Its name, another for each start.
    pub node: Arc<str>,
    /// How long after a heartbeat its runs stay its own.
    pub lease: Duration,
    /// When it was last heard of, on the store's clock.
    pub seen_at: Timestamp,
    /// Whether it is there.
    pub presence: Presence,
    /// How many runs it holds.
    pub held: u64,
    /// The version of the tz database by which it fires.
    pub tzdb: Arc<str>,
}

/// Whether a node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Presence {
    /// Its lease goes on.
    Alive,
    /// Its lease has run out: it is dead, or cut off.
    Silent,
    /// It has stopped, and has said so.
    Left,
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alive => "alive",
            Self::Silent => "silent",
            Self::Left => "left",
        })
    }
}
