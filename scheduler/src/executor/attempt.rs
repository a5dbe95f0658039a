//! One attempt, as a pipeline: begin → extract and call → poll, catching panics, heeding timeout and abort → outcome.
//!
//! A panic of the body ends its attempt and nothing else, also when it is thrown while the body is dropped.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::cancel::{Asked, Cancel};
use super::context::RunContext;
use super::slots::Slot;
use super::{Ended, GRACE, Inner, Job, Ran, Surroundings};
use crate::clock::StoreClock;
use crate::events::SchedulerEvent;
use crate::handler::Body;
use crate::logging::{self, Entry, Logger};
use crate::outcome::{BoxError, CancelCause, Failure, Outcome};
use crate::retry::Advice;

/// What a body left behind.
type Returned = Result<Result<(), BoxError>, Failure>;

/// Executes `job` in `slot`. `before_waiting` is called once, if the body does not end at its first poll.
pub(super) async fn run(
    job: Job,
    slot: &mut Slot,
    executor: &Inner,
    before_waiting: &mut (dyn FnMut() + Send),
) -> Ended {
    let started_at = executor.clock.now();
    let began = executor.clock.monotonic();
    let lateness = started_at.since(job.due_at);
    job.task.tally().began(lateness);
    #[cfg(feature = "metrics")]
    executor.surroundings.meters.began(&job.task.name, lateness);
    let cancel = slot.begin(&job, started_at, began);
    // Looked at after the run can be found in its slot, so that a request made meanwhile reaches it either way.
    if executor.aborting.load(Ordering::SeqCst) {
        cancel.abort(CancelCause::Stopped, began);
    } else if executor.cancelling.load(Ordering::SeqCst) {
        cancel.ask(Asked::Cancelled(CancelCause::Stopped), began);
    }
    let context = RunContext::new(&job, Arc::clone(&cancel), slot.shown());
    let Surroundings { node, logger, .. } = &*executor.surroundings;
    let span = logging::run_span(job.task.name.as_str(), &job.id, &job.scheduled_at, job.attempt, node);

    executor.surroundings.teller.tell(|| SchedulerEvent::AttemptStarted {
        task: job.task.name.clone(),
        run: job.id,
        attempt: job.attempt,
        scheduled_at: job.scheduled_at,
    });
    let timeout = job.task.policy.timeout;
    let attempt = Attempt { cancel: &cancel, clock: &executor.clock, began, timeout, span: &span, logger, job: &job };
    let returned = match attempt.caught(|| span.in_scope(|| job.task.call.begin(&context))) {
        Ok(body) => attempt.drive(body, before_waiting).await,
        Err(failure) => Some(Err(failure)),
    };

    let duration = executor.clock.monotonic().duration_since(began);
    #[cfg(feature = "metrics")]
    executor.surroundings.meters.took(&job.task.name, duration);
    let (outcome, advice) = attempt.outcome(returned, duration);
    // What the slot held alone can be used again for the next run.
    drop((context, cancel));
    slot.end();
    span.in_scope(|| tell(logger, &job, &outcome, duration));
    let log = logging::run_log_taken(&span);
    Ended { job, outcome, advice, ran: Some(Ran { began, duration }), log }
}

struct Attempt<'a> {
    cancel: &'a Cancel,
    clock: &'a StoreClock,
    began: Instant,
    timeout: Option<Duration>,
    span: &'a tracing::Span,
    logger: &'a Logger,
    job: &'a Job,
}

/// What wakes an attempt whose body waits.
enum Alarm {
    Timeout(Pin<Box<Sleep>>),
    Grace(Pin<Box<Sleep>>),
}

