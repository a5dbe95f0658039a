//! How an attempt ended, and what a task's function may return.
//!
//! An error is kept as text, its causes joined by `: `, because it outlives the value: in records, logs and pages.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use symphra_scheduler_core::format_duration;

/// An error of any kind, as a task's function returns it.
///
/// ```
/// use symphra_scheduler::{BoxError, Schedule, Task};
///
/// async fn report() -> Result<(), BoxError> {
///     let shop = std::env::var("SHOP")?;
///     if shop.is_empty() {
///         return Err("SHOP is empty".into());
///     }
///     Ok(())
/// }
///
/// let task = Task::new("report", Schedule::cron("0 9 * * *")?, report);
/// # Ok::<(), BoxError>(())
/// ```
pub type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// A stored error text is cut after this many bytes: enough for a chain of causes, too little to fill a store.
///
/// ```
/// use symphra_scheduler::ERROR_TEXT_BYTES_MAX;
///
/// // What is longer is kept up to here, and ends with `[cut]`.
/// assert_eq!(ERROR_TEXT_BYTES_MAX, 8 * 1024);
/// ```
pub const ERROR_TEXT_BYTES_MAX: usize = 8 * 1024;

/// How an attempt ended.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::{CancelCause, Outcome};
///
/// assert_eq!(Outcome::Succeeded.text(), None);
/// let late = Outcome::TimedOut(Duration::from_secs(30));
/// assert_eq!(late.text().as_deref(), Some("timed out after 30s"));
/// let cancelled = Outcome::Cancelled(CancelCause::Requested);
/// assert_eq!(cancelled.text().as_deref(), Some("cancelled by request"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Outcome {
    /// The function returned without an error.
    Succeeded,
    /// The function returned an error or panicked.
    Failed(Failure),
    /// It took longer than its timeout, which was this long; whatever it returned afterwards does not count.
    TimedOut(Duration),
    /// It was cancelled.
    Cancelled(CancelCause),
}

impl Outcome {
    /// What to keep of it as text: the error, or why it was cut short.
    #[must_use]
    pub fn text(&self) -> Option<Box<str>> {
        match self {
            Self::Succeeded => None,
            Self::Failed(failure) => Some(failure.text().into()),
            Self::TimedOut(timeout) => Some(format!("timed out after {}", format_duration(*timeout)).into()),
            Self::Cancelled(cause) => Some(cause.to_string().into()),
        }
    }
}

/// Why a run was cancelled.
///
/// ```
/// use symphra_scheduler::CancelCause;
///
/// assert_eq!(CancelCause::Stopped.to_string(), "cancelled: its scheduler stopped");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum CancelCause {
    /// Its scheduler stopped before it could end.
    Stopped,
    /// Somebody asked for it by `cancel_run`.
    Requested,
    /// A newer occurrence took its place, under `overlap = "cancel_running"`.
    Replaced,
    /// Another node has taken it over, because this one had lost contact with the store. Seen by its body and in the log
    /// alone: the run goes on elsewhere.
    TakenOver,
    /// It has waited for 14 days, and no node knows its task: a durable store ends it.
    Unclaimed,
}

impl fmt::Display for CancelCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "cancelled: its scheduler stopped",
            Self::Requested => "cancelled by request",
            Self::Replaced => "cancelled: a newer occurrence took its place",
            Self::TakenOver => "cancelled: another node has taken it over",
            Self::Unclaimed => "cancelled: it has waited for 14 days, and no node knows its task",
        })
    }
}

/// Why an attempt failed.
///
/// ```
/// use symphra_scheduler::{Failure, FailureKind};
///
/// fn line(failure: &Failure) -> String {
///     match failure.kind() {
///         FailureKind::Panic => format!("a bug: {failure}"),
///         _ => failure.text().to_owned(),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Failure {
    kind: FailureKind,
    text: Box<str>,
}

