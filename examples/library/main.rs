//! How does a program use a library that brings tasks of its own? It names the library, gives its tasks what they ask for, and says
//! which tasks it expects. The library is `receipts`, beside this file.
//!
//! A program that does not name it is linked without it: the other examples depend upon it too, and have none of its tasks.

use receipts::Outbox;
use symphra_scheduler::{Error, Scheduler, SchedulerEvent};

// `use receipts::…` would do here. This line is for libraries of which a program uses nothing else.
symphra_scheduler::link_tasks!(receipts);

#[tokio::main]
async fn main() -> Result<(), Error> {
    // What is missing is told at start.
    if let Err(error) = Scheduler::from_registry().start().await {
        println!("-- without its state\n{error}");
    }
    let outbox = Outbox::default();
    if let Err(error) = Scheduler::from_registry().state(outbox.clone()).expect_tasks(["ledger.close"]).start().await {
        println!("-- with a library that is not named\n{error}");
    }

    println!("-- with all that they ask for");
    outbox.put("Ada");
    let scheduler = Scheduler::from_registry().state(outbox.clone()).expect_tasks(receipts::TASKS).start().await?;
    let mut events = scheduler.events();
    for task in scheduler.list_tasks() {
        println!("{}, {}, from {}", task.name, task.schedule.describe(), task.source);
    }
    while let Some(event) = events.next().await {
        if matches!(event, SchedulerEvent::RunEnded { .. }) {
            break;
        }
    }
    scheduler.stop().await?;
    println!("stopped");
    Ok(())
}
