//! Whole schedulers in real time, by the public API only: punctual, on every kind of runtime, and gone when they stop.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use symphra_scheduler::{
    Overlap, RunContext, Schedule, Scheduler, SchedulerConfig, SchedulerEvent, SchedulerHandle, StopReport, Task,
    TaskName,
};
use tokio::runtime::{Builder, Runtime};

/// How much later than it should a run may begin on a machine that also does other things.
const PUNCTUAL: Duration = Duration::from_millis(50);

/// A bound on time is tried this often, because a machine under load may break it once; a scheduler that is late
/// breaks it every time.
const TRIALS: usize = 5;

fn every(millis: u64) -> Schedule {
    Schedule::interval(Duration::from_millis(millis)).expect("a valid period")
}

fn two_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// How late each run of each task began, in milliseconds; negative if early.
#[derive(Clone, Default)]
struct Lateness(Arc<Mutex<HashMap<TaskName, Vec<i64>>>>);

impl Lateness {
    fn task(&self, name: impl Into<String>, schedule: Schedule) -> Task {
        let lateness = self.clone();
        Task::new(name.into(), schedule, move |run: RunContext| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
            let now = i64::try_from(now.as_millis()).expect("the clock is before the year 292 million");
            let late = now - run.scheduled_at().timestamp_millis();
            lateness.0.lock().expect("no panic").entry(run.task().clone()).or_default().push(late);
            std::future::ready(())
        })
    }

    fn all(&self) -> Vec<i64> {
        self.0.lock().expect("no panic").values().flatten().copied().collect()
    }
}

/// Waits for an event, and says what did not happen.
async fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn stopped(scheduler: &SchedulerHandle) -> StopReport {
    tokio::time::timeout(Duration::from_secs(60), scheduler.stop()).await.expect("a stop ends").expect("it stops")
}

#[test]
fn a_hundred_tasks_of_one_second_are_punctual() {
    let trial = || {
        let lateness = Lateness::default();
        two_threads().block_on(async {
            let scheduler = (0..100).fold(Scheduler::empty(), |scheduler, n| {
                scheduler.register(lateness.task(format!("task {n}"), every(1_000)))
            });
            let scheduler = scheduler.start().await.expect("it starts");
            tokio::time::sleep(Duration::from_millis(3_500)).await;
            assert!(stopped(&scheduler).await.is_clean());
            let ledger = scheduler.stats().ledger;
            assert!(ledger.balances(), "{ledger:?}");
        });
        lateness.all()
    };
    let mut trials = Vec::new();
    for _ in 0..TRIALS {
        let late = trial();
        assert!(late.iter().all(|&late| late >= 0), "never early: {late:?}");
        if late.len() == 300 && late.iter().all(|&late| late.unsigned_abs() <= PUNCTUAL.as_millis() as u64) {
            return;
        }
        trials.push((late.len(), late.into_iter().max()));
    }
    panic!("three firings of each within {PUNCTUAL:?} are expected; number and latest of each trial: {trials:?}");
}

/// How often this thread has waited for something, by the kernel.
#[cfg(target_os = "linux")]
fn waits() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("the kernel tells");
    let told = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).expect("and how often");
    told.trim().parse().expect("a number")
}

/// In real time, for what wakes it is the kernel.
#[cfg(target_os = "linux")]
#[test]
fn a_scheduler_with_nothing_due_wakes_less_than_once_a_second() {
    one_thread().block_on(async {
        let new_year = Schedule::cron("0 0 1 1 *").expect("the start of a year");
        let tasks = (0..1_000).map(|n| Task::new(format!("task {n}"), new_year, async || {}));
        let scheduler = tasks.fold(Scheduler::empty(), Scheduler::register).start().await.expect("it starts");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = waits();
        tokio::time::sleep(Duration::from_secs(15)).await;
        let woken = waits() - before;
        assert!(woken < 15, "{woken} times in fifteen seconds");
        stopped(&scheduler).await;
    });
}

