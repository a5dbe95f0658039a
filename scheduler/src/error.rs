//! The one error of the public API: opaque, with predicates, and with everything that is wrong in one message.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use symphra_scheduler_core::nearest;

use crate::backend::BackendError;
use crate::task::{Place, Source, TaskNameError};

/// Why a scheduler could not start, or a request could not be met.
///
/// `Display` and `Debug` both print the message and its causes, so that `main` may return it as it is. An error of
/// [`start`](crate::Scheduler::start) lists all problems of all tasks at once.
///
/// ```
/// use symphra_scheduler::{Schedule, Scheduler, Task};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let report = || Task::new("report", Schedule::cron("0 9 * * *").expect("a valid expression"), async || {});
/// let error = Scheduler::empty().register(report()).register(report()).start().await.unwrap_err();
/// assert!(error.is_duplicate_task());
///
/// let scheduler = Scheduler::empty().register(report()).start().await?;
/// let error = scheduler.trigger_task("reprot").await.unwrap_err();
/// assert!(error.is_unknown_task());
/// assert!(error.to_string().contains("report"), "the nearest name is said");
/// # scheduler.stop().await?;
/// # Ok(())
/// # }
/// ```
pub struct Error(Box<Kind>);

enum Kind {
    #[cfg(feature = "config")]
    Config(crate::config::ConfigError),
    Problems {
        what: &'static str,
        problems: Vec<Problem>,
    },
    Backend(BackendError),
    Stopped(&'static str),
    Unknown {
        name: String,
        nearest: Option<String>,
    },
    Refused(String),
    UnknownRun(String),
    NoJobs(&'static str),
    #[cfg(all(feature = "jobs", any(feature = "postgres", feature = "sqlite")))]
    NoTransactions(&'static str),
    NoRuntime,
    NoTimer,
    System {
        says: Cow<'static, str>,
        cause: std::io::Error,
    },
}

/// One thing that keeps a scheduler from starting.
#[derive(Debug)]
pub(crate) enum Problem {
    Setting {
        key: &'static str,
        value: String,
        allowed: &'static str,
    },
    Name {
        name: String,
        reason: TaskNameError,
        source: Source,
    },
    Task {
        name: String,
        says: String,
        source: Source,
    },
    Duplicate {
        name: String,
        first: Source,
        second: Source,
    },
    MissingState {
        name: String,
        says: String,
        source: Source,
    },
    DoubledState {
        name: String,
    },
    /// A task asks by name for what its backend lacks.
    Unsupported {
        name: String,
        says: String,
        source: Source,
    },
    EmptyRegistry,
    NothingLeft,
    Missing {
        name: String,
        nearest: Option<String>,
    },
    /// Something in a configuration is wrong.
    #[cfg(feature = "cli")]
    Configuration(crate::config::ConfigProblem),
    /// A setting whose mistake takes a sentence, and where it is written.
    Configured {
        place: Option<Place>,
        says: String,
    },
    /// A configuration speaks of a task that is not there.
    Overridden {
        name: String,
        place: Option<Place>,
        nearest: Option<String>,
    },
}

impl Problem {
    /// The problem of an expected task that is not among `known`.
    pub(crate) fn missing<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Missing { name: name.into(), nearest: nearest(name, known).map(Into::into) }
    }

    /// The problem of an override of a task that is not among `known`.
    pub(crate) fn overridden<'a>(name: &str, place: Option<&Place>, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Overridden { name: name.into(), place: place.cloned(), nearest: nearest(name, known).map(Into::into) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { key, value, allowed } => write!(f, "{key} = {value} is not possible; allowed is {allowed}"),
            Self::Name { name, reason, source } => write!(f, "task name {name:?} ({source}): {reason}"),
            Self::Task { name, says, source } => write!(f, "task \"{name}\" ({source}): {says}"),
            Self::Duplicate { name, first, second } => write!(
                f,
                "two tasks are named \"{name}\": one at {first}, one at {second}; give one of them another `name`"
            ),
            Self::MissingState { name, says, source } | Self::Unsupported { name, says, source } => {
                write!(f, "task \"{name}\" ({source}): {says}")
            }
            Self::DoubledState { name } => write!(
                f,
                "two states of type `{name}` are provided, and a task could get only one; wrap one of them in a type of \
                 its own"
            ),
            Self::Configured { place, says } => {
                place.as_ref().map_or(Ok(()), |place| write!(f, "{place}: "))?;
                f.write_str(says)
            }
            Self::Overridden { name, place, nearest } => {
                match place {
                    Some(place) => write!(f, "{place}: ")?,
                    None => f.write_str("the configuration: ")?,
                }
                write!(f, "there is no task \"{name}\" to override")?;
                nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean \"{nearest}\"?"))
            }
            #[cfg(feature = "cli")]
            Self::Configuration(problem) => fmt::Display::fmt(problem, f),
            Self::EmptyRegistry => f.write_str(
                "the registry is empty: no #[cron], #[interval] or other task attribute is linked into this program; a \
                 crate whose items nobody mentions is not linked, name it with `link_tasks!(that_crate);`, or start \
                 from `Scheduler::empty()` and `register` tasks",
            ),
            Self::NothingLeft => f.write_str("the filter has left no task of those that are linked; let it keep one"),
            Self::Missing { name, nearest } => {
                write!(f, "task \"{name}\" is expected and not registered")?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean \"{nearest}\"?"),
                    None => f.write_str("; is its crate named with `link_tasks!`?"),
                }
            }
        }
    }
}

