//! The suite that defines a backend: one check for each promise of the [contract](super).
//!
//! A check takes an empty store and panics with the promise that is broken. [`conformance_tests!`](crate::conformance_tests)
//! makes a test of each:
//!
//! ```
//! use symphra_scheduler::{MemoryBackend, conformance_tests};
//!
//! async fn empty_store() -> MemoryBackend {
//!     MemoryBackend::new()
//! }
//!
//! conformance_tests!(empty_store);
//! ```

mod firing;
mod holding;
mod keeping;

use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::{
    Admission, Backend, Claim, Claimed, Finish, Firing, Holder, NewRun, Registered, Registration, TaskKey, Token,
};
use crate::TaskName;
use crate::outcome::Outcome;
use crate::run::{Origin, RunId};

pub use firing::{
    a_call_whose_answer_was_lost_is_recognised, a_full_task_is_recorded_with_the_run_that_fills_it,
    a_new_task_has_missed_nothing_and_a_known_one_keeps_its_mark, answers_come_in_the_order_of_the_batch,
    nothing_is_accepted_before_the_stores_clock_says_so, one_of_many_callers_fires_an_occurrence,
    what_comes_too_late_is_left_for_the_misfire_policy, without_a_limit_every_occurrence_runs,
};
pub use holding::{
    a_claim_whose_answer_was_lost_is_recognised, a_heartbeat_keeps_the_runs, a_node_does_not_take_over_its_own_runs,
    a_run_of_a_dead_node_is_taken_over_once, a_stale_token_finishes_nothing,
    only_runs_of_known_tasks_are_taken_over_the_oldest_first,
};
pub use keeping::{
    a_run_that_has_ended_makes_room, ended_runs_are_kept_newest_first_and_bounded,
    records_with_one_reason_are_one_span, the_ledger_counts_every_occurrence_once,
};

/// Makes a test of each promise, on the empty stores that an async function gives.
#[macro_export]
macro_rules! conformance_tests {
    ($empty_store:path) => {
        $crate::conformance_tests! { @each $empty_store:
            a_new_task_has_missed_nothing_and_a_known_one_keeps_its_mark
            one_of_many_callers_fires_an_occurrence
            a_call_whose_answer_was_lost_is_recognised
            nothing_is_accepted_before_the_stores_clock_says_so
            what_comes_too_late_is_left_for_the_misfire_policy
            a_full_task_is_recorded_with_the_run_that_fills_it
            without_a_limit_every_occurrence_runs
            answers_come_in_the_order_of_the_batch
            a_stale_token_finishes_nothing
            a_run_of_a_dead_node_is_taken_over_once
            a_heartbeat_keeps_the_runs
            a_node_does_not_take_over_its_own_runs
            a_claim_whose_answer_was_lost_is_recognised
            only_runs_of_known_tasks_are_taken_over_the_oldest_first
            a_run_that_has_ended_makes_room
            ended_runs_are_kept_newest_first_and_bounded
            records_with_one_reason_are_one_span
            the_ledger_counts_every_occurrence_once
        }
    };
    (@each $empty_store:path: $($promise:ident)+) => {
        $(
            #[::tokio::test]
            async fn $promise() {
                let backend = ::std::sync::Arc::new($empty_store().await);
                $crate::backend::conformance::$promise(backend).await;
            }
        )+
    };
}

/// A store under test.
type Subject = Arc<dyn Backend>;

/// A lease that no test outlives.
const LONG: Duration = Duration::from_secs(600);

/// A lease that a test can wait for.
const SHORT: Duration = Duration::from_millis(50);

/// How long a test waits for a short lease to end before it says that it never does.
const PATIENCE: Duration = Duration::from_secs(20);

fn node(name: &str, lease: Duration) -> Holder {
    Holder { node: Arc::from(name), lease }
}

/// The store's clock.
async fn now(backend: &Subject) -> Timestamp {
    backend.heartbeat(&node("clock", LONG)).await.expect("a heartbeat is answered")
}

async fn registered(backend: &Subject, name: &str) -> Registered {
    let registration = Registration { name: TaskName::new(name).expect("a valid name"), only: None };
    let registered = backend.register(&[registration]).await.expect("a registration is answered");
    assert_eq!(registered.len(), 1, "a registration has one answer for each task");
    registered[0]
}

/// A task whose mark stands `back` before the store's present, so that what follows it is due.
async fn task_with_past(backend: &Subject, name: &str, back: Duration) -> (TaskKey, Timestamp) {
    let task = registered(backend, name).await;
    let past = task.mark.minus(back);
    let firing =
        Firing { id: id(u128::MAX), task: task.key, mark: task.mark, advance_to: past, run: None, passed: None };
    assert_eq!(fire(backend, &node("setup", LONG), firing).await, Admission::Recorded);
    (task.key, past)
}

fn id(number: u128) -> RunId {
    RunId::from_parts(Timestamp::from_millis(1), number)
}

/// A run at `at` that is due at once and accepted however late.
fn run(at: Timestamp) -> NewRun {
    NewRun { origin: Origin::Schedule, scheduled_at: at, due_at: at, missed: None, alive_max: None, accept_until: None }
}

fn firing(number: u128, task: TaskKey, mark: Timestamp, run: NewRun) -> Firing {
    Firing { id: id(number), task, mark, advance_to: run.scheduled_at, run: Some(run), passed: None }
}

async fn fire(backend: &Subject, holder: &Holder, firing: Firing) -> Admission {
    let answers = backend.enqueue(holder, &[firing]).await.expect("an enqueue is answered");
    assert_eq!(answers.len(), 1, "an enqueue has one answer for each firing");
    answers[0]
}

async fn fire_and_hold(backend: &Subject, holder: &Holder, firing: Firing) -> Token {
    match fire(backend, holder, firing).await {
        Admission::Claimed(token) => token,
        other => panic!("a due occurrence of a free task becomes a run, held by the caller: {other:?}"),
    }
}

fn success(task: TaskKey, run: RunId, token: Token, at: Timestamp) -> Finish {
    Finish { task, id: run, token, outcome: Outcome::Succeeded, started_at: Some(at), finished_at: at }
}

/// What the claim `number` of `holder` gets.
async fn claim(backend: &Subject, holder: &Holder, number: u64, tasks: &[TaskKey]) -> Vec<Claimed> {
    let claim = Claim { number, tasks: tasks.into(), max: 10 };
    backend.claim(holder, &claim).await.expect("a claim is answered")
}

/// What `holder` takes over, as soon as there is something.
async fn claim_until_some(backend: &Subject, holder: &Holder, tasks: &[TaskKey]) -> Vec<Claimed> {
    let waiting = async {
        for number in 1.. {
            let claimed = claim(backend, holder, number, tasks).await;
            if !claimed.is_empty() {
                return claimed;
            }
            tokio::time::sleep(SHORT / 5).await;
        }
        unreachable!("the numbers do not end")
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("a run whose holder's lease has ended can be taken over")
}

fn after(at: Timestamp, millis: u64) -> Timestamp {
    at.plus(Duration::from_millis(millis))
}
