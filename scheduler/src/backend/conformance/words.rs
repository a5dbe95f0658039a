//! The words in which promises are told: nodes, tasks, calls that are answered, waits that end.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use symphra_scheduler_core::Timestamp;

use super::super::{
    Admission, Backend, Cancelled, Changes, Claim, Claimed, Claims, Command, End, Finish, Firing, Hold, Holder,
    Registered, Registration, RunQuery, RunRow, Stored, Submission, Submitted, TaskKey, TaskRules, Token,
};
use crate::TaskName;
use crate::outcome::{Failure, Outcome};
use crate::run::{Origin, RunId};
use crate::schedule::{Schedule, Timetable};

/// A store under test.
pub(super) type Subject = Arc<dyn Backend>;

/// A lease that no test outlives.
pub(super) const LONG: Duration = Duration::from_secs(600);

/// A lease, or a wait, that a test can wait for.
pub(super) const SHORT: Duration = Duration::from_millis(50);

/// How long a test waits for a thing before it says that it never happens.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// How far back the occurrences of a [`Ticking`](super::Ticking) task begin.
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);

pub(super) fn node(name: &str) -> Holder {
    Holder::new(name, LONG)
}

/// A node that is dead soon. It is too soon silent to take anything over itself.
pub(super) fn dying(name: &str) -> Holder {
    Holder::new(name, SHORT)
}

/// A node that is dead before long, and that takes over what others leave while it beats.
pub(super) fn mortal(name: &str) -> Holder {
    Holder::new(name, 20 * SHORT)
}

/// A heartbeat; the store's clock.
pub(super) async fn beat(backend: &Subject, holder: &Holder) -> Timestamp {
    backend.heartbeat(holder).await.expect("a heartbeat is answered")
}

/// The store's clock.
pub(super) async fn now(backend: &Subject) -> Timestamp {
    beat(backend, &node("clock")).await
}

pub(super) fn every(seconds: u64) -> Arc<Timetable> {
    let schedule = Schedule::interval(Duration::from_secs(seconds)).expect("a valid period");
    Arc::new(Timetable::new(schedule, Tz::UTC))
}

pub(super) fn once(at: Timestamp) -> Arc<Timetable> {
    Arc::new(Timetable::new(Schedule::once(at.to_utc()), Tz::UTC))
}

pub(super) fn declared(name: &str, timetable: &Arc<Timetable>, rules: &TaskRules) -> Registration {
    let name = TaskName::new(name).expect("a valid name");
    Registration { name, timetable: Arc::clone(timetable), rules: rules.clone() }
}

pub(super) async fn register(backend: &Subject, holder: &Holder, task: Registration) -> Registered {
    let mut registered = backend.register(holder, &[task]).await.expect("a registration is answered");
    assert_eq!(registered.len(), 1, "a registration has one answer for each task");
    registered.remove(0)
}

pub(super) async fn control(backend: &Subject, command: Command) -> Changes {
    backend.control(&command).await.expect("a command is answered")
}

pub(super) fn pause(task: Option<TaskKey>) -> Command {
    Command::Pause { task, by: Arc::from("ada"), reason: Some(Arc::from("flood")) }
}

pub(super) async fn enqueue(backend: &Subject, holder: &Holder, firing: Firing) -> Admission {
    let answers = backend.enqueue(holder, &[firing]).await.expect("an enqueue is answered");
    assert_eq!(answers.len(), 1, "an enqueue has one answer for each firing");
    answers[0]
}

/// What the claim `number` of `holder` gets.
pub(super) async fn claim(backend: &Subject, holder: &Holder, number: u64, tasks: &[TaskKey]) -> Claims {
    let mut tasks = tasks.to_vec();
    tasks.sort();
    let claim = Claim { number, tasks: tasks.into(), jobs: [].into(), max: 10 };
    backend.claim(holder, &claim).await.expect("a claim is answered")
}

