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

    /// Takes one task whose time has come, the earliest first.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<(Timestamp, u32)> {
        loop {
            let mut first = self.buckets.first_entry()?;
            let at = *first.key();
            if at > now {
                return None;
            }
            if let Some(task) = first.get_mut().pop() {
                return Some((at, task));
            }
            let emptied = first.remove();
            if self.spare.len() < SPARE_BUCKETS_MAX {
                self.spare.push(emptied);
            }
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
        let mut popped: Vec<_> = std::iter::from_fn(|| timer.pop(at(20))).collect();
        popped[..2].sort_unstable();
        assert_eq!(popped, [(at(10), 1), (at(10), 3), (at(20), 2)]);
        assert_eq!(timer.first(), Some(at(30)));
    }
}
