//! The command line of the binary `symphra`: what needs no code of a program.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;

use super::args::{SymphraCommand, SymphraLine};
use super::live::Target;
use super::store::Store;
use super::{Failure, Output, cron, live, parsed, shells};
use crate::config::daemon::{NAMES, is_name};

/// Is the binary `symphra`: reads the command line of this process, does what it says, and answers with the exit code.
///
/// The whole of the binary `symphra`:
///
/// ```no_run
/// #[tokio::main]
/// async fn main() -> std::process::ExitCode {
///     symphra_scheduler::cli::symphra().await
/// }
/// ```
pub async fn symphra() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    ExitCode::from(match parsed::<SymphraLine>(SymphraLine::command(), &arguments) {
        Ok(line) => {
            let output = line.global.output();
            match run(line, &output).await {
                Ok(code) => output.exit_code(code),
                Err(failure) => failure.tell(&output),
            }
        }
        Err(code) => code,
    })
}

async fn run(line: SymphraLine, output: &Output) -> Result<u8, Failure> {
    let SymphraLine { global, store, command } = line;
    match command {
        SymphraCommand::Live(command) => {
            let store = Store::of_arguments(store, output)?;
            let name = match global.name {
                Some(name) if is_name(&name) => name,
                Some(name) => return Err(Failure::Usage(format!("{name:?} is no name; allowed is {NAMES}"))),
                // The store is asked, and no program.
                None if store.is_some() => String::new(),
                None => {
                    let says = "which program? name it with --name, or its store with --url, --config or SCHEDULER_BACKEND_URL";
                    return Err(Failure::Usage(says.to_owned()));
                }
            };
            live::run(*command, &Target { name, pid: global.pid, start: None, store }, None, output).await
        }
        SymphraCommand::Migrate => {
            let store = Store::of_arguments(store, output)?;
            if !store.is_some() {
                let says = "which store? name it with --url, --config or SCHEDULER_BACKEND_URL";
                return Err(Failure::Usage(says.to_owned()));
            }
            store.migrate(store.backend(), output).await
        }
        #[cfg(feature = "dashboard")]
        SymphraCommand::Dashboard(args) => {
            if global.name.is_some() || global.pid.is_some() {
                let says = "the dashboard asks the store, and no running program; drop --name and --pid";
                return Err(Failure::Usage(says.to_owned()));
            }
            let store = Store::of_arguments(store, output)?;
            super::dashboard::run(&args, store, None, output).await
        }
        SymphraCommand::Cron(args) => cron::run(&args, output),
        SymphraCommand::Completions(args) => shells::completions(args.shell, SymphraLine::command(), output),
        SymphraCommand::Man => shells::manual(SymphraLine::command(), output),
    }
}
