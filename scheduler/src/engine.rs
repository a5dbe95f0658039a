//! The engine: one loop that owns all scheduling state, in which nothing blocks and nothing polls.
//!
//! ```text
//! timer, ended runs, answers of the backend, a stop ──▶ decide (pure) ──▶ actions ──▶ backend, executor
//! ```
//!
//! Each turn takes in what has happened, decides, and carries the decisions out. A backend call that answers at once is
//! taken in at once; one that has to wait becomes a pending call, and the loop goes on. Between turns the loop sleeps
//! until the next task is due, and never longer than [`LOOK_EVERY`], so that a step of the wall clock is noticed.
//!
//! Invariants: only `decide` changes the state; one call of each kind is under way at a time; everything is bounded by
//! the number of runs that may be held.

mod calls;
mod decide;
mod due;
mod event;
mod heartbeat;
mod shutdown;
mod state;
mod timer;

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::backend::{Backend, Claim, Holder, TaskKey};
use crate::clock::{Clock, ClockStep, ClockWatch};
use crate::executor::Executor;
use calls::Calls;
use event::{Actions, EndRunning, Event, Notice};
use state::Now;

pub(crate) use event::Counted;
pub(crate) use heartbeat::Heartbeat;
pub(crate) use state::State;
pub use state::{CancelledRun, StopReport};

/// The longest sleep of the loop: within it a stepped clock or a suspended machine is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often a node looks for runs whose node has died.
const CLAIM_EVERY: Duration = Duration::from_secs(5);

/// What a scheduler has been asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asked {
    Run,
    Drain,
    StopNow,
}

/// The engine of one scheduler.
pub(crate) struct Engine {
    pub(crate) state: State,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) holder: Arc<Holder>,
    pub(crate) keys: Arc<[TaskKey]>,
    pub(crate) clock: Clock,
    pub(crate) executor: Executor,
    /// Woken by the executor when runs have ended.
    pub(crate) wake: Arc<Notify>,
    pub(crate) asked: watch::Receiver<Asked>,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) counts: Arc<Counts>,
}

/// The counts that a program may read while the engine runs.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<Counted>);

impl Counts {
    /// A panic cannot leave an addition half done.
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self) -> Counted {
        *self.lock()
    }
}

impl Engine {
    /// Runs until a stop is over.
    pub(crate) async fn run(self) -> StopReport {
        let turns = Turns {
            watch: ClockWatch::new(&self.clock),
            began: self.clock.monotonic(),
            claim_at: Duration::ZERO,
            calls: Calls::default(),
            actions: Actions::default(),
            engine: self,
        };
        turns.run().await
    }
}

/// The engine at work.
struct Turns {
    engine: Engine,
    watch: ClockWatch,
    began: Instant,
    claim_at: Duration,
    calls: Calls,
    actions: Actions,
}

impl Turns {
    async fn run(mut self) -> StopReport {
        loop {
            if let Some(step) = self.watch.look(&self.engine.clock) {
                self.decide(Event::ClockStepped(step));
            }
            // Also where there is always more to do, so that the loop never sleeps.
            if self.engine.asked.has_changed().is_ok_and(|changed| changed) {
                self.heed();
            }
            let ended = self.engine.executor.take_ended();
            self.decide(if ended.is_empty() { Event::Woke } else { Event::Ended(ended) });
            let more = self.carry_out().await;
            if self.engine.state.is_over() {
                return self.engine.state.take_stop_report();
            }
            if more {
                // Runs that were just submitted get their turn, also where there is one thread for all.
                step_back().await;
            } else {
                self.sleep().await;
            }
        }
    }

    fn now(&self) -> Now {
        let clock = &self.engine.clock;
        Now { wall: clock.now(), passed: clock.monotonic().duration_since(self.began) }
    }

    fn decide(&mut self, event: Event) {
        let now = self.now();
        self.engine.state.decide(event, now, &mut self.actions);
    }

