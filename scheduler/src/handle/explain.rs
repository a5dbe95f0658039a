//! What became of one instant of one task, as a sentence.

use std::fmt;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::SchedulerHandle;
use super::query::Run;
use crate::backend::{Backend, Reason, Record, RunQuery, TaskKey};
use crate::error::Error;
use crate::run::{Origin, RunState};
use crate::schedule::Plan;
use crate::task::TaskName;

/// What became of an instant. `Display` is the sentence.
///
/// ```
/// use symphra_scheduler::chrono::{TimeDelta, Utc};
/// use symphra_scheduler::{Explanation, Schedule, Scheduler, Task};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let report = Task::new("report", Schedule::cron("0 9 * * *")?, async || {});
/// let scheduler = Scheduler::empty().register(report).start().await?;
/// let next = scheduler.next_occurrences("report", 1)?[0];
/// let explanation = scheduler.explain("report", next).await?;
/// assert!(matches!(explanation, Explanation::Ahead { .. }));
/// assert!(explanation.to_string().ends_with("is still to come"));
/// # scheduler.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Explanation {
    /// It became this run.
    Ran(Box<Run>),
    /// It is counted in this record.
    Recorded {
        /// The instant.
        at: Timestamp,
        /// The record.
        record: Record,
        /// Whether the record counts every occurrence of its span, so that this one is surely among them; else it may
        /// also have become a run that is no longer kept.
        surely: bool,
    },
    /// It is no occurrence.
    NoOccurrence {
        /// The instant.
        at: Timestamp,
        /// Why.
        why: NoOccurrence,
        /// The last occurrence before it.
        previous: Option<Timestamp>,
        /// The first occurrence after it.
        next: Option<Timestamp>,
    },
    /// It is still to come.
    Ahead {
        /// The instant.
        at: Timestamp,
        /// When it is due, jitter included.
        due_at: Timestamp,
    },
    /// It is due, and the store has not answered yet what becomes of it.
    Pending {
        /// The instant.
        at: Timestamp,
    },
    /// It is due, and waits for room: this node holds as many runs as it may, and no other has taken it.
    Waiting {
        /// The instant.
        at: Timestamp,
        /// How many runs the node may hold, executing and queued.
        held_max: usize,
    },
    /// What became of it is no longer kept.
    Forgotten {
        /// The instant.
        at: Timestamp,
    },
}

/// Why an instant is no occurrence.
///
/// ```
/// use symphra_scheduler::chrono::TimeDelta;
/// use symphra_scheduler::{Explanation, NoOccurrence, Schedule, Scheduler, Task};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let report = Task::new("report", Schedule::cron("0 9 * * *")?, async || {});
/// let scheduler = Scheduler::empty().register(report).start().await?;
/// let beside = scheduler.next_occurrences("report", 1)?[0] + TimeDelta::minutes(5);
/// match scheduler.explain("report", beside).await? {
///     Explanation::NoOccurrence { why, .. } => assert_eq!(why, NoOccurrence::OffSchedule),
///     other => panic!("{other}"),
/// }
/// # scheduler.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoOccurrence {
    /// The schedule does not name it.
    OffSchedule,
    /// `except` takes it out.
    Excepted,
    /// It lies before `start` or after `end`.
    OutsideWindow,
    /// The task was first registered later.
    BeforeRegistration,
    /// Another schedule counted then, or this one did not yet.
    BeforeThisSchedule,
    /// As many occurrences as the task may have became runs before.
    AfterMaxRuns,
    /// The instants of a fixed delay are known only as its runs end.
    FixedDelay,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ran(run) => {
                write!(f, "{} became run {}: {}", run.scheduled_at, run.id, run.state)?;
                if run.attempt > 1 {
                    write!(f, ", attempt {}", run.attempt)?;
                }
                if let Some(missed) = run.missed {
                    write!(f, ", for {} occurrences before it, the first at {}", missed.count, missed.first)?;
                }
                match (run.state, run.finished_at) {
                    (RunState::Retrying, _) => write!(f, "; its next attempt is due at {}", run.due_at)?,
                    (_, Some(at)) => write!(f, " at {at}")?,
                    _ => {}
                }
                run.failure.as_ref().map_or(Ok(()), |failure| write!(f, " ({failure})"))
            }
            Self::Recorded { at, record, surely } => {
                let sure = if *surely { "did not run" } else { "did not run, or did and is no longer kept" };
                match (record.note_at(*at), record.reason) {
                    (Some(note), Reason::Paused) => write!(f, "{at} {sure}; {note}")?,
                    (Some(note), reason) => write!(f, "{at} {sure}; {reason} ({note})")?,
                    (None, reason) => write!(f, "{at} {sure}; {reason}")?,
                }
                if record.count > 1 {
                    write!(f, "; one of {} from {} to {}", record.count, record.first, record.last)?;
                }
                Ok(())
            }
            Self::NoOccurrence { at, why, previous, next } => {
                write!(f, "{at} is no occurrence: {why}")?;
                if let Some(previous) = previous {
                    write!(f, "; the last before it is {previous}")?;
                }
                next.map_or(Ok(()), |next| write!(f, "; the next is {next}"))
            }
            Self::Ahead { at, due_at } if at == due_at => write!(f, "{at} is still to come"),
            Self::Ahead { at, due_at } => write!(f, "{at} is still to come, due at {due_at}"),
            Self::Pending { at } => write!(f, "{at} is due, and its store has not answered yet"),
            Self::Waiting { at, held_max } => write!(
                f,
                "{at} is due, and waits for room: the node holds the {held_max} runs that it may (max_workers and queue_size)"
            ),
            Self::Forgotten { at } => write!(f, "what became of {at} is older than what is kept"),
        }
    }
}

