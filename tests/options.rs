//! Every word that an attribute accepts does what it says, from the attribute to its effect: an option that is accepted
//! and never built (Immediate.Jobs #64) has no place to hide.
//!
//! [`HELD`] names the test of each word; a word of the macros' table without one is a failure, and each of these tests
//! fails where its word has no effect.

use std::sync::Mutex;
use std::thread::ThreadId;
use std::time::Duration;

use symphra_scheduler::test_util::TestScheduler;
use symphra_scheduler::{
    Reason, RunContext, RunState, Scheduler, SchedulerConfig, SchedulerEvent, TaskStatus, daily, every, hourly,
    interval, monthly, once, scheduled, weekly,
};

/// Which test holds a word.
const HELD: &[(&str, &str)] = &[
    ("name", "a_name_is_what_the_task_is_called"),
    ("tags", "tags_find_the_task"),
    ("metadata", "metadata_are_shown"),
    ("timezone", "a_timezone_is_where_the_schedule_is_read"),
    ("start", "before_its_start_there_is_nothing"),
    ("end", "after_its_end_there_is_nothing"),
    ("except", "an_exception_is_no_occurrence"),
    ("jitter", "jitter_moves_some_occurrences"),
    ("delay", "a_fixed_delay_counts_from_the_end"),
    ("max_runs", "max_runs_end_the_schedule"),
    ("max_instances", "max_instances_run_beside_each_other"),
    ("overlap", "an_overlap_policy_is_followed"),
    ("misfire", "a_misfire_policy_is_followed"),
    ("catch_up_window", "a_catch_up_window_bounds_what_is_caught_up"),
    ("timeout", "a_timeout_ends_the_attempt"),
    ("retry", "a_retry_preset_is_followed"),
    ("delivery", "a_delivery_at_most_once_is_one_attempt"),
    ("priority", "a_higher_priority_goes_first"),
    ("group", "a_group_runs_one_at_a_time"),
    ("enabled", "what_is_not_enabled_does_not_run"),
    ("run_on_start", "what_runs_on_start_does"),
    ("pause_after", "so_many_failed_runs_pause_the_task"),
    ("expect_success_within", "without_the_success_that_is_expected_the_task_is_stale"),
    ("blocking", "what_blocks_has_a_thread_of_its_own"),
    ("crate", "the_scheduler_may_have_another_name"),
    ("retry.max_attempts", "the_keys_of_a_retry_set_its_instants"),
    ("retry.strategy", "the_keys_of_a_retry_set_its_instants"),
    ("retry.wait_min", "the_keys_of_a_retry_set_its_instants"),
    ("retry.wait_max", "the_keys_of_a_retry_set_its_instants"),
    ("retry.multiplier", "the_keys_of_a_retry_set_its_instants"),
    ("retry.jitter", "the_keys_of_a_retry_set_its_instants"),
    ("retry.when", "the_keys_of_a_retry_set_its_instants"),
    ("milliseconds", "the_words_of_a_schedule_say_when"),
    ("seconds", "the_words_of_a_schedule_say_when"),
    ("minutes", "the_words_of_a_schedule_say_when"),
    ("hours", "the_words_of_a_schedule_say_when"),
    ("days", "the_words_of_a_schedule_say_when"),
    ("at", "the_words_of_a_schedule_say_when"),
    ("hour", "the_words_of_a_schedule_say_when"),
    ("minute", "the_words_of_a_schedule_say_when"),
    ("day", "the_words_of_a_schedule_say_when"),
    ("cron", "the_words_of_a_schedule_say_when"),
    ("interval", "the_words_of_a_schedule_say_when"),
];

/// The macros' table of words.
const TABLE: &str = include_str!("../scheduler-macros/src/form.rs");

/// These tests.
const TESTS: &str = include_str!("options.rs");

/// The words in a part of the table.
fn words_in(part: &str) -> Vec<&str> {
    let after = |opening: &'static str| part.split(opening).skip(1).filter_map(|rest| rest.split('"').next());
    let shaped = part.split("shaped(").skip(1).filter_map(|rest| rest.split('"').nth(1));
    after("word(\"").chain(shaped).collect()
}

