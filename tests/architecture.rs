//! The house rules, held by reading the source: who may know whom, how long a file may be, who reads clocks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file is one concept; past this many lines it is two.
const LINES_MAX: usize = 550;

/// The number of crates that the default features may bring in, ourselves included.
const CRATES_MAX: usize = 45;

/// What each room of the runtime may know of the others, by the first part of `crate::…`.
const ARROWS: &[(&str, &[&str])] = &[
    ("schedule", &[]),
    ("run", &["TaskName"]),
    ("outcome", &[]),
    ("retry", &["outcome", "run"]),
    ("clock", &[]),
    ("equals", &[]),
    ("namespace", &[]),
    (
        "config",
        &[
            "backend",
            "namespace",
            "outcome",
            "secret",
            "error",
            "logging",
            "migrate",
            "retention",
            "retry",
            "schedule",
            "task",
        ],
    ),
    ("migrate", &[]),
    ("retention", &[]),
    (
        "cli",
        &[
            "Delay",
            "Error",
            "Schedule",
            "backend",
            "chrono_tz",
            "clock",
            "config",
            "control",
            "daemon",
            "dashboard",
            "engine",
            "error",
            "foreground",
            "handle",
            "launch",
            "logging",
            "migrate",
            "run",
            "schedule",
            "scheduler",
            "task",
            "terminal",
        ],
    ),
    ("bin", &[]),
    ("terminal", &[]),
    (
        "control",
        &[
            "backend",
            "cli",
            "error",
            "events",
            "executor",
            "clock",
            "handle",
            "logging",
            "run",
            "runtime_dir",
            "schedule",
            "task",
        ],
    ),
    ("dashboard", &["backend", "clock", "control", "error", "events", "handle", "run", "schedule", "task"]),
    ("daemon", &["config", "error", "foreground", "logging", "runtime_dir", "scheduler"]),
    ("logging", &["clock", "error", "own_file"]),
    ("own_file", &[]),
    ("runtime_dir", &["error", "own_file"]),
    ("node", &[]),
    ("process", &[]),
    ("error", &["backend", "config", "task"]),
    ("secret", &[]),
    (
        "backend",
        &[
            "Error",
            "TaskName",
            "clock",
            "equals",
            "migrate",
            "retention",
            "namespace",
            "outcome",
            "run",
            "schedule",
            "secret",
            "conformance_tests",
            "MemoryBackend",
        ],
    ),
    ("tally", &["run", "task"]),
    (
        "task",
        &[
            "secret", "backend", "config", "equals", "error", "executor", "handler", "job", "outcome", "retry", "run",
            "schedule", "tally",
        ],
    ),
    ("events", &["backend", "run", "schedule", "task"]),
    ("meters", &["backend", "task"]),
    ("handler", &["executor", "outcome"]),
    ("job", &["executor", "handler", "outcome"]),
    (
        "executor",
        &[
            "backend", "clock", "events", "handler", "job", "logging", "meters", "node", "outcome", "process", "retry",
            "run", "task",
        ],
    ),
    (
        "engine",
        &[
            "backend", "clock", "events", "executor", "logging", "meters", "node", "outcome", "process", "run",
            "schedule", "task",
        ],
    ),
    ("registry", &["executor", "handler", "job", "schedule", "task"]),
    ("stats", &["backend"]),
    (
        "handle",
        &[
            "SchedulerConfig",
            "backend",
            "clock",
            "config",
            "engine",
            "error",
            "events",
            "executor",
            "job",
            "logging",
            "meters",
            "node",
            "outcome",
            "run",
            "schedule",
            "stats",
            "tally",
            "task",
        ],
    ),
    (
        "foreground",
        &["config", "control", "engine", "error", "handle", "logging", "scheduler", "stats", "task", "terminal"],
    ),
    (
        "scheduler",
        &[
            "StopReport",
            "backend",
            "clock",
            "config",
            "error",
            "events",
            "executor",
            "foreground",
            "handle",
            "launch",
            "logging",
            "registry",
            "task",
        ],
    ),
    (
        "launch",
        &[
            "backend", "clock", "config", "engine", "error", "events", "executor", "handle", "logging", "meters",
            "node", "process", "run", "task",
        ],
    ),
    (
        "test_util",
        &[
            "MemoryBackend",
            "RunId",
            "Scheduler",
            "StopReport",
            "assert_fired",
            "backend",
            "clock",
            "config",
            "control",
            "engine",
            "error",
            "events",
            "handle",
            "process",
            "run",
            "schedule",
            "scheduler",
            "task",
        ],
    ),
];

