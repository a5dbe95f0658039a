//! The steps of one task in a span of time, by the same decisions as ever and without a store: for the test kit.

use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::due;
use super::state::{Next, State, delayed};
use crate::backend::{Capabilities, Firing, Registered};
use crate::run::RunIds;
use crate::task::LiveTask;

/// Tells `step` what the task does from its registration until `until`. What is due at an instant happens at
/// `back_at` of it: when the scheduler is there. Runs take no time, and each step is accepted.
pub(crate) fn rehearse(
    task: Arc<LiveTask>,
    registered: &Registered,
    backend: Capabilities,
    grace: Duration,
    until: Timestamp,
    back_at: impl Fn(Timestamp) -> Timestamp,
    mut step: impl FnMut((Firing, Timestamp)),
) {
    let mut state = State::new(RunIds::new(fastrand::Rng::with_seed(0)), grace, 1, backend);
    state.add(task, registered);
    let mut now = registered.anchor;
    let mut runs = registered.runs;
    loop {
        let task = &state.tasks[0];
        if registered.max_runs.is_some_and(|max| runs >= max) {
            return;
        }
        now = now.max(back_at(task.wake));
        if now >= until {
            return;
        }
        let Some(firing) = due::step(task, None, now, grace, state.ids.next(now)) else { return };
        runs += u64::from(firing.run.is_some());
        let task = &mut state.tasks[0];
        task.mark = firing.advance_to;
        let next = match task.plan.fixed_delay() {
            Some(period) => delayed(&task.plan, now, period, firing.advance_to),
            None => task.plan.next(task.mark).map_or(Next::Over, Next::Ahead),
        };
        state.timer.clear();
        state.arm(0, next);
        step((firing, now));
    }
}
