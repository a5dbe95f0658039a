//! What becomes of runs: which are claimed, how attempts end, and the one place that decides whether another follows.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::CLAIM_EVERY;
use super::event::{Actions, Event, Withdraw};
use super::notice::Notice;
use super::state::{BATCH_MAX, CancelledRun, Doubted, Next, Now, Phase, State, delayed};
use crate::backend::{Claims, End, Finish, Holding, Stored, TaskKey, Token, Unregistration};
use crate::executor::{Ended, Job};
use crate::outcome::{CancelCause, Outcome};
use crate::run::{Origin, RunId, RunState};
use crate::schedule::Delivery;
use crate::task::LiveTask;

/// The pause after the second claim in a row of which runs went back at once; each further one is twice as long.
const VAIN_CLAIM_PAUSE: Duration = Duration::from_millis(10);

impl State {
    /// When to claim: at once if runs wait that may begin, at the next attempt of one that is tried again, and in any
    /// case each [`CLAIM_EVERY`], for runs of dead nodes.
    pub(crate) fn claims_in(&self, now: Now) -> Option<Duration> {
        if self.phase != Phase::Firing || self.claims.is_under_way || self.claims_at_most() == 0 {
            return None;
        }
        let held_off = self.claims.not_before.saturating_sub(now.passed);
        if self.claims.now {
            return Some(held_off);
        }
        let look = self.claims.look_at.saturating_sub(now.passed);
        Some(self.claims.at.map_or(look, |at| look.min(at.since(now.wall))).max(held_off))
    }

    /// Holds off the next claim if this one was made in vain: it has brought runs that go back at once, or came too early.
    /// Once is a pause or a removal that came while the store answered; a store that goes on so, or whose clock is behind
    /// what the node takes it for, must not keep the loop busy.
    fn hold_off(&mut self, is_in_vain: bool, passed: Duration) {
        if !is_in_vain {
            (self.claims.vain, self.claims.not_before) = (0, Duration::ZERO);
            return;
        }
        let doubled = self.claims.vain.checked_sub(1).map_or(0, |times| 1_u32 << times.min(16));
        self.claims.not_before = passed + (VAIN_CLAIM_PAUSE * doubled).min(CLAIM_EVERY);
        self.claims.vain = self.claims.vain.saturating_add(1);
    }

    /// For how many runs a claim may ask: half the room at most, so that one which hangs does not keep the scheduler
    /// from firing.
    fn claims_at_most(&self) -> usize {
        self.room().div_ceil(2).min(BATCH_MAX)
    }

    /// Keeps room for the runs that a claim may bring, and tells the claim's number and for how many runs there is room.
    pub(crate) fn begin_claim(&mut self, now: Now) -> (u64, usize) {
        let claims = &mut self.claims;
        claims.made += 1;
        (claims.is_under_way, claims.now, claims.at) = (true, false, None);
        claims.look_at = now.passed + CLAIM_EVERY;
        self.claims.room = self.claims_at_most();
        (self.claims.made, self.claims.room)
    }

    pub(super) fn claimed(&mut self, claims: Claims, now: Now, actions: &mut Actions) {
        let giving_back = self.to_finish.len();
        let asked = std::mem::take(&mut self.claims.room);
        self.claims.is_under_way = false;
        self.claims.now |= claims.runs.len() >= asked;
        // What the store says is due by now, and does not give, is due by a clock that is ahead of the store's.
        let is_early = claims.runs.is_empty() && claims.next_at.is_some_and(|at| at <= now.wall);
        self.claims.at = self.claims.at.into_iter().chain(claims.next_at).min();
        let recovered = claims.runs.iter().filter(|run| run.was == RunState::Running).count();
        if recovered > 0 {
            actions.notices.push(Notice::TakenOver { runs: recovered });
        }
        for run in claims.runs {
            self.held += 1;
            // Only runs of known tasks were asked for; one that was removed meanwhile is given back.
            let Some(place) = self.place(run.task) else {
                self.give_back(run.task, run.id, run.hold.token, run.due_at);
                continue;
            };
            let task = Arc::clone(&self.tasks[place as usize].live);
            self.resumed(run.id);
            let job = Job {
                task,
                id: run.id,
                token: run.hold.token,
                origin: run.origin,
                scheduled_at: run.scheduled_at,
                due_at: run.due_at,
                attempt: run.attempt,
                abandoned: run.abandoned,
                missed: run.missed,
                previous_success: run.hold.previous_success,
                arguments: run.arguments,
            };
            self.start_unless_held_back(job, Some(place), actions);
        }
        let is_in_vain = is_early || self.to_finish.len() > giving_back;
        self.hold_off(is_in_vain, now.passed);
        self.forget_early_cancellations();
    }

    /// A run waits for its next attempt no more, and is counted out where it was counted in: its task may have been
    /// registered anew meanwhile.
    pub(super) fn resumed(&mut self, id: RunId) {
        if let Some(task) = self.put_off.remove(&id) {
            task.tally().retried();
        }
    }

