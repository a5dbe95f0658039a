//! A run that ends otherwise than by its body, by the death of its node or because it is cancelled between two attempts: who hears
//! of it, and what is counted.

use std::time::Duration;

use tracing::Level;

use super::rig::{Rig, every, pass, seconds};
use crate::backend::{Backend, Claim, Holder, Submission};
use crate::events::{Events, SchedulerEvent};
use crate::logging::seen::Seen;
use crate::run::{Origin, RunId};
use crate::test_util::Chaos;
use crate::{
    Delivery, RetryPolicy, RunFilter, RunState, SchedulerConfig, SchedulerHandle, Task, TaskMetrics, TaskStatus,
};

/// A task that is not due while a test lasts.
fn import(rig: &Rig) -> Task {
    rig.quick("import", every(86_400_000))
}

/// A node with the default lease, which is 30 s.
async fn node(rig: &Rig, task: Task, seen: &Seen) -> SchedulerHandle {
    let scheduler = rig.scheduler([task]).config(SchedulerConfig::new()).logger(seen.clone());
    scheduler.start().await.expect("the scheduler starts")
}

/// Node `name`, which is dead as soon as it has a run.
fn ghost(name: &str) -> Holder {
    Holder::new(name, seconds(10))
}

/// Has somebody trigger the import, before any scheduler can look.
async fn trigger(rig: &Rig, number: u128) -> RunId {
    let (id, task) = (RunId::from_parts(rig.origin, number), rig.key("import"));
    let submission = Submission { id, task, origin: Origin::Trigger(id), scheduled_at: None, overlap: None };
    rig.store.submit(&[submission]).await.expect("memory answers");
    id
}

/// Lets a node that dies have what waits of the import.
async fn is_taken_by(rig: &Rig, holder: &Holder) {
    let claim = Claim { number: 1, tasks: [rig.key("import")].into(), jobs: [].into(), max: 1 };
    let taken = rig.store.claim(holder, &claim).await.expect("memory answers");
    assert_eq!(taken.runs.len(), 1, "{} has it", holder.node);
}

fn ends(events: &mut Events) -> Vec<(RunId, RunState)> {
    let all = std::iter::from_fn(|| events.try_next());
    let ends = all.filter_map(|event| match event {
        SchedulerEvent::RunEnded { run, state, .. } => Some((run, state)),
        _ => None,
    });
    ends.collect()
}

fn metrics(scheduler: &SchedulerHandle) -> TaskMetrics {
    scheduler.metrics().remove(0)
}

fn said(seen: &Seen) -> Vec<crate::logging::seen::Written> {
    seen.all().into_iter().filter(|event| event.name == "run.died").collect()
}

