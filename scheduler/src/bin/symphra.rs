//! Asks and changes running programs of scheduled tasks, and explains cron expressions.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    symphra_scheduler::cli::symphra().await
}
