//! What travels between the engine and a backend: plain values, one per task or run of a batch.
//!
//! The values that a backend is given, and the answers it chooses from, are not `#[non_exhaustive]`: a backend has to heed
//! every one of them, so a new one must not pass unseen.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use crate::TaskName;
use crate::outcome::Outcome;
use crate::run::{Missed, Origin, RunId, RunState};

/// A task as the store knows it: cheap to send and to look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey(pub u64);

/// The fencing token of a claim: each claim of a run has a higher one, and only the highest may finish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Who holds runs, and for how long after its last heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The node, one name for each start of a scheduler: a restarted node is another holder.
    pub node: Arc<str>,
    /// How long after a heartbeat the node's runs stay its own.
    pub lease: Duration,
}

/// A task to be made known.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The task's name.
    pub name: TaskName,
    /// The one instant of a task that has only one. At first sight its mark is put before it, so that it is accounted
    /// for although it may be past.
    pub only: Option<Timestamp>,
}

/// A task that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its key in this store.
    pub key: TaskKey,
    /// The last instant that has fired; at first sight the store's present, or what lies just before its only instant.
    pub mark: Timestamp,
    /// The instant of the first registration, from which an interval without `start` counts.
    pub anchor: Timestamp,
}

/// One step of a task's mark: the run that comes of it, if any, and what it passes over.
#[derive(Clone, Debug)]
pub struct Firing {
    /// The step's id, chosen by the caller and the id of its run: by it a repeated call is recognised.
    pub id: RunId,
    /// The task.
    pub task: TaskKey,
    /// Where the caller believes the mark to stand; if it stands elsewhere, nothing is done.
    pub mark: Timestamp,
    /// Where the mark will stand.
    pub advance_to: Timestamp,
    /// The run to insert.
    pub run: Option<NewRun>,
    /// Occurrences of the step that become no run.
    pub passed: Option<Record>,
}

/// A run to be inserted. Its key is (task, `origin`, `scheduled_at`).
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Why it exists.
    pub origin: Origin,
    /// The nominal instant.
    pub scheduled_at: Timestamp,
    /// The nominal instant plus jitter: the store refuses what its own clock has not reached.
    pub due_at: Timestamp,
    /// What it stands for besides itself.
    pub missed: Option<Missed>,
    /// With this many runs of the task alive the occurrence is recorded as an overlap; `None` is no limit.
    pub alive_max: Option<u32>,
    /// After this instant of the store's clock the occurrence is a misfire, and not accepted as it is; `None` is never.
    pub accept_until: Option<Timestamp>,
}

/// What became of a [`Firing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The run exists, held by the caller under this token.
    Claimed(Token),
    /// The task was full; the occurrence is recorded as an overlap with this run.
    Overlapped(RunId),
    /// No run was asked for, and what was passed over is recorded.
    Recorded,
    /// Somebody else advanced the mark, to here; nothing was done.
    MarkMoved(Timestamp),
    /// The run is due after the store's clock, which says this; nothing was done.
    Early(Timestamp),
    /// The store's clock, which says this, is past the instant until which the run is accepted; nothing was done.
    Late(Timestamp),
}

/// A claim of runs whose holder's lease has run out.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The number of the claim, another for each of its holder's: by it a repeated call is recognised, and answered with
    /// the runs that it had got.
    pub number: u64,
    /// Only runs of these tasks are wanted.
    pub tasks: Arc<[TaskKey]>,
    /// At most this many.
    pub max: usize,
}

/// A run taken over from a holder whose lease ran out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Its task.
    pub task: TaskKey,
    /// Its id.
    pub id: RunId,
    /// The new token.
    pub token: Token,
    /// Why it exists.
    pub origin: Origin,
    /// The nominal instant.
    pub scheduled_at: Timestamp,
    /// The nominal instant plus jitter.
    pub due_at: Timestamp,
    /// What it stands for besides itself.
    pub missed: Option<Missed>,
    /// Which attempt begins now, counted from 1.
    pub attempt: u32,
}

