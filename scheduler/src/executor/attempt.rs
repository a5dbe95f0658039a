//! One attempt, as a pipeline: begin → extract and call → poll, catching panics and heeding an abort → outcome.
//!
//! A panic of the body ends its attempt and nothing else, also when it is thrown while the body is dropped.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use super::cancel::Cancel;
use super::context::RunContext;
use super::slots::Slot;
use super::{Ended, Inner, Job, Ran};
use crate::handler::Body;
use crate::outcome::{Failure, Outcome};

/// Executes `job` in `slot`. `before_waiting` is called once, if the body does not end at its first poll.
pub(super) async fn run(
    job: Job,
    slot: &mut Slot,
    executor: &Inner,
    before_waiting: &mut (dyn FnMut() + Send),
) -> Ended {
    let started_at = executor.clock.now();
    let began = executor.clock.monotonic();
    job.task.tally().began();
    let cancel = slot.begin(&job, started_at);
    // Looked at after the run can be found in its slot, so that a request made meanwhile reaches it either way.
    if executor.aborting.load(Ordering::SeqCst) {
        cancel.abort();
    } else if executor.cancelling.load(Ordering::SeqCst) {
        cancel.ask();
    }
    let context = RunContext::new(&job, Arc::clone(&cancel));
    let span = tracing::info_span!(
        "run",
        task = job.task.name.as_str(),
        run_id = %job.id,
        scheduled_at = %job.scheduled_at,
        attempt = job.attempt,
        node = &*executor.node,
    );

    let outcome = match caught(|| span.in_scope(|| job.task.call.begin(&context))) {
        Ok(body) => drive(body, &cancel, &span, before_waiting).await,
        Err(failure) => Outcome::Failed(failure),
    };

    let duration = executor.clock.monotonic().duration_since(began);
    // What the slot held alone can be used again for the next run.
    drop((context, cancel));
    slot.end();
    job.task.tally().ended(&outcome, true);
    span.in_scope(|| tell(&job, &outcome, duration));
    Ended { job, outcome, ran: Some(Ran { started_at, duration }) }
}

async fn drive(
    body: Body,
    cancel: &Cancel,
    span: &tracing::Span,
    before_waiting: &mut (dyn FnMut() + Send),
) -> Outcome {
    let mut body = Some(body);
    let mut waited = false;
    let outcome = poll_fn(|context| {
        if cancel.is_aborted() {
            return Poll::Ready(Outcome::Cancelled);
        }
        let body = body.as_mut().expect("a body is polled until it has ended");
        match caught(|| span.in_scope(|| Pin::new(body).poll(context))) {
            Ok(Poll::Ready(outcome)) => Poll::Ready(outcome),
            Err(failure) => Poll::Ready(Outcome::Failed(failure)),
            Ok(Poll::Pending) => {
                if !std::mem::replace(&mut waited, true) {
                    before_waiting();
                }
                cancel.wake_on_abort(context);
                if cancel.is_aborted() { Poll::Ready(Outcome::Cancelled) } else { Poll::Pending }
            }
        }
    })
    .await;
    match caught(|| span.in_scope(|| drop(body.take()))) {
        Ok(()) => outcome,
        Err(failure) if outcome == Outcome::Cancelled => {
            // Whatever its destructors do, the run ended because of the stop, whose report has to list it.
            tracing::error!(error = failure.text(), "the body of a cancelled run panicked while it was dropped");
            outcome
        }
        Err(failure) => Outcome::Failed(failure),
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

fn tell(job: &Job, outcome: &Outcome, ran: std::time::Duration) {
    let (task, duration_ms) = (job.task.name.as_str(), ran.as_secs_f64() * 1e3);
    match outcome {
        Outcome::Succeeded => tracing::debug!(task, duration_ms, "run succeeded"),
        Outcome::Failed(failure) => tracing::error!(task, duration_ms, error = failure.text(), "run failed"),
        Outcome::Cancelled => tracing::warn!(task, duration_ms, "run cancelled"),
    }
}
