//! What the engine knows: each task's mark and next step, how many runs it holds, what it still owes the backend.
//!
//! Only [`decide`](super::decide) changes it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::deaths::Deaths;
use super::timer::Timer;
use crate::backend::{Capabilities, Finish, Pause, Record, Registered, TaskKey, Unregistration};
use crate::outcome::CancelCause;
use crate::run::{RunId, RunIds};
use crate::schedule::Plan;
use crate::task::{LiveTask, Shown, TaskName};

/// What is due together goes to the backend together, in batches of at most this many: large enough to make the cost
/// of a call vanish, small enough that the first of a great many starts while the last is still being prepared.
pub(super) const BATCH_MAX: usize = 256;

/// A `once` that is past at first sight still runs if it is at most this old and the backend is durable.
const PAST_ONCE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A mark that lies this far ahead of the clock at most is what a node with a better notion of the store's clock has fired
/// just now, and no sign of a clock that was set back.
const CLOCKS_DIFFER_MAX: Duration = Duration::from_secs(1);

/// A mark that is less ahead of the clock may be so because the store's was read a moment later.
const AHEAD_MIN: Duration = Duration::from_secs(1);

/// All that the engine knows.
pub(crate) struct State {
    pub(super) tasks: Vec<TaskState>,
    /// Places of tasks that were removed.
    pub(super) free: Vec<u32>,
    /// What stands in them, so that nothing of those tasks stays.
    pub(super) nobody: Option<Arc<LiveTask>>,
    /// Removed tasks of which the store does not know yet.
    pub(super) to_unregister: Vec<Unregistration>,
    pub(super) unregistering: bool,
    /// The place of each task, made when it is first needed and kept from then on.
    pub(super) places: Option<HashMap<TaskKey, u32>>,
    pub(super) timer: Timer,
    /// Tasks that are due and wait to fire, by priority and instant, with the instant under which they were armed.
    pub(super) ready: BTreeMap<(Reverse<i8>, Timestamp), Vec<u32>>,
    pub(super) ids: RunIds,
    pub(super) misfire_grace: Duration,
    pub(super) is_durable: bool,
    /// Whether any task has ever had a fixed delay: only then the end of a run is looked at for one.
    pub(super) has_delays: bool,
    /// Whether any task has ever had a priority.
    pub(super) has_priorities: bool,
    /// How many runs may be held: `max_workers` that execute and `queue_size` that wait.
    pub(super) held_max: usize,
    /// Runs that are held, from the decision to enqueue until their end is stored.
    pub(super) held: usize,
    pub(super) claims: Claiming,
    /// Firings that the backend has not answered.
    pub(super) enqueueing: usize,
    /// How many batches in a row have met nothing but marks that other nodes had moved.
    pub(super) outrun_in_a_row: u32,
    pub(super) finishing: bool,
    /// Runs whose end is counted and just being stored.
    pub(super) storing: Vec<RunId>,
    pub(super) deaths: Deaths,
    pub(super) doubted: Doubted,
    /// Whether the present is [sure](Now::is_sure).
    pub(super) is_sure: bool,
    /// Ends that are not stored yet; never more than `held`.
    pub(super) to_finish: Vec<Finish>,
    /// What the store has recorded of earlier schedules as tasks were added, and nobody was told of yet.
    pub(super) untold: Vec<(TaskName, Box<Record>)>,
    /// Up to where it is recorded what a clock that was set back has shown again, of the tasks of which something is.
    pub(super) behind: HashMap<TaskKey, Timestamp>,
    /// Runs whose next attempt this node has put off, and that wait for it as far as is known.
    pub(super) put_off: HashMap<RunId, Arc<LiveTask>>,
    /// Cancellations of runs that a call under way may bring.
    pub(super) cancelled_early: Vec<(RunId, CancelCause)>,
    pub(super) phase: Phase,
    /// Runs that the stop has cancelled.
    pub(super) cancelled: Vec<CancelledRun>,
    /// Runs whose end could not be stored before the stop gave up.
    pub(super) unstored: usize,
}

/// Which answers that are under way were perhaps given before the node lost contact with the store.
#[derive(Default)]
pub(super) struct Doubted {
    pub(super) claim: bool,
    pub(super) firings: bool,
}

/// When the engine claims, and what it keeps free for what a claim may bring.
#[derive(Default)]
pub(super) struct Claiming {
    /// Room that is kept for the runs which a claim under way may bring.
    pub(super) room: usize,
    /// Whether a claim is under way.
    pub(super) is_under_way: bool,
    /// How many claims were made, which is the number of the last.
    pub(super) made: u64,
    /// Whether runs wait that may be claimed.
    pub(super) now: bool,
    /// When the next attempt of a run that waits for it is due.
    pub(super) at: Option<Timestamp>,
    /// After how much passed time to look in any case.
    pub(super) look_at: Duration,
    /// How many claims in a row have brought runs that went back at once.
    pub(super) vain: u32,
    /// Before how much passed time not to claim.
    pub(super) not_before: Duration,
}

