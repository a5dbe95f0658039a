//! What is asked of a store, and what it tells the nodes that follow it.

use std::sync::Arc;

use symphra_scheduler_core::Timestamp;

use super::declared::{Registered, TaskKey};
use crate::outcome::CancelCause;
use crate::run::{RunId, RunState};
use crate::schedule::Timetable;

/// What an operator asks of a store.
///
/// ```
#[doc = include_str!("example.md")]
/// use symphra_scheduler::backend::Command;
///
/// let pause = Command::Pause { task: Some(report.key), by: "ada".into(), reason: Some("stocktaking".into()) };
/// let changes = store.control(&pause).await?;
/// let pause = changes.tasks[0].pause.as_ref().expect("it is paused from the answer on");
/// assert!(pause.to_string().ends_with(": stocktaking"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Command {
    /// No occurrence becomes a run any more, and what waits goes on waiting. `None` is for all tasks.
    Pause {
        /// The task.
        task: Option<TaskKey>,
        /// Who asks.
        by: Arc<str>,
        /// Why.
        reason: Option<Arc<str>>,
    },
    /// The end of a pause. `None` ends the pause of all tasks, not those of single ones.
    Resume {
        /// The task.
        task: Option<TaskKey>,
    },
    /// Other occurrences count, from now on.
    Reschedule {
        /// The task.
        task: TaskKey,
        /// Its new occurrences.
        timetable: Arc<Timetable>,
    },
    /// A mark that lies ahead of the store's present goes back to it.
    ResetMark {
        /// The task.
        task: TaskKey,
    },
}

/// What has changed in a store, for the nodes that use it.
///
/// ```
#[doc = include_str!("example.md")]
/// use symphra_scheduler::backend::Command;
///
/// let seen = store.changes(None).await?.version;
/// store.control(&Command::Pause { task: Some(report.key), by: "ada".into(), reason: None }).await?;
/// // Waits until there is something.
/// let changes = store.changes(Some(seen)).await?;
/// assert!(changes.version > seen);
/// assert_eq!(changes.tasks[0].key, report.key);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Changes {
    /// The number of the last change among these.
    pub version: u64,
    /// Tasks of which something has changed.
    pub tasks: Vec<Registered>,
    /// Runs that were asked to cancel.
    pub cancelled: Vec<Cancelled>,
    /// Runs whose next attempt has begun on another node than had put it off.
    pub resumed: Vec<RunId>,
    /// Runs that have ended by the death of their node. Who is so far behind that all has changed may miss them.
    pub died: Vec<Died>,
    /// Whether runs wait that may be claimed now.
    pub runnable: bool,
}

/// A run that was asked to cancel.
///
/// A store tells of each such run that ends without a node holding it, so that its end is counted: it waited, or its holder
/// gave it back, or is gone. It is `Queued` or `Retrying` then.
///
/// ```
#[doc = include_str!("example.md")]
/// use symphra_scheduler::backend::Submission;
/// use symphra_scheduler::{CancelCause, Origin, RunState};
///
/// let origin = Origin::Trigger(id);
/// store.submit(&[Submission { id, task: report.key, origin, scheduled_at: None, overlap: None }]).await?;
/// let cancelled = store.cancel(id).await?.expect("it is alive");
/// assert_eq!((cancelled.was, cancelled.cause), (RunState::Queued, CancelCause::Requested));
/// assert!(store.cancel(id).await?.is_none(), "it has ended by that");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Cancelled {
    /// The run.
    pub id: RunId,
    /// Its task.
    pub task: TaskKey,
    /// Why.
    pub cause: CancelCause,
    /// Where it was: one that no node held has ended by this.
    pub was: RunState,
}

/// A run that a [`claim`](super::Backend::claim) has ended, because its node died and it may not be executed again.
///
/// Nobody holds it any more, so a store tells everybody who follows its changes, once: also the node that was taken for
/// dead, and the one whose claim it was.
///
/// ```
/// use symphra_scheduler::RunState;
/// use symphra_scheduler::backend::{Changes, Died};
///
/// /// What a node tells of the runs that have ended by the death of their nodes.
/// fn told(changes: &Changes) -> Vec<String> {
///     let line = |died: &Died| match died.state {
///         RunState::Abandoned => format!("{} died with {}, and is not executed again", died.id, died.node),
///         _ => format!("{} has lost {} nodes", died.id, died.deaths),
///     };
///     changes.died.iter().map(line).collect()
/// }
///
/// assert!(told(&Changes::default()).is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Died {
    /// The run.
    pub id: RunId,
    /// Its task.
    pub task: TaskKey,
    /// The node that held it last.
    pub node: Arc<str>,
    /// The attempt that node made of it, counted from 1.
    pub attempt: u32,
    /// How many of its nodes have died.
    pub deaths: u32,
    /// As what it has ended: abandoned if it may be executed once, else failed.
    pub state: RunState,
    /// When, on the store's clock.
    pub ended_at: Timestamp,
}

/// A run that ended because its last node stopped and nothing of it outlives the process.
///
/// ```
#[doc = include_str!("example.md")]
/// use symphra_scheduler::Origin;
/// use symphra_scheduler::backend::Submission;
///
/// let origin = Origin::Trigger(id);
/// store.submit(&[Submission { id, task: report.key, origin, scheduled_at: None, overlap: None }]).await?;
/// // The only node of a store in memory stops: what waits has ended.
/// let left = store.leave(&node).await?;
/// assert_eq!(left[0].id, id);
/// assert!(!left[0].began);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Left {
    /// The run.
    pub id: RunId,
    /// Its task.
    pub task: TaskKey,
    /// The nominal instant.
    pub scheduled_at: Timestamp,
    /// Whether an attempt of it had begun.
    pub began: bool,
}
