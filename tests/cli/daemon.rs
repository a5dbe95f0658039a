//! A program as a daemon, by its command line.

use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use symphra_scheduler::chrono::{DateTime, Utc};

use super::rig::{APP, Home, Said, send};

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
    let status = home.json(&["daemon", "status"]);
    assert_eq!(status, json!({ "status": "running", "pid": pid, "since": status["since"] }));
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
fn a_daemon_tells_since_when_it_runs_and_one_that_does_not_run_tells_nothing_of_it() {
    let home = home();
    let _stopped = Stopped(&home);
    let status = |code: i32| {
        let said = home.app(&["daemon", "status", "--json"]);
        assert_eq!(said.code, Some(code), "{said:?}");
        serde_json::from_str::<Value>(&said.out).expect("it is JSON")
    };
    assert_eq!(status(3), json!({ "status": "not_running", "pid": null, "since": null }));
    // The clock of files is a few milliseconds behind.
    let before = DateTime::<Utc>::from(SystemTime::now() - Duration::from_millis(100));
    home.app(&["daemon", "start"]).well();
    let after = DateTime::<Utc>::from(SystemTime::now());
    let told = status(0)["since"].as_str().expect("an instant").to_owned();
    let since = DateTime::parse_from_rfc3339(&told).expect("RFC 3339");
    assert!(told.ends_with('Z') && (before..=after).contains(&since.to_utc()), "{before} {told} {after}");
    assert_eq!(status(0)["since"], *told, "it stays");
    let words = home.app(&["daemon", "status"]).well();
    assert!(words.ends_with(&format!(", since {}", since.format("%Y-%m-%dT%H:%M:%SZ"))), "{words}");
    home.app(&["daemon", "restart"]).well();
    let again = status(0)["since"].as_str().expect("an instant").to_owned();
    assert!(DateTime::parse_from_rfc3339(&again).expect("RFC 3339") >= since, "of the daemon that runs: {again}");
    home.app(&["daemon", "stop"]).well();
    assert_eq!(status(3)["since"], Value::Null);
}

#[test]
fn a_hang_up_has_a_daemon_read_its_overrides_again() {
    let home = home();
    let _stopped = Stopped(&home);
    let pid = home.json(&["daemon", "start"])["pid"].to_string();
    let settings = std::fs::read_to_string(home.path("scheduler.yaml")).expect("it is there");
    home.write("scheduler.yaml", &format!("{settings}tasks:\n  report: {{ cron: '15 4 * * *' }}\n"));
    send(&pid, "HUP");
    home.until(&["show", "report"], |task| task["schedule"].as_str().is_some_and(|words| words.contains("04:15")));
    home.write("scheduler.yaml", &format!("{settings}tasks:\n  report: {{ cron: '61 4 * * *' }}\n"));
    send(&pid, "HUP");
    let began = std::time::Instant::now();
    while !std::fs::read_to_string(home.path("app.log")).expect("it is there").contains("config.refused") {
        assert!(began.elapsed() < super::rig::PATIENCE, "it says so");
    }
    // The command reads the file too.
    home.write("scheduler.yaml", &settings);
    home.until(&["show", "report"], |task| task["schedule"].as_str().is_some_and(|words| words.contains("04:15")));
    assert_eq!(home.json(&["daemon", "stop"])["status"], "stopped");
}

#[test]
fn a_daemon_that_was_killed_is_told_as_stale_and_another_starts_in_its_place() {
    let home = home();
    let _stopped = Stopped(&home);
    let killed = home.json(&["daemon", "start"])["pid"].to_string();
    send(&killed, "KILL");
    // Its end, of which only the kernel knows.
    let began = std::time::Instant::now();
    while home.app(&["daemon", "status"]).code == Some(0) {
        assert!(began.elapsed() < super::rig::PATIENCE, "it ends");
    }
    let status = home.app(&["daemon", "status"]);
    assert!(status.code == Some(1) && status.out.contains("killed") && status.out.contains(&killed), "{status:?}");
    let status = home.app(&["daemon", "status", "--json"]);
    let shown: Value = serde_json::from_str(&status.out).expect("it is JSON");
    let pid: u32 = killed.parse().expect("a number");
    assert_eq!((status.code, shown), (Some(1), json!({ "status": "stale", "pid": pid, "since": null })));
    home.app(&["health"]).fails(3, &["no program \"app\" is running"]);
    home.app(&["trigger", "report"]).fails(3, &["no program \"app\" is running"]);
    let again = home.json(&["daemon", "start"])["pid"].to_string();
    assert_ne!(again, killed);
    assert_eq!(home.sockets(), [format!("app.{again}.sock")], "what the killed one left is gone");
    home.app(&["trigger", "report"]).well();
    home.ended("report");
    assert_eq!(home.json(&["daemon", "stop"])["status"], "stopped");
}

