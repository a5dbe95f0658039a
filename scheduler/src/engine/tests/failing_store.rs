//! A store that fails: nothing is lost, nothing runs twice, what is held stays bounded, and firing goes on.

use std::collections::HashSet;

use super::rig::{Rig, config, counts, every, millis, pass, seconds};
use symphra_scheduler_core::Timestamp;

use crate::backend::{Backend, Firing, Holder, NewRun, Reason};
use crate::run::{Origin, RunId};
use crate::task::Alike;
use crate::test_util::{Chaos, Fault};
use crate::{Overlap, RunState, SchedulerHandle, Task, TaskName};

async fn start_on(rig: &Rig, store: &Chaos, tasks: impl IntoIterator<Item = Task>) -> SchedulerHandle {
    let config = config().max_workers(5).queue_size(10);
    rig.scheduler(tasks).backend(store.clone()).config(config).start().await.expect("the scheduler starts")
}

#[tokio::test(start_paused = true)]
async fn whatever_call_fails_every_occurrence_is_one_run_or_recorded_and_every_end_is_stored_once() {
    const PERIODS: [u64; 12] = [100, 150, 333, 500, 700, 1_000, 1_001, 2_500, 5_000, 7_000, 30_000, 60_000];
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let rig = Rig::new();
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    let names: Vec<String> = PERIODS.iter().map(|period| format!("every {period} ms")).collect();
    let tasks: Vec<Task> = names
        .iter()
        .zip(PERIODS)
        .map(|(name, period)| rig.lasting(name.clone(), every(period), millis(random.u64(0..900))))
        .collect();
    let scheduler = start_on(&rig, &store, tasks).await;
    store.fail_at_random(seed);
    pass(seconds(600)).await;
    assert!(store.failed() > 50, "{} calls went wrong, seed {seed}", store.failed());
    store.heal();
    pass(seconds(20)).await;
    let due_until = rig.millis(rig.clock.now());
    assert!(scheduler.stop().await.expect("it stops").is_clean(), "seed {seed}");

    let mut runs = 0;
    for (name, period) in names.iter().zip(PERIODS) {
        let ledger = rig.ledger(name).await;
        let due = due_until.unsigned_abs() / period;
        // What waits as a mark when the scheduler stops is counted by the next one.
        assert!((due - 10..=due).contains(&ledger.occurrences), "{name}: {ledger:?} of {due}, seed {seed}");
        let fired = rig.fired(name);
        assert_eq!(fired.iter().collect::<HashSet<_>>().len(), fired.len(), "{name} ran one twice, seed {seed}");
        assert_eq!(fired.len() as u64, ledger.runs, "{name}, seed {seed}");
        runs += fired.len();
        assert!(rig.runs(name).await.iter().all(|run| run.state == RunState::Succeeded && run.attempt == 1));
    }
    let ended = store.ended();
    assert_eq!(ended.len(), runs, "every end is stored, seed {seed}");
    assert_eq!(ended.iter().collect::<HashSet<_>>().len(), runs, "and once, seed {seed}");
    assert!(store.alive_at_most() <= 15, "{} runs were held, seed {seed}", store.alive_at_most());
}

/// A short stall of the store killed the workers of others for good.
#[tokio::test(start_paused = true)]
async fn apalis_redis_76_what_falls_due_while_the_store_is_down_is_a_misfire_when_it_is_back() {
    let rig = Rig::new();
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    let scheduler = start_on(&rig, &store, [rig.quick("tick", every(10_000))]).await;
    pass(seconds(95)).await;
    store.always(Some(Fault::Before));
    pass(seconds(3_600)).await;
    assert_eq!(rig.fired("tick").len(), 9, "nothing starts that the store does not know");
    store.heal();
    pass(seconds(20)).await;

    let fired = rig.fired("tick");
    assert_eq!(*fired.last().expect("it fires"), 3_710_000, "firing goes on");
    // 10 s to 90 s before, 100 s to 3690 s in the outage, two after it.
    let ledger = rig.ledger("tick").await;
    assert_eq!(ledger.occurrences, 371);
    assert_eq!(ledger.runs, fired.len() as u64);
    assert!(fired.len() <= 9 + 2 + 2, "the outage is covered, not caught up: {fired:?}");
    assert!(scheduler.stop().await.expect("it stops").is_clean());
}

#[tokio::test(start_paused = true)]
async fn an_end_waits_until_the_store_is_back_and_its_task_is_full_meanwhile() {
    let rig = Rig::new();
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    let scheduler = start_on(&rig, &store, [rig.lasting("tick", every(10_000), seconds(2))]).await;
    pass(seconds(11)).await;
    store.always(Some(Fault::After));
    pass(seconds(30)).await;
    store.heal();
    pass(seconds(34)).await;
    let runs = rig.runs("tick").await;
    assert!(runs.iter().all(|run| run.state == RunState::Succeeded));
    assert_eq!(store.ended().len(), runs.len());
    assert!(scheduler.stop().await.expect("it stops").is_clean());
}

