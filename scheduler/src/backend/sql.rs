//! What the stores in SQL have in common: their rows, their statements and their steps.
//!
//! A step is one transaction: it locks the tasks that it is about, decides in memory by the same rules as the memory
//! backend, and writes what has changed in a few statements, whatever the length of the batch. What a database adds is a
//! connection, a clock and a way to wake who waits; see [`Database`].
//!
//! All steps run on a thread of the store's own. A runtime whose threads are blocked by a task's body therefore neither
//! leaves a transaction open, with rows locked that other nodes wait for, nor loses its lease.

mod announce;
mod changes;
mod claim;
mod control;
mod declare;
mod dialect;
mod enqueue;
mod finish;
mod jobs;
mod list;
mod migrate;
mod outrun;
mod rows;
mod statements;
mod step;
mod submit;
mod text;
mod unclaimed;

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::announced::Announced;
use super::line::{self, Line};
pub(crate) use super::thread::StoreThread;
use super::{
    Action, Admission, Backend, BackendError, BackendFuture, Cancelled, Capabilities, Changes, Claim, Claims, Command,
    Enqueued, Finish, Firing, Holder, Holding, Ledger, Left, LetterQuery, LetterRow, NamedTask, NewAction, NewJob,
    NodeRow, Record, Registered, Registration, RunLog, RunQuery, RunRow, RunRows, Stored, Submission, Submitted,
    TaskKey, Unregistration,
};
use crate::run::RunId;
pub(crate) use dialect::{Dialect, Names};
use jobs::Backlog;
pub use jobs::{JobStore, JobTransaction};
pub(crate) use migrate::{Refused, migrate};
use outrun::Outrun;
pub(crate) use statements::Statements;
use step::Step;

/// From how many rows on a batch is worth a second step, with a commit of its own.
const BY_TWO_MIN: usize = 64;

/// What two steps at once are about: no task is in both, so neither waits for the other's locks.
fn halves<T>(rows: Vec<T>, task: impl Fn(&T) -> TaskKey) -> [Vec<T>; 2] {
    let (first, second) = rows.into_iter().partition(|row| is_of_first_half(task(row)));
    [first, second]
}

const fn is_of_first_half(task: TaskKey) -> bool {
    task.0.is_multiple_of(2)
}

/// A database that can be a store.
pub(crate) trait Database: fmt::Debug + Send + Sync + 'static {
    /// A transaction, which is undone where it is dropped.
    type Tx: Transaction + 'static;

    /// The backend's name.
    const NAME: &'static str;

    /// How long a step may take, if its answer may fail to come and nobody be told: a connection may fall silent.
    const STEP_MAX: Option<Duration>;

    /// Whether a long batch is quicker by two steps at once: they have to have connections, and the database has to make them at
    /// the same time.
    fn makes_two_at_once(&self) -> bool;

    /// How many steps may wait for callers' transactions at once: fewer than there are connections.
    fn seats(&self) -> usize;

    /// Gives up the connections that there are: one of them is silent. The next step goes by a new one.
    fn renew(&self);

    /// Whether a step has failed because others kept the database busy for too long. Nothing of it was done.
    fn is_busy(error: &sqlx::Error) -> bool;

    /// Begins a transaction that may write.
    fn begin(&self) -> impl Future<Output = Result<Self::Tx, sqlx::Error>> + Send;

    /// Begins a transaction that only reads.
    fn read(&self) -> impl Future<Output = Result<Self::Tx, sqlx::Error>> + Send;

    /// Has other processes told that something has changed, soon and not for each change.
    fn wake(&self);

    /// On which channel other processes are woken by whoever commits a transaction on this database, if there is one.
    fn channel(&self) -> Option<&str>;

    /// Tells other processes, when there is something to tell; called again and again.
    fn wake_others(&self) -> impl Future<Output = ()> + Send;

    /// Returns when another process may have changed something, and at the latest after a while.
    fn woken(&self) -> impl Future<Output = ()> + Send;
}

/// How often a step of a start is tried where others keep the database busy: who asks for the lock of a file is not served in
/// turn, and a program that fails to start is not called again as its steps are.
pub(crate) const START_TRIES_MAX: u32 = 6;

