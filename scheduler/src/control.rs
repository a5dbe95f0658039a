//! What is asked of a running program, what it answers, and the control socket by which commands on its own machine do.
//! There one line of JSON asks, one answers. The dashboard asks the same without the socket.
//!
//! It is not a way into a program from elsewhere: only the user who runs it, and root, get an answer. Invariant: whatever
//! comes in, the scheduler goes on; lines, connections and waits are bounded.

mod answer;
#[cfg(all(unix, feature = "cli"))]
mod client;
pub(crate) mod day;
#[cfg(all(not(unix), feature = "cli"))]
mod elsewhere;
mod found;
mod health;
mod noted;
#[cfg(all(unix, feature = "cli"))]
mod server;
mod shown;
#[cfg(all(unix, feature = "cli"))]
mod socket;
#[cfg(feature = "cli")]
mod stored;
pub(crate) mod view;
#[cfg(all(unix, feature = "cli"))]
mod wire;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use crate::backend::RunCursor;
use crate::error::Error;

#[cfg(feature = "cli")]
pub(crate) use answer::INSTANTS_MAX;
#[cfg(feature = "dashboard")]
pub(crate) use answer::{Actor, COUNT_MAX, answer};
#[cfg(all(unix, feature = "cli"))]
pub(crate) use client::{Connection, find};
#[cfg(all(not(unix), feature = "cli"))]
pub(crate) use elsewhere::{Connection, Server, find};
#[cfg(feature = "dashboard")]
pub(crate) use found::FoundView;
pub(crate) use found::Search;
#[cfg(all(unix, feature = "cli"))]
pub(crate) use server::Server;
#[cfg(all(unix, feature = "cli", feature = "test-util"))]
pub use server::told_to_line;
#[cfg(feature = "cli")]
pub(crate) use stored::Stored;

/// What a command asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Question {
    List {
        status: Option<String>,
        tag: Option<String>,
    },
    Find(Search),
    Show {
        task: String,
    },
    Next {
        task: Option<String>,
        count: usize,
    },
    /// The 24 hours ahead of all tasks.
    Day {
        /// Of its rows, counted from 1; one that there is not is the nearest that there is.
        page: usize,
    },
    Trigger {
        task: String,
    },
    Pause {
        task: Option<String>,
        reason: Option<String>,
    },
    Resume {
        task: Option<String>,
    },
    Reschedule {
        task: String,
        schedule: String,
    },
    Runs {
        task: Option<String>,
        states: Vec<String>,
        from: Option<String>,
        to: Option<String>,
        /// The page behind this place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        count: usize,
    },
    Log {
        run: String,
    },
    Cancel {
        run: String,
    },
    Explain {
        task: String,
        at: String,
    },
    Backfill {
        task: String,
        from: String,
        to: Option<String>,
        rerun: bool,
        how: How,
    },
    Nodes,
    Health,
    Reset {
        task: String,
    },
    Dead {
        task: Option<String>,
        count: usize,
    },
    RunAgain {
        letter: String,
    },
    DropLetter {
        letter: String,
    },
    Actions {
        count: usize,
    },
}

/// What is wanted of a backfill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    Preview,
    Begin,
    Wait,
}

/// What a running program answers: any number of lines of progress, and then one of the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Progress { done: usize, of: usize },
    Done(Value),
    Failed { kind: String, message: String },
}

impl Answer {
    fn failed(kind: &str, message: impl Into<String>) -> Self {
        Self::Failed { kind: kind.to_owned(), message: message.into() }
    }
}

/// One word for what went wrong, for programs that read it.
pub(crate) fn kind_of(error: &Error) -> &'static str {
    match error {
        error if error.is_unknown_task() => "unknown_task",
        error if error.is_unknown_run() => "unknown_run",
        error if error.is_duplicate_task() => "duplicate_task",
        error if error.is_unsupported() => "unsupported",
        error if error.is_missing_state() => "missing_state",
        error if error.is_backend() => "backend",
        error if error.is_stopped() => "stopped",
        error if error.is_config() => "config",
        _ => "failed",
    }
}