/// What a room may know of the backend besides its contract: nothing of one backend in particular.
const BACKENDS: &[&str] = &["memory", "postgres", "rabbitmq", "redis", "sql", "sqlite"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the workspace").to_path_buf()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the source") {
        let path = entry.expect("an entry of the source").path();
        if path.is_dir()
            && !["assets", "target", "benches", "snapshots", "browser", "migration", "seeds"]
                .iter()
                .any(|other| path.ends_with(other))
        {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    assert!(!found.is_empty(), "there is source in {}", folder.display());
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).expect("a path of the project").display().to_string()
}

/// The source of a file without the tests at its end and without comments.
fn shipped_code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a readable file");
    let shipped = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    shipped.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test_code(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs")
}

#[test]
fn files_stay_short() {
    let folders = ["scheduler/src", "scheduler/core", "scheduler-macros", "examples", "tests"];
    let long: Vec<String> = folders
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)))
        .filter_map(|path| {
            let lines = fs::read_to_string(&path).expect("a readable file").lines().count();
            (lines > LINES_MAX).then(|| format!("{}: {lines} lines", name(&path)))
        })
        .collect();
    assert!(long.is_empty(), "cut these along a concept:\n{}", long.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let folders = ["scheduler/src", "scheduler/core/src", "scheduler-macros/src", "examples"];
    let silent: Vec<String> = folders
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)))
        .filter(|path| !fs::read_to_string(path).expect("a readable file").starts_with("//! "))
        .map(|path| name(&path))
        .collect();
    assert!(silent.is_empty(), "these need a `//!` that says what they are: {silent:?}");
}

