//! What is registered is what was written: name, schedule, zone, tags, window and place, without a start of any run.
#![deny(warnings)]

use std::time::Duration;

use symphra_scheduler::chrono::{DateTime, Utc};
use symphra_scheduler::{Schedule, Scheduler, TaskInfo, chrono_tz::Tz, cron, daily, interval, once};

#[cron("0 30 9 * * MON-FRI", name = "morning report", timezone = "Asia/Shanghai", tags = ["a", "b"], start = "2098-01-01")]
async fn report() {}

#[daily(at = "09:30", start = "2097-06-01T12:00:00+02:00")]
async fn every_morning() {}

#[interval("1h30m", start = "2098-01-01T00:00:00Z")]
async fn grid() {}

mod inner {
    #[super::once(at = "2098-12-31T23:59:59", timezone = "America/New_York")]
    pub(crate) async fn new_year() {}
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

async fn tasks() -> Vec<TaskInfo> {
    let scheduler = Scheduler::from_registry().expect_tasks(["grid", "new_year"]).start().await.unwrap();
    let mut tasks = scheduler.list_tasks();
    tasks.sort_by(|a, b| a.name.cmp(&b.name));
    scheduler.stop().await.unwrap();
    tasks
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = runtime.block_on(tasks());
    let [every_morning, grid, report, new_year] = tasks.as_slice() else { panic!("{tasks:#?}") };

    assert_eq!(report.name, "morning report");
    assert_eq!(report.schedule, Schedule::cron("0 30 9 * * 1-5").unwrap());
    assert_eq!(report.timezone, Tz::Asia__Shanghai);
    assert_eq!(report.tags, ["a", "b"]);
    // `start` without offset is read in the task's zone.
    assert_eq!(report.next.unwrap(), instant("2098-01-01T01:30:00Z"));
    assert!(report.source.file().ends_with("registered.rs"));
    assert_eq!(report.source.line(), 9);

    assert_eq!(every_morning.schedule, Schedule::cron("30 9 * * *").unwrap());
    assert_eq!(every_morning.timezone, Tz::UTC);
    assert!(every_morning.tags.is_empty());
    assert_eq!(every_morning.next.unwrap(), instant("2097-06-02T09:30:00Z"));

    assert_eq!(grid.schedule, Schedule::interval(Duration::from_secs(5_400)).unwrap());
    assert_eq!(grid.next.unwrap(), instant("2098-01-01T00:00:00Z"));

    assert_eq!(new_year.next.unwrap(), instant("2099-01-01T04:59:59Z"));
    assert!(new_year.source.module().ends_with("::inner"));
    drop(inner::new_year());
}
