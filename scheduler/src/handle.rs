//! The handle of a running scheduler: asks it to stop, shows what it does, and changes it while it runs.
//!
//! What changes it goes to the store first, which every node heeds, and then to this scheduler's own engine; a method
//! returns when both have taken it in.

mod actions;
mod backfill;
mod change;
mod directory;
mod explain;
mod health;
#[cfg(feature = "jobs")]
mod jobs;
mod letters;
#[cfg(feature = "metrics")]
mod prometheus;
mod query;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::backend::{Backend, Holder};
use crate::clock::StoreClock;
use crate::config::SchedulerConfig;
use crate::engine::{Asked, Asking, Counts, Link, Request, StopReport};
use crate::error::Error;
use crate::events::{Events, Teller};
use crate::executor::{Executor, Surroundings};
use crate::logging::Logger;
use crate::run::{RunId, RunIds};

pub use backfill::{Backfill, Backfilled};
#[cfg(feature = "cli")]
pub(crate) use backfill::{BackfillOf, Wanted};
pub use change::Triggered;
pub(crate) use directory::Directory;
#[cfg(feature = "cli")]
pub(crate) use explain::AskedOf;
pub use explain::{Explanation, NoOccurrence};
#[cfg(feature = "cli")]
pub(crate) use health::success_due;
pub use health::{ClockHealth, Health, StaleTask, StoreHealth};
#[cfg(feature = "jobs")]
pub use jobs::Enqueue;
#[cfg(feature = "cli")]
pub(crate) use letters::{Again, again, has_jobs, no_letter};
pub use letters::{DeadLetter, LetterFilter};
#[cfg(feature = "metrics")]
pub use prometheus::PROMETHEUS_CONTENT_TYPE;
pub use query::{Run, RunFilter, RunsPage};

/// A running scheduler. Cheap to clone; dropping it, or every clone of it, leaves the scheduler running.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::{Schedule, Scheduler, Task};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let report = Task::new("report", Schedule::cron("0 9 * * *")?, async || {});
/// let scheduler = Scheduler::empty().register(report).start().await?;
/// scheduler.pause_task_with("report", "stocktaking").await?;
/// assert!(scheduler.task("report")?.pause.is_some());
/// scheduler.resume_task("report").await?;
/// scheduler.reschedule("report", Schedule::interval(Duration::from_secs(3_600))?).await?;
/// let run = scheduler.trigger_task("report").await?;
/// println!("{run}");
/// assert!(scheduler.stop().await?.is_clean());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SchedulerHandle(Arc<Shared>);

/// What the handles, the engine's own included, share.
pub(crate) struct Shared {
    pub(crate) directory: RwLock<Directory>,
    /// What a person should know of the tasks from the start.
    pub(crate) notes: Vec<String>,
    pub(crate) executor: Executor,
    pub(crate) counts: Arc<Counts>,
    pub(crate) asked: watch::Sender<Asked>,
    pub(crate) requests: mpsc::Sender<Asking>,
    pub(crate) teller: Teller,
    /// The report of a stop that is over; its sender lives as long as the engine.
    pub(crate) done: watch::Receiver<Option<Arc<StopReport>>>,
    pub(crate) surroundings: Arc<Surroundings>,
    pub(crate) link: Arc<Link>,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) holder: Arc<Holder>,
    pub(crate) config: SchedulerConfig,
    pub(crate) ids: Mutex<RunIds>,
    pub(crate) clock: StoreClock,
    pub(crate) started: Instant,
}

impl SchedulerHandle {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    pub(crate) fn logger(&self) -> &Logger {
        &self.0.surroundings.logger
    }

    /// What a person should know of the tasks from the start.
    pub(crate) fn notes(&self) -> &[String] {
        &self.0.notes
    }

    /// The zone of tasks that name none.
    #[cfg(any(feature = "cli", feature = "dashboard"))]
    pub(crate) fn zone(&self) -> chrono_tz::Tz {
        self.0.config.zone()
    }

    /// Stops: nothing fires any more, and the runs that a worker has or that wait for one may end, within
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

    /// A guard that asks the scheduler to stop, and drain, when it is dropped. It does not wait for the end: call
    /// [`stop`](Self::stop) where the program can.
    ///
    /// ```
    /// use symphra_scheduler::{Error, Scheduler};
    ///
    /// async fn serve() -> Result<(), Error> {
    ///     let scheduler = Scheduler::from_registry().start().await?.stop_on_drop();
    ///     // … whichever way this function is left, the scheduler is asked to stop …
    ///     scheduler.stop().await?;
    ///     Ok(())
    /// }
    /// ```
    #[must_use = "the scheduler is asked to stop when the guard is dropped"]
    pub fn stop_on_drop(self) -> StopOnDrop {
        StopOnDrop(self)
    }

    /// What happens from now on, as it happens. Nothing waits for a slow listener; it is told how much it has missed.
    #[must_use]
    pub fn events(&self) -> Events {
        self.0.teller.listen()
    }

    /// A stop that goes further than the one before; a lesser one changes nothing.
    fn ask(&self, what: Asked) {
        self.0.asked.send_if_modified(|asked| {
            let more = what > *asked;
            *asked = what.max(*asked);
            more
        });
    }

    /// An error once the scheduler has been asked to stop.
    fn running(&self) -> Result<(), Error> {
        if *self.0.asked.borrow() == Asked::Run {
            return Ok(());
        }
        Err(Error::stopped("the scheduler has been asked to stop, and takes nothing more"))
    }

    /// Asks the engine, and waits until it has taken that in.
    async fn request(&self, request: Request) -> Result<(), Error> {
        let (taken_in, waiting) = oneshot::channel();
        self.0.requests.send((request, taken_in)).await.map_err(|_| gone())?;
        waiting.await.map_err(|_| gone())
    }

    /// A place for a request, so that it can be made without waiting.
    async fn permit(&self) -> Result<mpsc::Permit<'_, Asking>, Error> {
        self.0.requests.reserve().await.map_err(|_| gone())
    }

    fn new_id(&self) -> RunId {
        let now = self.0.clock.now();
        self.0.ids.lock().unwrap_or_else(PoisonError::into_inner).next(now)
    }
}

fn gone() -> Error {
    Error::stopped("the scheduler has stopped")
}

impl std::fmt::Debug for SchedulerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SchedulerHandle")
            .field("node", &self.0.surroundings.node)
            .field("tasks", &self.0.directory().len())
            .finish_non_exhaustive()
    }
}

/// A handle that asks its scheduler to stop when it is dropped.
///
/// ```
/// use symphra_scheduler::Scheduler;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), symphra_scheduler::Error> {
/// let scheduler = Scheduler::empty().start().await?;
/// {
///     let guard = scheduler.clone().stop_on_drop();
///     assert!(guard.stats().running);
/// }
/// assert!(scheduler.wait().await?.is_clean());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StopOnDrop(SchedulerHandle);

impl std::ops::Deref for StopOnDrop {
    type Target = SchedulerHandle;

    fn deref(&self) -> &SchedulerHandle {
        &self.0
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.ask(Asked::Drain);
    }
}
