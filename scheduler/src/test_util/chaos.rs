//! A backend between which and its caller calls go wrong: they are refused, lose their answers, are slow or hang, by a
//! seed or as a test says.
//!
//! A test that survives it has shown that nothing is lost and nothing done twice whatever the store does.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use symphra_scheduler_core::Timestamp;
use tokio::sync::watch;

use crate::backend::{
    Action, Admission, Backend, BackendError, BackendFuture, Cancelled, Capabilities, Changes, Claim, Claims, Command,
    End, Enqueued, Finish, Firing, Holder, Holding, Ledger, Left, LetterQuery, LetterRow, NamedTask, NewAction, NewJob,
    NodeRow, Record, Registered, Registration, RunLog, RunQuery, RunRows, Stored, Submission, Submitted, TaskKey,
    Unregistration,
};
use crate::run::{RunId, RunState};

/// What goes wrong with a call.
///
/// ```
/// use symphra_scheduler::MemoryBackend;
/// use symphra_scheduler::test_util::{Chaos, Fault};
///
/// let store = Chaos::new(MemoryBackend::new());
/// store.fail_on("finish", Fault::After); // ends are stored, and nobody is told
/// store.heal();
/// assert_eq!(store.failed(), 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing is done.
    Before,
    /// It is done, and its answer is lost.
    After,
    /// It is done, later.
    Slow(Duration),
    /// It is done, and answered for all entries but the last: of calls that are answered entry by entry, which are
    /// `register`, `look`, `enqueue`, `finish`, `submit` and `enqueue_jobs`. No other call goes wrong in this way.
    Short,
}

/// The calls that are answered entry by entry.
const BY_ENTRY: [&str; 6] = ["register", "look", "enqueue", "finish", "submit", "enqueue_jobs"];

/// What of a call is held until it is let go.
///
/// ```
/// use symphra_scheduler::MemoryBackend;
/// use symphra_scheduler::test_util::{Chaos, Held};
///
/// let store = Chaos::new(MemoryBackend::new());
/// store.hold("claim", Held::Answer); // what was claimed is not known before it is let go
/// store.let_go("claim");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Held {
    /// It is not done before.
    Call,
    /// It is done, and its answer does not arrive before.
    Answer,
}

