//! What reads bytes from outside and is private otherwise, for fuzz targets. It promises nothing to anybody else, and may change
//! with every version.

#[cfg(feature = "config")]
use std::path::PathBuf;
#[cfg(any(feature = "postgres", feature = "rabbitmq", feature = "redis", feature = "sqlite"))]
use std::sync::Arc;

#[cfg(any(feature = "postgres", feature = "rabbitmq", feature = "redis", feature = "sqlite"))]
use symphra_scheduler_core::Timestamp;

#[cfg(feature = "rabbitmq")]
pub use crate::backend::doors::messages;
#[cfg(feature = "redis")]
pub use crate::backend::doors::row;
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
pub use crate::backend::doors::words;
#[cfg(any(feature = "postgres", feature = "rabbitmq", feature = "redis", feature = "sqlite"))]
pub use crate::backend::doors::{timetable, timetable_written};
#[cfg(feature = "config")]
use crate::config::{ConfigError, SchedulerConfig};
#[cfg(all(unix, feature = "cli"))]
pub use crate::control::told_to_line as control;
#[cfg(any(feature = "postgres", feature = "rabbitmq", feature = "redis", feature = "sqlite"))]
use crate::schedule::{Plan, Timetable};

/// Settings from a file, if one is given, and otherwise out of these variables. A variable without a value has one that is not
/// UTF-8. A file may name the variables, too.
///
/// # Errors
/// As those of the functions that read a process's environment.
#[cfg(feature = "config")]
pub fn read_config(
    file: Option<PathBuf>,
    variables: impl IntoIterator<Item = (String, Option<String>)>,
) -> Result<SchedulerConfig, ConfigError> {
    SchedulerConfig::read_with(file, variables)
}

/// What a timetable makes of a span of time.
#[cfg(any(feature = "postgres", feature = "rabbitmq", feature = "redis", feature = "sqlite"))]
#[derive(Debug)]
pub struct Looked {
    /// Its occurrences in order, each with the last one up to it.
    pub instants: Vec<(Timestamp, Option<Timestamp>)>,
    /// How many are counted up to the last of them.
    pub counted: u64,
}

/// The first occurrences after `from`, of a task that is as old as that.
#[cfg(any(feature = "postgres", feature = "rabbitmq", feature = "redis", feature = "sqlite"))]
#[must_use]
pub fn occurrences(timetable: &Arc<Timetable>, from: Timestamp, max: usize) -> Looked {
    let plan = Plan::new(Arc::clone(timetable), "task", from, Timestamp::MIN);
    let next = |&at: &Timestamp| plan.next(at);
    let instants: Vec<_> =
        std::iter::successors(plan.next(from), next).take(max).map(|at| (at, plan.last(at))).collect();
    let counted = instants.last().map_or(0, |&(last, _)| plan.count(from, last));
    Looked { instants, counted }
}
