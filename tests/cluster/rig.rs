//! Nodes as processes on a store of their own, and what a test does to them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use symphra_scheduler_tests::services::{postgres_url, rabbitmq_url, redis_url};

use crate::checker::{Excuse, Line, Promise, Seen, Verdict, diaries, judge};

/// How long anything may take, on a machine under load.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The lease of every node: the shortest that a program may ask for.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// Within this time of a node's death, or of the start of the next where there is no other, its runs are somebody else's:
/// what the guarantees say, and what a machine under load takes for it.
pub(crate) const RECOVERY: Duration = Duration::from_secs(LEASE.as_secs() + 5 + 10);

/// Whether the long runs are asked for.
pub(crate) fn is_nightly() -> bool {
    std::env::var_os("SYMPHRA_NIGHTLY").is_some_and(|value| value == "1")
}

/// The seed of what a test draws, which it prints; `SYMPHRA_SEED` draws the same again.
pub(crate) fn drawn() -> u64 {
    let seed = std::env::var("SYMPHRA_SEED").ok().map(|seed| seed.parse().expect("SYMPHRA_SEED is a number"));
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    seed
}

/// A store, the diaries of its nodes, and what they say.
pub(crate) struct Store {
    pub(crate) url: String,
    namespace: String,
    folder: tempfile::TempDir,
}

