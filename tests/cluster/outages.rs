//! Servers that go away for a while, and connections that break or fall silent in mid-statement.

use std::thread;
use std::time::{Duration, Instant};

use symphra_scheduler_tests::services::{
    Postgres, RabbitMq, Redis, has_postgres, has_rabbitmq, has_redis, postgres_url, rabbitmq_url, redis_url,
};

use crate::checker::{Line, Promise};
use crate::proxy::Proxy;
use crate::rig::{LEASE, Node, RECOVERY, Store, drawn, is_nightly, now, sleep_until, soon};

/// Tasks that are all alike.
pub(crate) struct Load {
    tasks: usize,
    every_ms: i64,
    /// How much longer than the one before it each of their bodies takes.
    body_ms: usize,
}

pub(crate) const FEW: Load = Load { tasks: 12, every_ms: 250, body_ms: 10 };

const MANY: Load = Load { tasks: 60, every_ms: 1_000, body_ms: 0 };

impl Load {
    pub(crate) fn tasks(&self, first: i64) -> Vec<String> {
        let task = |number| {
            let (every, body) = (self.every_ms, number * self.body_ms);
            format!("task=t{number},every={every},start={first},body={body},misfire=run_all")
        };
        (0..self.tasks).map(task).collect()
    }

    pub(crate) fn nodes<const N: usize>(&self, store: &Store, first: i64) -> [Node; N] {
        let tasks = self.tasks(first);
        let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
        let names: [&str; N] = std::array::from_fn(|place| ["a", "b", "c"][place]);
        names.map(|name| store.node(name, &tasks))
    }

    /// What has fallen due until now.
    pub(crate) fn promises(&self, first: i64) -> Vec<Promise> {
        let last = now() - 500;
        let promise = |number| {
            let task = format!("t{number}");
            Promise { task, first, period: self.every_ms, last, at_most_once: false }
        };
        (0..self.tasks).map(promise).collect()
    }

    /// All of it has run, once each: nobody was lost, so nothing may be started twice.
    pub(crate) fn settles(&self, store: &Store, first: i64) {
        let verdict = store.settles(&self.promises(first), Vec::new, &[], RECOVERY);
        assert!(verdict.is_clean(), "{verdict}{}", store.story());
    }
}

/// A server of a store, which a test stops and starts again.
pub(crate) trait Server {
    fn start() -> Self
    where
        Self: Sized;
    fn url(&self) -> String;
    fn stop(&mut self);
    fn run(&mut self);
}

macro_rules! server {
    ($server:ident) => {
        impl Server for $server {
            fn start() -> Self {
                $server::start()
            }

            fn url(&self) -> String {
                $server::url(self)
            }

            fn stop(&mut self) {
                $server::stop(self);
            }

            fn run(&mut self) {
                $server::run(self);
            }
        }
    };
}

server!(Postgres);
server!(RabbitMq);
server!(Redis);

/// By how much a node's memory may grow while its store is away, and while it makes up for what was missed: rows, texts and
/// answers of a few full batches, whatever the outage lasts.
const GROWTH_KB_MAX: u64 = 4 * 1_024;

#[test]
fn a_server_that_is_away_for_longer_than_a_lease_costs_nothing() {
    if has_postgres() {
        // Every lease runs out meanwhile, and hands nothing over.
        is_away_for::<Postgres, 2>(LEASE + Duration::from_secs(2), &FEW);
    }
}

#[test]
fn a_server_that_is_away_for_a_minute_under_load_costs_nothing() {
    if is_nightly() && has_postgres() {
        is_away_for::<Postgres, 3>(Duration::from_secs(60), &MANY);
    }
}

#[test]
fn a_redis_that_is_away_for_longer_than_a_lease_costs_nothing() {
    if has_redis() {
        is_away_for::<Redis, 2>(LEASE + Duration::from_secs(2), &FEW);
    }
}

#[test]
fn a_redis_that_is_away_for_a_minute_under_load_costs_nothing() {
    if is_nightly() && has_redis() {
        is_away_for::<Redis, 3>(Duration::from_secs(60), &MANY);
    }
}

#[test]
fn a_rabbitmq_that_is_away_for_longer_than_a_lease_costs_nothing() {
    if has_rabbitmq() {
        is_away_for::<RabbitMq, 2>(LEASE + Duration::from_secs(2), &FEW);
    }
}

#[test]
fn a_rabbitmq_that_is_away_for_a_minute_under_load_costs_nothing() {
    if is_nightly() && has_rabbitmq() {
        is_away_for::<RabbitMq, 3>(Duration::from_secs(60), &MANY);
    }
}

