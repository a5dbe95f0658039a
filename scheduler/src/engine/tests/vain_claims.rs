//! A store that goes on giving a run of a paused task, or says that something is due and gives nothing, does not keep the
//! loop busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::rig::{every, seconds};
use crate::backend::{
    Action, Admission, Backend, BackendFuture, Cancelled, Capabilities, Changes, Claim, Claimed, Claims, Command,
    Finish, Firing, Hold, Holder, Holding, Ledger, Left, NamedTask, NewAction, NodeRow, Record, Registered,
    Registration, RunLog, RunQuery, RunRows, Stored, Submission, Submitted, TaskKey, Token, Unregistration,
};
use crate::run::{Origin, RunId, RunState};
use crate::{MemoryBackend, Scheduler, Task};

/// Where a busy loop is stopped, so that the test fails instead of running for ever.
const CLAIMS_MAX: usize = 10_000;

/// A backend that gives the same run at each claim, as often as it is given back.
#[derive(Clone, Debug)]
struct Pushy {
    store: MemoryBackend,
    gives: Arc<AtomicBool>,
    /// Whether it gives nothing, and says that something is due.
    promises: Arc<AtomicBool>,
    claims: Arc<AtomicUsize>,
}

impl Pushy {
    fn new() -> Self {
        let (gives, promises) = (Arc::default(), Arc::default());
        Self { store: MemoryBackend::new(), gives, promises, claims: Arc::default() }
    }
}

impl Backend for Pushy {
    fn claim<'a>(&'a self, holder: &'a Holder, claim: &'a Claim) -> BackendFuture<'a, Claims> {
        let count = self.claims.fetch_add(1, Ordering::SeqCst);
        let at = Timestamp::from_millis(0);
        if self.promises.load(Ordering::SeqCst) && count <= CLAIMS_MAX {
            return Box::pin(std::future::ready(Ok(Claims { runs: Vec::new(), next_at: Some(at) })));
        }
        if !self.gives.load(Ordering::SeqCst) || count > CLAIMS_MAX {
            return self.store.claim(holder, claim);
        }
        let run = Claimed {
            task: claim.tasks[0],
            id: RunId::from_parts(at, 7),
            hold: Hold { token: Token(1), previous_success: None },
            origin: Origin::Schedule,
            scheduled_at: at,
            due_at: at,
            missed: None,
            attempt: 1,
            abandoned: 0,
            was: RunState::Queued,
            arguments: None,
        };
        Box::pin(std::future::ready(Ok(Claims { runs: vec![run], next_at: None })))
    }

    fn finish<'a>(&'a self, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        Box::pin(std::future::ready(Ok(vec![Stored::Done { more: true }; ended.len()])))
    }

    fn name(&self) -> &'static str {
        self.store.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn note<'a>(&'a self, action: &'a NewAction) -> BackendFuture<'a, ()> {
        self.store.note(action)
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
        self.store.heartbeat(holder)
    }

    fn enqueue<'a>(&'a self, holder: &'a Holder, firings: &'a [Firing]) -> BackendFuture<'a, Vec<Admission>> {
        self.store.enqueue(holder, firings)
    }

    fn lost<'a>(&'a self, held: &'a [Holding]) -> BackendFuture<'a, Vec<RunId>> {
        self.store.lost(held)
    }

    fn submit<'a>(&'a self, submissions: &'a [Submission]) -> BackendFuture<'a, Vec<Submitted>> {
        self.store.submit(submissions)
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

/// How many claims a node makes in a minute in which `begins` has the store give what is of no use.
async fn claims_in_a_minute(begins: impl Fn(&Pushy)) -> usize {
    let pushy = Pushy::new();
    let task = Task::new("tick", every(3_600_000), async || {});
    let scheduler = Scheduler::empty().backend(pushy.clone()).register(task).start().await.expect("it starts");
    scheduler.pause_task("tick").await.expect("it pauses");
    let before = pushy.claims.load(Ordering::SeqCst);
    begins(&pushy);
    tokio::time::sleep(seconds(60)).await;
    let claims = pushy.claims.load(Ordering::SeqCst) - before;
    pushy.gives.store(false, Ordering::SeqCst);
    pushy.promises.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(scheduler.stop().await.expect("the runtime goes on").is_clean());
    claims
}

/// A minute of it: at first claims follow each other in milliseconds, and soon only the looks of each five seconds are left.
#[tokio::test(start_paused = true)]
async fn a_store_that_goes_on_giving_what_is_given_back_is_asked_ever_less_often() {
    let claims = claims_in_a_minute(|pushy| pushy.gives.store(true, Ordering::SeqCst)).await;
    assert!((10..=40).contains(&claims), "{claims} claims in a minute");
}

/// So it is by a node whose clock is a few milliseconds ahead of the store's, of a run that is tried again.
#[tokio::test(start_paused = true)]
async fn a_store_that_gives_nothing_where_something_seems_due_is_asked_ever_less_often() {
    let claims = claims_in_a_minute(|pushy| pushy.promises.store(true, Ordering::SeqCst)).await;
    assert!((10..=40).contains(&claims), "{claims} claims in a minute");
}