    /// Starts a run that the store has just given, unless its task was removed or paused while the answer was under way:
    /// nothing begins after the answer to a pause. One that was asked to cancel meanwhile is cancelled as it starts.
    pub(super) fn start_unless_held_back(&mut self, job: Job, place: Option<u32>, actions: &mut Actions) {
        if self.deaths.is_over(job.id) {
            // The answer that brings it was given before this node was taken for dead.
            self.held -= 1;
            return;
        }
        let is_paused = |place: u32| self.tasks[place as usize].pause.is_some() && is_held_back(&job);
        if place.is_none_or(is_paused) {
            return self.give_back(job.task.key, job.id, job.token, job.due_at);
        }
        let early = self.cancelled_early.iter().filter(|&&(id, _)| id == job.id);
        actions.cancel.extend(early);
        actions.start.push(job);
    }

    pub(super) fn give_back(&mut self, task: TaskKey, id: RunId, token: Token, at: Timestamp) {
        self.to_finish.push(Finish {
            task,
            id,
            token,
            end: End::HandBack,
            started_at: None,
            finished_at: at,
            log: None,
        });
    }

    /// A cancellation is early while a call is under way that may bring its run.
    pub(super) fn forget_early_cancellations(&mut self) {
        if self.enqueueing == 0 && !self.claims.is_under_way {
            self.cancelled_early.clear();
        }
    }

    /// The answers that are under way are of before the node lost contact: the runs that they bring are another's perhaps.
    pub(crate) fn doubt_answers(&mut self) {
        self.doubted = Doubted { claim: self.claims.is_under_way, firings: self.enqueueing > 0 };
    }

    /// Whether this is such an answer. It is one once.
    pub(crate) fn is_doubted(&mut self, event: &Event) -> bool {
        match event {
            Event::Claimed(_) => std::mem::take(&mut self.doubted.claim),
            Event::Enqueued(..) => std::mem::take(&mut self.doubted.firings),
            _ => false,
        }
    }

    pub(super) fn ended(&mut self, ended: Vec<Ended>, now: Now, actions: &mut Actions) {
        self.to_finish.reserve(ended.len());
        for Ended { job, outcome, advice, ran, log } in ended {
            if outcome == Outcome::Cancelled(CancelCause::TakenOver) || self.deaths.is_over(job.id) {
                // Whoever has it stores how it ends, or it has ended and is counted.
                job.task.tally().given_back(ran.is_some());
                self.held -= 1;
                continue;
            }
            let started_at = ran.map(|ran| now.date(ran.began));
            let finished_at = ran.map_or(now.wall, |ran| now.date(ran.began + ran.duration));
            // Attempts whose node died do not count.
            let failed = job.attempt - job.abandoned;
            let wait = match outcome {
                Outcome::Failed(_) | Outcome::TimedOut(_) => job.task.retry().wait(failed, advice, job.id),
                Outcome::Succeeded | Outcome::Cancelled(_) => None,
            };
            let end = match (wait, &outcome) {
                (Some(wait), _) => {
                    let at = finished_at.plus(wait);
                    job.task.tally().retries();
                    if self.has(job.task.key) {
                        self.put_off.insert(job.id, Arc::clone(&job.task));
                    }
                    actions.counted.retried += 1;
                    let failure = outcome.text().unwrap_or_default();
                    actions.notices.push(Notice::Retries {
                        task: job.task.name.clone(),
                        id: job.id,
                        attempt: job.attempt,
                        at,
                        failure: failure.clone(),
                    });
                    End::Retry { at, failure }
                }
                (None, Outcome::Cancelled(CancelCause::Stopped))
                    if self.is_durable && job.task.policy.delivery == Delivery::AtLeastOnce =>
                {
                    job.task.tally().given_back(ran.is_some());
                    End::HandBack
                }
                (None, _) => {
                    self.count_end(&job, &outcome, ran.map(|ran| ran.duration), finished_at, actions);
                    End::Final(outcome)
                }
            };
            self.to_finish.push(Finish {
                task: job.task.key,
                id: job.id,
                token: job.token,
                end,
                started_at,
                finished_at,
                log,
            });
        }
    }

    fn count_end(
        &mut self,
        job: &Job,
        outcome: &Outcome,
        took: Option<Duration>,
        at: Timestamp,
        actions: &mut Actions,
    ) {
        let (state, count) = match outcome {
            Outcome::Succeeded => (RunState::Succeeded, &mut actions.counted.succeeded),
            Outcome::Failed(_) => (RunState::Failed, &mut actions.counted.failed),
            Outcome::TimedOut(_) => (RunState::TimedOut, &mut actions.counted.failed),
            Outcome::Cancelled(_) => (RunState::Cancelled, &mut actions.counted.cancelled),
        };
        *count += 1;
        job.task.tally().ended(state, at, took);
        if actions.with_ends {
            actions.notices.push(Notice::Ended { task: job.task.name.clone(), id: job.id, state });
        }
        if *outcome == Outcome::Cancelled(CancelCause::Stopped) {
            self.cancelled.push(CancelledRun {
                task: job.task.name.clone(),
                id: job.id,
                scheduled_at: job.scheduled_at,
                began: took.is_some(),
                stuck: false,
            });
        }
    }

