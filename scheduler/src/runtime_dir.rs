//! Where the files of a running program stand by default, and folders that can be trusted with them.
//!
//! Invariant: a file is opened relative to a folder that was checked, by its descriptor, and never by following a link, so
//! that nobody can slip another file or folder in between the check and the use.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::error::Error;
use crate::own_file::{self, NotOpened, me, mode, owned_by};

/// Whose files: what decides where they stand by default.
#[derive(Debug)]
pub(crate) struct User {
    id: u32,
    state_home: Option<PathBuf>,
    home: Option<PathBuf>,
    temp: PathBuf,
}

impl User {
    /// Who runs this process.
    pub(crate) fn present() -> Self {
        Self {
            id: me(),
            state_home: std::env::var_os("XDG_STATE_HOME").map(PathBuf::from),
            home: std::env::home_dir(),
            temp: std::env::temp_dir(),
        }
    }

    /// The folder of PID files and sockets.
    ///
    /// Not `$XDG_RUNTIME_DIR`, which is removed when its user logs out: a daemon outlives that, and without its PID file a
    /// second copy could start beside it.
    pub(crate) fn runtime_dir(&self) -> PathBuf {
        if self.id == 0 {
            return Path::new(if cfg!(target_os = "linux") { "/run" } else { "/var/run" }).join("symphra");
        }
        self.state_dir()
    }

    /// The folder of log files.
    pub(crate) fn log_dir(&self) -> PathBuf {
        if self.id == 0 { PathBuf::from("/var/log/symphra") } else { self.state_dir() }
    }

    /// `$XDG_STATE_HOME` as the [XDG Base Directory Specification](https://specifications.freedesktop.org/basedir-spec/)
    /// has it: a relative path counts as none.
    fn state_dir(&self) -> PathBuf {
        let absolute = |path: &Option<PathBuf>| path.clone().filter(|path| path.is_absolute());
        absolute(&self.state_home)
            .or_else(|| absolute(&self.home).map(|home| home.join(".local/state")))
            .map_or_else(|| self.temp.join(format!("symphra-{}", self.id)), |state| state.join("symphra"))
    }
}

/// An open folder that nobody else can put files of ours into, or take them out of.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// A folder of our own at `path`, made if it is missing. A link, a foreign one, or one that others may write to is
    /// refused.
    pub(crate) fn private(path: &Path) -> Result<Self, Error> {
        // Root's stand in folders of the system, which are not ours to make.
        let made = DirBuilder::new().mode(0o700).recursive(me() != 0).create(path);
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(wrong(path, &format!("cannot be made ({error})"), SET_PATHS));
            }
            _ => {}
        }
        let folder = Self::open(path, OFlags::NOFOLLOW)?;
        let stat = folder.stat()?;
        if stat.st_uid != me() {
            return Err(wrong(path, &owned_by(stat.st_uid), SET_PATHS));
        }
        if mode(&stat) & 0o022 != 0 {
            let fix = "take the right from them (chmod 700)";
            return Err(wrong(path, &format!("may be written to by others (mode {:o})", mode(&stat)), fix));
        }
        Ok(folder)
    }

    /// The folder that somebody chose by a setting. It has to be there, to be ours or root's, and others may write to it
    /// only if its sticky bit keeps them from our files.
    pub(crate) fn chosen(path: &Path) -> Result<Self, Error> {
        let folder = Self::open(path, OFlags::empty())?;
        let stat = folder.stat()?;
        if stat.st_uid != me() && stat.st_uid != 0 {
            return Err(wrong(path, &owned_by(stat.st_uid), "choose a folder of this user or of root"));
        }
        if mode(&stat) & 0o002 != 0 && mode(&stat) & 0o1000 == 0 {
            let what = format!("may be written to by everybody (mode {:o})", mode(&stat));
            return Err(wrong(path, &what, "take the right from them (chmod o-w), or choose another folder"));
        }
        Ok(folder)
    }

    fn open(path: &Path, how: OFlags) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | how;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: path.to_owned() }),
            Err(Errno::NOENT) => Err(wrong(path, "is not there", "make the folder, or choose another")),
            Err(Errno::LOOP | Errno::NOTDIR) => Err(wrong(path, "is a link or a file, and no folder", SET_PATHS)),
            Err(error) => Err(wrong(path, &format!("cannot be opened ({error})"), SET_PATHS)),
        }
    }

    fn stat(&self) -> Result<Stat, Error> {
        rustix::fs::fstat(&self.fd).map_err(|error| wrong(&self.path, &format!("cannot be read ({error})"), SET_PATHS))
    }

    /// Opens the regular file `name` of ours, or makes it with mode 0600 if `how` has `CREATE`; nothing if it is not
    /// there. A link, a foreign file, one that others may write to or one with a second name is refused.
    pub(crate) fn file(&self, name: &OsStr, how: OFlags) -> Result<Option<File>, Error> {
        own_file::open_at(&self.fd, name, how).map_err(|error| {
            let path = self.path.join(name);
            match error {
                NotOpened::System(error) => wrong(&path, &format!("cannot be opened ({error})"), SET_FILE),
                NotOpened::Untrusted { what, fix } => wrong(&path, &what, fix.unwrap_or(SET_FILE)),
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

const SET_PATHS: &str = "set `pid_file` and `log_file` to files in a folder of this user";
const SET_FILE: &str = "remove it, or set `pid_file` and `log_file` to other files";

fn wrong(path: &Path, what: &str, fix: &str) -> Error {
    Error::refused(format!("{} {what}; {fix}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn user(id: u32, state_home: Option<&str>, home: Option<&str>) -> User {
        let path = |text: Option<&str>| text.map(PathBuf::from);
        User { id, state_home: path(state_home), home: path(home), temp: PathBuf::from("/tmp") }
    }

    #[test]
    fn files_stand_where_their_user_keeps_state() {
        for (user, runtime, log) in [
            (user(1000, None, Some("/home/ada")), "/home/ada/.local/state/symphra", "/home/ada/.local/state/symphra"),
            (user(1000, Some("/state"), Some("/home/ada")), "/state/symphra", "/state/symphra"),
            (user(1000, Some("state"), None), "/tmp/symphra-1000", "/tmp/symphra-1000"),
            (user(0, Some("/state"), Some("/root")), "/run/symphra", "/var/log/symphra"),
        ] {
            let runtime =
                if cfg!(target_os = "linux") { runtime.to_owned() } else { runtime.replace("/run", "/var/run") };
            assert_eq!(user.runtime_dir(), Path::new(&runtime), "{user:?}");
            assert_eq!(user.log_dir(), Path::new(log), "{user:?}");
        }
    }

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
            let folder = Folder::private(&path).expect("it can be made, and used again");
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
        Folder::private(&path("good")).expect("others may look");
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
            let error = Folder::private(&path(name)).expect_err(name).to_string();
            assert!(error.starts_with(&format!("{} {says}", path(name).display())), "{error}");
        }
    }
}
