//! What happens when a run takes longer than its period: the same body and the same five occurrences under each policy.
//!
//! `cargo run -p examples --bin overlap` ends when all runs have, after about five seconds.

use std::time::Duration;

use symphra_scheduler::chrono::{TimeDelta, Utc};
use symphra_scheduler::{
    Error, Overlap, Run, RunContext, RunFilter, Schedule, Scheduler, SchedulerHandle, Task, TaskStatus, Timestamp,
};

const PERIOD: Duration = Duration::from_millis(400);
/// Two and a quarter periods.
const TAKES: Duration = Duration::from_millis(900);
const COLUMN: Duration = Duration::from_millis(100);
const POLICIES: [Overlap; 5] =
    [Overlap::Skip, Overlap::BufferOne, Overlap::BufferAll, Overlap::CancelRunning, Overlap::Allow];

async fn work(run: RunContext) {
    tokio::select! {
        () = tokio::time::sleep(TAKES) => {}
        () = run.cancelled() => {} // without this, a run that is cancelled would go on for up to five seconds
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let first = Utc::now() + TimeDelta::milliseconds(300);
    let last = first + PERIOD * 4;
    let mut tasks = Scheduler::empty();
    for policy in POLICIES {
        let task = Task::new(policy.to_string(), Schedule::interval(PERIOD)?, work);
        tasks = tasks.register(task.overlap(policy).start_at(first).end_at(last));
    }
    let scheduler = tasks.start().await?;
    tokio::time::sleep((last - Utc::now()).to_std()? + COLUMN).await;
    while scheduler.list_tasks().iter().any(|task| is_at_work(task.status)) {
        tokio::time::sleep(COLUMN).await;
    }
    println!("due             {}", "│   ".repeat(5));
    for policy in POLICIES {
        show(&scheduler, &policy.to_string(), first.into()).await?;
    }
    scheduler.stop().await?;
    Ok(())
}

const fn is_at_work(status: TaskStatus) -> bool {
    matches!(status, TaskStatus::Running | TaskStatus::Pending)
}

/// Draws the runs of a task, a line each, and tells why the other occurrences did not run.
async fn show(scheduler: &SchedulerHandle, task: &str, zero: Timestamp) -> Result<(), Error> {
    let mut runs = scheduler.runs(&RunFilter::new().task(task)).await?;
    runs.sort_by_key(|run| run.scheduled_at);
    let ledger = scheduler.ledger(task).await?;
    println!("{task}: {} occurrences = {} runs + {} recorded", ledger.occurrences, ledger.runs, ledger.recorded);
    for run in &runs {
        println!("  of {:>4} ms    {} {}", run.scheduled_at.since(zero).as_millis(), bar(run, zero), run.state);
    }
    for record in scheduler.records(task).await? {
        let from = record.first.since(zero).as_millis();
        println!("  from {from:>4} ms  ×({}) {}", record.count, record.reason);
    }
    Ok(())
}

fn bar(run: &Run, zero: Timestamp) -> String {
    let columns = |time: Duration| (time + COLUMN / 2).as_millis() / COLUMN.as_millis();
    let (Some(began), Some(ended)) = (run.started_at, run.finished_at) else { return "never began".to_owned() };
    let before = columns(began.since(zero));
    let bar = "━".repeat((columns(ended.since(zero)) - before) as usize);
    format!("{}{bar}", " ".repeat(before as usize))
}
