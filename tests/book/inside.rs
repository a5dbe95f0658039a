//! The page on other programs: its lines stand in the programs that it names, and its unit says what systemd understands.

use std::fs;
use std::process::Command;

use symphra_scheduler_tests::examples;

use super::{book, code_blocks, page};

/// The files that the page shows lines of.
const FILES: [&str; 7] = [
    "axum_service/main.rs",
    "actix_service/main.rs",
    "tokio_service/main.rs",
    "library/main.rs",
    "library/receipts/src/lib.rs",
    "workspace/app/src/main.rs",
    "systemd/notified.rs",
];

fn blocks(page: &str, kind: &str) -> Vec<String> {
    let blocks = code_blocks(page).into_iter();
    blocks.filter_map(|block| block.strip_prefix(kind)?.strip_prefix('\n')).map(str::to_owned).collect()
}

#[test]
fn what_the_page_shows_stands_in_the_examples() {
    let sources = FILES.map(|file| fs::read_to_string(book().join("../examples").join(file)).expect("an example"));
    let mut shown = [0; FILES.len()];
    for block in blocks(&page("en", "inside.md"), "rust,ignore") {
        let file = sources.iter().position(|source| source.contains(&block));
        shown[file.unwrap_or_else(|| panic!("no example has\n{block}"))] += 1;
    }
    for (file, shown) in FILES.iter().zip(shown) {
        assert!(shown > 0, "nothing of {file} is shown");
    }
}

#[test]
fn a_name_that_two_crates_have_is_refused_as_the_page_says() {
    let output = Command::new(examples().join("workspace")).arg("--twice").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let [says] = &blocks(&page("en", "inside.md"), "text")[..] else { panic!("one message") };
    assert!(said.contains(says.trim_end()), "{said}");
}

#[test]
fn the_unit_that_is_told_is_one_that_systemd_understands() {
    let [unit] = &blocks(&page("en", "inside.md"), "ini")[..] else { panic!("one unit") };
    for line in ["Type=notify", "ExecReload=/bin/kill -HUP $MAINPID", "KillMode=mixed", "TimeoutStopSec=40"] {
        assert!(unit.lines().any(|there| there == line), "{line}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let verified = |unit: &str| {
        let path = folder.path().join("billing.service");
        // The program is nowhere here, and its user is somebody else's.
        let unit = unit.replace("/usr/local/bin/billing", "/bin/true").replace("User=billing", "User=root");
        fs::write(&path, unit).expect("a file");
        let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().ok()?;
        Some(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let Some(said) = verified(unit) else { return println!("left out: there is no systemd-analyze") };
    assert!(!said.contains("billing.service"), "{said}");
    let said = verified(&unit.replace("WatchdogSec", "WatchdogSecs")).unwrap_or_default();
    assert!(said.contains("billing.service"), "it would say what is wrong: {said:?}");
}
