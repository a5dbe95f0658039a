//! A store that fails in one way, which no kit offers: it panics, or refuses what others take.

use std::future::pending;

use symphra_scheduler_core::Timestamp;

use crate::MemoryBackend;
use crate::backend::{
    Action, Admission, Backend, BackendError, BackendFuture, Cancelled, Capabilities, Changes, Claim, Claims, Command,
    Finish, Firing, Holder, Holding, Ledger, Left, NamedTask, NewAction, NodeRow, Record, Registered, Registration,
    RunLog, RunQuery, RunRows, Stored, Submission, Submitted, TaskKey, Unregistration,
};
use crate::run::RunId;

/// What is odd about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Oddity {
    PanicsAtFirings,
    RefusesSubmissions,
    RefusesHeartbeats,
    IgnoresHeartbeats,
    #[cfg(feature = "dashboard")]
    RefusesNotes,
}

#[derive(Debug)]
pub(super) struct OddStore {
    pub(super) store: MemoryBackend,
    pub(super) oddity: Oddity,
}

fn refuse<'a, T: Send + 'a>(during: &'static str) -> BackendFuture<'a, T> {
    Box::pin(async move { Err(BackendError::new(during, "the disk is full")) })
}

impl Backend for OddStore {
    fn name(&self) -> &'static str {
        "odd"
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn note<'a>(&'a self, action: &'a NewAction) -> BackendFuture<'a, ()> {
        match self.oddity {
            #[cfg(feature = "dashboard")]
            Oddity::RefusesNotes => refuse("keep what was asked for"),
            _ => self.store.note(action),
        }
    }

    fn actions(&self, limit: usize) -> BackendFuture<'_, Vec<Action>> {
        self.store.actions(limit)
    }

    fn register<'a>(&'a self, holder: &'a Holder, tasks: &'a [Registration]) -> BackendFuture<'a, Vec<Registered>> {
        self.store.register(holder, tasks)
    }

    fn unregister<'a>(&'a self, holder: &'a Holder, tasks: &'a [Unregistration]) -> BackendFuture<'a, ()> {
        self.store.unregister(holder, tasks)
    }

    fn look<'a>(&'a self, tasks: &'a [TaskKey]) -> BackendFuture<'a, Vec<Registered>> {
        self.store.look(tasks)
    }

    fn heartbeat<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Timestamp> {
        match self.oddity {
            Oddity::RefusesHeartbeats => refuse("renew a lease"),
            Oddity::IgnoresHeartbeats => Box::pin(pending()),
            _ => self.store.heartbeat(holder),
        }
    }

    fn enqueue<'a>(&'a self, holder: &'a Holder, firings: &'a [Firing]) -> BackendFuture<'a, Vec<Admission>> {
        assert_ne!(self.oddity, Oddity::PanicsAtFirings, "the store has a defect");
        self.store.enqueue(holder, firings)
    }

    fn claim<'a>(&'a self, holder: &'a Holder, claim: &'a Claim) -> BackendFuture<'a, Claims> {
        self.store.claim(holder, claim)
    }

    fn finish<'a>(&'a self, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        self.store.finish(ended)
    }

    fn lost<'a>(&'a self, held: &'a [Holding]) -> BackendFuture<'a, Vec<RunId>> {
        self.store.lost(held)
    }

    fn submit<'a>(&'a self, submissions: &'a [Submission]) -> BackendFuture<'a, Vec<Submitted>> {
        match self.oddity {
            Oddity::RefusesSubmissions => refuse("add runs"),
            _ => self.store.submit(submissions),
        }
    }

    fn control<'a>(&'a self, command: &'a Command) -> BackendFuture<'a, Changes> {
        self.store.control(command)
    }

    fn cancel(&self, run: RunId) -> BackendFuture<'_, Option<Cancelled>> {
        self.store.cancel(run)
    }

    fn changes(&self, version: Option<u64>) -> BackendFuture<'_, Changes> {
        self.store.changes(version)
    }

    fn leave<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Vec<Left>> {
        self.store.leave(holder)
    }

    fn runs_page<'a>(&'a self, query: &'a RunQuery) -> BackendFuture<'a, RunRows> {
        self.store.runs_page(query)
    }

    fn log(&self, run: RunId) -> BackendFuture<'_, Option<RunLog>> {
        self.store.log(run)
    }

    fn records(&self, task: TaskKey) -> BackendFuture<'_, Vec<Record>> {
        self.store.records(task)
    }

    fn ledger(&self, task: TaskKey) -> BackendFuture<'_, Ledger> {
        self.store.ledger(task)
    }

    fn tasks(&self) -> BackendFuture<'_, Vec<NamedTask>> {
        self.store.tasks()
    }

    fn nodes(&self) -> BackendFuture<'_, Vec<NodeRow>> {
        self.store.nodes()
    }
}
