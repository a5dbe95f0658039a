//! A full queue: due tasks wait as one mark each, the oldest instants go first, and nothing is lost.

use std::time::Duration;

use super::rig::{Rig, config, counts, every, hours, millis, pass, seconds};
use crate::{Overlap, Task};

#[tokio::test(start_paused = true)]
async fn what_finds_the_queue_full_waits_and_the_oldest_instants_go_first() {
    let rig = Rig::new();
    let names: Vec<String> = (0..50).map(|n| format!("task {n:02}")).collect();
    // The tasks are due a millisecond apart, the last one first.
    let task = |(n, name): (usize, &String)| {
        let first = rig.at(1_000 + 50 - i64::try_from(n).expect("a small number"));
        rig.lasting(name.clone(), every(3_600_000), millis(100)).start_at(first.to_utc())
    };
    let scheduler = rig
        .scheduler(names.iter().enumerate().map(task))
        .config(config().max_workers(1).queue_size(1).misfire_grace(seconds(60)))
        .start()
        .await
        .expect("the scheduler starts");
    pass(seconds(3)).await;
    let stats = scheduler.stats();
    assert_eq!((stats.active_workers, stats.queued_runs), (1, 1), "one executes, one waits, the others are marks");
    pass(seconds(10)).await;
    let order: Vec<String> = rig.log.all().iter().map(|run| run.task.to_string()).collect();
    assert_eq!(order, names.iter().rev().cloned().collect::<Vec<_>>());
    assert!(rig.log.all().iter().all(|run| run.missed.is_none()));
    assert_eq!(counts(scheduler.stats().ledger), (50, 50, 0));
}

#[tokio::test(start_paused = true)]
async fn of_marks_that_wait_the_higher_priority_goes_first_and_then_the_older() {
    let rig = Rig::new();
    let task = |name: &'static str, priority: i8, first: i64| {
        let starts = rig.at(first).to_utc();
        rig.lasting(name, every(3_600_000), millis(100)).start_at(starts).priority(priority)
    };
    // Two fill worker and queue before the others are due.
    let tasks = [
        task("first", 0, 1_000),
        task("second", 0, 1_000),
        task("low", -5, 1_010),
        task("plain, younger", 0, 1_030),
        task("plain", 0, 1_020),
        task("high, younger", 7, 1_050),
        task("high", 7, 1_040),
    ];
    let scheduler = rig.scheduler(tasks).config(config().max_workers(1).queue_size(1).misfire_grace(seconds(60)));
    let _scheduler = scheduler.start().await.expect("the scheduler starts");
    pass(seconds(3)).await;
    let order: Vec<String> = rig.log.all().iter().map(|run| run.task.to_string()).collect();
    assert_eq!(order[2..], ["high", "high, younger", "plain", "plain, younger", "low"]);
}

#[tokio::test(start_paused = true)]
async fn only_what_waits_past_the_grace_is_a_misfire_and_nothing_is_lost() {
    const GRACE: Duration = Duration::from_secs(2);
    let rig = Rig::new();
    let names = ["a", "b", "c", "d", "e"];
    // Five tasks ask for two and a half workers' time, and there is one.
    let task = |name| rig.lasting(name, every(1_000), millis(500)).overlap(Overlap::Allow);
    let tasks: Vec<Task> = names.map(task).into();
    let scheduler = rig
        .scheduler(tasks)
        .config(config().max_workers(1).queue_size(1).misfire_grace(GRACE))
        .start()
        .await
        .expect("the scheduler starts");
    pass(seconds(120)).await;
    scheduler.stop().await.expect("it stops");

    for name in names {
        let runs = rig.log.of(name);
        assert!(runs.len() >= 20, "{name} is starved: {} runs", runs.len());
        let mut expected = 1_000;
        for run in &runs {
            let missed = run.missed.map_or(0, |missed| i64::try_from(missed.count).expect("a small number"));
            if let Some(missed) = run.missed {
                assert_eq!(rig.millis(missed.first), expected, "{name}: what is covered follows the run before");
            }
            let at = rig.millis(run.scheduled_at);
            assert_eq!(at, expected + missed * 1_000, "{name}: nothing lies between");
            expected = at + 1_000;
        }
        let covered: u64 = runs.iter().filter_map(|run| run.missed).map(|missed| missed.count).sum();
        assert_eq!(counts(rig.ledger(name).await), (runs.len() as u64 + covered, runs.len() as u64, covered));
    }
}

#[tokio::test(start_paused = true)]
async fn within_the_grace_a_task_that_waited_runs_for_each_occurrence() {
    let rig = Rig::new();
    let tasks = [
        rig.lasting("long", every(3_600_000), millis(4_500)).start_at(rig.at(500).to_utc()),
        rig.lasting("short", every(1_000), millis(0)).overlap(Overlap::Allow),
    ];
    let _scheduler = rig
        .scheduler(tasks)
        .config(config().max_workers(1).queue_size(1).misfire_grace(hours(1)))
        .start()
        .await
        .expect("the scheduler starts");
    pass(millis(7_500)).await;
    assert_eq!(rig.fired("short"), [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000]);
    assert_eq!(rig.log.of("short")[3].began_at, rig.at(5_000), "when the worker is free");
    assert_eq!(counts(rig.ledger("short").await), (7, 7, 0));
}

#[tokio::test(start_paused = true)]
async fn a_burst_larger_than_a_batch_and_the_queue_is_fired_in_full() {
    let rig = Rig::new();
    let names: Vec<String> = (0..3_000).map(|n| format!("task {n}")).collect();
    let tasks = names.iter().map(|name| rig.lasting(name.clone(), every(60_000), millis(10)));
    let scheduler = rig
        .scheduler(tasks)
        .config(config().max_workers(20).queue_size(30).misfire_grace(seconds(30)))
        .start()
        .await
        .expect("the scheduler starts");
    pass(seconds(60) + millis(1_600)).await;
    assert_eq!(rig.log.all().len(), 3_000);
    assert_eq!(counts(scheduler.stats().ledger), (3_000, 3_000, 0));
    // Twenty at a time, ten milliseconds each: no worker was ever idle.
    let last = rig.log.all().iter().map(|run| rig.millis(run.began_at)).max();
    assert_eq!(last, Some(60_000 + (3_000 / 20 - 1) * 10));
}
