//! The arguments of a task: values made from its run.

use std::fmt;

use super::context::RunContext;
use crate::outcome::BoxError;

/// A value that a task's function may take as an argument.
///
/// ```
/// use symphra_scheduler::{Extract, ExtractError, RunContext, interval};
///
/// /// The hour of the occurrence, in UTC.
/// struct Hour(u32);
///
/// impl Extract for Hour {
///     fn extract(run: &RunContext) -> Result<Self, ExtractError> {
///         use symphra_scheduler::chrono::Timelike;
///         Ok(Self(run.scheduled_at().hour()))
///     }
/// }
///
/// #[interval(hours = 1)]
/// async fn chime(Hour(hour): Hour) {
///     println!("{}", "ding ".repeat(hour as usize));
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a task",
    label = "not an extractor",
    note = "the arguments of a task are extractors: `RunContext`, `ScheduledAt`, or a type of yours that implements `Extract`"
)]
pub trait Extract: Sized {
    /// The value for this run.
    ///
    /// # Errors
    /// [`ExtractError`] if it cannot be had; the attempt then fails with it, and the body is not called.
    fn extract(run: &RunContext) -> Result<Self, ExtractError>;
}

/// Why an argument could not be had.
#[derive(Debug)]
pub struct ExtractError(BoxError);

impl ExtractError {
    /// An error that says why.
    pub fn new(cause: impl Into<BoxError>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an argument of the task could not be had: {}", self.0)
    }
}

impl std::error::Error for ExtractError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