#[test]
fn rooms_know_only_whom_they_may() {
    let source = root().join("scheduler/src");
    let mut broken = Vec::new();
    for path in rust_files(&source).into_iter().filter(|path| !is_test_code(path)) {
        let inside = path.strip_prefix(&source).expect("a path of the source").display().to_string();
        let room = inside.split(['/', '.']).next().unwrap_or_default().to_owned();
        // The root names every room: it is the front door, with what the macros write.
        if room == "lib" {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
            broken.push(format!("{inside} is in a room without a row among the arrows"));
            continue;
        };
        for (at, _) in shipped_code(&path).match_indices("crate::") {
            let code = shipped_code(&path);
            // `$crate::` in a macro speaks for the caller, `symphra_…crate::` is another word.
            if code[..at].ends_with(|before: char| before == '$' || before == '_' || before.is_alphanumeric()) {
                continue;
            }
            let known: String =
                code[at + "crate::".len()..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if known != room && !allowed.contains(&known.as_str()) {
                broken.push(format!("{inside} knows crate::{known}"));
            }
            let backend = code[at..].strip_prefix("crate::backend::").unwrap_or_default();
            if room != "backend" && BACKENDS.iter().any(|one| backend.starts_with(one)) {
                broken.push(format!("{inside} knows one backend in particular"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// What the API has comes out of one table, with the document that describes it: a route of its own would stand in no document.
#[test]
fn one_file_has_routes_of_the_api() {
    let files = rust_files(&root().join("scheduler/src/dashboard"));
    let routes = |path: &PathBuf| shipped_code(path).matches(".route(").count();
    let of_api = |path: &PathBuf| {
        let code = shipped_code(path);
        code.match_indices(".route(")
            .filter(|(at, _)| code[*at..].chars().take(30).collect::<String>().contains("/api"))
            .count()
    };
    let found: Vec<(String, usize)> =
        files.iter().map(|path| (name(path), of_api(path))).filter(|(_, count)| *count > 0).collect();
    // That of the table, and that of what is not there.
    assert_eq!(found, [("scheduler/src/dashboard/api.rs".to_owned(), 2)]);
    assert!(files.iter().map(routes).sum::<usize>() > 15, "they are still written so");
}

#[test]
fn one_file_reads_clocks() {
    const CLOCK: &str = "scheduler/src/clock.rs";
    let readers =
        ["SystemTime::now", "Instant::now", "Utc::now", "Local::now", ".elapsed()"].map(|reader| (reader, CLOCK));
    // Whether the clock of which the kernel tells is the one that is read.
    let readers = readers.into_iter().chain([("clock_gettime", "scheduler/src/clock/steps.rs")]);
    for folder in ["scheduler/src", "scheduler/core/src", "scheduler-macros/src"] {
        for path in rust_files(&root().join(folder)).into_iter().filter(|path| !is_test_code(path)) {
            let code = shipped_code(&path);
            for (reader, home) in readers.clone().filter(|(reader, _)| code.contains(*reader)) {
                assert!(path.ends_with(home), "{} reads {reader}", name(&path));
            }
        }
    }
}

#[test]
fn one_file_writes_to_the_log() {
    let writers = ["trace!", "debug!", "info!", "warn!", "error!", "event!", "span!"];
    for path in rust_files(&root().join("scheduler/src")).into_iter().filter(|path| !is_test_code(path)) {
        let code = shipped_code(&path);
        // By whichever path it is called; `info_span!` is one of them.
        let is_called = |writer: &str| {
            code.match_indices(writer).any(|(at, _)| !code[..at].ends_with(|before: char| before.is_alphanumeric()))
        };
        let written = writers.iter().find(|writer| is_called(writer));
        assert!(
            written.is_none() || path.ends_with("scheduler/src/logging/events.rs"),
            "{} writes by {written:?}: give the event a name in logging/events.rs",
            name(&path)
        );
    }
}

/// The rows of the code map: its first cell, and what stands in backticks in both.
fn code_map() -> Vec<(Vec<String>, Vec<String>)> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("a readable file");
    let map = text.split("## Code map").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a code map");
    let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = map.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split_once(" | ").map(|(first, rest)| (words(first), words(rest))).expect("two cells")).collect()
}

/// A path without its ending, or its last part without it.
fn stem(path: &str) -> &str {
    path.trim_end_matches('/').trim_end_matches(".rs")
}

#[test]
fn the_code_map_has_each_room_of_the_runtime_and_of_the_backends() {
    let words: BTreeSet<String> = code_map()
        .into_iter()
        .flat_map(|(first, rest)| first.into_iter().chain(rest))
        .flat_map(|word| word.split('/').map(|part| stem(part).to_owned()).collect::<Vec<_>>())
        .collect();
    for folder in ["scheduler/src", "scheduler/src/backend"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder of the source") {
            let name = entry.expect("an entry of the source").file_name().to_string_lossy().into_owned();
            assert!(words.contains(stem(&name)), "{folder}/{name} is not on the code map of ARCHITECTURE.md");
        }
    }
}

#[test]
fn the_code_map_names_nothing_that_is_gone() {
    let mut found = 0;
    for (first, rest) in code_map() {
        // What follows the first path of a row stands beside it.
        let beside = root().join(&first[0]).parent().expect("a path stands in a folder").to_path_buf();
        for path in &first {
            assert!(root().join(path).exists() || beside.join(path).exists(), "{path} is not there");
        }
        let folders: Vec<PathBuf> = first
            .iter()
            .flat_map(|path| [root().join(path), root().join(stem(path)), beside.join(stem(path))])
            .chain([root(), beside.clone()])
            .collect();
        // `task/options` is a file of the row's rooms, or of a room of theirs.
        for path in rest.iter().filter(|word| word.contains('/') && !word.contains('*')) {
            let stands = |folder: &Path| folder.join(path).exists() || folder.join(format!("{path}.rs")).exists();
            let inside = |folder: &PathBuf| {
                fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| stands(&entry.path()))
            };
            assert!(folders.iter().any(|folder| stands(folder) || inside(folder)), "{path} of {first:?} is not there");
            found += 1;
        }
    }
    assert!(found > 20, "the map is read: {found}");
}

#[test]
fn the_shared_core_does_no_io_and_knows_no_runtime() {
    for path in rust_files(&root().join("scheduler/core/src")) {
        let code = shipped_code(&path);
        for word in ["tokio", "std::fs", "std::net", "std::env", "std::thread", "println!"] {
            assert!(!code.contains(word), "{} uses {word}", name(&path));
        }
    }
}

#[test]
fn only_the_registry_knows_inventory() {
    for path in rust_files(&root().join("scheduler/src")) {
        let uses = shipped_code(&path).contains("inventory::");
        assert!(!uses || path.ends_with("registry.rs"), "{} uses inventory", name(&path));
    }
}

#[test]
fn the_default_features_bring_in_few_crates() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", "symphra-scheduler", "--edges", "normal,build", "--prefix", "none"])
        .current_dir(root())
        .output()
        .expect("cargo tree runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let listed = String::from_utf8_lossy(&tree.stdout);
    let crates: BTreeSet<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(crates.contains("symphra-scheduler"), "the tree lists us: {listed}");
    assert!(crates.len() <= CRATES_MAX, "{} crates: {crates:?}", crates.len());
}
