//! Ids of submissions, of which the last are remembered.

use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasherDefault;

use super::RandomBits;
use crate::run::RunId;

/// Ids that came last, to recognise those that come again.
#[derive(Default)]
pub(super) struct LastIds {
    pub(super) in_order: VecDeque<RunId>,
    pub(super) ids: HashSet<RunId, BuildHasherDefault<RandomBits>>,
}

impl LastIds {
    /// Remembers an id, and as many before it as `max` allows.
    pub(super) fn remember(&mut self, id: RunId, max: usize) {
        if self.in_order.len() == max
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        self.in_order.push_back(id);
        self.ids.insert(id);
    }
}
