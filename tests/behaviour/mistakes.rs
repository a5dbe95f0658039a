//! Mistakes of other schedulers that concern one process, each named after the place where it was paid for.
//!
//! Those that need two schedulers, a node that dies or a zone's clock change are under the same kind of name in
//! `scheduler/src/engine/tests`, the search that never ends in `scheduler/core/src/cron/work.rs`, and the option that
//! was never built in `tests/options.rs`.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use symphra_scheduler::test_util::Fault;
use symphra_scheduler::{
    Overlap, Reason, RetryPolicy, RunContext, Schedule, Scheduler, SchedulerConfig, SchedulerHandle, Task,
};

use crate::kit::{Log, began, every, ledger, records, runs, second, seconds, start, start_one, start_one_between};

#[tokio::test(start_paused = true)]
async fn tokio_cron_scheduler_113_and_56_an_interval_that_falls_behind_once_goes_on() {
    let body = |run: RunContext| async move {
        if second(run.scheduled_at()) == 20 {
            tokio::time::sleep(seconds(995)).await;
        }
    };
    let test = start_one(move || Task::new("tick", every(10), body)).await;
    test.advance(seconds(1_045)).await;
    assert_eq!(began(&test, "tick"), [(10, 10), (20, 20), (1_020, 1_020), (1_030, 1_030), (1_040, 1_040)]);
    assert_eq!(ledger(&test, "tick").await, (104, 5, 99));
}

/// How long, in real time, a test waits that would hang where the mistake is made.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn tokio_cron_scheduler_28_a_body_adds_a_task_on_a_runtime_of_one_thread() {
    let story = async {
        let (send, receive) = tokio::sync::oneshot::channel::<SchedulerHandle>();
        let receive = Arc::new(tokio::sync::Mutex::new(Some(receive)));
        let test = start(move || {
            let receive = Arc::clone(&receive);
            let body = move || {
                let receive = Arc::clone(&receive);
                async move {
                    if let Some(receive) = receive.lock().await.take() {
                        let scheduler = receive.await.expect("the test sends it");
                        scheduler.register(Task::new("added", every(10), async || {})).await.expect("it is free");
                    }
                }
            };
            Scheduler::empty().register(Task::new("adds", every(10), body))
        })
        .await;
        assert!(send.send((*test).clone()).is_ok());
        test.advance(seconds(35)).await;
        began(&test, "added")
    };
    let (told, telling) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        // Nobody may be waiting any more.
        let _ = told.send(runtime.expect("a runtime").block_on(story));
    });
    let added = telling.recv_timeout(PATIENCE).expect("it does not hang, and does not panic");
    assert_eq!(added, [(20, 20), (30, 30)]);
}

#[tokio::test(start_paused = true)]
async fn apalis_503_and_554_retries_are_counted_in_one_place() {
    let log = Log::new();
    let calls = log.clone();
    let test = start_one(move || {
        let calls = calls.clone();
        let body = move |run: RunContext| {
            calls.write((second(run.scheduled_at()), run.attempt()));
            async { Err::<(), _>("down") }
        };
        let four = RetryPolicy::standard().max_attempts(4).wait_min(Duration::ZERO);
        Task::new("tick", every(10), body).retry(four)
    })
    .await;
    test.advance(seconds(25)).await;
    let expected: Vec<_> = [10, 20].iter().flat_map(|&at| (1..=4).map(move |attempt| (at, attempt))).collect();
    assert_eq!(log.words(), expected);
    assert_eq!(test.stats().retried_attempts, 6);
}

#[tokio::test(start_paused = true)]
async fn apalis_redis_10_what_has_ended_is_pruned() {
    let test = start_one(|| Task::new("tick", every(10), async || {})).await;
    test.advance(seconds(50_000)).await;
    let kept: Vec<i64> = runs(&test, "tick").await.iter().map(|run| second(run.scheduled_at)).collect();
    assert_eq!(kept, (4_901..=5_000).map(|n| n * 10).collect::<Vec<_>>());
    assert_eq!(ledger(&test, "tick").await, (5_000, 5_000, 0));
}

