//! What a process knows of its store, by which it notices that the store has lost something.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::store::Failed;

/// Which store has answered, and how far it had come. Each call brings both: a store that is another one, or has not come so
/// far, has lost what it had answered.
#[derive(Default)]
pub(super) struct Known {
    store: OnceLock<String>,
    /// The highest count of steps that was answered. Answers may arrive in another order than they were given.
    pub(super) steps: AtomicU64,
    /// Whether it has lost something: it is not asked any more, although its count grows again by what others do.
    is_lost: AtomicBool,
}

impl Known {
    /// The store, or nothing before it is opened.
    pub(super) fn store(&self) -> &str {
        self.store.get().map_or("", String::as_str)
    }

    pub(super) fn has_answered(&self, store: String, steps: u64) {
        // One that is opened, and not made, has no name.
        if !store.is_empty() {
            self.store.get_or_init(|| store);
            self.steps.fetch_max(steps, Ordering::AcqRel);
        }
    }

    pub(super) fn lost(&self) {
        self.is_lost.store(true, Ordering::Release);
    }

    pub(super) fn is_whole(&self) -> Result<(), Failed> {
        if self.is_lost.load(Ordering::Acquire) { Err(Failed::Gone) } else { Ok(()) }
    }
}
