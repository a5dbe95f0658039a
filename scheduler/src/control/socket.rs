//! Where the control sockets stand: `<name>.<pid>.sock` in the runtime folder of the user, or where
//! `SYMPHRA_CONTROL_DIR` says; and who puts one there or takes one away.
//!
//! Invariant: whoever finds a socket under its name finds somebody who listens, or one who was killed. It gets its name
//! when it is listened at already, and both the one who gives it and the one who takes it away have the folder locked.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

use crate::error::Error;
use crate::runtime_dir::{CONTROL_FOLDER, Folder, Held, Identity, Purpose, User};

const ENDING: &str = ".sock";

/// How a socket is called that nobody shall find yet. Only who has the folder locked makes one, so that another that is
/// there was left by somebody who was killed.
const ENDING_NEW: &str = ".new";

/// How often a folder is looked at again that somebody has locked: who has does so for as long as a few calls take.
const LOCKS_MAX: u32 = 300;
const LOCK_AGAIN: Duration = Duration::from_millis(10);

/// The folder of the control sockets of this user.
fn folder() -> Result<PathBuf, Error> {
    match std::env::var_os(CONTROL_FOLDER).map(PathBuf::from) {
        Some(folder) if folder.is_absolute() => Ok(folder),
        // A wrapper may pass on what is not set.
        None => Ok(User::present().runtime_dir()),
        Some(folder) if folder.as_os_str().is_empty() => Ok(User::present().runtime_dir()),
        Some(folder) => Err(Error::refused(format!(
            "{CONTROL_FOLDER} = {folder:?} is a relative path, which means another folder to each command; set it to an \
             absolute one"
        ))),
    }
}

/// The longest path of a socket, `sun_path` of `unix(7)` without the zero at its end; where it is not Linux it is shorter.
const PATH_BYTES_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Whether a socket of this name could be bound in the folder.
fn is_short_enough(folder: &Path, file: &str) -> Result<(), Error> {
    let path = folder.join(file);
    let bytes = path.as_os_str().len();
    if bytes <= PATH_BYTES_MAX {
        return Ok(());
    }
    Err(Error::refused(format!(
        "{} is {bytes} bytes long, and the path of a socket {PATH_BYTES_MAX} at most; set {CONTROL_FOLDER} to a folder with a \
         shorter path",
        path.display(),
    )))
}

/// The control sockets of a folder, which was checked: others can neither put one there nor take one away.
#[derive(Debug)]
pub(super) struct Sockets {
    path: PathBuf,
    folder: Folder,
}

/// A control socket that has been there, of a process that may be gone.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) pid: u32,
    pub(super) path: PathBuf,
}

/// The name under which this process is listened to be found. Its listener has to be open when it is taken away.
#[derive(Debug)]
pub(super) struct Name {
    sockets: Sockets,
    file: OsString,
    identity: Identity,
}

impl Sockets {
    /// Those of this user; the folder is made if it is missing.
    pub(super) fn made() -> Result<Self, Error> {
        Self::made_in(folder()?)
    }

    pub(super) fn made_in(path: PathBuf) -> Result<Self, Error> {
        let folder = Folder::private(&path, Purpose::ControlSocket)?;
        Ok(Self { path, folder })
    }

    /// What would keep the program `name` from listening, found out without making anything.
    pub(super) fn hindrance(name: &str) -> Option<Error> {
        let purpose = Purpose::ControlSocket;
        let path = match folder() {
            Ok(path) => path,
            Err(error) => return Some(error),
        };
        if let Err(error) = is_short_enough(&path, &file_name(name, std::process::id(), ENDING)) {
            return Some(error);
        }
        let could = match Folder::private_if_there(&path, purpose) {
            Ok(Some(folder)) => folder.could_take(OsStr::new(&file_name(name, std::process::id(), ENDING))),
            Ok(None) => Folder::could_be_made(&path, purpose),
            Err(error) => Err(error),
        };
        could.err()
    }

