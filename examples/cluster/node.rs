//! One node. It writes what its bodies do into a file, so that nobody has to believe the store.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler::chrono::{DateTime, Utc};
use symphra_scheduler::{BackendConfig, Misfire, Overlap, RunContext, Schedule, Scheduler, SchedulerConfig, Task};

use crate::{EVERY, Failure};

/// Runs until its standard input ends.
#[tokio::main]
pub(crate) async fn run(url: &str, name: &str, diary: &str, first: &str) -> Result<(), Failure> {
    let file = Arc::new(File::options().append(true).open(diary)?);
    let node = name.to_owned();
    let work = move |run: RunContext| {
        let (file, node) = (Arc::clone(&file), node.clone());
        let write = move |what| {
            let line = format!("{what} {} {node}\n", run.scheduled_at().timestamp_millis());
            (&*file).write_all(line.as_bytes())
        };
        async move {
            write("start")?;
            tokio::time::sleep(EVERY).await;
            write("end")
        }
    };
    let task = Task::new("work", Schedule::interval(EVERY)?, work).start_at(first.parse::<DateTime<Utc>>()?);
    let backend = BackendConfig::of_url(url).namespace("cluster_example");
    let config = SchedulerConfig::new().node(name).lease(Duration::from_secs(10)).backend(backend);
    let scheduler = Scheduler::empty().config(config);
    let scheduler = scheduler.register(task.misfire(Misfire::RunAll).overlap(Overlap::Allow)).start().await?;
    println!("up");
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    scheduler.stop().await?;
    Ok(())
}
