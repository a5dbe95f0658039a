//! Attempts: when each begins, what ends them, and what a body is told of them.

use std::time::Duration;

use symphra_scheduler::{
    Backoff, BoxError, Delivery, Retry, RetryPolicy, RunContext, RunKey, RunState, Scheduler, SchedulerConfig,
    SchedulerEvent, Task, TaskStatus,
};

use crate::kit::{Log, at, began, every, ledger, runs, second, seconds, start, start_one, start_with, states};

/// A period that no test of one run outlives.
const RARE: u64 = 100_000;

/// Fails by what `fail` returns, and tells when its attempts began, in milliseconds after the first.
async fn attempts<E: Into<BoxError> + Send + 'static>(
    policy: RetryPolicy,
    fail: impl Fn() -> E + Clone + Send + Sync + 'static,
) -> Vec<u64> {
    let log = Log::new();
    let attempts = log.clone();
    let test = start_one(move || {
        let (attempts, fail) = (attempts.clone(), fail.clone());
        let body = move |run: RunContext| {
            attempts.write(run.attempt());
            let result: Result<(), E> = Err(fail());
            async move { result }
        };
        Task::new("fails", every(RARE), body).retry(policy)
    })
    .await;
    test.trigger_task("fails").await.expect("it is accepted");
    test.advance(seconds(3_600)).await;
    assert_eq!(runs(&test, "fails").await[0].state, RunState::Failed);
    let numbers: Vec<u32> = (1..).take(log.words().len()).collect();
    assert_eq!(log.words(), numbers, "attempts are counted from 1");
    test.balanced_ledger("fails").await;
    log.times()
}

fn steady() -> RetryPolicy {
    RetryPolicy::standard().jitter(false)
}

#[tokio::test(start_paused = true)]
async fn a_fixed_strategy_waits_the_same_each_time() {
    let policy = steady().max_attempts(4).strategy(Backoff::Fixed).wait_min(seconds(5));
    assert_eq!(attempts(policy, || "down").await, [0, 5_000, 10_000, 15_000]);
}

#[tokio::test(start_paused = true)]
async fn an_exponential_strategy_multiplies_up_to_its_longest_wait() {
    let policy = steady().max_attempts(6).multiplier(3.0).wait_min(seconds(2)).wait_max(seconds(20));
    assert_eq!(attempts(policy, || "down").await, [0, 2_000, 8_000, 26_000, 46_000, 66_000]);
}

