//! The foreground into a pipe: whoever reads it slowly, or not at all, or goes away, holds up nothing.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::rig::{APP, Home, PATIENCE, send};

/// More than a pipe holds, and more than a pager shows.
const TASKS: &str = "5000";

/// The program with thousands of tasks, up, into a pipe that is in the hands of the test.
fn piped(home: &Home) -> Child {
    let mut command: Command = home.command(APP, "app", &["run"]);
    command.env("TASKS", TASKS).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let process = command.spawn().expect("the program can be run");
    let began = Instant::now();
    while home.app(&["health"]).code != Some(0) {
        assert!(began.elapsed() < PATIENCE, "it comes up");
    }
    process
}

/// The exit code of a process that has been asked to end.
fn ended(mut process: Child) -> Option<i32> {
    let began = Instant::now();
    loop {
        if let Some(status) = process.try_wait().expect("it is ours") {
            return status.code();
        }
        if began.elapsed() > PATIENCE {
            process.kill().expect("it is ours");
            process.wait().expect("it ends");
            panic!("it does not end");
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_neither_tasks_nor_a_signal() {
    let home = Home::new();
    let mut process = piped(&home);
    home.app(&["trigger", "fails"]).well();
    assert_eq!(home.ended("fails")["state"], "failed", "tasks run");
    send(&process.id().to_string(), "TERM");
    let unread = process.stdout.take();
    assert_eq!(ended(process), Some(0));
    assert!(home.sockets().is_empty(), "it drained, and cleaned up");
    let mut text = String::new();
    unread.expect("it is piped").read_to_string(&mut text).expect("in text");
    assert!(text.starts_with("symphra-scheduler ") && !text.contains("stopped after"), "the pipe was full");
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let home = Home::new();
    for arguments in [&["list"][..], &["plan", "--json"], &["completions", "bash"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let output = home.command(APP, "app", arguments).stdin(Stdio::null()).stdout(full).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("the output could not be written: No space left"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_pipe_that_is_read_late_gets_all_of_it() {
    let home = Home::new();
    let mut process = piped(&home);
    let mut out = process.stdout.take().expect("it is piped");
    let text = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).expect("in text");
        text
    });
    send(&process.id().to_string(), "TERM");
    assert_eq!(ended(process), Some(0));
    let text = text.join().expect("it was read");
    assert_eq!(text.lines().filter(|line| line.starts_with("  task ")).count(), 5_001, "the title, and each task");
    let last: Vec<&str> = text.lines().rev().take(2).collect();
    assert!(last[0].starts_with("stopped after ") && last[1].starts_with("stopping: "), "{last:?}");
}

#[test]
fn a_pipe_that_is_closed_ends_nothing() {
    let home = Home::new();
    let mut process = piped(&home);
    let mut line = [0; 16];
    let mut out = process.stdout.take().expect("it is piped");
    out.read_exact(&mut line).expect("it prints");
    // As `head -1` does.
    drop(out);
    home.app(&["trigger", "fails"]).well();
    assert_eq!(home.ended("fails")["state"], "failed", "tasks run");
    send(&process.id().to_string(), "TERM");
    assert_eq!(ended(process), Some(0));
}
