//! What the tests share: a start, seconds after it, and short forms of runs, records and ledgers.

use std::cell::Cell;
use std::collections::HashSet;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use symphra_scheduler::test_util::{Chaos, Fired, Instant as _, TestScheduler};
use symphra_scheduler::{
    MemoryBackend, Reason, Run, RunFilter, RunState, Schedule, Scheduler, SchedulerConfig, SchedulerHandle, Task,
    Timestamp,
};
use tokio::time::Instant;

pub(crate) use symphra_scheduler_tests::{START, millis, second, seconds};

thread_local! {
    /// When the test of this thread began.
    static STARTED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The instant `second` seconds after the start.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(START.instant().as_millis() + second * 1_000)
}

/// Every `period` seconds.
pub(crate) fn every(period: u64) -> Schedule {
    Schedule::interval(seconds(period)).expect("a possible period")
}

/// A scheduler of a test. At the test's end every ledger is looked at, so that no test can forget it.
pub(crate) struct Test<B>(TestScheduler<B>);

impl<B> Deref for Test<B> {
    type Target = TestScheduler<B>;

    fn deref(&self) -> &TestScheduler<B> {
        &self.0
    }
}

impl<B> DerefMut for Test<B> {
    fn deref_mut(&mut self) -> &mut TestScheduler<B> {
        &mut self.0
    }
}

impl<B> Drop for Test<B> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let tasks = self.0.list_tasks();
            tasks.iter().for_each(|task| at_once(accounted_for(&self.0, task.name.as_str())));
        }
    }
}

/// Every occurrence of a task is one run or counted in a record, and no run is there twice.
async fn accounted_for<B>(test: &TestScheduler<B>, task: &str) {
    let ledger = test.balanced_ledger(task).await;
    let runs = runs(test, task).await;
    let keys: HashSet<_> = runs.iter().map(|run| (run.origin, run.scheduled_at)).collect();
    assert_eq!(keys.len(), runs.len(), "{task}: two runs have one key: {runs:?}");
    let scheduled = runs.iter().filter(|run| run.origin == symphra_scheduler::Origin::Schedule).count();
    assert!(scheduled as u64 <= ledger.runs, "{task}: {ledger:?} and {scheduled} runs");
}

/// What a future is worth that has not to wait: memory answers at once, and a destructor cannot await.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the store of a test answers at once"),
    }
}

/// A scheduler under virtual time, at [`START`].
pub(crate) async fn start<B: Fn() -> Scheduler>(build: B) -> Test<B> {
    let test = TestScheduler::new(START, build).await.expect("nothing keeps it from starting");
    STARTED.set(Some(Instant::now()));
    Test(test)
}

/// A scheduler of one task.
pub(crate) async fn start_one(task: impl Fn() -> Task) -> Test<impl Fn() -> Scheduler> {
    start(move || Scheduler::empty().register(task())).await
}

/// A scheduler of one task, with settings.
pub(crate) async fn start_with(config: SchedulerConfig, task: impl Fn() -> Task) -> Test<impl Fn() -> Scheduler> {
    start(move || Scheduler::empty().config(config.clone()).register(task())).await
}

/// A scheduler on something that stands in front of the test's store.
pub(crate) async fn start_on(build: impl Fn(MemoryBackend) -> Scheduler) -> Test<impl Fn() -> Scheduler> {
    let test = TestScheduler::with_store(START, build).await.expect("nothing keeps it from starting");
    STARTED.set(Some(Instant::now()));
    Test(test)
}

/// A store that a test makes fail or wait, in front of the test's own: what [`start_on`] builds on.
#[derive(Clone, Default)]
pub(crate) struct Between(Arc<OnceLock<Chaos>>);

impl Between {
    /// The same for each start.
    pub(crate) fn of(&self, store: MemoryBackend) -> Chaos {
        self.0.get_or_init(|| Chaos::new(store)).clone()
    }
}

impl Deref for Between {
    type Target = Chaos;

    fn deref(&self) -> &Chaos {
        self.0.get().expect("the scheduler was started")
    }
}

/// A scheduler of one task, and the store between.
pub(crate) async fn start_one_between(task: impl Fn() -> Task) -> (Test<impl Fn() -> Scheduler>, Between) {
    let between = Between::default();
    let given = between.clone();
    let test = start_on(move |store| Scheduler::empty().backend(given.of(store)).register(task())).await;
    (test, between)
}

/// The runs of a task that have begun, as (instant, begin), in seconds.
pub(crate) fn began<B: Fn() -> Scheduler>(test: &TestScheduler<B>, task: &str) -> Vec<(i64, i64)> {
    let of_task = |fired: &Fired| fired.task.as_str() == task;
    test.all_fired().into_iter().filter(of_task).map(|run| (second(run.scheduled_at), second(run.began_at))).collect()
}

/// The runs of a task that are kept, by instant.
pub(crate) async fn runs(test: &SchedulerHandle, task: &str) -> Vec<Run> {
    let mut runs = test.runs(&RunFilter::new().task(task)).await.expect("memory answers");
    runs.sort_by_key(|run| (run.scheduled_at, run.id));
    runs
}

/// The runs of a task, as (instant, state, end) in seconds; the end of a run that is alive is its absence.
pub(crate) async fn states(test: &SchedulerHandle, task: &str) -> Vec<(i64, RunState, Option<i64>)> {
    let runs = runs(test, task).await;
    runs.into_iter().map(|run| (second(run.scheduled_at), run.state, run.finished_at.map(second))).collect()
}

/// The records of a task, as (reason, first, last, count).
pub(crate) async fn records(test: &SchedulerHandle, task: &str) -> Vec<(Reason, i64, i64, u64)> {
    let records = test.records(task).await.expect("memory answers");
    records.into_iter().map(|record| (record.reason, second(record.first), second(record.last), record.count)).collect()
}

/// The ledger of a task as (occurrences, runs, recorded), after it was found to balance.
pub(crate) async fn ledger<B: Fn() -> Scheduler>(test: &TestScheduler<B>, task: &str) -> (u64, u64, u64) {
    let ledger = test.balanced_ledger(task).await;
    (ledger.occurrences, ledger.runs, ledger.recorded)
}

/// What bodies write, with the millisecond after the start at which they did.
#[derive(Clone, Debug)]
pub(crate) struct Log<T>(Arc<Mutex<Vec<(u64, T)>>>);

impl<T: Clone> Log<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn write(&self, line: T) {
        let started = STARTED.get().expect("the test has started on this thread");
        let millis = u64::try_from(started.elapsed().as_millis()).expect("a test is short");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((millis, line));
    }

    pub(crate) fn lines(&self) -> Vec<(u64, T)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was written, without when.
    pub(crate) fn words(&self) -> Vec<T> {
        self.lines().into_iter().map(|(_, line)| line).collect()
    }

    /// When something was written, in milliseconds.
    pub(crate) fn times(&self) -> Vec<u64> {
        self.lines().into_iter().map(|(millis, _)| millis).collect()
    }
}
