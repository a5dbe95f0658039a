//! A task while its scheduler runs: what the engine, the executor and the handle share of it.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::DateTime;
use chrono_tz::Tz;
use symphra_scheduler_core::Timestamp;

use super::{Metadata, Source, Task, TaskInfo, TaskName, TaskStatus};
use crate::backend::{Pause, Registered, TaskKey};
use crate::equals::Equals;
use crate::handler::Call;
#[cfg(feature = "jobs")]
use crate::job::JobKind;
use crate::retry::RetryPolicy;
use crate::schedule::{Delivery, Misfire, Moment, Overlap, Plan, Schedule, Timetable};
use crate::tally::Tally;

/// A registered task. What of it may change while it is registered is behind the two locks.
pub(crate) struct LiveTask {
    pub(crate) name: TaskName,
    pub(crate) key: TaskKey,
    pub(crate) call: Call,
    pub(crate) policy: Arc<Policy>,
    /// What most tasks do not say.
    seldom: Option<Box<Seldom>>,
    source: Arc<Source>,
    registered_at: Timestamp,
    tally: Mutex<Tally>,
    /// The task as it was first registered, if this is another declaration of it: what is counted goes on there.
    first: Option<Arc<LiveTask>>,
    #[cfg(feature = "jobs")]
    job: Option<Box<JobKind>>,
    shown: Mutex<Shown>,
}

/// What very many tasks, declared one after another, have in common.
#[derive(Default)]
pub(crate) struct Alike {
    pub(super) timetables: Equals<Timetable>,
    policies: Equals<Policy>,
    sources: Equals<Source>,
}

/// What is done with its occurrences and runs.
#[derive(PartialEq)]
pub(crate) struct Policy {
    pub(crate) priority: i8,
    pub(crate) timeout: Option<Duration>,
    /// `None` is the default.
    retry: Option<Box<RetryPolicy>>,
    pub(crate) delivery: Delivery,
    pub(crate) overlap: Overlap,
    pub(crate) misfire: Misfire,
    pub(crate) catch_up_window: Option<Duration>,
}

#[derive(Default, PartialEq)]
struct Seldom {
    expect_success_within: Option<Duration>,
    tags: Box<[Cow<'static, str>]>,
    metadata: Metadata,
}

/// What the engine shows of a task: its plan and whether it is paused, as its store has told.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) plan: Plan,
    pub(crate) pause: Option<Box<Pause>>,
    /// The next instant, where the plan alone does not tell it: of a fixed delay, whose run has ended.
    pub(crate) next: Option<Timestamp>,
    /// Whether the schedule is over before its plan is: `max_runs` are reached.
    pub(crate) is_exhausted: bool,
}

impl LiveTask {
    /// A task as its store has `registered` it.
    pub(crate) fn new(task: &Task, name: TaskName, registered: &Registered, now: Timestamp, alike: &mut Alike) -> Self {
        let options = task.options();
        let timetable = Arc::clone(&registered.timetable);
        let plan = Plan::new(timetable, name.as_str(), registered.anchor, registered.since);
        let pause = registered.pause.clone().map(Box::new);
        let shown = Shown { plan, pause, next: None, is_exhausted: registered.is_exhausted() };
        let seldom = Seldom {
            expect_success_within: options.expect_success_within,
            tags: options.tags.as_slice().into(),
            metadata: options.metadata.clone(),
        };
        Self {
            name,
            key: registered.key,
            call: task.call().clone(),
            policy: alike.policies.one(Policy {
                priority: options.priority,
                timeout: options.timeout,
                retry: task.retry_policy(),
                delivery: options.delivery,
                overlap: task.overlap_policy(),
                misfire: options.misfire.unwrap_or_default(),
                catch_up_window: task.caught_up_within(),
            }),
            seldom: Some(seldom).filter(|seldom| *seldom != Seldom::default()).map(Box::new),
            source: alike.sources.one(task.source()),
            registered_at: now,
            tally: Mutex::new(Tally::after(registered.latest)),
            first: None,
            #[cfg(feature = "jobs")]
            job: task.job_kind().cloned().map(Box::new),
            shown: Mutex::new(shown),
        }
    }

