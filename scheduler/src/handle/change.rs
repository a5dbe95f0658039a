//! What changes a running scheduler: pauses, triggers, cancellations, schedules, tasks.

use std::sync::Arc;

use super::{SchedulerHandle, gone};
use crate::backend::{Changes, Command, Refusal, RunQuery, Submission, Submitted, TRIGGERS_WAITING_MAX, TaskKey};
use tokio::sync::mpsc::Permit;
use tokio::sync::oneshot;

use crate::engine::{Asking, Request};
use crate::error::{Error, Problem};
use crate::logging::Entry;
use crate::outcome::CancelCause;
use crate::run::{Origin, RunId, RunState};
use crate::schedule::{Overlap, Plan, Schedule, Timetable};
use crate::task::{Alike, LiveTask, Task};

/// What became of a trigger that may be refused.
///
/// ```
/// use symphra_scheduler::{Error, Overlap, SchedulerHandle, Triggered};
///
/// async fn run_now(scheduler: &SchedulerHandle) -> Result<String, Error> {
///     Ok(match scheduler.trigger_with("report", Overlap::Skip).await? {
///         Triggered::Accepted(run) => format!("it is run {run}"),
///         Triggered::Refused(why) => format!("not now: {why}"),
///         _ => unreachable!("there is no other answer"),
///     })
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Triggered {
    /// The run exists, and begins when its task has room.
    Accepted(RunId),
    /// There is no run: the task was full.
    Refused(Refusal),
}

impl SchedulerHandle {
    /// Pauses a task: from the answer on none of its occurrences becomes a run, and runs of it that have not begun, or
    /// wait for their next attempt, wait on. Those that execute go on. What falls due meanwhile is recorded and never
    /// caught up. [`trigger_task`](Self::trigger_task) and [`backfill`](Self::backfill) still work.
    ///
    /// # Errors
    /// [`Error::is_unknown_task`]; [`Error::is_backend`] if the store cannot be reached; [`Error::is_stopped`].
    ///
    /// # Cancellation
    /// The store may have done it or not.
    pub async fn pause_task(&self, name: &str) -> Result<(), Error> {
        self.pause(Some(self.key(name)?), None).await
    }

    /// [`pause_task`](Self::pause_task) with a reason, which records and [`explain`](Self::explain) tell.
    ///
    /// ```
    /// use symphra_scheduler::{Schedule, Scheduler, Task};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let report = Task::new("report", Schedule::cron("0 9 * * *")?, async || {});
    /// # let scheduler = Scheduler::empty().register(report).start().await?;
    /// scheduler.pause_task_with("report", "stocktaking").await?;
    /// let pause = scheduler.task("report")?.pause.expect("it is paused from the answer on");
    /// assert_eq!(pause.reason.as_deref(), Some("stocktaking"));
    /// scheduler.resume_task("report").await?;
    /// # scheduler.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`pause_task`](Self::pause_task).
    ///
    /// # Cancellation
    /// The store may have done it or not.
    pub async fn pause_task_with(&self, name: &str, reason: impl Into<Arc<str>>) -> Result<(), Error> {
        self.pause(Some(self.key(name)?), Some(reason.into())).await
    }

    /// [`pause_task_with`](Self::pause_task_with), or [`pause_all`](Self::pause_all) without a task, by somebody whom the
    /// pause tells.
    #[cfg(any(feature = "cli", feature = "dashboard"))]
    pub(crate) async fn pause_as(
        &self,
        by: Arc<str>,
        task: Option<&str>,
        reason: Option<Arc<str>>,
    ) -> Result<(), Error> {
        let task = task.map(|name| self.key(name)).transpose()?;
        self.control(Command::Pause { task, by, reason }).await
    }

    /// Ends the pause of a task, also one by its declaration. Its next occurrence is the next after now.
    ///
    /// # Errors
    /// As [`pause_task`](Self::pause_task).
    ///
    /// # Cancellation
    /// The store may have done it or not.
    pub async fn resume_task(&self, name: &str) -> Result<(), Error> {
        let task = Some(self.key(name)?);
        self.control(Command::Resume { task }).await
    }

    /// Pauses all tasks of the store, those of other nodes included.
    ///
    /// ```
    /// use symphra_scheduler::{Error, SchedulerHandle};
    ///
    /// async fn migrate_database(scheduler: &SchedulerHandle) -> Result<(), Error> {
    ///     scheduler.pause_all("the database is migrated").await?;
    ///     // …
    ///     scheduler.resume_all().await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`pause_task`](Self::pause_task).
    ///
    /// # Cancellation
    /// The store may have done it or not.
    pub async fn pause_all(&self, reason: impl Into<Arc<str>>) -> Result<(), Error> {
        self.pause(None, Some(reason.into())).await
    }

