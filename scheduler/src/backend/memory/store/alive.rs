//! Runs that are alive, in slots that are used again, and the chain of those of a task that have begun.

use super::AliveRun;

/// Runs that are alive.
#[derive(Default)]
pub(super) struct Slab {
    slots: Vec<Option<AliveRun>>,
    free: Vec<u32>,
    /// How many runs were ever alive.
    made: u64,
}

impl Slab {
    pub(super) fn insert(&mut self, run: AliveRun) -> u32 {
        self.made += 1;
        let run = AliveRun { number: self.made, ..run };
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(run);
            return slot;
        }
        self.slots.push(Some(run));
        super::number(self.slots.len() - 1)
    }

    pub(super) fn get(&self, slot: u32) -> &AliveRun {
        self.slots[slot as usize].as_ref().expect("a slot that is referred to holds a run")
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> &mut AliveRun {
        self.slots[slot as usize].as_mut().expect("a slot that is referred to holds a run")
    }

    pub(super) fn remove(&mut self, slot: u32) -> AliveRun {
        self.free.push(slot);
        self.slots[slot as usize].take().expect("a slot that is referred to holds a run")
    }

    #[cfg(feature = "rabbitmq")]
    pub(super) const fn made(&self) -> u64 {
        self.made
    }

    #[cfg(feature = "rabbitmq")]
    pub(super) const fn set_made(&mut self, made: u64) {
        self.made = made;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &AliveRun> {
        self.slots.iter().flatten()
    }
}

/// The number of no slot.
const NONE: u32 = u32::MAX;

/// The neighbours of a run in the chain of its task.
#[derive(Clone, Copy)]
pub(super) struct Links {
    older: u32,
    newer: u32,
}

impl Default for Links {
    fn default() -> Self {
        Self { older: NONE, newer: NONE }
    }
}

/// The runs of a task that have begun and not ended, held or between two attempts, in the order in which they began.
/// Without allocation, and each step is constant: a task may have thousands of them.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    oldest: u32,
    newest: u32,
    len: u32,
}

impl Default for Begun {
    fn default() -> Self {
        Self { oldest: NONE, newest: NONE, len: 0 }
    }
}

impl Begun {
    pub(super) const fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn push(&mut self, slot: u32, runs: &mut Slab) {
        runs.get_mut(slot).links = Links { older: self.newest, newer: NONE };
        match self.newest {
            NONE => self.oldest = slot,
            newest => runs.get_mut(newest).links.newer = slot,
        }
        self.newest = slot;
        self.len += 1;
    }

    pub(super) fn remove(&mut self, slot: u32, runs: &mut Slab) {
        let Links { older, newer } = std::mem::take(&mut runs.get_mut(slot).links);
        match older {
            NONE => self.oldest = newer,
            older => runs.get_mut(older).links.newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => runs.get_mut(newer).links.older = older,
        }
        self.len -= 1;
    }

    /// Their slots, the one that began first before the others.
    pub(super) fn iter(self, runs: &Slab) -> impl Iterator<Item = u32> {
        let some = |slot: u32| (slot != NONE).then_some(slot);
        std::iter::successors(some(self.oldest), move |&slot| some(runs.get(slot).links.newer))
    }
}