impl Error {
    /// One setting that is not possible.
    pub(crate) fn setting(key: &'static str, value: String, allowed: &'static str) -> Self {
        Self::start(vec![Problem::Setting { key, value, allowed }])
    }

    /// A store that gets no thread of its own.
    #[cfg(any(feature = "postgres", feature = "rabbitmq", feature = "redis", feature = "sqlite"))]
    pub(crate) fn store_thread(cause: std::io::Error) -> Self {
        Self(Box::new(Kind::System { says: "the thread of the store cannot be started".into(), cause }))
    }

    pub(crate) fn start(problems: Vec<Problem>) -> Self {
        Self(Box::new(Kind::Problems { what: "the scheduler cannot start", problems }))
    }

    /// What is wrong with the configuration of a program, and beside it what keeps it from starting.
    #[cfg(feature = "cli")]
    pub(crate) fn start_and_configuration(wrong: crate::config::ConfigError, problems: Vec<Problem>) -> Self {
        if problems.is_empty() {
            return wrong.into();
        }
        let wrong = wrong.into_problems().into_iter().map(Problem::Configuration);
        Self::start(wrong.chain(problems).collect())
    }

    /// The overrides that were read again cannot be had.
    #[cfg(feature = "config")]
    pub(crate) fn overrides(problems: Vec<Problem>) -> Self {
        Self(Box::new(Kind::Problems { what: "the overrides are refused", problems }))
    }

    /// A task cannot be had as it is asked for by a running scheduler.
    pub(crate) fn task(problems: Vec<Problem>) -> Self {
        Self(Box::new(Kind::Problems { what: "the task is refused", problems }))
    }

    /// The scheduler has ended, so it cannot do what was asked, which `says` names.
    pub(crate) fn stopped(says: &'static str) -> Self {
        Self(Box::new(Kind::Stopped(says)))
    }

    pub(crate) fn no_runtime() -> Self {
        Self(Box::new(Kind::NoRuntime))
    }

    pub(crate) fn no_timer() -> Self {
        Self(Box::new(Kind::NoTimer))
    }

    pub(crate) fn unknown_task(name: &str, nearest: Option<&str>) -> Self {
        Self(Box::new(Kind::Unknown { name: name.into(), nearest: nearest.map(Into::into) }))
    }

    /// What was asked cannot be done, as `says` tells.
    pub(crate) fn refused(says: impl Into<String>) -> Self {
        Self(Box::new(Kind::Refused(says.into())))
    }

    pub(crate) fn unknown_run(says: impl Into<String>) -> Self {
        Self(Box::new(Kind::UnknownRun(says.into())))
    }

    /// The backend of this name has no jobs.
    pub(crate) fn no_jobs(backend: &'static str) -> Self {
        Self(Box::new(Kind::NoJobs(backend)))
    }

    /// The backend of this name is in no database.
    #[cfg(all(feature = "jobs", any(feature = "postgres", feature = "sqlite")))]
    pub(crate) fn no_transactions(backend: &'static str) -> Self {
        Self(Box::new(Kind::NoTransactions(backend)))
    }

    pub(crate) fn signals(cause: std::io::Error) -> Self {
        Self(Box::new(Kind::System { says: "the handlers of Ctrl+C and SIGTERM cannot be installed".into(), cause }))
    }

    pub(crate) fn no_thread(cause: std::io::Error) -> Self {
        Self(Box::new(Kind::System { says: "the thread that renews leases cannot be started".into(), cause }))
    }

    #[cfg(feature = "logging")]
    pub(crate) fn logging(problems: Vec<Problem>) -> Self {
        Self(Box::new(Kind::Problems { what: "the log cannot be set up", problems }))
    }

    #[cfg(feature = "logging")]
    pub(crate) fn log_file(path: &std::path::Path, cause: std::io::Error) -> Self {
        Self(Box::new(Kind::System { says: format!("the log file {path:?} cannot be opened").into(), cause }))
    }

    #[cfg(feature = "logging")]
    pub(crate) fn subscriber_is_set() -> Self {
        Self::refused(
            "the log cannot be set up: this program has a global subscriber of `tracing` already, which stays; add \
             `logging::layer` to it instead",
        )
    }

