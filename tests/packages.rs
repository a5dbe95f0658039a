//! What is published: each of the crates says what it is, and has in its package what belongs there and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The crates that are published, in the order in which that has to be done, each with its folder.
const PUBLISHED: [(&str, &str); 3] = [
    ("symphra-scheduler-core", "scheduler/core"),
    ("symphra-scheduler-macros", "scheduler-macros"),
    ("symphra-scheduler", "scheduler"),
];

/// What cargo writes into a package by itself.
const OF_CARGO: [&str; 4] = [".cargo_vcs_info.json", "Cargo.lock", "Cargo.toml", "Cargo.toml.orig"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the workspace").to_path_buf()
}

/// What a command prints.
fn said(program: &str, arguments: &[&str]) -> String {
    let ran = Command::new(program).args(arguments).current_dir(root()).output().expect("it can be started");
    assert!(ran.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("it prints text")
}

fn packages() -> Vec<Value> {
    let metadata = said(env!("CARGO"), &["metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"]);
    let mut metadata: Value = serde_json::from_str(&metadata).expect("it is JSON");
    let Value::Array(packages) = metadata["packages"].take() else { panic!("there are packages") };
    packages
}

#[test]
fn these_crates_are_published_and_no_others() {
    let published: BTreeSet<String> = packages()
        .iter()
        .filter(|package| package["publish"].is_null())
        .map(|package| package["name"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(published, PUBLISHED.map(|(name, _)| name.to_owned()).into());
}

#[test]
fn the_checklist_of_a_release_publishes_them_in_their_order() {
    let checklist = include_str!("../RELEASING.md");
    let lines = checklist.lines().filter_map(|line| line.trim().strip_prefix("cargo publish --locked --package "));
    assert_eq!(lines.collect::<Vec<_>>(), PUBLISHED.map(|(name, _)| name));
    // What it asks to be run is there.
    let words =
        checklist.split('`').skip(1).step_by(2).filter_map(|code| code.split(' ').find(|word| word.contains('/')));
    let here = words.filter(|word| !word.contains(['*', ':', '=', '…']));
    let mut looked_at = 0;
    for path in here {
        assert!(root().join(path.trim_start_matches("./")).exists(), "{path} is not there");
        looked_at += 1;
    }
    assert!(looked_at > 8, "it names scripts: {looked_at}");
}

#[test]
fn each_says_what_it_is() {
    for package in packages().iter().filter(|package| package["publish"].is_null()) {
        let name = &package["name"];
        for key in ["description", "repository", "license", "rust_version", "readme"] {
            assert!(package[key].as_str().is_some_and(|said| !said.is_empty()), "{name} has no {key}");
        }
        // The registry takes five of each, of letters, digits and hyphens, and 20 characters.
        for key in ["keywords", "categories"] {
            let words = package[key].as_array().expect("a list");
            assert!((1..=5).contains(&words.len()), "{name} has {} {key}", words.len());
        }
        for keyword in package["keywords"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let is_word =
                keyword.len() <= 20 && keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_+".contains(&b));
            assert!(is_word, "{name}: {keyword}");
        }
    }
}

#[test]
fn a_package_has_its_source_its_licences_and_its_readme_and_nothing_else() {
    let git = said("git", &["ls-files", "--cached", "--others", "--exclude-standard"]);
    for (name, folder) in PUBLISHED {
        let listed =
            said(env!("CARGO"), &["package", "--list", "--locked", "--offline", "--allow-dirty", "--package", name]);
        let listed: BTreeSet<&str> = listed.lines().filter(|file| !OF_CARGO.contains(file)).collect();
        let inside = git.lines().filter_map(|file| file.strip_prefix(folder)?.strip_prefix('/'));
        let shipped = inside.filter(|file| file.starts_with("src/") || file.starts_with("migrations/"));
        let wanted: BTreeSet<&str> = shipped.chain(["LICENSE-APACHE", "LICENSE-MIT", "README.md"]).collect();
        assert!(wanted.contains("src/lib.rs"), "{name} has a source");
        assert_eq!(listed, wanted, "{name}");
    }
}
