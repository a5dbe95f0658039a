//! Every option of every attribute, under the strictest lints a crate may set.
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs)]

use std::error::Error;

use symphra_scheduler::{RunContext, ScheduledAt, cron, daily, every, hourly, interval, once, scheduled};

/// A module whose name is also a local one where the scheduler sets the options.
mod task {
    pub(super) fn is_transient(error: &(dyn std::error::Error + 'static)) -> bool {
        error.to_string().contains("busy")
    }
}

fn task(_error: &(dyn Error + 'static)) -> bool {
    true
}

#[cron(
    "0 30 9 * * MON-FRI",
    name = "every option",
    tags = ["reports", "nightly"],
    metadata(owner = "billing", r#type = "report", runbook = "https://example.org/runbook"),
    timezone = "Asia/Shanghai",
    start = "2026-01-01",
    end = "2099-12-31T23:59:59Z",
    except = "* * * 25 12 *",
    jitter = "1m30s",
    max_runs = 1_000,
    max_instances = 3,
    overlap = "buffer_all",
    misfire = "run_all",
    catch_up_window = "6h",
    timeout = 30,
    retry(
        max_attempts = 5,
        strategy = "exponential",
        wait_min = 0.5,
        wait_max = "2m",
        multiplier = 2.5,
        jitter = false,
        when = task::is_transient,
    ),
    delivery = "at_least_once",
    priority = -100,
    group = "reports",
    enabled = false,
    run_on_start,
    pause_after = 5,
    expect_success_within = "3d",
    blocking = false,
)]
async fn every_option() -> Result<(), std::io::Error> {
    Ok(())
}

#[interval(10, delay = "fixed_delay", run_on_start = true, enabled = true, priority = 100)]
async fn after_the_end() {}

#[scheduled(interval = "10s", delay = "fixed_rate", overlap = "cancel_running", misfire = "run_once")]
async fn on_the_grid() {}

#[every("1m", overlap = "buffer_one", misfire = "skip", retry = "aggressive")]
async fn one_waits() {}

#[hourly(overlap = "allow", misfire = "run_all", retry = "default")]
async fn beside_each_other() {}

#[daily(overlap = "skip", delivery = "at_most_once")]
async fn at_most_once() {}

#[once(at = "2099-01-01", retry = "none", run_on_start = false)]
async fn without_retry() {}

#[hourly(retry(strategy = "fixed", when = task))]
async fn by_a_function_of_the_same_name() {}

#[hourly(retry(strategy = "random", jitter = true))]
async fn at_random() {}

#[hourly(blocking)]
fn blocks() {}

/// Documented, public, deprecated, and with arguments that move to the blocking pool.
#[deprecated = "call the new one"]
#[symphra_scheduler::cron("@daily", blocking = true, timeout = "1h")]
pub fn blocks_with_arguments(run: RunContext, at: ScheduledAt) -> Result<u32, String> {
    drop((run, at));
    Ok(5)
}

fn main() {
    // A task is an ordinary function.
    blocks();
    drop((every_option(), task::is_transient, task));
}
