//! Whose turn it is to make a step that may have to wait for the transaction of a caller, which may take its time.
//!
//! Of those who want one key, one waits in the database and the others here, so that such steps never have all connections,
//! and who wants another key is held up by nobody.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::backend::TaskKey;

/// How long a turn is waited for: longer than two steps wait for what a caller's transaction holds.
pub(in super::super) const TURN_MAX: Duration = Duration::from_secs(5);

/// From how many keys on those that nobody wants any more are forgotten.
const KEYS_KEPT: usize = 64;

/// A key of a task's jobs.
pub(in super::super) type Key = (TaskKey, Arc<str>);

/// The turns of a store.
#[derive(Debug)]
pub(in super::super) struct Turns {
    seats: Arc<Semaphore>,
    keys: Mutex<HashMap<Key, Weak<tokio::sync::Mutex<()>>>>,
}

/// A turn, as long as this lives.
#[derive(Debug)]
pub(in super::super) struct Turn {
    _keys: Vec<OwnedMutexGuard<()>>,
    _seat: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// So many steps that may have to wait are made at once.
    pub(in super::super) fn new(seats: usize) -> Self {
        Self { seats: Arc::new(Semaphore::new(seats)), keys: Mutex::default() }
    }

    /// Waits for the turn of those who want these keys; `None` if that takes longer than [`TURN_MAX`].
    pub(in super::super) async fn take(&self, keys: BTreeSet<Key>) -> Option<Turn> {
        let taking = async {
            let mut held = Vec::with_capacity(keys.len());
            // In one order, so that no two wait for each other.
            for key in keys {
                held.push(self.of(key).lock_owned().await);
            }
            // Nobody closes it.
            let seat = Arc::clone(&self.seats).acquire_owned().await.ok();
            Turn { _keys: held, _seat: seat }
        };
        tokio::time::timeout(TURN_MAX, taking).await.ok()
    }

    fn of(&self, key: Key) -> Arc<tokio::sync::Mutex<()>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= KEYS_KEPT {
            keys.retain(|_, wanted| wanted.strong_count() > 0);
        }
        let known = keys.get(&key).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let new = Arc::new(tokio::sync::Mutex::default());
            keys.insert(key, Arc::downgrade(&new));
            new
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> BTreeSet<Key> {
        BTreeSet::from([(TaskKey(1), name.into())])
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_one_key_holds_up_nobody_who_wants_another() {
        let turns = Turns::new(2);
        let first = turns.take(key("a")).await.expect("it is free");
        let more: Vec<_> = (0..5).map(|_| turns.take(key("a"))).collect();
        let other = async {
            let began = tokio::time::Instant::now();
            assert!(turns.take(key("b")).await.is_some());
            began.elapsed()
        };
        let waiting = async {
            for one in more {
                assert!(one.await.is_none(), "the first is still at it");
            }
        };
        let ((), waited) = tokio::join!(waiting, other);
        assert_eq!(waited, Duration::ZERO);
        drop(first);
        assert!(turns.take(key("a")).await.is_some(), "it is free again");
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_wait_in_the_database_and_unwanted_keys_are_forgotten() {
        let turns = Turns::new(2);
        let (a, b) = (turns.take(key("a")).await, turns.take(key("b")).await);
        assert!(a.is_some() && b.is_some());
        assert!(turns.take(BTreeSet::new()).await.is_none(), "there is no seat");
        drop((a, b));
        for number in 0..500 {
            assert!(turns.take(key(&number.to_string())).await.is_some());
        }
        assert!(turns.keys.lock().expect("nobody panicked").len() <= KEYS_KEPT);
    }
}
