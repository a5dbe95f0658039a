//! The side of the running program: listens, checks who asks, answers within bounds.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::timeout;

use super::answer::{Actor, answer};
use super::socket::{Name, Sockets, is_trusted};
use super::wire::{Asked, QUESTION_BYTES_MAX, Told, VERSION, Versioned, line_of};
use super::{Answer, How, Question};
use crate::error::Error;
use crate::handle::SchedulerHandle;
use crate::logging::Entry;

/// How many are answered at once; one more is told so and let go. Commands take milliseconds.
const ANSWERED_MAX: usize = 64;

/// How many wait for runs beside those: they may do so for days, and must keep nobody from being answered.
const WAITING_MAX: usize = 64;

/// How long a question may take to come in, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long nothing is accepted after it failed, for want of file descriptors most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How many lines of progress may wait for a command that is slow to read them; then the work waits with them.
const PROGRESS_MAX: usize = 4;

/// The control socket of this process. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    name: Name,
    handle: SchedulerHandle,
    listening: Option<JoinHandle<()>>,
}

impl Server {
    /// What would keep a control socket of the program `name` from being opened, found out without opening one.
    pub(crate) fn hindrance(name: &str) -> Option<Error> {
        Sockets::hindrance(name)
    }

    /// Opens the control socket of the program `name`, which answers for `handle`.
    pub(crate) async fn open(name: &str, handle: &SchedulerHandle) -> Result<Self, Error> {
        let (name, listener) = Sockets::made()?.listen(name, std::process::id()).await?;
        let listening = tokio::spawn(accept(listener, handle.clone()));
        Ok(Self { name, handle: handle.clone(), listening: Some(listening) })
    }

    /// Removes the socket and ends what is still being answered.
    pub(crate) async fn close(mut self) {
        if let Some(listening) = self.end() {
            tell_panic(listening.await, &self.handle);
        }
    }

    /// The name first: it is ours for certain only while it is listened to.
    fn end(&mut self) -> Option<JoinHandle<()>> {
        let listening = self.listening.take()?;
        self.name.give_up();
        listening.abort();
        Some(listening)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end());
    }
}

