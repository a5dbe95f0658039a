//! Two nodes on one Redis: each occurrence runs on one of them, and when one stops, the other goes on with all.
//!
//! `cargo run -p examples --bin redis -- redis://localhost:6379/0` ends by itself after some seconds; a URL of Sentinel or of
//! a Cluster does as well. Real nodes are processes on many machines; here both are in one program, so that it can show them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use symphra_scheduler::{Error, RedisBackend, Scheduler, SchedulerConfig, SchedulerHandle, State, interval};
use tokio::time::sleep;

/// It waits until somebody resumes it, so that both nodes are there from its first occurrence on.
#[interval(milliseconds = 200, enabled = false)]
async fn work(done: State<Arc<AtomicUsize>>) {
    done.fetch_add(1, Relaxed);
}

/// All keys of the store begin with `{symphra:example}:`. A Redis that may give up keys is an error here, which names the fix.
async fn node(url: &str, name: &str, done: &Arc<AtomicUsize>) -> Result<SchedulerHandle, Error> {
    let backend = RedisBackend::options().namespace("example").connect(url).await?;
    let config = SchedulerConfig::new().node(name);
    Scheduler::from_registry().config(config).state(Arc::clone(done)).backend(backend).start().await
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let Some(url) = std::env::args().nth(1).or_else(|| std::env::var("SCHEDULER_BACKEND_URL").ok()) else {
        eprintln!("which server? redis redis://localhost:6379/0, or SCHEDULER_BACKEND_URL");
        std::process::exit(2);
    };
    let done: [Arc<AtomicUsize>; 2] = Default::default();
    let a = node(&url, "a", &done[0]).await?;
    let b = node(&url, "b", &done[1]).await?;
    let before = b.ledger("work").await?.runs;

    println!("-- both fire, and each occurrence is one run, wherever");
    a.resume_task("work").await?;
    sleep(Duration::from_secs(3)).await;
    a.stop().await?;
    let [by_a, by_b] = done.each_ref().map(|done| done.load(Relaxed));
    println!("a did {by_a}, b did {by_b}");

    println!("-- a has stopped, and b goes on with all");
    sleep(Duration::from_secs(2)).await;
    println!("b did {} more", done[1].load(Relaxed) - by_b);
    b.pause_task("work").await?;
    b.stop().await?;
    let runs = b.ledger("work").await?.runs - before;
    println!("{runs} runs in the store, {} bodies that ran", done.iter().map(|done| done.load(Relaxed)).sum::<usize>());
    Ok(())
}
