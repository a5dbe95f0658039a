//! Every decision of the scheduler: state and event in, actions out.
//!
//! Pure: no clock, no I/O, no randomness but the seeded ids of the state. The same events give the same actions, which
//! is what lets a simulation drive it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::due;
use super::event::{Actions, Batch, Event, Notice};
use super::shutdown;
use super::state::{BATCH_MAX, CancelledRun, Next, Now, Phase, State};
use crate::backend::{Admission, Claimed, Finish, Firing, Stored, TaskKey};
use crate::clock::ClockStep;
use crate::executor::{Ended, Job};
use crate::outcome::Outcome;
use crate::task::LiveTask;

/// How long a task waits that the store's clock calls early or late: by the next look both clocks agree.
const CLOCKS_DIFFER_PAUSE: Duration = Duration::from_millis(10);

/// The longest wait for a store's clock that is behind: it may be set meanwhile.
const EARLY_PAUSE_MAX: Duration = Duration::from_secs(1);

impl State {
    /// Takes in one event.
    pub(crate) fn decide(&mut self, event: Event, now: Now, actions: &mut Actions) {
        match event {
            Event::Woke => {}
            Event::ClockStepped(step) => self.clock_stepped(step, now.wall, actions),
            Event::Enqueued(batch, admissions) => self.enqueued(batch, &admissions, now.wall, actions),
            Event::TookOver(claimed) => self.took_over(claimed, actions),
            Event::Ended(ended) => self.ended(ended, now.wall, actions),
            Event::Stored(ended, stored) => self.stored(&ended, &stored, actions),
            Event::Drain(timeout) => shutdown::drain(self, timeout, now.passed),
            Event::StopNow => shutdown::stop_now(self, now.passed, actions),
            Event::GaveUp(running) => shutdown::give_up(self, running),
        }
        shutdown::advance(self, now.passed, actions);
        self.fire_what_is_due(now.wall, actions);
        self.store_what_has_ended(actions);
    }

    /// When the next task is due; `None` while nothing may fire.
    pub(crate) fn fires_at(&self) -> Option<Timestamp> {
        self.may_fire().then(|| self.timer.first()).flatten()
    }

    /// After how much passed time the next step of a stop is due.
    pub(crate) fn stop_steps_at(&self) -> Option<Duration> {
        shutdown::wakes_at(self)
    }

    /// How many runs of dead nodes may be taken over now: none while a claim is under way, and half the room at most, so
    /// that a claim which hangs does not keep the scheduler from firing.
    pub(crate) fn claims_at_most(&self) -> usize {
        let may_claim = self.phase == Phase::Firing && self.claiming == 0;
        if may_claim { (self.room() / 2).min(BATCH_MAX) } else { 0 }
    }

    /// Keeps room for the runs that a claim may bring, and tells the claim's number and for how many runs there is room.
    pub(crate) fn begin_claim(&mut self) -> (u64, usize) {
        self.claiming = self.claims_at_most();
        self.claims += 1;
        (self.claims, self.claiming)
    }

    /// One batch at a time, so that what falls due during a call goes together in the next.
    fn may_fire(&self) -> bool {
        self.phase == Phase::Firing && self.enqueueing == 0 && self.room() > 0
    }

