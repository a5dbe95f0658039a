//! The one table of what a configuration may say. Reader, environment, messages and JSON Schema follow from it.

pub(super) mod backend;

use std::borrow::Cow;
use std::time::Duration;

use ::config::ValueKind;
use serde_json::{Value as Json, json};
use symphra_scheduler_core::TASK_NAME_BYTES_MAX;

use super::daemon::{DaemonConfig, NAMES, STARTUP_TIMEOUTS, is_name};
use super::history::{AGES, HistoryConfig, ROWS};
#[cfg(feature = "metrics")]
use super::metrics::{MetricsConfig, TASK_LIMITS};
use super::read::{Reader, Section, Written, setting};
use super::shape::{Keyed, Nested, Refused, Scalar, Shape, Texts, path};
use super::shape::{cron, decimal, duration, file, flag, instant, line, period, schedule, text, whole, word, zone};
use super::{DURATION_MAX, LEASE_MIN, NODE_BYTES_MAX, RUNS_MAX, SchedulerConfig};
use crate::logging::{FILES_KEPT_MAX, LEVELS_ALLOWED, LogFormat, LoggingConfig, Rotation};
use crate::retry::{ATTEMPTS_MAX, Backoff, RetryChange, RetryParts, RetryPolicy, WAIT_MAX};
use crate::schedule::{Delay, Delivery, Misfire, Overlap, Schedule};
use crate::task::{JITTER_MAX, PRIORITY_MAX, TIMEOUT_MAX, TaskOverride};

const MILLISECOND: Duration = Duration::from_millis(1);

/// The longest tag and the longest fact: what is shown in a cell of a table.
const WORDS_BYTES_MAX: usize = 1_024;

/// `scheduler:`, whose keys may also stand at the top level.
pub(super) fn scheduler() -> Section<SchedulerConfig> {
    let runs_max = i64::try_from(RUNS_MAX).unwrap_or(i64::MAX);
    let groups = Keyed(whole::<u32>(1..=i64::from(u32::MAX)));
    Section {
        settings: vec![
            setting(
                "max_workers",
                "How many runs may execute at once. Default 10.",
                whole(1..=runs_max),
                SchedulerConfig::max_workers,
            ),
            setting(
                "queue_size",
                "How many accepted runs may wait for a worker. Default 1000.",
                whole(1..=runs_max),
                SchedulerConfig::queue_size,
            ),
            setting("timezone", "The zone of tasks that name none. Default UTC.", zone(), SchedulerConfig::timezone),
            setting(
                "shutdown_timeout",
                "How long a stop waits for what runs. Default 30s.",
                duration(Duration::ZERO, DURATION_MAX),
                SchedulerConfig::shutdown_timeout,
            ),
            setting(
                "misfire_grace",
                "How late an occurrence may be accepted without being a misfire. Default 1s.",
                duration(Duration::ZERO, DURATION_MAX),
                SchedulerConfig::misfire_grace,
            ),
            setting(
                "lease",
                "How long after its last heartbeat the runs of a dead node stay its own. Default 30s.",
                duration(LEASE_MIN, DURATION_MAX),
                SchedulerConfig::lease,
            ),
            setting(
                "node",
                "The name of this node. Default: the host's name and the process id.",
                line(NODE_BYTES_MAX),
                SchedulerConfig::node,
            ),
            setting(
                "history",
                "How much is kept of the runs of each task that have ended.",
                Nested(history),
                SchedulerConfig::history,
            ),
            #[cfg(feature = "metrics")]
            setting("metrics", "How much of metrics is told by task.", Nested(metrics), SchedulerConfig::metrics),
            setting(
                "groups",
                "How many runs of the tasks of a group execute at once, by group. Default 1 for each.",
                groups,
                |config: SchedulerConfig, groups| {
                    groups.into_iter().fold(config, |config, (name, runs)| config.group(name, runs))
                },
            ),
        ],
        former: FORMER,
    }
}

