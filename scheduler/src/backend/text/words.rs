//! The words of a run, as stores keep them, each with its way back.

use super::unreadable;
use crate::backend::{BackendError, Reason};
use crate::outcome::CancelCause;
use crate::run::{RunId, RunState};
use crate::schedule::Overlap;

const REASONS: [(Reason, &str); 10] = [
    (Reason::Overlap, "overlap"),
    (Reason::Covered, "covered"),
    (Reason::BufferFull, "buffer_full"),
    (Reason::Missed, "missed"),
    (Reason::TooOld, "too_old"),
    (Reason::TooMany, "too_many"),
    (Reason::Paused, "paused"),
    (Reason::Rescheduled, "rescheduled"),
    (Reason::PastAtFirstSight, "past_at_first_sight"),
    (Reason::ClockSetBack, "clock_set_back"),
];

pub(in crate::backend) fn reason(reason: Reason) -> &'static str {
    REASONS.iter().find(|(known, _)| *known == reason).expect("every reason has its word").1
}

pub(in crate::backend) fn read_reason(word: &str) -> Result<Reason, BackendError> {
    let known = REASONS.iter().find(|(_, known)| *known == word);
    known.map(|(reason, _)| *reason).ok_or_else(|| unreadable("record", word, "unknown reason".into()))
}

/// A cause that only a newer version knows is a request.
pub(in crate::backend) fn read_cause(word: &str) -> CancelCause {
    match word {
        "stopped" => CancelCause::Stopped,
        "replaced" => CancelCause::Replaced,
        "taken_over" => CancelCause::TakenOver,
        "unclaimed" => CancelCause::Unclaimed,
        _ => CancelCause::Requested,
    }
}

pub(in crate::backend) const OVERLAPS: [(Overlap, &str); 5] = [
    (Overlap::Skip, "skip"),
    (Overlap::BufferOne, "buffer_one"),
    (Overlap::BufferAll, "buffer_all"),
    (Overlap::CancelRunning, "cancel_running"),
    (Overlap::Allow, "allow"),
];

pub(in crate::backend) fn overlap(overlap: Overlap) -> &'static str {
    OVERLAPS.iter().find(|(known, _)| *known == overlap).expect("every policy has its word").1
}

const STATES: [RunState; 8] = [
    RunState::Queued,
    RunState::Running,
    RunState::Retrying,
    RunState::Succeeded,
    RunState::Failed,
    RunState::TimedOut,
    RunState::Cancelled,
    RunState::Abandoned,
];

pub(in crate::backend) fn state(word: &str) -> Result<RunState, BackendError> {
    let known = STATES.into_iter().find(|state| state.to_string() == word);
    known.ok_or_else(|| unreadable("state of a run", word, "unknown word".into()))
}

pub(in crate::backend) fn run_id(text: &str) -> Result<RunId, BackendError> {
    text.parse().map_err(|error: uuid::Error| unreadable("id of a run", text, error.to_string()))
}