    /// Those of this user; nothing if there is no folder of them.
    pub(super) fn present() -> Result<Option<Self>, Error> {
        let path = folder()?;
        let folder = Folder::private_if_there(&path, Purpose::ControlSocket)?;
        Ok(folder.map(|folder| Self { path, folder }))
    }

    /// The sockets of the programs of this name, by PID.
    pub(super) fn of(&self, name: &str) -> Result<Vec<Socket>, Error> {
        let mut found: Vec<Socket> = (self.files()?.into_iter())
            .filter_map(|file| Some(Socket { pid: pid_of(&file, name, ENDING)?, path: self.path.join(file) }))
            .collect();
        found.sort_unstable_by_key(|socket| socket.pid);
        Ok(found)
    }

    fn files(&self) -> Result<Vec<OsString>, Error> {
        let cannot = |error: io::Error| Error::refused(format!("{} cannot be read ({error})", self.path.display()));
        let entries = std::fs::read_dir(&self.path).map_err(cannot)?;
        entries.map(|entry| entry.map(|entry| entry.file_name()).map_err(cannot)).collect()
    }

    /// Takes away what a killed program has left, unless somebody else changes something here for long: it does no harm,
    /// and the next command or program takes it away.
    pub(super) async fn clear(&self, socket: &Socket) {
        if let Ok(Some(held)) = self.lock().await {
            self.clear_held(socket, &held).await;
        }
    }

    /// Nobody can have put another socket in its place between the look and the end of it: that takes the lock.
    async fn clear_held(&self, socket: &Socket, _: &Held<'_>) {
        if let (true, Some(file)) = (socket.is_left_behind().await, socket.path.file_name()) {
            // One that cannot be removed stays, and nobody listens there.
            drop(self.folder.unlink(file));
        }
    }

    async fn lock(&self) -> io::Result<Option<Held<'_>>> {
        for _ in 0..LOCKS_MAX {
            if let Some(held) = self.folder.try_lock()? {
                return Ok(Some(held));
            }
            tokio::time::sleep(LOCK_AGAIN).await;
        }
        Ok(None)
    }

    /// Listens as the program `name` in the process `pid`, which is this one, and takes away what killed programs of the
    /// name have left. Whoever finds the socket finds it listened at, and with mode 0600.
    pub(super) async fn listen(self, name: &str, pid: u32) -> Result<(Name, UnixListener), Error> {
        is_short_enough(&self.path, &file_name(name, pid, ENDING))?;
        let own = Socket { pid, path: self.path.join(file_name(name, pid, ENDING)) };
        let cannot = |error: io::Error| Error::refused(format!("{} cannot be opened ({error})", own.path.display()));
        let unlockable = |why: &str| {
            let says =
                format!("{} cannot be locked ({why}); set {CONTROL_FOLDER} to another folder", self.path.display());
            Error::refused(says)
        };
        let held = match self.lock().await {
            Ok(Some(held)) => held,
            Ok(None) => return Err(unlockable("another process has it locked, and stays so")),
            Err(error) => return Err(unlockable(&error.to_string())),
        };
        for socket in self.of(name)? {
            self.clear_held(&socket, &held).await;
        }
        for file in self.files()?.into_iter().filter(|file| pid_of(file, name, ENDING_NEW).is_some()) {
            self.folder.unlink(&file).map_err(cannot)?;
        }
        let file = OsString::from(file_name(name, pid, ENDING));
        // Another of this number is in another container, or in this process.
        if self.folder.identity(&file).map_err(cannot)?.is_some() {
            return Err(Error::refused(format!(
                "{} is taken: a program \"{name}\" with this PID answers there, perhaps in another container; give this \
                 one another name (--name), or set {CONTROL_FOLDER} to another folder",
                own.path.display(),
            )));
        }
        let new = OsString::from(file_name(name, pid, ENDING_NEW));
        let listener = UnixListener::bind(self.path.join(&new)).map_err(cannot)?;
        let named = self.named(&new, &file);
        if named.is_err() {
            drop(self.folder.unlink(&new));
        }
        let identity = named.map_err(cannot)?;
        drop(held);
        Ok((Name { sockets: self, file, identity }, listener))
    }

    fn named(&self, new: &OsStr, file: &OsStr) -> io::Result<Identity> {
        self.folder.keep_to_its_owner(new)?;
        let identity = self.folder.identity(new)?.ok_or(io::ErrorKind::NotFound)?;
        self.folder.rename(new, file)?;
        Ok(identity)
    }
}