/// `history:`.
pub(super) fn history() -> Section<HistoryConfig> {
    let rows = || whole(i64::from(*ROWS.start())..=i64::from(*ROWS.end()));
    Section {
        settings: vec![
            setting(
                "runs",
                "How many runs of a task are kept, the last ones, however they ended. Default 100.",
                rows(),
                HistoryConfig::runs,
            ),
            setting(
                "failures",
                "How many failures of a task are kept, the last ones. Default 1000.",
                rows(),
                HistoryConfig::failures,
            ),
            setting(
                "failures_for",
                "How long failures that are not among the last runs are kept. Default 30d.",
                duration(*AGES.start(), *AGES.end()),
                HistoryConfig::failures_for,
            ),
        ],
        former: &[],
    }
}

/// `metrics:`.
#[cfg(feature = "metrics")]
pub(super) fn metrics() -> Section<MetricsConfig> {
    Section {
        settings: vec![
            setting(
                "task_limit",
                "How many tasks have a label of their own in metrics; the others are told together. Default 1000.",
                whole(i64::from(*TASK_LIMITS.start())..=i64::from(*TASK_LIMITS.end())),
                MetricsConfig::task_limit,
            ),
            setting(
                "task_histograms",
                "Whether histograms are told by task too. Default false.",
                flag(),
                MetricsConfig::task_histograms,
            ),
        ],
        former: &[],
    }
}

/// `logging:`.
pub(super) fn logging() -> Section<LoggingConfig> {
    let files_max = i64::try_from(FILES_KEPT_MAX).unwrap_or(i64::MAX);
    Section {
        settings: vec![
            setting(
                "level",
                "What is written: a level for all and levels by target, as in info,sqlx=warn. Default info.",
                levels(),
                LoggingConfig::level,
            ),
            setting("format", "How a line looks. Default compact.", word(LogFormat::WORDS), LoggingConfig::format),
            setting("file", "The file that is written to. Default: standard error.", file(), LoggingConfig::file),
            setting(
                "rotation",
                "When the file is put aside, and a new one begun. Default never.",
                word(Rotation::WORDS),
                LoggingConfig::rotation,
            ),
            setting(
                "files_kept",
                "How many files that were put aside are kept. Default 7.",
                whole(1..=files_max),
                LoggingConfig::files_kept,
            ),
            setting(
                "task_success",
                "Whether runs that succeed are said at INFO instead of DEBUG. Default false.",
                flag(),
                LoggingConfig::task_success,
            ),
        ],
        former: &[("log_level", "write level"), ("enable_logging", "write format: off to have no log, and drop this")],
    }
}

fn levels() -> Scalar<String> {
    let schema = json!({ "type": "string", "examples": ["info", "info,sqlx=warn"] });
    Scalar::new(LEVELS_ALLOWED, schema, |raw| {
        let directives = raw.text().to_lowercase();
        match LoggingConfig::new().level(raw.text()).levels() {
            Ok(_) => Ok(raw.text().into_owned()),
            // The words of the ancestor.
            Err(_) if directives == "warning" || directives == "critical" => Err(Refused::Because(format!(
                "allowed is {LEVELS_ALLOWED}; write {}",
                if directives == "warning" { "warn" } else { "error" }
            ))),
            Err(_) => Err(Refused::NotAllowed),
        }
    })
}

/// `daemon:`.
pub(super) fn daemon() -> Section<DaemonConfig> {
    Section {
        settings: vec![
            setting(
                "name",
                "Sets daemons of one user apart. Default: the program's file name.",
                name_of_daemon(),
                DaemonConfig::name,
            ),
            setting(
                "pid_file",
                "The file that is locked while the daemon runs, and tells its PID. Default: its name and .pid, in the user's state folder.",
                file(),
                DaemonConfig::pid_file,
            ),
            setting(
                "log_file",
                "Where the daemon's standard output and standard error go. Default: its name and .log, in the user's state folder.",
                file(),
                DaemonConfig::log_file,
            ),
            setting(
                "working_directory",
                "The daemon's working directory. Default: the one it was started in.",
                path(),
                DaemonConfig::working_directory,
            ),
            setting(
                "startup_timeout",
                "How long the daemon may take until it is up. Default 30s.",
                duration(*STARTUP_TIMEOUTS.start(), *STARTUP_TIMEOUTS.end()),
                DaemonConfig::startup_timeout,
            ),
        ],
        former: &[("process_name", "write name")],
    }
}

