//! Schedules that cannot be: each error stands at the value that is wrong, and the functions exist all the same.

use symphra_scheduler::{cron, daily, every, hourly, interval, monthly, once, scheduled, weekly};

#[cron("0 0 25 * * *")]
async fn hour_out_of_range() {}

#[cron("0 0 0 30 2 *")]
async fn no_such_day() {}

#[cron("0 0 0 1 1 * 2020-2024")]
async fn only_years_past() {}

#[cron("0 30-40 2 8 3 * 2026", timezone = "America/New_York")]
async fn only_in_a_gap() {}

#[cron("* * * *")]
async fn four_fields() {}

#[cron("0 0 9 * * MONN")]
async fn no_such_weekday() {}

#[cron("0 0 9 * * L")]
async fn bare_last_weekday() {}

#[cron]
async fn without_expression() {}

#[daily(hour = 9, timezone = "Asia/Shanghia")]
async fn no_such_zone() {}

#[interval(seconds = 0)]
async fn zero() {}

#[interval(seconds = -5)]
async fn negative() {}

#[interval(seconds = 0.0001)]
async fn below_a_millisecond() {}

#[interval(days = 1_000_000)]
async fn longer_than_a_century() {}

#[interval("30")]
async fn without_unit() {}

#[every("1h30x")]
async fn with_an_unknown_unit() {}

#[every(30, seconds = 5)]
async fn twice() {}

#[interval]
async fn without_interval() {}

#[once(at = "2026-02-30T00:00:00")]
async fn on_30_february() {}

#[once(at = "tomorrow")]
async fn in_words() {}

#[hourly(minute = 60)]
async fn minute_60() {}

#[daily(at = "09:30", hour = 9)]
async fn time_given_twice() {}

#[weekly(day = "monday", hour = 24)]
async fn two_errors() {}

#[weekly(hour = 9)]
async fn without_day() {}

#[monthly(day = 32)]
async fn day_32() {}

#[scheduled(cron = "@daily", interval = "1h")]
async fn two_at_once() {}

#[scheduled(name = "nothing")]
async fn nothing() {}

#[daily(start = "2026-12-31T00:00:00Z", end = "2026-01-01T00:00:00Z")]
async fn ends_before_it_starts() {}

#[monthly(start = "2026-01-02", end = "2026-01-30", timezone = "Europe/Paris")]
async fn nothing_in_its_window() {}

fn main() {
    // What is left after an error is the function: were it gone, this would be a second error.
    drop((hour_out_of_range(), zero(), no_such_zone(), on_30_february(), two_at_once()));
}
