//! The unit of systemd and the image of the book: what they say is right, and a program that is started as they start it
//! drains and ends well when it is stopped as they stop it, also as process 1.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use symphra_scheduler::{SchedulerConfig, parse_duration};
use tempfile::TempDir;

/// How long anything at all may take, on a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program of the book.
const BILLING: &str = "/usr/local/bin/billing";

const LANGUAGES: [&str; 2] = ["en", "zh"];

fn page(language: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(language).join("running.md");
    fs::read_to_string(path).expect("a page of the book")
}

/// The one piece of code in `kind` of a page.
fn code(page: &str, kind: &str) -> String {
    let blocks = page.split("```").skip(1).step_by(2);
    let found: Vec<&str> = blocks.filter_map(|block| block.strip_prefix(kind)?.strip_prefix('\n')).collect();
    let [code] = found[..] else { panic!("{} blocks of {kind}", found.len()) };
    code.to_owned()
}

/// How long a stop takes at most where nothing is set.
fn shutdown_timeout() -> Duration {
    let schema: Value = serde_json::from_str(&SchedulerConfig::json_schema()).expect("it is JSON");
    let says = schema["properties"]["shutdown_timeout"]["description"].clone();
    let (_, default) = says.as_str().and_then(|says| says.split_once("Default ")).expect("it names its default");
    parse_duration(default.trim_end_matches('.')).expect("a duration")
}

/// The keys of a unit, each with its section, and what they say.
fn keys_of(unit: &str) -> BTreeMap<String, String> {
    let mut section = "";
    let mut keys = BTreeMap::new();
    for line in unit.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match (line.strip_prefix('[').and_then(|line| line.strip_suffix(']')), line.split_once('=')) {
            (Some(name), _) => section = name,
            (None, Some((key, value))) => {
                let twice = keys.insert(format!("{section}.{key}"), value.to_owned());
                assert!(twice.is_none(), "{key} stands twice");
            }
            (None, None) => panic!("{line:?} is no line of a unit"),
        }
    }
    keys
}

/// The program of the book as it would be started so, by a program of ours.
fn command_of(words: &[&str]) -> Vec<String> {
    assert_eq!(words[0], BILLING, "by an absolute path, with no shell before it");
    let program = env!("CARGO_BIN_EXE_daemon-fixture");
    [program].into_iter().chain(words[1..].iter().copied()).map(str::to_owned).collect()
}

/// A program that runs under a supervisor, with a run that ends when it may.
struct Supervised {
    process: Child,
    lines: Receiver<String>,
    run: UnixStream,
    _ground: TempDir,
}

impl Supervised {
    fn by(words: &[String]) -> Self {
        let ground = tempfile::tempdir().expect("a folder");
        let socket = ground.path().join("events");
        let events = UnixListener::bind(&socket).expect("a socket");
        let mut process = Command::new(&words[0])
            .args(&words[1..])
            .env("BODY", "patient")
            .env("TELL", &socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it can be run");
        let (sender, lines) = channel();
        let out = BufReader::new(process.stdout.take().expect("it is piped"));
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let (told, run) = channel();
        thread::spawn(move || events.accept().map(|(run, _)| told.send(run)));
        let mut run = match run.recv_timeout(PATIENCE) {
            Ok(run) => run,
            Err(error) => {
                // Neither may outlive a test that failed; it may have ended already.
                drop(process.kill());
                panic!("its task never runs: {error}");
            }
        };
        run.read_exact(&mut [0; "it runs".len()]).expect("it tells");
        Self { process, lines, run, _ground: ground }
    }

    #[track_caller]
    fn prints(&self, part: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(part) => return line,
                Ok(_) => {}
                Err(error) => panic!("{part:?} never comes: {error}"),
            }
        }
    }

    /// It lets its run end after SIGTERM to the process `pid`, and ends well.
    #[track_caller]
    fn drains(mut self, pid: u32) {
        signal(pid, "TERM");
        self.prints("stopping: what runs may end");
        assert!(self.process.try_wait().expect("it is ours").is_none(), "it waits for its run");
        self.run.write_all(b"!").expect("its run goes on");
        self.prints("patient: done");
        let farewell = self.prints("stopped after ");
        assert!(farewell.contains(": 1 run, 0 failed, 0 cancelled"), "{farewell}");
        assert_eq!(
            self.process.wait().expect("it ends").code(),
            Some(0),
            "no failure, after which it would be restarted"
        );
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // It has ended, if the test went well.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn signal(pid: u32, name: &str) {
    let kill = format!("kill -{name} {pid}");
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success(), "{kill}");
}