    /// Ends [`pause_all`](Self::pause_all). Tasks that were paused by themselves stay so.
    ///
    /// # Errors
    /// As [`pause_task`](Self::pause_task).
    ///
    /// # Cancellation
    /// The store may have done it or not.
    pub async fn resume_all(&self) -> Result<(), Error> {
        self.control(Command::Resume { task: None }).await
    }

    async fn pause(&self, task: Option<TaskKey>, reason: Option<Arc<str>>) -> Result<(), Error> {
        let by = Arc::clone(&self.0.surroundings.node);
        self.control(Command::Pause { task, by, reason }).await
    }

    /// Runs a task once more, now, whatever its schedule says, and leaves the schedule alone. It is never skipped: while
    /// its task is full it waits its turn, also in a pause.
    ///
    /// [`TRIGGERS_WAITING_MAX`](crate::backend::TRIGGERS_WAITING_MAX) triggers and runs of backfills of a task may wait; a
    /// further one is refused with an error.
    ///
    /// A trigger that is accepted just before a stop may have its run cancelled by that; the stop's report lists it.
    ///
    /// ```
    /// use symphra_scheduler::{RunState, Schedule, Scheduler, SchedulerEvent, Task};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let report = Task::new("report", Schedule::cron("0 9 * * *")?, async || {});
    /// let scheduler = Scheduler::empty().register(report).start().await?;
    /// let mut events = scheduler.events();
    /// let triggered = scheduler.trigger_task("report").await?;
    /// while let Some(event) = events.next().await {
    ///     if let SchedulerEvent::RunEnded { run, state, .. } = event {
    ///         assert_eq!((run, state), (triggered, RunState::Succeeded));
    ///         break;
    ///     }
    /// }
    /// # scheduler.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::is_unknown_task`]; [`Error::is_backend`] if the store cannot be reached; [`Error::is_stopped`] once a
    /// stop was asked for; an error that tells how many wait, if too many do.
    ///
    /// # Cancellation
    /// The run may exist or not.
    pub async fn trigger_task(&self, name: &str) -> Result<RunId, Error> {
        match self.trigger(name, None).await? {
            Triggered::Accepted(id) => Ok(id),
            Triggered::Refused(_) => Err(Error::unknown_task(name, None)),
        }
    }

    /// [`trigger_task`](Self::trigger_task) with an overlap policy, which may refuse it while the task is full.
    ///
    /// # Errors
    /// As [`trigger_task`](Self::trigger_task).
    ///
    /// # Cancellation
    /// The run may exist or not.
    pub async fn trigger_with(&self, name: &str, overlap: Overlap) -> Result<Triggered, Error> {
        self.trigger(name, Some(overlap)).await
    }

    async fn trigger(&self, name: &str, overlap: Option<Overlap>) -> Result<Triggered, Error> {
        let live = self.0.directory().get(name)?;
        not_a_job(&live, "is not triggered")?;
        let task = live.key;
        self.running()?;
        let id = self.new_id();
        let submission = Submission { id, task, origin: Origin::Trigger(id), scheduled_at: None, overlap };
        match self.submit(vec![submission]).await?[..] {
            [Submitted::Queued { .. }] => Ok(Triggered::Accepted(id)),
            [Submitted::Refused(refusal)] => Ok(Triggered::Refused(refusal)),
            [Submitted::TooMany] => Err(too_many(name)),
            _ => Err(Error::unknown_task(name, None)),
        }
    }

    /// Adds runs to the store and has the engine look for them.
    pub(super) async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<Submitted>, Error> {
        let answers = self.0.backend.submit(&submissions).await?;
        let cancelled = answers.iter().filter_map(|answer| match answer {
            Submitted::Queued { cancel } => *cancel,
            Submitted::Refused(_) | Submitted::TooMany | Submitted::UnknownTask => None,
        });
        for id in cancelled {
            self.0.executor.cancel(id, CancelCause::Replaced);
        }
        let made: Vec<RunId> = submissions.iter().map(|submission| submission.id).collect();
        gone_or(self, self.request(Request::Runnable).await, &made).await?;
        Ok(answers)
    }

