//! What the page of troubleshooting shows is what the commands say, of a program with one task for each symptom.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use symphra_scheduler_tests::samples::is_as;

use super::rig::{Home, PATIENCE, Program, Said};

const SHOP: &str = env!("CARGO_BIN_EXE_shop-fixture");

/// The commands of the page, in order, each with what it has to say.
fn samples(language: &str) -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(language).join("troubleshooting.md");
    let page = std::fs::read_to_string(page).expect("a page of the book");
    let blocks = page.split("```text\n$ ").skip(1).map(|rest| rest.split("\n```").next().unwrap_or_default());
    let pairs = blocks.map(|block| block.split_once('\n').expect("a command, and what it says"));
    pairs.map(|(command, says)| (command.to_owned(), says.to_owned())).collect()
}

#[test]
fn a_sample_is_compared_line_by_line() {
    for (sample, says, is) in [
        ("a", "a", true),
        ("a", "b", false),
        ("a", "a b", false),
        ("a …b", "a   x b", true),
        ("a …", "a x", true),
        ("a\n…\nb", "a\nx\ny\nb", true),
        ("a\nb", "a\nx\nb", false),
        ("a\n…", "a\nx", true),
        ("a", "a\nx", false),
        ("a  1", "a 20", true),
        ("a 1", "a x", false),
        ("9:00:01", "9:00:01.5", true),
        ("01a21d67-d0fa-7b66-8277-32fce7ffa28f: a", "01a21d68-0000-7b66-8277-32fce7ffa28f: a", true),
    ] {
        assert_eq!(is_as(sample, says), is, "{sample:?} and {says:?}");
    }
}

/// The words of a command, of which one may stand in quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, piece) in command.split('"').enumerate() {
        match number % 2 {
            0 => words.extend(piece.split_whitespace().map(str::to_owned)),
            _ => words.push(piece.to_owned()),
        }
    }
    words
}

fn shop(home: &Home, arguments: &[&str]) -> std::process::Command {
    let mut command = home.command(SHOP, "shop", arguments);
    command.env("SCHEDULER_BACKEND_URL", format!("sqlite://{}", home.path("shop.db").display()));
    command
}

#[test]
fn the_samples_of_the_page_are_what_the_commands_say() {
    let home = Home::new();
    let mut running = Some(Program::of(shop(&home, &["run"])));
    running.as_mut().expect("it runs").prints("  upload ");
    let samples = samples("en");
    assert!(samples.len() >= 10, "the page shows commands: {samples:?}");
    for (number, (command, sample)) in samples.iter().enumerate() {
        let words = words(command);
        assert_eq!(words[0], "shop", "{command}");
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let is_last = number + 1 == samples.len();
        if is_last {
            drop(running.take());
        }
        let began = Instant::now();
        loop {
            let mut asked = shop(&home, &arguments);
            // The one is of a program that has a name twice, the other of none that runs and keeps nothing.
            if arguments[0] == "check" {
                asked.env("TWICE", "yes");
            }
            if is_last {
                asked.env_remove("SCHEDULER_BACKEND_URL");
            }
            let said = Said::of(asked.stdin(Stdio::null()).output().expect("it can be run"));
            let says = if said.out.is_empty() { &said.err } else { &said.out };
            if is_as(sample, says) {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "$ {command}\n{says}\nand the page has\n{sample}");
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }
}
