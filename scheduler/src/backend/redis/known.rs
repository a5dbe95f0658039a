//! What a process knows of its store, by which it notices that the store has lost something.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::store::Failed;

/// How many answers may be out of which others have overtaken: more than calls are under way at once, and the numbers of some
/// that were lost with their connections.
const OVERTAKEN_MAX: usize = 4_096;

/// Which store has answered, and which of its answers. The store counts them for each process (`callers.lua`), and each call
/// brings the highest count that was answered: a store that is another one, or has not counted so far, has lost what it had
/// answered. So has one that gives a number twice.
pub(super) struct Known {
    store: OnceLock<String>,
    /// By which the store tells this process from others.
    caller: String,
    answers: Mutex<Answers>,
    /// Whether it has lost something: it is not asked any more.
    is_lost: AtomicBool,
}

/// The answers that have arrived, in whatever order.
#[derive(Default)]
struct Answers {
    highest: u64,
    /// Numbers below it that have not arrived.
    overtaken: BTreeSet<u64>,
}

impl Answers {
    /// Tells whether the number is a new one.
    fn arrives(&mut self, number: u64) -> bool {
        if number <= self.highest {
            return self.overtaken.remove(&number);
        }
        let between = number - self.highest - 1;
        let kept = between.min(OVERTAKEN_MAX as u64);
        self.overtaken.extend(number - kept..number);
        while self.overtaken.len() > OVERTAKEN_MAX {
            self.overtaken.pop_first();
        }
        self.highest = number;
        true
    }
}

impl Known {
    pub(super) fn new() -> Self {
        let caller = uuid::Uuid::from_u128(fastrand::u128(..)).simple().to_string();
        Self { store: OnceLock::new(), caller, answers: Mutex::default(), is_lost: AtomicBool::new(false) }
    }

    /// The store, or nothing before it is opened.
    pub(super) fn store(&self) -> &str {
        self.store.get().map_or("", String::as_str)
    }

    pub(super) fn caller(&self) -> &str {
        &self.caller
    }

    /// The highest number of an answer that has arrived.
    pub(super) fn answered(&self) -> u64 {
        self.answers().highest
    }

    /// Takes note of an answer; one that was not counted has the number 0.
    pub(super) fn has_answered(&self, store: String, number: u64) {
        // One that is opened, and not made, has no name.
        if !store.is_empty() {
            self.store.get_or_init(|| store);
        }
        if number > 0 && !self.answers().arrives(number) {
            self.lost();
        }
    }

    pub(super) fn lost(&self) {
        self.is_lost.store(true, Ordering::Release);
    }

    pub(super) fn is_whole(&self) -> Result<(), Failed> {
        if self.is_lost.load(Ordering::Acquire) { Err(Failed::Gone) } else { Ok(()) }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_arrive_in_any_order_and_each_once() {
        let mut answers = Answers::default();
        for (number, is_new) in
            [(1, true), (4, true), (2, true), (2, false), (4, false), (3, true), (3, false), (5, true)]
        {
            assert_eq!(answers.arrives(number), is_new, "{number}");
        }
        assert_eq!((answers.highest, answers.overtaken.len()), (5, 0));
    }

    #[test]
    fn answers_that_never_arrive_are_remembered_in_bounded_space() {
        let mut answers = Answers::default();
        for number in 1..=10_000 {
            assert!(answers.arrives(number * 1_000));
        }
        assert_eq!(answers.overtaken.len(), OVERTAKEN_MAX);
    }
}
