//! What nobody could start in time: the newest missed occurrence runs and covers the others.

use super::rig::{Rig, config, counts, every, hours, millis, pass, seconds};
use crate::backend::{Reason, Record};
use crate::{Misfire, Missed, Overlap};

const THREE_HOURS: i64 = 3 * 3_600_000;

#[tokio::test(start_paused = true)]
async fn when_the_clock_is_set_forward_the_newest_missed_occurrence_runs_and_covers_the_others() {
    let rig = Rig::new();
    let _scheduler = rig.start([rig.quick("tick", every(60_000))]).await;
    pass(seconds(90)).await;
    rig.clock.step(THREE_HOURS);
    pass(seconds(30)).await;

    // From 1:30 to 3:01:30. Missed are 2:00 to 3:01:00, the last of which runs; 3:02:00 is on time.
    let newest = 60_000 + THREE_HOURS;
    assert_eq!(rig.fired("tick"), [60_000, newest, newest + 60_000]);
    let covering = &rig.log.of("tick")[1];
    assert_eq!(covering.missed, Some(Missed::new(179, rig.at(120_000))));
    assert_eq!(covering.began_at, rig.at(90_000 + THREE_HOURS), "noticed at once");
    let covered = Record::span(Reason::Missed, rig.at(120_000), rig.at(newest - 60_000), 179);
    assert_eq!(rig.records("tick").await, [covered]);
    assert_eq!(counts(rig.ledger("tick").await), (182, 3, 179));
}

/// After a laptop's sleep others caught up for ever.
#[tokio::test(start_paused = true)]
async fn graphile_worker_rs_337_after_a_month_asleep_a_task_of_one_second_does_not_catch_up_run_by_run() {
    let rig = Rig::new();
    let _scheduler = rig.start([rig.quick("tick", every(1_000))]).await;
    pass(millis(10_500)).await;
    rig.clock.step(30 * 86_400_000);
    pass(seconds(10)).await;

    let runs = rig.log.of("tick");
    assert!(runs.len() <= 10 + 1 + 12, "{} runs", runs.len());
    let covering: Vec<_> = runs.iter().filter(|run| run.missed.is_some()).collect();
    assert_eq!(covering.len(), 1, "one run stands for all that was missed");
    let ledger = rig.ledger("tick").await;
    assert_eq!(ledger.occurrences, 20 + 30 * 86_400, "every second of the month is accounted for");
    assert_eq!(ledger.runs, runs.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn at_most_as_late_as_the_grace_an_occurrence_runs_as_itself() {
    let rig = Rig::new();
    let scheduler = rig.scheduler([rig.quick("tick", every(10_000))]).config(config().misfire_grace(seconds(5)));
    let _scheduler = scheduler.start().await.expect("the scheduler starts");
    pass(millis(7_000)).await;
    // 14 s is within 5 s of 10 s.
    rig.clock.step(7_000);
    pass(millis(7_000)).await;
    assert_eq!(rig.fired("tick"), [10_000, 20_000]);
    assert!(rig.log.of("tick")[0].missed.is_none());
    assert_eq!(counts(rig.ledger("tick").await), (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_single_missed_occurrence_runs_and_covers_nothing() {
    let rig = Rig::new();
    let _scheduler = rig.start([rig.quick("hourly", every(3_600_000))]).await;
    pass(seconds(60)).await;
    rig.clock.step(2 * 3_600_000 - 120_000);
    pass(seconds(10)).await;
    assert_eq!(rig.fired("hourly"), [3_600_000]);
    assert_eq!(rig.log.of("hourly")[0].missed, None);
    assert_eq!(counts(rig.ledger("hourly").await), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn catching_up_does_not_block_what_is_due() {
    let rig = Rig::new();
    let tasks = [rig.quick("far behind", every(5)), rig.quick("on time", every(1_000))];
    let _scheduler = rig.start(tasks).await;
    pass(millis(1_500)).await;
    rig.clock.step(24 * 3_600_000);
    pass(millis(1_000)).await;
    let newest = rig.log.of("on time").last().expect("it runs").scheduled_at;
    assert!(rig.clock.now().since(newest) <= seconds(1), "the occurrence of this second has run");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_runs_to_be_caught_up_do_not_make_late_what_is_due_beside_them() {
    let rig = Rig::new();
    let behind = rig.lasting("behind", every(1_000), millis(20)).misfire(Misfire::RunAll).overlap(Overlap::BufferAll);
    let scheduler =
        rig.scheduler([behind, rig.quick("on time", every(1_000))]).config(config().max_workers(1).queue_size(1));
    let _scheduler = scheduler.start().await.expect("the scheduler starts");
    pass(millis(1_500)).await;
    rig.clock.step(2_000_000);
    pass(seconds(15)).await;
    assert!(rig.log.of("behind").len() > 300, "it catches up meanwhile");
    let late: Vec<_> =
        rig.log.of("on time").iter().filter(|run| run.missed.is_some()).map(|run| run.scheduled_at).collect();
    assert_eq!(late.len(), 1, "only what the step itself has passed over was missed: {late:?}");
    assert!(rig.log.of("on time").len() >= 15, "and each second since has run");
}

#[tokio::test(start_paused = true)]
async fn under_run_all_what_is_too_old_and_what_is_too_much_are_told_apart() {
    let rig = Rig::new();
    let tick = rig.quick("tick", every(1_000)).misfire(Misfire::RunAll).overlap(Overlap::Allow);
    let _scheduler = rig.start([tick.catch_up_window(seconds(2_000))]).await;
    pass(millis(1_500)).await;
    rig.clock.step(5_000_000);
    pass(seconds(5)).await;
    let told: Vec<_> = rig.records("tick").await.iter().map(|record| (record.reason, record.count)).collect();
    let [(Reason::TooOld, old), (Reason::TooMany, many)] = told[..] else { panic!("{told:?}") };
    assert!((2_999..=3_001).contains(&old) && (998..=1_001).contains(&many), "{told:?}");
    let ledger = rig.ledger("tick").await;
    assert_eq!(ledger.recorded, old + many);
}

#[tokio::test(start_paused = true)]
async fn the_window_bounds_what_can_be_missed() {
    let rig = Rig::new();
    let tick = rig.quick("tick", every(60_000)).end_at(rig.at(600_000).to_utc());
    let scheduler = rig.start([tick]).await;
    pass(seconds(90)).await;
    rig.clock.step(THREE_HOURS);
    pass(hours(1)).await;
    assert_eq!(rig.fired("tick"), [60_000, 600_000], "the last of the window covers the others");
    assert_eq!(counts(rig.ledger("tick").await), (10, 2, 8));
    assert_eq!(scheduler.task("tick").expect("it is registered").next, None);
}

#[tokio::test(start_paused = true)]
async fn of_what_a_full_task_missed_nothing_runs_and_all_of_it_is_recorded() {
    let rig = Rig::new();
    let scheduler = rig.start([rig.lasting("slow", every(1_000), hours(100))]).await;
    pass(millis(1_500)).await;
    rig.clock.step(3_600_000);
    pass(millis(1_000)).await;
    assert_eq!(rig.fired("slow"), [1_000], "the run that fills the task goes on");
    assert_eq!(counts(rig.ledger("slow").await), (3_602, 1, 3_601), "up to 1:00:02, each once");
    let reasons: Vec<_> = rig.records("slow").await.iter().map(|record| record.reason).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons.contains(&Reason::Missed) && reasons.contains(&Reason::Overlap), "{reasons:?}");
    assert!(scheduler.stats().ledger.balances());
}
