//! What people have asked of the schedulers on a store, by commands, pages and the HTTP API: the audit log.

use std::sync::Arc;

use symphra_scheduler_core::Timestamp;

/// How many actions a store keeps: the last.
pub const ACTIONS_MAX: usize = 1_000;

/// Something that somebody asked for, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct NewAction {
    /// Who asked: the user of a command, or how somebody came to a page.
    pub actor: Arc<str>,
    /// The name of the task that it is about; `None` for all, and for runs whose task was not named.
    pub task: Option<Arc<str>>,
    /// What was asked for.
    pub change: Arc<str>,
    /// `done`, or why not.
    pub outcome: Arc<str>,
}

/// An action that a store keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Action {
    /// When the store was told, by its clock.
    pub at: Timestamp,
    /// What it was told.
    pub told: NewAction,
}

impl Action {
    /// An action of which a store was told at this instant.
    #[must_use]
    pub const fn new(at: Timestamp, told: NewAction) -> Self {
        Self { at, told }
    }
}
