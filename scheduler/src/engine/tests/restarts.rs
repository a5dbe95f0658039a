//! Schedulers that follow one another on one store: anchor and mark stay, and what was missed between them is known.

use super::rig::{Rig, counts, cron, every, hours, pass, seconds};
use crate::{Missed, Overlap};

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
