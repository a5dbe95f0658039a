//! Nodes on one store under faults, in an order that is drawn: each fault once or twice in an ordinary run, minutes of them with
//! three nodes and a thousand tasks in a long one (`SYMPHRA_NIGHTLY=1`), and as much as is asked for by `tests/chaos`.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use symphra_scheduler_tests::services::{Postgres, RabbitMq, Redis, has_postgres, has_rabbitmq, has_redis};

use crate::checker::{Excuse, Line, Promise, Seen, Verdict, judge};
use crate::clock::Clock;
use crate::file::locked_for;
use crate::outages::Server;
use crate::proxy::Proxy;
use crate::rig::{LEASE, Node, Store, drawn, is_nightly, now, sleep_until, soon};

/// How much of everything there is, and how long faults go on.
#[derive(Clone, Copy, Debug)]
struct Scale {
    nodes: usize,
    tasks: usize,
    length: Duration,
}

impl Scale {
    /// As it is asked for by `SYMPHRA_CHAOS`, which is `nodes tasks seconds`; else the long one or the short.
    fn asked() -> Self {
        let of = |nodes, tasks, seconds| Self { nodes, tasks, length: Duration::from_secs(seconds) };
        let Ok(asked) = std::env::var("SYMPHRA_CHAOS") else {
            return if is_nightly() { of(3, 1_000, 180) } else { of(3, 200, 1) };
        };
        let numbers: Vec<usize> =
            asked.split(' ').map(|word| word.parse().expect("SYMPHRA_CHAOS has three numbers")).collect();
        let [nodes, tasks, seconds] = numbers[..] else { panic!("SYMPHRA_CHAOS has three numbers: {asked}") };
        of(nodes, tasks, seconds as u64)
    }
}

/// How long a node takes to start, at most: what is due before is missed, and is not what is looked for here.
const START_MAX: Duration = Duration::from_secs(8);

/// How many tasks a newer version of the program has besides.
const NEWER_TASKS: usize = 10;

/// How long it may take until all that was late has run.
const CALM_MAX: Duration = Duration::from_secs(180);

/// For how long each answer of a slow server is held back.
const SLOW: std::ops::Range<u64> = 20..200;

/// By how much the clock of one node is set, where it is not the store's.
const NODE_STEP_MS: i64 = 30_000;

/// By how much the clock of the host is set, which is that of a file.
const HOST_STEP_MS: i64 = 5_000;

/// How long after the host's clock was set back a run begins at the latest that was given out before.
const GIVEN_OUT_MS: i64 = 20_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Kill,
    Freeze,
    /// The server is stopped and started again; a file is locked by another program.
    StoreAway,
    /// A file has no connections that could be cut.
    Cut,
    /// Nor such that could be slow.
    Slow,
    ClockStep,
    /// A node makes room for one of another version of the program.
    Version,
}

const FAULTS: [Fault; 7] =
    [Fault::Kill, Fault::Freeze, Fault::StoreAway, Fault::Cut, Fault::Slow, Fault::ClockStep, Fault::Version];

/// What is drawn of a task by its number: how often it runs, and what becomes of what is missed.
fn period(number: usize) -> i64 {
    [8_000, 12_000, 20_000][number % 3]
}

/// Whether the store says why some of its occurrences did not run.
fn has_excuses(number: usize) -> bool {
    matches!(number % 10, 7..=9)
}

fn first_of(first: i64, number: usize) -> i64 {
    first + i64::try_from(number % 50).expect("a small number") * 20
}

fn task(number: usize, first: i64, is_at_most_once: bool) -> String {
    let options = match number % 10 {
        7 => "misfire=run_once",
        8 => "misfire=skip",
        9 if is_at_most_once => "misfire=run_all,delivery=at_most_once",
        3 => "misfire=run_all,fails=1",
        _ => "misfire=run_all",
    };
    let (start, every, body) = (first_of(first, number), period(number), number % 5 * 40);
    format!("task=t{number},every={every},start={start},body={body},{options}")
}

/// A store that faults are done to.
enum Place {
    Server {
        server: Box<dyn Server>,
        proxy: Proxy,
    },
    /// It has no clock, and forgets with the node that owns the store which runs were given up.
    Broker {
        server: Box<dyn Server>,
        proxy: Proxy,
    },
    File,
}