#[tokio::test(start_paused = true)]
async fn every_node_hears_of_a_run_that_is_abandoned() {
    let rig = Rig::new();
    let (one_seen, other_seen) = (Seen::default(), Seen::default());
    let once = || import(&rig).delivery(Delivery::AtMostOnce);
    let (one, other) = (node(&rig, once(), &one_seen).await, node(&rig, once(), &other_seen).await);
    let (mut one_hears, mut other_hears) = (one.events(), other.events());
    let run = trigger(&rig, 1).await;
    is_taken_by(&rig, &ghost("ghost")).await;
    pass(seconds(30)).await;

    assert_eq!(ends(&mut one_hears), [(run, RunState::Abandoned)]);
    assert_eq!(ends(&mut other_hears), [(run, RunState::Abandoned)]);
    let row = rig.runs("import").await.remove(0);
    for (scheduler, seen) in [(&one, &one_seen), (&other, &other_seen)] {
        let metrics = metrics(scheduler);
        let failed = (metrics.total_runs, metrics.failed_runs, metrics.consecutive_failures);
        assert_eq!(failed, (1, 1, 1));
        assert_eq!((metrics.last_failure, metrics.last_duration), (row.finished_at, None));
        assert_eq!((scheduler.stats().failed_runs, scheduler.stats().total_runs), (1, 1));
        assert_eq!(scheduler.task("import").expect("it is there").status, TaskStatus::Failed);
        let [died] = &said(seen)[..] else { panic!("it is said once") };
        assert_eq!((died.level, died.field("node"), died.field("state")), (Level::WARN, "ghost", "abandoned"));
        assert_eq!((died.field("task"), died.field("deaths"), died.field("attempt")), ("import", "1", "1"));
        assert_eq!(died.field("run_id"), run.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn the_third_death_is_a_failure_that_is_said_as_an_error() {
    let rig = Rig::new();
    let seen = Seen::default();
    let scheduler = node(&rig, import(&rig), &seen).await;
    let mut hears = scheduler.events();
    let run = trigger(&rig, 1).await;
    for name in ["first", "second", "third"] {
        is_taken_by(&rig, &ghost(name)).await;
        if name != "third" {
            rig.store.leave(&ghost(name)).await.expect("memory answers");
        }
    }
    pass(seconds(30)).await;
    assert_eq!(ends(&mut hears), [(run, RunState::Failed)]);
    assert_eq!((metrics(&scheduler).failed_runs, metrics(&scheduler).consecutive_failures), (1, 1));
    let [died] = &said(&seen)[..] else { panic!("it is said once") };
    assert_eq!((died.level, died.field("node"), died.field("deaths")), (Level::ERROR, "third", "3"));
    assert_eq!((died.field("state"), died.field("attempt")), ("failed", "3"));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_goes_on_elsewhere_is_no_end() {
    let rig = Rig::new();
    let seen = Seen::default();
    let scheduler = node(&rig, import(&rig), &seen).await;
    let mut hears = scheduler.events();
    let run = trigger(&rig, 1).await;
    is_taken_by(&rig, &ghost("ghost")).await;
    pass(seconds(30)).await;
    assert_eq!(ends(&mut hears), [(run, RunState::Succeeded)]);
    assert_eq!((metrics(&scheduler).failed_runs, metrics(&scheduler).total_runs), (0, 1));
    assert!(said(&seen).is_empty());
}

#[tokio::test(start_paused = true)]
async fn deaths_in_a_row_pause_the_task_on_every_node() {
    let rig = Rig::new();
    let once = || import(&rig).delivery(Delivery::AtMostOnce).pause_after(2);
    let seen = Seen::default();
    let (one, other) = (node(&rig, once(), &seen).await, node(&rig, once(), &seen).await);
    let mut hears = [one.events(), other.events()];
    for number in 1..=2 {
        assert_eq!(one.task("import").expect("it is there").pause, None);
        trigger(&rig, number).await;
        is_taken_by(&rig, &ghost(&format!("ghost {number}"))).await;
        pass(seconds(30)).await;
    }
    for (scheduler, hears) in [&one, &other].into_iter().zip(&mut hears) {
        let pause = scheduler.task("import").expect("it is there").pause.expect("the second pauses it");
        assert!(pause.by.contains("pause_after, after 2 failed runs in a row"), "{pause}");
        let all = std::iter::from_fn(|| hears.try_next());
        let pauses = all.filter(|event| matches!(event, SchedulerEvent::TaskPaused { .. })).count();
        assert_eq!(pauses, 1, "each hears it once");
    }
}

/// Cuts a node off whose run of 10 s lasts for `lasts`, until another node has ended that.
async fn wrongly_taken_for_dead(lasts: Duration) -> (Rig, SchedulerHandle, SchedulerHandle, Events) {
    let rig = Rig::new();
    let store = Chaos::new(rig.store.clone());
    let task = |lasts| rig.lasting("import", every(10_000), lasts).max_runs(1).delivery(Delivery::AtMostOnce);
    let config = || SchedulerConfig::new();
    let cut_off = rig.scheduler([task(lasts)]).config(config()).backend(store.clone());
    let cut_off = cut_off.start().await.expect("it starts");
    pass(seconds(11)).await;
    let other = rig.scheduler([task(lasts)]).config(config()).start().await.expect("it starts");
    let hears = cut_off.events();
    store.cut_off();
    pass(seconds(45)).await;
    assert_eq!(rig.runs("import").await[0].state, RunState::Abandoned, "the other has ended it");
    assert_eq!(metrics(&other).failed_runs, 1);
    store.reconnect();
    pass(seconds(30)).await;
    (rig, cut_off, other, hears)
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_only_taken_for_dead_cancels_the_run_and_counts_the_death() {
    let (rig, cut_off, other, mut hears) = wrongly_taken_for_dead(seconds(3_600)).await;
    let run = rig.runs("import").await[0].id;
    assert_eq!(ends(&mut hears), [(run, RunState::Abandoned)]);
    for scheduler in [&cut_off, &other] {
        assert_eq!((metrics(scheduler).total_runs, metrics(scheduler).failed_runs), (1, 1));
    }
    assert_eq!(cut_off.stats().active_workers, 0, "it is cancelled");
    assert_eq!(cut_off.task("import").expect("it is there").status, TaskStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_only_taken_for_dead_and_had_ended_the_run_counts_its_own_end() {
    let (rig, cut_off, other, mut hears) = wrongly_taken_for_dead(seconds(20)).await;
    let run = rig.runs("import").await[0].id;
    assert_eq!(ends(&mut hears), [(run, RunState::Succeeded)]);
    assert_eq!((metrics(&cut_off).total_runs, metrics(&cut_off).successful_runs), (1, 1));
    assert_eq!((metrics(&other).total_runs, metrics(&other).failed_runs), (1, 1));
    let told = cut_off.explain("import", rig.at(10_000)).await.expect("memory answers").to_string();
    assert!(told.contains("abandoned") && told.contains("its node died"), "in the store it stays as it was: {told}");
}

/// The loop has nothing to do for seconds when somebody begins to listen.
#[tokio::test(start_paused = true)]
async fn who_has_just_begun_to_listen_hears_of_a_run_that_is_cancelled() {
    let rig = Rig::new();
    let long = RetryPolicy::standard().wait_min(seconds(3_600)).wait_max(seconds(3_600));
    let import = Task::new("import", every(60_000), async || Err::<(), _>("down")).retry(long);
    let scheduler = rig.start([import]).await;
    pass(seconds(62)).await;
    let [run] = &scheduler.runs(&RunFilter::new()).await.expect("memory answers")[..] else { panic!("one run") };
    assert_eq!(run.state, RunState::Retrying);
    let mut events = scheduler.events();
    scheduler.cancel_run(run.id).await.expect("it is alive");
    pass(seconds(1)).await;
    assert_eq!(ends(&mut events), [(run.id, RunState::Cancelled)]);
}
