//! The examples, run as a user runs them: what they print, how they heed signals, and how they exit.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use symphra_scheduler::SqliteBackend;
use symphra_scheduler::backend::Backend;
use symphra_scheduler_tests::shown::{command, example};
use symphra_scheduler_tests::{examples, http_request};

#[path = "examples/configuration.rs"]
mod configuration;
#[path = "examples/dashboard.rs"]
mod dashboard;
#[path = "examples/inside.rs"]
mod inside;
#[cfg(unix)]
#[path = "examples/killed.rs"]
mod killed;
#[path = "examples/stores.rs"]
mod stores;
#[cfg(target_os = "linux")]
#[path = "examples/systemd.rs"]
mod systemd;

/// How long a program may take for anything at all, on a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running example. It is killed when this is dropped.
struct Program {
    process: Child,
    lines: Receiver<String>,
    printed: String,
}

impl Program {
    fn start(name: &str, arguments: &[&str]) -> Self {
        Self::spawned(Command::new(examples().join(name)).args(arguments))
    }

    /// The same, as a page has it, but with this in the place of the one thing that it is called with.
    fn as_shown(page: &str, name: &str, place: &str) -> Self {
        let shown = command(page, &format!("cargo run -p examples --bin {name}"));
        let (name, arguments) = example(&shown);
        let [argument] = &arguments[..] else { panic!("{shown}") };
        assert_eq!(argument.contains("://"), place.contains("://"), "{shown}");
        Self::start(&name, &[place])
    }

    fn spawned(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the example starts");
        let out = BufReader::new(process.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process, lines, printed: String::new() }
    }

    /// Waits until it prints a line that contains `part`.
    fn prints(&mut self, part: &str) -> String {
        let began = Instant::now();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
            self.printed.push_str(&line);
            self.printed.push('\n');
            if line.contains(part) {
                return line;
            }
        }
        panic!("{part:?} is never printed:\n{}", self.printed);
    }

    /// Sends a signal by its name.
    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success(), "{kill}");
    }

    /// Waits for its end; everything that it printed.
    fn ends(mut self) -> (ExitStatus, String) {
        let began = Instant::now();
        loop {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
                Ok(line) => self.printed.push_str(&format!("{line}\n")),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end:\n{}", self.printed),
            }
        }
        let status = self.process.wait().expect("it can be waited for");
        (status, std::mem::take(&mut self.printed))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail where it has ended already, which is what they are for.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The place of `function`'s attribute, which stands in the line above it, in a source file of the quickstart.
fn place(file: &str, function: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart").join(file);
    let source = std::fs::read_to_string(path).expect("the source of the example");
    let start = format!("async fn {function}(");
    let lines_above = source.lines().take_while(|line| !line.starts_with(&start)).count();
    format!("examples/quickstart/{file}:{lines_above}")
}

#[test]
fn the_quickstart_prints_its_table_fires_and_stops_by_itself() {
    let began = Instant::now();
    let (name, arguments) = example(&command("README.md", "cargo run -p examples --bin quickstart"));
    assert!(arguments.is_empty(), "{arguments:?}");
    let (status, printed) = Program::start(&name, &["--for", "4s"]).ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    assert!(began.elapsed() >= Duration::from_secs(4), "it ran for {:?}", began.elapsed());
    for (task, file, words) in [
        ("daily_report", "shop.rs", "at 09:30 every day"),
        ("health_check", "monitoring.rs", "every 2 seconds"),
        ("ping", "monitoring.rs", "every 3 seconds"),
        ("progress", "monitoring.rs", "every 5 seconds"),
        ("sync_orders", "shop.rs", "every second"),
    ] {
        let row = printed.lines().find(|line| line.trim_start().starts_with(&format!("{task} ")));
        let row = row.unwrap_or_else(|| panic!("{task} is in the table:\n{printed}"));
        assert!(row.contains(words) && row.ends_with(&place(file, task)), "{row}");
    }
    for fired in ["health_check: ok", "ping: ", "sync_orders: done", "stopped after "] {
        assert!(printed.contains(fired), "{fired:?} is missing:\n{printed}");
    }
}

