//! What a person should know of what was decided: written to the log and told to those who listen.

use chrono::TimeDelta;
use symphra_scheduler_core::Timestamp;

use crate::backend::{Died, Pause, Reason, Record};
use crate::clock::ClockStep;
use crate::events::SchedulerEvent;
use crate::logging::{Entry, Logger};
use crate::run::{RunId, RunState};
use crate::schedule::Schedule;
use crate::task::TaskName;

/// Something to know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Notice {
    ClockStepped(ClockStep),
    /// How far the store's clock is ahead.
    ClockDiffers(TimeDelta),
    ClockAgrees(TimeDelta),
    Recorded {
        task: TaskName,
        record: Record,
    },
    Retries {
        task: TaskName,
        id: RunId,
        attempt: u32,
        at: Timestamp,
        failure: Box<str>,
    },
    Ended {
        task: TaskName,
        id: RunId,
        state: RunState,
    },
    Died {
        task: TaskName,
        died: Died,
    },
    Paused {
        task: TaskName,
        pause: Pause,
    },
    Resumed {
        task: TaskName,
    },
    Rescheduled {
        task: TaskName,
        schedule: Schedule,
    },
    TakenOver {
        runs: usize,
    },
    Stale {
        runs: usize,
    },
    Lost {
        runs: usize,
    },
}

impl Notice {
    /// Writes it to the log.
    pub(super) fn log(&self, logger: &Logger) {
        match self {
            Self::ClockStepped(ClockStep::Forward(by)) => {
                logger.write(Entry::ClockForward { by: &format_args!("{by:?}") });
            }
            Self::ClockStepped(ClockStep::Back(by)) => logger.write(Entry::ClockBack { by: &format_args!("{by:?}") }),
            Self::ClockDiffers(offset) => logger.write(Entry::ClockDiffers { offset_ms: millis(*offset) }),
            Self::ClockAgrees(offset) => logger.write(Entry::ClockAgrees { offset_ms: millis(*offset) }),
            Self::Recorded { task, record } => {
                let (task, count, reason) = (task.as_str(), record.count, &record.reason);
                let (first, last) = (&record.first, &record.last);
                logger.write(match record.reason {
                    Reason::Missed | Reason::TooOld | Reason::TooMany => {
                        Entry::OccurrencesMissed { task, count, reason, first, last }
                    }
                    _ => Entry::OccurrencesRecorded { task, count, reason, first, last },
                });
            }
            Self::Retries { task, id, attempt, at, failure } => logger.write(Entry::RunRetrying {
                task: task.as_str(),
                run_id: id,
                attempt: u64::from(*attempt),
                next_at: at,
                error: failure,
            }),
            // The executor has said how the attempt ended.
            Self::Ended { .. } => {}
            Self::Died { task, died } => logger.write(Entry::RunDied {
                task: task.as_str(),
                run_id: &died.id,
                attempt: u64::from(died.attempt),
                state: &died.state,
                deaths: u64::from(died.deaths),
                node: &died.node,
            }),
            Self::Paused { task, pause } => logger.write(Entry::TaskPaused { task: task.as_str(), pause }),
            Self::Resumed { task } => logger.write(Entry::TaskResumed { task: task.as_str() }),
            Self::Rescheduled { task, schedule } => {
                logger.write(Entry::TaskRescheduled { task: task.as_str(), schedule: &schedule.describe() });
            }
            Self::TakenOver { runs } => logger.write(Entry::RunsTakenOver { runs: *runs as u64 }),
            Self::Lost { runs } => logger.write(Entry::RunsLost { runs: *runs as u64 }),
            Self::Stale { runs } => logger.write(Entry::RunsStale { runs: *runs as u64 }),
        }
    }

    /// Counts it in metrics.
    #[cfg(feature = "metrics")]
    pub(super) fn count(&self, meters: &crate::meters::Meters) {
        if let Self::Recorded { task, record } = self {
            meters.recorded(task, record.reason, record.count);
        }
    }

    /// What those are told who listen.
    pub(super) fn into_event(self) -> SchedulerEvent {
        match self {
            Self::ClockStepped(ClockStep::Forward(by)) => SchedulerEvent::ClockSteppedForward { by },
            Self::ClockStepped(ClockStep::Back(by)) => SchedulerEvent::ClockSteppedBack { by },
            Self::ClockDiffers(offset) => SchedulerEvent::ClockDiffers { offset },
            Self::ClockAgrees(offset) => SchedulerEvent::ClockAgrees { offset },
            Self::Recorded { task, record } => SchedulerEvent::Recorded { task, record },
            Self::Retries { task, id, attempt, at, failure } => {
                SchedulerEvent::AttemptFailed { task, run: id, attempt, next_at: at, failure }
            }
            Self::Ended { task, id, state } => SchedulerEvent::RunEnded { task, run: id, state },
            Self::Died { task, died } => SchedulerEvent::RunEnded { task, run: died.id, state: died.state },
            Self::Paused { task, pause } => SchedulerEvent::TaskPaused { task, pause },
            Self::Resumed { task } => SchedulerEvent::TaskResumed { task },
            Self::Rescheduled { task, schedule } => SchedulerEvent::TaskRescheduled { task, schedule },
            Self::TakenOver { runs } => SchedulerEvent::RunsTakenOver { runs },
            Self::Lost { runs } => SchedulerEvent::RunsLost { runs },
            Self::Stale { runs } => SchedulerEvent::StaleEnds { runs },
        }
    }
}

fn millis(offset: TimeDelta) -> f64 {
    offset.num_milliseconds() as f64
}
