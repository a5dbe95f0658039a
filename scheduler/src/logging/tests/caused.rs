//! Each event of the list, caused in a whole scheduler and compared with the list: what a program sees who listens.

use std::collections::BTreeSet;
use std::future::pending;
use std::panic::panic_any;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;
use tokio::runtime::{Builder, Runtime};

use super::super::seen::{Seen, Written};
use super::super::{EVENTS, Level, LogEvent, Logger, LoggerAdapter, LoggingConfig};
use super::odd_store::{OddStore, Oddity};
use crate::backend::{Backend, Claim, Holder};
use crate::clock::{Clock, StoreClock};
use crate::engine::{Heartbeat, Link};
use crate::events::Teller;
use crate::test_util::{Chaos, Fault};
use crate::{
    Delivery, MemoryBackend, RetryPolicy, RunContext, Schedule, Scheduler, SchedulerConfig, SchedulerHandle, Task,
};

/// Who takes what is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Tracing,
    Adapter,
}

/// A clock, a store and a listener.
struct Stage {
    clock: Clock,
    store: MemoryBackend,
    seen: Seen,
    way: Way,
}

impl Stage {
    fn new(way: Way) -> Self {
        let clock = Clock::starting_at(Timestamp::from_millis(1_780_000_000_000));
        Self {
            store: MemoryBackend::with_clock(clock.clone()).outliving_its_program(),
            clock,
            seen: Seen::default(),
            way,
        }
    }

    fn scheduler(&self, tasks: impl IntoIterator<Item = Task>) -> Scheduler {
        let scheduler = Scheduler::empty().clock(self.clock.clone()).backend(self.store.clone()).config(config());
        let scheduler = tasks.into_iter().fold(scheduler, Scheduler::register);
        if self.way == Way::Adapter { scheduler.logger(self.seen.clone()) } else { scheduler }
    }

    async fn start(&self, tasks: impl IntoIterator<Item = Task>) -> SchedulerHandle {
        self.scheduler(tasks).start().await.expect("it starts")
    }
}

/// Plays `story` to both kinds of listeners and compares what was written with the list; what both saw, by the way.
fn seen(story: impl AsyncFn(&Stage)) -> Vec<(Way, Vec<Written>)> {
    [Way::Tracing, Way::Adapter]
        .map(|way| {
            let written = runtime().block_on(async {
                let stage = Stage::new(way);
                let _listening = (way == Way::Tracing).then(|| tracing::subscriber::set_default(stage.seen.clone()));
                story(&stage).await;
                stage.seen.all()
            });
            written.iter().for_each(Written::is_as_listed);
            (way, written)
        })
        .into()
}

/// The first event of this name, for each kind of listener.
fn each<'a>(seen: &'a [(Way, Vec<Written>)], name: &str) -> Vec<&'a Written> {
    let first = |written: &'a Vec<Written>| written.iter().find(|event| event.name == name);
    let found = |(way, written): &'a (Way, Vec<Written>)| {
        first(written).unwrap_or_else(|| panic!("{name} is not seen by {way:?}: {written:#?}"))
    };
    assert!(EVENTS.iter().any(|known| known.name == name), "{name} is listed");
    seen.iter().map(found).collect()
}

/// A lease that no test outlives.
fn config() -> SchedulerConfig {
    SchedulerConfig::new().lease(Duration::from_secs(30 * 24 * 60 * 60)).node("host-7")
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime")
}

