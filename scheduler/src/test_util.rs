//! The test kit: a scheduler under virtual time, a simulation of schedules, a backend that fails.
//!
//! [`TestScheduler`] runs the real engine on a virtual clock under tokio's paused time: an hour passes as soon as nothing
//! is left to do in it. [`simulate`] tells what schedules and misfire policies do in a span of time without running
//! anything. [`Chaos`] makes the calls of a backend go wrong. [`TestCluster`] is several nodes over one store, which can be
//! frozen and killed.
//!
//! ```
//! use std::time::Duration;
//! use symphra_scheduler::test_util::{TestScheduler, assert_fired};
//! use symphra_scheduler::{Schedule, Scheduler, Task};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
//! // In a test: #[tokio::test(start_paused = true)]
//! let mut test = TestScheduler::new("2026-06-01T08:58:00Z", || {
//!     let report = Task::new("report", Schedule::cron("0 9 * * *").expect("a valid expression"), async || {});
//!     Scheduler::empty().register(report)
//! })
//! .await?;
//! test.advance(Duration::from_secs(60)).await;
//! assert_fired!(test, "report", 0);
//! test.run_until("2026-06-03T12:00:00Z").await;
//! assert_fired!(test, "report", ["2026-06-01T09:00:00Z", "2026-06-02T09:00:00Z", "2026-06-03T09:00:00Z"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })
//! # }
//! ```

mod chaos;
mod cluster;
#[doc(hidden)]
#[cfg(feature = "test-util")]
pub mod doors;
mod simulate;

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use symphra_scheduler_core::Timestamp;
use tokio::sync::Notify;

use crate::MemoryBackend;
use crate::backend::Ledger;
use crate::clock::Clock;
use crate::engine::StopReport;
use crate::error::Error;
use crate::events::{Recorder, SchedulerEvent};
use crate::handle::SchedulerHandle;
use crate::run::RunId;
use crate::scheduler::Scheduler;
use crate::task::TaskName;

pub use crate::assert_fired;
pub use chaos::{Chaos, Fault, Held};
pub use cluster::{TestCluster, TestNode};
pub use simulate::{Simulated, Simulation, simulate};

/// A lease that no test outlives, also where it lets time leap over heartbeats.
const LONG_LEASE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// More turns than it takes to fire, execute and store what is due at one instant.
const TURNS_OF_AN_INSTANT: usize = 200;

/// How long [`TestScheduler::step`] waits, in virtual time, for something to begin.
const STEP_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// An instant as a test writes it.
///
/// ```
/// use symphra_scheduler::chrono::{TimeZone, Utc};
/// use symphra_scheduler::test_util::Instant;
///
/// let written = "2026-06-01T11:00:00+02:00".instant();
/// assert_eq!(written, Utc.with_ymd_and_hms(2026, 6, 1, 9, 0, 0).unwrap().instant());
/// ```
pub trait Instant {
    /// The instant.
    ///
    /// # Panics
    /// If it is text that is no instant of RFC 3339.
    fn instant(self) -> Timestamp;
}

impl Instant for &str {
    fn instant(self) -> Timestamp {
        match DateTime::parse_from_rfc3339(self) {
            Ok(at) => Timestamp::from(at),
            Err(error) => panic!("{self:?} is no instant ({error}); write for example \"2026-06-01T09:00:00Z\""),
        }
    }
}

impl Instant for &&str {
    fn instant(self) -> Timestamp {
        (*self).instant()
    }
}

impl<Z: chrono::TimeZone> Instant for DateTime<Z> {
    fn instant(self) -> Timestamp {
        self.into()
    }
}

impl Instant for Timestamp {
    fn instant(self) -> Timestamp {
        self
    }
}

