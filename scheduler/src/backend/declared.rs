//! A task as programs declare it, and where it stands as its store sees it.
//!
//! Plain values; [`Registered`] also says what follows from them alone, so that every store says the same.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::{TZDB_VERSION, Timestamp};

use super::record::{Reason, Record};
use crate::TaskName;
use crate::retention::Retention;
use crate::run::{RunId, RunState};
use crate::schedule::{Delivery, Overlap, Plan, Timetable};

/// A task as the store knows it: cheap to send and to look up.
///
/// ```
#[doc = include_str!("example.md")]
/// use symphra_scheduler::backend::TaskKey;
///
/// assert_eq!(store.look(&[report.key]).await?[0].key, report.key);
/// assert!(store.look(&[TaskKey(u64::MAX)]).await?.is_empty(), "the store has given that key to none");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct TaskKey(pub u64);

/// Who holds runs, and for how long after its last heartbeat.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::backend::Holder;
///
/// let node = Holder::new("host-7", Duration::from_secs(30));
/// assert_eq!(node.silence_max(), Duration::from_secs(6));
/// let hasty = Holder::new("host-8", Duration::from_secs(12));
/// assert_eq!(hasty.silence_max(), Duration::from_secs(4));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The node, one name for each start of a scheduler: a restarted node is another holder.
    pub node: Arc<str>,
    /// How long after a heartbeat the node's runs stay its own.
    pub lease: Duration,
    /// The version of the tz database by which it fires, e.g. `2026a`.
    pub tzdb: &'static str,
}

/// The longest silence that any node may keep. Short beside the shortest lease that a program may ask for, which is 10 s: an
/// outage that no node with a long lease notices must not end a short one.
const SILENCE_MAX: Duration = Duration::from_secs(6);

impl Holder {
    /// The node `node`, which fires by the tz database of this program.
    #[must_use]
    pub fn new(node: impl Into<Arc<str>>, lease: Duration) -> Self {
        Self { node: node.into(), lease, tzdb: TZDB_VERSION }
    }

    /// The longest silence between two heartbeats that does not break the holder's contact with its store: a third of its
    /// lease, and six seconds at most. A node beats twice in that time.
    ///
    /// The lease of a node that beats again as soon as it can does then not end in an outage that breaks nobody's contact:
    /// half a silence before it, the outage, and half a silence after it are shorter than a lease.
    #[must_use]
    pub fn silence_max(&self) -> Duration {
        (self.lease / 3).min(SILENCE_MAX)
    }
}

/// The version of a tz database as it stands in this program: its own, or another that it has been told of.
#[cfg(feature = "rabbitmq")]
pub(super) fn known_tzdb(version: &str) -> &'static str {
    use std::sync::{Mutex, PoisonError};
    /// Versions are few; whoever sends others has no claim to this process's memory.
    const OTHERS_MAX: usize = 64;
    static OTHERS: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    if version == TZDB_VERSION {
        return TZDB_VERSION;
    }
    let mut others = OTHERS.lock().unwrap_or_else(PoisonError::into_inner);
    match others.iter().find(|&&known| known == version) {
        Some(known) => known,
        None if others.len() < OTHERS_MAX => {
            let kept: &'static str = String::from(version).leak();
            others.push(kept);
            kept
        }
        None => "another",
    }
}

/// A task to be made known.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use symphra_scheduler::backend::{Backend, Holder, MemoryBackend, Registration, TaskRules};
/// use symphra_scheduler::chrono_tz::Tz;
/// use symphra_scheduler::{Schedule, Timetable};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let report = Registration {
///     name: "report".parse()?,
///     timetable: Arc::new(Timetable::new(Schedule::cron("0 9 * * *")?, Tz::Europe__Paris)),
///     rules: TaskRules { priority: 10, ..TaskRules::default() },
/// };
/// let node = Holder::new("host-7", Duration::from_secs(30));
/// let registered = MemoryBackend::new().register(&node, &[report]).await?;
/// assert_eq!(registered[0].mark, registered[0].anchor, "a new task has missed nothing");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Registration {
    /// The task's name.
    pub name: TaskName,
    /// Its occurrences, as the program declares them. If it has but one instant, the mark is at first sight put before
    /// it, so that it is accounted for although it may be past.
    pub timetable: Arc<Timetable>,
    /// What the store has to heed about its runs.
    pub rules: TaskRules,
}

