//! The first program: tasks in two modules, started with one line.
//!
//! `cargo run -p examples --bin quickstart` runs until Ctrl+C; `-- --for 12s` stops by itself.

mod monitoring;
mod shop;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use symphra_scheduler::{Error, Scheduler, parse_duration};
use tracing_subscriber::filter::LevelFilter;

#[tokio::main]
async fn main() -> ExitCode {
    // The scheduler speaks through `tracing`: where that goes is the program's choice.
    tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_ansi(std::io::stdout().is_terminal()).init();
    let asked = match time_from_arguments() {
        Ok(asked) => asked,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match run(asked).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn run(asked: Option<Duration>) -> Result<(), Error> {
    let scheduler = Scheduler::from_registry();
    match asked {
        Some(time) => scheduler.run_until(tokio::time::sleep(time)).await.map(|_| ()),
        None => scheduler.run().await,
    }
}

fn time_from_arguments() -> Result<Option<Duration>, String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => Ok(None),
        ["--for", time] => parse_duration(time).map(Some).map_err(|error| error.to_string()),
        _ => Err("usage: quickstart [--for 12s]".to_owned()),
    }
}
