//! Runs attempts, at most `max_workers` at once. Knows tasks, runs and outcomes; nothing of schedules or stores.
//!
//! Accepted runs wait in one queue, by priority and then as they were accepted. A worker is a tokio task that takes runs
//! from it until it is empty, and then ends: an idle executor has no task at all, and a thousand runs that never wait
//! cost two spawns. A body that waits holds its worker; before the worker waits with it, another one takes over the
//! queue.
//!
//! Invariant: each job that is submitted comes back as exactly one [`Ended`], or is withdrawn before it began, whatever
//! its body does.

mod attempt;
mod cancel;
mod context;
mod extract;
mod provided;
mod queue;
mod slots;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use symphra_scheduler_core::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backend::{Holding, JobArguments, Token};
use crate::clock::StoreClock;
use crate::events::Teller;
use crate::logging::Logger;
#[cfg(feature = "metrics")]
use crate::meters::Meters;
use crate::node::Lease;
use crate::outcome::{CancelCause, Outcome};
use crate::process::Process;
use crate::retry::Advice;
use crate::run::{Missed, Origin, RunId};
use crate::task::LiveTask;

use cancel::Asked;
pub use context::{RunContext, ScheduledAt};
pub use extract::{Extract, ExtractError, Needs};
pub use provided::{Provided, State};
use queue::Queue;
pub use slots::RunningRun;
use slots::Slots;

/// A worker gives its thread back after this many runs, so that runs which never wait do not starve the runtime.
const RUNS_PER_TURN: usize = 64;

/// How long a body that was asked to cancel may take to end by itself.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// A run to be executed.
pub(crate) struct Job {
    pub(crate) task: Arc<LiveTask>,
    pub(crate) id: RunId,
    pub(crate) token: Token,
    pub(crate) origin: Origin,
    pub(crate) scheduled_at: Timestamp,
    pub(crate) due_at: Timestamp,
    pub(crate) attempt: u32,
    /// Attempts whose node died: they do not count against the task's number of attempts.
    pub(crate) abandoned: u32,
    pub(crate) missed: Option<Missed>,
    pub(crate) previous_success: Option<Timestamp>,
    /// What it is called with, if it is a job.
    pub(crate) arguments: Option<Arc<JobArguments>>,
}

impl Job {
    fn holding(&self) -> Holding {
        Holding { task: self.task.key, id: self.id, token: self.token }
    }
}

/// What all runs of a scheduler share.
pub(crate) struct Surroundings {
    pub(crate) node: Arc<str>,
    pub(crate) provided: Provided,
    pub(crate) lease: Arc<Lease>,
    pub(crate) teller: Teller,
    pub(crate) logger: Logger,
    #[cfg(feature = "metrics")]
    pub(crate) meters: Meters,
}

#[cfg(test)]
impl Surroundings {
    fn of_a_test() -> Arc<Self> {
        Arc::new(Self {
            node: "node".into(),
            provided: Provided::default(),
            lease: Arc::default(),
            teller: Teller::default(),
            logger: Logger::default(),
            #[cfg(feature = "metrics")]
            meters: Meters::new((0, false)),
        })
    }
}

/// The end of a job.
pub(crate) struct Ended {
    pub(crate) job: Job,
    pub(crate) outcome: Outcome,
    /// What a failed attempt says about another one.
    pub(crate) advice: Advice,
    /// `None` if its body never began.
    pub(crate) ran: Option<Ran>,
    /// What is to be kept of its log.
    pub(crate) log: Option<Box<str>>,
}

/// The execution of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran {
    pub(crate) began: Instant,
    pub(crate) duration: Duration,
}

/// The executor of one scheduler. Clones share it.
#[derive(Clone)]
pub(crate) struct Executor(Arc<Inner>);

struct Inner {
    waiting: Mutex<Waiting>,
    slots: Slots,
    ended: Mutex<Vec<Ended>>,
    /// Wakes the engine when runs have ended.
    wake: Arc<Notify>,
    process: Process,
    clock: StoreClock,
    surroundings: Arc<Surroundings>,
    max_workers: usize,
    /// More workers than this cannot run at the same moment, so no more are spawned for runs that may never wait.
    threads: usize,
    /// Runs that begin are asked to cancel at once.
    cancelling: AtomicBool,
    /// Runs that begin are aborted at once.
    aborting: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    queue: Queue,
    workers: usize,
    /// Since when no further worker may be had, and none has found the queue empty.
    taken_since: Option<Instant>,
}

impl Executor {
    #[cfg(feature = "metrics")]
    pub(crate) fn meters(&self) -> &Meters {
        &self.0.surroundings.meters
    }

    pub(crate) fn new(
        process: Process,
        clock: StoreClock,
        surroundings: Arc<Surroundings>,
        max_workers: usize,
        wake: Arc<Notify>,
    ) -> Self {
        let threads = process.threads();
        Self(Arc::new(Inner {
            waiting: Mutex::default(),
            slots: Slots::default(),
            ended: Mutex::default(),
            wake,
            process,
            clock,
            surroundings,
            max_workers,
            threads,
            cancelling: AtomicBool::new(false),
            aborting: AtomicBool::new(false),
        }))
    }

