//! What a running scheduler is asked: its tasks, its runs, its counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use chrono_tz::Tz;
use symphra_scheduler_core::Timestamp;

use super::SchedulerHandle;
use crate::backend::{Ledger, Record, RunCursor, RunLog, RunQuery, RunRow, TaskKey};
use crate::error::Error;
use crate::executor::RunningRun;
use crate::run::{Missed, Origin, RunId, RunState};
use crate::stats::Stats;
use crate::tally::TaskMetrics;
use crate::task::{TaskCounts, TaskInfo, TaskName, TaskStatus};

/// Which runs to list, those that are alive first, then those that have ended, the newest of each first. Default: all that are
/// kept.
///
/// Many are listed in pages, each [after](Self::after) the one before. [`RunQuery`] says what their order is, and what is promised of
/// runs that come, end and go between two pages.
///
/// ```
/// use symphra_scheduler::{RunFilter, RunState, Schedule, Scheduler, Task};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let report = Task::new("report", Schedule::cron("0 9 * * *")?, async || {});
/// let scheduler = Scheduler::empty().register(report).start().await?;
/// let failed = RunFilter::new().task("report").state(RunState::Failed).state(RunState::TimedOut).limit(20);
/// assert!(scheduler.runs(&failed).await?.is_empty());
/// # scheduler.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    task: Option<String>,
    query: RunQuery,
}

impl RunFilter {
    /// All runs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only runs of this task.
    #[must_use]
    pub fn task(mut self, name: impl Into<String>) -> Self {
        self.task = Some(name.into());
        self
    }

    /// Only the run with this id.
    #[must_use]
    pub fn id(mut self, run: RunId) -> Self {
        self.query.id = Some(run);
        self
    }

    /// Only runs in this state, or in another that was named.
    #[must_use]
    pub fn state(mut self, state: RunState) -> Self {
        self.query.states.push(state);
        self
    }

    /// Only runs whose nominal instant is this or later.
    #[must_use]
    pub fn from(mut self, from: impl Into<Timestamp>) -> Self {
        self.query.from = Some(from.into());
        self
    }

    /// Only runs whose nominal instant is this or earlier.
    #[must_use]
    pub fn to(mut self, to: impl Into<Timestamp>) -> Self {
        self.query.to = Some(to.into());
        self
    }

    /// Only runs behind this place: the [`next`](RunsPage::next) of the page before. The other filters stay as they were.
    #[must_use]
    pub fn after(mut self, place: RunCursor) -> Self {
        self.query.after = Some(place);
        self
    }

    /// At most this many.
    #[must_use]
    pub fn limit(mut self, runs: usize) -> Self {
        self.query.limit = Some(runs);
        self
    }
}

/// A page of runs.
///
/// ```
/// use symphra_scheduler::{Error, RunFilter, SchedulerHandle};
///
/// async fn print_all(scheduler: &SchedulerHandle) -> Result<(), Error> {
///     let mut wanted = RunFilter::new().limit(100);
///     loop {
///         let page = scheduler.runs_page(&wanted).await?;
///         page.runs.iter().for_each(|run| println!("{} {} {}", run.scheduled_at, run.task, run.state));
///         match page.next {
///             Some(place) => wanted = wanted.after(place),
///             None => return Ok(()),
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunsPage {
    /// The runs.
    pub runs: Vec<Run>,
    /// Where the next page begins; `None` if there is no run behind these. It can be written down as a text.
    pub next: Option<RunCursor>,
}

/// A run, as its store shows it.
///
/// ```
/// use symphra_scheduler::Run;
///
/// fn line(run: &Run) -> String {
///     match (run.duration(), run.lateness()) {
///         (Some(took), Some(late)) => format!("{} {}: took {took:?}, {late:?} late", run.task, run.state),
///         _ => format!("{} {}", run.task, run.state),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// Its task.
    pub task: TaskName,
    /// Its id.
    pub id: RunId,
    /// Why it exists.
    pub origin: Origin,
    /// The nominal instant.
    pub scheduled_at: Timestamp,
    /// When it was due; of a run that is tried again, when its next attempt is.
    pub due_at: Timestamp,
    /// What it stands for besides itself.
    pub missed: Option<Missed>,
    /// Where it stands.
    pub state: RunState,
    /// Its latest attempt, counted from 1; 0 before the first.
    pub attempt: u32,
    /// When its last attempt that has ended began, by the store's clock as its node knew it.
    pub started_at: Option<Timestamp>,
    /// When it ended, by the same; `None` while it is alive.
    pub finished_at: Option<Timestamp>,
    /// The error of its last attempt, or why it was cut short.
    pub failure: Option<Box<str>>,
    /// The node that executes it, or did when it ended, as the store calls it: the name of the node, and what tells its start
    /// from others. `None` of one that no node held.
    pub node: Option<Arc<str>>,
}

