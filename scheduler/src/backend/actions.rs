//! What people have asked of the schedulers on a store, by commands, pages and the HTTP API: the audit log.

use std::sync::Arc;

use symphra_scheduler_core::Timestamp;

/// How many actions a store keeps: the last.
///
/// ```
#[doc = include_str!("example.md")]
/// use symphra_scheduler::backend::ACTIONS_MAX;
///
/// assert!(store.actions(ACTIONS_MAX).await?.is_empty(), "nobody has asked for anything");
/// # Ok(())
/// # }
/// ```
pub const ACTIONS_MAX: usize = 1_000;

/// Something that somebody asked for, and what came of it.
///
/// ```
#[doc = include_str!("example.md")]
/// use symphra_scheduler::backend::NewAction;
///
/// let paused = NewAction {
///     actor: "ada".into(),
///     task: Some("report".into()),
///     change: "pause: the printer is broken".into(),
///     outcome: "done".into(),
/// };
/// store.note(&paused).await?;
/// assert_eq!(store.actions(10).await?[0].told, paused);
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// use symphra_scheduler::Timestamp;
/// use symphra_scheduler::backend::{Action, NewAction};
///
/// /// As a store keeps what it is told.
/// fn keep(log: &mut Vec<Action>, now: Timestamp, told: NewAction) {
///     log.push(Action::new(now, told));
/// }
///
/// let told = NewAction { actor: "ada".into(), task: None, change: "resume all".into(), outcome: "done".into() };
/// let mut log = Vec::new();
/// keep(&mut log, Timestamp::from_millis(1_000), told);
/// assert_eq!(log[0].at.to_string(), "1970-01-01T00:00:01.000Z");
/// ```
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
