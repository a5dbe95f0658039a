//! Tasks that look after the service.

use std::sync::atomic::{AtomicU32, Ordering};

use symphra_scheduler::{RunContext, cron, every, interval};

#[interval(seconds = 2, name = "health_check", tags = ["monitoring"])]
async fn health_check() {
    println!("health_check: ok");
}

/// Fails each third time, as networks do: the run is counted as failed, and the next occurrence runs as ever.
#[cron("*/3 * * * * *", tags = ["monitoring"])]
async fn ping() -> Result<(), String> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    if (CALLS.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(3) {
        return Err("no answer within 200ms".to_owned());
    }
    println!("ping: pong");
    Ok(())
}

#[every("5s")]
async fn progress(run: RunContext) {
    println!("{}: run {} was due at {}", run.task(), run.run_id(), run.scheduled_at().format("%H:%M:%S"));
}
