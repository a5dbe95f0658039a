//! By which path this program is started anew: the one by which it was started itself.
//!
//! A link that an upgrade has pointed elsewhere leads to the new program; the file from which this process runs would be
//! the old one. What counts is what the kernel was asked to execute. The first argument does not: it is what whoever
//! started the program wanted it to be called, and need not be a path of it at all.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

#[cfg(target_os = "linux")]
mod asked;

/// The path of the program to be started.
pub(super) fn path() -> io::Result<PathBuf> {
    let own = own_file()?;
    #[cfg(target_os = "linux")]
    if let Some(path) = asked::asked_for().and_then(|asked| asked::believed(&asked, &own)) {
        return Ok(path);
    }
    Ok(own)
}

/// The file from which this process runs. Linux adds a word to the path of one that was replaced since, as by an update; the
/// new one is meant.
fn own_file() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let replaced = path.as_os_str().as_bytes().strip_suffix(b" (deleted)").map(|path| OsStr::from_bytes(path).into());
    Ok(replaced.filter(|_| !path.exists()).unwrap_or(path))
}
