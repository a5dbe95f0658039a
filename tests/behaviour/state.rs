//! What tasks are given: states, and extractors of one's own.

use std::time::Duration;

use symphra_scheduler::{
    Error, Extract, ExtractError, Provided, RunContext, RunState, ScheduledAt, Scheduler, State, Task,
};

use crate::kit::{Log, at, every, seconds, start, states};

struct Pool(&'static str);

struct Cache;

/// The name of the pool, which a pool is needed for.
struct PoolName(&'static str);

impl Extract for PoolName {
    fn extract(run: &RunContext) -> Result<Self, ExtractError> {
        State::<Pool>::extract(run).map(|pool| Self(pool.0))
    }

    fn check(provided: &Provided) -> Result<(), ExtractError> {
        State::<Pool>::check(provided)
    }
}

async fn refused(scheduler: Scheduler) -> Error {
    scheduler.start().await.expect_err("it must not start")
}

#[tokio::test(start_paused = true)]
async fn a_missing_state_is_an_error_at_start_that_names_task_type_and_place() {
    let line = line!() + 1;
    let task = Task::new("import", every(10), async |_: State<Pool>| {});
    let error = refused(Scheduler::empty().register(task)).await;
    assert!(error.is_missing_state());
    let said = error.to_string();
    for part in ["\"import\"", "State<Pool>", &format!("{}:{line}", file!())] {
        assert!(said.contains(part), "{part} is missing in: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_missing_state_is_what_the_page_shows() {
    let sample = symphra_scheduler_tests::shown::block("docs/en/state.md", "text", "cannot start");
    let line = line!() + 1;
    let task = Task::new("clean_up", every(10), async |_: State<Pool>| {});
    let said = refused(Scheduler::empty().register(task)).await.to_string();
    assert_eq!(said.replace(&format!("{}:{line}", file!()), "src/main.rs:7"), sample.trim_end());
}

#[tokio::test(start_paused = true)]
async fn an_extractor_that_needs_a_state_is_looked_at_too() {
    let error = refused(Scheduler::empty().register(Task::new("import", every(10), async |_: PoolName| {}))).await;
    assert!(error.is_missing_state() && error.to_string().contains("PoolName"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn two_states_of_one_type_are_an_error_at_start() {
    let error = refused(Scheduler::empty().state(Pool("a")).state(Pool("b"))).await;
    assert!(error.is_missing_state() && error.to_string().contains("Pool"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_task_gets_what_is_provided_and_none_of_what_may_be_missing() {
    let log = Log::new();
    let got = log.clone();
    let test = start(move || {
        let got = got.clone();
        let body =
            move |pool: State<Pool>, cache: Option<State<Cache>>, name: PoolName, ScheduledAt(due): ScheduledAt| {
                got.write((pool.0, cache.is_some(), name.0, due));
                async {}
            };
        Scheduler::empty().state(Pool("main")).register(Task::new("import", every(10), body))
    })
    .await;
    test.advance(seconds(15)).await;
    assert_eq!(log.words(), [("main", false, "main", at(10).to_utc())]);
    assert_eq!(states(&test, "import").await, [(10, RunState::Succeeded, Some(10))]);
    test.advance(Duration::ZERO).await;
    test.balanced_ledger("import").await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_registered_later_needs_its_state_too() {
    let test = start(|| Scheduler::empty().state(Pool("main"))).await;
    test.register(Task::new("import", every(10), async |_: State<Pool>| {})).await.expect("there is a pool");
    let error = test.register(Task::new("warm", every(10), async |_: State<Cache>| {})).await.expect_err("no cache");
    assert!(error.is_missing_state(), "{error}");
}
