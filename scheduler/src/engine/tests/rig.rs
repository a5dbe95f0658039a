//! What the tests stand on: a virtual clock, a store on that clock, and a log of what ran and when.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use symphra_scheduler_core::Timestamp;

use crate::backend::{Backend, Ledger, Record, RunQuery, RunRow, TaskKey};
use crate::clock::Clock;
use crate::{MemoryBackend, Missed, RunContext, Schedule, Scheduler, SchedulerConfig, SchedulerHandle, Task, TaskName};

/// A lease that no test outlives, also where it lets time leap over heartbeats.
pub(super) const LONG_LEASE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A scheduler's surroundings.
pub(super) struct Rig {
    pub(super) origin: Timestamp,
    pub(super) clock: Clock,
    pub(super) store: MemoryBackend,
    pub(super) log: Log,
}

/// What ran, in the order in which it began.
#[derive(Clone)]
pub(super) struct Log {
    clock: Clock,
    entries: Arc<Mutex<Vec<Entry>>>,
}

/// The beginning of a run.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) task: TaskName,
    pub(super) scheduled_at: Timestamp,
    pub(super) began_at: Timestamp,
    pub(super) attempt: u32,
    pub(super) missed: Option<Missed>,
}

impl Log {
    pub(super) fn write(&self, run: &RunContext) {
        let entry = Entry {
            task: run.task().clone(),
            scheduled_at: run.scheduled_at().into(),
            began_at: self.clock.now(),
            attempt: run.attempt(),
            missed: run.missed(),
        };
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    pub(super) fn all(&self) -> Vec<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn of(&self, task: &str) -> Vec<Entry> {
        self.all().into_iter().filter(|entry| entry.task == *task).collect()
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::starting("2026-06-01T00:00:00Z")
    }

    pub(super) fn starting(at: &str) -> Self {
        let origin = instant(at);
        Self::by(origin, Clock::starting_at(origin))
    }

    pub(super) fn by(origin: Timestamp, clock: Clock) -> Self {
        let log = Log { clock: clock.clone(), entries: Arc::default() };
        Self { origin, store: MemoryBackend::with_clock(clock.clone()), clock, log }
    }

    /// A task that returns at once.
    pub(super) fn quick(&self, name: &'static str, schedule: Schedule) -> Task {
        self.lasting(name, schedule, Duration::ZERO)
    }

    /// A task whose runs last.
    pub(super) fn lasting(&self, name: impl Into<String>, schedule: Schedule, lasts: Duration) -> Task {
        let log = self.log.clone();
        Task::new(name.into(), schedule, move |run: RunContext| {
            log.write(&run);
            async move {
                if !lasts.is_zero() {
                    tokio::time::sleep(lasts).await;
                }
            }
        })
    }

    /// A scheduler of `tasks` on this clock and store.
    pub(super) fn scheduler(&self, tasks: impl IntoIterator<Item = Task>) -> Scheduler {
        let scheduler = Scheduler::empty().clock(self.clock.clone()).backend(self.store.clone()).config(config());
        tasks.into_iter().fold(scheduler, Scheduler::register)
    }

    pub(super) async fn start(&self, tasks: impl IntoIterator<Item = Task>) -> SchedulerHandle {
        self.scheduler(tasks).start().await.expect("the scheduler starts")
    }

    /// The instants at which runs of `task` were due, in milliseconds after the rig's beginning, as they began.
    pub(super) fn fired(&self, task: &str) -> Vec<i64> {
        self.log.of(task).iter().map(|entry| self.millis(entry.scheduled_at)).collect()
    }

    /// The same, as text.
    pub(super) fn fired_at(&self, task: &str) -> Vec<String> {
        self.log.of(task).iter().map(|entry| entry.scheduled_at.to_string()).collect()
    }

    /// Milliseconds after the rig's beginning.
    pub(super) fn millis(&self, at: Timestamp) -> i64 {
        at.as_millis() - self.origin.as_millis()
    }

    /// The instant `millis` after the rig's beginning.
    pub(super) fn at(&self, millis: i64) -> Timestamp {
        Timestamp::from_millis(self.origin.as_millis() + millis)
    }

    pub(super) fn key(&self, task: &str) -> TaskKey {
        self.store.key_of(task).expect("the task was registered")
    }

    pub(super) async fn ledger(&self, task: &str) -> Ledger {
        let ledger = self.store.ledger(self.key(task)).await.expect("memory answers");
        assert!(ledger.balances(), "{task}: {ledger:?}");
        let recorded: u64 = self.records(task).await.iter().map(|record| record.count).sum();
        assert_eq!(ledger.recorded, recorded, "{task}: the records count what the ledger counts");
        ledger
    }

    /// Why occurrences did not run, without the notes, which name runs by chance ids.
    pub(super) async fn records(&self, task: &str) -> Vec<Record> {
        let records = self.store.records(self.key(task)).await.expect("memory answers");
        records.into_iter().map(|record| record.noted(None::<String>)).collect()
    }

    /// Runs of `task`, the newest first.
    pub(super) async fn runs(&self, task: &str) -> Vec<RunRow> {
        self.store.runs(&RunQuery::of(self.key(task))).await.expect("memory answers")
    }
}

/// The defaults, with a lease that a virtual day does not end.
pub(super) fn config() -> SchedulerConfig {
    SchedulerConfig::new().lease(LONG_LEASE)
}

pub(super) fn instant(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).expect("an instant").with_timezone(&Utc).into()
}

pub(super) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 60 * 60)
}

/// An interval of `millis`.
pub(super) fn every(millis: u64) -> Schedule {
    Schedule::interval(Duration::from_millis(millis)).expect("a valid period")
}

pub(super) fn cron(expression: &str) -> Schedule {
    Schedule::cron(expression).expect("a valid expression")
}

/// Lets virtual time pass, and then whatever is due at the instant at which it ends.
pub(super) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
    // Time stands still while anything can run, so these turns are all at one instant.
    for _ in 0..TURNS_OF_AN_INSTANT {
        tokio::task::yield_now().await;
    }
}

/// More turns than it takes to fire, execute and store what one worker does at one instant.
const TURNS_OF_AN_INSTANT: usize = 50;

/// What an exact ledger shows.
pub(super) fn counts(ledger: Ledger) -> (u64, u64, u64) {
    (ledger.occurrences, ledger.runs, ledger.recorded)
}