impl Run {
    /// How long after it was due its last attempt began; zero if it is stored as begun before. `None` while the run is alive, and
    /// of one whose last attempt did not begin: it was cancelled, or its node died, before that.
    #[must_use]
    pub fn lateness(&self) -> Option<Duration> {
        Some(self.last_began()?.since(self.due_at))
    }

    /// How long its last attempt took; zero if it is stored as ended before it began. `None` while the run is alive, and of one
    /// whose last attempt did not begin.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        Some(self.finished_at?.since(self.last_began()?))
    }

    /// When the last attempt began, of a run that has ended.
    fn last_began(&self) -> Option<Timestamp> {
        let cut_short = matches!(self.state, RunState::Cancelled | RunState::Abandoned);
        // A run that was cut short before the attempt that was due has in its place when the attempt before began.
        self.started_at.filter(|&began| self.state.is_final() && !(cut_short && began < self.due_at))
    }

    pub(crate) fn of(task: TaskName, row: RunRow) -> Self {
        Self {
            task,
            id: row.id,
            origin: row.origin,
            scheduled_at: row.scheduled_at,
            due_at: row.due_at,
            missed: row.missed,
            state: row.state,
            attempt: row.attempt,
            started_at: row.started_at,
            finished_at: row.finished_at,
            failure: row.failure,
            node: row.node,
        }
    }
}