/// Tries a step of a start again while others keep the database busy, [`START_TRIES_MAX`] times in all.
pub(crate) async fn while_busy<D: Database, T, F: Future<Output = Result<T, Failed>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<T, Failed> {
    for _ in 1..START_TRIES_MAX {
        match attempt().await {
            Err(Failed::Database(error)) if D::is_busy(&error) => {}
            answer => return answer,
        }
    }
    attempt().await
}

/// A transaction of a database: statements of one JSON parameter and one JSON value.
pub(crate) trait Transaction: Send {
    /// Runs a statement; the value that it gives, if any.
    fn ask(&mut self, sql: &str, input: &str) -> impl Future<Output = Result<Option<String>, sqlx::Error>> + Send;

    /// Runs a statement; how many rows it has changed.
    fn tell(&mut self, sql: &str, input: &str) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;

    /// Runs a statement without parameter: of a migration.
    fn change(&mut self, sql: &str) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Makes what was done last.
    fn commit(self) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// Why a step failed: nothing of it was done, or its answer was lost.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The database says so.
    Database(sqlx::Error),
    /// A row cannot be read.
    Row(BackendError),
    /// What the store promises itself does not hold.
    Broken(&'static str),
    /// There was no answer for so long.
    Silent(Duration),
    /// A caller's transaction, which has not ended, holds this.
    Held(String),
    /// Others wait for what a caller's transaction holds.
    NoTurn,
}

impl Failed {
    pub(crate) fn unreadable(error: serde_json::Error) -> Self {
        Self::Row(BackendError::new("read its rows", error))
    }

    pub(crate) const fn broken(what: &'static str) -> Self {
        Self::Broken(what)
    }

    /// The same; or that `what` is held, if a lock was not to be had in time.
    fn or_held(self, what: impl FnOnce() -> String) -> Self {
        /// `lock_not_available` of PostgreSQL.
        const NOT_TO_BE_HAD: &str = "55P03";
        match self {
            Self::Database(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NOT_TO_BE_HAD) => {
                Self::Held(what())
            }
            other => other,
        }
    }

    /// Whether the database has refused rows of this step, and might take others.
    fn is_of_a_row(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.kind() != sqlx::error::ErrorKind::Other,
            Self::Database(_) | Self::Silent(_) | Self::Held(_) | Self::NoTurn => false,
            Self::Row(_) | Self::Broken(_) => true,
        }
    }

    pub(crate) fn during(self, call: &'static str) -> BackendError {
        match self {
            Self::Database(error) => BackendError::new(call, error),
            Self::Row(error) => error,
            Self::Broken(what) => BackendError::new(call, what),
            Self::Silent(patience) => BackendError::new(call, format!("there was no answer for {patience:?}")),
            Self::Held(what) => {
                let says = format!("a transaction that has not ended holds {what}; end it, or try it again later");
                BackendError::new(call, says)
            }
            Self::NoTurn => {
                let says = format!(
                    "others have waited for what a transaction holds for {:?}; end that transaction, or try it again later",
                    jobs::TURN_MAX
                );
                BackendError::new(call, says)
            }
        }
    }
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<BackendError> for Failed {
    fn from(error: BackendError) -> Self {
        Self::Row(error)
    }
}

/// A store in SQL.
pub(crate) struct Sql<D> {
    shared: Arc<Shared<D>>,
    thread: StoreThread,
}

/// A backend that is a store in SQL.
pub(crate) trait InSql: fmt::Debug + Send + Sync + 'static {
    type Database: Database;

    fn sql(&self) -> &Sql<Self::Database>;
}

/// What the steps of a store share.
#[derive(Debug)]
struct Shared<D> {
    database: D,
    statements: Statements,
    announced: Announced,
    submitting: Line,
    outrun: Outrun,
    /// Whose turn it is to make a step that may have to wait for the transaction of a caller; see [`Shared::in_turn`].
    turns: jobs::Turns,
    /// Which store it is, once somebody has asked.
    id: OnceLock<String>,
    backlog: Backlog,
    /// Holders that the store knows.
    greeted: Mutex<HashSet<Arc<str>>>,
}

