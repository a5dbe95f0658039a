//! The quickstart on a file, killed in the middle of a run and started again.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use symphra_scheduler::chrono::{DateTime, TimeDelta, Utc};

use super::{PATIENCE, Program};

/// What the binary of the library tells of the store, past the program.
fn symphra(url: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_symphra-fixture"));
    let said = command.args(["--url", url, "--namespace", "quickstart"]).args(arguments).output().expect("it runs");
    assert!(said.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).expect("it is text")
}

pub(super) fn runs(url: &str, task: &str) -> Vec<Value> {
    serde_json::from_str(&symphra(url, &["runs", task, "-n", "100", "--json"])).expect("it is JSON")
}

/// The quickstart on a file, in the middle of a run of `sync_orders`, which takes a second and a half.
pub(super) fn in_the_middle_of_a_run(url: &str) -> (Program, Value) {
    let mut program = Program::start("quickstart", &["--backend", url]);
    program.prints("health_check: ok");
    program.prints("sync_orders: done");
    let began = Instant::now();
    loop {
        if let Some(run) = runs(url, "sync_orders").into_iter().find(|run| run["state"] == "running") {
            return (program, run);
        }
        assert!(began.elapsed() < PATIENCE, "it runs most of the time");
    }
}

fn instant(of: &Value) -> DateTime<Utc> {
    of["utc"].as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{of} is an instant"))
}

/// Lets the lease of the node that died have ended: it is 30 s, and a node that starts waits for as long once more.
async fn its_lease_ends(url: &str) {
    let mut file = SqliteConnection::connect(url).await.expect("it opens");
    let sql = "UPDATE quickstart_nodes SET lease_ms = 1000, lease_until = seen_at";
    sqlx::query(sql).execute(&mut file).await.expect("it is written");
    file.close().await.expect("it closes");
}

#[tokio::test]
async fn the_quickstart_killed_in_the_middle_of_a_run_goes_on_and_tells_the_story() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/scheduler.db", folder.path().display());
    let (program, run) = in_the_middle_of_a_run(&url);
    program.signal("KILL");
    let (_, printed) = program.ends();
    its_lease_ends(&url).await;
    let is_it = |other: &&Value| other["id"] == run["id"];
    assert_eq!(runs(&url, "sync_orders").iter().find(is_it).expect("it is there")["state"], "running", "{printed}");
    let down = Utc::now();
    // Nobody is there for several occurrences.
    thread::sleep(Duration::from_secs(5));
    let up = Utc::now();

    let (status, printed) = Program::start("quickstart", &["--for", "12s", "--backend", &url]).ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    // The run was recovered.
    let recovered = runs(&url, "sync_orders").into_iter().find(|other| other["id"] == run["id"]).expect("it is there");
    assert_eq!((&recovered["state"], &recovered["attempt"]), (&"succeeded".into(), &2.into()), "{printed}");
    let at = recovered["scheduled_at"]["utc"].as_str().expect("an instant");
    let told = symphra(&url, &["explain", "sync_orders", at]);
    assert!(told.contains("succeeded") && told.contains("attempt 2"), "{told}");
    // Of what was missed the newest ran, for the others too.
    let checks = runs(&url, "health_check");
    let missed = checks.iter().find(|run| !run["missed"].is_null()).unwrap_or_else(|| panic!("{checks:?}"));
    let last = instant(&missed["scheduled_at"]);
    assert!(last > down && last <= up + TimeDelta::seconds(2), "{missed}");
    let covered = (last - TimeDelta::seconds(2)).to_rfc3339();
    let told = symphra(&url, &["explain", "health_check", &covered]);
    assert!(told.contains("did not run; missed: nobody could start it in time"), "{told}");
    // What fell due while the run of the dead program was alive is accounted for.
    let during = (down + TimeDelta::seconds(2)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let told = symphra(&url, &["explain", "sync_orders", &during]);
    assert!(told.contains(" did not run; "), "{told}");
    let page: Value = serde_json::from_str(&symphra(&url, &["show", "sync_orders", "--json"])).expect("it is JSON");
    let count = |of: &str| page["ledger"][of].as_u64().unwrap_or_else(|| panic!("{page:#}"));
    assert_eq!(count("occurrences"), count("runs") + count("recorded"), "{page:#}");
}