fn name_of_daemon() -> Scalar<String> {
    let schema = json!({ "type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$" });
    Scalar::new(NAMES, schema, |raw| {
        let name = raw.text().into_owned();
        if is_name(&name) { Ok(name) } else { Err(Refused::NotAllowed) }
    })
}

/// Keys of the Python ancestor, which this version says differently.
pub(super) const FORMER: &[(&str, &str)] = &[
    ("schedule_check_interval", "nothing polls here, so there is no interval to set; drop it"),
    ("enable_logging", "write logging.format: off to have no log, and drop this"),
    ("log_level", "write logging.level"),
    ("log_task_success", "write logging.task_success"),
    ("persistence_enabled", "what is kept is decided by the backend; drop it"),
    ("persistence_path", "what is kept is decided by the backend; drop it"),
    ("pid_file", "write daemon.pid_file"),
    ("process_name", "write daemon.name"),
];

/// One task under `tasks:`.
pub(super) fn task() -> Section<TaskOverride> {
    let age = || duration(Duration::ZERO, Duration::MAX);
    let name = || text(TASK_NAME_BYTES_MAX).map(Cow::Owned);
    Section {
        settings: vec![
            setting(
                "schedule",
                "When it runs: a cron expression, a period or an instant.",
                schedule(),
                TaskOverride::schedule,
            ),
            setting(
                "cron",
                "When it runs, as a cron expression.",
                cron().map(Schedule::from_cron),
                TaskOverride::schedule,
            ),
            setting("interval", "When it runs: every so often.", period(), TaskOverride::schedule),
            setting(
                "at",
                "When it runs: once, at this instant.",
                instant().map(Schedule::from_moment),
                TaskOverride::schedule,
            ),
            setting("timezone", "The zone in which its schedule is read.", zone(), TaskOverride::timezone),
            setting("enabled", "Whether its occurrences become runs.", flag(), TaskOverride::enabled),
            setting(
                "timeout",
                "How long an attempt may take. None: no limit.",
                duration(MILLISECOND, TIMEOUT_MAX).or_none(),
                TaskOverride::timeout,
            ),
            setting(
                "retry",
                "How often a failed attempt is repeated, and when: a preset, or parts over the task's own policy. None: one attempt.",
                Retry,
                TaskOverride::retrying,
            ),
            setting(
                "overlap",
                "What happens to an occurrence that falls due while the task is full.",
                word(Overlap::WORDS),
                TaskOverride::overlap,
            ),
            setting(
                "max_instances",
                "How many of its runs may be alive at once. None: as if it were not said.",
                whole(1..=i64::from(u32::MAX)).or_none(),
                TaskOverride::max_instances,
            ),
            setting(
                "misfire",
                "What happens to occurrences that nobody could start in time.",
                word(Misfire::WORDS),
                TaskOverride::misfire,
            ),
            setting(
                "catch_up_window",
                "How old a missed occurrence may be to become a run. None: as if it were not said.",
                age().or_none(),
                TaskOverride::catch_up_window,
            ),
            setting(
                "jitter",
                "Moves each occurrence by up to this, always the same for the same occurrence. None: not at all.",
                duration(Duration::ZERO, JITTER_MAX).or_none(),
                TaskOverride::jitter,
            ),
            setting(
                "start",
                "No occurrence lies before it; an interval counts from it. None: no bound.",
                instant().or_none(),
                TaskOverride::starting,
            ),
            setting("end", "No occurrence lies after it. None: no bound.", instant().or_none(), TaskOverride::ending),
            setting(
                "except",
                "The instants of this cron expression are no occurrences. None: no exception.",
                cron().or_none(),
                TaskOverride::except,
            ),
            setting(
                "max_runs",
                "After this many occurrences have become runs the schedule is over. None: no limit.",
                whole::<u64>(1..=i64::MAX).or_none(),
                TaskOverride::max_runs,
            ),
            setting(
                "priority",
                "Which runs start first where not all can: the higher.",
                whole(-i64::from(PRIORITY_MAX)..=i64::from(PRIORITY_MAX)),
                TaskOverride::priority,
            ),
            setting(
                "run_on_start",
                "Whether it also runs once when the first node starts.",
                flag(),
                TaskOverride::run_on_start,
            ),
            setting(
                "delay",
                "From where the next instant of an interval counts.",
                word(Delay::WORDS),
                TaskOverride::delay,
            ),
            setting(
                "delivery",
                "Whether a run whose node has died is executed again.",
                word(Delivery::WORDS),
                TaskOverride::delivery,
            ),
            setting(
                "group",
                "At most as many runs of a group execute at once as the group may have. None: no group.",
                name().or_none(),
                TaskOverride::group,
            ),
            setting(
                "pause_after",
                "It is paused after this many failed runs in a row. None: never.",
                whole(1..=i64::from(u32::MAX)).or_none(),
                TaskOverride::pause_after,
            ),
            setting(
                "expect_success_within",
                "It counts as stale after so long without a success. None: as if it were not said.",
                duration(MILLISECOND, Duration::MAX).or_none(),
                TaskOverride::expect_success_within,
            ),
            setting(
                "tags",
                "Words to find it by, instead of those that it has.",
                Texts(text(WORDS_BYTES_MAX)),
                TaskOverride::tags,
            ),
            setting(
                "metadata",
                "Facts about it, over those that it has.",
                Keyed(text(WORDS_BYTES_MAX)),
                |task: TaskOverride, facts| {
                    facts.into_iter().fold(task, |task, (key, value)| task.metadata(key, value))
                },
            ),
        ],
        former: &[
            ("name", "a task's name is what it is known by, and stands before the colon; drop it"),
            ("blocking", "whether a body blocks is known to its code alone; drop it"),
        ],
    }
}

