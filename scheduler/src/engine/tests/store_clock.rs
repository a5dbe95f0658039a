//! One clock: nodes whose clocks are not the store's, and that are set while they run, go by the store's all the same.

use std::collections::{BTreeMap, HashSet};

use chrono::TimeDelta;

use super::rig::{Rig, config, counts, every, millis, pass, seconds};
use crate::backend::{Reason, Record};
use crate::clock::Clock;
use crate::test_util::{Chaos, Fault, Held};
use crate::{Backoff, Misfire, RetryPolicy, RunContext, SchedulerConfig, SchedulerEvent, SchedulerHandle, Task};

/// A rig whose store, and whose log, keep the rig's clock, and a node's clock that is ahead of it.
fn node_ahead_by(millis: i64) -> (Rig, Clock) {
    let rig = Rig::new();
    let nodes = Clock::starting_at(rig.origin);
    nodes.step(millis);
    (rig, nodes)
}

async fn start(rig: &Rig, clock: &Clock, tasks: impl IntoIterator<Item = Task>) -> SchedulerHandle {
    rig.scheduler(tasks).clock(clock.clone()).start().await.expect("the scheduler starts")
}

/// How late the runs of `task` began by the store's clock, in milliseconds.
fn lateness(rig: &Rig, task: &str) -> Vec<i64> {
    rig.log.of(task).iter().map(|run| rig.millis(run.began_at) - rig.millis(run.scheduled_at)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_node_far_off_fires_each_occurrence_once_at_its_instant_and_says_so() {
    for off in [30_000, -30_000, 86_400_000] {
        let (rig, clock) = node_ahead_by(off);
        let scheduler = start(&rig, &clock, [rig.quick("tick", every(1_000))]).await;
        pass(millis(60_500)).await;
        assert_eq!(rig.fired("tick"), (1..=60).map(|n| n * 1_000).collect::<Vec<_>>(), "off by {off} ms");
        assert_eq!(lateness(&rig, "tick"), [0; 60], "off by {off} ms");
        assert_eq!(counts(rig.ledger("tick").await), (60, 60, 0));

        let health = scheduler.health();
        assert_eq!((health.clock.offset, health.clock.is_off), (TimeDelta::milliseconds(-off), true));
        assert!(!health.is_well() && health.ready && health.stale.is_empty());
        let metrics = scheduler.metrics().remove(0);
        assert_eq!(metrics.max_lateness, Some(std::time::Duration::ZERO), "off by {off} ms");
        let runs = rig.runs("tick").await;
        assert!(runs.iter().all(|run| run.started_at == Some(run.due_at) && run.finished_at == run.started_at));
        let next = scheduler.next_occurrences("tick", 1).expect("it is known")[0];
        assert_eq!(rig.millis(next.into()), 61_000, "what is shown is the store's time");
    }
}

/// The step was taken for what had been measured before it, and what was to come recorded as missed.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_before_the_first_turn_of_the_loop_is_noticed() {
    let (rig, clock) = node_ahead_by(0);
    let scheduler = start(&rig, &clock, [rig.quick("tick", every(1_000)).misfire(Misfire::Skip)]).await;
    clock.step(60_000);
    pass(millis(10_500)).await;
    assert_eq!(rig.fired("tick"), (1..=10).map(|n| n * 1_000).collect::<Vec<_>>());
    assert_eq!(counts(rig.ledger("tick").await), (10, 10, 0));
    scheduler.stop().await.expect("it stops");
}

#[tokio::test(start_paused = true)]
async fn with_the_store_in_memory_the_offset_is_zero() {
    let rig = Rig::new();
    let scheduler = rig.start([rig.quick("tick", every(1_000))]).await;
    pass(seconds(20)).await;
    let clock = scheduler.health().clock;
    assert_eq!((clock.offset, clock.is_off), (TimeDelta::zero(), false));
}

#[tokio::test(start_paused = true)]
async fn nodes_with_different_clocks_fire_each_occurrence_once_and_on_time() {
    let rig = Rig::new();
    let mut nodes = Vec::new();
    for off in [45_000, -45_000, 700] {
        let clock = Clock::starting_at(rig.origin);
        clock.step(off);
        nodes.push(start(&rig, &clock, [rig.quick("tick", every(1_000)), rig.quick("tock", every(7_000))]).await);
    }
    pass(millis(600_500)).await;
    for (task, period) in [("tick", 1_000), ("tock", 7_000)] {
        let expected: Vec<i64> = (1..=600_000 / period).map(|n| n * period).collect();
        assert_eq!(rig.fired(task), expected, "{task}");
        assert!(lateness(&rig, task).iter().all(|&late| late == 0), "{task}");
        let ledger = rig.ledger(task).await;
        assert_eq!((ledger.runs, ledger.recorded), (expected.len() as u64, 0), "{task}");
    }
    drop(nodes);
}

/// The node's own clock is set, again and again, and nothing comes of it.
#[tokio::test(start_paused = true)]
async fn an_offset_that_changes_while_it_runs_is_no_step() {
    let (rig, clock) = node_ahead_by(0);
    let skipping = rig.quick("skipping", every(1_000)).misfire(Misfire::Skip);
    let scheduler = start(&rig, &clock, [rig.quick("tick", every(1_000)), skipping]).await;
    let mut events = scheduler.events();
    let steps = [3_600_000, -3_600_000, 25, -15, 800, -90_000, 7, 40_000, -86_400_000, 1_100];
    for (n, by) in (0..).zip(steps) {
        pass(millis(10_000 + n * 137)).await;
        clock.step(by);
    }
    pass(seconds(10)).await;
    let until = rig.millis(rig.clock.now());
    for task in ["tick", "skipping"] {
        let expected: Vec<i64> = (1..=until / 1_000).map(|n| n * 1_000).collect();
        assert_eq!(rig.fired(task), expected, "{task}");
        let late = lateness(&rig, task);
        // Between two looks a drift of less than 20 ms is not noticed, until a heartbeat measures it.
        assert!(late.iter().all(|late| (0..=20).contains(late)), "{late:?}");
        assert_eq!(rig.ledger(task).await.recorded, 0, "{task}");
    }
    while let Some(event) = events.try_next() {
        assert!(!matches!(event, SchedulerEvent::ClockSteppedForward { .. } | SchedulerEvent::ClockSteppedBack { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_stores_clock_is_set_forward_what_it_passed_over_is_a_misfire() {
    let (rig, clock) = node_ahead_by(5_000);
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    let scheduler = rig.scheduler([rig.quick("tick", every(10_000))]).clock(clock).backend(store.clone());
    let scheduler = scheduler.start().await.expect("the scheduler starts");
    let mut events = scheduler.events();
    // A second after a heartbeat, and two before the next: an occurrence finds it out.
    pass(millis(99_500)).await;
    rig.clock.step(3_595_500);
    let before = store.calls();
    pass(seconds(10)).await;
    assert!(store.calls() - before <= 20, "it is not asked again and again: {}", store.calls() - before);
    // 100 s to 3 690 s, of which the newest runs, and then 3 700 s.
    assert_eq!(rig.fired("tick")[9..], [3_690_000, 3_700_000]);
    let missed = rig.log.of("tick")[9].missed.expect("it stands for the others");
    assert_eq!((missed.count, missed.first), (359, rig.at(100_000)));
    assert_eq!(counts(rig.ledger("tick").await), (370, 11, 359));
    let told = std::iter::from_fn(|| events.try_next());
    let steps = told.filter(|event| matches!(event, SchedulerEvent::ClockSteppedForward { .. })).count();
    assert_eq!(steps, 1, "it is told once");
}

#[tokio::test(start_paused = true)]
async fn when_the_stores_clock_is_set_back_what_it_shows_again_is_recorded() {
    let (rig, clock) = node_ahead_by(-5_000);
    let scheduler = start(&rig, &clock, [rig.quick("tick", every(10_000))]).await;
    pass(seconds(605)).await;
    rig.clock.step(-300_000);
    pass(seconds(100)).await;
    // Noticed by the next heartbeat, a second later.
    assert_eq!(scheduler.health().clock_repeats_until, Some(rig.at(606_000)));
    pass(seconds(200)).await;
    assert_eq!(rig.fired("tick").len(), 60, "nothing fires again");
    let again = Record::span(Reason::ClockSetBack, rig.at(310_000), rig.at(600_000), 30);
    assert_eq!(rig.records("tick").await, [again]);
    pass(seconds(15)).await;
    assert!(scheduler.health().clock_repeats_until.is_none(), "it is over");
    assert_eq!(rig.fired("tick")[59..], [600_000, 610_000, 620_000], "firing goes on where it stopped");
}

/// Both clocks are set, and the node's first: where both are one machine's, or follow one server.
#[tokio::test(start_paused = true)]
async fn a_step_of_both_clocks_is_a_step_of_the_stores() {
    let (rig, clock) = node_ahead_by(2_000);
    let scheduler = start(&rig, &clock, [rig.quick("tick", every(10_000))]).await;
    let mut events = scheduler.events();
    pass(seconds(95)).await;
    clock.step(60_000);
    rig.clock.step(60_000);
    pass(seconds(6)).await;
    assert_eq!(rig.fired("tick")[9..], [150_000, 160_000]);
    assert_eq!(scheduler.health().clock.offset, TimeDelta::milliseconds(-2_000));
    let steps = std::iter::from_fn(|| events.try_next())
        .filter(|event| matches!(event, SchedulerEvent::ClockSteppedForward { by } if by.as_secs() == 60));
    assert_eq!(steps.count(), 1);
}

/// Answers take between nothing and 400 ms on their way: time never runs backwards, and nothing is early or recorded.
#[tokio::test(start_paused = true)]
async fn answers_that_jitter_move_nothing_back() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (rig, clock) = node_ahead_by(12_345);
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    let tasks = ["a", "b"].map(|name| rig.quick(name, every(50)));
    let scheduler = rig.scheduler(tasks).clock(clock.clone()).backend(store.clone());
    let scheduler = scheduler.start().await.expect("it starts");
    let mut events = scheduler.events();
    for _ in 0..100 {
        store.fail_on("heartbeat", Fault::Slow(millis(random.u64(0..400))));
        pass(millis(random.u64(1_000..4_000))).await;
    }
    let until = rig.millis(rig.clock.now());
    for task in ["a", "b"] {
        let fired = rig.fired(task);
        assert!(fired.is_sorted(), "seed {seed}");
        assert_eq!(fired.iter().collect::<HashSet<_>>().len(), fired.len(), "seed {seed}");
        let reasons: BTreeMap<String, u64> =
            rig.records(task).await.into_iter().map(|record| (record.reason.to_string(), record.count)).collect();
        assert!(reasons.is_empty(), "{reasons:?}, seed {seed}");
        assert!(
            (until / 50 - 10..=until / 50).contains(&(fired.len() as i64)),
            "{} of {until}, seed {seed}",
            fired.len()
        );
        let late = lateness(&rig, task);
        assert!(
            late.iter().all(|late| (0..=250).contains(late)),
            "at most half of a round trip: {late:?}, seed {seed}"
        );
    }
    while let Some(event) = events.try_next() {
        assert!(!matches!(event, SchedulerEvent::ClockSteppedForward { .. } | SchedulerEvent::ClockSteppedBack { .. }));
    }
}

/// A node that is off says so at start, once; and once when it is not any more.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_off_is_said_once_at_each_change() {
    let (rig, clock) = node_ahead_by(1_500);
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&told);
    let recorder = crate::events::Recorder(std::sync::Arc::new(move |event: &SchedulerEvent| {
        let offset = match event {
            SchedulerEvent::ClockDiffers { offset } => Some((true, offset.num_milliseconds())),
            SchedulerEvent::ClockAgrees { offset } => Some((false, offset.num_milliseconds())),
            _ => None,
        };
        log.lock().expect("nobody panics").extend(offset);
    }));
    let scheduler = rig.scheduler([rig.quick("tick", every(1_000))]).clock(clock.clone()).recorder(recorder);
    let scheduler = scheduler.config(config()).start().await.expect("it starts");
    pass(seconds(60)).await;
    for by in [-200, -200, -700, 300, 200, 700] {
        clock.step(by);
        pass(seconds(10)).await;
    }
    let told = told.lock().expect("nobody panics").clone();
    assert_eq!(told, [(true, -1_500), (false, -400), (true, -1_600)]);
    assert!(scheduler.health().clock.is_off);
}

/// The store is away while the node's own clock is set: nobody knows better, and time goes on as it did.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_while_the_store_is_away_is_measured_when_it_is_back() {
    let (rig, clock) = node_ahead_by(0);
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    let tick = rig.quick("tick", every(10_000)).misfire(Misfire::Skip);
    let scheduler = rig.scheduler([tick]).clock(clock.clone()).backend(store.clone()).config(SchedulerConfig::new());
    let scheduler = scheduler.start().await.expect("it starts");
    pass(seconds(35)).await;
    store.cut_off();
    pass(seconds(1)).await;
    clock.step(7_200_000);
    pass(seconds(10)).await;
    store.heal();
    pass(seconds(20)).await;
    assert_eq!(rig.fired("tick"), [10_000, 20_000, 30_000, 50_000, 60_000]);
    assert_eq!(counts(rig.ledger("tick").await), (6, 5, 1), "40 s was missed, and not two hours");
    assert_eq!(scheduler.health().clock.offset, TimeDelta::milliseconds(-7_200_000));
}

/// Heartbeats are each three seconds, and the engine itself looks at 92.3 s and then not before it is told.
#[tokio::test(start_paused = true)]
async fn a_step_of_the_stores_clock_is_noticed_by_the_next_heartbeat() {
    let (rig, clock) = node_ahead_by(0);
    let scheduler = start(&rig, &clock, [rig.quick("rare", every(4_615))]).await;
    pass(millis(92_500)).await;
    rig.clock.step(-600_000);
    pass(millis(450)).await;
    assert!(scheduler.health().clock_repeats_until.is_none(), "not yet");
    pass(millis(100)).await;
    assert!(scheduler.health().clock_repeats_until.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_step_of_the_stores_clock_is_noticed_by_what_it_refuses() {
    let (rig, clock) = node_ahead_by(0);
    let scheduler = start(&rig, &clock, [rig.quick("tick", every(1_000))]).await;
    pass(millis(90_500)).await;
    rig.clock.step(-600_000);
    pass(millis(450)).await;
    assert!(scheduler.health().clock_repeats_until.is_none(), "not yet");
    pass(millis(100)).await;
    assert!(scheduler.health().clock_repeats_until.is_some(), "it has refused the occurrence of 91 s");
}

/// The first question has to open a connection, which takes its time.
#[tokio::test(start_paused = true)]
async fn the_first_measurement_is_repeated_until_it_is_good() {
    let (rig, clock) = node_ahead_by(-20_000);
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    store.fail_on("heartbeat", Fault::Slow(millis(400)));
    let scheduler = rig.scheduler([rig.quick("tick", every(1_000))]).clock(clock).backend(store.clone());
    let connected = async {
        pass(millis(500)).await;
        store.heal();
    };
    let (scheduler, ()) = tokio::join!(scheduler.start(), connected);
    assert_eq!(scheduler.expect("it starts").health().clock.offset, TimeDelta::milliseconds(20_000));
    pass(millis(1_500)).await;
    assert_eq!(lateness(&rig, "tick"), [0]);
}

/// A node whose clock has just lost a little, of which no heartbeat tells yet, hears of what another has fired at an instant
/// that it has not reached.
#[tokio::test(start_paused = true)]
async fn a_mark_a_moment_ahead_is_no_clock_that_was_set_back() {
    let (rig, clock) = node_ahead_by(0);
    let tick = || rig.quick("tick", every(10_000));
    let exact = rig.start([tick()]).await;
    let _vague = start(&rig, &clock, [tick()]).await;
    pass(millis(9_500)).await;
    clock.step(-15);
    pass(millis(505)).await;
    assert_eq!(rig.fired("tick"), [10_000]);
    exact.pause_task("tick").await.expect("it pauses");
    exact.resume_task("tick").await.expect("it goes on");
    pass(seconds(30)).await;
    assert_eq!(rig.fired("tick"), [10_000, 20_000, 30_000, 40_000]);
    assert_eq!(rig.records("tick").await, []);
}

/// A clock that loses a little while an answer is under way: too little to be a step, and enough to show the instant again.
#[tokio::test(start_paused = true)]
async fn time_does_not_run_back_for_the_engine() {
    let (rig, clock) = node_ahead_by(0);
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    let scheduler = rig.scheduler([rig.quick("tick", every(10_000))]).clock(clock.clone()).backend(store.clone());
    let _scheduler = scheduler.start().await.expect("it starts");
    store.hold("enqueue", Held::Answer);
    pass(millis(10_001)).await;
    clock.step(-15);
    store.let_go("enqueue");
    pass(seconds(25)).await;
    assert_eq!(rig.fired("tick"), [10_000, 20_000, 30_000]);
    assert_eq!(rig.records("tick").await, []);
}

/// A run begins while the node's own clock has just been set and nobody has noticed: it is dated, and tried again, by the
/// store's.
#[tokio::test(start_paused = true)]
async fn what_ran_while_the_nodes_clock_was_set_is_dated_by_the_stores() {
    let (rig, clock) = node_ahead_by(0);
    let log = rig.log.clone();
    let fails = Task::new("fails", every(10_000), move |run: RunContext| {
        log.write(&run);
        async move {
            tokio::time::sleep(millis(200)).await;
            Err::<(), _>("not yet")
        }
    });
    let fails = fails.retry(RetryPolicy::standard().strategy(Backoff::Fixed).jitter(false).max_attempts(2));
    let long = rig.lasting("long", every(10_000), millis(500)).priority(1);
    let scheduler = rig.scheduler([fails, long]).clock(clock.clone()).config(config().max_workers(1));
    let _scheduler = scheduler.start().await.expect("it starts");
    pass(millis(10_300)).await;
    clock.step(3_600_000);
    pass(seconds(3)).await;
    let began: Vec<i64> = rig.log.of("fails").iter().map(|run| rig.millis(run.began_at)).collect();
    assert_eq!(began, [10_500, 11_700], "after 200 ms and a second");
    let [run] = &rig.runs("fails").await[..] else { panic!("it is one run") };
    let dated = [run.started_at, run.finished_at].map(|at| rig.millis(at.expect("it has ended")));
    assert_eq!(dated, [11_700, 11_900]);
}

/// Nobody knows the present, since the store that could tell is away; a stop takes in what has ended all the same.
#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_measurement() {
    let (rig, clock) = node_ahead_by(0);
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    let scheduler = rig.scheduler([rig.lasting("tick", every(10_000), seconds(5))]).clock(clock.clone());
    let scheduler = scheduler.backend(store.clone()).start().await.expect("it starts");
    pass(seconds(11)).await;
    store.cut_off();
    clock.step(3_600_000);
    pass(seconds(10)).await;
    assert_eq!((scheduler.stats().successful_runs, scheduler.stats().active_workers), (0, 0), "it has ended, undated");
    let report = scheduler.stop_now().await.expect("it stops");
    assert_eq!((report.cancelled.len(), report.unstored), (0, 1));
    assert_eq!(scheduler.stats().successful_runs, 1);
}
