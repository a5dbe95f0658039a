//! Names that get in the way: shadowed types and crates, raw identifiers, one function name in two modules.
#![deny(warnings)]

use symphra_scheduler::{RunContext, cron, interval};

mod core {}
mod std {}
mod symphra_scheduler_core {}

#[derive(Clone, Copy)]
struct Result;
struct String;
struct Option;
struct Ok;
struct Err;
struct Some;
struct Box;
struct Vec;
struct Send;
trait FnOnce {}
trait Future {}
impl FnOnce for Result {}
impl Future for Result {}

#[cron("@daily", tags = ["a"], timezone = "UTC", start = "2026-01-01", end = "2027-01-01", max_instances = 2)]
async fn shadowed(run: RunContext) {
    let _ = (Result, String, Option, Ok, Err, Some, Box, Vec, Send, run);
    fn of<T: FnOnce + Future>() {}
    of::<Result>();
}

#[interval(5)]
async fn r#type(r#fn: RunContext) -> ::std::result::Result<(), ::std::string::String> {
    drop(r#fn);
    ::std::result::Result::Ok(())
}

mod orders {
    #[symphra_scheduler::cron("@daily", name = "orders/clean up")]
    async fn clean_up() {}
}

mod invoices {
    #[symphra_scheduler::cron("@daily", name = "invoices/clean up")]
    async fn clean_up() {}
}

mod odd_names {
    use symphra_scheduler::hourly;

    #[hourly(name = "日报 🚀")]
    async fn a() {}
    #[hourly(name = "Z")]
    async fn b() {}
    #[hourly(name = "ZZ")]
    async fn c() {}
    #[hourly(name = "a b")]
    async fn d() {}
    #[hourly(name = "aZ20_b")]
    async fn e() {}
    #[hourly(name = "1")]
    async fn f() {}
}

fn main() {
    let _ = r#type;
}
