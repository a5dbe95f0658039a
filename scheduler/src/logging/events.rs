//! Every event that the engine writes, with its stable name: the one place that writes them to `tracing`.
//!
//! A name, a level and the names of fields are promises to those who filter and alert; the table in the book is held
//! equal to this list by a test. Messages may change.
//!
//! Nothing here allocates or formats before somebody listens.

use std::fmt::Display;

use tracing::Level;

use super::adapter::{LogEvent, LogValue, LoggerAdapter};

/// The target of the engine's events and of the span `run`: what a filter names.
///
/// ```
/// use symphra_scheduler::logging::TARGET;
///
/// // What a filter of `tracing-subscriber` names.
/// let directive = format!("{TARGET}=debug");
/// assert_eq!(directive, "symphra_scheduler=debug");
/// ```
pub const TARGET: &str = "symphra_scheduler";

/// The name of the span of one attempt.
pub(super) const RUN_SPAN: &str = "run";

/// An event that the engine can write, as it stands in [`EVENTS`].
///
/// ```
/// use symphra_scheduler::logging::{EVENTS, Level};
///
/// let paused = EVENTS.iter().find(|event| event.name == "task.paused").expect("its name is stable");
/// assert_eq!(paused.level, Level::INFO);
/// assert!(paused.fields.contains(&"task"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownEvent {
    /// Its stable name, such as `task.paused`.
    pub name: &'static str,
    /// Its level. That of `run.succeeded` may be raised by
    /// [`LoggingConfig::task_success`](super::LoggingConfig::task_success), that of `run.died` is for several deaths.
    pub level: Level,
    /// What is said; it may change between versions.
    pub message: &'static str,
    /// The names of its fields. One that does not apply may be left out.
    pub fields: &'static [&'static str],
}

/// The type of a field: `text` is a string, `count` an integer, `number` a fraction, `shown` what displays itself,
/// `maybe` the same or nothing.
macro_rules! kind {
    (text) => { &'a str };
    (count) => { u64 };
    (number) => { f64 };
    (shown) => { &'a (dyn Display + 'a) };
    (maybe) => { Option<&'a (dyn Display + 'a)> };
}

/// A field as `tracing` takes it.
macro_rules! traced_value {
    (shown $field:ident) => {
        tracing::field::display($field)
    };
    (maybe $field:ident) => {
        $field.map(tracing::field::display)
    };
    ($kind:ident $field:ident) => {
        *$field
    };
}

/// A field as an adapter takes it.
macro_rules! told_value {
    (text $field:ident) => {
        Some(LogValue::Text($field))
    };
    (count $field:ident) => {
        Some(LogValue::Count(*$field))
    };
    (number $field:ident) => {
        Some(LogValue::Number(*$field))
    };
    (shown $field:ident) => {
        Some(LogValue::Shown(*$field))
    };
    (maybe $field:ident) => {
        $field.map(LogValue::Shown)
    };
}

/// Writes to `tracing`. A level is part of a callsite, so an event that may be raised has two.
macro_rules! traced {
    ([] $raise:ident $($event:tt)+) => { traced!(@ $($event)+) };
    ([$raised:ident] $raise:ident $name:literal $level:ident $message:literal $fields:tt) => {
        if $raise {
            traced!(@ $name $raised $message $fields)
        } else {
            traced!(@ $name $level $message $fields)
        }
    };
    (@ $name:literal $level:ident $message:literal { $($field:ident: $kind:ident),* }) => {
        tracing::event!(
            name: $name,
            target: TARGET,
            Level::$level,
            // Formatters print the fields of an event and not its name, so that the name is one of them too.
            { event = $name $(, $field = traced_value!($kind $field))* },
            $message
        )
    };
}

