//! The test kit itself: single steps, answers that are cut short, events as a stream, what a simulation leaves out.

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;
use symphra_scheduler::test_util::{Chaos, Fault, Fired, Simulated, simulate};
use symphra_scheduler::{MemoryBackend, Reason, Scheduler, SchedulerEvent, Task};

use crate::kit::{at, began, every, ledger, records, second, seconds, start, start_on, start_one};

fn tick() -> Task {
    Task::new("tick", every(10), async || {})
}

fn named(step: Option<Fired>) -> (String, i64) {
    let fired = step.expect("something begins within a year");
    (fired.task.to_string(), second(fired.began_at))
}

#[tokio::test(start_paused = true)]
async fn each_of_those_that_begin_at_one_instant_has_a_step_of_its_own() {
    let other = || Task::new("tock", every(20), async || {});
    let mut test = start(move || Scheduler::empty().register(tick()).register(other())).await;
    assert_eq!(named(test.step().await), ("tick".into(), 10));
    let mut both = [named(test.step().await), named(test.step().await)];
    both.sort();
    assert_eq!(both, [("tick".into(), 20), ("tock".into(), 20)]);
    assert_eq!(named(test.step().await), ("tick".into(), 30));
}

#[tokio::test(start_paused = true)]
async fn a_step_goes_on_from_the_present_whatever_has_begun_before() {
    let mut test = start_one(tick).await;
    test.advance(seconds(25)).await;
    assert_eq!(named(test.step().await).1, 30);
    test.run_until(at(65)).await;
    assert_eq!(named(test.step().await).1, 70);
    test.restart(seconds(3)).await.expect("it starts again");
    assert_eq!(named(test.step().await).1, 80);
}

#[tokio::test(start_paused = true)]
async fn a_simulation_ends_with_max_runs_and_records_what_is_disabled_as_the_scheduler_does() {
    let tasks = || [tick().max_runs(2), Task::new("off", every(20), async || {}).enabled(false)];
    let scheduler = move || tasks().into_iter().fold(Scheduler::empty(), Scheduler::register);
    let simulated = simulate(scheduler(), at(0), at(75)).run().expect("it could start");
    let test = start(scheduler).await;
    test.advance(seconds(74)).await;
    let runs = |task: &str| {
        let of_task = simulated[task].iter();
        of_task.filter_map(|step| match step {
            Simulated::Runs { scheduled_at, at, .. } => Some((second(*scheduled_at), second(*at))),
            _ => None,
        })
    };
    assert_eq!(runs("tick").collect::<Vec<_>>(), began(&test, "tick"));
    assert_eq!(began(&test, "tick"), [(10, 10), (20, 20)]);
    assert_eq!(runs("off").count(), 0);
    let recorded = simulated["off"].iter().map(|step| match step {
        Simulated::Recorded { reason, count, .. } => (*reason, *count),
        other => panic!("{other:?}"),
    });
    let counts: Vec<_> = recorded.collect();
    assert!(counts.iter().all(|(reason, _)| *reason == Reason::Paused), "{counts:?}");
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), ledger(&test, "off").await.2);
    assert_eq!(records(&test, "off").await, [(Reason::Paused, 20, 60, 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_short_answer_is_one_of_which_nothing_is_believed() {
    for call in ["look", "enqueue", "finish", "submit"] {
        let between = crate::kit::Between::default();
        let given = between.clone();
        let test = start_on(move |store| Scheduler::empty().backend(given.of(store)).register(tick())).await;
        between.fail_on(call, Fault::Short);
        test.advance(seconds(12)).await;
        // It looks where the task stands.
        test.explain("tick", at(5)).await.expect("what is not known is not told");
        let triggered = test.trigger_task("tick").await;
        assert_eq!(triggered.is_err(), call == "submit", "{call}: {triggered:?}");
        let failed = between.failed();
        between.heal();
        test.advance(seconds(60)).await;
        assert_eq!(ledger(&test, "tick").await, (7, 7, 0), "{call}: none is lost, and none runs twice");
        assert!(failed > 0, "{call} was made");
    }
    let store = Chaos::new(MemoryBackend::new());
    store.fail_on("register", Fault::Short);
    let refused = Scheduler::empty().register(tick()).backend(store).start().await;
    assert!(refused.is_err(), "of what was not answered nothing is known");
}

#[test]
#[should_panic(expected = "claim has no entries")]
fn a_call_without_entries_has_no_short_answer() {
    Chaos::new(MemoryBackend::new()).fail_on("claim", Fault::Short);
}

#[tokio::test(start_paused = true)]
async fn events_are_a_stream_and_what_was_awaited_in_vain_is_not_lost() {
    let test = start_one(tick).await;
    let mut events = test.events();
    {
        // Whoever waits is dropped in the middle of it.
        let waiting = poll_fn(|context| Pin::new(&mut events).poll_next(context));
        assert!(tokio::time::timeout(seconds(5), waiting).await.is_err(), "nothing has happened yet");
    }
    assert_eq!(events.try_next(), None);
    test.advance(seconds(6)).await;
    let SchedulerEvent::AttemptStarted { scheduled_at, .. } = events.try_next().expect("it is there") else {
        panic!("an attempt begins first");
    };
    assert_eq!(second(scheduled_at), 10);
    assert!(events.next().await.is_some_and(|event| matches!(event, SchedulerEvent::RunEnded { .. })));
    test.stop().await.expect("it stops");
    let mut rest = Vec::new();
    while let Some(event) = poll_fn(|context| Pin::new(&mut events).poll_next(context)).await {
        rest.push(event);
    }
    assert_eq!(rest.last(), Some(&SchedulerEvent::Stopped));
}