    /// Carries out what has been decided; tells whether another turn should follow: the backend answered a call at
    /// once, so that more may be due, or runs were submitted.
    async fn carry_out(&mut self) -> bool {
        let mut answered = false;
        // First, so that the place of a run that has ended is free for what falls due now.
        if !self.actions.finish.is_empty() {
            let ended = std::mem::take(&mut self.actions.finish);
            answered |= self.call(calls::finish(Arc::clone(&self.engine.backend), ended)).await;
        }
        if let Some(batch) = self.actions.enqueue.take() {
            let (backend, holder) = (Arc::clone(&self.engine.backend), Arc::clone(&self.engine.holder));
            answered |= self.call(calls::enqueue(backend, holder, batch)).await;
        }
        answered |= self.claim_orphans().await;
        let submitted = !self.actions.start.is_empty();
        self.engine.executor.submit(&mut self.actions.start);
        match self.actions.end_running.take() {
            Some(EndRunning::Ask) => self.engine.executor.ask_to_cancel(),
            Some(EndRunning::Abort) => self.engine.executor.abort(),
            Some(EndRunning::GiveUp) => self.decide(Event::GaveUp(self.engine.executor.running())),
            None => {}
        }
        let counted = std::mem::take(&mut self.actions.counted);
        if counted != Counted::default() {
            self.engine.counts.lock().add(counted);
        }
        self.actions.notices.drain(..).for_each(|notice| say(&notice));
        answered || submitted
    }

    async fn claim_orphans(&mut self) -> bool {
        let passed = self.now().passed;
        if passed < self.claim_at || self.engine.state.claims_at_most() == 0 {
            return false;
        }
        self.claim_at = passed + CLAIM_EVERY;
        let (number, max) = self.engine.state.begin_claim();
        let claim = Claim { number, tasks: Arc::clone(&self.engine.keys), max };
        let (backend, holder) = (Arc::clone(&self.engine.backend), Arc::clone(&self.engine.holder));
        self.call(calls::claim(backend, holder, claim)).await
    }

    /// Makes a call, and takes its answer in if it is there at once.
    async fn call(&mut self, call: impl Future<Output = Event> + Send + 'static) -> bool {
        match self.calls.begin(call).await {
            Some(answer) => {
                self.decide(answer);
                true
            }
            None => false,
        }
    }

    /// Sleeps until something has happened or the next step is due.
    async fn sleep(&mut self) {
        let passed = self.now().passed;
        let state = &self.engine.state;
        let fires = state.fires_at().map(|at| self.engine.clock.until(at));
        let stops = state.stop_steps_at().map(|at| at.saturating_sub(passed));
        let nap = [fires, stops].into_iter().flatten().fold(LOOK_EVERY, Duration::min);
        tokio::select! {
            answer = self.calls.next() => self.decide(answer),
            () = self.engine.wake.notified() => {}
            // The engine's own handle keeps the sender alive.
            Ok(()) = self.engine.asked.changed() => self.heed(),
            () = tokio::time::sleep(nap) => {}
        }
    }

    /// Takes in what the program has asked for.
    fn heed(&mut self) {
        let asked = *self.engine.asked.borrow_and_update();
        match asked {
            Asked::Run => {}
            Asked::Drain => self.decide(Event::Drain(self.engine.shutdown_timeout)),
            Asked::StopNow => self.decide(Event::StopNow),
        }
    }
}

/// Lets what else is ready on this thread go first.
///
/// Unlike `yield_now`, which keeps the task with its thread until that has nothing else to do, this leaves it where
/// another thread can take it: a body that blocks must not hold up the loop.
async fn step_back() {
    let mut stepped = false;
    poll_fn(|context| {
        if std::mem::replace(&mut stepped, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn say(notice: &Notice) {
    match notice {
        Notice::ClockStepped(ClockStep::Forward(by)) => {
            tracing::warn!(
                ?by,
                "the clock was set forward or the machine was suspended; what was passed over is a misfire"
            );
        }
        Notice::ClockStepped(ClockStep::Back(by)) => {
            tracing::warn!(?by, "the clock was set back; what it shows a second time is recorded and not fired again");
        }
        Notice::Misfired { task, covered } => {
            tracing::warn!(task = task.as_str(), covered, "occurrences were missed; one run covers them");
        }
        Notice::Overlapped { task } => {
            tracing::debug!(task = task.as_str(), "an occurrence was recorded as an overlap");
        }
        Notice::TakenOver { runs } => tracing::warn!(runs, "runs of a dead node were taken over"),
        Notice::Stale { runs } => {
            tracing::warn!(
                runs,
                "the ends of runs were stale: another node had taken them over, or they were stored already"
            )
        }
    }
}

#[cfg(test)]
mod tests;
