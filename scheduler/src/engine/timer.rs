//! Which tasks wake when: buckets by instant, so that what is due together is found together.
//!
//! Instants are whole milliseconds, so a second has at most a thousand buckets, whatever the number of tasks. Entries
//! are not removed when a task is armed anew or is gone: whoever takes one compares its instant with the task's, and when they
//! are many, all that are stale are swept out.

use std::collections::{BTreeMap, HashSet};

use symphra_scheduler_core::Timestamp;

/// Emptied buckets kept for the next instants, so that a steady load allocates nothing.
const SPARE_BUCKETS_MAX: usize = 16;

/// Beside two for each task, so many entries may be there before they are swept.
const STALE_MAX: usize = 1_024;

/// The waking times of tasks, which are named by their numbers.
#[derive(Debug, Default)]
pub(super) struct Timer {
    buckets: BTreeMap<Timestamp, Vec<u32>>,
    /// How many entries the buckets have.
    pub(super) len: usize,
    spare: Vec<Vec<u32>>,
}

impl Timer {
    pub(super) fn wake(&mut self, task: u32, at: Timestamp) {
        let spare = &mut self.spare;
        self.buckets.entry(at).or_insert_with(|| spare.pop().unwrap_or_default()).push(task);
        self.len += 1;
    }

    /// Keeps of each task one entry, that for which `is_awaited` is true, if there are far more entries than `tasks`. So they
    /// are bounded, and the cost is shared by as many steps as there are tasks.
    pub(super) fn sweep_if_stale(&mut self, tasks: usize, is_awaited: impl Fn(u32, Timestamp) -> bool) {
        if self.len <= 2 * tasks + STALE_MAX {
            return;
        }
        let mut seen = HashSet::new();
        self.buckets.retain(|&at, bucket| {
            bucket.retain(|&task| is_awaited(task, at) && seen.insert(task));
            !bucket.is_empty()
        });
        self.len = self.buckets.values().map(Vec::len).sum();
    }

    /// The earliest waking time.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.buckets.first_key_value().map(|(&at, _)| at)
    }

    /// Takes the tasks of the earliest instant whose time has come.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<(Timestamp, Vec<u32>)> {
        let first = self.buckets.first_entry().filter(|first| *first.key() <= now)?;
        let (at, tasks) = first.remove_entry();
        self.len -= tasks.len();
        Some((at, tasks))
    }

    /// Takes back a bucket that was emptied.
    pub(super) fn reuse(&mut self, emptied: Vec<u32>) {
        if self.spare.len() < SPARE_BUCKETS_MAX {
            self.spare.push(emptied);
        }
    }

    pub(super) fn clear(&mut self) {
        self.buckets.clear();
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn entries_that_nobody_awaits_are_swept_out() {
        let mut timer = Timer::default();
        timer.wake(1, at(7));
        for wake in 0..100_000 {
            timer.wake(0, at(1_000 + wake));
            timer.wake(1, at(7));
            timer.sweep_if_stale(2, |task, at| at.as_millis() == if task == 1 { 7 } else { 1_000 + wake });
            assert!(timer.len <= 2 * 2 + STALE_MAX);
        }
        let all: usize = timer.buckets.values().map(Vec::len).sum();
        assert_eq!(timer.len, all);
        assert_eq!(timer.first(), Some(at(7)), "and those that somebody awaits stay");
    }

    #[test]
    fn tasks_come_by_instant_and_none_before_its_time() {
        let mut timer = Timer::default();
        for (task, wake) in [(0, 30), (1, 10), (2, 20), (3, 10)] {
            timer.wake(task, at(wake));
        }
        assert_eq!(timer.first(), Some(at(10)));
        assert_eq!(timer.pop(at(9)), None);
        assert_eq!(timer.pop(at(20)), Some((at(10), vec![1, 3])));
        assert_eq!(timer.pop(at(20)), Some((at(20), vec![2])));
        assert_eq!(timer.pop(at(20)), None);
        assert_eq!(timer.first(), Some(at(30)));
    }
}
