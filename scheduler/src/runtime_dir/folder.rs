//! Folders that can be trusted with the files of a running program.
//!
//! Invariant: a file is opened relative to a folder that was checked, by its descriptor, and never by following a link, so
//! that nobody can slip another file or folder in between the check and the use.

use std::ffi::OsStr;
#[cfg(feature = "cli")]
use std::fmt;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

#[cfg(feature = "cli")]
use rustix::fs::FlockOperation;
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::Purpose;
use crate::error::Error;
use crate::own_file::{self, NotOpened, me, mode, owned_by};

/// An open folder that nobody else can put files of ours into, or take them out of.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
    purpose: Purpose,
}

impl Folder {
    /// A folder of our own at `path`, made if it is missing. A link, a foreign one, or one that others may write to is
    /// refused.
    pub(crate) fn private(path: &Path, purpose: Purpose) -> Result<Self, Error> {
        // Root's stand in folders of the system, which are not ours to make.
        let made = DirBuilder::new().mode(0o700).recursive(me() != 0).create(path);
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(wrong(path, &format!("cannot be made ({error})"), &purpose.another_folder()));
            }
            _ => {}
        }
        Self::own(path, purpose)
    }

    /// [`private`](Self::private), if it is there.
    pub(crate) fn private_if_there(path: &Path, purpose: Purpose) -> Result<Option<Self>, Error> {
        if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(None);
        }
        Self::own(path, purpose).map(Some)
    }

    fn own(path: &Path, purpose: Purpose) -> Result<Self, Error> {
        let folder = Self::open(path, OFlags::NOFOLLOW, purpose)?;
        let stat = folder.stat()?;
        if stat.st_uid != me() {
            return Err(wrong(path, &owned_by(stat.st_uid), &purpose.another_folder()));
        }
        if mode(&stat) & 0o022 != 0 {
            let what = format!("may be written to by others (mode {:o})", mode(&stat));
            return Err(wrong(path, &what, &taken_from_others("700", &purpose.another_folder())));
        }
        Ok(folder)
    }

    /// The folder that somebody chose by a setting. It has to be there, to be ours or root's, and others may write to it
    /// only if its sticky bit keeps them from our files.
    pub(crate) fn chosen(path: &Path, purpose: Purpose) -> Result<Self, Error> {
        let folder = Self::open(path, OFlags::empty(), purpose)?;
        let stat = folder.stat()?;
        if stat.st_uid != me() && stat.st_uid != 0 {
            let fix = format!("{} or of root", purpose.another_folder());
            return Err(wrong(path, &owned_by(stat.st_uid), &fix));
        }
        if mode(&stat) & 0o002 != 0 && mode(&stat) & 0o1000 == 0 {
            let what = format!("may be written to by everybody (mode {:o})", mode(&stat));
            return Err(wrong(path, &what, &taken_from_others("o-w", &purpose.another_folder())));
        }
        Ok(folder)
    }

    fn open(path: &Path, how: OFlags, purpose: Purpose) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | how;
        let another = purpose.another_folder();
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: path.to_owned(), purpose }),
            Err(Errno::NOENT) => Err(wrong(path, "is not there", &format!("make the folder, or {another}"))),
            Err(Errno::LOOP | Errno::NOTDIR) => Err(wrong(path, "is a link or a file, and no folder", &another)),
            Err(error) => Err(wrong(path, &format!("cannot be opened ({error})"), &another)),
        }
    }

    fn stat(&self) -> Result<Stat, Error> {
        rustix::fs::fstat(&self.fd)
            .map_err(|error| wrong(&self.path, &format!("cannot be read ({error})"), &self.purpose.another_folder()))
    }

    /// Opens the regular file `name` of ours, or makes it with mode 0600 if `how` has `CREATE`; nothing if it is not
    /// there. A link, a foreign file, one that others may write to or one with a second name is refused.
    pub(crate) fn file(&self, name: &OsStr, how: OFlags) -> Result<Option<File>, Error> {
        own_file::open_at(&self.fd, name, how).map_err(|error| {
            let path = self.path.join(name);
            let another = self.purpose.another_file();
            match error {
                NotOpened::System(error) => wrong(&path, &format!("cannot be opened ({error})"), &another),
                NotOpened::Untrusted { what, fix: Some(fix) } => wrong(&path, &what, &format!("{fix}, or {another}")),
                NotOpened::Untrusted { what, fix: None } => wrong(&path, &what, &another),
            }
        })
    }

    /// Whether `name` in this folder is `file`, and not another that has taken its place.
    pub(crate) fn holds(&self, name: &OsStr, file: impl AsFd) -> bool {
        let there = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        let ours = rustix::fs::fstat(file);
        matches!((there, ours), (Ok(there), Ok(ours)) if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino))
    }

    /// Removes `name` if it is `file` still: whoever has put another one there keeps it.
    pub(crate) fn remove(&self, name: &OsStr, file: impl AsFd) -> io::Result<()> {
        if !self.holds(name, file) {
            return Ok(());
        }
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }
}

