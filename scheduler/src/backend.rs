//! The contract between the engine and whatever keeps runs: marks, runs under leases, records and the ledger.
//!
//! What it promises, in words; the conformance suite (feature `conformance`) is the same in tests:
//!
//! 1. **The mark fires once.** [`enqueue`](Backend::enqueue) compares a task's mark with what the caller believes and
//!    advances it in the step that inserts the run: of any number of callers with one belief, one succeeds.
//! 2. **Nothing is early.** What is due after the store's own clock is refused.
//! 3. **A run has one holder.** A run is held by a node under that node's lease. When the lease has run out, another
//!    node may claim the run, if it has itself been in unbroken contact for the length of that lease; the claim raises the
//!    fencing [`Token`], and a stale token finishes nothing.
//! 4. **Nothing is silent.** An occurrence that becomes no run is counted in a [`Record`]; the [`Ledger`] always
//!    balances.
//!
//! A backend reads no clock but its store's, and knows nothing of the engine. Calls are batches, and a batch names each
//! task or run once.
//!
//! A program that only uses a store looks at [`MemoryBackend`] and its siblings; the rest is for those who bring a store of
//! their own ([`register_backend`](crate::register_backend)), or look into one. One occurrence, from its firing to its end:
//!
//! ```
#![doc = include_str!("backend/example.md")]
//! use symphra_scheduler::backend::{Admission, End, Finish, Firing, NewRun, Stored};
//! use symphra_scheduler::{Origin, Outcome};
//!
//! // `report` is a task that this store knows, and that is due at the instant `at`.
//! let run = NewRun { origin: Origin::Schedule, scheduled_at: at, due_at: at, missed: None, accept_until: None };
//! let firing = Firing {
//!     id,
//!     task: report.key,
//!     mark: report.mark,
//!     advance_to: at,
//!     since: report.since,
//!     run: Some(run),
//!     passed: None,
//!     behind: None,
//! };
//! let Admission::Claimed(hold) = store.enqueue(&node, &[firing]).await?[0] else { panic!("it is accepted") };
//! // … its body is executed …
//! let end = Finish {
//!     task: report.key,
//!     id,
//!     token: hold.token,
//!     end: End::Final(Outcome::Succeeded),
//!     started_at: Some(at),
//!     finished_at: at,
//!     log: None,
//! };
//! assert_eq!(store.finish(&[end]).await?, [Stored::Done { more: false }]);
//! let ledger = store.ledger(report.key).await?;
//! assert!(ledger.balances() && ledger.runs == 1);
//! # Ok(())
//! # }
//! ```

mod actions;
#[cfg(any(feature = "postgres", feature = "rabbitmq", feature = "redis", feature = "sqlite"))]
mod announced;
mod capabilities;
mod changes;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cursor;
mod declared;
#[cfg(all(
    feature = "test-util",
    any(feature = "postgres", feature = "rabbitmq", feature = "redis", feature = "sqlite")
))]
pub(crate) mod doors;
mod error;
mod jobs;
#[cfg(any(feature = "postgres", feature = "rabbitmq", feature = "redis", feature = "sqlite"))]
mod line;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod record;
#[cfg(feature = "redis")]
mod redis;
mod rows;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "postgres", feature = "rabbitmq", feature = "redis", feature = "sqlite"))]
mod text;
#[cfg(any(feature = "postgres", feature = "rabbitmq", feature = "redis", feature = "sqlite"))]
mod thread;
#[cfg(feature = "rabbitmq")]
mod weight;
#[cfg(feature = "rabbitmq")]
mod words;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use symphra_scheduler_core::Timestamp;

