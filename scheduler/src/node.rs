//! The name of this node, and of this start of it; and whether it can still trust in its leases.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

/// Whether this node reaches its store, whether it may have lost its hold on its runs because it has not for too long, and
/// whether runs that it holds may begin.
#[derive(Debug)]
pub(crate) struct Lease {
    contact: watch::Sender<Contact>,
    /// From the first heartbeat that was not answered until somebody has looked what the node still holds.
    holds_back: AtomicBool,
    /// How long the last heartbeat that was answered is good for; `None` before the first.
    good_until: Mutex<Option<Instant>>,
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
        let (holds_back, good_until) = (AtomicBool::new(false), Mutex::default());
        Self { contact: watch::Sender::new(Contact::Fine), holds_back, good_until }
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

    /// A heartbeat was answered, which is good until then.
    pub(crate) fn renew(&self, good_until: Instant) {
        *self.good_until() = Some(good_until);
    }

    /// Whether runs that the node holds may begin.
    pub(crate) fn may_begin(&self) -> bool {
        !self.holds_back.load(Ordering::SeqCst)
    }

    /// The same for whoever is about to have one begin at `now`. A process that was frozen finds here that time has passed,
    /// before a heartbeat could tell; from then on nothing begins until one has been answered.
    pub(crate) fn may_begin_at(&self, now: Instant) -> bool {
        // Held back under the lock, so that whoever renews it knows.
        let good_until = self.good_until();
        if good_until.is_some_and(|until| now >= until) {
            self.hold_back();
        }
        drop(good_until);
        self.may_begin()
    }

    /// The lock guards one value, which is always whole.
    fn good_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.good_until.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[tokio::test(start_paused = true)]
    async fn nothing_begins_once_the_last_heartbeat_is_too_old_until_it_is_let_again() {
        let (lease, second) = (Lease::default(), std::time::Duration::from_secs(1));
        let start = Instant::now();
        assert!(lease.may_begin_at(start + 100 * second), "no heartbeat has begun");
        lease.renew(start + 5 * second);
        assert!(lease.may_begin_at(start + 4 * second));
        assert!(!lease.may_begin_at(start + 5 * second));
        lease.renew(start + 10 * second);
        assert!(!lease.may_begin_at(start + 6 * second), "nobody has looked what is still held");
        lease.let_begin();
        assert!(lease.may_begin_at(start + 6 * second));
    }

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
