//! Which tasks wake when: buckets by instant, so that what is due together is found together.
//!
//! Instants are whole milliseconds, so a second has at most a thousand buckets, whatever the number of tasks. Entries
//! are not removed when a task is armed anew: whoever takes one compares its instant with the task's.

use std::collections::BTreeMap;

use symphra_scheduler_core::Timestamp;

/// Emptied buckets kept for the next instants, so that a steady load allocates nothing.
const SPARE_BUCKETS_MAX: usize = 16;

/// The waking times of tasks, which are named by their numbers.
#[derive(Debug, Default)]
pub(super) struct Timer {
    buckets: BTreeMap<Timestamp, Vec<u32>>,
    spare: Vec<Vec<u32>>,
}

impl Timer {
    pub(super) fn wake(&mut self, task: u32, at: Timestamp) {
        let spare = &mut self.spare;
        self.buckets.entry(at).or_insert_with(|| spare.pop().unwrap_or_default()).push(task);
    }

    /// The earliest waking time.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.buckets.first_key_value().map(|(&at, _)| at)
    }

    /// Takes the tasks of the earliest instant whose time has come.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<(Timestamp, Vec<u32>)> {
        let first = self.buckets.first_entry().filter(|first| *first.key() <= now)?;
        Some(first.remove_entry())
    }

    /// Takes back a bucket that was emptied.
    pub(super) fn reuse(&mut self, emptied: Vec<u32>) {
        if self.spare.len() < SPARE_BUCKETS_MAX {
            self.spare.push(emptied);
        }
    }

    pub(super) fn clear(&mut self) {
        self.buckets.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
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
