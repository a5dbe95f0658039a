//! A backend around another one: what operators ask for stands in a file, on the disk, before it is done. What cannot be
//! written is not done.
//!
//! It is all that a backend has to be: the calls of the contract, and an error that says what failed. Everything else is
//! the other store's, so this one passes the conformance suite as that one does.

use std::fmt::{self, Debug};
use std::path::Path;

use symphra_scheduler::backend::{
    Action, Admission, Backend, BackendError, BackendFuture, Cancelled, Capabilities, Changes, Claim, Claims, Command,
    Enqueued, Finish, Firing, Holder, Holding, Ledger, Left, LetterQuery, LetterRow, NamedTask, NewAction, NewJob,
    NodeRow, Record, Registered, Registration, RunLog, RunQuery, RunRows, Stored, Submission, Submitted, TaskKey,
    Unregistration,
};
use symphra_scheduler::chrono::Utc;
use symphra_scheduler::{RunId, Timestamp};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

/// A store, and the file in which stands what was asked of it.
pub(crate) struct Audited<B> {
    store: B,
    file: Mutex<File>,
}

impl<B> Audited<B> {
    /// Goes on with the file, or makes it.
    pub(crate) async fn new(store: B, file: &Path) -> std::io::Result<Self> {
        let file = File::options().create(true).append(true).open(file).await?;
        Ok(Self { store, file: Mutex::new(file) })
    }

    /// Writes a line, and returns when it outlives a crash of the machine.
    async fn note(&self, what: String) -> Result<(), BackendError> {
        let line = format!("{} {what}\n", Utc::now().format("%FT%T%.3fZ"));
        let mut file = self.file.lock().await;
        let written = async {
            file.write_all(line.as_bytes()).await?;
            file.sync_data().await
        };
        written.await.map_err(|error| BackendError::new("write what was asked into the audit file", error))
    }
}

impl<B> Debug for Audited<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audited").finish_non_exhaustive()
    }
}

/// What is asked by people: written first, then done.
impl<B: Backend> Backend for Audited<B> {
    fn control<'a>(&'a self, command: &'a Command) -> BackendFuture<'a, Changes> {
        Box::pin(async move {
            self.note(format!("{command:?}")).await?;
            self.store.control(command).await
        })
    }

    fn cancel(&self, run: RunId) -> BackendFuture<'_, Option<Cancelled>> {
        Box::pin(async move {
            self.note(format!("Cancel {{ run: {run} }}")).await?;
            self.store.cancel(run).await
        })
    }

    fn submit<'a>(&'a self, submissions: &'a [Submission]) -> BackendFuture<'a, Vec<Submitted>> {
        Box::pin(async move {
            for Submission { id, task, origin, .. } in submissions {
                self.note(format!("Submit {{ run: {id}, task: {task:?}, origin: {origin:?} }}")).await?;
            }
            self.store.submit(submissions).await
        })
    }

    fn enqueue_jobs<'a>(&'a self, jobs: &'a [NewJob]) -> BackendFuture<'a, Vec<Enqueued>> {
        Box::pin(async move {
            for NewJob { id, task, .. } in jobs {
                self.note(format!("Enqueue {{ run: {id}, task: {task:?} }}")).await?;
            }
            self.store.enqueue_jobs(jobs).await
        })
    }

    fn run_again(&self, letter: RunId, again: RunId) -> BackendFuture<'_, Option<Enqueued>> {
        Box::pin(async move {
            self.note(format!("RunAgain {{ letter: {letter}, run: {again} }}")).await?;
            self.store.run_again(letter, again).await
        })
    }

    fn drop_letter(&self, letter: RunId) -> BackendFuture<'_, bool> {
        Box::pin(async move {
            self.note(format!("DropLetter {{ letter: {letter} }}")).await?;
            self.store.drop_letter(letter).await
        })
    }

    fn name(&self) -> &'static str {
        "audited"
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
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

    fn lost<'a>(&'a self, held: &'a [Holding]) -> BackendFuture<'a, Vec<RunId>> {
        self.store.lost(held)
    }

    fn enqueue<'a>(&'a self, holder: &'a Holder, firings: &'a [Firing]) -> BackendFuture<'a, Vec<Admission>> {
        self.store.enqueue(holder, firings)
    }

    fn claim<'a>(&'a self, holder: &'a Holder, claim: &'a Claim) -> BackendFuture<'a, Claims> {
        self.store.claim(holder, claim)
    }

    fn finish<'a>(&'a self, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        self.store.finish(ended)
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

    fn dead_letters<'a>(&'a self, query: &'a LetterQuery) -> BackendFuture<'a, Vec<LetterRow>> {
        self.store.dead_letters(query)
    }

    fn note<'a>(&'a self, action: &'a NewAction) -> BackendFuture<'a, ()> {
        self.store.note(action)
    }

    fn actions(&self, limit: usize) -> BackendFuture<'_, Vec<Action>> {
        self.store.actions(limit)
    }

    fn tasks(&self) -> BackendFuture<'_, Vec<NamedTask>> {
        self.store.tasks()
    }

    fn nodes(&self) -> BackendFuture<'_, Vec<NodeRow>> {
        self.store.nodes()
    }
}
