//! Questions and answers as the lines that travel over the control socket.

use serde::{Deserialize, Serialize};

use super::{Answer, Question};

/// The version of what is written here. A program and a command of different versions understand only that.
pub(super) const VERSION: u32 = 1;

/// The longest question: names and reasons are short, and what is longer is no question.
pub(super) const QUESTION_BYTES_MAX: usize = 64 * 1024;

/// The longest answer that a command takes in: a list of a hundred thousand tasks.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A question as it is sent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) v: u32,
    pub(super) ask: Question,
}

/// Only the version, which has to be looked at before anything else is understood.
#[derive(Debug, Deserialize)]
pub(super) struct Versioned {
    pub(super) v: u32,
}

/// An answer as it is sent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) v: u32,
    pub(super) tell: Answer,
}

/// A line that carries `value`.
pub(super) fn line_of<T: Serialize>(value: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("what travels has string keys and no value that JSON lacks");
    line.push(b'\n');
    line
}
