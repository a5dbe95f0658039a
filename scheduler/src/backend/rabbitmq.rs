//! The RabbitMQ backend: any number of nodes, one of which owns the store.
//!
//! RabbitMQ keeps messages and orders them, and compares nothing. So one node, the *owner*, has the store in memory, as the
//! memory backend has it, and makes all its steps; a queue keeps them. It is the one consumer of the state queue, which is a
//! quorum queue with a single active consumer: each step is a record there, and is answered when it has come back. The other
//! nodes ask the owner by messages. When it is gone, or its connection, the queue goes to the next in line, which reads what
//! stands there, writes it anew as an image, and goes on.
//!
//! All of it happens on a thread of the store's own: a runtime whose threads are blocked by a task's body does not lose its lease.

mod ask;
mod clock;
#[cfg(feature = "test-util")]
pub(super) mod doors;
mod fence;
mod found;
mod link;
mod message;
mod owner;
mod pieces;
mod place;
mod refused;
mod state;
mod steps;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::line::{self, Failing, Line, Submits};
use super::memory::replica::{Answer, Call, Question};
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
use ask::{Failed, Link, Shared};
use message::{KNOWN, Reply, Request};
use place::Place;
pub(crate) use refused::Refused;
use refused::may_call;
use steps::Steps;

/// How long a call waits for its answer.
const STEP_MAX: Duration = Duration::from_secs(10);

/// How long the first answer is waited for. RabbitMQ notices within 20 to 30 seconds that an owner was cut off, and the next one
/// has to read what it left.
const OPEN_MAX: Duration = Duration::from_secs(60);

/// How long a run waits for a node that knows its task.
const UNCLAIMED_MAX: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How many tasks or runs one call is about: few enough that nobody waits long for it, and that it is one message.
const TOGETHER_MAX: usize = 1_000;

/// A store in RabbitMQ (3.10 or later): for any number of nodes.
///
/// What was answered is kept by a quorum queue, on most of its members. The history of runs that have ended, and what they wrote to
/// the log, is in the memory of the node that owns the store: the next owner has the last 2,000 runs and the last of each task.
///
/// ```no_run
/// use symphra_scheduler::{RabbitMqBackend, Scheduler};
///
/// # async fn start() -> Result<(), symphra_scheduler::Error> {
/// let backend = RabbitMqBackend::connect("amqp://user:password@rabbit.example:5672").await?;
/// Scheduler::from_registry().backend(backend).run().await
/// # }
/// ```
pub struct RabbitMqBackend {
    store: Arc<Shared>,
    thread: StoreThread,
}

/// How a [`RabbitMqBackend`] is opened.
///
/// ```no_run
/// use symphra_scheduler::RabbitMqBackend;
///
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let authorities = std::fs::read_to_string("/etc/payroll/ca.pem")?;
/// let options = RabbitMqBackend::options().namespace("payroll").trusting(authorities);
/// let backend = options.connect("amqps://payroll:secret@rabbit.example:5671").await?;
/// # let _ = backend;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "options open nothing before `connect`"]
pub struct RabbitMqOptions {
    namespace: Option<String>,
    migrate: Migrate,
    certificates: Option<String>,
    steps: Steps,
}

impl RabbitMqBackend {
    /// Connects to where `url` says: `amqp://user:password@host:5672/vhost`, or the same with `amqps://` over TLS.
    ///
    /// # Errors
    /// [`Error::is_backend`] if RabbitMQ cannot be reached, does not let its user make the queues, or holds what a newer version
    /// wrote that this one is too old for; [`Error::is_config`] if the URL or an option is not possible.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::options().connect(url).await
    }

    /// Options to connect otherwise than by [`connect`](Self::connect).
    pub fn options() -> RabbitMqOptions {
        RabbitMqOptions { namespace: None, migrate: Migrate::Auto, certificates: None, steps: Steps::default() }
    }

    /// Asks the owner, on the store's thread. It is not undone where its caller goes away.
    fn run<R, F>(&self, during: &'static str, ask: impl FnOnce(Arc<Shared>) -> F) -> BackendFuture<'_, R>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, Failed>> + Send + 'static,
    {
        let answer = self.thread.spawn(ask(Arc::clone(&self.store)));
        Box::pin(async move {
            match answer.await {
                Ok(answer) => answer.map_err(|failed| failed.during(during)),
                Err(gone) => Err(BackendError::new(during, gone)),
            }
        })
    }

    fn ask<R: Send + 'static>(
        &self,
        during: &'static str,
        request: Request,
        read: fn(Answer) -> Option<R>,
    ) -> BackendFuture<'_, R> {
        self.run(during, move |store| async move { store.get(request, read).await })
    }
}

