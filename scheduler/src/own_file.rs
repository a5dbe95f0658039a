//! A file that belongs to this user alone: a regular one, opened without following a link and without waiting for a pipe.
//!
//! Invariant: what was opened is judged, and never what the path showed a moment before, since somebody may have put
//! another file there in between.

use std::io;

#[cfg(all(not(unix), feature = "logging"))]
mod elsewhere;
#[cfg(unix)]
mod unix;

#[cfg(all(not(unix), feature = "logging"))]
pub(crate) use elsewhere::{append, is_ours, rename_new};
#[cfg(all(unix, feature = "logging"))]
pub(crate) use unix::{append, is_ours, rename_new};
#[cfg(all(unix, feature = "daemon"))]
pub(crate) use unix::{me, mode, open_at, owned_by};

/// Why a file was not opened.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// The system says so.
    System(io::Error),
    /// It is there, and cannot be trusted: what it is, and what to do unless it should be removed.
    Untrusted { what: String, fix: Option<&'static str> },
}

impl From<io::Error> for NotOpened {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}
