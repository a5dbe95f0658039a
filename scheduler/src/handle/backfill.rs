//! Running occurrences of the past: those of a range, oldest first, one after another.

use std::collections::HashSet;
use std::future::{Future, IntoFuture};
use std::ops::{Bound, RangeBounds};
use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use symphra_scheduler_core::Timestamp;

use super::SchedulerHandle;
use super::change::too_many;
use crate::backend::{Backend, RunQuery, Submission, Submitted, TaskKey};
use crate::error::Error;
use crate::run::{Origin, RunId, RunState};
use crate::schedule::Plan;

/// How many occurrences one backfill runs.
const OCCURRENCES_MAX: usize = 1_000;

/// A backfill that has not begun: await it, or only look with [`preview`](Self::preview).
///
/// ```
/// use symphra_scheduler::chrono::{TimeDelta, Utc};
/// use symphra_scheduler::{Schedule, Scheduler, Task};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let report = Task::new("report", Schedule::cron("0 9 * * *")?, async || {});
/// let scheduler = Scheduler::empty().register(report).start().await?;
/// let week = Utc::now() - TimeDelta::days(7)..Utc::now();
/// // Before its first registration a task has no occurrences.
/// assert!(scheduler.backfill("report", week).rerun().preview().await?.is_empty());
/// # scheduler.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a backfill does nothing until it is awaited"]
pub struct Backfill<'a> {
    handle: &'a SchedulerHandle,
    task: String,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    successful_too: bool,
}

/// A backfill that was accepted.
///
/// ```
/// use symphra_scheduler::Backfilled;
///
/// fn told(backfill: &Backfilled) -> String {
///     match backfill.left_out {
///         0 => format!("{} runs", backfill.runs.len()),
///         more => format!("{} runs, and {more} occurrences for another backfill", backfill.runs.len()),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backfilled {
    /// Its id, which the [`Origin`] of its runs names.
    pub id: RunId,
    /// Its runs, in the order in which they begin.
    pub runs: Vec<RunId>,
    /// How many occurrences of the range were beyond the most that one backfill runs, or that may wait for one task: ask for
    /// them by another.
    pub left_out: usize,
}

impl SchedulerHandle {
    /// Runs the occurrences of a range that have no successful run, oldest first and one after another, at most 1,000 of
    /// them. It moves no mark, and works in a pause. Bounds without an end reach to the present.
    ///
    /// ```
    /// # use symphra_scheduler::{Error, SchedulerHandle};
    /// # use symphra_scheduler::chrono::{TimeDelta, Utc};
    /// # async fn example(scheduler: SchedulerHandle) -> Result<(), Error> {
    /// let yesterday = Utc::now() - TimeDelta::days(1);
    /// let missing = scheduler.backfill("report", yesterday..).preview().await?;
    /// println!("{} reports are missing", missing.len());
    /// let backfill = scheduler.backfill("report", yesterday..).await?;
    /// println!("{} runs", backfill.runs.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn backfill<Z: TimeZone>(&self, task: &str, range: impl RangeBounds<DateTime<Z>>) -> Backfill<'_> {
        const MILLISECOND: Duration = Duration::from_millis(1);
        let instant = |at: &DateTime<Z>| Timestamp::from(at.clone());
        let from = match range.start_bound() {
            Bound::Included(from) => Some(instant(from)),
            Bound::Excluded(from) => Some(instant(from).plus(MILLISECOND)),
            Bound::Unbounded => None,
        };
        let to = match range.end_bound() {
            Bound::Included(to) => Some(instant(to)),
            Bound::Excluded(to) => Some(instant(to).minus(MILLISECOND)),
            Bound::Unbounded => None,
        };
        Backfill { handle: self, task: task.to_owned(), from, to, successful_too: false }
    }
}