#[tokio::test(start_paused = true)]
async fn quartz_net_3673_a_part_of_a_second_is_not_cut_off() {
    let test = start_one(|| {
        let half = Schedule::interval(Duration::from_millis(500)).expect("it is possible");
        Task::new("tick", half, async || {})
    })
    .await;
    test.advance(seconds(3)).await;
    assert_eq!(test.fired("tick").len(), 6);
    assert_eq!(ledger(&test, "tick").await, (6, 6, 0));
}

#[tokio::test(start_paused = true)]
async fn kubernetes_cron_job_more_than_a_hundred_missed_do_not_stop_it_for_ever() {
    let mut test = start_one(|| Task::new("tick", every(10), async || {})).await;
    test.restart(seconds(100_005)).await.expect("it starts again");
    test.advance(seconds(10)).await;
    assert_eq!(began(&test, "tick"), [(100_000, 100_005), (100_010, 100_010)]);
    assert_eq!(ledger(&test, "tick").await, (10_001, 2, 9_999));
}

#[tokio::test(start_paused = true)]
async fn river_791_restarts_more_frequent_than_a_long_interval_do_not_keep_it_from_firing() {
    let mut test = start_one(|| Task::new("tick", every(3_600), async || {})).await;
    for _ in 0..12 {
        test.advance(seconds(900)).await;
        test.restart(Duration::ZERO).await.expect("it starts again");
    }
    assert_eq!(began(&test, "tick"), [(3_600, 3_600), (7_200, 7_200), (10_800, 10_800)]);
}

#[tokio::test(start_paused = true)]
async fn tokio_cron_scheduler_of_more_than_200_due_together_none_is_lost() {
    const TASKS: usize = 1_000;
    let test = start(|| {
        let task = |n| Task::new(format!("task {n}"), every(10), async || {});
        (0..TASKS).fold(Scheduler::empty(), |scheduler, n| scheduler.register(task(n)))
    })
    .await;
    test.advance(Duration::from_millis(20_001)).await;
    let fired: HashSet<_> = test.all_fired().into_iter().map(|run| (run.task, run.scheduled_at)).collect();
    assert_eq!((fired.len(), test.all_fired().len()), (2 * TASKS, 2 * TASKS), "each task, each time, once");
}

#[tokio::test(start_paused = true)]
async fn apalis_cron_a_slow_job_does_not_end_its_own_cron() {
    let body = |run: RunContext| async move {
        let nth = second(run.scheduled_at()) / 60;
        tokio::time::sleep(seconds(100)).await;
        if nth == 1 { Err("slow and failed") } else { Ok(()) }
    };
    let test = start_one(move || {
        let each_minute = Schedule::cron("* * * * *").expect("it is valid");
        Task::new("tick", each_minute, body).retry(RetryPolicy::none())
    })
    .await;
    test.advance(seconds(601)).await;
    assert_eq!(began(&test, "tick"), [(60, 60), (180, 180), (300, 300), (420, 420), (540, 540)]);
    assert_eq!(records(&test, "tick").await, [(Reason::Overlap, 120, 600, 5)]);
    assert_eq!(ledger(&test, "tick").await, (10, 5, 5));
}

