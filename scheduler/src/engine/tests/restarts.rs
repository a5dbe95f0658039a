//! Schedulers that follow one another on one store: anchor and mark stay, and what was missed between them is known.

use super::rig::{LONG_LEASE, Rig, counts, cron, every, hours, pass, seconds};
use crate::backend::{Reason, Record};
use crate::{Missed, Overlap, RunContext, SchedulerConfig, SchedulerEvent, Task, TaskName, TaskStatus};

/// A long interval never fired where restarts reset it.
#[tokio::test(start_paused = true)]
async fn river_791_restarts_do_not_reset_a_long_interval() {
    let rig = Rig::new();
    for _ in 0..18 {
        let scheduler = rig.start([rig.quick("hourly", every(3_600_000))]).await;
        pass(seconds(20 * 60 - 7)).await;
        scheduler.stop().await.expect("it stops");
        pass(seconds(7)).await;
    }
    let hour = 3_600_000;
    // A restart is under way at each full hour, so each occurrence is started a little late by the next scheduler.
    assert_eq!(rig.fired("hourly"), [hour, 2 * hour, 3 * hour, 4 * hour, 5 * hour]);
    assert_eq!(counts(rig.ledger("hourly").await), (5, 5, 0));
}

#[tokio::test(start_paused = true)]
async fn what_falls_due_between_two_schedulers_is_a_misfire() {
    let rig = Rig::new();
    let task = || rig.quick("tick", cron("0 * * * * *"));
    let first = rig.start([task()]).await;
    pass(seconds(150)).await;
    first.stop().await.expect("it stops");
    pass(hours(1)).await;
    let _second = rig.start([task()]).await;
    pass(seconds(60)).await;

    // Down from 2:30 to 1:02:30: missed are 3:00 to 1:02:00, of which the last runs.
    let fired = rig.fired("tick");
    assert_eq!(fired, [60_000, 120_000, 3_720_000, 3_780_000]);
    assert_eq!(rig.log.of("tick")[2].missed, Some(Missed::new(59, rig.at(180_000))));
    assert_eq!(counts(rig.ledger("tick").await), (63, 4, 59));
}

#[tokio::test(start_paused = true)]
async fn a_restart_within_the_grace_misses_nothing() {
    let rig = Rig::new();
    // Three fall due in the pause: the second would overlap the first, which is still queued when it is fired.
    let task = || rig.quick("tick", every(200)).overlap(Overlap::Allow);
    for _ in 0..10 {
        let scheduler = rig.start([task()]).await;
        pass(seconds(1)).await;
        scheduler.stop().await.expect("it stops");
        pass(std::time::Duration::from_millis(700)).await;
    }
    let expected: Vec<i64> = (1..=81).map(|n| n * 200).collect();
    assert_eq!(rig.fired("tick"), expected);
}

#[tokio::test(start_paused = true)]
async fn a_changed_period_keeps_its_grid_and_counts_from_the_change() {
    let rig = Rig::new();
    let first = rig.start([rig.quick("tick", every(60_000))]).await;
    pass(seconds(90)).await;
    first.stop().await.expect("it stops");
    let _second = rig.start([rig.quick("tick", every(25_000))]).await;
    pass(seconds(40)).await;
    // 75 s is on the new grid and lies before the change at 90 s: it was never missed.
    assert_eq!(rig.fired("tick"), [60_000, 100_000, 125_000]);
    assert_eq!(counts(rig.ledger("tick").await), (3, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn what_fell_due_between_two_schedules_ends_with_the_first() {
    let rig = Rig::new();
    let first = rig.start([rig.quick("tick", every(60_000))]).await;
    pass(seconds(90)).await;
    first.stop().await.expect("it stops");
    pass(hours(1)).await;
    let second = rig.start([rig.quick("tick", every(25_000))]).await;
    pass(seconds(20)).await;
    // The change is at 3,690 s: nothing before it is missed, and nothing is lost.
    assert_eq!(rig.fired("tick"), [60_000, 3_700_000]);
    let ended = Record::span(Reason::Rescheduled, rig.at(120_000), rig.at(3_660_000), 60);
    assert_eq!(rig.records("tick").await, [ended]);
    assert_eq!(counts(rig.ledger("tick").await), (62, 2, 60));
    assert_eq!(counts(second.stats().ledger), (61, 1, 60), "the node that ends it counts it");
}

/// The queue is full, so what is due waits as a mark, until its task gets another schedule and the node stops at once.
#[tokio::test(start_paused = true)]
async fn what_a_replaced_schedule_owes_is_not_lost_with_its_node() {
    let rig = Rig::new();
    let full = || SchedulerConfig::new().max_workers(1).queue_size(1).lease(LONG_LEASE);
    let hog = || rig.lasting("hog", every(1_000), hours(1)).overlap(Overlap::Allow);
    let tasks = || [hog(), rig.quick("tick", every(10_000))];
    let scheduler = rig.scheduler(tasks()).config(full()).start().await.expect("it starts");
    let mut events = scheduler.events();
    pass(seconds(35)).await;
    scheduler.reschedule("tick", every(86_400_000)).await.expect("it has occurrences");
    scheduler.stop_now().await.expect("it stops");
    let ended = Record::span(Reason::Rescheduled, rig.at(10_000), rig.at(30_000), 3);
    assert_eq!(rig.records("tick").await, std::slice::from_ref(&ended));
    assert_eq!(counts(rig.ledger("tick").await), (3, 0, 3));
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.extend(
            Some(event).filter(|event| matches!(event, SchedulerEvent::Recorded { task, .. } if *task == *"tick")),
        );
    }
    assert_eq!(told, [SchedulerEvent::Recorded { task: TaskName::new("tick").expect("valid"), record: ended }]);
    let _next = rig.start([rig.quick("tick", every(10_000))]).await;
    pass(seconds(5)).await;
    assert_eq!(counts(rig.ledger("tick").await), (3, 0, 3), "and it is recorded once");
}

/// The next attempt is counted out of the task that counted it in, and not of the one that came in its place.
#[tokio::test(start_paused = true)]
async fn a_task_is_taken_out_and_comes_back_between_two_attempts() {
    let rig = Rig::new();
    let log = rig.log.clone();
    let import = || {
        let log = log.clone();
        Task::new("import", every(10_000), move |run: RunContext| {
            log.write(&run);
            async move { if run.attempt() == 1 { Err("not yet") } else { Ok(()) } }
        })
    };
    let scheduler = rig.start([import()]).await;
    pass(seconds(10)).await;
    scheduler.unregister("import").await.expect("it is there");
    scheduler.register(import()).await.expect("its name is free");
    pass(seconds(5)).await;
    let attempts: Vec<u32> = rig.log.of("import").iter().map(|run| run.attempt).collect();
    assert_eq!(attempts, [1, 2]);
    assert_eq!(scheduler.task("import").expect("it is there").status, TaskStatus::Completed);
}
