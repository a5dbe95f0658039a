//! What changes from outside while the scheduler runs: pauses, schedules, marks, cancellations.

use std::sync::Arc;

use symphra_scheduler_core::Timestamp;

use super::event::{Actions, Withdraw};
use super::notice::Notice;
use super::state::{Next, State, first_step};
use crate::backend::{Cancelled, Changes, Registered};
use crate::run::{RunId, RunState};
use crate::schedule::Plan;
use crate::task::LiveTask;

impl State {
    pub(super) fn changed(&mut self, changes: Changes, now: Timestamp, actions: &mut Actions) {
        for cancelled in changes.cancelled {
            self.cancel(cancelled, actions);
        }
        changes.resumed.into_iter().for_each(|id| self.resumed(id));
        for died in changes.died {
            self.died(died, actions);
        }
        for task in changes.tasks {
            self.task_changed(&task, now, actions);
        }
        self.claims.now |= changes.runnable;
    }

    fn cancel(&mut self, cancelled: Cancelled, actions: &mut Actions) {
        let Cancelled { id, task, cause, was } = cancelled;
        match was {
            RunState::Running => {
                actions.cancel.push((id, cause));
                if self.enqueueing > 0 || self.claims.is_under_way {
                    self.cancelled_early.push((id, cause));
                }
            }
            RunState::Queued | RunState::Retrying => {
                if let Some(place) = self.place(task) {
                    let task = Arc::clone(&self.tasks[place as usize].live);
                    task.tally().cancelled_in_store();
                    count_cancelled(&task, id, actions);
                }
                self.resumed(id);
            }
            _ => {}
        }
        // Where it had its place, another may be free to begin.
        self.claims.now |= was != RunState::Running;
    }

    /// A task of this node is declared otherwise than before; what is known of its occurrences stays.
    #[cfg(feature = "config")]
    pub(super) fn redeclared(
        &mut self,
        live: Arc<LiveTask>,
        stored: &Registered,
        now: Timestamp,
        actions: &mut Actions,
    ) {
        let Some(place) = self.place(live.key) else { return };
        self.untold.extend(stored.ended.clone().map(|record| (live.name.clone(), record)));
        self.has_priorities |= live.policy.priority != 0;
        self.tasks[place as usize].live = live;
        self.task_changed(stored, now, actions);
        self.tasks[place as usize].show(stored);
    }

    fn task_changed(&mut self, stored: &Registered, now: Timestamp, actions: &mut Actions) {
        let Some(place) = self.place(stored.key) else { return };
        let task = &mut self.tasks[place as usize];
        if let Some(record) = &stored.ended {
            actions.recorded(&task.live.name, (**record).clone());
        }
        if stored.version < task.version {
            // Answers come by several ways, and not always in the order in which they were given.
            return;
        }
        task.version = stored.version;
        let name = task.live.name.clone();
        if task.next != Next::Answer {
            self.settled_behind(stored.key, stored.behind);
        }
        let task = &mut self.tasks[place as usize];

        let pause = stored.pause.clone().map(Box::new);
        let was_paused = task.pause.is_some();
        if task.pause != pause {
            match &pause {
                Some(pause) => {
                    actions.notices.push(Notice::Paused { task: name.clone(), pause: (**pause).clone() });
                    actions.withdraw.push((Arc::clone(&task.live), Withdraw::Held));
                }
                None => actions.notices.push(Notice::Resumed { task: name.clone() }),
            }
            task.pause = pause;
        }
        task.resumed_at = task.resumed_at.max(stored.resumed_at);

        let is_rescheduled = *task.plan.timetable() != stored.timetable || task.plan.since() != stored.since;
        if is_rescheduled {
            task.plan = Plan::new(Arc::clone(&stored.timetable), task.live.name.as_str(), stored.anchor, stored.since);
            self.has_delays |= task.plan.fixed_delay().is_some();
            actions.notices.push(Notice::Rescheduled { task: name, schedule: *task.plan.schedule() });
        }
        // A mark that went back was reset; one that went on was advanced by another node.
        let is_moved = task.mark != stored.mark && task.next != Next::Answer;
        if is_moved {
            actions.mark_is_put_back |= stored.mark < task.mark;
            task.mark = stored.mark;
        }
        task.show(stored);
        let awaits = matches!(task.next, Next::Awaits(_));
        let was_over = task.next == Next::Over;
        if task.next != Next::Answer && (is_moved || is_rescheduled || awaits || was_over || was_paused) {
            let next = first_step(&task.plan, stored, now);
            // What is shown again and has come due is still to be recorded.
            let is_shown_again = matches!(task.next, Next::Again(_)) && !is_moved && !is_rescheduled;
            if !(awaits && next == task.next || is_shown_again) {
                self.arm(place, next);
            }
        }
    }
}

/// Counts, and tells, the end of a run that no node held. Every node that has the task does so: it was nobody's.
pub(super) fn count_cancelled(task: &LiveTask, id: RunId, actions: &mut Actions) {
    actions.counted.cancelled += 1;
    if actions.with_ends {
        actions.notices.push(Notice::Ended { task: task.name.clone(), id, state: RunState::Cancelled });
    }
}
