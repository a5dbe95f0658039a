//! The rows of a store in SQL, as they travel: one JSON object for each, whose keys are the columns.
//!
//! Instants are milliseconds since 1970, flags are 0 or 1, so that the tables can be read by hand in every database.

use serde::{Deserialize, Serialize};
use symphra_scheduler_core::Timestamp;

use super::text;
use crate::backend::{BackendError, Hold, NewRun, RunRow, TaskKey, Token};
use crate::outcome::CancelCause;
use crate::run::{Missed, Origin, RunId, RunState};

/// The columns of a task that a step may change, with the type of each; what is written seldom has statements of its own.
pub(super) const TASK: &[(&str, Type)] = &[
    ("id", Type::Int),
    ("since", Type::Int),
    ("declared_at", Type::Int),
    ("mark", Type::Int),
    ("behind", Type::Int),
    ("reset_upto", Type::Int),
    ("anchor", Type::Int),
    ("step_id", Type::Id),
    ("step", Type::Text),
    ("paused", Type::Text),
    ("resumed", Type::Int),
    ("resumed_at", Type::Int),
    ("alive_max", Type::Int),
    ("overlap", Type::Text),
    ("at_most_once", Type::Int),
    ("priority", Type::Int),
    ("grp", Type::Text),
    ("max_runs", Type::Int),
    ("pause_after", Type::Int),
    ("disabled", Type::Int),
    ("is_delay", Type::Int),
    ("occurrences", Type::Int),
    ("runs", Type::Int),
    ("recorded", Type::Int),
    ("last_start", Type::Int),
    ("last_success", Type::Int),
    ("last_end", Type::Int),
    ("failures", Type::Int),
    ("made", Type::Int),
    ("begun", Type::Int),
    ("queued", Type::Int),
    ("submitted", Type::Int),
    ("kept", Type::Int),
];

/// The columns of a run that is alive.
pub(super) const RUN: &[(&str, Type)] = &[
    ("id", Type::Id),
    ("task", Type::Int),
    ("origin", Type::Text),
    ("origin_id", Type::Id),
    ("scheduled_at", Type::Int),
    ("due_at", Type::Int),
    ("missed", Type::Int),
    ("missed_first", Type::Int),
    ("state", Type::Text),
    ("attempt", Type::Int),
    ("abandoned", Type::Int),
    ("deaths", Type::Int),
    ("token", Type::Int),
    ("holder", Type::Text),
    ("claim", Type::Int),
    ("was", Type::Text),
    ("put_off_by", Type::Text),
    ("beside", Type::Int),
    ("made", Type::Int),
    ("began", Type::Int),
    ("cancelling", Type::Text),
    ("started_at", Type::Int),
    ("failure", Type::Text),
];

/// The columns of a run that has ended.
pub(super) const ENDED: &[(&str, Type)] = &[
    ("id", Type::Id),
    ("task", Type::Int),
    ("origin", Type::Text),
    ("origin_id", Type::Id),
    ("scheduled_at", Type::Int),
    ("due_at", Type::Int),
    ("missed", Type::Int),
    ("missed_first", Type::Int),
    ("state", Type::Text),
    ("attempt", Type::Int),
    ("started_at", Type::Int),
    ("finished_at", Type::Int),
    ("failure", Type::Text),
];

/// The columns of a new task.
pub(super) const NEW_TASK: &[(&str, Type)] = &[
    ("name", Type::Text),
    ("declared", Type::Text),
    ("since", Type::Int),
    ("declared_at", Type::Int),
    ("mark", Type::Int),
    ("anchor", Type::Int),
    ("is_delay", Type::Int),
    ("keep_runs", Type::Int),
    ("keep_failures", Type::Int),
    ("keep_failures_ms", Type::Int),
];

/// How much is kept of the runs of a task.
pub(super) const RETENTION: &[(&str, Type)] =
    &[("id", Type::Int), ("keep_runs", Type::Int), ("keep_failures", Type::Int), ("keep_failures_ms", Type::Int)];

/// The columns of a change.
pub(super) const CHANGE: &[(&str, Type)] = &[
    ("version", Type::Int),
    ("kind", Type::Text),
    ("task", Type::Int),
    ("run", Type::Id),
    ("cause", Type::Text),
    ("was", Type::Text),
    ("died", Type::Text),
];

