//! How tasks come, change and go while the scheduler runs.
//!
//! `cargo run -p examples --bin dynamic_tasks` ends by itself after about three seconds.

use std::time::Duration;

use symphra_scheduler::{Error, Origin, RunContext, RunFilter, Schedule, Scheduler, Task};
use tokio::time::sleep;

async fn poll(run: RunContext) {
    let why = match run.origin() {
        Origin::Schedule => "by its schedule",
        Origin::Trigger(_) => "by a trigger",
        _ => "otherwise",
    };
    println!("poll: {why}");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scheduler = Scheduler::empty().start().await?;

    println!("-- register: every 300 ms");
    scheduler.register(Task::new("poll", Schedule::interval(Duration::from_millis(300))?, poll)).await?;
    sleep(Duration::from_secs(1)).await;

    // A name is taken once, and a wrong task is refused as it would be at start.
    let again = Task::new("poll", Schedule::cron("* * * * * *")?, poll);
    println!("again: {}", answer(scheduler.register(again).await));
    println!("typo: {}", answer(scheduler.trigger_task("pol").await));

    println!("-- reschedule: at new year");
    scheduler.reschedule("poll", Schedule::cron("@yearly")?).await?;
    sleep(Duration::from_millis(700)).await;
    let next = scheduler.next_occurrences("poll", 2)?;
    println!("next: {}", next.iter().map(|at| at.format("%d %B").to_string()).collect::<Vec<_>>().join(", "));

    println!("-- trigger: once, now");
    let id = scheduler.trigger_task("poll").await?;
    sleep(Duration::from_millis(200)).await;
    let runs = scheduler.runs(&RunFilter::new().task("poll").limit(1)).await?;
    for run in runs {
        println!("the trigger's run is the latest: {}, {}", run.id == id, run.state);
    }

    println!("-- unregister: while it runs");
    let slow = Task::new("slow", Schedule::interval(Duration::from_millis(200))?, || async {
        println!("slow: began");
        sleep(Duration::from_millis(600)).await;
        println!("slow: ended");
    });
    scheduler.register(slow).await?;
    sleep(Duration::from_millis(300)).await;
    scheduler.unregister("slow").await?;
    println!("slow is known: {}", scheduler.task("slow").is_ok());
    sleep(Duration::from_secs(1)).await; // the run that was under way comes to its end, and no other begins

    scheduler.unregister("poll").await?;
    println!("tasks left: {}", scheduler.list_tasks().len());
    scheduler.stop().await?;
    Ok(())
}

fn answer<T>(answer: Result<T, Error>) -> String {
    answer.map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
}
