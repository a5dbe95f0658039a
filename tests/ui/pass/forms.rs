//! Every attribute in every way of writing it, under the strictest lints a crate may set.
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs)]

use symphra_scheduler::{RunContext, cron, daily, every, hourly, interval, monthly, once, scheduled, weekly};

#[interval(seconds = 10, name = "health check", tags = ["monitoring", "fast"])]
async fn health_check() {}

#[interval(hours = 1, minutes = 30, milliseconds = 0.0)]
async fn in_units() {}

#[interval("1m30s", start = "2026-01-01T00:00:00+08:00", end = "2027-01-01")]
async fn in_one_string() {}

#[interval(0.5, max_instances = 4)]
async fn in_seconds() {}

#[every("500ms", overlap = "allow")]
async fn by_its_other_name() {}

#[cron("0 30 9 * * MON-FRI", timezone = "Asia/Shanghai", overlap = "skip")]
async fn with_six_fields(run: RunContext) -> Result<(), std::io::Error> {
    drop(run);
    Ok(())
}

#[cron("*/5 * * * *")]
async fn with_five_fields() -> Result<u32, String> {
    Ok(5)
}

#[cron("0 0 0 L 2 ? 2028-2100")]
async fn with_seven_fields() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    Ok(())
}

#[once(at = "2026-12-31T23:59:59+08:00")]
async fn once_absolute() {}

#[once(at = "2026-12-31T23:59:59", timezone = "Europe/Paris")]
async fn once_local() {}

#[hourly]
async fn every_hour() {}

#[hourly(minute = 30)]
async fn at_half_past() {}

#[daily(hour = 9, minute = 30)]
async fn every_day() {}

#[daily(at = "09:30")]
async fn every_day_at() {}

#[weekly(day = "mon", hour = 9)]
async fn every_week() {}

#[weekly(day = 7)]
async fn every_sunday() {}

#[monthly(day = 31, hour = 23, minute = 59)]
async fn every_month() {}

#[monthly()]
async fn on_the_first() {}

#[scheduled(cron = "@daily")]
async fn general_cron() {}

#[scheduled(interval = "1h30m")]
async fn general_interval() {}

#[scheduled(at = "2026-12-31T23:59:59Z")]
async fn general_once() {}

/// Documented, public, and deprecated: the scheduler's call is no use that anybody has to be warned of.
#[deprecated = "call the new one"]
#[symphra_scheduler::cron("@yearly")]
pub async fn deprecated() {}

fn main() {
    #[hourly(name = "within a function")]
    async fn inner() {}
    drop(inner());
    // A task is an ordinary function.
    drop((health_check(), with_five_fields()));
}