impl RabbitMqOptions {
    /// What sets programs apart that share a virtual host: 1 to 32 of `a-z`, `0-9` and `_`. Default: the name of the program's
    /// file.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Whether what is missing of the store is made. Default [`Migrate::Auto`].
    pub const fn migrate(mut self, migrate: Migrate) -> Self {
        self.migrate = migrate;
        self
    }

    /// Certificates (PEM) of authorities that are trusted under `amqps` beside those of the system.
    pub fn trusting(mut self, certificates: impl Into<String>) -> Self {
        self.certificates = Some(certificates.into());
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// As [`RabbitMqBackend::connect`].
    pub async fn connect(self, url: &str) -> Result<RabbitMqBackend, Error> {
        let masked = masked_url(url);
        let namespace = super::namespace(self.namespace.as_deref())?;
        let place = Place::of(url, self.certificates, &namespace);
        let place = place.ok_or_else(|| Error::setting("backend.url", format!("{masked:?}"), Place::ALLOWED))?;
        let thread = StoreThread::start("rabbitmq").map_err(Error::store_thread)?;
        let failed = |cause: BoxError| Error::from(BackendError::new(format!("open {masked}"), cause));
        let store = Arc::new(Shared::new(place, self.migrate, self.steps));
        thread.spawn(link::watch(Arc::clone(&store)));
        let opening = Arc::clone(&store);
        let opened = thread.spawn(async move { open(&opening).await }).await;
        opened.map_err(|gone| failed(gone.into()))?.map_err(failed)?;
        Ok(RabbitMqBackend { store, thread })
    }
}

/// How many connections that were ended by a fault of the broker an opening outlasts: of several programs that ask for the same new
/// queue at once, it may answer some so.
const FAULTS_MAX: usize = 5;

/// Waits for the first connection, and for the owner's word that this program may work on the store.
async fn open(store: &Shared) -> Result<(), BoxError> {
    let mut link = store.link.subscribe();
    let mut linked = link.wait_for(|link| !matches!(link, Link::Making)).await.map(|link| (*link).clone());
    for _ in 0..FAULTS_MAX {
        if !matches!(&linked, Ok(Link::Down(lost)) if lost.is_fault_of_broker()) {
            break;
        }
        linked = link.changed().await.map(|()| link.borrow_and_update().clone());
    }
    if let Ok(Link::Down(lost)) = linked {
        let why = lost.to_string();
        let is_missing = store.migrate == Migrate::Check && why.contains("NOT_FOUND");
        return Err(if is_missing { Refused::Missing.into() } else { why.into() });
    }
    match store.ask(Request::Open { known: KNOWN }, OPEN_MAX).await {
        Ok(Reply::Opened { reached, admits, .. }) => Ok(may_call(reached, admits)?),
        Ok(_) => Ok(()),
        Err(failed) => Err(failed.to_string().into()),
    }
}

#[cfg(feature = "conformance")]
impl RabbitMqBackend {
    /// Ends runs that nobody has claimed for so long, as the store does by itself each hour: for tests that cannot wait.
    ///
    /// # Errors
    /// [`Error::is_backend`] if the store cannot be reached.
    #[doc(hidden)]
    pub async fn end_unclaimed(&self, waited: Duration) -> Result<usize, Error> {
        let call = Call::EndUnclaimed { waited_ms: super::text::millis(waited), max: 256 };
        let read = |answer| if let Answer::Ended(count) = answer { Some(count) } else { None };
        Ok(self.ask("end what nobody claims", Request::Call(call), read).await?)
    }
}

#[cfg(feature = "conformance")]
impl RabbitMqOptions {
    /// Tells of each step that this node makes as the owner: for tests that kill it there.
    #[doc(hidden)]
    pub fn passing(mut self, told: impl Fn(&'static str) + Send + Sync + 'static) -> Self {
        self.steps = Steps::telling(told);
        self
    }
}

impl fmt::Debug for RabbitMqBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitMqBackend").finish_non_exhaustive()
    }
}

