//! What falls due while its task is full: exact lists of runs and of records.

use super::rig::{Rig, config, counts, every, millis, pass};
use crate::Overlap;
use crate::backend::{Reason, Record};

#[tokio::test(start_paused = true)]
async fn with_one_instance_what_falls_due_during_a_run_is_recorded() {
    let rig = Rig::new();
    let _scheduler = rig.start([rig.lasting("slow", every(1_000), millis(2_500))]).await;
    pass(millis(10_250)).await;
    assert_eq!(rig.fired("slow"), [1_000, 4_000, 7_000, 10_000]);
    let skipped = Record::span(Reason::Overlap, rig.at(2_000), rig.at(9_000), 6);
    assert_eq!(rig.records("slow").await, [skipped]);
    assert_eq!(counts(rig.ledger("slow").await), (10, 4, 6));
}

#[tokio::test(start_paused = true)]
async fn with_two_instances_the_third_is_recorded() {
    let rig = Rig::new();
    let slow = rig.lasting("slow", every(1_000), millis(2_500)).max_instances(2);
    let scheduler = rig.start([slow]).await;
    pass(millis(8_250)).await;
    assert_eq!(rig.fired("slow"), [1_000, 2_000, 4_000, 5_000, 7_000, 8_000]);
    let skipped = Record::span(Reason::Overlap, rig.at(3_000), rig.at(6_000), 2);
    assert_eq!(rig.records("slow").await, [skipped]);
    let task = scheduler.task("slow").expect("it is registered");
    assert_eq!(task.running, 2, "those of 7 s and 8 s");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_as_the_next_falls_due_does_not_overlap_it_for_ever() {
    let rig = Rig::new();
    let _scheduler = rig.start([rig.lasting("exact", every(1_000), millis(1_000))]).await;
    pass(millis(20_500)).await;
    let (occurrences, runs, recorded) = counts(rig.ledger("exact").await);
    assert_eq!(occurrences, 20);
    assert!(runs >= 10, "{runs} runs, {recorded} recorded: at least each second occurrence runs");
}

#[tokio::test(start_paused = true)]
async fn where_overlap_is_allowed_every_occurrence_runs() {
    let rig = Rig::new();
    let slow = rig.lasting("slow", every(1_000), millis(30_500)).overlap(Overlap::Allow);
    let scheduler =
        rig.scheduler([slow]).config(config().max_workers(100)).start().await.expect("the scheduler starts");
    pass(millis(60_250)).await;
    let runs = rig.log.of("slow");
    assert_eq!(runs.len(), 60);
    assert!(runs.iter().all(|run| run.began_at == run.scheduled_at));
    assert_eq!(scheduler.stats().active_workers, 31, "those that began in the last 30.5 s");
    assert!(rig.records("slow").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_a_worker_fills_its_task_too() {
    let rig = Rig::new();
    let tasks = [rig.lasting("long", every(1_000), millis(5_500)), rig.lasting("waits", every(1_500), millis(0))];
    let _scheduler = rig.scheduler(tasks).config(config().max_workers(1)).start().await.expect("the scheduler starts");
    pass(millis(6_750)).await;
    // `long` holds the one worker from 1 s to 6.5 s; the run of 1.5 s waits for it, and the task is full meanwhile.
    assert_eq!(rig.fired("waits"), [1_500]);
    assert_eq!(rig.log.of("waits")[0].began_at, rig.at(6_500));
    let skipped = Record::span(Reason::Overlap, rig.at(3_000), rig.at(6_000), 3);
    assert_eq!(rig.records("waits").await, [skipped]);
}
