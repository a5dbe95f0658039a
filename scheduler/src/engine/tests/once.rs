//! Tasks of one instant, and tasks within a window.

use std::time::Duration;

use super::rig::{Rig, config, counts, every, hours, pass, seconds};
use crate::backend::{Backend, Holder, Reason, Record};
use crate::task::Alike;
use crate::test_util::Chaos;
use crate::{Schedule, SchedulerHandle, Task, TaskName, TaskStatus};

fn once(rig: &Rig, at_millis: i64) -> Task {
    rig.quick("once", Schedule::once(rig.at(at_millis).to_utc()))
}

async fn start_on_durable(rig: &Rig, task: Task) -> SchedulerHandle {
    let store = Chaos::new(rig.store.clone().outliving_its_program());
    rig.scheduler([task]).backend(store).start().await.expect("the scheduler starts")
}

#[tokio::test(start_paused = true)]
async fn a_task_of_one_instant_runs_once_and_is_over() {
    let rig = Rig::new();
    let scheduler = rig.start([once(&rig, 90_123)]).await;
    pass(hours(1)).await;
    assert_eq!(rig.fired("once"), [90_123]);
    let task = scheduler.task("once").expect("it is registered");
    assert_eq!((task.next, task.status), (None, TaskStatus::Completed));
}

#[tokio::test(start_paused = true)]
async fn an_instant_that_is_past_at_first_sight_is_recorded_in_memory() {
    let rig = Rig::new();
    let _scheduler = rig.start([once(&rig, -60_000)]).await;
    pass(seconds(60)).await;
    assert_eq!(rig.fired("once"), [0; 0]);
    assert_eq!(rig.records("once").await, [Record::one(Reason::PastAtFirstSight, rig.at(-60_000))]);
    assert_eq!(counts(rig.ledger("once").await), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn on_a_durable_store_it_runs_when_it_is_at_most_a_day_old() {
    let rig = Rig::new();
    let _scheduler = start_on_durable(&rig, once(&rig, -24 * 3_600_000)).await;
    pass(seconds(60)).await;
    assert_eq!(rig.fired("once"), [-24 * 3_600_000]);
    assert_eq!(counts(rig.ledger("once").await), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn on_a_durable_store_it_is_recorded_when_it_is_older() {
    let rig = Rig::new();
    let old = -24 * 3_600_000 - 1;
    let _scheduler = start_on_durable(&rig, once(&rig, old)).await;
    pass(seconds(60)).await;
    assert_eq!(rig.fired("once"), [0; 0]);
    assert_eq!(rig.records("once").await, [Record::one(Reason::PastAtFirstSight, rig.at(old))]);
}

#[tokio::test(start_paused = true)]
async fn an_instant_that_passed_while_no_scheduler_ran_is_a_misfire_and_runs_late() {
    let rig = Rig::new();
    let first = rig.start([once(&rig, 60_000)]).await;
    first.stop().await.expect("it stops");
    pass(hours(2)).await;
    let _second = rig.start([once(&rig, 60_000)]).await;
    pass(seconds(10)).await;
    assert_eq!(rig.fired("once"), [60_000]);
}

#[tokio::test(start_paused = true)]
async fn once_over_it_stays_over_for_the_next_scheduler() {
    let rig = Rig::new();
    for _ in 0..3 {
        let scheduler = rig.start([once(&rig, 60_000)]).await;
        pass(seconds(120)).await;
        scheduler.stop().await.expect("it stops");
    }
    assert_eq!(rig.fired("once"), [60_000]);
    assert_eq!(counts(rig.ledger("once").await), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_window_includes_its_start_and_its_end() {
    let rig = Rig::new();
    let tick = rig.quick("tick", every(1_000)).start_at(rig.at(10_500).to_utc()).end_at(rig.at(13_500).to_utc());
    let scheduler = rig.start([tick]).await;
    pass(seconds(60)).await;
    assert_eq!(rig.fired("tick"), [10_500, 11_500, 12_500, 13_500], "an interval counts from its start");
    assert_eq!(counts(rig.ledger("tick").await), (4, 4, 0));
    assert_eq!(scheduler.task("tick").expect("it is registered").next, None);
}

#[tokio::test(start_paused = true)]
async fn an_interval_that_started_in_the_past_keeps_the_grid_of_its_start() {
    let rig = Rig::new();
    let tick = rig.quick("tick", every(60_000)).start_at(rig.at(-3_600_000 * 24 * 400 - 13_000).to_utc());
    let _scheduler = rig.start([tick]).await;
    pass(Duration::from_secs(150)).await;
    assert_eq!(rig.fired("tick"), [47_000, 107_000]);
    assert_eq!(counts(rig.ledger("tick").await), (2, 2, 0), "a task seen for the first time has missed nothing");
}

#[tokio::test(start_paused = true)]
async fn a_past_instant_is_accounted_for_although_the_node_that_registered_it_died_before_it_fired() {
    let rig = Rig::new();
    let name = TaskName::new("once").expect("a valid name");
    let dead = Holder::new("dead", seconds(30));
    let registration =
        once(&rig, -60_000).registration(name, &config(), &std::sync::Arc::default(), &mut Alike::default());
    rig.store.register(&dead, &[registration]).await.expect("memory answers");
    let _scheduler = start_on_durable(&rig, once(&rig, -60_000)).await;
    pass(seconds(60)).await;
    assert_eq!(rig.ledger("once").await.occurrences, 1);
}
