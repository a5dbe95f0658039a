//! The parent: starts the program anew, detached, and waits for its word.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::process::ExitStatus;

use symphra_scheduler_core::format_duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::child::{END, FAILED, MARK, UP};
use super::pid_file::PidFile;
use super::{LOG_FILE, Place, Spot, program};
use crate::daemon::Pid;
use crate::error::Error;
use crate::scheduler::Scheduler;

/// The longest report that is read: an error that lists the problems of thousands of tasks.
const REPORT_BYTES_MAX: u64 = 1024 * 1024;

/// How much of the end of the log an error shows.
const LOG_BYTES_MAX: u64 = 4 * 1024;
const LOG_LINES_MAX: usize = 10;

/// Starts the daemon of `scheduler` and waits until it is up.
pub(super) async fn start(scheduler: &Scheduler) -> Result<Pid, Error> {
    // What is wrong with tasks and settings is told here, by an error that still knows what it is about.
    scheduler.check()?;
    let settings = &scheduler.settings().daemon;
    let place = Place::of(settings)?;
    let failed = |says: &str| Error::refused(format!("the daemon \"{}\" did not start: {says}", place.name));
    let cannot = |error: io::Error| failed(&error.to_string());
    let mut log = open_log(&place.log_file)?;
    let log_began = log.seek(SeekFrom::End(0)).map_err(cannot)?;

    let (report, theirs) = UnixStream::pair().map_err(cannot)?;
    let mut child = spawn(theirs, &log).map_err(cannot)?;
    let pid = child.id().and_then(Pid::new).ok_or_else(|| failed("it has no PID"))?;
    let end = match timeout(settings.patience(), first_word(report, &mut child)).await {
        Ok(Word::Up) => return Ok(pid),
        Ok(Word::Failed(says)) => {
            // Its last step is its end, and nothing of it shall be left when this returns.
            let ended = timeout(settings.patience(), child.wait()).await;
            return Err(failed(if ended.is_ok() { &says } else { "it failed, and does not end" }));
        }
        Ok(Word::Died(status)) => format!("it ended before it was up ({status})"),
        Err(_) => {
            child.kill().await.map_err(cannot)?;
            format!("it was not up after {}, and was killed", format_duration(settings.patience()))
        }
    };
    PidFile::of(&place.pid_file).remove_if_stale()?;
    let path = place.log_file.path();
    Err(failed(&match &end_of_log(&mut log, log_began)[..] {
        "" => format!("{end}; it wrote nothing into {}", path.display()),
        lines => format!("{end}; the end of {}:\n{lines}", path.display()),
    }))
}

fn open_log(spot: &Spot) -> Result<File, Error> {
    let opened = spot.open_folder()?.file(&spot.file, LOG_FILE)?;
    opened.ok_or_else(|| Error::refused(format!("{} was removed while it was made", spot.path().display())))
}

/// This program once more, with its arguments, and the socket of the report as its standard input.
fn spawn(report: UnixStream, log: &File) -> io::Result<Child> {
    let report = report.into_std()?;
    report.set_nonblocking(false)?;
    let mut arguments = std::env::args_os();
    let mut command = Command::new(program::path()?);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command
        .args(arguments)
        .env(MARK, std::process::id().to_string())
        .stdin(OwnedFd::from(report))
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .spawn()
}

/// What is heard of a child.
enum Word {
    Up,
    Failed(String),
    Died(ExitStatus),
}

/// Its report, or its end if that comes first: the socket alone would not tell, for children of the child may have it.
async fn first_word(mut socket: UnixStream, child: &mut Child) -> Word {
    // What reads standard input before it is a daemon finds nothing there, and does not wait.
    if let Err(error) = socket.shutdown().await {
        return Word::Failed(format!("its standard input cannot be closed: {error}"));
    }
    let mut socket = BufReader::new(socket.take(REPORT_BYTES_MAX));
    let mut report = Vec::new();
    let died = tokio::select! {
        biased;
        _ = socket.read_until(END, &mut report) => false,
        _ = child.wait() => true,
    };
    if died {
        // What it sent before it ended is there to be read; what cannot be read was not sent.
        let _ = socket.read_until(END, &mut report).await;
    }
    match &report[..] {
        [UP, END] => Word::Up,
        [FAILED, text @ .., END] => Word::Failed(String::from_utf8_lossy(text).into_owned()),
        _ => match child.wait().await {
            Ok(status) => Word::Died(status),
            Err(error) => Word::Failed(format!("how it ended cannot be told: {error}")),
        },
    }
}

/// The last lines that were written into the log from `began` on.
fn end_of_log(log: &mut File, began: u64) -> String {
    let mut written = Vec::new();
    let read = log.seek(SeekFrom::End(0)).and_then(|end| {
        log.seek(SeekFrom::Start(began.max(end.saturating_sub(LOG_BYTES_MAX))))?;
        log.take(LOG_BYTES_MAX).read_to_end(&mut written)
    });
    if let Err(error) = read {
        return format!("  (it cannot be read: {error})");
    }
    let text = String::from_utf8_lossy(&written);
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    lines[lines.len().saturating_sub(LOG_LINES_MAX)..].join("\n")
}