    /// What stands in the place of a task that was removed: none.
    pub(crate) fn nobody() -> Arc<Self> {
        let task = Task::new("nobody", Schedule::from_moment(Moment::utc(0)), || async {});
        let timetable = task.timetable(Tz::UTC).into();
        let registered = Registered::at_first_sight(TaskKey(u64::MAX), timetable, Timestamp::from_millis(0));
        let name = TaskName::new(task.name()).expect("a valid name");
        Arc::new(Self::new(&task, name, &registered, registered.anchor, &mut Alike::default()))
    }

    /// This declaration, in place of `before`. Runs that have begun keep the options with which they began.
    #[cfg(feature = "config")]
    pub(crate) fn in_place_of(mut self, before: &Arc<Self>) -> Self {
        self.registered_at = before.registered_at;
        self.first = Some(Arc::clone(before.first.as_ref().unwrap_or(before)));
        self
    }

    pub(crate) fn retry(&self) -> RetryPolicy {
        self.policy.retry.as_deref().copied().unwrap_or_default()
    }

    /// The lock is held for a few additions and never across an await; what a panic leaves behind is still a count.
    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.first.as_deref().unwrap_or(self).tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is shown is replaced whole.
    pub(crate) fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(feature = "jobs")]
    pub(crate) fn job(&self) -> Option<&JobKind> {
        self.job.as_deref()
    }

    /// The newest version of arguments that it reads, if it is one of jobs.
    pub(crate) fn reads(&self) -> Option<(TaskKey, u32)> {
        #[cfg(feature = "jobs")]
        return self.job().map(|job| (self.key, job.version()));
        #[cfg(not(feature = "jobs"))]
        None
    }

    pub(crate) fn source(&self) -> Source {
        *self.source
    }

    pub(crate) fn tags(&self) -> &[Cow<'static, str>] {
        self.seldom.as_ref().map_or(&[], |seldom| &seldom.tags)
    }

    fn metadata(&self) -> Metadata {
        self.seldom.as_ref().map_or_else(Metadata::default, |seldom| seldom.metadata.clone())
    }

    pub(crate) fn expect_success_within(&self) -> Option<Duration> {
        self.seldom.as_ref()?.expect_success_within
    }

    pub(crate) fn registered_at(&self) -> Timestamp {
        self.registered_at
    }

    /// The period of an interval whose grid hangs on a first registration.
    pub(crate) fn period_from_registration(&self) -> Option<Duration> {
        self.shown().plan.timetable().period_from_registration()
    }

    /// The next `count` occurrences after `now`; of a fixed delay, the one that is known.
    pub(crate) fn next_occurrences(&self, now: Timestamp, count: usize) -> Vec<DateTime<Tz>> {
        let shown = self.shown();
        let zone = shown.plan.zone();
        instants_of(&shown, now, None, count).into_iter().map(|at| at.to_utc().with_timezone(&zone)).collect()
    }

    /// The same as instants, of those before `end`.
    #[cfg(any(feature = "cli", feature = "dashboard"))]
    pub(crate) fn instants(&self, now: Timestamp, end: Timestamp, count: usize) -> Vec<Timestamp> {
        instants_of(&self.shown(), now, Some(end), count)
    }

    pub(crate) fn status(&self) -> TaskStatus {
        if self.shown().pause.is_some() { TaskStatus::Paused } else { self.tally().status() }
    }

    pub(crate) fn info(&self, now: Timestamp) -> TaskInfo {
        let tally = *self.tally();
        let next = self.next_occurrences(now, 1).pop();
        let shown = self.shown().clone();
        TaskInfo {
            name: self.name.clone(),
            schedule: *shown.plan.schedule(),
            timezone: shown.plan.zone(),
            tags: self.tags().to_vec(),
            metadata: self.metadata(),
            source: *self.source,
            status: if shown.pause.is_some() { TaskStatus::Paused } else { tally.status() },
            priority: self.policy.priority,
            pause: shown.pause.map(|pause| *pause),
            next,
            total_runs: tally.ended_runs(),
            successful_runs: tally.succeeded,
            failed_runs: tally.failed,
            running: tally.running,
        }
    }
}

fn instants_of(shown: &Shown, now: Timestamp, end: Option<Timestamp>, count: usize) -> Vec<Timestamp> {
    let plan = &shown.plan;
    let is_before = |at: &Timestamp| end.is_none_or(|end| *at < end);
    if shown.is_exhausted {
        return Vec::new();
    }
    if plan.fixed_delay().is_some() {
        return shown.next.into_iter().filter(is_before).take(count).collect();
    }
    std::iter::successors(plan.next(now), |&at| plan.next(at)).take_while(is_before).take(count).collect()
}
