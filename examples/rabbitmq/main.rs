//! Two nodes on one RabbitMQ, of which one owns the store: when it stops, the other goes on, and no occurrence runs twice.
//!
//! `cargo run -p examples --bin rabbitmq -- amqp://user:password@host` ends by itself after some seconds. Real nodes are processes
//! on many machines; here both are in one program, so that it can show them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use symphra_scheduler::{Error, RabbitMqBackend, Scheduler, SchedulerConfig, SchedulerHandle, State, interval};
use tokio::time::sleep;

/// It waits until somebody resumes it, so that both nodes are there from its first occurrence on.
#[interval(milliseconds = 200, enabled = false)]
async fn work(done: State<Arc<AtomicUsize>>) {
    done.fetch_add(1, Relaxed);
}

async fn node(url: &str, name: &str, done: &Arc<AtomicUsize>) -> Result<SchedulerHandle, Error> {
    let backend = RabbitMqBackend::options().namespace("example").connect(url).await?;
    let config = SchedulerConfig::new().node(name);
    Scheduler::from_registry().config(config).state(Arc::clone(done)).backend(backend).start().await
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let Some(url) = std::env::args().nth(1).or_else(|| std::env::var("SCHEDULER_BACKEND_URL").ok()) else {
        eprintln!("which server? rabbitmq amqp://user:password@host, or SCHEDULER_BACKEND_URL");
        std::process::exit(2);
    };
    let done: [Arc<AtomicUsize>; 2] = Default::default();
    // The first that opens a store owns it.
    let a = node(&url, "a", &done[0]).await?;
    let b = node(&url, "b", &done[1]).await?;
    let before = b.ledger("work").await?.runs;

    println!("-- both work");
    a.resume_task("work").await?;
    sleep(Duration::from_secs(2)).await;
    println!("-- the owner stops, and the other owns the store");
    a.stop().await?;
    drop(a);
    let alone = done[1].load(Relaxed);
    while done[1].load(Relaxed) < alone + 5 {
        sleep(Duration::from_millis(10)).await;
    }
    b.pause_task_with("work", "that is enough").await?;
    println!("b: {}", b.task("work")?.pause.expect("it has been paused"));
    b.stop().await?;

    println!("-- each occurrence is one run, wherever");
    let runs = b.ledger("work").await?.runs - before;
    let [a, b] = done.map(|done| done.load(Relaxed));
    println!("{runs} runs in the store, {} bodies that ran", a + b);
    println!("a did {a}, b did {b}");
    Ok(())
}
