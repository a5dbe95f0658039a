//! The memory backend: the plainest reading of the contract, for one process, with nothing to install.
//!
//! Its contents die with the process; clones share them, so that a scheduler started anew in the same process finds
//! the marks and the history of the one before. What it keeps is bounded: see [`history`].

mod history;
mod store;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use symphra_scheduler_core::Timestamp;

use super::{
    Admission, Backend, BackendFuture, Capabilities, Claim, Claimed, Finish, Firing, Holder, Ledger, Record,
    Registered, Registration, RunQuery, RunRow, Stored, TaskKey,
};
use crate::clock::Clock;
use store::Store;

/// A backend in memory: no service, no file, nothing kept beyond the process.
///
/// The history holds the last 100 runs of each task and at most 100,000 runs over all tasks.
#[derive(Clone)]
pub struct MemoryBackend {
    store: Arc<Mutex<Store>>,
    clock: Clock,
}

impl MemoryBackend {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Clock::System)
    }

    /// An empty store whose clock is `clock`.
    pub(crate) fn with_clock(clock: Clock) -> Self {
        Self { store: Arc::default(), clock }
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
        Capabilities::volatile()
    }

    fn register<'a>(&'a self, tasks: &'a [Registration]) -> BackendFuture<'a, Vec<Registered>> {
        let now = self.clock.now();
        ready(self.store().register(tasks, now))
    }

    fn heartbeat<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Timestamp> {
        self.store().heartbeat(holder, self.clock.monotonic());
        ready(self.clock.now())
    }

    fn enqueue<'a>(&'a self, holder: &'a Holder, firings: &'a [Firing]) -> BackendFuture<'a, Vec<Admission>> {
        let now = self.clock.now();
        let mut store = self.store();
        let held_by = store.holder(holder, self.clock.monotonic());
        ready(firings.iter().map(|firing| store.fire(firing, held_by, now)).collect())
    }

    fn claim<'a>(&'a self, holder: &'a Holder, claim: &'a Claim) -> BackendFuture<'a, Vec<Claimed>> {
        ready(self.store().claim(holder, claim, self.clock.monotonic()))
    }

    fn finish<'a>(&'a self, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        let mut store = self.store();
        ready(ended.iter().map(|end| store.finish(end)).collect())
    }

    fn runs<'a>(&'a self, query: &'a RunQuery) -> BackendFuture<'a, Vec<RunRow>> {
        ready(self.store().runs(query))
    }

    fn records(&self, task: TaskKey) -> BackendFuture<'_, Vec<Record>> {
        ready(self.store().records(task))
    }

    fn ledger(&self, task: TaskKey) -> BackendFuture<'_, Ledger> {
        ready(self.store().ledger(task))
    }
}