    /// Takes over `jobs`, which are drained.
    pub(crate) fn submit(&self, jobs: &mut Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let spawned = {
            let mut waiting = self.0.waiting();
            let wanted = jobs.len();
            for job in jobs.drain(..) {
                job.task.tally().accepted();
                waiting.queue.push(job);
            }
            self.0.enlist(&mut waiting, wanted)
        };
        for _ in 0..spawned {
            self.spawn_worker();
        }
    }

    /// Takes out what has ended since the last call.
    pub(crate) fn take_ended(&self) -> Vec<Ended> {
        std::mem::take(&mut *self.0.ended())
    }

    /// Takes out the runs for which `wanted` is true and which have not begun. They come back by no other way.
    pub(crate) fn withdraw(&self, wanted: impl Fn(&Job) -> bool) -> Vec<Job> {
        self.0.waiting().queue.take(wanted)
    }

    /// Cancels the run `id`, if it is here: one that executes is asked, and dropped after a grace; one that waits is
    /// ended at once.
    pub(crate) fn cancel(&self, id: RunId, cause: CancelCause) {
        let now = self.0.clock.monotonic();
        let waiting = self.withdraw(|job| job.id == id);
        if waiting.is_empty() {
            self.0.slots.find(id, |running| running.cancel.ask(Asked::Cancelled(cause), now));
        } else {
            self.end_unbegun(waiting, cause);
        }
    }

    /// What it executes, and what waits for a worker.
    pub(crate) fn holdings(&self) -> Vec<Holding> {
        let mut all = self.0.slots.holdings();
        all.extend(self.0.waiting().queue.iter().map(Job::holding));
        all
    }

    /// Cancels runs that others have taken over, where they are still held under that token.
    pub(crate) fn lose(&self, lost: &HashSet<Holding>) {
        let waiting = self.withdraw(|job| lost.contains(&job.holding()));
        if !waiting.is_empty() {
            self.end_unbegun(waiting, CancelCause::TakenOver);
        }
        let now = self.0.clock.monotonic();
        self.0.slots.for_each(|running| {
            if lost.contains(&running.holding()) {
                running.cancel.ask(Asked::Cancelled(CancelCause::TakenOver), now);
            }
        });
    }

    /// Has runs begin that waited because the node had [lost contact](crate::node::Lease::may_begin).
    pub(crate) fn go_on(&self) {
        let spawned = {
            let mut waiting = self.0.waiting();
            let waits = waiting.queue.len();
            self.0.enlist(&mut waiting, waits)
        };
        for _ in 0..spawned {
            self.spawn_worker();
        }
    }

    /// Asks every run to cancel: those that execute, and from now on those that begin.
    pub(crate) fn ask_to_cancel(&self) {
        self.0.cancelling.store(true, Ordering::SeqCst);
        let now = self.0.clock.monotonic();
        self.0.slots.for_each(|running| running.cancel.ask(Asked::Cancelled(CancelCause::Stopped), now));
    }

    /// Ends every run: those that wait for a worker at once, those that execute, or are just beginning to, at their
    /// next await.
    pub(crate) fn abort(&self) {
        self.0.aborting.store(true, Ordering::SeqCst);
        let waiting = self.withdraw(|_| true);
        self.end_unbegun(waiting, CancelCause::Stopped);
        let now = self.0.clock.monotonic();
        self.0.slots.for_each(|running| running.cancel.abort(CancelCause::Stopped, now));
    }

    fn end_unbegun(&self, jobs: Vec<Job>, cause: CancelCause) {
        let outcome = Outcome::Cancelled(cause);
        let ended = jobs.into_iter().map(|job| Ended {
            job,
            outcome: outcome.clone(),
            advice: Advice::ByPolicy,
            ran: None,
            log: None,
        });
        self.0.ended().extend(ended);
        self.0.wake.notify_one();
    }

    /// The runs that execute now.
    pub(crate) fn running(&self) -> Vec<RunningRun> {
        self.0.slots.list(self.0.clock.monotonic())
    }

    /// For how long all workers have been taken: whenever a run ended, another waited.
    pub(crate) fn taken_for(&self) -> Duration {
        let since = self.0.waiting().taken_since;
        since.map_or(Duration::ZERO, |since| self.0.clock.monotonic().duration_since(since))
    }

    /// How many execute now.
    pub(crate) fn active(&self) -> usize {
        self.0.slots.len()
    }

    /// Whether there is a worker, begun or not: ends may come of which it does not tell at once.
    pub(crate) fn is_at_work(&self) -> bool {
        self.0.waiting().workers > 0
    }

    /// How many runs wait for a worker.
    pub(crate) fn waiting(&self) -> usize {
        self.0.waiting().queue.len()
    }

