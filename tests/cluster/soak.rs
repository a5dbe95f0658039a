//! Mixed load on one store for as long as is asked for, by `tests/soak`: all that was promised has run, and memory and store are no
//! larger at the end than when they had their size. What was measured is written as a table and as a drawing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use symphra_scheduler_tests::services::{Postgres, RabbitMq, Redis, has_postgres, has_rabbitmq, has_redis};

use crate::checker::{Line, Promise, Seen, judge};
use crate::rig::{Node, Store, drawn, now, sleep_until, soon};

const TASKS: usize = 100;

/// How often each task is due.
const PERIOD_MS: i64 = 1_000;

/// How many jobs are enqueued in each second.
const JOBS: u64 = 9;

/// How often a task is paused, and for how long.
const PAUSE_EVERY: u64 = 10;
const PAUSED_FOR: u64 = 4;

/// How long after the last occurrence all has run, on a machine under load.
const CALM_MAX: Duration = Duration::from_secs(60);

/// How many samples are taken over the whole time, at most one in each second.
const SAMPLES: u64 = 360;

/// By how much a size may be larger in the last quarter of the time than in the second: pages that are half empty, arenas of the
/// allocator, and on top of that a share of itself.
const GROWTH_MAX: f64 = 0.10;
const GROWTH_BYTES_MAX: f64 = 4e6;

/// What was asked for: `seconds folder`.
struct Asked {
    length: Duration,
    folder: PathBuf,
}

impl Asked {
    fn read() -> Option<Self> {
        let asked = std::env::var("SYMPHRA_SOAK").ok()?;
        let (seconds, folder) = asked.split_once(' ').expect("SYMPHRA_SOAK is seconds and a folder");
        Some(Self { length: Duration::from_secs(seconds.parse().expect("a number of seconds")), folder: folder.into() })
    }
}

/// What was measured at one moment.
#[derive(Clone, Debug)]
struct Sample {
    seconds: f64,
    /// Of each node, in bytes.
    memory: Vec<f64>,
    store: f64,
}

fn task(number: usize, first: i64) -> String {
    let options = match number % 10 {
        3 => "fails=1,misfire=run_all",
        7 => "overlap=buffer_all,misfire=run_all",
        9 => "delivery=at_most_once,misfire=run_all",
        _ => "misfire=run_all",
    };
    let body = number % 5 * 30;
    format!("task=t{number},every={PERIOD_MS},start={first},body={body},{options}")
}

struct Soak {
    store: Store,
    nodes: [Node; 2],
    random: fastrand::Rng,
    /// What was enqueued and triggered, each by its run.
    asked_for: Vec<String>,
    paused: BTreeMap<u64, String>,
    samples: Vec<Sample>,
}

impl Soak {
    fn any(&mut self) -> &mut Node {
        let place = self.random.usize(..self.nodes.len());
        &mut self.nodes[place]
    }

    /// What is done in one second, whatever falls due.
    fn passes(&mut self, second: u64) {
        let from = second * 10 + 1;
        let jobs = self.any().ask(&format!("enqueue_plain note {from}..{}", from + JOBS));
        self.asked_for.extend(jobs.split(' ').map(str::to_owned));
        let triggered = format!("trigger t{}", self.random.usize(..TASKS));
        let run = self.any().ask(&triggered);
        self.asked_for.push(run);
        if second.is_multiple_of(PAUSE_EVERY) {
            let task = format!("t{}", second / PAUSE_EVERY % TASKS as u64);
            self.any().ask(&format!("pause {task} soak"));
            self.paused.insert(second + PAUSED_FOR, task);
        }
        if let Some(task) = self.paused.remove(&second) {
            self.any().ask(&format!("resume {task}"));
        }
    }

    fn sample(&mut self, seconds: f64, store: f64) {
        let memory = self.nodes.iter().map(|node| node.memory_kb().expect("Linux tells") as f64 * 1_024.0).collect();
        self.samples.push(Sample { seconds, memory, store });
    }
}

/// Each that was enqueued or triggered has come to its end, once.
fn ended_once(lines: &[Line], asked_for: &[String]) -> Vec<String> {
    let mut ends: BTreeMap<&str, usize> = asked_for.iter().map(|run| (run.as_str(), 0)).collect();
    for line in lines.iter().filter(|line| line.seen == Seen::End) {
        ends.entry(&line.run).and_modify(|ends| *ends += 1);
    }
    ends.into_iter().filter(|(_, ends)| *ends != 1).map(|(run, ends)| format!("{run} has ended {ends} times")).collect()
}

