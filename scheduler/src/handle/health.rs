//! Whether all is well: what is stuck, what has not succeeded for too long, what stands still.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use symphra_scheduler_core::Timestamp;

use super::SchedulerHandle;
use crate::executor::RunningRun;
use crate::node::Contact;
use crate::schedule::Plan;
use crate::task::{LiveTask, TaskName};

/// After this long with all workers taken something is likely to be wrong.
const WORKERS_TAKEN_FOR: Duration = Duration::from_secs(60);

/// How much later than the schedule promises a success may come before its task is stale.
const STALE_GRACE: Duration = Duration::from_secs(60);

/// How a scheduler is.
///
/// With the feature `cli` or `dashboard` it is `serde::Serialize`: the JSON that the command `health --json` prints, with local
/// instants in UTC.
///
/// ```
/// use symphra_scheduler::Scheduler;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), symphra_scheduler::Error> {
/// let scheduler = Scheduler::empty().start().await?;
/// let health = scheduler.health();
/// assert!(health.alive && health.ready && health.is_well());
/// scheduler.stop().await?;
/// assert!(!scheduler.health().alive);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// It fires: it has started, and neither stopped nor been asked to.
    pub alive: bool,
    /// Its store answers: the last heartbeat was answered, and no call has failed that has not got through since.
    pub ready: bool,
    /// How it stands to its store.
    pub store: StoreHealth,
    /// Runs that should have ended and cannot be stopped, because their bodies never come to an await.
    pub stuck: Vec<RunningRun>,
    /// Tasks that have not succeeded for longer than their schedule, or `expect_success_within`, promises.
    pub stale: Vec<StaleTask>,
    /// All workers have been taken for over a minute, by these runs.
    pub workers_taken_by: Vec<RunningRun>,
    /// How this node's clock stands to the store's.
    pub clock: ClockHealth,
    /// Until when a clock that was set back shows instants a second time, so that they are recorded.
    pub clock_repeats_until: Option<Timestamp>,
}

/// How a scheduler stands to its store.
///
/// While the store does not answer nothing begins; what executes goes on, and how it ends is kept until it can be stored.
///
/// ```
/// use symphra_scheduler::StoreHealth;
///
/// fn told(store: &StoreHealth) -> String {
///     match (store.unreachable_since, &store.error) {
///         (Some(since), Some(error)) => format!("away since {since}: {error}"),
///         (Some(since), None) => format!("away since {since}"),
///         (None, _) => format!("in contact since {}", store.in_contact_since),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreHealth {
    /// Since when it does not answer; `None` if it does.
    pub unreachable_since: Option<Timestamp>,
    /// What failed last, and why.
    pub error: Option<Arc<str>>,
    /// It has not answered for so long that other nodes may soon take over the runs of this one, or have: those runs are
    /// [told](crate::RunContext::lease_lost).
    pub lease_lost: bool,
    /// Since when heartbeats are answered without a pause longer than a third of the lease, or six seconds. Once this is as
    /// long ago as the lease of a node that has died, this one takes over its runs.
    pub in_contact_since: Timestamp,
}

/// How a node's clock stands to its store's.
///
/// The node goes by the store's clock: it measures the offset to it at each heartbeat, and adds it to its own. All instants
/// that a scheduler shows are the store's.
///
/// ```
/// use symphra_scheduler::{Scheduler, chrono::TimeDelta};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), symphra_scheduler::Error> {
/// let scheduler = Scheduler::empty().start().await?;
/// let clock = scheduler.health().clock;
/// assert_eq!((clock.offset, clock.is_off), (TimeDelta::zero(), false), "that of memory is the node's own");
/// # scheduler.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClockHealth {
    /// How far the store's clock is ahead of this node's, as it was last measured; negative if it is behind. Zero for
    /// [`MemoryBackend`](crate::MemoryBackend), whose clock is the node's own.
    pub offset: TimeDelta,
    /// It was found to be more than a second, and not to be less than half a second since.
    pub is_off: bool,
}

/// A task that has not succeeded for too long.
///
/// ```
/// use symphra_scheduler::{SchedulerHandle, StaleTask};
///
/// fn alerts(scheduler: &SchedulerHandle) -> Vec<String> {
///     let line = |stale: &StaleTask| format!("{} should have succeeded by {}", stale.task, stale.expected_by);
///     scheduler.health().stale.iter().map(line).collect()
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StaleTask {
    /// The task.
    pub task: TaskName,
    /// When it last succeeded since this scheduler started; `None` if it has not.
    pub last_success: Option<Timestamp>,
    /// When it should have.
    pub expected_by: Timestamp,
}

impl Health {
    /// Whether there is nothing to look after.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.alive
            && self.ready
            && self.stuck.is_empty()
            && self.stale.is_empty()
            && self.workers_taken_by.is_empty()
            && !self.clock.is_off
            && self.clock_repeats_until.is_none()
    }
}

impl SchedulerHandle {
    /// How the scheduler is, by what this node knows.
    #[must_use]
    pub fn health(&self) -> Health {
        let shared = &*self.0;
        let now = shared.clock.now();
        let running = shared.executor.running();
        let outage = shared.link.outage();
        let all_taken = shared.executor.taken_for() > WORKERS_TAKEN_FOR;
        Health {
            alive: self.stats().running && self.running().is_ok(),
            ready: outage.is_none(),
            store: StoreHealth {
                unreachable_since: outage.as_ref().map(|outage| outage.since),
                error: outage.map(|outage| outage.error),
                lease_lost: shared.surroundings.lease.contact() == Contact::Lost,
                in_contact_since: shared.link.in_contact_since(),
            },
            stuck: running.iter().filter(|run| run.stuck).cloned().collect(),
            stale: shared.directory().iter().filter_map(|task| stale(task, now)).collect(),
            workers_taken_by: if all_taken { running } else { Vec::new() },
            clock: ClockHealth {
                offset: TimeDelta::milliseconds(shared.clock.offset_millis()),
                is_off: shared.counts.is_clock_off(),
            },
            clock_repeats_until: shared.counts.repeats_until().filter(|&until| now < until),
        }
    }
}

/// A task is stale when it has not succeeded within what it says itself, or, if it says nothing, when two of its
/// occurrences have passed without a success. One that is paused or over owes nothing.
pub(super) fn stale(task: &LiveTask, now: Timestamp) -> Option<StaleTask> {
    let last_success = task.tally().last_success;
    let shown = task.shown().clone();
    if shown.pause.is_some() || shown.is_exhausted {
        return None;
    }
    let since = last_success.unwrap_or(task.registered_at());
    let expected_by = success_due(&shown.plan, task.expect_success_within(), since)?;
    (now > expected_by).then(|| StaleTask { task: task.name.clone(), last_success, expected_by })
}

/// By when a task that last succeeded at `since` should have succeeded again; never, if its schedule ends before.
pub(crate) fn success_due(plan: &Plan, within: Option<Duration>, since: Timestamp) -> Option<Timestamp> {
    match (within, plan.fixed_delay()) {
        (Some(within), _) => Some(since.plus(within)),
        (None, Some(period)) => Some(since.plus(period * 2).plus(STALE_GRACE)),
        (None, None) => {
            let second = plan.next(since).and_then(|first| plan.next(first))?;
            Some(plan.due(second).plus(STALE_GRACE))
        }
    }
}
