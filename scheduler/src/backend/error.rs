//! Why a call of a backend failed.

use std::borrow::Cow;
use std::fmt;

use crate::outcome::BoxError;

/// Why a backend call failed. The engine waits and tries again, for ever.
///
/// ```
/// use std::error::Error;
/// use symphra_scheduler::backend::BackendError;
///
/// let error = BackendError::new("renew a lease", std::io::Error::other("connection reset"));
/// assert_eq!(error.to_string(), "the backend failed to renew a lease");
/// assert_eq!(error.source().unwrap().to_string(), "connection reset");
/// ```
#[derive(Debug)]
pub struct BackendError {
    during: Cow<'static, str>,
    cause: BoxError,
}

impl BackendError {
    /// An error of the call or step named `during`, because of `cause`.
    pub fn new(during: impl Into<Cow<'static, str>>, cause: impl Into<BoxError>) -> Self {
        Self { during: during.into(), cause: cause.into() }
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the backend failed to {}", self.during)
    }
}

impl std::error::Error for BackendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.cause)
    }
}
