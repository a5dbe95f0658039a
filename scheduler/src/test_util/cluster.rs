//! Several nodes in one process, over one store, under one virtual time.

use std::ops::Deref;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinHandle;

use super::{Instant, pass, store_on, virtual_clock};
use crate::MemoryBackend;
use crate::clock::Clock;
use crate::error::Error;
use crate::handle::SchedulerHandle;
use crate::process::Life;
use crate::scheduler::Scheduler;

/// Nodes over one store in memory that outlives them all, on a virtual clock. Each node has a clock of its own, and can be
/// frozen and killed as a process can, without a stop.
///
/// Runs inside a current-thread runtime whose time is paused: `#[tokio::test(start_paused = true)]`. Leases are what the
/// settings say, and run out as time passes.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::chrono::TimeDelta;
/// use symphra_scheduler::test_util::TestCluster;
/// use symphra_scheduler::{Schedule, Scheduler, SchedulerConfig, Task};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
/// let cluster = TestCluster::new("2026-06-01T08:59:30Z").await?;
/// let node = |name: &str| {
///     let minutely = Task::new("minutely", Schedule::cron("* * * * *").expect("a valid expression"), async || {});
///     Scheduler::empty().config(SchedulerConfig::new().node(name)).backend(cluster.store().clone()).register(minutely)
/// };
/// let first = cluster.start(node("first"), TimeDelta::zero()).await?;
/// // Its clock is wrong by an hour.
/// let second = cluster.start(node("second"), TimeDelta::hours(1)).await?;
/// first.kill();
/// cluster.advance(Duration::from_secs(60)).await;
/// assert_eq!(second.ledger("minutely").await?.runs, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })
/// # }
/// ```
#[derive(Debug)]
pub struct TestCluster {
    clock: Clock,
    store: MemoryBackend,
}

impl TestCluster {
    /// A store without nodes, at the virtual instant `at`.
    ///
    /// # Errors
    /// If time is not paused.
    pub async fn new(at: impl Instant) -> Result<Self, Error> {
        let clock = virtual_clock(at).await?;
        Ok(Self { store: store_on(&clock), clock })
    }

    /// The store, for the nodes to be set on, and to be looked into.
    #[must_use]
    pub const fn store(&self) -> &MemoryBackend {
        &self.store
    }

    /// The virtual present, by the store's clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now().to_utc()
    }

    /// Lets virtual time pass, and what falls due in it happen.
    pub async fn advance(&self, time: Duration) {
        pass(time).await;
    }

    /// Starts a node whose clock is ahead of the store's.
    ///
    /// # Errors
    /// As [`Scheduler::start`].
    pub async fn start(&self, scheduler: Scheduler, ahead: TimeDelta) -> Result<TestNode, Error> {
        let clock = Clock::starting_at(self.clock.now());
        clock.step(ahead.num_milliseconds());
        let life = Life::new();
        let scheduler = scheduler.clock(clock.clone()).backend_unless_set(self.store.clone());
        let handle = life.scope(scheduler.start()).await?;
        Ok(TestNode { handle, clock, life })
    }
}

/// A node of a [`TestCluster`]. Derefs to the [`SchedulerHandle`] of its scheduler.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::chrono::TimeDelta;
/// use symphra_scheduler::test_util::TestCluster;
/// use symphra_scheduler::{Schedule, Scheduler, Task};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
/// let cluster = TestCluster::new("2026-06-01T08:59:30Z").await?;
/// let minutely = Task::new("minutely", Schedule::cron("* * * * *")?, async || {});
/// let node = cluster.start(Scheduler::empty().register(minutely), TimeDelta::zero()).await?;
/// node.freeze();
/// cluster.advance(Duration::from_secs(3_600)).await;
/// node.thaw();
/// cluster.advance(Duration::from_secs(1)).await;
/// let ledger = node.ledger("minutely").await?;
/// assert_eq!((ledger.runs, ledger.recorded), (1, 59), "the newest runs and covers the others");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })
/// # }
/// ```
#[derive(Debug)]
pub struct TestNode {
    handle: SchedulerHandle,
    clock: Clock,
    life: Life,
}

impl TestNode {
    /// Stops the node as `SIGSTOP` does: nothing of it goes on, while time passes.
    pub fn freeze(&self) {
        self.life.freeze();
    }

    /// Lets a frozen node go on where it stood.
    pub fn thaw(&self) {
        self.life.thaw();
    }

    /// Ends the node as `SIGKILL` does, without a stop: its engine, its heartbeat and the bodies that execute are dropped
    /// where they stand.
    pub fn kill(&self) {
        self.life.end();
    }

    /// Sets its wall clock forward, or, if negative, back.
    pub fn step_clock(&self, by: TimeDelta) {
        self.clock.step(by.num_milliseconds());
    }

    /// Does `work` as a part of its program, so that it is frozen with the node, and dropped with it.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        tokio::spawn(self.life.clone().lives(work))
    }
}

impl Deref for TestNode {
    type Target = SchedulerHandle;

    fn deref(&self) -> &SchedulerHandle {
        &self.handle
    }
}
