//! The steps of a stop: drain, ask to cancel, abort, give up. Pure, on the time that passes and not on the wall clock.

use std::sync::Arc;
use std::time::Duration;

use super::changes::count_cancelled;
use super::event::{Actions, EndRunning};
use super::state::{CancelledRun, Phase, State};
use crate::backend::Left;
use crate::executor::RunningRun;

/// How long before the end of the shutdown timeout the runs that are left are asked to cancel.
const CANCEL_BEFORE_ABORT: Duration = Duration::from_secs(5);

/// How long an aborted body may take to come to its next await before the stop goes on without it.
const GIVE_UP_AFTER: Duration = Duration::from_secs(1);

/// Nothing fires any more; what runs has `timeout` to end.
pub(super) fn drain(state: &mut State, timeout: Duration, passed: Duration) {
    if state.phase == Phase::Firing {
        let cancel_at = passed.saturating_add(timeout.saturating_sub(CANCEL_BEFORE_ABORT));
        state.phase = Phase::Draining { cancel_at, abort_at: passed.saturating_add(timeout) };
        fire_no_more(state);
    }
}

fn fire_no_more(state: &mut State) {
    state.timer.clear();
    state.ready.clear();
}

/// Nothing fires any more, and what runs ends at its next await.
pub(super) fn stop_now(state: &mut State, passed: Duration, actions: &mut Actions) {
    if !matches!(state.phase, Phase::Aborting { .. } | Phase::Leaving { .. } | Phase::Over) {
        fire_no_more(state);
        abort(state, passed, actions);
    }
}

/// Takes the steps whose time has come.
pub(super) fn advance(state: &mut State, passed: Duration, actions: &mut Actions) {
    if let Phase::Draining { cancel_at, abort_at } = state.phase
        && passed >= cancel_at
    {
        actions.end_running = Some(EndRunning::Ask);
        state.phase = Phase::Cancelling { abort_at };
    }
    if let Phase::Cancelling { abort_at } = state.phase
        && passed >= abort_at
    {
        abort(state, passed, actions);
    }
    if let Phase::Aborting { give_up_at } = state.phase {
        if passed >= give_up_at {
            actions.end_running = Some(EndRunning::GiveUp);
        } else if !actions.start.is_empty() {
            // The backend accepted them before it heard of the stop.
            actions.end_running = Some(EndRunning::Abort);
        }
    }
    if let Phase::Leaving { give_up_at } = state.phase {
        if passed >= give_up_at {
            state.phase = Phase::Over;
        }
        return;
    }
    let idle = state.held == 0 && state.enqueueing == 0 && !state.claims.is_under_way;
    if idle && !matches!(state.phase, Phase::Firing | Phase::Over) {
        leave(state, passed, actions);
    }
}

fn leave(state: &mut State, passed: Duration, actions: &mut Actions) {
    state.phase = Phase::Leaving { give_up_at: passed.saturating_add(GIVE_UP_AFTER) };
    actions.leave = true;
}

/// The store has taken leave: what waited in it and does not outlive it was cancelled by that.
pub(super) fn left(state: &mut State, left: Vec<Left>, actions: &mut Actions) {
    for run in left {
        let Some(place) = state.place(run.task) else { continue };
        let task = Arc::clone(&state.tasks[place as usize].live);
        task.tally().cancelled_in_store();
        state.resumed(run.id);
        count_cancelled(&task, run.id, actions);
        state.cancelled.push(CancelledRun {
            task: task.name.clone(),
            id: run.id,
            scheduled_at: run.scheduled_at,
            began: run.began,
            stuck: false,
        });
    }
    if matches!(state.phase, Phase::Leaving { .. }) {
        state.phase = Phase::Over;
    }
}

fn abort(state: &mut State, passed: Duration, actions: &mut Actions) {
    actions.end_running = Some(EndRunning::Abort);
    state.phase = Phase::Aborting { give_up_at: passed.saturating_add(GIVE_UP_AFTER) };
}

/// The stop is over, although `running` goes on.
pub(super) fn give_up(state: &mut State, running: Vec<RunningRun>, passed: Duration, actions: &mut Actions) {
    state.unstored = state.held.saturating_sub(running.len() + state.enqueueing);
    state.cancelled.extend(running.into_iter().map(|run| CancelledRun {
        task: run.task,
        id: run.id,
        scheduled_at: run.scheduled_at,
        began: true,
        stuck: true,
    }));
    leave(state, passed, actions);
}

/// After how much passed time the next step of a stop is due.
pub(super) fn wakes_at(state: &State) -> Option<Duration> {
    match state.phase {
        Phase::Draining { cancel_at, .. } => Some(cancel_at),
        Phase::Cancelling { abort_at } => Some(abort_at),
        Phase::Aborting { give_up_at } | Phase::Leaving { give_up_at } => Some(give_up_at),
        Phase::Firing | Phase::Over => None,
    }
}
