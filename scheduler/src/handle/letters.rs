//! Dead letters: jobs that have failed for good. They can be looked at, run again and dropped, by any program on the store.

use symphra_scheduler_core::Timestamp;

use super::SchedulerHandle;
use super::change::gone_or;
use crate::backend::{Enqueued, JobArguments, LetterQuery, LetterRow};
use crate::engine::Request;
use crate::error::Error;
use crate::run::{RunId, RunState};
use crate::task::TaskName;

/// Which dead letters to list, the last to die first. Default: the last 1,000 of all that are kept.
///
/// ```
/// use symphra_scheduler::{LetterFilter, Scheduler};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), symphra_scheduler::Error> {
/// let scheduler = Scheduler::empty().start().await?;
/// assert!(scheduler.dead_letters(&LetterFilter::new().limit(10)).await?.is_empty());
/// # scheduler.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct LetterFilter {
    task: Option<String>,
    query: LetterQuery,
}

impl LetterFilter {
    /// All dead letters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those of this task.
    #[must_use]
    pub fn task(mut self, name: impl Into<String>) -> Self {
        self.task = Some(name.into());
        self
    }

    /// Only the one of this run.
    #[must_use]
    pub fn id(mut self, run: RunId) -> Self {
        self.query.id = Some(run);
        self
    }

    /// At most this many. Default: 1,000.
    #[must_use]
    pub fn limit(mut self, letters: usize) -> Self {
        self.query.limit = Some(letters);
        self
    }
}

/// A job that has failed for good.
///
/// ```
/// use symphra_scheduler::DeadLetter;
///
/// fn line(letter: &DeadLetter) -> String {
///     let why = letter.failure.as_deref().unwrap_or("no node has claimed it");
///     format!("{} of {}, {} at {}: {why}", letter.id, letter.task, letter.state, letter.died_at)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its task.
    pub task: TaskName,
    /// Its run.
    pub id: RunId,
    /// What it was enqueued with, as JSON, and the version of that.
    pub arguments: JobArguments,
    /// From which instant on it might begin.
    pub scheduled_at: Timestamp,
    /// When it failed for good.
    pub died_at: Timestamp,
    /// How it ended: failed, timed out or abandoned; cancelled if no node has claimed it for 14 days.
    pub state: RunState,
    /// Its last attempt, counted from 1; 0 if there was none.
    pub attempt: u32,
    /// The error of its last attempt.
    pub failure: Option<Box<str>>,
}

impl DeadLetter {
    pub(crate) fn of(task: TaskName, row: LetterRow) -> Self {
        let LetterRow { id, arguments, scheduled_at, died_at, state, attempt, failure, .. } = row;
        Self { task, id, arguments, scheduled_at, died_at, state, attempt, failure }
    }
}

