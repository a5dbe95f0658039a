//! What Redis adds to the promises of every store: which server is refused, what its memory and its scripts may do, and the three
//! ways to find it.

use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler::backend::{
    Admission, Backend, End, Finish, Firing, Holder, NewRun, Registered, Registration, Stored, TaskRules,
};
use symphra_scheduler::{
    Error, Migrate, Origin, Outcome, RedisBackend, RunId, Schedule, TaskName, Timetable, conformance_tests,
};
use symphra_scheduler_tests::services::{Redis, has_redis, redis_namespace};

pub(super) fn node() -> Holder {
    Holder::new("a", Duration::from_secs(600))
}

fn timetable() -> Arc<Timetable> {
    let schedule = Schedule::interval(Duration::from_secs(1)).expect("a period");
    Arc::new(Timetable::new(schedule, symphra_scheduler::chrono_tz::UTC))
}

pub(super) fn declared(count: usize) -> Vec<Registration> {
    let tasks = (0..count).map(|number| Registration {
        name: TaskName::new(&format!("task {number}")).expect("a name"),
        timetable: timetable(),
        rules: TaskRules::default(),
    });
    tasks.collect()
}

pub(super) async fn registered(store: &RedisBackend, count: usize) -> Vec<Registered> {
    store.register(&node(), &declared(count)).await.expect("they are registered")
}

/// The first occurrence of a task: its anchor.
pub(super) fn firing(task: &Registered) -> Firing {
    let at = task.anchor;
    let run = NewRun { origin: Origin::Schedule, scheduled_at: at, due_at: at, missed: None, accept_until: None };
    let (mark, id) = (task.mark, RunId::from_parts(at, 1));
    let advance_to = at.plus(Duration::from_secs(1));
    Firing { id, task: task.key, mark, advance_to, since: task.since, run: Some(run), passed: None, behind: None }
}

pub(super) async fn open(server: &Redis) -> Result<RedisBackend, Error> {
    RedisBackend::options().namespace("billing").connect(&server.url()).await
}

#[tokio::test]
async fn a_policy_that_evicts_is_refused_with_its_name_and_the_fix() {
    if !has_redis() {
        return;
    }
    let server = Redis::start_with(&["--maxmemory-policy", "allkeys-lru"]);
    let error = open(&server).await.expect_err("it may give up marks");
    let told = format!("{error:?}");
    assert!(error.is_backend() && told.contains("\"allkeys-lru\""), "{told}");
    assert!(told.contains("CONFIG SET maxmemory-policy noeviction"), "{told}");
    assert!(server.ask("DBSIZE").starts_with(":0"), "nothing is made");
    server.ask("CONFIG SET maxmemory-policy noeviction");
    drop(open(&server).await.expect("now it opens"));
}

#[tokio::test]
async fn the_version_of_the_keys_is_heeded() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let url = server.url();
    let check = || RedisBackend::options().namespace("billing").migrate(Migrate::Check).connect(&url);
    let error = format!("{:?}", check().await.expect_err("there are none"));
    assert!(error.contains("it has no keys of this namespace"), "{error}");
    drop(open(&server).await.expect("it makes them"));
    drop(check().await.expect("they are there"));
    server.ask("HSET {symphra:billing}:meta schema_version 9 admits 1");
    drop(open(&server).await.expect("a newer version admits this one"));
    server.ask("HSET {symphra:billing}:meta admits 8");
    let error = format!("{:?}", open(&server).await.expect_err("and now it does not"));
    assert!(error.contains("version 9") && error.contains("version 8 or later"), "{error}");
}

#[tokio::test]
async fn a_step_fails_whole_where_memory_is_full_and_ends_are_stored_all_the_same() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let tasks = registered(&store, 2).await;
    let holder = node();
    let first = firing(&tasks[0]);
    let admission = store.enqueue(&holder, std::slice::from_ref(&first)).await.expect("it fires").remove(0);
    let Admission::Claimed(hold) = admission else { panic!("it is claimed: {admission:?}") };
    server.ask("CONFIG SET maxmemory 1");
    let error = store.enqueue(&holder, &[firing(&tasks[1])]).await.expect_err("there is no room");
    assert!(format!("{error:?}").contains("OOM"), "{error:?}");
    let (id, token, at) = (first.id, hold.token, tasks[0].anchor);
    let end = End::Final(Outcome::Succeeded);
    let end = Finish { task: first.task, id, token, end, started_at: Some(at), finished_at: at, log: None };
    let stored = store.finish(&[end]).await.expect("what ends makes room");
    assert_eq!(stored, [Stored::Done { more: false }]);
    server.ask("CONFIG SET maxmemory 0");
    let seen = store.look(&[tasks[1].key]).await.expect("it is seen").remove(0);
    assert_eq!((seen.mark, seen.runs, seen.alive), (tasks[1].mark, 0, None), "nothing of the step was done");
    let again = store.enqueue(&holder, &[firing(&tasks[1])]).await.expect("it fires").remove(0);
    assert!(matches!(again, Admission::Claimed(_)), "{again:?}");
}

