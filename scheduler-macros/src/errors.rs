//! Collects everything that is wrong with one attribute, so that one build shows it all.
//!
//! A reader of a value never stops at the first mistake: it puts the error here and goes on with what is left. Whoever
//! holds an [`Errors`] must end with [`Errors::finish`]; a value that was read while an error was put in is not used.

/// The errors of one attribute, in the order in which they were found.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    /// Adds one error.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// The value of a result; its error is kept here.
    pub(crate) fn take<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.push(error);
                None
            }
        }
    }

    /// All errors as one, or `Ok` if there were none.
    pub(crate) fn finish(self) -> syn::Result<()> {
        match self.0 {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
