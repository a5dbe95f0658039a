//! The task that most checks are about, and what they do with it.

use std::sync::Arc;

use symphra_scheduler_core::Timestamp;

use super::{
    HOUR, Subject, after, claim, claim_until_some, declared, end, enqueue, every, id, node, register, row, runs,
    succeed,
};
use crate::backend::{
    Admission, Claimed, End, Firing, Hold, Holder, Ledger, NewRun, Record, Registered, RunQuery, RunRow, Stored,
    TaskKey, TaskRules,
};
use crate::run::{Origin, RunId};
use crate::schedule::Overlap;

/// A task with an occurrence each second, those of the last hour being due.
pub(super) struct Ticking {
    backend: Subject,
    pub(super) key: TaskKey,
    /// Where its mark stands before the first of them.
    pub(super) start: Timestamp,
    pub(super) since: Timestamp,
}

impl Ticking {
    pub(super) async fn new(backend: &Subject, name: &str) -> Self {
        Self::with(backend, name, TaskRules::default()).await
    }

    pub(super) async fn overlapping(backend: &Subject, name: &str, overlap: Overlap) -> Self {
        let alive_max = (overlap != Overlap::Allow).then_some(1);
        Self::with(backend, name, TaskRules { alive_max, overlap, ..TaskRules::default() }).await
    }

    /// Any number of its runs may be alive.
    pub(super) async fn unlimited(backend: &Subject, name: &str) -> Self {
        Self::overlapping(backend, name, Overlap::Allow).await
    }

    pub(super) async fn with(backend: &Subject, name: &str, rules: TaskRules) -> Self {
        let task = register(backend, &node("setup"), declared(name, &every(1), &rules)).await;
        let (key, mark, start) = (task.key, task.mark, task.mark.minus(HOUR));
        let since = task.since;
        let id = id(key, 0);
        let back = Firing { id, task: key, mark, advance_to: start, since, run: None, passed: None, behind: None };
        assert_eq!(enqueue(backend, &node("setup"), back).await, Admission::Passed);
        Self { backend: Arc::clone(backend), key, start, since }
    }

    /// The `n`-th occurrence, counted from 1.
    pub(super) fn at(&self, n: u64) -> Timestamp {
        after(self.start, n * 1_000)
    }

    pub(super) fn id(&self, n: u64) -> RunId {
        id(self.key, n)
    }

    /// The run of the `n`-th occurrence, which is accepted however late.
    pub(super) fn run(&self, n: u64) -> NewRun {
        let (origin, at) = (Origin::Schedule, self.at(n));
        NewRun { origin, scheduled_at: at, due_at: at, missed: None, accept_until: None }
    }

    pub(super) fn firing(&self, n: u64) -> Firing {
        let (mark, advance_to) = (self.at(n - 1), self.at(n));
        let run = Some(self.run(n));
        Firing { id: self.id(n), task: self.key, mark, advance_to, since: self.since, run, passed: None, behind: None }
    }

    pub(super) async fn fire(&self, holder: &Holder, n: u64) -> Admission {
        enqueue(&self.backend, holder, self.firing(n)).await
    }

    /// Fires the `n`-th occurrence, which becomes a run of `holder`.
    pub(super) async fn hold(&self, holder: &Holder, n: u64) -> Hold {
        match self.fire(holder, n).await {
            Admission::Claimed(hold) => hold,
            other => panic!("a due occurrence of a free task becomes a run, held by the caller: {other:?}"),
        }
    }

    /// Fires the `n`-th occurrence, which becomes a run that waits, and for which no other is cancelled.
    pub(super) async fn wait(&self, n: u64) {
        let answer = self.fire(&node("a"), n).await;
        assert_eq!(answer, Admission::Queued { cancel: None }, "the occurrence waits");
    }

    pub(super) async fn succeed(&self, n: u64, hold: Hold) {
        succeed(&self.backend, self.key, self.id(n), hold).await;
    }

    pub(super) async fn end(&self, n: u64, hold: Hold, with: End) -> Stored {
        end(&self.backend, self.key, self.id(n), hold.token, with).await
    }

    pub(super) async fn claim(&self, holder: &Holder, number: u64) -> Vec<Claimed> {
        claim(&self.backend, holder, number, &[self.key]).await.runs
    }

    pub(super) async fn claim_until_some(&self, holder: &Holder, first: u64) -> Vec<Claimed> {
        claim_until_some(&self.backend, holder, first, &[self.key]).await.1
    }

    pub(super) async fn look(&self) -> Registered {
        let mut known = self.backend.look(&[self.key]).await.expect("a look is answered");
        assert_eq!(known.len(), 1, "a known task is shown");
        known.remove(0)
    }

    pub(super) async fn row(&self, n: u64) -> RunRow {
        row(&self.backend, self.id(n)).await
    }

    pub(super) async fn rows(&self) -> Vec<RunRow> {
        runs(&self.backend, &RunQuery::of(self.key)).await
    }

    pub(super) async fn records(&self) -> Vec<Record> {
        self.backend.records(self.key).await.expect("records are kept")
    }

    pub(super) async fn ledger(&self) -> Ledger {
        self.backend.ledger(self.key).await.expect("a ledger is kept")
    }

    /// Checks that of the occurrences so far this many became runs, and the others are recorded.
    pub(super) async fn accounts_for(&self, runs: u64, recorded: u64) {
        let ledger = self.ledger().await;
        assert_eq!((ledger.runs, ledger.recorded), (runs, recorded), "every occurrence is counted once");
        assert!(ledger.balances(), "occurrences = runs + recorded");
    }
}