impl<D: Database> Sql<D> {
    /// The store on `database`, whose tables are there, with the thread on which it was opened.
    pub(crate) fn new(database: D, statements: Statements, thread: StoreThread) -> Self {
        let seats = database.seats();
        let shared = Arc::new(Shared {
            database,
            statements,
            announced: Announced::default(),
            submitting: Line::default(),
            outrun: Outrun::default(),
            turns: jobs::Turns::new(seats),
            id: OnceLock::new(),
            backlog: Backlog::default(),
            greeted: Mutex::default(),
        });
        thread.spawn(announce::follow(Arc::clone(&shared)));
        thread.spawn(announce::tell(Arc::clone(&shared)));
        thread.spawn(unclaimed::end(Arc::clone(&shared)));
        Self { shared, thread }
    }

    /// Ends what nobody has claimed for so long, as the store does by itself; tells how many, of a batch at most.
    #[cfg(feature = "conformance")]
    pub(crate) async fn end_unclaimed(&self, waited: Duration) -> Result<usize, crate::Error> {
        let ended = self.run("end what nobody claims", async move |shared| shared.end_unclaimed(waited).await);
        Ok(ended.await?)
    }

    /// Gives up what is left of jobs when its time is over, as the store does by itself.
    #[cfg(feature = "conformance")]
    pub(crate) async fn prune_jobs(&self) -> Result<(), crate::Error> {
        let step = async move |shared: Arc<Shared<D>>| shared.prune_jobs().await;
        while self.run_in_turn("prune jobs", BTreeSet::new(), step).await? {}
        Ok(())
    }

    /// Runs a step on the store's thread. It is not undone where its caller goes away.
    fn run<R, F>(&self, during: &'static str, step: impl FnOnce(Arc<Shared<D>>) -> F) -> BackendFuture<'_, R>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, Failed>> + Send + 'static,
    {
        let (shared, step) = (Arc::clone(&self.shared), step(Arc::clone(&self.shared)));
        self.answer(during, async move { shared.in_time(step).await })
    }

    /// Runs a step that may have to wait for the transaction of a caller.
    fn run_in_turn<R, F>(
        &self,
        during: &'static str,
        keys: BTreeSet<jobs::Key>,
        step: impl FnOnce(Arc<Shared<D>>) -> F,
    ) -> BackendFuture<'_, R>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, Failed>> + Send + 'static,
    {
        let (shared, step) = (Arc::clone(&self.shared), step(Arc::clone(&self.shared)));
        self.answer(during, async move { shared.in_turn(keys, step).await })
    }

    fn answer<R: Send + 'static>(
        &self,
        during: &'static str,
        work: impl Future<Output = Result<R, Failed>> + Send + 'static,
    ) -> BackendFuture<'_, R> {
        let answer = self.thread.spawn(work);
        Box::pin(async move {
            match answer.await {
                Ok(answer) => answer.map_err(|failed| failed.during(during)),
                Err(gone) => Err(BackendError::new(during, gone)),
            }
        })
    }
}

impl<D: Database> Shared<D> {
    /// Makes a step, within the time that it may take. A transaction that is given up is undone, at the latest when the
    /// server finds that nobody goes on with it.
    async fn in_time<R>(&self, step: impl Future<Output = Result<R, Failed>>) -> Result<R, Failed> {
        let Some(patience) = D::STEP_MAX else { return step.await };
        tokio::time::timeout(patience, step).await.unwrap_or_else(|_| {
            self.database.renew();
            Err(Failed::Silent(patience))
        })
    }

    /// Whether so many rows go by two steps at once.
    fn goes_by_two(&self, rows: usize) -> bool {
        rows >= BY_TWO_MIN && self.database.makes_two_at_once()
    }

    /// Makes a step that may have to wait for the transaction of a caller. The turn is waited for before the time begins; see
    /// [`Step::be_brief`] for how long the step then waits.
    async fn in_turn<R>(
        &self,
        keys: BTreeSet<jobs::Key>,
        step: impl Future<Output = Result<R, Failed>>,
    ) -> Result<R, Failed> {
        let _turn = self.turns.take(keys).await.ok_or(Failed::NoTurn)?;
        self.in_time(step).await
    }

