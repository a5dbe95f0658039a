//! Runs of tasks that no node knows, on the stores that outlive their programs: after 14 days they end, with the reason.

use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler::backend::{
    Admission, Backend, Claim, End, Finish, Firing, Group, Holder, NewRun, Registered, Registration, RunQuery,
    Submission, TaskRules, Token,
};
use symphra_scheduler::{
    Error, Origin, PostgresBackend, RabbitMqBackend, RedisBackend, RunId, RunState, Schedule, SqliteBackend, TaskName,
    Timetable,
};
use symphra_scheduler_tests::services::{
    has_postgres, has_rabbitmq, has_redis, postgres_url, rabbitmq_url, redis_namespace, redis_url,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const WAIT_MAX: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A store, and what it does by itself each hour.
trait Store: Backend {
    fn end_unclaimed(&self, waited: Duration) -> impl Future<Output = Result<usize, Error>>;
}

impl Store for SqliteBackend {
    fn end_unclaimed(&self, waited: Duration) -> impl Future<Output = Result<usize, Error>> {
        SqliteBackend::end_unclaimed(self, waited)
    }
}

impl Store for PostgresBackend {
    fn end_unclaimed(&self, waited: Duration) -> impl Future<Output = Result<usize, Error>> {
        PostgresBackend::end_unclaimed(self, waited)
    }
}

impl Store for RedisBackend {
    fn end_unclaimed(&self, waited: Duration) -> impl Future<Output = Result<usize, Error>> {
        RedisBackend::end_unclaimed(self, waited)
    }
}

impl Store for RabbitMqBackend {
    fn end_unclaimed(&self, waited: Duration) -> impl Future<Output = Result<usize, Error>> {
        RabbitMqBackend::end_unclaimed(self, waited)
    }
}

async fn rabbitmq() -> RabbitMqBackend {
    RabbitMqBackend::options().namespace(redis_namespace()).connect(rabbitmq_url()).await.expect("it opens")
}

async fn redis() -> RedisBackend {
    RedisBackend::options().namespace(redis_namespace()).connect(redis_url()).await.expect("it opens")
}

async fn file() -> SqliteBackend {
    let folder = tempfile::tempdir().expect("a folder").keep();
    let url = format!("sqlite://{}/store.db", folder.display());
    SqliteBackend::options().namespace("unclaimed").connect(&url).await.expect("it opens")
}

async fn server() -> PostgresBackend {
    let schema = format!("unclaimed_{:x}", fastrand::u64(..));
    let options = PostgresBackend::options().schema(schema).namespace("unclaimed").max_connections(3);
    options.connect(postgres_url()).await.expect("it opens")
}

fn node(name: &str) -> Holder {
    Holder::new(name, DAY)
}

async fn registered(store: &impl Store, holder: &Holder, name: &str, rules: TaskRules) -> Registered {
    let schedule = Schedule::interval(DAY).expect("a period");
    let timetable = Arc::new(Timetable::new(schedule, symphra_scheduler::chrono_tz::UTC));
    let task = Registration { name: TaskName::new(name).expect("a name"), timetable, rules };
    store.register(holder, &[task]).await.expect("it is registered").remove(0)
}

/// A run of an occurrence so long ago, made then, which a node holds.
async fn held_since(store: &impl Store, holder: &Holder, task: &Registered, age: Duration) -> (RunId, Token) {
    let at = task.anchor.minus(age);
    let (id, since) = (RunId::from_parts(at, u128::from(task.key.0)), task.since);
    let run = NewRun { origin: Origin::Schedule, scheduled_at: at, due_at: at, missed: None, accept_until: None };
    let mark = store.look(&[task.key]).await.expect("it is known")[0].mark;
    let firing = Firing { id, task: task.key, mark, advance_to: at, since, run: Some(run), passed: None, behind: None };
    let admission = store.enqueue(holder, &[firing]).await.expect("it is answered").remove(0);
    let Admission::Claimed(hold) = admission else { panic!("it is claimed: {admission:?}") };
    (id, hold.token)
}

/// The same that its node has given back.
async fn waits_since(store: &impl Store, task: &Registered, age: Duration) -> RunId {
    let (id, token) = held_since(store, &node("a"), task, age).await;
    let finished_at = task.anchor.minus(age);
    let back = Finish { task: task.key, id, token, end: End::HandBack, started_at: None, finished_at, log: None };
    store.finish(&[back]).await.expect("it is answered");
    id
}

async fn state(store: &impl Store, id: RunId) -> (RunState, String) {
    let runs = store.runs(&RunQuery::default()).await.expect("they are kept");
    let run = runs.into_iter().find(|run| run.id == id).expect("it is kept");
    (run.state, run.failure.map(Into::into).unwrap_or_default())
}

async fn what_no_node_knows_ends(store: impl Store) {
    let (a, rules) = (node("a"), TaskRules::default());
    let old = registered(&store, &a, "old", rules.clone()).await;
    let young = registered(&store, &a, "young", rules.clone()).await;
    let gone = waits_since(&store, &old, 15 * DAY).await;
    let waits = waits_since(&store, &young, 13 * DAY).await;
    assert_eq!(store.end_unclaimed(WAIT_MAX).await.expect("it is looked"), 0, "a node knows them, and may be busy");
    store.leave(&a).await.expect("it is answered");
    assert_eq!(store.end_unclaimed(WAIT_MAX).await.expect("it is looked"), 1);
    let (state_of, why) = state(&store, gone).await;
    assert!(state_of == RunState::Cancelled && why.contains("no node knows its task"), "{state_of}: {why}");
    assert_eq!(state(&store, waits).await.0, RunState::Queued);
    assert_eq!(store.end_unclaimed(WAIT_MAX).await.expect("it is looked"), 0, "once");
}

/// A node is killed, and the program that follows has its task no more: its run must not keep its group for ever.
async fn what_a_dead_node_holds_of_a_task_that_none_knows_ends(store: impl Store) {
    let group = Some(Group { name: "imports".into(), max: 1 });
    let rules = TaskRules { group, ..TaskRules::default() };
    let dead = Holder::new("dead", Duration::from_millis(50));
    let dropped = registered(&store, &dead, "dropped", rules.clone()).await;
    let beside = registered(&store, &node("b"), "beside", rules).await;
    let (held, _) = held_since(&store, &dead, &dropped, 15 * DAY).await;
    let waited = Duration::from_millis(200);
    let from = store.heartbeat(&node("b")).await.expect("it is answered");
    while store.heartbeat(&node("b")).await.expect("it is answered") <= from.plus(2 * waited) {}
    let id = RunId::from_parts(from, 77);
    let trigger = Submission { id, task: beside.key, origin: Origin::Trigger(id), scheduled_at: None, overlap: None };
    store.submit(&[trigger]).await.expect("it is accepted");
    let claim = |number| Claim { number, tasks: [beside.key].into(), jobs: [].into(), max: 1 };
    assert_eq!(store.claim(&node("b"), &claim(1)).await.expect("it is answered").runs, [], "the group is full");
    assert_eq!(store.end_unclaimed(waited).await.expect("it is looked"), 1);
    assert_eq!(state(&store, held).await.0, RunState::Cancelled);
    assert_eq!(store.claim(&node("b"), &claim(2)).await.expect("it is answered").runs.len(), 1, "its place is free");
}
#[tokio::test]
async fn what_no_node_knows_ends_after_fourteen_days_in_a_file() {
    what_no_node_knows_ends(file().await).await;
}

#[tokio::test]
async fn what_no_node_knows_ends_after_fourteen_days_on_a_server() {
    if has_postgres() {
        what_no_node_knows_ends(server().await).await;
    }
}

#[tokio::test]
async fn what_a_dead_node_holds_of_such_a_task_ends_in_a_file() {
    what_a_dead_node_holds_of_a_task_that_none_knows_ends(file().await).await;
}

#[tokio::test]
async fn what_a_dead_node_holds_of_such_a_task_ends_on_a_server() {
    if has_postgres() {
        what_a_dead_node_holds_of_a_task_that_none_knows_ends(server().await).await;
    }
}

#[tokio::test]
async fn what_no_node_knows_ends_after_fourteen_days_in_redis() {
    if has_redis() {
        what_no_node_knows_ends(redis().await).await;
    }
}

#[tokio::test]
async fn what_a_dead_node_holds_of_such_a_task_ends_in_redis() {
    if has_redis() {
        what_a_dead_node_holds_of_a_task_that_none_knows_ends(redis().await).await;
    }
}

#[tokio::test]
async fn what_no_node_knows_ends_after_fourteen_days_in_rabbitmq() {
    if has_rabbitmq() {
        what_no_node_knows_ends(rabbitmq().await).await;
    }
}

#[tokio::test]
async fn what_a_dead_node_holds_of_such_a_task_ends_in_rabbitmq() {
    if has_rabbitmq() {
        what_a_dead_node_holds_of_a_task_that_none_knows_ends(rabbitmq().await).await;
    }
}