fn every(seconds: u64) -> Schedule {
    Schedule::interval(Duration::from_secs(seconds)).expect("a possible period")
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Two attempts, a second apart.
fn twice() -> RetryPolicy {
    RetryPolicy::standard().max_attempts(2).jitter(false)
}

#[test]
fn start_and_stop_are_said_with_what_is_to_be_known() {
    let seen = seen(async |stage| {
        let tasks = [Task::new("rare", every(2 * 60 * 60), async || {})];
        let scheduler = stage.scheduler(tasks).backend(MemoryBackend::with_clock(stage.clock.clone()));
        let scheduler = scheduler.start().await.expect("it starts");
        scheduler.stop().await.expect("it stops");
        assert!(scheduler.wait().await.is_ok());
    });
    for started in each(&seen, "scheduler.started") {
        let said = ["node", "tasks", "backend"].map(|field| started.field(field));
        assert_eq!(said, ["host-7", "1", "memory"]);
    }
    assert!(each(&seen, "scheduler.noted")[0].field("note").contains("\"rare\""));
    assert_eq!(each(&seen, "scheduler.stopping")[0].field("how"), "drain");
    assert_eq!(each(&seen, "scheduler.stopped")[1].field("cancelled"), "0");
}

#[test]
fn an_engine_that_panics_is_an_error() {
    let seen = seen(async |stage| {
        let store = OddStore { store: stage.store.clone(), oddity: Oddity::PanicsAtFirings };
        let scheduler = stage.scheduler([Task::new("tick", every(1), async || {})]).backend(store);
        let scheduler = scheduler.start().await.expect("it starts");
        assert!(scheduler.wait().await.is_err(), "the engine is gone");
    });
    for failed in each(&seen, "scheduler.failed") {
        assert!(failed.level == Level::ERROR && failed.field("error").contains("panic"), "{failed:?}");
    }
}

#[test]
fn ends_of_attempts_stand_in_the_span_of_their_run() {
    let seen = seen(async |stage| {
        let once = |name: &'static str| Task::new(name, every(1), async || {}).max_runs(1);
        let fails =
            Task::new("fails", every(1), async || Err::<(), _>("the shop is closed")).max_runs(1).retry(twice());
        let slow = Task::new("slow", every(1), async || pending::<()>().await).max_runs(1);
        let slow = slow.timeout(Duration::from_secs(2)).retry(RetryPolicy::none());
        stage.start([once("works"), fails, slow]).await;
        pass(20).await;
    });
    assert_eq!(each(&seen, "run.succeeded")[0].field("task"), "works");
    assert_eq!(each(&seen, "attempt.timed_out")[0].field("task"), "slow");
    for failed in each(&seen, "attempt.failed") {
        assert_eq!((failed.field("attempt"), failed.field("error")), ("1", "the shop is closed"));
    }
    for retrying in each(&seen, "run.retrying") {
        assert_eq!((retrying.level, retrying.field("next_at")), (Level::WARN, "2026-05-28T20:26:42.000Z"));
    }
    let failed = each(&seen, "attempt.failed")[0];
    let [(name, span)] = &failed.spans[..] else { panic!("{:?}", failed.spans) };
    let fields: Vec<_> = span.iter().map(|(name, _)| *name).collect();
    assert_eq!((*name, &fields[..]), ("run", &["task", "run_id", "scheduled_at", "attempt", "node"][..]));
    let value = |name| span.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str());
    assert_eq!((value("task"), value("run_id")), (Some("fails"), Some(failed.field("run_id"))));
    assert_eq!(value("scheduled_at"), Some("2026-05-28T20:26:41.000Z"));
    assert_eq!((value("attempt"), value("node")), (Some("1"), Some("host-7")));
}

