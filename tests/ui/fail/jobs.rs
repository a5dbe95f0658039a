//! Jobs that are none: a schedule beside #[task], arguments that cannot be stored, and what is enqueued with the wrong thing.

use serde::{Deserialize, Serialize};
use symphra_scheduler::{SchedulerHandle, cron, task};

#[derive(Serialize, Deserialize)]
struct Welcome {
    to: String,
}

struct NoData;

#[task(cron = "0 9 * * *")]
async fn with_a_cron(_mail: Welcome) {}

#[task("0 9 * * *")]
async fn with_an_expression(_mail: Welcome) {}

#[task(seconds = 10, overlap = "skip")]
async fn with_an_interval(_mail: Welcome) {}

#[task]
#[cron("0 9 * * *")]
async fn with_two(_mail: Welcome) {}

#[task(max_instance = 3)]
async fn misspelled(_mail: Welcome) {}

#[task(upgrade = "v1")]
async fn upgraded_by_a_text(_mail: Welcome) {}

#[task]
async fn of_no_data(_data: NoData) {}

#[task]
async fn borrowing(_name: &str) {}

#[task]
async fn sound(_mail: Welcome) {}

async fn enqueued(handle: &SchedulerHandle) {
    let _ = handle.enqueue(sound, 7_u32).await;
}

fn main() {
    drop((with_a_cron, with_two, enqueued));
}
