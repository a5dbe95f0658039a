//! What the engine is told, and what it decides to do.

use crate::backend::{Admission, Claimed, Finish, Firing, Ledger, Stored};
use crate::clock::ClockStep;
use crate::executor::{Ended, Job, RunningRun};
use crate::task::TaskName;

/// Something that happened.
pub(crate) enum Event {
    /// Time has passed.
    Woke,
    /// The wall clock was set, or the machine was suspended.
    ClockStepped(ClockStep),
    /// The backend has answered about a batch of firings.
    Enqueued(Batch, Vec<Admission>),
    /// The backend has handed over runs of dead nodes.
    TookOver(Vec<Claimed>),
    /// Runs have ended.
    Ended(Vec<Ended>),
    /// The backend has stored the ends of runs.
    Stored(Vec<Finish>, Vec<Stored>),
    /// The scheduler is asked to stop: let runs end, within a time.
    Drain(std::time::Duration),
    /// The scheduler is asked to stop now.
    StopNow,
    /// The time of a stop is over, and these runs still execute, because their bodies never come to an await.
    GaveUp(Vec<RunningRun>),
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
    /// Store these; the answer is an [`Event::Stored`].
    pub(crate) finish: Vec<Finish>,
    /// Fire these; the answer is an [`Event::Enqueued`].
    pub(crate) enqueue: Option<Batch>,
    /// Execute these; each comes back in an [`Event::Ended`].
    pub(crate) start: Vec<Job>,
    /// What to do about runs that execute.
    pub(crate) end_running: Option<EndRunning>,
    /// What to add to the counts that the program sees.
    pub(crate) counted: Counted,
    /// What a person should know.
    pub(crate) notices: Vec<Notice>,
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
}

impl Counted {
    pub(crate) const fn add(&mut self, other: Self) {
        self.ledger.add(other.ledger);
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
    }
}

/// What a person should know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    ClockStepped(ClockStep),
    Misfired { task: TaskName, covered: u64 },
    Overlapped { task: TaskName },
    TakenOver { runs: usize },
    Stale { runs: usize },
}
