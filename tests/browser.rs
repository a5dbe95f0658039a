//! The dashboard in a browser, by the tests in `browser`: they click, and ask the scheduler what that did.

use std::path::Path;
use std::process::Command;

use symphra_scheduler_tests::{examples, services};

#[test]
fn the_dashboard_does_in_a_browser_what_its_pages_say() {
    if !services::has_browser() {
        // `left_out.rs` says so.
        return;
    }
    let missing = services::missing();
    assert!(missing.is_empty(), "the browser tests need what is not here: {}", missing.join(", "));
    let ran = Command::new("node")
        .args(["--test-reporter=spec", "all.js"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("browser"))
        .env("SYMPHRA_DASHBOARD_FIXTURE", env!("CARGO_BIN_EXE_dashboard-fixture"))
        .env("SYMPHRA_DASHBOARD_EXAMPLE", examples().join("dashboard"))
        .env("SYMPHRA_CHROMIUM", services::chromium().expect("it is not missing"))
        .output()
        .expect("node runs");
    let told = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{told}");
    // What was measured stands there.
    print!("{told}");
}
