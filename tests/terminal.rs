//! The foreground on a terminal: what it prints there, and what becomes of it when the terminal goes.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

const WIDTH: u16 = 70;

/// Held by each test: what another one starts has its own copy of the terminal for a moment, before it becomes its program, and as long
/// as there is one the terminal is not gone.
static ALONE: Mutex<()> = Mutex::new(());

/// A program on a terminal of [`WIDTH`] columns, whose other end is returned.
fn on_terminal() -> (Child, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("it is ours");
    let size = Winsize { ws_row: 24, ws_col: WIDTH, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&ours, size).expect("it has a size");
    let name = ptsname(&ours, Vec::new()).expect("it has a name").into_string().expect("in text");
    let theirs = File::options().read(true).write(true).open(name).expect("it can be opened");
    let side = || Stdio::from(OwnedFd::from(theirs.try_clone().expect("a copy")));
    let program = Command::new(env!("CARGO_BIN_EXE_daemon-fixture"))
        .args(["run"])
        .stdin(side())
        .stdout(side())
        .stderr(side())
        .spawn()
        .expect("the program can be run");
    (program, File::from(ours))
}

/// What it prints up to the row of its task.
fn table(out: &mut impl BufRead) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        out.read_line(&mut line).expect("it prints");
        lines.push(line.trim_end().to_owned());
        if line.contains("hourly") {
            return lines;
        }
    }
}

fn signal(program: &Child, name: &str) {
    let kill = format!("kill -{name} {}", program.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success(), "{kill}");
}

#[test]
fn the_table_fits_the_terminal_and_the_program_ends_with_it() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut program, terminal) = on_terminal();
    let mut out = BufReader::new(terminal);
    let lines = table(&mut out);
    // Before the table there is the log, and a line about the whole.
    let rows = lines.iter().skip_while(|line| !line.trim_start().starts_with("task"));
    assert_eq!(rows.clone().count(), 2, "{lines:?}");
    for line in rows {
        assert!(line.chars().count() <= WIDTH.into() && !line.contains('\u{1b}'), "{line:?}");
    }
    // The window is closed.
    drop(out);
    signal(&program, "HUP");
    let status = program.wait().expect("it ends");
    assert_eq!(status.code(), Some(0), "it drained and ended as after Ctrl+C");
}

#[test]
fn away_from_a_terminal_the_table_is_whole_and_a_hang_up_is_no_end() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut program = Command::new(env!("CARGO_BIN_EXE_daemon-fixture"))
        .args(["run"])
        .env("BODY", "ticks")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program can be run");
    let mut out = BufReader::new(program.stdout.take().expect("it is piped"));
    let lines = table(&mut out);
    assert!(lines.iter().all(|line| !line.contains('…') && !line.contains('\u{1b}')), "{lines:?}");
    assert!(lines.iter().any(|line| line.chars().count() > WIDTH.into()), "{lines:?}");
    signal(&program, "HUP");
    // More than it can have printed before.
    let ticks = out.by_ref().lines().map_while(Result::ok).filter(|line| line == "tick").take(20).count();
    assert_eq!(ticks, 20, "it goes on");
    signal(&program, "INT");
    assert_eq!(program.wait().expect("it ends").code(), Some(0));
}
