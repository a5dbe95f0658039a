//! Stops: what has begun may end, then is asked to, then is made to; and the report lists what could not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::rig::{Rig, config, counts, every, hours, millis, pass, seconds};
use crate::backend::{Backend, RunQuery};
use crate::test_util::{Chaos, Fault};
use crate::{Delivery, MemoryBackend, RetryPolicy, RunContext, RunState, SchedulerHandle, Task, TaskStatus};

/// A task whose runs never end by themselves.
fn endless(rig: &Rig, name: &'static str, period: u64) -> Task {
    rig.lasting(name, every(period), Duration::MAX)
}

async fn start_with(rig: &Rig, task: Task, shutdown_timeout: Duration) -> SchedulerHandle {
    let config = config().shutdown_timeout(shutdown_timeout);
    rig.scheduler([task]).config(config).start().await.expect("the scheduler starts")
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_what_runs_end_and_fires_nothing_more() {
    let rig = Rig::new();
    let scheduler = rig.start([rig.lasting("slow", every(1_000), millis(3_500))]).await;
    pass(millis(1_250)).await;
    let began = Instant::now();
    let report = scheduler.stop().await.expect("it stops");
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(began.elapsed(), millis(3_250), "as soon as the run has ended");
    pass(seconds(10)).await;
    assert_eq!(rig.fired("slow"), [1_000]);
    let stats = scheduler.stats();
    assert_eq!((stats.running, stats.successful_runs, stats.active_workers), (false, 1, 0));
    assert_eq!(rig.runs("slow").await[0].state, RunState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn what_a_stop_makes_end_goes_back_to_a_store_that_keeps_it_unless_it_may_run_once() {
    for delivery in [Delivery::AtLeastOnce, Delivery::AtMostOnce] {
        let rig = Rig::new();
        let store = MemoryBackend::with_clock(rig.clock.clone()).outliving_its_program();
        let endless = || match delivery {
            Delivery::AtLeastOnce => endless(&rig, "endless", 3_600_000).retry(RetryPolicy::none()),
            Delivery::AtMostOnce => endless(&rig, "endless", 3_600_000).delivery(delivery),
        };
        let task = endless().start_at(rig.at(1_000).to_utc());
        let scheduler = rig.scheduler([task]).backend(store.clone()).start().await.expect("the scheduler starts");
        pass(millis(1_500)).await;
        let report = scheduler.stop().await.expect("it stops");
        let run = store.runs(&RunQuery::default()).await.expect("memory answers").remove(0);
        match delivery {
            Delivery::AtLeastOnce => {
                assert!(report.cancelled.is_empty(), "it is not lost: {report:?}");
                assert_eq!((run.state, run.attempt), (RunState::Queued, 1), "its attempt does not count");
            }
            Delivery::AtMostOnce => {
                assert_eq!((report.cancelled.len(), report.cancelled[0].id), (1, run.id), "{report:?}");
                assert_eq!(run.state, RunState::Cancelled);
            }
        }
        let again = rig.scheduler([endless().start_at(rig.at(1_000).to_utc())]).backend(store.clone());
        let again = again.start().await.expect("the scheduler starts");
        pass(seconds(5)).await;
        let begun = rig.log.of("endless").len();
        assert_eq!(begun, if delivery == Delivery::AtLeastOnce { 2 } else { 1 }, "{delivery:?}");
        again.stop_now().await.expect("it stops");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_scheduler_stops_at_once() {
    let rig = Rig::new();
    let scheduler = rig.start([rig.quick("tick", every(60_000))]).await;
    pass(seconds(10)).await;
    let began = Instant::now();
    assert!(scheduler.stop().await.expect("it stops").is_clean());
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn five_seconds_before_the_end_what_is_left_is_asked_to_cancel() {
    let rig = Rig::new();
    let asked_at = Arc::new(Mutex::new(None));
    let heeds = {
        let asked_at = Arc::clone(&asked_at);
        Task::new("heeds", every(1_000), move |run: RunContext| {
            let asked_at = Arc::clone(&asked_at);
            async move {
                assert!(!run.is_cancelled());
                run.cancelled().await;
                assert!(run.is_cancelled());
                *asked_at.lock().expect("no panic") = Some(Instant::now());
                tokio::time::sleep(seconds(2)).await;
            }
        })
    };
    let scheduler = start_with(&rig, heeds, seconds(30)).await;
    pass(millis(1_500)).await;
    let began = Instant::now();
    let report = scheduler.stop().await.expect("it stops");
    let asked_at = asked_at.lock().expect("no panic").expect("it was asked");
    assert_eq!(asked_at - began, seconds(25));
    assert_eq!(began.elapsed(), seconds(27));
    assert!(report.is_clean(), "it ended by itself: {report:?}");
}

#[tokio::test(start_paused = true)]
async fn at_the_end_of_its_time_what_is_left_is_aborted_and_listed() {
    let rig = Rig::new();
    let dropped = Arc::new(AtomicBool::new(false));
    let stubborn = {
        let dropped = Arc::clone(&dropped);
        Task::new("stubborn", every(1_000), move || {
            let guard = SetOnDrop(Arc::clone(&dropped));
            async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            }
        })
    };
    let scheduler = start_with(&rig, stubborn, seconds(30)).await;
    pass(millis(1_500)).await;
    let began = Instant::now();
    let report = scheduler.stop().await.expect("it stops");
    assert_eq!(began.elapsed(), seconds(30));
    assert!(dropped.load(Ordering::SeqCst), "the body was dropped");
    let [cancelled] = &report.cancelled[..] else { panic!("one run is listed: {report:?}") };
    assert_eq!((cancelled.task.as_str(), cancelled.scheduled_at), ("stubborn", rig.at(1_000)));
    assert!(cancelled.began && !cancelled.stuck, "{cancelled:?}");
    assert_eq!(report.unstored, 0);
    let run = &rig.runs("stubborn").await[0];
    assert_eq!((run.id, run.state), (cancelled.id, RunState::Cancelled));
    assert_eq!(run.finished_at, Some(rig.at(31_500)));
    assert_eq!(scheduler.task("stubborn").expect("it is registered").status, TaskStatus::Cancelled);
    assert_eq!(scheduler.stats().cancelled_runs, 1);
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn runs_that_wait_for_a_worker_are_listed_as_never_begun() {
    let rig = Rig::new();
    let tasks = [endless(&rig, "holds", 1_000), rig.quick("waits", every(1_500))];
    let scheduler = rig
        .scheduler(tasks)
        .config(config().max_workers(1).shutdown_timeout(seconds(7)))
        .start()
        .await
        .expect("the scheduler starts");
    pass(seconds(2)).await;
    let report = scheduler.stop().await.expect("it stops");
    let mut listed: Vec<_> = report.cancelled.iter().map(|run| (run.task.as_str(), run.began, run.stuck)).collect();
    listed.sort_unstable();
    assert_eq!(listed, [("holds", true, false), ("waits", false, false)]);
    assert_eq!(rig.fired("waits"), [0; 0], "its body was never called");
    assert_eq!(rig.runs("waits").await[0].started_at, None);
}

#[tokio::test(start_paused = true)]
async fn during_a_stop_what_was_accepted_still_runs() {
    let rig = Rig::new();
    let tasks = [rig.lasting("first", every(1_000), millis(3_000)), rig.lasting("second", every(1_500), millis(500))];
    let scheduler = rig.scheduler(tasks).config(config().max_workers(1)).start().await.expect("the scheduler starts");
    pass(seconds(2)).await;
    let report = scheduler.stop().await.expect("it stops");
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(rig.log.of("second")[0].began_at, rig.at(4_000), "when the worker was free");
}

#[tokio::test(start_paused = true)]
async fn many_stops_at_once_end_together_with_one_report() {
    let rig = Rig::new();
    let scheduler = start_with(&rig, endless(&rig, "holds", 1_000), seconds(10)).await;
    pass(millis(1_500)).await;
    let began = Instant::now();
    let (one, two, waited) = tokio::join!(scheduler.stop(), scheduler.stop(), scheduler.wait());
    let late = {
        pass(seconds(100)).await;
        scheduler.stop().await
    };
    let reports = [one, two, waited, late].map(|report| report.expect("it stops"));
    assert_eq!(began.elapsed(), seconds(110), "a stop that is over is not repeated");
    assert!(reports.iter().all(|report| report == &reports[0]));
    assert_eq!(reports[0].cancelled.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_goes_on_when_nobody_waits_for_it() {
    let rig = Rig::new();
    let scheduler = rig.start([rig.lasting("slow", every(1_000), millis(3_500))]).await;
    pass(millis(1_250)).await;
    assert!(tokio::time::timeout(millis(100), scheduler.stop()).await.is_err(), "it is not over yet");
    pass(seconds(10)).await;
    assert!(!scheduler.stats().running);
    assert_eq!(rig.fired("slow"), [1_000]);
}

#[tokio::test(start_paused = true)]
async fn stop_now_waits_for_nothing() {
    let rig = Rig::new();
    let tasks = [endless(&rig, "holds", 1_000), rig.quick("waits", every(1_500))];
    let scheduler = rig.scheduler(tasks).config(config().max_workers(1)).start().await.expect("the scheduler starts");
    pass(seconds(2)).await;
    let began = Instant::now();
    let report = scheduler.stop_now().await.expect("it stops");
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(report.cancelled.len(), 2);
    assert!(report.cancelled.iter().all(|run| !run.stuck), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn stop_now_cuts_a_stop_short() {
    let rig = Rig::new();
    let scheduler = rig.start([endless(&rig, "holds", 1_000)]).await;
    pass(millis(1_500)).await;
    let began = Instant::now();
    let (drained, stopped) = tokio::join!(scheduler.stop(), async {
        pass(seconds(3)).await;
        scheduler.stop_now().await
    });
    assert_eq!(began.elapsed(), seconds(3));
    assert_eq!(drained.expect("it stops"), stopped.expect("it stops"));
}

#[tokio::test(start_paused = true)]
async fn without_a_timeout_a_stop_cancels_at_once() {
    let rig = Rig::new();
    let scheduler = start_with(&rig, endless(&rig, "holds", 1_000), Duration::ZERO).await;
    pass(millis(1_500)).await;
    let began = Instant::now();
    assert_eq!(scheduler.stop().await.expect("it stops").cancelled.len(), 1);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn dropping_every_handle_leaves_it_running() {
    let rig = Rig::new();
    drop(rig.start([rig.quick("tick", every(1_000))]).await);
    pass(hours(1)).await;
    assert_eq!(rig.fired("tick").len(), 3_600);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_the_stop_that_another_asked_for() {
    let rig = Rig::new();
    let scheduler = rig.start([rig.quick("tick", every(1_000))]).await;
    let waiting = tokio::spawn({
        let scheduler = scheduler.clone();
        async move { scheduler.wait().await }
    });
    pass(seconds(5)).await;
    assert!(!waiting.is_finished());
    scheduler.stop().await.expect("it stops");
    assert!(waiting.await.expect("no panic").expect("it stopped").is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_stops_its_own_scheduler_is_asked_to_end_in_time() {
    let rig = Rig::new();
    let own: Arc<Mutex<Option<SchedulerHandle>>> = Arc::default();
    let stops = {
        let own = Arc::clone(&own);
        Task::new("stops", every(1_000), move || {
            let scheduler = own.lock().expect("no panic").clone();
            async move {
                if let Some(scheduler) = scheduler {
                    drop(scheduler.stop().await);
                }
            }
        })
    };
    let scheduler = start_with(&rig, stops, seconds(10)).await;
    *own.lock().expect("no panic") = Some(scheduler.clone());
    let report = scheduler.wait().await.expect("it stops");
    assert_eq!(report.cancelled.len(), 1, "it waited for itself");
    *own.lock().expect("no panic") = None;
}

#[tokio::test(start_paused = true)]
async fn while_the_store_hangs_a_stop_ends_in_time_and_says_what_was_not_stored() {
    let rig = Rig::new();
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    let scheduler = rig
        .scheduler([rig.quick("tick", every(1_000))])
        .backend(store.clone())
        .config(config().shutdown_timeout(seconds(10)))
        .start()
        .await
        .expect("the scheduler starts");
    pass(millis(1_500)).await;
    store.hang_on("finish");
    pass(seconds(1)).await;
    let began = Instant::now();
    let report = scheduler.stop().await.expect("it stops");
    assert!(began.elapsed() <= seconds(12), "{:?}", began.elapsed());
    assert_eq!((report.unstored, report.cancelled.len()), (1, 0), "{report:?}");
    assert!(!report.is_clean());
    assert_eq!(rig.fired("tick"), [1_000, 2_000]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_back_in_time_is_told_everything_before_the_stop_is_over() {
    let rig = Rig::new();
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    let scheduler = rig
        .scheduler([rig.lasting("slow", every(1_000), millis(1_700))])
        .backend(store.clone())
        .start()
        .await
        .expect("the scheduler starts");
    pass(millis(1_500)).await;
    store.always(Some(Fault::Before));
    let (report, ()) = tokio::join!(scheduler.stop(), async {
        pass(seconds(8)).await;
        store.always(None);
    });
    assert!(report.expect("it stops").is_clean());
    assert_eq!(rig.runs("slow").await[0].state, RunState::Succeeded);
    assert_eq!(counts(rig.ledger("slow").await).1, 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_whose_destructor_panics_is_listed_as_cancelled() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in the destructor");
        }
    }
    let rig = Rig::new();
    let bomb = Task::new("bomb", every(1_000), || async {
        let _bomb = Bomb;
        std::future::pending::<()>().await;
    });
    let scheduler = rig.start([bomb]).await;
    pass(millis(1_500)).await;
    let report = scheduler.stop_now().await.expect("it stops");
    assert_eq!(report.cancelled.len(), 1, "{report:?}");
    assert_eq!(rig.runs("bomb").await[0].state, RunState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_a_worker_is_pending() {
    let rig = Rig::new();
    let config = config().max_workers(1).queue_size(5);
    let tasks = [endless(&rig, "first", 1_000), rig.lasting("second", every(1_500), millis(1))];
    let scheduler = rig.scheduler(tasks).config(config).start().await.expect("it starts");
    pass(millis(1_700)).await;
    let status = |name| scheduler.task(name).expect("it is registered").status;
    assert_eq!((status("first"), status("second")), (TaskStatus::Running, TaskStatus::Pending));
}
