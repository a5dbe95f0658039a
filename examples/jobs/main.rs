//! How work with arguments is handed over: at once, later, once for a key; and what becomes of it when it fails.
//!
//! `cargo run -p examples --bin jobs` ends by itself after a second, and keeps jobs in memory; with the URL of any store, there:
//! `sqlite://jobs.db`, `postgres://…`, `redis://…`, `amqp://…`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use symphra_scheduler::{BackendConfig, Error, LetterFilter, RunContext, Scheduler, SchedulerConfig, State, task};

struct Outbox {
    from: &'static str,
}

/// The arguments of a job: its function's first argument, kept as JSON until the job runs.
#[derive(Serialize, Deserialize)]
struct Welcome {
    to: String,
    language: String,
}

/// Jobs that an older program has enqueued know no language.
fn add_language(mut old: Value) -> Value {
    old["language"] = json!("en");
    old
}

#[task(upgrade = [add_language], timeout = "10s", retry = "none")]
async fn send_welcome(mail: Welcome, outbox: State<Outbox>) -> Result<(), String> {
    if !mail.to.contains('@') {
        return Err(format!("{:?} is no address", mail.to));
    }
    println!("send_welcome: from {} to {}, in {}", outbox.from, mail.to, mail.language);
    Ok(())
}

/// A job without arguments.
#[task(max_instances = 3)]
async fn rebuild_index((): (), run: RunContext) {
    println!("rebuild_index: run {}", run.run_id());
}

fn welcome(to: &str) -> Welcome {
    Welcome { to: to.to_owned(), language: "fr".to_owned() }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut config = SchedulerConfig::new();
    if let Some(url) = std::env::args().nth(1) {
        config = config.backend(BackendConfig::of_url(url));
    }
    let scheduler = Scheduler::from_registry().config(config).state(Outbox { from: "shop@example.org" });
    let scheduler = scheduler.start().await?;

    scheduler.enqueue(send_welcome, welcome("ada@example.org")).await?;
    scheduler.enqueue(send_welcome, welcome("bob@example.org")).delay(Duration::from_millis(500)).priority(10).await?;

    // While a job with this key is alive, and here for a minute in any case, it is not enqueued again.
    let first = scheduler.enqueue(rebuild_index, ()).unique("index").unique_for(Duration::from_secs(60)).await?;
    let second = scheduler.enqueue(rebuild_index, ()).unique("index").unique_for(Duration::from_secs(60)).await?;
    println!("the index is rebuilt once: {}", first == second);

    // What fails for good is a dead letter: it can be looked at, run again, or dropped.
    scheduler.enqueue(send_welcome, welcome("nobody")).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for letter in scheduler.dead_letters(&LetterFilter::new().task("send_welcome")).await? {
        println!("dead letter: {} with {}", letter.failure.unwrap_or_default(), letter.arguments.json);
        scheduler.drop_letter(letter.id).await?; // or run_again(letter.id)
    }

    // The function is an ordinary one: a test calls it.
    let sent = send_welcome(welcome("eve@example.org"), State::from(Outbox { from: "test" })).await;
    println!("called by hand: {sent:?}");
    scheduler.stop().await?;
    Ok(())
}
