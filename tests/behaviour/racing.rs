//! Two things at one instant, in each of the two orders: what holds the store's call or its answer says which is first.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use symphra_scheduler::test_util::{Fault, Held};
use symphra_scheduler::{Reason, RunContext, RunState, Scheduler, SchedulerHandle, Task};

use crate::kit::{
    Between, began, every, ledger, records, runs, second, seconds, start_on, start_one, start_one_between, states,
};

fn tick() -> Task {
    Task::new("tick", every(10), async || {})
}

/// A task whose body ends as soon as it is asked to, and else takes long.
fn heeding() -> Task {
    Task::new("tick", every(10), |run: RunContext| async move {
        tokio::select! {
            () = run.cancelled() => {}
            () = tokio::time::sleep(seconds(1_000)) => {}
        }
    })
}

/// Polls a future once and drops it: its caller was cancelled.
async fn begun_and_dropped<T>(future: impl Future<Output = T>) {
    let mut future = pin!(future);
    poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending(), "there is something to wait for");
        Poll::Ready(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_reaches_the_store_before_a_due_occurrence_leaves_it_to_a_record() {
    let (test, store) = start_one_between(tick).await;
    store.hold("enqueue", Held::Call);
    test.advance(seconds(11)).await;
    test.pause_task("tick").await.expect("it pauses");
    store.let_go("enqueue");
    test.advance(seconds(2)).await;
    assert_eq!(began(&test, "tick"), []);
    assert_eq!(records(&test, "tick").await, [(Reason::Paused, 10, 10, 1)]);
    assert_eq!(ledger(&test, "tick").await, (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_occurrence_that_the_store_accepted_before_a_pause_waits_it_out_as_a_run() {
    let (test, store) = start_one_between(tick).await;
    store.hold("enqueue", Held::Answer);
    test.advance(seconds(11)).await;
    test.pause_task("tick").await.expect("it pauses");
    store.let_go("enqueue");
    test.advance(seconds(2)).await;
    assert_eq!(began(&test, "tick"), [], "nothing begins after the answer to a pause");
    assert_eq!(states(&test, "tick").await, [(10, RunState::Queued, None)]);
    test.resume_task("tick").await.expect("it resumes");
    test.advance(Duration::ZERO).await;
    assert_eq!(began(&test, "tick"), [(10, 13)]);
    assert_eq!(runs(&test, "tick").await[0].attempt, 1, "it had not begun before");
    assert_eq!(ledger(&test, "tick").await, (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_occurrence_whose_answer_comes_with_the_pause_waits_it_out_too() {
    for the_answer_is_taken_in_first in [false, true] {
        let (test, store) = start_one_between(tick).await;
        store.hold("enqueue", Held::Answer);
        test.advance(seconds(11)).await;
        if the_answer_is_taken_in_first {
            // The wait for changes of the store begins anew, behind the call that is held.
            test.register(Task::new("other", every(1_000), async || {})).await.expect("it is free");
            test.pause_task("other").await.expect("it pauses");
            test.advance(seconds(1)).await;
        }
        // The engine has no turn between the two.
        store.let_go("enqueue");
        test.pause_task("tick").await.expect("it pauses");
        test.advance(seconds(2)).await;
        assert_eq!(began(&test, "tick"), []);
        assert_eq!(states(&test, "tick").await, [(10, RunState::Queued, None)]);
        assert_eq!(ledger(&test, "tick").await, (1, 1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_occurrence_whose_answer_comes_before_the_pause_runs() {
    let (test, store) = start_one_between(heeding).await;
    store.hold("enqueue", Held::Answer);
    test.advance(seconds(11)).await;
    store.let_go("enqueue");
    test.advance(Duration::ZERO).await;
    test.pause_task("tick").await.expect("it pauses");
    test.advance(seconds(2)).await;
    assert_eq!(began(&test, "tick"), [(10, 11)]);
    assert_eq!(states(&test, "tick").await, [(10, RunState::Running, None)]);
    assert_eq!(ledger(&test, "tick").await, (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reschedule_that_reaches_the_store_before_a_due_occurrence_leaves_it_to_a_record() {
    let (test, store) = start_one_between(tick).await;
    store.hold("enqueue", Held::Call);
    test.advance(seconds(11)).await;
    test.reschedule("tick", every(7)).await.expect("it has occurrences");
    store.let_go("enqueue");
    test.advance(seconds(5)).await;
    assert_eq!(began(&test, "tick"), [(14, 14)]);
    assert_eq!(records(&test, "tick").await, [(Reason::Rescheduled, 10, 10, 1)]);
    assert_eq!(ledger(&test, "tick").await, (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_occurrence_that_the_store_accepted_before_a_reschedule_runs() {
    let (test, store) = start_one_between(tick).await;
    store.hold("enqueue", Held::Answer);
    test.advance(seconds(11)).await;
    test.reschedule("tick", every(7)).await.expect("it has occurrences");
    store.let_go("enqueue");
    test.advance(seconds(5)).await;
    assert_eq!(began(&test, "tick"), [(10, 11), (14, 14)]);
    assert_eq!(records(&test, "tick").await, []);
    assert_eq!(ledger(&test, "tick").await, (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_while_the_answer_that_brings_it_is_under_way_is_cancelled_as_it_starts() {
    for call in ["enqueue", "claim"] {
        let (test, store) = start_one_between(heeding).await;
        store.hold(call, Held::Answer);
        match call {
            "claim" => drop(test.trigger_task("tick").await.expect("it is accepted")),
            _ => test.advance(seconds(10)).await,
        }
        test.advance(seconds(1)).await;
        let run = runs(&test, "tick").await.remove(0);
        assert_eq!(run.state, RunState::Running, "{call}: the store has given it");
        test.cancel_run(run.id).await.expect("it is alive");
        test.advance(seconds(1)).await;
        store.let_go(call);
        test.advance(seconds(1)).await;
        assert_eq!(runs(&test, "tick").await[0].state, RunState::Cancelled, "{call}");
        assert!(test.running_runs().is_empty(), "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_task_is_unregistered_while_the_answer_that_brings_it_is_under_way_goes_back() {
    for call in ["enqueue", "claim"] {
        let (test, store) = start_one_between(tick).await;
        store.hold(call, Held::Answer);
        match call {
            "claim" => drop(test.trigger_task("tick").await.expect("it is accepted")),
            _ => test.advance(seconds(10)).await,
        }
        test.advance(seconds(1)).await;
        test.unregister("tick").await.expect("it is there");
        // It takes the place of the other, and must not be taken for it.
        test.register(Task::new("other", every(3), async || {})).await.expect("it is free");
        store.let_go(call);
        test.advance(Duration::ZERO).await;
        assert_eq!(runs(&test, "tick").await[0].state, RunState::Queued, "{call}: it is nobody's");
        assert_eq!(began(&test, "tick"), [], "{call}");
        let now = second(test.now());
        test.advance(seconds(7)).await;
        let due = [(now + 3, now + 3), (now + 6, now + 6)];
        assert_eq!(began(&test, "other"), due, "{call}: its own schedule counts");
        test.register(tick()).await.expect("its name is free");
        test.advance(Duration::ZERO).await;
        assert_eq!(test.fired("tick").len(), 1, "{call}: then it begins");
    }
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_is_cancelled_before_its_store_answers_leaves_the_name_free() {
    for held in [Held::Call, Held::Answer] {
        let (test, store) = start_one_between(|| Task::new("other", every(1_000), async || {})).await;
        store.hold("register", held);
        begun_and_dropped(test.register(tick())).await;
        store.let_go("register");
        test.advance(seconds(12)).await;
        assert_eq!(test.fired("tick").len(), 0, "{held:?}");
        assert!(test.task("tick").expect_err("it is not registered").is_unknown_task());
        test.register(tick()).await.expect("its name is free");
        test.advance(seconds(30)).await;
        assert_eq!(test.fired("tick").last().map(|&at| second(at) > 20), Some(true), "{held:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_is_cancelled_after_its_store_answered_is_done() {
    let test = start_one(|| Task::new("other", every(1_000), async || {})).await;
    begun_and_dropped(test.register(tick())).await;
    assert!(test.register(tick()).await.expect_err("it is taken").is_duplicate_task());
    test.advance(seconds(25)).await;
    assert_eq!(began(&test, "tick"), [(10, 10), (20, 20)]);
}

#[tokio::test(start_paused = true)]
async fn a_task_is_taken_out_although_who_asked_for_it_was_cancelled() {
    let test = start_one(tick).await;
    test.advance(seconds(12)).await;
    begun_and_dropped(test.unregister("tick")).await;
    test.advance(seconds(20)).await;
    assert_eq!(began(&test, "tick"), [(10, 10)]);
    test.register(tick()).await.expect("its name is free");
    test.advance(seconds(10)).await;
    assert_eq!(test.fired("tick").len(), 3, "30 was missed, 40 is on time");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_taken_in_although_the_engine_never_comes_to_rest() {
    const LINKS: u32 = 3_000;
    let scheduler = Arc::new(OnceLock::<SchedulerHandle>::new());
    let (links, seen_at) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let between = Between::default();
    let test = {
        let (scheduler, links, seen_at) = (Arc::clone(&scheduler), Arc::clone(&links), Arc::clone(&seen_at));
        let given = between.clone();
        start_on(move |store| {
            let (scheduler, links, counted) = (Arc::clone(&scheduler), Arc::clone(&links), Arc::clone(&links));
            let seen_at = Arc::clone(&seen_at);
            // Each run asks for the next, and all at one instant.
            let chain = move || {
                let (scheduler, links) = (Arc::clone(&scheduler), Arc::clone(&links));
                async move {
                    if links.fetch_add(1, Ordering::SeqCst) < LINKS {
                        let scheduler = scheduler.get().expect("it was given");
                        scheduler.trigger_task("chain").await.expect("it is accepted");
                    }
                }
            };
            let waits = move || {
                seen_at.store(counted.load(Ordering::SeqCst), Ordering::SeqCst);
                async {}
            };
            let chain = Task::new("chain", every(1_000), chain).max_instances(100);
            Scheduler::empty().backend(given.of(store)).register(chain).register(Task::new("tick", every(10), waits))
        })
        .await
    };
    assert!(scheduler.set((*test).clone()).is_ok());
    between.hold("enqueue", Held::Answer);
    test.advance(seconds(11)).await;
    for _ in 0..16 {
        test.trigger_task("chain").await.expect("it is accepted");
    }
    while links.load(Ordering::SeqCst) < 100 {
        tokio::task::yield_now().await;
    }
    between.let_go("enqueue");
    while links.load(Ordering::SeqCst) < LINKS {
        tokio::task::yield_now().await;
    }
    let seen_at = seen_at.load(Ordering::SeqCst);
    assert!((100..LINKS / 2).contains(&seen_at), "its run began after {seen_at} of {LINKS} links");
    test.advance(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_goes_on_although_the_run_on_start_cannot_be_submitted() {
    let between = Between::default();
    let given = between.clone();
    let test = start_on(move |store| {
        let store = given.of(store);
        store.fail_on("submit", Fault::Before);
        Scheduler::empty().backend(store).register(tick().run_on_start(true))
    })
    .await;
    between.heal();
    test.advance(seconds(15)).await;
    assert_eq!(began(&test, "tick"), [(10, 10)], "the schedule goes on, and the start is past");
}
