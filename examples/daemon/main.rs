//! How a program runs as a daemon: `daemon start`, `status`, `restart`, `stop`; and `run`, which stays in the foreground.
//!
//! The files stand where its user keeps state (`~/.local/state/symphra`; root: `/run/symphra` and `/var/log/symphra`), or in
//! the folder that `DAEMON_DIR` names.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use symphra_scheduler::{Daemon, DaemonConfig, DaemonStatus, Error, Scheduler, SchedulerConfig, interval};

#[interval(seconds = 1)]
async fn heartbeat() {
    println!("still here"); // into the log file
}

fn settings() -> DaemonConfig {
    let settings = DaemonConfig::new().name("heartbeats");
    match std::env::var_os("DAEMON_DIR").map(PathBuf::from) {
        Some(dir) => settings.pid_file(dir.join("heartbeats.pid")).log_file(dir.join("heartbeats.log")),
        None => settings,
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode, Error> {
    // Longer than the 30 s that a stop gives to what runs.
    let patience = Duration::from_secs(40);
    let daemon = Daemon::of(settings());
    let scheduler = Scheduler::from_registry().config(SchedulerConfig::new().daemon(settings()));
    match std::env::args().nth(1).as_deref() {
        Some("start") => println!("started, PID {}", scheduler.daemon().await?),
        Some("restart") => println!("started, PID {}", daemon.restart(scheduler, patience).await?),
        Some("stop") => println!("{}", daemon.stop(patience).await?),
        Some("status") => {
            let status = daemon.status().await?;
            println!("{status}");
            if !matches!(status, DaemonStatus::Running { .. }) {
                // What the Linux Standard Base has for "program is not running".
                return Ok(ExitCode::from(3));
            }
        }
        Some("run") => scheduler.run().await?,
        _ => {
            eprintln!("usage: daemon start|stop|restart|status|run");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}
