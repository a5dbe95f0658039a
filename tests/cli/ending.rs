//! A second signal ends a program at once: here what runs would have an hour.

use std::process::Stdio;
use std::time::Instant;

use super::rig::{APP, Home, PATIENCE, Program, send};

/// The daemon of a folder, with a run that never ends. It is killed when this is dropped.
pub(crate) struct Daemon<'a> {
    home: &'a Home,
    pub(crate) pid: String,
}

impl<'a> Daemon<'a> {
    pub(crate) fn busy(home: &'a Home) -> Self {
        let (pid, log) = (home.path("app.pid"), home.path("app.log"));
        let files = format!("daemon: {{ pid_file: {}, log_file: {} }}\n", pid.display(), log.display());
        home.write("scheduler.yaml", &format!("shutdown_timeout: 1h\n{files}"));
        let daemon = Self { home, pid: home.json(&["daemon", "start"])["pid"].to_string() };
        home.app(&["trigger", "slow"]).well();
        daemon.logs("slow: began");
        daemon
    }

    /// Waits until this is in its log.
    #[track_caller]
    fn logs(&self, part: &str) {
        let began = Instant::now();
        while !std::fs::read_to_string(self.home.path("app.log")).expect("it is there").contains(part) {
            assert!(began.elapsed() < PATIENCE, "{part:?} never comes");
        }
    }

    fn is_draining(&self) {
        self.logs("scheduler.stopping");
        assert_eq!(self.home.json(&["runs", "slow"])[0]["state"], "running");
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // It has ended, if the test went well.
        let kill = ["-c", &format!("kill -KILL {}", self.pid)];
        drop(std::process::Command::new("sh").args(kill).stderr(Stdio::null()).status());
    }
}

#[test]
fn a_second_signal_ends_the_foreground_at_once() {
    let home = Home::new();
    home.write("scheduler.yaml", "shutdown_timeout: 1h\n");
    for signal in ["TERM", "INT"] {
        let mut program = home.runs();
        home.app(&["trigger", "slow"]).well();
        program.prints("slow: began");
        send(&program.pid(), signal);
        program.prints("stopping: ");
        assert_eq!(home.json(&["runs", "slow"])[0]["state"], "running", "what runs may end");
        send(&program.pid(), signal);
        program.prints("stopped after ");
        program.prints(" was cancelled while it ran ");
        assert_eq!(program.process.wait().expect("it ends").code(), Some(0), "{signal}");
    }
}

#[test]
fn a_second_signal_ends_a_daemon_at_once() {
    let home = Home::new();
    let daemon = Daemon::busy(&home);
    send(&daemon.pid, "TERM");
    daemon.is_draining();
    send(&daemon.pid, "TERM");
    daemon.logs("scheduler.stopped");
    let began = Instant::now();
    while home.app(&["daemon", "status"]).code != Some(3) {
        assert!(began.elapsed() < PATIENCE, "it ends");
    }
}

#[test]
fn a_second_stop_beside_the_first_ends_a_daemon_at_once() {
    let home = Home::new();
    let daemon = Daemon::busy(&home);
    let stops = || Program::of(home.command(APP, "app", &["daemon", "stop"]));
    let mut first = stops();
    daemon.is_draining();
    let mut second = stops();
    for stop in [&mut first, &mut second] {
        stop.prints(&format!("stopped, PID {}", daemon.pid));
    }
}
