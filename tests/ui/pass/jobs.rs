//! Jobs: each option of theirs, each shape of their functions, and how they are enqueued; under the strictest lints a crate may
//! set.
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs)]

use serde::{Deserialize, Serialize};
use serde_json::Value;
use symphra_scheduler::{Error, RunContext, RunId, SchedulerHandle, State, task};

#[derive(Serialize, Deserialize)]
struct Welcome {
    to: String,
}

fn second(value: Value) -> Value {
    value
}

mod versions {
    pub(super) fn third(value: serde_json::Value) -> serde_json::Value {
        value
    }
}

#[task(
    name = "every option",
    tags = ["mail"],
    metadata(owner = "growth"),
    max_instances = 3,
    timeout = "30s",
    retry(max_attempts = 5),
    delivery = "at_least_once",
    priority = 10,
    group = "mail",
    enabled = true,
    pause_after = 5,
    upgrade = [second, versions::third],
    crate = symphra_scheduler
)]
async fn every_option(mail: Welcome, run: RunContext, pool: State<u8>) -> Result<(), std::io::Error> {
    drop((mail.to, run, pool));
    Ok(())
}

#[task]
async fn of_a_number(_number: u32) {}

#[task]
async fn of_nothing() {}

#[task()]
async fn of_nothing_with_a_run((): (), _run: RunContext) {}

#[task(blocking)]
fn blocking(_names: Vec<String>, _run: RunContext) {}

#[task(delivery = "at_most_once")]
async fn once((_to, _times): (String, u8)) {}

async fn enqueued(handle: &SchedulerHandle) -> Result<RunId, Error> {
    handle.enqueue(every_option, Welcome { to: "ada".to_owned() }).priority(3).await?;
    handle.enqueue(of_a_number, 7).unique("seven").await?;
    handle.enqueue(of_nothing, ()).await?;
    handle.enqueue(of_nothing_with_a_run, ()).await?;
    handle.enqueue(blocking, vec!["ada".to_owned()]).await?;
    handle.enqueue_all(of_a_number, [1, 2, 3]).await?;
    handle.enqueue("once", ("ada".to_owned(), 2_u8)).await
}

fn main() {
    // Its function is an ordinary one.
    drop((of_a_number(1), of_nothing(), once((String::new(), 1)), enqueued, blocking));
}
