//! Many tasks of one second: how late each body starts, what a firing costs, how large a task is.
//!
//! Each contender runs in a process of its own, which measures itself over a window of full seconds and prints one line;
//! without `--one` the program starts itself once per contender, size and round, interleaved, so that a noisy minute of
//! the machine hits all contenders alike.

mod contender;
mod floor;
mod peers;
mod symphra;

use std::{
    env,
    io::Write as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

pub use self::contender::Contender;
use crate::{
    Failure,
    arguments::Arguments,
    heap::{Heap, Probe},
    json::Line,
    lateness::{Lateness, Recorder, since_1970},
    process,
};

/// The same for all: the machine of TARGETS has two cores.
const WORKER_THREADS: usize = 2;
/// The processor is read this long before a full second: what the last second's work took is over by then.
const BEFORE_THE_SECOND: Duration = Duration::from_millis(50);
/// The lateness is read this long after the window, when the bodies of its last second have recorded themselves.
const AFTER_THE_WINDOW: Duration = Duration::from_millis(100);
const SECONDS_OF_A_DAY: u64 = 86_400;
/// Daily tasks keep this far from the time of the measurement, so that none of them falls due in it.
const CLEAR_OF_NOW: u64 = 3_600;

/// What a contender has to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Tasks that are due at every full second.
    pub every_second: usize,
    /// Tasks that are due once a day, at minutes at least an hour away from now.
    pub daily: usize,
}

/// The shape of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Workload {
    /// All tasks are due at every full second.
    Seconds,
    /// All tasks are daily, but for one that is due at every full second.
    Million,
    /// All tasks are daily: nothing is due.
    Idle,
}

/// When is measured: after the contender is up.
struct Window {
    warm_up: Duration,
    /// Whole seconds, so that all contenders are asked for the same number of firings.
    seconds: u64,
}

impl Workload {
    const ALL: [(&'static str, Self); 3] =
        [("seconds", Self::Seconds), ("million", Self::Million), ("idle", Self::Idle)];

    fn load(self, tasks: usize) -> Load {
        match self {
            Self::Seconds => Load { every_second: tasks, daily: 0 },
            Self::Million => Load { every_second: 1, daily: tasks },
            Self::Idle => Load { every_second: 0, daily: tasks },
        }
    }

    fn name(self) -> &'static str {
        Self::ALL.into_iter().find_map(|(name, it)| (it == self).then_some(name)).expect("ALL names every workload")
    }
}

impl std::str::FromStr for Workload {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, it)| it).ok_or_else(|| format!("{name:?} is no workload; there are seconds, million, idle"))
    }
}

impl Load {
    /// The minute of the day, hour and minute, of each daily task.
    pub fn daily_minutes(self) -> impl Iterator<Item = (u64, u64)> + Send {
        let now = since_1970().as_secs() % SECONDS_OF_A_DAY;
        let span = (SECONDS_OF_A_DAY - 2 * CLEAR_OF_NOW) / 60;
        (0..self.daily as u64).map(move |index| {
            let second = (now + CLEAR_OF_NOW + index % span * 60) % SECONDS_OF_A_DAY;
            (second / 3_600, second % 3_600 / 60)
        })
    }
}

/// The command line: `--one NAME` measures here, anything else starts children.
///
/// # Errors
/// A wrong option, a contender that cannot start, a child that failed.
pub fn main(arguments: impl Iterator<Item = String>, heap: Option<Probe>) -> Result<(), Failure> {
    let mut arguments = Arguments::read(arguments)?;
    let workload = arguments.take("workload")?.unwrap_or(Workload::Seconds);
    let window = Window {
        warm_up: Duration::from_secs(arguments.take("warm-up")?.unwrap_or(2)),
        seconds: arguments.take("seconds")?.unwrap_or(8),
    };
    if let Some(contender) = arguments.take::<Contender>("one")? {
        let tasks = arguments.take("tasks")?.unwrap_or(1_000);
        arguments.finish()?;
        println!("{}", measure(contender, workload, tasks, &window, heap)?);
        return Ok(());
    }
    let contenders = arguments.take_list::<Contender>("contenders")?;
    let contenders = contenders.unwrap_or_else(|| Contender::ALL.to_vec());
    let sizes = arguments.take_list::<usize>("tasks")?.unwrap_or_else(|| vec![1_000]);
    let rounds = arguments.take::<u32>("rounds")?.unwrap_or(1);
    arguments.finish()?;
    for tasks in sizes {
        for _ in 0..rounds {
            for contender in &contenders {
                in_a_child(*contender, workload, tasks, &window, heap)?;
            }
        }
    }
    Ok(())
}