impl Name {
    /// Takes it away, unless another socket has it by now.
    ///
    /// While its listener is open, the kernel gives the identity to no other file, and nobody who heeds the lock puts
    /// another socket in its place.
    pub(super) fn give_up(&self) {
        if self.sockets.folder.identity(&self.file).is_ok_and(|there| there == Some(self.identity)) {
            // One that cannot be removed stays without harm: nobody will listen there.
            drop(self.sockets.folder.unlink(&self.file));
        }
    }
}

impl Socket {
    /// Connects; nothing if nobody listens any more.
    pub(super) async fn connect(&self) -> io::Result<Option<UnixStream>> {
        // It was reset if its program has ended just now.
        use io::ErrorKind::{ConnectionRefused, ConnectionReset, NotFound};
        match UnixStream::connect(&self.path).await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) if [NotFound, ConnectionRefused, ConnectionReset].contains(&error.kind()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether its process was killed. Linux refuses a connection only where nobody listens; other systems also where too
    /// many wait to be accepted, so that there the process has to be gone as well.
    async fn is_left_behind(&self) -> bool {
        let refused = UnixStream::connect(&self.path).await;
        let is_refused = refused.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        is_refused && (cfg!(target_os = "linux") || self.pid == std::process::id() || is_gone(self.pid))
    }
}

fn is_gone(pid: u32) -> bool {
    let number = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    number.is_none_or(|number| rustix::process::test_kill_process(number) == Err(rustix::io::Errno::SRCH))
}

fn file_name(name: &str, pid: u32, ending: &str) -> String {
    format!("{name}.{pid}{ending}")
}

/// The process of a socket of the program `name`.
fn pid_of(file: &OsStr, name: &str, ending: &str) -> Option<u32> {
    file.to_str()?.strip_prefix(name)?.strip_prefix('.')?.strip_suffix(ending)?.parse().ok()
}

/// Whether whoever is at the other end is this user or root.
pub(super) fn is_trusted(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == me() || peer.uid() == 0)
}

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener as Std;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Barrier};

    use tokio::runtime::Handle;

    use super::*;

    const PID: u32 = 7;

    fn ground() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder of this user alone")
    }

    fn sockets(folder: &tempfile::TempDir) -> Sockets {
        Sockets::made_in(folder.path().to_owned()).expect("it is ours alone")
    }

    fn files(folder: &tempfile::TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(folder.path()).expect("it is there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn names_that_begin_alike_are_told_apart() {
        for (file, name, pid) in [
            ("app.12.sock", "app", Some(12)),
            ("app.1.12.sock", "app", None),
            ("app.1.12.sock", "app.1", Some(12)),
            ("application.12.sock", "app", None),
            ("app.sock", "app", None),
            ("app.12.new", "app", None),
            ("app.12.sock.old", "app", None),
            ("app.x.sock", "app", None),
            ("app.-1.sock", "app", None),
        ] {
            assert_eq!(pid_of(OsStr::new(file), name, ENDING), pid, "{file}");
        }
    }

    /// Does what a command does that finds a socket, until it is told to end.
    async fn looks(folder: PathBuf, end: Arc<AtomicBool>) {
        let sockets = Sockets::made_in(folder).expect("it is ours alone");
        while !end.load(Ordering::SeqCst) {
            for socket in sockets.of("app").expect("it can be read") {
                if socket.connect().await.expect("it can be asked").is_none() {
                    sockets.clear(&socket).await;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_two_that_begin_at_the_same_moment_one_has_the_name_and_no_command_takes_it_away() {
        let folder = ground();
        let end = Arc::new(AtomicBool::new(false));
        let looking = tokio::spawn(looks(folder.path().to_owned(), Arc::clone(&end)));
        for round in 0..200 {
            let start = Arc::new(Barrier::new(2));
            let begun = [0, 1].map(|_| {
                let (sockets, start, runtime) = (sockets(&folder), Arc::clone(&start), Handle::current());
                tokio::task::spawn_blocking(move || {
                    start.wait();
                    runtime.block_on(sockets.listen("app", PID))
                })
            });
            let mut won = Vec::new();
            for one in begun {
                match one.await.expect("it does not panic") {
                    Ok(listening) => won.push(listening),
                    Err(error) => assert!(error.to_string().contains("app.7.sock is taken"), "{round}: {error}"),
                }
            }
            assert_eq!(won.len(), 1, "{round}");
            let [socket] = &sockets(&folder).of("app").expect("it can be read")[..] else {
                panic!("{round}: one name")
            };
            assert!(socket.connect().await.expect("it can be asked").is_some(), "{round}: somebody listens");
            assert_eq!(std::fs::metadata(&socket.path).expect("it is there").permissions().mode() & 0o777, 0o600);
            won[0].0.give_up();
            assert_eq!(files(&folder), [""; 0], "{round}");
        }
        end.store(true, Ordering::SeqCst);
        looking.await.expect("it does not panic");
    }

    #[tokio::test]
    async fn an_old_one_that_ends_leaves_its_successor_the_name() {
        let folder = ground();
        let (old, _listener) = sockets(&folder).listen("app", PID).await.expect("nobody is there");
        // Somebody has cleared the folder, and another of this number, in another container, has begun.
        let path = folder.path().join("app.7.sock");
        std::fs::remove_file(&path).expect("it is there");
        let (new, _another) = sockets(&folder).listen("app", PID).await.expect("nobody is there any more");
        old.give_up();
        assert_eq!(files(&folder), ["app.7.sock"]);
        new.give_up();
        assert_eq!(files(&folder), [""; 0]);
    }

    #[tokio::test]
    async fn what_killed_programs_have_left_is_taken_away_and_nothing_else() {
        let folder = ground();
        for file in ["app.1.sock", "app.7.sock", "app.2.new", "app.7.new", "other.3.sock", "other.3.new"] {
            drop(Std::bind(folder.path().join(file)).expect("it can be bound"));
        }
        let _alive = Std::bind(folder.path().join("app.5.sock")).expect("it can be bound");
        std::fs::write(folder.path().join("app.pid"), "7").expect("it can be written");
        let (_name, _listener) = sockets(&folder).listen("app", PID).await.expect("nobody is there");
        let left = ["app.5.sock", "app.7.sock", "app.pid", "other.3.new", "other.3.sock"];
        assert_eq!(files(&folder), left);
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_that_stays_locked_is_refused_and_a_command_does_without() {
        let folder = ground();
        drop(Std::bind(folder.path().join("app.1.sock")).expect("it can be bound"));
        let (holding, sockets) = (sockets(&folder), sockets(&folder));
        let held = holding.folder.try_lock().expect("it can be locked").expect("nobody has it");
        let left = sockets.of("app").expect("it can be read").remove(0);
        sockets.clear(&left).await;
        assert_eq!(files(&folder), ["app.1.sock"], "who has it locked may be about to take the name");
        let refused = sockets.listen("app", PID).await.expect_err("it is locked").to_string();
        assert!(
            refused.contains("another process has it locked") && refused.contains("SYMPHRA_CONTROL_DIR"),
            "{refused}"
        );
        drop(held);
        holding.clear(&left).await;
        assert_eq!(files(&folder), [""; 0]);
    }
}