    /// The run of a task that wants one when a node starts. The scheduler runs already, so that a store which does not
    /// answer now is no reason to fail.
    pub(crate) async fn run_on_start(&self, key: TaskKey) {
        let known = self.0.directory().iter().find(|task| task.key == key).cloned();
        let Some(task) = known else { return };
        let window = task.shown().plan.timetable().window;
        let now = self.0.clock.now();
        if now < window.start || now > window.end {
            return;
        }
        let overlap = Some(task.policy.overlap);
        let submission =
            Submission { id: self.new_id(), task: key, origin: Origin::Start, scheduled_at: None, overlap };
        let task = task.name.as_str();
        match self.submit(vec![submission]).await.as_deref() {
            Ok([Submitted::Refused(refusal)]) => self.logger().write(Entry::StartRunRefused { task, refusal }),
            Ok(_) => {}
            Err(error) => self.logger().write(Entry::StartRunFailed { task, error: &format_args!("{error:?}") }),
        }
    }

    /// Cancels a run: one that has not begun, or waits for its next attempt, ends with the answer; one that executes is
    /// asked to end, and 5 s later dropped at its next await, on whichever node.
    ///
    /// ```
    /// use symphra_scheduler::{Error, RunFilter, RunState, SchedulerHandle};
    ///
    /// async fn cancel_waiting(scheduler: &SchedulerHandle) -> Result<(), Error> {
    ///     for run in scheduler.runs(&RunFilter::new().task("import").state(RunState::Queued)).await? {
    ///         match scheduler.cancel_run(run.id).await {
    ///             Err(error) if error.is_unknown_run() => {} // it has ended meanwhile
    ///             other => other?,
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::is_unknown_run`] if there is none with this id, or it has ended; [`Error::is_backend`];
    /// [`Error::is_stopped`].
    ///
    /// # Cancellation
    /// The store may have done it or not.
    pub async fn cancel_run(&self, id: RunId) -> Result<(), Error> {
        let Some(cancelled) = self.0.backend.cancel(id).await? else {
            let query = RunQuery { id: Some(id), limit: Some(1), ..RunQuery::default() };
            return Err(Error::unknown_run(match self.0.backend.runs(&query).await?.first() {
                Some(ended) => format!("run {id} has ended already: {}", ended.state),
                None => format!("there is no run {id}, or it is older than what is kept"),
            }));
        };
        if cancelled.was != RunState::Running {
            // It has ended by this, and the engine is told so once: by the store's changes.
            return Ok(());
        }
        self.request(Request::Changed(Changes { cancelled: vec![cancelled], ..Changes::default() })).await
    }

    /// Gives a task another schedule, which counts from now on: nothing before is missed. What had fallen due and not
    /// started is recorded. Zone, window and exceptions stay, and so do mark and anchor. It is kept in the store, until
    /// a program declares another schedule than the one it had declared.
    ///
    /// ```
    /// use std::time::Duration;
    /// use symphra_scheduler::{Schedule, Scheduler, Task};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let report = Task::new("report", Schedule::cron("0 9 * * *")?, async || {});
    /// # let scheduler = Scheduler::empty().register(report).start().await?;
    /// scheduler.reschedule("report", Schedule::interval(Duration::from_secs(60))?).await?;
    /// assert_eq!(scheduler.task("report")?.schedule.describe(), "every minute");
    /// # scheduler.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::is_unknown_task`]; [`Error::is_config`] if the schedule has no occurrence, or is no interval where the
    /// task has a fixed delay; [`Error::is_backend`]; [`Error::is_stopped`].
    ///
    /// # Cancellation
    /// The store may have done it or not.
    pub async fn reschedule(&self, name: &str, schedule: impl Into<Schedule>) -> Result<(), Error> {
        let schedule = schedule.into();
        let task = self.0.directory().get(name)?;
        not_a_job(&task, "has no schedule")?;
        let timetable = {
            let shown = task.shown();
            Timetable { schedule, ..(**shown.plan.timetable()).clone() }
        };
        let says =
            |says: String| Error::task(vec![Problem::Task { name: name.to_owned(), says, source: task.source() }]);
        if timetable.delay == crate::schedule::Delay::FixedDelay && schedule.period().is_none() {
            return Err(says("its delay is fixed, and only an interval can have one".into()));
        }
        let timetable = Arc::new(timetable);
        let now = self.0.clock.now();
        if Plan::new(Arc::clone(&timetable), name, now, now).next(now).is_none() {
            return Err(says(format!("the schedule ({}) has no occurrence after now", schedule.describe())));
        }
        self.control(Command::Reschedule { task: task.key, timetable }).await
    }

