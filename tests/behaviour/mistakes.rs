//! Mistakes of other schedulers that concern one process, each named after the place where it was paid for.

use std::time::Duration;

use symphra_scheduler::{RetryPolicy, RunContext, Schedule, Scheduler, Task};

use crate::kit::{Log, began, every, ledger, runs, second, seconds, start, start_one};

#[tokio::test(start_paused = true)]
async fn tokio_cron_scheduler_113_an_interval_that_falls_behind_once_goes_on() {
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

#[tokio::test(start_paused = true)]
async fn tokio_cron_scheduler_28_a_body_adds_a_task_on_a_runtime_of_one_thread() {
    let (send, receive) = tokio::sync::oneshot::channel::<symphra_scheduler::SchedulerHandle>();
    let receive = std::sync::Arc::new(tokio::sync::Mutex::new(Some(receive)));
    let test = start(move || {
        let receive = std::sync::Arc::clone(&receive);
        let body = move || {
            let receive = std::sync::Arc::clone(&receive);
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
    assert_eq!(began(&test, "added"), [(20, 20), (30, 30)]);
}

#[tokio::test(start_paused = true)]
async fn apalis_503_retries_are_counted_in_one_place() {
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
