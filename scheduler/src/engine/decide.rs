//! Every decision of the scheduler: state and event in, actions out.
//!
//! Pure: no clock, no I/O, no randomness but the seeded ids of the state. The same events give the same actions, which
//! is what lets a simulation drive it. What becomes of occurrences is here; what becomes of their runs is in
//! [`runs`](super::runs), what changes from outside in [`changes`](super::changes), a stop in
//! [`shutdown`](super::shutdown).

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::due;
use super::event::{Actions, Batch, Event};
use super::notice::Notice;
use super::runs::lose;
use super::shutdown;
use super::state::{BATCH_MAX, Next, Now, Phase, State, delayed};
use crate::backend::{Admission, Firing, Record, Refusal};
use crate::clock::ClockStep;
use crate::executor::Job;
use crate::outcome::CancelCause;

/// How long a task waits that the store's clock calls early or late: by the next look both clocks agree.
const CLOCKS_DIFFER_PAUSE: Duration = Duration::from_millis(10);

/// The longest wait for a store's clock that is behind: it may be set meanwhile.
const EARLY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a node leaves a task alone that is behind, and of which another node was quicker to fire the last occurrence: that
/// one goes on with it, and to ask beside it would only hold it up. Twice as long after each batch that was in vain.
const OUTRUN_PAUSE: Duration = Duration::from_millis(20);

/// So often it becomes twice as long: if the quicker node dies, so much later another one goes on.
const OUTRUN_DOUBLINGS_MAX: u32 = 3;

impl State {
    /// Takes in one event.
    pub(crate) fn decide(&mut self, event: Event, now: Now, actions: &mut Actions) {
        self.is_sure = now.is_sure;
        match event {
            Event::Woke => {}
            Event::ClockStepped(step) => self.clock_stepped(step, now.wall, actions),
            Event::Enqueued(batch, admissions) => self.enqueued(batch, &admissions, now.wall, actions),
            Event::Claimed(claims) => self.claimed(claims, now, actions),
            Event::Ended(ended) => self.ended(ended, now, actions),
            Event::Withdrawn(jobs) => self.withdrawn(jobs, now.wall, actions),
            Event::Stored(ended, stored) => self.stored(&ended, &stored, actions),
            Event::Lost(lost) => lose(lost, actions),
            Event::Changed(changes) => self.changed(changes, now.wall, actions),
            Event::Runnable => self.claims.now = true,
            Event::Added(live, registered) => {
                self.add(live, &registered);
                // Runs of it may be waiting from before.
                self.claims.now = true;
            }
            #[cfg(feature = "config")]
            Event::Redeclared(live, registered) => self.redeclared(live, &registered, now.wall, actions),
            Event::Removed(key) => self.remove(key, actions),
            Event::Unregistered => self.unregistering = false,
            Event::Drain(timeout) => shutdown::drain(self, timeout, now.passed),
            Event::StopNow => shutdown::stop_now(self, now.passed, actions),
            Event::GaveUp(running) => shutdown::give_up(self, running, now.passed, actions),
            Event::Left(left) => shutdown::left(self, left, actions),
        }
        for (task, record) in self.untold.drain(..) {
            actions.recorded(&task, *record);
        }
        shutdown::advance(self, now.passed, actions);
        self.fire_what_is_due(now.wall, actions);
        self.store_what_has_ended(actions);
        self.unregister_what_was_removed(actions);
    }

    /// When the next task is due; `None` while nothing may fire.
    pub(crate) fn fires_at(&self) -> Option<Timestamp> {
        if !self.may_fire() {
            return None;
        }
        if self.ready.is_empty() { self.timer.first() } else { Some(Timestamp::MIN) }
    }

    /// After how much passed time the next step of a stop is due.
    pub(crate) fn stop_steps_at(&self) -> Option<Duration> {
        shutdown::wakes_at(self)
    }

    /// One batch at a time, so that what falls due during a call goes together in the next.
    fn may_fire(&self) -> bool {
        self.phase == Phase::Firing && self.is_sure && self.enqueueing == 0 && self.room() > 0
    }

    fn fire_what_is_due(&mut self, now: Timestamp, actions: &mut Actions) {
        if !self.may_fire() {
            return;
        }
        while let Some((wake, tasks)) = self.timer.pop(now) {
            self.make_ready(wake, tasks);
        }
        let batch_max = self.room().min(BATCH_MAX);
        let mut batch = Batch::default();
        while batch.firings.len() < batch_max {
            let Some(mut first) = self.ready.first_entry() else { break };
            let wake = first.key().1;
            let Some(index) = first.get_mut().pop() else {
                self.timer.reuse(first.remove());
                continue;
            };
            let task = &mut self.tasks[index as usize];
            if task.wake != wake {
                continue;
            }
            let behind = self.behind.get(&task.live.key).copied();
            let Some(firing) = due::step(task, behind, now, self.misfire_grace, self.ids.next(now)) else {
                // Its entry is used up.
                task.wake = Timestamp::MAX;
                continue;
            };
            (task.next, task.wake) = (Next::Answer, Timestamp::MAX);
            batch.tasks.push(index);
            batch.firings.push(firing);
        }
        if !batch.firings.is_empty() {
            self.enqueueing = batch.firings.len();
            self.held += batch.firings.len();
            actions.enqueue = Some(batch);
        }
    }