/// A worker tells of ends before it waits, which a body that blocks keeps it from.
#[test]
fn the_end_of_a_run_is_noticed_although_the_next_body_blocks_the_worker() {
    two_threads().block_on(async {
        let new_year = Schedule::cron("0 0 1 1 *").expect("the start of a year");
        let (begins, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let mut release = HashMap::new();
        let mut scheduler = Scheduler::empty().config(SchedulerConfig::new().max_workers(1));
        for name in ["first", "second"] {
            let (go_on, gate) = std::sync::mpsc::channel::<()>();
            release.insert(name, go_on);
            let (begins, gate) = (begins.clone(), Arc::new(Mutex::new(gate)));
            let blocks = Task::new(name, new_year, move || {
                let (begins, gate) = (begins.clone(), Arc::clone(&gate));
                async move {
                    begins.send(name).expect("it is listened to");
                    let is_over = gate.lock().expect("no panic").recv().is_err();
                    assert!(is_over, "it goes on when the other end is gone");
                }
            });
            scheduler = scheduler.register(blocks);
        }
        let scheduler = scheduler.start().await.expect("it starts");
        let mut events = scheduler.events();
        for name in ["first", "second"] {
            scheduler.trigger_task(name).await.expect("it is triggered");
        }
        assert_eq!(begun.recv().await, Some("first"));
        drop(release.remove("first"));
        assert_eq!(begun.recv().await, Some("second"));
        let ended = async {
            loop {
                if let SchedulerEvent::RunEnded { task, .. } = events.next().await.expect("the scheduler runs") {
                    return task;
                }
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(3), ended).await.expect("it is noticed in time");
        assert_eq!(ended.as_str(), "first");
        drop(release);
        stopped(&scheduler).await;
    });
}

/// Adding a task hung on such a runtime.
#[test]
fn it_starts_fires_and_stops_on_a_runtime_of_one_thread() {
    fires_and_stops(&one_thread());
}

#[test]
fn it_starts_fires_and_stops_on_a_runtime_of_many_threads() {
    fires_and_stops(&two_threads());
}

#[tokio::test]
async fn it_starts_fires_and_stops_inside_a_test() {
    let fired = Arc::new(AtomicUsize::new(0));
    let scheduler = Scheduler::empty().register(counting("tick", every(20), &fired)).start().await.expect("it starts");
    until("it fires", || fired.load(Ordering::SeqCst) >= 3).await;
    assert!(stopped(&scheduler).await.is_clean());
}

fn counting(name: &'static str, schedule: Schedule, fired: &Arc<AtomicUsize>) -> Task {
    let fired = Arc::clone(fired);
    Task::new(name, schedule, move || {
        fired.fetch_add(1, Ordering::SeqCst);
        std::future::ready(())
    })
}

fn fires_and_stops(runtime: &Runtime) {
    let fired = Arc::new(AtomicUsize::new(0));
    runtime.block_on(async {
        let (one, other) = (counting("one", every(20), &fired), counting("other", every(30), &fired));
        let start = Scheduler::empty().register(one).register(other).start();
        let scheduler =
            tokio::time::timeout(Duration::from_secs(30), start).await.expect("no hang").expect("it starts");
        until("it fires", || fired.load(Ordering::SeqCst) >= 6).await;
        assert!(stopped(&scheduler).await.is_clean());
        let at_the_end = fired.load(Ordering::SeqCst);
        // Another one fires as often as these would have.
        let after = Arc::new(AtomicUsize::new(0));
        let later = Scheduler::empty().register(counting("later", every(20), &after)).start().await.expect("it starts");
        until("it fires", || after.load(Ordering::SeqCst) >= 3).await;
        assert_eq!(fired.load(Ordering::SeqCst), at_the_end, "nothing fires after a stop");
        stopped(&later).await;
    });
}

/// A task whose body waits for ever, and what it holds while there is anything left of the scheduler.
fn holding(name: &'static str) -> (Task, Weak<()>, Arc<AtomicUsize>) {
    let held = Arc::new(());
    let (weak, began) = (Arc::downgrade(&held), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&began);
    let task = Task::new(name, every(10), move || {
        let held = Arc::clone(&held);
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            std::future::pending::<()>().await;
            drop(held);
        }
    });
    (task.overlap(Overlap::Allow), weak, began)
}

#[test]
fn the_end_of_the_runtime_leaves_nothing_behind() {
    for runtime in [one_thread(), two_threads()] {
        let (task, held, began) = holding("holds");
        let handle = runtime.block_on(async {
            let handle = Scheduler::empty().register(task).start().await.expect("it starts");
            until("it fires", || began.load(Ordering::SeqCst) >= 3).await;
            handle
        });
        drop(runtime);
        assert!(!handle.stats().running);
        let waited = one_thread().block_on(handle.wait());
        assert!(waited.expect_err("there is nothing to wait for").is_stopped());
        assert!(one_thread().block_on(handle.stop_now()).expect_err("nor to stop").is_stopped());
        drop(handle);
        assert!(held.upgrade().is_none(), "tasks, runs and the engine are gone");
    }
}

#[test]
fn a_stop_leaves_nothing_behind() {
    for runtime in [one_thread(), two_threads()] {
        runtime.block_on(async {
            let (task, held, began) = holding("holds");
            let handle = Scheduler::empty().register(task).start().await.expect("it starts");
            until("it fires", || began.load(Ordering::SeqCst) >= 3).await;
            let report = handle.stop_now().await.expect("it stops");
            assert!(!report.cancelled.is_empty() && report.cancelled.iter().all(|run| !run.stuck), "{report:?}");
            drop(handle);
            until("tasks, runs and the engine are gone", || held.upgrade().is_none()).await;
        });
    }
}

/// A run that is just beginning when the order comes is aborted like the others.
#[test]
fn however_the_moment_is_chosen_stop_now_leaves_no_run_behind() {
    let runtime = two_threads();
    runtime.block_on(async {
        for trial in 0..50 {
            let (task, held, began) = holding("holds");
            let busy =
                (0..20).map(|n| Task::new(format!("busy {n}"), every(1), async || tokio::task::yield_now().await));
            let config = SchedulerConfig::new().max_workers(1_000);
            let scheduler = busy.fold(Scheduler::empty().config(config).register(task), Scheduler::register);
            let handle = scheduler.start().await.expect("it starts");
            until("it fires", || began.load(Ordering::SeqCst) >= 1).await;
            let report = handle.stop_now().await.expect("it stops");
            assert!(report.cancelled.iter().all(|run| !run.stuck), "trial {trial}: {report:?}");
            assert_eq!(report.unstored, 0, "trial {trial}");
            drop(handle);
            until("nothing is left", || held.upgrade().is_none()).await;
        }
    });
}

#[test]
fn a_body_that_never_awaits_does_not_keep_a_stop_and_is_reported_as_stuck() {
    const BLOCKED: Duration = Duration::from_secs(3);
    two_threads().block_on(async {
        let began = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&began);
        let blocks = Task::new("blocks", every(10), move || {
            count.fetch_add(1, Ordering::SeqCst);
            async { thread::sleep(BLOCKED) }
        });
        let config = SchedulerConfig::new().shutdown_timeout(Duration::from_millis(200));
        let scheduler = Scheduler::empty().config(config).register(blocks).start().await.expect("it starts");
        until("it begins", || began.load(Ordering::SeqCst) > 0).await;
        let asked = Instant::now();
        let report = stopped(&scheduler).await;
        assert!(asked.elapsed() < Duration::from_millis(2_500), "the stop took {:?}", asked.elapsed());
        let [stuck] = &report.cancelled[..] else { panic!("one run is listed: {report:?}") };
        assert!(stuck.stuck && stuck.began && stuck.task == "blocks", "{report:?}");
        assert!(!report.is_clean());
        assert!(!scheduler.stats().running);
    });
}

