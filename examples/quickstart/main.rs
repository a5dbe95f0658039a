//! The first program: tasks in two modules, started with one line.
//!
//! `cargo run -p examples --bin quickstart` runs until Ctrl+C; `-- --for 12s` stops by itself. With `--backend
//! sqlite://scheduler.db` what happened outlives the program.

mod monitoring;
mod shop;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use symphra_scheduler::{BackendConfig, Error, Scheduler, SchedulerConfig, parse_duration};
use tracing_subscriber::filter::LevelFilter;

#[tokio::main]
async fn main() -> ExitCode {
    // The scheduler speaks through `tracing`: where that goes is the program's choice.
    tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_ansi(std::io::stdout().is_terminal()).init();
    let asked = match asked() {
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

async fn run(asked: Asked) -> Result<(), Error> {
    // Without a word it is memory; `sqlite://scheduler.db` needs nothing but the name of a file.
    let config = SchedulerConfig::new().backend(asked.backend);
    let scheduler = Scheduler::from_registry().config(config);
    match asked.time {
        Some(time) => scheduler.run_until(tokio::time::sleep(time)).await.map(|_| ()),
        None => scheduler.run().await,
    }
}

/// What the arguments ask for.
#[derive(Default)]
struct Asked {
    time: Option<Duration>,
    backend: BackendConfig,
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--for", Some(time)) => asked.time = Some(parse_duration(&time).map_err(|error| error.to_string())?),
            ("--backend", Some(url)) => asked.backend = BackendConfig::of_url(url),
            _ => return Err("usage: quickstart [--for 12s] [--backend sqlite://scheduler.db]".to_owned()),
        }
    }
    Ok(asked)
}
