//! Runs that ended by the death of their node, of which a store tells every node that follows it. Pure.
//!
//! Invariant: a node counts the end of a run once, also where it was itself taken for dead, and has ended the run, or is yet
//! to end it, although that is over.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::event::Actions;
use super::notice::Notice;
use super::state::State;
use crate::backend::{Died, End, Finish};
use crate::outcome::CancelCause;
use crate::run::RunId;

/// What has to be remembered so that no end is counted twice.
pub(super) struct Deaths {
    /// Runs that have ended so: what this node still has of them is over.
    over: Recent,
    /// Runs whose end this node has counted and could not store, because others had them.
    stale: Recent,
}

impl Deaths {
    /// Of as many runs, of either kind, as the node can hold: it was taken for dead with no more.
    pub(super) fn remembered_of(held_max: usize) -> Self {
        let recent = || Recent { max: held_max.max(1), in_order: VecDeque::new(), ids: HashSet::new() };
        Self { over: recent(), stale: recent() }
    }

    /// Whether the run has ended by the death of its node, as far as is remembered.
    pub(super) fn is_over(&self, run: RunId) -> bool {
        // Most nodes never hear of a death, and this is asked for every run.
        !self.over.ids.is_empty() && self.over.ids.contains(&run)
    }

    /// An end that is counted was not stored.
    pub(super) fn was_stale(&mut self, run: RunId) {
        self.stale.insert(run);
    }
}

/// The last runs that were inserted.
struct Recent {
    max: usize,
    in_order: VecDeque<RunId>,
    ids: HashSet<RunId>,
}

impl Recent {
    /// Tells whether it is new.
    fn insert(&mut self, run: RunId) -> bool {
        if !self.ids.insert(run) {
            return false;
        }
        if self.in_order.len() == self.max
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        self.in_order.push_back(run);
        true
    }
}

impl State {
    /// A run has ended by the death of its node. It was nobody's then, so every node that has its task counts it.
    pub(super) fn died(&mut self, died: Died, actions: &mut Actions) {
        if !self.deaths.over.insert(died.id) {
            return;
        }
        self.resumed(died.id);
        // Where it had its place, another may be free to begin.
        self.claims.now = true;
        // If it is here, this node was only taken for dead.
        actions.cancel.push((died.id, CancelCause::TakenOver));
        if self.has_counted_the_end_of(died.id) {
            return;
        }
        let Some(place) = self.place(died.task) else { return };
        let task = Arc::clone(&self.tasks[place as usize].live);
        task.tally().died(died.state, died.ended_at);
        actions.counted.failed += 1;
        actions.notices.push(Notice::Died { task: task.name.clone(), died });
    }

    fn has_counted_the_end_of(&self, run: RunId) -> bool {
        let is_its_end = |finish: &Finish| finish.id == run && matches!(finish.end, End::Final(_));
        self.deaths.stale.ids.contains(&run) || self.storing.contains(&run) || self.to_finish.iter().any(is_its_end)
    }
}
