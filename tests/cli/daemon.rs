//! A program as a daemon, by its command line.

use serde_json::{Value, json};

use super::rig::{Home, send};

/// A folder whose file of settings has the daemon's files in it.
fn home() -> Home {
    let home = Home::new();
    let (pid, log) = (home.path("app.pid"), home.path("app.log"));
    home.write("scheduler.yaml", &format!("daemon: {{ pid_file: {}, log_file: {} }}\n", pid.display(), log.display()));
    home
}

/// A daemon that a test which failed has left behind is stopped.
struct Stopped<'a>(&'a Home);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        drop(self.0.app(&["daemon", "stop"]));
    }
}

#[test]
fn a_daemon_is_started_asked_restarted_and_stopped() {
    let home = home();
    let _stopped = Stopped(&home);
    home.app(&["daemon", "restart", "--pid", "x"]).fails(2, &["invalid value 'x'"]);
    let before = home.app(&["daemon", "status"]);
    assert_eq!((before.code, &*before.out), (Some(3), "not running"));
    let started = home.json(&["daemon", "start"]);
    let pid = started["pid"].as_u64().expect("a number");
    assert_eq!(home.json(&["daemon", "status"]), json!({ "status": "running", "pid": pid }));
    assert_eq!(home.json(&["nodes"])[0]["pid"], pid, "its socket is open once it is up");
    home.app(&["trigger", "report"]).well();
    home.ended("report");
    home.app(&["daemon", "start"]).fails(1, &["it runs already", &pid.to_string()]);

    let restarted = home.json(&["daemon", "restart"])["pid"].as_u64().expect("a number");
    assert_ne!(restarted, pid);
    assert_eq!(home.json(&["nodes"])[0]["pid"], restarted);
    assert_eq!(home.app(&["daemon", "stop"]).well(), format!("stopped, PID {restarted}"));
    assert!(home.sockets().is_empty(), "{:?}", home.sockets());
    let again = home.app(&["daemon", "stop"]);
    assert_eq!((again.code, &*again.out), (Some(3), "was not running"));
}

#[test]
fn a_daemon_that_was_killed_is_told_as_stale() {
    let home = home();
    let _stopped = Stopped(&home);
    let pid = home.json(&["daemon", "start"])["pid"].to_string();
    send(&pid, "KILL");
    // Its end, of which only the kernel knows.
    let began = std::time::Instant::now();
    let status = loop {
        let status = home.app(&["daemon", "status", "--json"]);
        if status.code != Some(0) {
            break status;
        }
        assert!(began.elapsed() < super::rig::PATIENCE, "it ends");
    };
    let shown: Value = serde_json::from_str(&status.out).expect("it is JSON");
    assert_eq!((status.code, &shown["status"]), (Some(1), &json!("stale")));
    home.app(&["health"]).fails(3, &["no program \"app\" is running"]);
}