#[test]
fn a_program_that_asks_for_no_settings_reads_none() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("scheduler.yaml"), "max_workers: [nonsense\n").expect("a file");
    let mut command = Command::new(examples().join("quickstart"));
    command.args(["--for", "1s"]).current_dir(folder.path());
    command.envs([("SCHEDULER_MAX_WORKERS", "many"), ("SCHEDULER_CONFIG", "nowhere.yaml")]);
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_quickstart_keeps_what_happened_in_a_file_if_it_is_named_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (name, arguments) = example(&command("README.md", "cargo run -p examples --bin quickstart -- --backend"));
    let mut command = Command::new(examples().join(name));
    let (status, printed) =
        Program::spawned(command.args(arguments).args(["--for", "3s"]).current_dir(folder.path())).ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    assert!(printed.contains("backend sqlite"), "{printed}");
    let url = format!("sqlite://{}/scheduler.db", folder.path().display());
    let store = SqliteBackend::options().namespace("quickstart").connect(&url).await.expect("it opens");
    let task = store.tasks().await.expect("it answers").into_iter().find(|task| task.name.as_str() == "sync_orders");
    let ledger = store.ledger(task.expect("it is known").key).await.expect("it answers");
    assert!(ledger.runs >= 1 && ledger.occurrences == ledger.runs + ledger.recorded, "{ledger:?}");
}

#[test]
fn an_interrupt_lets_what_runs_end_and_says_what_was_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/scheduler.db", folder.path().display());
    let (mut program, _) = killed::in_the_middle_of_a_run(&url);
    program.signal("INT");
    program.prints("stopping");
    let (status, printed) = program.ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    let end = &printed[printed.find("stopping").expect("it says so")..];
    assert!(end.contains("sync_orders: done"), "the run under way came to its end:\n{printed}");
    assert!(end.contains("0 cancelled"), "{printed}");
}

#[test]
fn a_second_interrupt_stops_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/scheduler.db", folder.path().display());
    let (mut program, run) = killed::in_the_middle_of_a_run(&url);
    program.signal("INT");
    program.prints("stopping");
    program.signal("INT");
    let (status, printed) = program.ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    let end = &printed[printed.find("stopping").expect("it says so")..];
    assert!(!end.contains("sync_orders: done"), "{printed}");
    // It was cut off, and its store has it for the next start.
    let left = killed::runs(&url, "sync_orders").into_iter().find(|left| left["id"] == run["id"]);
    assert_eq!(left.expect("it is kept")["state"], "queued", "{printed}");
}

#[test]
fn a_wrong_argument_is_told() {
    let (status, _) = Program::start("quickstart", &["--for", "soon"]).ends();
    assert_eq!(status.code(), Some(2));
}

/// One request of HTTP/1.1, and the whole response.
fn get(address: &str, path: &str) -> String {
    ask("GET", address, path)
}

fn ask(method: &str, address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the service listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let request = http_request(method, path, address, &[], "");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("it answers in text");
    response
}

