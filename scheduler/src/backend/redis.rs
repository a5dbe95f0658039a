//! The Redis backend: any number of nodes on one server, on what Sentinel watches over, or on a Cluster.
//!
//! Each step is one call of one script, which Redis executes whole and alone: it reads, decides by the same rules as the memory
//! backend, and writes at its end. All keys of a store have one hash tag, so that a Cluster keeps them on one node. The store's
//! clock is that of the server.
//!
//! All calls are made on a thread of the store's own: a runtime whose threads are blocked by a task's body does not lose its
//! lease.

mod declare;
#[cfg(feature = "test-util")]
pub(super) mod doors;
mod follow;
mod jobs;
mod known;
mod link;
mod list;
mod open;
mod place;
mod store;
mod words;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::line::{self, Failing};
use super::thread::StoreThread;
use super::{
    Action, Admission, Backend, BackendError, BackendFuture, Cancelled, Capabilities, Changes, Claim, Claims, Command,
    Enqueued, Finish, Firing, Holder, Holding, Ledger, Left, LetterQuery, LetterRow, NamedTask, NewAction, NewJob,
    NodeRow, Record, Registered, Registration, RunLog, RunQuery, RunRow, RunRows, Stored, Submission, Submitted,
    TaskKey, Unregistration,
};
use crate::Error;
use crate::migrate::Migrate;
use crate::outcome::BoxError;
use crate::run::RunId;
use crate::secret::masked_url;
use link::Link;
#[cfg_attr(not(feature = "cli"), expect(unused_imports, reason = "commands ask why a store was refused"))]
pub(crate) use open::Refused;
use place::Place;
use store::{Failed, Store};

/// How long a call of the script waits for its answer: longer than the longest takes. A connection that is silent for so long
/// is given up.
const STEP_MAX: Duration = Duration::from_secs(10);

const CONNECTIONS: u32 = 2;

/// A store in Redis (tested with 7.0): for any number of nodes.
///
/// It is as durable as Redis is set up to be: on one server with `appendfsync always` nothing that was answered is undone;
/// otherwise, and at a failover, the last second may be, and what fired in it may fire again. Its `maxmemory-policy` has to be
/// `noeviction`.
///
/// ```no_run
/// use symphra_scheduler::{RedisBackend, Scheduler};
///
/// # async fn start() -> Result<(), symphra_scheduler::Error> {
/// let backend = RedisBackend::connect("redis://redis.example:6379/0").await?;
/// Scheduler::from_registry().backend(backend).run().await
/// # }
/// ```
pub struct RedisBackend {
    store: Arc<Store>,
    thread: StoreThread,
}

/// How a [`RedisBackend`] is opened.
///
/// ```no_run
/// use symphra_scheduler::RedisBackend;
///
/// # async fn open() -> Result<(), symphra_scheduler::Error> {
/// let options = RedisBackend::options().namespace("payroll").max_connections(4);
/// let backend = options.connect("rediss://scheduler:secret@redis.example:6379/0").await?;
/// # let _ = backend;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "options open nothing before `connect`"]
pub struct RedisOptions {
    namespace: Option<String>,
    max_connections: u32,
    migrate: Migrate,
}

impl RedisBackend {
    /// Connects to where `url` says: `redis://user:password@host:6379/0`, the same with `rediss://` over TLS,
    /// `redis+sentinel://user:password@sentinel1:26379,sentinel2:26379/name/0`, whose parameters `sentinel_username` and
    /// `sentinel_password` are for the Sentinels themselves, or `redis+cluster://user:password@host1:6379,host2:6379`.
    ///
    /// # Errors
    /// [`Error::is_backend`] if Redis cannot be reached, may give up keys (its `maxmemory-policy`), or was changed by a newer
    /// version that this one is too old for; [`Error::is_config`] if the URL or an option is not possible.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::options().connect(url).await
    }

    /// Connects as `client`, the program's own, does: see [`RedisOptions::from_client`].
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn from_client(client: &redis::Client) -> Result<Self, Error> {
        Self::options().from_client(client).await
    }

    /// Options to connect otherwise than by [`connect`](Self::connect).
    pub fn options() -> RedisOptions {
        RedisOptions { namespace: None, max_connections: CONNECTIONS, migrate: Migrate::Auto }
    }

    /// Runs a step on the store's thread. It is not undone where its caller goes away.
    fn run<R, F>(&self, during: &'static str, step: impl FnOnce(Arc<Store>) -> F) -> BackendFuture<'_, R>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, Failed>> + Send + 'static,
    {
        let step = step(Arc::clone(&self.store));
        let answer = self.thread.spawn(step);
        Box::pin(async move {
            match answer.await {
                Ok(answer) => answer.map_err(|failed| failed.during(during)),
                Err(gone) => Err(BackendError::new(during, gone)),
            }
        })
    }
}