/// The keys of which one at most says when a task runs.
pub(super) const SCHEDULES: [&str; 4] = ["schedule", "cron", "interval", "at"];

fn retry() -> Section<RetryParts> {
    let wait = || duration(Duration::ZERO, WAIT_MAX);
    Section {
        settings: vec![
            setting(
                "max_attempts",
                "How many attempts a run has, the first included.",
                whole::<u32>(1..=i64::from(ATTEMPTS_MAX)),
                |parts, attempts| RetryParts { max_attempts: Some(attempts), ..parts },
            ),
            setting("strategy", "How the waits grow.", word(Backoff::WORDS), |parts, strategy| RetryParts {
                strategy: Some(strategy),
                ..parts
            }),
            setting("wait_min", "The first wait, and the shortest.", wait(), |parts, wait| RetryParts {
                wait_min: Some(wait),
                ..parts
            }),
            setting("wait_max", "The longest wait.", wait(), |parts, wait| RetryParts {
                wait_max: Some(wait),
                ..parts
            }),
            setting(
                "multiplier",
                "By how much each wait is longer than the one before.",
                decimal(1.0..=100.0),
                |parts, factor| RetryParts { multiplier: Some(factor), ..parts },
            ),
            setting("jitter", "Whether waits are shortened at random, by half at most.", flag(), |parts, jitter| {
                RetryParts { jitter: Some(jitter), ..parts }
            }),
        ],
        former: &[("when", "a predicate is code, and stays as the task has it; drop it")],
    }
}

const PRESETS: &[(&str, RetryPolicy)] =
    &[("none", RetryPolicy::none()), ("default", RetryPolicy::standard()), ("aggressive", RetryPolicy::aggressive())];

/// A preset by its name, or parts that differ from the task's policy.
struct Retry;

impl Shape for Retry {
    type Value = RetryChange;

    fn read(&self, written: &Written<'_>, reader: &mut Reader<'_>) -> Option<RetryChange> {
        if matches!(written.value.kind, ValueKind::Table(_)) {
            return Some(RetryChange::parts(retry().read(written, reader, RetryParts::default())));
        }
        word(PRESETS).read(written, reader).map(RetryChange::preset)
    }

    fn schema(&self) -> Json {
        json!({ "anyOf": [word(PRESETS).schema(), retry().schema()] })
    }
}
