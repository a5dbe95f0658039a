//! Nodes whose wall clocks are wrong, and are set while they run.
//!
//! The true clock is this process's, and that of the diaries.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use symphra_scheduler_tests::services::{has_postgres, has_redis};

use crate::checker::{Line, Promise, Seen, judge};
use crate::rig::{Node, RECOVERY, Store, now, sleep_until, soon};

/// By how much a clock is wrong.
const OFF_MILLIS: i64 = 30_000;

const TASKS: usize = 6;

/// A wall clock that stands beside the machine's, and can be set.
pub(crate) struct Clock {
    file: File,
    path: PathBuf,
}

impl Clock {
    /// A clock that is so far ahead of the true one; behind it, if negative. It is never quite right: so whoever starts by it sees that
    /// it is not the kernel's, which would tell of no step of it. Nobody is early by one that is a little behind.
    pub(crate) fn ahead(folder: &Path, millis: i64) -> Self {
        let path = folder.join(format!("clock{:x}", fastrand::u64(..)));
        let file = File::options().read(true).write(true).create_new(true).open(&path).expect("a file");
        let clock = Self { file, path };
        clock.set(if millis == 0 { -20 } else { millis });
        clock
    }

    /// Sets it so far ahead.
    pub(crate) fn set(&self, millis: i64) {
        self.file.write_all_at(&millis.to_ne_bytes(), 0).expect("it can be written");
    }

    /// A node that goes by this clock.
    pub(crate) fn node(&self, store: &Store, name: &str, arguments: &[&str]) -> Node {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node-fixture"));
        command.env("LD_PRELOAD", hook()).env("SYMPHRA_TEST_CLOCK", &self.path);
        let mut node = store.spawn_by(&mut command, name, arguments);
        node.reads("up");
        node
    }
}

/// The library that lays a clock over the machine's, made by the compiler that SQLite is made by.
fn hook() -> &'static Path {
    static HOOK: OnceLock<PathBuf> = OnceLock::new();
    HOOK.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (new, path) = (folder.join(format!("clock-{}.so", std::process::id())), folder.join("clock.so"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/clock.c");
        let made = Command::new("cc").args(["-O1", "-shared", "-fPIC", "-o"]).arg(&new).arg(source).output();
        let made = made.expect("cc runs");
        assert!(made.status.success(), "cc: {}", String::from_utf8_lossy(&made.stderr));
        // Another run of these tests may be using the one before.
        fs::rename(new, &path).expect("it can be renamed");
        path
    })
}

fn load(first: i64) -> Vec<String> {
    (0..TASKS)
        .map(|number| format!("task=t{number},every=250,start={first},body={},misfire=run_all", number * 20))
        .collect()
}

fn promises(first: i64, last: i64) -> Vec<Promise> {
    let promise = |number| Promise { task: format!("t{number}"), first, period: 250, last, at_most_once: false };
    (0..TASKS).map(promise).collect()
}

/// Waits until each of the nodes has begun runs that fell due from now on.
fn all_fire(store: &Store, nodes: &[&str]) {
    let from = now();
    store.until("every node runs something", |lines| {
        let has_begun =
            |node: &&str| lines.iter().filter(|line| line.node == **node && line.instant > from).count() > 3;
        nodes.iter().all(has_begun)
    });
}

/// What the node says of its clock: by how many milliseconds the store's is ahead, and whether that is too much.
fn offset(node: &mut Node) -> (i64, bool) {
    let said = node.ask("clock");
    let (millis, is_off) = said.split_once(' ').expect("two words");
    (millis.parse().expect("milliseconds"), is_off == "true")
}

/// An offset that is right but for what a measurement under load leaves open.
fn is_about(found: i64, right: i64) -> bool {
    (found - right).abs() < 500
}

#[test]
fn by_the_clock_of_a_database_nodes_whose_own_is_wrong_are_never_early_and_double_nothing() {
    if has_postgres() {
        by_the_clock_of(&Store::postgres());
    }
}

#[test]
fn by_the_clock_of_redis_nodes_whose_own_is_wrong_are_never_early_and_double_nothing() {
    if has_redis() {
        by_the_clock_of(&Store::redis());
    }
}

