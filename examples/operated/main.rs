//! How a program gets a command line, and is operated by it.
//!
//! ```text
//! operated run                              in the foreground; or `operated daemon start`
//! operated list                             from another terminal, as all that follow
//! operated trigger greet                    run it now
//! operated pause greet --reason holidays    and `resume`
//! operated reschedule greet 5s
//! operated explain greet 2026-11-25T09:30:00
//! operated runs --json | jq .
//! operated --help
//! ```

use symphra_scheduler::{RunContext, Scheduler, cli, cron, daily};

/// Greets those who are at work.
#[cron("0/10 * * * * *", timezone = "Europe/Paris", tags = ["greetings"])]
async fn greet(run: RunContext) {
    println!("greet: good day, it is {}", run.scheduled_at());
}

/// Runs at half past nine, and when somebody triggers it.
#[daily(at = "09:30", timezone = "Europe/Paris", tags = ["reports"])]
async fn report(run: RunContext) -> Result<(), std::io::Error> {
    println!("report: of {}", run.scheduled_at());
    Ok(())
}

fn main() -> cli::Program {
    cli::main(Scheduler::from_registry())
}
