//! What is shown of a running program, as it travels through the control socket and as `--json` prints it. The names of
//! the fields are stable; new ones may come.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use symphra_scheduler_core::Timestamp;

use crate::backend::{RunCursor, RunLog};

/// An instant: in UTC as RFC 3339, and on the clock of its zone for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct At {
    pub(crate) utc: String,
    pub(crate) local: String,
}

impl At {
    pub(crate) fn new(at: Timestamp, zone: Tz) -> Self {
        let local = at.to_utc().with_timezone(&zone);
        let format = if at.as_millis() % 1_000 == 0 { "%Y-%m-%d %H:%M:%S %Z" } else { "%Y-%m-%d %H:%M:%S%.3f %Z" };
        Self { utc: at.to_string(), local: local.format(format).to_string() }
    }
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskView {
    pub(crate) name: String,
    /// In words.
    pub(crate) schedule: String,
    /// The same in Chinese.
    #[serde(default)]
    pub(crate) schedule_zh: String,
    pub(crate) timezone: String,
    /// `declared`, where nothing is running.
    pub(crate) status: String,
    pub(crate) next: Option<At>,
    pub(crate) pause: Option<PauseView>,
    pub(crate) tags: Vec<String>,
    pub(crate) metadata: Vec<(String, String)>,
    pub(crate) priority: i8,
    pub(crate) source: String,
    pub(crate) running: u32,
    /// What the running program has counted since its start; without one, how many occurrences became runs.
    pub(crate) total_runs: Option<u64>,
    pub(crate) successful_runs: Option<u64>,
    pub(crate) failed_runs: Option<u64>,
}

/// Why a task is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PauseView {
    pub(crate) by: String,
    pub(crate) reason: Option<String>,
    pub(crate) since: At,
}

/// A task with what is kept of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskPage {
    #[serde(flatten)]
    pub(crate) task: TaskView,
    pub(crate) next_occurrences: Vec<At>,
    pub(crate) ledger: Option<LedgerView>,
    pub(crate) records: Vec<RecordView>,
    pub(crate) latest_runs: Vec<RunView>,
}

/// Something that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ActionView {
    pub(crate) at: At,
    pub(crate) actor: String,
    /// `None` for all, and for runs.
    pub(crate) task: Option<String>,
    pub(crate) change: String,
    /// `done`, or why not.
    pub(crate) outcome: String,
}

/// The exact counts of all occurrences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LedgerView {
    pub(crate) occurrences: u64,
    pub(crate) runs: u64,
    pub(crate) recorded: u64,
}

/// Why occurrences did not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordView {
    pub(crate) reason: String,
    pub(crate) first: At,
    pub(crate) last: At,
    pub(crate) count: u64,
    pub(crate) note: Option<String>,
}

/// The next occurrences of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NextView {
    pub(crate) task: String,
    pub(crate) schedule: String,
    pub(crate) timezone: String,
    pub(crate) next: Vec<At>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunView {
    pub(crate) id: String,
    pub(crate) task: String,
    pub(crate) origin: String,
    pub(crate) state: String,
    pub(crate) attempt: u32,
    pub(crate) scheduled_at: At,
    pub(crate) due_at: At,
    pub(crate) started_at: Option<At>,
    pub(crate) finished_at: Option<At>,
    pub(crate) missed: Option<MissedView>,
    pub(crate) failure: Option<String>,
    /// Which executes it, or did when it ended.
    #[serde(default)]
    pub(crate) node: Option<String>,
    /// How long after it was due its last attempt began, of a run that has ended.
    #[serde(default)]
    pub(crate) lateness_ms: Option<u64>,
    /// How long its last attempt took, of a run that has ended.
    #[serde(default)]
    pub(crate) duration_ms: Option<u64>,
    /// Where the next page of a list begins, of the last run of a page that has others behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_page: Option<String>,
}

/// A page of runs as a list, the last of which says where the next page begins.
pub(crate) fn runs_page(mut runs: Vec<RunView>, next: Option<RunCursor>) -> Vec<RunView> {
    if let Some(last) = runs.last_mut() {
        last.next_page = next.map(|next| next.to_string());
    }
    runs
}

/// A dead letter: a job that has failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LetterView {
    /// The id of its run.
    pub(crate) id: String,
    pub(crate) task: String,
    pub(crate) state: String,
    pub(crate) attempt: u32,
    pub(crate) scheduled_at: At,
    pub(crate) died_at: At,
    pub(crate) failure: Option<String>,
    /// The version of its arguments.
    pub(crate) version: u32,
    /// Without what may be secret; a text, if they are no JSON.
    pub(crate) arguments: serde_json::Value,
}

