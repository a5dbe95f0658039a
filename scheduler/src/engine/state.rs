//! What the engine knows: each task's mark and next step, how many runs it holds, what it still owes the backend.
//!
//! Only [`decide`](super::decide) changes it.

use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::timer::Timer;
use crate::backend::{Capabilities, Finish, Registered};
use crate::run::{RunId, RunIds};
use crate::task::{LiveTask, TaskName};

/// What is due together goes to the backend together, in batches of at most this many: large enough to make the cost
/// of a call vanish, small enough that the first of a great many starts while the last is still being prepared.
pub(super) const BATCH_MAX: usize = 256;

/// A `once` that is past at first sight still runs if it is at most this old and the backend is durable.
const PAST_ONCE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// All that the engine knows.
pub(crate) struct State {
    pub(super) tasks: Vec<TaskState>,
    pub(super) timer: Timer,
    pub(super) ids: RunIds,
    pub(super) misfire_grace: Duration,
    /// How many runs may be held: `max_workers` that execute and `queue_size` that wait.
    pub(super) held_max: usize,
    /// Runs that are held, from the decision to enqueue until their end is stored.
    pub(super) held: usize,
    /// Room that is kept for the runs which a claim under way may bring.
    pub(super) claiming: usize,
    /// How many claims were made, which is the number of the last.
    pub(super) claims: u64,
    /// Firings that the backend has not answered.
    pub(super) enqueueing: usize,
    pub(super) finishing: bool,
    /// Ends that are not stored yet; never more than `held`.
    pub(super) to_finish: Vec<Finish>,
    pub(super) phase: Phase,
    /// Runs that the stop has cancelled.
    pub(super) cancelled: Vec<CancelledRun>,
    /// Runs whose end could not be stored before the stop gave up.
    pub(super) unstored: usize,
}

/// The present.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// What the wall clock says: schedules go by it.
    pub(crate) wall: Timestamp,
    /// How much time has passed since the engine began: timeouts go by it, whatever is done to the wall clock.
    pub(crate) passed: Duration,
}

/// How far a stop has come, with the time that will have passed at its next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Firing,
    Draining { cancel_at: Duration, abort_at: Duration },
    Cancelling { abort_at: Duration },
    Aborting { give_up_at: Duration },
    Over,
}

/// One task.
pub(super) struct TaskState {
    pub(super) live: Arc<LiveTask>,
    pub(super) mark: Timestamp,
    pub(super) next: Next,
    /// When the timer is to look at it; an entry of the timer with another instant is stale.
    pub(super) wake: Timestamp,
}

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The first occurrence after its mark.
    Ahead(Timestamp),
    /// An instant not after its mark, which the clock, set back, is about to show again.
    Again(Timestamp),
    /// Its one instant, which was past when it was first seen, and which runs all the same.
    LateOnce(Timestamp),
    /// Its one instant, which was past when it was first seen, and which is recorded.
    PastOnce(Timestamp),
    /// The backend's answer.
    Answer,
    /// Nothing any more.
    Over,
}

/// A run that a stop has cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CancelledRun {
    /// The task's name.
    pub task: TaskName,
    /// The run.
    pub id: RunId,
    /// The nominal instant.
    pub scheduled_at: Timestamp,
    /// Whether its body had begun.
    pub began: bool,
    /// Whether its body could not be stopped, because it never came to an await, and goes on.
    pub stuck: bool,
}

/// What a stop has left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopReport {
    /// Runs that were accepted and could not end in time.
    pub cancelled: Vec<CancelledRun>,
    /// How many runs ended without the backend having stored how: it could not be reached.
    pub unstored: usize,
}

impl StopReport {
    /// Whether every accepted run ended by itself and was stored.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.cancelled.is_empty() && self.unstored == 0
    }
}

impl State {
    pub(crate) fn new(ids: RunIds, misfire_grace: Duration, held_max: usize) -> Self {
        Self {
            tasks: Vec::new(),
            timer: Timer::default(),
            ids,
            misfire_grace,
            held_max,
            held: 0,
            claiming: 0,
            claims: 0,
            enqueueing: 0,
            finishing: false,
            to_finish: Vec::new(),
            phase: Phase::Firing,
            cancelled: Vec::new(),
            unstored: 0,
        }
    }

    /// Adds a task that the backend has registered.
    pub(crate) fn add(&mut self, live: Arc<LiveTask>, registered: &Registered, backend: Capabilities) {
        let mark = registered.mark;
        let next = match live.plan.only() {
            Some(at) if mark < at && at <= registered.anchor => {
                if backend.durable && registered.anchor.since(at) <= PAST_ONCE_MAX {
                    Next::LateOnce(at)
                } else {
                    Next::PastOnce(at)
                }
            }
            _ => live.plan.next(mark).map_or(Next::Over, Next::Ahead),
        };
        let index = u32::try_from(self.tasks.len()).expect("a scheduler has fewer than 2^32 tasks");
        self.tasks.push(TaskState { live, mark, next, wake: Timestamp::MAX });
        self.arm(index, next);
    }

    /// Has the timer look at the task when what it waits for is due.
    pub(super) fn arm(&mut self, task: u32, next: Next) {
        let at = match next {
            Next::Ahead(at) | Next::Again(at) | Next::LateOnce(at) | Next::PastOnce(at) => at,
            Next::Answer | Next::Over => Timestamp::MAX,
        };
        self.arm_at(task, next, at);
    }

    pub(super) fn arm_at(&mut self, task: u32, next: Next, wake: Timestamp) {
        let state = &mut self.tasks[task as usize];
        (state.next, state.wake) = (next, wake);
        if !matches!(next, Next::Answer | Next::Over) {
            self.timer.wake(task, wake);
        }
    }

    /// How many more runs may be held.
    pub(super) fn room(&self) -> usize {
        self.held_max.saturating_sub(self.held + self.claiming)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// What the stop has left behind, once it is over.
    pub(crate) fn take_stop_report(&mut self) -> StopReport {
        StopReport { cancelled: std::mem::take(&mut self.cancelled), unstored: self.unstored }
    }
}