/// Why a size is not flat, if it is not.
fn grows(what: &str, sizes: &[f64]) -> Option<String> {
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let quarter = sizes.len() / 4;
    let (early, late) = (mean(&sizes[quarter..2 * quarter]), mean(&sizes[sizes.len() - quarter..]));
    let most = early * (1.0 + GROWTH_MAX) + GROWTH_BYTES_MAX;
    println!("{what}: {:.1} MB in the second quarter, {:.1} MB in the last", early / 1e6, late / 1e6);
    (late > most).then(|| format!("{what} grows from {:.1} MB to {:.1} MB", early / 1e6, late / 1e6))
}

fn endures(name: &str, asked: &Asked, store: Store, mut size: impl FnMut(&Store) -> f64) {
    let first = soon(Duration::from_secs(8));
    let tasks: Vec<String> = (0..TASKS).map(|number| task(number, first)).collect();
    let mut arguments: Vec<&str> = tasks.iter().map(String::as_str).collect();
    arguments.extend(["workers=40", "job=note,body=20", "keep=20"]);
    let nodes = ["a", "b"].map(|name| store.node(name, &arguments));
    let (asked_for, paused, samples) = (Vec::new(), BTreeMap::new(), Vec::new());
    let mut soak = Soak { store, nodes, random: fastrand::Rng::with_seed(drawn()), asked_for, paused, samples };
    sleep_until(first);
    let (began, every) = (Instant::now(), (asked.length.as_secs() / SAMPLES).max(1));
    for second in 0..asked.length.as_secs() {
        soak.passes(second);
        if second.is_multiple_of(every) {
            let bytes = size(&soak.store);
            soak.sample(began.elapsed().as_secs_f64(), bytes);
        }
        thread::sleep((Duration::from_secs(second + 1)).saturating_sub(began.elapsed()));
    }
    for task in std::mem::take(&mut soak.paused).into_values() {
        soak.any().ask(&format!("resume {task}"));
    }
    let last = now() - 1_000;
    let promises: Vec<Promise> = (0..TASKS)
        .map(|number| Promise {
            task: format!("t{number}"),
            first,
            period: PERIOD_MS,
            last,
            at_most_once: number % 10 == 9,
        })
        .collect();
    let calm = Instant::now();
    let (verdict, unended) = loop {
        let excuses: Vec<_> = (0..TASKS).flat_map(|number| soak.nodes[0].excuses(&format!("t{number}"))).collect();
        let lines = soak.store.lines();
        let (verdict, unended) = (judge(&lines, &promises, &excuses, &[]), ended_once(&lines, &soak.asked_for));
        if verdict.is_clean() && unended.is_empty() || calm.elapsed() > CALM_MAX {
            break (verdict, unended);
        }
        thread::sleep(Duration::from_secs(2));
    };
    let mut sums = [0; 3];
    for number in 0..TASKS {
        let ledger = soak.nodes[0].balanced_ledger(&format!("t{number}"));
        sums.iter_mut().zip(ledger).for_each(|(sum, count)| *sum += count);
    }
    let [occurrences, runs, recorded] = sums;
    println!("the ledger: {occurrences} occurrences = {runs} runs + {recorded} recorded");
    println!("{} jobs and triggers", soak.asked_for.len());
    fs::create_dir_all(&asked.folder).expect("the folder can be made");
    let [table, drawing] = ["csv", "svg"].map(|kind| asked.folder.join(format!("soak-{name}.{kind}")));
    fs::write(&table, csv(&soak.samples)).expect("the table can be written");
    fs::write(&drawing, svg(name, &soak.samples)).expect("the drawing can be written");
    println!("written: {} and {}", table.display(), drawing.display());
    let memory = |place: usize| soak.samples.iter().map(|sample| sample.memory[place]).collect::<Vec<_>>();
    let store: Vec<f64> = soak.samples.iter().map(|sample| sample.store).collect();
    let growing = [
        grows("memory of the one node", &memory(0)),
        grows("memory of the other", &memory(1)),
        grows("the store", &store),
    ];
    let growing: Vec<String> = growing.into_iter().flatten().collect();
    println!("{verdict}");
    assert!(verdict.is_clean() && unended.is_empty(), "{:?}", unended.iter().take(20).collect::<Vec<_>>());
    assert!(growing.is_empty(), "{growing:?}");
    soak.nodes.into_iter().for_each(Node::stop);
}

