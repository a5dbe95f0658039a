//! Where the control sockets stand: `<name>.<pid>.sock` in the runtime folder of the user, or where
//! `SYMPHRA_CONTROL_DIR` says.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use tokio::net::UnixStream;

use crate::error::Error;
use crate::runtime_dir::{CONTROL_FOLDER, Folder, Purpose, User};

const ENDING: &str = ".sock";

/// The folder of the control sockets of this user.
pub(super) fn folder() -> PathBuf {
    let named = std::env::var_os(CONTROL_FOLDER).map(PathBuf::from).filter(|folder| folder.is_absolute());
    named.unwrap_or_else(|| User::present().runtime_dir())
}

pub(super) fn file_name(name: &str, pid: u32) -> String {
    format!("{name}.{pid}{ENDING}")
}

/// A control socket that has been there, of a process that may be gone.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) pid: u32,
    pub(super) path: PathBuf,
}

impl Socket {
    pub(super) fn of(name: &str, pid: u32) -> Self {
        Self { pid, path: folder().join(file_name(name, pid)) }
    }

    /// The sockets of the programs of this name, by PID.
    pub(super) fn all_of(name: &str) -> Result<Vec<Self>, Error> {
        let folder = folder();
        if !folder.exists() {
            return Ok(Vec::new());
        }
        // A folder that others can write to may hold the socket of anybody.
        Folder::private(&folder, Purpose::ControlSocket)?;
        let cannot = |error: io::Error| Error::refused(format!("{} cannot be read ({error})", folder.display()));
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            if let Some(pid) = pid_of(&entry.file_name(), name) {
                found.push(Self { pid, path: entry.path() });
            }
        }
        found.sort_unstable_by_key(|socket| socket.pid);
        Ok(found)
    }

    /// Connects; nothing if nobody listens any more, in which case what was left behind is removed.
    pub(super) async fn connect(&self) -> io::Result<Option<UnixStream>> {
        match UnixStream::connect(&self.path).await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.remove();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// One that cannot be removed stays without harm: nobody listens there.
    pub(super) fn remove(&self) {
        drop(std::fs::remove_file(&self.path));
    }
}

/// The process of a socket of the program `name`.
fn pid_of(file: &OsStr, name: &str) -> Option<u32> {
    file.to_str()?.strip_prefix(name)?.strip_prefix('.')?.strip_suffix(ENDING)?.parse().ok()
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
    use super::*;

    #[test]
    fn names_that_begin_alike_are_told_apart() {
        for (file, name, pid) in [
            ("app.12.sock", "app", Some(12)),
            ("app.1.12.sock", "app", None),
            ("app.1.12.sock", "app.1", Some(12)),
            ("application.12.sock", "app", None),
            ("app.sock", "app", None),
            ("app.12.sock.old", "app", None),
            ("app.x.sock", "app", None),
            ("app.-1.sock", "app", None),
        ] {
            assert_eq!(pid_of(OsStr::new(file), name), pid, "{file}");
        }
    }
}