/// The present.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// What the store's clock says, as far as the node knows: schedules go by it.
    pub(crate) wall: Timestamp,
    /// Whether no clock was set since the store's was measured. Until then nothing fires, and nothing that ends is dated.
    pub(crate) is_sure: bool,
    /// The same moment by the time that passes: what ended then can be dated by it.
    pub(crate) at: Instant,
    /// How much time has passed since the engine began: timeouts go by it, whatever is done to the wall clock.
    pub(crate) passed: Duration,
}

impl Now {
    /// What the store's clock said then, as far as is known by now.
    pub(super) fn date(self, then: Instant) -> Timestamp {
        self.wall.minus(self.at.duration_since(then))
    }
}

/// How far a stop has come, with the time that will have passed at its next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Firing,
    Draining { cancel_at: Duration, abort_at: Duration },
    Cancelling { abort_at: Duration },
    Aborting { give_up_at: Duration },
    Leaving { give_up_at: Duration },
    Over,
}

/// One task.
pub(crate) struct TaskState {
    pub(super) live: Arc<LiveTask>,
    pub(super) plan: Plan,
    pub(super) mark: Timestamp,
    /// The version of the store of which this is known.
    pub(super) version: u64,
    pub(super) next: Next,
    /// When the timer is to look at it; an entry of the timer with another instant is stale.
    pub(super) wake: Timestamp,
    pub(super) pause: Option<Box<Pause>>,
    /// What had fallen due until then, in a pause, is recorded and not caught up.
    pub(super) resumed_at: Option<Timestamp>,
}

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The first occurrence after its mark.
    Ahead(Timestamp),
    /// An instant not after its mark, which the clock, set back, is about to show again.
    Again(Timestamp),
    /// The instant of its fixed delay.
    Delayed(Timestamp),
    /// The end of its scheduled run, from which its fixed delay counts; `None` if another node fired it.
    Awaits(Option<RunId>),
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
///
/// ```
/// use symphra_scheduler::{CancelledRun, StopReport};
///
/// fn told(report: &StopReport) -> Vec<String> {
///     let line = |run: &CancelledRun| match run.stuck {
///         true => format!("{} of {} goes on: it never awaits", run.id, run.scheduled_at),
///         false if run.began => format!("{} of {} was cut short", run.task, run.scheduled_at),
///         false => format!("{} of {} never began", run.task, run.scheduled_at),
///     };
///     report.cancelled.iter().map(line).collect()
/// }
///
/// assert!(told(&StopReport::default()).is_empty());
/// ```
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
///
/// ```
/// use symphra_scheduler::Scheduler;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), symphra_scheduler::Error> {
/// let report = Scheduler::empty().start().await?.stop().await?;
/// assert!(report.is_clean());
/// assert!(report.cancelled.is_empty());
/// # Ok(())
/// # }
/// ```
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
    pub(crate) fn new(ids: RunIds, misfire_grace: Duration, held_max: usize, backend: Capabilities) -> Self {
        Self {
            tasks: Vec::new(),
            free: Vec::new(),
            nobody: None,
            to_unregister: Vec::new(),
            unregistering: false,
            places: None,
            timer: Timer::default(),
            ready: BTreeMap::new(),
            ids,
            misfire_grace,
            is_durable: backend.durable,
            has_delays: false,
            has_priorities: false,
            held_max,
            held: 0,
            claims: Claiming::default(),
            enqueueing: 0,
            outrun_in_a_row: 0,
            finishing: false,
            storing: Vec::new(),
            deaths: Deaths::remembered_of(held_max),
            doubted: Doubted::default(),
            is_sure: true,
            to_finish: Vec::new(),
            untold: Vec::new(),
            behind: HashMap::new(),
            put_off: HashMap::new(),
            cancelled_early: Vec::new(),
            phase: Phase::Firing,
            cancelled: Vec::new(),
            unstored: 0,
        }
    }

    /// Up to where something has fired that is still to come by the clock, if that is more than clocks differ.
    pub(crate) fn marked_ahead(&self, now: Timestamp) -> Option<Timestamp> {
        let ahead = self.tasks.iter().map(|task| task.mark).max()?;
        Some(ahead).filter(|&ahead| ahead > now.plus(AHEAD_MIN))
    }

    /// Makes room for so many tasks and no more: by doubling, a third of what a hundred thousand take would be empty.
    pub(crate) fn reserve(&mut self, tasks: usize) {
        self.tasks.reserve_exact(tasks);
    }

    /// Adds a task that the backend has registered.
    pub(crate) fn add(&mut self, live: Arc<LiveTask>, registered: &Registered) {
        let plan = live.shown().plan.clone();
        let mark = registered.mark;
        self.untold.extend(registered.ended.clone().map(|record| (live.name.clone(), record)));
        self.has_delays |= plan.fixed_delay().is_some();
        self.has_priorities |= live.policy.priority != 0;
        let next = match plan.only() {
            Some(at) if mark < at && at <= registered.anchor && registered.since == Timestamp::MIN => {
                if self.is_durable && registered.anchor.since(at) <= PAST_ONCE_MAX {
                    Next::LateOnce(at)
                } else {
                    Next::PastOnce(at)
                }
            }
            _ => first_step(&plan, registered, live.registered_at()),
        };
        let task = TaskState {
            live,
            plan,
            mark,
            version: registered.version,
            next,
            wake: Timestamp::MAX,
            pause: registered.pause.clone().map(Box::new),
            resumed_at: registered.resumed_at,
        };
        let key = task.live.key;
        self.settled_behind(key, registered.behind);
        let place = match self.free.pop() {
            Some(place) => {
                self.tasks[place as usize] = task;
                place
            }
            None => {
                self.tasks.push(task);
                u32::try_from(self.tasks.len() - 1).expect("a scheduler has fewer than 2^32 tasks")
            }
        };
        if let Some(places) = &mut self.places {
            places.insert(key, place);
        }
        self.arm(place, next);
    }

    /// The place of the task `key`, if this scheduler has it.
    pub(super) fn place(&mut self, key: TaskKey) -> Option<u32> {
        let tasks = &self.tasks;
        let places =
            self.places.get_or_insert_with(|| (0..).zip(tasks).map(|(place, task)| (task.live.key, place)).collect());
        places.get(&key).copied()
    }

    pub(super) fn settled_behind(&mut self, key: TaskKey, upto: Option<Timestamp>) {
        match upto {
            Some(upto) => _ = self.behind.insert(key, upto),
            None => _ = self.behind.remove(&key),
        }
    }

    /// Whether this scheduler has the task. All that it was given it has until one was removed; then places are known.
    pub(super) fn has(&self, key: TaskKey) -> bool {
        self.places.as_ref().is_none_or(|places| places.contains_key(&key))
    }

    /// Has the timer look at the task when what it waits for is due.
    pub(super) fn arm(&mut self, task: u32, next: Next) {
        let plan = &self.tasks[task as usize].plan;
        let at = match next {
            Next::Ahead(at) | Next::Again(at) => plan.due(at),
            Next::Delayed(at) | Next::LateOnce(at) | Next::PastOnce(at) => at,
            Next::Answer | Next::Awaits(_) | Next::Over => Timestamp::MAX,
        };
        self.arm_at(task, next, at);
    }

    pub(super) fn arm_at(&mut self, task: u32, next: Next, wake: Timestamp) {
        let state = &mut self.tasks[task as usize];
        let is_awaited = state.wake == wake;
        (state.next, state.wake) = (next, wake);
        if wake < Timestamp::MAX && !is_awaited {
            self.timer.wake(task, wake);
            self.timer.sweep_if_stale(self.tasks.len(), |task, at| self.tasks[task as usize].wake == at);
        }
        let state = &mut self.tasks[task as usize];
        if state.plan.fixed_delay().is_some() {
            state.live.shown().next = if let Next::Delayed(at) = next { Some(at) } else { None };
        }
    }

    /// How many more runs may be held.
    pub(super) fn room(&self) -> usize {
        self.held_max.saturating_sub(self.held + self.claims.room)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.phase != Phase::Firing
    }

    pub(crate) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// What the stop has left behind, once it is over.
    pub(crate) fn take_stop_report(&mut self) -> StopReport {
        StopReport { cancelled: std::mem::take(&mut self.cancelled), unstored: self.unstored }
    }
}

