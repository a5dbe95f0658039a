//! Elsewhere: by the path, for the standard library can neither open without following a link nor tell whose a file is.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use super::NotOpened;

/// Opens the file at `path` to add to it, or makes it.
pub(crate) fn append(path: &Path) -> Result<File, NotOpened> {
    match fs::symlink_metadata(path) {
        Ok(shown) if !shown.is_file() => {
            let what = "is a symbolic link or something else that is no regular file".to_owned();
            Err(NotOpened::Untrusted { what, fix: None })
        }
        _ => Ok(OpenOptions::new().append(true).create(true).open(path)?),
    }
}

/// Whether at `path`, and not where a link there leads, is a regular file.
pub(crate) fn is_ours(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|shown| shown.is_file())
}

/// Renames a file, unless there is something of the new name, which is an error of the kind `AlreadyExists`.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match fs::symlink_metadata(to) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
    }
}
