//! What happens to a run that fails: how often it is tried again, how long it waits, and how its body decides otherwise.
//!
//! `cargo run -p examples --bin retry` ends when all three tasks have, after about one second.
//!
//! Without `retry` a task has 3 attempts, 1 s and 2 s apart (less up to a half, by chance). Here the waits are short, and
//! `jitter = false` makes them exact.

use std::time::Duration;

use symphra_scheduler::chrono::Utc;
use symphra_scheduler::{Error, Retry, RunContext, RunFilter, Scheduler, SchedulerEvent, interval};

/// An ordinary error is tried again by the task's policy: here after 200 ms, then after 400 ms.
#[interval(milliseconds = 200, max_runs = 1, retry(max_attempts = 5, wait_min = "200ms", jitter = false))]
async fn flaky(run: RunContext) -> Result<(), String> {
    say(&run);
    if run.attempt() < 3 { Err("no answer".to_owned()) } else { Ok(()) }
}

/// The body knows better how long to wait: the policy's wait is overruled, its number of attempts is not.
#[interval(milliseconds = 200, max_runs = 1, retry(max_attempts = 2, wait_min = "30s"))]
async fn rate_limited(run: RunContext) -> Result<(), Retry> {
    say(&run);
    Err(Retry::after(Duration::from_millis(700), "the server asked us to wait"))
}

/// The body knows that another attempt is useless. `Retry` is found among the causes of any error, also by `?`.
#[interval(milliseconds = 200, max_runs = 1, retry = "aggressive")]
async fn key_revoked(run: RunContext) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    say(&run);
    fetch().await?;
    Ok(())
}

async fn fetch() -> Result<(), Retry> {
    Err(Retry::never("the key was revoked"))
}

/// The run is the same on every attempt, and so are its id, its key and its instant.
fn say(run: &RunContext) {
    let late = (Utc::now() - run.scheduled_at()).num_milliseconds();
    println!("{}: attempt {}, {late} ms after its instant", run.task(), run.attempt());
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let scheduler = Scheduler::from_registry().start().await?;
    let mut events = scheduler.events();
    let mut alive = scheduler.list_tasks().len();
    while alive > 0 {
        match events.next().await {
            Some(SchedulerEvent::AttemptFailed { task, attempt, failure, .. }) => {
                println!("{task}: attempt {attempt} failed ({failure}) and another one follows");
            }
            Some(SchedulerEvent::RunEnded { .. }) => alive -= 1,
            Some(_) => {}
            None => break,
        }
    }
    for run in scheduler.runs(&RunFilter::new()).await? {
        let failure = run.failure.as_deref().unwrap_or("no error");
        println!("{} ended: {} in attempt {} ({failure})", run.task, run.state, run.attempt);
    }
    scheduler.stop().await?;
    Ok(())
}