#[tokio::test]
async fn a_server_that_has_forgotten_the_script_is_told_it_again_and_one_that_was_emptied_is_told_of() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    server.ask("SCRIPT FLUSH");
    store.heartbeat(&node()).await.expect("it is answered");
    server.ask("FLUSHALL");
    let error = format!("{:?}", store.heartbeat(&node()).await.expect_err("nothing is there"));
    assert!(error.contains("Redis has lost what it had answered"), "{error}");
    assert!(server.ask("DBSIZE").starts_with(":0"), "and nothing is made of it");
}

/// The rights that the book names, and no others.
mod least_rights {
    use super::{Redis, RedisBackend, conformance_tests, has_redis, redis_namespace};

    const RIGHTS: &str = "+@read +@write +@scripting +@pubsub +@connection +time +info";

    async fn empty_store() -> RedisBackend {
        let page = include_str!("../../docs/en/backends.md");
        assert!(page.contains(&format!("`{RIGHTS}`")), "the book names them");
        let (server, namespace) = (Redis::shared_cluster(), redis_namespace());
        let keys = format!("~{{symphra:{namespace}}}:* &{{symphra:{namespace}}}:*");
        let made = server.ask(&format!("ACL SETUSER {namespace} on >hunter2 {keys} {RIGHTS}"));
        assert!(made.starts_with("+OK"), "{made}");
        let url = server.url().replace("redis://", &format!("redis://{namespace}:hunter2@"));
        RedisBackend::options().namespace(namespace).connect(&url).await.expect("its rights suffice")
    }

    conformance_tests!(empty_store, only_if = has_redis);
}

/// A Cluster of one node, which serves each slot and refuses what lies in two.
mod cluster {
    use super::{Redis, RedisBackend, conformance_tests, has_redis, redis_namespace};

    async fn empty_store() -> RedisBackend {
        let url = Redis::shared_cluster().url().replace("redis:", "redis+cluster:");
        RedisBackend::options().namespace(redis_namespace()).connect(&url).await.expect("it opens")
    }

    conformance_tests!(empty_store, only_if = has_redis);
}

#[tokio::test]
async fn sentinel_names_the_server() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let sentinel = Redis::sentinel_of(&server);
    let url = format!("redis+sentinel://127.0.0.1:{}/main/0", sentinel.port());
    let store = RedisBackend::options().namespace("billing").connect(&url).await.expect("it opens");
    registered(&store, 1).await;
    assert!(server.ask("EXISTS {symphra:billing}:tasks").starts_with(":1"));
    let wrong = format!("redis+sentinel://127.0.0.1:{}/other", sentinel.port());
    let error = RedisBackend::connect(&wrong).await.expect_err("it watches over another");
    assert!(error.is_backend() && error.to_string().contains("redis+sentinel://"), "{error}");
}

#[tokio::test]
async fn a_failover_is_followed() {
    if !has_redis() {
        return;
    }
    let mut primary = Redis::start();
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
    let sentinel = Redis::sentinel_of(&primary);
    sentinel.ask("SENTINEL SET main down-after-milliseconds 500");
    sentinel.ask("SENTINEL SET main failover-timeout 2000");
    let url = format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port());
    let store = RedisBackend::options().namespace("billing").connect(&url).await.expect("it opens");
    let task = registered(&store, 1).await.remove(0);
    let waiting = async {
        while !sentinel.ask("INFO sentinel").contains("slaves=1")
            || replica.ask("EXISTS {symphra:billing}:tasks") != ":1\r\n"
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        primary.stop();
        while store.heartbeat(&node()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("the replica takes over, and is found");
    let answer = store.enqueue(&node(), &[firing(&task)]).await.expect("it fires").remove(0);
    assert!(matches!(answer, Admission::Claimed(_)), "what was replicated is there: {answer:?}");
    assert!(replica.ask("HLEN {symphra:billing}:runs").starts_with(":1"));
}
