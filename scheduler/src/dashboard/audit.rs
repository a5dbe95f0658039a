//! The latest changes that were asked for here: who asked for what, when, and what came of it. The engine's log has all of
//! them; this is what a page shows without it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::page::ActionView;
use crate::control::view::At;

/// How many are kept: what a person looks through.
const KEPT_MAX: usize = 200;

/// The latest changes.
#[derive(Default)]
pub(super) struct Actions(Mutex<VecDeque<Action>>);

/// A change that was asked for.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Action {
    pub(super) at: At,
    pub(super) actor: String,
    /// What was asked for, and of what.
    pub(super) change: String,
    /// `done`, or why not.
    pub(super) outcome: String,
}

impl Actions {
    pub(super) fn note(&self, action: Action) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT_MAX - 1);
        kept.push_front(action);
    }

    /// The last one first.
    pub(super) fn all(&self) -> Vec<Action> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl From<Action> for ActionView {
    fn from(Action { at, actor, change, outcome }: Action) -> Self {
        Self { at, actor, change, outcome }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_actions_are_kept_the_last_first() {
        let actions = Actions::default();
        for number in 0..=KEPT_MAX {
            let at = At { utc: String::new(), local: String::new() };
            let (actor, outcome) = ("dashboard".to_owned(), "done".to_owned());
            actions.note(Action { at, actor, change: number.to_string(), outcome });
        }
        let all = actions.all();
        assert_eq!((all.len(), &*all[0].change, &*all[KEPT_MAX - 1].change), (KEPT_MAX, "200", "1"));
    }
}