pub use crate::retention::Retention;
use crate::run::RunId;
pub use actions::{ACTIONS_MAX, Action, NewAction};
pub use capabilities::Capabilities;
pub use changes::{Cancelled, Changes, Command, Died, Left};
pub use cursor::{RunCursor, RunCursorError, RunRows};
pub use declared::{Group, Holder, Pause, Registered, Registration, TaskKey, TaskRules, Unregistration};
pub use error::BackendError;
#[cfg(feature = "redis")]
use jobs::STEP_BYTES_MAX;
#[cfg(any(feature = "jobs", feature = "redis"))]
pub(crate) use jobs::in_steps;
pub use jobs::{
    ARGUMENTS_BYTES_MAX, Begin, Enqueued, JOBS_WAITING_MAX, JobArguments, LETTERS_KEPT_FOR, LETTERS_LISTED,
    LETTERS_MAX, LetterQuery, LetterRow, NewJob, UNIQUE_KEY_BYTES_MAX, Unique,
};
pub use memory::MemoryBackend;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresBackend, PostgresOptions};
#[cfg(feature = "rabbitmq")]
pub use rabbitmq::{RabbitMqBackend, RabbitMqOptions};
pub use record::{Ledger, RECORDS_MAX, Reason, Record, add_record};
#[cfg(feature = "redis")]
pub use redis::{RedisBackend, RedisOptions};
pub use rows::{
    Admission, Claim, Claimed, Claims, End, Finish, Firing, Hold, Holding, NamedTask, NewRun, NodeRow, Presence,
    Refusal, RunLog, RunQuery, RunRow, Stored, Submission, Submitted, TRIGGERS_WAITING_MAX, Token,
};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sql::{JobStore, JobTransaction};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteBackend, SqliteOptions};

/// Whether a store could not be opened because its tables have not been made.
#[cfg(feature = "cli")]
pub(crate) fn is_not_made(error: &crate::Error) -> bool {
    version_below(error) == Some(0)
}

/// Whether a store could not be opened because its tables have not been made, or are those of an older program.
#[cfg(feature = "cli")]
pub(crate) fn is_behind(error: &crate::Error) -> bool {
    version_below(error).is_some()
}

/// The version of a store that could not be opened because this program needs a later one, and may not make it. A backend in
/// memory has none.
#[cfg(feature = "cli")]
fn version_below(error: &crate::Error) -> Option<i64> {
    let mut causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    causes.find_map(|cause| {
        let versions: &[Option<i64>] = &[
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            cause.downcast_ref::<sql::Refused>().and_then(sql::Refused::version_below),
            #[cfg(feature = "redis")]
            cause.downcast_ref::<redis::Refused>().and_then(redis::Refused::version_below),
            #[cfg(feature = "rabbitmq")]
            cause.downcast_ref::<rabbitmq::Refused>().and_then(rabbitmq::Refused::version_below),
        ];
        // Of a program without stores nothing looks at it.
        let _ = cause;
        versions.iter().find_map(|version| *version)
    })
}

/// How often a run's node may die before the run ends as failed: it may be the run that kills them.
///
/// ```
/// use symphra_scheduler::RunState;
/// use symphra_scheduler::backend::NODE_DEATHS_MAX;
///
/// /// What becomes of a run under `at_least_once` when so many of its nodes have died.
/// fn after(deaths: u32) -> RunState {
///     if deaths < NODE_DEATHS_MAX { RunState::Queued } else { RunState::Failed }
/// }
///
/// assert_eq!(after(2), RunState::Queued);
/// assert_eq!(after(3), RunState::Failed);
/// ```
pub const NODE_DEATHS_MAX: u32 = 3;

/// The future of a backend call.
///
/// ```
/// use symphra_scheduler::Timestamp;
/// use symphra_scheduler::backend::{BackendError, BackendFuture};
///
/// /// A heartbeat of a store that is read over a wire.
/// fn heartbeat(answer: &str) -> BackendFuture<'_, Timestamp> {
///     Box::pin(async move {
///         let millis = answer.parse::<i64>().map_err(|error| BackendError::new("renew a lease", error))?;
///         Ok(Timestamp::from_millis(millis))
///     })
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(heartbeat("1000").await.unwrap(), Timestamp::from_millis(1_000));
/// assert!(heartbeat("soon").await.is_err());
/// # }
/// ```
pub type BackendFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BackendError>> + Send + 'a>>;