#[test]
fn immediate_jobs_64_no_word_is_accepted_without_a_test_that_it_is_built() {
    let (options, rest) = TABLE.split_once("const RETRY").expect("the table has the keys of a retry");
    let (options, rest) = (options.split_once("const OPTIONS").expect("the table has options").1, rest);
    let (retry, rest) = rest.split_once("const UNITS").expect("the table has units");
    let (schedules, _) = rest.split_once("enum Form").expect("the table ends with the attributes");
    let mut words: Vec<String> = words_in(options).into_iter().map(str::to_owned).collect();
    words.extend(words_in(retry).into_iter().map(|key| format!("retry.{key}")));
    words.extend(words_in(schedules).into_iter().map(str::to_owned));
    words.sort_unstable();
    words.dedup();
    let mut held: Vec<String> = HELD.iter().map(|(word, _)| (*word).to_owned()).collect();
    held.sort_unstable();
    assert_eq!(words, held, "the words of the macros, and those that have a test");
    for (word, test) in HELD {
        assert!(TESTS.contains(&format!("async fn {test}() {{")), "{word}: there is no test {test}");
    }
}

const START: &str = "2026-06-01T09:00:00Z";

async fn start(task: &'static str) -> TestScheduler<impl Fn() -> Scheduler> {
    start_with(task, SchedulerConfig::new()).await
}

/// The tasks whose names begin with `tasks`.
async fn start_with(tasks: &'static str, config: SchedulerConfig) -> TestScheduler<impl Fn() -> Scheduler> {
    let build = move || Scheduler::from_registry().config(config.clone()).filter(|task| task.name().starts_with(tasks));
    TestScheduler::new(START, build).await.expect("it can start")
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn second(at: impl Into<symphra_scheduler::Timestamp>) -> i64 {
    let start = START.parse::<symphra_scheduler::chrono::DateTime<symphra_scheduler::chrono::Utc>>();
    let start = symphra_scheduler::Timestamp::from(start.expect("START is an instant"));
    (at.into().as_millis() - start.as_millis()) / 1_000
}

/// When the runs of `task` began, in seconds.
fn began<B>(test: &TestScheduler<B>, task: &str) -> Vec<i64> {
    test.all_fired().iter().filter(|run| run.task == *task).map(|run| second(run.began_at)).collect()
}

/// How runs ended, in that order.
fn ends<B>(test: &TestScheduler<B>) -> Vec<RunState> {
    let ends = test.told().into_iter().filter_map(|event| match event {
        SchedulerEvent::RunEnded { state, .. } => Some(state),
        _ => None,
    });
    ends.collect()
}

/// Runs for half a minute, and tells when the runs began.
async fn half_a_minute(task: &'static str) -> Vec<i64> {
    let test = start(task).await;
    test.advance(seconds(31)).await;
    test.balanced_ledger(task).await;
    began(&test, task)
}

#[every(10, name = "called otherwise")]
async fn named() {}

#[tokio::test(start_paused = true)]
async fn a_name_is_what_the_task_is_called() {
    assert_eq!(half_a_minute("called otherwise").await, [10, 20, 30]);
}

#[every(10, tags = ["fast", "safe"])]
async fn tagged() {}

#[tokio::test(start_paused = true)]
async fn tags_find_the_task() {
    let test = start("tagged").await;
    for tag in ["fast", "safe"] {
        assert_eq!(test.tasks_by_tag(tag).len(), 1, "{tag}");
    }
}

#[every(10, metadata(owner = "billing"))]
async fn described() {}

#[tokio::test(start_paused = true)]
async fn metadata_are_shown() {
    let info = start("described").await.task("described").expect("it is there");
    assert_eq!(info.metadata.iter().collect::<Vec<_>>(), [("owner", "billing")]);
}

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

#[every(10, max_instances = 2)]
async fn two_at_once() {
    tokio::time::sleep(seconds(15)).await;
}

#[tokio::test(start_paused = true)]
async fn max_instances_run_beside_each_other() {
    assert_eq!(half_a_minute("two_at_once").await, [10, 20, 30]);
}

#[every(10, overlap = "buffer_all")]
async fn buffered() {
    tokio::time::sleep(seconds(15)).await;
}

#[tokio::test(start_paused = true)]
async fn an_overlap_policy_is_followed() {
    assert_eq!(half_a_minute("buffered").await, [10, 25]);
}

#[every(10, misfire = "skip")]
async fn skipped() {}

#[every(10, catch_up_window = "4s")]
async fn bounded() {}

/// What is recorded of a task that is away from 15 to 45, and when its runs began.
async fn away(task: &'static str) -> (Vec<(Reason, u64)>, Vec<i64>) {
    let mut test = start(task).await;
    test.advance(seconds(15)).await;
    test.restart(seconds(30)).await.expect("it starts again");
    test.advance(seconds(6)).await;
    let records = test.records(task).await.expect("memory answers");
    (records.into_iter().map(|record| (record.reason, record.count)).collect(), began(&test, task))
}

#[tokio::test(start_paused = true)]
async fn a_misfire_policy_is_followed() {
    assert_eq!(away("skipped").await, (vec![(Reason::Missed, 3)], vec![10, 50]));
}

#[tokio::test(start_paused = true)]
async fn a_catch_up_window_bounds_what_is_caught_up() {
    assert_eq!(away("bounded").await, (vec![(Reason::TooOld, 3)], vec![10, 50]));
}

#[every(10, timeout = 2, retry = "none")]
async fn limited(run: RunContext) {
    run.cancelled().await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_the_attempt() {
    let test = start("limited").await;
    test.advance(seconds(13)).await;
    assert_eq!(ends(&test), [RunState::TimedOut]);
}

#[every(10, retry = "none")]
async fn tried_once() -> Result<(), &'static str> {
    Err("down")
}

#[tokio::test(start_paused = true)]
async fn a_retry_preset_is_followed() {
    let test = start("tried_once").await;
    test.advance(seconds(10)).await;
    assert_eq!(ends(&test), [RunState::Failed]);
}

#[every(10, delivery = "at_most_once")]
async fn at_most_once() -> Result<(), &'static str> {
    Err("down")
}