impl SchedulerHandle {
    /// Dead letters: jobs that have failed for good, the last first. Each is kept for 30 days, and of one task the last
    /// 10,000.
    ///
    /// ```
    /// use symphra_scheduler::{Error, LetterFilter, SchedulerHandle};
    ///
    /// async fn look_after(scheduler: &SchedulerHandle) -> Result<(), Error> {
    ///     for letter in scheduler.dead_letters(&LetterFilter::new().task("send_welcome").limit(10)).await? {
    ///         println!("{}: {}", letter.id, letter.failure.as_deref().unwrap_or("no node has claimed it"));
    ///         match letter.attempt {
    ///             0 => scheduler.drop_letter(letter.id).await?,
    ///             _ => println!("it runs again as {}", scheduler.run_again(letter.id).await?),
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::is_unknown_task`] if the filter names a task that the store does not know; [`Error::is_backend`] if the store
    /// cannot be reached; [`Error::is_unsupported`] if it has no jobs.
    ///
    /// # Cancellation
    /// Safe: asking changes nothing.
    pub async fn dead_letters(&self, filter: &LetterFilter) -> Result<Vec<DeadLetter>, Error> {
        self.has_jobs()?;
        let mut query = filter.query.clone();
        if let Some(name) = &filter.task {
            query.task = Some(self.key_in_store(name).await?);
        }
        let rows = self.0.backend.dead_letters(&query).await?;
        let names = self.names_in_store(rows.iter().map(|row| row.task)).await?;
        let named = rows.into_iter().filter_map(|row| Some(DeadLetter::of(names.get(&row.task)?.clone(), row)));
        Ok(named.collect())
    }

    /// Enqueues the job of a dead letter again, with its arguments, its priority and its key, and removes the letter. The
    /// answer is the run that it becomes; or the one that is alive under its key, and then the letter stays.
    ///
    /// # Errors
    /// [`Error::is_unknown_run`] if there is no such letter; [`Error::is_backend`] if the store cannot be reached;
    /// [`Error::is_unsupported`] if it has no jobs; [`Error::is_stopped`] once a stop was asked for; an error that tells how
    /// many jobs wait, if too many do.
    ///
    /// # Cancellation
    /// The job may have been enqueued or not.
    pub async fn run_again(&self, letter: RunId) -> Result<RunId, Error> {
        match self.again(letter).await? {
            Again::Enqueued(run) | Again::Known(run) => Ok(run),
        }
    }

    pub(crate) async fn again(&self, letter: RunId) -> Result<Again, Error> {
        self.running()?;
        self.has_jobs()?;
        let id = self.new_id();
        let again = again(letter, id, self.0.backend.run_again(letter, id).await?)?;
        if let Again::Enqueued(id) = again {
            gone_or(self, self.request(Request::Runnable).await, &[id]).await?;
        }
        Ok(again)
    }

    /// Removes a dead letter.
    ///
    /// # Errors
    /// [`Error::is_unknown_run`] if there is no such letter; [`Error::is_backend`] if the store cannot be reached;
    /// [`Error::is_unsupported`] if it has no jobs.
    ///
    /// # Cancellation
    /// It may have been removed or not.
    pub async fn drop_letter(&self, letter: RunId) -> Result<(), Error> {
        self.has_jobs()?;
        match self.0.backend.drop_letter(letter).await? {
            true => Ok(()),
            false => Err(no_letter(letter)),
        }
    }

    fn has_jobs(&self) -> Result<(), Error> {
        has_jobs(&*self.0.backend)
    }
}

/// What has become of a letter that was to be run again.
pub(crate) enum Again {
    /// It is this run.
    Enqueued(RunId),
    /// Its key is held by this one, and it stays.
    Known(RunId),
}

impl Again {
    /// Its word, and the run.
    #[cfg(any(feature = "cli", feature = "dashboard"))]
    pub(crate) const fn told(&self) -> (&'static str, RunId) {
        match self {
            Self::Enqueued(run) => ("enqueued", *run),
            Self::Known(run) => ("known", *run),
        }
    }
}

/// What has become of `letter`, which was to be the run `id`, by the answer of its store.
pub(crate) fn again(letter: RunId, id: RunId, answer: Option<Enqueued>) -> Result<Again, Error> {
    match answer {
        Some(Enqueued::Queued) => Ok(Again::Enqueued(id)),
        Some(Enqueued::Known(known)) => Ok(Again::Known(known)),
        Some(Enqueued::TooMany) => Err(too_many_jobs("the letter's task")),
        Some(Enqueued::UnknownTask) | None => Err(no_letter(letter)),
    }
}

/// An error, if the store has no jobs.
pub(crate) fn has_jobs(backend: &dyn crate::backend::Backend) -> Result<(), Error> {
    match backend.capabilities().jobs {
        true => Ok(()),
        false => Err(Error::no_jobs(backend.name())),
    }
}

pub(crate) fn no_letter(id: RunId) -> Error {
    Error::unknown_run(format!(
        "there is no dead letter {id}: it was run again or dropped, or is older than what is kept"
    ))
}

/// Said when as many jobs wait as may.
pub(crate) fn too_many_jobs(task: &str) -> Error {
    Error::refused(format!(
        "{} jobs of {task} wait already, which is the most that may, or the backend holds as many bytes of arguments as \
         it can (memory: 256 MB, rabbitmq: 64 MB); let more of them run at once, or enqueue fewer",
        crate::backend::JOBS_WAITING_MAX
    ))
}