    /// Sorts tasks that are due by their priority. Where none has one, they stay together as they are.
    fn make_ready(&mut self, wake: Timestamp, mut tasks: Vec<u32>) {
        if !self.has_priorities {
            let ready = self.ready.entry((Reverse(0), wake)).or_default();
            if ready.is_empty() {
                self.timer.reuse(std::mem::replace(ready, tasks));
                return;
            }
            ready.append(&mut tasks);
        }
        for task in tasks.drain(..) {
            let state = &self.tasks[task as usize];
            if state.wake == wake {
                self.ready.entry((Reverse(state.live.policy.priority), wake)).or_default().push(task);
            }
        }
        self.timer.reuse(tasks);
    }

    fn enqueued(&mut self, batch: Batch, admissions: &[Admission], now: Timestamp, actions: &mut Actions) {
        assert_eq!(batch.firings.len(), admissions.len(), "a backend answers every firing");
        self.enqueueing = 0;
        let is_in_vain = admissions.iter().all(|admission| matches!(admission, Admission::MarkMoved(_)));
        self.outrun_in_a_row = if is_in_vain { self.outrun_in_a_row.saturating_add(1) } else { 0 };
        actions.start.reserve(batch.firings.len());
        for ((index, firing), admission) in batch.tasks.into_iter().zip(&batch.firings).zip(admissions) {
            if !matches!(admission, Admission::Claimed(_)) {
                self.held -= 1;
            }
            if self.tasks[index as usize].live.key != firing.task {
                self.admitted_in_vain(firing, *admission, actions);
                continue;
            }
            self.admitted(index, firing, *admission, actions);
            if self.tasks[index as usize].next != Next::Answer {
                // The task was removed during the call, and added again.
                continue;
            }
            match *admission {
                Admission::Claimed(_) | Admission::Queued { .. } | Admission::Recorded(_) | Admission::Passed => {
                    self.settled_behind(firing.task, firing.shown_again().map(|shown| shown.last));
                    let task = &mut self.tasks[index as usize];
                    task.mark = firing.advance_to;
                    let next = match (task.plan.fixed_delay(), &firing.run, admission) {
                        (Some(_), Some(_), Admission::Claimed(_) | Admission::Queued { .. }) => {
                            Next::Awaits(Some(firing.id))
                        }
                        (Some(period), _, _) => delayed(&task.plan, now, period, firing.advance_to),
                        // If the clock was set back during the call, what it shows again begins at its present.
                        (None, _, _) => self.next_after(index, dealt_with_upto(firing).min(now)),
                    };
                    match next {
                        // Those that are caught up take their turn behind what is due now.
                        Next::Ahead(at) => {
                            let wake = self.tasks[index as usize].plan.due(at).max(now);
                            self.arm_at(index, next, wake);
                        }
                        next => self.arm(index, next),
                    }
                }
                Admission::MarkMoved(mark) => {
                    let task = &mut self.tasks[index as usize];
                    task.mark = mark;
                    if task.plan.fixed_delay().is_some() {
                        actions.look.push(task.live.key);
                        self.arm(index, Next::Awaits(None));
                    } else {
                        self.outrun(index, now);
                    }
                }
                Admission::Exhausted => {
                    // Another node may have declared more of them meanwhile.
                    actions.look.push(firing.task);
                    self.tasks[index as usize].live.shown().is_exhausted = true;
                    self.arm(index, Next::Over);
                }
                Admission::Outdated => {
                    actions.look.push(firing.task);
                    // The answer to the look arms it; until then nothing can be fired.
                    let task = &mut self.tasks[index as usize];
                    (task.next, task.wake) = (Next::Over, Timestamp::MAX);
                }
                Admission::Early(stores_now) => {
                    let due_in = firing.run.as_ref().map_or(Duration::ZERO, |run| run.due_at.since(stores_now));
                    actions.measure |= due_in > CLOCKS_DIFFER_PAUSE;
                    self.refused(index, firing, now, due_in.clamp(CLOCKS_DIFFER_PAUSE, EARLY_PAUSE_MAX));
                }
                Admission::Late(_) => {
                    actions.measure = true;
                    self.refused(index, firing, now, CLOCKS_DIFFER_PAUSE);
                }
            }
        }
        self.forget_early_cancellations();
    }

    /// Counts what became of a firing whose task was removed during the call, and gives its run back.
    fn admitted_in_vain(&mut self, firing: &Firing, admission: Admission, actions: &mut Actions) {
        let passed = firing.passed.as_ref().map_or(0, |passed| passed.count);
        let ledger = &mut actions.counted.ledger;
        match admission {
            Admission::Claimed(_) | Admission::Queued { .. } => {
                ledger.count_recorded(passed);
                ledger.count_run();
            }
            Admission::Recorded(_) => ledger.count_recorded(passed + 1),
            Admission::Passed => ledger.count_recorded(passed),
            _ => {}
        }
        match (admission, &firing.run) {
            (Admission::Claimed(hold), Some(run)) => self.give_back(firing.task, firing.id, hold.token, run.due_at),
            (Admission::Queued { cancel }, _) => {
                actions.cancel.extend(cancel.map(|id| (id, CancelCause::Replaced)));
            }
            _ => {}
        }
    }

