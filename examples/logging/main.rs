//! How to log: a subscriber by settings, the events of the engine, what a body logs, and an adapter instead of `tracing`.
//!
//! `cargo run -p examples --bin logging` ends by itself after about two seconds. `-- json`, or another format, chooses how
//! lines look. The log goes to standard error, the rest to standard output.

use std::time::Duration;

use symphra_scheduler::logging::{self, LogEvent, LogFormat, LoggerAdapter, LoggingConfig};
use symphra_scheduler::{Error, Scheduler, SchedulerConfig, interval};
use tokio::time::sleep;

/// What it logs stands in the span of its run.
#[interval(milliseconds = 200, max_runs = 2)]
async fn count_orders() {
    tracing::info!(target: "shop::orders", orders = 7, "counted");
    tracing::debug!(target: "shop::orders", "never shown: the target is at INFO");
}

#[interval(milliseconds = 300, max_runs = 1, retry(max_attempts = 2, wait_min = "200ms"))]
async fn empty_till() -> Result<(), String> {
    tracing::warn!(target: "shop::till", "never shown: the target is off");
    Err("the till is stuck".into())
}

/// Takes the engine's events instead of `tracing`.
struct Printed;

impl LoggerAdapter for Printed {
    fn log(&self, event: &LogEvent<'_>) {
        println!("{} {}: {}", event.level(), event.name(), event.message());
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let format: LogFormat = std::env::args().nth(1).map_or(Ok(LogFormat::Compact), |word| word.parse())?;
    let settings = LoggingConfig::new().level("info,shop::till=off").format(format).task_success(true);

    // A program that is not `Scheduler::run()` says itself that it wants the global subscriber.
    let _log = logging::init(&settings)?;
    println!("-- to tracing");
    run(Scheduler::from_registry().config(SchedulerConfig::new().logging(settings))).await?;

    println!("-- to an adapter");
    run(Scheduler::from_registry().logger(Printed)).await?;

    println!("-- all there is");
    for event in logging::EVENTS {
        println!("{:<25} {:<5} {}", event.name, event.level, event.fields.join(" "));
    }
    Ok(())
}

async fn run(scheduler: Scheduler) -> Result<(), Error> {
    let scheduler = scheduler.start().await?;
    sleep(Duration::from_millis(800)).await;
    scheduler.stop().await?;
    Ok(())
}