    /// Puts a mark that lies ahead of the present back to it: the way out when a clock that ran ahead has left it far in the future, so
    /// that everything until then would be recorded.
    ///
    /// ```
    /// use symphra_scheduler::{Error, SchedulerHandle};
    ///
    /// /// After a clock that was a year ahead has fired.
    /// async fn put_back(scheduler: &SchedulerHandle) -> Result<(), Error> {
    ///     scheduler.reset_mark("report").await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`pause_task`](Self::pause_task).
    ///
    /// # Cancellation
    /// The store may have done it or not.
    pub async fn reset_mark(&self, name: &str) -> Result<(), Error> {
        let task = self.key(name)?;
        self.control(Command::ResetMark { task }).await
    }

    /// Adds a task while the scheduler runs.
    ///
    /// ```
    /// use symphra_scheduler::{Schedule, Scheduler, Task};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let scheduler = Scheduler::empty().start().await?;
    /// let tenant = || Task::new("report of tenant 7", Schedule::cron("0 9 * * *").expect("a valid expression"), async || {});
    /// scheduler.register(tenant()).await?;
    /// assert!(scheduler.register(tenant()).await.unwrap_err().is_duplicate_task());
    /// scheduler.unregister("report of tenant 7").await?;
    /// assert!(scheduler.list_tasks().is_empty());
    /// # scheduler.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error`] lists all that is wrong with it, as at start: a name that is taken is [`Error::is_duplicate_task`], a
    /// state that nobody provides [`Error::is_missing_state`], an option that the backend lacks
    /// [`Error::is_unsupported`]. Then [`Error::is_backend`], [`Error::is_stopped`].
    ///
    /// # Cancellation
    /// The task may be known to the store and not fire here; registering it again is safe.
    pub async fn register(&self, task: Task) -> Result<(), Error> {
        self.running()?;
        let (name, mut problems) = task.problems(self.0.config.zone());
        problems.append(&mut task.unmet_needs(&self.0.surroundings.provided));
        problems.append(&mut self.unsupported(&task));
        let Some(name) = name.filter(|_| problems.is_empty()) else { return Err(Error::task(problems)) };
        if let Err(taken) = self.0.directory_mut().reserve(&name) {
            let first = taken.map_or(task.source(), |taken| taken.source());
            let name = name.to_string();
            return Err(Error::task(vec![Problem::Duplicate { name, first, second: task.source() }]));
        }
        let reserved = Reserved { handle: self, name: &name };
        let (config, retention) = (&self.0.config, self.0.config.retention());
        let mut alike = Alike::default();
        let registration = task.registration(name.clone(), config, &retention, &mut alike);
        let answers = self.0.backend.register(&self.0.holder, &[registration]).await?;
        let [registered] = &answers[..] else {
            return Err(Error::refused("the backend did not answer for the task that was registered"));
        };
        let live = Arc::new(LiveTask::new(&task, name.clone(), registered, self.0.clock.now(), &mut alike));
        // From here on nothing waits until both the directory and the engine have it.
        let permit = self.permit().await?;
        self.0.directory_mut().insert(Arc::clone(&live));
        drop(reserved);
        if let Err(error) = taken_in(permit, Request::Add(live, Box::new(registered.clone()))).await {
            // It has not begun to fire, so nothing else has to be undone.
            let _ = self.0.directory_mut().remove(name.as_str());
            return Err(error);
        }
        if registered.run_on_start {
            self.run_on_start(registered.key).await;
        }
        Ok(())
    }

    /// What a task asks for and the backend lacks.
    pub(crate) fn unsupported(&self, task: &Task) -> Vec<Problem> {
        task.unsupported(self.0.backend.name(), self.0.backend.capabilities())
    }

