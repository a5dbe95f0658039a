//! What is wrong in a configuration: everything at once, each with its place.

use std::cmp::Ordering;
use std::fmt;
use std::path::Path;

use super::backend::BackendProblem;
use crate::task::Place;

/// Everything that is wrong in the files and variables of a configuration.
///
/// `Display` and `Debug` print one line for each problem: where, what, which value, what is allowed. Values that may be
/// secret are never part of it.
///
/// ```
/// use symphra_scheduler::SchedulerConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("scheduler.yaml");
/// std::fs::write(&file, "scheduler:\n  max_wrokers: 16\n  queue_size: many\n")?;
/// let error = SchedulerConfig::from_file(&file).unwrap_err();
/// assert_eq!(error.problems().len(), 2, "all that is wrong, at once: {error}");
/// # Ok(())
/// # }
/// ```
pub struct ConfigError {
    problems: Vec<ConfigProblem>,
}

/// One thing that is wrong in a configuration.
///
/// ```
/// use symphra_scheduler::SchedulerConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("scheduler.yaml");
/// std::fs::write(&file, "scheduler:\n  max_wrokers: 16\n")?;
/// let error = SchedulerConfig::from_file(&file).unwrap_err();
/// let problem = &error.problems()[0];
/// assert_eq!((problem.file(), problem.line()), (Some(file.as_path()), Some(2)));
/// assert!(problem.message().contains("max_workers"), "the nearest key is said: {error}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    place: Option<Place>,
    file: Option<Box<Path>>,
    key: String,
    says: String,
}

impl ConfigProblem {
    pub(super) fn at(place: Place, key: impl Into<String>, says: impl Into<String>) -> Self {
        Self { place: Some(place), file: None, key: key.into(), says: says.into() }
    }

    /// A file as a whole.
    pub(super) fn of_file(file: &Path, says: impl Into<String>) -> Self {
        Self { place: None, file: Some(file.into()), key: String::new(), says: says.into() }
    }

    /// Files by line, then the environment by variable.
    pub(super) fn in_order(&self, other: &Self) -> Ordering {
        let key =
            |problem: &Self| (problem.variable().is_some(), problem.line(), problem.variable().map(str::to_owned));
        key(self).cmp(&key(other))
    }

    pub(super) fn of_backend(BackendProblem { key, place, says }: BackendProblem) -> Self {
        Self { place, file: None, key: key.to_owned(), says }
    }

    /// The file in which it stands.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Some(Place::Line(file, _)) => Some(file),
            Some(Place::Variable(_)) => None,
            None => self.file.as_deref(),
        }
    }

    /// The line of the file, counted from 1.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        match self.place {
            Some(Place::Line(_, line)) => Some(line),
            _ => None,
        }
    }

    /// The variable of the environment, if it stands in one.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        match &self.place {
            Some(Place::Variable(name)) => Some(name),
            _ => None,
        }
    }

    /// The key, with those above it: `tasks.report.timeout`. Empty where no key could be read.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong, what is allowed, and what to do.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.says
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, &self.file) {
            (Some(place), _) => write!(f, "{place}: {}", self.says),
            (None, Some(file)) => write!(f, "{}: {}", file.display(), self.says),
            (None, None) => f.write_str(&self.says),
        }
    }
}

impl fmt::Debug for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl ConfigError {
    pub(super) fn new(problems: Vec<ConfigProblem>) -> Self {
        Self { problems }
    }

    /// What is wrong: in files by line, then in the environment by variable.
    #[must_use]
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

impl ConfigError {
    #[cfg(feature = "cli")]
    pub(crate) fn into_problems(self) -> Vec<ConfigProblem> {
        self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problems[..] {
            [only] => write!(f, "the configuration is wrong: {only}"),
            many => {
                write!(f, "the configuration is wrong in {} places:", many.len())?;
                many.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}
