//! The handle of a running scheduler: asks it to stop, and shows what it does.

use std::collections::HashMap;
use std::sync::Arc;

use symphra_scheduler_core::nearest;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::engine::{Asked, Counts, StopReport};
use crate::error::Error;
use crate::executor::{Executor, RunningRun};
use crate::stats::Stats;
use crate::task::{LiveTask, TaskInfo, TaskName};

/// A running scheduler. Cheap to clone; dropping it, or every clone of it, leaves the scheduler running.
#[derive(Clone)]
pub struct SchedulerHandle(Arc<Shared>);

/// What the handles, the engine's own included, share.
pub(crate) struct Shared {
    pub(crate) tasks: Vec<Arc<LiveTask>>,
    /// The place of each task in `tasks`.
    pub(crate) numbers: HashMap<TaskName, u32>,
    /// What a person should know of the tasks from the start.
    pub(crate) notes: Vec<String>,
    pub(crate) executor: Executor,
    pub(crate) counts: Arc<Counts>,
    pub(crate) asked: watch::Sender<Asked>,
    /// The report of a stop that is over; its sender lives as long as the engine.
    pub(crate) done: watch::Receiver<Option<Arc<StopReport>>>,
    pub(crate) node: Arc<str>,
    pub(crate) backend: &'static str,
    pub(crate) queue_size: usize,
    pub(crate) max_workers: usize,
    pub(crate) clock: Clock,
    pub(crate) started: Instant,
}

impl SchedulerHandle {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// What a person should know of the tasks from the start.
    pub(crate) fn notes(&self) -> &[String] {
        &self.0.notes
    }

    /// Stops: nothing fires any more, and what has been accepted may end, within
    /// [`shutdown_timeout`](crate::SchedulerConfig::shutdown_timeout). Five seconds before its end the runs that are left are
    /// asked to cancel; at its end they are aborted at their next await.
    ///
    /// Idempotent: a second call waits for the same end.
    ///
    /// # Errors
    /// [`Error::is_stopped`] if the runtime ended first.
    ///
    /// # Cancellation
    /// The stop goes on if the future is dropped.
    pub async fn stop(&self) -> Result<StopReport, Error> {
        self.ask(Asked::Drain);
        self.wait().await
    }

    /// Stops at once: what executes is aborted at its next await, what waits is cancelled.
    ///
    /// # Errors
    /// [`Error::is_stopped`] if the runtime ended first.
    ///
    /// # Cancellation
    /// The stop goes on if the future is dropped.
    pub async fn stop_now(&self) -> Result<StopReport, Error> {
        self.ask(Asked::StopNow);
        self.wait().await
    }

    /// Waits until the scheduler has stopped, whoever asked it to.
    ///
    /// # Errors
    /// [`Error::is_stopped`] if the runtime ended first.
    ///
    /// # Cancellation
    /// Safe: waiting changes nothing.
    pub async fn wait(&self) -> Result<StopReport, Error> {
        let mut done = self.0.done.clone();
        match done.wait_for(Option::is_some).await {
            Ok(report) => Ok(report.as_deref().cloned().unwrap_or_default()),
            Err(_) => Err(Error::stopped(
                "the scheduler ended without a stop: its runtime has ended, or its engine panicked, which the log says",
            )),
        }
    }

    /// The scheduler at this moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &*self.0;
        let counted = shared.counts.get();
        Stats {
            running: shared.done.borrow().is_none() && shared.done.has_changed().is_ok(),
            node: Arc::clone(&shared.node),
            backend: shared.backend,
            tasks: shared.tasks.len(),
            queued_runs: shared.executor.waiting(),
            queue_size: shared.queue_size,
            active_workers: shared.executor.running().len(),
            max_workers: shared.max_workers,
            uptime: shared.clock.monotonic().duration_since(shared.started),
            ledger: counted.ledger,
            total_runs: counted.succeeded + counted.failed + counted.cancelled,
            successful_runs: counted.succeeded,
            failed_runs: counted.failed,
            cancelled_runs: counted.cancelled,
        }
    }

    /// All tasks, by name.
    #[must_use]
    pub fn list_tasks(&self) -> Vec<TaskInfo> {
        let now = self.0.clock.now();
        let mut listed: Vec<TaskInfo> = self.0.tasks.iter().map(|task| task.info(now)).collect();
        listed.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        listed
    }

    /// The task named `name`.
    ///
    /// # Errors
    /// [`Error::is_unknown_task`], with the nearest name, if there is none.
    pub fn task(&self, name: &str) -> Result<TaskInfo, Error> {
        let tasks = &self.0.tasks;
        match self.0.numbers.get(name) {
            Some(&number) => Ok(tasks[number as usize].info(self.0.clock.now())),
            None => Err(Error::unknown_task(name, nearest(name, tasks.iter().map(|task| task.name.as_str())))),
        }
    }

    /// The runs that execute at this moment.
    #[must_use]
    pub fn running_runs(&self) -> Vec<RunningRun> {
        self.0.executor.running()
    }

    /// Has the scheduler stop at once, without waiting for it; one that has stopped stays so.
    pub(crate) fn ask_to_stop_now(&self) {
        self.ask(Asked::StopNow);
    }

    /// A stop that goes further than the one before; a lesser one changes nothing.
    fn ask(&self, what: Asked) {
        self.0.asked.send_if_modified(|asked| {
            let more = what > *asked;
            *asked = what.max(*asked);
            more
        });
    }
}

impl std::fmt::Debug for SchedulerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SchedulerHandle")
            .field("node", &self.0.node)
            .field("tasks", &self.0.tasks.len())
            .finish_non_exhaustive()
    }
}
