//! How a program hands over work: to which task, with what, when, and under which key.

use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeZone};
use symphra_scheduler_core::{Timestamp, nearest};

use super::SchedulerHandle;
use super::change::gone_or;
use super::letters::too_many_jobs;
use crate::backend::{
    ARGUMENTS_BYTES_MAX, BackendError, Begin, Enqueued, JobArguments, NewJob, UNIQUE_KEY_BYTES_MAX, Unique, in_steps,
};
use crate::engine::Request;
use crate::error::Error;
use crate::job::{JobKind, JobTask, Payload, Wanted};
use crate::run::RunId;
use crate::task::{LiveTask, PRIORITY_MAX};

/// A job that is about to be enqueued: nothing is done before it is awaited. The answer is the id of its run.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::{Error, RunId, SchedulerHandle, task};
///
/// #[task]
/// async fn remind(customer: u64) {
///     println!("dear customer {customer}");
/// }
///
/// async fn ordered(scheduler: &SchedulerHandle, customer: u64) -> Result<RunId, Error> {
///     let tomorrow = Duration::from_secs(24 * 60 * 60);
///     scheduler.enqueue(remind, customer).delay(tomorrow).unique(format!("remind:{customer}")).await
/// }
/// ```
#[must_use = "a job is enqueued when this is awaited"]
pub struct Enqueue<'a> {
    handle: &'a SchedulerHandle,
    /// Its task and arguments; or what is wrong with them, which is told when it is awaited.
    job: Result<(Arc<LiveTask>, JobArguments), Error>,
    begin: Begin,
    priority: Option<i8>,
    key: Option<Arc<str>>,
    held_for: Option<Duration>,
}

impl SchedulerHandle {
    /// Hands over work: `task` will run once with `args`, on whichever node has room for it.
    ///
    /// A task is named by its function, which says what it takes, so that arguments of another type do not compile; or by
    /// its name, and then they are compared here. They are kept as JSON, 256 KB at most, until the job has ended; if it
    /// fails for good, after all attempts that its task allows, it is a [dead letter](Self::dead_letters). Of one task
    /// [100,000](crate::backend::JOBS_WAITING_MAX) jobs may wait.
    ///
    /// ```standalone_crate
    /// use std::time::Duration;
    /// use serde::{Deserialize, Serialize};
    /// use symphra_scheduler::{Scheduler, task};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Welcome {
    ///     to: String,
    /// }
    ///
    /// #[task(timeout = "30s")]
    /// async fn send_welcome(mail: Welcome) {
    ///     println!("to {}", mail.to);
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), symphra_scheduler::Error> {
    /// let scheduler = Scheduler::from_registry().start().await?;
    /// let ada = Welcome { to: "ada@example.org".to_owned() };
    /// scheduler.enqueue(send_welcome, ada).delay(Duration::from_secs(60)).unique("welcome ada").await?;
    /// # scheduler.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When it is awaited: [`Error::is_unknown_task`], with the nearest name; an error that tells the type of the arguments,
    /// or their size, where that is not possible; [`Error::is_backend`] if the store cannot be reached, and then the job may be
    /// there all the same; [`Error::is_stopped`] once a stop was asked for.
    ///
    /// # Cancellation
    /// The job may have been enqueued or not; with a key it can be enqueued again without being there twice.
    pub fn enqueue<T: Payload, By>(&self, task: impl JobTask<T, By>, args: T) -> Enqueue<'_> {
        let job = self.job(task.wanted()).and_then(|live| {
            let arguments = arguments(&live, &args)?;
            Ok((live, arguments))
        });
        Enqueue { handle: self, job, begin: Begin::Now, priority: None, key: None, held_for: None }
    }

    /// [`enqueue`](Self::enqueue) for many at once: one step of the store for each thousand, or for each 4 MB of arguments. The answers are in their order.
    ///
    /// ```
    /// use symphra_scheduler::{Scheduler, Task};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), symphra_scheduler::Error> {
    /// let resize = Task::job("resize", |image: u64| async move { println!("image {image}") });
    /// let scheduler = Scheduler::empty().register(resize).start().await?;
    /// let runs = scheduler.enqueue_all("resize", 1..=100_u64).await?;
    /// assert_eq!(runs.len(), 100);
    /// # scheduler.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue). Where one is refused, those of earlier steps have been enqueued, and of its own as
    /// many as might be: the others wait.
    ///
    /// # Cancellation
    /// Some may have been enqueued and others not.
    pub async fn enqueue_all<T: Payload, By>(
        &self,
        task: impl JobTask<T, By>,
        args: impl IntoIterator<Item = T>,
    ) -> Result<Vec<RunId>, Error> {
        let live = self.job(task.wanted())?;
        self.running()?;
        let all = args.into_iter().map(|args| {
            let arguments = arguments(&live, &args)?;
            let (id, task) = (self.new_id(), live.key);
            Ok(NewJob { id, task, arguments, begin: Begin::Now, priority: None, unique: None })
        });
        let all = all.collect::<Result<Vec<NewJob>, Error>>()?;
        let mut ids = Vec::with_capacity(all.len());
        for some in in_steps(&all) {
            let answers = self.0.backend.enqueue_jobs(some).await?;
            let made: Vec<RunId> = some.iter().map(|new| new.id).collect();
            gone_or(self, self.request(Request::Runnable).await, &made).await?;
            for (place, new) in some.iter().enumerate() {
                ids.push(run_of(&live, new.id, answers.get(place))?);
            }
        }
        Ok(ids)
    }

    /// The task that is meant.
    fn job(&self, wanted: Wanted<'_>) -> Result<Arc<LiveTask>, Error> {
        let directory = self.0.directory();
        match wanted {
            Wanted::Name(name) => directory.get(name),
            Wanted::Pointer(path) => Err(Error::refused(format!(
                "`{path}` is a pointer to a function, or a closure that holds something, and several tasks may have one of \
                 that type; enqueue the job by the function itself, or by the name of its task"
            ))),
            Wanted::Function(function, path) => {
                let mut found = directory.of_function(function);
                let name = path.rsplit("::").next().unwrap_or(path);
                let jobs = || directory.iter().filter(|task| task.job().is_some()).map(|task| task.name.as_str());
                let task = found.next().ok_or_else(|| match directory.iter().find(|task| task.name.as_str() == name) {
                    Some(task) if task.job().is_some() => Error::refused(format!(
                        "task \"{name}\" is of another function than `{path}`; enqueue the job by the name of the task"
                    )),
                    _ => Error::unknown_task(name, nearest(name, jobs())),
                })?;
                match found.next() {
                    None => Ok(Arc::clone(task)),
                    Some(other) => Err(Error::refused(format!(
                        "`{name}` is the function of task \"{}\" and of task \"{}\"; enqueue the job by the name of one",
                        task.name, other.name
                    ))),
                }
            }
        }
    }
}

