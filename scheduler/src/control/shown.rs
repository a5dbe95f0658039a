//! From what the scheduler and its store know to what is shown of it.

use std::time::Duration;

use chrono_tz::Tz;
use symphra_scheduler_core::Timestamp;

use super::view::{
    ActionView, At, ExplanationView, LedgerView, LetterView, MissedView, NodeView, PauseView, RecordView, RunView,
    RunningView, TaskView,
};
use crate::backend::{Action, Ledger, NewAction, NodeRow, Pause, Record};
use crate::executor::RunningRun;
use crate::handle::{DeadLetter, Explanation, Run};
use crate::task::TaskInfo;

impl TaskView {
    pub(crate) fn of(task: TaskInfo) -> Self {
        let zone = task.timezone;
        Self {
            name: task.name.to_string(),
            schedule: task.schedule.describe(),
            schedule_zh: task.schedule.describe_in(symphra_scheduler_core::Language::Chinese),
            timezone: zone.to_string(),
            status: task.status.to_string(),
            next: task.next.map(|next| At::new(next.into(), zone)),
            pause: task.pause.map(|pause| PauseView::of(&pause, zone)),
            tags: task.tags.iter().map(ToString::to_string).collect(),
            metadata: task.metadata.shown().map(|(key, value)| (key.to_owned(), value.into_owned())).collect(),
            priority: task.priority,
            source: task.source.to_string(),
            running: task.running,
            total_runs: Some(task.total_runs),
            successful_runs: Some(task.successful_runs),
            failed_runs: Some(task.failed_runs),
        }
    }
}

impl PauseView {
    pub(super) fn of(pause: &Pause, zone: Tz) -> Self {
        Self {
            by: pause.by.to_string(),
            reason: pause.reason.as_deref().map(str::to_owned),
            since: At::new(pause.since, zone),
        }
    }
}

impl ActionView {
    pub(super) fn of(action: &Action, zone: Tz) -> Self {
        let NewAction { actor, task, change, outcome } = &action.told;
        Self {
            at: At::new(action.at, zone),
            actor: actor.to_string(),
            task: task.as_deref().map(str::to_owned),
            change: change.to_string(),
            outcome: outcome.to_string(),
        }
    }
}

impl LedgerView {
    pub(crate) fn of(ledger: Ledger) -> Self {
        Self { occurrences: ledger.occurrences, runs: ledger.runs, recorded: ledger.recorded }
    }
}

impl RecordView {
    pub(super) fn of(record: Record, zone: Tz) -> Self {
        Self {
            reason: record.reason.to_string(),
            first: At::new(record.first, zone),
            last: At::new(record.last, zone),
            count: record.count,
            note: record.note.as_deref().map(str::to_owned),
        }
    }
}

impl RunView {
    pub(super) fn of(run: &Run, zone: Tz) -> Self {
        let at = |at: Timestamp| At::new(at, zone);
        Self {
            id: run.id.to_string(),
            task: run.task.to_string(),
            origin: run.origin.to_string(),
            state: run.state.to_string(),
            attempt: run.attempt,
            scheduled_at: at(run.scheduled_at),
            due_at: at(run.due_at),
            started_at: run.started_at.map(at),
            finished_at: run.finished_at.map(at),
            missed: run.missed.map(|missed| MissedView { count: missed.count, first: at(missed.first) }),
            failure: run.failure.as_deref().map(str::to_owned),
            node: run.node.as_deref().map(str::to_owned),
            lateness_ms: run.lateness().map(millis),
            duration_ms: run.duration().map(millis),
            next_page: None,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl LetterView {
    pub(super) fn of(letter: &DeadLetter, zone: Tz) -> Self {
        Self {
            id: letter.id.to_string(),
            task: letter.task.to_string(),
            state: letter.state.to_string(),
            attempt: letter.attempt,
            scheduled_at: At::new(letter.scheduled_at, zone),
            died_at: At::new(letter.died_at, zone),
            failure: letter.failure.as_deref().map(str::to_owned),
            version: letter.arguments.version,
            arguments: letter.arguments.shown(),
        }
    }
}

impl ExplanationView {
    pub(super) fn of(task: String, at: Timestamp, explanation: Explanation, zone: Tz) -> Self {
        let mut view = Self {
            task,
            at: At::new(at, zone),
            outcome: String::new(),
            sentence: explanation.to_string(),
            run: None,
            record: None,
            previous: None,
            next: None,
        };
        let outcome = match explanation {
            Explanation::Ran(run) => {
                view.run = Some(RunView::of(&run, zone));
                "ran"
            }
            Explanation::Recorded { record, .. } => {
                view.record = Some(RecordView::of(record, zone));
                "recorded"
            }
            Explanation::NoOccurrence { previous, next, .. } => {
                view.previous = previous.map(|at| At::new(at, zone));
                view.next = next.map(|at| At::new(at, zone));
                "no_occurrence"
            }
            Explanation::Ahead { .. } => "ahead",
            Explanation::Pending { .. } => "pending",
            Explanation::Waiting { .. } => "waiting",
            Explanation::Forgotten { .. } => "forgotten",
        };
        Self { outcome: outcome.to_owned(), ..view }
    }
}

impl NodeView {
    /// A node of which only its store is known.
    pub(super) fn of(row: &NodeRow, backend: &str, zone: Tz) -> Self {
        Self {
            node: row.node.to_string(),
            presence: row.presence.to_string(),
            seen_at: Some(At::new(row.seen_at, zone)),
            held_runs: row.held,
            backend: backend.to_owned(),
            pid: None,
            version: None,
            tzdb: Some(row.tzdb.to_string()),
            uptime_seconds: None,
            tasks: None,
            active_workers: None,
            max_workers: None,
            queued_runs: None,
            queue_size: None,
            ledger: None,
        }
    }
}

impl RunningView {
    pub(super) fn of(run: &RunningRun) -> Self {
        Self {
            task: run.task.to_string(),
            id: run.id.to_string(),
            attempt: run.attempt,
            running_seconds: run.running_for.as_secs(),
        }
    }
}
