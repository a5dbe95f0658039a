//! Whether all is well: what is stuck, what has not succeeded for too long, what stands still.

use std::time::Duration;

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
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// It fires: it has started, and neither stopped nor been asked to.
    pub alive: bool,
    /// Its store answers.
    pub ready: bool,
    /// Runs that should have ended and cannot be stopped, because their bodies never come to an await.
    pub stuck: Vec<RunningRun>,
    /// Tasks that have not succeeded for longer than their schedule, or `expect_success_within`, promises.
    pub stale: Vec<StaleTask>,
    /// All workers have been taken for over a minute, by these runs.
    pub workers_taken_by: Vec<RunningRun>,
    /// Until when a clock that was set back shows instants a second time, so that they are recorded.
    pub clock_repeats_until: Option<Timestamp>,
}

/// A task that has not succeeded for too long.
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
        let all_taken =
            running.len() >= shared.config.workers() && running.iter().all(|run| run.running_for > WORKERS_TAKEN_FOR);
        Health {
            alive: self.stats().running && self.running().is_ok(),
            ready: shared.surroundings.lease.contact() == Contact::Fine,
            stuck: running.iter().filter(|run| run.stuck).cloned().collect(),
            stale: shared.directory().iter().filter_map(|task| stale(task, now)).collect(),
            workers_taken_by: if all_taken { running } else { Vec::new() },
            clock_repeats_until: shared.counts.repeats_until().filter(|&until| now < until),
        }
    }
}

/// A task is stale when it has not succeeded within what it says itself, or, if it says nothing, when two of its
/// occurrences have passed without a success. One that is paused or over owes nothing.
fn stale(task: &LiveTask, now: Timestamp) -> Option<StaleTask> {
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
