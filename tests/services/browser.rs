//! Chromium, Node.js and the packages that drive it, all of them installed: nothing is downloaded by a test.

use std::path::{Path, PathBuf};

use super::on_path;

/// Whether tests that need a browser are to run.
#[must_use]
pub fn has_browser() -> bool {
    std::env::var_os(super::ALL_SERVICES).is_some() || missing().is_empty()
}

/// What a browser test needs and this machine has not, each with what installs it.
#[must_use]
pub fn missing() -> Vec<&'static str> {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/node_modules/playwright-core");
    [
        (chromium().is_some(), "Chromium (on Debian the package `chromium`)"),
        (on_path("node").is_some(), "Node.js 20 (on Debian the package `nodejs`)"),
        (packages.is_dir(), "the packages of tests/browser (`npm ci` there)"),
    ]
    .into_iter()
    .filter_map(|(is_there, what)| (!is_there).then_some(what))
    .collect()
}

/// Where Chromium is.
#[must_use]
pub fn chromium() -> Option<PathBuf> {
    on_path("chromium")
}
