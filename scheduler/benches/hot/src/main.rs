//! The paths that a scheduler goes most often, so many times: for `scheduler/benches/instructions`, which counts what the
//! processor is told to do. Nothing here depends on the clock, on the number of processors or on what else they do.
//!
//! `symphra-scheduler-hot PATH TIMES`. The engine runs under the virtual time of the test kit.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler::test_util::TestScheduler;
use symphra_scheduler::{Overlap, RetryPolicy, Schedule, Scheduler, Task};
use symphra_scheduler_core::{CronExpr, Timestamp};
use tokio::sync::Notify;

type Failure = Box<dyn std::error::Error>;

/// A usual one, one that steps, one with names and a range, one that is rare.
const EXPRESSIONS: [&str; 4] = ["30 2 * * *", "*/15 * * * * *", "0 9-17 * * MON-FRI", "0 0 29 2 *"];
/// 2025-01-01T00:00:00Z.
const FIRST: i64 = 1_735_689_600_000;
/// 2090-01-01T00:00:00Z: a search that has come this far begins anew.
const LAST: i64 = 3_786_912_000_000;
/// How many tasks are due at once.
const TASKS: usize = 1_000;

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [path, times] = words.as_slice() else { return Err("symphra-scheduler-hot PATH TIMES".into()) };
    let times: usize = times.parse()?;
    match path.as_str() {
        "parse" => parse(times),
        "next-utc" => next(chrono_tz::UTC, times),
        "next-new-york" => next(chrono_tz::America::New_York, times),
        "fire" => under_virtual_time(fire(times, |task| task)),
        "fire-retry-timeout" => under_virtual_time(fire(times, |task| {
            task.timeout(Duration::from_secs(30)).retry(RetryPolicy::aggressive())
        })),
        "trigger" => under_virtual_time(trigger(times)),
        other => Err(format!("{other:?} is no path").into()),
    }
}

/// Times four.
fn parse(times: usize) -> Result<(), Failure> {
    for _ in 0..times {
        for expression in EXPRESSIONS {
            black_box(black_box(expression).parse::<CronExpr>()?);
        }
    }
    Ok(())
}

/// Times four.
fn next(zone: chrono_tz::Tz, times: usize) -> Result<(), Failure> {
    for expression in EXPRESSIONS {
        let expression: CronExpr = expression.parse()?;
        let first = Timestamp::from_millis(FIRST);
        let mut at = first;
        for _ in 0..times {
            at = match expression.next(zone, black_box(at)) {
                Some(next) if next.as_millis() < LAST => next,
                _ => first,
            };
        }
        black_box(at);
    }
    Ok(())
}

fn under_virtual_time(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(work)
}

/// Times a thousand: so many tasks are due at each second, and each firing is admitted, executed, and kept with its end.
async fn fire(times: usize, with: fn(Task) -> Task) -> Result<(), Failure> {
    let every_second = Schedule::cron("* * * * * *")?;
    let program = move || {
        let task = |index: usize| with(Task::new(format!("second-{index}"), every_second, || std::future::ready(())));
        (0..TASKS).fold(Scheduler::empty(), |scheduler, index| scheduler.register(task(index)))
    };
    let test = TestScheduler::new("2026-06-01T08:00:00Z", program).await?;
    test.advance(Duration::from_secs(times as u64)).await;
    let fired = test.all_fired().len();
    if fired < TASKS * (times - 1) {
        return Err(format!("only {fired} have fired").into());
    }
    test.stop().await?;
    Ok(())
}

/// Each from the call until the body runs; no time passes.
async fn trigger(times: usize) -> Result<(), Failure> {
    let yearly = Schedule::cron("0 0 1 1 *")?;
    let began = Arc::new(Notify::new());
    let starts = Arc::clone(&began);
    let program = move || {
        let starts = Arc::clone(&starts);
        let body = move || std::future::ready(starts.notify_one());
        Scheduler::empty().register(Task::new("by-hand", yearly, body).overlap(Overlap::Allow))
    };
    let test = TestScheduler::new("2026-06-01T08:00:00Z", program).await?;
    for _ in 0..times {
        test.trigger_task("by-hand").await?;
        began.notified().await;
    }
    test.stop().await?;
    Ok(())
}
