//! One measurement, one JSON object. Options follow `cargo run --release --bin symphra-scheduler-stores --`:
//!
//! ```text
//! --measure life --contender symphra-16 --url sqlite:///tmp/bench --runs 10000
//! --measure punctual --url postgres://postgres@127.0.0.1/postgres --seconds 60
//! --measure nodes --work fire --nodes 4 --url postgres://postgres@127.0.0.1/postgres
//! ```
//!
//! The URL is a folder for files of SQLite, a server of PostgreSQL, or `memory`.

use symphra_scheduler_stores::arguments::Arguments;
use symphra_scheduler_stores::bare::Bare;
use symphra_scheduler_stores::life::{Asked, BATCH, WORKERS};
use symphra_scheduler_stores::place::Place;
use symphra_scheduler_stores::{Failure, nodes, punctual, rabbit, symphra};

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = Arguments::read(std::env::args().skip(1))?;
    let measure: String = arguments.take("measure")?.ok_or("--measure life, punctual or nodes")?;
    match measure.as_str() {
        "life" => life(Asked::read(arguments).await?).await,
        "punctual" => punctual::measure(arguments).await,
        "nodes" => nodes::measure(arguments).await,
        "node" => nodes::run_one(arguments).await,
        other => Err(format!("--measure {other}: life, punctual or nodes").into()),
    }
}

async fn life(asked: Asked) -> Result<(), Failure> {
    let measured = match asked.contender() {
        bare @ ("bare" | "bare-batched") if matches!(asked.place(), Place::RabbitMq { .. }) => {
            let counter = asked.count().await?;
            let together = if bare == "bare" { 1 } else { BATCH };
            (rabbit::life(&asked.place().url(), asked.runs(), together).await?, counter)
        }
        "bare" | "bare-batched" => {
            let bare = Bare::open(asked.place()).await?;
            let counter = asked.count().await?;
            let is_batched = asked.contender() == "bare-batched";
            let life = if is_batched { bare.batched(asked.runs()).await? } else { bare.per_step(asked.runs()).await? };
            (life, counter)
        }
        "symphra-calls" => symphra::by_calls(&asked).await?,
        "symphra-fires" => symphra::by_firing(&asked).await?,
        "symphra-16" => symphra::by_callers(&asked, WORKERS).await?,
        "symphra-1" => symphra::one_after_another(&asked).await?,
        other => return Err(format!("no contender is called {other}").into()),
    };
    asked.tell(measured).await
}
