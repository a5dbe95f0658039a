//! A wall clock that is set: nothing fires twice, nothing is lost without a record, and it is noticed at once, or within a second
//! where nobody tells it.

use std::collections::{HashMap, HashSet};

use symphra_scheduler_core::Timestamp;

use super::rig::{Rig, counts, cron, every, millis, pass, seconds};
use crate::backend::{Reason, Record};
use crate::clock::Clock;
use crate::test_util::{Chaos, Fault};

#[tokio::test(start_paused = true)]
async fn when_the_clock_is_set_back_nothing_fires_again_and_what_it_shows_again_is_recorded() {
    let rig = Rig::new();
    let _scheduler = rig.start([rig.quick("tick", every(10_000))]).await;
    pass(seconds(3_605)).await;
    rig.clock.step(-600_000);
    pass(seconds(300)).await;
    assert_eq!(rig.fired("tick").len(), 360, "the clock shows 0:55:05 again, and nothing fires");
    let again = Record::span(Reason::ClockSetBack, rig.at(3_010_000), rig.at(3_300_000), 30);
    assert_eq!(rig.records("tick").await, [again]);

    pass(seconds(330)).await;
    let expected: Vec<i64> = (1..=363).map(|n| n * 10_000).collect();
    assert_eq!(rig.fired("tick"), expected, "firing goes on where it stopped");
    assert_eq!(counts(rig.ledger("tick").await), (423, 363, 60));
}