/// The end of a run.
#[derive(Clone, Debug)]
pub struct Finish {
    /// Its task.
    pub task: TaskKey,
    /// Its id.
    pub id: RunId,
    /// The token under which it was held.
    pub token: Token,
    /// How it ended.
    pub outcome: Outcome,
    /// When its attempt began; `None` if it never did.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// What became of a [`Finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The run has ended and is in the history.
    Done,
    /// The token is stale, or the run had ended: nothing was changed.
    Stale,
}

/// Which runs to list.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RunQuery {
    /// Only runs of this task.
    pub task: Option<TaskKey>,
    /// At most this many; `None` lists all that are kept.
    pub limit: Option<usize>,
}

impl RunQuery {
    /// All runs of one task.
    #[must_use]
    pub const fn of(task: TaskKey) -> Self {
        Self { task: Some(task), limit: None }
    }
}

/// A run as the store shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunRow {
    /// Its task.
    pub task: TaskKey,
    /// Its id.
    pub id: RunId,
    /// Why it exists.
    pub origin: Origin,
    /// The nominal instant.
    pub scheduled_at: Timestamp,
    /// The nominal instant plus jitter.
    pub due_at: Timestamp,
    /// Where it stands.
    pub state: RunState,
    /// Its latest attempt, counted from 1.
    pub attempt: u32,
    /// When its last attempt began; `None` until it has ended, and for a run that ended without one.
    pub started_at: Option<Timestamp>,
    /// When it ended; `None` while it is alive.
    pub finished_at: Option<Timestamp>,
    /// The error of a failed run.
    pub failure: Option<Box<str>>,
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
            state: RunState::Running,
            attempt: 1,
            started_at: None,
            finished_at: None,
            failure: None,
        }
    }
}

/// Why occurrences did not run: a span, which the next one with the same reason extends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Why.
    pub reason: Reason,
    /// The first instant of the span.
    pub first: Timestamp,
    /// The last instant of the span.
    pub last: Timestamp,
    /// How many occurrences it counts.
    pub count: u64,
}

impl Record {
    /// One occurrence that did not run.
    #[must_use]
    pub const fn one(reason: Reason, at: Timestamp) -> Self {
        Self { reason, first: at, last: at, count: 1 }
    }

    /// `count` occurrences from `first` to `last`.
    #[must_use]
    pub const fn span(reason: Reason, first: Timestamp, last: Timestamp, count: u64) -> Self {
        Self { reason, first, last, count }
    }

    /// Adds `other`, which has the same reason and follows.
    pub fn extend(&mut self, other: &Self) {
        debug_assert_eq!(self.reason, other.reason, "a span has one reason");
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.count += other.count;
    }
}

/// Why an occurrence did not become a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// As many runs of the task were alive as are allowed.
    Overlap,
    /// Nobody could start it in time; of occurrences that are missed together only the newest may run, for all of them.
    Missed,
    /// It was past when its task was first seen.
    PastAtFirstSight,
    /// The clock had been set back, and showed again an instant that had fired.
    ClockSetBack,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overlap => "overlap: as many runs of the task were alive as are allowed",
            Self::Missed => {
                "missed: nobody could start it in time, and of those missed together only the newest may run"
            }
            Self::PastAtFirstSight => "past when its task was first seen",
            Self::ClockSetBack => "the clock was set back and showed it a second time",
        })
    }
}

/// What became of all occurrences: exact, and never pruned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ledger {
    /// Occurrences that fell due.
    pub occurrences: u64,
    /// Those that became runs.
    pub runs: u64,
    /// Those that are counted in a record which says why not.
    pub recorded: u64,
}

impl Ledger {
    /// Whether every occurrence is accounted for: `occurrences = runs + recorded`.
    #[must_use]
    pub const fn balances(&self) -> bool {
        self.occurrences == self.runs + self.recorded
    }

    /// Counts an occurrence that became a run.
    pub const fn count_run(&mut self) {
        self.occurrences += 1;
        self.runs += 1;
    }

    /// Counts occurrences that are in a record.
    pub const fn count_recorded(&mut self, count: u64) {
        self.occurrences += count;
        self.recorded += count;
    }

    /// Adds the counts of `other`.
    pub const fn add(&mut self, other: Self) {
        self.occurrences += other.occurrences;
        self.runs += other.runs;
        self.recorded += other.recorded;
    }
}