#[tokio::test(start_paused = true)]
async fn a_delivery_at_most_once_is_one_attempt() {
    let test = start("at_most_once").await;
    test.advance(seconds(10)).await;
    assert_eq!(ends(&test), [RunState::Failed]);
}

#[every(10)]
async fn rank_a() {
    tokio::time::sleep(seconds(1)).await;
}

#[every(10, priority = 5)]
async fn rank_b() {
    tokio::time::sleep(seconds(1)).await;
}

#[every(10, priority = -5)]
async fn rank_c() {
    tokio::time::sleep(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_higher_priority_goes_first() {
    let test = start_with("rank_", SchedulerConfig::new().max_workers(1)).await;
    test.advance(seconds(15)).await;
    assert_eq!([began(&test, "rank_b"), began(&test, "rank_a"), began(&test, "rank_c")], [[10], [11], [12]]);
}

#[every(10, group = "imports")]
async fn grouped_a() {
    tokio::time::sleep(seconds(4)).await;
}

#[every(10, group = "imports")]
async fn grouped_b() {
    tokio::time::sleep(seconds(4)).await;
}

#[tokio::test(start_paused = true)]
async fn a_group_runs_one_at_a_time() {
    let test = start("grouped_").await;
    test.advance(seconds(15)).await;
    let mut all = [began(&test, "grouped_a"), began(&test, "grouped_b")].concat();
    all.sort_unstable();
    assert_eq!(all, [10, 14]);
}

#[every(10, enabled = false)]
async fn disabled() {}

#[tokio::test(start_paused = true)]
async fn what_is_not_enabled_does_not_run() {
    assert!(half_a_minute("disabled").await.is_empty());
}

#[every(10, run_on_start)]
async fn at_start() {}

#[tokio::test(start_paused = true)]
async fn what_runs_on_start_does() {
    assert_eq!(half_a_minute("at_start").await, [0, 10, 20, 30]);
}

#[every(10, pause_after = 2, retry = "none")]
async fn gives_up() -> Result<(), &'static str> {
    Err("down")
}

#[tokio::test(start_paused = true)]
async fn so_many_failed_runs_pause_the_task() {
    let test = start("gives_up").await;
    test.advance(seconds(31)).await;
    assert_eq!(began(&test, "gives_up"), [10, 20]);
    assert_eq!(test.task("gives_up").expect("it is there").status, TaskStatus::Paused);
}

#[every(10, expect_success_within = "25s", retry = "none")]
async fn expected() -> Result<(), &'static str> {
    Err("down")
}

