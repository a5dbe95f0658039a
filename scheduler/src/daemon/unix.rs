//! Daemons on Unix: where their files are, and what can be done to them from outside.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::process::Signal;
use tokio::sync::oneshot;

use self::pid_file::{PidFile, Seen};
use super::{DaemonStatus, DaemonStop};
use crate::config::DaemonConfig;
use crate::config::daemon::{NAMES, is_name, name_of};
use crate::error::Error;
use crate::runtime_dir::{Folder, Purpose, User};
use crate::scheduler::Scheduler;

mod check;
mod child;
mod detach;
mod holder;
mod pid_file;
mod program;

/// How the files of a daemon are opened.
const PID_FILE: OFlags = OFlags::RDWR.union(OFlags::CREATE);
const LOG_FILE: OFlags = OFlags::RDWR.union(OFlags::CREATE).union(OFlags::APPEND);

/// How long a process may take to be gone after SIGKILL: longer takes one that waits for a device.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// The name of a daemon, and its two files, all of them absolute.
#[derive(Debug)]
struct Place {
    name: String,
    pid_file: Spot,
    log_file: Spot,
}

/// A file by its folder and its name, which may not be there yet.
#[derive(Debug)]
struct Spot {
    folder: PathBuf,
    file: OsString,
    chosen: bool,
    purpose: Purpose,
}

impl Place {
    fn of(settings: &DaemonConfig) -> Result<Self, Error> {
        let name = Self::name_of(settings)?;
        Ok(Self { pid_file: Self::pid_file_of(settings)?, log_file: Self::log_file_of(settings)?, name })
    }

    fn name_of(settings: &DaemonConfig) -> Result<String, Error> {
        match &settings.name {
            Some(name) if is_name(name) => Ok(name.clone()),
            Some(name) => Err(Error::refused(format!("no daemon is named {name:?}; allowed is {NAMES}"))),
            None => Ok(name_of(Path::new(&std::env::args_os().next().unwrap_or_default()))),
        }
    }

    fn pid_file_of(settings: &DaemonConfig) -> Result<Spot, Error> {
        let file = format!("{}.pid", Self::name_of(settings)?);
        Spot::of(Purpose::PidFile, settings.pid_file.as_deref(), User::present().runtime_dir(), file)
    }

    fn log_file_of(settings: &DaemonConfig) -> Result<Spot, Error> {
        let file = format!("{}.log", Self::name_of(settings)?);
        Spot::of(Purpose::LogFile, settings.log_file.as_deref(), User::present().log_dir(), file)
    }
}

impl Spot {
    fn of(purpose: Purpose, chosen: Option<&Path>, folder: PathBuf, file: String) -> Result<Self, Error> {
        let Some(path) = chosen else { return Ok(Self { folder, file: file.into(), chosen: false, purpose }) };
        let no_file = || Error::refused(format!("{} is no path of a file", path.display()));
        let absolute = std::path::absolute(path).map_err(|_| no_file())?;
        let (Some(folder), Some(file)) = (absolute.parent(), absolute.file_name()) else { return Err(no_file()) };
        Ok(Self { folder: folder.to_owned(), file: file.to_owned(), chosen: true, purpose })
    }

    fn path(&self) -> PathBuf {
        self.folder.join(&self.file)
    }

    /// Its folder, checked; one of our own is made.
    fn open_folder(&self) -> Result<Folder, Error> {
        let open = if self.chosen { Folder::chosen } else { Folder::private };
        open(&self.folder, self.purpose)
    }
}

pub(super) use check::hindrances;

/// Starts the daemon and waits until it is up, in the parent; is the daemon, in the child.
pub(super) async fn start(scheduler: Scheduler) -> Result<super::Pid, Error> {
    match child::Report::of_this_process() {
        Some(report) => child::run(scheduler, report).await,
        None => detach::start(&scheduler).await,
    }
}

/// Whether this process is a daemon that was started and is not up yet.
pub(super) fn is_child() -> bool {
    child::Report::of_this_process().is_some()
}

pub(super) async fn status(settings: &DaemonConfig) -> Result<DaemonStatus, Error> {
    Ok(match PidFile::of(&Place::of(settings)?.pid_file).look().await? {
        Seen::Nothing => DaemonStatus::Stopped,
        Seen::Stale { pid } => DaemonStatus::Stale { pid },
        Seen::Held { holder, since, .. } => DaemonStatus::Running { pid: holder.pid(), since },
        Seen::Foreign { pid } => DaemonStatus::Foreign { pid },
    })
}

pub(super) async fn stop(settings: &DaemonConfig, timeout: Duration) -> Result<DaemonStop, Error> {
    let place = Place::of(settings)?;
    let pid_file = PidFile::of(&place.pid_file);
    let (file, holder) = match pid_file.look().await? {
        Seen::Nothing => return Ok(DaemonStop::NotRunning),
        Seen::Stale { .. } => {
            pid_file.remove_if_stale()?;
            return Ok(DaemonStop::NotRunning);
        }
        Seen::Held { file, holder, .. } => (file, holder),
        Seen::Foreign { .. } => {
            let path = place.pid_file.path();
            return Err(Error::refused(format!(
                "{} is locked, but not by the process that it names; is that in another container? stop it there",
                path.display(),
            )));
        }
    };
    let pid = holder.pid();
    let cannot =
        |error| Error::refused(format!("the daemon \"{}\" (PID {pid}) cannot be signalled: {error}", place.name));
    holder.signal(Signal::TERM).map_err(cannot)?;
    let mut released = released(file)?;
    if tokio::time::timeout(timeout, &mut released).await.is_ok() {
        return Ok(DaemonStop::Ended { pid });
    }
    holder.signal(Signal::KILL).map_err(cannot)?;
    if tokio::time::timeout(KILL_PATIENCE, &mut released).await.is_err() {
        let says = format!("the daemon \"{}\" (PID {pid}) goes on after SIGKILL; the kernel holds it", place.name);
        return Err(Error::refused(says));
    }
    pid_file.remove_if_stale()?;
    Ok(DaemonStop::Killed { pid })
}

/// Ready when nobody has `file` locked any more, which is when its process has ended.
///
/// A thread waits in the kernel: there is nothing to ask again and again, and it holds up no runtime that ends.
fn released(file: File) -> Result<oneshot::Receiver<()>, Error> {
    let (sender, released) = oneshot::channel();
    let wait = move || {
        if file.lock_shared().is_ok() {
            // Unlocked before it is told, so that the next daemon finds it free.
            drop(file);
            // Who waited may have given up.
            let _ = sender.send(());
        }
    };
    let thread = std::thread::Builder::new().name("symphra-daemon-stop".to_owned()).spawn(wait);
    thread
        .map_err(|error| Error::refused(format!("the thread that waits for the daemon cannot be started: {error}")))?;
    Ok(released)
}