impl RedisOptions {
    /// What sets programs apart that share the server: 1 to 32 of `a-z`, `0-9` and `_`. Default: the name of the program's
    /// file.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// How many connections are open at most, each shared by any number of calls, and one more that listens. Default 2.
    pub const fn max_connections(mut self, max: u32) -> Self {
        self.max_connections = max;
        self
    }

    /// Whether what is missing of the store is made. Default [`Migrate::Auto`].
    pub const fn migrate(mut self, migrate: Migrate) -> Self {
        self.migrate = migrate;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// As [`RedisBackend::connect`].
    pub async fn connect(self, url: &str) -> Result<RedisBackend, Error> {
        let masked = masked_url(url);
        if Place::is_encrypted(url) {
            encrypt();
        }
        let place = Place::of(url);
        let place = place.ok_or_else(|| Error::setting("backend.url", format!("{masked:?}"), Place::ALLOWED))?;
        self.open(place, masked).await
    }

    /// Connects as `client`, the program's own, does: to its server, with its user and certificates. The connections are the
    /// store's own, and live on its thread: a heartbeat waits neither for the program's commands nor for its runtime.
    ///
    /// # Errors
    /// As [`RedisBackend::connect`].
    pub async fn from_client(self, client: &redis::Client) -> Result<RedisBackend, Error> {
        let shown = format!("redis://{}", client.get_connection_info().addr());
        self.open(Place::One(Box::new(client.clone())), shown).await
    }

    async fn open(self, place: Place, shown: String) -> Result<RedisBackend, Error> {
        let namespace = super::namespace(self.namespace.as_deref())?;
        if self.max_connections == 0 {
            return Err(Error::setting("max_connections", "0".into(), "1 or more"));
        }
        let thread = StoreThread::start("redis").map_err(Error::store_thread)?;
        let failed = |cause: BoxError| Error::from(BackendError::new(format!("open {shown}"), cause));
        let store = Arc::new(Store::new(Link::new(place, self.max_connections), &namespace));
        let opening = Arc::clone(&store);
        let opened = thread.spawn(async move { opening.open(self.migrate).await });
        let opened = opened.await.map_err(|gone| failed(gone.into()))?;
        opened
            .map_err(|error| failed(Box::new(error.during("make its keys"))))?
            .map_err(|refused| failed(refused.into()))?;
        thread.spawn(follow::follow(Arc::clone(&store)));
        thread.spawn(follow::tell(Arc::clone(&store)));
        thread.spawn(follow::end_unclaimed(Arc::clone(&store)));
        Ok(RedisBackend { store, thread })
    }
}

/// Has TLS the cryptography that this crate brings, unless the program has chosen another.
fn encrypt() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Whoever was quicker has chosen.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}

#[cfg(feature = "conformance")]
impl RedisBackend {
    /// Ends runs that nobody has claimed for so long, as the store does by itself each hour: for tests that cannot wait.
    ///
    /// # Errors
    /// [`Error::is_backend`] if the store cannot be reached.
    #[doc(hidden)]
    pub async fn end_unclaimed(&self, waited: Duration) -> Result<usize, Error> {
        const MAX: usize = 256;
        let ended = self.run("end what nobody claims", async move |store| store.end_unclaimed(waited, MAX).await);
        Ok(ended.await?)
    }

    /// Gives up letters and keys whose time is over, as the store does by itself each hour; tells whether there may be more.
    ///
    /// # Errors
    /// [`Error::is_backend`] if the store cannot be reached.
    #[doc(hidden)]
    pub async fn prune_jobs(&self) -> Result<bool, Error> {
        Ok(self.run("give up what is left of jobs", async move |store| store.prune_jobs().await).await?)
    }
}

impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackend").finish_non_exhaustive()
    }
}

