//! Runs in the hands of a node: how it asks for them, gets them, and ends their attempts.

use std::cmp::Ordering;
use std::sync::Arc;

use symphra_scheduler_core::Timestamp;

use super::{Hold, Token};
use crate::backend::TaskKey;
use crate::backend::jobs::JobArguments;
use crate::outcome::Outcome;
use crate::run::{Missed, Origin, RunId, RunState};

/// A claim of runs: those that wait, those whose next attempt is due, and those whose holder's lease has run out.
///
/// ```
#[doc = include_str!("../example.md")]
/// use symphra_scheduler::Origin;
/// use symphra_scheduler::backend::{Claim, Submission};
///
/// let origin = Origin::Trigger(id);
/// store.submit(&[Submission { id, task: report.key, origin, scheduled_at: None, overlap: None }]).await?;
///
/// let claim = Claim { number: 1, tasks: [report.key].into(), jobs: [].into(), max: 10 };
/// let claims = store.claim(&node, &claim).await?;
/// assert_eq!(claims.runs[0].id, id);
/// assert_eq!(claims.runs[0].attempt, 1);
/// // The same claim again, because its answer was lost, gets the same.
/// assert_eq!(store.claim(&node, &claim).await?.runs, claims.runs);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Claim {
    /// The number of the claim, larger than that of each claim before it of its holder: by it a repeated call is recognised, and
    /// answered with the runs that it had got and no others, and so is one that was given up and comes after a later claim,
    /// which gets nothing.
    pub number: u64,
    /// Only runs of these tasks are wanted, in ascending order.
    pub tasks: Arc<[TaskKey]>,
    /// Those of them that are jobs, in ascending order, each with the newest version of arguments that the holder can read:
    /// a job with a newer one is not for it, nor is any of a task that is not named here.
    pub jobs: Arc<[(TaskKey, u32)]>,
    /// At most this many.
    pub max: usize,
}

impl Claim {
    /// Whether the claimer can read arguments of this version of this task's jobs.
    #[must_use]
    pub fn reads(&self, task: TaskKey, version: u32) -> bool {
        let found = self.jobs.binary_search_by_key(&task, |&(task, _)| task);
        found.is_ok_and(|place| version <= self.jobs[place].1)
    }

    /// What the claim is to a store whose last one of the same holder had the number `last`.
    pub(crate) fn turn(&self, last: Option<u64>) -> ClaimTurn {
        match last.map(|last| self.number.cmp(&last)) {
            None | Some(Ordering::Greater) => ClaimTurn::New,
            Some(Ordering::Equal) => ClaimTurn::Repeated,
            Some(Ordering::Less) => ClaimTurn::GivenUp,
        }
    }
}

/// What a claim is to a store, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimTurn {
    /// The store has had none of this number, nor of a larger one.
    New,
    /// It was the last, and is asked again: it is told what it got, and gets no more. If it comes late, nobody waits for its
    /// answer either; if not, its holder claims again at once.
    Repeated,
    /// Its holder has claimed since, and waits for no answer to it: what it got nobody would execute.
    GivenUp,
}

/// What a claim has got.
///
/// ```
/// use symphra_scheduler::Timestamp;
/// use symphra_scheduler::backend::Claims;
///
/// /// When a node claims again.
/// fn next_claim(claims: &Claims, max: usize, now: Timestamp) -> Option<Timestamp> {
///     if claims.runs.len() == max { Some(now) } else { claims.next_at }
/// }
///
/// assert_eq!(next_claim(&Claims::default(), 10, Timestamp::from_millis(0)), None);
/// ```
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Claims {
    /// The runs.
    pub runs: Vec<Claimed>,
    /// When the next attempt of a run that waits for it is due, or the next job: the time to claim again. That is the present if
    /// others wait whose arguments were too many bytes for one answer, and if a repeated claim might get more as a new one.
    pub next_at: Option<Timestamp>,
}

/// A run that was claimed.
///
/// ```
/// use symphra_scheduler::backend::{Claimed, Holding};
///
/// /// By what the node asks later whether the run is still its own.
/// fn holding(run: &Claimed) -> Holding {
///     Holding { task: run.task, id: run.id, token: run.hold.token }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Claimed {
    /// Its task.
    pub task: TaskKey,
    /// Its id.
    pub id: RunId,
    /// The new token, and what the run may know of the one before.
    pub hold: Hold,
    /// Why it exists.
    pub origin: Origin,
    /// The nominal instant.
    pub scheduled_at: Timestamp,
    /// When this attempt was due.
    pub due_at: Timestamp,
    /// What it stands for besides itself.
    pub missed: Option<Missed>,
    /// Which attempt begins now, counted from 1.
    pub attempt: u32,
    /// How many of the attempts before ended because their node died or stopped.
    pub abandoned: u32,
    /// Where it was.
    pub was: RunState,
    /// What it is called with, if it is a job.
    pub arguments: Option<Arc<JobArguments>>,
}

