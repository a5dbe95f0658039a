//! Runs attempts, at most `max_workers` at once. Knows tasks, runs and outcomes; nothing of schedules or stores.
//!
//! Accepted runs wait in one queue. A worker is a tokio task that takes runs from it until it is empty, and then ends:
//! an idle executor has no task at all, and a thousand runs that never wait cost two spawns. A body that waits holds
//! its worker; before the worker waits with it, another one takes over the queue.
//!
//! Invariant: each job that is submitted comes back as exactly one [`Ended`], whatever its body does.

mod attempt;
mod cancel;
mod context;
mod extract;
mod slots;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use symphra_scheduler_core::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::backend::Token;
use crate::clock::Clock;
use crate::outcome::Outcome;
use crate::run::{Missed, RunId};
use crate::task::LiveTask;

pub use context::{RunContext, ScheduledAt};
pub use extract::{Extract, ExtractError};
pub use slots::RunningRun;
use slots::Slots;

/// A worker gives its thread back after this many runs, so that runs which never wait do not starve the runtime.
const RUNS_PER_TURN: usize = 64;

/// A run to be executed.
pub(crate) struct Job {
    pub(crate) task: Arc<LiveTask>,
    pub(crate) id: RunId,
    pub(crate) token: Token,
    pub(crate) scheduled_at: Timestamp,
    pub(crate) attempt: u32,
    pub(crate) missed: Option<Missed>,
}

/// The end of a job.
pub(crate) struct Ended {
    pub(crate) job: Job,
    pub(crate) outcome: Outcome,
    /// `None` if its body never began.
    pub(crate) ran: Option<Ran>,
}

/// The execution of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran {
    pub(crate) started_at: Timestamp,
    pub(crate) duration: Duration,
}

/// The executor of one scheduler. Clones share it.
#[derive(Clone)]
pub(crate) struct Executor(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    slots: Slots,
    ended: Mutex<Vec<Ended>>,
    /// Wakes the engine when runs have ended.
    wake: Arc<Notify>,
    runtime: Handle,
    clock: Clock,
    node: Arc<str>,
    max_workers: usize,
    /// More workers than this cannot run at the same moment, so no more are spawned for runs that may never wait.
    threads: usize,
    /// Runs that begin are asked to cancel at once.
    cancelling: AtomicBool,
    /// Runs that begin are aborted at once.
    aborting: AtomicBool,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    workers: usize,
}

impl Executor {
    pub(crate) fn new(runtime: Handle, clock: Clock, node: Arc<str>, max_workers: usize, wake: Arc<Notify>) -> Self {
        let threads = runtime.metrics().num_workers();
        Self(Arc::new(Inner {
            state: Mutex::default(),
            slots: Slots::default(),
            ended: Mutex::default(),
            wake,
            runtime,
            clock,
            node,
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
            let mut state = self.0.state();
            let wanted = jobs.len().min(self.0.threads);
            jobs.iter().for_each(|job| job.task.tally().accepted());
            state.queue.extend(jobs.drain(..));
            let spawned = wanted.min(self.0.max_workers - state.workers);
            state.workers += spawned;
            spawned
        };
        for _ in 0..spawned {
            self.spawn_worker();
        }
    }

    /// Takes out what has ended since the last call.
    pub(crate) fn take_ended(&self) -> Vec<Ended> {
        std::mem::take(&mut *self.0.ended())
    }

    /// Asks every run to cancel: those that execute, and from now on those that begin.
    pub(crate) fn ask_to_cancel(&self) {
        self.0.cancelling.store(true, Ordering::SeqCst);
        self.0.slots.for_each(|running| running.cancel.ask());
    }

    /// Ends every run: those that wait for a worker at once, those that execute, or are just beginning to, at their
    /// next await.
    pub(crate) fn abort(&self) {
        self.0.aborting.store(true, Ordering::SeqCst);
        let waiting = std::mem::take(&mut self.0.state().queue);
        let cancelled = waiting.into_iter().map(|job| {
            job.task.tally().ended(&Outcome::Cancelled, false);
            Ended { job, outcome: Outcome::Cancelled, ran: None }
        });
        self.0.ended().extend(cancelled);
        self.0.wake.notify_one();
        self.0.slots.for_each(|running| running.cancel.abort());
    }

    /// The runs that execute now.
    pub(crate) fn running(&self) -> Vec<RunningRun> {
        self.0.slots.list()
    }

    /// How many runs wait for a worker.
    pub(crate) fn waiting(&self) -> usize {
        self.0.state().queue.len()
    }

    fn spawn_worker(&self) {
        let worker = Worker { executor: self.clone(), untold: 0 };
        self.0.runtime.spawn(worker.run());
    }

    /// Called by a worker that is about to wait with its run: somebody else must serve the queue meanwhile.
    fn hand_over(&self) {
        let spawn = {
            let mut state = self.0.state();
            let spawn = !state.queue.is_empty() && state.workers < self.0.max_workers;
            state.workers += usize::from(spawn);
            spawn
        };
        if spawn {
            self.spawn_worker();
        }
    }
}

impl Inner {
    /// The lock guards a queue and a number, both of which are right at every moment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> MutexGuard<'_, Vec<Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Worker {
    executor: Executor,
    /// Ends of which the engine has not been told yet: told together, before the worker waits, yields or ends. If the
    /// next body blocks first, the engine finds them all the same when it next looks.
    untold: u32,
}

impl Worker {
    async fn run(mut self) {
        let mut slot = self.executor.0.slots.enter();
        let mut runs = 0;
        while let Some(job) = self.next_job() {
            let ended = attempt::run(job, &mut slot, &self.executor.0, &mut || {
                tell(&self.executor.0, &mut self.untold);
                self.executor.hand_over();
            })
            .await;
            self.executor.0.ended().push(ended);
            self.untold += 1;
            runs += 1;
            if runs % RUNS_PER_TURN == 0 {
                tell(&self.executor.0, &mut self.untold);
                tokio::task::yield_now().await;
            }
        }
        self.executor.0.slots.leave(slot);
        tell(&self.executor.0, &mut self.untold);
    }

    /// The next run; `None` ends the worker, in one step with the look that found the queue empty, so that a run
    /// submitted afterwards finds the worker's place free.
    fn next_job(&self) -> Option<Job> {
        let mut state = self.executor.0.state();
        let job = state.queue.pop_front();
        if job.is_none() {
            state.workers -= 1;
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
