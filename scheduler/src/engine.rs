//! The engine: one loop that owns all scheduling state, in which nothing blocks and nothing polls.
//!
//! ```text
//! timer, ended runs, answers of the backend, a stop ──▶ decide (pure) ──▶ actions ──▶ backend, executor
//! ```
//!
//! Each turn takes in what has happened, decides, and carries the decisions out. A backend call that answers at once is
//! taken in at once; one that has to wait becomes a pending call, and the loop goes on. Between turns the loop sleeps
//! until the next task is due or the wall clock was set. Where nobody tells that it looks each second, and where somebody does each ten,
//! so that nothing hangs on being told.
//!
//! Invariants: only `decide` changes the state; one call of each kind is under way at a time; everything is bounded by
//! the number of runs that may be held.

mod calls;
mod changes;
mod counts;
mod deaths;
mod decide;
mod due;
mod event;
mod heartbeat;
mod link;
mod notice;
mod present;
#[cfg(any(test, feature = "test-util"))]
mod rehearse;
mod runs;
mod shutdown;
mod state;
mod timer;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::backend::{Backend, Changes, Claim, Holder, Registered, TaskKey};
use crate::clock::{Offset, StoreClock};
use crate::events::{SchedulerEvent, Teller};
use crate::executor::{Ended, Executor, Job};
use crate::logging::{Entry, Logger};
use crate::task::LiveTask;
use calls::{Answer, Calls};
use event::{Actions, EndRunning, Event, Withdraw};
use link::{Doubt, Return};

pub(crate) use counts::Counts;
pub(crate) use event::Counted;
pub(crate) use heartbeat::Heartbeat;
pub(crate) use link::Link;
pub(crate) use present::Present;
#[cfg(any(test, feature = "test-util"))]
pub(crate) use rehearse::rehearse;
pub(crate) use state::State;
pub use state::{CancelledRun, StopReport};

/// How long the end of a run may stay unnoticed of which its worker has not told, because the next body has blocked its thread.
const UNTOLD_MAX: Duration = Duration::from_secs(1);

/// How often a node looks for runs whose node has died.
const CLAIM_EVERY: Duration = Duration::from_secs(5);

/// What a scheduler has been asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asked {
    Run,
    Drain,
    StopNow,
}

/// What the program asks of a running engine, beside a stop.
pub(crate) enum Request {
    /// Something has changed in the store.
    Changed(Changes),
    /// Runs wait in the store.
    Runnable,
    /// A task is to fire too.
    Add(Arc<LiveTask>, Box<Registered>),
    /// A task is declared otherwise than before.
    #[cfg(feature = "config")]
    Redeclare(Arc<LiveTask>, Box<Registered>),
    /// A task is not to fire any more.
    Remove(TaskKey),
}

/// A request, and where to say that the engine has taken it in.
pub(crate) type Asking = (Request, oneshot::Sender<()>);

/// How many answers are taken in before the loop goes on: more than there are kinds of calls.
const ANSWERS_PER_TURN: usize = 16;

/// How many requests may wait for the engine.
pub(crate) const REQUESTS_MAX: usize = 64;

/// The engine of one scheduler.
pub(crate) struct Engine {
    pub(crate) state: State,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) holder: Arc<Holder>,
    /// The tasks for which it claims, in ascending order.
    pub(crate) keys: Arc<[TaskKey]>,
    /// Those of them that are jobs, in the same order, each with the newest version of arguments that it reads.
    pub(crate) jobs: Arc<[(TaskKey, u32)]>,
    pub(crate) requests: mpsc::Receiver<Asking>,
    /// The version of the store when its tasks were registered.
    pub(crate) version: u64,
    pub(crate) teller: Teller,
    pub(crate) logger: Logger,
    pub(crate) node: Arc<str>,
    pub(crate) clock: StoreClock,
    pub(crate) offset: Offset,
    pub(crate) present: Present,
    pub(crate) link: Arc<Link>,
    pub(crate) executor: Executor,
    /// Woken by the executor when runs have ended.
    pub(crate) wake: Arc<Notify>,
    pub(crate) asked: watch::Receiver<Asked>,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) counts: Arc<Counts>,
}