fn csv(samples: &[Sample]) -> String {
    let mut table = "seconds,node_a_mb,node_b_mb,store_mb\n".to_owned();
    for Sample { seconds, memory, store } in samples {
        let [a, b] = memory[..] else { panic!("two nodes have been measured") };
        writeln!(table, "{seconds:.0},{:.2},{:.2},{:.2}", a / 1e6, b / 1e6, store / 1e6).expect("it is text");
    }
    table
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 120.0;

/// The sizes over time: the memory of both nodes, and below it the store.
fn svg(name: &str, samples: &[Sample]) -> String {
    let end = samples.last().map_or(1.0, |sample| sample.seconds).max(1.0);
    let panel = |top: f64, title: &str, curves: &[(&str, Vec<f64>)]| {
        let most = curves.iter().flat_map(|(_, sizes)| sizes).copied().fold(1.0, f64::max) * 1.1;
        let mut drawn = format!(
            "<text x=\"8\" y=\"{:.0}\">{title}, up to {:.1} MB</text><path class=\"axis\" d=\"M0 {:.0}H{WIDTH}\"/>",
            top + 14.0,
            most / 1.1 / 1e6,
            top + HEIGHT,
        );
        for (class, sizes) in curves {
            let points: Vec<String> = samples
                .iter()
                .zip(sizes)
                .map(|(sample, size)| {
                    format!("{:.1},{:.1}", sample.seconds / end * WIDTH, top + HEIGHT - size / most * (HEIGHT - 20.0))
                })
                .collect();
            write!(drawn, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" ")).expect("it is text");
        }
        drawn
    };
    let memory = |place: usize| samples.iter().map(|sample| sample.memory[place]).collect();
    let store = samples.iter().map(|sample| sample.store).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\"><title>{name}: {:.0} minutes</title>\
         <style>rect{{fill:#fff}}text{{font:12px sans-serif;fill:#333}}path,polyline{{fill:none;stroke-width:1.5}}.axis{{stroke:#999}}\
         .a{{stroke:#0a6}}.b{{stroke:#06a}}.s{{stroke:#a50}}</style><rect width=\"100%\" height=\"100%\"/>{}{}</svg>\n",
        2.0 * HEIGHT + 20.0,
        end / 60.0,
        panel(0.0, &format!("{name}: memory of two nodes"), &[("a", memory(0)), ("b", memory(1))]),
        panel(HEIGHT + 10.0, "store", &[("s", store)]),
    )
}

#[test]
fn a_file_endures() {
    if let Some(asked) = Asked::read() {
        endures("sqlite", &asked, Store::sqlite(), |store| {
            let file = store.url.strip_prefix("sqlite://").expect("it is a file");
            let size = |end: &str| fs::metadata(format!("{file}{end}")).map_or(0, |file| file.len());
            (size("") + size("-wal")) as f64
        });
    }
}

#[test]
fn postgres_endures() {
    let Some(asked) = Asked::read().filter(|_| has_postgres()) else { return };
    let server = Postgres::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut by_hand = runtime.block_on(PgConnection::connect(&server.url())).expect("it answers");
    endures("postgres", &asked, Store::on(&server.url()), |_| {
        let size = sqlx::query_scalar::<_, i64>("SELECT pg_database_size(current_database())").fetch_one(&mut by_hand);
        runtime.block_on(size).expect("it is told") as f64
    });
}

#[test]
fn redis_endures() {
    let Some(asked) = Asked::read().filter(|_| has_redis()) else { return };
    let server = Redis::start();
    endures("redis", &asked, Store::on(&server.url()), |_| {
        let told = server.ask("INFO memory");
        let used = told.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("it is told");
        used.trim().parse().expect("a number of bytes")
    });
}

#[test]
fn rabbitmq_endures() {
    let Some(asked) = Asked::read().filter(|_| has_rabbitmq()) else { return };
    // Its log of what is written is begun anew at 512 MB if nothing is said: more than an hour of this.
    let server = RabbitMq::start_with(&[("ra wal_max_size_bytes", "4194304")]);
    endures("rabbitmq", &asked, Store::on(&server.url()), |_| server.kept() as f64);
}

#[test]
fn what_grows_is_told_and_what_is_full_is_not() {
    let full: Vec<f64> = (0..40).map(|place| f64::min(f64::from(place) * 10e6, 100e6)).collect();
    assert_eq!(grows("it", &full), None);
    let leaks: Vec<f64> = (0..40).map(|place| 50e6 + f64::from(place) * 1e6).collect();
    assert!(grows("it", &leaks).is_some());
}

#[test]
fn a_job_that_is_lost_or_executed_twice_is_told() {
    let line = |run: &str| Line::read(&format!("end note job 5 {run} 1 a 7 -"));
    let asked_for = ["once", "twice", "never"].map(str::to_owned);
    let told = ended_once(&[line("once"), line("twice"), line("twice")], &asked_for);
    assert_eq!(told, ["never has ended 0 times", "twice has ended 2 times"]);
}
