//! What may happen to a Redis under load: scripts forgotten, memory full, a long start, a failover, and a crash of the machine
//! that undoes the last second.

use std::thread;
use std::time::{Duration, Instant};

use symphra_scheduler_tests::services::{Redis, has_redis};

use crate::outages::FEW;
use crate::rig::{Node, RECOVERY, Store, drawn, now, sleep_until, soon};

/// By how much the instant of an occurrence may lie before it is fired, on a machine under load.
const LATE_MS: i64 = 1_000;

/// How long a crash of the machine undoes under `appendfsync everysec`.
const UNDONE: Duration = Duration::from_secs(1);

#[test]
fn scripts_forgotten_under_load_cost_nothing() {
    if !has_redis() {
        return;
    }
    let mut random = fastrand::Rng::with_seed(drawn());
    let server = Redis::start();
    let store = Store::on(&server.url());
    let first = soon(Duration::from_secs(2));
    let nodes: [Node; 2] = FEW.nodes(&store, first);
    sleep_until(first);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        server.ask("SCRIPT FLUSH");
        thread::sleep(Duration::from_millis(random.u64(0..40)));
    }
    store.fires_again();
    FEW.settles(&store, first);
    for node in nodes {
        assert!(!node.said().contains("store.unreachable"), "{}", node.said());
        node.stop();
    }
}

#[test]
fn a_redis_whose_memory_is_full_is_waited_for_and_said() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = Store::on(&server.url());
    let first = soon(Duration::from_secs(2));
    let nodes: [Node; 2] = FEW.nodes(&store, first);
    sleep_until(first + 1_000);
    server.ask("CONFIG SET maxmemory 1");
    for node in &nodes {
        node.says("store.unreachable");
        node.says("OOM");
    }
    server.ask("CONFIG SET maxmemory 0");
    for node in &nodes {
        node.says("store.reachable");
    }
    store.fires_again();
    FEW.settles(&store, first);
    nodes.into_iter().for_each(Node::stop);
}

#[test]
fn a_redis_that_is_still_reading_what_it_has_kept_is_waited_for() {
    if !has_redis() {
        return;
    }
    let mut server = Redis::start();
    let store = Store::on(&server.url());
    let first = soon(Duration::from_secs(2));
    let nodes: [Node; 2] = FEW.nodes(&store, first);
    // It listens to clients after each 1,024 commands that it has read.
    waits_until("it has kept much", || server.kept() > 1_000_000);
    server.stop();
    // In microseconds for each command: long enough for a heartbeat to hear of it.
    server.run_with(&["--key-load-delay", "1500"]);
    for node in &nodes {
        node.says("loading the dataset");
        node.says("store.reachable");
    }
    store.fires_again();
    FEW.settles(&store, first);
    nodes.into_iter().for_each(Node::stop);
}

/// All that the primary has answered is on the replica when it dies.
#[test]
fn a_failover_that_loses_nothing_costs_nothing() {
    if !has_redis() {
        return;
    }
    let mut primary = Redis::start();
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
    let sentinel = Redis::sentinel_of(&primary);
    sentinel.ask("SENTINEL SET main down-after-milliseconds 1000");
    sentinel.ask("SENTINEL SET main failover-timeout 2000");
    let store = Store::on(&format!("redis+sentinel://127.0.0.1:{}/main/0", sentinel.port()));
    let first = soon(Duration::from_secs(2));
    let nodes: [Node; 2] = FEW.nodes(&store, first);
    waits_until("Sentinel knows the replica", || sentinel.ask("INFO sentinel").contains("slaves=1"));
    sleep_until(first + 2_000);
    // Nothing more is answered.
    primary.ask("CLIENT PAUSE 60000 WRITE");
    let offset = |server: &Redis| {
        let told = server.ask("INFO replication");
        let line = told.lines().find_map(|line| line.strip_prefix("master_repl_offset:"));
        line.and_then(|offset| offset.parse::<u64>().ok()).expect("it tells how far it is")
    };
    let written = offset(&primary);
    waits_until("the replica has it all", || offset(&replica) >= written);
    primary.stop();
    for node in &nodes {
        node.says("store.unreachable");
        node.says("store.reachable");
    }
    store.fires_again();
    FEW.settles(&store, first);
    for node in nodes {
        assert!(!node.said().contains("has lost"), "{}", node.said());
        node.stop();
    }
}

fn waits_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < crate::rig::PATIENCE, "{what}: not in time");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The nodes notice, do nothing more and say so; after their next start nothing is missed, and nothing has run twice but what
/// was fired in the second that is undone.
#[test]
fn a_crash_under_everysec_undoes_the_last_second_and_each_node_says_so() {
    if !has_redis() {
        return;
    }
    let mut server = Redis::start();
    server.ask("CONFIG SET appendfsync everysec");
    let store = Store::on(&server.url());
    let first = soon(Duration::from_secs(2));
    let nodes: [Node; 2] = FEW.nodes(&store, first);
    sleep_until(first + 2_000);
    let (kept, kept_at) = (server.kept(), now());
    thread::sleep(UNDONE);
    server.stop();
    let died_at = now();
    server.forget_beyond(kept);
    server.run();
    for node in &nodes {
        node.says("Redis has lost what it had answered");
    }
    let said_at = now();
    for mut node in nodes {
        node.kill();
    }
    let begun_after = |line: &crate::checker::Line| line.instant > died_at + LATE_MS && line.instant <= said_at;
    assert_eq!(store.lines().into_iter().filter(begun_after).count(), 0, "nobody fires any more\n{}", store.story());
    let tasks = FEW.tasks(first);
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let nodes = ["c", "d"].map(|name| store.node(name, &tasks));
    store.fires_again();
    let promises = FEW.promises(first);
    let began = Instant::now();
    let verdict = loop {
        let mut verdict = crate::checker::judge(&store.lines(), &promises, &[], &["a", "b"]);
        verdict.extra.retain(|found| !is_of_the_second_undone(found, kept_at - LATE_MS, died_at));
        if verdict.is_clean() || began.elapsed() > RECOVERY {
            break verdict;
        }
        thread::sleep(Duration::from_millis(50));
    };
    assert!(verdict.is_clean(), "{verdict}{}", store.story());
    nodes.into_iter().for_each(Node::stop);
}

/// Whether an occurrence of that time has become another run.
fn is_of_the_second_undone(found: &str, from: i64, to: i64) -> bool {
    let of = found.split_once(" of ").and_then(|(_, rest)| rest.split_once(": it became two runs"));
    of.and_then(|(instant, _)| instant.parse().ok()).is_some_and(|instant: i64| (from..=to).contains(&instant))
}
