//! Two tasks of one name in a crate: the compiler shows both places, wherever in the crate they stand.

use symphra_scheduler::{cron, interval};

#[cron("@daily", name = "daily report")]
async fn report() {}

mod orders {
    #[symphra_scheduler::cron("@hourly")]
    async fn clean_up() {}

    #[symphra_scheduler::interval(30, name = "daily report")]
    async fn totals() {}
}

#[interval(seconds = 10, name = "clean_up")]
async fn sweep() {}

fn main() {}
