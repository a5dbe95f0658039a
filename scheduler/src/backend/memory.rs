//! The memory backend: the plainest reading of the contract, for one process, with nothing to install.
//!
//! Its contents die with the process; clones share them, so that a scheduler started anew in the same process finds
//! the marks and the history of the one before. What it keeps is bounded: see [`history`].

mod history;
mod logs;
#[cfg(feature = "rabbitmq")]
pub(super) mod replica;
mod store;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use symphra_scheduler_core::Timestamp;
use tokio::sync::watch;

use super::{
    Action, Admission, Backend, BackendFuture, Cancelled, Capabilities, Changes, Claim, Claims, Command, Enqueued,
    Finish, Firing, Holder, Holding, Ledger, Left, LetterQuery, LetterRow, NamedTask, NewAction, NewJob, NodeRow,
    Record, Registered, Registration, RunLog, RunQuery, RunRows, Stored, Submission, Submitted, TaskKey,
    Unregistration,
};
use crate::clock::Clock;
use crate::run::RunId;
use store::Store;

/// A backend in memory: no service, no file, nothing kept beyond the process.
///
/// The history holds of each task what [`HistoryConfig`](crate::HistoryConfig) says, and at most 100,000 runs over all tasks.
///
/// ```
/// use symphra_scheduler::{MemoryBackend, Scheduler};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), symphra_scheduler::Error> {
/// let store = MemoryBackend::new();
/// let scheduler = Scheduler::empty().backend(store.clone()).start().await?;
/// assert_eq!(scheduler.stats().backend, "memory");
/// scheduler.stop().await?;
/// // Clones are one store: what was there, the next scheduler of this process finds.
/// let again = Scheduler::empty().backend(store).start().await?;
/// # again.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryBackend {
    store: Arc<Mutex<Store>>,
    clock: Clock,
    capabilities: Capabilities,
    /// The version of the store, for those who wait for the next.
    version: Arc<watch::Sender<u64>>,
}

impl MemoryBackend {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Clock::System)
    }

    /// An empty store whose clock is `clock`.
    pub(crate) fn with_clock(clock: Clock) -> Self {
        Self {
            store: Arc::default(),
            clock,
            capabilities: Capabilities::volatile().with_jobs(),
            version: Arc::new(watch::Sender::new(0)),
        }
    }

    /// The same store for the next start, as if it were on a disk: for tests of what a program does that comes back.
    #[cfg(any(test, feature = "test-util"))]
    #[must_use]
    pub fn outliving_its_program(mut self) -> Self {
        self.capabilities = Capabilities::durable().with_jobs();
        self
    }

    /// The key of a task that has been registered: for tests that look into the store.
    #[cfg(any(test, feature = "test-util"))]
    #[must_use]
    pub fn key_of(&self, task: &str) -> Option<TaskKey> {
        self.store().key_of(task)
    }

    /// Tells those who wait for changes what the version is by now.
    fn announce(&self, store: &Store) {
        let version = store.version();
        self.version.send_if_modified(|known| std::mem::replace(known, version) != version);
    }

    /// A panic while the lock is held would be a bug of the store, which keeps its rows consistent step by step: what
    /// is there stays usable.
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend").finish_non_exhaustive()
    }
}

fn ready<'a, T: Send + 'a>(answer: T) -> BackendFuture<'a, T> {
    Box::pin(std::future::ready(Ok(answer)))
}

