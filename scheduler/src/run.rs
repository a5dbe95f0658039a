//! A run: what an occurrence becomes, how it is named, and the one table of states it may pass through.
//!
//! Nothing here knows a clock, a task's body or a store. Invariant: a state changes only along [`RunState::may_become`].

use std::fmt;
use std::str::FromStr;

use symphra_scheduler_core::Timestamp;
use uuid::Uuid;

/// The name of one run: a UUID of version 7 (RFC 9562), so that ids sort by the millisecond in which they were made.
///
/// ```
/// use symphra_scheduler::{RunId, Timestamp};
///
/// let id = RunId::from_parts(Timestamp::from_millis(1_700_000_000_123), 7);
/// assert_eq!(id.as_uuid().get_version_num(), 7);
/// assert_eq!(id.to_string().parse::<RunId>()?, id);
/// assert!(id < RunId::from_parts(Timestamp::from_millis(1_700_000_000_124), 0));
/// # Ok::<(), symphra_scheduler::uuid::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Uuid);

impl RunId {
    /// The id made of an instant and 74 bits of `entropy`; what is above 74 bits is dropped.
    ///
    /// Instants before 1970 count as 1970: the layout has no room for a sign.
    #[must_use]
    pub fn from_parts(at: Timestamp, entropy: u128) -> Self {
        let bytes = entropy.to_be_bytes();
        let random: [u8; 10] = std::array::from_fn(|i| bytes[i + 6]);
        let millis = u64::try_from(at.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// When it was made, as it says itself: in its first 48 bits.
    #[cfg(any(feature = "postgres", feature = "rabbitmq", feature = "sqlite"))]
    pub(crate) fn made_at(self) -> Timestamp {
        let millis = u64::try_from(self.0.as_u128() >> 80).expect("48 bits are left");
        Timestamp::from_millis(i64::try_from(millis).expect("48 bits fit"))
    }

    /// The id as a [`Uuid`].
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl From<Uuid> for RunId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for RunId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The maker of run ids: one per engine, seeded by its caller.
#[derive(Debug)]
pub(crate) struct RunIds(fastrand::Rng);

impl RunIds {
    pub(crate) const fn new(random: fastrand::Rng) -> Self {
        Self(random)
    }

    pub(crate) fn next(&mut self, at: Timestamp) -> RunId {
        RunId::from_parts(at, self.0.u128(..))
    }
}

/// Why a run exists.
///
/// With the task and the instant it is the [`RunKey`], which is unique in a store.
///
/// ```
/// use symphra_scheduler::{Origin, interval, RunContext};
///
/// #[interval(hours = 1, run_on_start)]
/// async fn warm_up(run: RunContext) {
///     if run.origin() == Origin::Start {
///         println!("the first of this cluster");
///     }
/// }
///
/// assert_eq!(Origin::Schedule.to_string(), "schedule");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Origin {
    /// An occurrence of the task's schedule.
    Schedule,
    /// The start of a node, under `run_on_start`.
    Start,
    /// A trigger: the id is the run's own.
    Trigger(RunId),
    /// A backfill, by its id, which all its runs share.
    Backfill(RunId),
    /// A job that a program has enqueued: the id is the run's own.
    Job(RunId),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schedule => f.write_str("schedule"),
            Self::Start => f.write_str("start"),
            Self::Trigger(id) => write!(f, "trigger {id}"),
            Self::Backfill(id) => write!(f, "backfill {id}"),
            Self::Job(id) => write!(f, "job {id}"),
        }
    }
}

/// What makes two runs the same run: no store ever holds two with one key.
///
/// It is the same on every attempt, and after a restart, so that it may name what must be done once:
///
/// ```
/// use symphra_scheduler::{Origin, RunContext, RunKey, Timestamp, cron};
///
/// #[cron("0 3 1 * *")]
/// async fn charge(run: RunContext) {
///     println!("Idempotency-Key: {}", run.key());
/// }
///
/// let key = RunKey { task: "charge".parse()?, origin: Origin::Schedule, instant: Timestamp::from_millis(0) };
/// assert_eq!(key.to_string(), "charge/schedule/1970-01-01T00:00:00.000Z");
/// # Ok::<(), symphra_scheduler::TaskNameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunKey {
    /// The task's name.
    pub task: crate::TaskName,
    /// Why the run exists.
    pub origin: Origin,
    /// The nominal instant: `scheduled_at`.
    pub instant: Timestamp,
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.task, self.origin, self.instant)
    }
}

