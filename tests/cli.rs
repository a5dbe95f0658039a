//! The command line, driven as a person drives it: real processes, and a terminal where its look counts.
#![cfg(unix)]

#[path = "cli/check.rs"]
mod check;
#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/daemon.rs"]
mod daemon;
#[path = "cli/dashboard.rs"]
mod dashboard;
#[path = "cli/ending.rs"]
mod ending;
#[path = "cli/json.rs"]
mod json;
#[path = "cli/letters.rs"]
mod letters;
#[path = "cli/logged.rs"]
mod logged;
#[path = "cli/names.rs"]
mod names;
#[path = "cli/pages.rs"]
mod pages;
#[path = "cli/pipe.rs"]
mod pipe;
#[path = "cli/rig.rs"]
mod rig;
#[path = "cli/settings.rs"]
mod settings;
#[path = "cli/socket.rs"]
mod socket;
#[path = "cli/stored.rs"]
mod stored;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/words.rs"]
mod words;
