//! What a task declares about occurrences that cannot run as they fall due: overlap, misfire, delay, delivery.

use std::fmt;

/// What happens to an occurrence that falls due while its task is full: while `max_instances` of its runs are alive,
/// which is queued, running or waiting for a retry.
///
/// A run takes a little over 2.5 periods, and `max_instances` is 1 (`━` a run, `×` recorded, `×(n)` recorded as covered by the
/// run of n, `w` waits, `!` asked to cancel):
///
/// ```text
/// due            1     2     3     4     5     6     7
/// Skip           ━━━━━━━━━━━━━━━   ━━━━━━━━━━━━━━━   ━━━
///                      ×     ×           ×     ×
/// BufferOne      ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
///                      w     ×(2)  w     ×(4)  ×(4)  w        one waits and covers those after it
/// BufferAll      ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
///                      w     w     w     w     w     w        1,000 wait at most
/// CancelRunning  ━━━━━!━━━━━!━━━━━!━━━━━!━━━━━!━━━━━!━━━      the newest is what runs
/// Allow          ━━━━━━━━━━━━━━━
///                      ━━━━━━━━━━━━━━━
///                            ━━━━━━━━━━━━━━━                  and so on: every occurrence runs
/// ```
///
/// ```
/// use symphra_scheduler::{Overlap, Schedule, Task};
///
/// let import = Task::new("import", Schedule::cron("*/5 * * * *")?, async || {}).overlap(Overlap::BufferOne);
/// assert_eq!(Overlap::BufferOne.to_string(), "buffer_one"); // as it is written in an attribute
/// # Ok::<(), symphra_scheduler::CronError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Overlap {
    /// The occurrence is recorded and does not run.
    #[default]
    Skip,
    /// One waits until the task has room; the next are recorded as covered by it.
    BufferOne,
    /// Each waits its turn, [`BUFFERED_MAX`] at most; what is beyond is recorded.
    BufferAll,
    /// The oldest run is cancelled, and the occurrence starts when it has ended. A second one that arrives meanwhile
    /// replaces the one that waits, which ends as cancelled.
    CancelRunning,
    /// It runs beside the others, without limit: `max_instances` beside it is a contradiction.
    Allow,
}

/// How many occurrences of a task wait under [`Overlap::BufferAll`]: what is more is a task that will never catch up.
///
/// ```
/// use symphra_scheduler::{BUFFERED_MAX, Overlap};
///
/// assert_eq!(BUFFERED_MAX, 1_000);
/// assert_eq!(Overlap::BufferAll.to_string(), "buffer_all");
/// ```
pub const BUFFERED_MAX: usize = 1_000;

/// What happens to occurrences that nobody could start in time: more than
/// [`misfire_grace`](crate::SchedulerConfig::misfire_grace) late, when the backend accepts them.
///
/// The scheduler was away from 2 to 4, and is back shortly before 5 (`━` a run, `━(4)` that of 4, late; `×` recorded):
///
/// ```text
/// due       1     2     3     4     5     6
///           ━     ─ ─  away  ─ ─    ━     ━
/// RunOnce   ━     ×     ×       ━(4)━     ━      the newest runs and covers the others
/// Skip      ━     ×     ×     ×     ━     ━      none runs
/// RunAll    ━               ━(2,3,4)━     ━      each runs, the oldest first
/// ```
///
/// ```
/// use symphra_scheduler::{Misfire, Overlap, Schedule, Task};
///
/// let invoices = Task::new("invoices", Schedule::cron("0 6 * * *")?, async || {})
///     .misfire(Misfire::RunAll)
///     .overlap(Overlap::BufferAll);
/// # Ok::<(), symphra_scheduler::CronError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Misfire {
    /// The newest becomes a run, the others are recorded as covered by it;
    /// [`RunContext::missed`](crate::RunContext::missed) tells how many and since when.
    #[default]
    RunOnce,
    /// None becomes a run.
    Skip,
    /// Each becomes a run, the oldest first: those of the last day (see `catch_up_window`), the newest [`CAUGHT_UP_MAX`]
    /// at most. Needs [`Overlap::BufferAll`] or [`Overlap::Allow`], since others would drop most of them again.
    RunAll,
}

/// How many missed occurrences become runs under [`Misfire::RunAll`].
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::CAUGHT_UP_MAX;
///
/// // A task of every second that was away for an hour catches up the last of these.
/// let missed = Duration::from_secs(60 * 60).as_secs();
/// assert_eq!(missed.saturating_sub(CAUGHT_UP_MAX), 2_600, "those are recorded as too many");
/// ```
pub const CAUGHT_UP_MAX: u64 = 1_000;

/// From where the next instant of an interval counts.
///
/// A run takes 1.5 periods:
///
/// ```text
///             0     1     2     3     4     5     6
/// FixedRate         ━━━━━━━━━   ━━━━━━━━━   ━━━━━━━━━    on the grid; 2 and 4 are overlaps
/// FixedDelay        ━━━━━━━━━      ━━━━━━━━━      ━━━    one period after the end of the last run
/// ```
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::{Delay, Schedule, Task};
///
/// let poll = Task::new("poll", Schedule::interval(Duration::from_secs(10))?, async || {}).delay(Delay::FixedDelay);
/// # Ok::<(), symphra_scheduler::IntervalError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Delay {
    /// A fixed grid, whatever a run takes.
    #[default]
    FixedRate,
    /// The end of the last scheduled run, all its attempts, plus the period. It is never missed, only late, and never
    /// overlaps itself: `misfire`, `catch_up_window`, `overlap` and `max_instances` have no meaning beside it.
    FixedDelay,
}

/// How often a run may be executed when its node dies.
///
/// ```text
/// AtLeastOnce   ━━━━┊ node dies   ━━━━━━━   on another node, or after a restart
/// AtMostOnce    ━━━━┊ node dies             ends as abandoned
/// ```
///
/// ```
/// use symphra_scheduler::{Delivery, Schedule, Task};
///
/// let charge = Task::new("charge", Schedule::cron("0 3 1 * *")?, async || {}).delivery(Delivery::AtMostOnce);
/// # Ok::<(), symphra_scheduler::CronError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Delivery {
    /// It is executed again, from the start: bodies should be idempotent.
    #[default]
    AtLeastOnce,
    /// It is not: one attempt, and `retry` beside it is a contradiction.
    AtMostOnce,
}

macro_rules! words {
    ($($of:ident: $($variant:ident = $word:literal),+;)+) => {
        $(
            impl $of {
                /// Every word, and what it stands for.
                #[cfg(feature = "config")]
                pub(crate) const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];
            }

            /// As it is written in an attribute.
            impl fmt::Display for $of {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(match self {
                        $(Self::$variant => $word,)+
                    })
                }
            }
        )+
    };
}

words! {
    Overlap: Skip = "skip", BufferOne = "buffer_one", BufferAll = "buffer_all", CancelRunning = "cancel_running",
        Allow = "allow";
    Misfire: RunOnce = "run_once", Skip = "skip", RunAll = "run_all";
    Delay: FixedRate = "fixed_rate", FixedDelay = "fixed_delay";
    Delivery: AtLeastOnce = "at_least_once", AtMostOnce = "at_most_once";
}