impl Backfill<'_> {
    /// Runs those too that have a successful run.
    pub fn rerun(mut self) -> Self {
        self.successful_too = true;
        self
    }

    /// The occurrences that would run, in the task's zone.
    ///
    /// # Errors
    /// As awaiting the backfill.
    ///
    /// # Cancellation
    /// Safe: it changes nothing.
    pub async fn preview(&self) -> Result<Vec<DateTime<Tz>>, Error> {
        let zone = self.handle.task(&self.task)?.timezone;
        let (_, wanted) = self.wanted().await?;
        Ok(wanted.instants.into_iter().map(|at| at.to_utc().with_timezone(&zone)).collect())
    }

    async fn wanted(&self) -> Result<(TaskKey, Wanted), Error> {
        let shared = &self.handle.0;
        let task = shared.directory().get(&self.task)?;
        let plan = task.shown().plan.clone();
        let Some(from) = self.from else {
            return Err(Error::refused(
                "a backfill needs the instant from which on to run; write `from..` or `from..to`",
            ));
        };
        let backend = &*shared.backend;
        let (to, successful_too) = (self.to.unwrap_or(Timestamp::MAX), self.successful_too);
        let range = BackfillOf { backend, name: &self.task, key: task.key, plan: &plan, from, to, successful_too };
        Ok((task.key, range.wanted(shared.clock.now()).await?))
    }

    async fn begin(self) -> Result<Backfilled, Error> {
        self.handle.running()?;
        let (task, wanted) = self.wanted().await?;
        let id = self.handle.new_id();
        let submissions = wanted.submissions(task, id, || self.handle.new_id());
        let ids: Vec<RunId> = submissions.iter().map(|submission| submission.id).collect();
        let answers = if ids.is_empty() { Vec::new() } else { self.handle.submit(submissions).await? };
        Backfilled::of(&self.task, id, ids, &answers, wanted.left_out)
    }
}

/// A range of a task of a store, whose occurrences are to run.
pub(crate) struct BackfillOf<'a> {
    pub(crate) backend: &'a dyn Backend,
    pub(crate) name: &'a str,
    pub(crate) key: TaskKey,
    pub(crate) plan: &'a Plan,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) successful_too: bool,
}

/// The occurrences that a backfill runs.
pub(crate) struct Wanted {
    /// Oldest first.
    pub(crate) instants: Vec<Timestamp>,
    /// How many are too many.
    pub(crate) left_out: usize,
}

impl BackfillOf<'_> {
    /// The occurrences to run, those up to `now`.
    pub(crate) async fn wanted(&self, now: Timestamp) -> Result<Wanted, Error> {
        let Self { plan, from, .. } = *self;
        if plan.fixed_delay().is_some() {
            return Err(Error::refused(format!(
                "task \"{}\" has a fixed delay: its instants depend on its runs, so there are none to run again; \
                 trigger it instead",
                self.name
            )));
        }
        let to = self.to.min(now);
        let mut done = HashSet::new();
        if !self.successful_too {
            let query = RunQuery {
                task: Some(self.key),
                states: vec![RunState::Succeeded],
                from: Some(from),
                to: Some(to),
                ..RunQuery::default()
            };
            let of_occurrences = |origin| matches!(origin, Origin::Schedule | Origin::Backfill(_));
            let runs = self.backend.runs(&query).await?;
            done = runs.iter().filter(|run| of_occurrences(run.origin)).map(|run| run.scheduled_at).collect();
        }
        let first = plan.next(from.minus(Duration::from_millis(1)));
        let all = std::iter::successors(first, |&at| plan.next(at)).take_while(|&at| at <= to);
        let mut wanted = all.filter(|at| !done.contains(at));
        let instants: Vec<Timestamp> = wanted.by_ref().take(OCCURRENCES_MAX).collect();
        let left_out = match instants.last().filter(|_| instants.len() == OCCURRENCES_MAX) {
            Some(&last) => {
                let after = usize::try_from(plan.count(last, to)).unwrap_or(usize::MAX);
                after - done.iter().filter(|&&at| at > last && at <= to).count().min(after)
            }
            None => 0,
        };
        Ok(Wanted { instants, left_out })
    }
}

impl Wanted {
    /// The runs of the backfill `id` of these occurrences.
    pub(crate) fn submissions(&self, task: TaskKey, id: RunId, mut new_id: impl FnMut() -> RunId) -> Vec<Submission> {
        let run = |&at| Submission {
            id: new_id(),
            task,
            origin: Origin::Backfill(id),
            scheduled_at: Some(at),
            overlap: None,
        };
        self.instants.iter().map(run).collect()
    }
}

impl Backfilled {
    /// What was accepted of the runs that were asked for.
    pub(crate) fn of(
        task: &str,
        id: RunId,
        mut runs: Vec<RunId>,
        answers: &[Submitted],
        left_out: usize,
    ) -> Result<Self, Error> {
        let wanted = runs.len();
        let mut answers = answers.iter();
        runs.retain(|_| answers.next() != Some(&Submitted::TooMany));
        if runs.is_empty() && wanted > 0 {
            return Err(too_many(task));
        }
        let left_out = left_out + (wanted - runs.len());
        Ok(Self { id, runs, left_out })
    }
}

/// Begins the backfill.
///
/// # Errors
/// [`Error::is_unknown_task`]; an error if the range has no beginning, the task a fixed delay, or as many runs of it wait as
/// may; [`Error::is_backend`]; [`Error::is_stopped`].
impl<'a> IntoFuture for Backfill<'a> {
    type Output = Result<Backfilled, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.begin())
    }
}