macro_rules! events {
    ($(
        $(#[doc = $doc:literal])+
        $entry:ident = $name:literal, $level:ident $(or $raised:ident)?, $message:literal,
        { $($field:ident: $kind:ident),* };
    )+) => {
        /// Something to be written to the log.
        #[derive(Clone, Copy)]
        #[cfg_attr(
            not(all(unix, feature = "cli", feature = "logging")),
            expect(dead_code, reason = "some are said of a configuration, a command, its socket or a log file alone")
        )]
        pub(crate) enum Entry<'a> {
            $($(#[doc = $doc])+ $entry { $($field: kind!($kind)),* },)+
        }

        /// Every event that the engine can write.
        ///
        /// ```
        /// use symphra_scheduler::logging::{EVENTS, Level};
        ///
        /// for event in EVENTS.iter().filter(|event| event.level <= Level::WARN) {
        ///     println!("{}: {}, with {:?}", event.name, event.message, event.fields);
        /// }
        /// assert!(EVENTS.iter().any(|event| event.name == "task.paused"));
        /// ```
        pub const EVENTS: &[KnownEvent] = &[$(
            KnownEvent { name: $name, level: Level::$level, message: $message, fields: &[$(stringify!($field)),*] },
        )+];

        impl Entry<'_> {
            /// Writes it to `tracing`; `raise` is whether to do so at the higher of two levels.
            pub(super) fn trace(&self, raise: bool) {
                match self {
                    $(Self::$entry { $($field),* } => {
                        traced!([$($raised)?] raise $name $level $message { $($field: $kind),* });
                    })+
                }
            }

            /// Tells an adapter, if it wants the level.
            pub(super) fn tell(&self, adapter: &dyn LoggerAdapter, raise: bool) {
                match self {
                    $(Self::$entry { $($field),* } => {
                        let level = None $(.or(raise.then_some(Level::$raised)))?;
                        let level = level.unwrap_or(Level::$level);
                        if adapter.enabled(level) {
                            let fields = [$((stringify!($field), told_value!($kind $field))),*];
                            adapter.log(&LogEvent { name: $name, level, message: $message, fields: &fields });
                        }
                    })+
                }
            }
        }
    };
}

