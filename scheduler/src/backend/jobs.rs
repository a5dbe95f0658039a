//! Jobs: runs that a program asks for, with arguments; and dead letters, which are jobs that have failed.
//!
//! Plain values. What a store promises about them is told at [`Backend::enqueue_jobs`](super::Backend::enqueue_jobs) and
//! the calls that follow it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::declared::TaskKey;
use crate::run::{RunId, RunState};

/// How many jobs of one task may wait: a backlog of days, and few enough that a store which is full of them still answers.
///
/// ```
/// use symphra_scheduler::backend::{Enqueued, JOBS_WAITING_MAX};
///
/// /// What a store answers to a job of a task of which so many wait.
/// fn answer(waiting: usize) -> Enqueued {
///     if waiting < JOBS_WAITING_MAX { Enqueued::Queued } else { Enqueued::TooMany }
/// }
///
/// assert_eq!(answer(99_999), Enqueued::Queued);
/// assert_eq!(answer(100_000), Enqueued::TooMany);
/// ```
pub const JOBS_WAITING_MAX: usize = 100_000;

/// The longest arguments of a job, as JSON: what is longer belongs into a store of its own, and its name into the job.
///
/// ```
/// use symphra_scheduler::backend::ARGUMENTS_BYTES_MAX;
///
/// let letter = "x".repeat(ARGUMENTS_BYTES_MAX);
/// let json = serde_json::to_string(&letter)?;
/// assert!(json.len() > ARGUMENTS_BYTES_MAX, "its quotation marks make it too long");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub const ARGUMENTS_BYTES_MAX: usize = 256 * 1024;

/// The longest key under which a job is unique: databases index it.
///
/// ```
/// use symphra_scheduler::backend::UNIQUE_KEY_BYTES_MAX;
///
/// let key = format!("order:{}", 4711);
/// assert!(key.len() <= UNIQUE_KEY_BYTES_MAX);
/// ```
pub const UNIQUE_KEY_BYTES_MAX: usize = 256;

/// How long a dead letter is kept.
///
/// ```
/// use symphra_scheduler::Timestamp;
/// use symphra_scheduler::backend::LETTERS_KEPT_FOR;
///
/// let died_at = Timestamp::from_millis(0);
/// assert_eq!(died_at.plus(LETTERS_KEPT_FOR).to_string(), "1970-01-31T00:00:00.000Z");
/// ```
pub const LETTERS_KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How many dead letters of one task are kept, the newest: a task that always fails must not fill its store.
///
/// ```
/// use symphra_scheduler::backend::{LETTERS_LISTED, LETTERS_MAX, LetterQuery, TaskKey};
///
/// let mut all = LetterQuery::of(TaskKey(1));
/// assert!(LETTERS_LISTED < LETTERS_MAX, "without a limit not all are listed");
/// all.limit = Some(LETTERS_MAX);
/// ```
pub const LETTERS_MAX: usize = 10_000;

/// How many dead letters are listed where nobody says how many: with their arguments all of them may be gigabytes.
///
/// ```
/// use symphra_scheduler::backend::{LETTERS_LISTED, LetterQuery, TaskKey};
///
/// let query = LetterQuery::of(TaskKey(1));
/// assert_eq!(query.limit.unwrap_or(LETTERS_LISTED), 1_000);
/// ```
pub const LETTERS_LISTED: usize = 1_000;

/// The arguments of a job. `Debug` shows how long they are: what stands in them may be anybody's secret.
///
/// ```
/// use symphra_scheduler::backend::JobArguments;
///
/// let arguments = JobArguments { version: 2, json: r#"{"to":"ada@example.com"}"#.into() };
/// assert_eq!(format!("{arguments:?}"), "JobArguments { version: 2, bytes: 24 }");
/// ```
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct JobArguments {
    /// The version of their type, counted from 1.
    pub version: u32,
    /// The arguments, as JSON.
    pub json: Arc<str>,
}

impl fmt::Debug for JobArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.json.len();
        f.debug_struct("JobArguments").field("version", &self.version).field("bytes", &bytes).finish()
    }
}

