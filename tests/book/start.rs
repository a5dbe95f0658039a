//! The start page, followed to the letter in an empty folder: its commands are run, its files are written, and what is printed is what it
//! shows. Two things are done for the reader: the checkout is this one, and the port is a free one.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use symphra_scheduler_tests::http_request;
use symphra_scheduler_tests::samples::{is_as, line_is_as};
use tempfile::TempDir;

use super::{book, page};

/// How long anything may take, on a machine that has to build everything first.
const PATIENCE: Duration = Duration::from_secs(300);

/// Where the page has its service listen, and its checkout stand.
const ADDRESS: &str = "127.0.0.1:3000";
const CHECKOUT: &str = "../symphra-scheduler-rust";

/// What a reader does, in the order of the page.
#[derive(Debug)]
enum Step<'a> {
    /// Runs a command of which the page shows nothing.
    Command(&'a str),
    /// Writes `src/main.rs`.
    Write(&'a str),
    /// Adds to its end.
    Add(&'a str),
    /// Runs a command that prints this.
    See(&'a str, &'a str),
    /// Looks at what `Cargo.toml` will say.
    Manifest(&'a str),
}

fn steps(page: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for block in page.split("```").skip(1).step_by(2) {
        let (kind, text) = block.split_once('\n').expect("a kind, and text");
        match kind {
            "sh" => steps.extend(text.lines().map(Step::Command)),
            "toml" => steps.push(Step::Manifest(text)),
            "text" => {
                let (command, says) =
                    text.strip_prefix("$ ").and_then(|text| text.split_once('\n')).expect("a command");
                steps.push(Step::See(command, says));
            }
            _ if text.starts_with("#[cfg(test)]") => steps.push(Step::Add(text)),
            _ => steps.push(Step::Write(text)),
        }
    }
    steps
}

/// A reader, who stands in a folder.
struct Reader {
    ground: TempDir,
    folder: PathBuf,
    address: String,
}

impl Reader {
    fn new() -> Self {
        let ground = tempfile::tempdir().expect("an empty folder");
        // Below those that the system gives out: it is taken minutes later.
        let ports =
            (0..10_000).map(|more| 20_000 + u16::try_from((std::process::id() + more) % 10_000).expect("a port"));
        let free = ports.map(|port| format!("127.0.0.1:{port}")).find(|address| TcpListener::bind(address).is_ok());
        Self { folder: ground.path().to_path_buf(), ground, address: free.expect("a free port") }
    }

    fn main_file(&self) -> PathBuf {
        self.folder.join("src/main.rs")
    }

    fn command(&self, line: &str) -> Command {
        let root = book().join("..").canonicalize().expect("the checkout is there");
        let line = line.replace(CHECKOUT, root.to_str().expect("a path in Unicode"));
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("cargo"), "{line}");
        let mut command = Command::new(env!("CARGO"));
        command.args(words).current_dir(&self.folder).stdin(Stdio::null());
        // All that it needs was fetched to build these tests, and is built once for all of them.
        command.env("CARGO_NET_OFFLINE", "true").env_remove("RUSTFLAGS");
        command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("start"));
        command
    }

    fn does(&mut self, line: &str) {
        if let Some(from) = line.strip_prefix("git clone ") {
            assert_eq!(from, env!("CARGO_PKG_REPOSITORY"));
            assert!(from.ends_with(CHECKOUT.trim_start_matches("..")), "{from}");
        } else if let Some(folder) = line.strip_prefix("cd ") {
            self.folder = self.folder.join(folder);
            assert!(self.folder.starts_with(self.ground.path()) && self.folder.is_dir(), "{line}");
        } else {
            ends_well(line, &self.command(line).output().expect("cargo, which runs this test, can be run"));
            if let Some(name) = line.strip_prefix("cargo new ") {
                // The versions that were fetched.
                let lock = self.folder.join(name).join("Cargo.lock");
                fs::copy(book().join("../Cargo.lock"), lock).expect("it can be copied");
            }
        }
    }

    fn writes(&self, text: &str) {
        fs::write(self.main_file(), text.replace(ADDRESS, &self.address)).expect("it can be written");
    }

    fn adds(&self, text: &str) {
        let before = fs::read_to_string(self.main_file()).expect("it was written");
        self.writes(&format!("{before}\n{text}"));
    }

    /// Runs the program, looks at it as the page does, and presses Ctrl+C when all that comes before its end was seen.
    fn runs(&self, line: &str, sample: &str) {
        let mut program = self.command(line).stdout(Stdio::piped()).spawn().expect("it can be run");
        let out = BufReader::new(program.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut printed = String::new();
        let before_the_end = sample.lines().take_while(|line| !line.starts_with("stopp"));
        for wanted in before_the_end.filter(|line| *line != "…") {
            self.waits_for(wanted, &lines, &mut printed);
        }
        // The program has taken the place of the cargo that has built it.
        let kill = format!("kill -INT {}", program.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success(), "{kill}");
        while let Ok(line) = lines.recv_timeout(PATIENCE) {
            printed.push_str(&line);
            printed.push('\n');
        }
        assert!(program.wait().expect("it ends").success(), "{printed}");
        assert!(is_as(sample, &printed), "$ {line}\n{printed}\nand the page has\n{sample}");
        // Numbers are not compared there, and these are the same each time.
        for counted in sample.lines().filter(|line| line.starts_with("visits")) {
            assert!(printed.lines().any(|line| line == counted), "{counted:?}: {printed}");
        }
    }

    fn waits_for(&self, wanted: &str, lines: &Receiver<String>, printed: &mut String) {
        loop {
            let line = lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("{wanted:?} is never printed ({error}):\n{printed}"));
            printed.push_str(&line);
            printed.push('\n');
            // What the page does in its second terminal.
            if line.starts_with("listening on ") {
                assert!(self.get().ends_with("\r\n\r\nvisit 1\n"), "{}", self.get());
            }
            if line_is_as(wanted, &line) {
                return;
            }
        }
    }

    fn get(&self) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.write_all(http_request("GET", "/", &self.address, &[], "").as_bytes()).expect("it reads");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("it answers");
        response
    }

    fn sees(&self, line: &str, sample: &str) {
        match line {
            "cargo run" => self.runs(line, sample),
            "cargo build" => {
                let right = fs::read_to_string(self.main_file()).expect("it was written");
                self.writes(&right.replace("seconds = 2", "seconds = 0"));
                let output = self.command(line).output().expect("it can be run");
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(!output.status.success() && is_as(sample, &said), "{said}\nand the page has\n{sample}");
                self.writes(&right);
            }
            _ => {
                let output = self.command(line).output().expect("it can be run");
                ends_well(line, &output);
                let said = String::from_utf8_lossy(&output.stdout);
                assert!(is_as(sample, &said), "$ {line}\n{said}\nand the page has\n{sample}");
            }
        }
    }

    /// Holds the lines of a manifest with the published crate against that with the checkout.
    fn compares(&self, manifest: &str) {
        let present = fs::read_to_string(self.folder.join("Cargo.toml")).expect("a manifest");
        let [_, ours, tokio] = manifest.lines().collect::<Vec<_>>()[..] else { panic!("{manifest}") };
        let version = ours.strip_prefix("symphra-scheduler = \"").and_then(|rest| rest.strip_suffix('"'));
        assert!(env!("CARGO_PKG_VERSION").starts_with(version.expect("a version")), "{ours}");
        assert!(present.lines().any(|line| line == tokio), "{present}");
    }
}

fn ends_well(line: &str, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "$ {line}\n{}{said}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn whoever_does_what_the_start_page_says_sees_what_it_shows() {
    let text = page("en", "start.md");
    let mut reader = Reader::new();
    let mut seen = 0;
    for step in steps(&text) {
        match step {
            Step::Command(line) => reader.does(line),
            Step::Write(text) => reader.writes(text),
            Step::Add(text) => reader.adds(text),
            Step::See(command, sample) => {
                reader.sees(command, sample);
                seen += 1;
            }
            Step::Manifest(text) => reader.compares(text),
        }
    }
    assert_eq!(seen, 4, "a first task, an error, a service, its tests");
}