#[tokio::test(start_paused = true)]
async fn a_random_strategy_stays_within_its_bounds() {
    let random = RetryPolicy::standard().strategy(Backoff::Random).max_attempts(20);
    let exact = random.wait_min(seconds(7)).wait_max(seconds(7));
    assert_eq!(attempts(exact, || "down").await, (0..20).map(|n| n * 7_000).collect::<Vec<_>>());
    let began = attempts(random.wait_min(seconds(2)).wait_max(seconds(4)), || "down").await;
    let waits: Vec<u64> = began.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.len() == 19 && waits.iter().all(|wait| (2_000..=4_001).contains(wait)), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn the_presets_are_three_attempts_one_and_ten() {
    assert_eq!(attempts(steady(), || "down").await, [0, 1_000, 3_000]);
    assert_eq!(attempts(RetryPolicy::none(), || "down").await, [0]);
    let waits = [500, 1_250, 3_125, 7_812, 19_531, 48_828, 120_000, 120_000, 120_000];
    let mut instants = vec![0];
    for wait in waits {
        instants.push(instants[instants.len() - 1] + wait);
    }
    assert_eq!(attempts(RetryPolicy::aggressive().jitter(false), || "down").await, instants);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_said_there_are_three_attempts_with_jitter() {
    let log = Log::new();
    let attempts = log.clone();
    let test = start_one(move || {
        let attempts = attempts.clone();
        Task::new("fails", every(10), move || {
            attempts.write(());
            async { Err::<(), _>("down") }
        })
    })
    .await;
    test.advance(seconds(19)).await;
    let began = log.times();
    assert_eq!(began.len(), 3);
    assert!((500..=1_001).contains(&(began[1] - began[0])), "{began:?}");
    assert!((1_000..=2_001).contains(&(began[2] - began[1])), "{began:?}");
    let run = &runs(&test, "fails").await[0];
    assert_eq!((run.state, run.attempt, run.failure.as_deref()), (RunState::Failed, 3, Some("down")));
    assert_eq!(ledger(&test, "fails").await, (1, 1, 0));
    assert_eq!((test.stats().failed_runs, test.stats().retried_attempts), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn retry_after_overrules_the_wait_and_not_the_number() {
    let busy = || Retry::after(seconds(90), "busy");
    assert_eq!(attempts(steady(), busy).await, [0, 90_000, 180_000]);
}

#[tokio::test(start_paused = true)]
async fn retry_never_ends_the_run_at_once() {
    assert_eq!(attempts(steady(), || Retry::never("revoked")).await, [0]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_the_next_attempt_is_found_under_the_contexts_of_anyhow() {
    use anyhow::Context as _;
    let plain = || anyhow::Error::from(Retry::never("revoked"));
    assert_eq!(attempts(steady(), plain).await, [0]);
    let once = || Err::<(), _>(Retry::never("revoked")).context("cannot log in").expect_err("it is an error");
    assert_eq!(attempts(steady(), once).await, [0]);
    let twice = move || anyhow::Error::context(once(), "cannot fetch");
    assert_eq!(attempts(steady(), twice).await, [0]);
    let later = || anyhow::Error::from(Retry::after(seconds(90), "busy")).context("cannot fetch");
    assert_eq!(attempts(steady(), later).await, [0, 90_000, 180_000]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_the_next_attempt_is_found_under_the_wraps_of_eyre() {
    let plain = || eyre::Report::from(Retry::never("revoked"));
    assert_eq!(attempts(steady(), plain).await, [0]);
    let wrapped = || eyre::Report::from(Retry::never("revoked")).wrap_err("cannot log in").wrap_err("cannot fetch");
    assert_eq!(attempts(steady(), wrapped).await, [0]);
    let later = || eyre::Report::from(Retry::after(seconds(90), "busy")).wrap_err("cannot fetch");
    assert_eq!(attempts(steady(), later).await, [0, 90_000, 180_000]);
}

#[tokio::test(start_paused = true)]
async fn a_predicate_decides_which_errors_are_retried() {
    let policy = steady().when(|error| error.to_string() == "busy");
    assert_eq!(attempts(policy, || "busy").await, [0, 1_000, 3_000]);
    assert_eq!(attempts(policy, || "denied").await, [0]);
    let overruled = || Retry::after(seconds(5), "denied");
    assert_eq!(attempts(policy, overruled).await, [0, 5_000, 10_000], "what the error says itself goes first");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_retried_whatever_the_predicate_says() {
    let log = Log::new();
    let attempts = log.clone();
    let test = start_one(move || {
        let attempts = attempts.clone();
        let body = move |run: RunContext| {
            let attempts = attempts.clone();
            async move {
                attempts.write(run.attempt());
                assert!(run.attempt() > 2, "not yet");
            }
        };
        Task::new("panics", every(10), body).retry(steady().when(|_| false))
    })
    .await;
    test.advance(seconds(19)).await;
    assert_eq!(log.lines(), [(10_000, 1), (11_000, 2), (13_000, 3)]);
    assert_eq!(states(&test, "panics").await, [(10, RunState::Succeeded, Some(13))]);
    assert_eq!(ledger(&test, "panics").await, (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_retried_after_it_has_ended() {
    let log = Log::new();
    let attempts = log.clone();
    let test = start_one(move || {
        let attempts = attempts.clone();
        let body = move |run: RunContext| {
            attempts.write(run.attempt());
            async move { run.cancelled().await }
        };
        Task::new("hangs", every(100), body).timeout(seconds(2)).retry(steady())
    })
    .await;
    test.advance(seconds(120)).await;
    assert_eq!(log.lines(), [(100_000, 1), (103_000, 2), (107_000, 3)]);
    assert_eq!(states(&test, "hangs").await, [(100, RunState::TimedOut, Some(109))]);
    assert_eq!(ledger(&test, "hangs").await, (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_its_next_attempt_holds_no_worker() {
    let policy = steady().strategy(Backoff::Fixed).wait_min(seconds(30));
    let test = start(move || {
        let fails = Task::new("fails", every(25), async || Err::<(), _>("down")).retry(policy);
        let other = Task::new("other", every(10), async || {});
        Scheduler::empty().config(SchedulerConfig::new().max_workers(1)).register(fails).register(other)
    })
    .await;
    test.advance(seconds(45)).await;
    assert_eq!(test.stats().active_workers, 0);
    assert_eq!(test.task("fails").expect("it is there").status, TaskStatus::Retrying);
    let waiting = &runs(&test, "fails").await[0];
    assert_eq!((waiting.state, second(waiting.due_at), waiting.attempt), (RunState::Retrying, 55, 1));
    assert_eq!(began(&test, "other"), [(10, 10), (20, 20), (30, 30), (40, 40)]);
    test.balanced_ledger("fails").await;
}

#[tokio::test(start_paused = true)]
async fn the_instant_of_the_next_attempt_survives_a_restart() {
    let log = Log::new();
    let attempts = log.clone();
    let policy = steady().strategy(Backoff::Fixed).wait_min(seconds(30));
    let mut test = start_one(move || {
        let attempts = attempts.clone();
        let body = move |run: RunContext| {
            attempts.write(run.attempt());
            async { Err::<(), _>("down") }
        };
        Task::new("fails", every(RARE), body).retry(policy)
    })
    .await;
    test.trigger_task("fails").await.expect("it is accepted");
    test.advance(seconds(10)).await;
    test.restart(seconds(5)).await.expect("it starts again");
    test.advance(seconds(16)).await;
    test.restart(seconds(60)).await.expect("it starts again");
    test.advance(seconds(5)).await;
    assert_eq!(log.lines(), [(0, 1), (30_000, 2), (91_000, 3)]);
    assert_eq!(states(&test, "fails").await, [(0, RunState::Failed, Some(91))]);
}

#[tokio::test(start_paused = true)]
async fn at_most_once_is_one_attempt() {
    let failing = || {
        Task::new("fails", every(10), async || Err::<(), _>(Retry::after(seconds(1), "down")))
            .delivery(Delivery::AtMostOnce)
    };
    let test = start_one(failing).await;
    test.advance(seconds(15)).await;
    let run = &runs(&test, "fails").await[0];
    assert_eq!((run.state, run.attempt), (RunState::Failed, 1));
    assert_eq!(ledger(&test, "fails").await, (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn every_attempt_of_a_run_has_its_key_and_every_run_another() {
    let log: Log<RunKey> = Log::new();
    let keys = log.clone();
    let test = start_with(SchedulerConfig::new(), move || {
        let keys = keys.clone();
        let body = move |run: RunContext| {
            keys.write(run.key());
            async { Err::<(), _>("down") }
        };
        Task::new("fails", every(10), body).retry(steady())
    })
    .await;
    test.advance(seconds(25)).await;
    test.trigger_task("fails").await.expect("it is accepted");
    test.advance(seconds(4)).await;
    let keys = log.words();
    assert_eq!(keys.len(), 9);
    let first_of_each = [&keys[0], &keys[3], &keys[6]];
    for (chunk, first) in keys.chunks(3).zip(first_of_each) {
        assert!(chunk.iter().all(|key| key == first), "{keys:?}");
    }
    assert!(keys[0] != keys[3] && keys[3] != keys[6]);
    assert_eq!(keys[0].instant, at(10));
}

#[tokio::test(start_paused = true)]
async fn a_run_is_told_the_instant_of_the_latest_success_before_it() {
    let log = Log::new();
    let told = log.clone();
    let mut test = start_one(move || {
        let told = told.clone();
        let body = move |run: RunContext| {
            told.write((second(run.scheduled_at()), run.previous_success().map(second)));
            async move { if second(run.scheduled_at()) == 20 { Err("down") } else { Ok(()) } }
        };
        Task::new("tick", every(10), body).retry(RetryPolicy::none())
    })
    .await;
    test.advance(seconds(35)).await;
    test.restart(Duration::ZERO).await.expect("it starts again");
    test.advance(seconds(10)).await;
    assert_eq!(log.words(), [(10, None), (20, Some(10)), (30, Some(10)), (40, Some(30))]);
    test.balanced_ledger("tick").await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_told_with_the_instant_of_the_next() {
    let test = start_one(|| Task::new("fails", every(10), async || Err::<(), _>("down")).retry(steady())).await;
    test.advance(seconds(11)).await;
    let told = test.told().into_iter().find_map(|event| match event {
        SchedulerEvent::AttemptFailed { attempt, next_at, failure, .. } => Some((attempt, second(next_at), failure)),
        _ => None,
    });
    assert_eq!(told, Some((1, 11, "down".into())));
}