/// What a column holds.
#[derive(Clone, Copy)]
pub(super) enum Type {
    Int,
    Text,
    /// A [`RunId`].
    Id,
}

/// A task, locked until the step ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) id: i64,
    pub(super) since: i64,
    /// Since when it has been declared as it is: enabled, or not.
    pub(super) declared_at: i64,
    pub(super) mark: i64,
    pub(super) behind: Option<i64>,
    /// Up to where instants have been fired before an operator put the mark back.
    pub(super) reset_upto: Option<i64>,
    pub(super) anchor: i64,
    /// The last step of the mark and what became of it, to recognise the same call again.
    pub(super) step_id: Option<String>,
    pub(super) step: Option<String>,
    /// An operator's pause.
    pub(super) paused: Option<String>,
    /// Whether an operator has ended the pause that is declared.
    pub(super) resumed: i64,
    pub(super) resumed_at: Option<i64>,
    pub(super) alive_max: Option<i64>,
    pub(super) overlap: String,
    pub(super) at_most_once: i64,
    pub(super) priority: i64,
    pub(super) grp: Option<String>,
    pub(super) max_runs: Option<i64>,
    pub(super) pause_after: Option<i64>,
    pub(super) disabled: i64,
    /// Whether the timetable that counts is a fixed delay.
    pub(super) is_delay: i64,
    pub(super) occurrences: i64,
    pub(super) runs: i64,
    pub(super) recorded: i64,
    pub(super) last_start: Option<i64>,
    pub(super) last_success: Option<i64>,
    pub(super) last_end: Option<i64>,
    /// Failed runs in a row.
    pub(super) failures: i64,
    /// How many numbers were given to its runs, as they came and as they began.
    pub(super) made: i64,
    /// Runs that have begun and not ended.
    pub(super) begun: i64,
    /// Runs that have not begun.
    pub(super) queued: i64,
    /// Those among the queued that somebody asked for.
    pub(super) submitted: i64,
    /// Rows in the history since it was last pruned.
    pub(super) kept: i64,
    /// The mark as it was when the row was locked.
    #[serde(default)]
    pub(super) mark_was: i64,
}

impl Task {
    pub(super) fn key(&self) -> TaskKey {
        TaskKey(self.id.unsigned_abs())
    }

    /// Whether it is paused itself, whatever holds for all tasks.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some() || self.disabled != 0 && self.resumed == 0
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.max_runs.is_some_and(|max| self.runs >= max)
    }

    pub(super) fn is_full(&self) -> bool {
        self.alive_max.is_some_and(|max| self.begun + self.queued >= max)
    }

    /// Whether a run that needs room may begin.
    pub(super) fn has_room(&self) -> bool {
        self.alive_max.is_none_or(|max| self.begun < max)
    }

    pub(super) fn count_run(&mut self) {
        self.occurrences += 1;
        self.runs += 1;
    }

    /// The next number: of the runs of a task, each has another, and a later one a higher one.
    pub(super) fn number(&mut self) -> i64 {
        self.made += 1;
        self.made
    }
}

/// A run that is alive.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) task: i64,
    pub(super) origin: String,
    pub(super) origin_id: Option<String>,
    pub(super) scheduled_at: i64,
    pub(super) due_at: i64,
    pub(super) missed: Option<i64>,
    pub(super) missed_first: Option<i64>,
    pub(super) state: String,
    pub(super) attempt: i64,
    pub(super) abandoned: i64,
    /// How many of the abandoned attempts ended because their node died; the others were given back.
    pub(super) deaths: i64,
    pub(super) token: i64,
    /// Who holds it; `None` while it waits.
    pub(super) holder: Option<String>,
    /// The number of its holder's claim that got it, and where it was before.
    pub(super) claim: Option<i64>,
    pub(super) was: Option<String>,
    /// Who put off its next attempt.
    pub(super) put_off_by: Option<String>,
    /// Whether it runs beside others, however many there are.
    pub(super) beside: i64,
    /// The order in which it came.
    pub(super) made: i64,
    /// The order in which it began; `None` while it is queued.
    pub(super) began: Option<i64>,
    /// Whether its holder was asked to cancel it, and why.
    pub(super) cancelling: Option<String>,
    pub(super) started_at: Option<i64>,
    pub(super) failure: Option<String>,
}

