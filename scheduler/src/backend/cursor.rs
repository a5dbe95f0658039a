//! Places in the list of runs, which is turned page by page while runs come, end and go.
//!
//! A place says where its run stands, and not which page it is on: it is good as long as its store is there, although its run
//! ends, or is kept no more. Invariant: a place that was written reads back as the same.

use std::fmt;
use std::str::FromStr;

use symphra_scheduler_core::Timestamp;

use super::rows::RunRow;
use crate::run::RunId;

/// A place in the list of runs, behind which its next page begins.
///
/// Stores make it; who lists runs hands back what a page came with, with
/// [`RunFilter::after`](crate::RunFilter::after). It is written as one word that an address may have as it is, and read back by
/// [`FromStr`]; what it consists of is for backends.
///
/// ```
/// use symphra_scheduler::RunCursor;
///
/// let cursor: RunCursor = "ended.412".parse()?;
/// assert_eq!(cursor.to_string(), "ended.412");
/// let wrong = "page 2".parse::<RunCursor>().unwrap_err();
/// assert!(wrong.to_string().contains("\"page 2\" is no place in the list of runs"));
/// # Ok::<(), symphra_scheduler::RunCursorError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub enum RunCursor {
    /// Among the runs that were alive when the list was begun, or have come since.
    Alive {
        /// The number of the last end that the store had counted when the list was begun: runs with later ends have kept
        /// their places among those that are alive.
        ended_before: u64,
        /// The nominal instant of the run.
        scheduled_at: Timestamp,
        /// The id of the run.
        id: RunId,
    },
    /// Among the runs that had ended when the list was begun.
    Ended {
        /// The number of the run's end. A store counts the ends of its runs, and never uses a number again.
        end: u64,
    },
}

impl RunCursor {
    /// The number of the last end before the list was begun, of a place among the runs that were alive then.
    #[must_use]
    pub const fn ended_before(&self) -> Option<u64> {
        match *self {
            Self::Alive { ended_before, .. } => Some(ended_before),
            Self::Ended { .. } => None,
        }
    }

    /// Whether a run that was alive when the list was begun, or has come since, stands behind this place.
    #[must_use]
    pub fn is_before_alive(&self, run: &RunRow) -> bool {
        match *self {
            Self::Alive { scheduled_at, id, .. } => (run.scheduled_at, run.id) < (scheduled_at, id),
            Self::Ended { .. } => false,
        }
    }

    /// Below which number the ends are that stand behind this place, of runs that had ended when the list was begun.
    #[must_use]
    pub const fn ends_below(&self) -> u64 {
        match *self {
            Self::Alive { ended_before, .. } => ended_before.saturating_add(1),
            Self::Ended { end } => end,
        }
    }
}

impl fmt::Display for RunCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alive { ended_before, scheduled_at, id } => {
                write!(f, "alive.{ended_before}.{}.{id}", scheduled_at.as_millis())
            }
            Self::Ended { end } => write!(f, "ended.{end}"),
        }
    }
}

impl FromStr for RunCursor {
    type Err = RunCursorError;

    fn from_str(text: &str) -> Result<Self, RunCursorError> {
        read(text).filter(|cursor| cursor.to_string() == text).ok_or_else(|| RunCursorError { text: text.into() })
    }
}

fn read(text: &str) -> Option<RunCursor> {
    let (kind, rest) = text.split_once('.')?;
    match kind {
        "alive" => {
            let (ended_before, rest) = rest.split_once('.')?;
            let (scheduled_at, id) = rest.split_once('.')?;
            let scheduled_at = Timestamp::from_millis(scheduled_at.parse().ok()?);
            Some(RunCursor::Alive { ended_before: ended_before.parse().ok()?, scheduled_at, id: id.parse().ok()? })
        }
        "ended" => Some(RunCursor::Ended { end: rest.parse().ok()? }),
        _ => None,
    }
}

/// A text is no [`RunCursor`].
///
/// ```
/// use symphra_scheduler::RunCursor;
///
/// let error = "page 2".parse::<RunCursor>().unwrap_err();
/// assert!(error.to_string().starts_with("\"page 2\" is no place in the list of runs: "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunCursorError {
    text: Box<str>,
}

impl fmt::Display for RunCursorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no place in the list of runs: give the cursor that a page of runs came with, as it is, or none to begin \
             with the newest",
            self.text
        )
    }
}

impl std::error::Error for RunCursorError {}

/// A page of the runs that a store lists.
///
/// ```
#[doc = include_str!("example.md")]
/// use symphra_scheduler::backend::RunQuery;
///
/// let mut query = RunQuery::of(report.key);
/// query.limit = Some(100);
/// loop {
///     let page = store.runs_page(&query).await?;
///     for run in &page.rows {
///         println!("{}: {}", run.id, run.state);
///     }
///     match page.next {
///         Some(place) => query.after = Some(place),
///         None => break,
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct RunRows {
    /// The runs.
    pub rows: Vec<RunRow>,
    /// Where the next page begins; `None` if there is no run behind these.
    pub next: Option<RunCursor>,
}

impl RunRows {
    /// The first `limit` runs of a list, each with its place. Where there may be further ones, the list has at least one more
    /// than the limit.
    #[must_use]
    pub fn first_of(mut listed: Vec<(RunCursor, RunRow)>, limit: usize) -> Self {
        let has_more = listed.len() > limit;
        listed.truncate(limit);
        let next = listed.last().map(|&(place, _)| place).filter(|_| has_more);
        Self { rows: listed.into_iter().map(|(_, row)| row).collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_as_it_was_written() {
        let id = RunId::from_parts(Timestamp::from_millis(1_700_000_000_123), 7);
        for at in [i64::MIN, -5, 0, 1_700_000_000_123, i64::MAX] {
            let at = Timestamp::from_millis(at);
            for place in [
                RunCursor::Alive { ended_before: u64::MAX, scheduled_at: at, id },
                RunCursor::Ended { end: 0 },
                RunCursor::Ended { end: u64::MAX },
            ] {
                let text = place.to_string();
                assert_eq!(text.parse(), Ok(place));
                assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_is_one() {
        let id = RunId::from_parts(Timestamp::from_millis(0), 0);
        for wrong in [
            "",
            "2",
            "ended.",
            "ended.+1",
            "ended.01",
            "ended.1.2",
            "ended.-1",
            "alive.1",
            "alive.1.2.3",
            "begun.1",
            "ended.18446744073709551616",
            &format!("alive.1.2.{}", id.as_uuid().simple()),
            &format!("alive.1.2.{id} "),
        ] {
            let refused = wrong.parse::<RunCursor>().expect_err(wrong).to_string();
            assert!(refused.starts_with(&format!("{wrong:?} is no place in the list of runs: ")), "{refused}");
        }
    }
}
