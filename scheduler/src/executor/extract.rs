//! The arguments of a task: values made from its run and from what the program has provided.

use std::any::type_name;
use std::fmt;

use super::context::RunContext;
use super::provided::Provided;
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
    note = "the arguments of a task are extractors: `State<T>` for what `Scheduler::state` provides, `RunContext`, \
            `ScheduledAt`, `Option` of an extractor, or a type of yours that implements `Extract`"
)]
pub trait Extract: Sized {
    /// The value for this run.
    ///
    /// # Errors
    /// [`ExtractError`] if it cannot be had; the attempt then fails with it, and the body is not called.
    fn extract(run: &RunContext) -> Result<Self, ExtractError>;

    /// Whether it can be had in a program that provides this: looked at once, at start, so that what is missing is an
    /// error of the start and not of each run. The default is that nothing is needed; an extractor made of others asks
    /// them.
    ///
    /// # Errors
    /// [`ExtractError`] that says what is missing and how to provide it.
    fn check(provided: &Provided) -> Result<(), ExtractError> {
        let _ = provided;
        Ok(())
    }
}

/// The value, or `None` where it cannot be had.
impl<E: Extract> Extract for Option<E> {
    fn extract(run: &RunContext) -> Result<Self, ExtractError> {
        Ok(E::extract(run).ok())
    }
}

/// What the arguments of one task need, looked for among what is provided.
///
/// A handler looks for what each of its arguments needs:
///
/// ```
/// use symphra_scheduler::{Needs, RunContext, State};
///
/// fn needs_of_report(needs: &mut Needs<'_>) {
///     needs.of::<State<String>>();
///     needs.of::<RunContext>();
/// }
/// ```
#[derive(Debug)]
pub struct Needs<'a> {
    provided: &'a Provided,
    missing: Vec<String>,
}

impl<'a> Needs<'a> {
    pub(crate) const fn among(provided: &'a Provided) -> Self {
        Self { provided, missing: Vec::new() }
    }

    /// Looks for what the argument of type `E` needs.
    pub fn of<E: Extract>(&mut self) {
        if let Err(error) = E::check(self.provided) {
            self.missing.push(format!("its argument `{}` cannot be had: {}", short(type_name::<E>()), error.0));
        }
    }

    pub(crate) fn missing(self) -> Vec<String> {
        self.missing
    }
}

/// A type's name without the modules in which it and its arguments stand.
pub(super) fn short(name: &str) -> String {
    let mut short = String::with_capacity(name.len());
    let mut word = 0;
    for part in name.split_inclusive(|letter: char| !letter.is_alphanumeric() && letter != '_') {
        if part.ends_with(':') {
            short.truncate(word);
        } else {
            short.push_str(part);
            if !part.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_') {
                word = short.len();
            }
        }
    }
    short
}

/// Why an argument could not be had.
///
/// ```
/// use symphra_scheduler::{Extract, ExtractError, RunContext};
///
/// /// The shop that the program was started for.
/// struct Shop(String);
///
/// impl Extract for Shop {
///     fn extract(_: &RunContext) -> Result<Self, ExtractError> {
///         std::env::var("SHOP").map(Self).map_err(ExtractError::new)
///     }
/// }
///
/// let error = ExtractError::new("SHOP is not set");
/// assert_eq!(error.to_string(), "an argument of the task could not be had: SHOP is not set");
/// ```
#[derive(Debug)]
pub struct ExtractError(BoxError);

impl ExtractError {
    /// An error that says why.
    pub fn new(cause: impl Into<BoxError>) -> Self {
        Self(cause.into())
    }

    /// One that no further attempt would change.
    #[cfg(feature = "jobs")]
    pub(crate) fn for_good(cause: impl Into<BoxError>) -> Self {
        Self(Box::new(crate::retry::Retry::never(cause)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_named_without_its_modules() {
        assert_eq!(short("core::option::Option<a::State<b::c::Pool_2>>"), "Option<State<Pool_2>>");
        assert_eq!(short("u32"), "u32");
        assert_eq!(short("(a::B, &'static c::D)"), "(B, &'static D)");
    }
}
