//! A store that is away: for all, and for one node alone. What begins, what goes on, what is handed over, and what is said.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::rig::{Rig, counts, every, millis, pass, seconds};
use crate::backend::Reason;
use crate::test_util::{Chaos, Held};
use crate::{Misfire, Overlap, Retry, RunContext, RunState, SchedulerConfig, SchedulerHandle, Task};

/// A rig in which a node may be cut off alone: it has its own way to the store that all share.
fn chaos(rig: &Rig) -> Chaos {
    Chaos::new(rig.store.clone().outliving_its_program())
}

/// A node with the default lease, which is 30 s.
async fn node(rig: &Rig, name: &str, store: &Chaos, tasks: impl IntoIterator<Item = Task>) -> SchedulerHandle {
    let config = SchedulerConfig::new().node(name).max_workers(2).queue_size(1);
    rig.scheduler(tasks).backend(store.clone()).config(config).start().await.expect("the scheduler starts")
}

/// What the bodies of one node's runs have seen, and when, in milliseconds since the rig's beginning.
#[derive(Clone)]
struct Seen {
    clock: crate::clock::Clock,
    origin: Timestamp,
    all: Arc<Mutex<Vec<(&'static str, i64)>>>,
}

impl Seen {
    fn new(rig: &Rig) -> Self {
        Self { clock: rig.clock.clone(), origin: rig.origin, all: Arc::default() }
    }

    fn see(&self, what: &'static str) {
        let at = self.clock.now().as_millis() - self.origin.as_millis();
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push((what, at));
    }

    fn when(&self, what: &str) -> Vec<i64> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|(seen, _)| *seen == what).map(|&(_, at)| at).collect()
    }
}

/// A task with one occurrence, at 10 s, whose run lasts, and says what happens to it.
fn watched(name: &'static str, seen: &Seen, lasts: Duration) -> Task {
    let seen = seen.clone();
    let task = Task::new(name, every(10_000), move |run: RunContext| {
        let seen = seen.clone();
        async move {
            seen.see("began");
            let watching = async {
                run.lease_lost().await;
                seen.see("lease lost");
                run.cancelled().await;
                seen.see("cancelled");
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = watching => {}
                () = tokio::time::sleep(lasts) => seen.see("ended"),
            }
        }
    });
    task.max_runs(1)
}

