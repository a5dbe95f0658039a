//! A scheduler for inputs that ask one: it has something of everything to show, and nothing in it happens by itself.

use std::cell::RefCell;

use symphra_scheduler::{MemoryBackend, RetryPolicy, RunFilter, Schedule, Scheduler, SchedulerHandle, Task};
use tokio::runtime::{Builder, Runtime};

thread_local! {
    /// One thread, so that what an input has begun is done on the thread that has it.
    static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    static KEPT: RefCell<Option<SchedulerHandle>> = const { RefCell::new(None) };
}

/// The name of a task that nobody may read who may not look.
pub const TASK: &str = "unguessable-ledger";

/// What its run has failed with: it would be seen on a page that does not escape it.
const FAILURE: &str = "<fuzz onload=x> & so on";

/// Drives what an input does.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// The scheduler that the inputs before have left, as they found it.
pub(crate) fn scheduler() -> SchedulerHandle {
    if let Some(kept) = KEPT.with_borrow(Clone::clone) {
        return kept;
    }
    let made = block_on(made());
    KEPT.with_borrow_mut(|kept| *kept = Some(made.clone()));
    made
}

/// An input has changed something: the next one gets another scheduler.
pub(crate) fn spent() {
    if let Some(spent) = KEPT.take() {
        let report = block_on(spent.stop_now()).expect("it stops");
        assert!(report.is_clean() || !report.cancelled.is_empty(), "{report:?}");
    }
}

async fn made() -> SchedulerHandle {
    let far: Schedule = "0 0 0 1 1 * 2099".parse().expect("an expression");
    let quiet = Task::new(TASK, far, || async {}).tags(["night"]);
    let fails = Task::new("fails<fuzz>", far, || async { Err::<(), _>(FAILURE) }).retry(RetryPolicy::none());
    let job = Task::job("job", |_: u64| async { Err::<(), _>(FAILURE) }).retry(RetryPolicy::none());
    let paused = Task::new("paused", far, || async {}).enabled(false);
    let tasks = [quiet, fails, job, paused];
    let scheduler = tasks.into_iter().fold(Scheduler::empty(), Scheduler::register).backend(MemoryBackend::new());
    let handle = scheduler.start().await.expect("it starts");
    let mut events = handle.events();
    handle.trigger_task("fails<fuzz>").await.expect("it is triggered");
    handle.enqueue("job", 7_u64).await.expect("it is enqueued");
    let ended = RunFilter::new();
    while handle.runs(&ended).await.expect("memory answers").iter().filter(|run| run.finished_at.is_some()).count() < 2
    {
        events.next().await.expect("it runs");
    }
    handle
}

/// Everything that an input could have changed, as text.
pub(crate) async fn state(handle: &SchedulerHandle) -> String {
    let runs = handle.runs(&RunFilter::new()).await.expect("memory answers");
    let letters = handle.dead_letters(&symphra_scheduler::LetterFilter::new()).await.expect("memory answers");
    let actions = handle.actions(10).await.expect("memory answers");
    format!("{:?} {runs:?} {letters:?} {actions:?}", handle.list_tasks())
}
