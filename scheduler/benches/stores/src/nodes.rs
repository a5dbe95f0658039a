//! Several nodes on one store, each a process of its own: what they do together in a second.
//!
//! *Fire*: all of them have the same 256 tasks, which are due at each millisecond, and compete for each occurrence. *Drain*:
//! triggers wait in the store, more than are executed while it is measured, and they compete for those.

use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use symphra_scheduler::backend::{Registered, Submission};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::Failure;
use crate::arguments::Arguments;
use crate::json::Line;
use crate::life::BATCH;
use crate::place::Place;
use crate::symphra::{Executed, each_millisecond, holder, never_now, open, register, scheduler, submit, trigger};

/// Triggers of each task: no more may wait.
const WAITING: usize = 390;

const SECONDS: f64 = 3.0;

/// How long processes have for their start, before what they do counts.
const START: Duration = Duration::from_secs(3);

/// Measures so many nodes.
///
/// # Errors
/// An option is wrong; the store fails, or a node.
pub async fn measure(mut arguments: Arguments) -> Result<(), Failure> {
    let url: String = arguments.take("url")?.ok_or("--url is missing")?;
    let nodes = arguments.take("nodes")?.unwrap_or(1_u32);
    let work: String = arguments.take("work")?.ok_or("--work fire or drain")?;
    let seconds = arguments.take("seconds")?.unwrap_or(SECONDS);
    arguments.finish()?;
    let place = Place::new(&url).await?;
    let backend = open(&place.url()).await?;
    if work == "drain" {
        let tasks = register(&*backend, &holder(), never_now()?).await?;
        let waiting: Vec<&Registered> = tasks.iter().cycle().take(tasks.len() * WAITING).collect();
        for some in waiting.chunks(BATCH) {
            let some: Vec<Submission> = some.iter().map(|task| trigger(task)).collect();
            submit(&*backend, &some).await?;
        }
    }
    drop(backend);
    let from = unix_millis()? + u64::try_from(START.as_millis())?;
    let mut running = Vec::new();
    for number in 0..nodes {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--measure", "node", "--url", &place.url(), "--work", &work, "--name", &format!("node {number}")])
            .args(["--from", &from.to_string(), "--seconds", &seconds.to_string()])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().ok_or("a node has no output")?;
        running.push((child, BufReader::new(output).lines()));
    }
    let mut executed = Vec::new();
    for (mut child, mut lines) in running {
        let line = lines.next_line().await?.ok_or("a node has said nothing")?;
        executed.push(line.parse::<u32>()?);
        child.wait().await?;
    }
    let total: u32 = executed.iter().sum();
    let line = Line::new()
        .text("store", place.store())
        .text("work", &work)
        .number("nodes", nodes)
        .number("runs", total)
        .number("runs_per_s", format_args!("{:.0}", f64::from(total) / seconds))
        .number("least_of_a_node", executed.iter().min().copied().unwrap_or_default());
    println!("{}", line.finish());
    place.remove().await
}

/// One node: executes for as long as it is told to, and prints how many runs.
///
/// # Errors
/// An option is wrong; the store fails.
pub async fn run_one(mut arguments: Arguments) -> Result<(), Failure> {
    let url: String = arguments.take("url")?.ok_or("--url is missing")?;
    let work: String = arguments.take("work")?.ok_or("--work fire or drain")?;
    let name: String = arguments.take("name")?.ok_or("--name is missing")?;
    let from: u64 = arguments.take("from")?.ok_or("--from is missing")?;
    let seconds: f64 = arguments.take("seconds")?.unwrap_or(SECONDS);
    arguments.finish()?;
    let executed = Executed::default();
    let scheduler = scheduler(&url, &name).await?;
    let handle = if work == "fire" {
        // They fire already as it begins to count.
        let handle = executed.tasks(scheduler, each_millisecond()?).start().await?;
        until(from).await?;
        handle
    } else {
        until(from).await?;
        executed.tasks(scheduler, never_now()?).start().await?
    };
    let before = if work == "fire" { executed.count() } else { 0 };
    until(from + (seconds * 1_000.0) as u64).await?;
    println!("{}", executed.count() - before);
    handle.stop_now().await?;
    Ok(())
}

async fn until(millis: u64) -> Result<(), Failure> {
    tokio::time::sleep(Duration::from_millis(millis.saturating_sub(unix_millis()?))).await;
    Ok(())
}

fn unix_millis() -> Result<u64, Failure> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}