impl fmt::Display for NoOccurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OffSchedule => "the schedule does not name it",
            Self::Excepted => "its `except` takes it out",
            Self::OutsideWindow => "it lies before `start` or after `end`",
            Self::BeforeRegistration => "the task was first registered later",
            Self::BeforeThisSchedule => "the present schedule counts only from later on",
            Self::AfterMaxRuns => "max_runs were reached before",
            Self::FixedDelay => "no scheduled run of this fixed delay had it as its instant",
        })
    }
}

impl SchedulerHandle {
    /// What became of an instant of a task: the run, the reason why there was none, or why it is no occurrence.
    ///
    /// ```
    /// use symphra_scheduler::{Schedule, Scheduler, Task};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let report = Task::new("report", Schedule::cron("0 9 * * *")?, async || {});
    /// let scheduler = Scheduler::empty().register(report).start().await?;
    /// let next = scheduler.next_occurrences("report", 1)?[0];
    /// assert!(scheduler.explain("report", next).await?.to_string().ends_with("09:00:00.000Z is still to come"));
    /// # scheduler.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::is_unknown_task`]; [`Error::is_backend`] if the store cannot be reached.
    ///
    /// # Cancellation
    /// Safe: asking changes nothing.
    pub async fn explain(&self, name: &str, instant: impl Into<Timestamp>) -> Result<Explanation, Error> {
        let task = self.0.directory().get(name)?;
        let shown = task.shown().clone();
        let asked = AskedOf {
            backend: &*self.0.backend,
            name: &task.name,
            key: task.key,
            plan: &shown.plan,
            is_exhausted: shown.is_exhausted,
        };
        let explanation = asked.explain(instant.into(), || self.0.clock.now()).await?;
        let held_max = self.0.config.workers().saturating_add(self.0.config.queue());
        let held = || self.0.executor.active() + self.0.executor.waiting();
        Ok(match explanation {
            Explanation::Pending { at } if held() >= held_max => Explanation::Waiting { at, held_max },
            other => other,
        })
    }
}

/// A task of a store, about an instant of which is asked.
pub(crate) struct AskedOf<'a> {
    pub(crate) backend: &'a dyn Backend,
    pub(crate) name: &'a TaskName,
    pub(crate) key: TaskKey,
    pub(crate) plan: &'a Plan,
    /// Whether `max_runs` are reached, as far as is known without asking.
    pub(crate) is_exhausted: bool,
}

impl AskedOf<'_> {
    /// What became of `at`; `present` reads the clock once the store has answered.
    pub(crate) async fn explain(&self, at: Timestamp, present: impl Fn() -> Timestamp) -> Result<Explanation, Error> {
        let Self { backend, plan, .. } = *self;
        let query = RunQuery { task: Some(self.key), from: Some(at), to: Some(at), ..RunQuery::default() };
        let runs = backend.runs(&query).await?;
        if let Some(run) = runs.into_iter().find(|run| run.origin == Origin::Schedule) {
            return Ok(Explanation::Ran(Box::new(Run::of(self.name.clone(), run))));
        }
        let registered = backend.look(&[self.key]).await?;
        let records = backend.records(self.key).await?;
        let is_occurrence = plan.fixed_delay().is_none() && plan.includes(at);
        // The newest span first: it is the one that was last extended.
        let spanning = records.into_iter().rev().find(|record| {
            // Of another schedule, only the ends of a span are known to have been occurrences.
            record.spans(at) && (is_occurrence || record.first == at || record.last == at)
        });
        if let Some(record) = spanning {
            let first = record.first.minus(Duration::from_millis(1));
            let surely = record.first == at || record.last == at || record.count >= plan.count(first, record.last);
            return Ok(Explanation::Recorded { at, record, surely });
        }
        let registered = registered.first();
        let now = present();
        let mark = registered.map_or(now, |registered| registered.mark);
        let is_over = registered.map_or(self.is_exhausted, crate::backend::Registered::is_exhausted);
        if is_occurrence {
            if is_over && at > mark {
                return Ok(no_occurrence(plan, at, NoOccurrence::AfterMaxRuns, is_over));
            }
            let due_at = plan.due(at);
            return Ok(match () {
                () if due_at > now => Explanation::Ahead { at, due_at },
                () if at > mark => Explanation::Pending { at },
                () => Explanation::Forgotten { at },
            });
        }
        let window = plan.timetable().window;
        let why = match () {
            () if at < window.start || at > window.end => NoOccurrence::OutsideWindow,
            () if plan.fixed_delay().is_some() => NoOccurrence::FixedDelay,
            () if registered.is_some_and(|registered| at <= registered.anchor) => NoOccurrence::BeforeRegistration,
            () if at <= plan.since() => NoOccurrence::BeforeThisSchedule,
            () if plan.is_excepted(at) && plan.is_scheduled(at) => NoOccurrence::Excepted,
            () => NoOccurrence::OffSchedule,
        };
        Ok(no_occurrence(plan, at, why, is_over))
    }
}

/// That `at` is none, with its neighbours: of a fixed delay they are not known, and after the last there is no next.
fn no_occurrence(plan: &Plan, at: Timestamp, why: NoOccurrence, is_over: bool) -> Explanation {
    let are_known = plan.fixed_delay().is_none();
    let previous =
        plan.last(at.minus(Duration::from_millis(1))).filter(|_| are_known && why != NoOccurrence::AfterMaxRuns);
    let next = plan.next(at).filter(|_| are_known && !is_over);
    Explanation::NoOccurrence { at, why, previous, next }
}
