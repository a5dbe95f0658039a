//! What a program may read while the engine runs.

use std::sync::{Mutex, MutexGuard, PoisonError};

use symphra_scheduler_core::Timestamp;

use super::event::Counted;

/// The counts that a program may read while the engine runs.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<Shown>);

#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    counted: Counted,
    /// Until when a clock that was set back shows instants a second time.
    repeats_until: Option<Timestamp>,
    /// Whether the node's clock is more than a second off from the store's.
    clock_differs: bool,
}

impl Counts {
    pub(super) fn add(&self, counted: Counted) {
        self.lock().counted.add(counted);
    }

    /// A clock that was set back shows again what lies before `until`.
    pub(super) fn repeats(&self, until: Timestamp) {
        let mut shown = self.lock();
        shown.repeats_until = shown.repeats_until.max(Some(until));
    }

    /// What lies before `until`, if anything, has fired already: by the marks as they stand now, whatever was believed.
    pub(crate) fn repeats_as_marks_stand(&self, until: Option<Timestamp>) {
        self.lock().repeats_until = until;
    }

    pub(super) fn clock_differs(&self, differs: bool) {
        self.lock().clock_differs = differs;
    }

    /// Whether the node's clock was found to be more than a second off from the store's.
    pub(crate) fn is_clock_off(&self) -> bool {
        self.lock().clock_differs
    }

    /// A panic cannot leave an addition half done.
    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self) -> Counted {
        self.lock().counted
    }

    /// Until when a clock that was set back shows instants a second time.
    pub(crate) fn repeats_until(&self) -> Option<Timestamp> {
        self.lock().repeats_until
    }
}