impl Place {
    fn is_at_most_once(&self, number: usize) -> bool {
        number % 10 == 9 && !matches!(self, Self::Broker { .. })
    }
}

/// Which version of the program a node is of. The newer has tasks that the older has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Older,
    Newer,
}

struct Running {
    node: Node,
    clock: Clock,
    version: Version,
}

struct Storm {
    scale: Scale,
    place: Place,
    store: Store,
    /// Those of the newer version come last.
    tasks: Vec<String>,
    random: fastrand::Rng,
    nodes: Vec<Running>,
    started: usize,
    /// From when on the tasks of the newer version are due: soon after its first node was started.
    newer_first: Option<i64>,
    /// Killed or frozen.
    lost: Vec<String>,
    /// When the host's clock was set, and how far ahead.
    host: Vec<(i64, i64)>,
    began: Instant,
    done: BTreeMap<String, usize>,
}

impl Storm {
    fn new(scale: Scale, place: Place, store: Store, first: i64) -> Self {
        let tasks = (0..scale.tasks).map(|number| task(number, first, place.is_at_most_once(number))).collect();
        let random = fastrand::Rng::with_seed(drawn());
        let (nodes, lost, host, done) = (Vec::new(), Vec::new(), Vec::new(), BTreeMap::new());
        let (began, newer_first, started) = (Instant::now(), None, 0);
        Self { scale, place, store, tasks, random, nodes, started, newer_first, lost, host, began, done }
    }

    fn start_node(&mut self, version: Version) {
        let name = format!("n{}", self.started);
        self.started += 1;
        let ahead = self.host.last().map_or(0, |&(_, ahead)| ahead);
        let clock = Clock::ahead(self.store.folder(), ahead);
        if version == Version::Newer && self.newer_first.is_none() {
            let (first, numbers) = (soon(START_MAX), self.scale.tasks..self.scale.tasks + NEWER_TASKS);
            self.newer_first = Some(first);
            let newer = numbers.map(|number| task(number, first, self.place.is_at_most_once(number)));
            self.tasks.extend(newer);
        }
        let known = match version {
            Version::Older => &self.tasks[..self.scale.tasks],
            Version::Newer => &self.tasks[..],
        };
        let mut arguments: Vec<&str> = known.iter().map(String::as_str).collect();
        arguments.push("workers=30");
        let node = clock.node(&self.store, &name, &arguments);
        self.nodes.push(Running { node, clock, version });
    }

    /// A node that has all tasks: what is asked of a store about a task is asked of who has it.
    fn of_newest(&mut self) -> &mut Node {
        let version = if self.newer_first.is_some() { Version::Newer } else { Version::Older };
        if self.nodes.iter().all(|running| running.version != version) {
            self.start_node(version);
        }
        let found = self.nodes.iter_mut().find(|running| running.version == version);
        &mut found.expect("one was started").node
    }

    /// The numbers of the tasks that were ever registered.
    fn known(&self) -> std::ops::Range<usize> {
        0..self.tasks.len()
    }

    fn sleep(&mut self, millis: std::ops::Range<u64>) {
        thread::sleep(Duration::from_millis(self.random.u64(millis)));
    }

    fn any(&mut self) -> usize {
        self.random.usize(..self.nodes.len())
    }

    fn say(&mut self, fault: Fault, of: &str) {
        println!("{:5.1} s: {fault:?} {of}", self.began.elapsed().as_secs_f32());
        *self.done.entry(format!("{fault:?}")).or_default() += 1;
    }

    fn rages(&mut self) {
        self.began = Instant::now();
        let mut is_first = true;
        // Each fault comes at least once.
        while is_first || self.began.elapsed() < self.scale.length {
            let mut faults = FAULTS;
            self.random.shuffle(&mut faults);
            for fault in faults {
                if !is_first && self.began.elapsed() > self.scale.length {
                    break;
                }
                self.does(fault);
                self.sleep(1_000..4_000);
            }
            is_first = false;
        }
    }

