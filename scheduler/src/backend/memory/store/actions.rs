//! What people have asked for.

use std::collections::VecDeque;

use symphra_scheduler_core::Timestamp;

use super::Store;
use crate::backend::{ACTIONS_MAX, Action, NewAction};

/// The last that was asked for, the oldest first.
#[derive(Default)]
pub(super) struct Actions(VecDeque<Action>);

impl Actions {
    pub(super) fn add(&mut self, action: Action) {
        if self.0.len() == ACTIONS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(action);
    }

    #[cfg(feature = "rabbitmq")]
    pub(super) fn image(&self) -> impl Iterator<Item = Action> {
        self.0.iter().cloned()
    }
}

impl Store {
    pub(in super::super) fn note(&mut self, action: NewAction, now: Timestamp) {
        self.actions.add(Action::new(now, action));
    }

    pub(in super::super) fn actions(&self, limit: usize) -> Vec<Action> {
        self.actions.0.iter().rev().take(limit).cloned().collect()
    }
}