#[tokio::test(start_paused = true)]
async fn apalis_redis_76_a_short_stall_of_the_store_does_not_end_the_workers() {
    for stall in [Fault::Before, Fault::After, Fault::Slow(seconds(3))] {
        let (test, store) = start_one_between(|| Task::new("tick", every(10), async || {})).await;
        test.advance(seconds(15)).await;
        store.always(Some(stall));
        test.advance(seconds(12)).await;
        store.heal();
        test.advance(seconds(33)).await;
        let fired: Vec<i64> = test.fired("tick").into_iter().map(second).collect();
        assert_eq!(fired[fired.len() - 3..], [40, 50, 60], "{stall:?}: firing goes on");
        let (occurrences, runs, _) = ledger(&test, "tick").await;
        assert_eq!(
            (occurrences, test.fired("tick").len() as u64),
            (6, runs),
            "{stall:?}: none is lost, none runs twice"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn apalis_redis_1_0_a_backlog_of_10_000_is_worked_off() {
    const TASKS: usize = 10;
    const OF_EACH: usize = 1_000;
    let names: Vec<String> = (0..TASKS).map(|n| format!("work {n}")).collect();
    let (open, opened) = tokio::sync::watch::channel(false);
    let tasks = names.clone();
    let mut test = start(move || {
        let opened = opened.clone();
        let work = move |name: &String| {
            let opened = opened.clone();
            let body = move || {
                let mut opened = opened.clone();
                async move { drop(opened.wait_for(|&open| open).await.expect("the test opens it")) }
            };
            Task::new(name.clone(), every(100_000), body).max_instances(100)
        };
        let config = SchedulerConfig::new().max_workers(10).queue_size(100);
        tasks.iter().fold(Scheduler::empty().config(config), |scheduler, name| scheduler.register(work(name)))
    })
    .await;
    for name in &names {
        for _ in 0..OF_EACH {
            test.trigger_task(name).await.expect("it is accepted");
        }
    }
    assert!(test.all_fired().len() <= 10, "the others wait");
    open.send_replace(true);
    test.restart(seconds(60)).await.expect("it starts again");
    test.advance(seconds(200)).await;
    let done: HashSet<_> = test.all_fired().into_iter().map(|run| run.run).collect();
    assert_eq!((done.len(), test.all_fired().len()), (TASKS * OF_EACH, TASKS * OF_EACH), "each has run, once");
}

#[tokio::test(start_paused = true)]
async fn graphile_worker_rs_337_after_a_sleep_it_does_not_catch_up_without_end() {
    for overlap in [Overlap::Skip, Overlap::BufferAll] {
        let test = start_one(move || Task::new("tick", every(1), async || {}).overlap(overlap)).await;
        test.advance(Duration::from_millis(10_500)).await;
        test.set_clock_forward(seconds(7 * 86_400));
        test.advance(seconds(10)).await;
        let (occurrences, runs, recorded) = ledger(&test, "tick").await;
        assert_eq!(occurrences, 7 * 86_400 + 20, "{overlap}: every second of the sleep is accounted for");
        assert!(runs <= 10 + 1 + 12, "{overlap}: {runs} runs, {recorded} recorded");
    }
}

#[tokio::test(start_paused = true)]
async fn bull_mq_a_trigger_now_does_not_shift_the_schedule() {
    let mut test = start_one(|| Task::new("tick", every(10), async || {}).max_instances(2)).await;
    test.advance(seconds(13)).await;
    test.trigger_task("tick").await.expect("it is accepted");
    test.advance(Duration::from_millis(6_999)).await;
    assert_eq!(began(&test, "tick"), [(10, 10), (13, 13)]);
    // At the very instant of an occurrence, of which the engine has not heard yet.
    tokio::time::advance(Duration::from_millis(1)).await;
    test.trigger_task("tick").await.expect("it is accepted");
    test.advance(seconds(11)).await;
    assert_eq!(began(&test, "tick")[2..], [(20, 20), (20, 20), (30, 30)]);
    test.restart(Duration::ZERO).await.expect("it starts again");
    test.advance(seconds(10)).await;
    assert_eq!(began(&test, "tick")[5..], [(40, 40)]);
    assert_eq!(ledger(&test, "tick").await, (4, 4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_schedule_changed_in_code_does_not_live_on_as_it_is_stored() {
    let declared = Arc::new(AtomicU64::new(60));
    let period = Arc::clone(&declared);
    let mut test = start_one(move || Task::new("tick", every(period.load(Ordering::SeqCst)), async || {})).await;
    test.advance(seconds(70)).await;
    declared.store(25, Ordering::SeqCst);
    test.restart(seconds(10)).await.expect("it starts again");
    test.advance(seconds(50)).await;
    // 75 lies before the change, at 80: it was never missed.
    assert_eq!(began(&test, "tick"), [(60, 60), (100, 100), (125, 125)]);
    assert_eq!(ledger(&test, "tick").await, (3, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_fires_nothing_again() {
    let mut test = start_one(|| Task::new("tick", every(10), async || {})).await;
    test.advance(seconds(55)).await;
    test.set_clock_back(seconds(30));
    test.advance(seconds(10)).await;
    test.restart(Duration::ZERO).await.expect("it starts again");
    test.advance(seconds(30)).await;
    let instants: Vec<i64> = test.fired("tick").into_iter().map(second).collect();
    assert_eq!(instants, [10, 20, 30, 40, 50, 60]);
    assert_eq!(records(&test, "tick").await, [(Reason::ClockSetBack, 30, 50, 3)]);
    assert_eq!(ledger(&test, "tick").await, (9, 6, 3));
}