    fn does(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => {
                let at = self.any();
                let Running { mut node, version, .. } = self.nodes.remove(at);
                self.say(fault, node.name());
                node.kill();
                self.lost.push(node.name().into());
                self.sleep(0..3_000);
                self.start_node(version);
            }
            Fault::Freeze => {
                let at = self.any();
                let name = self.nodes[at].node.name().to_owned();
                self.say(fault, &name);
                self.lost.push(name);
                self.nodes[at].node.signal(Signal::STOP);
                thread::sleep(LEASE);
                self.sleep(1_000..6_000);
                self.nodes[at].node.signal(Signal::CONT);
            }
            Fault::StoreAway => {
                let millis = self.random.u64(1_000..9_000);
                self.say(fault, &format!("for {millis} ms"));
                let away = Duration::from_millis(millis);
                match &mut self.place {
                    Place::Server { server, .. } | Place::Broker { server, .. } => {
                        server.stop();
                        thread::sleep(away);
                        server.run();
                    }
                    Place::File => locked_for(&self.store.url, away),
                }
            }
            Fault::Cut => {
                let (Place::Server { proxy, .. } | Place::Broker { proxy, .. }) = &self.place else { return };
                let mut cut = 0;
                for _ in 0..8 {
                    cut += proxy.cut();
                    thread::sleep(Duration::from_millis(self.random.u64(10..400)));
                }
                self.say(fault, &format!("{cut} connections"));
            }
            Fault::Slow => {
                let (Place::Server { proxy, .. } | Place::Broker { proxy, .. }) = &self.place else { return };
                let millis = self.random.u64(SLOW);
                proxy.hold_back(Duration::from_millis(millis));
                thread::sleep(Duration::from_millis(self.random.u64(4_000..8_000)));
                proxy.hold_back(Duration::ZERO);
                self.say(fault, &format!("answers, each held back for {millis} ms"));
            }
            Fault::Version => {
                let at = self.any();
                let Running { node, version, .. } = self.nodes.remove(at);
                let other = if version == Version::Older { Version::Newer } else { Version::Older };
                self.say(fault, &format!("of {} makes room for the {other:?}", node.name()));
                node.stop();
                self.start_node(other);
            }
            Fault::ClockStep if matches!(self.place, Place::File) => {
                self.say(fault, &format!("of the host by {HOST_STEP_MS} ms, and back"));
                for ahead in [HOST_STEP_MS, 0] {
                    self.host.push((now(), ahead));
                    self.nodes.iter().for_each(|running| running.clock.set(ahead));
                    self.sleep(6_000..9_000);
                }
            }
            Fault::ClockStep if matches!(self.place, Place::Broker { .. }) => {}
            Fault::ClockStep => {
                let at = self.any();
                let by = if self.random.bool() { NODE_STEP_MS } else { -NODE_STEP_MS };
                self.say(fault, &format!("of {} by {by} ms, and back", self.nodes[at].node.name().to_owned()));
                for ahead in [by, 0] {
                    self.nodes[at].clock.set(ahead);
                    self.sleep(3_000..6_000);
                }
            }
        }
    }

    /// The diaries, by the clock that the store had.
    fn lines(&self) -> Vec<Line> {
        let ahead = |at: i64| {
            let since = self.host.iter().rposition(|&(set, _)| set <= at - GIVEN_OUT_MS).unwrap_or(0);
            self.host[since.min(self.host.len())..]
                .iter()
                .take_while(|(set, _)| *set <= at)
                .map(|&(_, ahead)| ahead)
                .max()
        };
        let lines = self.store.lines().into_iter();
        lines.map(|line| Line { at: line.at + ahead(line.at).unwrap_or(0), ..line }).collect()
    }

    /// Occurrences of which the store says why they did not run, or that they were given up with their node.
    fn excuses(&mut self) -> Vec<Excuse> {
        let mut excuses = Vec::new();
        for number in self.known().filter(|&number| has_excuses(number)) {
            let task = format!("t{number}");
            excuses.extend(self.of_newest().excuses(&task));
            if self.place.is_at_most_once(number) {
                let runs = self.of_newest().ask(&format!("runs {task}"));
                let given_up = runs.split(' ').filter_map(|run| run.split_once(":abandoned:"));
                let at = given_up.map(|(at, _)| at.parse().expect("an instant"));
                excuses.extend(at.map(|at| Excuse { task: task.clone(), first: at, last: at }));
            }
        }
        excuses
    }

    fn promise(&self, number: usize, first: i64, last: i64) -> Promise {
        let first = self.newer_first.filter(|_| number >= self.scale.tasks).unwrap_or(first);
        let (task, at_most_once) = (format!("t{number}"), self.place.is_at_most_once(number));
        Promise { task, first: first_of(first, number), period: period(number), last, at_most_once }
    }

    fn settles(&mut self, promises: &[Promise]) -> Verdict {
        let began = Instant::now();
        loop {
            let excuses = self.excuses();
            let lost: Vec<&str> = self.lost.iter().map(String::as_str).collect();
            let verdict = judge(&self.lines(), promises, &excuses, &lost);
            if verdict.is_clean() || began.elapsed() > CALM_MAX {
                return verdict;
            }
            thread::sleep(Duration::from_secs(3));
        }
    }

    fn balances(&mut self) -> (u64, u64, u64) {
        let mut sum = (0, 0, 0);
        for number in self.known() {
            let [occurrences, runs, recorded] = self.of_newest().balanced_ledger(&format!("t{number}"));
            sum = (sum.0 + occurrences, sum.1 + runs, sum.2 + recorded);
        }
        sum
    }
}

