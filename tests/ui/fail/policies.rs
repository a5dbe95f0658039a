//! How a task behaves: values out of range or misspelled, brackets of the wrong kind, options that contradict each other.

use std::error::Error;

use symphra_scheduler::{RunContext, cron, every, hourly, interval, once, scheduled};

#[hourly(timeout = 0, jitter = "25h", catch_up_window = -1, expect_success_within = "0s")]
async fn durations_out_of_range() {}

#[hourly(timeout = "30", jitter = true, catch_up_window = "6 hours")]
async fn no_durations() {}

#[hourly(max_runs = 0, max_instances = 0, pause_after = 0, priority = -101)]
async fn numbers_out_of_range() {}

#[hourly(overlap = "sikp", misfire = "run_al", delivery = "exactly_once")]
async fn misspelled_words() {}

#[hourly(enabled, run_on_start = 1, blokcing)]
async fn flags() {}

#[hourly(group = " reports")]
async fn group_with_outer_space() {}

#[hourly(except = "0 0 25 * * *")]
async fn except_with_an_error() {}

#[hourly(except = "0 0 0 30 2 *")]
async fn except_that_excepts_nothing() {}

#[hourly(metadata = "x")]
async fn metadata_without_brackets() {}

#[hourly(metadata(owner = 5, owner, team = "a", team = "b", "x"))]
async fn metadata_wrong_in_every_way() {}

#[hourly(metadata())]
async fn metadata_of_nothing() {}

#[hourly(retry = "agressive")]
async fn misspelled_preset() {}

#[hourly(retry)]
async fn retry_without_value() {}

#[hourly(retry())]
async fn retry_of_nothing() {}

#[hourly(retry(max_attemps = 5, times = 3, strategy = "exponental", multiplier = 0.5, multiplier = 2))]
async fn retry_wrong_in_every_way() {}

#[hourly(retry(max_attempts = 1001, wait_max = "31d", jitter = "1s", when = "is_transient"))]
async fn retry_out_of_range() {}

#[hourly(retry(wait_min = "2m", wait_max = "1m"))]
async fn waits_in_the_wrong_order() {}

#[hourly(retry(wait_min = "2m"))]
async fn shortest_wait_above_the_default() {}

#[hourly(retry(wait_max = "500ms"))]
async fn longest_wait_below_the_default() {}

#[hourly(retry = "none", retry(max_attempts = 5))]
async fn retry_twice() {}

fn takes_text(_error: &str) -> bool {
    true
}

#[hourly(retry(when = takes_text))]
async fn predicate_of_another_type() -> Result<(), Box<dyn Error + Send + Sync>> {
    Ok(())
}

#[hourly(overlap = "allow", max_instances = 2)]
async fn a_limit_and_none() {}

#[hourly(delivery = "at_most_once", retry(max_attempts = 5))]
async fn once_and_again() {}

#[interval(5, delay = "fixed_delay", misfire = "skip", catch_up_window = "1h", overlap = "skip", max_instances = 1)]
async fn never_missed() {}

#[cron("@daily", delay = "fixed_delay")]
async fn delay_of_a_cron() {}

#[once(at = "2099-01-01", delay = "fixed_rate")]
async fn delay_of_an_instant() {}

#[scheduled(cron = "@daily", delay = "fixed_delay")]
async fn delay_of_a_general_cron() {}

#[every(5, misfire = "run_all")]
async fn drops_what_it_catches_up() {}

#[every(5, misfire = "run_all", overlap = "buffer_one")]
async fn drops_most_of_it() {}

#[every(5, misfire = "skip", catch_up_window = "1h")]
async fn a_window_for_nothing() {}

#[hourly(blocking)]
async fn blocking_and_async() {}

#[hourly(blocking)]
unsafe fn blocking_and_unsafe() {}

#[hourly(blocking)]
fn blocking_with_a_number(run: RunContext, count: u32) {
    drop((run, count));
}

#[hourly(blocking)]
fn blocking_for_a_number() -> u32 {
    5
}

fn main() {
    drop((durations_out_of_range(), blocking_and_async(), a_limit_and_none()));
}
