//! The PID file. The lock on it is the truth, for the kernel drops it with its process; the number is for people.
//!
//! Invariant: only who has it locked writes or removes it, and only as long as it is the file that its path leads to.

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::mem::ManuallyDrop;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rustix::fs::OFlags;

use super::holder::Holder;
use super::{PID_FILE, Spot};
use crate::daemon::Pid;
use crate::error::Error;
use crate::runtime_dir::Folder;

/// How often a file is looked at again that is locked by a process it does not name. Somebody looks at it just now, or has
/// locked it and not written yet: both take microseconds.
const LOOKS_MAX: u32 = 50;
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// More is no number.
const NUMBER_BYTES_MAX: u64 = 16;

/// A PID file by its place.
pub(super) struct PidFile<'a>(&'a Spot);

/// What is seen of a daemon by its PID file.
pub(super) enum Seen {
    Nothing,
    Stale { pid: Option<Pid> },
    Held { file: File, holder: Holder, since: DateTime<Utc> },
    Foreign { pid: Option<Pid> },
}

/// A PID file that this process has locked. It is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Locked {
    folder: Folder,
    name: OsString,
    file: File,
}

impl<'a> PidFile<'a> {
    pub(super) fn of(spot: &'a Spot) -> Self {
        Self(spot)
    }

    fn name(&self) -> &'a OsStr {
        &self.0.file
    }

    fn wrong(&self, what: &str) -> Error {
        Error::refused(format!("{} {what}", self.0.path().display()))
    }

    /// Locks it for this process and writes its number into it, or says who has it.
    pub(super) async fn lock(&self) -> Result<Locked, Error> {
        let folder = self.0.open_folder()?;
        for _ in 0..LOOKS_MAX {
            let opened = folder.file(self.name(), PID_FILE)?;
            // Removed by a daemon that ended just now.
            let Some(mut file) = opened else { continue };
            match file.try_lock() {
                // The same, a moment later: a lock on a file that nobody finds keeps nobody out.
                Ok(()) if !folder.holds(self.name(), &file) => {}
                Ok(()) => {
                    let locked = Locked { folder, name: self.name().to_owned(), file };
                    return locked.written().map_err(|error| self.wrong(&format!("cannot be written: {error}")));
                }
                Err(TryLockError::WouldBlock) => {
                    if let Some(holder) = number(&mut file).and_then(|pid| Holder::find(pid, &file)) {
                        return Err(Error::refused(format!(
                            "it runs already, as PID {} ({} is locked); stop it first, or give this one another `name`",
                            holder.pid(),
                            self.0.path().display(),
                        )));
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(TryLockError::Error(error)) => return Err(self.cannot_lock(&error)),
            }
        }
        Err(self.wrong("is locked by a process that it does not name; is that in another container?"))
    }

    /// What is seen of a daemon here.
    pub(super) async fn look(&self) -> Result<Seen, Error> {
        if !self.0.folder.exists() {
            return Ok(Seen::Nothing);
        }
        let folder = self.0.open_folder()?;
        let mut pid = None;
        for _ in 0..LOOKS_MAX {
            let Some(mut file) = folder.file(self.name(), OFlags::RDONLY)? else { return Ok(Seen::Nothing) };
            match file.try_lock_shared() {
                Ok(()) if folder.holds(self.name(), &file) => return Ok(Seen::Stale { pid: number(&mut file) }),
                // Removed by a daemon that ended just now.
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(self.cannot_lock(&error)),
            }
            pid = number(&mut file);
            if let Some(holder) = pid.and_then(|pid| Holder::find(pid, &file)) {
                let since = file.metadata().and_then(|file| file.modified()).map(DateTime::from).unwrap_or_default();
                return Ok(Seen::Held { file, holder, since });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(Seen::Foreign { pid })
    }

    /// Removes it if nobody has it locked.
    pub(super) fn remove_if_stale(&self) -> Result<(), Error> {
        let folder = self.0.open_folder()?;
        let Some(file) = folder.file(self.name(), OFlags::RDWR)? else { return Ok(()) };
        if file.try_lock().is_err() {
            return Ok(());
        }
        folder.remove(self.name(), &file).map_err(|error| self.wrong(&format!("cannot be removed: {error}")))
    }

    fn cannot_lock(&self, error: &std::io::Error) -> Error {
        self.wrong(&format!("cannot be locked ({error}); set `pid_file` to a file on a local file system"))
    }
}

impl Locked {
    /// Over what is there and then cut, so that the first line is a number at every moment.
    fn written(mut self) -> std::io::Result<Self> {
        let number = format!("{}\n", std::process::id());
        self.file.rewind()?;
        self.file.write_all(number.as_bytes())?;
        self.file.set_len(number.len() as u64)?;
        Ok(self)
    }

    /// Removes it, and leaves it locked until the process ends, which is what those who stop it wait for.
    pub(super) fn remove(self) -> std::io::Result<()> {
        ManuallyDrop::new(self).unlink()
    }

    fn unlink(&self) -> std::io::Result<()> {
        self.folder.remove(&self.name, &self.file)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Only in a panic: what cannot be removed then is stale, which the next start sees.
        let _ = self.unlink();
    }
}

/// The number in its first line.
fn number(file: &mut File) -> Option<Pid> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(NUMBER_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.lines().next()?.parse().ok().and_then(Pid::new)
}
