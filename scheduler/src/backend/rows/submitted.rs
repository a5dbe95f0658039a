//! Runs that no occurrence asks for: of triggers, of backfills, and at the start of a node.

use symphra_scheduler_core::Timestamp;

use super::Refusal;
use crate::backend::TaskKey;
use crate::run::{Origin, RunId};
use crate::schedule::Overlap;

/// A run to be made although no occurrence asks for it: by a trigger, a backfill or the start of a node.
///
/// ```
#[doc = include_str!("../example.md")]
/// use symphra_scheduler::backend::{Submission, Submitted};
/// use symphra_scheduler::{Origin, Overlap};
///
/// let origin = Origin::Trigger(id);
/// let trigger = Submission { id, task: report.key, origin, scheduled_at: None, overlap: Some(Overlap::Skip) };
/// assert_eq!(store.submit(&[trigger]).await?, [Submitted::Queued { cancel: None }]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Submission {
    /// The id of the run, chosen by the caller: by it a repeated call is recognised.
    pub id: RunId,
    /// Its task.
    pub task: TaskKey,
    /// Why.
    pub origin: Origin,
    /// The nominal instant; `None` is the store's present.
    pub scheduled_at: Option<Timestamp>,
    /// What becomes of it while the task is full; `None` lets it wait, up to [`TRIGGERS_WAITING_MAX`].
    pub overlap: Option<Overlap>,
}

/// How many triggers and runs of backfills may wait for one task: more than anybody waits for, and few enough that a program
/// which triggers faster than its task runs is told so long before its memory, or its store, is full of them.
///
/// ```
/// use symphra_scheduler::backend::{Submitted, TRIGGERS_WAITING_MAX};
///
/// /// What a store answers to a trigger of a task of which so many wait.
/// fn answer(waiting: usize) -> Submitted {
///     if waiting < TRIGGERS_WAITING_MAX { Submitted::Queued { cancel: None } } else { Submitted::TooMany }
/// }
///
/// assert_eq!(answer(10_000), Submitted::TooMany);
/// ```
pub const TRIGGERS_WAITING_MAX: usize = 10_000;

/// What became of a [`Submission`].
///
/// ```
/// use symphra_scheduler::backend::{Submitted, TRIGGERS_WAITING_MAX};
///
/// fn told(answer: Submitted) -> String {
///     match answer {
///         Submitted::Queued { .. } => "it waits its turn".into(),
///         Submitted::Refused(why) => format!("refused: {why}"),
///         Submitted::TooMany => format!("{TRIGGERS_WAITING_MAX} wait already"),
///         Submitted::UnknownTask => "no such task".into(),
///     }
/// }
///
/// assert_eq!(told(Submitted::TooMany), "10000 wait already");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Submitted {
    /// The run exists and waits to be claimed.
    Queued {
        /// The run that has to be cancelled for it, wherever it executes.
        cancel: Option<RunId>,
    },
    /// There is no run.
    Refused(Refusal),
    /// There is no run: [`TRIGGERS_WAITING_MAX`] triggers and runs of backfills wait already for the task.
    TooMany,
    /// The store knows no such task.
    UnknownTask,
}
