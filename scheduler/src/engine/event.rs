//! What the engine is told, and what it decides to do.

use std::collections::HashSet;
use std::sync::Arc;

use super::notice::Notice;
use crate::backend::{
    Admission, Changes, Claims, Finish, Firing, Holding, Ledger, Left, Record, Registered, Stored, TaskKey,
    Unregistration,
};
use crate::clock::ClockStep;
use crate::executor::{Ended, Job, RunningRun};
use crate::outcome::CancelCause;
use crate::run::RunId;
use crate::task::{LiveTask, TaskName};

/// Something that happened.
pub(crate) enum Event {
    /// Time has passed.
    Woke,
    /// The wall clock was set, or the machine was suspended.
    ClockStepped(ClockStep),
    /// The backend has answered about a batch of firings.
    Enqueued(Batch, Vec<Admission>),
    /// The backend has handed over runs.
    Claimed(Claims),
    /// Attempts have ended.
    Ended(Vec<Ended>),
    /// Runs that waited for a worker were taken back before they began.
    Withdrawn(Vec<Job>),
    /// The backend has stored the ends of attempts.
    Stored(Vec<Finish>, Vec<Stored>),
    /// Others have taken over these runs, while the node had lost contact with the store.
    Lost(HashSet<Holding>),
    /// Something has changed in the store, by this node or another.
    Changed(Changes),
    /// Runs wait in the store that may be claimed now.
    Runnable,
    /// A task is added to those that fire.
    Added(Arc<LiveTask>, Box<Registered>),
    /// A task is declared otherwise than before.
    #[cfg(feature = "config")]
    Redeclared(Arc<LiveTask>, Box<Registered>),
    /// A task is not to fire any more.
    Removed(TaskKey),
    /// The store knows that tasks were removed.
    Unregistered,
    /// The scheduler is asked to stop: let runs end, within a time.
    Drain(std::time::Duration),
    /// The scheduler is asked to stop now.
    StopNow,
    /// The time of a stop is over, and these runs still execute, because their bodies never come to an await.
    GaveUp(Vec<RunningRun>),
    /// The backend has taken leave; these runs were waiting, and nothing outlives this.
    Left(Vec<Left>),
}

/// Firings, and the numbers of their tasks.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) tasks: Vec<u32>,
    pub(crate) firings: Vec<Firing>,
}

/// What is to be done. Collected over several events, and carried out in the order of the fields.
#[derive(Default)]
pub(crate) struct Actions {
    /// Take back the runs of these tasks that have not begun; the answer is an [`Event::Withdrawn`].
    pub(crate) withdraw: Vec<(Arc<LiveTask>, Withdraw)>,
    /// Store these; the answer is an [`Event::Stored`].
    pub(crate) finish: Vec<Finish>,
    /// Look where these tasks stand; the answer is an [`Event::Changed`].
    pub(crate) look: Vec<TaskKey>,
    /// Fire these; the answer is an [`Event::Enqueued`].
    pub(crate) enqueue: Option<Batch>,
    /// Give these up; the answer is an [`Event::Unregistered`].
    pub(crate) unregister: Vec<Unregistration>,
    /// Execute these; each comes back in an [`Event::Ended`].
    pub(crate) start: Vec<Job>,
    /// Give these up, where they are held here: they are another's.
    pub(crate) lose: Option<HashSet<Holding>>,
    /// Cancel these, where they execute here.
    pub(crate) cancel: Vec<(RunId, CancelCause)>,
    /// What to do about all runs that execute.
    pub(crate) end_running: Option<EndRunning>,
    /// Measure the offset to the store's clock: it has refused a firing.
    pub(crate) measure: bool,
    /// Take leave of the backend; the answer is an [`Event::Left`].
    pub(crate) leave: bool,
    /// A mark was put back: what is said of a clock that repeats itself may be over.
    pub(crate) mark_is_put_back: bool,
    /// What to add to the counts that the program sees.
    pub(crate) counted: Counted,
    /// What a person should know.
    pub(crate) notices: Vec<Notice>,
    /// Whether the ends of runs, which the log does not tell again, are to be among the notices: somebody listens.
    pub(crate) with_ends: bool,
}

impl Actions {
    /// The store has recorded why occurrences of `task` are no runs.
    pub(super) fn recorded(&mut self, task: &TaskName, record: Record) {
        self.counted.ledger.count_recorded(record.count);
        self.notices.push(Notice::Recorded { task: task.clone(), record });
    }
}

/// Which of a task's runs are taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withdraw {
    /// Those that a pause holds back.
    Held,
    /// All.
    All,
}

/// What to do about runs that execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndRunning {
    /// Ask them to end.
    Ask,
    /// Drop them at their next await.
    Abort,
    /// Give up on those that never come to one: an [`Event::GaveUp`] names them.
    GiveUp,
}

/// What is added to the scheduler's counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) ledger: Ledger,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) retried: u64,
}

impl Counted {
    pub(crate) const fn add(&mut self, other: Self) {
        self.ledger.add(other.ledger);
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.retried += other.retried;
    }
}