/// What a person reads who types `line` in another shell, elsewhere, where the program is called `app`.
fn types(home: &Home, line: &str) -> Said {
    let path = format!("{}:{}", home.0.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir("/").env_clear().process_group(0);
    shell.envs([("PATH", path.as_str()), ("SCHEDULER_CONFIG", &home.path("scheduler.yaml").display().to_string())]);
    Said::of(shell.env("SYMPHRA_CONTROL_DIR", &home.0).stdin(Stdio::null()).output().expect("there is a shell"))
}

#[test]
fn a_daemon_is_driven_from_other_shells_by_its_own_command_line() {
    let home = home();
    let _stopped = Stopped(&home);
    symlink(APP, home.path("app")).expect("a link");
    let types = |line: &str| types(&home, line);

    let started = types("app daemon start").well();
    let pid = started.strip_prefix("started, PID ").unwrap_or_else(|| panic!("{started}")).to_owned();
    let status = types("app daemon status").well();
    assert!(status.starts_with(&format!("running, PID {pid}, since 20")), "{status}");
    let list = types("app list").well();
    assert!(
        list.contains("at 09:30, Monday to Friday") && list.contains("a task whose name takes its place"),
        "{list}"
    );
    assert_eq!(types("app pause report --reason 'moving the database'").well(), "paused report");
    let list = types("app list --status paused").well();
    assert!(list.lines().any(|line| line.starts_with("report ")), "{list}");

    let triggered = types("app trigger report").well();
    let run = triggered.strip_prefix("triggered report, run ").unwrap_or_else(|| panic!("{triggered}")).to_owned();
    let began = std::time::Instant::now();
    let runs = loop {
        let runs = types("app runs report").well();
        if runs.contains("succeeded") {
            break runs;
        }
        assert!(began.elapsed() < super::rig::PATIENCE, "it ends: {runs}");
    };
    assert!(runs.contains(&run), "{runs}");

    let explained = types("app explain report '2026-01-05 09:30'").well();
    assert!(explained.contains("no occurrence: the task was first registered later"), "{explained}");
    let explained = types("app explain report '2999-01-01 09:31'").well();
    assert!(explained.contains("no occurrence"), "{explained}");
    let log = std::fs::read_to_string(home.path("app.log")).expect("it is there");
    assert!(log.contains("report: done") && log.contains("moving the database"), "{log}");

    assert_eq!(types("app daemon stop").well(), format!("stopped, PID {pid}"));
    let status = types("app daemon status");
    assert_eq!((status.code, &*status.out), (Some(3), "not running"));
    types("app trigger report").fails(3, &["no program \"app\" is running; start it with `app run`"]);
    let mut left: Vec<String> = std::fs::read_dir(&home.0)
        .expect("it can be read")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    left.sort_unstable();
    assert_eq!(left, ["app", "app.log", "scheduler.yaml"]);
}

#[test]
fn a_hundred_starts_and_stops_leave_no_socket_and_no_file() {
    let home = home();
    let _stopped = Stopped(&home);
    for round in 0..100 {
        let pid = home.json(&["daemon", "start"])["pid"].clone();
        assert_eq!(home.sockets(), [format!("app.{pid}.sock")], "{round}");
        assert_eq!(home.json(&["daemon", "stop"]), json!({ "status": "stopped", "pid": pid }), "{round}");
        let mut left: Vec<_> = home.all().iter().filter_map(|file| file.split(' ').next().map(str::to_owned)).collect();
        left.sort_unstable();
        assert_eq!(left, ["app.log", "scheduler.yaml"].map(|name| home.path(name).display().to_string()), "{round}");
    }
}