#[test]
fn what_breaks_when_a_run_is_dropped_is_said() {
    /// Panics where it is dropped.
    struct Breaks(&'static str);

    impl Drop for Breaks {
        fn drop(&mut self) {
            panic!("{}", self.0);
        }
    }

    let seen = seen(async |stage| {
        let deaf = Task::new("deaf", every(1), async || {
            let _breaks = Breaks("while it is dropped");
            pending::<()>().await;
        });
        let throws = Task::new("throws", every(1), async || -> () { panic_any(Breaks("in the payload")) });
        let scheduler = stage.start([deaf.max_runs(1), throws.max_runs(1).retry(RetryPolicy::none())]).await;
        pass(2).await;
        let running = scheduler.running_runs();
        scheduler.cancel_run(running[0].id).await.expect("it runs");
        pass(10).await;
    });
    assert_eq!(each(&seen, "attempt.drop_panicked")[1].field("error"), "panicked: while it is dropped");
    assert_eq!(each(&seen, "attempt.payload_panicked")[0].field("task"), "throws");
    assert_eq!(each(&seen, "run.cancelled")[0].level, Level::WARN);
}

#[test]
fn what_a_person_changes_is_said() {
    let seen = seen(async |stage| {
        let scheduler = stage.start([Task::new("report", every(60), async || {})]).await;
        scheduler.pause_task_with("report", "the database moves").await.expect("it pauses");
        scheduler.resume_task("report").await.expect("it goes on");
        scheduler.reschedule("report", every(120)).await.expect("it is rescheduled");
        scheduler.register(Task::new("new", every(60), async || {})).await.expect("it is new");
        scheduler.unregister("new").await.expect("it is known");
        pass(1).await;
    });
    for paused in each(&seen, "task.paused") {
        assert!(paused.field("task") == "report" && paused.field("pause").contains("the database moves"), "{paused:?}");
    }
    assert_eq!(each(&seen, "task.resumed")[0].field("task"), "report");
    assert_eq!(each(&seen, "task.rescheduled")[0].field("schedule"), "every 2 minutes");
    assert_eq!(each(&seen, "task.registered")[0].field("task"), "new");
    assert_eq!(each(&seen, "task.unregistered")[0].field("task"), "new");
}

#[test]
fn clocks_that_step_and_occurrences_that_do_not_run_are_said() {
    let seen = seen(async |stage| {
        let long = Task::new("long", every(10), async || tokio::time::sleep(Duration::from_secs(15)).await);
        stage.start([Task::new("tick", every(10), async || {}), long]).await;
        pass(35).await;
        stage.clock.step(60 * 60 * 1_000);
        pass(5).await;
        stage.clock.step(-10 * 60 * 1_000);
        pass(5).await;
    });
    let by = |name| each(&seen, name)[0].field("by").to_owned();
    assert!(by("clock.forward").starts_with("3600"), "{}", by("clock.forward"));
    assert!(by("clock.back").starts_with("600"), "{}", by("clock.back"));
    for missed in each(&seen, "occurrences.missed") {
        assert!(missed.level == Level::WARN && missed.field("count") != "0", "{missed:?}");
    }
    assert_eq!(each(&seen, "occurrences.recorded")[0].level, Level::DEBUG);
}

#[test]
fn a_store_that_is_away_and_comes_back_is_said_with_what_it_took_twice() {
    let seen = seen(async |stage| {
        let store = Chaos::new(stage.store.clone());
        let lasting = Task::new("lasting", every(60), async || tokio::time::sleep(Duration::from_secs(5)).await);
        stage.scheduler([lasting]).backend(store.clone()).start().await.expect("it starts");
        pass(61).await;
        // The end of its run is stored, and the answer that says so is lost.
        store.always(Some(Fault::After));
        pass(10).await;
        store.heal();
        pass(10).await;
    });
    for unreachable in each(&seen, "store.unreachable") {
        assert!(!unreachable.field("error").is_empty() && !unreachable.field("cause").is_empty(), "{unreachable:?}");
    }
    each(&seen, "store.reachable");
    assert_eq!(each(&seen, "runs.stale")[0].field("runs"), "1");
}

#[test]
fn a_node_that_is_cut_off_is_said_once_for_each_reason_and_at_the_end() {
    let seen = seen(async |stage| {
        let store = Chaos::new(stage.store.clone());
        let import = Task::new("import", every(10), async || pending::<()>().await);
        let scheduler = stage.scheduler([import]).backend(store.clone()).config(SchedulerConfig::new().node("host-7"));
        scheduler.start().await.expect("it starts");
        pass(11).await;
        store.cut_off();
        pass(40).await;
        // Another node takes its run over.
        let heir = Holder::new("heir", Duration::from_secs(30));
        let claim = Claim {
            number: 1,
            tasks: [stage.store.key_of("import").expect("it is known")].into(),
            jobs: [].into(),
            max: 1,
        };
        for _ in 0..10 {
            stage.store.heartbeat(&heir).await.expect("memory answers");
            pass(5).await;
        }
        let taken = stage.store.claim(&heir, &claim).await.expect("memory answers");
        assert_eq!(taken.runs.len(), 1);
        store.heal();
        pass(10).await;
    });
    for (way, written) in &seen {
        let times = |name: &str| written.iter().filter(|event| event.name == name).count();
        let names = ["store.unreachable", "lease.lost", "store.reachable", "runs.lost"];
        // A connection is reset, and then none is made.
        assert_eq!(names.map(times), [2, 1, 1, 1], "{way:?}");
    }
    let away: f64 = each(&seen, "store.reachable")[0].field("away").trim_end_matches('s').parse().expect("seconds");
    assert!((88.0..=93.0).contains(&away), "from the first heartbeat in vain to the next that was answered: {away} s");
    assert_eq!(each(&seen, "runs.lost")[1].field("runs"), "1");
    assert_eq!(each(&seen, "run.cancelled")[0].field("cause"), "cancelled: another node has taken it over");
}

#[test]
fn a_live_node_with_another_tz_database_is_said_at_start() {
    let seen = seen(async |stage| {
        let lease = Duration::from_secs(30 * 24 * 60 * 60);
        for (name, tzdb) in [("old", "2019c"), ("gone", "2018a"), ("same", crate::TZDB_VERSION)] {
            let other = Holder { tzdb, ..Holder::new(name, lease) };
            stage.store.heartbeat(&other).await.expect("memory answers");
        }
        stage.store.leave(&Holder::new("gone", lease)).await.expect("memory answers");
        stage.start([Task::new("tick", every(10), async || {})]).await;
    });
    for (way, written) in &seen {
        assert_eq!(written.iter().filter(|event| event.name == "zones.differ").count(), 1, "{way:?}");
    }
    let differ = each(&seen, "zones.differ")[0];
    assert_eq!(["tzdb", "other", "others"].map(|name| differ.field(name)), [crate::TZDB_VERSION, "old", "2019c"]);
}

#[test]
fn a_clock_that_is_off_from_the_stores_is_said_once_at_each_end() {
    let seen = seen(async |stage| {
        let clock = Clock::starting_at(Timestamp::from_millis(1_780_000_000_000 + 30_000));
        let scheduler = stage.scheduler([Task::new("tick", every(1), async || {})]).clock(clock.clone());
        scheduler.start().await.expect("it starts");
        pass(30).await;
        clock.step(-29_900);
        pass(30).await;
    });
    for (way, written) in &seen {
        let times = |name: &str| written.iter().filter(|event| event.name == name).count();
        assert_eq!(["clock.differs", "clock.agrees", "clock.back"].map(times), [1, 1, 0], "{way:?}");
    }
    assert_eq!(each(&seen, "clock.differs")[0].field("offset_ms"), "-30000.0");
    assert_eq!(each(&seen, "clock.agrees")[0].field("offset_ms"), "-100.0");
}

#[test]
fn a_heartbeat_that_fails_or_is_not_answered_is_said() {
    for (oddity, cause) in [
        (Oddity::RefusesHeartbeats, "the disk is full"),
        (Oddity::IgnoresHeartbeats, "there was no answer within 25ms"),
    ] {
        let seen = Seen::default();
        let store = Arc::new(OddStore { store: MemoryBackend::new(), oddity });
        let holder = Arc::new(Holder::new("host-7", Duration::from_millis(300)));
        let (clock, logger) = (StoreClock::new(Clock::System), Logger::with_adapter(seen.clone()));
        let link = Link::new(Arc::default(), clock.clone(), Teller::default(), logger, Arc::default());
        let beats = Heartbeat::start(store, holder, clock, Arc::new(link)).expect("a thread");
        let said = seen.take("store.unreachable");
        said.is_as_listed();
        assert_eq!(said.field("cause"), cause);
        drop(beats);
    }
}

#[cfg(feature = "dashboard")]
#[test]
fn what_cannot_be_kept_in_the_audit_log_is_done_and_said() {
    use crate::control::{Actor, Answer, Question, answer};

    let seen = seen(async |stage| {
        let store = OddStore { store: stage.store.clone(), oddity: Oddity::RefusesNotes };
        let scheduler = stage.scheduler([Task::new("tick", every(10), async || {})]).backend(store);
        let handle = scheduler.start().await.expect("it starts");
        let pause = Question::Pause { task: Some("tick".to_owned()), reason: None };
        let progress = tokio::sync::mpsc::channel(1).0;
        let answer = answer(&handle, pause, &Actor::named("uid 501".into()), progress).await;
        assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
        assert!(handle.task("tick").expect("it is there").pause.is_some());
    });
    let not_noted = each(&seen, "control.not_noted")[0];
    assert_eq!(not_noted.field("actor"), "uid 501");
    assert!(not_noted.field("error").contains("keep what was asked for"), "{not_noted:?}");
}

/// Starts a scheduler whose run never ends, and ends its runtime: the run stays alive for a lease.
fn a_dead_node(stage: &Stage, tasks: [Task; 2]) {
    runtime().block_on(async {
        let config = SchedulerConfig::new().node("dead");
        let scheduler = Scheduler::empty().clock(stage.clock.clone()).backend(stage.store.clone()).config(config);
        let scheduler = tasks.into_iter().fold(scheduler, Scheduler::register);
        drop(scheduler.start().await.expect("it starts"));
        pass(2).await;
    });
}

fn import() -> Task {
    let first_waits = async |run: RunContext| {
        if run.attempt() == 1 {
            pending::<()>().await;
        }
    };
    Task::new("import", every(1), first_waits).run_on_start(true)
}

#[test]
fn what_a_dead_node_left_is_said_by_the_one_that_goes_on() {
    for way in [Way::Tracing, Way::Adapter] {
        // The clock follows the paused time of a runtime, so both are made in one.
        let stage = runtime().block_on(async { Stage::new(way) });
        let once = || Task::new("once", every(1), async || pending::<()>().await).delivery(Delivery::AtMostOnce);
        a_dead_node(&stage, [import().run_on_start(false), once()]);
        let _listening = (way == Way::Tracing).then(|| tracing::subscriber::set_default(stage.seen.clone()));
        runtime().block_on(async {
            stage.clock.step(10_000);
            stage.start([import(), once()]).await;
            pass(60).await;
        });
        let seen = [(way, stage.seen.all())];
        seen[0].1.iter().for_each(Written::is_as_listed);
        assert_eq!(each(&seen, "start_run.refused")[0].field("task"), "import");
        assert_eq!(each(&seen, "runs.taken_over")[0].field("runs"), "1");
        let died = each(&seen, "run.died")[0];
        assert_eq!((died.field("task"), died.field("state")), ("once", "abandoned"));
        assert!(died.field("node").starts_with("dead-"), "the node as its store calls it: {died:?}");
    }
}

#[test]
fn a_run_on_start_that_the_store_does_not_take_is_a_warning() {
    let seen = seen(async |stage| {
        let store = OddStore { store: stage.store.clone(), oddity: Oddity::RefusesSubmissions };
        stage.scheduler([import()]).backend(store).start().await.expect("it starts all the same");
    });
    for failed in each(&seen, "start_run.failed") {
        assert!(failed.level == Level::WARN && failed.field("error").contains("the disk is full"), "{failed:?}");
    }
}

#[test]
fn success_is_said_at_info_where_the_settings_ask_for_it() {
    for way in [Way::Tracing, Way::Adapter] {
        runtime().block_on(async {
            let stage = Stage::new(way);
            let _listening = (way == Way::Tracing).then(|| tracing::subscriber::set_default(stage.seen.clone()));
            let settings = config().logging(LoggingConfig::new().task_success(true));
            let scheduler = stage.scheduler([Task::new("tick", every(1), async || {})]).config(settings);
            scheduler.start().await.expect("it starts");
            pass(2).await;
            assert_eq!(stage.seen.take("run.succeeded").level, Level::INFO, "{way:?}");
        });
    }
}

#[test]
fn an_adapter_that_always_panics_hurts_no_run() {
    struct Breaks;

    impl LoggerAdapter for Breaks {
        fn log(&self, event: &LogEvent<'_>) {
            panic!("{event}");
        }
    }

    runtime().block_on(async {
        let stage = Stage::new(Way::Tracing);
        let fails = Task::new("fails", every(1), async || Err::<(), _>("the shop is closed")).retry(twice());
        let scheduler = stage.scheduler([Task::new("tick", every(1), async || {}), fails]).logger(Breaks);
        let scheduler = scheduler.start().await.expect("it starts");
        pass(10).await;
        let metrics = scheduler.stats();
        assert!(metrics.successful_runs >= 9 && metrics.failed_runs > 0, "{metrics:?}");
        assert!(scheduler.stop().await.expect("it stops").is_clean());
    });
}

/// The names that the tests of this file, and of the foreground, ask for.
#[test]
fn every_event_of_the_list_is_caused_here() {
    let source = concat!(
        include_str!("caused.rs"),
        include_str!("../../foreground/printer.rs"),
        include_str!("../../foreground/reload.rs"),
        include_str!("../subscriber.rs"),
        include_str!("../../../../tests/cli/logged.rs")
    );
    let missing: BTreeSet<_> =
        EVENTS.iter().map(|known| known.name).filter(|name| !source.contains(&format!("\"{name}\""))).collect();
    assert!(missing.is_empty(), "nothing causes {missing:?}");
}
