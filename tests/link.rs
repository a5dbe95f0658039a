//! Tasks in libraries: how the linker brings them into a program, leaves them out, or refuses two of one name.
//!
//! The fixtures are a workspace of their own, put together in the target folder for this run: their tasks would
//! otherwise be linked into these tests. They share one target folder, so that the scheduler is built once for all of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::{fs, io};

const FIXTURES: [(&str, &str); 7] = [
    ("orders", "src/lib.rs"),
    ("invoices", "src/lib.rs"),
    ("archive", "src/lib.rs"),
    ("kit", "src/lib.rs"),
    ("linked", "src/main.rs"),
    ("unlinked", "src/main.rs"),
    ("duplicate", "src/main.rs"),
];

#[test]
fn link_tasks_brings_the_tasks_of_libraries_that_nobody_mentions() {
    let output = cargo("run", "linked");
    assert!(output.status.success(), "{}", shown(&output));
    let printed = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = printed.lines().collect();
    let [orders, invoices] = lines.as_slice() else { panic!("{}", shown(&output)) };
    assert!(orders.starts_with("close_orders at ") && orders.ends_with("lib.rs:7"), "{orders}");
    assert!(invoices.starts_with("send invoices at ") && invoices.ends_with("lib.rs:6"), "{invoices}");
}

#[test]
fn without_link_tasks_the_registry_is_empty_and_start_says_what_to_do() {
    let output = cargo("run", "unlinked");
    assert!(output.status.success(), "{}", shown(&output));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("the registry is empty") && printed.contains("link_tasks!"), "{}", shown(&output));
}

#[test]
fn two_tasks_of_one_name_in_two_crates_do_not_link() {
    let output = cargo("build", "duplicate");
    assert!(!output.status.success(), "{}", shown(&output));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("__symphra_task_name_must_be_unique__close_orders"), "{errors}");
    // The linker that rustc brings along for this platform names the sources; others name the object files.
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        assert!(errors.contains("orders/src/lib.rs:7") && errors.contains("archive/src/lib.rs:5"), "{errors}");
    }
}

#[test]
fn the_unit_tests_of_a_crate_may_be_linked_with_a_copy_of_it() {
    let output = cargo("test", "invoices");
    assert!(output.status.success(), "{}", shown(&output));
    assert!(shown(&output).contains("1 passed"), "{}", shown(&output));
}

/// Runs cargo on one of the fixtures. Offline: all it needs was fetched to build these tests.
fn cargo(command: &str, fixture: &str) -> Output {
    static WORKSPACE: OnceLock<PathBuf> = OnceLock::new();
    let workspace = WORKSPACE.get_or_init(|| workspace().expect("the fixtures can be written to the target folder"));
    Command::new(env!("CARGO"))
        .args([command, "--quiet", "--offline", "--package", &format!("fixture-{fixture}")])
        .current_dir(workspace)
        .env("CARGO_TARGET_DIR", workspace.join("target"))
        // Flags of the outer build, such as a coverage tool's, are not the fixtures'.
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo, which runs this test, can be run")
}

/// The fixtures, with a manifest and the lock file of the real workspace above them.
fn workspace() -> io::Result<PathBuf> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = Path::new(env!("CARGO_TARGET_TMPDIR")).join("link");
    for (fixture, source) in FIXTURES {
        fs::create_dir_all(workspace.join(fixture).join("src"))?;
        for file in ["Cargo.toml", source] {
            fs::copy(tests.join("fixtures").join(fixture).join(file), workspace.join(fixture).join(file))?;
        }
    }
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{}]\n\n[workspace.dependencies]\n\
         symphra-scheduler = {{ path = {:?} }}\n\
         tokio = {{ version = \"1\", default-features = false, features = [\"rt\", \"time\"] }}\n\n\
         # The linker finds sources by debug information, here needed of the fixtures only.\n\
         [profile.dev.package.\"*\"]\ndebug = false\n",
        FIXTURES.map(|(fixture, _)| format!("{fixture:?}")).join(", "),
        tests.join("../scheduler"),
    );
    fs::write(workspace.join("Cargo.toml"), manifest)?;
    fs::copy(tests.join("../Cargo.lock"), workspace.join("Cargo.lock"))?;
    Ok(workspace)
}

fn shown(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
