//! What a store lists: its runs, its tasks by their names, its nodes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::NewRun;
use crate::TaskName;
use crate::backend::TaskKey;
use crate::backend::cursor::RunCursor;
use crate::run::{Missed, Origin, RunId, RunState};

/// Which runs to list, and from where on.
///
/// The list has one order on all stores. First come the runs that are alive, those of the latest nominal instant first and of one
/// instant those with the greatest id; then those that have ended, the last to end first.
///
/// It is turned page by page with [`after`](Self::after). From its first page on each run has one place in it: one that ends
/// meanwhile keeps its place among those that are alive. So a run that is there from the first page to the last, and is asked
/// for all the while, is on one page, and on no other, whatever other runs come, end and are pruned. It is no snapshot:
/// of runs that come meanwhile those are listed whose place is behind what was read, runs that are pruned meanwhile are
/// missing, and a run whose [state](Self::states) is asked for at one page and not at the next is missing or not. The one
/// exception is PostgreSQL: a run whose end is on its way to the database while another end, numbered later, is stored, and
/// the list is begun just then, may be listed twice.
///
/// ```
#[doc = include_str!("../example.md")]
/// use symphra_scheduler::RunState;
/// use symphra_scheduler::backend::RunQuery;
///
/// let mut failed = RunQuery::of(report.key);
/// failed.states = vec![RunState::Failed, RunState::TimedOut];
/// failed.limit = Some(20);
/// assert!(store.runs(&failed).await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct RunQuery {
    /// Only runs of this task.
    pub task: Option<TaskKey>,
    /// Only the run with this id.
    pub id: Option<RunId>,
    /// Only runs in one of these states; none named is all.
    pub states: Vec<RunState>,
    /// Only runs whose nominal instant is this or later.
    pub from: Option<Timestamp>,
    /// Only runs whose nominal instant is this or earlier.
    pub to: Option<Timestamp>,
    /// Only runs behind this place; `None` begins the list.
    pub after: Option<RunCursor>,
    /// At most this many; `None` lists all that are kept.
    pub limit: Option<usize>,
}

impl RunQuery {
    /// All runs of one task.
    #[must_use]
    pub fn of(task: TaskKey) -> Self {
        Self { task: Some(task), ..Self::default() }
    }

    /// The run of a task that was the last to end.
    pub(crate) fn last_ended_of(task: TaskKey) -> Self {
        let states = RunState::ALL.into_iter().filter(|state| state.is_final()).collect();
        Self { states, limit: Some(1), ..Self::of(task) }
    }

    /// Whether a run is among those asked for, its place and the limit apart.
    #[must_use]
    pub fn includes(&self, run: &RunRow) -> bool {
        self.task.is_none_or(|task| run.task == task)
            && self.id.is_none_or(|id| run.id == id)
            && (self.states.is_empty() || self.states.contains(&run.state))
            && self.from.is_none_or(|from| run.scheduled_at >= from)
            && self.to.is_none_or(|to| run.scheduled_at <= to)
    }
}

/// A run as the store shows it.
///
/// ```
/// use symphra_scheduler::backend::{NewRun, RunQuery, RunRow, TaskKey};
/// use symphra_scheduler::{Origin, RunId, RunState, Timestamp};
///
/// let at = Timestamp::from_millis(60_000);
/// let run = NewRun { origin: Origin::Schedule, scheduled_at: at, due_at: at, missed: None, accept_until: None };
/// let row = RunRow::accepted(RunId::from_parts(at, 1), TaskKey(1), &run);
/// assert_eq!((row.state, row.attempt), (RunState::Running, 1));
/// assert!(RunQuery::of(TaskKey(1)).includes(&row));
/// assert!(!RunQuery::of(TaskKey(2)).includes(&row));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct RunRow {
    /// Its task.
    pub task: TaskKey,
    /// Its id.
    pub id: RunId,
    /// Why it exists.
    pub origin: Origin,
    /// The nominal instant.
    pub scheduled_at: Timestamp,
    /// The nominal instant plus jitter; of a run that is tried again, the instant of its next attempt.
    pub due_at: Timestamp,
    /// What it stands for besides itself.
    pub missed: Option<Missed>,
    /// Where it stands.
    pub state: RunState,
    /// Its latest attempt, counted from 1.
    pub attempt: u32,
    /// When its last attempt that has ended began, by the store's clock as its node knew it.
    pub started_at: Option<Timestamp>,
    /// When it ended, by the same; `None` while it is alive.
    pub finished_at: Option<Timestamp>,
    /// The error of its last attempt, or why it was cut short.
    pub failure: Option<Box<str>>,
    /// Who holds it, or held it when it ended, by the name of the [`Holder`](crate::backend::Holder); `None` of one that nobody held, and of one
    /// that an older program has ended.
    #[cfg_attr(feature = "rabbitmq", serde(default))]
    pub node: Option<Arc<str>>,
}

impl RunRow {
    /// A row of a run that has just been accepted; a backend fills in what came after.
    #[must_use]
    pub fn accepted(id: RunId, task: TaskKey, run: &NewRun) -> Self {
        Self {
            task,
            id,
            origin: run.origin,
            scheduled_at: run.scheduled_at,
            due_at: run.due_at,
            missed: run.missed,
            state: RunState::Running,
            attempt: 1,
            started_at: None,
            finished_at: None,
            failure: None,
            node: None,
        }
    }
}

/// A task that a store knows, by its name.
///
/// ```
#[doc = include_str!("../example.md")]
/// let known = store.tasks().await?;
/// assert_eq!((known[0].name.as_str(), known[0].key), ("report", report.key));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct NamedTask {
    /// Its name.
    pub name: TaskName,
    /// Its key.
    pub key: TaskKey,
}

/// A node as its store sees it.
///
/// ```
#[doc = include_str!("../example.md")]
/// use symphra_scheduler::backend::Presence;
///
/// let nodes = store.nodes().await?;
/// assert_eq!((&*nodes[0].node, nodes[0].presence, nodes[0].held), ("host-7", Presence::Alive, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct NodeRow {
    /// Its name, another for each start.
    pub node: Arc<str>,
    /// How long after a heartbeat its runs stay its own.
    pub lease: Duration,
    /// When it was last heard of, on the store's clock.
    pub seen_at: Timestamp,
    /// Whether it is there.
    pub presence: Presence,
    /// How many runs it holds.
    pub held: u64,
    /// The version of the tz database by which it fires.
    pub tzdb: Arc<str>,
}

/// Whether a node is there.
///
/// ```
/// use symphra_scheduler::backend::Presence;
///
/// assert_eq!(Presence::Silent.to_string(), "silent");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Presence {
    /// Its lease goes on.
    Alive,
    /// Its lease has run out: it is dead, or cut off.
    Silent,
    /// It has stopped, and has said so.
    Left,
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alive => "alive",
            Self::Silent => "silent",
            Self::Left => "left",
        })
    }
}