/// How long after the clock was set to just before noon the task of noon began.
async fn noticed_after(rig: &Rig) -> std::time::Duration {
    let _scheduler = rig.start([rig.quick("noon", cron("0 12 * * *"))]).await;
    pass(millis(100_300)).await;
    rig.clock.step(12 * 3_600_000 - 100_300 - 1);
    let set = rig.clock.now();
    pass(seconds(2)).await;
    let runs = rig.log.of("noon");
    assert_eq!(runs.len(), 1, "it ran");
    runs[0].began_at.since(set)
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_told_is_noticed_at_once() {
    assert_eq!(noticed_after(&Rig::new()).await, millis(1), "just when it was due");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_nobody_tells_is_noticed_within_a_second() {
    let origin = Rig::new().origin;
    let rig = Rig::by(origin, Clock::that_tells_nothing(origin));
    let after = noticed_after(&rig).await;
    assert!(after > millis(1) && after <= seconds(1), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn set_back_twice_the_clock_shows_the_same_instants_twice_more() {
    let rig = Rig::new();
    let _scheduler = rig.start([rig.quick("tick", every(10_000))]).await;
    pass(seconds(605)).await;
    for _ in 0..2 {
        rig.clock.step(-300_000);
        pass(seconds(200)).await;
    }
    // 10:05 → 5:05 … 8:25 → 3:25 … 6:45.
    assert_eq!(rig.fired("tick").len(), 60);
    assert_eq!(counts(rig.ledger("tick").await), (100, 60, 40));
    pass(seconds(200)).await;
    // Up to 10:05 again.
    assert_eq!(counts(rig.ledger("tick").await), (120, 60, 60));
    pass(seconds(10)).await;
    assert_eq!(rig.fired("tick").last(), Some(&610_000));
}

#[tokio::test(start_paused = true)]
async fn set_back_and_forward_again_only_what_is_new_runs() {
    let rig = Rig::new();
    let _scheduler = rig.start([rig.quick("tick", every(10_000))]).await;
    pass(seconds(605)).await;
    rig.clock.step(-300_000);
    pass(seconds(5)).await;
    rig.clock.step(603_000);
    pass(seconds(6)).await;
    let fired = rig.fired("tick");
    assert_eq!(fired.len(), 61);
    assert_eq!(fired.last(), Some(&910_000), "the newest of what was passed over");
    // Sixty had fired; thirty were passed over a second time; of thirty-one new ones the last runs.
    assert_eq!(counts(rig.ledger("tick").await), (121, 61, 60));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_has_not_fired_for_long_is_not_held_up_by_a_clock_set_back() {
    let rig = Rig::new();
    let _scheduler = rig.start([rig.quick("rare", cron("0 0 6 * * *"))]).await;
    pass(seconds(7_200)).await;
    rig.clock.step(-3_600_000);
    pass(seconds(5 * 3_600 + 1)).await;
    assert_eq!(rig.fired_at("rare"), ["2026-06-01T06:00:00.000Z"]);
    assert!(rig.records("rare").await.is_empty(), "there is nothing of it that the clock could show again");
}

#[tokio::test(start_paused = true)]
async fn what_the_clock_shows_again_is_recorded_by_one_of_two_nodes() {
    let rig = Rig::new();
    let tick = || rig.quick("tick", every(10_000));
    let _first = rig.start([tick()]).await;
    let _second = rig.start([tick()]).await;
    pass(seconds(605)).await;
    for _ in 0..2 {
        rig.clock.step(-300_000);
        pass(seconds(200)).await;
    }
    // 10:05 → 5:05 … 8:25 → 3:25 … 6:45.
    assert_eq!(rig.fired("tick").len(), 60);
    assert_eq!(counts(rig.ledger("tick").await), (100, 60, 40));
}

#[tokio::test(start_paused = true)]
async fn what_another_schedule_names_behind_the_mark_is_recorded_though_nobody_was_there() {
    let rig = Rig::new();
    let first = rig.start([rig.quick("tick", every(10_000))]).await;
    pass(seconds(605)).await;
    rig.clock.step(-300_000);
    pass(millis(1_500)).await;
    first.stop().await.expect("it stops");

    // It counts from 5:06.5 on, and is recorded from 5:07 to 5:20.
    let second = rig.start([rig.quick("tick", every(1_000))]).await;
    pass(seconds(14)).await;
    assert_eq!(counts(rig.ledger("tick").await), (74, 60, 14));
    second.stop().await.expect("it stops");
    pass(seconds(100)).await;
    let third = rig.start([rig.quick("tick", every(1_000))]).await;
    pass(millis(100)).await;
    assert_eq!(counts(rig.ledger("tick").await), (174, 60, 114), "up to 7:00 nobody was there");
    third.stop().await.expect("it stops");
    pass(seconds(190)).await;

    // At 10:10 the mark, at 10:00, is passed: of the nine missed after it the last runs, and 10:10 is in time.
    let _fourth = rig.start([rig.quick("tick", every(1_000))]).await;
    pass(millis(100)).await;
    assert_eq!(counts(rig.ledger("tick").await), (364, 62, 302));
    assert_eq!(rig.fired("tick").last(), Some(&610_000));
}

/// The clock is set at random, and the ledger is compared with a count that knows nothing of the engine: an occurrence
/// is each instant that the wall clock passes on its way forward, whether it ticks or is set.
#[tokio::test(start_paused = true)]
async fn however_the_clock_is_set_the_ledger_equals_an_independent_count() {
    const PERIODS: [(&str, i64); 4] = [("2 s", 2_000), ("7 s", 7_000), ("30 s", 30_000), ("10 min", 600_000)];
    let seed = seed();
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let rig = Rig::new();
    let _scheduler = rig.start(PERIODS.map(|(name, period)| rig.quick(name, every(period.unsigned_abs())))).await;

    let mut counted: HashMap<&str, u64> = HashMap::new();
    let mut passed = |from: Timestamp, to: Timestamp| {
        for (name, period) in PERIODS {
            // The grid counts from the registration, which is the rig's beginning.
            let upto = |at: Timestamp| rig.millis(at).max(0) / period;
            *counted.entry(name).or_default() += (upto(to) - upto(from)).unsigned_abs();
        }
    };
    for _ in 0..300 {
        let from = rig.clock.now();
        pass(millis(random.u64(2_000..40_000))).await;
        passed(from, rig.clock.now());
        let here = rig.clock.now();
        let by = match random.u8(..4) {
            0 => random.i64(1_000..20_000),
            1 => random.i64(1_000..10_000_000),
            2 => -random.i64(1_000..20_000),
            _ => -random.i64(1_000..2_000_000),
        };
        let there = Timestamp::from_millis(here.as_millis() + by);
        // What a clock shows in the millisecond in which it is set back is not known to be a repetition.
        let unnoticed = |period| rig.millis(there) / period != (rig.millis(there) + 1) / period;
        if by > 0 {
            passed(here, there);
        } else if rig.millis(there) < 0 || PERIODS.iter().any(|&(_, period)| unnoticed(period)) {
            continue;
        }
        rig.clock.step(by);
    }
    let from = rig.clock.now();
    pass(seconds(2)).await;
    passed(from, rig.clock.now());

    for (name, _) in PERIODS {
        let ledger = rig.ledger(name).await;
        let fired = rig.fired(name);
        assert_eq!(ledger.occurrences, counted[name], "{name}, seed {seed}");
        assert_eq!(ledger.runs, fired.len() as u64, "{name}, seed {seed}");
        assert_eq!(fired.iter().collect::<HashSet<_>>().len(), fired.len(), "{name} ran one twice, seed {seed}");
        assert!(fired.is_sorted(), "{name}, seed {seed}");
        assert!(rig.log.of(name).iter().all(|run| run.began_at >= run.scheduled_at), "{name}, seed {seed}");
    }
}

fn seed() -> u64 {
    fastrand::u64(..)
}

/// The clock goes from 10:00 to 8:00 while the call of 10:00 is under way, by way of `fault`.
async fn set_back_during_a_call(fault: Fault) -> Rig {
    let rig = Rig::new();
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    let scheduler = rig.scheduler([rig.quick("tick", every(10_000))]).backend(store.clone());
    let _scheduler = scheduler.start().await.expect("the scheduler starts");
    pass(seconds(599)).await;
    store.always(Some(fault));
    pass(millis(1_050)).await;
    rig.clock.step(-120_000);
    store.heal();
    pass(seconds(131)).await;
    let expected: Vec<i64> = (1..=61).map(|n| n * 10_000).collect();
    assert_eq!(rig.fired("tick"), expected, "each once, up to 10:10");
    rig
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_after_a_call_and_before_its_answer_is_heeded() {
    let rig = set_back_during_a_call(Fault::After).await;
    let again = Record::span(Reason::ClockSetBack, rig.at(490_000), rig.at(600_000), 12);
    assert_eq!(rig.records("tick").await, [again]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_before_a_call_arrives_is_heeded() {
    let rig = set_back_during_a_call(Fault::Slow(seconds(1))).await;
    let again = Record::span(Reason::ClockSetBack, rig.at(490_000), rig.at(590_000), 11);
    assert_eq!(rig.records("tick").await, [again], "10:00 was refused as early, and fired when it came");
}
