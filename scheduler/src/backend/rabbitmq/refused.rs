//! Why a store cannot be used as it is.

use std::fmt;

use super::message::{ADMITS, KNOWN};

#[derive(Debug)]
pub(crate) enum Refused {
    /// A newer program has changed what is kept, and says that this one is too old for it.
    TooNew { reached: u32, admits: u32 },
    /// The owner is of an older program, which does not know what this one asks it for.
    OwnerTooOld { reached: u32 },
    /// There is nothing yet, and this program may not make it.
    Missing,
}

impl Refused {
    /// The version of the store, if a program that may do so would bring it up to date.
    #[cfg(feature = "cli")]
    pub(crate) const fn version_below(&self) -> Option<i64> {
        match self {
            Self::Missing => Some(0),
            Self::TooNew { .. } | Self::OwnerTooOld { .. } => None,
        }
    }
}

/// Whether this program may call an owner that says this of itself.
pub(super) fn may_call(reached: u32, admits: u32) -> Result<(), Refused> {
    match (reached, admits) {
        _ if admits > KNOWN => Err(Refused::TooNew { reached, admits }),
        _ if reached < ADMITS => Err(Refused::OwnerTooOld { reached }),
        _ => Ok(()),
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooNew { reached, admits } => f.write_str(&too_new(*reached, *admits)),
            Self::OwnerTooOld { reached } => write!(
                f,
                "the node that owns it is of an older program, at version {reached}, and this one needs an owner of version \
                 {ADMITS} or later: stop the older programs first, then start this one"
            ),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_of_another_version_is_called_where_both_know_what_is_said() {
        let refused = |reached, admits| may_call(reached, admits).err().map(|refused| refused.to_string());
        assert_eq!(refused(KNOWN, ADMITS), None);
        assert_eq!(refused(KNOWN + 1, KNOWN), None, "a newer one that admits this program");
        let newer = refused(KNOWN + 1, KNOWN + 1).expect("it may not");
        assert!(newer.contains("use a newer symphra-scheduler"), "{newer}");
        let older = refused(ADMITS - 1, 1).expect("it may not");
        assert!(older.contains("stop the older programs first"), "{older}");
    }
}
