//! The rows of a store in SQL, as they travel: those of which there are many, as JSON lists of their columns, the others as
//! JSON objects whose keys are the columns.
//!
//! Instants are milliseconds since 1970, flags are 0 or 1, so that the tables can be read by hand in every database.

use std::sync::Arc;

use serde::ser::SerializeTuple;
use serde::{Deserialize, Serialize, Serializer};
use symphra_scheduler_core::Timestamp;

use super::text;
pub(super) use super::text::{at, count};
use crate::backend::{BackendError, Hold, NewRun, RunRow, TaskKey, Token};
use crate::outcome::CancelCause;
use crate::run::{Missed, Origin, RunId, RunState};

/// What a column holds.
#[derive(Clone, Copy)]
pub(super) enum Type {
    Int,
    Text,
    /// A [`RunId`].
    Id,
}

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

/// A row, some of whose columns may travel without the others.
pub(super) trait Row {
    /// Writes its columns, but for those that are not wanted: `which` has a word for each, or for none of them.
    fn write<T: SerializeTuple>(&self, which: &[bool], row: &mut T) -> Result<(), T::Error>;

    /// Whether no column is different but those that `which` has a word for.
    fn differs_only_in(&self, which: &[bool], other: &Self) -> bool;
}

/// Some columns of a row, and a number behind them.
pub(super) struct Part<'a, R> {
    pub(super) row: &'a R,
    /// Which columns, by [`which`].
    pub(super) which: &'a [bool],
    pub(super) more: Option<i64>,
}

impl<R: Row> Serialize for Part<'_, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = self.which.iter().filter(|is_wanted| **is_wanted).count();
        let mut row = serializer.serialize_tuple(columns + usize::from(self.more.is_some()))?;
        self.row.write(self.which, &mut row)?;
        if let Some(more) = self.more {
            row.serialize_element(&more)?;
        }
        row.end()
    }
}

/// Which of the columns are among `wanted`.
pub(super) fn which(columns: &[(&str, Type)], wanted: &[&str]) -> Vec<bool> {
    columns.iter().map(|(column, _)| wanted.contains(column)).collect()
}