/// What the task is called with, as it is kept.
fn arguments<T: Payload>(task: &LiveTask, args: &T) -> Result<JobArguments, Error> {
    let name = &task.name;
    let kind: &JobKind = task.job().ok_or_else(|| {
        Error::refused(format!("task \"{name}\" has a schedule, and is no job; trigger it, or declare it with #[task]"))
    })?;
    if let Some(takes) = kind.other_than::<T>() {
        let given = std::any::type_name::<T>();
        return Err(Error::refused(format!("a job of task \"{name}\" takes `{takes}`, and was given `{given}`")));
    }
    let json = serde_json::to_string(args)
        .map_err(|error| Error::refused(format!("the arguments of a job of task \"{name}\" are no JSON: {error}")))?;
    // A job whose arguments nobody can read fails hours later, where nobody is who could mend it.
    serde_json::from_str::<T>(&json).map_err(|error| {
        Error::refused(format!(
            "the arguments of a job of task \"{name}\" can be written, and not be read again: {error}"
        ))
    })?;
    if json.len() > ARGUMENTS_BYTES_MAX {
        return Err(Error::refused(format!(
            "the arguments of a job of task \"{name}\" take {} bytes as JSON, and at most {ARGUMENTS_BYTES_MAX} (256 KB) may; \
             keep what is long in a place of its own, and give the job its name",
            json.len()
        )));
    }
    Ok(JobArguments { version: kind.version(), json: json.into() })
}

impl<'a> Enqueue<'a> {
    /// It begins not before this instant, on the store's clock. One that is past is now.
    pub fn at<Z: TimeZone>(mut self, at: DateTime<Z>) -> Self {
        self.begin = Begin::At(Timestamp::from(at));
        self
    }

