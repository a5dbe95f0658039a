//! The attributes of Symphra Scheduler: they put a schedule on a function and register it as a task.
//!
//! Use them from the crate `symphra-scheduler`, which re-exports them; what they generate calls into that crate only.
//! A task's schedule is parsed while the program is compiled, by the parser that the running program uses, and stands
//! in the program as a constant. A wrong one does not compile, and all errors of one attribute are shown at once.
//!
//! ```standalone_crate
//! use symphra_scheduler::{cron, interval};
//!
//! #[cron("0 30 9 * * MON-FRI", timezone = "Asia/Shanghai", timeout = "30s", retry(max_attempts = 5))]
//! async fn report() -> Result<(), std::io::Error> {
//!     std::fs::write("report.txt", "all is well")
//! }
//!
//! #[interval(seconds = 10, name = "health_check", tags = ["monitoring"])]
//! async fn health_check() {
//!     println!("ok");
//! }
//! ```
//!
//! | attribute | the function runs |
//! |---|---|
//! | [`#[cron("…")]`](macro@cron) | by a cron expression |
//! | [`#[interval(…)]`](macro@interval), [`#[every(…)]`](macro@every) | on a fixed grid, or so long after the end of its last run |
//! | [`#[once(at = "…")]`](macro@once) | once, at an instant |
//! | [`#[hourly]`](macro@hourly), [`#[daily]`](macro@daily), [`#[weekly]`](macro@weekly), [`#[monthly]`](macro@monthly) | as they say |
//! | [`#[scheduled(…)]`](macro@scheduled) | by any of these: the general form |
//! | [`#[task]`](macro@task) | when it is enqueued, with arguments (feature `jobs`) |
//!
//! # What every attribute has in common
//!
//! **The function** is a free `async fn` without generics, or a free `fn` where `blocking` says so. It stays as it is
//! written: it can be called, tested and documented. It takes any number of extractors, and returns nothing or a
//! `Result<T, E>` whose error converts into `Box<dyn Error + Send + Sync>`; `T` is dropped. Its future, or the
//! arguments of a blocking one, are `Send`. A function has one schedule; to run the same code by two, write a second
//! function that calls the first. Items in an `impl` or a `trait` cannot be tasks.
//!
//! **The options**, each at most once, in any order, after or before the schedule:
//!
//! | option | meaning | without it |
//! |---|---|---|
//! | `name = "report"` | the task's name: 1–128 bytes, no control characters, no space at either end, unique in a program | the function's name |
//! | `tags = ["a", "b"]` | words to find the task by | none |
//! | `timezone = "Asia/Shanghai"` | the zone of its cron expression and of instants without offset: an IANA name | the scheduler's, which is UTC unless set |
//! | `start = "2026-01-01T00:00:00+08:00"` | nothing before this instant; the first run of an interval | no bound |
//! | `end = "2026-12-31T23:59:59+08:00"` | nothing after this instant | no bound |
//! | `except = "* * * 25 12 *"` | a cron expression in the task's zone: its instants are no occurrences | none |
//! | `jitter = "30s"` | moves each occurrence by up to this duration, always the same for the same occurrence and never past the next one; 0s to 1d | none |
//! | `delay = "fixed_delay"` | intervals only: the next instant is the end of the last run plus the interval; `"fixed_rate"` is the grid. Not beside `misfire`, `catch_up_window`, `overlap`, `max_instances` | `"fixed_rate"` |
//! | `max_runs = 10` | after so many occurrences that became runs the schedule is over; 1 or more | no limit |
//! | `max_instances = 3` | at most so many runs alive at once; 1 or more | 1 |
//! | `overlap = "buffer_one"` | what happens to an occurrence that falls due while the task is full: `"skip"` records it, `"buffer_one"` and `"buffer_all"` let one or all wait, `"cancel_running"` cancels the oldest run, `"allow"` sets no limit (not beside `max_instances`) | `"skip"` |
//! | `misfire = "skip"` | what happens to occurrences that nobody could start in time: the newest runs (`"run_once"`), none (`"skip"`), or each, the oldest first (`"run_all"`, which needs `overlap = "buffer_all"` or `"allow"`) | `"run_once"` |
//! | `catch_up_window = "6h"` | how old a missed occurrence may be to become a run all the same; not beside `misfire = "skip"` | no limit; 1d under `"run_all"` |
//! | `timeout = "30s"` | how long an attempt may take; 1ms to 30d | no limit |
//! | `retry(max_attempts = 5)` | how often a failed attempt is repeated, and when; see below | `"default"`: 3 attempts |
//! | `delivery = "at_most_once"` | a run whose node has died is not executed again; one attempt, so not beside `retry` | `"at_least_once"` |
//! | `priority = 10` | higher runs start first where not all can; -100 to 100 | 0 |
//! | `group = "reports"` | of all tasks of the group at most so many run at once as the group is configured for, 1 unless set; a name like a task's | no group |
//! | `enabled = false` | the task is registered and paused | `true` |
//! | `run_on_start` | also runs once when a node starts and no other live node knows the task; or `run_on_start = true` | `false` |
//! | `pause_after = 5` | pauses the task after so many failed runs in a row; 1 or more | never |
//! | `expect_success_within = "2h"` | without a success for so long the task counts as stale; 1ms or more | until a minute after the second occurrence since its last success |
//! | `metadata(owner = "billing")` | facts that are shown with the task: keys are identifiers, values are strings | none |
//! | `blocking` | the function is an ordinary `fn` and runs on the blocking pool; or `blocking = true` | `false`: an `async fn` |
//! | `crate = path` | where the crate `symphra-scheduler` is, if it was renamed | `::symphra_scheduler` |
//!
//! **A retry** is a preset by its name, `retry = "none"`, `"default"` or `"aggressive"`, or what differs from
//! `"default"`, in brackets:
//!
//! | key | meaning | without it |
//! |---|---|---|
//! | `max_attempts = 5` | attempts of a run, the first included; 1 to 1000 | 3 |
//! | `strategy = "fixed"` | how the waits grow: `"exponential"`, `"fixed"` (always `wait_min`), `"random"` (from `wait_min` to `wait_max`) | `"exponential"` |
//! | `wait_min = "1s"` | the first wait, and the shortest; 0s to 30d, not above `wait_max` | 1s |
//! | `wait_max = "60s"` | the longest wait; 0s to 30d | 60s |
//! | `multiplier = 2.0` | by how much an exponential wait grows; 1 to 100 | 2 |
//! | `jitter = false` | `true` shortens each wait by up to a half, by chance | `true` |
//! | `when = path::to::function` | a `fn(&(dyn Error + 'static)) -> bool` that says which errors are worth another attempt | all are |
//!
//! `"none"` is one attempt; `"aggressive"` is 10 attempts, 0.5s to 120s apart, with a multiplier of 2.5.
//!
//! **A duration** (`timeout`, `jitter`, `catch_up_window`, `expect_success_within`, `wait_min`, `wait_max`) is a string with
//! units (`d`, `h`, `m`, `s`, `ms`: `"1m30s"`) or a bare number of seconds (`30`, `1.5`), in whole milliseconds.
//!
//! **An instant** (`at`, `start`, `end`) is written as in RFC 3339, in whole milliseconds. With an offset it is absolute;
//! without (`"2026-12-31T23:59:59"`, or a date alone for midnight) it is local to the task's zone. Both bounds are
//! included.
//!
//! **Names are unique.** Two tasks of one name in a crate are a compile error that shows both. In two crates of one
//! program they are a link error where the linker allows it, and in any case an error when the scheduler starts. For
//! this each task has a hidden macro at the root of the crate, and outside `cfg(test)` an exported symbol, both called
//! `__symphra_task_name_must_be_unique__` and the name, in which a character other than an ASCII letter, digit or
//! underscore is written `Z`, its scalar value in hexadecimal, and `_` (and `Z` itself `ZZ`).
//!
//! **A `#[cfg]`** on the function, above or below the attribute, holds for the task too.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod attr;
mod errors;
mod expand;
mod fallback;
mod form;
mod function;
mod model;
mod name;
mod options;
mod schedule;
mod validate;

