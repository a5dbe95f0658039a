//! The command line of the binary `symphra`: what needs no code of a program.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;

use super::args::{SymphraCommand, SymphraLine};
use super::live::Target;
use super::{Failure, Output, cron, live, parsed, shells};
use crate::config::daemon::{NAMES, is_name};

/// Is the binary `symphra`: reads the command line of this process, does what it says, and answers with the exit code.
pub async fn symphra() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    ExitCode::from(match parsed::<SymphraLine>(SymphraLine::command(), &arguments) {
        Ok(line) => {
            let output = line.global.output();
            run(line, &output).await.unwrap_or_else(|failure| failure.tell(&output))
        }
        Err(code) => code,
    })
}

async fn run(line: SymphraLine, output: &Output) -> Result<u8, Failure> {
    let SymphraLine { global, command } = line;
    match command {
        SymphraCommand::Live(command) => {
            let name = global.name.ok_or_else(|| Failure::Usage("which program? name it with --name".to_owned()))?;
            if !is_name(&name) {
                return Err(Failure::Usage(format!("{name:?} is no name; allowed is {NAMES}")));
            }
            live::run(*command, &Target { name, pid: global.pid, start: None }, None, output).await
        }
        SymphraCommand::Cron(args) => cron::run(&args, output),
        SymphraCommand::Completions(args) => shells::completions(args.shell, SymphraLine::command(), output),
        SymphraCommand::Man => shells::manual(SymphraLine::command(), output),
    }
}