/// A run, and what it wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogView {
    #[serde(flatten)]
    pub(crate) run: RunView,
    pub(crate) log: Option<LogText>,
}

/// What an attempt of a run wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogText {
    pub(crate) attempt: u32,
    pub(crate) text: String,
}

impl LogView {
    pub(crate) fn of(run: RunView, log: Option<RunLog>) -> Self {
        Self { run, log: log.map(|RunLog { attempt, text }| LogText { attempt, text: text.into() }) }
    }
}

/// What a run stands for besides itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MissedView {
    pub(crate) count: u64,
    pub(crate) first: At,
}

/// What became of an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExplanationView {
    pub(crate) task: String,
    pub(crate) at: At,
    /// `ran`, `recorded`, `no_occurrence`, `ahead`, `pending`, `waiting` or `forgotten`.
    pub(crate) outcome: String,
    pub(crate) sentence: String,
    pub(crate) run: Option<RunView>,
    pub(crate) record: Option<RecordView>,
    pub(crate) previous: Option<At>,
    pub(crate) next: Option<At>,
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangeView {
    /// `None` is all tasks.
    pub(crate) task: Option<String>,
    /// `triggered`, `paused`, `resumed`, `rescheduled`, `cancelled`, `reset`, `enqueued`, `dropped`, or
    /// `known`: a job with the key of a letter is alive, and the letter stays.
    pub(crate) done: String,
    pub(crate) run: Option<String>,
    pub(crate) schedule: Option<String>,
    pub(crate) next: Option<At>,
}

/// A backfill, or the preview of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackfillView {
    pub(crate) task: String,
    /// `None` in a preview.
    pub(crate) id: Option<String>,
    /// What would run, in a preview.
    pub(crate) occurrences: Vec<At>,
    pub(crate) runs: Vec<String>,
    /// How many are beyond the most that one backfill runs.
    pub(crate) left_out: usize,
    /// How the runs ended, if they were waited for: how many by state.
    pub(crate) ended: Option<std::collections::BTreeMap<String, usize>>,
}

/// A node. What its store does not know of it only the node itself tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeView {
    pub(crate) node: String,
    /// `alive`, `silent` (its lease has run out) or `left`.
    pub(crate) presence: String,
    /// When its store last heard of it; of the node that answers it is now.
    pub(crate) seen_at: Option<At>,
    pub(crate) held_runs: u64,
    pub(crate) backend: String,
    pub(crate) pid: Option<u32>,
    pub(crate) version: Option<String>,
    pub(crate) tzdb: Option<String>,
    pub(crate) uptime_seconds: Option<u64>,
    pub(crate) tasks: Option<usize>,
    pub(crate) active_workers: Option<usize>,
    pub(crate) max_workers: Option<usize>,
    pub(crate) queued_runs: Option<usize>,
    pub(crate) queue_size: Option<usize>,
    pub(crate) ledger: Option<LedgerView>,
}

/// How a scheduler is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HealthView {
    pub(crate) well: bool,
    pub(crate) alive: bool,
    pub(crate) ready: bool,
    /// What the running program knows of its store; without one, that it has answered is `ready`.
    pub(crate) store: Option<StoreView>,
    pub(crate) stuck: Vec<RunningView>,
    pub(crate) stale: Vec<StaleView>,
    pub(crate) workers_taken_by: Vec<RunningView>,
    /// What the running program has measured.
    pub(crate) clock: Option<ClockView>,
    pub(crate) clock_repeats_until: Option<At>,
}

/// How a node's clock stands to its store's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClockView {
    /// How far the store's is ahead.
    pub(crate) offset_ms: i64,
    pub(crate) is_off: bool,
}

/// How a scheduler stands to its store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoreView {
    pub(crate) unreachable_since: Option<At>,
    pub(crate) error: Option<String>,
    pub(crate) lease_lost: bool,
    pub(crate) in_contact_since: At,
}

/// A run that executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunningView {
    pub(crate) task: String,
    pub(crate) id: String,
    pub(crate) attempt: u32,
    pub(crate) running_seconds: u64,
}

/// A task that has not succeeded for too long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StaleView {
    pub(crate) task: String,
    pub(crate) last_success: Option<At>,
    pub(crate) expected_by: At,
}