#[tokio::test(start_paused = true)]
async fn without_the_success_that_is_expected_the_task_is_stale() {
    let test = start("expected").await;
    test.advance(seconds(26)).await;
    assert_eq!(test.health().stale.len(), 1);
}

static BLOCKED_ON: Mutex<Option<ThreadId>> = Mutex::new(None);

#[every(10, blocking)]
fn blocks() {
    *BLOCKED_ON.lock().expect("nobody panics") = Some(std::thread::current().id());
}

#[tokio::test(start_paused = true)]
async fn what_blocks_has_a_thread_of_its_own() {
    let test = start("blocks").await;
    test.advance(seconds(10)).await;
    while ends(&test).is_empty() {
        tokio::task::yield_now().await;
    }
    let blocked_on = BLOCKED_ON.lock().expect("nobody panics").expect("it has run");
    assert_ne!(blocked_on, std::thread::current().id());
}

mod renamed {
    pub(super) use symphra_scheduler::__private;
}

#[every(10, crate = crate::renamed)]
async fn by_another_crate() {}

#[tokio::test(start_paused = true)]
async fn the_scheduler_may_have_another_name() {
    assert_eq!(half_a_minute("by_another_crate").await, [10, 20, 30]);
}

#[hourly(retry(jitter = false))]
async fn again() -> Result<(), &'static str> {
    Err("down")
}

#[hourly(retry(jitter = true))]
async fn again_with_jitter() -> Result<(), &'static str> {
    Err("down")
}

#[hourly(retry(jitter = false, max_attempts = 2))]
async fn again_twice() -> Result<(), &'static str> {
    Err("down")
}

#[hourly(retry(jitter = false, strategy = "fixed"))]
async fn again_fixed() -> Result<(), &'static str> {
    Err("down")
}

#[hourly(retry(jitter = false, wait_min = 5))]
async fn again_later() -> Result<(), &'static str> {
    Err("down")
}

#[hourly(retry(jitter = false, wait_max = 1))]
async fn again_sooner() -> Result<(), &'static str> {
    Err("down")
}

#[hourly(retry(jitter = false, multiplier = 3))]
async fn again_rarer() -> Result<(), &'static str> {
    Err("down")
}

#[hourly(retry(jitter = false, when = never))]
async fn again_never() -> Result<(), &'static str> {
    Err("down")
}

fn never(_error: &(dyn std::error::Error + 'static)) -> bool {
    false
}

/// How long a run of `task` waited for each of its further attempts, in milliseconds.
async fn waits(task: &'static str) -> Vec<i64> {
    let build = move || Scheduler::from_registry().filter(|known| known.name() == task);
    let test = TestScheduler::new(START, build).await.expect("it can start");
    test.trigger_task(task).await.expect("it is accepted");
    test.advance(seconds(60)).await;
    let mut from = test.all_fired()[0].began_at.timestamp_millis();
    let next = test.told().into_iter().filter_map(|event| match event {
        SchedulerEvent::AttemptFailed { next_at, .. } => Some(next_at.as_millis()),
        _ => None,
    });
    next.map(|next| next - std::mem::replace(&mut from, next)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_keys_of_a_retry_set_its_instants() {
    assert_eq!(waits("again").await, [1_000, 2_000], "what is the same in all");
    assert_eq!(waits("again_twice").await, [1_000]);
    assert_eq!(waits("again_fixed").await, [1_000, 1_000]);
    assert_eq!(waits("again_later").await, [5_000, 10_000]);
    assert_eq!(waits("again_sooner").await, [1_000, 1_000]);
    assert_eq!(waits("again_rarer").await, [1_000, 3_000]);
    assert!(waits("again_never").await.is_empty());
    assert_ne!(waits("again_with_jitter").await, [1_000, 2_000]);
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
