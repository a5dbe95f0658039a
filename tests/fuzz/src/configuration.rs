//! Settings: a file in each of its formats, and the environment.

use std::path::Path;

use symphra_scheduler::test_util::doors;
use symphra_scheduler::{ConfigError, ConfigProblem};
use tempfile::TempDir;

use super::text;

thread_local! {
    static FOLDER: TempDir = folder();
}

/// In memory, where the machine has such a folder: a file is written for each input.
fn folder() -> TempDir {
    let in_memory = Path::new("/dev/shm");
    let made = if in_memory.is_dir() { TempDir::new_in(in_memory) } else { TempDir::new() };
    made.expect("a folder for files")
}

/// YAML.
pub fn yaml(input: &[u8]) {
    file("scheduler.yaml", input);
}

/// TOML.
pub fn toml(input: &[u8]) {
    file("scheduler.toml", input);
}

/// JSON.
pub fn json(input: &[u8]) {
    file("scheduler.json", input);
}

/// A file is read, or every problem has its line and its key.
fn file(name: &str, input: &[u8]) {
    let path = FOLDER.with(|folder| folder.path().join(name));
    std::fs::write(&path, input).expect("the folder can be written to");
    let variables = [("HOST", "db.example"), ("EMPTY", ""), ("LOOP", "${LOOP}")];
    let variables = variables.map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
    let read = || doors::read_config(Some(path.clone()), variables.clone());
    match read() {
        Ok(config) => assert!(read().is_ok_and(|again| again == config), "it is read as something else again"),
        Err(error) => {
            // A carriage return alone ends a line too, in YAML and for whoever reads JSON.
            let is_end = |at: usize| input[at] == b'\n' || input[at] == b'\r' && input.get(at + 1) != Some(&b'\n');
            let ends = (0..input.len()).filter(|&at| is_end(at)).count();
            let lines = u32::try_from(ends).expect("it is short") + 1;
            let is_text = std::str::from_utf8(input).is_ok();
            judged(&error, |problem| in_file(problem, &path, lines, is_text));
        }
    }
}

fn in_file(problem: &ConfigProblem, path: &Path, lines: u32, is_text: bool) {
    assert_eq!(problem.file(), Some(path), "{problem}");
    match problem.line() {
        // The end of a file may be told as the line behind the last.
        Some(line) => assert!((1..=lines + 1).contains(&line), "{problem}: the file has {lines} lines"),
        None => assert!(!is_text && problem.message().contains(" line "), "{problem}: on which line?"),
    }
    let place = format!("{}:", path.display());
    assert!(problem.to_string().starts_with(&place), "{problem}: {place} is not said");
}

/// What holds of every error: each problem says something, and only one that leaves nothing to be read has no key.
fn judged(error: &ConfigError, place: impl Fn(&ConfigProblem)) {
    let problems = error.problems();
    assert!(!problems.is_empty());
    for problem in problems {
        assert!(!problem.message().is_empty(), "{problem}");
        place(problem);
        assert!(error.to_string().contains(problem.message()), "{problem} is not said by {error}");
        let is_named = !problem.key().is_empty() || problem.variable().is_some();
        assert!(is_named || problems.len() == 1, "{problem}: which key?");
    }
}

/// Variables, a line each: `NAME=value`. They are read, or every problem names its variable.
pub fn environment(input: &[u8]) {
    let text = text(input);
    let variables = text.lines().filter_map(|line| line.split_once('='));
    let variables: Vec<_> = variables
        // This one names a file, which is for the other targets.
        .filter(|(name, _)| *name != "SCHEDULER_CONFIG")
        .map(|(name, value)| (name.to_owned(), (value != "\u{fffd}").then(|| value.to_owned())))
        .collect();
    let read = || doors::read_config(None, variables.clone());
    match read() {
        Ok(config) => assert!(read().is_ok_and(|again| again == config), "it is read as something else again"),
        Err(error) => judged(&error, |problem| {
            let name = problem.variable().unwrap_or_else(|| panic!("{problem}: which variable?"));
            assert!(variables.iter().any(|(known, _)| known == name), "{problem}: nobody has set {name}");
            assert!(problem.to_string().contains(name), "{problem} does not name {name}");
        }),
    }
}