fn in_a_child(
    one: Contender,
    workload: Workload,
    tasks: usize,
    window: &Window,
    heap: Option<Probe>,
) -> Result<(), Failure> {
    let output = Command::new(env::current_exe()?)
        // The binary `counted`, the only one with a probe, wants to be told which program to run.
        .args(heap.map(|_| "firing"))
        .args(["--one", one.name(), "--workload", workload.name(), "--tasks", &tasks.to_string()])
        .args(["--seconds", &window.seconds.to_string(), "--warm-up", &window.warm_up.as_secs().to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("{} with {tasks} tasks ended with {}", one.name(), output.status).into());
    }
    let mut out = std::io::stdout();
    out.write_all(&output.stdout)?;
    out.flush()?;
    Ok(())
}

/// What the process had used at one moment.
struct Usage {
    processor: Duration,
    /// Of all processes of the machine together.
    machine: Duration,
    switches: u64,
    heap: Option<Heap>,
    resident_kilobytes: u64,
}

impl Usage {
    fn read(heap: Option<Probe>) -> Result<Self, Failure> {
        Ok(Self {
            heap: heap.map(|read| read()),
            resident_kilobytes: process::resident_kilobytes()?,
            switches: process::voluntary_switches()?,
            machine: process::machine_time()?,
            processor: process::processor_time(),
        })
    }
}

fn measure(
    contender: Contender,
    workload: Workload,
    tasks: usize,
    window: &Window,
    heap: Option<Probe>,
) -> Result<String, Failure> {
    let load = workload.load(tasks);
    let recorder = Recorder::leaked();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_THREADS).enable_all().build()?;
    let at_first = Usage::read(heap)?;
    let begin = Instant::now();
    // On the main thread, as under `#[tokio::main]`.
    let alive = runtime.block_on(contender.start(load, recorder))?;
    let set_up = begin.elapsed();

    // The first full second that lies a whole warm-up away.
    let from = (since_1970() + window.warm_up).as_secs() + 1;
    let until = from + window.seconds;
    recorder.open(from, until);
    sleep_until(Duration::from_secs(from) - BEFORE_THE_SECOND);
    let before = Usage::read(heap)?;
    sleep_until(Duration::from_secs(until) - BEFORE_THE_SECOND);
    let after = Usage::read(heap)?;
    sleep_until(Duration::from_secs(until) + AFTER_THE_WINDOW);

    let line = Line::new()
        .text("program", "firing")
        .text("workload", workload.name())
        .text("contender", contender.name())
        .number("tasks", tasks)
        .number("seconds", window.seconds)
        .maybe("set_up_ms", Some(milliseconds(set_up)))
        .number("expected", load.every_second as u64 * window.seconds);
    let line = say_firings(line, recorder.read(), &before, &after);
    let line = say_usage(line, load, window.seconds, [&at_first, &before, &after]);
    drop(alive);
    runtime.shutdown_background();
    Ok(line.finish())
}

fn say_firings(line: Line, lateness: Lateness, before: &Usage, after: &Usage) -> Line {
    let line = line.number("fired", lateness.fired);
    if lateness.fired == 0 {
        return line;
    }
    let fired = lateness.fired as f64;
    let spent = after.processor - before.processor;
    let allocations = after.heap.zip(before.heap).map(|(after, before)| after.allocations - before.allocations);
    line.maybe("p50_ms", Some(milliseconds(lateness.p50)))
        .maybe("p99_ms", Some(milliseconds(lateness.p99)))
        .maybe("max_ms", Some(milliseconds(lateness.max)))
        .number("last_tenth", lateness.last_tenth)
        .maybe("cpu_us_per_firing", Some(spent.as_secs_f64() * 1e6 / fired))
        .maybe("allocations_per_firing", allocations.map(|count| count as f64 / fired))
}

fn say_usage(line: Line, load: Load, seconds: u64, [at_first, before, after]: [&Usage; 3]) -> Line {
    let tasks = (load.every_second + load.daily) as f64;
    let heap_per_task = |usage: &Usage| {
        let bytes = usage.heap?.live_bytes.saturating_sub(at_first.heap?.live_bytes);
        Some(bytes as f64 / 1_024.0 / tasks)
    };
    let resident = after.resident_kilobytes.saturating_sub(at_first.resident_kilobytes) as f64;
    let switches = after.switches.saturating_sub(before.switches) as f64;
    let own = after.processor - before.processor;
    let others = (after.machine - before.machine).saturating_sub(own);
    line.maybe("cpu_ms_per_second", Some(milliseconds(own) / seconds as f64))
        .maybe("others_cpu_ms_per_second", Some(milliseconds(others) / seconds as f64))
        .maybe("wake_ups_per_second", Some(switches / seconds as f64))
        .maybe("heap_kb_per_task_before", heap_per_task(before))
        .maybe("heap_kb_per_task_after", heap_per_task(after))
        .maybe("resident_kb_per_task", Some(resident / tasks))
        .maybe("resident_mb", Some(after.resident_kilobytes as f64 / 1_024.0))
}

fn sleep_until(instant: Duration) {
    thread::sleep(instant.saturating_sub(since_1970()));
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
