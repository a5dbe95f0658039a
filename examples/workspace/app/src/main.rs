//! How does a program get the tasks of several crates of its workspace? It names the crates, and gives all tasks one store.
//!
//! `cargo run -p example-workspace-app` runs until Ctrl+C. With `--twice` it takes a name that `billing` has, and does not start;
//! two crates with tasks of one name would not even link.

use std::time::Duration;

use store::Store;
use symphra_scheduler::{Schedule, Scheduler, Task, hourly};

symphra_scheduler::link_tasks!(billing, shipping);

/// Whether they are all linked is looked at when the program starts.
const TASKS: [&str; 4] = ["app.count", "billing.close_month", "billing.remind", "shipping.track"];

#[hourly(minute = 5, name = "app.count")]
async fn count() {}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut scheduler = Scheduler::from_registry().state(Store::default()).expect_tasks(TASKS);
    if std::env::args().any(|argument| argument == "--twice") {
        let other = Task::new("billing.remind", Schedule::interval(Duration::from_secs(60))?, || async {});
        scheduler = scheduler.register(other);
    }
    scheduler.run().await?;
    Ok(())
}
