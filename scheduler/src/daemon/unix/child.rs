//! The daemon itself: how it recognises what it is, leaves its terminal behind, and tells its parent that it is up.

use std::fs::File;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::Mode;

use super::Place;
use super::pid_file::PidFile;
use crate::error::Error;
use crate::foreground;
use crate::scheduler::Scheduler;

/// The environment variable that tells a child what it is. Its value is the PID of its parent.
pub(super) const MARK: &str = "SYMPHRA_DAEMON_CHILD";

/// What a report begins with.
pub(super) const UP: u8 = b'+';
pub(super) const FAILED: u8 = b'-';
/// What it ends with.
pub(super) const END: u8 = 0;

/// What no file of the daemon allows: the group to write, others anything.
const UMASK: Mode = Mode::WGRP.union(Mode::RWXO);

/// The way back to the parent, which waits at its other end.
pub(super) struct Report(UnixStream);

impl Report {
    /// The report of this process, if it was started to be a daemon and has not become one.
    ///
    /// The mark alone is not enough, for the daemon's own children inherit it: the process that it names must have made
    /// the socket that is standard input, which is replaced below.
    pub(super) fn of_this_process() -> Option<Self> {
        let parent: u32 = std::env::var(MARK).ok()?.parse().ok()?;
        let stdin = io::stdin();
        if !is_socket_of(&stdin, parent) {
            return None;
        }
        stdin.as_fd().try_clone_to_owned().ok().map(|socket| Self(UnixStream::from(socket)))
    }

    /// Tells the parent that the daemon is up. An error means that nobody waits for it any more.
    fn up(mut self) -> Result<(), Error> {
        self.send(UP, "").map_err(|error| {
            Error::refused(format!("who started the daemon waits for it no more ({error}), so it does not go on"))
        })
    }

    fn send(&mut self, kind: u8, text: &str) -> io::Result<()> {
        let mut report = vec![kind];
        report.extend(text.bytes().filter(|&byte| byte != END));
        report.push(END);
        self.0.write_all(&report)?;
        self.0.shutdown(Shutdown::Write)
    }
}

#[cfg(target_os = "linux")]
fn is_socket_of(fd: impl AsFd, maker: u32) -> bool {
    let peer = rustix::net::sockopt::socket_peercred(fd);
    peer.is_ok_and(|peer| u32::try_from(peer.pid.as_raw_nonzero().get()) == Ok(maker))
}

/// Where the kernel does not tell who made it, it is our parent's: if that has ended, it is nobody's.
#[cfg(not(target_os = "linux"))]
fn is_socket_of(fd: impl AsFd, maker: u32) -> bool {
    use rustix::fs::FileType;
    let is_socket = rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket);
    is_socket && maker == std::os::unix::process::parent_id()
}

/// Runs the scheduler as a daemon and ends the process with its exit code.
pub(super) async fn run(scheduler: Scheduler, report: Report) -> ! {
    let mut report = Some(report);
    let code = match be_a_daemon(scheduler, &mut report).await {
        Ok(()) => 0,
        Err(error) => {
            // Into the log file too: the parent may be gone, or the disk full, and neither changes the exit code.
            let _ = writeln!(io::stderr(), "Error: {error:?}");
            if let Some(mut report) = report.take() {
                let _ = report.send(FAILED, &format!("{error:?}"));
            }
            1
        }
    };
    std::process::exit(code)
}

async fn be_a_daemon(scheduler: Scheduler, report: &mut Option<Report>) -> Result<(), Error> {
    let settings = scheduler.settings().daemon.clone();
    // Before the working directory changes: a relative path is one from where the daemon was started.
    let place = Place::of(&settings)?;
    let scheduler = scheduler.adjust(|mut config| {
        config.logging = config.logging.made_absolute();
        config
    });
    detach(settings.working_directory.as_deref())?;
    let pid_file = PidFile::of(&place.pid_file).lock().await?;
    let up = |_: &_| report.take().map_or(Ok(()), Report::up);
    let ended = foreground::attend(scheduler, up, |_| {}).await;
    let removed = pid_file.remove();
    ended?;
    removed.map_err(|error| Error::refused(format!("{} cannot be removed: {error}", place.pid_file.path().display())))
}

/// Leaves the session of whoever started us, and with it its terminal.
fn detach(working_directory: Option<&Path>) -> Result<(), Error> {
    let cannot = |what: &str, error: io::Error| Error::refused(format!("the daemon cannot {what}: {error}"));
    rustix::process::setsid().map_err(|error| cannot("begin a session of its own", error.into()))?;
    rustix::process::umask(UMASK);
    let nothing = File::open("/dev/null").map_err(|error| cannot("open /dev/null", error))?;
    rustix::stdio::dup2_stdin(nothing).map_err(|error| cannot("leave its standard input", error.into()))?;
    if let Some(path) = working_directory {
        std::env::set_current_dir(path).map_err(|error| cannot(&format!("work in {}", path.display()), error))?;
    }
    Ok(())
}
