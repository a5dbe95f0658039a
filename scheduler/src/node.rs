//! The name of this node, and of this start of it; and whether it can still trust in its leases.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Whether this node reaches its store, whether it may have lost its hold on its runs because it has not for too long, and
/// whether runs that it holds may begin.
#[derive(Debug)]
pub(crate) struct Lease {
    contact: watch::Sender<Contact>,
    /// From the first heartbeat that was not answered until somebody has looked what the node still holds.
    holds_back: AtomicBool,
}

/// How a node stands to its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contact {
    /// The last heartbeat was answered.
    Fine,
    /// The last heartbeat was not.
    Failing,
    /// None was for so long that another node may soon take its runs over.
    Lost,
}

impl Default for Lease {
    fn default() -> Self {
        Self { contact: watch::Sender::new(Contact::Fine), holds_back: AtomicBool::new(false) }
    }
}

impl Lease {
    /// Tells those who wait for it. While the contact is not fine no run begins, and afterwards none before it is
    /// [let](Self::let_begin).
    pub(crate) fn set(&self, contact: Contact) {
        self.contact.send_if_modified(|known| {
            if contact != Contact::Fine {
                self.hold_back();
            }
            std::mem::replace(known, contact) != contact
        });
    }

    pub(crate) fn contact(&self) -> Contact {
        *self.contact.borrow()
    }

    /// From now on no run begins.
    pub(crate) fn hold_back(&self) {
        self.holds_back.store(true, Ordering::SeqCst);
    }

    /// From now on runs begin again, if the contact is fine.
    pub(crate) fn let_begin(&self) {
        // Under the lock, so that a loss of contact in between is not overruled.
        self.contact.send_if_modified(|&mut contact| {
            self.holds_back.store(contact != Contact::Fine, Ordering::SeqCst);
            false
        });
    }

    /// Whether runs that the node holds may begin.
    pub(crate) fn may_begin(&self) -> bool {
        !self.holds_back.load(Ordering::SeqCst)
    }

    /// Returns when the hold may be lost.
    pub(crate) async fn lost(&self) {
        // The sender lives as long as this borrow, so the wait cannot fail.
        let _ = self.contact.subscribe().wait_for(|&contact| contact == Contact::Lost).await;
    }
}

/// `host-pid`, the default name of a node.
pub(crate) fn default_name() -> Arc<str> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("COMPUTERNAME").or_else(|_| std::env::var("HOSTNAME")).ok())
        .map(|host| host.trim().to_owned())
        .filter(|host| !host.is_empty());
    Arc::from(format!("{}-{}", host.as_deref().unwrap_or("host"), std::process::id()))
}

/// The holder's name of one start of `node`: a node that is started again must not be taken for the one that died.
pub(crate) fn this_start(node: &str, random: &mut fastrand::Rng) -> Arc<str> {
    Arc::from(format!("{node}-{:016x}", random.u64(..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_name_ends_with_the_process_id() {
        assert!(default_name().ends_with(&format!("-{}", std::process::id())));
    }

    #[test]
    fn two_starts_of_a_node_are_two_holders() {
        let mut random = fastrand::Rng::with_seed(7);
        assert_ne!(this_start("a", &mut random), this_start("a", &mut random));
    }
}