impl Engine {
    /// Runs until a stop is over.
    pub(crate) async fn run(self) -> StopReport {
        let turns = Turns {
            seen: Some(self.version),
            calls: Calls::default(),
            asks_lost: false,
            actions: Actions::default(),
            engine: self,
        };
        turns.run().await
    }
}

/// The engine at work.
struct Turns {
    engine: Engine,
    /// The version of the store that is known, while nothing waits for the next.
    seen: Option<u64>,
    calls: Calls,
    /// Whether it is being asked which runs the node has lost.
    asks_lost: bool,
    actions: Actions,
}

impl Turns {
    async fn run(mut self) -> StopReport {
        self.say_offset();
        loop {
            self.take_measured();
            self.take_answers().await;
            // Also where there is always more to do, so that the loop never sleeps.
            if self.engine.asked.has_changed().is_ok_and(|changed| changed) {
                self.heed();
            }
            while let Ok(asking) = self.engine.requests.try_recv() {
                self.take_in(asking);
            }
            let ended = self.take_ended();
            self.decide(if ended.is_empty() { Event::Woke } else { Event::Ended(ended) });
            // If the last answer that was taken in is of a change, nobody waits for the next yet.
            let more = self.carry_out().await | self.seen.is_some();
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

    /// What has ended; later, if nobody knows the present and nothing else has to end.
    fn take_ended(&mut self) -> Vec<Ended> {
        if self.now().is_sure || self.engine.state.is_stopping() {
            self.engine.executor.take_ended()
        } else {
            Vec::new()
        }
    }

    fn decide(&mut self, event: Event) {
        let now = self.now();
        self.actions.with_ends = self.engine.teller.is_heard();
        self.engine.state.decide(event, now, &mut self.actions);
    }

    /// Carries out what has been decided; tells whether another turn should follow: the backend answered a call at
    /// once, so that more may be due, or runs were submitted.
    async fn carry_out(&mut self) -> bool {
        let mut answered = false;
        self.withdraw();
        // First, so that the place of a run that has ended is free for what falls due now.
        if !self.actions.finish.is_empty() {
            let ended = std::mem::take(&mut self.actions.finish);
            answered |=
                self.call(calls::finish(Arc::clone(&self.engine.link), Arc::clone(&self.engine.backend), ended)).await;
        }
        if !self.actions.look.is_empty() {
            let keys = std::mem::take(&mut self.actions.look);
            answered |=
                self.call(calls::look(Arc::clone(&self.engine.link), Arc::clone(&self.engine.backend), keys)).await;
        }
        if let Some(batch) = self.actions.enqueue.take() {
            let (backend, holder) = (Arc::clone(&self.engine.backend), Arc::clone(&self.engine.holder));
            answered |= self.call(calls::enqueue(Arc::clone(&self.engine.link), backend, holder, batch)).await;
        }
        if !self.actions.unregister.is_empty() {
            let (backend, holder) = (Arc::clone(&self.engine.backend), Arc::clone(&self.engine.holder));
            let tasks = std::mem::take(&mut self.actions.unregister);
            answered |= self.call(calls::unregister(Arc::clone(&self.engine.link), backend, holder, tasks)).await;
        }
        answered |= self.claim().await;
        let submitted = !self.actions.start.is_empty();
        self.engine.executor.submit(&mut self.actions.start);
        if let Some(lost) = self.actions.lose.take() {
            self.engine.executor.lose(&lost);
            self.asks_lost = false;
        }
        answered |= self.heed_contact().await;
        if std::mem::take(&mut self.actions.measure) {
            let _ = self.engine.link.measure();
        }
        for (id, cause) in self.actions.cancel.drain(..) {
            self.engine.executor.cancel(id, cause);
        }
        match self.actions.end_running.take() {
            Some(EndRunning::Ask) => self.engine.executor.ask_to_cancel(),
            Some(EndRunning::Abort) => self.engine.executor.abort(),
            Some(EndRunning::GiveUp) => self.decide(Event::GaveUp(self.engine.executor.running())),
            None => {}
        }
        if std::mem::take(&mut self.actions.leave) {
            let (backend, holder) = (Arc::clone(&self.engine.backend), Arc::clone(&self.engine.holder));
            answered |= self.call(calls::leave(Arc::clone(&self.engine.link), backend, holder)).await;
        }
        if std::mem::take(&mut self.actions.mark_is_put_back) {
            let now = self.now().wall;
            self.engine.counts.repeats_as_marks_stand(self.engine.state.marked_ahead(now));
        }
        let counted = std::mem::take(&mut self.actions.counted);
        if counted != Counted::default() {
            self.engine.counts.add(counted);
        }
        for notice in self.actions.notices.drain(..) {
            notice.log(&self.engine.logger);
            #[cfg(feature = "metrics")]
            notice.count(self.engine.executor.meters());
            self.engine.teller.tell(|| notice.into_event());
        }
        answered || submitted
    }

    /// Takes in what has been answered meanwhile, also where there is always more to do, and goes on waiting for
    /// changes of the store.
    async fn take_answers(&mut self) {
        for _ in 0..ANSWERS_PER_TURN {
            if let Some(version) = self.seen.take() {
                let call = calls::changes(Arc::clone(&self.engine.link), Arc::clone(&self.engine.backend), version);
                self.call(call).await;
            }
            match self.calls.ready().await {
                Some(answer) => self.answered(answer),
                None if self.seen.is_none() => return,
                None => {}
            }
        }
    }

    /// Takes back what is not to begin.
    fn withdraw(&mut self) {
        for (task, which) in std::mem::take(&mut self.actions.withdraw) {
            let wanted = |job: &Job| job.task.key == task.key && (which == Withdraw::All || runs::is_held_back(job));
            let mut jobs = self.engine.executor.withdraw(wanted);
            // Those too that an answer has just brought and that the executor does not have yet.
            let start = std::mem::take(&mut self.actions.start);
            let (brought, kept): (Vec<Job>, Vec<Job>) = start.into_iter().partition(wanted);
            self.actions.start = kept;
            brought.iter().for_each(|job| job.task.tally().accepted());
            jobs.extend(brought);
            if !jobs.is_empty() {
                self.decide(Event::Withdrawn(jobs));
            }
        }
    }

    async fn claim(&mut self) -> bool {
        let now = self.now();
        if self.engine.state.claims_in(now).is_none_or(|wait| !wait.is_zero()) {
            return false;
        }
        let (number, max) = self.engine.state.begin_claim(now);
        let (tasks, jobs) = (Arc::clone(&self.engine.keys), Arc::clone(&self.engine.jobs));
        let claim = Claim { number, tasks, jobs, max };
        let (backend, holder) = (Arc::clone(&self.engine.backend), Arc::clone(&self.engine.holder));
        self.call(calls::claim(Arc::clone(&self.engine.link), backend, holder, claim)).await
    }

    /// Has runs begin that were held back while there was no contact with the store: at once, or, if it was away for so long
    /// that others may have taken them over, after it has told which.
    async fn heed_contact(&mut self) -> bool {
        if self.engine.link.may_begin() || self.asks_lost {
            return false;
        }
        match self.engine.link.returns() {
            Return::NotYet => false,
            Return::Trusted => {
                self.engine.executor.go_on();
                false
            }
            Return::InDoubt(doubt) => {
                self.asks_lost = true;
                if doubt == Doubt::All {
                    self.engine.state.doubt_answers();
                }
                let held = self.engine.executor.holdings();
                let (link, backend) = (Arc::clone(&self.engine.link), Arc::clone(&self.engine.backend));
                self.call(calls::lost(link, backend, held)).await
            }
        }
    }

    /// Makes a call, and takes its answer in if it is there at once.
    async fn call(&mut self, call: impl Future<Output = Answer> + Send + 'static) -> bool {
        match self.calls.begin(call).await {
            Some(answer) => {
                self.answered(answer);
                true
            }
            None => false,
        }
    }

    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Event(event) => {
                if self.engine.state.is_doubted(&event) {
                    self.engine.link.doubt_answer();
                }
                self.decide(event);
            }
            Answer::Changes(changes) => {
                self.seen = Some(changes.version);
                self.decide(Event::Changed(changes));
            }
        }
    }