/// A server has one clock, and all nodes go by it.
fn by_the_clock_of(store: &Store) {
    let [ahead, behind] = [OFF_MILLIS, -OFF_MILLIS].map(|millis| Clock::ahead(store.folder(), millis));
    let first = soon(Duration::from_secs(2));
    let tasks = load(first);
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let mut right = store.node("right", &tasks);
    let mut fast = ahead.node(store, "fast", &tasks);
    let mut slow = behind.node(store, "slow", &tasks);
    all_fire(store, &["right", "fast", "slow"]);
    for (node, expected) in [(&mut right, 0), (&mut fast, -OFF_MILLIS), (&mut slow, OFF_MILLIS)] {
        let (found, is_off) = offset(node);
        assert!(is_about(found, expected) && is_off == (expected != 0), "{}: {found} {is_off}", node.name());
        assert_eq!(node.said().contains("clock.differs"), is_off, "{}", store.story());
    }
    // Alone they have nobody beside them who is in time.
    right.stop();
    slow.stop();
    all_fire(store, &["fast"]);
    // By a minute back, at once.
    ahead.set(-OFF_MILLIS);
    let set = now();
    all_fire(store, &["fast"]);
    let slow = behind.node(store, "slow", &tasks);
    fast.stop();
    all_fire(store, &["slow"]);
    behind.set(OFF_MILLIS);
    all_fire(store, &["slow"]);
    behind.set(0);
    slow.says("clock.agrees");
    all_fire(store, &["slow"]);
    let verdict = store.settles(&promises(first, now() - 500), Vec::new, &[], RECOVERY);
    assert!(verdict.is_clean(), "the clock was set at {set}: {verdict}{}", store.story());
    // By the diaries, no run was put off by the thirty seconds.
    let lines = store.lines();
    let latest = lines.iter().filter(|line| line.seen == Seen::Start).map(|line| line.at - line.instant).max();
    assert!(latest < Some(OFF_MILLIS / 3), "late by {latest:?} ms");
    slow.stop();
}

/// What a store in a file asks for the time is the host, in each process by itself. A host has one clock; a process that
/// sees another is beyond what is promised. It is early or late by that, and all the same nothing runs twice.
#[test]
fn on_a_file_a_process_whose_clock_is_wrong_is_early_or_late_by_that_and_doubles_nothing() {
    thread::scope(|scope| {
        for millis in [OFF_MILLIS, -OFF_MILLIS] {
            scope.spawn(move || on_a_file_is_off_by(millis));
        }
    });
}

fn on_a_file_is_off_by(millis: i64) {
    let store = Store::sqlite();
    let clock = Clock::ahead(store.folder(), millis);
    let first = soon(Duration::from_secs(2));
    let tasks = load(first);
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let right = store.node("right", &tasks);
    sleep_until(first + 1_500);
    let mut wrong = clock.node(&store, "wrong", &tasks);
    assert_eq!(offset(&mut wrong), (0, false), "its store's clock is its own");
    // So far that leases have run out by the one clock, if not by the other. Diaries go by the true one, and whoever is ahead
    // leaves nothing to the other.
    let over = now() + 13_000;
    store.until("leases have run out", |lines| lines.iter().any(|line| line.at >= over));
    let last = now() - 500;
    // Each may take the other for dead.
    let lost = ["right", "wrong"];
    let own = |line: Line| if line.node == "wrong" { Line { at: line.at + millis.max(0), ..line } } else { line };
    let lines: Vec<Line> = store.lines().into_iter().map(own).collect();
    let verdict = judge(&lines, &promises(first, last), &[], &lost);
    assert!(verdict.missed.is_empty() && verdict.extra.is_empty(), "off by {millis}: {verdict}{}", store.story());
    let is_early = |line: &Line| line.node == "wrong" && line.seen == Seen::Start && line.at < line.instant;
    assert_eq!(store.lines().iter().any(is_early), millis > 0, "off by {millis}:\n{}", store.story());
    for number in 0..TASKS {
        wrong.balanced_ledger(&format!("t{number}"));
    }
    right.stop();
    wrong.stop();
}

/// That of a node is wrong and its diary is true, or these tests would hold nothing.
#[test]
fn a_node_by_another_clock_has_a_diary_of_the_true_one() {
    let store = Store::sqlite();
    let clock = Clock::ahead(store.folder(), OFF_MILLIS);
    let mut node = clock.node(&store, "a", &[&format!("task=beat,every=250,start={}", now() + OFF_MILLIS)]);
    store.until("it runs", |lines| !lines.is_empty());
    let lines = store.lines();
    assert!((lines[0].at - now()).abs() < OFF_MILLIS / 3, "{lines:?}");
    let next: i64 = node.ask("next beat").split(' ').next().and_then(|at| at.parse().ok()).expect("an instant");
    assert!(next > now() + OFF_MILLIS / 2, "{next}");
    node.stop();
}
