//! The side of the running program: listens, checks who asks, answers within bounds.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::timeout;

use super::answer::{Actor, answer};
use super::socket::{Socket, folder, is_trusted};
use super::{Answer, Asked, QUESTION_BYTES_MAX, Told, VERSION, Versioned, line_of};
use crate::error::Error;
use crate::handle::SchedulerHandle;
use crate::logging::Entry;
use crate::runtime_dir::Folder;

/// How many are answered at once; one more is told so and let go. Commands take milliseconds.
const CONNECTIONS_MAX: usize = 64;

/// How long a question may take to come in, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long nothing is accepted after it failed, for want of file descriptors most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How many lines of progress may wait for a command that is slow to read them; then the work waits with them.
const PROGRESS_MAX: usize = 4;

/// The control socket of this process. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    socket: Socket,
    handle: SchedulerHandle,
    listening: Option<JoinHandle<()>>,
}

impl Server {
    /// Opens the control socket of the program `name`, which answers for `handle`.
    pub(crate) async fn open(name: &str, handle: &SchedulerHandle) -> Result<Self, Error> {
        Folder::private(&folder())?;
        for socket in Socket::all_of(name)? {
            // What a killed program has left is removed by this; whoever runs stays.
            drop(socket.connect().await);
        }
        let socket = Socket::of(name, std::process::id());
        let listener = listen(&socket)
            .map_err(|error| Error::refused(format!("{} cannot be opened ({error})", socket.path.display())))?;
        let listening = tokio::spawn(accept(listener, handle.clone()));
        Ok(Self { socket, handle: handle.clone(), listening: Some(listening) })
    }

    /// Removes the socket and ends what is still being answered.
    pub(crate) async fn close(mut self) {
        self.socket.remove();
        if let Some(listening) = self.listening.take() {
            listening.abort();
            tell_panic(listening.await, &self.handle);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            self.socket.remove();
        }
    }
}

/// For a moment the socket has the mode of the umask; its folder, and the check of who connects, keep others out.
fn listen(socket: &Socket) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(&socket.path)?;
    std::fs::set_permissions(&socket.path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn accept(listener: UnixListener, handle: SchedulerHandle) {
    let mut answering = JoinSet::new();
    loop {
        tokio::select! {
            Some(ended) = answering.join_next() => tell_panic(ended, &handle),
            connection = listener.accept() => match connection {
                Ok((stream, _)) if !is_trusted(&stream) => {
                    let actor = stream.peer_cred().map_or_else(|_| "unknown".to_owned(), |peer| format!("uid {}", peer.uid()));
                    handle.logger().write(Entry::ControlRefused { actor: &actor });
                }
                Ok((stream, _)) if answering.len() >= CONNECTIONS_MAX => refuse(&stream),
                Ok((stream, _)) => drop(answering.spawn(converse(stream, handle.clone()))),
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
    let says = format!("{CONNECTIONS_MAX} commands are being answered; try again");
    // Who does not take it has gone.
    let _ = stream.try_write(&line_of(&told(Answer::failed("busy", says))));
}

fn told(tell: Answer) -> Told {
    Told { v: VERSION, tell }
}

/// One question, and what is told of it.
async fn converse(mut stream: UnixStream, handle: SchedulerHandle) {
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
    let (progress, mut told_so_far) = mpsc::channel(PROGRESS_MAX);
    let mut work = std::pin::pin!(understood(&line, &handle, &actor, progress));
    let last = loop {
        tokio::select! {
            biased;
            Some((done, of)) = told_so_far.recv() => {
                if send(&mut stream, Answer::Progress { done, of }).await.is_err() {
                    return;
                }
            }
            last = &mut work => break last,
        }
    };
    // Who does not take it has gone.
    let _ = send(&mut stream, last).await;
}

async fn understood(
    line: &[u8],
    handle: &SchedulerHandle,
    actor: &Actor,
    progress: mpsc::Sender<(usize, usize)>,
) -> Answer {
    if line.len() > QUESTION_BYTES_MAX {
        return Answer::failed("unreadable", format!("a question has at most {QUESTION_BYTES_MAX} bytes"));
    }
    match serde_json::from_slice::<Versioned>(line) {
        Ok(Versioned { v: VERSION }) => {}
        Ok(Versioned { v }) => {
            let says = format!(
                "the running program speaks version {VERSION} of the control protocol, and was asked in version {v}; \
                 use a command line of its release",
            );
            return Answer::failed("version", says);
        }
        Err(error) => return Answer::failed("unreadable", format!("this is no question: {error}")),
    }
    match serde_json::from_slice::<Asked>(line) {
        Ok(Asked { ask, .. }) => answer(handle, ask, actor, progress).await,
        Err(error) => Answer::failed("unreadable", format!("this is no question: {error}")),
    }
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