/// Where a run stands.
///
/// ```text
///             ┌─▶ retrying ──▶ cancelled
///             │      │
/// queued ──▶ running ◀┘ ──▶ succeeded │ failed │ timed_out │ cancelled │ abandoned
///   ▲ │         │
///   │ └─────────┼─────────▶ cancelled    (before it began)
///   └───────────┘                        (its node died or handed it back, or its task was paused before it began)
/// ```
///
/// `queued` is also a run that waits for its task or its group to have room. `abandoned` is the end of a run whose node
/// died, under `at_most_once`.
///
/// ```
/// use symphra_scheduler::RunState;
///
/// assert!(RunState::Running.may_become(RunState::Retrying));
/// assert!(RunState::TimedOut.is_final() && RunState::TimedOut.is_failure());
/// assert!(!RunState::Cancelled.is_failure(), "somebody asked for that");
/// assert_eq!(RunState::TimedOut.to_string(), "timed_out");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum RunState {
    /// Accepted; waits to be held by a node.
    Queued,
    /// Held by a node under a lease.
    Running,
    /// Its attempt failed; it waits for the instant of the next one.
    Retrying,
    /// Ended without an error.
    Succeeded,
    /// Ended with an error or a panic in its last attempt.
    Failed,
    /// Ended because its last attempt took longer than its timeout.
    TimedOut,
    /// Ended because it was cancelled.
    Cancelled,
    /// Ended because its node died, and it may not be executed twice.
    Abandoned,
}

impl RunState {
    /// All of them, in their order.
    pub(crate) const ALL: [Self; 8] = [
        Self::Queued,
        Self::Running,
        Self::Retrying,
        Self::Succeeded,
        Self::Failed,
        Self::TimedOut,
        Self::Cancelled,
        Self::Abandoned,
    ];

    /// Whether a run ended so because it did not succeed, and nobody asked for that.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut | Self::Abandoned)
    }

    /// Whether a run in this state may pass to `next`: the one table of transitions.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Queued | Self::Retrying => matches!(next, Self::Running | Self::Cancelled),
            Self::Running => !matches!(next, Self::Running),
            Self::Succeeded | Self::Failed | Self::TimedOut | Self::Cancelled | Self::Abandoned => false,
        }
    }

    /// Whether the run has ended: no transition leaves such a state.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running | Self::Retrying)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Abandoned => "abandoned",
        })
    }
}

/// The occurrences that a run stands for besides its own: those nobody could start in time.
///
/// ```
/// use symphra_scheduler::{RunContext, cron};
///
/// #[cron("0 * * * *")]
/// async fn sum_up(run: RunContext) {
///     match run.missed() {
///         Some(missed) => println!("this hour, and {} before it since {}", missed.count, missed.first),
///         None => println!("this hour"),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Missed {
    /// How many occurrences the run covers, its own not counted.
    pub count: u64,
    /// The first of them.
    pub first: Timestamp,
}

impl Missed {
    /// `count` occurrences, the first of them at `first`.
    #[must_use]
    pub const fn new(count: u64, first: Timestamp) -> Self {
        Self { count, first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_a_final_state() {
        for state in RunState::ALL {
            let leaves = RunState::ALL.iter().any(|&next| state.may_become(next));
            assert_eq!(leaves, !state.is_final(), "{state}");
        }
    }

    #[test]
    fn a_run_id_is_a_uuid_of_version_7_that_carries_its_millisecond() {
        let id = RunIds::new(fastrand::Rng::with_seed(7)).next(Timestamp::from_millis(1_700_000_000_123));
        assert_eq!(id.as_uuid().get_version_num(), 7);
        let (seconds, nanos) = id.as_uuid().get_timestamp().expect("version 7 has a time").to_unix();
        assert_eq!((seconds, nanos), (1_700_000_000, 123_000_000));
        assert_eq!(id.to_string().parse::<RunId>().expect("it reads back"), id);
    }

    #[test]
    fn ids_of_one_millisecond_differ() {
        let mut ids = RunIds::new(fastrand::Rng::with_seed(7));
        let made: std::collections::HashSet<_> = (0..10_000).map(|_| ids.next(Timestamp::from_millis(5))).collect();
        assert_eq!(made.len(), 10_000);
    }
}