    /// Counts what became of a firing, and starts its run.
    fn admitted(&mut self, index: u32, firing: &Firing, admission: Admission, actions: &mut Actions) {
        let task = &self.tasks[index as usize].live;
        let is_done = matches!(
            admission,
            Admission::Claimed(_) | Admission::Queued { .. } | Admission::Recorded(_) | Admission::Passed
        );
        if let (Some(passed), true) = (&firing.passed, is_done) {
            actions.recorded(&task.name, passed.clone());
        }
        let Some(run) = &firing.run else { return };
        if matches!(admission, Admission::Queued { .. }) {
            task.tally().waits_in_store();
        }
        match admission {
            Admission::Claimed(hold) => {
                actions.counted.ledger.count_run();
                let job = Job {
                    task: Arc::clone(task),
                    id: firing.id,
                    token: hold.token,
                    origin: run.origin,
                    scheduled_at: run.scheduled_at,
                    due_at: run.due_at,
                    attempt: 1,
                    abandoned: 0,
                    missed: run.missed,
                    previous_success: hold.previous_success,
                    arguments: None,
                };
                self.start_unless_held_back(job, Some(index), actions);
            }
            Admission::Queued { cancel } => {
                actions.counted.ledger.count_run();
                actions.cancel.extend(cancel.map(|id| (id, CancelCause::Replaced)));
                // It may be that room was made while the store answered.
                self.claims.now |= cancel.is_none();
            }
            Admission::Recorded(refusal) => {
                let record = Record::one(refusal.reason(), run.scheduled_at).noted(refusal.note());
                actions.recorded(&task.name, record);
                if refusal == Refusal::Paused && self.tasks[index as usize].pause.is_none() {
                    // The store knows of a pause that has not been told here yet.
                    actions.look.push(firing.task);
                }
            }
            _ => {}
        }
    }

    /// The store's clock refused the firing: it is tried again after `pause`.
    fn refused(&mut self, index: u32, firing: &Firing, now: Timestamp, pause: Duration) {
        if self.tasks[index as usize].plan.fixed_delay().is_some() {
            return self.arm_at(index, Next::Delayed(firing.advance_to), now.plus(pause));
        }
        match self.next_after(index, firing.mark.min(now)) {
            next @ Next::Ahead(_) => self.arm_at(index, next, now.plus(pause)),
            // The clock was set back during the call.
            next => self.arm(index, next),
        }
    }

    /// Has the task wait for its next occurrence, the last of which another node was quicker to fire. For what is still to
    /// come both are as quick again, so that the nodes of a cluster share the work.
    fn outrun(&mut self, index: u32, now: Timestamp) {
        let next = self.next_after(index, self.tasks[index as usize].mark);
        let pause = OUTRUN_PAUSE * (1 << self.outrun_in_a_row.min(OUTRUN_DOUBLINGS_MAX));
        let (Next::Ahead(at) | Next::Again(at)) = next else { return self.arm(index, next) };
        let due = self.tasks[index as usize].plan.due(at);
        if due > now.plus(OUTRUN_PAUSE) {
            return self.arm(index, next);
        }
        // What is in time stays so.
        let grace_left = self.misfire_grace.saturating_sub(now.since(due));
        let pause = if grace_left.is_zero() { pause } else { pause.min(grace_left / 2) };
        self.arm_at(index, next, now.plus(pause));
    }

    /// What the task waits for, given that everything up to `after` has been dealt with.
    pub(super) fn next_after(&self, index: u32, after: Timestamp) -> Next {
        let task = &self.tasks[index as usize];
        match task.plan.next(after) {
            Some(at) if at > task.mark => Next::Ahead(at),
            Some(at) => Next::Again(at),
            None => Next::Over,
        }
    }

    fn clock_stepped(&mut self, step: ClockStep, now: Timestamp, actions: &mut Actions) {
        actions.notices.push(Notice::ClockStepped(step));
        if let ClockStep::Back(_) = step {
            for index in 0..self.tasks.len() {
                let index = u32::try_from(index).expect("a task's number is a u32");
                let task = &self.tasks[index as usize];
                let (Next::Ahead(at) | Next::Again(at)) = task.next else { continue };
                if task.mark > now {
                    let next = self.next_after(index, now);
                    self.arm(index, next);
                } else if task.wake > task.plan.due(at).max(now) {
                    // It pauses until an instant that is further away now.
                    self.arm(index, task.next);
                }
            }
        }
    }
}

/// Up to which instant a firing settles its task. A step that leaves the mark where it is was about instants that the
/// clock showed again.
fn dealt_with_upto(firing: &Firing) -> Timestamp {
    match &firing.passed {
        Some(passed) if firing.advance_to == firing.mark => passed.last,
        _ => firing.advance_to,
    }
}