impl Backend for RedisBackend {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::durable().with_jobs()
    }

    fn register<'a>(&'a self, holder: &'a Holder, tasks: &'a [Registration]) -> BackendFuture<'a, Vec<Registered>> {
        let (holder, tasks) = (holder.clone(), tasks.to_vec());
        self.run("register the tasks", |store| async move { store.register(&holder, &tasks).await })
    }

    fn unregister<'a>(&'a self, holder: &'a Holder, tasks: &'a [Unregistration]) -> BackendFuture<'a, ()> {
        let (holder, tasks) = (holder.clone(), tasks.to_vec());
        self.run("unregister tasks", |store| async move { store.unregister(&holder, &tasks).await })
    }

    fn look<'a>(&'a self, tasks: &'a [TaskKey]) -> BackendFuture<'a, Vec<Registered>> {
        let tasks = tasks.to_vec();
        self.run("look up tasks", |store| async move { store.look(&tasks).await })
    }

    fn heartbeat<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Timestamp> {
        let holder = holder.clone();
        self.run("renew a lease", |store| async move { store.heartbeat(&holder).await })
    }

    fn lost<'a>(&'a self, held: &'a [Holding]) -> BackendFuture<'a, Vec<RunId>> {
        let held = held.to_vec();
        self.run("tell which runs are lost", |store| async move { store.lost(&held).await })
    }

    fn enqueue<'a>(&'a self, holder: &'a Holder, firings: &'a [Firing]) -> BackendFuture<'a, Vec<Admission>> {
        let (holder, firings) = (holder.clone(), firings.to_vec());
        self.run("fire occurrences", |store| async move { store.enqueue(&holder, &firings).await })
    }

    fn claim<'a>(&'a self, holder: &'a Holder, claim: &'a Claim) -> BackendFuture<'a, Claims> {
        let (holder, claim) = (holder.clone(), claim.clone());
        self.run("claim runs", |store| async move { store.claim(&holder, &claim).await })
    }

    fn finish<'a>(&'a self, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        let ended = ended.to_vec();
        self.run("store how runs ended", |store| async move { store.finish(&ended).await })
    }

    fn submit<'a>(&'a self, submissions: &'a [Submission]) -> BackendFuture<'a, Vec<Submitted>> {
        line::submit(&self.store, &self.thread, submissions.to_vec())
    }

    fn control<'a>(&'a self, command: &'a Command) -> BackendFuture<'a, Changes> {
        let command = command.clone();
        self.run("do what was asked", |store| async move { store.control(&command).await })
    }

    fn cancel(&self, run: RunId) -> BackendFuture<'_, Option<Cancelled>> {
        self.run("cancel a run", move |store| async move { store.cancel(run).await })
    }

    fn changes(&self, version: Option<u64>) -> BackendFuture<'_, Changes> {
        Box::pin(async move {
            if let Some(version) = version {
                // As long as nothing changes there is no answer, which is no silence.
                self.store.announced.after(super::text::count(version)).await;
            }
            self.run("tell what has changed", move |store| async move { store.changes(version).await }).await
        })
    }

    fn leave<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Vec<Left>> {
        let holder = holder.clone();
        self.run("end a lease", |store| async move { store.leave(&holder).await })
    }

    fn runs_page<'a>(&'a self, query: &'a RunQuery) -> BackendFuture<'a, RunRows> {
        let query = query.clone();
        self.run("list runs", |store| async move { store.runs_page(&query).await })
    }

    fn last_ended<'a>(&'a self, tasks: &'a [TaskKey]) -> BackendFuture<'a, Vec<RunRow>> {
        let tasks = tasks.to_vec();
        self.run("list runs", |store| async move { store.last_ended(&tasks).await })
    }

    fn log(&self, run: RunId) -> BackendFuture<'_, Option<RunLog>> {
        self.run("read the log of a run", move |store| async move { store.log(run).await })
    }

    fn records(&self, task: TaskKey) -> BackendFuture<'_, Vec<Record>> {
        self.run("list records", move |store| async move { store.records(task).await })
    }

    fn ledger(&self, task: TaskKey) -> BackendFuture<'_, Ledger> {
        self.run("read a ledger", move |store| async move { store.ledger(task).await })
    }

    fn tasks(&self) -> BackendFuture<'_, Vec<NamedTask>> {
        self.run("list its tasks", |store| async move { store.tasks().await })
    }

    fn nodes(&self) -> BackendFuture<'_, Vec<NodeRow>> {
        self.run("list its nodes", |store| async move { store.nodes().await })
    }
    fn note<'a>(&'a self, action: &'a NewAction) -> BackendFuture<'a, ()> {
        let action = action.clone();
        self.run("keep what was asked for", |store| async move { store.note(&action).await })
    }

    fn actions(&self, limit: usize) -> BackendFuture<'_, Vec<Action>> {
        self.run("list what was asked for", move |store| async move { store.actions(limit).await })
    }

    fn enqueue_jobs<'a>(&'a self, jobs: &'a [NewJob]) -> BackendFuture<'a, Vec<Enqueued>> {
        let jobs = jobs.to_vec();
        self.run("enqueue jobs", |store| async move { store.enqueue_jobs(&jobs).await })
    }

    fn dead_letters<'a>(&'a self, query: &'a LetterQuery) -> BackendFuture<'a, Vec<LetterRow>> {
        let query = query.clone();
        self.run("list dead letters", |store| async move { store.dead_letters(&query).await })
    }

    fn run_again(&self, letter: RunId, again: RunId) -> BackendFuture<'_, Option<Enqueued>> {
        self.run("run a dead letter again", move |store| async move { store.run_again(letter, again).await })
    }

    fn drop_letter(&self, letter: RunId) -> BackendFuture<'_, bool> {
        self.run("drop a dead letter", move |store| async move { store.drop_letter(letter).await })
    }
}