fn is_away_for<S: Server, const N: usize>(away: Duration, load: &Load) {
    let mut server = S::start();
    let store = Store::on(&server.url());
    let first = soon(Duration::from_secs(2));
    let nodes: [Node; N] = load.nodes(&store, first);
    sleep_until(first + 3_000);
    let before = memory(&nodes);
    server.stop();
    let back = now() + i64::try_from(away.as_millis()).expect("it is not that long");
    for node in &nodes {
        node.says("store.unreachable");
    }
    // The length of the outage is what is tested.
    sleep_until(back);
    let during = memory(&nodes);
    server.run();
    for node in &nodes {
        node.says("store.reachable");
    }
    store.fires_again();
    load.settles(&store, first);
    let after = memory(&nodes);
    println!("away for {away:?}: {before:?} kB before, {during:?} at its end, {after:?} after");
    for (before, later) in before.iter().zip(&during).chain(before.iter().zip(&after)) {
        assert!(later.saturating_sub(*before) <= GROWTH_KB_MAX, "{before:?}, {during:?}, {after:?} kB");
    }
    nodes.into_iter().for_each(Node::stop);
}

/// What each node has in use.
fn memory(nodes: &[Node]) -> Vec<u64> {
    nodes.iter().filter_map(Node::memory_kb).collect()
}

/// A store behind a proxy.
fn behind_a_proxy(url: &str) -> (Proxy, Store) {
    let (proxy, url) = Proxy::before(url);
    (proxy, Store::on(&url))
}

#[test]
fn connections_cut_in_mid_statement_cost_nothing() {
    if has_postgres() {
        are_cut(postgres_url(), 12);
    }
}

#[test]
fn connections_to_redis_cut_in_mid_step_cost_nothing() {
    if has_redis() {
        are_cut(redis_url(), 12);
    }
}

/// One of them is that of the owner, by which the others are answered.
#[test]
fn connections_to_rabbitmq_cut_in_mid_step_cost_nothing() {
    if has_rabbitmq() {
        // A node has but one, and is a while about it before it has the next.
        are_cut(rabbitmq_url(), 4);
    }
}

fn are_cut(url: &str, cuts_min: usize) {
    let mut random = fastrand::Rng::with_seed(drawn());
    let (proxy, store) = behind_a_proxy(url);
    let first = soon(Duration::from_secs(2));
    let nodes: [Node; 2] = FEW.nodes(&store, first);
    sleep_until(first);
    let began = Instant::now();
    let mut cut = 0;
    while began.elapsed() < Duration::from_secs(5) {
        thread::sleep(Duration::from_millis(random.u64(10..400)));
        cut += proxy.cut();
    }
    assert!(cut > cuts_min, "{cut} connections were cut");
    store.fires_again();
    FEW.settles(&store, first);
    nodes.into_iter().for_each(Node::stop);
}

#[test]
fn connections_that_fall_silent_are_given_up_and_new_ones_made() {
    if has_postgres() {
        fall_silent(postgres_url(), 3);
    }
}

#[test]
fn connections_to_redis_that_fall_silent_are_given_up_and_new_ones_made() {
    if has_redis() {
        fall_silent(redis_url(), 3);
    }
}

#[test]
fn connections_to_rabbitmq_that_fall_silent_are_given_up_and_new_ones_made() {
    if has_rabbitmq() {
        // A node has but one. By the heartbeat that is the default RabbitMQ notices after half a minute.
        fall_silent(&format!("{}?heartbeat=2", rabbitmq_url()), 2);
    }
}

fn fall_silent(url: &str, connections_min: usize) {
    let mut random = fastrand::Rng::with_seed(drawn());
    let (proxy, store) = behind_a_proxy(url);
    let first = soon(Duration::from_secs(2));
    let nodes: [Node; 2] = FEW.nodes(&store, first);
    sleep_until(first + 1_000);
    assert!(proxy.silence(&mut random) >= connections_min);
    for node in &nodes {
        node.says("store.unreachable");
    }
    let silent = now();
    let fires_again =
        |lines: &[Line], node| lines.iter().any(|line| line.node == node && line.instant > silent + 2_000);
    if store.is_shared_evenly() {
        store.until("both fire again", |lines| fires_again(lines, "a") && fires_again(lines, "b"));
    } else {
        store.until("one fires again", |lines| fires_again(lines, "a") || fires_again(lines, "b"));
        for node in &nodes {
            node.says("store.reachable");
        }
    }
    FEW.settles(&store, first);
    nodes.into_iter().for_each(Node::stop);
}
