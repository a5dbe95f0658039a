//! Two nodes on one PostgreSQL: each occurrence runs on one of them, and what is asked of one holds for both.
//!
//! `cargo run -p examples --bin postgres -- postgres://user:password@host/database` ends by itself after some seconds.
//! Real nodes are processes on many machines; here both are in one program, so that it can show them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use symphra_scheduler::{Error, PostgresBackend, Scheduler, SchedulerConfig, SchedulerHandle, State, interval};
use tokio::time::sleep;

/// It waits until somebody resumes it, so that both nodes are there from its first occurrence on.
#[interval(milliseconds = 200, enabled = false)]
async fn work(done: State<Arc<AtomicUsize>>) {
    done.fetch_add(1, Relaxed);
}

async fn node(url: &str, name: &str, done: &Arc<AtomicUsize>) -> Result<SchedulerHandle, Error> {
    let backend = PostgresBackend::options().namespace("example").connect(url).await?;
    let config = SchedulerConfig::new().node(name);
    Scheduler::from_registry().config(config).state(Arc::clone(done)).backend(backend).start().await
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let Some(url) = std::env::args().nth(1).or_else(|| std::env::var("SCHEDULER_BACKEND_URL").ok()) else {
        eprintln!("which database? postgres postgres://user:password@host/database, or SCHEDULER_BACKEND_URL");
        std::process::exit(2);
    };
    let done: [Arc<AtomicUsize>; 2] = Default::default();
    let a = node(&url, "a", &done[0]).await?;
    let b = node(&url, "b", &done[1]).await?;
    let before = a.ledger("work").await?.runs;

    println!("-- what is asked of one node, the other heeds");
    a.resume_task("work").await?;
    sleep(Duration::from_secs(3)).await;
    a.pause_task_with("work", "the shop is moving").await?;
    while b.task("work")?.pause.is_none() {
        sleep(Duration::from_millis(10)).await;
    }
    println!("b: {}", b.task("work")?.pause.expect("it was awaited"));

    for node in [&a, &b] {
        node.stop().await?;
    }
    println!("-- each occurrence is one run, wherever");
    let runs = a.ledger("work").await?.runs - before;
    let [a, b] = done.map(|done| done.load(Relaxed));
    println!("{runs} runs in the store, {} bodies that ran", a + b);
    println!("a did {a}, b did {b}");
    Ok(())
}
