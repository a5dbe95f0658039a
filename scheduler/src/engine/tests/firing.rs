//! What falls due fires: on the grid, once, never early, all of it.

use std::collections::HashSet;

use super::rig::{Rig, counts, cron, every, hours, millis, pass, seconds};

#[tokio::test(start_paused = true)]
async fn an_interval_keeps_its_grid_for_hours() {
    let rig = Rig::new();
    let _scheduler = rig.start([rig.quick("tick", every(2_500))]).await;
    pass(hours(3)).await;
    let expected: Vec<i64> = (1..=3 * 3_600_000 / 2_500).map(|n| n * 2_500).collect();
    assert_eq!(rig.fired("tick"), expected);
    assert!(rig.log.all().iter().all(|run| run.began_at == run.scheduled_at), "no run is late where time is virtual");
}

/// Others lost such a task for good.
#[tokio::test(start_paused = true)]
async fn tokio_cron_scheduler_113_and_56_and_apalis_cron_a_task_slower_than_its_period_keeps_firing() {
    let rig = Rig::new();
    let slow =
        [rig.lasting("interval", every(1_000), millis(2_500)), rig.lasting("cron", cron("* * * * * *"), millis(2_500))];
    let _scheduler = rig.start(slow).await;
    pass(seconds(3_000) + millis(500)).await;
    let every_third: Vec<i64> = (0..1_000).map(|n| 1_000 + n * 3_000).collect();
    assert_eq!(rig.fired("interval"), every_third);
    assert_eq!(rig.fired("cron"), every_third);
    assert_eq!(counts(rig.ledger("interval").await), (3_000, 1_000, 2_000));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_early_and_no_occurrence_runs_twice() {
    let rig = Rig::new();
    let periods = [1, 7, 13, 333, 999, 1_001, 4_999];
    let names: Vec<String> = periods.iter().map(|period| format!("every {period} ms")).collect();
    let tasks = names.iter().zip(periods).map(|(name, period)| rig.lasting(name.clone(), every(period), millis(0)));
    let _scheduler = rig.start(tasks).await;
    pass(seconds(10)).await;
    for (name, period) in names.iter().zip(periods) {
        let runs = rig.log.of(name);
        let instants: HashSet<_> = runs.iter().map(|run| run.scheduled_at).collect();
        assert_eq!(instants.len(), runs.len(), "{name}: each occurrence is one run");
        assert_eq!(runs.len() as u64, 10_000 / period, "{name}");
        assert!(runs.iter().all(|run| run.began_at >= run.scheduled_at), "{name}: never early");
    }
}

/// Others lost firings when more than 200 fell due together.
#[tokio::test(start_paused = true)]
async fn tokio_cron_scheduler_ten_thousand_tasks_due_at_one_instant_all_fire() {
    const TASKS: usize = 10_000;
    let rig = Rig::new();
    let names: Vec<String> = (0..TASKS).map(|n| format!("task {n}")).collect();
    let scheduler = rig.start(names.iter().map(|name| rig.lasting(name.clone(), every(60_000), millis(0)))).await;
    pass(seconds(90)).await;
    let fired: HashSet<String> = rig.log.all().iter().map(|run| run.task.to_string()).collect();
    assert_eq!(fired.len(), TASKS, "each task has fired");
    assert_eq!(rig.log.all().len(), TASKS, "and once");
    let stats = scheduler.stats();
    assert_eq!(counts(stats.ledger), (TASKS as u64, TASKS as u64, 0));
    assert_eq!((stats.successful_runs, stats.queued_runs, stats.active_workers), (TASKS as u64, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn runs_that_wait_do_not_hold_up_the_instant_they_share() {
    let rig = Rig::new();
    let names: Vec<String> = (0..50).map(|n| format!("task {n}")).collect();
    let tasks: Vec<_> = names.iter().map(|name| rig.lasting(name.clone(), every(1_000), millis(900))).collect();
    let _scheduler =
        rig.scheduler(tasks).config(super::rig::config().max_workers(50)).start().await.expect("the scheduler starts");
    pass(millis(10_500)).await;
    for name in &names {
        let runs = rig.log.of(name);
        assert_eq!(runs.len(), 10, "{name}");
        assert!(runs.iter().all(|run| run.began_at == run.scheduled_at), "{name} has a worker at once");
    }
}

#[tokio::test(start_paused = true)]
async fn two_schedulers_of_one_process_do_not_meet() {
    let (one, other) = (Rig::new(), Rig::new());
    let first = one.start([one.quick("tick", every(1_000))]).await;
    let second = other.start([other.quick("tick", every(500))]).await;
    pass(millis(5_250)).await;
    assert!(first.stop().await.expect("it stops").is_clean());
    pass(seconds(5)).await;
    assert_eq!(one.fired("tick").len(), 5);
    assert_eq!(other.fired("tick").len(), 20);
    assert!(!first.stats().running && second.stats().running);
}

/// Others fired a cron on every node.
#[tokio::test(start_paused = true)]
async fn apalis_281_two_schedulers_on_one_store_fire_each_occurrence_once() {
    let rig = Rig::new();
    let one = rig.start([rig.quick("tick", every(100))]).await;
    let other = rig.start([rig.quick("tick", every(100))]).await;
    pass(millis(60_050)).await;
    let expected: Vec<i64> = (1..=600).map(|n| n * 100).collect();
    assert_eq!(rig.fired("tick"), expected);
    assert_eq!(counts(rig.ledger("tick").await), (600, 600, 0));
    let (one, other) = (one.stats().ledger, other.stats().ledger);
    assert_eq!(one.runs + other.runs, 600, "each node counts what it fired");
}

/// A run on start was doubled by each node.
#[tokio::test(start_paused = true)]
async fn river_827_of_two_schedulers_that_start_only_the_first_runs_a_task_on_start() {
    let rig = Rig::new();
    let task = || rig.quick("warm up", every(60_000)).run_on_start(true);
    let one = rig.start([task()]).await;
    pass(seconds(1)).await;
    let other = rig.start([task()]).await;
    pass(seconds(1)).await;
    assert_eq!(rig.fired("warm up"), [0], "the second node finds it known");
    one.stop().await.expect("it stops");
    let third = rig.start([task()]).await;
    pass(seconds(1)).await;
    assert_eq!(rig.fired("warm up"), [0], "the second is there still");
    other.stop().await.expect("it stops");
    third.stop().await.expect("it stops");
    let _fourth = rig.start([task()]).await;
    pass(seconds(1)).await;
    assert_eq!(rig.fired("warm up"), [0, 3_000], "nobody was there");
}

/// A leader that lacked a job kept it from running anywhere.
#[tokio::test(start_paused = true)]
async fn river_658_a_scheduler_that_lacks_a_task_leaves_it_to_the_one_that_has_it() {
    let rig = Rig::new();
    let _without = rig.start([rig.quick("other", every(10_000))]).await;
    // The one that has it is full from 10 s to 16 s, and its worker is taken until 22 s: what is triggered meanwhile waits in
    // the store, where the one without it looks too.
    let hogs = ["first", "second"].map(|hog| rig.lasting(hog, every(10_000), seconds(6)).max_runs(1));
    let tasks = hogs.into_iter().chain([rig.quick("tick", every(30_000))]);
    let full = super::rig::config().max_workers(1).queue_size(1);
    let with = rig.scheduler(tasks).config(full).start().await.expect("it starts");
    pass(seconds(12)).await;
    with.trigger_task("tick").await.expect("it is accepted");
    pass(seconds(20)).await;
    let began: Vec<_> = rig.log.of("tick").iter().map(|run| (run.scheduled_at, run.began_at)).collect();
    assert_eq!(began, [(rig.at(12_000), rig.at(22_000)), (rig.at(30_000), rig.at(30_000))]);
    assert_eq!(rig.fired("other"), [10_000, 20_000, 30_000]);
    assert_eq!(counts(rig.ledger("tick").await), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_without_tasks_starts_and_stops() {
    let rig = Rig::new();
    let scheduler = rig.start([]).await;
    pass(seconds(10)).await;
    assert!(scheduler.stop().await.expect("it stops").is_clean());
    assert_eq!(scheduler.stats().total_runs, 0);
}
