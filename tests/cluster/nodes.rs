//! Several nodes on one store.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::checker::{Excuse, Line, Promise, Seen};
use crate::rig::{LEASE, Node, RECOVERY, Store, now, sleep_until, soon};

fn promise(task: &str, first: i64, period: i64, last: i64) -> Promise {
    Promise { task: task.into(), first, period, last, at_most_once: false }
}

fn started<'a>(lines: &'a [Line], task: &str, attempt: u32) -> Option<&'a Line> {
    lines.iter().find(|line| line.seen == Seen::Start && line.task == task && line.attempt == attempt)
}

pub(crate) fn three_nodes_of_which_one_is_killed_and_another_joins_miss_nothing(store: fn() -> Store) {
    let store = store();
    let first = soon(Duration::from_secs(3));
    let tasks: Vec<String> =
        (0..20).map(|number| format!("task=t{number},every=500,start={first},body=100,misfire=run_all")).collect();
    let once = format!("task=once,every=500,start={first},body=100,misfire=run_all,delivery=at_most_once");
    let mut tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    tasks.push(&once);
    let mut nodes: Vec<Node> = ["a", "b", "c"].iter().map(|name| store.node(name, &tasks)).collect();
    sleep_until(first);
    let is_at_work = |lines: &[Line], node: &str| {
        let seen = |seen| lines.iter().filter(|line| line.node == node && line.seen == seen).count();
        seen(Seen::Start) > seen(Seen::End)
    };
    let mut victim = "b";
    if store.is_shared_evenly() {
        store.until("every node runs something", |lines| {
            ["a", "b", "c"].iter().all(|node| lines.iter().any(|line| line.node == *node))
        });
        store.until("it is in the middle of its runs", |lines| is_at_work(lines, victim));
    } else {
        store.until("one is in the middle of its runs", |lines| {
            let at_work = ["a", "b", "c"].into_iter().find(|node| is_at_work(lines, node));
            victim = at_work.unwrap_or(victim);
            at_work.is_some()
        });
    }
    let place = nodes.iter().position(|node| node.name == victim).expect("it was started");
    nodes.remove(place).kill();
    // What it had been given and not begun yet ends with it too, where it may not be given again.
    let killed = now();
    let with_it = move || vec![Excuse { task: "once".into(), first: killed - 2_000, last: killed }];
    let d = store.node("d", &tasks);
    if store.is_shared_evenly() {
        store.until("the one that joins runs something", |lines| lines.iter().any(|line| line.node == "d"));
    }
    store.fires_again();
    let last = now();
    let mut promises: Vec<Promise> = (0..20).map(|number| promise(&format!("t{number}"), first, 500, last)).collect();
    promises.push(Promise { at_most_once: true, ..promise("once", first, 500, last) });
    let verdict = store.settles(&promises, with_it, &[victim], RECOVERY);
    assert!(verdict.is_clean(), "{verdict}{}", store.story());
    nodes.push(d);
    nodes.into_iter().for_each(Node::stop);
}

pub(crate) fn a_frozen_node_begins_and_finishes_nothing_when_it_wakes(store: fn() -> Store) {
    let store = store();
    let first = soon(Duration::from_secs(2));
    let long = format!("task=long,every=3600000,start={first},body=4000");
    let waiting: Vec<String> =
        (0..6).map(|number| format!("task=w{number},every=3600000,start={},body=50", first + 500)).collect();
    let tasks: Vec<&str> = std::iter::once(&long).chain(&waiting).map(String::as_str).collect();
    // It holds all of them, and its only worker has one of them begun.
    let mut frozen = store.node("a", &[&*tasks, &["workers=1"]].concat());
    store.until("it runs", |lines| started(lines, "long", 1).is_some());
    while frozen.ask("runs w5").is_empty() {
        thread::sleep(Duration::from_millis(20));
    }
    let mut other = store.node("b", &tasks);
    frozen.signal(Signal::STOP);
    let frozen_at = now();
    store.until("the other takes all over", |lines| {
        let taken_over = |number| started(lines, &format!("w{number}"), 2).is_some();
        started(lines, "long", 2).is_some() && (0..6).all(taken_over)
    });
    let taken_over = started(&store.lines(), "long", 2).expect("it was").at - frozen_at;
    // The last heartbeat before was at most a beat earlier, which is less than half a lease.
    assert!(taken_over > 5_000, "it was taken over after {taken_over} ms, and the lease is {LEASE:?}");
    // It ends its attempt while the other is in the middle of the next, and has a worker for what waits.
    frozen.signal(Signal::CONT);
    frozen.says("runs.stale");
    store.until("the other ends it", |lines| {
        lines.iter().any(|line| line.seen == Seen::End && line.task == "long" && line.node == "b")
    });
    while other.ask("runs long") == format!("{first}:running:2") {
        thread::sleep(Duration::from_millis(20));
    }
    for node in [&mut frozen, &mut other] {
        assert_eq!(node.ask("runs long"), format!("{first}:succeeded:2"), "{}", store.story());
        assert_eq!(node.said().contains("runs.stale"), node.name() == "a", "{}", store.story());
    }
    let begun = |line: &&Line| line.node == "a" && line.seen == Seen::Start && line.task != "long";
    let lines = store.lines();
    assert_eq!(lines.iter().filter(begun).count(), 0, "it began what the other had done:\n{}", store.story());
    let mut promises = vec![promise("long", first, 3_600_000, first)];
    promises.extend((0..6).map(|number| promise(&format!("w{number}"), first + 500, 3_600_000, first + 500)));
    let verdict = store.settles(&promises, Vec::new, &["a"], RECOVERY);
    assert!(verdict.is_clean(), "{verdict}{}", store.story());
    frozen.stop();
    other.stop();
}

