//! The examples of stores that outlive their programs, and of clusters on them.

use std::process::Command;
use std::thread;
use std::time::Duration;

use symphra_scheduler_tests::services::{has_postgres, has_redis, postgres_url, redis_url};

use super::{Program, built, prints_in_order};

#[test]
fn the_sqlite_example_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("store.db").display());
    let run = || {
        let (status, printed) = Program::start("sqlite", &[&url]).ends();
        assert_eq!(status.code(), Some(0), "{printed}");
        prints_in_order(&printed, &["-- so far", "-- now", "beat of ", "-- all in all"]);
        printed
    };
    let first = run();
    assert!(first.contains("-- so far\n0 occurrences = 0 runs + 0 recorded"), "{first}");
    // Nobody is there for an occurrence.
    thread::sleep(Duration::from_millis(2_500));
    let second = run();
    let counted = |printed: &str, after: &str| {
        let line = printed.split(after).nth(1).and_then(|rest| rest.lines().nth(1)).expect("it counts").to_owned();
        let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert_eq!(numbers[0], numbers[1] + numbers[2], "{line}");
        numbers[0]
    };
    assert!(counted(&second, "-- so far") >= counted(&first, "-- all in all"), "{first}{second}");
    assert!(second.contains(" before it that nobody was there for"), "{second}");
    assert!(second.contains(" x missed: nobody could start it in time"), "{second}");
    let (status, _) = Program::spawned(Command::new(built().join("sqlite")).env_remove("SCHEDULER_BACKEND_URL")).ends();
    assert_eq!(status.code(), Some(2), "it has to be told which file");
}

#[test]
fn the_postgres_example_shares_the_work_and_heeds_a_pause() {
    let mut without = Command::new(built().join("postgres"));
    let told = without.env_remove("SCHEDULER_BACKEND_URL").output().expect("it starts");
    assert_eq!(told.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&told.stderr).contains("postgres postgres://user:password@host/database"));
    if !has_postgres() {
        return;
    }
    let (status, printed) = Program::start("postgres", &[postgres_url()]).ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    let pause = printed.lines().find(|line| line.starts_with("b: paused by ")).expect("b heeds it");
    assert!(pause.ends_with(": the shop is moving"), "{pause}");
    let counts = printed.lines().find(|line| line.contains(" runs in the store, ")).expect("it counts");
    let counts: Vec<u64> = counts.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(counts[0] == counts[1] && counts[0] > 5, "{printed}");
}

#[test]
fn the_redis_example_shares_the_work_and_goes_on_when_a_node_stops() {
    let mut without = Command::new(built().join("redis"));
    let told = without.env_remove("SCHEDULER_BACKEND_URL").output().expect("it starts");
    assert_eq!(told.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&told.stderr).contains("redis redis://localhost:6379/0"));
    if !has_redis() {
        return;
    }
    let (status, printed) = Program::start("redis", &[redis_url()]).ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    let numbers = |part: &str| -> Vec<u64> {
        let line = printed.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {printed}"));
        line.split([' ', ',']).filter_map(|word| word.parse().ok()).collect()
    };
    assert!(numbers("b did")[1] > 0 && numbers(" more")[0] > 3, "{printed}");
    let counts = numbers(" runs in the store, ");
    assert!(counts[0] == counts[1] && counts[0] > 8, "{printed}");
}

/// Three nodes of which one is killed, on the store of `arguments`.
fn a_cluster_survives(arguments: &[&str]) {
    let (status, printed) = Program::start("cluster", arguments).ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    prints_in_order(&printed, &["started on ", "begun by the one killed"]);
    assert!(printed.contains(" was killed in the middle of a run; d joins"), "{printed}");
    for nothing in ["missed", "twice", "unfinished"] {
        let line = printed.lines().find(|line| line.starts_with(nothing)).expect("it counts");
        assert_eq!(line.split_whitespace().last(), Some("0"), "{printed}");
    }
}

#[test]
fn the_cluster_example_survives_the_death_of_a_node_on_a_file() {
    a_cluster_survives(&[]);
}

#[test]
fn the_cluster_example_survives_the_death_of_a_node_on_a_server() {
    if has_postgres() {
        a_cluster_survives(&[postgres_url()]);
    }
    if has_redis() {
        a_cluster_survives(&[redis_url()]);
    }
}