    /// It begins not before so much time has passed.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.begin = Begin::After(delay);
        self
    }

    /// Which jobs begin first where not all can: the higher, then the one that was to begin earlier. Default: the priority of
    /// its task; allowed −100 to 100.
    pub fn priority(mut self, priority: i8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// While a job of the task with this key is alive, it is the answer, and no other is made: queued, running or waiting for
    /// its next attempt. The store sees to it, however many callers there are. 256 bytes at most.
    pub fn unique(mut self, key: impl Into<Arc<str>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Its [key](Self::unique) is held for so long from when it was enqueued, also if it has ended before.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use symphra_scheduler::{Scheduler, Task};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rebuild = Task::job("rebuild", || async { println!("rebuilt") });
    /// let scheduler = Scheduler::empty().register(rebuild).start().await?;
    /// let minute = Duration::from_secs(60);
    /// let first = scheduler.enqueue("rebuild", ()).unique("index").unique_for(minute).await?;
    /// let second = scheduler.enqueue("rebuild", ()).unique("index").unique_for(minute).await?;
    /// assert_eq!(first, second, "once a minute at most");
    /// # scheduler.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn unique_for(mut self, time: Duration) -> Self {
        self.held_for = Some(time);
        self
    }

    /// The job, if it can be one.
    fn ready(self) -> Result<(&'a SchedulerHandle, Arc<LiveTask>, NewJob), Error> {
        let Self { handle, job, begin, priority, key, held_for } = self;
        let (live, arguments) = job?;
        handle.running()?;
        if let Some(priority) = priority.filter(|priority| priority.unsigned_abs() > PRIORITY_MAX.unsigned_abs()) {
            return Err(Error::refused(format!("priority = {priority} is not possible; allowed is -100 to 100")));
        }
        if let Some(bytes) = key.as_ref().map(|key| key.len()).filter(|&bytes| bytes > UNIQUE_KEY_BYTES_MAX) {
            return Err(Error::refused(format!(
                "the key under which a job is unique has {bytes} bytes, and at most {UNIQUE_KEY_BYTES_MAX} may it have"
            )));
        }
        if key.is_none() && held_for.is_some() {
            return Err(Error::refused(
                "unique_for says for how long a job's key is held, and this one has none; add .unique(key)",
            ));
        }
        let unique = key.map(|key| Unique { key, at_least: held_for });
        let new = NewJob { id: handle.new_id(), task: live.key, arguments, begin, priority, unique };
        Ok((handle, live, new))
    }

    /// Enqueues the job in the program's own transaction, on the database of its store: if that is committed, the job is
    /// there, and nodes are woken; if it is undone, it never was.
    ///
    /// ```no_run
    /// # #[cfg(feature = "postgres")]
    /// # mod shop {
    /// use symphra_scheduler::{SchedulerHandle, task};
    ///
    /// #[task]
    /// async fn send_receipt(order: i64) {
    ///     println!("receipt of order {order}");
    /// }
    ///
    /// async fn pay(scheduler: &SchedulerHandle, pool: &sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
    ///     let mut tx = pool.begin().await?;
    ///     sqlx::query("UPDATE orders SET paid = true WHERE id = 7").execute(&mut *tx).await?;
    ///     scheduler.enqueue(send_receipt, 7_i64).in_tx(&mut tx).await?;
    ///     tx.commit().await?;
    ///     Ok(())
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// As when it is awaited by itself; [`Error::is_unsupported`] if the store is in no database; [`Error::is_backend`] if the
    /// transaction is on another database than the store, or is refused something by it.
    ///
    /// # Cancellation
    /// The job may be in the transaction or not.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub async fn in_tx(self, tx: &mut impl crate::backend::JobTransaction) -> Result<RunId, Error> {
        let (handle, live, new) = self.ready()?;
        let backend = &*handle.0.backend;
        let store = backend.job_store().await?.ok_or_else(|| Error::no_transactions(backend.name()))?;
        let answer = tx.enqueue(store, live.name.as_str(), &new).await?;
        run_of(&live, new.id, Some(&answer))
    }

    async fn enqueued(self) -> Result<RunId, Error> {
        let (handle, live, new) = self.ready()?;
        let id = new.id;
        let answers = handle.0.backend.enqueue_jobs(&[new]).await?;
        match run_of(&live, id, answers.first())? {
            new if new == id => {
                gone_or(handle, handle.request(Request::Runnable).await, &[id]).await?;
                Ok(new)
            }
            known => Ok(known),
        }
    }
}

/// The run of a job, by what the store says of it.
fn run_of(task: &LiveTask, id: RunId, answer: Option<&Enqueued>) -> Result<RunId, Error> {
    match answer {
        Some(Enqueued::Queued) => Ok(id),
        Some(Enqueued::Known(known)) => Ok(*known),
        Some(Enqueued::TooMany) => Err(too_many_jobs(&format!("task \"{}\"", task.name))),
        Some(Enqueued::UnknownTask) => Err(Error::unknown_task(task.name.as_str(), None)),
        None => Err(BackendError::new("enqueue jobs", "a job has no answer").into()),
    }
}

impl<'a> IntoFuture for Enqueue<'a> {
    type Output = Result<RunId, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.enqueued())
    }
}

impl std::fmt::Debug for Enqueue<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let task = self.job.as_ref().ok().map(|(task, _)| task.name.as_str());
        f.debug_struct("Enqueue").field("task", &task).field("begin", &self.begin).finish_non_exhaustive()
    }
}
