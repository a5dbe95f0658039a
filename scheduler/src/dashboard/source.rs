//! Who answers: the running scheduler, to the questions that commands ask too.

use serde_json::Value;
use tokio::sync::mpsc;

use crate::control::{Actor, Answer, Question, answer};
use crate::handle::SchedulerHandle;

/// Why there is no answer: one word for programs, and a sentence.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub(super) kind: String,
    pub(super) message: String,
}

impl Failed {
    pub(super) fn new(kind: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), message: message.into() }
    }
}

/// The answer, as commands print it with `--json`.
pub(super) async fn ask(handle: &SchedulerHandle, question: Question, actor: &Actor) -> Result<Value, Failed> {
    // Nobody waits for runs here, so there is no progress.
    let (progress, _) = mpsc::channel(1);
    match answer(handle, question, actor, progress).await {
        Answer::Done(value) => Ok(value),
        Answer::Failed { kind, message } => Err(Failed { kind, message }),
        Answer::Progress { .. } => unreachable!("progress goes through its channel"),
    }
}