/// A run that has begun.
///
/// ```
/// use symphra_scheduler::test_util::TestScheduler;
/// use symphra_scheduler::{Schedule, Scheduler, Task};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
/// let mut test = TestScheduler::new("2026-06-01T08:58:00Z", || {
///     let report = Task::new("report", Schedule::cron("0 9 * * *").expect("a valid expression"), async || {});
///     Scheduler::empty().register(report)
/// })
/// .await?;
/// let fired = test.step().await.expect("it fires every day");
/// assert_eq!(fired.task, "report");
/// assert_eq!(fired.scheduled_at.to_string(), "2026-06-01 09:00:00 UTC");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fired {
    /// The task.
    pub task: TaskName,
    /// The run.
    pub run: RunId,
    /// The nominal instant.
    pub scheduled_at: DateTime<Utc>,
    /// When its first attempt began.
    pub began_at: DateTime<Utc>,
}

/// A scheduler under virtual time, on a store of its own that outlives it.
///
/// Runs inside a current-thread runtime whose time is paused: `#[tokio::test(start_paused = true)]`. Derefs to the
/// [`SchedulerHandle`] of the scheduler that runs now.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::test_util::TestScheduler;
/// use symphra_scheduler::{Schedule, Scheduler, Task};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
/// let mut test = TestScheduler::new("2026-06-01T08:58:00Z", || {
///     let report = Task::new("report", Schedule::cron("0 9 * * *").expect("a valid expression"), async || {});
///     Scheduler::empty().register(report)
/// })
/// .await?;
/// // It is down for three days; what was missed runs once.
/// test.restart(Duration::from_secs(3 * 24 * 60 * 60)).await?;
/// assert_eq!(test.fired("report").len(), 1);
/// assert_eq!(test.balanced_ledger("report").await.recorded, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })
/// # }
/// ```
#[derive(Debug)]
pub struct TestScheduler<B> {
    build: B,
    clock: Clock,
    store: MemoryBackend,
    log: Arc<Log>,
    handle: SchedulerHandle,
    /// How many of those that have begun were shown, or passed over.
    shown: AtomicUsize,
}

#[derive(Default)]
struct Log {
    events: Mutex<Vec<SchedulerEvent>>,
    fired: Mutex<Vec<Fired>>,
    /// The runs of `fired`: a later attempt of one is none that fires.
    runs: Mutex<HashSet<RunId>>,
    began: Notify,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("fired", &self.fired().len()).finish_non_exhaustive()
    }
}

impl Log {
    /// A panic cannot leave a push half done.
    fn fired(&self) -> MutexGuard<'_, Vec<Fired>> {
        self.fired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn events(&self) -> MutexGuard<'_, Vec<SchedulerEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, event: &SchedulerEvent, now: Timestamp) {
        if let SchedulerEvent::AttemptStarted { task, run, scheduled_at, .. } = event {
            if self.runs.lock().unwrap_or_else(PoisonError::into_inner).insert(*run) {
                let (scheduled_at, began_at) = (scheduled_at.to_utc(), now.to_utc());
                self.fired().push(Fired { task: task.clone(), run: *run, scheduled_at, began_at });
            }
            self.began.notify_one();
        }
        self.events().push(event.clone());
    }
}

impl TestScheduler<fn() -> Scheduler> {
    /// Starts what `build` makes of the kit's own store, at the virtual instant `at`: to put something in front of that
    /// store, for example [`Chaos`]. The store runs on the virtual clock and outlives a
    /// [`restart`](TestScheduler::restart), and [`store`](TestScheduler::store) is it.
    ///
    /// ```
    /// use symphra_scheduler::test_util::{Chaos, TestScheduler};
    /// use symphra_scheduler::{Schedule, Scheduler, Task};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
    /// let test = TestScheduler::with_store("2026-06-01T08:58:00Z", |store| {
    ///     let report = Task::new("report", Schedule::cron("0 9 * * *").expect("a valid expression"), async || {});
    ///     Scheduler::empty().backend(Chaos::new(store)).register(report)
    /// })
    /// .await?;
    /// assert_eq!(test.stats().backend, "memory");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`TestScheduler::new`].
    pub async fn with_store(
        at: impl Instant,
        build: impl Fn(MemoryBackend) -> Scheduler,
    ) -> Result<TestScheduler<impl Fn() -> Scheduler>, Error> {
        let clock = virtual_clock(at).await?;
        let store = store_on(&clock);
        let given = store.clone();
        TestScheduler::begin(clock, store, move || build(given.clone())).await
    }
}

