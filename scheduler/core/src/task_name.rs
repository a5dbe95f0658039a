//! The rule for the names of tasks, for macros and run time.

use std::fmt;

/// The longest name of a task, in bytes: it stands in keys of stores, labels of metrics and symbols of the linker.
///
/// ```
/// use symphra_scheduler_core::{TASK_NAME_BYTES_MAX, TaskNameError, check_task_name};
///
/// assert_eq!(check_task_name(&"x".repeat(TASK_NAME_BYTES_MAX)), Ok(()));
/// assert_eq!(check_task_name(&"x".repeat(129)), Err(TaskNameError::TooLong(129)));
/// ```
pub const TASK_NAME_BYTES_MAX: usize = 128;

/// Which rule a task's name breaks.
///
/// ```
/// use symphra_scheduler_core::{TaskNameError, check_task_name};
///
/// let error = check_task_name(" report").unwrap_err();
/// assert_eq!(error, TaskNameError::OuterSpace);
/// assert_eq!(error.to_string(), "a task name cannot begin or end with white space; remove it");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskNameError {
    /// It is empty.
    Empty,
    /// It has this many bytes, more than [`TASK_NAME_BYTES_MAX`].
    TooLong(usize),
    /// It has a control character, this one.
    Control(char),
    /// It begins or ends with white space.
    OuterSpace,
}

impl fmt::Display for TaskNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "a task name cannot be empty; allowed are 1 to {TASK_NAME_BYTES_MAX} bytes"),
            Self::TooLong(bytes) => {
                write!(f, "a task name of {bytes} bytes is too long; allowed are 1 to {TASK_NAME_BYTES_MAX} bytes")
            }
            Self::Control(control) => {
                write!(f, "a task name cannot contain the control character {control:?}; remove it")
            }
            Self::OuterSpace => f.write_str("a task name cannot begin or end with white space; remove it"),
        }
    }
}

impl std::error::Error for TaskNameError {}

/// Whether `name` may name a task: 1 to 128 bytes, no control characters, no white space at either end.
///
/// ```
/// use symphra_scheduler_core::{TaskNameError, check_task_name};
///
/// assert_eq!(check_task_name("report of the day"), Ok(()));
/// assert_eq!(check_task_name("report\n"), Err(TaskNameError::Control('\n')));
/// ```
///
/// # Errors
/// The first rule that it breaks.
pub fn check_task_name(name: &str) -> Result<(), TaskNameError> {
    if name.is_empty() {
        return Err(TaskNameError::Empty);
    }
    if name.len() > TASK_NAME_BYTES_MAX {
        return Err(TaskNameError::TooLong(name.len()));
    }
    if let Some(control) = name.chars().find(|character| character.is_control()) {
        return Err(TaskNameError::Control(control));
    }
    if name.trim() != name {
        return Err(TaskNameError::OuterSpace);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_told_apart() {
        assert_eq!(check_task_name(""), Err(TaskNameError::Empty));
        assert_eq!(check_task_name(&"é".repeat(65)), Err(TaskNameError::TooLong(130)));
        assert_eq!(check_task_name("a\u{7}b"), Err(TaskNameError::Control('\u{7}')));
        assert_eq!(check_task_name(" a"), Err(TaskNameError::OuterSpace));
        assert_eq!(check_task_name("a\u{3000}"), Err(TaskNameError::OuterSpace));
        assert_eq!(check_task_name(&"é".repeat(64)), Ok(()));
        assert_eq!(check_task_name("nightly report / 夜报"), Ok(()));
    }
}
