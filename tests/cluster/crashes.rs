//! Nodes that are killed, by a point of a run's life and by chance.

use std::thread;
use std::time::Duration;

use crate::checker::{Promise, Seen, judge};
use crate::rig::{LEASE, RECOVERY, Store, drawn, now, sleep_until, soon};

/// Where a node dies, of which task, and which attempts of the run that it was about are then seen to start, on any node.
const DEATHS: [(&str, &str, &[u32]); 9] = [
    ("enqueue:before@2", "every=1000", &[1]),
    // The store has the run, and nobody has heard of it.
    ("enqueue:after@2", "every=1000", &[2]),
    ("body:start@2", "every=1000", &[1, 2]),
    ("body:end@2", "every=1000", &[1, 2]),
    ("finish:before@2", "every=1000", &[1, 2]),
    ("finish:after@2", "every=1000", &[1]),
    // The first attempt of the second run: each run has two, and the store is told of the end of each.
    ("finish:before@3", "every=2000,fails=1", &[1, 2]),
    ("finish:after@3", "every=2000,fails=1", &[1, 2]),
    // The second attempt of the second run is claimed, and never begins.
    ("claim:after@2", "every=2000,fails=1", &[1, 3]),
];

pub(crate) fn a_node_killed_at_any_step_of_a_run_loses_nothing(store: fn() -> Store) {
    thread::scope(|scope| {
        for (die, task, attempts) in DEATHS {
            scope.spawn(move || killed(&store(), die, task, attempts));
        }
    });
}

fn killed(store: &Store, die: &str, task: &str, attempts: &[u32]) {
    let first = soon(Duration::from_millis(2_500));
    let period = if task.contains("2000") { 2_000 } else { 1_000 };
    let task = format!("task=beat,start={first},misfire=run_all,{task}");
    let mut node = store.node("a", &[&task, &format!("die={die}")]);
    let status = node.ends();
    assert!(!status.success(), "{die}: it was to kill itself:\n{}", store.story());
    let (second, last) = (first + period, now());
    assert!(last < second + period, "{die}: it died later than in its second run:\n{}", store.story());
    let next = store.node("b", &[&task]);
    // Until whoever is to take a run over has done so, whether there is one or not.
    let over = last + i64::try_from((LEASE + Duration::from_secs(6)).as_millis()).expect("it is not that long");
    store.until("the lease of the dead node is over", |lines| lines.iter().any(|line| line.at >= over));
    let promise = Promise { task: "beat".into(), first, period, last, at_most_once: false };
    let verdict = store.settles(&[promise], Vec::new, &["a"], RECOVERY);
    assert!(verdict.is_clean(), "{die}: {verdict}{}", store.story());
    let lines = store.lines();
    let starts = lines.iter().filter(|line| line.instant == second && line.seen == Seen::Start);
    let starts: Vec<u32> = starts.map(|line| line.attempt).collect();
    assert_eq!(starts, attempts, "{die}: the attempts of the run that was under way:\n{}", store.story());
    next.stop();
}

pub(crate) fn nodes_killed_at_random_lose_nothing(store: fn() -> Store) {
    let mut random = fastrand::Rng::with_seed(drawn());
    let store = store();
    let first = soon(Duration::from_millis(1_000));
    let tasks: Vec<String> = (0..8)
        .map(|number| format!("task=t{number},every=250,start={first},body={},misfire=run_all", number * 20))
        .collect();
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let mut lost = Vec::new();
    let mut node = store.node("n0", &tasks);
    sleep_until(first);
    for number in 1..=6 {
        thread::sleep(Duration::from_millis(random.u64(300..1_200)));
        node.kill();
        lost.push(format!("n{}", number - 1));
        node = store.node(&format!("n{number}"), &tasks);
    }
    let lost: Vec<&str> = lost.iter().map(String::as_str).collect();
    let last = now();
    let promises: Vec<Promise> = (0..8)
        .map(|number| Promise { task: format!("t{number}"), first, period: 250, last, at_most_once: false })
        .collect();
    let verdict = store.settles(&promises, Vec::new, &lost, RECOVERY);
    assert!(verdict.is_clean(), "{verdict}{}", store.story());
    node.stop();
    // Also of what has come to pass since.
    let verdict = judge(&store.lines(), &promises, &[], &lost);
    assert!(verdict.is_clean(), "{verdict}{}", store.story());
}