    /// Runs that had not begun go back to the store.
    pub(super) fn withdrawn(&mut self, jobs: Vec<Job>, now: Timestamp, _: &mut Actions) {
        for job in jobs {
            job.task.tally().given_back(false);
            self.to_finish.push(Finish {
                task: job.task.key,
                id: job.id,
                token: job.token,
                end: End::HandBack,
                started_at: None,
                finished_at: now,
                log: None,
            });
        }
    }

    pub(super) fn unregister_what_was_removed(&mut self, actions: &mut Actions) {
        if !self.unregistering && !self.to_unregister.is_empty() {
            self.unregistering = true;
            let rest = self.to_unregister.split_off(self.to_unregister.len().min(BATCH_MAX));
            actions.unregister = std::mem::replace(&mut self.to_unregister, rest);
        }
    }

    pub(super) fn store_what_has_ended(&mut self, actions: &mut Actions) {
        if !self.finishing && !self.to_finish.is_empty() {
            self.finishing = true;
            let rest = self.to_finish.split_off(self.to_finish.len().min(BATCH_MAX));
            actions.finish = std::mem::replace(&mut self.to_finish, rest);
            let ends = actions.finish.iter().filter(|finish| matches!(finish.end, End::Final(_)));
            self.storing.extend(ends.map(|finish| finish.id));
        }
    }

    pub(super) fn stored(&mut self, ended: &[Finish], stored: &[Stored], actions: &mut Actions) {
        self.finishing = false;
        self.storing.clear();
        self.held -= ended.len();
        let mut stale = 0;
        for (finish, stored) in ended.iter().zip(stored) {
            match stored {
                Stored::Done { more } => self.claims.now |= *more,
                // It may be that it was stored by a call whose answer was lost: then what follows from it does so too.
                Stored::Stale => {
                    stale += 1;
                    self.claims.now = true;
                }
            }
            match finish.end {
                // Another node has it, or an earlier call has stored this: then a claim brings it.
                End::Retry { .. } if *stored == Stored::Stale => self.resumed(finish.id),
                End::Retry { at, .. } => self.claims.at = self.claims.at.into_iter().chain([at]).min(),
                End::HandBack => {}
                End::Final(_) if *stored == Stored::Stale => {
                    self.deaths.was_stale(finish.id);
                    actions.look.push(finish.task);
                }
                End::Final(_) => self.delay_after(finish),
            }
        }
        if stale > 0 {
            actions.notices.push(Notice::Stale { runs: stale });
        }
    }

    /// The end of the run from which a fixed delay counts.
    fn delay_after(&mut self, finish: &Finish) {
        if !self.has_delays {
            return;
        }
        let Some(place) = self.place(finish.task) else { return };
        let task = &self.tasks[place as usize];
        if task.next != Next::Awaits(Some(finish.id)) {
            return;
        }
        if let Some(period) = task.plan.fixed_delay() {
            let next = delayed(&task.plan, finish.finished_at, period, task.mark);
            self.arm(place, next);
        }
    }

    /// A task is not to fire any more. Its runs that wait go back to the store, those that execute go on.
    pub(super) fn remove(&mut self, key: TaskKey, actions: &mut Actions) {
        let Some(place) = self.place(key) else { return };
        let nobody = Arc::clone(self.nobody.get_or_insert_with(LiveTask::nobody));
        let task = &mut self.tasks[place as usize];
        (task.next, task.wake, task.pause) = (Next::Over, Timestamp::MAX, None);
        // What is said of a clock that repeats itself may have been about this one.
        task.mark = Timestamp::MIN;
        actions.mark_is_put_back = true;
        actions.withdraw.push((std::mem::replace(&mut task.live, nobody), Withdraw::All));
        self.to_unregister.push(Unregistration { task: key, version: task.version });
        // Whoever has its retries from now on counts them.
        self.put_off.retain(|_, task| task.key != key);
        if let Some(places) = &mut self.places {
            places.remove(&key);
        }
        self.free.push(place);
        self.behind.remove(&key);
    }
}

/// Gives up the runs that others have taken over.
pub(super) fn lose(lost: HashSet<Holding>, actions: &mut Actions) {
    if !lost.is_empty() {
        actions.notices.push(Notice::Lost { runs: lost.len() });
    }
    actions.lose = Some(lost);
}

/// Whether a pause holds a run back: a trigger and a backfill are not held.
pub(super) fn is_held_back(job: &Job) -> bool {
    matches!(job.origin, Origin::Schedule | Origin::Start | Origin::Job(_))
}
