//! An occurrence on its way into a store: the step of its task's mark, the run that comes of it, and what the store says.

use std::fmt;

use symphra_scheduler_core::Timestamp;

use super::Token;
use crate::backend::TaskKey;
use crate::backend::record::{Reason, Record};
use crate::run::{Missed, Origin, RunId};

/// One step of a task's mark: the run that comes of it, if any, and what it passes over.
///
/// ```
#[doc = include_str!("../example.md")]
/// use symphra_scheduler::Origin;
/// use symphra_scheduler::backend::{Admission, Firing, NewRun};
///
/// let run = NewRun { origin: Origin::Schedule, scheduled_at: at, due_at: at, missed: None, accept_until: None };
/// let firing = Firing {
///     id,
///     task: report.key,
///     mark: report.mark,
///     advance_to: at,
///     since: report.since,
///     run: Some(run),
///     passed: None,
///     behind: None,
/// };
/// let other = Firing { id: symphra_scheduler::RunId::from_parts(at, 8), ..firing.clone() };
/// assert!(matches!(store.enqueue(&node, &[firing]).await?[0], Admission::Claimed(_)));
/// // Whoever believes the mark to stand where it stood fires nothing.
/// assert_eq!(store.enqueue(&node, &[other]).await?, [Admission::MarkMoved(at)]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Firing {
    /// The step's id, chosen by the caller and the id of its run: by it a repeated call is recognised.
    pub id: RunId,
    /// The task.
    pub task: TaskKey,
    /// Where the caller believes the mark to stand; if it stands elsewhere, nothing is done.
    pub mark: Timestamp,
    /// Where the mark will stand; it may go back.
    pub advance_to: Timestamp,
    /// Since when the timetable counts by which this was found; if another counts by now, nothing is done.
    pub since: Timestamp,
    /// The run to insert.
    pub run: Option<NewRun>,
    /// Occurrences of the step that become no run.
    pub passed: Option<Record>,
    /// Of a step that is about [instants shown again](Self::shown_again): what the caller believes of
    /// [`Registered::behind`](crate::backend::Registered::behind); if it is otherwise, nothing is done.
    pub behind: Option<Timestamp>,
}

impl Firing {
    /// The occurrences behind the mark that a clock which was set back has shown, if this step is about those: it leaves the
    /// mark where it is.
    #[must_use]
    pub fn shown_again(&self) -> Option<&Record> {
        self.passed.as_ref().filter(|_| self.advance_to == self.mark)
    }
}

/// A run to be inserted. Its key is (task, `origin`, `scheduled_at`).
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::backend::NewRun;
/// use symphra_scheduler::{Origin, Timestamp};
///
/// let scheduled_at = Timestamp::from_millis(60_000);
/// let (jitter, misfire_grace) = (Duration::from_secs(3), Duration::from_secs(1));
/// let due_at = scheduled_at.plus(jitter);
/// let accept_until = Some(due_at.plus(misfire_grace));
/// let run = NewRun { origin: Origin::Schedule, scheduled_at, due_at, missed: None, accept_until };
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct NewRun {
    /// Why it exists.
    pub origin: Origin,
    /// The nominal instant.
    pub scheduled_at: Timestamp,
    /// The nominal instant plus jitter: the store refuses what its own clock has not reached.
    pub due_at: Timestamp,
    /// What it stands for besides itself.
    pub missed: Option<Missed>,
    /// After this instant of the store's clock the occurrence is a misfire, and not accepted as it is; `None` is never.
    pub accept_until: Option<Timestamp>,
}

/// What became of a [`Firing`].
///
/// ```
/// use symphra_scheduler::Timestamp;
/// use symphra_scheduler::backend::{Admission, Firing};
///
/// /// Why a store does nothing for a step, as far as the mark and the clock say.
/// fn refused(firing: &Firing, mark: Timestamp, now: Timestamp) -> Option<Admission> {
///     if firing.mark != mark {
///         return Some(Admission::MarkMoved(mark));
///     }
///     match &firing.run {
///         Some(run) if run.due_at > now => Some(Admission::Early(now)),
///         Some(run) if run.accept_until.is_some_and(|until| now > until) => Some(Admission::Late(now)),
///         _ => None,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Admission {
    /// The run exists, held by the caller.
    Claimed(Hold),
    /// The run exists and waits until its task, or its group, has room; a claim will get it.
    Queued {
        /// The run that has to be cancelled for it, under `overlap = "cancel_running"`, wherever it executes.
        cancel: Option<RunId>,
    },
    /// There is no run; the occurrence is recorded.
    Recorded(Refusal),
    /// No run was asked for, and what was passed over is recorded.
    Passed,
    /// As many occurrences have become runs as the task may have: it is no occurrence, and nothing was done.
    Exhausted,
    /// Another timetable counts by now, or somebody else has recorded what was shown again; nothing was done, and the
    /// caller looks again.
    Outdated,
    /// Somebody else advanced the mark, to here; nothing was done. It may also be that somebody else is just about to, where
    /// the caller has been too late before: then it is where the caller believes it to be.
    MarkMoved(Timestamp),
    /// The run is due after the store's clock, which says this; nothing was done.
    Early(Timestamp),
    /// The store's clock, which says this, is past the instant until which the run is accepted; nothing was done.
    Late(Timestamp),
}

/// A run in the caller's hands.
///
/// ```
/// use symphra_scheduler::backend::{Admission, Hold};
///
/// fn held(answers: &[Admission]) -> impl Iterator<Item = &Hold> {
///     answers.iter().filter_map(|answer| match answer {
///         Admission::Claimed(hold) => Some(hold),
///         _ => None,
///     })
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Hold {
    /// The token under which it is held.
    pub token: Token,
    /// The nominal instant of the task's latest successful run.
    pub previous_success: Option<Timestamp>,
}

/// Why a store made no run of an occurrence.
///
/// ```
/// use symphra_scheduler::{Reason, Refusal, RunId, Timestamp};
///
/// let refusal = Refusal::Overlap(RunId::from_parts(Timestamp::from_millis(0), 1));
/// assert_eq!(refusal.reason(), Reason::Overlap);
/// assert!(refusal.note().expect("it names the run").ends_with("was alive"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Refusal {
    /// The task was full, by this run among others.
    Overlap(RunId),
    /// This run waits already, and covers the occurrence.
    CoveredBy(RunId),
    /// As many runs wait as may.
    BufferFull,
    /// The task is paused.
    Paused,
}

impl Refusal {
    /// The reason under which the occurrence is recorded.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Overlap(_) => Reason::Overlap,
            Self::CoveredBy(_) => Reason::Covered,
            Self::BufferFull => Reason::BufferFull,
            Self::Paused => Reason::Paused,
        }
    }

    /// What there is to say of it besides; of a pause the store says it.
    #[must_use]
    pub fn note(self) -> Option<String> {
        match self {
            Self::Overlap(by) => Some(format!("run {by} was alive")),
            Self::CoveredBy(by) => Some(format!("run {by} covers it")),
            Self::BufferFull | Self::Paused => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.note() {
            Some(note) => write!(f, "{} ({note})", self.reason()),
            None => fmt::Display::fmt(&self.reason(), f),
        }
    }
}
