//! What a task declares about occurrences that cannot run as they fall due: overlap, misfire, delay, delivery.

use std::fmt;

/// What happens to an occurrence that falls due while its task is full: while `max_instances` of its runs are alive,
/// which is queued, running or waiting for a retry.
///
/// A run takes 2.5 periods, and `max_instances` is 1 (`━` a run, `×` recorded, `×(n)` recorded as covered by the
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
pub const BUFFERED_MAX: usize = 1_000;

/// What happens to occurrences that nobody could start in time: more than
/// [`misfire_grace`](crate::SchedulerConfig::misfire_grace) late, when the backend accepts them.
///
/// The scheduler was away from 2 to 4, and is back shortly before 5 (`━` a run, `×` recorded):
///
/// ```text
/// due       1     2     3     4     5     6
///           ━     ─ ─  away  ─ ─    ━     ━
/// RunOnce   ━     ×     ×       ━(4)━     ━      the newest runs and covers the others
/// Skip      ━     ×     ×     ×     ━     ━      none runs
/// RunAll    ━                 ━(2)━(3)━(4)━      each runs, the oldest first
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
