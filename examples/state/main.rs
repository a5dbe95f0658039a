//! How a task gets at what the program has: a pool, a client, a setting; and how to make an argument of one's own.
//!
//! `cargo run -p examples --bin state` ends by itself after a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use symphra_scheduler::{Error, Extract, ExtractError, Provided, RunContext, Scheduler, State, interval};

/// Stands for a pool of connections. All runs share the one value, so what changes in it has its own lock.
struct Pool {
    url: String,
    queries: AtomicU64,
}

impl Pool {
    fn query(&self) -> u64 {
        self.queries.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Nobody provides this one.
struct Cache;

/// An argument of the program's own: the pool and the day, as one thing.
struct Books {
    pool: State<Pool>,
    day: String,
}

impl Extract for Books {
    fn extract(run: &RunContext) -> Result<Self, ExtractError> {
        Ok(Self { pool: State::extract(run)?, day: run.scheduled_at().date_naive().to_string() })
    }

    /// What it is made of is asked for at start, so that what is missing is found then.
    fn check(provided: &Provided) -> Result<(), ExtractError> {
        State::<Pool>::check(provided)
    }
}

#[interval(milliseconds = 300)]
async fn count(pool: State<Pool>) {
    println!("count: query {} on {}", pool.query(), pool.url);
}

#[interval(milliseconds = 300)]
async fn lookup(cache: Option<State<Cache>>) {
    println!("lookup: {}", if cache.is_some() { "in the cache" } else { "there is no cache" });
}

#[interval(milliseconds = 300)]
async fn book(books: Books) {
    println!("book: query {} for {}", books.pool.query(), books.day);
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    // Without the pool nothing starts: a task could never run.
    match Scheduler::from_registry().start().await {
        Ok(_) => println!("it started without its pool"),
        Err(error) => println!("{error}"),
    }

    let pool = Pool { url: "postgres://localhost".to_owned(), queries: AtomicU64::new(0) };
    let scheduler = Scheduler::from_registry().state(pool).start().await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    scheduler.stop().await?;

    // The function is an ordinary one: a test calls it with a state of its own.
    count(State::from(Pool { url: "nothing".to_owned(), queries: AtomicU64::new(41) })).await;
    Ok(())
}
