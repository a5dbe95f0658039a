//! Conversions from and to `cron::Schedule`.

use std::str::FromStr;

use chrono::TimeZone;
use chrono_tz::Tz;
use cron::Schedule;
use symphra_scheduler_core::CronExpr;

const SCHEDULES: &[&str] = &[
    "0 0 0 * * * *",
    "0 30 9,12,15 1,15 May-Aug Mon,Wed,Fri 2018/2",
    "*/7 * * * * *",
    "0 0 0 13 * Fri",
    "0 0 12 ? * 1",
    "1 2 3 4 5 6 2070",
    "0 0 0 29 2 *",
    "@hourly",
    "@weekly",
    "59 59 23 31 12 Sat 2095-2100",
];

fn instants(schedule: &Schedule) -> Vec<i64> {
    let start = Tz::UTC.with_ymd_and_hms(2015, 1, 1, 0, 0, 0).single().expect("a time");
    schedule.after(&start).take(200).map(|at| at.timestamp()).collect()
}

#[test]
fn a_schedule_keeps_its_instants_there_and_back() {
    let start = Tz::UTC.with_ymd_and_hms(2015, 1, 1, 0, 0, 0).single().expect("a time");
    for text in SCHEDULES {
        let schedule = Schedule::from_str(text).expect(text);
        let expr = CronExpr::from(&schedule);
        let ours: Vec<_> = expr.occurrences_after(start).take(200).map(|at| at.timestamp()).collect();
        assert_eq!(ours, instants(&schedule), "{text} is {expr}");
        let back = Schedule::try_from(&expr).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(instants(&back), instants(&schedule), "{text} is {expr} is {back}");
        assert!(back.timeunitspec_eq(&schedule) || text.starts_with('@'), "{text} is {expr} is {back}");
        assert_eq!(CronExpr::from(back), expr, "{text}");
        assert_eq!(expr.to_string().parse(), Ok(expr), "{text}");
    }
}

#[test]
fn a_schedule_keeps_its_meaning_in_zones_but_goes_forward() {
    let expr = CronExpr::from(Schedule::from_str("0 30 1,2 * * *").expect("a schedule"));
    let zone = Tz::America__New_York;
    let fired = |month, day| -> Vec<String> {
        let start = zone.with_ymd_and_hms(2026, month, day, 0, 0, 0).single().expect("a time");
        expr.occurrences_after(start).take(3).map(|at| at.format("%d %H:%M %Z").to_string()).collect()
    };
    // Nothing in the gap, nothing moved; both passes of the repeated hour.
    assert_eq!(fired(3, 8), ["08 01:30 EST", "09 01:30 EDT", "09 02:30 EDT"]);
    assert_eq!(fired(11, 1), ["01 01:30 EDT", "01 01:30 EST", "01 02:30 EST"]);
}

#[test]
fn what_cron_cannot_say_is_refused_by_name() {
    let refused = |text: &str| {
        let expr: CronExpr = text.parse().expect(text);
        Schedule::try_from(expr).expect_err(text).to_string()
    };
    assert!(refused("0 0 L * *").contains("L or W in the day of month"));
    assert!(refused("0 0 15W * *").contains("L or W in the day of month"));
    assert!(refused("0 0 * * 5L").contains("L or # in the day of week"));
    assert!(refused("0 0 * * 5#2").contains("L or # in the day of week"));
    assert!(refused("0 0 13 * 5").contains("of which either may match"));
    assert!(refused("0 0 13 * 5").contains("\"0 0 0 13 * 5\""));
}

#[test]
fn both_days_and_free_days_can_be_said() {
    for text in ["0 0 0 13 * +5", "0 0 0 * * 0", "0 0 0 */2 * 5", "*/5 * * * * *"] {
        let expr: CronExpr = text.parse().expect(text);
        let schedule = Schedule::try_from(&expr).unwrap_or_else(|error| panic!("{text}: {error}"));
        let start = Tz::UTC.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single().expect("a time");
        let ours: Vec<_> = expr.occurrences_after(start).take(50).collect();
        let theirs: Vec<_> = schedule.after(&start).take(50).collect();
        assert_eq!(ours, theirs, "{text} is {schedule}");
    }
}
