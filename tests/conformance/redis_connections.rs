//! How many connections a program makes to Redis, and a server that is there and loads its data.

use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler::backend::Backend;
use symphra_scheduler::{RedisBackend, Schedule, Scheduler, SchedulerConfig, SchedulerHandle, Task};
use symphra_scheduler_tests::services::{Redis, has_redis};
use tokio::sync::watch;
use tokio::time::timeout;

use super::redis_only::node;
use super::redis_servers::{PATIENCE, until};

/// The connections that others have made to a server: it counts the one too by which it is asked.
fn connected(server: &Redis) -> usize {
    let told = server.ask("INFO clients");
    let count = told.lines().find_map(|line| line.strip_prefix("connected_clients:")?.trim().parse::<usize>().ok());
    count.expect("a server counts its clients") - 1
}

/// Waits until there are so many: a server tells of them only when it is asked.
async fn are_as_many(server: &Redis, expected: usize) {
    until(&format!("there are {expected} connections"), || connected(server) == expected).await;
}

#[tokio::test]
async fn many_calls_at_once_share_max_connections_and_one_that_listens() {
    if !has_redis() {
        return;
    }
    for max in [1, 5] {
        let server = Redis::start();
        let options = RedisBackend::options().namespace("billing").max_connections(max);
        let store = Arc::new(options.connect(&server.url()).await.expect("it opens"));
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let store = Arc::clone(&store);
            calls.spawn(async move { store.heartbeat(&node()).await });
        }
        while let Some(answered) = calls.join_next().await {
            answered.expect("it does not panic").expect("it is answered");
        }
        are_as_many(&server, max as usize + 1).await;
    }
}

#[tokio::test]
async fn max_connections_of_a_file_is_heeded() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let text = format!("backend: {{ type: redis, url: '{}', max_connections: 3 }}", server.url());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("scheduler.yaml");
    std::fs::write(&file, text).expect("a file");
    let config = SchedulerConfig::from_file(file).expect("it is right");
    let tick = Task::new("tick", Schedule::interval(Duration::from_millis(50)).expect("a period"), || async {});
    let scheduler = Scheduler::empty().register(tick).config(config).start().await.expect("it starts");
    are_as_many(&server, 4).await;
    // It has fired by then, and each firing takes another connection in turn.
    until("it has fired often", || scheduler.stats().successful_runs >= 20).await;
    assert_eq!(connected(&server), 4);
    scheduler.stop().await.expect("it stops");
}

/// A scheduler on a server, and how often its task has run.
async fn ticking(server: &Redis) -> Result<(SchedulerHandle, watch::Receiver<u64>), symphra_scheduler::Error> {
    let (runs, ran) = watch::channel(0);
    let body = move || {
        runs.send_modify(|ran| *ran += 1);
        async {}
    };
    let tick = Task::new("tick", Schedule::interval(Duration::from_secs(1)).expect("a period"), body);
    let store = RedisBackend::options().namespace("billing").connect(&server.url()).await?;
    Ok((Scheduler::empty().backend(store).register(tick).start().await?, ran))
}

/// Waits until it has run so often.
async fn has_run(ran: &mut watch::Receiver<u64>, times: u64) {
    timeout(PATIENCE, ran.wait_for(|ran| *ran >= times)).await.expect("in time").expect("it is there");
}

#[tokio::test]
async fn a_server_that_loads_its_data_is_waited_for_and_refuses_a_start() {
    if !has_redis() {
        return;
    }
    let mut server = Redis::start();
    let (scheduler, mut ran) = ticking(&server).await.expect("it starts");
    has_run(&mut ran, 1).await;
    // Some seconds' worth of loading, at half a millisecond for each key.
    server.ask("EVAL \"for key = 1, 10000 do redis.call('SET', 'other:' .. key, 1) end\" 0");
    server.stop();
    server.begin_with(&["--key-load-delay", "500"]);
    let is_loading = |server: &Redis| server.try_ask("PING").is_ok_and(|answer| answer.starts_with("-LOADING"));
    until("it is there, and loads", || is_loading(&server)).await;
    let error = format!("{:?}", ticking(&server).await.map(drop).expect_err("a start is told"));
    assert!(error.contains("loading the dataset"), "{error}");
    until("the program knows", || !scheduler.health().ready).await;
    assert!(is_loading(&server), "and it loads still");
    server.wait_until_it_answers();
    until("the program has its store again", || scheduler.health().ready).await;
    let before = *ran.borrow();
    has_run(&mut ran, before + 2).await;
    scheduler.stop().await.expect("it stops");
    // What fell due meanwhile was recorded or run: nothing is missing, and nothing ran twice.
    let (again, _) = ticking(&server).await.expect("and starts are served");
    let ledger = again.ledger("tick").await.expect("it is there");
    assert_eq!(ledger.occurrences, ledger.runs + ledger.recorded, "{ledger:?}");
    assert!(ledger.runs >= *ran.borrow(), "{ledger:?}");
    again.stop().await.expect("it stops");
}
