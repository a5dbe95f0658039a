//! What a person sees: pure functions from views to HTML. They ask nothing, change nothing and read no clock; whatever
//! a program wrote (names, tags, errors, logs) is hostile here, so it is escaped by `maud`, cut, and set apart from the
//! direction of the text around it. A page works without its script, which only saves reloading.

mod actions;
mod assets;
mod chart;
mod letters;
mod nodes;
mod parts;
mod runs;
mod shell;
mod task;
mod tasks;
#[cfg(test)]
mod tests;
mod text;
mod timeline;
mod words;

use symphra_scheduler_core::Timestamp;

pub(super) use actions::{ACTIONS_SHOWN, actions};
pub(super) use assets::asset;
pub(super) use letters::letters;
pub(super) use nodes::nodes;
pub(super) use runs::{RUNS_SHOWN, RunSearch, run, runs};
pub(super) use shell::{SignIn, problem, sign_in};
pub(super) use task::{HISTORY, TaskQuery, Told, task};
pub(super) use tasks::{TaskSearch, tasks};
pub(super) use text::encoded;
pub(super) use timeline::timeline;
pub(super) use words::Language;

/// What every page is told besides its own views.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// The path under which the dashboard hangs, without a slash at its end: empty at the root.
    pub(super) base: &'a str,
    pub(super) language: Language,
    pub(super) rights: Rights,
    pub(super) session: Session,
    /// The word of what was just done, from the address: what is none of our words is not shown.
    pub(super) done: Option<&'a str>,
    pub(super) now: Timestamp,
}

/// What the reader of a page may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    Read,
    Write,
}

/// Whether there is a session that can be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    Open,
    SignedIn,
}
