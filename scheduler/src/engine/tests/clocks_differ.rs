//! A node's clock that is not the store's, and an offset that cannot be measured, since answers take too long: the store's
//! word counts, so the node may be late and is never early.

use super::rig::{Rig, config, counts, every, millis, pass, seconds};
use crate::clock::Clock;
use crate::test_util::{Chaos, Fault};
use crate::{MemoryBackend, Task};

/// A rig whose store keeps another time than its schedulers, which are `ahead_millis` ahead.
fn differing(ahead_millis: i64) -> (Rig, Clock) {
    let mut rig = Rig::new();
    let stores = Clock::starting_at(rig.origin);
    rig.store = MemoryBackend::with_clock(stores.clone());
    rig.clock.step(ahead_millis);
    (rig, stores)
}

/// How long it takes to start: three heartbeats.
const STARTS_AFTER: i64 = 3 * 1_200;

async fn run_for_a_minute(rig: &Rig, task: Task) {
    let store = Chaos::new(rig.store.clone());
    store.fail_on("heartbeat", Fault::Slow(millis(1_200)));
    let scheduler = rig.scheduler([task]).backend(store).config(config());
    let scheduler = scheduler.start().await.expect("the scheduler starts");
    assert!(scheduler.health().clock.offset.is_zero(), "nothing is known of it");
    pass(seconds(63)).await;
    scheduler.stop().await.expect("it stops");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_ahead_of_the_store_is_not_early() {
    let (rig, stores) = differing(400);
    run_for_a_minute(&rig, rig.quick("tick", every(1_000))).await;
    assert_eq!(stores.now(), rig.at(63_000 + STARTS_AFTER));
    let runs = rig.log.of("tick");
    assert_eq!(rig.fired("tick"), (1..=runs.len() as i64).map(|n| STARTS_AFTER + n * 1_000).collect::<Vec<_>>());
    assert!(runs.len() >= 62, "{} runs", runs.len());
    for run in &runs {
        // The log shows the node's time, which is 400 ms ahead.
        let late = rig.millis(run.began_at) - 400 - rig.millis(run.scheduled_at);
        assert!((0..=20).contains(&late), "{run:?} began {late} ms after its instant on the store's clock");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_behind_the_store_is_late_and_loses_nothing() {
    let (rig, _stores) = differing(-3_000);
    run_for_a_minute(&rig, rig.quick("tick", every(1_000))).await;
    let (occurrences, runs, recorded) = counts(rig.ledger("tick").await);
    assert!(occurrences >= 58, "{occurrences} occurrences: {runs} runs, {recorded} recorded");
    assert_eq!(rig.log.of("tick").len() as u64, runs);
}

#[tokio::test(start_paused = true)]
async fn a_node_far_ahead_of_the_store_does_not_ask_it_all_the_time() {
    let rig = Rig::new();
    let stores = Clock::starting_at(rig.origin);
    let store = Chaos::new(MemoryBackend::with_clock(stores.clone()).outliving_its_program());
    let scheduler = rig.scheduler([rig.quick("tick", every(60_000))]).backend(store.clone());
    let _scheduler = scheduler.start().await.expect("the scheduler starts");
    rig.clock.step(50_000);
    pass(seconds(30)).await;
    let asked = store.calls();
    pass(seconds(25)).await;
    assert!(store.calls() - asked <= 2 * 25 + 10, "{} calls in 25 s", store.calls() - asked);
    assert!(rig.log.all().is_empty());
    pass(seconds(6)).await;
    assert_eq!(rig.fired("tick"), [60_000]);
    assert_eq!(stores.now(), rig.at(61_000));
}