    /// Has tasks declared otherwise than before, for the store and for this node: all of them, in one step of the store.
    /// What runs goes on as it began; marks, counts and an operator's pause stay. Tasks that are not registered any more
    /// are left out; the names of the others come back.
    #[cfg(feature = "config")]
    pub(crate) async fn redeclare(&self, tasks: &[Task]) -> Result<Vec<String>, Error> {
        self.running()?;
        let known = |task| Some((task, self.0.directory().get(Task::name(task)).ok()?));
        let tasks: Vec<(&Task, Arc<LiveTask>)> = tasks.iter().filter_map(known).collect();
        let retention = self.0.config.retention();
        let mut alike = Alike::default();
        let declared = |(task, before): &(&Task, Arc<LiveTask>)| {
            task.registration(before.name.clone(), &self.0.config, &retention, &mut alike)
        };
        let registrations: Vec<_> = tasks.iter().map(declared).collect();
        let answers = self.0.backend.register(&self.0.holder, &registrations).await?;
        if answers.len() != tasks.len() {
            return Err(Error::refused("the backend did not answer for each task that was declared again"));
        }
        let mut names = Vec::with_capacity(tasks.len());
        for ((task, before), registered) in tasks.into_iter().zip(answers) {
            let now = self.0.clock.now();
            let live = LiveTask::new(task, before.name.clone(), &registered, now, &mut alike).in_place_of(&before);
            let live = Arc::new(live);
            let permit = self.permit().await?;
            if self.0.directory_mut().replace(&live).is_err() {
                // It was unregistered just now.
                continue;
            }
            taken_in(permit, Request::Redeclare(live, Box::new(registered))).await?;
            names.push(task.name().to_owned());
        }
        Ok(names)
    }

    /// Takes a task out: it fires no more on this node. Runs of it that execute go on; those that wait stay in the store,
    /// as its mark and its history do, and begin if it is registered again. The memory backend keeps the last 10,000 tasks that
    /// no scheduler has, and forgets others with what waits of them.
    ///
    /// The store is told that this node has the task no more; if it does not answer now, as soon as it does.
    ///
    /// # Errors
    /// [`Error::is_unknown_task`]; [`Error::is_stopped`].
    ///
    /// # Cancellation
    /// The task is taken out all the same.
    pub async fn unregister(&self, name: &str) -> Result<(), Error> {
        self.running()?;
        let permit = self.permit().await?;
        let task: Arc<LiveTask> = self.0.directory_mut().remove(name)?;
        let key = task.key;
        self.logger().write(Entry::TaskUnregistered { task: task.name.as_str() });
        self.0.teller.tell(|| crate::events::SchedulerEvent::TaskUnregistered { task: task.name.clone() });
        let taken_in = taken_in(permit, Request::Remove(key)).await;
        #[cfg(feature = "metrics")]
        self.0.surroundings.meters.retire(&task.name, task.tally().outcomes());
        taken_in
    }

    pub(super) fn key(&self, name: &str) -> Result<TaskKey, Error> {
        Ok(self.0.directory().get(name)?.key)
    }

    async fn control(&self, command: Command) -> Result<(), Error> {
        self.running()?;
        let changes = self.0.backend.control(&command).await?;
        self.request(Request::Changed(changes)).await
    }
}

/// Asks the engine at once, and waits until it has taken that in.
fn taken_in(permit: Permit<'_, Asking>, request: Request) -> impl Future<Output = Result<(), Error>> {
    let (taken_in, waiting) = oneshot::channel();
    permit.send((request, taken_in));
    async { waiting.await.map_err(|_| gone()) }
}

/// A name that is given back if its task does not come to be registered.
struct Reserved<'a> {
    handle: &'a SchedulerHandle,
    name: &'a crate::task::TaskName,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.handle.0.directory_mut().release(self.name);
    }
}

/// What becomes of runs that were made as the engine ended, and did not take that in: another node, or the next start,
/// executes them, or they are undone where nothing outlives the program.
pub(super) async fn gone_or(
    handle: &SchedulerHandle,
    taken_in: Result<(), Error>,
    made: &[RunId],
) -> Result<(), Error> {
    let Err(error) = taken_in else { return Ok(()) };
    if handle.0.backend.capabilities().durable {
        return Ok(());
    }
    for &run in made {
        handle.0.backend.cancel(run).await?;
    }
    Err(error)
}

/// A job runs when it is enqueued, and not otherwise: nobody else knows its arguments.
fn not_a_job(task: &LiveTask, what: &str) -> Result<(), Error> {
    match task.reads() {
        None => Ok(()),
        Some(_) => {
            Err(Error::refused(format!("task \"{}\" is a job, and {what}: it runs when it is enqueued", task.name)))
        }
    }
}

/// Said of a trigger or a backfill when as many runs wait as may.
pub(super) fn too_many(task: &str) -> Error {
    Error::refused(format!(
        "{TRIGGERS_WAITING_MAX} triggers and runs of backfills of task \"{task}\" wait already, which is the most that may; \
         trigger it less often, let more of its runs go at once by `max_instances`, or trigger it with an overlap policy \
         such as `buffer_one`"
    ))
}
