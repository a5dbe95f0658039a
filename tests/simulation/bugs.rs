//! Bugs that are planted: stores each of which breaks one promise of the contract, to see that the simulation of a cluster
//! notices it.

mod answering;
mod ending;
mod firing;
mod holding;
mod telling;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use symphra_scheduler::backend::{
    Action, Admission, Backend, BackendFuture, Cancelled, Capabilities, Changes, Claim, Claims, Command, Enqueued,
    Finish, Firing, Holder, Holding, Ledger, Left, LetterQuery, LetterRow, NamedTask, NewAction, NewJob, NodeRow,
    Record, Registered, Registration, RunLog, RunQuery, RunRows, Stored, Submission, Submitted, TaskKey,
    Unregistration,
};
use symphra_scheduler::{MemoryBackend, RunId, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

/// More calls than any cluster makes at one instant: a bug that keeps an engine busy would otherwise never end.
const CALLS_MAX: usize = 3_000;

/// The name of a bug, and what plants it.
#[derive(Clone, Copy)]
pub(crate) struct Bug {
    pub(crate) name: &'static str,
    plant: fn() -> Arc<dyn Defect>,
}

impl Debug for Bug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const fn bug(name: &'static str, plant: fn() -> Arc<dyn Defect>) -> Bug {
    Bug { name, plant }
}

/// All of them. A name says what is wrong.
pub(crate) const BUGS: &[Bug] = &[
    bug("the mark is not advanced where the run is inserted", || Arc::new(firing::MarkStays)),
    bug("the mark is compared in one step and advanced in another", || Arc::new(firing::MarkInTwoSteps)),
    bug("the occurrence at the mark is fired again by who starts", || Arc::new(firing::MarkItself)),
    bug("the first occurrence after a registration is passed over", || Arc::<firing::FirstLeftOut>::default()),
    bug("what is early by the store's clock is accepted", || Arc::new(firing::Early)),
    bug("a record of why not is forgotten", || Arc::new(firing::RecordForgotten)),
    bug("a record is counted twice", || Arc::new(firing::RecordTwice)),
    bug("a firing repeated after a lost answer is not recognised", || Arc::<answering::FiringForgotten>::default()),
    bug("a claim repeated after a lost answer is not recognised", || Arc::<answering::ClaimForgotten>::default()),
    bug("one trigger becomes two runs", || Arc::<answering::TriggerTwice>::default()),
    bug("an end is answered and not stored", || Arc::<answering::EndLost>::default()),
    bug("the token is not compared at the end", || Arc::<holding::AnyToken>::default()),
    bug("a run that is taken over keeps its token", || Arc::<holding::SameToken>::default()),
    bug("the lease of a node is never renewed", || Arc::<holding::NeverRenewed>::default()),
    bug("the lease of a node is renewed too late", || Arc::<holding::SeldomRenewed>::default()),
    bug("who was not in contact takes over", || Arc::new(holding::NoContactAsked)),
    bug("the dead go on living", || Arc::<holding::Immortal>::default()),
    bug("what may run at most once is taken over", || Arc::new(holding::AtMostOnceAgain)),
    bug("overlaps are not seen", || Arc::new(holding::NoOverlapSeen)),
    bug("a group has no limit", || Arc::new(holding::NoGroup)),
    bug("runs are not counted for max_runs", || Arc::new(holding::NoMaxRuns)),
    bug("the store retries too", || Arc::<ending::RetriedTwice>::default()),
    bug("a live run is pruned", || Arc::<ending::LivePruned>::default()),
    bug("a cancelled run stays in the queue", || Arc::new(ending::CancelForgotten)),
    bug("nobody is told of runs that wait", || Arc::new(telling::NotWoken)),
    bug("nobody is told of cancellations", || Arc::new(telling::CancelUntold)),
    bug("a pause holds on the node that asked alone", || Arc::new(telling::PauseHere)),
    bug("a pause is over at once", || Arc::new(telling::PauseForgotten)),
];

/// What a store does otherwise than it should. What is not said here it does as it should.
pub(crate) trait Defect: Debug + Send + Sync + 'static {
    fn register<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        tasks: &'a [Registration],
    ) -> BackendFuture<'a, Vec<Registered>> {
        store.register(holder, tasks)
    }

    fn heartbeat<'a>(&'a self, store: &'a MemoryBackend, holder: &'a Holder) -> BackendFuture<'a, Timestamp> {
        store.heartbeat(holder)
    }

    fn enqueue<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        firings: &'a [Firing],
    ) -> BackendFuture<'a, Vec<Admission>> {
        store.enqueue(holder, firings)
    }

    fn claim<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        claim: &'a Claim,
    ) -> BackendFuture<'a, Claims> {
        store.claim(holder, claim)
    }

    fn finish<'a>(&'a self, store: &'a MemoryBackend, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        store.finish(ended)
    }

    fn lost<'a>(&'a self, store: &'a MemoryBackend, held: &'a [Holding]) -> BackendFuture<'a, Vec<RunId>> {
        store.lost(held)
    }

    fn submit<'a>(
        &'a self,
        store: &'a MemoryBackend,
        submissions: &'a [Submission],
    ) -> BackendFuture<'a, Vec<Submitted>> {
        store.submit(submissions)
    }

    fn control<'a>(&'a self, store: &'a MemoryBackend, command: &'a Command) -> BackendFuture<'a, Changes> {
        store.control(command)
    }

    fn cancel<'a>(&'a self, store: &'a MemoryBackend, run: RunId) -> BackendFuture<'a, Option<Cancelled>> {
        store.cancel(run)
    }

    fn changes<'a>(&'a self, store: &'a MemoryBackend, version: Option<u64>) -> BackendFuture<'a, Changes> {
        store.changes(version)
    }

    fn runs_page<'a>(&'a self, store: &'a MemoryBackend, query: &'a RunQuery) -> BackendFuture<'a, RunRows> {
        store.runs_page(query)
    }
}