impl<B: Fn() -> Scheduler> TestScheduler<B> {
    /// Starts what `build` makes, at the virtual instant `at`. A backend that `build` sets is left alone; otherwise the
    /// store is in memory, and outlives a [`restart`](Self::restart) as if it were on a disk.
    ///
    /// # Errors
    /// As [`Scheduler::start`]; and if time is not paused.
    pub async fn new(at: impl Instant, build: B) -> Result<Self, Error> {
        let clock = virtual_clock(at).await?;
        let store = store_on(&clock);
        Self::begin(clock, store, build).await
    }

    async fn begin(clock: Clock, store: MemoryBackend, build: B) -> Result<Self, Error> {
        let log = Arc::<Log>::default();
        let handle = start(&build, &clock, &store, &log).await?;
        Ok(Self { build, clock, store, log, handle, shown: AtomicUsize::new(0) })
    }

    /// Stops the scheduler, lets `down` pass, and starts anew what `build` makes, on the same store.
    ///
    /// # Errors
    /// As [`Scheduler::start`].
    pub async fn restart(&mut self, down: Duration) -> Result<StopReport, Error> {
        let report = self.handle.stop().await?;
        pass(down).await;
        self.handle = start(&self.build, &self.clock, &self.store, &self.log).await?;
        pass(Duration::ZERO).await;
        self.pass_over();
        Ok(report)
    }
}

/// A clock that shows `at` now, if time is paused.
async fn virtual_clock(at: impl Instant) -> Result<Clock, Error> {
    let paused_at = Clock::System.monotonic();
    if std::panic::catch_unwind(tokio::time::resume).is_err() {
        return Err(Error::refused(
            "the test kit needs tokio's paused time: write #[tokio::test(start_paused = true)]",
        ));
    }
    tokio::time::pause();
    // Time has gone on for a moment. Tokio's timers fire on whole milliseconds since its runtime began: beside them, each
    // wait would last a millisecond too long.
    let beside = Clock::System.monotonic().duration_since(paused_at).subsec_nanos() % 1_000_000;
    tokio::time::advance(Duration::from_millis(1) - Duration::from_nanos(beside.into())).await;
    Ok(Clock::starting_at(at.instant()))
}

fn store_on(clock: &Clock) -> MemoryBackend {
    MemoryBackend::with_clock(clock.clone()).outliving_its_program()
}

async fn start(
    build: &impl Fn() -> Scheduler,
    clock: &Clock,
    store: &MemoryBackend,
    log: &Arc<Log>,
) -> Result<SchedulerHandle, Error> {
    let (log, at) = (Arc::clone(log), clock.clone());
    let recorder = Recorder(Arc::new(move |event| log.take(event, at.now())));
    let scheduler = build().clock(clock.clone()).recorder(recorder).adjust(|config| config.lease(LONG_LEASE));
    scheduler.backend_unless_set(store.clone()).start().await
}

impl<B> TestScheduler<B> {
    /// Lets virtual time pass, and what falls due in it happen.
    pub async fn advance(&self, time: Duration) {
        pass(time).await;
        self.pass_over();
    }

    /// Lets virtual time pass until `at`, and what is due by then happen.
    ///
    /// # Panics
    /// If `at` lies in the past.
    pub async fn run_until(&self, at: impl Instant) {
        let (at, now) = (at.instant(), self.clock.now());
        assert!(at >= now, "it is {now} already, and time does not run back to {at}");
        pass(at.since(now)).await;
        self.pass_over();
    }

