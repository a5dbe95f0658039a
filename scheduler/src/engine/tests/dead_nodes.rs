//! A scheduler whose runtime has ended: its runs stay its own for a lease, and then another takes them over that has been
//! there for as long.

use tokio::runtime::{Builder, Runtime};

use super::rig::{Rig, every, millis, pass, seconds};
use crate::backend::{Reason, RunRow};
use crate::{RunContext, RunState, SchedulerConfig, Task};

/// A task whose first attempt never ends.
fn ends_at_the_second_attempt(rig: &Rig) -> Task {
    let log = rig.log.clone();
    Task::new("import", every(10_000), move |run: RunContext| {
        log.write(&run);
        async move {
            if run.attempt() == 1 && run.missed().is_none() {
                std::future::pending::<()>().await;
            }
        }
    })
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime")
}

/// A rig whose scheduler, which holds the run of 10 s under a lease of 30 s, has died with its runtime.
fn rig_with_a_dead_scheduler() -> Rig {
    let runtime = runtime();
    let rig = runtime.block_on(async {
        let rig = Rig::new();
        let scheduler = rig.scheduler([ends_at_the_second_attempt(&rig)]).config(SchedulerConfig::new());
        drop(scheduler.start().await.expect("the scheduler starts"));
        pass(millis(10_500)).await;
        assert_eq!(rig.fired("import"), [10_000]);
        rig
    });
    drop(runtime);
    rig
}

/// Lets the time of this runtime, which has begun anew, go on from `at` milliseconds.
async fn go_on_from(rig: &Rig, at: u64) {
    tokio::time::advance(millis(at)).await;
    rig.clock.step(at.cast_signed() - rig.millis(rig.clock.now()));
}

#[test]
fn its_runs_are_taken_over_after_its_lease_as_their_second_attempt() {
    let rig = rig_with_a_dead_scheduler();
    runtime().block_on(async {
        go_on_from(&rig, 15_000).await;
        let scheduler = rig.start([ends_at_the_second_attempt(&rig)]).await;
        pass(seconds(29)).await;
        assert_eq!(rig.fired("import"), [10_000], "nobody has been there for a lease");
        let full = rig.records("import").await;
        assert_eq!((full.len(), full[0].reason, full[0].count), (1, Reason::Overlap, 3), "the run is alive till then");

        pass(millis(20_500)).await;
        let attempts: Vec<_> = rig.log.of("import").iter().map(|run| (run.scheduled_at, run.attempt)).collect();
        assert_eq!(attempts[..2], [(rig.at(10_000), 1), (rig.at(10_000), 2)]);
        let row: Vec<RunRow> =
            rig.runs("import").await.into_iter().filter(|run| run.scheduled_at == rig.at(10_000)).collect();
        assert_eq!((row.len(), row[0].state, row[0].attempt), (1, RunState::Succeeded, 2), "it is one run");
        assert_eq!(scheduler.stop_now().await.expect("it stops").cancelled.len(), attempts.len() - 2);
    });
}

/// A crash during a run ended the recurrence of others.
#[test]
fn fang_a_crash_during_a_run_does_not_end_its_recurrence() {
    let rig = rig_with_a_dead_scheduler();
    runtime().block_on(async {
        go_on_from(&rig, 15_000).await;
        let task = rig.quick("import", every(10_000));
        let _scheduler = rig.start([task]).await;
        pass(seconds(60)).await;
        let instants: Vec<i64> = rig.fired("import");
        assert_eq!(instants[..2], [10_000, 10_000], "the run that was under way goes first");
        assert!(
            instants[2..].is_sorted() && instants.ends_with(&[60_000, 70_000]),
            "then its task as ever: {instants:?}"
        );
        let (occurrences, runs, recorded) = super::rig::counts(rig.ledger("import").await);
        assert_eq!((occurrences, runs + recorded), (7, 7));
    });
}

/// The leader of others died and nobody took over.
#[test]
fn underway_when_a_scheduler_dies_the_others_fire_on_at_once() {
    let runtime = runtime();
    let rig = runtime.block_on(async { Rig::new() });
    let task = || rig.quick("tick", every(10_000));
    runtime.block_on(async {
        drop(rig.scheduler([task()]).config(SchedulerConfig::new()).start().await.expect("the scheduler starts"));
        pass(seconds(25)).await;
    });
    drop(runtime);
    self::runtime().block_on(async {
        go_on_from(&rig, 25_000).await;
        let _other = rig.start([task()]).await;
        pass(seconds(30)).await;
        assert_eq!(rig.fired("tick"), [10_000, 20_000, 30_000, 40_000, 50_000], "no lease had to end first");
        assert!(rig.log.of("tick").iter().all(|run| run.began_at == run.scheduled_at));
    });
}

#[test]
fn of_two_schedulers_that_live_one_takes_a_dead_ones_run_over() {
    let rig = rig_with_a_dead_scheduler();
    runtime().block_on(async {
        go_on_from(&rig, 31_000).await;
        let _one = rig.start([ends_at_the_second_attempt(&rig)]).await;
        let _other = rig.start([ends_at_the_second_attempt(&rig)]).await;
        pass(seconds(36)).await;
        let again = rig.log.of("import").iter().filter(|run| run.scheduled_at == rig.at(10_000)).count();
        assert_eq!(again, 2, "the attempt that died and one more");
    });
}

#[test]
fn the_end_of_the_runtime_ends_the_scheduler_and_waiting_says_so() {
    let runtime = runtime();
    let (rig, handle) = runtime.block_on(async {
        let rig = Rig::new();
        let handle = rig.start([rig.quick("tick", every(1_000))]).await;
        pass(millis(2_500)).await;
        assert!(handle.stats().running);
        (rig, handle)
    });
    drop(runtime);
    assert_eq!(rig.fired("tick"), [1_000, 2_000]);
    assert!(!handle.stats().running);
    for asked in [self::runtime().block_on(handle.wait()), self::runtime().block_on(handle.stop())] {
        let error = asked.expect_err("there is nothing to wait for");
        assert!(error.is_stopped(), "{error}");
    }
}