impl Backend for MemoryBackend {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn register<'a>(&'a self, holder: &'a Holder, tasks: &'a [Registration]) -> BackendFuture<'a, Vec<Registered>> {
        let mut store = self.store();
        let by = store.holder(holder, self.clock.monotonic());
        let registered = store.register(by, tasks, self.clock.now(), self.clock.monotonic());
        self.announce(&store);
        ready(registered)
    }

    fn unregister<'a>(&'a self, holder: &'a Holder, tasks: &'a [Unregistration]) -> BackendFuture<'a, ()> {
        self.store().unregister(holder, tasks, self.clock.now());
        ready(())
    }

    fn look<'a>(&'a self, tasks: &'a [TaskKey]) -> BackendFuture<'a, Vec<Registered>> {
        let store = self.store();
        ready(tasks.iter().filter_map(|&task| store.look(task)).collect())
    }

    fn heartbeat<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Timestamp> {
        self.store().heartbeat(holder, self.clock.monotonic());
        ready(self.clock.now())
    }

    fn enqueue<'a>(&'a self, holder: &'a Holder, firings: &'a [Firing]) -> BackendFuture<'a, Vec<Admission>> {
        let now = self.clock.now();
        let mut store = self.store();
        let held_by = store.holder(holder, self.clock.monotonic());
        let admissions = firings.iter().map(|firing| store.fire(firing, held_by, now)).collect();
        self.announce(&store);
        ready(admissions)
    }

    fn claim<'a>(&'a self, holder: &'a Holder, claim: &'a Claim) -> BackendFuture<'a, Claims> {
        let mut store = self.store();
        let claims = store.claim(holder, claim, self.clock.now(), self.clock.monotonic());
        self.announce(&store);
        ready(claims)
    }

    fn finish<'a>(&'a self, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        let now = self.clock.now();
        let mut store = self.store();
        let stored = ended.iter().map(|end| store.finish(end, now)).collect();
        self.announce(&store);
        ready(stored)
    }

    fn lost<'a>(&'a self, held: &'a [Holding]) -> BackendFuture<'a, Vec<RunId>> {
        let store = self.store();
        ready(held.iter().filter(|run| store.held(run.id, run.token).is_none()).map(|run| run.id).collect())
    }

    fn submit<'a>(&'a self, submissions: &'a [Submission]) -> BackendFuture<'a, Vec<Submitted>> {
        let now = self.clock.now();
        let mut store = self.store();
        let submitted = submissions.iter().map(|submission| store.submit(submission, now)).collect();
        self.announce(&store);
        ready(submitted)
    }

    fn control<'a>(&'a self, command: &'a Command) -> BackendFuture<'a, Changes> {
        let now = self.clock.now();
        let mut store = self.store();
        let before = store.version();
        let ended = store.control(command, now);
        self.announce(&store);
        let mut changes = store.changes_since(before);
        if let (Some(_), [changed]) = (&ended, &mut changes.tasks[..]) {
            changed.ended = ended;
        }
        ready(changes)
    }

    fn cancel(&self, run: RunId) -> BackendFuture<'_, Option<Cancelled>> {
        let now = self.clock.now();
        let mut store = self.store();
        let cancelled = store.cancel(run, now);
        self.announce(&store);
        ready(cancelled)
    }

    fn changes(&self, version: Option<u64>) -> BackendFuture<'_, Changes> {
        let mut announced = self.version.subscribe();
        Box::pin(async move {
            let Some(since) = version else {
                return Ok(Changes { version: self.store().version(), ..Changes::default() });
            };
            // The sender lives as long as this backend, so the wait cannot fail.
            let _ = announced.wait_for(|&version| version > since).await;
            Ok(self.store().changes_since(since))
        })
    }

    fn leave<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Vec<Left>> {
        let now = self.clock.now();
        let mut store = self.store();
        let left = store.leave(holder, self.capabilities.durable, now, self.clock.monotonic());
        self.announce(&store);
        ready(left)
    }

    fn runs_page<'a>(&'a self, query: &'a RunQuery) -> BackendFuture<'a, RunRows> {
        ready(self.store().runs_page(query))
    }

    fn log(&self, run: RunId) -> BackendFuture<'_, Option<RunLog>> {
        ready(self.store().run_log(run))
    }

    fn records(&self, task: TaskKey) -> BackendFuture<'_, Vec<Record>> {
        ready(self.store().records(task))
    }

    fn ledger(&self, task: TaskKey) -> BackendFuture<'_, Ledger> {
        ready(self.store().ledger(task))
    }

    fn tasks(&self) -> BackendFuture<'_, Vec<NamedTask>> {
        ready(self.store().named_tasks())
    }

    fn nodes(&self) -> BackendFuture<'_, Vec<NodeRow>> {
        ready(self.store().nodes(self.clock.now(), self.clock.monotonic()))
    }

    fn note<'a>(&'a self, action: &'a NewAction) -> BackendFuture<'a, ()> {
        self.store().note(action.clone(), self.clock.now());
        ready(())
    }

    fn actions(&self, limit: usize) -> BackendFuture<'_, Vec<Action>> {
        ready(self.store().actions(limit))
    }

    fn enqueue_jobs<'a>(&'a self, jobs: &'a [NewJob]) -> BackendFuture<'a, Vec<Enqueued>> {
        let now = self.clock.now();
        let mut store = self.store();
        let enqueued = store.enqueue_jobs(jobs, now);
        self.announce(&store);
        ready(enqueued)
    }

    fn dead_letters<'a>(&'a self, query: &'a LetterQuery) -> BackendFuture<'a, Vec<LetterRow>> {
        ready(self.store().dead_letters(query, self.clock.now()))
    }

    fn run_again(&self, letter: RunId, again: RunId) -> BackendFuture<'_, Option<Enqueued>> {
        let now = self.clock.now();
        let mut store = self.store();
        let enqueued = store.run_again(letter, again, now);
        self.announce(&store);
        ready(enqueued)
    }

    fn drop_letter(&self, letter: RunId) -> BackendFuture<'_, bool> {
        ready(self.store().drop_letter(letter, self.clock.now()))
    }
}