async fn accept(listener: UnixListener, handle: SchedulerHandle) {
    let answered = Arc::new(Semaphore::new(ANSWERED_MAX));
    let waiting = Arc::new(Semaphore::new(WAITING_MAX));
    let mut answering = JoinSet::new();
    loop {
        tokio::select! {
            Some(ended) = answering.join_next() => tell_panic(ended, &handle),
            connection = listener.accept() => match connection {
                Ok((stream, _)) if !is_trusted(&stream) => {
                    let actor = stream.peer_cred().map_or_else(|_| "unknown".to_owned(), |peer| format!("uid {}", peer.uid()));
                    handle.logger().write(Entry::ControlRefused { actor: &actor });
                }
                Ok((stream, _)) => match Arc::clone(&answered).try_acquire_owned() {
                    Ok(place) => drop(answering.spawn(converse(stream, handle.clone(), place, Arc::clone(&waiting)))),
                    Err(_) => refuse(&stream),
                },
                Err(error) => {
                    handle.logger().write(Entry::ControlFailed { error: &error });
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

fn tell_panic(ended: Result<(), JoinError>, handle: &SchedulerHandle) {
    if let Err(error) = ended
        && error.is_panic()
    {
        handle.logger().write(Entry::ControlFailed { error: &error });
    }
}

/// A line that fits what the kernel holds for a connection: nothing is waited for.
fn refuse(stream: &UnixStream) {
    let says = format!("{ANSWERED_MAX} commands are being answered; try again");
    // Who does not take it has gone.
    let _ = stream.try_write(&line_of(&told(Answer::failed("busy", says))));
}

fn told(tell: Answer) -> Told {
    Told { v: VERSION, tell }
}

/// One question, and what is told of it.
async fn converse(
    mut stream: UnixStream,
    handle: SchedulerHandle,
    mut place: OwnedSemaphorePermit,
    waiting: Arc<Semaphore>,
) {
    let actor = Actor::at(&stream).await;
    let mut line = Vec::new();
    let reader = &mut stream;
    let mut reader = BufReader::new(reader.take(QUESTION_BYTES_MAX as u64 + 1));
    match timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await {
        Ok(Ok(0)) => return,
        Ok(Ok(_)) => {}
        // Whoever does not finish a line does not wait for an answer.
        Ok(Err(_)) | Err(_) => return,
    }
    let last = match understood(&line) {
        Ok(question) if waits_for_runs(&question) => match waiting.try_acquire_owned() {
            Ok(another) => {
                // From here on the place among the answered is free for the next.
                place = another;
                told_of(&mut stream, &handle, question, &actor).await
            }
            Err(_) => Some(Answer::failed("busy", waiting_are_too_many())),
        },
        Ok(question) => told_of(&mut stream, &handle, question, &actor).await,
        Err(refused) => Some(refused),
    };
    if let Some(last) = last {
        // Who does not take it has gone.
        let _ = send(&mut stream, last).await;
    }
    drop(place);
}

/// Whether its answer comes when runs have ended, however long that takes.
const fn waits_for_runs(question: &Question) -> bool {
    matches!(question, Question::Backfill { how: How::Wait, .. })
}

fn waiting_are_too_many() -> String {
    format!(
        "{WAITING_MAX} commands wait for runs already, and nothing was begun; try again, or do not wait and look at `runs`"
    )
}

/// The answer, after its progress was sent; nothing if nobody takes that any more.
async fn told_of(
    stream: &mut UnixStream,
    handle: &SchedulerHandle,
    question: Question,
    actor: &Actor,
) -> Option<Answer> {
    let (progress, mut told_so_far) = mpsc::channel(PROGRESS_MAX);
    let mut work = std::pin::pin!(answer(handle, question, actor, progress));
    loop {
        tokio::select! {
            biased;
            Some((done, of)) = told_so_far.recv() => send(stream, Answer::Progress { done, of }).await.ok()?,
            last = &mut work => return Some(last),
        }
    }
}

/// The question of a line, or what is told instead of an answer.
fn understood(line: &[u8]) -> Result<Question, Answer> {
    if line.len() > QUESTION_BYTES_MAX {
        return Err(Answer::failed("unreadable", format!("a question has at most {QUESTION_BYTES_MAX} bytes")));
    }
    let unreadable = |error: serde_json::Error| Answer::failed("unreadable", format!("this is no question: {error}"));
    let Versioned { v } = serde_json::from_slice(line).map_err(unreadable)?;
    if v != VERSION {
        let says = format!(
            "the running program speaks version {VERSION} of the control protocol, and was asked in version {v}; use a \
             command line of its release",
        );
        return Err(Answer::failed("version", says));
    }
    serde_json::from_slice(line).map(|Asked { ask, .. }| ask).map_err(unreadable)
}

/// What is told to a line, as it is sent; of what waits for runs, that it would. For fuzz targets.
#[cfg(feature = "test-util")]
pub async fn told_to_line(handle: &SchedulerHandle, line: &[u8]) -> Vec<u8> {
    let (progress, _) = mpsc::channel(PROGRESS_MAX);
    let answer = match understood(line) {
        Ok(question) if waits_for_runs(&question) => Answer::Progress { done: 0, of: 0 },
        Ok(question) => answer(handle, question, &Actor::named(Arc::from("nobody")), progress).await,
        Err(refused) => refused,
    };
    line_of(&told(answer))
}

async fn send(stream: &mut UnixStream, answer: Answer) -> io::Result<()> {
    let line = line_of(&told(answer));
    timeout(PATIENCE, stream.write_all(&line)).await.map_err(|_| io::ErrorKind::TimedOut)?
}

impl Actor {
    /// Who runs this process.
    pub(super) fn of_process() -> Self {
        Self::of(rustix::process::geteuid().as_raw())
    }

    fn of(uid: u32) -> Self {
        Self::named(match user_name(uid) {
            Some(name) => format!("{name} (uid {uid}, cli)").into(),
            None => format!("uid {uid} (cli)").into(),
        })
    }

    async fn at(stream: &UnixStream) -> Self {
        let Ok(peer) = stream.peer_cred() else { return Self::named(Arc::from("cli")) };
        let uid = peer.uid();
        let actor = tokio::task::spawn_blocking(move || Self::of(uid)).await;
        actor.unwrap_or_else(|_| Self::named(format!("uid {uid} (cli)").into()))
    }
}

/// The name of a user of this machine; one of a directory service has none here.
fn user_name(uid: u32) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|user| {
        let mut fields = user.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}