/// What keeps the marks, runs and records of a scheduler.
///
/// A failed call may be tried again with the same arguments, also when it had succeeded and only its answer was lost.
///
/// A backend of a program's own answers these calls; the suite of the feature `conformance` says whether it does so rightly, and
/// [`register_backend`](crate::register_backend) lets settings ask for it by name. What looks into a store needs no more than the trait:
///
/// ```
/// use symphra_scheduler::backend::{Backend, Ledger, TaskKey};
///
/// /// The counts of several tasks together.
/// async fn total(store: &dyn Backend, tasks: &[TaskKey]) -> Result<Ledger, Box<dyn std::error::Error>> {
///     let mut total = Ledger::default();
///     for task in tasks {
///         total.add(store.ledger(*task).await?);
///     }
///     Ok(total)
/// }
/// ```
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// The backend's name in start-up tables, statistics and errors, e.g. `memory`.
    fn name(&self) -> &'static str;

    /// What this backend can do. What it lacks it is never asked for: the scheduler refuses tasks that need it.
    fn capabilities(&self) -> Capabilities;

    /// Makes the tasks known to be declared by `holder`, and answers with where each stands, in the order given.
    ///
    /// A task seen for the first time gets the store's present as its mark and its anchor: it has missed nothing. Only if
    /// it has but one instant, which is past, does its mark stand just before that. A known task keeps both. If it is
    /// declared otherwise than the last time, its new timetable counts from the store's present on, and ends what an
    /// operator had put in its place; what the one before [owed](Registered::owed) is recorded in that step.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn register<'a>(&'a self, holder: &'a Holder, tasks: &'a [Registration]) -> BackendFuture<'a, Vec<Registered>>;

    /// Says that `holder` gives up tasks: it knows them no more, unless it has registered them since. What they have is kept,
    /// so that a task which is registered again goes on with its mark; [`Registered::run_on_start`] does not count a node that
    /// has given it up.
    ///
    /// A store that is not [durable](Capabilities::durable) may forget tasks that no node knows, the first given up before the
    /// others, and with them their runs, but for those that are held. It keeps the last 10,000 at least.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn unregister<'a>(&'a self, holder: &'a Holder, tasks: &'a [Unregistration]) -> BackendFuture<'a, ()>;

    /// Where known tasks stand, in the order given; unknown ones are left out.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn look<'a>(&'a self, tasks: &'a [TaskKey]) -> BackendFuture<'a, Vec<Registered>>;

    /// Renews the lease of `holder` on all its runs and answers with the store's clock.
    ///
    /// By their heartbeats, on its own clock, the store also knows since when a holder is in contact: since its first (a call
    /// of a holder that is not known counts as one), or since the last that came after a silence longer than
    /// [`Holder::silence_max`].
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn heartbeat<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Timestamp>;

    /// Fires occurrences: for each, compares and advances the mark, inserts the run, held by `holder` or waiting, or
    /// records why there is none. The answers are in the order of `firings`.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn enqueue<'a>(&'a self, holder: &'a Holder, firings: &'a [Firing]) -> BackendFuture<'a, Vec<Admission>>;

    /// Gets runs that may begin, by priority and then by the instant at which they were due: those that wait and whose
    /// task and group have room, those whose next attempt is due, and those whose holder's lease has run out. Runs that
    /// the holder has are not among them, but for those that this very claim has got before.
    ///
    /// The runs of another node whose lease has run out, and that has not [left](Self::leave), are only for a holder that has
    /// been in contact for as long as that lease is, up to now: its last heartbeat is no longer ago than
    /// [`Holder::silence_max`]. Else they stay as they are. So an outage, in which every lease runs out, hands nothing over:
    /// whoever is back first waits until the others have had their time to come back too.
    ///
    /// What has waited for 14 days, and of whose task no node is left that has registered it, a store that outlives its programs
    /// ends as [cancelled](crate::CancelCause::Unclaimed).
    ///
    /// A run whose holder died is not executed again if its task says so, or if its holders died
    /// [`NODE_DEATHS_MAX`] times; it ends, as one that failed, and is among the [changes](Changes::died).
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn claim<'a>(&'a self, holder: &'a Holder, claim: &'a Claim) -> BackendFuture<'a, Claims>;

    /// Ends attempts. The answers are in the order of `ended`; a stale token, or a run that has ended, changes nothing.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn finish<'a>(&'a self, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>>;

    /// Which of these runs their holder has lost, in any order: those whose [`finish`](Self::finish) would be stale now,
    /// because somebody has taken them over, or they have ended, wait, or are between two attempts. Changes nothing. That a
    /// lease has run out loses nothing by itself.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn lost<'a>(&'a self, held: &'a [Holding]) -> BackendFuture<'a, Vec<RunId>>;

    /// Makes runs that no occurrence asks for; they wait to be claimed, [`TRIGGERS_WAITING_MAX`] of a task at most, those at
    /// the start of a node apart. The answers are in the order of `submissions`.
    /// Two starts of a task at one instant are one run.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn submit<'a>(&'a self, submissions: &'a [Submission]) -> BackendFuture<'a, Vec<Submitted>>;

    /// Does what an operator asks, and answers with what has changed by it. It holds for all nodes from the answer on,
    /// and as long as the store keeps anything. What a timetable that is replaced by it [owed](Registered::owed) is
    /// recorded in that step.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn control<'a>(&'a self, command: &'a Command) -> BackendFuture<'a, Changes>;

    /// Cancels a run: one that no node holds has ended with the answer, one that is held is asked to. `None` if no such
    /// run is alive.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn cancel(&self, run: RunId) -> BackendFuture<'_, Option<Cancelled>>;

    /// What has changed since `version`, by whichever node; waits until there is something. With `None` the present
    /// version, at once. A caller that is too far behind is told that all has changed.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn changes(&self, version: Option<u64>) -> BackendFuture<'_, Changes>;

    /// Says that `holder` has stopped: its lease ends now. If nothing outlives the process and no other node is there,
    /// the runs that wait end as cancelled, and are the answer.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn leave<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Vec<Left>>;

    /// A page of runs, alive ones and those still in the history, in the [order](RunQuery) that all stores have. A further
    /// page costs about what the first one does.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn runs_page<'a>(&'a self, query: &'a RunQuery) -> BackendFuture<'a, RunRows>;

    /// The runs of that page.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn runs<'a>(&'a self, query: &'a RunQuery) -> BackendFuture<'a, Vec<RunRow>> {
        Box::pin(async { Ok(self.runs_page(query).await?.rows) })
    }

    /// Of each of these tasks the run that was the last to end, of those in the history; in any order. A store that can tells
    /// many at once.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn last_ended<'a>(&'a self, tasks: &'a [TaskKey]) -> BackendFuture<'a, Vec<RunRow>> {
        Box::pin(async move {
            let mut last = Vec::new();
            for task in tasks {
                last.extend(self.runs(&RunQuery::last_ended_of(*task)).await?);
            }
            Ok(last)
        })
    }

    /// What is kept of what a run wrote to the log: that of its last attempt that has ended and [wrote](Finish::log)
    /// something. It is kept no longer than the run, and a store that is not [durable](Capabilities::durable) may give it up
    /// before.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn log(&self, run: RunId) -> BackendFuture<'_, Option<RunLog>>;

    /// Why occurrences of the task did not run: spans, oldest first.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn records(&self, task: TaskKey) -> BackendFuture<'_, Vec<Record>>;

    /// The exact counts of one task since it was first registered; they are never pruned.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn ledger(&self, task: TaskKey) -> BackendFuture<'_, Ledger>;

    /// All tasks that were ever registered, and not forgotten, by name: for those who look at a store without a program's tasks.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn tasks(&self) -> BackendFuture<'_, Vec<NamedTask>>;

    /// The nodes, by name. One that has left may be forgotten, and so may one that was not heard of for a day.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn nodes(&self) -> BackendFuture<'_, Vec<NodeRow>>;

    /// Keeps what somebody has asked for, under the present of the store's clock; [`ACTIONS_MAX`] are kept, the last. Repeated
    /// after an answer that was lost, it may be kept twice.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn note<'a>(&'a self, action: &'a NewAction) -> BackendFuture<'a, ()>;

    /// What people have asked for, the last first; this many at most.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn actions(&self, limit: usize) -> BackendFuture<'_, Vec<Action>>;

    /// Makes jobs, which wait to be claimed, [`JOBS_WAITING_MAX`] of a task at most. The answers are in the order of `jobs`.
    ///
    /// A job that is [unique](NewJob::unique) is there once, however many callers enqueue it at the same time: the others
    /// are told which it is. Its key is free again when it has ended, and not before the time that it names has passed since
    /// it was enqueued.
    ///
    /// A claim gets a job when it may begin, its task is not paused and has room, as its group has, and the claimer can
    /// [read](Claim::jobs) its arguments; by priority, and then by the instant at which it was to begin. Whoever cannot read
    /// them leaves it to others. One that has begun, and whose next attempt is due or whose node is dead, gives its room back
    /// by such a claim, and waits: after a roll-back it would keep its task from all other work.
    ///
    /// A job that fails for good, and one that [no node has claimed](crate::CancelCause::Unclaimed), becomes a dead letter,
    /// and is kept for [`LETTERS_KEPT_FOR`], [`LETTERS_MAX`] of a task at most.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached, or [has no jobs](Capabilities::jobs).
    fn enqueue_jobs<'a>(&'a self, jobs: &'a [NewJob]) -> BackendFuture<'a, Vec<Enqueued>> {
        let _ = jobs;
        no_jobs()
    }

    /// Dead letters, the last to die first.
    ///
    /// # Errors
    /// As [`enqueue_jobs`](Self::enqueue_jobs).
    fn dead_letters<'a>(&'a self, query: &'a LetterQuery) -> BackendFuture<'a, Vec<LetterRow>> {
        let _ = query;
        no_jobs()
    }

    /// Enqueues the job of a dead letter again, as the run `again`, in the step that removes the letter; with its arguments,
    /// its priority and its key, now. Where another job has the key meanwhile, or too many wait, the letter stays. `None` if
    /// there is no such letter.
    ///
    /// # Errors
    /// As [`enqueue_jobs`](Self::enqueue_jobs).
    fn run_again(&self, letter: RunId, again: RunId) -> BackendFuture<'_, Option<Enqueued>> {
        let _ = (letter, again);
        no_jobs()
    }

    /// Removes a dead letter; tells whether it was there.
    ///
    /// # Errors
    /// As [`enqueue_jobs`](Self::enqueue_jobs).
    fn drop_letter(&self, letter: RunId) -> BackendFuture<'_, bool> {
        let _ = letter;
        no_jobs()
    }

    /// What a program's own transaction has to know to enqueue jobs here; `None` where that cannot be.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    #[doc(hidden)]
    fn job_store(&self) -> BackendFuture<'_, Option<JobStore<'_>>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// The answer of a backend that has no jobs, and is not asked for any.
fn no_jobs<'a, T: Send + 'a>() -> BackendFuture<'a, T> {
    Box::pin(std::future::ready(Err(BackendError::new("see to a job", "it has no jobs"))))
}

#[cfg(any(feature = "postgres", feature = "rabbitmq", feature = "redis", feature = "sqlite"))]
/// The namespace that was asked for, or that of the program.
fn namespace(asked: Option<&str>) -> Result<crate::namespace::Namespace, crate::Error> {
    match asked {
        Some(asked) => crate::namespace::Namespace::new(asked).ok_or_else(|| {
            crate::Error::setting("backend.namespace", format!("{asked:?}"), crate::namespace::Namespace::ALLOWED)
        }),
        None => Ok(crate::namespace::Namespace::of_this_program()),
    }
}
