//! What schedules do in a span of time, without running anything: every occurrence, with clock changes and misfires.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use symphra_scheduler_core::Timestamp;

use super::Instant;
use crate::backend::{Capabilities, Pause, Reason, Registered, TaskKey};
use crate::clock::Clock;
use crate::engine::rehearse;
use crate::error::Error;
use crate::scheduler::Scheduler;
use crate::task::{Alike, LiveTask};

/// What would become of an occurrence, or of a span of them.
///
/// ```
/// use symphra_scheduler::test_util::{Simulated, simulate};
/// use symphra_scheduler::{Schedule, Scheduler, Task};
///
/// let report = Task::new("report", Schedule::cron("0 9 * * *")?, async || {});
/// let days = simulate(Scheduler::empty().register(report), "2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z").run()?;
/// match days["report"][0] {
///     Simulated::Runs { scheduled_at, at, covers } => assert_eq!((scheduled_at, covers), (at, 0)),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Simulated {
    /// It becomes a run.
    Runs {
        /// The nominal instant.
        scheduled_at: Timestamp,
        /// When it begins: when it is due, or when the scheduler is back.
        at: Timestamp,
        /// How many missed occurrences it covers besides its own.
        covers: u64,
    },
    /// They do not.
    Recorded {
        /// Why.
        reason: Reason,
        /// The first.
        first: Timestamp,
        /// The last.
        last: Timestamp,
        /// How many.
        count: u64,
    },
}

/// A span of time in which schedules are looked at.
///
/// ```
/// use symphra_scheduler::test_util::{Simulated, simulate};
/// use symphra_scheduler::{Schedule, Scheduler, Task};
///
/// let report = Task::new("report", Schedule::cron("0 9 * * *")?, async || {});
/// let week = simulate(Scheduler::empty().register(report), "2026-06-01T00:00:00Z", "2026-06-08T00:00:00Z")
///     .down("2026-06-02T00:00:00Z", "2026-06-04T12:00:00Z")
///     .run()?;
/// // Those of three days are one run, when it is back.
/// let covers = week["report"].iter().map(|of| match of {
///     Simulated::Runs { covers, .. } => *covers,
///     _ => 0,
/// });
/// assert_eq!(covers.sum::<u64>(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a simulation shows nothing until it is run"]
pub struct Simulation {
    scheduler: Scheduler,
    span: Range<Timestamp>,
    down: Vec<Range<Timestamp>>,
}

/// Looks at the tasks of `scheduler` from `from` to `to`, the end not included. The tasks are registered at `from`, and
/// their runs take no time, so that overlaps do not show.
///
/// ```
/// use symphra_scheduler::test_util::simulate;
/// use symphra_scheduler::{Schedule, Scheduler, Task, chrono_tz::Tz};
///
/// let nightly = Task::new("nightly", Schedule::cron("30 2 * * *")?, async || {}).timezone(Tz::America__New_York);
/// let year = simulate(Scheduler::empty().register(nightly), "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z").run()?;
/// assert_eq!(year["nightly"].len(), 365);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn simulate(scheduler: Scheduler, from: impl Instant, to: impl Instant) -> Simulation {
    Simulation { scheduler, span: from.instant()..to.instant(), down: Vec::new() }
}

impl Simulation {
    /// The scheduler does not run from `from` to `to`.
    pub fn down(mut self, from: impl Instant, to: impl Instant) -> Self {
        self.down.push(from.instant()..to.instant());
        self.down.sort_by_key(|down| down.start);
        self
    }

    /// What becomes of each task's occurrences, in the order in which it does.
    ///
    /// # Errors
    /// As [`Scheduler::start`]: what could not start cannot be looked at.
    pub fn run(self) -> Result<HashMap<String, Vec<Simulated>>, Error> {
        let Self { scheduler, span, down } = self;
        // Nothing here reads the time, but a checked scheduler has a clock.
        let checked = scheduler.clock(Clock::System).checked()?;
        let mut all = HashMap::with_capacity(checked.tasks.len());
        let mut alike = Alike::default();
        for (key, (task, name)) in (0..).zip(checked.tasks.iter().zip(&checked.names)) {
            let registration = task.registration(name.clone(), &checked.config, &Arc::default(), &mut alike);
            let registered = Registered {
                max_runs: registration.rules.max_runs,
                pause: registration.rules.disabled.then(|| Pause::declared(span.start)),
                ..Registered::at_first_sight(TaskKey(key), registration.timetable, span.start)
            };
            let live = Arc::new(LiveTask::new(task, name.clone(), &registered, span.start, &mut alike));
            let mut becomes = Vec::new();
            let backend = Capabilities::durable().with_jobs();
            let back_at =
                |at: Timestamp| down.iter().fold(at, |at, down| if down.contains(&at) { down.end } else { at });
            rehearse(live, &registered, backend, checked.config.grace(), span.end, back_at, |step| {
                becomes.push(step);
            });
            all.insert(name.to_string(), becomes.into_iter().flat_map(simulated).collect());
        }
        Ok(all)
    }
}

fn simulated((firing, now): (crate::backend::Firing, Timestamp)) -> impl Iterator<Item = Simulated> {
    let recorded = firing.passed.map(|record| Simulated::Recorded {
        reason: record.reason,
        first: record.first,
        last: record.last,
        count: record.count,
    });
    let runs = firing.run.map(|run| Simulated::Runs {
        scheduled_at: run.scheduled_at,
        at: now,
        covers: run.missed.map_or(0, |missed| missed.count),
    });
    recorded.into_iter().chain(runs)
}
