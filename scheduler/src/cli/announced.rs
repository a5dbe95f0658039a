//! What a program in the foreground says to programs: one object of JSON a line, at start, when it stops, and at its end.

use serde::Serialize;
use symphra_scheduler_core::{TZDB_VERSION, Timestamp};

use super::output::json_line;
use super::view::{At, LedgerView};
use crate::clock::Clock;
use crate::engine::{CancelledRun, StopReport};
use crate::foreground::Announce;
use crate::handle::SchedulerHandle;
use crate::task::TaskInfo;

/// Lines of JSON.
pub(super) struct Announced;

/// A line: what has happened, and when.
#[derive(Serialize)]
struct Line<T> {
    event: &'static str,
    at: At,
    #[serde(flatten)]
    told: T,
}

#[derive(Serialize)]
struct Started<'a> {
    version: &'static str,
    node: String,
    pid: u32,
    backend: &'static str,
    tzdb: &'static str,
    tasks: Vec<StartedTask>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct StartedTask {
    name: String,
    /// As it may be written.
    schedule: String,
    words: String,
    zone: String,
    next: Option<At>,
    source: String,
}

#[derive(Serialize)]
struct Stopping {}

#[derive(Serialize)]
struct Stopped {
    uptime_seconds: u64,
    total_runs: u64,
    successful_runs: u64,
    failed_runs: u64,
    cancelled_runs: u64,
    ledger: LedgerView,
    cancelled: Vec<Cancelled>,
    /// How many runs ended without the store having taken how.
    unstored: usize,
}

#[derive(Serialize)]
struct Cancelled {
    task: String,
    run: String,
    scheduled_at: At,
    began: bool,
    stuck: bool,
}

impl Announce for Announced {
    fn started(&self, handle: &SchedulerHandle) -> String {
        let stats = handle.stats();
        line(
            handle,
            "started",
            Started {
                version: env!("CARGO_PKG_VERSION"),
                node: stats.node.to_string(),
                pid: std::process::id(),
                backend: stats.backend,
                tzdb: TZDB_VERSION,
                tasks: handle.list_tasks().iter().map(StartedTask::of).collect(),
                notes: handle.notes(),
            },
        )
    }

    fn stopping(&self, handle: &SchedulerHandle) -> String {
        line(handle, "stopping", Stopping {})
    }

    fn stopped(&self, handle: &SchedulerHandle, report: &StopReport) -> String {
        let (stats, at) = (handle.stats(), |at: Timestamp| At::new(at, handle.zone()));
        line(
            handle,
            "stopped",
            Stopped {
                uptime_seconds: stats.uptime.as_secs(),
                total_runs: stats.total_runs,
                successful_runs: stats.successful_runs,
                failed_runs: stats.failed_runs,
                cancelled_runs: stats.cancelled_runs,
                ledger: LedgerView::of(stats.ledger),
                cancelled: report.cancelled.iter().map(|run| Cancelled::of(run, at)).collect(),
                unstored: report.unstored,
            },
        )
    }
}

fn line(handle: &SchedulerHandle, event: &'static str, told: impl Serialize) -> String {
    json_line(&Line { event, at: At::new(Clock::default().now(), handle.zone()), told })
}

impl StartedTask {
    fn of(task: &TaskInfo) -> Self {
        Self {
            name: task.name.to_string(),
            schedule: task.schedule.written(),
            words: task.schedule.describe(),
            zone: task.timezone.to_string(),
            next: task.next.map(|next| At::new(next.into(), task.timezone)),
            source: task.source.to_string(),
        }
    }
}

impl Cancelled {
    fn of(run: &CancelledRun, at: impl Fn(Timestamp) -> At) -> Self {
        Self {
            task: run.task.to_string(),
            run: run.id.to_string(),
            scheduled_at: at(run.scheduled_at),
            began: run.began,
            stuck: run.stuck,
        }
    }
}
