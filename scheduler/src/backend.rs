//! The contract between the engine and whatever keeps runs: marks, runs under leases, records and the ledger.
//!
//! What it promises, in words; the conformance suite (feature `conformance`) is the same in tests:
//!
//! 1. **The mark fires once.** [`enqueue`](Backend::enqueue) compares a task's mark with what the caller believes and
//!    advances it in the step that inserts the run: of any number of callers with one belief, one succeeds.
//! 2. **Nothing is early.** What is due after the store's own clock is refused.
//! 3. **A run has one holder.** A run is held by a node under that node's lease. When the lease has run out, another
//!    node may claim the run; the claim raises the fencing [`Token`], and a stale token finishes nothing.
//! 4. **Nothing is silent.** An occurrence that becomes no run is counted in a [`Record`]; the [`Ledger`] always
//!    balances.
//!
//! A backend reads no clock but its store's, and knows nothing of the engine. Calls are batches, and a batch names each
//! task or run once.

#[cfg(feature = "conformance")]
pub mod conformance;
mod memory;
mod rows;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use symphra_scheduler_core::Timestamp;

use crate::outcome::BoxError;
pub use memory::MemoryBackend;
pub use rows::{
    Admission, Claim, Claimed, Finish, Firing, Holder, Ledger, NewRun, Reason, Record, Registered, Registration,
    RunQuery, RunRow, Stored, TaskKey, Token,
};

/// The future of a backend call.
pub type BackendFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BackendError>> + Send + 'a>>;

/// What keeps the marks, runs and records of a scheduler.
///
/// A failed call may be tried again with the same arguments, also when it had succeeded and only its answer was lost.
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// The backend's name in start-up tables, statistics and errors, e.g. `memory`.
    fn name(&self) -> &'static str;

    /// What this backend can do and others cannot.
    fn capabilities(&self) -> Capabilities;

    /// Makes the tasks known, and answers with the mark and the anchor of each, in the order given.
    ///
    /// A task seen for the first time gets the store's present as its mark and its anchor: it has missed nothing. Only if
    /// it has but one instant, which is past, does its mark stand just before that. A known task keeps both, whatever has
    /// changed in its schedule.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn register<'a>(&'a self, tasks: &'a [Registration]) -> BackendFuture<'a, Vec<Registered>>;

    /// Renews the lease of `holder` on all its runs and answers with the store's clock.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn heartbeat<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Timestamp>;

    /// Fires occurrences: for each, compares and advances the mark, inserts the run, held by `holder`, or records why
    /// there is none. The answers are in the order of `firings`.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn enqueue<'a>(&'a self, holder: &'a Holder, firings: &'a [Firing]) -> BackendFuture<'a, Vec<Admission>>;

    /// Takes over runs whose holder's lease has run out, oldest first. A holder's own runs are not among them, but for
    /// those that this very claim has got before.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn claim<'a>(&'a self, holder: &'a Holder, claim: &'a Claim) -> BackendFuture<'a, Vec<Claimed>>;

    /// Ends runs. The answers are in the order of `ended`; a stale token, or a run that has ended, changes nothing.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn finish<'a>(&'a self, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>>;

    /// Runs, alive ones and those still in the history, newest first.
    ///
    /// # Errors
    /// [`BackendError`] if the store cannot be reached.
    fn runs<'a>(&'a self, query: &'a RunQuery) -> BackendFuture<'a, Vec<RunRow>>;

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
}

/// How backends differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Marks, anchors and history outlive the process.
    pub durable: bool,
}

impl Capabilities {
    /// A backend that lives and dies with its process.
    #[must_use]
    pub const fn volatile() -> Self {
        Self { durable: false }
    }

    /// A backend whose contents survive its process.
    #[must_use]
    pub const fn durable() -> Self {
        Self { durable: true }
    }
}

/// Why a backend call failed. The engine waits and tries again, for ever.
#[derive(Debug)]
pub struct BackendError {
    during: &'static str,
    cause: BoxError,
}

impl BackendError {
    /// An error of the call or step named `during`, because of `cause`.
    pub fn new(during: &'static str, cause: impl Into<BoxError>) -> Self {
        Self { during, cause: cause.into() }
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the backend failed to {}", self.during)
    }
}

impl std::error::Error for BackendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.cause)
    }
}
