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

/// Enqueues the jobs of these numbers; their runs.
fn enqueue(node: &mut Node, numbers: std::ops::Range<usize>) -> Vec<String> {
    let runs = node.ask(&format!("enqueue note {}..{}", numbers.start, numbers.end));
    runs.split_whitespace().map(str::to_owned).collect()
}
