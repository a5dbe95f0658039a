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

use super::holder::{Evidence, Holder, has_open};
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
        let mut named = Named::default();
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
                    if let Some(holder) = named.holder(number(&mut file), &file, has_open) {
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
        self.look_by(has_open).await
    }

    async fn look_by(&self, open_in: impl Fn(Pid, &File) -> Option<bool>) -> Result<Seen, Error> {
        // A folder into which one may not look is another matter than one that is not there.
        if matches!(self.0.folder.symlink_metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound) {
            return Ok(Seen::Nothing);
        }
        let folder = self.0.open_folder()?;
        let mut pid = None;
        let mut named = Named::default();
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
            if let Some(holder) = named.holder(pid, &file, &open_in) {
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

/// The number that a file which stays locked had at the last look.
#[derive(Default)]
struct Named(Option<Pid>);

impl Named {
    /// The process `pid`, which the file names, if it is believed to be the one that has it locked: the kernel says so, or
    /// the number was there at the last look already, and so was not left by one that was killed before the lock was taken.
    fn holder(
        &mut self,
        pid: Option<Pid>,
        file: &File,
        open_in: impl FnOnce(Pid, &File) -> Option<bool>,
    ) -> Option<Holder> {
        let before = std::mem::replace(&mut self.0, pid);
        let (holder, evidence) = Holder::find(pid?, file, open_in)?;
        (evidence == Evidence::Open || before == pid).then_some(holder)
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    use std::process::{Child, Command};

    use super::*;
    use crate::runtime_dir::Purpose;

    /// A process that has nothing to do with any of this.
    struct Bystander(Child);

    impl Bystander {
        fn new() -> Self {
            Self(Command::new("sleep").arg("600").spawn().expect("sleep is there"))
        }

        fn pid(&self) -> Pid {
            Pid::new(self.0.id()).expect("a number")
        }
    }

    impl Drop for Bystander {
        fn drop(&mut self) {
            self.0.kill().expect("nobody has killed it before");
            self.0.wait().expect("it ends");
        }
    }

    /// A PID file that names `pid` and is locked, in a folder of its own.
    fn locked(pid: Pid) -> (tempfile::TempDir, Spot, File) {
        let ground = tempfile::tempdir().expect("a folder of this user alone");
        std::fs::set_permissions(ground.path(), std::fs::Permissions::from_mode(0o700)).expect("it is ours");
        let path = ground.path().join("app.pid");
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).expect("it is new");
        writeln!(file, "{pid}").expect("there is room");
        file.lock().expect("it is free");
        let spot =
            Spot { folder: ground.path().to_owned(), file: "app.pid".into(), chosen: true, purpose: Purpose::PidFile };
        (ground, spot, file)
    }

    fn held(seen: &Seen) -> Option<Pid> {
        match seen {
            Seen::Held { holder, .. } => Some(holder.pid()),
            _ => None,
        }
    }

    #[tokio::test]
    async fn where_the_kernel_says_nothing_a_number_that_stays_is_believed() {
        let bystander = Bystander::new();
        let (_ground, spot, _file) = locked(bystander.pid());
        let looks = Cell::new(0);
        let silent = |_, _: &File| {
            looks.set(looks.get() + 1);
            None
        };
        let seen = PidFile::of(&spot).look_by(silent).await.expect("it can be looked at");
        assert_eq!((held(&seen), looks.get()), (Some(bystander.pid()), 2));
        let seen = PidFile::of(&spot).look_by(|_, _| Some(true)).await.expect("it can be looked at");
        assert_eq!(held(&seen), Some(bystander.pid()), "where it says yes, it is believed at once");
        let seen = PidFile::of(&spot).look_by(|_, _| Some(false)).await.expect("it can be looked at");
        assert!(matches!(seen, Seen::Foreign { pid } if pid == Some(bystander.pid())), "where it says no, it never is");
    }

    #[tokio::test]
    async fn a_number_that_a_killed_daemon_left_is_not_believed_while_the_next_one_begins() {
        let bystander = Bystander::new();
        let (_ground, spot, file) = locked(bystander.pid());
        let locked = Locked { folder: spot.open_folder().expect("it is ours"), name: spot.file.clone(), file };
        let locked = Cell::new(Some(locked));
        // The next daemon has the lock, and writes its number only after it was looked at for the first time.
        let begins = |_, _: &File| {
            if let Some(next) = locked.take() {
                locked.set(Some(next.written().expect("there is room")));
            }
            None
        };
        let seen = PidFile::of(&spot).look_by(begins).await.expect("it can be looked at");
        assert_eq!(held(&seen), Pid::new(std::process::id()));
    }
}
