//! Options that are unknown, repeated, missing or of the wrong kind; all errors of an attribute at once.

use symphra_scheduler::{cron, hourly, interval};

#[cron("@daily", tiemzone = "UTC", tags = "monitoring", max_instances = 0)]
async fn three_errors() {}

#[hourly(minute = 1, minute = 2)]
async fn repeated() {}

#[hourly(hour = 9)]
async fn of_another_attribute() {}

#[interval(secnods = 10)]
async fn misspelled() {}

#[hourly(colour = "red")]
async fn unknown() {}

#[hourly(name)]
async fn without_value() {}

#[hourly(tags("a", "b"))]
async fn in_brackets() {}

#[hourly(name = " report")]
async fn name_with_outer_space() {}

#[hourly(name = "")]
async fn empty_name() {}

#[hourly(tags = ["a", "b", "a"])]
async fn repeated_tag() {}

#[hourly(crate = "symphra_scheduler")]
async fn quoted_path() {}

#[hourly("@daily")]
async fn value_without_name() {}

#[hourly(minute = 5,, name = "x")]
async fn two_commas() {}

#[cron("@daily", "@hourly")]
async fn two_expressions() {}

const EVERY: &str = "@daily";

#[cron(EVERY)]
async fn constant() {}

#[interval(seconds = 5, end = "2024-12-31", timezone = "UTC")]
async fn over() {}

fn main() {
    drop((three_errors(), misspelled(), constant(), EVERY));
}
