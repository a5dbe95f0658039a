//! Jobs of nodes that are killed while they enqueue them, have them wait and execute them.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use crate::checker::{Line, Seen};
use crate::rig::{Node, Store, drawn};

/// How many jobs each node enqueues before it is killed.
const OF_EACH: usize = 40;

pub(crate) fn jobs_of_nodes_that_are_killed_come_to_their_end(store: fn() -> Store) {
    let mut random = fastrand::Rng::with_seed(drawn());
    let store = store();
    let mut runs: BTreeMap<usize, String> = BTreeMap::new();
    let start = |number: usize| store.node(&format!("n{number}"), &["job=note,body=60"]);
    let mut killed = BTreeSet::new();
    for number in 0..5 {
        // On RabbitMQ the one that is killed owns the store.
        let mut node = start(number);
        let from = number * OF_EACH;
        runs.extend((from..).zip(enqueue(&mut node, from..from + OF_EACH)));
        thread::sleep(Duration::from_millis(random.u64(0..300)));
        node.kill();
        killed.insert(node.name.clone());
    }
    let mut last = start(5);
    let has_ended = |lines: &[Line], run: &str| lines.iter().any(|line| line.run == run && line.seen != Seen::Start);
    store.until("all jobs have ended", |lines| runs.values().all(|run| has_ended(lines, run)));
    // Who dies when a job has ended may not have stored that: it is executed again, and then by somebody who does.
    let wanted: BTreeSet<&str> =
        runs.iter().filter(|(number, _)| number.is_multiple_of(10)).map(|(_, run)| run.as_str()).collect();
    let mut letters = String::new();
    store.until("all that fail are dead letters", |_| {
        letters = last.ask("letters note");
        letters.split_whitespace().collect::<BTreeSet<_>>() == wanted
    });
    assert_eq!(letters.split_whitespace().count(), wanted.len(), "each once: {letters}");
    let again: Vec<String> = enqueue(&mut last, 0..5 * OF_EACH);
    assert_eq!(again, runs.values().cloned().collect::<Vec<_>>(), "each key is held:\n{}", store.story());
    store.until("none is left", |_| {
        let all = last.ask("runs note");
        !["queued", "running", "retrying"].iter().any(|state| all.contains(state))
    });
    let lines = store.lines();
    for run in runs.values() {
        let ends = lines.iter().filter(|line| line.run == *run && line.seen != Seen::Start);
        let kept = ends.filter(|line| !killed.contains(&line.node)).count();
        assert!(kept <= 1, "{run} has ended twice:\n{}", store.story());
    }
    let letter = *wanted.first().expect("there are some");
    let again = last.ask(&format!("again {letter}"));
    store.until("a letter runs again", |lines| has_ended(lines, &again));
    last.stop();
}

/// Where a node dies that has enqueued a job, and which attempts of it are then seen to start, on any node.
const DEATHS: [(&str, &[&[u32]]); 7] = [
    ("enqueue_jobs:before", &[&[1]]),
    // The store has the job, and who enqueued it has not heard of that; its node may have claimed it all the same.
    ("enqueue_jobs:after", &[&[1], &[2], &[1, 2]]),
    ("claim:after", &[&[2]]),
    ("body:start", &[&[1, 2]]),
    ("body:end", &[&[1, 2]]),
    ("finish:before", &[&[1, 2]]),
    ("finish:after", &[&[1]]),
];

pub(crate) fn a_job_survives_the_death_of_a_node_at_any_step(store: fn() -> Store) {
    thread::scope(|scope| {
        for (die, attempts) in DEATHS {
            scope.spawn(move || killed(&store(), die, attempts));
        }
    });
}

fn killed(store: &Store, die: &str, attempts: &[&[u32]]) {
    let mut node = store.node("a", &["job=note,body=50", &format!("die={die}")]);
    node.tell("enqueue note 1..2");
    let status = node.ends();
    assert!(!status.success(), "{die}: it was to kill itself:\n{}", store.story());
    let mut next = store.node("b", &["job=note,body=50"]);
    // The same job again, if it was stored, and else the first of it.
    let run = enqueue(&mut next, 1..2).remove(0);
    store.until("it is known to have ended", |_| next.ask("runs note").contains(":succeeded:"));
    let lines = store.lines();
    let starts = lines.iter().filter(|line| line.seen == Seen::Start);
    assert!(lines.iter().all(|line| line.run == run), "{die}: it is one run:\n{}", store.story());
    let started: Vec<u32> = starts.map(|line| line.attempt).collect();
    assert!(attempts.contains(&&*started), "{die}: the attempts of the job: {started:?}\n{}", store.story());
    next.stop();
}

/// Enqueues the jobs of these numbers; their runs.
fn enqueue(node: &mut Node, numbers: std::ops::Range<usize>) -> Vec<String> {
    let runs = node.ask(&format!("enqueue note {}..{}", numbers.start, numbers.end));
    runs.split_whitespace().map(str::to_owned).collect()
}