    /// What has begun by now is behind those who step.
    fn pass_over(&self) {
        self.shown.store(self.log.fired().len(), Ordering::SeqCst);
    }

    /// Lets virtual time pass until the next run begins, and tells which; `None` if none does for a year. Of several that
    /// begin at one instant each has a step of its own; those that began while time was made to pass otherwise are not shown.
    pub async fn step(&mut self) -> Option<Fired> {
        let shown = *self.shown.get_mut();
        let next = async {
            loop {
                let next = self.log.fired().get(shown).cloned();
                match next {
                    Some(next) => return next,
                    None => self.log.began.notified().await,
                }
            }
        };
        let next = tokio::time::timeout(STEP_MAX, next).await.ok()?;
        *self.shown.get_mut() += 1;
        Some(next)
    }

    /// Sets the wall clock forward.
    pub fn set_clock_forward(&self, by: Duration) {
        self.clock.step(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    }

    /// Sets the wall clock back.
    pub fn set_clock_back(&self, by: Duration) {
        self.clock.step(-i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    }

    /// The virtual present.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now().to_utc()
    }

    /// The nominal instants of the runs of `task` that have begun, in that order.
    #[must_use]
    pub fn fired(&self, task: &str) -> Vec<DateTime<Utc>> {
        self.log.fired().iter().filter(|fired| fired.task == *task).map(|fired| fired.scheduled_at).collect()
    }

    /// All runs that have begun, in that order.
    #[must_use]
    pub fn all_fired(&self) -> Vec<Fired> {
        self.log.fired().clone()
    }

    /// All that the scheduler has told, over restarts.
    #[must_use]
    pub fn told(&self) -> Vec<SchedulerEvent> {
        self.log.events().clone()
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &MemoryBackend {
        &self.store
    }

    /// The ledger of a task, of which it has been made sure that it balances and that the records count what it counts.
    ///
    /// # Panics
    /// If they do not, or the task is unknown.
    pub async fn balanced_ledger(&self, task: &str) -> Ledger {
        let ledger = self.handle.ledger(task).await.expect("the task is registered and memory answers");
        let records = self.handle.records(task).await.expect("the task is registered and memory answers");
        assert!(ledger.balances(), "{task}: {ledger:?}");
        assert_eq!(ledger.recorded, records.iter().map(|record| record.count).sum::<u64>(), "{task}: {records:?}");
        ledger
    }
}

impl<B> Deref for TestScheduler<B> {
    type Target = SchedulerHandle;

    fn deref(&self) -> &SchedulerHandle {
        &self.handle
    }
}

/// Lets virtual time pass, and then whatever is due at the instant at which it ends.
async fn pass(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
    // Time stands still while anything can run, so these turns are all at one instant.
    for _ in 0..TURNS_OF_AN_INSTANT {
        tokio::task::yield_now().await;
    }
}

/// Asserts what of a task has begun: `assert_fired!(test, "task", 3)` for a number of runs, or
/// `assert_fired!(test, "task", ["2026-06-01T09:00:00Z", …])` for their nominal instants.
#[macro_export]
#[doc(hidden)]
macro_rules! assert_fired {
    ($test:expr, $task:expr, [$($at:expr),* $(,)?]) => {{
        let expected: ::std::vec::Vec<_> = ::std::vec![
            $($crate::chrono::DateTime::<$crate::chrono::Utc>::from($crate::test_util::Instant::instant($at))),*
        ];
        let fired = $test.fired($task);
        ::core::assert!(
            fired == expected,
            "task {:?} has fired\n  {fired:?}\nand should have fired\n  {expected:?}",
            $task
        );
    }};
    ($test:expr, $task:expr, $count:expr) => {{
        let fired = $test.fired($task);
        ::core::assert!(
            fired.len() == $count,
            "task {:?} has fired {} times, and should have {}: {fired:?}",
            $task,
            fired.len(),
            $count
        );
    }};
}
