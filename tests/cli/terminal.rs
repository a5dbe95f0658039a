//! The look of a command on a terminal, and away from one.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::rig::{APP, Home};

const ESCAPE: char = '\u{1b}';

/// What a command prints on a terminal of `width` columns.
fn on_terminal(home: &Home, width: u16, arguments: &[&str], no_color: &str) -> String {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("it is ours");
    tcsetwinsize(&ours, Winsize { ws_row: 24, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 }).expect("it has a size");
    let name = ptsname(&ours, Vec::new()).expect("it has a name").into_string().expect("in text");
    let theirs = File::options().read(true).write(true).open(name).expect("it can be opened");
    let side = || Stdio::from(OwnedFd::from(theirs.try_clone().expect("a copy")));
    let mut command = home.command(APP, "app", arguments);
    command.env("NO_COLOR", no_color).stdin(side()).stdout(side()).stderr(side());
    let mut process = command.spawn().expect("it can be run");
    drop((command, theirs));
    let mut bytes = Vec::new();
    // It ends with an error where nobody has the other side open any more.
    drop(File::from(ours).read_to_end(&mut bytes));
    assert!(process.wait().expect("it ends").success(), "{}", String::from_utf8_lossy(&bytes));
    String::from_utf8(bytes).expect("in text").replace("\r\n", "\n")
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
    let last = shown.trim_end().rsplit(['\n', '\r']).next().expect("a line");
    assert!(plain(last).ends_with(&format!(": {count} runs: {count} succeeded")), "{shown:?}");
}
