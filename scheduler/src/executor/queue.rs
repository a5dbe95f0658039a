//! The runs that wait for a worker: by priority, the highest first, and then as they were accepted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use super::Job;

/// Waiting runs. A queue for each priority that was ever used, of which there are 201 at most; nearly always one.
#[derive(Default)]
pub(super) struct Queue {
    by_priority: BTreeMap<Reverse<i8>, VecDeque<Job>>,
    len: usize,
}

impl Queue {
    pub(super) fn push(&mut self, job: Job) {
        self.by_priority.entry(Reverse(job.task.policy.priority)).or_default().push_back(job);
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<Job> {
        let job = self.by_priority.values_mut().find_map(VecDeque::pop_front)?;
        self.len -= 1;
        Some(job)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.by_priority.values().flatten()
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Takes out the runs for which `wanted` is true.
    pub(super) fn take(&mut self, wanted: impl Fn(&Job) -> bool) -> Vec<Job> {
        let mut taken = Vec::new();
        for queue in self.by_priority.values_mut().filter(|queue| queue.iter().any(&wanted)) {
            let (out, kept): (VecDeque<Job>, VecDeque<Job>) = queue.drain(..).partition(&wanted);
            taken.extend(out);
            *queue = kept;
        }
        self.len -= taken.len();
        taken
    }
}