impl Attempt<'_> {
    /// Polls the body until it has ended; `None` if it was dropped before.
    async fn drive(&self, body: Body, before_waiting: &mut (dyn FnMut() + Send)) -> Option<Returned> {
        let can_be_dropped = body.can_be_dropped();
        let mut body = Some(body);
        let mut waited = false;
        let mut alarm = None;
        let returned = poll_fn(|context| {
            if self.cancel.is_aborted() && can_be_dropped {
                return Poll::Ready(None);
            }
            let body = body.as_mut().expect("a body is polled until it has ended");
            match self.caught(|| self.span.in_scope(|| Pin::new(body).poll(context))) {
                Ok(Poll::Ready(returned)) => return Poll::Ready(Some(Ok(returned))),
                Err(failure) => return Poll::Ready(Some(Err(failure))),
                Ok(Poll::Pending) => {}
            }
            if !std::mem::replace(&mut waited, true) {
                before_waiting();
            }
            self.cancel.wake_worker(context);
            // Looked at after the waker is in place, so that an order given meanwhile is not lost.
            let is_over = self.cancel.is_aborted() || self.alarm_is_over(&mut alarm, context);
            if is_over && can_be_dropped { Poll::Ready(None) } else { Poll::Pending }
        })
        .await;
        match self.caught(|| self.span.in_scope(|| drop(body.take()))) {
            Ok(()) => returned,
            Err(failure) if returned.is_none() => {
                // Whatever its destructors do, the attempt ended because it was cut short.
                let (task, run_id, error) = (self.job.task.name.as_str(), &self.job.id, failure.text());
                self.logger.write(Entry::DropPanicked { task, run_id, error });
                None
            }
            Err(failure) => Some(Err(failure)),
        }
    }

    /// Sets the alarm that fits and tells whether the grace of a request is over. A body that ends at its first poll
    /// never comes here, and costs no timer.
    fn alarm_is_over(&self, alarm: &mut Option<Alarm>, context: &mut Context<'_>) -> bool {
        loop {
            match (&*alarm, self.cancel.why()) {
                // The steps of a stop are the engine's.
                (_, Some((Asked::Cancelled(CancelCause::Stopped), _))) => return false,
                (None | Some(Alarm::Timeout(_)), Some((_, asked_at))) => {
                    *alarm = Some(Alarm::Grace(Box::pin(tokio::time::sleep_until(asked_at + GRACE))));
                }
                (None, None) => match self.timeout {
                    Some(timeout) => {
                        *alarm = Some(Alarm::Timeout(Box::pin(tokio::time::sleep_until(self.began + timeout))));
                    }
                    None => return false,
                },
                (Some(_), _) => {}
            }
            match alarm {
                Some(Alarm::Timeout(sleep)) => match sleep.as_mut().poll(context) {
                    Poll::Ready(()) => self.cancel.ask(Asked::TooLong, self.clock.monotonic()),
                    Poll::Pending => return false,
                },
                Some(Alarm::Grace(sleep)) => return sleep.as_mut().poll(context).is_ready(),
                None => return false,
            }
        }
    }

    /// What the attempt ended as. Past its timeout it has timed out, whatever it returned; once it was asked to cancel it
    /// is cancelled, but for a stop, in which what still ends by itself counts.
    fn outcome(&self, returned: Option<Returned>, duration: Duration) -> (Outcome, Advice) {
        let too_long = self.timeout.filter(|&timeout| duration >= timeout);
        let plain = |outcome| (outcome, Advice::ByPolicy);
        match (self.cancel.why(), returned) {
            (Some((Asked::Cancelled(cause), _)), None) => plain(Outcome::Cancelled(cause)),
            (Some((Asked::Cancelled(cause), _)), Some(_)) if cause != CancelCause::Stopped => {
                plain(Outcome::Cancelled(cause))
            }
            _ if too_long.is_some() => plain(Outcome::TimedOut(too_long.unwrap_or_default())),
            (_, Some(Ok(Ok(())))) => plain(Outcome::Succeeded),
            // An error is the program's own, and so is the predicate: both may panic like the body.
            (_, Some(Ok(Err(error)))) => match self.caught(|| {
                let told = (Failure::error(&*error), self.job.task.retry().advice(&*error));
                drop(error);
                told
            }) {
                Ok((failure, advice)) => (Outcome::Failed(failure), advice),
                Err(panic) => plain(Outcome::Failed(panic)),
            },
            (_, Some(Err(failure))) => plain(Outcome::Failed(failure)),
            (_, None) => plain(Outcome::TimedOut(self.timeout.unwrap_or_default())),
        }
    }

    fn caught<T>(&self, act: impl FnOnce() -> T) -> Result<T, Failure> {
        catch_unwind(AssertUnwindSafe(act)).map_err(|payload| {
            let failure = Failure::panic(&*payload);
            if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                // What the destructor threw may panic in turn; forgetting it is the one safe way to be rid of it.
                std::mem::forget(another);
                let (task, run_id) = (self.job.task.name.as_str(), &self.job.id);
                self.logger.write(Entry::PayloadPanicked { task, run_id });
            }
            failure
        })
    }
}

fn tell(logger: &Logger, job: &Job, outcome: &Outcome, ran: Duration) {
    let (task, run_id, attempt) = (job.task.name.as_str(), &job.id, u64::from(job.attempt));
    let duration_ms = ran.as_micros() as f64 / 1e3;
    logger.write(match outcome {
        Outcome::Succeeded => Entry::RunSucceeded { task, run_id, attempt, duration_ms },
        Outcome::Failed(failure) => Entry::AttemptFailed { task, run_id, attempt, duration_ms, error: failure.text() },
        Outcome::TimedOut(_) => Entry::AttemptTimedOut { task, run_id, attempt, duration_ms },
        Outcome::Cancelled(cause) => Entry::RunCancelled { task, run_id, attempt, duration_ms, cause },
    });
}
