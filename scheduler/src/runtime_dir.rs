//! Where the files of a running program stand by default, and folders that can be trusted with them.

use std::path::{Path, PathBuf};

mod folder;

pub(crate) use folder::Folder;
#[cfg(feature = "cli")]
pub(crate) use folder::{Held, Identity};

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

/// The user whose rights this process has.
fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// What a folder or a file is for, by which a refusal knows how another one is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    PidFile,
    LogFile,
    #[cfg(feature = "cli")]
    ControlSocket,
}

/// The environment variable that names another folder of control sockets; a program and its commands have to agree on it.
#[cfg(feature = "cli")]
pub(crate) const CONTROL_FOLDER: &str = "SYMPHRA_CONTROL_DIR";

impl Purpose {
    fn another_folder(self) -> String {
        match self {
            Self::PidFile => "set `pid_file` to a file in a folder of this user".to_owned(),
            Self::LogFile => "set `log_file` to a file in a folder of this user".to_owned(),
            #[cfg(feature = "cli")]
            Self::ControlSocket => format!("set {CONTROL_FOLDER} to a folder of this user"),
        }
    }

    fn another_file(self) -> String {
        match self {
            Self::PidFile => "remove it, or set `pid_file` to another file".to_owned(),
            Self::LogFile => "remove it, or set `log_file` to another file".to_owned(),
            #[cfg(feature = "cli")]
            Self::ControlSocket => format!("remove it, or {}", self.another_folder()),
        }
    }
}

#[cfg(test)]
mod tests {
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
}
