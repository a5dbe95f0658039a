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
use super::{Ended, GRACE, Inner, Job, Ran};
use crate::clock::Clock;
use crate::events::SchedulerEvent;
use crate::handler::Body;
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
    job.task.tally().began(started_at.since(job.due_at));
    let cancel = slot.begin(&job, started_at, began);
    // Looked at after the run can be found in its slot, so that a request made meanwhile reaches it either way.
    if executor.aborting.load(Ordering::SeqCst) {
        cancel.abort(CancelCause::Stopped, began);
    } else if executor.cancelling.load(Ordering::SeqCst) {
        cancel.ask(Asked::Cancelled(CancelCause::Stopped), began);
    }
    let context = RunContext::new(&job, Arc::clone(&cancel), slot.shown());
    let span = tracing::info_span!(
        "run",
        task = job.task.name.as_str(),
        run_id = %job.id,
        scheduled_at = %job.scheduled_at,
        attempt = job.attempt,
        node = &*executor.surroundings.node,
    );

    executor.surroundings.teller.tell(|| SchedulerEvent::AttemptStarted {
        task: job.task.name.clone(),
        run: job.id,
        attempt: job.attempt,
        scheduled_at: job.scheduled_at,
    });
    let timeout = job.task.timeout;
    let attempt = Attempt { cancel: &cancel, clock: &executor.clock, began, timeout, span: &span };
    let returned = match caught(|| span.in_scope(|| job.task.call.begin(&context))) {
        Ok(body) => attempt.drive(body, before_waiting).await,
        Err(failure) => Some(Err(failure)),
    };

    let duration = executor.clock.monotonic().duration_since(began);
    let (outcome, advice) = attempt.outcome(&job, returned, duration);
    // What the slot held alone can be used again for the next run.
    drop((context, cancel));
    slot.end();
    span.in_scope(|| tell(&job, &outcome, duration));
    Ended { job, outcome, advice, ran: Some(Ran { started_at, duration }) }
}

struct Attempt<'a> {
    cancel: &'a Cancel,
    clock: &'a Clock,
    began: Instant,
    timeout: Option<Duration>,
    span: &'a tracing::Span,
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
            match caught(|| self.span.in_scope(|| Pin::new(body).poll(context))) {
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
        match caught(|| self.span.in_scope(|| drop(body.take()))) {
            Ok(()) => returned,
            Err(failure) if returned.is_none() => {
                // Whatever its destructors do, the attempt ended because it was cut short.
                tracing::error!(error = failure.text(), "the body of a cancelled run panicked while it was dropped");
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
    fn outcome(&self, job: &Job, returned: Option<Returned>, duration: Duration) -> (Outcome, Advice) {
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
            (_, Some(Ok(Err(error)))) => match caught(|| {
                let told = (Failure::error(&*error), job.task.retry().advice(&*error));
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
}

fn caught<T>(act: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|payload| {
        let failure = Failure::panic(&*payload);
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            // What the destructor threw may panic in turn; forgetting it is the one safe way to be rid of it.
            std::mem::forget(another);
            tracing::error!("the payload of a panic panicked while it was dropped");
        }
        failure
    })
}

fn tell(job: &Job, outcome: &Outcome, ran: Duration) {
    let (task, duration_ms) = (job.task.name.as_str(), ran.as_secs_f64() * 1e3);
    match outcome {
        Outcome::Succeeded => tracing::debug!(task, duration_ms, "run succeeded"),
        Outcome::Failed(failure) => tracing::error!(task, duration_ms, error = failure.text(), "attempt failed"),
        Outcome::TimedOut(_) => tracing::error!(task, duration_ms, "attempt timed out"),
        Outcome::Cancelled(cause) => tracing::warn!(task, duration_ms, %cause, "run cancelled"),
    }
}