pub(crate) fn a_clean_stop_hands_back_at_once(store: fn() -> Store) {
    let store = store();
    let first = soon(Duration::from_secs(2));
    let arguments = [&*format!("task=long,every=3600000,start={first},body=4000"), "shutdown=1000"];
    let mut nodes = [store.node("a", &arguments), store.node("b", &arguments)];
    store.until("it runs", |lines| started(lines, "long", 1).is_some());
    if started(&store.lines(), "long", 1).expect("it runs").node == "b" {
        nodes.reverse();
    }
    let [stopping, other] = nodes;
    stopping.stop();
    let stopped = now();
    store.until("the other goes on with it", |lines| started(lines, "long", 2).is_some());
    let waited = started(&store.lines(), "long", 2).expect("it does").at - stopped;
    assert!(waited < 3_000, "it was handed over {waited} ms after the stop:\n{}", store.story());
    // And to a node that was not there yet.
    other.stop();
    let next = store.node("c", &arguments);
    let up = now();
    store.until("the next goes on with it", |lines| started(lines, "long", 3).is_some());
    let waited = started(&store.lines(), "long", 3).expect("it does").at - up;
    assert!(waited < 3_000, "it was handed over {waited} ms after the start:\n{}", store.story());
    let verdict = store.settles(&[promise("long", first, 3_600_000, first)], Vec::new, &["a", "b"], RECOVERY);
    assert!(verdict.is_clean(), "{verdict}{}", store.story());
    next.stop();
}

pub(crate) fn the_last_to_start_rules_the_schedule(store: fn() -> Store) {
    let store = store();
    let first = soon(Duration::from_secs(2));
    let (old, new) = (format!("task=beat,every=1000,start={first}"), format!("task=beat,every=400,start={first}"));
    let mut a = store.node("a", &[&old]);
    store.until("the old one counts", |lines| started(lines, "beat", 1).is_some());
    let before = now();
    let mut b = store.node("b", &[&new]);
    a.says("task.rescheduled");
    assert_eq!((a.ask("described beat"), b.ask("described beat")).0, "every 400 milliseconds");
    let after = now();
    store.until("the new one counts", |lines| lines.iter().filter(|line| line.instant > after).count() >= 12);
    // Back to the version before.
    let rolled_back = now();
    let c = store.node("c", &[&old]);
    for node in [&mut a, &mut b] {
        node.says("every second");
        assert_eq!(node.ask("described beat"), "every second");
    }
    let back = now();
    store.until("the old one counts again", |lines| lines.iter().filter(|line| line.instant > back).count() >= 4);
    let last = now() - 500;
    // In each stretch the instants of its schedule, and no others, once each.
    for (period, from, to) in [(1_000, first, before), (400, after, rolled_back), (1_000, back, last)] {
        let grid: Vec<i64> = (0..)
            .map(|place| first + place * period)
            .skip_while(|at| *at <= from.max(first - 1))
            .take_while(|at| *at < to)
            .collect();
        let mut ran: Vec<i64> = store
            .lines()
            .iter()
            .filter(|line| {
                line.seen == Seen::Start && (from..to).contains(&line.instant) && line.instant > from.max(first - 1)
            })
            .map(|line| line.instant)
            .collect();
        ran.sort_unstable();
        assert_eq!(ran, grid, "every {period} ms:\n{}", store.story());
    }
    for node in [a, b, c] {
        node.stop();
    }
}

pub(crate) fn a_run_waits_for_a_node_that_knows_its_task(store: fn() -> Store) {
    let store = store();
    let first = soon(Duration::from_secs(2));
    let (known, other) =
        (format!("task=known,every=500,start={first}"), format!("task=other,every=3600000,start={first},body=2500"));
    let a = store.node("a", &[&known]);
    let b = store.node("b", &[&known, &other, "shutdown=1000"]);
    store.until("it runs", |lines| started(lines, "other", 1).is_some());
    b.stop();
    // Longer than any node leaves between two looks for runs.
    let stopped = now();
    sleep_until(stopped + 6_500);
    let lines = store.lines();
    assert!(started(&lines, "other", 2).is_none(), "nobody knows it:\n{}", store.story());
    let fired = lines.iter().filter(|line| line.task == "known" && line.instant > stopped && line.node == "a").count();
    assert!(fired >= 10, "the node goes on meanwhile:\n{}", store.story());
    let c = store.node("c", &[&known, &other]);
    let promises = [promise("known", first, 500, now() - 1_000), promise("other", first, 3_600_000, first)];
    let verdict = store.settles(&promises, Vec::new, &["b"], RECOVERY);
    assert!(verdict.is_clean(), "{verdict}{}", store.story());
    assert_eq!(started(&store.lines(), "other", 2).expect("it was taken").node, "c");
    a.stop();
    c.stop();
}
