//! The service that systemd is told of: what it hears, and when.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sd_notify::{NotifyState, notify};
use symphra_scheduler::{Schedule, Scheduler, SchedulerHandle, State, interval, parse_duration};
use tokio::signal::unix::{SignalKind, signal};

/// A body that blocks cannot be stopped: past its timeout and five seconds it is stuck.
#[interval(seconds = 1, timeout = "1s", retry = "none", blocking)]
fn import(folder: State<PathBuf>) {
    while folder.join("lock").exists() {
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[interval(minutes = 10)]
async fn report() {
    println!("report");
}

#[tokio::main]
pub(super) async fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".to_owned()));
    let (mut reload, mut stop) = (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?);
    let scheduler = Scheduler::from_registry().state(folder.clone()).start().await?;
    read_period(&scheduler, &folder).await?;

    let limit = sd_notify::watchdog_enabled();
    let mut beat = tokio::time::interval(limit.unwrap_or(Duration::MAX) / 2);
    notify(&[NotifyState::Ready])?;
    loop {
        tokio::select! {
            _ = beat.tick(), if limit.is_some() => hear(tell_whether_well(&scheduler)),
            Some(()) = reload.recv() => {
                hear(NotifyState::monotonic_usec_now().and_then(|now| notify(&[NotifyState::Reloading, now])));
                if let Err(error) = read_period(&scheduler, &folder).await {
                    eprintln!("what was read before holds: {error}");
                }
                hear(notify(&[NotifyState::Ready]));
            }
            _ = stop.recv() => break,
        }
    }
    hear(notify(&[NotifyState::Stopping]));
    let report = scheduler.stop().await?;
    println!("stopped, {} runs cancelled", report.cancelled.len());
    Ok(())
}

/// That systemd does not hear is no reason to end.
fn hear(told: std::io::Result<()>) {
    if let Err(error) = told {
        eprintln!("systemd was not told: {error}");
    }
}

/// To start anew helps a scheduler that does not fire, and one with runs that cannot be stopped; if its store is away it helps nobody.
fn tell_whether_well(scheduler: &SchedulerHandle) -> std::io::Result<()> {
    let health = scheduler.health();
    if health.alive && health.stuck.is_empty() {
        return notify(&[NotifyState::Watchdog, NotifyState::Status("well")]);
    }
    if !health.alive {
        return notify(&[NotifyState::Status("nothing fires any more")]);
    }
    let stuck: Vec<&str> = health.stuck.iter().map(|run| run.task.as_str()).collect();
    notify(&[NotifyState::Status(&format!("stuck: {}", stuck.join(", ")))])
}

/// What the file says is how often `report` runs; without a file, what its attribute says.
async fn read_period(scheduler: &SchedulerHandle, folder: &Path) -> Result<(), Box<dyn Error>> {
    let file = folder.join("period");
    if file.exists() {
        let period = parse_duration(tokio::fs::read_to_string(file).await?.trim())?;
        scheduler.reschedule("report", Schedule::interval(period)?).await?;
    }
    Ok(())
}