    fn spawn_worker(&self) {
        let worker = Worker { executor: self.clone(), untold: 0 };
        self.0.process.spawn(worker.run());
    }

    /// Called by a worker that is about to wait with its run: somebody else must serve the queue meanwhile.
    fn hand_over(&self) {
        let spawn = {
            let mut waiting = self.0.waiting();
            let spawn = waiting.queue.len() > 0 && waiting.workers < self.0.max_workers;
            waiting.workers += usize::from(spawn);
            self.0.note_taken(&mut waiting);
            spawn
        };
        if spawn {
            self.spawn_worker();
        }
    }
}

impl Inner {
    /// How many workers to spawn for this many runs.
    fn enlist(&self, waiting: &mut Waiting, runs: usize) -> usize {
        let enlisted = runs.min(self.threads).min(self.max_workers - waiting.workers);
        waiting.workers += enlisted;
        self.note_taken(waiting);
        enlisted
    }

    fn note_taken(&self, waiting: &mut Waiting) {
        if waiting.workers >= self.max_workers && waiting.taken_since.is_none() {
            waiting.taken_since = Some(self.clock.monotonic());
        }
    }

    /// The lock guards a queue and a number, both of which are right at every moment.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> MutexGuard<'_, Vec<Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Worker {
    executor: Executor,
    /// Ends of which the engine has not been told yet: told together, before the worker waits, yields or ends. If the
    /// next body blocks first, the engine finds them all the same: as long as there is a worker it looks each second.
    untold: u32,
}

impl Worker {
    async fn run(mut self) {
        let mut slot = self.executor.0.slots.enter(&self.executor.0.surroundings);
        let mut runs = 0;
        let mut now = self.executor.0.clock.monotonic();
        while let Some(job) = self.next_job(now) {
            let ended = attempt::run(job, &mut slot, &self.executor.0, &mut || {
                tell(&self.executor.0, &mut self.untold);
                self.executor.hand_over();
            })
            .await;
            // As it was read at the end of the run: so no run costs another reading.
            now = ended.ran.map_or(now, |ran| ran.began + ran.duration);
            self.executor.0.ended().push(ended);
            self.untold += 1;
            runs += 1;
            if runs % RUNS_PER_TURN == 0 {
                tell(&self.executor.0, &mut self.untold);
                tokio::task::yield_now().await;
                now = self.executor.0.clock.monotonic();
            }
        }
        self.executor.0.slots.leave(slot);
        tell(&self.executor.0, &mut self.untold);
    }

    /// The next run; `None` ends the worker, in one step with the look that found none which may begin, so that a run
    /// submitted afterwards finds the worker's place free.
    fn next_job(&self, now: Instant) -> Option<Job> {
        let mut waiting = self.executor.0.waiting();
        let may_begin = self.executor.0.surroundings.lease.may_begin_at(now);
        let job = if may_begin { waiting.queue.pop() } else { None };
        if job.is_none() {
            waiting.workers -= 1;
            waiting.taken_since = None;
        }
        job
    }
}

/// Wakes the engine if there are ends that it has not been told of.
fn tell(executor: &Inner, untold: &mut u32) {
    if std::mem::take(untold) > 0 {
        executor.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Task;
    use crate::backend::{Registered, TaskKey};
    use crate::clock::Clock;
    use crate::schedule::Schedule;
    use crate::task::{Alike, TaskName};

    fn job(executor: &Executor) -> Job {
        let now = executor.0.clock.now();
        let task = Task::new("quick", Schedule::interval(Duration::from_secs(1)).expect("a valid period"), async || {});
        let seen = Registered::at_first_sight(TaskKey(0), task.timetable(chrono_tz::Tz::UTC).into(), now);
        let name = TaskName::new(task.name()).expect("a valid name");
        Job {
            task: Arc::new(LiveTask::new(&task, name, &seen, now, &mut Alike::default())),
            id: RunId::from_parts(now, 0),
            token: Token(1),
            origin: Origin::Schedule,
            scheduled_at: now,
            due_at: now,
            attempt: 1,
            abandoned: 0,
            missed: None,
            previous_success: None,
            arguments: None,
        }
    }

    /// An engine that took it to be idle then would sleep for long, and hear late of an end that nobody tells.
    #[tokio::test]
    async fn it_is_at_work_before_its_worker_has_begun() {
        let wake = Arc::new(Notify::new());
        let clock = StoreClock::new(Clock::starting_at(Timestamp::from_millis(1_780_000_000_000)));
        let process = Process::current().expect("a runtime");
        let executor = Executor::new(process, clock, Surroundings::of_a_test(), 1, Arc::clone(&wake));
        assert!(!executor.is_at_work());
        executor.submit(&mut vec![job(&executor)]);
        assert_eq!(executor.active(), 0, "its worker waits for this thread");
        assert!(executor.is_at_work());
        wake.notified().await;
        assert_eq!(executor.take_ended().len(), 1);
        assert!(!executor.is_at_work());
    }
}
