//! Why a command did not do what it was asked, and the exit code of that.

use serde::Serialize;

use super::Output;
use crate::error::Error;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not be done.
    Failed { kind: String, message: String },
    /// It was asked for wrongly.
    Usage(String),
    /// The program that it is about is not running.
    NotRunning(String),
}

impl Failure {
    pub(crate) const FAILED: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const NOT_RUNNING: u8 = 3;

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed { kind: "failed".to_owned(), message: message.into() }
    }

    /// Tells it, and answers with the exit code.
    pub(super) fn tell(&self, output: &Output) -> u8 {
        let (code, kind, message) = match self {
            Self::Failed { kind, message } => (Self::FAILED, &**kind, message),
            Self::Usage(message) => (Self::USAGE, "usage", message),
            Self::NotRunning(message) => (Self::NOT_RUNNING, "not_running", message),
        };
        if output.is_json() {
            output.json_error(&Told { error: ToldError { kind, message } });
        } else {
            output.error(message);
        }
        code
    }
}

#[derive(Serialize)]
struct Told<'a> {
    error: ToldError<'a>,
}

#[derive(Serialize)]
struct ToldError<'a> {
    kind: &'a str,
    message: &'a str,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed { kind: crate::control::kind_of(&error).to_owned(), message: format!("{error:?}") }
    }
}
