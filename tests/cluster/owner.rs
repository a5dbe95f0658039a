//! The node that owns a store in RabbitMQ is killed, frozen or cut off, while others work.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use symphra_scheduler_tests::services::has_rabbitmq;

use crate::checker::Promise;
use crate::rig::{Node, RECOVERY, Store, drawn, now, sleep_until, soon};

const TASKS: usize = 8;

/// Nodes that have nothing to do but to own the store, in the order in which they will.
fn owners<const N: usize>(store: &Store) -> [Node; N] {
    std::array::from_fn(|number| store.node(&format!("o{number}"), &["task=idle,every=3600000"]))
}

/// Two that work, and come after them.
fn workers(store: &Store, first: i64) -> [Node; 2] {
    let task = |number| format!("task=t{number},every=250,start={first},body={},misfire=run_all", number * 20);
    let tasks: Vec<String> = (0..TASKS).map(task).collect();
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    ["a", "b"].map(|name| store.node(name, &tasks))
}

/// All has run, once each: whoever was lost executed nothing.
fn settles(store: &Store, first: i64) {
    let last = now() - 500;
    let promise = |number| Promise { task: format!("t{number}"), first, period: 250, last, at_most_once: false };
    let promises: Vec<Promise> = (0..TASKS).map(promise).collect();
    let verdict = store.settles(&promises, Vec::new, &[], RECOVERY);
    assert!(verdict.is_clean(), "{verdict}{}", store.story());
}

#[test]
fn owners_killed_at_any_moment_cost_nothing() {
    if !has_rabbitmq() {
        return;
    }
    let mut random = fastrand::Rng::with_seed(drawn());
    let store = Store::rabbitmq();
    let owners: [Node; 6] = owners(&store);
    let first = soon(Duration::from_secs(3));
    let mut nodes = workers(&store, first);
    sleep_until(first);
    for mut owner in owners {
        thread::sleep(Duration::from_millis(random.u64(300..1_200)));
        owner.kill();
    }
    store.fires_again();
    settles(&store, first);
    for number in 0..TASKS {
        nodes[0].balanced_ledger(&format!("t{number}"));
    }
    nodes.into_iter().for_each(Node::stop);
}

#[test]
fn an_owner_that_is_frozen_is_replaced_and_answers_nobody_when_it_wakes() {
    if !has_rabbitmq() {
        return;
    }
    let store = Store::rabbitmq();
    let [frozen] = owners(&store);
    let first = soon(Duration::from_secs(2));
    let nodes = workers(&store, first);
    sleep_until(first + 1_000);
    frozen.signal(Signal::STOP);
    for node in &nodes {
        node.says("store.unreachable");
    }
    store.fires_again();
    frozen.signal(Signal::CONT);
    store.fires_again();
    settles(&store, first);
    nodes.into_iter().for_each(Node::stop);
    frozen.stop();
}

/// Each of them comes to own the store when the one before it has died, and dies at one of its steps: on the way there, or later
/// at its twentieth step, where there are several under way.
#[test]
fn an_owner_that_dies_at_any_of_its_steps_costs_nothing() {
    if !has_rabbitmq() {
        return;
    }
    const STEPS: [&str; 13] = [
        "delivered",
        "begun",
        "read",
        "claimed",
        "owns",
        "imaging",
        "imaged",
        "folding",
        "folded",
        "listens",
        "written@20",
        "back@20",
        "answered@20",
    ];
    let store = Store::rabbitmq();
    let [mut before] = owners(&store);
    let dying = STEPS.iter().enumerate().map(|(number, step)| {
        let die = format!("die=owner:{step}");
        store.node(&format!("d{number:02}"), &["task=idle,every=3600000", &die])
    });
    let dying: Vec<Node> = dying.collect();
    let first = soon(Duration::from_secs(2));
    let mut nodes = workers(&store, first);
    sleep_until(first);
    before.kill();
    for (mut owner, step) in dying.into_iter().zip(STEPS) {
        let status = owner.ends();
        assert_eq!(status.code(), None, "{step}: it was killed");
    }
    store.fires_again();
    settles(&store, first);
    for number in 0..TASKS {
        nodes[0].balanced_ledger(&format!("t{number}"));
    }
    nodes.into_iter().for_each(Node::stop);
}
