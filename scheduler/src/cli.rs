//! The command line of a program, and of the binary `symphra`.
//!
//! [`main`] gives it to any program. It parses, asks and prints; what it shows of a running program comes through the
//! control socket, or from the store that the program keeps, and what needs the program's tasks from the scheduler that it
//! was given. It decides nothing itself.
//!
//! ```no_run
//! use symphra_scheduler::{Scheduler, cli};
//!
//! // `billing list`, `billing trigger report`, `billing daemon start`, …
//! fn main() -> cli::Program {
//!     cli::main(Scheduler::from_registry())
//! }
//! ```
//!
//! # Exit codes
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; `daemon status`: it runs; `plan --against`: nothing differs |
//! | 1 | failed; `check`, `health`: not well; `daemon status`: it was killed; `plan --against`: something differs |
//! | 2 | wrong usage |
//! | 3 | the program is not running, and has no store that could answer |

mod announced;
mod args;
mod check;
mod cron;
#[cfg(feature = "dashboard")]
mod dashboard;
mod declared;
mod failure;
mod live;
mod output;
mod plan;
mod program;
mod shells;
mod store;
mod symphra;
mod text;

use std::ffi::OsString;

use chrono_tz::Tz;
use clap::builder::Styles;
use clap::{ColorChoice, Command, FromArgMatches};
use symphra_scheduler_core::{Timestamp, parse_instant};

pub(crate) use crate::control::view;
use crate::schedule::Moment;
pub(crate) use failure::Failure;
pub(crate) use output::Output;
pub use program::{Program, main};
pub use symphra::symphra;

use args::{Color, Global};
use output::Form;

/// What a command line gave, or the exit code with which clap has ended it.
fn parsed<L: FromArgMatches>(command: Command, arguments: &[OsString]) -> Result<L, u8> {
    let command = command.styles(Styles::styled()).color(match color_of(arguments) {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    });
    let matched = command.try_get_matches_from(arguments).and_then(|matches| L::from_arg_matches(&matches));
    matched.map_err(|error| {
        if error.use_stderr() && asks_for_json(arguments) {
            let message = error.render().to_string();
            let message = message.strip_prefix("error: ").unwrap_or(&message).trim_end();
            return Failure::Usage(message.to_owned()).tell(&Output::of_process(Form::Json, Color::Never));
        }
        // Who closes a pipe has seen enough.
        let _ = error.print();
        u8::try_from(error.exit_code()).unwrap_or(Failure::USAGE)
    })
}

/// Whether `--json` stands among the options, before anything is parsed: who reads JSON reads errors of parsing too.
fn asks_for_json(arguments: &[OsString]) -> bool {
    arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json")
}

/// What `--color` says, before anything is parsed: an error of parsing has colours too.
fn color_of(arguments: &[OsString]) -> Color {
    let words: Vec<_> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let after = words.windows(2).find(|pair| pair[0] == "--color").map(|pair| pair[1]);
    match words.iter().find_map(|word| word.strip_prefix("--color=")).or(after) {
        Some("always") => Color::Always,
        Some("never") => Color::Never,
        _ => Color::Auto,
    }
}

/// The instant that was written; without an offset it is local to `zone`.
fn instant(text: &str, zone: Tz) -> Result<Timestamp, Failure> {
    parse_instant(text).map(|written| Moment::from(written).resolve(zone)).map_err(Failure::Usage)
}

impl Global {
    fn output(&self) -> Output {
        Output::of_process(if self.json { Form::Json } else { Form::Text }, self.color)
    }
}