/// Those of the columns that are among `wanted`, in their own order.
pub(super) fn only(columns: &[(&'static str, Type)], wanted: &[&str]) -> Vec<(&'static str, Type)> {
    columns.iter().filter(|(column, _)| wanted.contains(column)).copied().collect()
}

/// A row that travels as a list of its columns, in this order: half as long as with their names, and taken apart by the
/// databases in a fraction of the time. What is read may also be an object.
macro_rules! row {
    ($(#[$doc:meta])* $row:ident, $columns:ident: $($(#[$about:meta])* $column:ident: $value:ty = $kind:ident,)*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        pub(super) struct $row {
            $($(#[$about])* pub(super) $column: $value,)*
        }

        #[doc = concat!("The columns of a [`", stringify!($row), "`], with the type of each.")]
        pub(super) const $columns: &[(&str, Type)] = &[$((stringify!($column), Type::$kind),)*];

        impl Row for $row {
            fn write<T: SerializeTuple>(&self, which: &[bool], row: &mut T) -> Result<(), T::Error> {
                let mut which = which.iter();
                $(if which.next().is_none_or(|is_wanted| *is_wanted) {
                    row.serialize_element(&self.$column)?;
                })*
                Ok(())
            }

            fn differs_only_in(&self, which: &[bool], other: &Self) -> bool {
                let mut which = which.iter();
                $((which.next().is_some_and(|may_differ| *may_differ) || self.$column == other.$column))&&*
            }
        }

        impl Serialize for $row {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut row = serializer.serialize_tuple($columns.len())?;
                self.write(&[], &mut row)?;
                row.end()
            }
        }
    };
}

row! {
    /// A task, locked until the step ends.
    Task, TASK:
    id: i64 = Int,
    since: i64 = Int,
    /// Since when it has been declared as it is: enabled, or not.
    declared_at: i64 = Int,
    mark: i64 = Int,
    behind: Option<i64> = Int,
    /// Up to where instants have been fired before an operator put the mark back.
    reset_upto: Option<i64> = Int,
    anchor: i64 = Int,
    /// The last step of the mark and what became of it, to recognise the same call again.
    step_id: Option<String> = Id,
    step: Option<String> = Text,
    /// An operator's pause.
    paused: Option<String> = Text,
    /// Whether an operator has ended the pause that is declared.
    resumed: i64 = Int,
    resumed_at: Option<i64> = Int,
    alive_max: Option<i64> = Int,
    overlap: String = Text,
    at_most_once: i64 = Int,
    priority: i64 = Int,
    grp: Option<String> = Text,
    max_runs: Option<i64> = Int,
    pause_after: Option<i64> = Int,
    disabled: i64 = Int,
    /// Whether the timetable that counts is a fixed delay.
    is_delay: i64 = Int,
    occurrences: i64 = Int,
    runs: i64 = Int,
    recorded: i64 = Int,
    last_start: Option<i64> = Int,
    last_success: Option<i64> = Int,
    last_end: Option<i64> = Int,
    /// Failed runs in a row.
    failures: i64 = Int,
    /// How many numbers were given to its runs, as they came and as they began.
    made: i64 = Int,
    /// Runs that have begun and not ended.
    begun: i64 = Int,
    /// Runs that have not begun.
    queued: i64 = Int,
    /// Those among the queued that somebody asked for.
    submitted: i64 = Int,
    /// Rows in the history since it was last pruned.
    kept: i64 = Int,
}

row! {
    /// What of a task the end of a run is about: a third of it, since most steps are firings and ends, and what is read of
    /// each task is what their locks cost.
    Ending, ENDING:
    id: i64 = Int,
    paused: Option<String> = Text,
    grp: Option<String> = Text,
    pause_after: Option<i64> = Int,
    is_delay: i64 = Int,
    last_success: Option<i64> = Int,
    last_end: Option<i64> = Int,
    failures: i64 = Int,
    begun: i64 = Int,
    queued: i64 = Int,
    submitted: i64 = Int,
    kept: i64 = Int,
}

impl From<Ending> for Task {
    fn from(ending: Ending) -> Self {
        let Ending { id, paused, grp, pause_after, is_delay, last_success, last_end, .. } = ending;
        let Ending { failures, begun, queued, submitted, kept, .. } = ending;
        Self {
            id,
            paused,
            grp,
            pause_after,
            is_delay,
            last_success,
            last_end,
            failures,
            begun,
            queued,
            submitted,
            kept,
            ..Self::default()
        }
    }
}

/// The columns of a task that change where a firing begins a run at once, and its key.
pub(super) const FIRED: &[&str] = &["id", "mark", "step_id", "step", "occurrences", "runs", "made", "begun"];

/// The columns of a task that change as runs end, and its key: all of them are in [`ENDING`].
pub(super) const CLOSED: &[&str] =
    &["id", "paused", "last_success", "last_end", "failures", "begun", "queued", "submitted", "kept"];

/// The columns of a task that change as its runs come and go, and its key.
pub(super) const PROGRESS: &[&str] = &[
    "id",
    "mark",
    "behind",
    "step_id",
    "step",
    "paused",
    "occurrences",
    "runs",
    "recorded",
    "last_start",
    "last_success",
    "last_end",
    "failures",
    "made",
    "begun",
    "queued",
    "submitted",
    "kept",
];

/// The mark of a task as it was when its row was locked, behind its [`PROGRESS`].
pub(super) const MARK_WAS: (&str, Type) = ("mark_was", Type::Int);

/// The columns of a run that is new; of the others, [`NOT_NEW`] tells what is in them.
pub(super) const NEW_RUN: &[&str] = &[
    "id",
    "task",
    "origin",
    "origin_id",
    "scheduled_at",
    "due_at",
    "missed",
    "missed_first",
    "state",
    "attempt",
    "token",
    "holder",
    "beside",
    "made",
    "began",
];

/// Columns of a run that say something of its past, of which a new one has none; they may not be NULL.
pub(super) const NOT_NEW: &[(&str, &str)] = &[("abandoned", "0"), ("deaths", "0")];

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

row! {
    /// A run that is alive.
    Run, RUN:
    id: String = Id,
    task: i64 = Int,
    origin: String = Text,
    origin_id: Option<String> = Id,
    scheduled_at: i64 = Int,
    due_at: i64 = Int,
    missed: Option<i64> = Int,
    missed_first: Option<i64> = Int,
    state: String = Text,
    attempt: i64 = Int,
    abandoned: i64 = Int,
    /// How many of the abandoned attempts ended because their node died; the others were given back.
    deaths: i64 = Int,
    token: i64 = Int,
    /// Who holds it; `None` while it waits.
    holder: Option<String> = Text,
    /// The number of its holder's claim that got it, and where it was before.
    claim: Option<i64> = Int,
    was: Option<String> = Text,
    /// Who put off its next attempt.
    put_off_by: Option<String> = Text,
    /// Whether it runs beside others, however many there are.
    beside: i64 = Int,
    /// The order in which it came.
    made: i64 = Int,
    /// The order in which it began; `None` while it is queued.
    began: Option<i64> = Int,
    /// Whether its holder was asked to cancel it, and why.
    cancelling: Option<String> = Text,
    started_at: Option<i64> = Int,
    failure: Option<String> = Text,
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

    pub(super) fn is_job(&self) -> bool {
        self.origin == "job"
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
            node: self.holder,
        }
    }
}

row! {
    /// A run as it is listed: one that has ended, or one that is alive, of which `finished_at` is not there.
    Ended, ENDED:
    id: String = Id,
    task: i64 = Int,
    origin: String = Text,
    origin_id: Option<String> = Id,
    scheduled_at: i64 = Int,
    due_at: i64 = Int,
    missed: Option<i64> = Int,
    missed_first: Option<i64> = Int,
    state: String = Text,
    attempt: i64 = Int,
    started_at: Option<i64> = Int,
    finished_at: Option<i64> = Int,
    failure: Option<String> = Text,
    node: Option<String> = Text,
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
            node: self.node.map(Arc::from),
        })
    }
}