#[test]
fn one_blocked_thread_of_two_makes_nothing_late() {
    let mut latest = Vec::new();
    for _ in 0..TRIALS {
        let lateness = Lateness::default();
        two_threads().block_on(async {
            let blocks = Task::new("blocks", every(250), async || thread::sleep(Duration::from_millis(200)));
            let scheduler = Scheduler::empty().register(blocks).register(lateness.task("tick", every(20)));
            let scheduler = scheduler.start().await.expect("it starts");
            tokio::time::sleep(Duration::from_millis(1_600)).await;
            stopped(&scheduler).await;
        });
        let late = lateness.all();
        if late.len() >= 70 && late.iter().all(|late| late.unsigned_abs() <= PUNCTUAL.as_millis() as u64) {
            return;
        }
        latest.push((late.len(), late.into_iter().max()));
    }
    panic!("all within {PUNCTUAL:?} are expected; number and latest of each trial: {latest:?}");
}

#[test]
fn a_scheduler_with_more_to_do_than_it_can_still_stops() {
    for runtime in [one_thread(), two_threads()] {
        runtime.block_on(async {
            let tasks = (0..3_000).map(|n| Task::new(format!("task {n}"), every(1), async || {}));
            let scheduler = tasks.fold(Scheduler::empty(), Scheduler::register).start().await.expect("it starts");
            until("it fires", || scheduler.stats().total_runs > 3_000).await;
            let report = tokio::time::timeout(Duration::from_secs(20), scheduler.stop()).await;
            assert!(report.expect("a busy scheduler heeds a stop").expect("it stops").is_clean());
            assert!(scheduler.stats().ledger.balances());
        });
    }
}

/// The one task of this program's registry.
#[symphra_scheduler::once(at = "2099-12-31T23:59:59Z")]
async fn far_away() {}

#[tokio::test]
async fn a_filter_that_leaves_nothing_is_told_apart_from_an_empty_registry() {
    let error = Scheduler::from_registry().filter(|_| false).start().await.expect_err("nothing is left");
    assert!(error.is_config() && error.to_string().contains("the filter has left no task"), "{error}");
}
