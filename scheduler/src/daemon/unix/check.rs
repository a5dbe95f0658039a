//! Whether a daemon could have its files, found out without making any of them.

use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD};

use super::{LOG_FILE, PID_FILE, Place, Spot};
use crate::config::DaemonConfig;
use crate::config::daemon::is_name;
use crate::daemon::{Hindrance, Weight};
use crate::error::Error;
use crate::runtime_dir::Folder;

/// Everything in the way of a daemon with these settings. What is impossible in the settings themselves is told with
/// them, and passed over here.
pub(crate) fn hindrances(settings: &DaemonConfig) -> Vec<Hindrance> {
    let mut settings = settings.clone();
    settings.name = settings.name.filter(|name| is_name(name));
    let each = [
        ("daemon.pid_file", Place::pid_file_of(&settings), PID_FILE),
        ("daemon.log_file", Place::log_file_of(&settings), LOG_FILE),
    ];
    let mut found = Vec::new();
    for (key, spot, how) in each {
        let Ok(spot) = spot else { continue };
        if let Err(error) = spot.could_be_had(how) {
            found.push(Hindrance { key, says: error.to_string(), weight: spot.weight() });
        }
    }
    if let Some(folder) = &settings.working_directory
        && let Err(error) = could_be_worked_in(folder)
    {
        let says = format!("{} cannot be worked in ({error}); choose another folder", folder.display());
        found.push(Hindrance { key: "daemon.working_directory", says, weight: Weight::Problem });
    }
    found
}

impl Spot {
    fn could_be_had(&self, how: rustix::fs::OFlags) -> Result<(), Error> {
        let folder = match self.chosen {
            true => Some(Folder::chosen(&self.folder, self.purpose)?),
            false => Folder::private_if_there(&self.folder, self.purpose)?,
        };
        match folder {
            Some(folder) => folder.could_have(&self.file, how),
            None => Folder::could_be_made(&self.folder, self.purpose),
        }
    }

    /// A program that is never a daemon has no need of the default folder, so that one that cannot be made is no mistake.
    fn weight(&self) -> Weight {
        let is_there = self.folder.symlink_metadata().is_ok();
        if self.chosen || is_there { Weight::Problem } else { Weight::Note }
    }
}

fn could_be_worked_in(folder: &Path) -> std::io::Result<()> {
    if !std::fs::metadata(folder)?.is_dir() {
        return Err(std::io::ErrorKind::NotADirectory.into());
    }
    Ok(rustix::fs::accessat(CWD, folder, Access::EXEC_OK, AtFlags::EACCESS)?)
}
