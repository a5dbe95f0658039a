//! Which settings wait for the next start when what was read says something else.

use std::collections::BTreeSet;

use super::{loaded, of_yaml};
use crate::config::read::Section;
use crate::config::{SchedulerConfig, settings};

fn waiting(program: &SchedulerConfig, now: &str) -> Vec<&'static str> {
    program.waiting(&of_yaml(now))
}

#[test]
fn every_setting_that_can_be_read_is_compared() {
    fn keys<L>(table: &str, section: &Section<L>) -> Vec<String> {
        section.keys().map(|key| format!("{table}{key}")).collect()
    }
    let all = [
        keys("", &settings::scheduler()),
        keys("history.", &settings::history()),
        #[cfg(feature = "metrics")]
        keys("metrics.", &settings::metrics()),
        keys("backend.", &settings::backend::backend()),
        keys("daemon.", &settings::daemon()),
        keys("logging.", &settings::logging()),
    ];
    let mut all: BTreeSet<String> = all.into_iter().flatten().collect();
    // A table, and what is compared by itself.
    assert!(all.remove("history") && all.remove("groups"));
    #[cfg(feature = "metrics")]
    assert!(all.remove("metrics"));
    let compared: BTreeSet<String> = SchedulerConfig::new().said().into_iter().map(|(key, _)| key.to_owned()).collect();
    assert_eq!(compared, all);
}

#[test]
fn what_says_something_else_waits_wherever_it_is_written() {
    let then = "max_workers: 3\nlease: 20s\ngroups: { db: 2, web: 3 }\n";
    let program = of_yaml(then);
    for (now, keys) in [
        (then, &[][..]),
        ("# moved\n\ngroups: { web: 3, db: 2 }\nscheduler: { lease: 20000ms, max_workers: 3 }\n", &[]),
        ("lease: 20s\ngroups: { db: 2, web: 3 }\n", &["max_workers"]),
        ("max_workers: 4\nlease: 25s\ngroups: { db: 2 }\n", &["max_workers", "lease", "groups"]),
    ] {
        assert_eq!(waiting(&program, now), keys, "{now}");
    }
    let more = format!("{then}history: {{ runs: 7 }}\ndaemon: {{ name: app }}\nlogging: {{ file: app.log }}\n");
    assert_eq!(waiting(&program, &more), ["history.runs", "daemon.name", "logging.file"]);
    assert!(waiting(&program, &format!("{then}tasks: {{ report: {{ interval: 5s }} }}\n")).is_empty(), "read again");
}

#[cfg(feature = "sqlite")]
#[test]
fn another_store_waits_and_another_way_to_write_it_does_not() {
    let program = of_yaml("backend: { url: 'sqlite://a.db', namespace: shop }\n");
    assert!(waiting(&program, "# moved\nbackend:\n  namespace: shop\n  url: sqlite://a.db\n").is_empty());
    assert_eq!(waiting(&program, "backend: 'sqlite://b.db'\n"), ["backend.url", "backend.namespace"]);
}

#[test]
fn what_code_rules_over_waits_for_nothing() {
    let program = of_yaml("max_workers: 3\nqueue_size: 4\ngroups: { web: 3 }\n").max_workers(7).group("db", 2);
    assert_eq!(waiting(&program, "max_workers: 5\nqueue_size: 6\ngroups: { web: 3, db: 9 }\n"), ["queue_size"]);
    assert_eq!(waiting(&program, "max_workers: 3\nqueue_size: 4\ngroups: { web: 5 }\n"), ["groups"]);
    let below = SchedulerConfig::new().max_workers(7).over(of_yaml("max_workers: 3\nqueue_size: 4\n"));
    assert_eq!(waiting(&below, "max_workers: 5\nqueue_size: 6\n"), ["queue_size"]);
    let by_variable = [("SCHEDULER_QUEUE_SIZE", "5")];
    let both = |text: &str| loaded("scheduler.yaml", text, by_variable).expect("a right file");
    assert!(both("queue_size: 4\n").waiting(&both("queue_size: 6\n")).is_empty(), "the environment rules over it");
    assert!(waiting(&SchedulerConfig::new().max_workers(3), "max_workers: 4\n").is_empty(), "nothing was read");
}