/// A task that a node gives up.
///
/// ```
#[doc = include_str!("example.md")]
/// use symphra_scheduler::backend::Unregistration;
///
/// store.unregister(&node, &[Unregistration { task: report.key, version: report.version }]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Unregistration {
    /// The task.
    pub task: TaskKey,
    /// The [version](Registered::version) of the store when the node gave it up, as far as it knew: what the node has
    /// registered later is not meant, however late this comes.
    pub version: u64,
}

/// What a store has to heed about the runs of a task.
///
/// ```
/// use symphra_scheduler::Overlap;
/// use symphra_scheduler::backend::TaskRules;
///
/// let rules = TaskRules { overlap: Overlap::BufferOne, pause_after: Some(5), ..TaskRules::default() };
/// assert_eq!(rules.alive_max, Some(1));
/// assert!(!rules.disabled);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct TaskRules {
    /// How many runs may be alive at once; `None` is no limit.
    pub alive_max: Option<u32>,
    /// What becomes of an occurrence while that many are.
    pub overlap: Overlap,
    /// Whether a run whose holder's lease ran out is executed again.
    pub delivery: Delivery,
    /// Which waiting runs are claimed first: the higher.
    pub priority: i8,
    /// The group with whose runs it shares a limit.
    pub group: Option<Group>,
    /// After this many occurrences have become runs there are none any more.
    pub max_runs: Option<u64>,
    /// After this many runs that failed in a row the task is paused.
    pub pause_after: Option<u32>,
    /// Whether the task is paused by declaration.
    pub disabled: bool,
    /// Whether the first live node that knows the task is told so.
    pub run_on_start: bool,
    /// The newest version of arguments that the node reads of its jobs; 0 if it has none.
    pub reads: u32,
    /// How much of its history is kept; one value for all tasks of a program.
    pub retention: Arc<Retention>,
}

impl Default for TaskRules {
    /// One run at a time, at least once; an occurrence that overlaps is recorded.
    fn default() -> Self {
        Self {
            alive_max: Some(1),
            overlap: Overlap::Skip,
            delivery: Delivery::AtLeastOnce,
            priority: 0,
            group: None,
            max_runs: None,
            pause_after: None,
            disabled: false,
            run_on_start: false,
            reads: 0,
            retention: Arc::default(),
        }
    }
}

/// Tasks of which only some may run at once.
///
/// ```
/// use symphra_scheduler::backend::{Group, TaskRules};
///
/// let reports = Group { name: "reports".into(), max: 2 };
/// let rules = TaskRules { group: Some(reports), ..TaskRules::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Group {
    /// Its name.
    pub name: Arc<str>,
    /// How many runs of all its tasks may be held at once.
    pub max: u32,
}

