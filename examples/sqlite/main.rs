//! A store in a file, with nothing to install: what has run is known after a restart, and what fell due in between is made
//! up for, or recorded.
//!
//! `cargo run -p examples --bin sqlite -- sqlite://scheduler.db` fires for three seconds and ends by itself. Run it again
//! a little later: it goes on where it was.

use std::time::Duration;

use symphra_scheduler::{Error, RunContext, Scheduler, SchedulerHandle, SqliteBackend, interval};

#[interval(milliseconds = 500)]
async fn beat(run: RunContext) {
    let at = run.scheduled_at().format("%H:%M:%S%.3f");
    match run.missed() {
        Some(missed) => println!("beat of {at}, for {} before it that nobody was there for", missed.count),
        None => println!("beat of {at}"),
    }
}

/// What the store counts, over all the programs that have used it.
async fn account(scheduler: &SchedulerHandle) -> Result<(), Error> {
    let ledger = scheduler.ledger("beat").await?;
    println!("{} occurrences = {} runs + {} recorded", ledger.occurrences, ledger.runs, ledger.recorded);
    for record in scheduler.records("beat").await? {
        println!("  {} x {}", record.count, record.reason);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let Some(url) = std::env::args().nth(1).or_else(|| std::env::var("SCHEDULER_BACKEND_URL").ok()) else {
        eprintln!("which file? sqlite sqlite://scheduler.db, or the same in SCHEDULER_BACKEND_URL");
        std::process::exit(2);
    };
    let backend = SqliteBackend::options().namespace("example").connect(&url).await?;
    let scheduler = Scheduler::from_registry().backend(backend).start().await?;
    println!("-- so far");
    account(&scheduler).await?;
    println!("-- now");
    tokio::time::sleep(Duration::from_secs(3)).await;
    scheduler.stop().await?;
    println!("-- all in all");
    account(&scheduler).await
}