/// In which way an attempt failed.
///
/// ```
/// use symphra_scheduler::{FailureKind, Outcome};
///
/// /// Whether somebody should look at the code.
/// fn is_a_bug(outcome: &Outcome) -> bool {
///     matches!(outcome, Outcome::Failed(failure) if failure.kind() == FailureKind::Panic)
/// }
///
/// assert!(!is_a_bug(&Outcome::Succeeded));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum FailureKind {
    /// The function returned an error.
    Error,
    /// The function panicked.
    Panic,
    /// The nodes that executed it died.
    NodeDied,
}

impl Failure {
    /// A returned error with all its causes.
    pub(crate) fn error(error: &(dyn StdError + 'static)) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            // Many errors already repeat their cause in their own message.
            let message = error.to_string();
            if !text.ends_with(&message) {
                text.push_str(": ");
                text.push_str(&message);
            }
            if text.len() > ERROR_TEXT_BYTES_MAX {
                break;
            }
            cause = error.source();
        }
        Self { kind: FailureKind::Error, text: cut(text) }
    }

    /// A panic, by the payload that unwinding carries.
    pub(crate) fn panic(payload: &(dyn Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<&'static str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a payload that is not text");
        Self { kind: FailureKind::Panic, text: cut(format!("panicked: {message}")) }
    }

    /// The end of a run whose nodes died with it, again and again.
    pub(crate) fn node_died(times: u32) -> Self {
        Self { kind: FailureKind::NodeDied, text: format!("its node died {times} times").into() }
    }

    /// In which way it failed.
    #[must_use]
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The error with its causes, at most [`ERROR_TEXT_BYTES_MAX`] bytes.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn cut(mut text: String) -> Box<str> {
    if text.len() > ERROR_TEXT_BYTES_MAX {
        const MARK: &str = " [cut]";
        text.truncate(text.floor_char_boundary(ERROR_TEXT_BYTES_MAX - MARK.len()));
        text.push_str(MARK);
    }
    text.into_boxed_str()
}

/// What a task's function may return: nothing, or a `Result` whose error converts into a boxed one.
///
/// The value of an `Ok` is dropped.
///
/// ```
/// use symphra_scheduler::IntoOutcome;
///
/// assert!(().into_outcome().is_ok());
/// assert!(Ok::<u32, std::io::Error>(7).into_outcome().is_ok());
/// let error = Err::<(), _>("no such shop").into_outcome().unwrap_err();
/// assert_eq!(error.to_string(), "no such shop");
/// ```
#[diagnostic::on_unimplemented(
    message = "a task cannot return `{Self}`",
    label = "return nothing, or `Result<T, E>` with an error `E` that converts into `Box<dyn Error + Send + Sync>`",
    note = "what a task computes is not kept by the scheduler: write `let _ = …;` or map it to `()`"
)]
pub trait IntoOutcome {
    /// Whether the attempt that returned this value succeeded, and if not, its error.
    ///
    /// # Errors
    /// The error of the attempt.
    fn into_outcome(self) -> Result<(), BoxError>;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<T, E: Into<BoxError>> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Result<(), BoxError> {
        self.map(drop).map_err(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::io::Error);
    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot send the report")
        }
    }
    impl StdError for Outer {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_failure_names_all_its_causes() {
        let failure = Failure::error(&Outer(std::io::Error::other("disk full")));
        assert_eq!(failure.text(), "cannot send the report: disk full");
        assert_eq!(failure.kind(), FailureKind::Error);
    }

    #[test]
    fn a_long_error_is_cut_at_a_character_and_says_so() {
        let error = Err::<(), _>("é".repeat(ERROR_TEXT_BYTES_MAX)).into_outcome().expect_err("an error is no success");
        let failure = Failure::error(&*error);
        assert!((ERROR_TEXT_BYTES_MAX - 1..=ERROR_TEXT_BYTES_MAX).contains(&failure.text().len()));
        assert!(failure.text().ends_with("é [cut]"));
    }

    #[test]
    fn a_panic_keeps_its_message() {
        assert_eq!(Failure::panic(&"boom").text(), "panicked: boom");
        assert_eq!(Failure::panic(&String::from("bang")).text(), "panicked: bang");
        assert_eq!(Failure::panic(&5_u8).kind(), FailureKind::Panic);
    }
}
