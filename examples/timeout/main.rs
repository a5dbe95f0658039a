//! What happens to a run that takes too long: one that heeds it, one that does not, and one that nobody can stop.
//!
//! `cargo run -p examples --bin timeout` ends by itself after about eight seconds, since a body that was asked to end is given
//! five.

use std::time::Duration;

use symphra_scheduler::chrono::Utc;
use symphra_scheduler::{Error, RunContext, RunFilter, Scheduler, SchedulerEvent, interval};
use tokio::time::sleep;

/// Asks at its pauses whether it should end, and leaves what it did in order.
#[interval(milliseconds = 100, max_runs = 1, timeout = "500ms", retry = "none")]
async fn polite(run: RunContext) {
    for page in 1.. {
        tokio::select! {
            () = sleep(Duration::from_millis(200)) => {}
            () = run.cancelled() => {
                println!("polite: asked to end {}, and {} pages are saved", after(&run), page - 1);
                return;
            }
        }
    }
}

/// Never asks. Five seconds after its timeout it is dropped where it waits: what follows that await does not happen.
#[interval(milliseconds = 100, max_runs = 1, timeout = "500ms", retry = "none")]
async fn deaf(run: RunContext) {
    let _dropped = Dropped(run);
    sleep(Duration::from_secs(3_600)).await;
    println!("deaf: this is never printed");
}

/// A thread cannot be dropped: past timeout and grace this keeps its worker until it returns, which then does not count.
/// A second after it should have been dropped, `health()` shows it as stuck.
#[interval(milliseconds = 100, max_runs = 1, timeout = "500ms", retry = "none", blocking)]
fn blocks() {
    std::thread::sleep(Duration::from_secs(8));
}

/// What a body owns is dropped with it, so guards and transactions are undone as ever.
struct Dropped(RunContext);

impl Drop for Dropped {
    fn drop(&mut self) {
        println!("deaf: dropped {}", after(&self.0));
    }
}

fn after(run: &RunContext) -> String {
    format!("{:.1} s after it was due", (Utc::now() - run.scheduled_at()).as_seconds_f64())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let scheduler = Scheduler::from_registry().start().await?;
    let mut events = scheduler.events();
    let mut alive = scheduler.list_tasks().len();
    while alive > 0 {
        let Some(event) = events.next().await else { break };
        if let SchedulerEvent::RunEnded { task, state, .. } = event {
            alive -= 1;
            println!("{task} ended: {state}");
            if alive == 1 {
                sleep(Duration::from_millis(1_500)).await; // `blocks` began at about the same time as `deaf`
                let stuck = scheduler.health().stuck;
                println!("stuck: {:?}", stuck.iter().map(|run| run.task.as_str()).collect::<Vec<_>>());
            }
        }
    }
    for run in scheduler.runs(&RunFilter::new()).await? {
        println!("{}: {}", run.task, run.failure.as_deref().unwrap_or("no error"));
    }
    scheduler.stop().await?;
    Ok(())
}
