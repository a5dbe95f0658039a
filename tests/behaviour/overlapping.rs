//! A task that runs longer than its period, under each overlap policy: every ten seconds, for 24.

use std::future::pending;
use std::time::Duration;

use symphra_scheduler::{
    Backoff, Missed, Origin, Overlap, Reason, Refusal, RetryPolicy, RunContext, RunId, RunState, Task, Triggered,
};

use crate::kit::{Log, at, began, every, ledger, records, runs, second, seconds, start_one, states};

const TAKES: Duration = seconds(24);

fn slow() -> Task {
    Task::new("slow", every(10), async || tokio::time::sleep(TAKES).await)
}

/// A task whose body ends as soon as it is asked to.
fn heeding() -> Task {
    Task::new("slow", every(10), |run: RunContext| async move {
        tokio::select! {
            () = run.cancelled() => {}
            () = tokio::time::sleep(TAKES) => {}
        }
    })
}

fn endless() -> Task {
    Task::new("slow", every(1), async || pending::<()>().await)
}

/// A task whose first attempts fail and whose second ones, 15 s later, succeed.
fn second_time_lucky(overlap: Overlap) -> Task {
    let again = RetryPolicy::standard().strategy(Backoff::Fixed).wait_min(seconds(15)).jitter(false);
    let body = |run: RunContext| async move { if run.attempt() == 1 { Err("not yet") } else { Ok(()) } };
    Task::new("slow", every(10), body).overlap(overlap).retry(again)
}

#[tokio::test(start_paused = true)]
async fn skip_records_what_falls_due_during_a_run() {
    let test = start_one(slow).await;
    test.advance(seconds(100)).await;
    assert_eq!(began(&test, "slow"), [(10, 10), (40, 40), (70, 70), (100, 100)]);
    assert_eq!(records(&test, "slow").await, [(Reason::Overlap, 20, 90, 6)]);
    assert_eq!(ledger(&test, "slow").await, (10, 4, 6));
}

#[tokio::test(start_paused = true)]
async fn buffer_one_lets_one_wait_which_covers_those_after_it() {
    let covers = Log::new();
    let log = covers.clone();
    let test = start_one(move || {
        let log = log.clone();
        let body = move |run: RunContext| {
            log.write((second(run.scheduled_at()), run.missed()));
            tokio::time::sleep(TAKES)
        };
        Task::new("slow", every(10), body).overlap(Overlap::BufferOne)
    })
    .await;
    test.advance(seconds(100)).await;
    assert_eq!(began(&test, "slow"), [(10, 10), (20, 34), (40, 58), (60, 82)]);
    assert_eq!(records(&test, "slow").await, [(Reason::Covered, 30, 100, 5)]);
    assert_eq!(ledger(&test, "slow").await, (10, 5, 5));
    let covering = |count, first| Some(Missed::new(count, at(first)));
    assert_eq!(covers.words(), [(10, None), (20, covering(1, 30)), (40, covering(1, 50)), (60, covering(2, 70))]);
}

#[tokio::test(start_paused = true)]
async fn buffer_all_lets_each_wait_its_turn() {
    let test = start_one(|| slow().overlap(Overlap::BufferAll)).await;
    test.advance(seconds(100)).await;
    assert_eq!(began(&test, "slow"), [(10, 10), (20, 34), (30, 58), (40, 82)]);
    let waiting = states(&test, "slow").await.iter().filter(|(_, state, _)| *state == RunState::Queued).count();
    assert_eq!(waiting, 6);
    assert_eq!(records(&test, "slow").await, []);
    assert_eq!(ledger(&test, "slow").await, (10, 10, 0));
}

#[tokio::test(start_paused = true)]
async fn under_buffer_all_a_thousand_wait_and_the_next_find_the_buffer_full() {
    let test = start_one(|| endless().overlap(Overlap::BufferAll)).await;
    test.advance(seconds(1_010)).await;
    assert_eq!(began(&test, "slow"), [(1, 1)]);
    assert_eq!(runs(&test, "slow").await.len(), 1_001);
    assert_eq!(records(&test, "slow").await, [(Reason::BufferFull, 1_002, 1_010, 9)]);
    assert_eq!(ledger(&test, "slow").await, (1_010, 1_001, 9));
}