#[test]
fn the_web_service_shows_what_its_task_did_and_stops_with_it() {
    let mut program = Program::start("axum_service", &["127.0.0.1:0"]);
    let line = program.prints("listening on http://");
    let address = line.rsplit("http://").next().expect("an address").to_owned();
    let refreshes = || {
        let response = get(&address, "/");
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        let count = response.rsplit("refreshes: ").next().and_then(|count| count.trim().parse::<u64>().ok());
        count.unwrap_or_else(|| panic!("{response}"))
    };
    let began = Instant::now();
    while refreshes() < 3 {
        assert!(began.elapsed() < PATIENCE, "the task runs beside the service");
        thread::sleep(Duration::from_millis(50));
    }
    let scraped = get(&address, "/metrics");
    assert!(scraped.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{scraped}");
    assert!(
        scraped.contains("symphra_scheduler_runs_total{task=\"refresh_cache\",outcome=\"succeeded\"} "),
        "{scraped}"
    );
    for probe in ["/livez", "/readyz"] {
        assert!(get(&address, probe).starts_with("HTTP/1.1 200 "), "{probe}");
    }
    assert!(get(&address, "/nothing").starts_with("HTTP/1.1 404 "));
    program.signal("TERM");
    let (status, printed) = program.ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    assert!(printed.contains("stopped: ") && printed.contains(", 0 of them cancelled"), "{printed}");
    assert!(TcpStream::connect(&address).is_err(), "nobody listens any more");
}

/// Runs an example that ends by itself; what it printed.
fn walk_through(name: &str) -> String {
    let (status, printed) = Program::start(name, &[]).ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    printed
}

/// Checks that lines which begin with `starts` are printed in this order, others between them.
fn prints_in_order(printed: &str, starts: &[&str]) {
    let mut lines = printed.lines();
    for start in starts {
        assert!(lines.any(|line| line.starts_with(start)), "{start:?} is missing, or out of order:\n{printed}");
    }
}

fn count_of(printed: &str, start: &str) -> usize {
    printed.lines().filter(|line| line.starts_with(start)).count()
}

#[test]
fn the_opentelemetry_example_exports_runs_as_spans_with_what_their_bodies_open_inside() {
    let printed = walk_through("opentelemetry");
    // What stands deeper is of its scope or its events.
    let of = |span: &str, name: &str| {
        let mut lines =
            span.lines().filter_map(|line| line.strip_prefix('\t')?.strip_prefix(name)?.trim().strip_prefix(": "));
        lines.next().unwrap_or_else(|| panic!("{name} is missing: {span}")).to_owned()
    };
    let spans: Vec<&str> = printed.split("Span #0").skip(1).collect();
    assert_eq!(spans.len(), 4, "two runs, and what each of them opens:\n{printed}");
    for (task, customer, status) in [("good", 7, "Unset"), ("bad", 0, "Error")] {
        let has = |text: String| {
            *spans.iter().find(|span| span.contains(&text)).unwrap_or_else(|| panic!("{text}:\n{printed}"))
        };
        let run = has(format!("->  task: String(Owned(\"{task}\"))"));
        let fetch = has(format!("customer: String(Owned(\"{customer}\"))"));
        assert_eq!((of(run, "Name"), of(fetch, "Name")), ("run".to_owned(), "fetch".to_owned()));
        assert_eq!((of(fetch, "ParentSpanId"), of(fetch, "TraceId")), (of(run, "SpanId"), of(run, "TraceId")));
        assert!(of(run, "Status").starts_with(status), "{run}");
    }
}

#[test]
fn the_retry_example_waits_as_its_policy_and_its_body_say() {
    let printed = walk_through("retry");
    let after_ms = |task: &str, attempt: u32| {
        let start = format!("{task}: attempt {attempt}, ");
        let line = printed.lines().find_map(|line| line.strip_prefix(&start));
        let millis = line.and_then(|rest| rest.split(' ').next()).and_then(|millis| millis.parse::<u64>().ok());
        millis.unwrap_or_else(|| panic!("{task} has an attempt {attempt}:\n{printed}"))
    };
    assert!(after_ms("flaky", 2) >= 200 + after_ms("flaky", 1), "{printed}");
    assert!(after_ms("flaky", 3) >= 400 + after_ms("flaky", 2), "{printed}");
    // The policy would have it wait for 30 s.
    assert!((700..20_000).contains(&after_ms("rate_limited", 2)), "{printed}");
    for end in [
        "flaky ended: succeeded in attempt 3 (no error)",
        "rate_limited ended: failed in attempt 2 (the server asked us to wait)",
        "key_revoked ended: failed in attempt 1 (the key was revoked)",
    ] {
        assert_eq!(count_of(&printed, end), 1, "{end:?}:\n{printed}");
    }
    assert_eq!(printed.lines().filter(|line| line.contains(" ended: ")).count(), 3, "{printed}");
}

#[test]
fn the_timeout_example_asks_then_drops_and_names_what_it_cannot_stop() {
    let printed = walk_through("timeout");
    let starts =
        ["polite: asked to end ", "polite ended: timed_out", "deaf: dropped ", "deaf ended: timed_out", "stuck: "];
    prints_in_order(&printed, &starts);
    let seconds = |start: &str| {
        let rest = printed.lines().find_map(|line| line.strip_prefix(start)).expect("it was printed");
        rest.split(' ').next().and_then(|seconds| seconds.parse::<f64>().ok()).expect("a number of seconds")
    };
    assert!(seconds("polite: asked to end ") < 5.0, "it was asked at its timeout:\n{printed}");
    assert!(seconds("deaf: dropped ") >= 5.4, "it was given five seconds:\n{printed}");
    assert!(!printed.contains("this is never printed"), "{printed}");
    prints_in_order(&printed, &["stuck: [\"blocks\"]", "blocks ended: timed_out"]);
    for task in ["polite", "deaf", "blocks"] {
        assert_eq!(count_of(&printed, &format!("{task}: timed out after 500ms")), 1, "{printed}");
    }
}

#[test]
fn the_overlap_example_shows_what_each_policy_makes_of_five_occurrences() {
    let printed = walk_through("overlap");
    let of_each: Vec<&str> = printed.split("5 occurrences = ").collect();
    assert_eq!(of_each.len(), 6, "there are five policies:\n{printed}");
    for (shown, (counts, succeeded, cancelled, reason)) in of_each[1..].iter().zip([
        ("2 runs + 3 recorded", 2, 0, "×(3) overlap: "),
        ("3 runs + 2 recorded", 3, 0, "×(2) covered: "),
        ("5 runs + 0 recorded", 5, 0, ""),
        ("5 runs + 0 recorded", 1, 4, ""),
        ("5 runs + 0 recorded", 5, 0, ""),
    ]) {
        assert!(shown.starts_with(counts), "{counts}:\n{printed}");
        let ended = |how: &str| shown.lines().filter(|line| line.ends_with(how)).count();
        assert_eq!((ended(" succeeded"), ended(" cancelled")), (succeeded, cancelled), "{counts}:\n{printed}");
        assert!(shown.contains(reason), "{reason}:\n{printed}");
    }
    // One after another, and all at once: the column where the last run ends tells them apart.
    let ends = |shown: &str| {
        let bars = shown.lines().filter_map(|line| line.rfind('━').map(|at| line[..at].chars().count()));
        bars.max().expect("a run was drawn")
    };
    assert!(ends(of_each[3]) > ends(of_each[5]), "{printed}");
}

#[test]
fn the_state_example_names_what_is_missing_and_shares_what_is_there() {
    let printed = walk_through("state");
    assert!(printed.starts_with("the scheduler cannot start, for 2 reasons:"), "{printed}");
    for (task, argument) in [("book", "Books"), ("count", "State<Pool>")] {
        let line = printed.lines().find(|line| line.contains(&format!("task \"{task}\" (examples/state/main.rs:")));
        let line = line.unwrap_or_else(|| panic!("{task} is named:\n{printed}"));
        assert!(line.contains(&format!("`{argument}`")) && line.contains("no state of type `Pool`"), "{line}");
    }
    assert!(printed.contains("lookup: there is no cache"), "{printed}");
    let queries = printed.lines().filter_map(|line| line.split("query ").nth(1)?.split(' ').next()?.parse().ok());
    let mut queries: Vec<u64> = queries.collect();
    queries.sort_unstable();
    assert_eq!(queries.pop(), Some(42), "the function was called by hand:\n{printed}");
    let all: Vec<u64> = (1..).take(queries.len()).collect();
    assert!(queries == all && all.len() >= 2, "all runs share one pool:\n{printed}");
}

#[test]
fn the_example_of_tasks_at_run_time_registers_changes_and_removes_them() {
    let printed = walk_through("dynamic_tasks");
    prints_in_order(
        &printed,
        &[
            "-- register",
            "poll: by its schedule",
            "again: ",
            "typo: there is no task named \"pol\"; did you mean \"poll\"?",
            "-- reschedule",
            "next: 01 January, 01 January",
            "-- trigger",
            "poll: by a trigger",
            "the trigger's run is the latest: true, succeeded",
            "-- unregister",
            "slow: began",
            "slow is known: false",
            "slow: ended",
            "tasks left: 0",
        ],
    );
    assert!(printed.contains("two tasks are named \"poll\""), "{printed}");
    let rescheduled = &printed[printed.find("-- reschedule").expect("it is")..];
    assert!(!rescheduled.contains("poll: by its schedule"), "it waits for the new year:\n{printed}");
    assert_eq!((count_of(&printed, "slow: began"), count_of(&printed, "poll: by a trigger")), (1, 1), "{printed}");
}

#[test]
fn the_monitoring_example_shows_counts_states_reasons_and_events() {
    let printed = walk_through("monitoring");
    prints_in_order(
        &printed,
        &[
            "-- the scheduler",
            "2 tasks on memory, ",
            "ledger balances: true",
            "-- its tasks",
            "health_check: every 250 milliseconds, ",
            "report: every 400 milliseconds, failed, tags [\"reports\"]",
            "failed: report (",
            "tagged: health_check [(\"owner\", \"platform\")]",
            "-- a pause",
            "paused: paused by ",
            "record: ",
            "explain: ",
            "explain: ",
            "-- its health",
            "alive true, ready true, is well true",
            "-- its events",
        ],
    );
    assert_eq!(count_of(&printed, "failed: "), 1, "only the task that failed is listed so:\n{printed}");
    let pause = printed.lines().find(|line| line.starts_with("paused: ")).expect("it was found");
    assert!(pause.ends_with(": moving the database"), "{pause}");
    assert!(printed.contains(" events, the first of them Some(AttemptStarted { task: \""), "{printed}");
    let explained: Vec<&str> = printed.lines().filter(|line| line.starts_with("explain: ")).collect();
    assert!(explained[0].contains(" did not run; paused") && explained[0].contains("moving the database"), "{printed}");
    assert!(explained[1].contains(" is no occurrence: the schedule does not name it"), "{printed}");
}

#[test]
fn the_logging_example_writes_by_its_settings_and_then_to_an_adapter() {
    let printed = walk_through("logging");
    prints_in_order(
        &printed,
        &[
            "-- to tracing",
            "-- to an adapter",
            "INFO scheduler.started: scheduler started",
            "ERROR attempt.failed: attempt failed",
            "WARN run.retrying: run is tried again",
            "INFO scheduler.stopped: scheduler stopped",
            "-- all there is",
            "scheduler.started         INFO  node tasks backend",
        ],
    );
    let output = Command::new(examples().join("logging")).arg("json").output().expect("it starts");
    let log = String::from_utf8_lossy(&output.stderr);
    let events = log.lines().filter(|line| line.starts_with("{\"timestamp\":") && line.ends_with('}')).count();
    assert_eq!((events, log.contains("\"event\":\"run.succeeded\"")), (log.lines().count(), true), "{log}");
    assert!(log.contains("\"orders\":7") && !log.contains("never shown"), "{log}");
}

#[test]
fn the_testing_example_lets_days_pass_at_once() {
    let printed = walk_through("testing");
    prints_in_order(
        &printed,
        &[
            "two days: 2 runs succeeded, 2 attempts were repeated",
            "after three days away: Some(2026-03-11T06:30:00Z)",
            "a year with a month away: 47 of 52 Mondays",
        ],
    );
}

#[test]
fn the_daemon_example_starts_tells_and_stops() {
    let dir = std::env::temp_dir().join(format!("symphra-daemon-example-{}", std::process::id()));
    std::fs::create_dir(&dir).expect("a new folder");
    let say = |what: &str| {
        let output = Command::new(examples().join("daemon")).arg(what).env("DAEMON_DIR", &dir).output();
        let output = output.expect("the example can be run");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    };
    assert_eq!(say("status"), (Some(3), "not running".to_owned()));
    let (code, started) = say("start");
    let pid = started.strip_prefix("started, PID ").unwrap_or_else(|| panic!("{started}"));
    assert_eq!(code, Some(0));
    let (code, status) = say("status");
    assert!(code == Some(0) && status.starts_with(&format!("running, PID {pid}, since ")), "{status}");
    let (code, restarted) = say("restart");
    assert!(code == Some(0) && restarted != started, "{restarted}");
    let pid = restarted.strip_prefix("started, PID ").unwrap_or_else(|| panic!("{restarted}"));
    assert_eq!(say("stop"), (Some(0), format!("stopped, PID {pid}")));
    assert_eq!(say("stop"), (Some(0), "was not running".to_owned()));
    assert_eq!(say("nothing").0, Some(2));
    std::fs::remove_dir_all(&dir).expect("nobody needs it any more");
}
