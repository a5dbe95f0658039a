//! A folder with a program in it, what its commands say, and what it prints itself.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything at all may take, on a machine under load.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const APP: &str = env!("CARGO_BIN_EXE_operated-fixture");
/// A program that has no command line of the library.
pub(crate) const FOREGROUND: &str = env!("CARGO_BIN_EXE_daemon-fixture");
pub(crate) const PLANNED: &str = env!("CARGO_BIN_EXE_planned-fixture");
pub(crate) const SYMPHRA: &str = env!("CARGO_BIN_EXE_symphra-fixture");

/// A folder in which programs work and have their control sockets. It is removed when this is dropped.
pub(crate) struct Home(pub(crate) PathBuf);

impl Home {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("symphra-cli-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new folder");
        fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("it is ours");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("it can be written");
    }

    /// The names of the control sockets that are there.
    pub(crate) fn sockets(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).expect("it can be read");
        let names = names.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(".sock")).collect()
    }

    /// Every file and folder that is there, with what it is and when it was changed.
    pub(crate) fn all(&self) -> Vec<String> {
        fn look(folder: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).expect("it can be read") {
                let entry = entry.expect("an entry");
                let (path, stat) = (entry.path(), entry.metadata().expect("it is there"));
                found.push(format!("{} {:o} {:?}", path.display(), stat.mode(), stat.modified().ok()));
                if stat.is_dir() {
                    look(&path, found);
                }
            }
        }
        let mut found = Vec::new();
        look(&self.0, &mut found);
        found.sort_unstable();
        found
    }

    /// A command of the program `app` that works here, with nothing of our own environment that would change it.
    pub(crate) fn command(&self, program: &str, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.arg0(name).args(arguments).current_dir(&self.0).env("SYMPHRA_CONTROL_DIR", &self.0);
        let others = ["COLUMNS", "NO_COLOR", "CLICOLOR_FORCE", "SYMPHRA_DASHBOARD_TOKEN"];
        let ours = |name: &str| name.starts_with("SCHEDULER_") || others.contains(&name);
        for (variable, _) in std::env::vars().filter(|(name, _)| ours(name)) {
            command.env_remove(variable);
        }
        command
    }

    /// What `app` says.
    pub(crate) fn app(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(APP, "app", arguments).stdin(Stdio::null()).output().expect("the program can be run"))
    }

    /// What `app … --json` prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let all: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.app(&all).well()).expect("it is JSON")
    }

    /// What `symphra` says.
    pub(crate) fn symphra(&self, arguments: &[&str]) -> Said {
        let mut command = self.command(SYMPHRA, "symphra", arguments);
        Said::of(command.stdin(Stdio::null()).output().expect("the program can be run"))
    }

    /// `app run`, once it is up.
    pub(crate) fn runs(&self) -> Program {
        let mut program = Program::of(self.command(APP, "app", &["run"]));
        program.prints("  slow ");
        program
    }

    /// Asks until the answer is as it should be; the answer.
    #[track_caller]
    pub(crate) fn until(&self, arguments: &[&str], is_right: impl Fn(&Value) -> bool) -> Value {
        until(|| self.json(arguments), arguments, is_right)
    }

    /// Asks for the latest run of a task until it has ended.
    pub(crate) fn ended(&self, task: &str) -> Value {
        self.until(&["runs", task, "-n", "1"], has_ended)[0].clone()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // A test that failed may have left it as it is not ours to remove.
        drop(fs::set_permissions(&self.0, Permissions::from_mode(0o700)));
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Whether the first of these runs is there, and has ended.
pub(crate) fn has_ended(runs: &Value) -> bool {
    let state = runs[0]["state"].as_str().unwrap_or_default();
    !["", "queued", "running", "retrying"].contains(&state)
}

/// Asks until the answer is as it should be; the answer.
#[track_caller]
pub(crate) fn until(ask: impl Fn() -> Value, what: &[&str], is_right: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let answer = ask();
        if is_right(&answer) {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{what:?} never becomes right: {answer:#}");
    }
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// What it printed, if it went well.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert!(self.code == Some(0) && self.err.is_empty(), "{self:?}");
        self.out
    }

    /// Checks that it failed with `code`, and said this.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.out.is_empty(), "errors stand on standard error: {self:?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is missing: {self:?}");
        }
    }
}

/// A program in the foreground. It is killed when this is dropped.
pub(crate) struct Program {
    pub(crate) process: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Program {
    pub(crate) fn of(mut command: Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the program can be run");
        let lines = told(process.stdout.take().expect("it is piped"));
        let errors = told(process.stderr.take().expect("it is piped"));
        Self { process, lines, errors }
    }

    pub(crate) fn pid(&self) -> String {
        self.process.id().to_string()
    }

    /// Waits until it prints a line that contains `part`.
    #[track_caller]
    pub(crate) fn prints(&mut self, part: &str) -> String {
        line_with(&self.lines, part)
    }

    /// The same of its standard error.
    #[track_caller]
    pub(crate) fn warns(&mut self, part: &str) -> String {
        line_with(&self.errors, part)
    }

    /// Sends it a signal, and waits for its end.
    pub(crate) fn ends_by(mut self, signal: &str) -> Option<i32> {
        send(&self.pid(), signal);
        self.process.wait().expect("it ends").code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail where it has ended already, which is what they are for.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

pub(crate) fn send(pid: &str, signal: &str) {
    let kill = format!("kill -{signal} {pid}");
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success(), "{kill}");
}

fn told(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    let reader = BufReader::new(stream);
    thread::spawn(move || reader.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}

#[track_caller]
fn line_with(lines: &Receiver<String>, part: &str) -> String {
    let began = Instant::now();
    let mut seen = String::new();
    while let Ok(line) = lines.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
        if line.contains(part) {
            return line;
        }
        seen = format!("{seen}{line}\n");
    }
    panic!("{part:?} never comes:\n{seen}");
}

/// A file of the snapshots, which has to be as `text` is. `BLESS=1` renews it.
#[track_caller]
pub(crate) fn is_as_in(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots").join(file);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, text).expect("the snapshot can be written");
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    let differs = known.lines().zip(text.lines()).position(|(known, now)| known != now);
    let line = differs.unwrap_or_else(|| known.lines().count().min(text.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("(its end)").to_owned();
    assert!(
        known == text,
        "{file}, line {}: was\n  {}\nand is\n  {}\nrun this test with BLESS=1 if that is right",
        line + 1,
        at(&known),
        at(text)
    );
}
