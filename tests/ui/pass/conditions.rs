//! A `#[cfg]` on a task, above or below the attribute, holds for all that is generated.
#![deny(warnings)]

use symphra_scheduler::{cron, hourly, interval};

#[cfg(any())]
#[cron("not even read")]
async fn off_above(missing: Missing) {}

#[hourly]
#[cfg(any())]
async fn off_below(missing: Missing) {}

#[hourly]
#[cfg_attr(all(), cfg(any()))]
async fn off_by_cfg_attr(missing: Missing) {}

#[cfg(all())]
#[cron("@daily")]
async fn on_above() {}

#[cron("@daily")]
#[cfg(all())]
#[cfg_attr(any(), cfg(any()))]
async fn on_below() {}

#[hourly]
async fn always() {}

// One of two variants, under one name.
#[interval(5, name = "sweep")]
#[cfg(debug_assertions)]
async fn sweep() {}

#[interval(60, name = "sweep")]
#[cfg(not(debug_assertions))]
async fn sweep() {}

// One function, one of two schedules.
#[cfg_attr(debug_assertions, interval(5))]
#[cfg_attr(not(debug_assertions), cron("@daily"))]
async fn either() {}

fn main() {}
