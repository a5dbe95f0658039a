//! Items that cannot be tasks. The attribute's own errors are shown together with those of the item.

use std::borrow::Cow;
use std::fmt::Display;

use symphra_scheduler::{cron, hourly, interval};

#[hourly]
fn not_async() {}

#[hourly]
const fn constant() {}

#[hourly]
async unsafe fn dangerous() {}

#[hourly]
async extern "C" fn foreign() {}

#[hourly]
async fn generic<T: Default, const N: usize>() {}

#[hourly]
async fn with_lifetime<'a>(_name: &'a str) {}

#[hourly]
async fn borrows(_name: &str, _names: Vec<Cow<'_, str>>) {}

#[hourly]
async fn hides(_name: impl Display) {}

#[hourly]
async fn conditional(#[cfg(unix)] _name: String) {}

#[hourly]
async fn returns_something_hidden() -> impl Display {
    1
}

#[hourly]
async fn never_returns() -> ! {
    loop {}
}

#[hourly]
#[interval(seconds = 5)]
async fn two_schedules() {}

#[cron("0 0 25 * * *", name = "")]
fn wrong_in_every_way<T>(_name: &str) {}

struct Service;

impl Service {
    #[hourly]
    async fn method(&self) {}
}

#[hourly(minute = 61)]
struct NoFunction;

#[hourly]
mod module {}

#[hourly]
impl Service {}

fn main() {
    not_async();
    constant();
    drop((borrows("", vec![]), conditional(String::new()), two_schedules(), Service.method(), NoFunction));
}