use proc_macro::TokenStream;
use syn::ItemFn;

use crate::form::Form;

/// Runs the function on a fixed grid: every so often, counted from one anchor, without drift.
///
/// The interval is written in one of three ways:
///
/// - units, added up: `milliseconds`, `seconds`, `minutes`, `hours`, `days`; decimals are allowed, `hours = 1.5`;
/// - one string with units: `"500ms"`, `"1m30s"`, `"1h30m"`, `"1d"`;
/// - a bare number: seconds.
///
/// It is a whole number of milliseconds, from 1 ms to 100 years. The grid starts at `start` if that is given, with the
/// first run at `start`; otherwise one interval after the task was first registered.
///
/// The options of all attributes are listed [on the front page](crate#what-every-attribute-has-in-common).
///
/// ```
/// use symphra_scheduler::interval;
///
/// #[interval(seconds = 10, name = "health_check", tags = ["monitoring"])]
/// async fn health_check() {
///     println!("ok");
/// }
///
/// #[interval(hours = 1, minutes = 30)]
/// async fn sync_orders() -> Result<(), std::io::Error> {
///     Ok(())
/// }
///
/// #[interval("1m30s", max_instances = 2)]
/// async fn poll_queue() {}
///
/// #[interval(0.5)]
/// async fn sample() {}
/// ```
///
/// A task whose future is not `Send` does not compile:
///
/// ```compile_fail
/// # use symphra_scheduler::interval;
/// #[interval(seconds = 10)]
/// async fn holds_an_rc() {
///     let shared = std::rc::Rc::new(5);
///     std::future::ready(()).await;
///     drop(shared);
/// }
/// ```
///
/// An interval of zero does not compile:
///
/// ```compile_fail
/// # use symphra_scheduler::interval;
/// #[interval(seconds = 0)]
/// async fn too_often() {}
/// ```
#[proc_macro_attribute]
pub fn interval(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Form::Interval, arguments, item)
}