#[tokio::test(start_paused = true)]
async fn cancel_running_cancels_the_run_and_begins_when_it_has_ended() {
    let test = start_one(|| heeding().overlap(Overlap::CancelRunning)).await;
    test.advance(seconds(50)).await;
    assert_eq!(began(&test, "slow"), [(10, 10), (20, 20), (30, 30), (40, 40), (50, 50)]);
    let cancelled = |second, end| (second, RunState::Cancelled, Some(end));
    assert_eq!(
        states(&test, "slow").await,
        [cancelled(10, 20), cancelled(20, 30), cancelled(30, 40), cancelled(40, 50), (50, RunState::Running, None)]
    );
    let why = runs(&test, "slow").await[0].failure.clone();
    assert_eq!(why.as_deref(), Some("cancelled: a newer occurrence took its place"));
    assert_eq!(records(&test, "slow").await, []);
    assert_eq!(ledger(&test, "slow").await, (5, 5, 0));
}

#[tokio::test(start_paused = true)]
async fn under_cancel_running_a_body_that_ignores_it_is_dropped_after_five_seconds() {
    let test = start_one(|| slow().overlap(Overlap::CancelRunning)).await;
    test.advance(seconds(47)).await;
    assert_eq!(began(&test, "slow"), [(10, 10), (20, 25), (30, 35), (40, 45)]);
    let cancelled = |second, end| (second, RunState::Cancelled, Some(end));
    assert_eq!(
        states(&test, "slow").await,
        [cancelled(10, 25), cancelled(20, 35), cancelled(30, 45), (40, RunState::Running, None)]
    );
    assert_eq!(ledger(&test, "slow").await, (4, 4, 0));
}

#[tokio::test(start_paused = true)]
async fn under_cancel_running_a_second_arrival_replaces_the_one_that_waits() {
    let body = async || tokio::time::sleep(TAKES).await;
    let test = start_one(move || Task::new("slow", every(3), body).overlap(Overlap::CancelRunning)).await;
    test.advance(seconds(17)).await;
    assert_eq!(began(&test, "slow"), [(3, 3), (9, 11), (15, 17)]);
    let cancelled = |second, end| (second, RunState::Cancelled, Some(end));
    assert_eq!(
        states(&test, "slow").await,
        [cancelled(3, 11), cancelled(6, 9), cancelled(9, 17), cancelled(12, 15), (15, RunState::Running, None)]
    );
    assert_eq!(ledger(&test, "slow").await, (5, 5, 0));
}

#[tokio::test(start_paused = true)]
async fn of_two_instances_cancel_running_cancels_the_oldest() {
    let test = start_one(|| heeding().overlap(Overlap::CancelRunning).max_instances(2)).await;
    test.advance(seconds(40)).await;
    assert_eq!(began(&test, "slow"), [(10, 10), (20, 20), (30, 30), (40, 40)]);
    let (cancelled, running) = (RunState::Cancelled, RunState::Running);
    assert_eq!(
        states(&test, "slow").await,
        // The run of 20 would have ended at 44.
        [(10, cancelled, Some(30)), (20, cancelled, Some(40)), (30, running, None), (40, running, None)]
    );
    assert_eq!(ledger(&test, "slow").await, (4, 4, 0));
}

