//! Cron across the changes of New York's clocks in 2026: forward on 8 March at 07:00 UTC, back on 1 November at 06:00.

use chrono_tz::Tz;

use super::rig::{Rig, counts, cron, hours, pass};
use crate::Task;

fn in_new_york(rig: &Rig, name: &'static str, expression: &str) -> Task {
    rig.quick(name, cron(expression)).timezone(Tz::America__New_York)
}

#[tokio::test(start_paused = true)]
async fn what_the_change_to_summer_time_skips_runs_at_the_first_instant_after_it() {
    let rig = Rig::starting("2026-03-08T05:00:00Z");
    let _scheduler = rig
        .start([
            in_new_york(&rig, "half past two", "0 30 2 * * *"),
            in_new_york(&rig, "half hours", "0 */30 * * * *"),
            in_new_york(&rig, "midnight", "0 0 0 * * *"),
        ])
        .await;
    pass(hours(3)).await;
    assert_eq!(rig.fired_at("half past two"), ["2026-03-08T07:00:00.000Z"], "03:00 EDT");
    let half_hours = ["05:30", "06:00", "06:30", "07:00", "07:30", "08:00"];
    assert_eq!(rig.fired_at("half hours"), half_hours.map(|at| format!("2026-03-08T{at}:00.000Z")));
    assert_eq!(rig.fired("midnight"), [0; 0], "00:00 EST was the first instant, which is not after it");
    assert_eq!(counts(rig.ledger("half past two").await), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_the_change_to_winter_time_repeats_runs_once_if_it_is_fixed_and_twice_if_it_is_an_interval() {
    let rig = Rig::starting("2026-11-01T04:45:00Z");
    let _scheduler = rig
        .start([
            in_new_york(&rig, "half past one", "0 30 1 * * *"),
            in_new_york(&rig, "half hours", "0 */30 * * * *"),
            in_new_york(&rig, "two", "0 0 2 * * *"),
        ])
        .await;
    pass(hours(3)).await;
    assert_eq!(rig.fired_at("half past one"), ["2026-11-01T05:30:00.000Z"], "the first pass, 01:30 EDT");
    assert_eq!(rig.fired_at("two"), ["2026-11-01T07:00:00.000Z"], "02:00 EST");
    let half_hours = ["05:00", "05:30", "06:00", "06:30", "07:00", "07:30"];
    assert_eq!(rig.fired_at("half hours"), half_hours.map(|at| format!("2026-11-01T{at}:00.000Z")));
}

/// Others froze the zone's offset when the scheduler started.
#[tokio::test(start_paused = true)]
async fn tokio_cron_scheduler_107_a_daily_task_follows_its_zone_through_the_change() {
    let rig = Rig::starting("2026-03-08T05:30:00Z");
    let _scheduler = rig.start([in_new_york(&rig, "one and nine", "0 0 1,9 * * *")]).await;
    pass(hours(8)).await;
    assert_eq!(rig.fired_at("one and nine"), ["2026-03-08T06:00:00.000Z", "2026-03-08T13:00:00.000Z"]);
}