    /// Sleeps until something has happened or the next step is due.
    async fn sleep(&mut self) {
        let now = self.now();
        let state = &self.engine.state;
        let fires = state.fires_at().map(|at| self.engine.clock.until(at));
        let stops = state.stop_steps_at().map(|at| at.saturating_sub(now.passed));
        let claims = state.claims_in(now);
        let untold = self.engine.executor.is_at_work().then_some(UNTOLD_MAX);
        let look_every = self.engine.present.steps.look_every();
        let nap = [fires, stops, claims, untold].into_iter().flatten().fold(look_every, Duration::min);
        tokio::select! {
            // By a fixed order, not by chance: the same events give the same turns. None can starve another, since each
            // turn takes in all that there is.
            biased;
            answer = self.calls.next() => self.answered(answer),
            () = self.engine.wake.notified() => {}
            // The engine's own handle keeps the senders alive.
            Ok(()) = self.engine.asked.changed() => self.heed(),
            Some(asking) = self.engine.requests.recv() => self.take_in(asking),
            () = self.engine.present.steps.next() => {}
            () = tokio::time::sleep(nap) => {}
        }
    }

    /// Takes in a request of the program, and says so once what follows from it is done.
    fn take_in(&mut self, (request, taken_in): Asking) {
        match request {
            Request::Changed(changes) => self.decide(Event::Changed(changes)),
            Request::Runnable => self.decide(Event::Runnable),
            Request::Add(task, registered) => {
                self.change_keys(|keys| keys.push(task.key));
                self.change_jobs(|jobs| jobs.extend(task.reads()));
                self.engine.logger.write(Entry::TaskRegistered { task: task.name.as_str() });
                self.engine.teller.tell(|| SchedulerEvent::TaskRegistered { task: task.name.clone() });
                self.decide(Event::Added(task, registered));
            }
            #[cfg(feature = "config")]
            Request::Redeclare(task, registered) => self.decide(Event::Redeclared(task, registered)),
            Request::Remove(key) => {
                self.change_keys(|keys| keys.retain(|&known| known != key));
                self.change_jobs(|jobs| jobs.retain(|&(known, _)| known != key));
                self.decide(Event::Removed(key));
            }
        }
        // Before the answer: nothing that has not begun may begin after it.
        self.withdraw();
        // Whoever asked may have gone.
        let _ = taken_in.send(());
    }

    fn change_keys(&mut self, change: impl FnOnce(&mut Vec<TaskKey>)) {
        let mut keys = self.engine.keys.to_vec();
        change(&mut keys);
        keys.sort_unstable();
        self.engine.keys = keys.into();
    }

    fn change_jobs(&mut self, change: impl FnOnce(&mut Vec<(TaskKey, u32)>)) {
        let mut jobs = self.engine.jobs.to_vec();
        change(&mut jobs);
        jobs.sort_unstable();
        self.engine.jobs = jobs.into();
    }

    /// Takes in what the program has asked for.
    fn heed(&mut self) {
        let asked = *self.engine.asked.borrow_and_update();
        let how = match asked {
            Asked::Run => return,
            Asked::Drain => "drain",
            Asked::StopNow => "now",
        };
        self.engine.logger.write(Entry::SchedulerStopping { node: &self.engine.node, how });
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

#[cfg(test)]
mod tests;
