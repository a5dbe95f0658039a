//! Tasks of the business.

use std::time::Duration;

use symphra_scheduler::{ScheduledAt, cron, daily};

/// Takes longer than its period: what falls due meanwhile is recorded, not run on top.
#[cron("* * * * * *", name = "sync_orders", tags = ["shop"])]
async fn sync_orders() {
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    println!("sync_orders: done");
}

#[daily(at = "09:30", timezone = "Asia/Shanghai", tags = ["shop", "reports"])]
async fn daily_report(ScheduledAt(day): ScheduledAt) {
    println!("daily_report: for {}", day.date_naive());
}