/// A backend in front of another. Heartbeats go through, unless it is [cut off](Self::cut_off) or they are
/// [named](Self::fail_on): a real one comes from a thread of its own, and would make the order of faults a matter of chance.
/// Clones are one.
///
/// ```
/// use symphra_scheduler::{MemoryBackend, Scheduler, test_util::Chaos};
///
/// let store = Chaos::new(MemoryBackend::new());
/// store.fail_at_random(7);
/// let scheduler = Scheduler::empty().backend(store.clone());
/// # let _ = scheduler;
/// ```
#[derive(Clone, Debug)]
pub struct Chaos(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Box<dyn Backend>,
    /// What it says it can do, if not what the store does.
    capabilities: Option<Capabilities>,
    faults: Mutex<Faults>,
    /// The runs whose end was stored, each time it was.
    ended: Mutex<Vec<RunId>>,
    alive_at_most: AtomicUsize,
    calls: AtomicUsize,
    failed: AtomicUsize,
    held: watch::Sender<HashMap<&'static str, Held>>,
    is_cut_off: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Faults {
    random: Option<fastrand::Rng>,
    always: Option<Fault>,
    on: HashMap<&'static str, Fault>,
    hanging: HashSet<&'static str>,
}

impl Chaos {
    /// A store that does not fail until it is told to.
    pub fn new(store: impl Backend) -> Self {
        Self(Arc::new(Inner {
            store: Box::new(store),
            capabilities: None,
            faults: Mutex::default(),
            ended: Mutex::default(),
            alive_at_most: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            held: watch::Sender::default(),
            is_cut_off: watch::Sender::default(),
        }))
    }

    /// A store that says it can do no more than this: what a program asks for beyond it is refused.
    ///
    /// ```
    /// use symphra_scheduler::backend::Capabilities;
    /// use symphra_scheduler::test_util::Chaos;
    /// use symphra_scheduler::{MemoryBackend, Schedule, Scheduler, Task};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = Chaos::limited(MemoryBackend::new(), Capabilities::volatile().without_max_runs());
    /// let thrice = Task::new("thrice", Schedule::cron("0 9 * * *")?, async || {}).max_runs(3);
    /// let error = Scheduler::empty().backend(store).register(thrice).start().await.unwrap_err();
    /// assert!(error.is_unsupported());
    /// # Ok(())
    /// # }
    /// ```
    pub fn limited(store: impl Backend, capabilities: Capabilities) -> Self {
        let mut chaos = Self::new(store);
        let inner = Arc::get_mut(&mut chaos.0).expect("it has no clone yet");
        inner.capabilities = Some(capabilities);
        chaos
    }

    /// From now on a part of the calls goes wrong, by `seed`.
    pub fn fail_at_random(&self, seed: u64) {
        self.faults().random = Some(fastrand::Rng::with_seed(seed));
    }

    /// From now on every call goes wrong in this way.
    pub fn always(&self, fault: Option<Fault>) {
        self.faults().always = fault;
    }

    /// From now on every call of this name goes wrong in this way.
    ///
    /// # Panics
    /// If the call cannot: only some are answered [short](Fault::Short).
    pub fn fail_on(&self, call: &'static str, fault: Fault) {
        assert!(
            fault != Fault::Short || BY_ENTRY.contains(&call),
            "{call} has no entries; those that do are {BY_ENTRY:?}"
        );
        self.faults().on.insert(call, fault);
    }

    /// From now on calls of this name do not answer.
    pub fn hang_on(&self, call: &'static str) {
        self.faults().hanging.insert(call);
    }

    /// From now on no call gets through, heartbeats included.
    pub fn cut_off(&self) {
        self.0.is_cut_off.send_replace(true);
    }

    /// From now on calls get through again; what else goes wrong, and what is held, stays.
    pub fn reconnect(&self) {
        self.0.is_cut_off.send_replace(false);
    }

    /// From now on calls of this name, or their answers, are held until they are [let go](Self::let_go): a test decides
    /// what comes first.
    pub fn hold(&self, call: &'static str, what: Held) {
        self.0.held.send_modify(|held| {
            held.insert(call, what);
        });
    }

    /// Lets go what is held of the calls of this name, and holds no more of them.
    pub fn let_go(&self, call: &'static str) {
        self.0.held.send_modify(|held| {
            held.remove(call);
        });
    }

    /// From now on nothing goes wrong, and nothing is held.
    pub fn heal(&self) {
        *self.faults() = Faults::default();
        self.reconnect();
        self.0.held.send_modify(HashMap::clear);
    }

    /// The highest number of runs that were alive after a call.
    pub fn alive_at_most(&self) -> usize {
        self.0.alive_at_most.load(Ordering::SeqCst)
    }

    /// The runs whose end was stored, in that order.
    pub fn ended(&self) -> Vec<RunId> {
        self.0.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many calls were made.
    pub fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// How many calls went wrong.
    pub fn failed(&self) -> usize {
        self.0.failed.load(Ordering::SeqCst)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, call: &'static str) -> Option<Fault> {
        if *self.0.is_cut_off.borrow() {
            return Some(Fault::Before);
        }
        let mut faults = self.faults();
        let certain = faults.always.or_else(|| faults.on.get(call).copied());
        let certain = certain.filter(|fault| *fault != Fault::Short || BY_ENTRY.contains(&call));
        if certain.is_some() {
            return certain;
        }
        let random = faults.random.as_mut()?;
        match random.u8(..10) {
            0 | 1 => Some(Fault::Before),
            2 | 3 => Some(Fault::After),
            4 => Some(Fault::Slow(Duration::from_millis(random.u64(1..3_000)))),
            _ => None,
        }
    }

    /// What goes wrong with a call that is made now.
    fn counted_fault(&self, name: &'static str) -> Option<Fault> {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        let fault = self.fault(name);
        if fault.is_some() {
            self.0.failed.fetch_add(1, Ordering::SeqCst);
        }
        fault
    }

    /// Makes `call`, or what is left of it when something goes wrong.
    async fn between<T: Send>(&self, name: &'static str, call: BackendFuture<'_, T>) -> Result<T, BackendError> {
        let fault = self.counted_fault(name);
        self.between_with(fault, name, call).await
    }

    /// The same of a call that is answered entry by entry, which may be answered short.
    async fn between_by_entry<T: Send>(
        &self,
        name: &'static str,
        call: BackendFuture<'_, Vec<T>>,
    ) -> Result<Vec<T>, BackendError> {
        let fault = self.counted_fault(name);
        let mut answers = self.between_with(fault, name, call).await?;
        if fault == Some(Fault::Short) {
            answers.pop();
        }
        Ok(answers)
    }

    async fn between_with<T: Send>(
        &self,
        fault: Option<Fault>,
        name: &'static str,
        call: BackendFuture<'_, T>,
    ) -> Result<T, BackendError> {
        let measured = async move {
            let answer = call.await?;
            self.measure().await?;
            Ok(answer)
        };
        self.with(fault, name, Box::pin(measured)).await
    }

    /// Makes `call` with `fault`.
    async fn with<T>(
        &self,
        fault: Option<Fault>,
        name: &'static str,
        call: BackendFuture<'_, T>,
    ) -> Result<T, BackendError> {
        if self.faults().hanging.contains(name) {
            std::future::pending::<()>().await;
        }
        match fault {
            Some(Fault::Before) => return Err(BackendError::new(name, "the connection was refused")),
            Some(Fault::Slow(pause)) => tokio::time::sleep(pause).await,
            Some(Fault::After | Fault::Short) | None => {}
        }
        self.pass(name, Held::Call).await;
        let answer = call.await?;
        self.pass(name, Held::Answer).await;
        match fault {
            Some(Fault::After) => Err(BackendError::new(name, "the connection was reset")),
            _ => Ok(answer),
        }
    }

    /// Waits until this of the call is not held.
    async fn pass(&self, call: &'static str, what: Held) {
        // The sender lives as long as this borrow, so the wait cannot fail.
        let _ = self.0.held.subscribe().wait_for(|held| held.get(call) != Some(&what)).await;
    }

    async fn measure(&self) -> Result<(), BackendError> {
        let states = vec![RunState::Queued, RunState::Running, RunState::Retrying];
        let alive = self.0.store.runs(&RunQuery { states, ..RunQuery::default() }).await?.len();
        self.0.alive_at_most.fetch_max(alive, Ordering::SeqCst);
        Ok(())
    }
}

/// A backend may do its work when it is called, so a call is made only when it is to take place.
macro_rules! through {
    ($chaos:expr, $call:ident($($argument:expr),*)) => {{
        let chaos = $chaos;
        Box::pin(chaos.between(
            stringify!($call),
            Box::pin(async move { chaos.0.store.$call($($argument),*).await }),
        ))
    }};
}

/// The same, of a call that is answered entry by entry.
macro_rules! by_entry {
    ($chaos:expr, $call:ident($($argument:expr),*)) => {{
        let chaos = $chaos;
        Box::pin(chaos.between_by_entry(
            stringify!($call),
            Box::pin(async move { chaos.0.store.$call($($argument),*).await }),
        ))
    }};
}

impl Backend for Chaos {
    fn name(&self) -> &'static str {
        self.0.store.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities.unwrap_or_else(|| self.0.store.capabilities())
    }

    fn register<'a>(&'a self, holder: &'a Holder, tasks: &'a [Registration]) -> BackendFuture<'a, Vec<Registered>> {
        by_entry!(self, register(holder, tasks))
    }

    fn unregister<'a>(&'a self, holder: &'a Holder, tasks: &'a [Unregistration]) -> BackendFuture<'a, ()> {
        through!(self, unregister(holder, tasks))
    }

    fn look<'a>(&'a self, tasks: &'a [TaskKey]) -> BackendFuture<'a, Vec<Registered>> {
        by_entry!(self, look(tasks))
    }

    fn heartbeat<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Timestamp> {
        let is_cut_off = *self.0.is_cut_off.borrow();
        let fault = if is_cut_off { Some(Fault::Before) } else { self.faults().on.get("heartbeat").copied() };
        let call = Box::pin(async move { self.0.store.heartbeat(holder).await });
        Box::pin(self.with(fault, "heartbeat", call))
    }

    fn enqueue<'a>(&'a self, holder: &'a Holder, firings: &'a [Firing]) -> BackendFuture<'a, Vec<Admission>> {
        by_entry!(self, enqueue(holder, firings))
    }

    fn claim<'a>(&'a self, holder: &'a Holder, claim: &'a Claim) -> BackendFuture<'a, Claims> {
        through!(self, claim(holder, claim))
    }

    fn finish<'a>(&'a self, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        let stored = Box::pin(async move {
            let stored = self.0.store.finish(ended).await?;
            let is_end = |end: &Finish| matches!(end.end, End::Final(_));
            let done = ended.iter().zip(&stored).filter(|&(end, &stored)| is_end(end) && stored != Stored::Stale);
            let done = done.map(|(end, _)| end.id);
            self.0.ended.lock().unwrap_or_else(PoisonError::into_inner).extend(done);
            Ok(stored)
        });
        Box::pin(self.between_by_entry("finish", stored))
    }

    fn lost<'a>(&'a self, held: &'a [Holding]) -> BackendFuture<'a, Vec<RunId>> {
        through!(self, lost(held))
    }

    fn submit<'a>(&'a self, submissions: &'a [Submission]) -> BackendFuture<'a, Vec<Submitted>> {
        by_entry!(self, submit(submissions))
    }

    fn control<'a>(&'a self, command: &'a Command) -> BackendFuture<'a, Changes> {
        through!(self, control(command))
    }

    fn cancel(&self, run: RunId) -> BackendFuture<'_, Option<Cancelled>> {
        through!(self, cancel(run))
    }

    /// A call that waits is not made to fail, unless the store is cut off: what it would tell comes by the next. If it is
    /// named to be [slow](Fault::Slow), what it tells comes late, as of a store whose notice was lost.
    fn changes(&self, version: Option<u64>) -> BackendFuture<'_, Changes> {
        let told = async move {
            let changes = self.0.store.changes(version).await;
            let named = self.faults().on.get("changes").copied();
            if let (Some(Fault::Slow(pause)), Some(_)) = (named, version) {
                tokio::time::sleep(pause).await;
            }
            changes
        };
        Box::pin(async move {
            let mut is_cut_off = self.0.is_cut_off.subscribe();
            tokio::select! {
                biased;
                _ = is_cut_off.wait_for(|&cut| cut) => Err(BackendError::new("changes", "the connection was reset")),
                changes = told => changes,
            }
        })
    }

    fn leave<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Vec<Left>> {
        through!(self, leave(holder))
    }

    /// Tests look by this: it fails only where it is named, so that looks change nothing of what a seed says.
    fn runs_page<'a>(&'a self, query: &'a RunQuery) -> BackendFuture<'a, RunRows> {
        if self.faults().on.contains_key("runs") {
            return Box::pin(std::future::ready(Err(BackendError::new("runs", "the connection was refused"))));
        }
        self.0.store.runs_page(query)
    }

    fn log(&self, run: RunId) -> BackendFuture<'_, Option<RunLog>> {
        self.0.store.log(run)
    }

    fn records(&self, task: TaskKey) -> BackendFuture<'_, Vec<Record>> {
        self.0.store.records(task)
    }

    fn ledger(&self, task: TaskKey) -> BackendFuture<'_, Ledger> {
        self.0.store.ledger(task)
    }

    fn tasks(&self) -> BackendFuture<'_, Vec<NamedTask>> {
        self.0.store.tasks()
    }

    fn nodes(&self) -> BackendFuture<'_, Vec<NodeRow>> {
        self.0.store.nodes()
    }

    fn note<'a>(&'a self, action: &'a NewAction) -> BackendFuture<'a, ()> {
        through!(self, note(action))
    }

    fn actions(&self, limit: usize) -> BackendFuture<'_, Vec<Action>> {
        self.0.store.actions(limit)
    }

    fn enqueue_jobs<'a>(&'a self, jobs: &'a [NewJob]) -> BackendFuture<'a, Vec<Enqueued>> {
        by_entry!(self, enqueue_jobs(jobs))
    }

    fn dead_letters<'a>(&'a self, query: &'a LetterQuery) -> BackendFuture<'a, Vec<LetterRow>> {
        self.0.store.dead_letters(query)
    }

    fn run_again(&self, letter: RunId, again: RunId) -> BackendFuture<'_, Option<Enqueued>> {
        through!(self, run_again(letter, again))
    }

    fn drop_letter(&self, letter: RunId) -> BackendFuture<'_, bool> {
        through!(self, drop_letter(letter))
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    fn job_store(&self) -> BackendFuture<'_, Option<crate::backend::JobStore<'_>>> {
        self.0.store.job_store()
    }
}