    async fn begin(&self) -> Result<Step<'_, D::Tx>, Failed> {
        Ok(Step::new(self.database.begin().await?, &self.statements))
    }

    async fn read(&self) -> Result<Step<'_, D::Tx>, Failed> {
        Ok(Step::new(self.database.read().await?, &self.statements))
    }

    /// Commits a step, and wakes those who wait for what it has changed.
    async fn commit(&self, step: Step<'_, D::Tx>) -> Result<(), Failed> {
        if let Some(version) = step.commit().await? {
            self.announced.tell(version);
            self.database.wake();
        }
        Ok(())
    }
}

impl<B: InSql> Backend for B {
    fn name(&self) -> &'static str {
        B::Database::NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::durable().with_jobs()
    }

    fn register<'a>(&'a self, holder: &'a Holder, tasks: &'a [Registration]) -> BackendFuture<'a, Vec<Registered>> {
        let (holder, tasks) = (holder.clone(), tasks.to_vec());
        self.sql().run("register the tasks", |shared| async move { shared.register(&holder, &tasks).await })
    }

    fn unregister<'a>(&'a self, holder: &'a Holder, tasks: &'a [Unregistration]) -> BackendFuture<'a, ()> {
        let (holder, tasks) = (holder.clone(), tasks.to_vec());
        self.sql().run("unregister tasks", |shared| async move { shared.unregister(&holder, &tasks).await })
    }

    fn look<'a>(&'a self, tasks: &'a [TaskKey]) -> BackendFuture<'a, Vec<Registered>> {
        let tasks = tasks.to_vec();
        self.sql().run("look up tasks", |shared| async move { shared.look(&tasks).await })
    }

    fn heartbeat<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Timestamp> {
        let holder = holder.clone();
        self.sql().run("renew a lease", |shared| async move { shared.heartbeat(&holder).await })
    }

    fn lost<'a>(&'a self, held: &'a [Holding]) -> BackendFuture<'a, Vec<RunId>> {
        let held = held.to_vec();
        self.sql().run("tell which runs are lost", |shared| async move { shared.lost(&held).await })
    }

    fn enqueue<'a>(&'a self, holder: &'a Holder, firings: &'a [Firing]) -> BackendFuture<'a, Vec<Admission>> {
        let (holder, firings) = (holder.clone(), firings.to_vec());
        self.sql().run("fire occurrences", |shared| async move { shared.enqueue(&holder, &firings).await })
    }

    fn claim<'a>(&'a self, holder: &'a Holder, claim: &'a Claim) -> BackendFuture<'a, Claims> {
        let (holder, claim) = (holder.clone(), claim.clone());
        self.sql().run("claim runs", |shared| async move { shared.claim(&holder, &claim).await })
    }

    fn finish<'a>(&'a self, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        let ended = ended.to_vec();
        self.sql().run("store how runs ended", |shared| async move { shared.finish(&ended).await })
    }

    fn submit<'a>(&'a self, submissions: &'a [Submission]) -> BackendFuture<'a, Vec<Submitted>> {
        line::submit(&self.sql().shared, &self.sql().thread, submissions.to_vec())
    }

    fn control<'a>(&'a self, command: &'a Command) -> BackendFuture<'a, Changes> {
        let command = command.clone();
        self.sql().run("do what was asked", |shared| async move { shared.control(&command).await })
    }

    fn cancel(&self, run: RunId) -> BackendFuture<'_, Option<Cancelled>> {
        self.sql().run("cancel a run", move |shared| async move { shared.cancel(run).await })
    }

    fn changes(&self, version: Option<u64>) -> BackendFuture<'_, Changes> {
        let sql = self.sql();
        Box::pin(async move {
            if let Some(version) = version {
                // As long as nothing changes there is no answer, which is no silence.
                sql.shared.announced.after(rows::count(version)).await;
            }
            sql.run("tell what has changed", move |shared| async move { shared.changes(version).await }).await
        })
    }

    fn leave<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Vec<Left>> {
        let holder = holder.clone();
        self.sql().run("end a lease", |shared| async move { shared.leave(&holder).await })
    }

    fn runs_page<'a>(&'a self, query: &'a RunQuery) -> BackendFuture<'a, RunRows> {
        let query = query.clone();
        self.sql().run("list runs", |shared| async move { shared.runs_page(&query).await })
    }

    fn last_ended<'a>(&'a self, tasks: &'a [TaskKey]) -> BackendFuture<'a, Vec<RunRow>> {
        let tasks = tasks.to_vec();
        self.sql().run("list runs", |shared| async move { shared.last_ended(&tasks).await })
    }

    fn log(&self, run: RunId) -> BackendFuture<'_, Option<RunLog>> {
        self.sql().run("read the log of a run", move |shared| async move { shared.run_log(run).await })
    }

    fn records(&self, task: TaskKey) -> BackendFuture<'_, Vec<Record>> {
        self.sql().run("list records", move |shared| async move { shared.records(task).await })
    }

    fn ledger(&self, task: TaskKey) -> BackendFuture<'_, Ledger> {
        self.sql().run("read a ledger", move |shared| async move { shared.ledger(task).await })
    }

    fn tasks(&self) -> BackendFuture<'_, Vec<NamedTask>> {
        self.sql().run("list its tasks", |shared| async move { shared.tasks().await })
    }

    fn nodes(&self) -> BackendFuture<'_, Vec<NodeRow>> {
        self.sql().run("list its nodes", |shared| async move { shared.nodes().await })
    }

    fn note<'a>(&'a self, action: &'a NewAction) -> BackendFuture<'a, ()> {
        let action = action.clone();
        self.sql().run("keep what was asked for", |shared| async move { shared.note(&action).await })
    }

    fn actions(&self, limit: usize) -> BackendFuture<'_, Vec<Action>> {
        self.sql().run("list what was asked for", move |shared| async move { shared.actions(limit).await })
    }

    fn enqueue_jobs<'a>(&'a self, jobs: &'a [NewJob]) -> BackendFuture<'a, Vec<Enqueued>> {
        let jobs = jobs.to_vec();
        let keys = jobs.iter().filter_map(|job| Some((job.task, Arc::clone(&job.unique.as_ref()?.key))));
        let keys: BTreeSet<jobs::Key> = keys.collect();
        match keys.is_empty() {
            true => self.sql().run("enqueue jobs", |shared| async move { shared.enqueue_jobs(&jobs).await }),
            false => {
                let step = |shared: Arc<Shared<B::Database>>| async move { shared.enqueue_jobs(&jobs).await };
                self.sql().run_in_turn("enqueue jobs", keys, step)
            }
        }
    }

    fn dead_letters<'a>(&'a self, query: &'a LetterQuery) -> BackendFuture<'a, Vec<LetterRow>> {
        let query = query.clone();
        self.sql().run("list dead letters", |shared| async move { shared.dead_letters(&query).await })
    }

    fn run_again(&self, letter: RunId, again: RunId) -> BackendFuture<'_, Option<Enqueued>> {
        let sql = self.sql();
        let step = move |shared: Arc<Shared<B::Database>>| async move { shared.run_again(letter, again).await };
        sql.run_in_turn("run a dead letter again", BTreeSet::new(), step)
    }

    fn drop_letter(&self, letter: RunId) -> BackendFuture<'_, bool> {
        let step = move |shared: Arc<Shared<B::Database>>| async move { shared.drop_letter(letter).await };
        self.sql().run_in_turn("drop a dead letter", BTreeSet::new(), step)
    }

    fn job_store(&self) -> BackendFuture<'_, Option<JobStore<'_>>> {
        let sql = self.sql();
        Box::pin(async move {
            sql.run("tell which it is", |shared| async move { shared.learn_id().await }).await?;
            let shared = &*sql.shared;
            Ok(Some(JobStore {
                database: B::Database::NAME,
                id: shared.id.get().expect("it was just learned"),
                statements: &shared.statements,
                backlog: &shared.backlog,
                channel: shared.database.channel(),
            }))
        })
    }
}