impl SchedulerHandle {
    /// The scheduler at this moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &*self.0;
        let counted = shared.counts.get();
        Stats {
            running: shared.done.borrow().is_none() && shared.done.has_changed().is_ok(),
            node: Arc::clone(&shared.surroundings.node),
            backend: shared.backend.name(),
            tasks: shared.directory().len(),
            queued_runs: shared.executor.waiting(),
            queue_size: shared.config.queue(),
            active_workers: shared.executor.active(),
            max_workers: shared.config.workers(),
            uptime: shared.clock.monotonic().duration_since(shared.started),
            ledger: counted.ledger,
            total_runs: counted.succeeded + counted.failed + counted.cancelled,
            successful_runs: counted.succeeded,
            failed_runs: counted.failed,
            cancelled_runs: counted.cancelled,
            retried_attempts: counted.retried,
        }
    }

    /// All tasks, by name.
    #[must_use]
    pub fn list_tasks(&self) -> Vec<TaskInfo> {
        self.tasks_where(|_| true)
    }

    /// The tasks that stand so, by name.
    #[must_use]
    pub fn tasks_by_status(&self, status: TaskStatus) -> Vec<TaskInfo> {
        self.tasks_where(|task| task.status() == status)
    }

    /// The tasks with this tag, by name.
    #[must_use]
    pub fn tasks_by_tag(&self, tag: &str) -> Vec<TaskInfo> {
        self.tasks_where(|task| task.tags().iter().any(|known| known == tag))
    }

    fn tasks_where(&self, wanted: impl Fn(&crate::task::LiveTask) -> bool) -> Vec<TaskInfo> {
        let now = self.0.clock.now();
        let mut listed: Vec<TaskInfo> =
            self.0.directory().iter().filter(|task| wanted(task)).map(|task| task.info(now)).collect();
        listed.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        listed
    }

    /// The tasks themselves, by name.
    #[cfg(any(feature = "cli", feature = "dashboard"))]
    pub(crate) fn live_tasks(&self) -> Vec<Arc<crate::task::LiveTask>> {
        let mut all: Vec<_> = self.0.directory().iter().cloned().collect();
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        all
    }

    #[cfg(any(feature = "cli", feature = "dashboard"))]
    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// How many tasks there are, and how many of them stand where.
    #[must_use]
    pub fn task_counts(&self) -> TaskCounts {
        let mut counts = TaskCounts::default();
        for task in self.0.directory().iter() {
            let status = task.status();
            counts.total += 1;
            *if status == TaskStatus::Paused { &mut counts.disabled } else { &mut counts.enabled } += 1;
            *counts.by_status.entry(status).or_default() += 1;
        }
        counts
    }

    /// The task named `name`.
    ///
    /// # Errors
    /// [`Error::is_unknown_task`], with the nearest name, if there is none.
    pub fn task(&self, name: &str) -> Result<TaskInfo, Error> {
        Ok(self.0.directory().get(name)?.info(self.0.clock.now()))
    }

    /// The next `count` occurrences of a task, in its zone; fewer if its schedule ends. Of a fixed delay only the next
    /// is known, and none while its run is alive.
    ///
    /// ```
    /// use symphra_scheduler::chrono_tz::Tz;
    /// use symphra_scheduler::{Schedule, Scheduler, Task};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let report = Task::new("report", Schedule::cron("0 9 * * *")?, async || {}).timezone(Tz::Asia__Shanghai);
    /// let scheduler = Scheduler::empty().register(report).start().await?;
    /// let next = scheduler.next_occurrences("report", 5)?;
    /// assert_eq!(next.len(), 5);
    /// assert!(next[0].to_string().ends_with("09:00:00 CST"));
    /// # scheduler.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::is_unknown_task`], with the nearest name, if there is none.
    pub fn next_occurrences(&self, name: &str, count: usize) -> Result<Vec<DateTime<Tz>>, Error> {
        Ok(self.0.directory().get(name)?.next_occurrences(self.0.clock.now(), count))
    }

    /// What was counted of each task, by name.
    #[must_use]
    pub fn metrics(&self) -> Vec<TaskMetrics> {
        let mut all: Vec<TaskMetrics> =
            self.0.directory().iter().map(|task| task.tally().metrics(task.name.clone())).collect();
        all.sort_unstable_by(|a, b| a.task.cmp(&b.task));
        all
    }

    /// Counts anew what [`metrics`](Self::metrics) tells. The ledger and the history go on.
    pub fn reset_metrics(&self) {
        self.0.directory().iter().for_each(|task| task.tally().reset());
        #[cfg(feature = "metrics")]
        self.0.surroundings.meters.reset();
    }

    /// The runs that execute at this moment.
    #[must_use]
    pub fn running_runs(&self) -> Vec<RunningRun> {
        self.0.executor.running()
    }

    /// Runs, alive and ended ones that are still kept, newest first: also those of tasks that this program has no more, or that
    /// only other nodes have.
    ///
    /// # Errors
    /// [`Error::is_unknown_task`] if the filter names a task that the store does not know; [`Error::is_backend`] if the store
    /// cannot be reached.
    ///
    /// # Cancellation
    /// Safe: asking changes nothing.
    pub async fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>, Error> {
        Ok(self.runs_page(filter).await?.runs)
    }

    /// The same, with where the next page begins if the filter's limit leaves runs behind.
    ///
    /// ```
    /// # use symphra_scheduler::{Error, RunFilter, SchedulerHandle};
    /// # async fn all(scheduler: &SchedulerHandle) -> Result<(), Error> {
    /// let mut filter = RunFilter::new().task("report").limit(100);
    /// loop {
    ///     let page = scheduler.runs_page(&filter).await?;
    ///     for run in page.runs {
    ///         println!("{} {} {:?}", run.id, run.state, run.duration());
    ///     }
    ///     let Some(next) = page.next else { break };
    ///     filter = filter.after(next);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`runs`](Self::runs).
    ///
    /// # Cancellation
    /// Safe: asking changes nothing.
    pub async fn runs_page(&self, filter: &RunFilter) -> Result<RunsPage, Error> {
        let mut query = filter.query.clone();
        if let Some(name) = &filter.task {
            query.task = Some(self.key_in_store(name).await?);
        }
        let page = self.0.backend.runs_page(&query).await?;
        let names = self.names_in_store(page.rows.iter().map(|row| row.task)).await?;
        let named = page.rows.into_iter().filter_map(|row| Some(Run::of(names.get(&row.task)?.clone(), row)));
        Ok(RunsPage { runs: named.collect(), next: page.next })
    }

    /// The task of this name, whether this program has it, or another on the store, or had it once.
    pub(super) async fn key_in_store(&self, name: &str) -> Result<TaskKey, Error> {
        let unknown = match self.0.directory().key(name) {
            Ok(key) => return Ok(key),
            Err(unknown) => unknown,
        };
        let tasks = self.0.backend.tasks().await?;
        tasks.iter().find(|task| task.name.as_str() == name).map(|task| task.key).ok_or(unknown)
    }

    /// The names of these tasks, at least; of a task that this program does not have, the store alone knows it.
    pub(super) async fn names_in_store(
        &self,
        tasks: impl Iterator<Item = TaskKey> + Clone,
    ) -> Result<HashMap<TaskKey, TaskName>, Error> {
        let mut names: HashMap<TaskKey, TaskName> = {
            let mut directory = self.0.directory_mut();
            tasks.clone().filter_map(|task| Some((task, directory.name(task)?))).collect()
        };
        if tasks.into_iter().any(|task| !names.contains_key(&task)) {
            names.extend(self.0.backend.tasks().await?.into_iter().map(|task| (task.key, task.name)));
        }
        Ok(names)
    }

    /// What a run wrote to the log, as an excerpt: the last 64 lines of its last attempt that has ended and wrote something, or
    /// 8 KB if that is less. `None` if it wrote nothing, if its program gathers none, which `logging::run_log_layer` does, or
    /// if the run is not kept any more. In memory the excerpts of the newest runs are kept, 16 MB over all.
    ///
    /// ```
    /// use symphra_scheduler::{Error, RunId, SchedulerHandle};
    ///
    /// async fn print_log(scheduler: &SchedulerHandle, run: RunId) -> Result<(), Error> {
    ///     match scheduler.run_log(run).await? {
    ///         Some(log) => println!("attempt {}:\n{}", log.attempt, log.text),
    ///         None => println!("nothing is kept; is logging::run_log_layer() in the subscriber?"),
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::is_backend`] if the store cannot be reached.
    ///
    /// # Cancellation
    /// Safe: asking changes nothing.
    pub async fn run_log(&self, run: RunId) -> Result<Option<RunLog>, Error> {
        Ok(self.0.backend.log(run).await?)
    }

    /// Why occurrences of a task did not run: spans, oldest first.
    ///
    /// ```
    /// use symphra_scheduler::{Error, SchedulerHandle};
    ///
    /// async fn print_records(scheduler: &SchedulerHandle) -> Result<(), Error> {
    ///     for span in scheduler.records("report").await? {
    ///         println!("{} occurrences from {} to {}: {}", span.count, span.first, span.last, span.reason);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::is_unknown_task`]; [`Error::is_backend`] if the store cannot be reached.
    ///
    /// # Cancellation
    /// Safe: asking changes nothing.
    pub async fn records(&self, name: &str) -> Result<Vec<Record>, Error> {
        let key = self.0.directory().key(name)?;
        Ok(self.0.backend.records(key).await?)
    }

    /// The exact counts of all occurrences of a task since it was first registered: `occurrences = runs + recorded`.
    ///
    /// # Errors
    /// [`Error::is_unknown_task`]; [`Error::is_backend`] if the store cannot be reached.
    ///
    /// # Cancellation
    /// Safe: asking changes nothing.
    pub async fn ledger(&self, name: &str) -> Result<Ledger, Error> {
        let key = self.0.directory().key(name)?;
        Ok(self.0.backend.ledger(key).await?)
    }

    /// How its store calls this node: by another name for each start.
    #[cfg(any(feature = "cli", feature = "dashboard"))]
    pub(crate) fn name_in_store(&self) -> &Arc<str> {
        &self.0.holder.node
    }

    /// The nodes of its store.
    #[cfg(any(feature = "cli", feature = "dashboard"))]
    pub(crate) async fn nodes(&self) -> Result<Vec<crate::backend::NodeRow>, Error> {
        Ok(self.0.backend.nodes().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::NewRun;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    /// A run that was due at 10 s.
    fn run(state: RunState, started_at: Option<i64>, finished_at: Option<i64>) -> Run {
        let due_at = at(10);
        let new = NewRun { origin: Origin::Schedule, scheduled_at: at(9), due_at, missed: None, accept_until: None };
        let row = RunRow::accepted(RunId::from_parts(due_at, 7), TaskKey(1), &new);
        let (started_at, finished_at) = (started_at.map(at), finished_at.map(at));
        Run::of(TaskName::new("pay").expect("a name"), RunRow { state, started_at, finished_at, ..row })
    }

    #[test]
    fn a_run_is_as_late_and_as_long_as_its_last_attempt() {
        let seconds = |run: Run| (run.lateness().map(|late| late.as_secs()), run.duration().map(|long| long.as_secs()));
        for ended in [RunState::Succeeded, RunState::Failed, RunState::TimedOut, RunState::Cancelled] {
            assert_eq!(seconds(run(ended, Some(12), Some(17))), (Some(2), Some(5)), "{ended}");
        }
        assert_eq!(seconds(run(RunState::Running, None, None)), (None, None), "it is not over");
        assert_eq!(seconds(run(RunState::Retrying, Some(8), None)), (None, None), "what is due is another attempt");
        assert_eq!(seconds(run(RunState::Cancelled, None, Some(17))), (None, None), "it never began");
        for cut_short in [RunState::Cancelled, RunState::Abandoned] {
            let before = run(cut_short, Some(8), Some(17));
            assert_eq!(seconds(before), (None, None), "the attempt that began is the one before");
        }
        let set_back = run(RunState::Succeeded, Some(9), Some(8));
        assert_eq!(seconds(set_back), (Some(0), Some(0)), "a clock that was set back makes nothing of it");
    }
}