#[tokio::test(start_paused = true)]
async fn allow_runs_every_occurrence_at_its_instant() {
    let test = start_one(|| slow().overlap(Overlap::Allow)).await;
    test.advance(seconds(100)).await;
    let each: Vec<_> = (1..=10).map(|n| (n * 10, n * 10)).collect();
    assert_eq!(began(&test, "slow"), each);
    assert_eq!(test.running_runs().len(), 3);
    assert_eq!(records(&test, "slow").await, []);
    assert_eq!(ledger(&test, "slow").await, (10, 10, 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_its_next_attempt_is_alive_for_skip() {
    let test = start_one(|| second_time_lucky(Overlap::Skip)).await;
    test.advance(seconds(50)).await;
    assert_eq!(began(&test, "slow"), [(10, 10), (30, 30), (50, 50)]);
    assert_eq!(records(&test, "slow").await, [(Reason::Overlap, 20, 40, 2)]);
    assert_eq!(ledger(&test, "slow").await, (5, 3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_its_next_attempt_is_alive_for_the_buffers() {
    let test = start_one(|| second_time_lucky(Overlap::BufferOne)).await;
    test.advance(seconds(44)).await;
    // 10 fails, and succeeds at 25; then 20 fails, and succeeds at 40, as 40 falls due.
    assert_eq!(began(&test, "slow")[..2], [(10, 10), (20, 25)]);
    assert_eq!(records(&test, "slow").await[0].0, Reason::Covered);
    test.balanced_ledger("slow").await;

    let test = start_one(|| second_time_lucky(Overlap::BufferAll)).await;
    test.advance(seconds(44)).await;
    assert_eq!(began(&test, "slow"), [(10, 10), (20, 25), (30, 40)]);
    assert_eq!(ledger(&test, "slow").await, (4, 4, 0));
}

#[tokio::test(start_paused = true)]
async fn cancel_running_ends_a_run_that_waits_for_its_next_attempt_at_once() {
    let test = start_one(|| second_time_lucky(Overlap::CancelRunning)).await;
    test.advance(seconds(25)).await;
    assert_eq!(began(&test, "slow"), [(10, 10), (20, 20)]);
    assert_eq!(states(&test, "slow").await, [(10, RunState::Cancelled, Some(20)), (20, RunState::Retrying, None)]);
    assert_eq!(ledger(&test, "slow").await, (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_trigger_waits_its_turn_and_takes_up_its_place() {
    let test = start_one(slow).await;
    test.advance(seconds(12)).await;
    let first = test.trigger_task("slow").await.expect("it is accepted");
    let second = test.trigger_task("slow").await.expect("it is accepted");
    test.advance(seconds(78)).await;
    assert_eq!(began(&test, "slow"), [(10, 10), (12, 34), (12, 58), (90, 90)]);
    let fired: Vec<RunId> = test.all_fired().iter().map(|fired| fired.run).collect();
    assert_eq!(fired[1..3], [first, second]);
    assert_eq!(records(&test, "slow").await, [(Reason::Overlap, 20, 80, 7)]);
    assert_eq!(ledger(&test, "slow").await, (9, 2, 7));
}

#[tokio::test(start_paused = true)]
async fn a_trigger_of_an_idle_task_begins_at_once_whatever_its_policy() {
    let policies = [Overlap::Skip, Overlap::BufferOne, Overlap::BufferAll, Overlap::CancelRunning, Overlap::Allow];
    for policy in policies {
        let test = start_one(|| Task::new("slow", every(1_000), async || {})).await;
        test.advance(seconds(3)).await;
        let Triggered::Accepted(id) = test.trigger_with("slow", policy).await.expect("memory answers") else {
            panic!("{policy} is refused");
        };
        test.advance(Duration::ZERO).await;
        assert_eq!(began(&test, "slow"), [(3, 3)], "{policy}");
        assert_eq!(runs(&test, "slow").await[0].origin, Origin::Trigger(id));
        assert_eq!(ledger(&test, "slow").await, (0, 0, 0), "a trigger is no occurrence");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trigger_of_a_full_task_follows_the_policy_it_is_given() {
    let full = || async {
        let test = start_one(|| Task::new("slow", every(1_000), heeding_body)).await;
        test.trigger_task("slow").await.expect("it is accepted");
        test.advance(seconds(1)).await;
        test
    };

    let test = full().await;
    let running = test.all_fired()[0].run;
    let refused = test.trigger_with("slow", Overlap::Skip).await.expect("memory answers");
    assert_eq!(refused, Triggered::Refused(Refusal::Overlap(running)));

    let test = full().await;
    let Triggered::Accepted(waits) = test.trigger_with("slow", Overlap::BufferOne).await.expect("memory answers")
    else {
        panic!("one may wait");
    };
    let refused = test.trigger_with("slow", Overlap::BufferOne).await.expect("memory answers");
    assert_eq!(refused, Triggered::Refused(Refusal::CoveredBy(waits)));
    test.advance(seconds(30)).await;
    assert_eq!(began(&test, "slow"), [(0, 0), (1, 24)]);

    let test = full().await;
    for _ in 0..2 {
        let answer = test.trigger_with("slow", Overlap::BufferAll).await.expect("memory answers");
        assert!(matches!(answer, Triggered::Accepted(_)), "{answer:?}");
    }
    test.advance(seconds(50)).await;
    assert_eq!(began(&test, "slow"), [(0, 0), (1, 24), (1, 48)]);

    let test = full().await;
    test.trigger_with("slow", Overlap::CancelRunning).await.expect("memory answers");
    test.advance(seconds(1)).await;
    assert_eq!(began(&test, "slow"), [(0, 0), (1, 1)]);
    assert_eq!(states(&test, "slow").await[0], (0, RunState::Cancelled, Some(1)));

    let test = full().await;
    test.trigger_with("slow", Overlap::Allow).await.expect("memory answers");
    test.advance(seconds(1)).await;
    assert_eq!(began(&test, "slow"), [(0, 0), (1, 1)]);
    assert_eq!(test.running_runs().len(), 2);
}

async fn heeding_body(run: RunContext) {
    tokio::select! {
        () = run.cancelled() => {}
        () = tokio::time::sleep(TAKES) => {}
    }
}
