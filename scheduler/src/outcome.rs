//! How an attempt ended, and what a task's function may return.
//!
//! An error is kept as text, its causes joined by `: `, because it outlives the value: in records, logs and pages.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;

/// An error of any kind, as a task's function returns it.
pub type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// A stored error text is cut after this many bytes: enough for a chain of causes, too little to fill a store.
pub const ERROR_TEXT_BYTES_MAX: usize = 8 * 1024;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The function returned without an error.
    Succeeded,
    /// The function returned an error or panicked.
    Failed(Failure),
    /// The scheduler stopped before the run could end.
    Cancelled,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    kind: FailureKind,
    text: Box<str>,
}

/// In which way an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// The function returned an error.
    Error,
    /// The function panicked.
    Panic,
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
#[diagnostic::on_unimplemented(
    message = "a task cannot return `{Self}`",
    label = "return nothing, or `Result<T, E>` with an error `E` that converts into `Box<dyn Error + Send + Sync>`",
    note = "what a task computes is not kept by the scheduler: write `let _ = …;` or map it to `()`"
)]
pub trait IntoOutcome {
    /// The outcome of an attempt that returned this value.
    fn into_outcome(self) -> Outcome;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        Outcome::Succeeded
    }
}

impl<T, E: Into<BoxError>> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Outcome {
        match self {
            Ok(_) => Outcome::Succeeded,
            Err(error) => Outcome::Failed(Failure::error(&*error.into())),
        }
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
        let outcome = Err::<(), _>(Outer(std::io::Error::other("disk full"))).into_outcome();
        let Outcome::Failed(failure) = outcome else { panic!("an error is a failure: {outcome:?}") };
        assert_eq!(failure.text(), "cannot send the report: disk full");
        assert_eq!(failure.kind(), FailureKind::Error);
    }

    #[test]
    fn a_long_error_is_cut_at_a_character_and_says_so() {
        let outcome = Err::<(), _>("é".repeat(ERROR_TEXT_BYTES_MAX)).into_outcome();
        let Outcome::Failed(failure) = outcome else { panic!("an error is a failure: {outcome:?}") };
        assert!(failure.text().len() <= ERROR_TEXT_BYTES_MAX);
        assert!(failure.text().ends_with("é [cut]"));
    }

    #[test]
    fn a_panic_keeps_its_message() {
        assert_eq!(Failure::panic(&"boom").text(), "panicked: boom");
        assert_eq!(Failure::panic(&String::from("bang")).text(), "panicked: bang");
        assert_eq!(Failure::panic(&5_u8).kind(), FailureKind::Panic);
    }
}
