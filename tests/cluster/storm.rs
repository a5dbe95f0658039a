//! Three nodes and a thousand tasks under minutes of faults, in an order that is drawn; of the long runs (`SYMPHRA_NIGHTLY`).

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

const TASKS: usize = 1_000;

const NODES: usize = 3;

/// How long faults go on.
const STORM: Duration = Duration::from_secs(180);

/// How long it may take until all that was late has run.
const CALM_MAX: Duration = Duration::from_secs(180);

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
    ClockStep,
}

const FAULTS: [Fault; 5] = [Fault::Kill, Fault::Freeze, Fault::StoreAway, Fault::Cut, Fault::ClockStep];

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

struct Storm {
    place: Place,
    store: Store,
    tasks: Vec<String>,
    random: fastrand::Rng,
    nodes: Vec<(Node, Clock)>,
    started: usize,
    /// Killed or frozen.
    lost: Vec<String>,
    /// When the host's clock was set, and how far ahead.
    host: Vec<(i64, i64)>,
    began: Instant,
    done: BTreeMap<String, usize>,
}

impl Storm {
    fn new(place: Place, store: Store, first: i64) -> Self {
        let tasks = (0..TASKS).map(|number| task(number, first, place.is_at_most_once(number))).collect();
        let random = fastrand::Rng::with_seed(drawn());
        let (nodes, lost, host, done) = (Vec::new(), Vec::new(), Vec::new(), BTreeMap::new());
        Self { place, store, tasks, random, nodes, started: 0, lost, host, began: Instant::now(), done }
    }

    fn start_node(&mut self) {
        let name = format!("n{}", self.started);
        self.started += 1;
        let ahead = self.host.last().map_or(0, |&(_, ahead)| ahead);
        let clock = Clock::ahead(self.store.folder(), ahead);
        let mut arguments: Vec<&str> = self.tasks.iter().map(String::as_str).collect();
        arguments.push("workers=30");
        self.nodes.push((clock.node(&self.store, &name, &arguments), clock));
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
        while self.began.elapsed() < STORM {
            let mut faults = FAULTS;
            self.random.shuffle(&mut faults);
            for fault in faults {
                if self.began.elapsed() > STORM {
                    break;
                }
                self.does(fault);
                self.sleep(2_000..5_000);
            }
        }
    }

    fn does(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => {
                let at = self.any();
                let (mut node, _) = self.nodes.remove(at);
                self.say(fault, node.name());
                node.kill();
                self.lost.push(node.name().into());
                self.sleep(0..3_000);
                self.start_node();
            }
            Fault::Freeze => {
                let at = self.any();
                let name = self.nodes[at].0.name().to_owned();
                self.say(fault, &name);
                self.lost.push(name);
                self.nodes[at].0.signal(Signal::STOP);
                thread::sleep(LEASE);
                self.sleep(1_000..6_000);
                self.nodes[at].0.signal(Signal::CONT);
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
            Fault::ClockStep if matches!(self.place, Place::File) => {
                self.say(fault, &format!("of the host by {HOST_STEP_MS} ms, and back"));
                for ahead in [HOST_STEP_MS, 0] {
                    self.host.push((now(), ahead));
                    self.nodes.iter().for_each(|(_, clock)| clock.set(ahead));
                    self.sleep(6_000..9_000);
                }
            }
            Fault::ClockStep if matches!(self.place, Place::Broker { .. }) => {}
            Fault::ClockStep => {
                let at = self.any();
                let by = if self.random.bool() { NODE_STEP_MS } else { -NODE_STEP_MS };
                self.say(fault, &format!("of {} by {by} ms, and back", self.nodes[at].0.name().to_owned()));
                for ahead in [by, 0] {
                    self.nodes[at].1.set(ahead);
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
        let (node, _) = &mut self.nodes[0];
        let mut excuses = Vec::new();
        for number in (0..TASKS).filter(|&number| has_excuses(number)) {
            let task = format!("t{number}");
            excuses.extend(node.excuses(&task));
            if self.place.is_at_most_once(number) {
                let runs = node.ask(&format!("runs {task}"));
                let given_up = runs.split(' ').filter_map(|run| run.split_once(":abandoned:"));
                let at = given_up.map(|(at, _)| at.parse().expect("an instant"));
                excuses.extend(at.map(|at| Excuse { task: task.clone(), first: at, last: at }));
            }
        }
        excuses
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
        for number in 0..TASKS {
            let [occurrences, runs, recorded] = self.nodes[0].0.balanced_ledger(&format!("t{number}"));
            sum = (sum.0 + occurrences, sum.1 + runs, sum.2 + recorded);
        }
        sum
    }
}

fn survives(place: Place, store: Store) {
    let first = soon(Duration::from_secs(8));
    let mut storm = Storm::new(place, store, first);
    (0..NODES).for_each(|_| storm.start_node());
    sleep_until(first + 2_000);
    storm.rages();
    let last = now() - 1_000;
    let promise = |number: usize| Promise {
        task: format!("t{number}"),
        first: first_of(first, number),
        period: period(number),
        last,
        at_most_once: storm.place.is_at_most_once(number),
    };
    let promises: Vec<Promise> = (0..TASKS).map(promise).collect();
    let calm = Instant::now();
    let verdict = storm.settles(&promises);
    let promised: i64 = promises.iter().map(|it| (it.last - it.first) / it.period + 1).sum();
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
    storm.nodes.into_iter().for_each(|(node, _)| node.stop());
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
fn three_nodes_and_a_thousand_tasks_on_a_server_survive_minutes_of_faults() {
    if is_nightly() && has_postgres() {
        survives_on::<Postgres>();
    }
}

#[test]
fn three_nodes_and_a_thousand_tasks_on_redis_survive_minutes_of_faults() {
    if is_nightly() && has_redis() {
        survives_on::<Redis>();
    }
}

#[test]
fn three_nodes_and_a_thousand_tasks_on_rabbitmq_survive_minutes_of_faults() {
    if is_nightly() && has_rabbitmq() {
        let server = RabbitMq::start();
        let (proxy, url) = Proxy::before(&server.url());
        survives(Place::Broker { server: Box::new(server), proxy }, Store::on(&url));
    }
}

#[test]
fn three_nodes_and_a_thousand_tasks_on_a_file_survive_minutes_of_faults() {
    if is_nightly() {
        survives(Place::File, Store::sqlite());
    }
}