/// Another name of [`macro@interval`].
///
/// ```
/// use symphra_scheduler::every;
///
/// #[every("30s")]
/// async fn refresh() {}
/// ```
#[proc_macro_attribute]
pub fn every(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Form::Every, arguments, item)
}

/// Runs the function by a cron expression, on the local clock of the task's time zone.
///
/// The expression has 5 fields (minute first), 6 (second first) or 7 (year last):
///
/// | field | values | besides `*`, `,`, `-`, `/` and `?` |
/// |---|---|---|
/// | second | 0–59 | |
/// | minute | 0–59 | |
/// | hour | 0–23 | |
/// | day of month | 1–31 | `L` (last day), `L-3` (three days before it), `15W` (nearest weekday), `LW` (last weekday) |
/// | month | 1–12, `JAN`–`DEC` | |
/// | day of week | 0–7, `SUN`–`SAT`; 0 and 7 are Sunday, 1 is Monday | `5L` (last Friday), `5#2` (second Friday) |
/// | year | 1970–2100 | |
///
/// Ranges may wrap around (`22-2`, `FRI-MON`), and `n/step` runs to the end of its field. `@yearly`, `@monthly`,
/// `@weekly`, `@daily` and `@hourly` stand for what they say. If both day fields are restricted, either one is enough;
/// a `+` before the day of week asks for both: `"0 0 13 * +5"` is Friday the 13th.
///
/// Where a clock change skips a fixed time, the task runs once, right after the gap; where it repeats one, the task runs
/// the first time only. An expression with a `*`, a range or a step in second, minute or hour follows the clock instead.
///
/// The options of all attributes are listed [on the front page](crate#what-every-attribute-has-in-common).
///
/// ```
/// use symphra_scheduler::cron;
///
/// #[cron("0 30 9 * * MON-FRI", timezone = "Asia/Shanghai")]
/// async fn morning_report() {}
///
/// #[cron("*/15 * * * *", start = "2026-01-01T00:00:00Z")]
/// async fn every_quarter_of_an_hour() {}
///
/// #[cron("@daily", name = "clean up", overlap = "skip")]
/// async fn clean_up() {}
///
/// #[cron("0 2 * * *", timeout = "1h", retry(max_attempts = 5, wait_min = "10s"), blocking)]
/// fn compress_logs() -> std::io::Result<()> {
///     Ok(())
/// }
/// ```
///
/// An expression that is wrong, or that can never fire, does not compile:
///
/// ```compile_fail
/// # use symphra_scheduler::cron;
/// #[cron("0 0 0 30 2 *")]
/// async fn on_30_february() {}
/// ```
#[proc_macro_attribute]
pub fn cron(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Form::Cron, arguments, item)
}

/// Runs the function once, at an instant.
///
/// `at` is an RFC 3339 instant; without an offset it is local to the task's time zone.
///
/// The options of all attributes are listed [on the front page](crate#what-every-attribute-has-in-common).
///
/// ```
/// use symphra_scheduler::once;
///
/// #[once(at = "2026-12-31T23:59:59+08:00")]
/// async fn close_the_year() {}
///
/// #[once(at = "2026-12-31T23:59:59", timezone = "Europe/Paris")]
/// async fn close_the_year_in_paris() {}
/// ```
#[proc_macro_attribute]
pub fn once(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Form::Once, arguments, item)
}

/// Runs the function once an hour, at `minute` (0–59; 0 if left out).
///
/// The same as `#[cron("0 30 * * * *")]` for `minute = 30`. The options of all attributes are listed
/// [on the front page](crate#what-every-attribute-has-in-common).
///
/// ```
/// use symphra_scheduler::hourly;
///
/// #[hourly(minute = 30)]
/// async fn at_half_past() {}
/// ```
#[proc_macro_attribute]
pub fn hourly(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Form::Hourly, arguments, item)
}

/// Runs the function once a day, at `hour` (0–23) and `minute` (0–59), each 0 if left out, or at `at = "09:30"`.
///
/// The same as `#[cron("0 30 9 * * *")]` for 09:30. `at` also takes seconds, `"09:30:15"`. The options of all attributes
/// are listed [on the front page](crate#what-every-attribute-has-in-common).
///
/// ```
/// use symphra_scheduler::daily;
///
/// #[daily(hour = 9, minute = 30)]
/// async fn in_the_morning() {}
///
/// #[daily(at = "21:30", timezone = "America/New_York")]
/// async fn in_the_evening() {}
/// ```
#[proc_macro_attribute]
pub fn daily(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Form::Daily, arguments, item)
}