/// A run that a node believes to hold.
///
/// ```
#[doc = include_str!("../example.md")]
/// use symphra_scheduler::backend::{Holding, Token};
///
/// let unknown = Holding { task: report.key, id, token: Token(1) };
/// assert_eq!(store.lost(&[unknown]).await?, [id], "there is no such run: nothing could be finished");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Holding {
    /// Its task.
    pub task: TaskKey,
    /// The run.
    pub id: RunId,
    /// The token under which the node got it.
    pub token: Token,
}

/// The end of an attempt.
///
/// ```
#[doc = include_str!("../example.md")]
/// use symphra_scheduler::backend::{Claim, End, Finish, Stored, Submission, Token};
/// use symphra_scheduler::{Origin, Outcome};
///
/// let origin = Origin::Trigger(id);
/// store.submit(&[Submission { id, task: report.key, origin, scheduled_at: None, overlap: None }]).await?;
/// let claim = Claim { number: 1, tasks: [report.key].into(), jobs: [].into(), max: 10 };
/// let run = store.claim(&node, &claim).await?.runs.remove(0);
///
/// let end = Finish {
///     task: run.task,
///     id: run.id,
///     token: run.hold.token,
///     end: End::Final(Outcome::Succeeded),
///     started_at: Some(run.due_at),
///     finished_at: run.due_at,
///     log: None,
/// };
/// let stale = Finish { token: Token(0), ..end.clone() };
/// assert_eq!(store.finish(&[stale]).await?, [Stored::Stale]);
/// assert_eq!(store.finish(&[end]).await?, [Stored::Done { more: false }]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Finish {
    /// Its task.
    pub task: TaskKey,
    /// Its run.
    pub id: RunId,
    /// The token under which it was held.
    pub token: Token,
    /// What becomes of the run.
    pub end: End,
    /// When the attempt began, by the store's clock as the caller knows it; `None` if it never did.
    pub started_at: Option<Timestamp>,
    /// When it ended, by the same.
    pub finished_at: Timestamp,
    /// An excerpt of what it wrote to the log, a few KB at most; `None` if it never began or wrote nothing.
    pub log: Option<Box<str>>,
}

/// What is kept of what a run wrote to the log.
///
/// ```
/// use symphra_scheduler::RunLog;
///
/// let log = RunLog { attempt: 2, text: "INFO fetched 12 pages\n".into() };
/// println!("attempt {}:\n{}", log.attempt, log.text);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct RunLog {
    /// The attempt that wrote it, counted from 1.
    pub attempt: u32,
    /// The [excerpt](Finish::log).
    pub text: Box<str>,
}

/// What becomes of a run after an attempt.
///
/// ```
/// use symphra_scheduler::backend::End;
/// use symphra_scheduler::{Outcome, RunState};
///
/// /// What a run is after an attempt.
/// fn state(end: &End) -> RunState {
///     match end {
///         End::Final(Outcome::Succeeded) => RunState::Succeeded,
///         End::Final(Outcome::TimedOut(_)) => RunState::TimedOut,
///         End::Final(Outcome::Cancelled(_)) => RunState::Cancelled,
///         End::Final(_) => RunState::Failed,
///         End::Retry { .. } => RunState::Retrying,
///         End::HandBack => RunState::Queued,
///     }
/// }
///
/// assert_eq!(state(&End::HandBack), RunState::Queued);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum End {
    /// It has ended.
    Final(Outcome),
    /// It has failed, and is tried again.
    Retry {
        /// When the next attempt is due.
        at: Timestamp,
        /// Why this one failed.
        failure: Box<str>,
    },
    /// Its holder gives it back: whoever claims it executes it. The attempt, if it began, does not count.
    HandBack,
}

/// What became of a [`Finish`].
///
/// ```
/// use symphra_scheduler::backend::Stored;
///
/// /// Whether the node claims again, and how many of its ends came too late.
/// fn after(answers: &[Stored]) -> (bool, usize) {
///     let claims = answers.contains(&Stored::Done { more: true });
///     (claims, answers.iter().filter(|answer| **answer == Stored::Stale).count())
/// }
///
/// assert_eq!(after(&[Stored::Done { more: false }, Stored::Stale]), (false, 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Stored {
    /// It is stored.
    Done {
        /// Whether runs wait that may be claimed now.
        more: bool,
    },
    /// The token is stale, or the run had ended: nothing was changed.
    Stale,
}
