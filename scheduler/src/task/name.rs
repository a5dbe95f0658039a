//! The name of a task: valid by construction.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use symphra_scheduler_core::TaskNameError;

/// The name of a task: 1 to 128 bytes, no control characters, no white space at either end. Cheap to clone.
///
/// ```
/// use symphra_scheduler::TaskName;
///
/// let name: TaskName = "report".parse()?;
/// assert_eq!(name, "report");
/// assert!(TaskName::new(" report").is_err());
/// # Ok::<(), symphra_scheduler::TaskNameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskName(Arc<str>);

impl TaskName {
    /// The name `text`.
    ///
    /// # Errors
    /// [`TaskNameError`] says which rule `text` breaks.
    pub fn new(text: &str) -> Result<Self, TaskNameError> {
        symphra_scheduler_core::check_task_name(text)?;
        Ok(Self(Arc::from(text)))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TaskName {
    type Err = TaskNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl AsRef<str> for TaskName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TaskName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for TaskName {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for TaskName {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