/// What an answer of one kind holds.
macro_rules! read {
    ($kind:ident) => {
        |answer| match answer {
            Answer::$kind(held) => Some(held),
            _ => None,
        }
    };
}

fn done(answer: Answer) -> Option<()> {
    matches!(answer, Answer::Done).then_some(())
}

impl Backend for RabbitMqBackend {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::durable().with_jobs()
    }

    fn register<'a>(&'a self, holder: &'a Holder, tasks: &'a [Registration]) -> BackendFuture<'a, Vec<Registered>> {
        let (holder, tasks) = (holder.clone(), tasks.to_vec());
        self.run("register the tasks", |store| async move { pieces::register(&store, holder, &tasks).await })
    }

    fn unregister<'a>(&'a self, holder: &'a Holder, tasks: &'a [Unregistration]) -> BackendFuture<'a, ()> {
        let (holder, tasks) = (holder.clone(), tasks.to_vec());
        self.run("unregister tasks", |store| async move {
            for some in tasks.chunks(TOGETHER_MAX) {
                let call = Call::Unregister { holder: holder.clone(), tasks: some.to_vec() };
                store.get(Request::Call(call), done).await?;
            }
            Ok(())
        })
    }

    fn look<'a>(&'a self, tasks: &'a [TaskKey]) -> BackendFuture<'a, Vec<Registered>> {
        let tasks = tasks.to_vec();
        self.run("look up tasks", |store| async move { pieces::look(&store, &tasks).await })
    }

    fn heartbeat<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Timestamp> {
        self.ask("renew a lease", Request::Call(Call::Heartbeat { holder: holder.clone() }), read!(Beat))
    }

    fn lost<'a>(&'a self, held: &'a [Holding]) -> BackendFuture<'a, Vec<RunId>> {
        let held = held.to_vec();
        self.run("tell which runs are lost", |store| async move {
            let mut lost = Vec::new();
            for some in held.chunks(TOGETHER_MAX) {
                let question = Question::Lost { held: some.to_vec() };
                lost.extend(store.get(Request::Question(question), read!(Lost)).await?);
            }
            Ok(lost)
        })
    }

    fn enqueue<'a>(&'a self, holder: &'a Holder, firings: &'a [Firing]) -> BackendFuture<'a, Vec<Admission>> {
        let (holder, firings) = (holder.clone(), firings.to_vec());
        self.run("fire occurrences", |store| async move {
            let call = |firings| Call::Enqueue { holder: holder.clone(), firings };
            pieces::each(&store, &firings, call, read!(Admissions)).await
        })
    }

    fn claim<'a>(&'a self, holder: &'a Holder, claim: &'a Claim) -> BackendFuture<'a, Claims> {
        let (holder, claim) = (holder.clone(), claim.clone());
        self.run("claim runs", |store| async move { pieces::claims(&store, holder, claim).await })
    }

    fn finish<'a>(&'a self, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        let ended = ended.to_vec();
        self.run("store how runs ended", |store| async move {
            pieces::each(&store, &ended, |ended| Call::Finish { ended }, read!(Stored)).await
        })
    }

    fn submit<'a>(&'a self, submissions: &'a [Submission]) -> BackendFuture<'a, Vec<Submitted>> {
        line::submit(&self.store, &self.thread, submissions.to_vec())
    }

    fn control<'a>(&'a self, command: &'a Command) -> BackendFuture<'a, Changes> {
        let command = command.clone();
        self.run("do what was asked", |store| async move { pieces::control(&store, command).await })
    }

    fn cancel(&self, run: RunId) -> BackendFuture<'_, Option<Cancelled>> {
        self.ask("cancel a run", Request::Call(Call::Cancel { run }), read!(Cancelled))
    }

    fn changes(&self, version: Option<u64>) -> BackendFuture<'_, Changes> {
        Box::pin(async move {
            if let Some(version) = version {
                // As long as nothing changes there is no answer, which is no silence.
                self.store.announced.after(super::text::count(version)).await;
            }
            let question = Request::Question(Question::Changes { since: version });
            let asked = |store: Arc<Shared>| async move { pieces::changes(&store, question).await };
            self.run("tell what has changed", asked).await
        })
    }

    fn leave<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Vec<Left>> {
        self.ask("end a lease", Request::Call(Call::Leave { holder: holder.clone() }), read!(Left))
    }

    fn runs_page<'a>(&'a self, query: &'a RunQuery) -> BackendFuture<'a, RunRows> {
        let query = query.clone();
        self.run("list runs", |store| async move { pieces::runs_page(&store, query).await })
    }

    fn last_ended<'a>(&'a self, tasks: &'a [TaskKey]) -> BackendFuture<'a, Vec<RunRow>> {
        let tasks = tasks.to_vec();
        self.run("list runs", |store| async move { pieces::last_ended(&store, &tasks).await })
    }

    fn log(&self, run: RunId) -> BackendFuture<'_, Option<RunLog>> {
        self.ask("read the log of a run", Request::Question(Question::Log { run }), read!(Log))
    }

    fn records(&self, task: TaskKey) -> BackendFuture<'_, Vec<Record>> {
        self.ask("list records", Request::Question(Question::Records { task }), read!(Records))
    }

    fn ledger(&self, task: TaskKey) -> BackendFuture<'_, Ledger> {
        self.ask("read a ledger", Request::Question(Question::Ledger { task }), read!(Ledger))
    }

    fn tasks(&self) -> BackendFuture<'_, Vec<NamedTask>> {
        self.run("list its tasks", |store| async move { pieces::tasks(&store).await })
    }

    fn nodes(&self) -> BackendFuture<'_, Vec<NodeRow>> {
        self.run("list its nodes", |store| async move { pieces::nodes(&store).await })
    }

    fn note<'a>(&'a self, action: &'a NewAction) -> BackendFuture<'a, ()> {
        self.ask("keep what was asked for", Request::Call(Call::Note { action: action.clone() }), done)
    }

    fn actions(&self, limit: usize) -> BackendFuture<'_, Vec<Action>> {
        self.ask("list what was asked for", Request::Question(Question::Actions { limit }), read!(Actions))
    }

    fn enqueue_jobs<'a>(&'a self, jobs: &'a [NewJob]) -> BackendFuture<'a, Vec<Enqueued>> {
        let jobs = jobs.to_vec();
        self.run("enqueue jobs", |store| async move {
            pieces::each(&store, &jobs, |jobs| Call::EnqueueJobs { jobs }, read!(Enqueued)).await
        })
    }

    fn dead_letters<'a>(&'a self, query: &'a LetterQuery) -> BackendFuture<'a, Vec<LetterRow>> {
        let query = query.clone();
        self.run("list dead letters", |store| async move { pieces::letters(&store, query).await })
    }

    fn run_again(&self, letter: RunId, again: RunId) -> BackendFuture<'_, Option<Enqueued>> {
        self.ask("run a dead letter again", Request::Call(Call::RunAgain { letter, again }), read!(RunAgain))
    }

    fn drop_letter(&self, letter: RunId) -> BackendFuture<'_, bool> {
        self.ask("drop a dead letter", Request::Call(Call::DropLetter { letter }), read!(Dropped))
    }
}

impl Submits for Shared {
    type Failed = Failed;

    fn line(&self) -> &Line {
        &self.submitting
    }

    async fn submit_all(&self, submissions: &[Submission]) -> Result<Vec<Submitted>, Failed> {
        pieces::each(self, submissions, |submissions| Call::Submit { submissions }, read!(Submitted)).await
    }
}
