//! How long it takes from `trigger` to the start of the body, in memory, one after another on an idle scheduler; and from
//! `tokio::spawn` to the start of a bare task, which is the floor.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use symphra_scheduler::{Overlap, Schedule, Scheduler, Task};
use symphra_scheduler_peers::{Failure, json::Line};

const WARM_UP: usize = 1_000;
const TRIGGERS: usize = 10_000;
/// The scheduler has come to rest again: a trigger that finds it awake would be quicker.
const REST: Duration = Duration::from_micros(200);

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let (began, starts) = mpsc::channel();
    let schedule = Schedule::cron("0 0 1 1 *")?;
    let started = began.clone();
    let task = Task::new("by-hand", schedule, move || {
        // The receiver lives as long as the measurement.
        let _ = started.send(Instant::now());
        std::future::ready(())
    });
    let handle = Scheduler::empty().register(task.overlap(Overlap::Allow)).start().await?;
    let mut triggered = Vec::with_capacity(TRIGGERS);
    for round in 0..WARM_UP + TRIGGERS {
        let asked = Instant::now();
        handle.trigger_task("by-hand").await?;
        let start = starts.recv()?;
        if round >= WARM_UP {
            triggered.push(start - asked);
        }
        tokio::time::sleep(REST).await;
    }
    handle.stop().await?;
    let mut spawned = Vec::with_capacity(TRIGGERS);
    for _ in 0..TRIGGERS {
        let (asked, began) = (Instant::now(), began.clone());
        tokio::spawn(async move {
            let _ = began.send(Instant::now());
        });
        spawned.push(starts.recv()? - asked);
        tokio::time::sleep(REST).await;
    }
    for (contender, mut taken) in [("floor", spawned), ("symphra", triggered)] {
        taken.sort_unstable();
        let at = |share: f64| Some(taken[(taken.len() as f64 * share) as usize].as_secs_f64() * 1e6);
        let line = Line::new().text("program", "trigger").text("contender", contender).number("triggers", taken.len());
        println!("{}", line.maybe("p50_us", at(0.5)).maybe("p99_us", at(0.99)).finish());
    }
    Ok(())
}
