//! The examples, run as a user runs them: what they print, how they heed signals, and how they exit.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take for anything at all, on a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

/// The folder of the built examples. They are built once, by the cargo and into the target folder of this test.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // <target>/<profile>/deps/<this test>
        let test = std::env::current_exe().expect("a test knows where it is");
        let profile = test.parent().and_then(Path::parent).expect("tests stand in a profile's folder").to_path_buf();
        let target = profile.parent().expect("a profile's folder stands in the target folder");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "--offline", "--package", "examples", "--bins"]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        build.arg("--target-dir").arg(target).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        assert!(build.status().expect("cargo, which runs this test, can be run").success(), "the examples build");
        profile
    })
}

/// A running example. It is killed when this is dropped.
struct Program {
    process: Child,
    lines: Receiver<String>,
    printed: String,
}

impl Program {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut process = Command::new(built().join(name))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the example starts");
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
    let (status, printed) = Program::start("quickstart", &["--for", "4s"]).ends();
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
fn an_interrupt_lets_what_runs_end_and_says_what_was_done() {
    let mut program = Program::start("quickstart", &[]);
    // Its next run begins half a second after this line, and takes a second and a half.
    program.prints("sync_orders: done");
    thread::sleep(Duration::from_secs(1));
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
    let mut program = Program::start("quickstart", &[]);
    program.prints("sync_orders: done");
    thread::sleep(Duration::from_secs(1));
    program.signal("INT");
    program.prints("stopping");
    program.signal("INT");
    let (status, printed) = program.ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    let end = &printed[printed.find("stopping").expect("it says so")..];
    assert!(end.contains("sync_orders of ") && end.contains("was cancelled while it ran"), "{printed}");
    assert!(!end.contains("sync_orders: done"), "{printed}");
}

#[test]
fn a_wrong_argument_is_told() {
    let (status, _) = Program::start("quickstart", &["--for", "soon"]).ends();
    assert_eq!(status.code(), Some(2));
}

/// One request of HTTP/1.1, and the whole response.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the service listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("it reads");
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
    assert!(get(&address, "/nothing").starts_with("HTTP/1.1 404 "));
    program.signal("TERM");
    let (status, printed) = program.ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    assert!(printed.contains("stopped: ") && printed.contains(", 0 of them cancelled"), "{printed}");
    assert!(TcpStream::connect(&address).is_err(), "nobody listens any more");
}
