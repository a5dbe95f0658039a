//! PostgreSQL that goes away for a while, and connections that break or fall silent in mid-statement.

use std::thread;
use std::time::{Duration, Instant};

use symphra_scheduler_tests::services::{Postgres, has_postgres, postgres_url};

use crate::checker::Promise;
use crate::proxy::Proxy;
use crate::rig::{LEASE, Node, RECOVERY, Store, now, sleep_until, soon};

const TASKS: usize = 12;

/// Tasks that fire four times a second each.
fn load(first: i64) -> Vec<String> {
    (0..TASKS)
        .map(|number| format!("task=t{number},every=250,start={first},body={},misfire=run_all", number * 30))
        .collect()
}

fn promises(first: i64, last: i64) -> Vec<Promise> {
    let promise = |number| Promise { task: format!("t{number}"), first, period: 250, last, at_most_once: false };
    (0..TASKS).map(promise).collect()
}

fn nodes(store: &Store, first: i64) -> [Node; 2] {
    let tasks = load(first);
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    [store.node("a", &tasks), store.node("b", &tasks)]
}

/// What has fallen due until now has run, once each: nobody was lost, so nothing may be started twice.
fn settles(store: &Store, first: i64) {
    let promises = promises(first, now() - 500);
    let verdict = store.settles(&promises, Vec::new, &[], RECOVERY);
    assert!(verdict.is_clean(), "{verdict}{}", store.story());
}

#[test]
fn a_server_that_is_away_for_longer_than_a_lease_costs_nothing() {
    if !has_postgres() {
        return;
    }
    let mut server = Postgres::start();
    let store = Store::on(&server.url());
    let first = soon(Duration::from_secs(2));
    let nodes = nodes(&store, first);
    sleep_until(first + 2_000);
    server.stop();
    // Every lease runs out meanwhile, and hands nothing over.
    thread::sleep(LEASE + Duration::from_secs(2));
    for node in &nodes {
        node.says("store.unreachable");
    }
    server.run();
    for node in &nodes {
        node.says("store.reachable");
    }
    store.fires_again();
    settles(&store, first);
    nodes.into_iter().for_each(Node::stop);
}

/// A store behind a proxy.
fn behind_a_proxy() -> (Proxy, Store) {
    let (before, after) = postgres_url().rsplit_once(':').expect("the URL names a port");
    let (port, database) = after.split_once('/').expect("the URL names a database");
    let proxy = Proxy::to(port.parse().expect("a port"));
    let store = Store::on(&format!("{before}:{}/{database}", proxy.port()));
    (proxy, store)
}

#[test]
fn connections_cut_in_mid_statement_cost_nothing() {
    if !has_postgres() {
        return;
    }
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (proxy, store) = behind_a_proxy();
    let first = soon(Duration::from_secs(2));
    let nodes = nodes(&store, first);
    sleep_until(first);
    let began = Instant::now();
    let mut cut = 0;
    while began.elapsed() < Duration::from_secs(8) {
        thread::sleep(Duration::from_millis(random.u64(10..400)));
        cut += proxy.cut();
    }
    assert!(cut > 20, "{cut} connections were cut");
    store.fires_again();
    settles(&store, first);
    nodes.into_iter().for_each(Node::stop);
}

#[test]
fn connections_that_fall_silent_are_given_up_and_new_ones_made() {
    if !has_postgres() {
        return;
    }
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let (proxy, store) = behind_a_proxy();
    let first = soon(Duration::from_secs(2));
    let nodes = nodes(&store, first);
    sleep_until(first + 1_000);
    assert!(proxy.silence(&mut fastrand::Rng::with_seed(seed)) > 2);
    for node in &nodes {
        node.says("store.unreachable");
    }
    let silent = now();
    store.until("both fire again", |lines| {
        ["a", "b"].iter().all(|node| lines.iter().any(|line| line.node == *node && line.instant > silent + 2_000))
    });
    settles(&store, first);
    nodes.into_iter().for_each(Node::stop);
}
