//! Words that say what becomes of occurrences and their runs, retries apart.

use std::sync::Mutex;
use std::thread::ThreadId;

use symphra_scheduler::{Reason, RunContext, RunState, SchedulerConfig, TaskStatus, every};
use symphra_scheduler_tests::seconds;

use super::{began, ends, half_a_minute, start, start_with};

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
