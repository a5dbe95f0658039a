//! Completions for shells, and the manual page: both out of the declared command line, under the program's own name.

use std::io;
use std::str::FromStr;

use clap::Command;
use clap::builder::ValueParser;
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use serde_json::json;

use super::{Failure, Output};

/// Prints the completions of `shell`, or of the shell that this process was called from.
pub(super) fn completions(shell: Option<Shell>, mut command: Command, output: &Output) -> Result<u8, Failure> {
    let Some(shell) = shell.or_else(Shell::from_env) else {
        return Err(Failure::Usage("$SHELL names no shell that is known; name one: `completions bash`".to_owned()));
    };
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut command, name, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    output.show(&json!({ "shell": shell.to_string(), "script": script }), |_, _| script.clone());
    Ok(0)
}

/// Prints the manual page, in the language of `man`.
pub(super) fn manual(command: Command, output: &Output) -> Result<u8, Failure> {
    let page = page(command).map_err(|error| Failure::failed(format!("the page cannot be written: {error}")))?;
    output.show(&json!({ "page": page }), |_, _| page.clone());
    Ok(0)
}

/// One page for all commands: each has a section of its own after those of the program.
fn page(mut command: Command) -> io::Result<String> {
    command.build();
    let whole = Man::new(command.clone());
    let mut page = Vec::new();
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_description_section(&mut page)?;
    whole.render_options_section(&mut page)?;
    let mut page = text(page);
    for (path, command) in leaves(&command, String::new()) {
        // What every command takes stands above once.
        let own = command.clone().mut_args(|arg| {
            let is_shared = arg.is_global_set() || arg.get_id() == "help";
            arg.hide(is_shared)
        });
        let man = Man::new(own);
        let (mut synopsis, mut options) = (Vec::new(), Vec::new());
        man.render_synopsis_section(&mut synopsis)?;
        man.render_options_section(&mut options)?;
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        // Titles of sections are in capitals by custom.
        page.push_str(&format!(".SH {}\n{about}\n.PP\n", path.to_uppercase()));
        page.push_str(&without_titles(&text(synopsis)));
        page.push_str(&without_titles(&text(options)));
    }
    let mut extra = Vec::new();
    whole.render_extra_section(&mut extra)?;
    page.push_str(&text(extra));
    Ok(page)
}

/// The commands that do something, each with the words that call it.
fn leaves(command: &Command, path: String) -> Vec<(String, &Command)> {
    let inner = command.get_subcommands().filter(|inner| inner.get_name() != "help" && !inner.is_hide_set());
    let mut found = Vec::new();
    for command in inner {
        let path =
            if path.is_empty() { command.get_name().to_owned() } else { format!("{path} {}", command.get_name()) };
        match command.has_subcommands() {
            true => found.extend(leaves(command, path)),
            false => found.push((path, command)),
        }
    }
    found
}

/// The same lines under the title that stands above already.
fn without_titles(section: &str) -> String {
    section.lines().filter(|line| !line.starts_with(".SH ")).map(|line| format!("{line}\n")).collect()
}

fn text(written: Vec<u8>) -> String {
    String::from_utf8_lossy(&written).into_owned()
}

/// A shell by its name.
pub(super) fn shells() -> ValueParser {
    ValueParser::new(|name: &str| {
        let known = "bash, elvish, fish, powershell or zsh";
        Shell::from_str(name).map_err(|_| format!("allowed is {known}"))
    })
}