/// What `holder`, whose heart beats, claims as soon as there is something, and the number of the claim. A node that does
/// this twice gives the second time a `first` that it has not used.
pub(super) async fn claim_until_some(
    backend: &Subject,
    holder: &Holder,
    first: u64,
    tasks: &[TaskKey],
) -> (u64, Vec<Claimed>) {
    let waiting = async {
        for number in first.. {
            beat(backend, holder).await;
            let claimed = claim(backend, holder, number, tasks).await.runs;
            if !claimed.is_empty() {
                return (number, claimed);
            }
            tokio::time::sleep(SHORT / 5).await;
        }
        unreachable!("the numbers do not end")
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("what may begin can be claimed")
}

pub(super) fn ids(claimed: &[Claimed]) -> Vec<RunId> {
    claimed.iter().map(|run| run.id).collect()
}

pub(super) async fn finish(backend: &Subject, end: Finish) -> Stored {
    let stored = backend.finish(&[end]).await.expect("a finish is answered");
    assert_eq!(stored.len(), 1, "a finish has one answer for each end");
    stored[0]
}

pub(super) async fn end(backend: &Subject, task: TaskKey, id: RunId, token: Token, end: End) -> Stored {
    let at = now(backend).await;
    finish(backend, Finish { task, id, token, end, started_at: Some(at), finished_at: at, log: None }).await
}

/// The end of an attempt that never began.
pub(super) async fn give_back(backend: &Subject, run: &Claimed) -> Stored {
    let finished_at = now(backend).await;
    let (task, id, token) = (run.task, run.id, run.hold.token);
    finish(backend, Finish { task, id, token, end: End::HandBack, started_at: None, finished_at, log: None }).await
}

pub(super) async fn succeed(backend: &Subject, task: TaskKey, id: RunId, hold: Hold) {
    let stored = end(backend, task, id, hold.token, End::Final(Outcome::Succeeded)).await;
    assert!(matches!(stored, Stored::Done { .. }), "who holds a run can end it: {stored:?}");
}

pub(super) fn disk_full() -> Outcome {
    Outcome::Failed(Failure::error(&std::io::Error::other("disk full")))
}

pub(super) fn retry(at: Timestamp) -> End {
    End::Retry { at, failure: "disk full".into() }
}

pub(super) async fn submit(backend: &Subject, submission: Submission) -> Submitted {
    let answers = backend.submit(&[submission]).await.expect("a submission is answered");
    assert_eq!(answers.len(), 1, "a batch has one answer for each submission");
    answers[0]
}

/// Run `number` of `task`, asked for by somebody: it waits its turn.
pub(super) fn trigger(task: TaskKey, number: u64) -> Submission {
    let id = id(task, 1_000_000 + number);
    Submission { id, task, origin: Origin::Trigger(id), scheduled_at: None, overlap: None }
}

pub(super) async fn cancel(backend: &Subject, run: RunId) -> Option<Cancelled> {
    backend.cancel(run).await.expect("a cancellation is answered")
}

pub(super) async fn runs(backend: &Subject, query: &RunQuery) -> Vec<RunRow> {
    backend.runs(query).await.expect("runs are listed")
}

/// The row of a run that is kept.
pub(super) async fn row(backend: &Subject, run: RunId) -> RunRow {
    let mut rows = runs(backend, &RunQuery { id: Some(run), ..RunQuery::default() }).await;
    assert_eq!(rows.len(), 1, "a run has one row");
    rows.remove(0)
}

pub(super) async fn version(backend: &Subject) -> u64 {
    backend.changes(None).await.expect("changes are told").version
}

/// What has changed since `version`, as soon as there is something.
pub(super) async fn changes(backend: &Subject, version: u64) -> Changes {
    let changes = tokio::time::timeout(PATIENCE, backend.changes(Some(version))).await;
    changes.expect("a change is told to who waits").expect("changes are told")
}

/// Waits until the store's clock shows another instant than `at`, or any that was before.
pub(super) async fn tick(backend: &Subject, at: Timestamp) -> Timestamp {
    let waiting = async {
        loop {
            let now = now(backend).await;
            if now > at {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the store's clock goes on")
}

/// Lets so much time pass on the store's clock, by which leases are.
pub(super) async fn pass(backend: &Subject, time: Duration) {
    let from = now(backend).await;
    tick(backend, from.plus(time)).await;
}

pub(super) fn after(at: Timestamp, millis: u64) -> Timestamp {
    at.plus(Duration::from_millis(millis))
}

/// The id of the `number`-th run of a task.
pub(super) fn id(task: TaskKey, number: u64) -> RunId {
    RunId::from_parts(Timestamp::from_millis(1), (u128::from(task.0) << 40) | u128::from(number))
}