#[tokio::test(start_paused = true)]
async fn what_falls_due_in_an_outage_is_a_misfire_by_its_policy() {
    let rig = Rig::new();
    let store = chaos(&rig);
    let tasks = [Misfire::RunOnce, Misfire::Skip, Misfire::RunAll].map(|policy| {
        let name = match policy {
            Misfire::RunOnce => "run_once",
            Misfire::Skip => "skip",
            Misfire::RunAll => "run_all",
        };
        rig.quick(name, every(10_000)).overlap(Overlap::BufferAll).misfire(policy)
    });
    let scheduler = node(&rig, "a", &store, tasks).await;
    pass(seconds(95)).await;
    store.cut_off();
    pass(seconds(60)).await;
    for name in ["run_once", "skip", "run_all"] {
        assert_eq!(rig.fired(name).last(), Some(&90_000), "{name}: nothing starts that the store does not know");
    }
    store.heal();
    pass(seconds(10)).await;
    let missed =
        |name: &str| rig.log.of(name).iter().filter_map(|run| run.missed.map(|missed| missed.count)).sum::<u64>();
    assert_eq!(rig.fired("run_once")[9..], [150_000, 160_000], "the newest that was missed");
    assert_eq!(missed("run_once"), 5, "which stands for the others");
    assert_eq!(rig.fired("skip")[9..], [160_000], "none that was missed");
    assert_eq!(
        rig.fired("run_all")[9..],
        [100_000, 110_000, 120_000, 130_000, 140_000, 150_000, 160_000],
        "each, the oldest first"
    );
    for (name, expected) in [("run_once", (16, 11, 5)), ("skip", (16, 10, 6)), ("run_all", (16, 16, 0))] {
        assert_eq!(counts(rig.ledger(name).await), expected, "{name}");
    }
    for name in ["run_once", "skip"] {
        let [record] = &rig.records(name).await[..] else { panic!("one span") };
        assert_eq!((record.reason, record.first), (Reason::Missed, rig.at(100_000)), "{name}");
    }
    assert!(scheduler.stop().await.expect("it stops").is_clean());
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_runs_go_on_none_begins_and_what_ended_is_stored_when_it_is_over() {
    let rig = Rig::new();
    let store = chaos(&rig);
    let names = ["first", "second", "third"];
    let tasks = names.map(|name| rig.lasting(name, every(10_000), seconds(4)).max_runs(1));
    let config = SchedulerConfig::new().max_workers(1);
    let scheduler = rig.scheduler(tasks).backend(store.clone()).config(config).start().await.expect("it starts");
    pass(seconds(11)).await;
    assert_eq!((scheduler.stats().active_workers, scheduler.stats().queued_runs), (1, 2));
    store.cut_off();
    pass(seconds(20)).await;
    let stats = scheduler.stats();
    assert_eq!((stats.active_workers, stats.queued_runs, rig.log.all().len()), (0, 2, 1), "the others wait");
    assert_eq!(stats.successful_runs, 1, "the first went on to its end");
    assert!(store.ended().is_empty());
    store.heal();
    pass(seconds(12)).await;
    assert_eq!(store.ended().len(), 3, "each end is stored, once");
    assert_eq!(scheduler.stats().successful_runs, 3);
    let began: Vec<i64> = rig.log.all().iter().map(|run| rig.millis(run.began_at)).collect();
    assert!(began[0] == 10_000 && (31_000..33_000).contains(&began[1]), "{began:?}");
    assert!(scheduler.stop().await.expect("it stops").is_clean());
}

#[tokio::test(start_paused = true)]
async fn health_says_since_when_the_store_is_away_and_since_when_it_is_back() {
    let rig = Rig::new();
    let store = chaos(&rig);
    let scheduler = node(&rig, "a", &store, [rig.quick("tick", every(60_000))]).await;
    pass(seconds(31)).await;
    let health = scheduler.health();
    assert!(health.ready && health.is_well() && health.store.error.is_none());
    assert_eq!((health.store.unreachable_since, health.store.in_contact_since), (None, rig.at(0)));

    store.cut_off();
    pass(seconds(20)).await;
    let health = scheduler.health();
    assert!(!health.ready && !health.is_well() && !health.store.lease_lost);
    let since = health.store.unreachable_since.expect("it is away");
    assert!((31_000..=35_000).contains(&rig.millis(since)), "{since}");
    assert!(health.store.error.is_some_and(|error| error.contains("refused")), "what failed last");
    pass(seconds(6)).await;
    let health = scheduler.health();
    assert!(health.store.lease_lost, "for all of its lease but five seconds");
    assert_eq!(health.store.unreachable_since, Some(since), "it is one outage");

    store.heal();
    pass(seconds(7)).await;
    let health = scheduler.health();
    assert!(health.ready && health.is_well() && !health.store.lease_lost);
    assert!((57_000..59_000).contains(&rig.millis(health.store.in_contact_since)), "its contact began anew");
}

/// The call that waits for changes had failed too, and nothing changes.
#[tokio::test(start_paused = true)]
async fn a_call_that_waits_again_keeps_no_outage_open() {
    let rig = Rig::new();
    let store = chaos(&rig);
    let scheduler = node(&rig, "a", &store, [rig.quick("tick", every(3_600_000))]).await;
    pass(seconds(1)).await;
    store.cut_off();
    pass(millis(10)).await;
    assert!(!scheduler.health().ready, "what waited has failed, before any heartbeat was made");
    store.heal();
    pass(millis(1_500)).await;
    assert!(scheduler.health().ready);
}

/// The heartbeat goes on, and one kind of call fails.
#[tokio::test(start_paused = true)]
async fn a_store_that_answers_only_heartbeats_is_not_ready_but_lets_runs_begin() {
    let rig = Rig::new();
    let store = chaos(&rig);
    let names = ["first", "second", "third"];
    let tasks = names.map(|name| rig.lasting(name, every(10_000), seconds(4)).max_runs(1));
    let config = SchedulerConfig::new().max_workers(1);
    let scheduler = rig.scheduler(tasks).backend(store.clone()).config(config).start().await.expect("it starts");
    pass(seconds(11)).await;
    store.always(Some(crate::test_util::Fault::Before));
    pass(seconds(10)).await;
    assert!(!scheduler.health().ready);
    assert_eq!(rig.log.all().len(), 3, "who has its lease may begin what it holds");
    store.heal();
    pass(seconds(6)).await;
    assert!(scheduler.health().ready);
}

/// Of two nodes one is cut off alone: its run is told so five seconds before its lease ends, is taken over within a lease and
/// five seconds of its last contact, and is cancelled here when the contact is back.
#[tokio::test(start_paused = true)]
async fn a_node_that_was_cut_off_alone_cancels_what_was_taken_over() {
    let rig = Rig::new();
    let (ones, others) = (chaos(&rig), chaos(&rig));
    let (at_one, at_other) = (Seen::new(&rig), Seen::new(&rig));
    let one = node(&rig, "one", &ones, [watched("import", &at_one, seconds(600))]).await;
    pass(seconds(10)).await;
    let other = node(&rig, "other", &others, [watched("import", &at_other, seconds(40))]).await;
    assert_eq!(at_one.when("began"), [10_000]);
    pass(seconds(2)).await;
    // Its last heartbeat is that of 12 s.
    ones.cut_off();
    pass(seconds(100)).await;
    let [told] = at_one.when("lease lost")[..] else { panic!("told once") };
    assert!((37_000..37_500).contains(&told), "at 12 + 30 - 5 s, and not at {told}");
    let [again] = at_other.when("began")[..] else { panic!("taken over once") };
    assert!((42_000..=47_000).contains(&again), "within 12 + 30 + 5 s, and not at {again}");
    assert!(at_one.when("cancelled").is_empty(), "it does not know yet");

    let back = rig.millis(rig.clock.now());
    ones.heal();
    pass(seconds(10)).await;
    let [cancelled] = at_one.when("cancelled")[..] else { panic!("cancelled once") };
    assert!((back..back + 2_000).contains(&cancelled), "as soon as it is back, and not at {cancelled}");
    assert_eq!(one.stats().active_workers, 0, "and dropped five seconds later");
    assert!(at_one.when("ended").is_empty());
    let [run] = &rig.runs("import").await[..] else { panic!("it is one run") };
    assert_eq!((run.state, run.attempt), (RunState::Succeeded, 2));
    assert_eq!(one.stats().total_runs, 0, "how it ended is counted where it ended");
    assert_eq!(other.stats().total_runs, 1);
    assert_eq!(ones.ended().len(), 0);
    for scheduler in [one, other] {
        assert!(scheduler.stop().await.expect("it stops").is_clean());
    }
}

/// What waits for a worker on a node that was cut off alone, and is taken over, does not begin there.
#[tokio::test(start_paused = true)]
async fn what_was_taken_over_before_it_began_does_not_begin() {
    let rig = Rig::new();
    let (ones, others) = (chaos(&rig), chaos(&rig));
    let at = [Seen::new(&rig), Seen::new(&rig)];
    let tasks = |seen: &Seen| ["first", "second"].map(|name| watched(name, seen, seconds(15)));
    let config = SchedulerConfig::new().max_workers(1);
    let one = rig.scheduler(tasks(&at[0])).backend(ones.clone()).config(config).start().await.expect("it starts");
    pass(seconds(10)).await;
    let other = node(&rig, "other", &others, tasks(&at[1])).await;
    pass(seconds(1)).await;
    ones.cut_off();
    pass(seconds(100)).await;
    assert_eq!((one.stats().queued_runs, one.stats().active_workers), (1, 0), "the first has ended here too");
    assert_eq!(at[1].when("ended").len(), 2, "the other node has executed both");
    ones.heal();
    pass(seconds(10)).await;
    assert_eq!(at[0].when("began"), [10_000], "the second has not begun");
    assert_eq!((one.stats().queued_runs, one.stats().active_workers), (0, 0), "and is gone");
    drop((one, other));
}

/// An outage for all, longer than the leases: whoever is back first takes nothing over, and no run is cut short.
#[tokio::test(start_paused = true)]
async fn an_outage_for_all_hands_nothing_over() {
    let rig = Rig::new();
    let stores = [chaos(&rig), chaos(&rig)];
    let at = [Seen::new(&rig), Seen::new(&rig)];
    let both = |seen: &Seen| ["left", "right", "middle"].map(|name| watched(name, seen, seconds(200)));
    let one = node(&rig, "one", &stores[0], both(&at[0])).await;
    pass(seconds(11)).await;
    assert_eq!((one.stats().active_workers, one.stats().queued_runs), (2, 1), "it is full");
    let other = node(&rig, "other", &stores[1], both(&at[1])).await;
    other.trigger_with("left", Overlap::Allow).await.expect("it is triggered");
    pass(seconds(40)).await;
    assert_eq!(other.stats().active_workers, 1, "so the other has this one");
    stores.iter().for_each(Chaos::cut_off);
    pass(seconds(60)).await;
    assert_eq!((at[0].when("lease lost").len(), at[1].when("lease lost").len()), (2, 1), "all are told");
    // One is back five seconds before the other.
    stores[1].heal();
    pass(seconds(5)).await;
    stores[0].heal();
    pass(seconds(400)).await;
    for seen in &at {
        assert!(seen.when("cancelled").is_empty());
    }
    assert_eq!((at[0].when("ended").len(), at[1].when("ended").len()), (3, 1));
    let runs = [rig.runs("left").await, rig.runs("right").await, rig.runs("middle").await].concat();
    assert_eq!(runs.len(), 4);
    assert!(runs.iter().all(|run| (run.state, run.attempt) == (RunState::Succeeded, 1)), "{runs:?}");
}

/// The answer to a claim that was given before the node was cut off arrives when its run is another's.
#[tokio::test(start_paused = true)]
async fn what_an_old_answer_brings_is_looked_at_before_it_begins() {
    let rig = Rig::new();
    let (ones, others) = (chaos(&rig), chaos(&rig));
    let at = [Seen::new(&rig), Seen::new(&rig)];
    let never = |seen: &Seen| watched("import", seen, seconds(100)).enabled(false);
    let one = node(&rig, "one", &ones, [never(&at[0])]).await;
    ones.hold("claim", Held::Answer);
    one.trigger_task("import").await.expect("it is triggered");
    pass(seconds(1)).await;
    let other = node(&rig, "other", &others, [never(&at[1])]).await;
    ones.cut_off();
    pass(seconds(60)).await;
    assert_eq!(at[1].when("began").len(), 1, "it was taken over");
    ones.reconnect();
    pass(seconds(10)).await;
    assert!(one.health().ready);
    ones.let_go("claim");
    pass(seconds(10)).await;
    assert!(at[0].when("began").is_empty(), "it begins nowhere else");
    assert_eq!(one.stats().queued_runs, 0);
    // And what comes later begins.
    pass(seconds(60)).await;
    others.cut_off();
    one.trigger_task("import").await.expect("it is triggered");
    pass(seconds(6)).await;
    assert_eq!(at[0].when("began").len(), 1);
    drop((one, other));
}

/// The answer that was given before the node was cut off arrives when it holds the same run again, under another token.
#[tokio::test(start_paused = true)]
async fn an_old_answer_about_a_run_that_the_node_holds_again_does_not_lose_it() {
    let rig = Rig::new();
    let (ones, others) = (chaos(&rig), chaos(&rig));
    let seen = Seen::new(&rig);
    let one = node(&rig, "one", &ones, [watched("import", &seen, seconds(100))]).await;
    ones.hold("enqueue", Held::Answer);
    pass(seconds(11)).await;
    let later = || async { Err::<(), _>(Retry::after(seconds(90), "the shop is closed")) };
    let other = node(&rig, "other", &others, [Task::new("import", every(10_000), later).max_runs(1)]).await;
    ones.cut_off();
    pass(seconds(60)).await;
    let [run] = &rig.runs("import").await[..] else { panic!("it is one run") };
    assert_eq!((run.state, run.attempt), (RunState::Retrying, 2), "it was taken over, and failed");
    other.stop().await.expect("it stops");
    ones.reconnect();
    pass(seconds(100)).await;
    assert_eq!(seen.when("began").len(), 1, "its next attempt is here");
    ones.let_go("enqueue");
    pass(seconds(120)).await;
    assert_eq!((seen.when("began").len(), seen.when("ended").len()), (1, 1), "and goes on to its end");
    let [run] = &rig.runs("import").await[..] else { panic!("it is one run") };
    assert_eq!((run.state, run.attempt), (RunState::Succeeded, 3));
    assert!(one.stop().await.expect("it stops").is_clean());
}

/// A hundred tasks fall due each second in an outage of ten minutes: what is held stays bounded.
#[tokio::test(start_paused = true)]
async fn an_outage_fills_no_memory() {
    let rig = Rig::new();
    let store = chaos(&rig);
    let names: Vec<String> = (0..100).map(|n| format!("task {n}")).collect();
    let tasks = names.iter().map(|name| rig.lasting(name.clone(), every(1_000), millis(300)));
    let config = SchedulerConfig::new().max_workers(5).queue_size(20);
    let scheduler = rig.scheduler(tasks).backend(store.clone()).config(config).start().await.expect("it starts");
    pass(millis(5_100)).await;
    store.cut_off();
    let calls = store.calls();
    for _ in 0..600 {
        pass(seconds(1)).await;
        let stats = scheduler.stats();
        assert!(stats.queued_runs + stats.active_workers <= 25, "{stats:?}");
    }
    let repeated = store.calls() - calls;
    assert!((100..1_000).contains(&repeated), "{repeated} calls in 600 s: repeated, ever less often");
    store.heal();
    pass(seconds(30)).await;
    for name in &names {
        let ledger = rig.ledger(name).await;
        assert!((620..=635).contains(&ledger.occurrences), "{name}: {ledger:?}");
    }
    assert!(store.alive_at_most() <= 25, "{} runs were alive", store.alive_at_most());
}

/// A node that was stopped from outside for longer than its lease, while another went on.
#[test]
fn a_node_that_was_frozen_cancels_what_was_taken_over_meanwhile() {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    let frozen = runtime();
    let (rig, at_one, one) = frozen.block_on(async {
        let rig = Rig::new();
        let seen = Seen::new(&rig);
        let store = chaos(&rig);
        let one = node(&rig, "one", &store, [watched("import", &seen, seconds(600))]).await;
        pass(seconds(11)).await;
        assert_eq!(seen.when("began"), [10_000]);
        (rig, seen, one)
    });
    let at_other = runtime().block_on(async {
        tokio::time::advance(seconds(11)).await;
        let seen = Seen::new(&rig);
        let _other = node(&rig, "other", &chaos(&rig), [watched("import", &seen, seconds(600))]).await;
        pass(seconds(60)).await;
        seen
    });
    assert_eq!(at_other.when("began").len(), 1);
    frozen.block_on(async {
        tokio::time::advance(seconds(60)).await;
        pass(seconds(10)).await;
    });
    assert_eq!(one.stats().active_workers, 0, "it was cancelled and dropped");
    assert!(at_one.when("ended").is_empty());
}
