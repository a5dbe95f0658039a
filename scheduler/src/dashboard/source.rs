//! Who answers: the running scheduler, or the store that is asked where a dashboard stands alone. No other file knows which of
//! them it is. Both are asked the questions of commands.

#[cfg(feature = "cli")]
mod alone;

use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;

use crate::control::{Actor, Answer, Question, answer};
use crate::events::Events;
use crate::handle::SchedulerHandle;
#[cfg(feature = "cli")]
pub(crate) use alone::Alone;
#[cfg(feature = "cli")]
use alone::Looks;

/// Who answers.
#[derive(Clone)]
pub(super) enum Source {
    Running(SchedulerHandle),
    #[cfg(feature = "cli")]
    Alone(std::sync::Arc<Alone>),
}

/// Why there is no answer: one word for programs, and a sentence.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub(super) kind: String,
    pub(super) message: String,
    /// In how many seconds it may be asked again.
    pub(super) retry_after: Option<u64>,
}

impl Failed {
    pub(super) fn new(kind: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), message: message.into(), retry_after: None }
    }

    pub(super) fn too_many(wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(1);
        let says = format!(
            "too many wrong tokens were shown; try again in {seconds} seconds. Who has signed in goes on, and so does a program \
             with the right one"
        );
        Self { retry_after: Some(seconds), ..Self::new("too_many", says) }
    }
}

impl Source {
    /// The answer, as commands print it with `--json`. What changes something is seen through, and is in the audit log, also
    /// where who asked does not wait for the answer: the future of a request is dropped with its connection.
    pub(super) async fn ask(&self, question: Question, actor: &Actor) -> Result<Value, Failed> {
        if !question.is_change() {
            return self.answer(question, actor).await;
        }
        let (source, actor) = (self.clone(), actor.clone());
        let seeing_through = tokio::spawn(async move { source.answer(question, &actor).await });
        seeing_through
            .await
            .unwrap_or_else(|error| Err(Failed::new("failed", format!("it was not seen through: {error}"))))
    }

    async fn answer(&self, question: Question, actor: &Actor) -> Result<Value, Failed> {
        match self {
            Self::Running(handle) => {
                // Nobody waits for runs here, so there is no progress.
                let (progress, _) = mpsc::channel(1);
                match answer(handle, question, actor, progress).await {
                    Answer::Done(value) => Ok(value),
                    Answer::Failed { kind, message } => Err(Failed::new(&kind, message)),
                    Answer::Progress { .. } => unreachable!("progress goes through its channel"),
                }
            }
            #[cfg(feature = "cli")]
            Self::Alone(alone) => alone.ask(&question, actor).await,
        }
    }

    /// Whether what this process does goes on. What stands alone does nothing but answer.
    pub(super) fn is_alive(&self) -> bool {
        match self {
            Self::Running(handle) => handle.health().alive,
            #[cfg(feature = "cli")]
            Self::Alone(_) => true,
        }
    }

    /// Whether it can do its work, which needs its store.
    pub(super) async fn is_ready(&self) -> bool {
        match self {
            Self::Running(handle) => {
                let health = handle.health();
                health.alive && health.ready
            }
            #[cfg(feature = "cli")]
            Self::Alone(alone) => alone.answers().await,
        }
    }

    /// What has happened from now on.
    pub(super) fn news(&self) -> News {
        match self {
            Self::Running(handle) => News::Events(handle.events()),
            #[cfg(feature = "cli")]
            Self::Alone(alone) => News::Looks(alone.looks()),
        }
    }

    /// What a scrape of Prometheus is answered.
    pub(super) fn metrics(&self) -> Result<String, Failed> {
        match self {
            #[cfg(feature = "metrics")]
            Self::Running(handle) => Ok(handle.export_prometheus()),
            #[cfg(not(feature = "metrics"))]
            Self::Running(_) => Err(Failed::new(
                "not_found",
                "this program is built without the feature `metrics`; add it to symphra-scheduler in Cargo.toml",
            )),
            #[cfg(feature = "cli")]
            Self::Alone(_) => Err(Failed::new(
                "not_found",
                "metrics are those of a scheduler, and this dashboard stands alone beside its store; scrape the programs \
                 that run on it",
            )),
        }
    }

    /// The sentence for who can change how the dashboard is started: in the code of a program, or in a command line.
    pub(super) const fn advice(&self, in_code: &'static str, in_arguments: &'static str) -> &'static str {
        // Only with the feature `cli` there are arguments.
        let _ = in_arguments;
        match self {
            Self::Running(_) => in_code,
            #[cfg(feature = "cli")]
            Self::Alone(_) => in_arguments,
        }
    }
}

/// Where news come from.
pub(super) enum News {
    Events(Events),
    #[cfg(feature = "cli")]
    Looks(Looks),
}

impl News {
    /// Waits until something has changed; `None` once there will be no more news. One answer is for all that has come.
    pub(super) async fn next(&mut self) -> Option<()> {
        match self {
            Self::Events(events) => {
                events.next().await?;
                while events.try_next().is_some() {}
                Some(())
            }
            #[cfg(feature = "cli")]
            Self::Looks(looks) => looks.next().await,
        }
    }
}