/// The key of a task as a row has it. A key of another store may be beyond all rows.
pub(super) fn id(task: TaskKey) -> i64 {
    i64::try_from(task.0).unwrap_or(i64::MAX)
}

fn missed(count: Option<i64>, first: Option<i64>) -> Option<Missed> {
    count.zip(first).map(|(count, first)| Missed::new(count.unsigned_abs(), at(first)))
}

#[cfg(test)]
mod tests {
    use super::{CLOSED, ENDING, FIRED, PROGRESS, Row, TASK, Task, which};

    #[test]
    fn a_column_that_may_not_differ_is_compared() {
        let before = Task { mark: 1, ..Task::default() };
        for (columns, may_differ) in [(FIRED, true), (PROGRESS, true), (CLOSED, false)] {
            assert_eq!(Task::default().differs_only_in(&which(TASK, columns), &before), may_differ);
        }
    }

    /// Else it would be written from what was not read.
    #[test]
    fn what_an_end_writes_of_a_task_it_has_read() {
        assert!(CLOSED.iter().all(|written| ENDING.iter().any(|(read, _)| read == written)));
    }

    /// What fits into few columns fits into many.
    #[test]
    fn what_changes_at_a_firing_or_an_end_is_progress() {
        assert!(FIRED.iter().chain(CLOSED).all(|column| PROGRESS.contains(column)));
    }
}