#[cfg(any(feature = "cli", feature = "dashboard"))]
impl JobArguments {
    /// The arguments as people may see them: what stands under a key that tells of a secret is hidden. A text, if they
    /// cannot be read as JSON.
    pub(crate) fn shown(&self) -> serde_json::Value {
        serde_json::from_str(&self.json).map_or_else(|_| self.json.to_string().into(), without_secrets)
    }
}

#[cfg(any(feature = "cli", feature = "dashboard"))]
fn without_secrets(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;

    match value {
        Value::Object(fields) => {
            let shown = fields.into_iter().map(|(key, field)| {
                let is_secret = crate::secret::is_secret(&key) && !field.is_null();
                let field = if is_secret { crate::secret::MASK.into() } else { without_secrets(field) };
                (key, field)
            });
            Value::Object(shown.collect())
        }
        Value::Array(items) => items.into_iter().map(without_secrets).collect(),
        Value::String(text) => crate::secret::shown("", &text).into_owned().into(),
        plain => plain,
    }
}

/// A job to be enqueued.
///
/// ```
#[doc = include_str!("example.md")]
/// use symphra_scheduler::backend::{Begin, Enqueued, JobArguments, NewJob};
///
/// let job = NewJob {
///     id,
///     task: report.key,
///     arguments: JobArguments { version: 1, json: "null".into() },
///     begin: Begin::Now,
///     priority: None,
///     unique: None,
/// };
/// assert_eq!(store.enqueue_jobs(&[job]).await?, [Enqueued::Queued]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct NewJob {
    /// The id of its run, chosen by the caller: by it a repeated call is recognised.
    pub id: RunId,
    /// Its task.
    pub task: TaskKey,
    /// What its task is called with.
    pub arguments: JobArguments,
    /// When it may begin.
    pub begin: Begin,
    /// Its priority, if it is not that of its task.
    pub priority: Option<i8>,
    /// Under what it is the only one.
    pub unique: Option<Unique>,
}

/// When a job may begin, on the store's clock.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::Timestamp;
/// use symphra_scheduler::backend::Begin;
///
/// let now = Timestamp::from_millis(60_000);
/// assert_eq!(Begin::Now.instant(now), now);
/// assert_eq!(Begin::After(Duration::from_secs(5)).instant(now), Timestamp::from_millis(65_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Begin {
    /// As soon as there is room.
    Now,
    /// Not before this instant.
    At(Timestamp),
    /// Not before so much time has passed.
    After(Duration),
}

impl Begin {
    /// The instant, given the store's present.
    #[must_use]
    pub fn instant(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Now => now,
            Self::At(at) => at,
            Self::After(delay) => now.plus(delay),
        }
    }
}

/// How many jobs one step is about: few enough that nobody waits long for it.
#[cfg(any(feature = "jobs", feature = "redis"))]
const STEP_MAX: usize = 1_000;

/// How many bytes of arguments go into one step, or come out of it, a single job apart: a store takes what it is sent as one value,
/// and has to say what it has within the time of a step, over a slow line too.
#[cfg(any(feature = "jobs", feature = "postgres", feature = "redis", feature = "sqlite"))]
pub(super) const STEP_BYTES_MAX: usize = 4 << 20;

/// Jobs in the order in which they come, in so many as one step is about.
#[cfg(any(feature = "jobs", feature = "redis"))]
pub(crate) fn in_steps(jobs: &[NewJob]) -> impl Iterator<Item = &[NewJob]> {
    let (mut count, mut bytes) = (1, 0);
    jobs.chunk_by(move |before, next| {
        count += 1;
        bytes += before.arguments.json.len();
        let fits = count <= STEP_MAX && bytes + next.arguments.json.len() <= STEP_BYTES_MAX;
        if !fits {
            (count, bytes) = (1, 0);
        }
        fits
    })
}