/// What several programs share: who changes what stands there has the folder locked.
#[cfg(feature = "cli")]
impl Folder {
    /// Locks the folder for whoever else asks for it here, in this process or another; nothing if another has it. The
    /// kernel drops the lock with its process.
    pub(crate) fn try_lock(&self) -> io::Result<Option<Held<'_>>> {
        match rustix::fs::flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Held(self))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What `name` in this folder is; nothing if it is not there.
    pub(crate) fn identity(&self, name: &OsStr) -> io::Result<Option<Identity>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Identity(stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives `name` the mode 0600.
    pub(crate) fn keep_to_its_owner(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::chmodat(&self.fd, name, Mode::RUSR | Mode::WUSR, AtFlags::empty())?)
    }

    /// Gives what is called `from` the name `to`, in one step: whatever had that name has none any more.
    pub(crate) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    /// Removes `name`, whatever it is.
    pub(crate) fn unlink(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }
}

/// What would become of a start, found out without making anything.
impl Folder {
    /// Whether [`private`](Self::private) could make a folder at `path`, where there is none.
    pub(crate) fn could_be_made(path: &Path, purpose: Purpose) -> Result<(), Error> {
        let above = path.ancestors().skip(1);
        // Only its own folder may be missing for root.
        let nearest = above.take(if me() == 0 { 1 } else { usize::MAX }).find(|above| above.exists());
        let may = nearest.map_or(Err(Errno::NOENT), |nearest| {
            if !nearest.is_dir() {
                return Err(Errno::NOTDIR);
            }
            rustix::fs::accessat(CWD, nearest, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
        });
        may.map_err(|error| wrong(path, &format!("cannot be made ({error})"), &purpose.another_folder()))
    }

    /// Whether [`file`](Self::file) could open `name`, or make it where it is missing.
    pub(crate) fn could_have(&self, name: &OsStr, how: OFlags) -> Result<(), Error> {
        match self.file(name, how.difference(OFlags::CREATE))? {
            Some(_) => Ok(()),
            None => self.could_take(name),
        }
    }

    /// Whether something could be made under `name`.
    pub(crate) fn could_take(&self, name: &OsStr) -> Result<(), Error> {
        let may = rustix::fs::accessat(&self.fd, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
        may.map_err(|error| {
            let what = format!("does not let {} be made in it ({error})", name.display());
            wrong(&self.path, &what, &self.purpose.another_folder())
        })
    }
}

/// A folder is locked as long as this lives.
#[cfg(feature = "cli")]
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a Folder);

#[cfg(feature = "cli")]
impl Drop for Held<'_> {
    fn drop(&mut self) {
        // What cannot be unlocked is so when its descriptor is closed.
        let _ = rustix::fs::flock(&self.0.fd, FlockOperation::Unlock);
    }
}

/// Which file it is, whatever it is called. A file that is in use shares it with no other.
#[cfg(feature = "cli")]
#[derive(Clone, Copy)]
pub(crate) struct Identity(Stat);

#[cfg(feature = "cli")]
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        (self.0.st_dev, self.0.st_ino) == (other.0.st_dev, other.0.st_ino)
    }
}

#[cfg(feature = "cli")]
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.st_dev, self.0.st_ino)
    }
}

fn wrong(path: &Path, what: &str, fix: &str) -> Error {
    Error::refused(format!("{} {what}; {fix}", path.display()))
}

