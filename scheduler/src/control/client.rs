//! The side of a command: finds the running program by its name, asks, and takes the answer in.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::socket::{Sockets, is_trusted};
use super::wire::{ANSWER_BYTES_MAX, Asked, Told, VERSION, Versioned, line_of};
use super::{Answer, Question};
use crate::error::Error;

/// How long a program may take to be connected to: one that was stopped by a debugger takes for ever.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// How long it may say nothing. While it waits for runs it tells its progress more often than that.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A running program that can be asked.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) pid: u32,
    stream: UnixStream,
}

/// The running programs of this name; only that of `pid`, if one is named.
pub(crate) async fn find(name: &str, pid: Option<u32>) -> Result<Vec<Connection>, Error> {
    let mut found = Vec::new();
    let Some(sockets) = Sockets::present()? else { return Ok(found) };
    for socket in sockets.of(name)?.into_iter().filter(|socket| pid.is_none_or(|pid| socket.pid == pid)) {
        let cannot = |what: &str| Error::refused(format!("{} {what}", socket.path.display()));
        let stream = match timeout(CONNECT_PATIENCE, socket.connect()).await {
            Ok(Ok(Some(stream))) => stream,
            Ok(Ok(None)) => {
                sockets.clear(&socket).await;
                continue;
            }
            Ok(Err(error)) => return Err(cannot(&format!("cannot be connected to ({error})"))),
            Err(_) => return Err(cannot("takes no connection; is its process stopped?")),
        };
        if !is_trusted(&stream) {
            return Err(cannot("belongs to a process of another user"));
        }
        found.push(Connection { pid: socket.pid, stream });
    }
    Ok(found)
}

impl Connection {
    /// Asks, hears the progress, and takes the answer in.
    pub(crate) async fn ask(
        mut self,
        question: &Question,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Answer, Error> {
        let pid = self.pid;
        let lost = |error: &dyn std::fmt::Display| Error::refused(format!("PID {pid} did not answer: {error}"));
        let line = line_of(&Asked { v: VERSION, ask: question.clone() });
        // One that refuses has closed its side: what it said is there to be read all the same.
        if let Err(error) = self.stream.write_all(&line).await
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            return Err(lost(&error));
        }
        let mut reader = BufReader::new(self.stream.take(ANSWER_BYTES_MAX as u64));
        loop {
            let mut line = Vec::new();
            match timeout(SILENCE_MAX, reader.read_until(b'\n', &mut line)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(lost(&error)),
                Err(_) => return Err(lost(&"it says nothing")),
            }
            if line.last() != Some(&b'\n') {
                return Err(lost(&"it ended, or its answer is too long"));
            }
            let Versioned { v } = serde_json::from_slice(&line).map_err(|error| lost(&error))?;
            if v != VERSION {
                let says = format!("it speaks version {v} of the control protocol, and this command {VERSION}");
                return Err(lost(&says));
            }
            match serde_json::from_slice::<Told>(&line).map_err(|error| lost(&error))?.tell {
                Answer::Progress { done, of } => progress(done, of),
                answer => return Ok(answer),
            }
        }
    }
}