/// Under what a job is the only one of its task.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::backend::Unique;
///
/// // One welcome a day, also if the first has long been sent.
/// let once_a_day = Unique { key: "welcome:ada".into(), at_least: Some(Duration::from_secs(24 * 60 * 60)) };
/// // One at a time.
/// let one_at_a_time = Unique { key: "welcome:ada".into(), at_least: None };
/// assert_ne!(once_a_day, one_at_a_time);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Unique {
    /// While a job with this key is alive, there is no other.
    pub key: Arc<str>,
    /// For so long from when it was enqueued there is none either, whether or not it has ended.
    pub at_least: Option<Duration>,
}

/// What became of a [`NewJob`].
///
/// ```
/// use symphra_scheduler::RunId;
/// use symphra_scheduler::backend::Enqueued;
///
/// /// The run that does the work, if one does.
/// fn run_of(job: RunId, answer: Enqueued) -> Option<RunId> {
///     match answer {
///         Enqueued::Queued => Some(job),
///         Enqueued::Known(other) => Some(other),
///         Enqueued::TooMany | Enqueued::UnknownTask => None,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum Enqueued {
    /// It waits to be claimed.
    Queued,
    /// There is this one already, under its key.
    Known(RunId),
    /// [`JOBS_WAITING_MAX`] jobs of its task wait already, or the store can hold no more arguments.
    TooMany,
    /// The store knows no such task.
    UnknownTask,
}

/// Which dead letters to list, the last to die first.
///
/// ```
#[doc = include_str!("example.md")]
/// use symphra_scheduler::backend::LetterQuery;
///
/// assert!(store.dead_letters(&LetterQuery::of(report.key)).await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct LetterQuery {
    /// Only those of this task.
    pub task: Option<TaskKey>,
    /// Only the one of this run.
    pub id: Option<RunId>,
    /// At most this many; `None` is [`LETTERS_LISTED`].
    pub limit: Option<usize>,
}

impl LetterQuery {
    /// The letters of one task.
    #[must_use]
    pub fn of(task: TaskKey) -> Self {
        Self { task: Some(task), ..Self::default() }
    }
}

/// A job that has failed, as its store keeps it.
///
/// ```
/// use symphra_scheduler::backend::LetterRow;
///
/// fn line(letter: &LetterRow) -> String {
///     let why = letter.failure.as_deref().unwrap_or("no node has claimed it");
///     format!("{} died at {} after {} attempts: {why}", letter.id, letter.died_at, letter.attempt)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct LetterRow {
    /// Its task.
    pub task: TaskKey,
    /// Its run.
    pub id: RunId,
    /// What its task was called with.
    pub arguments: JobArguments,
    /// When it was to begin.
    pub scheduled_at: Timestamp,
    /// When it failed for good.
    pub died_at: Timestamp,
    /// How its run ended: failed, timed out or abandoned; cancelled if no node has claimed it.
    pub state: RunState,
    /// Its last attempt, counted from 1; 0 if there was none.
    pub attempt: u32,
    /// The error of its last attempt.
    pub failure: Option<Box<str>>,
}

#[cfg(all(test, any(feature = "jobs", feature = "redis")))]
mod tests {
    use super::*;

    #[test]
    fn jobs_go_together_as_long_as_they_are_few_and_short() {
        let job = |bytes: usize| NewJob {
            id: RunId::from_parts(Timestamp::MIN, 1),
            task: TaskKey(1),
            arguments: JobArguments { version: 1, json: "x".repeat(bytes).into() },
            begin: Begin::Now,
            priority: None,
            unique: None,
        };
        let sizes = |jobs: &[NewJob]| in_steps(jobs).map(<[NewJob]>::len).collect::<Vec<_>>();
        assert_eq!(sizes(&vec![job(10); 2_500]), [1_000, 1_000, 500]);
        let long = job(STEP_BYTES_MAX / 4);
        assert_eq!(sizes(&vec![long; 10]), [4, 4, 2]);
        assert_eq!(sizes(&[job(STEP_BYTES_MAX), job(STEP_BYTES_MAX), job(1)]), [1, 1, 1]);
        assert!(sizes(&[]).is_empty());
    }
}
