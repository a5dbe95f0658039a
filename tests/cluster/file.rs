//! SQLite's file, locked by another process for longer than a step waits, and on a disk that is full.

use std::fs;
use std::process::Command;
use std::time::Duration;

use sqlx::{Connection, SqliteConnection};

use crate::checker::Promise;
use crate::rig::{RECOVERY, Store, now, sleep_until, soon};

fn load(first: i64) -> Vec<String> {
    (0..4).map(|number| format!("task=t{number},every=250,start={first},misfire=run_all")).collect()
}

fn settles(store: &Store, first: i64) {
    let last = now() - 500;
    let promise = |number| Promise { task: format!("t{number}"), first, period: 250, last, at_most_once: false };
    let promises: Vec<Promise> = (0..4).map(promise).collect();
    let verdict = store.settles(&promises, Vec::new, &[], RECOVERY);
    assert!(verdict.is_clean(), "{verdict}{}", store.story());
}

/// Locks the file against all who write.
pub(crate) fn locked_for(url: &str, duration: Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect(url).await.expect("it opens");
        sqlx::query("BEGIN EXCLUSIVE").execute(&mut connection).await.expect("nobody writes for long");
        tokio::time::sleep(duration).await;
        sqlx::query("ROLLBACK").execute(&mut connection).await.expect("it lets go");
    });
}

#[test]
fn a_file_locked_by_another_program_costs_nothing() {
    let store = Store::sqlite();
    let first = soon(Duration::from_secs(2));
    let tasks = load(first);
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let nodes = [store.node("a", &tasks), store.node("b", &tasks)];
    sleep_until(first + 1_000);
    locked_for(&store.url, Duration::from_secs(2));
    store.fires_again();
    settles(&store, first);
    // Longer than a step waits.
    locked_for(&store.url, Duration::from_secs(7));
    for node in &nodes {
        node.says("store.unreachable");
        node.says("store.reachable");
    }
    settles(&store, first);
    nodes.into_iter().for_each(crate::rig::Node::stop);
}

/// A small disk of its own, which is gone when this is dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` where nobody but root may have one.
    fn new(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let size = format!("size={megabytes}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        mount.is_ok_and(|mounted| mounted.status.success()).then(|| Self(folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

#[test]
fn a_full_disk_is_told_of_and_loses_nothing() {
    let Some(disk) = Disk::new(16) else {
        println!("left out: only root may mount the small disk that it fills");
        return;
    };
    let folder = disk.0.path();
    let store = Store::on(&format!("sqlite://{}", folder.join("store.db").display()));
    let first = soon(Duration::from_secs(2));
    let tasks = load(first);
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let mut node = store.node("a", &tasks);
    sleep_until(first + 1_000);
    let filler = folder.join("filler");
    // It ends with an error, when nothing is left.
    let full = fs::write(&filler, vec![0; 32 * 1_024 * 1_024]).expect_err("the disk is small");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    node.says("store.unreachable");
    assert!(node.said().contains("full"), "it says why:\n{}", store.story());
    assert_eq!(node.ask("ready"), "false");
    fs::remove_file(&filler).expect("it is there");
    node.says("store.reachable");
    store.fires_again();
    settles(&store, first);
    node.stop();
}
