//! A year of schedules in New York, with both changes of its clocks: a simulation equals a count by hand.

use symphra_scheduler::chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Timelike, Utc};
use symphra_scheduler::chrono_tz::America::New_York;
use symphra_scheduler::test_util::{Simulated, simulate};
use symphra_scheduler::{Schedule, Scheduler, Task};

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2027-01-01T00:00:00Z";

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

fn simulated(expression: &str) -> Vec<DateTime<Utc>> {
    let schedule = Schedule::cron(expression).expect("a valid expression");
    let task = Task::new("task", schedule, async || {}).timezone(New_York);
    let year = simulate(Scheduler::empty().register(task), FROM, TO).run().expect("it could start");
    let runs = year["task"].iter().map(|step| match step {
        Simulated::Runs { scheduled_at, at, covers: 0 } if scheduled_at == at => scheduled_at.to_utc(),
        other => panic!("{other:?}"),
    });
    runs.collect()
}

/// Each day at a fixed local time: once if it happens twice, and at the end of a gap if it does not happen.
fn daily(hour: u32, minute: u32) -> Vec<DateTime<Utc>> {
    let time = NaiveTime::from_hms_opt(hour, minute, 0).expect("a time of day");
    let first = NaiveDate::from_ymd_opt(2025, 12, 31).expect("a day");
    let days = (0..368).map(|day| first + Days::new(day));
    let instants = days.map(|day| {
        let mut local = day.and_time(time);
        loop {
            if let Some(found) = New_York.from_local_datetime(&local).earliest() {
                return found.to_utc();
            }
            local += TimeDelta::minutes(1);
        }
    });
    instants.filter(|&at| at > instant(FROM) && at < instant(TO)).collect()
}

/// Each minute whose local time of day is wanted, as the clock shows it.
fn by_the_clock(wanted: impl Fn(u32, u32) -> bool) -> Vec<DateTime<Utc>> {
    let minutes = (1..366 * 24 * 60).map(|minute| instant(FROM) + TimeDelta::minutes(minute));
    minutes
        .take_while(|&at| at < instant(TO))
        .filter(|at| {
            let local = at.with_timezone(&New_York);
            wanted(local.hour(), local.minute())
        })
        .collect()
}

#[test]
fn a_fixed_time_runs_once_a_day() {
    for (expression, hour, minute) in [("30 1 * * *", 1, 30), ("30 2 * * *", 2, 30), ("0 9 * * *", 9, 0)] {
        let days = simulated(expression);
        assert_eq!(days, daily(hour, minute), "{expression}");
        assert_eq!(days.len(), 365, "{expression}");
    }
}

#[test]
fn an_interval_expression_follows_the_clock_as_it_passes() {
    assert_eq!(simulated("*/15 * * * *"), by_the_clock(|_, minute| minute % 15 == 0));
    assert_eq!(simulated("0 1-3 * * *"), by_the_clock(|hour, minute| minute == 0 && (1..=3).contains(&hour)));
    assert_eq!(simulated("20 * * * *"), by_the_clock(|_, minute| minute == 20));
}
