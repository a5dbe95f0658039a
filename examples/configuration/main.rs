//! Settings from code, a file and the environment: which rules over which, and what is read again at SIGHUP.
//!
//! It reads `scheduler.yaml` in the working directory, `$SCHEDULER_CONFIG` names another. `--show` prints what holds:
//! `cd examples/configuration && SCHEDULER_QUEUE_SIZE=200 cargo run --bin configuration -- --show`.

use std::time::Duration;

use symphra_scheduler::chrono_tz::Tz;
use symphra_scheduler::{Error, Scheduler, SchedulerConfig, TaskOverride, cron, daily, interval};

#[interval(minutes = 5)]
async fn health_check() {
    println!("health_check: ok");
}

#[cron("0 30 9 * * MON-FRI", timeout = "30s")]
async fn report() {
    println!("report: sent");
}

#[daily(hour = 3)]
async fn cleanup() {
    println!("cleanup: done");
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(std::io::stdout).init();
    // What is set here rules over the environment, which rules over the file.
    let config = SchedulerConfig::load()?
        .shutdown_timeout(Duration::from_secs(5))
        .task("cleanup", TaskOverride::new().timezone(Tz::Europe__Paris));
    let scheduler = Scheduler::from_registry().config(config);
    if std::env::args().any(|argument| argument == "--show") {
        return show(scheduler).await;
    }
    scheduler.run().await
}

async fn show(scheduler: Scheduler) -> Result<(), Error> {
    let handle = scheduler.start().await?;
    let stats = handle.stats();
    println!("max_workers {}, queue_size {}", stats.max_workers, stats.queue_size);
    for task in handle.list_tasks() {
        let enabled = if task.pause.is_none() { "enabled" } else { "disabled" };
        println!("{}: {}, {}, {enabled}", task.name, task.schedule.describe(), task.timezone);
    }
    handle.stop().await?;
    Ok(())
}
