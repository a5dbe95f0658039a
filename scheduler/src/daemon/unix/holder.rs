//! The process that has a PID file locked, and nobody else: what it is checked by before it is signalled.
//!
//! That somebody has it locked, the lock tells; who, no system does. On Linux a process counts only if the kernel's list
//! says that it has the file open. Elsewhere, and where that list may not be read, the number in the file is all there is:
//! whoever has it locked writes its own into it at once, so that a number which stays while the lock does is believed.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::io::Errno;
use rustix::process::Signal;

use crate::daemon::Pid;

/// What speaks for a process as the one that has the PID file locked, besides that the file names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// The kernel says that it has the file open.
    Open,
    /// The kernel says nothing of it: the number may be there still of one that was killed.
    None,
}

/// A process that may have the PID file locked.
#[derive(Debug)]
pub(super) struct Holder {
    pid: Pid,
    number: rustix::process::Pid,
    /// The process itself, not its number, which another may get: where the kernel has that.
    process: Option<OwnedFd>,
}

impl Holder {
    /// The process `pid`, if it lives and, as far as `open_in` tells, has `file` open; and whether that was told.
    pub(super) fn find(
        pid: Pid,
        file: &File,
        open_in: impl FnOnce(Pid, &File) -> Option<bool>,
    ) -> Option<(Self, Evidence)> {
        let number = i32::try_from(pid.as_u32()).ok().and_then(rustix::process::Pid::from_raw)?;
        // Before it is looked at: what is true of the number then is true of the process that this stands for.
        let process = open(number);
        let lives = !matches!(rustix::process::test_kill_process(number), Err(Errno::SRCH));
        let evidence = match open_in(pid, file) {
            Some(true) => Evidence::Open,
            None => Evidence::None,
            Some(false) => return None,
        };
        lives.then_some((Self { pid, number, process }, evidence))
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

/// Whether the process has `file` open, by the kernel's list; nothing where there is none, or it may not be read.
pub(super) fn has_open(pid: Pid, file: &File) -> Option<bool> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let Ok(ours) = file.metadata() else { return Some(false) };
    match std::fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(mut open) => Some(open.any(|entry| {
            let there = entry.and_then(|entry| std::fs::metadata(entry.path()));
            there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()))
        })),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
        Err(_) => Some(false),
    }
}
