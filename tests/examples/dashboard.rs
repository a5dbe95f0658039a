//! The example of the dashboard, asked as a browser asks it.

use std::thread;
use std::time::{Duration, Instant};

use super::{PATIENCE, Program, get};

#[test]
fn the_dashboard_example_shows_its_tasks_the_letter_and_why_occurrences_did_not_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("sqlite://{}", folder.path().join("dashboard.db").display());
    let mut program = Program::start("dashboard", &["127.0.0.1:0", &store]);
    let line = program.prints("listening on http://");
    let address = line.rsplit("http://").next().and_then(|rest| rest.strip_suffix("/scheduler"));
    let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
    let page = |path: &str| {
        let response = get(&address, &format!("/scheduler{path}"));
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {response}");
        response
    };
    let waits_for = |path: &str, part: &str| {
        let began = Instant::now();
        while !page(path).contains(part) {
            assert!(began.elapsed() < PATIENCE, "{path} never shows {part:?}: {}", page(path));
            thread::sleep(Duration::from_millis(100));
        }
    };

    let tasks = page("");
    for task in ["health_check", "supplier_sync", "reindex", "currency_rates", "invoices", "backup"] {
        assert!(tasks.contains(&format!("href=\"/scheduler/task?name={task}\"")), "{task}: {tasks}");
    }
    assert!(page("?q=suppliers").contains("supplier_sync"));
    assert!(!page("?q=suppliers").contains("task?name=invoices"));
    for path in ["/timeline", "/runs", "/nodes", "/dead", "/actions", "/task?name=invoices"] {
        page(path);
    }
    // What the pages ask for is there.
    for path in ["/assets/style.css", "/assets/script.js", "/assets/icon.svg"] {
        page(path);
    }
    waits_for("/runs", "task?name=health_check");
    waits_for("/dead", "is no address");
    waits_for("/task?name=reindex", "overlap: as many runs of the task were alive as are allowed");

    program.signal("TERM");
    let (status, printed) = program.ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    assert!(printed.ends_with("stopped\n"), "{printed}");
}