    fn fire_what_is_due(&mut self, now: Timestamp, actions: &mut Actions) {
        if !self.may_fire() || self.timer.first().is_none_or(|first| first > now) {
            return;
        }
        let batch_max = self.room().min(BATCH_MAX);
        let mut batch = Batch::default();
        while batch.firings.len() < batch_max {
            let Some((wake, index)) = self.timer.pop(now) else { break };
            let task = &mut self.tasks[index as usize];
            if task.wake != wake {
                continue;
            }
            let Some(firing) = due::step(task, now, self.misfire_grace, self.ids.next(now)) else { continue };
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

    fn enqueued(&mut self, batch: Batch, admissions: &[Admission], now: Timestamp, actions: &mut Actions) {
        assert_eq!(batch.firings.len(), admissions.len(), "a backend answers every firing");
        self.enqueueing = 0;
        actions.start.reserve(batch.firings.len());
        for ((index, firing), admission) in batch.tasks.into_iter().zip(&batch.firings).zip(admissions) {
            if !matches!(admission, Admission::Claimed(_)) {
                self.held -= 1;
            }
            match *admission {
                Admission::Claimed(_) | Admission::Overlapped(_) | Admission::Recorded => {
                    self.accepted(index, firing, *admission, actions);
                    self.tasks[index as usize].mark = firing.advance_to;
                    // If the clock was set back during the call, what it shows again begins at its present.
                    self.arm(index, self.next_after(index, dealt_with_upto(firing).min(now)));
                }
                Admission::MarkMoved(mark) => {
                    self.tasks[index as usize].mark = mark;
                    self.arm(index, self.next_after(index, mark));
                }
                Admission::Early(stores_now) => {
                    let due_in = firing.run.as_ref().map_or(Duration::ZERO, |run| run.due_at.since(stores_now));
                    self.refused(index, firing, now, due_in.clamp(CLOCKS_DIFFER_PAUSE, EARLY_PAUSE_MAX));
                }
                Admission::Late(_) => self.refused(index, firing, now, CLOCKS_DIFFER_PAUSE),
            }
        }
    }

    /// Counts what became of a firing, and starts its run.
    fn accepted(&mut self, index: u32, firing: &Firing, admission: Admission, actions: &mut Actions) {
        let task = &self.tasks[index as usize].live;
        if let Some(passed) = &firing.passed {
            actions.counted.ledger.count_recorded(passed.count);
            if let Admission::Claimed(_) = admission {
                actions.notices.push(Notice::Misfired { task: task.name.clone(), covered: passed.count });
            }
        }
        let Some(run) = &firing.run else { return };
        match admission {
            Admission::Claimed(token) => {
                actions.counted.ledger.count_run();
                actions.start.push(Job {
                    task: Arc::clone(task),
                    id: firing.id,
                    token,
                    scheduled_at: run.scheduled_at,
                    attempt: 1,
                    missed: run.missed,
                });
            }
            Admission::Overlapped(_) => {
                actions.counted.ledger.count_recorded(1);
                actions.notices.push(Notice::Overlapped { task: task.name.clone() });
            }
            Admission::Recorded | Admission::MarkMoved(_) | Admission::Early(_) | Admission::Late(_) => {}
        }
    }

    /// The store's clock refused the firing: it is tried again after `pause`.
    fn refused(&mut self, index: u32, firing: &Firing, now: Timestamp, pause: Duration) {
        match self.next_after(index, firing.mark.min(now)) {
            next @ Next::Ahead(_) => self.arm_at(index, next, now.plus(pause)),
            // The clock was set back during the call.
            next => self.arm(index, next),
        }
    }

    /// What the task waits for, given that everything up to `after` has been dealt with.
    fn next_after(&self, index: u32, after: Timestamp) -> Next {
        let task = &self.tasks[index as usize];
        match task.live.plan.next(after) {
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
                if matches!(task.next, Next::Ahead(_) | Next::Again(_)) && task.mark > now {
                    let next = self.next_after(index, now);
                    self.arm(index, next);
                }
            }
        }
    }

    fn took_over(&mut self, claimed: Vec<Claimed>, actions: &mut Actions) {
        self.claiming = 0;
        if claimed.is_empty() {
            return;
        }
        actions.notices.push(Notice::TakenOver { runs: claimed.len() });
        let by_key: HashMap<TaskKey, &Arc<LiveTask>> =
            self.tasks.iter().map(|task| (task.live.key, &task.live)).collect();
        for run in claimed {
            // Only runs of known tasks were asked for; another waits for a node that knows it.
            let Some(task) = by_key.get(&run.task) else { continue };
            self.held += 1;
            actions.start.push(Job {
                task: Arc::clone(task),
                id: run.id,
                token: run.token,
                scheduled_at: run.scheduled_at,
                attempt: run.attempt,
                missed: run.missed,
            });
        }
    }

    fn ended(&mut self, ended: Vec<Ended>, now: Timestamp, actions: &mut Actions) {
        self.to_finish.reserve(ended.len());
        for Ended { job, outcome, ran } in ended {
            let counted = match &outcome {
                Outcome::Succeeded => &mut actions.counted.succeeded,
                Outcome::Failed(_) => &mut actions.counted.failed,
                Outcome::Cancelled => &mut actions.counted.cancelled,
            };
            *counted += 1;
            if outcome == Outcome::Cancelled {
                self.cancelled.push(CancelledRun {
                    task: job.task.name.clone(),
                    id: job.id,
                    scheduled_at: job.scheduled_at,
                    began: ran.is_some(),
                    stuck: false,
                });
            }
            self.to_finish.push(Finish {
                task: job.task.key,
                id: job.id,
                token: job.token,
                outcome,
                started_at: ran.map(|ran| ran.started_at),
                finished_at: ran.map_or(now, |ran| ran.started_at.plus(ran.duration)),
            });
        }
    }

    fn store_what_has_ended(&mut self, actions: &mut Actions) {
        if !self.finishing && !self.to_finish.is_empty() {
            self.finishing = true;
            let rest = self.to_finish.split_off(self.to_finish.len().min(BATCH_MAX));
            actions.finish = std::mem::replace(&mut self.to_finish, rest);
        }
    }

    fn stored(&mut self, ended: &[Finish], stored: &[Stored], actions: &mut Actions) {
        self.finishing = false;
        self.held -= ended.len();
        let stale = stored.iter().filter(|&&stored| stored == Stored::Stale).count();
        if stale > 0 {
            actions.notices.push(Notice::Stale { runs: stale });
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