impl TaskState {
    /// Shows a program what has changed by what is `stored`.
    pub(super) fn show(&self, stored: &Registered) {
        let mut shown = self.live.shown();
        let (plan, pause, next) = (self.plan.clone(), self.pause.clone(), shown.next);
        *shown = Shown { plan, pause, next, is_exhausted: stored.is_exhausted() };
    }
}

/// What a task waits for that stands where `registered` says. Where its mark lies ahead of the clock, which was set back,
/// that is an instant which is shown again, and is to be recorded.
pub(super) fn first_step(plan: &Plan, registered: &Registered, now: Timestamp) -> Next {
    if registered.is_exhausted() {
        return Next::Over;
    }
    let Some(period) = plan.fixed_delay() else {
        let mark = registered.mark;
        let was_set_back = mark.since(now) > CLOCKS_DIFFER_MAX;
        let shown_again = if was_set_back { now.max(registered.anchor) } else { mark };
        let after = registered.behind.unwrap_or(shown_again);
        return match plan.next(after) {
            Some(at) if at > mark => Next::Ahead(at),
            Some(at) => Next::Again(at),
            None => Next::Over,
        };
    };
    match (registered.alive, registered.last_end) {
        (Some(run), _) => Next::Awaits(Some(run)),
        (None, Some(end)) => delayed(plan, end.max(plan.since()), period, registered.mark),
        (None, None) => {
            plan.not_excepted_from(plan.first_of_delay().max(plan.since())).map_or(Next::Over, Next::Delayed)
        }
    }
}

/// The instant of a fixed delay after a run that ended at `end`. It lies after the mark, also where the clock was set back
/// meanwhile: an instant that has fired is not named a second time.
pub(super) fn delayed(plan: &Plan, end: Timestamp, period: Duration, mark: Timestamp) -> Next {
    let earliest = end.plus(period).max(mark.plus(Duration::from_millis(1)));
    plan.not_excepted_from(earliest).map_or(Next::Over, Next::Delayed)
}