/// Runs the function once a week, on `day`, at `hour` (0–23) and `minute` (0–59), each 0 if left out.
///
/// `day` is `"mon"`, `"tue"`, `"wed"`, `"thu"`, `"fri"`, `"sat"` or `"sun"`, or a number from 0 to 7, where 0 and 7 are
/// Sunday; it has no default. The options of all attributes are listed
/// [on the front page](crate#what-every-attribute-has-in-common).
///
/// ```
/// use symphra_scheduler::weekly;
///
/// #[weekly(day = "mon", hour = 9)]
/// async fn start_of_the_week() {}
///
/// #[weekly(day = 5, hour = 17, minute = 30)]
/// async fn on_friday() {}
/// ```
#[proc_macro_attribute]
pub fn weekly(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Form::Weekly, arguments, item)
}

/// Runs the function once a month, on `day` (1–31; 1 if left out), at `hour` (0–23) and `minute` (0–59), each 0 if left
/// out.
///
/// A month without that day has no run; for the last day of every month write `#[cron("0 0 0 L * *")]`. The options of
/// all attributes are listed [on the front page](crate#what-every-attribute-has-in-common).
///
/// ```
/// use symphra_scheduler::monthly;
///
/// #[monthly(day = 15, hour = 6)]
/// async fn invoices() {}
/// ```
#[proc_macro_attribute]
pub fn monthly(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Form::Monthly, arguments, item)
}

/// The general form: one of `cron`, `interval` and `at`, as in [`macro@cron`], [`macro@interval`] and [`macro@once`].
///
/// `interval` is a string with units or a number of seconds. The options of all attributes are listed
/// [on the front page](crate#what-every-attribute-has-in-common).
///
/// ```
/// use symphra_scheduler::scheduled;
///
/// #[scheduled(cron = "0 30 9 * * MON-FRI")]
/// async fn report() {}
///
/// #[scheduled(interval = "1m30s")]
/// async fn poll() {}
///
/// #[scheduled(at = "2026-12-31T23:59:59Z")]
/// async fn close_the_year() {}
/// ```
#[proc_macro_attribute]
pub fn scheduled(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Form::Scheduled, arguments, item)
}

/// Makes the function a task without a schedule: it runs when it is enqueued, with arguments.
///
/// The first argument is what it is enqueued with: any type that serde writes and reads, or `()`, or none at all. Those
/// behind it are extractors, as of any task. The function's own type is what a job is enqueued by, so that other arguments do
/// not compile.
///
/// It takes the options of all attributes but those that say something about occurrences: `name`, `tags`, `metadata`,
/// `max_instances` (without it there is no limit: as many run at once as all nodes have workers), `timeout`, `retry`, `delivery`, `priority`, `group`,
/// `enabled`, `pause_after`, `blocking` and `crate`. And one of its own:
///
/// | option | meaning | without it |
/// |---|---|---|
/// | `upgrade = [v1_to_v2, v2_to_v3]` | functions `fn(serde_json::Value) -> serde_json::Value` that bring arguments from one version to the next, so that what an older program has enqueued can be read; the present version is one more than there are functions | version 1 |
///
/// It needs the feature `jobs`.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use symphra_scheduler::{RunContext, task};
///
/// #[derive(Serialize, Deserialize)]
/// struct Welcome {
///     to: String,
/// }
///
/// #[task(timeout = "30s", retry(max_attempts = 5))]
/// async fn send_welcome(mail: Welcome, run: RunContext) -> Result<(), std::io::Error> {
///     println!("attempt {}: to {}", run.attempt(), mail.to);
///     Ok(())
/// }
/// ```
///
/// A schedule beside it does not compile:
///
/// ```compile_fail
/// # use symphra_scheduler::task;
/// #[task(cron = "0 9 * * *")]
/// async fn report() {}
/// ```
#[proc_macro_attribute]
pub fn task(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Form::Task, arguments, item)
}

fn attribute(form: Form, arguments: TokenStream, item: TokenStream) -> TokenStream {
    expanded(form, arguments.into(), item.into()).into()
}

/// The whole way: parse, validate, expand; or the item as it was, with all errors.
fn expanded(
    form: Form,
    arguments: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> proc_macro2::TokenStream {
    let Ok(function) = syn::parse2::<ItemFn>(item.clone()) else {
        return fallback::not_a_function(form, arguments, item);
    };
    match validate::task(form, arguments.clone(), &function) {
        Ok(task) => expand::task(&task),
        Err(error) => fallback::function(form, arguments, function, &error),
    }
}