    /// A setting or a task cannot be used as it is written.
    #[must_use]
    pub fn is_config(&self) -> bool {
        #[cfg(feature = "config")]
        if matches!(*self.0, Kind::Config(_)) {
            return true;
        }
        #[cfg(feature = "cli")]
        if self.any(|problem| matches!(problem, Problem::Configuration(_))) {
            return true;
        }
        self.any(|problem| {
            matches!(
                problem,
                Problem::Setting { .. }
                    | Problem::Configured { .. }
                    | Problem::DoubledState { .. }
                    | Problem::Name { .. }
                    | Problem::Overridden { .. }
                    | Problem::Task { .. }
                    | Problem::EmptyRegistry
                    | Problem::NothingLeft
            )
        })
    }

    /// Two tasks have one name.
    #[must_use]
    pub fn is_duplicate_task(&self) -> bool {
        self.any(|problem| matches!(problem, Problem::Duplicate { .. }))
    }

    /// A task that was named is not registered.
    #[must_use]
    pub fn is_unknown_task(&self) -> bool {
        let is_unknown = |problem: &Problem| matches!(problem, Problem::Missing { .. } | Problem::Overridden { .. });
        matches!(*self.0, Kind::Unknown { .. }) || self.any(is_unknown)
    }

    /// A task's argument needs a state that is not provided, or two of one type are.
    #[must_use]
    pub fn is_missing_state(&self) -> bool {
        self.any(|problem| matches!(problem, Problem::MissingState { .. } | Problem::DoubledState { .. }))
    }

    /// A task asks for something that its backend cannot do.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        #[cfg(all(feature = "jobs", any(feature = "postgres", feature = "sqlite")))]
        if matches!(*self.0, Kind::NoTransactions(_)) {
            return true;
        }
        matches!(*self.0, Kind::NoJobs(_)) || self.any(|problem| matches!(problem, Problem::Unsupported { .. }))
    }

    /// No run has the id that was named, or it has ended already.
    #[must_use]
    pub fn is_unknown_run(&self) -> bool {
        matches!(*self.0, Kind::UnknownRun(_))
    }

    /// The backend could not be reached or refused.
    #[must_use]
    pub fn is_backend(&self) -> bool {
        matches!(*self.0, Kind::Backend(_))
    }

    /// The scheduler has stopped, or its runtime has ended.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(*self.0, Kind::Stopped(_))
    }

    /// Each thing that keeps the scheduler from starting; none if that is not what this tells.
    #[cfg(feature = "cli")]
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        match *self.0 {
            Kind::Problems { problems, .. } => problems,
            _ => Vec::new(),
        }
    }

    fn any(&self, is: impl Fn(&Problem) -> bool) -> bool {
        matches!(&*self.0, Kind::Problems { problems, .. } if problems.iter().any(is))
    }
}

#[cfg(feature = "config")]
impl From<crate::config::ConfigError> for Error {
    fn from(error: crate::config::ConfigError) -> Self {
        Self(Box::new(Kind::Config(error)))
    }
}

impl From<BackendError> for Error {
    fn from(error: BackendError) -> Self {
        Self(Box::new(Kind::Backend(error)))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Problems { what, problems } => match &problems[..] {
                [only] => write!(f, "{what}: {only}"),
                many => {
                    write!(f, "{what}, for {} reasons:", many.len())?;
                    many.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
                }
            },
            #[cfg(feature = "config")]
            Kind::Config(error) => fmt::Display::fmt(error, f),
            Kind::Backend(error) => fmt::Display::fmt(error, f),
            Kind::Stopped(says) => f.write_str(says),
            Kind::Refused(says) | Kind::UnknownRun(says) => f.write_str(says),
            #[cfg(all(feature = "jobs", any(feature = "postgres", feature = "sqlite")))]
            Kind::NoTransactions(backend) => write!(
                f,
                "the backend \"{backend}\" has no transactions of a program's own; those that have are sqlite, postgres"
            ),
            Kind::NoJobs(backend) => {
                write!(
                    f,
                    "the backend \"{backend}\" has no jobs; those that have are memory, sqlite, postgres, redis, rabbitmq"
                )
            }
            Kind::NoRuntime => f.write_str(
                "the scheduler was started outside a tokio runtime; call it from an async function under \
                 #[tokio::main], or inside `Runtime::block_on`",
            ),
            Kind::NoTimer => f.write_str(
                "the tokio runtime has no timer, so nothing could fire; build it with `enable_time` or `enable_all`",
            ),
            Kind::Unknown { name, nearest } => {
                write!(f, "there is no task named {name:?}")?;
                nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest:?}?"))
            }
            Kind::System { says, .. } => f.write_str(says),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.0 {
            Kind::Backend(error) => error.source(),
            Kind::System { cause, .. } => Some(cause),
            #[cfg(feature = "config")]
            Kind::Config(_) => None,
            #[cfg(all(feature = "jobs", any(feature = "postgres", feature = "sqlite")))]
            Kind::NoTransactions(_) => None,
            Kind::Problems { .. }
            | Kind::Stopped(_)
            | Kind::Unknown { .. }
            | Kind::Refused(_)
            | Kind::UnknownRun(_)
            | Kind::NoJobs(_)
            | Kind::NoRuntime
            | Kind::NoTimer => None,
        }
    }
}
