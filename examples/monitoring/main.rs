//! What is going on, and how to step in: counts, lists, states, pauses, reasons, health, events.
//!
//! `cargo run -p examples --bin monitoring` walks through it and ends by itself after about three seconds.

use std::time::Duration;

use symphra_scheduler::{Error, Scheduler, SchedulerHandle, TaskStatus, interval};
use tokio::time::sleep;

#[interval(milliseconds = 250, tags = ["monitoring"], metadata(owner = "platform"))]
async fn health_check() {}

#[interval(milliseconds = 400, tags = ["reports"], retry = "none")]
async fn report() -> Result<(), &'static str> {
    Err("the template is missing")
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let scheduler = Scheduler::from_registry().start().await?;
    let mut events = scheduler.events();
    sleep(Duration::from_millis(1_300)).await;

    println!("-- the scheduler");
    let stats = scheduler.stats();
    println!("{} tasks on {}, {} runs ended", stats.tasks, stats.backend, stats.total_runs);
    println!("success rate {:.2}", stats.success_rate().unwrap_or(1.0));
    println!("ledger balances: {}", stats.ledger.balances());

    println!("-- its tasks");
    for task in scheduler.list_tasks() {
        println!("{}: {}, {}, tags {:?}", task.name, task.schedule.describe(), task.status, task.tags);
    }
    for task in scheduler.tasks_by_status(TaskStatus::Failed) {
        println!("failed: {} ({} of {} runs)", task.name, task.failed_runs, task.total_runs);
    }
    for task in scheduler.tasks_by_tag("monitoring") {
        println!("tagged: {} {:?}", task.name, task.metadata);
    }
    for metrics in scheduler.metrics() {
        println!("{}: {} failures in a row", metrics.task, metrics.consecutive_failures);
    }

    println!("-- a pause");
    scheduler.pause_task_with("health_check", "moving the database").await?;
    sleep(Duration::from_millis(800)).await;
    let paused = scheduler.task("health_check")?;
    println!("{}: {}", paused.status, paused.pause.map_or_else(String::new, |pause| pause.to_string()));
    scheduler.resume_task("health_check").await?;
    sleep(Duration::from_millis(400)).await;
    explain(&scheduler).await?;

    println!("-- its health");
    let health = scheduler.health();
    println!("alive {}, ready {}, is well {}", health.alive, health.ready, health.is_well());

    println!("-- its events");
    scheduler.stop().await?;
    let told: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
    println!("{} events, the first of them {:?}", told.len(), told.first());
    Ok(())
}

/// Why there was no run, and what another instant was.
async fn explain(scheduler: &SchedulerHandle) -> Result<(), Error> {
    for record in scheduler.records("health_check").await? {
        println!("record: {} × {} ({})", record.count, record.reason, record.note.as_deref().unwrap_or("no note"));
        println!("explain: {}", scheduler.explain("health_check", record.first).await?);
        let between = record.first.plus(Duration::from_millis(1));
        println!("explain: {}", scheduler.explain("health_check", between).await?);
    }
    Ok(())
}
