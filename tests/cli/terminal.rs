//! The look of a command on a terminal, and away from one.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::ending::Daemon;
use super::rig::{APP, Home, PATIENCE, send};

const ESCAPE: char = '\u{1b}';

/// A command on a terminal of its own.
struct OnTerminal {
    process: Child,
    read: Receiver<Vec<u8>>,
    shown: Vec<u8>,
}

impl OnTerminal {
    fn of(home: &Home, width: u16, arguments: &[&str], no_color: &str) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("it is ours");
        tcsetwinsize(&ours, Winsize { ws_row: 24, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 }).expect("it has a size");
        let name = ptsname(&ours, Vec::new()).expect("it has a name").into_string().expect("in text");
        let theirs = File::options().read(true).write(true).open(name).expect("it can be opened");
        let side = || Stdio::from(OwnedFd::from(theirs.try_clone().expect("a copy")));
        let mut command = home.command(APP, "app", arguments);
        command.env("NO_COLOR", no_color).stdin(side()).stdout(side()).stderr(side());
        let process = command.spawn().expect("it can be run");
        let (sender, read) = channel();
        let mut ours = File::from(ours);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends with an error where nobody has the other side open any more.
            while let Ok(count @ 1..) = ours.read(&mut bytes) {
                if sender.send(bytes[..count].to_owned()).is_err() {
                    break;
                }
            }
        });
        Self { process, read, shown: Vec::new() }
    }

    /// Waits until it has shown `part` so often.
    #[track_caller]
    fn shows(&mut self, part: &str, times: usize) {
        let began = Instant::now();
        while String::from_utf8_lossy(&self.shown).matches(part).count() < times {
            match self.read.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
                Ok(bytes) => self.shown.extend(bytes),
                Err(_) => {
                    let end = &self.shown[self.shown.len().saturating_sub(1_000)..];
                    panic!("{part:?} is not shown {times} times, and at last: {:?}", String::from_utf8_lossy(end));
                }
            }
        }
    }

    /// All that it has shown, once it has ended well.
    #[track_caller]
    fn ended(&mut self) -> String {
        self.shown.extend(self.read.iter().flatten());
        let shown = String::from_utf8_lossy(&self.shown).replace("\r\n", "\n");
        assert!(self.process.wait().expect("it ends").success(), "{shown}");
        shown
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // It has ended, if the test went well.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// What a command shows on a terminal of `width` columns.
#[track_caller]
fn on_terminal(home: &Home, width: u16, arguments: &[&str], no_color: &str) -> String {
    OnTerminal::of(home, width, arguments, no_color).ended()
}

/// The lines that are left on the terminal of all that was shown.
fn left_of(shown: &str) -> Vec<String> {
    let (mut lines, mut row, mut column) = (vec![Vec::new()], 0, 0);
    let mut rest = shown.chars();
    while let Some(next) = rest.next() {
        match next {
            '\r' => column = 0,
            '\n' => (row, column) = (row + 1, 0),
            ESCAPE => {
                assert_eq!(rest.next(), Some('['), "another code than those of colours and cursor: {shown:?}");
                let mut code = String::new();
                while !code.ends_with(|c: char| c.is_ascii_alphabetic()) {
                    code.push(rest.next().expect("a code ends with a letter"));
                }
                match code.as_str() {
                    "2K" => lines[row].clear(),
                    "K" | "0K" => lines[row].truncate(column),
                    "A" | "1A" => row = row.saturating_sub(1),
                    colour if colour.ends_with('m') => {}
                    other => panic!("{other:?} is not known here: {shown:?}"),
                }
            }
            character => {
                let line: &mut Vec<char> = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = character;
                column += 1;
            }
        }
        lines.resize(lines.len().max(row + 1), Vec::new());
    }
    let lines = lines.into_iter().map(|line| line.into_iter().collect::<String>().trim_end().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

/// The text without its escape codes.
fn plain(text: &str) -> String {
    let mut parts = text.split(ESCAPE);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[test]
fn tables_fit_the_terminal_and_are_in_colour_there_only() {
    let home = Home::new();
    let _program = home.runs();
    home.app(&["trigger", "fails"]).well();
    home.ended("fails");
    home.app(&["pause", "report", "--reason", "a reason of some length that has to be shown somewhere"]).well();
    for width in [60, 120] {
        for command in [&["list"][..], &["runs"], &["next"], &["nodes"]] {
            let shown = on_terminal(&home, width, command, "");
            assert!(shown.contains(ESCAPE), "{width}: {shown}");
            for line in plain(&shown).lines() {
                assert!(line.chars().count() <= width.into(), "{width}: {line:?} in\n{shown}");
            }
            let words = |text: &str| plain(text).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert!(words(&shown).contains(&"UTC".to_owned()) || command == ["nodes"], "nothing is cut:\n{shown}");
        }
    }
    let list = on_terminal(&home, 120, &["list"], "");
    assert!(list.contains("\u{1b}[31mfailed\u{1b}[0m") && list.contains("\u{1b}[33mpaused\u{1b}[0m"), "{list:?}");
    assert!(list.contains("\u{1b}[1mSTATUS\u{1b}[0m"), "{list:?}");

    assert!(!on_terminal(&home, 120, &["list"], "1").contains(ESCAPE), "NO_COLOR is heeded");
    assert!(!on_terminal(&home, 120, &["list", "--color", "never"], "").contains(ESCAPE));
    assert!(!on_terminal(&home, 120, &["list", "--json"], "").contains(ESCAPE), "JSON has no colours");
    for command in [&["list"][..], &["runs"], &["show", "report"], &["health"], &["--help"]] {
        let piped = home.app(command).well();
        assert!(!piped.contains(ESCAPE), "{piped:?}");
    }
    assert!(home.app(&["list", "--color", "always"]).well().contains("\u{1b}[31mfailed"));
    let whole = home.app(&["list"]).well();
    assert!(whole.lines().skip(1).all(|line| line.contains(':')), "a pipe gets a line for each task:\n{whole}");
}

#[test]
fn help_is_in_colour_on_a_terminal_and_fits_it() {
    let home = Home::new();
    let shown = on_terminal(&home, 60, &["runs", "--help"], "");
    assert!(shown.contains(ESCAPE), "{shown}");
    for line in plain(&shown).lines() {
        assert!(line.chars().count() <= 60, "{line}");
    }
    assert!(!on_terminal(&home, 60, &["runs", "--help", "--color", "never"], "").contains(ESCAPE));
}

#[test]
fn progress_is_shown_on_a_terminal_and_nothing_of_it_stays() {
    let home = Home::new();
    let _program = home.runs();
    let (from, to, count) = super::commands::not_run(&home);
    let backfill = ["backfill", "often", "--from", &from, "--to", &to, "--wait"];
    let shown = on_terminal(&home, 100, &backfill, "");
    assert!(shown.contains("runs have ended"), "{shown:?}");
    let [left] = &left_of(&shown)[..] else { panic!("one line is left: {shown:?}") };
    assert!(left.ends_with(&format!(": {count} runs: {count} succeeded")), "{shown:?}");
}

#[test]
fn what_takes_long_turns_on_a_terminal_until_it_is_done_and_nothing_of_it_stays() {
    let home = Home::new();
    let daemon = Daemon::busy(&home);
    let mut stop = OnTerminal::of(&home, 100, &["daemon", "stop"], "");
    stop.shows("stopping: what runs may end", 3);
    // The second signal: at once.
    send(&daemon.pid, "TERM");
    let shown = stop.ended();
    assert_eq!(left_of(&shown), [format!("stopped, PID {}", daemon.pid)], "{shown:?}");
    let turns: BTreeSet<_> = shown.split("stopping: ").filter_map(|before| before.trim_end().chars().last()).collect();
    assert!(turns.len() >= 3, "it turns: {shown:?}");

    for (command, says) in [("start", "starting"), ("restart", "restarting: what runs may end")] {
        let shown = on_terminal(&home, 100, &["daemon", command], "");
        let pid = home.json(&["daemon", "status"])["pid"].to_string();
        assert_eq!(left_of(&shown), [format!("started, PID {pid}")], "{shown:?}");
        assert!(shown.contains(says), "{shown:?}");
    }
    let stopped = home.app(&["daemon", "stop"]).well();
    assert!(stopped.starts_with("stopped, PID "), "a pipe gets nothing else: {stopped}");
}