impl Run {
    /// A run that is queued.
    pub(super) fn queued(id: RunId, task: &mut Task, run: &NewRun) -> Self {
        let (origin, origin_id) = text::origin(run.origin);
        Self {
            id: id.to_string(),
            task: task.id,
            origin: origin.into(),
            origin_id,
            scheduled_at: run.scheduled_at.as_millis(),
            due_at: run.due_at.as_millis(),
            missed: run.missed.map(|missed| count(missed.count)),
            missed_first: run.missed.map(|missed| missed.first.as_millis()),
            state: RunState::Queued.to_string(),
            attempt: 0,
            abandoned: 0,
            deaths: 0,
            token: 1,
            holder: None,
            claim: None,
            was: None,
            put_off_by: None,
            beside: 0,
            made: task.number(),
            began: None,
            cancelling: None,
            started_at: None,
            failure: None,
        }
    }

    pub(super) fn is_queued(&self) -> bool {
        self.began.is_none()
    }

    /// Whether a pause holds it back: a trigger and a backfill are not held.
    pub(super) fn is_scheduled(&self) -> bool {
        matches!(self.origin.as_str(), "schedule" | "start")
    }

    pub(super) fn run_id(&self) -> Result<RunId, BackendError> {
        text::run_id(&self.id)
    }

    pub(super) fn run_state(&self) -> Result<RunState, BackendError> {
        text::state(&self.state)
    }

    pub(super) fn origin(&self) -> Result<Origin, BackendError> {
        text::read_origin(&self.origin, self.origin_id.as_deref())
    }

    pub(super) fn missed(&self) -> Option<Missed> {
        missed(self.missed, self.missed_first)
    }

    pub(super) fn cancelling(&self) -> Option<CancelCause> {
        self.cancelling.as_deref().map(text::read_cause)
    }

    pub(super) fn hold(&self, task: &Task) -> Hold {
        Hold { token: Token(self.token.unsigned_abs()), previous_success: task.last_success.map(at) }
    }

    /// The row of its end.
    pub(super) fn ended(self, state: RunState, finished_at: Timestamp, failure: Option<String>) -> Ended {
        Ended {
            id: self.id,
            task: self.task,
            origin: self.origin,
            origin_id: self.origin_id,
            scheduled_at: self.scheduled_at,
            due_at: self.due_at,
            missed: self.missed,
            missed_first: self.missed_first,
            state: state.to_string(),
            attempt: self.attempt,
            started_at: self.started_at,
            finished_at: Some(finished_at.as_millis()),
            failure,
        }
    }
}

/// A run as it is listed: one that has ended, or one that is alive, of which `finished_at` is not there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) id: String,
    pub(super) task: i64,
    pub(super) origin: String,
    pub(super) origin_id: Option<String>,
    pub(super) scheduled_at: i64,
    pub(super) due_at: i64,
    pub(super) missed: Option<i64>,
    pub(super) missed_first: Option<i64>,
    pub(super) state: String,
    pub(super) attempt: i64,
    pub(super) started_at: Option<i64>,
    pub(super) finished_at: Option<i64>,
    pub(super) failure: Option<String>,
}

impl Ended {
    pub(super) fn row(self) -> Result<RunRow, BackendError> {
        Ok(RunRow {
            task: TaskKey(self.task.unsigned_abs()),
            id: text::run_id(&self.id)?,
            origin: text::read_origin(&self.origin, self.origin_id.as_deref())?,
            scheduled_at: at(self.scheduled_at),
            due_at: at(self.due_at),
            missed: missed(self.missed, self.missed_first),
            state: text::state(&self.state)?,
            attempt: u32::try_from(self.attempt).unwrap_or(u32::MAX),
            started_at: self.started_at.map(at),
            finished_at: self.finished_at.map(at),
            failure: self.failure.map(String::into_boxed_str),
        })
    }
}

pub(super) const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A count as the databases have it.
pub(super) fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The key of a task as a row has it. A key of another store may be beyond all rows.
pub(super) fn id(task: TaskKey) -> i64 {
    i64::try_from(task.0).unwrap_or(i64::MAX)
}

fn missed(count: Option<i64>, first: Option<i64>) -> Option<Missed> {
    count.zip(first).map(|(count, first)| Missed::new(count.unsigned_abs(), at(first)))
}
