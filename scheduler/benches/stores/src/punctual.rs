//! How punctual 100 tasks are that are due at every full second.
//!
//! Lateness is the wall clock at the start of the body, less the full second. Default configuration.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use symphra_scheduler::{PostgresBackend, RabbitMqBackend, RedisBackend, RunContext, Schedule, Scheduler, SqliteBackend, Task};

use crate::Failure;
use crate::arguments::Arguments;
use crate::json::Line;
use crate::place::Place;

const TASKS: usize = 100;

const SECONDS: u64 = 60;

/// What is within this is punctual.
const PUNCTUAL_US: i64 = 50_000;

/// The first seconds are not counted: connections are opened in them.
const WARM_UP: u64 = 2;

/// A full second, and how late a run of it began, in microseconds.
type Seen = Arc<Mutex<Vec<(i64, i64)>>>;

/// Measures one store.
///
/// # Errors
/// An option is wrong; the store fails.
pub async fn measure(mut arguments: Arguments) -> Result<(), Failure> {
    let url: String = arguments.take("url")?.ok_or("--url is missing")?;
    let seconds = arguments.take("seconds")?.unwrap_or(SECONDS);
    arguments.finish()?;
    let place = if url == "memory" { None } else { Some(Place::new(&url).await?) };
    let scheduler = match &place {
        None => Scheduler::empty(),
        Some(Place::Sqlite { .. }) => {
            let options = SqliteBackend::options().namespace("bench");
            Scheduler::empty().backend(options.connect(&place.as_ref().map(Place::url).unwrap_or_default()).await?)
        }
        Some(Place::Postgres { url, .. }) => {
            Scheduler::empty().backend(PostgresBackend::options().namespace("bench").connect(url).await?)
        }
        Some(Place::RabbitMq { url }) => {
            Scheduler::empty().backend(RabbitMqBackend::options().namespace("bench").connect(url).await?)
        }
        Some(Place::Redis { url }) => {
            Scheduler::empty().backend(RedisBackend::options().namespace("bench").connect(url).await?)
        }
    };
    let seen = Seen::default();
    let every_second = Schedule::cron("* * * * * *")?;
    let scheduler = (0..TASKS).fold(scheduler, |scheduler, number| {
        let seen = Arc::clone(&seen);
        scheduler.register(Task::new(format!("task {number}"), every_second, move |run: RunContext| {
            let due = run.scheduled_at().timestamp_micros();
            // What happens if a body has panicked is the scheduler's business; here none does.
            if let (Ok(mut seen), Ok(now)) = (seen.lock(), SystemTime::now().duration_since(UNIX_EPOCH)) {
                let now = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
                seen.push((due / 1_000_000, now - due));
            }
            std::future::ready(())
        }))
    });
    let handle = scheduler.start().await?;
    let first = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 1 + WARM_UP)?;
    tokio::time::sleep(Duration::from_secs(seconds + WARM_UP + 2)).await;
    handle.stop().await?;
    let last = first + i64::try_from(seconds)?;
    let seen = seen.lock().map_err(|_| "a body has panicked")?;
    let mut lateness: Vec<i64> =
        seen.iter().filter(|(second, _)| (first..last).contains(second)).map(|&(_, late)| late).collect();
    lateness.sort_unstable();
    let fired = lateness.len();
    let at = |share: f64| lateness.get((fired as f64 * share) as usize).map(|&late| late as f64 / 1_000.0);
    let punctual = lateness.iter().filter(|late| (0..=PUNCTUAL_US).contains(late)).count();
    let line = Line::new()
        .text("store", place.as_ref().map_or("memory", Place::store))
        .number("expected", TASKS * usize::try_from(seconds)?)
        .number("fired", fired)
        .number("punctual", punctual)
        .number("early", lateness.iter().filter(|&&late| late < 0).count())
        .maybe("p50_ms", at(0.5))
        .maybe("p99_ms", at(0.99))
        .maybe("max_ms", lateness.last().map(|&late| late as f64 / 1_000.0));
    println!("{}", line.finish());
    match place {
        Some(place) => place.remove().await,
        None => Ok(()),
    }
}
