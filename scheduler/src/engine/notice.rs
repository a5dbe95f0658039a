//! What a person should know of what was decided: written to the log and told to those who listen.

use symphra_scheduler_core::Timestamp;

use crate::backend::{Pause, Reason, Record};
use crate::clock::ClockStep;
use crate::events::SchedulerEvent;
use crate::run::{RunId, RunState};
use crate::schedule::Schedule;
use crate::task::TaskName;

/// Something to know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Notice {
    ClockStepped(ClockStep),
    Recorded { task: TaskName, record: Record },
    Retries { task: TaskName, id: RunId, attempt: u32, at: Timestamp, failure: Box<str> },
    Ended { task: TaskName, id: RunId, state: RunState },
    Paused { task: TaskName, pause: Pause },
    Resumed { task: TaskName },
    Rescheduled { task: TaskName, schedule: Schedule },
    TakenOver { runs: usize },
    Stale { runs: usize },
}

impl Notice {
    /// Writes it to the log.
    pub(super) fn log(&self) {
        match self {
            Self::ClockStepped(ClockStep::Forward(by)) => tracing::warn!(
                ?by,
                "the clock was set forward or the machine was suspended; what was passed over is a misfire"
            ),
            Self::ClockStepped(ClockStep::Back(by)) => tracing::warn!(
                ?by,
                "the clock was set back; what it shows a second time is recorded and not fired again"
            ),
            Self::Recorded { task, record } => {
                let (task, count, reason) = (task.as_str(), record.count, record.reason);
                match reason {
                    Reason::Missed | Reason::TooOld | Reason::TooMany => {
                        tracing::warn!(task, count, %reason, first = %record.first, "occurrences were missed");
                    }
                    _ => tracing::debug!(task, count, %reason, at = %record.last, "occurrences did not run"),
                }
            }
            Self::Retries { task, id, attempt, at, failure } => {
                tracing::warn!(task = task.as_str(), run_id = %id, attempt, next_at = %at, error = %failure, "run is tried again");
            }
            // The executor has said how the attempt ended.
            Self::Ended { .. } => {}
            Self::Paused { task, pause } => tracing::info!(task = task.as_str(), %pause, "task paused"),
            Self::Resumed { task } => tracing::info!(task = task.as_str(), "task resumed"),
            Self::Rescheduled { task, schedule } => {
                tracing::info!(task = task.as_str(), schedule = schedule.describe(), "task rescheduled");
            }
            Self::TakenOver { runs } => tracing::warn!(runs, "runs of a dead node were taken over"),
            Self::Stale { runs } => tracing::warn!(
                runs,
                "the ends of runs were stale: another node had taken them over, or they were stored already"
            ),
        }
    }

    /// What those are told who listen.
    pub(super) fn into_event(self) -> SchedulerEvent {
        match self {
            Self::ClockStepped(ClockStep::Forward(by)) => SchedulerEvent::ClockSteppedForward { by },
            Self::ClockStepped(ClockStep::Back(by)) => SchedulerEvent::ClockSteppedBack { by },
            Self::Recorded { task, record } => SchedulerEvent::Recorded { task, record },
            Self::Retries { task, id, attempt, at, failure } => {
                SchedulerEvent::AttemptFailed { task, run: id, attempt, next_at: at, failure }
            }
            Self::Ended { task, id, state } => SchedulerEvent::RunEnded { task, run: id, state },
            Self::Paused { task, pause } => SchedulerEvent::TaskPaused { task, pause },
            Self::Resumed { task } => SchedulerEvent::TaskResumed { task },
            Self::Rescheduled { task, schedule } => SchedulerEvent::TaskRescheduled { task, schedule },
            Self::TakenOver { runs } => SchedulerEvent::RunsTakenOver { runs },
            Self::Stale { runs } => SchedulerEvent::StaleEnds { runs },
        }
    }
}
