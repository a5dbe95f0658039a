//! Why a store cannot be used as it is.

use std::fmt;

use super::message::KNOWN;

#[derive(Debug)]
pub(crate) enum Refused {
    /// A newer program has changed what is kept, and says that this one is too old for it.
    TooNew { reached: u32, admits: u32 },
    /// There is nothing yet, and this program may not make it.
    Missing,
}

impl Refused {
    /// The version of the store, if a program that may do so would bring it up to date.
    #[cfg(feature = "cli")]
    pub(crate) const fn version_below(&self) -> Option<i64> {
        match self {
            Self::Missing => Some(0),
            Self::TooNew { .. } => None,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooNew { reached, admits } => f.write_str(&too_new(*reached, *admits)),
            Self::Missing => f.write_str(
                "it has no exchange and queue of this namespace, and with migrate = \"check\" none are made: run the command \
                 `migrate`, or use migrate = \"auto\"",
            ),
        }
    }
}

impl std::error::Error for Refused {}

pub(super) fn too_new(reached: u32, admits: u32) -> String {
    format!(
        "its state is at version {reached}, on which programs work that know version {admits} or later, and this one knows \
         {KNOWN}: use a newer symphra-scheduler, or another namespace"
    )
}
