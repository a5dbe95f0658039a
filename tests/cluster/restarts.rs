//! What outlives a process.

use std::time::Duration;

use crate::checker::{Excuse, Promise, Seen};
use crate::rig::{Node, RECOVERY, Store, now, sleep_until, soon};

/// The tasks whose occurrences are missed, by their policies.
const MISFIRES: [&str; 3] = ["run_once", "run_all", "skip"];

pub(crate) fn a_restart_keeps_what_was_asked_and_where_each_task_stands(store: fn() -> Store) {
    let store = store();
    let first = soon(Duration::from_secs(2));
    let mut tasks: Vec<String> =
        MISFIRES.iter().map(|policy| format!("task={policy},every=500,start={first},misfire={policy}")).collect();
    tasks.push(format!("task=paused,every=500,start={first},misfire=run_all"));
    tasks.push(format!("task=few,every=400,start={first},max_runs=3"));
    tasks.push("task=rescheduled,every=3600000".into());
    // Its grid counts from when it was first registered.
    tasks.push("task=anchored,every=3600000".into());
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let mut node = store.node("a", &tasks);
    node.ask("pause paused moving");
    node.ask("reschedule rescheduled 7200000");
    let next = node.ask("next anchored");
    sleep_until(first + 2_600);
    assert_eq!(node.ask("ledger few"), "3 3 0");
    node.kill();
    let down_from = now();
    // Nobody is there for several occurrences of each.
    sleep_until(down_from + 4_500);
    let mut node = store.node("b", &tasks);
    let up = now();
    assert!(node.ask("paused paused").ends_with(" moving"));
    assert_eq!(node.ask("described rescheduled"), "every 2 hours");
    assert_eq!(node.ask("next anchored"), next);
    store.fires_again();
    assert_eq!(node.ask("ledger few"), "3 3 0");

    let last = now() - 500;
    let mut promises: Vec<Promise> = ["run_once", "run_all", "skip", "paused"]
        .iter()
        .map(|task| Promise { task: (*task).into(), first, period: 500, last, at_most_once: false })
        .collect();
    promises.push(Promise { task: "few".into(), first, period: 400, last: first + 800, at_most_once: false });
    let excuses = ["skip", "paused"].iter().flat_map(|task| node.excuses(task)).collect::<Vec<Excuse>>();
    let verdict = store.settles(&promises, || excuses.clone(), &["a"], RECOVERY);
    assert!(verdict.is_clean(), "{verdict}{}", store.story());

    // What was missed for sure: longer than the grace before the start of the next node.
    let lines = store.lines();
    let away = |at: i64| at > down_from && at < up - 2_500;
    let ran = |task: &str| {
        lines.iter().filter(|line| line.task == task && line.seen == Seen::Start && away(line.instant)).count()
    };
    let missed = (0..).map(|place| first + place * 500).take_while(|&at| at < up).filter(|&at| away(at)).count();
    assert!(missed >= 3, "the node was away for a while");
    assert_eq!(ran("run_all"), missed, "{}", store.story());
    assert_eq!(ran("skip"), 0, "{}", store.story());
    let covering =
        lines.iter().filter(|line| line.task == "run_once" && line.seen == Seen::Start && line.missed.is_some());
    assert_eq!(covering.count(), 1, "one run covers what was missed:\n{}", store.story());
    assert_eq!(ran("run_once") + ran("paused"), 0, "{}", store.story());
    assert_eq!(lines.iter().filter(|line| line.task == "few" && line.seen == Seen::Start).count(), 3);
    balances(&mut node);
    node.stop();
}

fn balances(node: &mut Node) {
    for task in ["run_once", "run_all", "skip", "paused", "few"] {
        node.balanced_ledger(task);
    }
}