#[test]
fn the_unit_of_the_book_says_what_it_relies_on() {
    for language in LANGUAGES {
        let keys = keys_of(&code(&page(language), "ini"));
        let says = |key: &str| keys.get(key).map_or("", String::as_str);
        // With `exec` a program that cannot be started is a failure of the start; it does not fork, and tells nothing.
        assert_eq!((says("Service.Type"), says("Service.Restart")), ("exec", "on-failure"));
        assert!(!keys.contains_key("Service.KillSignal"), "SIGTERM is what systemd sends unless it is told otherwise");
        assert_eq!(says("Service.KillMode"), "mixed", "SIGTERM goes to the program alone");
        let seconds = says("Service.TimeoutStopSec").parse().expect("a number of seconds");
        assert!(Duration::from_secs(seconds) > shutdown_timeout(), "{seconds} s");
        assert_eq!(says("Service.ExecReload"), "/bin/kill -HUP $MAINPID");
        assert!(!says("Service.User").is_empty() && says("Install.WantedBy") == "multi-user.target");
    }
}

#[test]
fn systemd_has_no_word_against_the_unit_of_the_book() {
    let ground = tempfile::tempdir().expect("a folder");
    let path = ground.path().join("billing.service");
    let verified = |unit: &str| {
        fs::write(&path, unit.replace(BILLING, "/bin/true")).expect("it can be written");
        let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().ok()?;
        Some(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for language in LANGUAGES {
        let unit = code(&page(language), "ini");
        let Some(said) = verified(&unit) else { return }; // There is no systemd.
        assert!(!said.contains("billing.service"), "{said}");
        let said = verified(&unit.replace("KillMode=mixed", "KillMode=mixd")).unwrap_or_default();
        assert!(said.contains("billing.service"), "it would say what is wrong: {said:?}");
    }
}

#[test]
fn a_program_that_is_started_by_the_unit_reads_again_and_drains() {
    let keys = keys_of(&code(&page("en"), "ini"));
    let words: Vec<&str> = keys["Service.ExecStart"].split_whitespace().collect();
    let program = Supervised::by(&command_of(&words));
    let pid = program.process.id();
    let reload = keys["Service.ExecReload"].replace("$MAINPID", &pid.to_string());
    assert!(Command::new("sh").args(["-c", &reload]).status().expect("a shell").success(), "{reload}");
    program.drains(pid);
}

#[test]
fn a_program_that_is_started_by_the_image_drains_as_process_1() {
    for language in LANGUAGES {
        let image = code(&page(language), "dockerfile");
        let says = |word: &str| {
            let mut lines = image.lines().filter_map(|line| line.strip_prefix(word));
            let said = lines.next().unwrap_or_else(|| panic!("{word} is not there")).trim();
            assert!(lines.next().is_none(), "{word} stands twice");
            said.to_owned()
        };
        assert_eq!(says("STOPSIGNAL"), "SIGTERM");
        assert!(says("COPY").ends_with(&format!(" {BILLING}")), "the program is there");
        // A list is what is executed; anything else is given to a shell.
        let words: Vec<String> = serde_json::from_str(&says("ENTRYPOINT")).expect("a list of words");
        let program = command_of(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"].map(str::to_owned);
        let may = Command::new("unshare").args(&alone[1..]).arg("true").stderr(Stdio::null()).status();
        if may.is_ok_and(|status| status.success()) {
            let program = Supervised::by(&[&alone[..], &program[..]].concat());
            let parent = program.process.id();
            let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).expect("it lives");
            let pid: u32 = children.trim().parse().expect("one child");
            let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
            assert!(status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1")), "{status}");
            program.drains(pid);
        } else {
            // No process 1 is to be had here.
            let program = Supervised::by(&program);
            let pid = program.process.id();
            program.drains(pid);
        }
    }
}

#[test]
fn the_image_of_the_book_is_given_time_to_drain() {
    for language in LANGUAGES {
        let compose: Value = serde_saphyr::from_str(&code(&page(language), "yaml")).expect("it is YAML");
        let period = compose["services"]["billing"]["stop_grace_period"].as_str().expect("a duration");
        assert!(parse_duration(period).expect("a duration") > shutdown_timeout(), "{period}");
    }
}

#[test]
fn commands_that_the_page_starts_a_program_with_are_there() {
    let help = Command::new(env!("CARGO_BIN_EXE_operated-fixture")).arg("--help").output().expect("it can be run");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let listed = |name: &str| help.lines().any(|line| line.trim_start().starts_with(&format!("{name} ")));
    for language in LANGUAGES {
        let page = page(language);
        let mut named = Vec::new();
        for rest in page.split(BILLING).skip(1) {
            let word = rest.split(['`', '\n', '"']).next().unwrap_or_default().trim();
            named.extend((!word.is_empty()).then_some(word));
        }
        assert_eq!(named, ["run"], "of {language}");
        assert!(named.iter().all(|name| listed(name)), "{named:?}: {help}");
    }
}
