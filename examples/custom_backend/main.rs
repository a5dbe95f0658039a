//! A backend of the program's own, which settings ask for by name: SQLite, with a file in which stands who asked for what.
//!
//! `cargo run -p examples --bin custom_backend -- <folder>` ends by itself; with the same folder it goes on where it was.

mod audited;

use std::path::{Path, PathBuf};
use std::time::Duration;

use symphra_scheduler::{
    BackendConfig, BackendSettings, Scheduler, SchedulerConfig, SqliteBackend, interval, register_backend,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[interval(milliseconds = 100)]
async fn count_stock() {}

/// Opens `audited://<folder>`: the store and the file are in it.
async fn open(settings: BackendSettings) -> Result<audited::Audited<SqliteBackend>, Failure> {
    let folder = settings.url.as_deref().and_then(|url| url.strip_prefix("audited://"));
    let folder = Path::new(folder.ok_or("the audited backend needs a folder: audited:///var/lib/shop")?);
    let options = SqliteBackend::options().namespace(settings.namespace).migrate(settings.migrate);
    let store = options.connect(&format!("sqlite://{}", folder.join("store.db").display())).await?;
    Ok(audited::Audited::new(store, &folder.join("audit.log")).await?)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("which folder? custom_backend /tmp/shop")?);
    std::fs::create_dir_all(&folder)?;
    // Before any settings are read. In a file they would be: `backend: "audited:///var/lib/shop"`.
    register_backend("audited", open)?;
    let backend = BackendConfig::of_url(format!("audited://{}", folder.display())).namespace("shop");
    let handle = Scheduler::from_registry().config(SchedulerConfig::new().backend(backend)).start().await?;
    println!("runs on the backend {:?}", handle.stats().backend);

    handle.pause_task_with("count_stock", "the shop is moving").await?;
    let run = handle.trigger_task("count_stock").await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    handle.resume_task("count_stock").await?;
    let ledger = handle.ledger("count_stock").await?;
    println!("{run} was asked for; the ledger balances: {}", ledger.balances());
    handle.stop().await?;
    print!("{}", std::fs::read_to_string(folder.join("audit.log"))?);
    Ok(())
}