events! {
    /// The tasks are registered, and fire from now on.
    SchedulerStarted = "scheduler.started", INFO, "scheduler started", { node: text, tasks: count, backend: text };
    /// Something about the settings that a person should know at start.
    SchedulerNoted = "scheduler.noted", WARN, "to be known at start", { node: text, note: text };
    /// A stop was asked for; `how` is `drain` or `now`.
    SchedulerStopping = "scheduler.stopping", INFO, "scheduler is stopping", { node: text, how: text };
    /// A stop is over.
    SchedulerStopped = "scheduler.stopped", INFO, "scheduler stopped", { node: text, cancelled: count, unstored: count };
    /// A defect of ours: the engine has ended by a panic.
    SchedulerFailed = "scheduler.failed", ERROR, "the engine panicked, and nothing fires any more",
        { node: text, error: shown };
    /// A task was registered while the scheduler ran.
    TaskRegistered = "task.registered", INFO, "task registered", { task: text };
    /// A task was unregistered.
    TaskUnregistered = "task.unregistered", INFO, "task unregistered", { task: text };
    /// A task was paused; by whom and why is in `pause`.
    TaskPaused = "task.paused", INFO, "task paused", { task: text, pause: shown };
    /// The pause of a task has ended.
    TaskResumed = "task.resumed", INFO, "task resumed", { task: text };
    /// Another schedule counts for a task.
    TaskRescheduled = "task.rescheduled", INFO, "task rescheduled", { task: text, schedule: shown };
    /// A run has succeeded.
    RunSucceeded = "run.succeeded", DEBUG or INFO, "run succeeded",
        { task: text, run_id: shown, attempt: count, duration_ms: number };
    /// An attempt has ended by an error or a panic.
    AttemptFailed = "attempt.failed", ERROR, "attempt failed",
        { task: text, run_id: shown, attempt: count, duration_ms: number, error: text };
    /// An attempt was not over at its timeout.
    AttemptTimedOut = "attempt.timed_out", ERROR, "attempt timed out",
        { task: text, run_id: shown, attempt: count, duration_ms: number };
    /// A run that executed was cancelled.
    RunCancelled = "run.cancelled", WARN, "run cancelled",
        { task: text, run_id: shown, attempt: count, duration_ms: number, cause: shown };
    /// A run has ended by the death of its node, which `node` names. It was abandoned, or, at ERROR, it has failed because
    /// several have died: it may be what kills them.
    RunDied = "run.died", WARN or ERROR, "a run has ended by the death of its node",
        { task: text, run_id: shown, attempt: count, state: shown, deaths: count, node: text };
    /// Another attempt follows one that has failed.
    RunRetrying = "run.retrying", WARN, "run is tried again",
        { task: text, run_id: shown, attempt: count, next_at: shown, error: text };
    /// The body of a cancelled run panicked in its destructors.
    DropPanicked = "attempt.drop_panicked", ERROR, "the body of a cancelled run panicked while it was dropped",
        { task: text, run_id: shown, error: text };
    /// What a body threw panicked in its own destructor.
    PayloadPanicked = "attempt.payload_panicked", ERROR, "the payload of a panic panicked while it was dropped",
        { task: text, run_id: shown };
    /// Nobody could start occurrences in time.
    OccurrencesMissed = "occurrences.missed", WARN, "occurrences were missed",
        { task: text, count: count, reason: shown, first: shown, last: shown };
    /// Occurrences did not run, for another reason.
    OccurrencesRecorded = "occurrences.recorded", DEBUG, "occurrences did not run",
        { task: text, count: count, reason: shown, first: shown, last: shown };
    /// A task wants a run at start, and its overlap policy refuses it.
    StartRunRefused = "start_run.refused", INFO, "no run on start", { task: text, refusal: shown };
    /// A task wants a run at start, and the store did not take it.
    StartRunFailed = "start_run.failed", WARN, "the run on start could not be submitted", { task: text, error: shown };
    /// The store's clock was set forward, or the machine was suspended whose clock it is.
    ClockForward = "clock.forward", WARN,
        "the clock was set forward or the machine was suspended; what was passed over is a misfire", { by: shown };
    /// The store's clock was set back.
    ClockBack = "clock.back", WARN,
        "the clock was set back; what it shows a second time is recorded and not fired again", { by: shown };
    /// The node's clock is more than a second off from the store's. Said once, until it agrees again.
    ClockDiffers = "clock.differs", WARN, "the node's clock is off from the store's, by which the node goes",
        { offset_ms: number };
    /// The node's clock is less than half a second off from the store's again.
    ClockAgrees = "clock.agrees", INFO, "the node's clock agrees with the store's again", { offset_ms: number };
    /// Another node goes by another version of the tz database: where a zone's rules differ, so do occurrences.
    ZonesDiffer = "zones.differ", WARN, "another node has another tz database; give all nodes one version of the program",
        { tzdb: text, other: text, others: text };
    /// The store does not answer. Said once, until it answers again.
    StoreUnreachable = "store.unreachable", WARN, "the store cannot be reached; it is asked until it answers",
        { error: shown, cause: maybe };
    /// The store answers again.
    StoreReachable = "store.reachable", INFO, "the store answers again", { away: shown };
    /// The store has not answered for so long that other nodes may take over this one's runs.
    LeaseLost = "lease.lost", WARN,
        "the store has not answered for nearly a lease; other nodes may soon take over the runs of this one, which are told",
        {};
    /// Other nodes have taken over runs of this one.
    RunsLost = "runs.lost", WARN, "others have taken over runs while this node was cut off; they are cancelled here",
        { runs: count };
    /// Runs of a dead node execute here.
    RunsTakenOver = "runs.taken_over", WARN, "runs of a dead node were taken over", { runs: count };
    /// Another node had taken runs over before their ends were stored, or they were stored already.
    RunsStale = "runs.stale", WARN, "the ends of runs were stale: others had taken them over, or they were stored already",
        { runs: count };
    /// The overrides of tasks were read again; `tasks` are those that changed, perhaps none.
    ConfigReloaded = "config.reloaded", INFO, "the overrides were read again", { tasks: text };
    /// Settings that count from the next start on were changed since the program started; `keys` are those.
    ConfigNeedsRestart = "config.needs_restart", WARN, "settings were changed that count from the next start on",
        { keys: text };
    /// What was read again is wrong, or could not be stored.
    ConfigRefused = "config.refused", ERROR, "the overrides stay as they were", { error: shown };
    /// SIGHUP has come, and there is nothing to read again.
    ConfigNotRead = "config.not_read", WARN, "there are no overrides to read again: no file and no environment was read", {};
    /// A command asks for a change, through the control socket.
    ControlAsked = "control.asked", INFO, "a command asks for a change", { actor: text, change: text };
    /// What somebody asked for could not be kept in the audit log of the store.
    ControlNotNoted = "control.not_noted", WARN, "what was asked for is not in the audit log", { actor: text, error: shown };
    /// A process of another user has come to the control socket, and got no answer.
    ControlRefused = "control.refused", WARN, "another user was refused at the control socket", { actor: text };
    /// The control socket could not be opened, accept, answer or be removed.
    ControlFailed = "control.failed", WARN, "the control socket has failed", { error: shown };
    /// Lines of the log file were lost. It stands in that file alone; an adapter is not told.
    LogLost = "log.lost", WARN, "lines of the log were lost: the disk did not keep up, or could not be written",
        { lines: count, total: count };
    /// In the foreground: what a terminal would show cannot be written.
    OutputClosed = "output.closed", DEBUG, "standard output is closed", {};
}

impl Entry<'_> {
    /// Whether it is written at the higher of its two levels, if it has two.
    pub(super) const fn is_raised(&self, task_success: bool) -> bool {
        match self {
            Self::RunDied { deaths, .. } => *deaths > 1,
            _ => task_success,
        }
    }
}

/// The span of one attempt, in which its body and what is said of its end stand.
pub(crate) fn run_span(
    task: &str,
    run_id: &dyn Display,
    scheduled_at: &dyn Display,
    attempt: u32,
    node: &str,
) -> tracing::Span {
    tracing::info_span!(
        target: TARGET,
        RUN_SPAN,
        task,
        run_id = tracing::field::display(run_id),
        scheduled_at = tracing::field::display(scheduled_at),
        attempt,
        node
    )
}