fn survives(place: Place, store: Store) {
    let (first, scale) = (soon(START_MAX), Scale::asked());
    let mut storm = Storm::new(scale, place, store, first);
    (0..scale.nodes).for_each(|_| storm.start_node(Version::Older));
    sleep_until(first + 2_000);
    storm.rages();
    let last = now() - 1_000;
    let promises: Vec<Promise> = storm.known().map(|number| storm.promise(number, first, last)).collect();
    let calm = Instant::now();
    let verdict = storm.settles(&promises);
    let promised: i64 = promises.iter().map(|it| ((it.last - it.first) / it.period + 1).max(0)).sum();
    let begun = storm.store.lines().iter().filter(|line| line.seen == Seen::Start && line.instant <= last).count();
    let (occurrences, runs, recorded) = storm.balances();
    println!("{:?}, {} nodes started", storm.done, storm.started);
    println!(
        "{promised} occurrences promised, {begun} attempts begun, settled after {:.1} s",
        calm.elapsed().as_secs_f32()
    );
    println!("the ledger: {occurrences} occurrences = {runs} runs + {recorded} recorded");
    let wrong = format!("{verdict}");
    println!("{}", wrong.lines().take(60).collect::<Vec<_>>().join("\n"));
    if !verdict.is_clean() {
        keep(storm.store.folder());
    }
    assert!(verdict.is_clean());
    storm.nodes.into_iter().for_each(|running| running.node.stop());
}

/// What a long run has written, for whoever looks into its failure.
fn keep(folder: &Path) {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("storm-{}", std::process::id()));
    std::fs::create_dir_all(&kept).expect("a folder");
    for file in std::fs::read_dir(folder).expect("the folder is there").flatten() {
        std::fs::copy(file.path(), kept.join(file.file_name())).expect("it can be copied");
    }
    println!("diaries and logs are kept in {}", kept.display());
}

fn survives_on<S: Server + 'static>() {
    let server = S::start();
    let (proxy, url) = Proxy::before(&server.url());
    survives(Place::Server { server: Box::new(server), proxy }, Store::on(&url));
}

#[test]
fn nodes_on_postgres_survive_faults() {
    if has_postgres() {
        survives_on::<Postgres>();
    }
}

#[test]
fn nodes_on_redis_survive_faults() {
    if has_redis() {
        survives_on::<Redis>();
    }
}

#[test]
fn nodes_on_rabbitmq_survive_faults() {
    if has_rabbitmq() {
        let server = RabbitMq::start();
        let (proxy, url) = Proxy::before(&server.url());
        survives(Place::Broker { server: Box::new(server), proxy }, Store::on(&url));
    }
}

#[test]
fn nodes_on_a_file_survive_faults() {
    survives(Place::File, Store::sqlite());
}
