//! Words that say which instants are occurrences.

use symphra_scheduler::test_util::TestScheduler;
use symphra_scheduler::{Scheduler, daily, every, hourly, interval, monthly, once, scheduled, weekly};
use symphra_scheduler_tests::{START, seconds};

use super::{half_a_minute, start};

#[daily(at = "09:30", timezone = "Asia/Shanghai")]
async fn in_shanghai() {}

#[tokio::test(start_paused = true)]
async fn a_timezone_is_where_the_schedule_is_read() {
    let test = start("in_shanghai").await;
    test.run_until("2026-06-02T01:30:00Z").await;
    let fired: Vec<String> = test.fired("in_shanghai").iter().map(|at| at.naive_utc().to_string()).collect();
    assert_eq!(fired, ["2026-06-02 01:30:00"]);
}

#[every(10, start = "2026-06-01T09:00:25Z")]
async fn started() {}

#[tokio::test(start_paused = true)]
async fn before_its_start_there_is_nothing() {
    assert_eq!(half_a_minute("started").await, [25]);
}

#[every(10, end = "2026-06-01T09:00:20Z")]
async fn ended() {}

#[tokio::test(start_paused = true)]
async fn after_its_end_there_is_nothing() {
    assert_eq!(half_a_minute("ended").await, [10, 20]);
}

#[every(10, except = "20 * * * * *")]
async fn excepted() {}

#[tokio::test(start_paused = true)]
async fn an_exception_is_no_occurrence() {
    assert_eq!(half_a_minute("excepted").await, [10, 30]);
}

#[every(10, jitter = "9s")]
async fn jittered() {}

#[tokio::test(start_paused = true)]
async fn jitter_moves_some_occurrences() {
    let test = start("jittered").await;
    test.advance(seconds(100)).await;
    assert!(test.all_fired().iter().any(|run| run.began_at > run.scheduled_at));
}

#[every(10, delay = "fixed_delay")]
async fn delayed() {
    tokio::time::sleep(seconds(3)).await;
}

#[tokio::test(start_paused = true)]
async fn a_fixed_delay_counts_from_the_end() {
    assert_eq!(half_a_minute("delayed").await, [10, 23]);
}

#[every(10, max_runs = 2)]
async fn twice() {}

#[tokio::test(start_paused = true)]
async fn max_runs_end_the_schedule() {
    assert_eq!(half_a_minute("twice").await, [10, 20]);
}

#[interval(milliseconds = 500, seconds = 1, minutes = 2, hours = 3, days = 1)]
async fn units() {}

#[once(at = "2026-07-01T00:00:00Z")]
async fn at_once() {}

#[scheduled(at = "2026-07-02T00:00:00Z")]
async fn general_at() {}

#[scheduled(cron = "15 12 * * *")]
async fn general_cron() {}

#[scheduled(interval = "1m30s")]
async fn general_interval() {}

#[hourly(minute = 7)]
async fn each_hour() {}

#[daily(hour = 10, minute = 20)]
async fn each_day() {}

#[daily(at = "11:05")]
async fn each_day_at() {}

#[weekly(day = "wed", hour = 8, minute = 1)]
async fn each_week() {}

#[monthly(day = 5, hour = 6, minute = 2)]
async fn each_month() {}

#[tokio::test(start_paused = true)]
async fn the_words_of_a_schedule_say_when() {
    let names = [
        ("units", "2026-06-02 12:02:01.500"),
        ("at_once", "2026-07-01 00:00:00"),
        ("general_at", "2026-07-02 00:00:00"),
        ("general_cron", "2026-06-01 12:15:00"),
        ("general_interval", "2026-06-01 09:01:30"),
        ("each_hour", "2026-06-01 09:07:00"),
        ("each_day", "2026-06-01 10:20:00"),
        ("each_day_at", "2026-06-01 11:05:00"),
        ("each_week", "2026-06-03 08:01:00"),
        ("each_month", "2026-06-05 06:02:00"),
    ];
    let build = || Scheduler::from_registry().filter(|task| !task.name().starts_with("rank"));
    let test = TestScheduler::new(START, build).await.expect("it can start");
    for (name, at) in names {
        let next = test.next_occurrences(name, 1).expect("it is there")[0].naive_utc().to_string();
        assert_eq!(next, at, "{name}");
    }
}