fn taken_from_others(mode: &str, or: &str) -> String {
    format!("take the right from them (chmod {mode}), or {or}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder in which the test lays its traps.
    struct Ground(PathBuf);

    impl Ground {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("symphra-folder-test-{}-{name}", std::process::id()));
            DirBuilder::new().mode(0o700).create(&path).expect("a new folder");
            Self(path)
        }
    }

    impl Drop for Ground {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).expect("it can be removed");
        }
    }

    #[test]
    fn a_private_folder_is_made_for_its_user_alone() {
        let ground = Ground::new("made");
        let path = ground.0.join("symphra");
        for _ in 0..2 {
            let folder = Folder::private(&path, Purpose::LogFile).expect("it can be made, and used again");
            assert_eq!(mode(&folder.stat().expect("it is open")), 0o700);
        }
    }

    #[test]
    fn a_private_folder_that_others_could_reach_into_is_refused() {
        let ground = Ground::new("traps");
        let path = |name: &str| ground.0.join(name);
        let made = |name: &str, mode: u32| {
            DirBuilder::new().create(path(name)).expect("a new folder");
            std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(mode)).expect("it is ours");
        };
        made("good", 0o755);
        Folder::private(&path("good"), Purpose::PidFile).expect("others may look");
        made("group", 0o770);
        made("all", 0o1777);
        std::os::unix::fs::symlink(path("good"), path("link")).expect("a link");
        std::fs::write(path("file"), "").expect("a file");
        let mut traps = vec![
            ("group", "may be written to by others (mode 770); take the right"),
            ("all", "may be written to by others (mode 1777); take the right"),
            ("link", "is a link or a file, and no folder; set"),
            ("file", "is a link or a file, and no folder; set"),
        ];
        if me() == 0 {
            made("foreign", 0o700);
            std::os::unix::fs::chown(path("foreign"), Some(1), None).expect("root may");
            traps.push(("foreign", "belongs to the user 1, and this process runs as 0; set"));
        }
        for (name, says) in traps {
            let error = Folder::private(&path(name), Purpose::PidFile).expect_err(name).to_string();
            assert!(error.starts_with(&format!("{} {says}", path(name).display())), "{error}");
        }
    }

    #[test]
    fn each_refusal_names_the_way_out_of_what_was_wanted_and_no_other() {
        let settings = ["`pid_file`", "`log_file`", "SYMPHRA_CONTROL_DIR"];
        let mut purposes = vec![(Purpose::PidFile, settings[0]), (Purpose::LogFile, settings[1])];
        #[cfg(feature = "cli")]
        purposes.push((Purpose::ControlSocket, settings[2]));
        let ground = Ground::new("ways-out");
        let path = |name: &str| ground.0.join(name);
        std::fs::write(path("file"), "").expect("a file");
        std::fs::write(path("group"), "").expect("a file");
        std::fs::set_permissions(path("group"), std::fs::Permissions::from_mode(0o660)).expect("it is ours");
        std::os::unix::fs::symlink(path("file"), path("link")).expect("a link");
        std::fs::hard_link(path("file"), path("second")).expect("a link");
        DirBuilder::new().create(path("open")).expect("a new folder");
        std::fs::set_permissions(path("open"), std::fs::Permissions::from_mode(0o777)).expect("it is ours");
        for (purpose, setting) in purposes {
            let folder = Folder::private(&ground.0, purpose).expect("it is ours alone");
            let file = |name: &str| folder.file(OsStr::new(name), OFlags::RDWR).expect_err(name).to_string();
            let mut refusals: Vec<String> = ["open", "file", "link"]
                .map(|name| Folder::private(&path(name), purpose).expect_err(name).to_string())
                .into();
            refusals.extend(
                ["open", "nowhere"].map(|name| Folder::chosen(&path(name), purpose).expect_err(name).to_string()),
            );
            refusals.extend(["group", "link", "second", "open"].map(file));
            for said in refusals {
                let named = settings.map(|setting| said.contains(setting));
                assert_eq!(named, settings.map(|other| other == setting), "{purpose:?}: {said}");
            }
        }
    }
}