/// A store as it should be.
#[derive(Debug)]
struct Sound;

impl Defect for Sound {}

/// How often each call was made at an instant, the last.
type Calls = (Option<Instant>, BTreeMap<&'static str, usize>);

/// A store with a bug, or without. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Planted {
    store: MemoryBackend,
    defect: Arc<dyn Defect>,
    calls: Arc<Mutex<Calls>>,
    /// Wakes the nodes in the order in which they wait, and not by chance as the store does: a seed gives one transcript.
    changed: Arc<Notify>,
}

impl Planted {
    pub(crate) fn new(store: MemoryBackend, bug: Option<Bug>) -> Self {
        let defect: Arc<dyn Defect> = bug.map_or_else(|| Arc::new(Sound) as _, |bug| (bug.plant)());
        Self { store, defect, calls: Arc::default(), changed: Arc::default() }
    }

    fn count(&self, call: &'static str) {
        let now = Instant::now();
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.0 != Some(now) {
            *calls = (Some(now), BTreeMap::new());
        }
        let count = calls.1.entry(call).or_default();
        *count += 1;
        assert!(*count < CALLS_MAX, "calls of the store at one instant: {:?}", calls.1);
    }

    /// Answers a call, and wakes who waits for changes.
    fn then_tells<'a, T: Send + 'a>(&'a self, name: &'static str, call: BackendFuture<'a, T>) -> BackendFuture<'a, T> {
        self.count(name);
        Box::pin(async move {
            let answer = call.await;
            self.changed.notify_waiters();
            answer
        })
    }

    /// Waits until there is something after `version`.
    async fn has_changed(&self, version: u64) {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before the version is looked at, so that no change is missed.
            changed.as_mut().enable();
            if self.store.changes(None).await.is_ok_and(|known| known.version > version) {
                return;
            }
            changed.await;
        }
    }
}

impl Backend for Planted {
    fn name(&self) -> &'static str {
        self.store.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn register<'a>(&'a self, holder: &'a Holder, tasks: &'a [Registration]) -> BackendFuture<'a, Vec<Registered>> {
        self.then_tells("register", self.defect.register(&self.store, holder, tasks))
    }

    fn unregister<'a>(&'a self, holder: &'a Holder, tasks: &'a [Unregistration]) -> BackendFuture<'a, ()> {
        self.then_tells("unregister", self.store.unregister(holder, tasks))
    }

    fn look<'a>(&'a self, tasks: &'a [TaskKey]) -> BackendFuture<'a, Vec<Registered>> {
        self.then_tells("look", self.store.look(tasks))
    }

    fn heartbeat<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Timestamp> {
        self.then_tells("heartbeat", self.defect.heartbeat(&self.store, holder))
    }

    fn enqueue<'a>(&'a self, holder: &'a Holder, firings: &'a [Firing]) -> BackendFuture<'a, Vec<Admission>> {
        self.then_tells("enqueue", self.defect.enqueue(&self.store, holder, firings))
    }

    fn claim<'a>(&'a self, holder: &'a Holder, claim: &'a Claim) -> BackendFuture<'a, Claims> {
        self.then_tells("claim", self.defect.claim(&self.store, holder, claim))
    }

    fn finish<'a>(&'a self, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        self.then_tells("finish", self.defect.finish(&self.store, ended))
    }

    fn lost<'a>(&'a self, held: &'a [Holding]) -> BackendFuture<'a, Vec<RunId>> {
        self.defect.lost(&self.store, held)
    }

    fn submit<'a>(&'a self, submissions: &'a [Submission]) -> BackendFuture<'a, Vec<Submitted>> {
        self.then_tells("submit", self.defect.submit(&self.store, submissions))
    }

    fn control<'a>(&'a self, command: &'a Command) -> BackendFuture<'a, Changes> {
        self.then_tells("control", self.defect.control(&self.store, command))
    }

    fn cancel(&self, run: RunId) -> BackendFuture<'_, Option<Cancelled>> {
        self.then_tells("cancel", self.defect.cancel(&self.store, run))
    }

    fn changes(&self, version: Option<u64>) -> BackendFuture<'_, Changes> {
        Box::pin(async move {
            if let Some(version) = version {
                self.has_changed(version).await;
            }
            self.defect.changes(&self.store, version).await
        })
    }

    fn leave<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Vec<Left>> {
        self.then_tells("leave", self.store.leave(holder))
    }

    fn runs_page<'a>(&'a self, query: &'a RunQuery) -> BackendFuture<'a, RunRows> {
        self.defect.runs_page(&self.store, query)
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

    fn note<'a>(&'a self, action: &'a NewAction) -> BackendFuture<'a, ()> {
        self.store.note(action)
    }

    fn actions(&self, limit: usize) -> BackendFuture<'_, Vec<Action>> {
        self.store.actions(limit)
    }

    fn enqueue_jobs<'a>(&'a self, jobs: &'a [NewJob]) -> BackendFuture<'a, Vec<Enqueued>> {
        self.then_tells("enqueue_jobs", self.store.enqueue_jobs(jobs))
    }

    fn dead_letters<'a>(&'a self, query: &'a LetterQuery) -> BackendFuture<'a, Vec<LetterRow>> {
        self.store.dead_letters(query)
    }

    fn run_again(&self, letter: RunId, again: RunId) -> BackendFuture<'_, Option<Enqueued>> {
        self.then_tells("run_again", self.store.run_again(letter, again))
    }

    fn drop_letter(&self, letter: RunId) -> BackendFuture<'_, bool> {
        self.store.drop_letter(letter)
    }
}