impl Store {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::at(format!("sqlite://{}", folder.path().join("store.db").display()), folder)
    }

    pub(crate) fn postgres() -> Self {
        Self::on(postgres_url())
    }

    pub(crate) fn rabbitmq() -> Self {
        Self::on(rabbitmq_url())
    }

    pub(crate) fn redis() -> Self {
        Self::on(redis_url())
    }

    /// A store on the server that `url` names.
    pub(crate) fn on(url: &str) -> Self {
        Self::at(url.into(), tempfile::tempdir().expect("a folder"))
    }

    fn at(url: String, folder: tempfile::TempDir) -> Self {
        Self { url, namespace: format!("n{:x}", fastrand::u64(..)), folder }
    }

    /// Whether each node gets its share while all have room: on RabbitMQ the node that owns the store is the quickest.
    pub(crate) fn is_shared_evenly(&self) -> bool {
        !self.url.starts_with("amqp")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How one of its tables is called.
    pub(crate) fn table(&self, name: &str) -> String {
        format!("{}_{name}", self.namespace)
    }

    /// Starts a node, and waits until it is up.
    pub(crate) fn node(&self, name: &str, arguments: &[&str]) -> Node {
        let mut node = self.spawn(name, arguments);
        node.reads("up");
        node
    }

    /// Starts a node that may not come up.
    pub(crate) fn spawn(&self, name: &str, arguments: &[&str]) -> Node {
        self.spawn_by(&mut Command::new(env!("CARGO_BIN_EXE_node-fixture")), name, arguments)
    }

    /// Starts a node by a command that ends with the program.
    pub(crate) fn spawn_by(&self, command: &mut Command, name: &str, arguments: &[&str]) -> Node {
        let said = self.folder().join(format!("{name}.log"));
        let log = File::options().append(true).create(true).open(&said).expect("a log");
        let diary = self.folder().join(format!("{name}.diary"));
        command.arg(format!("url={}", self.url)).arg(format!("namespace={}", self.namespace));
        command.arg(format!("node={name}")).arg(format!("file={}", diary.display())).args(arguments);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn();
        let mut process = spawned.expect("the node starts");
        let commands = process.stdin.take();
        let printed = BufReader::new(process.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || printed.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Node { name: name.into(), process, commands, lines, said }
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        diaries(self.folder())
    }

    /// Waits until the diaries are as wanted.
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut(&[Line]) -> bool) {
        let began = Instant::now();
        while !is_so(&self.lines()) {
            assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}\n{}", self.story());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until occurrences run that fall due from now on: whatever was in the way is over.
    pub(crate) fn fires_again(&self) {
        let from = now();
        let begun = |line: &&Line| line.seen == Seen::Start && line.instant > from;
        self.until("occurrences run", |lines| lines.iter().filter(begun).count() >= 8);
    }

    /// The verdict when it is clean, or after `patience` the last that is not.
    pub(crate) fn settles(
        &self,
        promises: &[Promise],
        excuses: impl Fn() -> Vec<Excuse>,
        lost: &[&str],
        patience: Duration,
    ) -> Verdict {
        let began = Instant::now();
        loop {
            let verdict = judge(&self.lines(), promises, &excuses(), lost);
            if verdict.is_clean() || began.elapsed() > patience {
                return verdict;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Everything that is known, for a test that fails.
    pub(crate) fn story(&self) -> String {
        let mut story = String::new();
        for file in fs::read_dir(self.folder()).expect("the folder is there").flatten() {
            let path = file.path();
            if path.extension().is_some_and(|kind| kind == "diary" || kind == "log") {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let last: Vec<&str> = text.lines().rev().take(60).collect();
                story += &format!("-- {name}\n");
                last.iter().rev().for_each(|line| story += &format!("{line}\n"));
            }
        }
        story
    }
}

/// A node. It is killed when this is dropped.
pub(crate) struct Node {
    pub(crate) name: String,
    process: Child,
    commands: Option<ChildStdin>,
    lines: Receiver<String>,
    said: PathBuf,
}

impl Node {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Waits until it prints a line that begins so; the line.
    pub(crate) fn reads(&mut self, start: &str) -> String {
        let began = Instant::now();
        let mut printed = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
            if line.starts_with(start) {
                return line;
            }
            printed.push(line);
        }
        panic!("{} never prints {start:?}, but {printed:?}:\n{}", self.name, self.said());
    }

    /// Tells it to do something, whether or not it lives to answer.
    pub(crate) fn tell(&mut self, command: &str) {
        let commands = self.commands.as_mut().expect("it has not been stopped");
        writeln!(commands, "{command}").expect("it listens");
    }

    /// Has it do something; its answer.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.try_to_ask(command).unwrap_or_else(|error| panic!("{}: {command}: {error}", self.name))
    }

    /// Asks it until its store answers: one that was away a moment ago may take its time.
    fn ask_until_answered(&mut self, question: &str) -> String {
        let began = Instant::now();
        loop {
            match self.try_to_ask(question) {
                Ok(answer) => return answer,
                Err(error) => assert!(began.elapsed() < PATIENCE, "{}: {question}: {error}", self.name),
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn try_to_ask(&mut self, command: &str) -> Result<String, String> {
        self.tell(command);
        let answer = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{}: {command}", self.name));
        match answer.strip_prefix("ok") {
            Some(answer) => Ok(answer.trim_start().to_owned()),
            None => Err(answer),
        }
    }

    /// What its engine has said so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Waits until its engine has said so.
    pub(crate) fn says(&self, part: &str) {
        let began = Instant::now();
        while !self.said().contains(part) {
            assert!(began.elapsed() < PATIENCE, "{} never says {part:?}:\n{}", self.name, self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// How much memory it has in use, in kilobytes; `None` where the system does not tell.
    pub(crate) fn memory_kb(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it uses memory");
        Some(line.trim().trim_end_matches(" kB").parse().expect("a number of kilobytes"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).expect("the id of a process");
        kill_process(id, signal).expect("it is there");
    }

    /// Kills it: no destructor, no good-bye.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.process.wait().expect("it ends");
    }

    /// Waits for its end.
    pub(crate) fn ends(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "{} does not end:\n{}", self.name, self.said());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.ends();
        assert!(status.success(), "{} ended with {status}:\n{}", self.name, self.said());
    }

    /// The ledger of a task, which balances: occurrences, runs, recorded.
    pub(crate) fn balanced_ledger(&mut self, task: &str) -> [u64; 3] {
        let ledger = self.ask_until_answered(&format!("ledger {task}"));
        let counts: Vec<u64> = ledger.split(' ').map(|count| count.parse().expect("a count")).collect();
        let counts: [u64; 3] = counts.try_into().unwrap_or_else(|_| panic!("a ledger has three counts: {ledger}"));
        assert_eq!(counts[0], counts[1] + counts[2], "{task}: {ledger}");
        counts
    }

    /// The spans of a task of which the store says why they did not run.
    pub(crate) fn excuses(&mut self, task: &str) -> Vec<Excuse> {
        let records = self.ask_until_answered(&format!("records {task}"));
        let spans = records.split(' ').filter(|record| !record.is_empty()).map(|record| {
            let words: Vec<&str> = record.split(':').collect();
            let at = |place: usize| words[place].parse().unwrap_or_else(|_| panic!("{record} is a span"));
            Excuse { task: task.into(), first: at(1), last: at(2) }
        });
        spans.collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail where it has ended already, which is what they are for.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_millis();
    i64::try_from(now).expect("it is not that late")
}

/// The first full second that is at least `ahead` away.
pub(crate) fn soon(ahead: Duration) -> i64 {
    let ahead = i64::try_from(ahead.as_millis()).expect("it is not that far");
    (now() + ahead + 999) / 1_000 * 1_000
}

pub(crate) fn sleep_until(instant: i64) {
    thread::sleep(Duration::from_millis((instant - now()).max(0).unsigned_abs()));
}
