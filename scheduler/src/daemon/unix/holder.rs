//! The process that has a PID file locked, and nobody else: what it is checked by before it is signalled.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::io::Errno;
use rustix::process::Signal;

use crate::daemon::Pid;

/// A process that is known to have the PID file open.
#[derive(Debug)]
pub(super) struct Holder {
    pid: Pid,
    number: rustix::process::Pid,
    /// The process itself, not its number, which another may get: where the kernel has that.
    process: Option<OwnedFd>,
}

impl Holder {
    /// The process `pid`, if it lives and has `file` open. A number in a file may have been left there by a process that
    /// was killed, and may belong to any other by now.
    pub(super) fn find(pid: Pid, file: &File) -> Option<Self> {
        let number = i32::try_from(pid.as_u32()).ok().and_then(rustix::process::Pid::from_raw)?;
        // Before it is looked at: what is true of the number then is true of the process that this stands for.
        let process = open(number);
        let lives = !matches!(rustix::process::test_kill_process(number), Err(Errno::SRCH));
        (lives && has_open(pid, file)).then_some(Self { pid, number, process })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends it `signal`; one that has ended meanwhile needs none.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        let sent = match &self.process {
            Some(process) => send(process, signal),
            None => rustix::process::kill_process(self.number, signal),
        };
        match sent {
            Err(Errno::SRCH) => Ok(()),
            sent => Ok(sent?),
        }
    }
}

#[cfg(target_os = "linux")]
fn open(pid: rustix::process::Pid) -> Option<OwnedFd> {
    // A kernel before 5.3 and some sandboxes have none; the number has to do there.
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(target_os = "linux")]
fn send(process: &OwnedFd, signal: Signal) -> Result<(), Errno> {
    rustix::process::pidfd_send_signal(process, signal)
}

#[cfg(not(target_os = "linux"))]
fn open(_: rustix::process::Pid) -> Option<OwnedFd> {
    None
}

#[cfg(not(target_os = "linux"))]
fn send(_: &OwnedFd, _: Signal) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

/// Whether the process has `file` open, by the kernel's list; where there is none, or it may not be read, the lock and the
/// number have to do.
fn has_open(pid: Pid, file: &File) -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    let Ok(ours) = file.metadata() else { return false };
    match std::fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(mut open) => open.any(|entry| {
            let there = entry.and_then(|entry| std::fs::metadata(entry.path()));
            there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()))
        }),
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    }
}