/// A task that is known, as its store sees it.
///
/// ```
/// use std::sync::Arc;
/// use symphra_scheduler::backend::{Registered, TaskKey};
/// use symphra_scheduler::chrono_tz::Tz;
/// use symphra_scheduler::{Reason, Schedule, TaskName, Timestamp, Timetable};
///
/// let hourly = Timetable::new(Schedule::cron("0 * * * *")?, Tz::UTC);
/// let registered = Registered::at_first_sight(TaskKey(1), Arc::new(hourly), Timestamp::from_millis(0));
/// assert!(!registered.is_exhausted());
///
/// // Three hours later another schedule takes its place, and nothing has fired.
/// let later = Timestamp::from_millis(3 * 60 * 60 * 1_000);
/// let owed = registered.owed(&TaskName::new("report")?, later).expect("it owes something");
/// assert_eq!((owed.reason, owed.count), (Reason::Rescheduled, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Registered {
    /// Its key in this store.
    pub key: TaskKey,
    /// The number of the store's last change when this was seen: what comes late by another way is older.
    pub version: u64,
    /// The last instant that has fired; at first sight the store's present, or what lies just before its only instant.
    pub mark: Timestamp,
    /// If the store's clock was set back behind the mark: up to which instant occurrences are recorded that it has shown
    /// again, or that a timetable put in place since then has. Those from there to the mark are still to be.
    pub behind: Option<Timestamp>,
    /// The instant of the first registration, from which an interval without `start` counts.
    pub anchor: Timestamp,
    /// The occurrences that count: those declared last, or what an operator has put in their place since.
    pub timetable: Arc<Timetable>,
    /// From when on they count; [`Timestamp::MIN`] if they always have.
    pub since: Timestamp,
    /// Why no occurrence becomes a run, if that is so.
    pub pause: Option<Pause>,
    /// When the last pause ended: what had fallen due until then is recorded and not caught up.
    pub resumed_at: Option<Timestamp>,
    /// When the last scheduled run ended, or the last occurrence was recorded: from there a fixed delay counts.
    pub last_end: Option<Timestamp>,
    /// The scheduled run that is alive, the oldest.
    pub alive: Option<RunId>,
    /// How the run ended that ended last, of those that are kept.
    pub latest: Option<RunState>,
    /// How many occurrences have become runs.
    pub runs: u64,
    /// How many may, by the rules declared last.
    pub max_runs: Option<u64>,
    /// In the answer to a registration: no other live node knows the task, and its rules ask for a run then.
    pub run_on_start: bool,
    /// In the answer to what has put another timetable in the place of one that still owed something: what it owed,
    /// which is recorded.
    pub ended: Option<Box<Record>>,
}

impl Registered {
    /// A task as it stands when it is seen for the first time, at `now`.
    #[must_use]
    pub fn at_first_sight(key: TaskKey, timetable: Arc<Timetable>, now: Timestamp) -> Self {
        let mark = timetable.only().map_or(now, |only| now.min(only.minus(Duration::from_millis(1))));
        Self {
            key,
            version: 0,
            mark,
            behind: None,
            anchor: now,
            timetable,
            since: Timestamp::MIN,
            pause: None,
            resumed_at: None,
            last_end: None,
            alive: None,
            latest: None,
            runs: 0,
            max_runs: None,
            run_on_start: false,
            ended: None,
        }
    }

    /// Whether as many occurrences have become runs as may: then there are no others.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.max_runs.is_some_and(|max| self.runs >= max)
    }

    /// What becomes of the occurrences of the task `name` that fell due up to `until` and have not fired, if another
    /// timetable takes the place of this one then: they end with it. A backend records this in the step that changes the
    /// timetable; later nobody could.
    ///
    /// There are none after the last run that the task may have, and none of a fixed delay: its instant is never missed,
    /// only late, and the next is told by the new one.
    #[must_use]
    pub fn owed(&self, name: &TaskName, until: Timestamp) -> Option<Record> {
        let plan = Plan::new(Arc::clone(&self.timetable), name.as_str(), self.anchor, self.since);
        if self.is_exhausted() || plan.fixed_delay().is_some() {
            return None;
        }
        let after = self.behind.unwrap_or(self.mark);
        let first = plan.next(after).filter(|&first| plan.due(first) <= until)?;
        let last = plan.newest_due(first, until);
        let count = plan.count(after, last);
        Some(Record::span(Reason::Rescheduled, first, last, count))
    }
}

/// Why no occurrence of a task becomes a run.
///
/// ```
/// use symphra_scheduler::{Pause, Timestamp};
///
/// let pause = Pause { by: "ada".into(), reason: Some("stocktaking".into()), since: Timestamp::from_millis(0) };
/// assert_eq!(pause.to_string(), "paused by ada since 1970-01-01T00:00:00.000Z: stocktaking");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Pause {
    /// Who or what paused it.
    pub by: Arc<str>,
    /// Why, if it was said.
    pub reason: Option<Arc<str>>,
    /// Since when.
    pub since: Timestamp,
}

impl Pause {
    /// That of a task whose declaration says that it is not enabled, since it does.
    #[must_use]
    pub fn declared(since: Timestamp) -> Self {
        Self { by: Arc::from("its declaration (enabled = false)"), reason: None, since }
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "paused by {} since {}", self.by, self.since)?;
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}
