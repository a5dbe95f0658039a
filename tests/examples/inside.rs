//! The scheduler inside other programs: actix-web, a server of one's own, a program with a library or with a workspace of them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use symphra_scheduler_tests::examples;

use super::{PATIENCE, Program, ask, get, prints_in_order, walk_through};

/// Starts an example on a free port; where it listens.
fn listening(name: &str, scheme: &str) -> (Program, String) {
    let mut program = Program::start(name, &["127.0.0.1:0"]);
    let line = program.prints(&format!("listening on {scheme}"));
    let address = line.rsplit(&format!("listening on {scheme}")).next().expect("an address").to_owned();
    (program, address)
}

/// What stands between the `number`th pair of quotation marks.
fn quoted(text: &str, number: usize) -> &str {
    text.split('"').nth(2 * number + 1).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn in_actix_web_tasks_run_on_one_thread_and_are_triggered_and_told_of_on_others() {
    let (mut program, address) = listening("actix_service", "http://");
    // A run of half a second, beside which the stock is counted each tenth.
    let response = ask("POST", &address, "/reorder");
    assert!(response.starts_with("HTTP/1.1 202 ") && response.contains("run "), "{response}");
    program.prints("reordered");
    let told = get(&address, "/");
    assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told}");
    let count = told.split("counted ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    assert!(count.is_some_and(|count| count > 0), "the task runs beside the service: {told}");
    let (of_task, of_handler) = (quoted(&told, 0), quoted(&told, 1));
    assert!(of_task == "main" && of_handler.contains("actix"), "{told}");
    for probe in ["/livez", "/readyz"] {
        assert!(get(&address, probe).starts_with("HTTP/1.1 200 "), "{probe}");
    }
    // A run that is under way when the signal comes.
    assert!(ask("POST", &address, "/reorder").starts_with("HTTP/1.1 202 "));
    program.prints("reordering");
    program.signal("TERM");
    let (status, printed) = program.ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    prints_in_order(&printed, &["reordered", "reordering", "reordered", "stopped: "]);
    assert!(printed.contains(", 0 of them cancelled"), "{printed}");
    assert!(TcpStream::connect(&address).is_err(), "nobody listens any more");
}

#[test]
fn in_actix_web_a_run_ends_also_after_ctrl_c() {
    let (mut program, address) = listening("actix_service", "http://");
    assert!(ask("POST", &address, "/reorder").starts_with("HTTP/1.1 202 "));
    program.prints("reordering");
    program.signal("INT");
    let (status, printed) = program.ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    prints_in_order(&printed, &["reordered", "stopped: "]);
}

/// Sends a line to the plain service, and waits for the answer.
fn say(client: &TcpStream, line: &str) {
    let mut sender = client;
    sender.write_all(format!("{line}\n").as_bytes()).expect("it reads");
    let mut answer = String::new();
    BufReader::new(client).read_line(&mut answer).expect("it answers");
    assert_eq!(answer, "taken\n", "{line}");
}

fn client(address: &str) -> TcpStream {
    let client = TcpStream::connect(address).expect("it listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    client
}

#[test]
fn the_plain_service_files_what_it_was_sent_and_ends_when_it_is_told_to() {
    let (mut program, address) = listening("tokio_service", "");
    let (first, second) = (client(&address), client(&address));
    say(&first, "one");
    program.prints("filed: one");
    say(&first, "two");
    // It ends for the other client too, which has said nothing, and files what it has taken.
    say(&second, "three");
    say(&second, "shutdown");
    let (status, printed) = program.ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    let filed: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("filed: ")).collect();
    assert_eq!(filed, ["one", "two", "three"], "each line once:\n{printed}");
    assert!(printed.ends_with("stopped, 0 runs cancelled\n"), "{printed}");
}

#[test]
fn the_plain_service_ends_at_signals_too() {
    for signal in ["TERM", "INT"] {
        let (program, address) = listening("tokio_service", "");
        let client = client(&address);
        say(&client, "a line");
        program.signal(signal);
        let (status, printed) = program.ends();
        assert_eq!(status.code(), Some(0), "{signal}: {printed}");
        assert!(printed.contains("filed: a line") && printed.contains("stopped, 0 runs"), "{signal}: {printed}");
    }
}

#[test]
fn a_library_brings_its_tasks_to_the_program_that_names_it_and_to_no_other() {
    let printed = walk_through("library");
    prints_in_order(
        &printed,
        &[
            "-- without its state",
            "the scheduler cannot start: task \"receipts.send\" (examples/library/receipts/src/lib.rs:",
            "-- with a library that is not named",
            "the scheduler cannot start: task \"ledger.close\" is expected and not registered; is its crate named",
            "-- with all that they ask for",
            "receipts.send, every 200 milliseconds, from examples/library/receipts/src/lib.rs:",
            "receipts.tidy, at 04:00 every day, from examples/library/receipts/src/lib.rs:",
            "a receipt to Ada",
            "stopped",
        ],
    );
    // The quickstart has the same dependencies, and does not name it.
    let (_, printed) = Program::start("quickstart", &["--for", "1s"]).ends();
    assert!(printed.contains("daily_report") && !printed.contains("receipts."), "{printed}");
}

#[test]
fn a_program_of_a_workspace_has_the_tasks_of_its_crates_on_one_store() {
    let mut program = Program::start("workspace", &[]);
    for (task, file) in [
        ("app.count", "app/src/main.rs"),
        ("billing.close_month", "billing/src/lib.rs"),
        ("billing.remind", "billing/src/lib.rs"),
        ("shipping.track", "shipping/src/lib.rs"),
    ] {
        let row = program.prints(&format!("  {task} "));
        assert!(row.contains(&format!("examples/workspace/{file}:")), "{row}");
    }
    program.prints("billing asks: query ");
    program.signal("TERM");
    let (status, printed) = program.ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    let queries = printed.lines().filter_map(|line| line.split(" asks: query ").nth(1)?.parse().ok());
    let mut queries: Vec<usize> = queries.collect();
    queries.sort_unstable();
    assert!(queries.len() >= 2 && queries == (0..queries.len()).collect::<Vec<_>>(), "one store:\n{printed}");
}

#[test]
fn a_name_that_two_crates_of_a_workspace_have_is_an_error_at_start_with_both_places() {
    let mut command = Command::new(examples().join("workspace"));
    let output = command.arg("--twice").stdin(Stdio::null()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    for part in
        ["two tasks are named \"billing.remind\"", "workspace/app/src/main.rs:", "workspace/billing/src/lib.rs:"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}