/// Runs of a node that has died, five of each task.
async fn leave_runs_of_a_dead_node(rig: &Rig, tasks: &[&'static str]) {
    let dead = Holder::new("dead", millis(1));
    rig.store.heartbeat(&dead).await.expect("memory answers");
    let registrations = tasks.iter().map(|&name| {
        let task = rig.lasting(name, every(3_600_000), seconds(1)).overlap(Overlap::Allow);
        task.registration(
            TaskName::new(name).expect("a valid name"),
            &config(),
            &std::sync::Arc::default(),
            &mut Alike::default(),
        )
    });
    rig.store.register(&dead, &registrations.collect::<Vec<_>>()).await.expect("memory answers");
    pass(millis(10)).await;
    for &name in tasks {
        let task = rig.key(name);
        let mut mark = rig.at(0);
        for n in 1..=5 {
            let at = rig.at(n);
            let run =
                NewRun { origin: Origin::Schedule, scheduled_at: at, due_at: at, missed: None, accept_until: None };
            let firing = Firing {
                id: RunId::from_parts(at, fastrand::u128(..)),
                task,
                mark,
                advance_to: at,
                since: Timestamp::MIN,
                run: Some(run),
                passed: None,
                behind: None,
            };
            rig.store.enqueue(&dead, &[firing]).await.expect("memory answers");
            mark = at;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_over_and_what_falls_due_meanwhile_do_not_exceed_the_room_together() {
    const ROOM: usize = 3;
    let rig = Rig::new();
    let orphans = ["orphans a", "orphans b"];
    leave_runs_of_a_dead_node(&rig, &orphans).await;
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    let names: Vec<String> = (0..10).map(|n| format!("task {n}")).collect();
    let tasks = orphans
        .iter()
        .map(|&name| rig.lasting(name, every(3_600_000), seconds(1)))
        .chain(names.iter().map(|name| rig.lasting(name.clone(), every(500), seconds(1))));
    let scheduler = rig
        .scheduler(tasks)
        .backend(store.clone())
        .config(config().max_workers(1).queue_size(ROOM - 1))
        .start()
        .await
        .expect("the scheduler starts");
    // The claim is under way while the tasks fall due.
    store.always(Some(Fault::Slow(seconds(2))));
    let mut taken_over = false;
    for _ in 0..600 {
        pass(millis(100)).await;
        let stats = scheduler.stats();
        let held = stats.active_workers + stats.queued_runs;
        assert!(held <= ROOM, "{held} runs are held, and there is room for {ROOM}");
        taken_over |= orphans.iter().any(|name| !rig.log.of(name).is_empty());
    }
    assert!(taken_over, "the runs of the dead node are taken over in time");
}

#[tokio::test(start_paused = true)]
async fn whatever_answer_is_lost_the_scheduler_counts_what_the_store_counts() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let rig = Rig::new();
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    let scheduler = start_on(&rig, &store, [rig.lasting("tick", every(1_000), millis(2_500))]).await;
    store.fail_at_random(seed);
    pass(seconds(300)).await;
    store.heal();
    // A call that failed late is repeated after five seconds at most.
    pass(millis(7_500)).await;
    assert_eq!(counts(scheduler.stats().ledger), counts(rig.ledger("tick").await), "seed {seed}");
    assert!(rig.records("tick").await.iter().any(|record| record.reason == Reason::Overlap));
}

#[tokio::test(start_paused = true)]
async fn runs_whose_claim_was_answered_into_the_void_are_executed_all_the_same() {
    let rig = Rig::new();
    let orphans = ["orphans a", "orphans b"];
    leave_runs_of_a_dead_node(&rig, &orphans).await;
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    let _scheduler = start_on(&rig, &store, orphans.map(|name| rig.quick(name, every(3_600_000)))).await;
    store.always(Some(Fault::After));
    pass(seconds(1)).await;
    store.heal();
    pass(seconds(120)).await;
    for name in orphans {
        assert_eq!(rig.fired(name).len(), 5, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_clock_shows_again_is_recorded_once_although_the_answer_is_lost() {
    let rig = Rig::new();
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    let _scheduler = start_on(&rig, &store, [rig.quick("tick", every(10_000))]).await;
    pass(seconds(605)).await;
    rig.clock.step(-300_000);
    pass(seconds(1)).await;
    store.always(Some(Fault::After));
    pass(seconds(6)).await;
    store.heal();
    pass(seconds(10)).await;
    assert_eq!(counts(rig.ledger("tick").await), (62, 60, 2), "5:10 and 5:20");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_for_too_few_is_asked_again_and_ends_nothing() {
    let rig = Rig::new();
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    let scheduler = start_on(&rig, &store, [rig.quick("a", every(1_000)), rig.quick("b", every(1_000))]).await;
    store.always(Some(Fault::Short));
    pass(millis(1_500)).await;
    store.heal();
    pass(seconds(10)).await;
    assert!(scheduler.stats().running, "the engine goes on");
    for name in ["a", "b"] {
        let ledger = rig.ledger(name).await;
        assert_eq!((ledger.occurrences, ledger.balances()), (11, true), "{name}: {ledger:?}");
    }
}
