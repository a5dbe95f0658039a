//! What pages show of commands is what these do and say: the page of troubleshooting of a program with one task for each symptom, others
//! of programs by the names that they have there.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use serde_json::Value;
use symphra_scheduler_tests::samples::is_as;
use symphra_scheduler_tests::services::has_program;
use symphra_scheduler_tests::shown::{Shell, block, command, words};

use super::rig::{APP, Home, PATIENCE, Program, SYMPHRA, Said, has_ended, until};

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

/// A program by another name, which works and keeps its store in `home`.
fn called(home: &Home, name: &str, arguments: &[&str]) -> std::process::Command {
    let mut command = home.command(APP, name, arguments);
    command.env("SCHEDULER_BACKEND_URL", "sqlite://scheduler.db").env("SCHEDULER_BACKEND_NAMESPACE", name);
    command
}

/// What a program by another name prints as JSON.
fn json_of(home: &Home, name: &str, arguments: &[&str]) -> Value {
    let said = Said::of(called(home, name, arguments).arg("--json").output().expect("it can be run"));
    serde_json::from_str(&said.well()).expect("it is JSON")
}

/// A program by another name that has run these tasks, one after another.
fn has_run(home: &Home, name: &str, tasks: &[&str]) -> Program {
    let mut program = Program::of(called(home, name, &["run"]));
    program.prints("  slow ");
    for task in tasks {
        json_of(home, name, &["trigger", task]);
        until(|| json_of(home, name, &["runs", task, "-n", "1"]), &["runs", task], has_ended);
    }
    program
}

#[test]
fn a_store_is_reached_by_the_commands_of_the_pages() {
    let home = Home::new();
    let shell = Shell::in_folder(&home.0);
    for (name, program) in [("billing", APP), ("payroll", APP), ("symphra", SYMPHRA)] {
        shell.has(name, program);
    }
    let says = |page: &str, beginning: &str, name: &str| {
        let mut typed = shell.types(&command(page, beginning));
        typed.env("SYMPHRA_CONTROL_DIR", &home.0).env("SCHEDULER_BACKEND_URL", "sqlite://scheduler.db");
        let said = typed.env("SCHEDULER_BACKEND_NAMESPACE", name).stdin(Stdio::null()).output();
        Said::of(said.expect("it can be run")).well()
    };
    for name in ["billing", "payroll"] {
        let program = has_run(&home, name, &["report", "fails"]);
        if name == "billing" && has_program("jq") {
            assert_eq!(says("docs/en/cli.md", "billing list", name), "fails");
        }
        assert_eq!(program.ends_by("TERM"), Some(0));
    }
    home.write("scheduler.yaml", "backend: { url: 'sqlite://scheduler.db' }\n");
    let runs = says("docs/en/cli.md", "symphra --url", "another");
    assert!(runs.contains("succeeded"), "{runs}");
    assert!(says("docs/en/backends.md", "payroll runs", "payroll").contains("succeeded"));
    let explained = says("docs/en/backends.md", "payroll explain", "payroll");
    assert!(explained.starts_with("report: 2026-12-31T01:30:00.000Z"), "09:30 in its zone: {explained}");
    let listed = says("docs/en/backends.md", "symphra --config", "another");
    assert!(listed.contains("report") && listed.contains("fails"), "{listed}");
}

#[test]
fn the_log_of_a_run_is_shown_as_the_page_has_it() {
    let sample = block("docs/en/logging.md", "text", "$ billing log ");
    let sample: Vec<&str> = sample.trim_start_matches("$ billing log ").lines().collect();
    let home = Home::new();
    let _program = has_run(&home, "billing", &["fails"]);
    let run = json_of(&home, "billing", &["runs", "fails"])[0]["id"].as_str().expect("an id").to_owned();
    let typed = words(&command("docs/en/logging.md", "billing log")).into_iter();
    let typed: Vec<String> = typed.map(|word| if word == sample[0] { run.clone() } else { word }).collect();
    assert_eq!(typed, ["billing", "log", &run]);
    let said = Said::of(called(&home, &typed[0], &[&typed[1], &typed[2]]).output().expect("it can be run")).well();
    let said: Vec<&str> = said.lines().collect();
    // What is not the run's own: its state, and how a line of its log is made.
    let head =
        |line: &str| line.split(", ").map(|part| part.split(' ').next().unwrap_or_default().to_owned()).collect();
    let (shown, told): (Vec<String>, Vec<String>) = (head(sample[1]), head(said[0]));
    assert_eq!((shown[1..].to_vec(), shown.len()), (told[1..].to_vec(), 4), "{} and {}", sample[1], said[0]);
    let parts = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        (words[0].len(), words[1].to_owned(), words[2].ends_with(':'))
    };
    let warned = sample.iter().find(|line| line.contains(" WARN ")).expect("the page has a warning");
    assert_eq!(parts(warned), parts(said[1]), "{warned} and {}", said[1]);
}
