//! Calls of the backend: made at once, taken in when they answer, repeated for ever while the store cannot be reached.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::event::{Batch, Event};
use crate::backend::{Backend, BackendError, BackendFuture, Claim, Finish, Holder};

/// The first pause before a failed call is repeated; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause, so that a store that is back is used within five seconds.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Calls that have not answered: at most one of each kind.
#[derive(Default)]
pub(super) struct Calls(Vec<Pin<Box<dyn Future<Output = Event> + Send>>>);

impl Calls {
    /// Begins a call; its answer, if it is there at once.
    pub(super) async fn begin(&mut self, call: impl Future<Output = Event> + Send + 'static) -> Option<Event> {
        let mut call: Pin<Box<dyn Future<Output = Event> + Send>> = Box::pin(call);
        match poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => {
                self.0.push(call);
                None
            }
        }
    }

    /// The next answer; never, if no call is under way.
    ///
    /// # Cancellation
    /// Safe: a call that has not answered stays.
    pub(super) async fn next(&mut self) -> Event {
        poll_fn(|context| {
            for (index, call) in self.0.iter_mut().enumerate() {
                if let Poll::Ready(answer) = call.as_mut().poll(context) {
                    drop(self.0.swap_remove(index));
                    return Poll::Ready(answer);
                }
            }
            Poll::Pending
        })
        .await
    }
}

pub(super) async fn enqueue(backend: Arc<dyn Backend>, holder: Arc<Holder>, batch: Batch) -> Event {
    let admissions = insist(|| answers_all(batch.firings.len(), backend.enqueue(&holder, &batch.firings))).await;
    Event::Enqueued(batch, admissions)
}

pub(super) async fn finish(backend: Arc<dyn Backend>, ended: Vec<Finish>) -> Event {
    let stored = insist(|| answers_all(ended.len(), backend.finish(&ended))).await;
    Event::Stored(ended, stored)
}

pub(super) async fn claim(backend: Arc<dyn Backend>, holder: Arc<Holder>, claim: Claim) -> Event {
    let claimed = insist(|| backend.claim(&holder, &claim)).await;
    Event::TookOver(claimed)
}

/// A backend that answers for more or less than it was asked has failed: nobody knows which answer is whose.
async fn answers_all<T>(asked: usize, call: BackendFuture<'_, Vec<T>>) -> Result<Vec<T>, BackendError> {
    let answers = call.await?;
    if answers.len() == asked {
        return Ok(answers);
    }
    Err(BackendError::new("answer each entry of a batch", format!("{asked} were asked and {} answered", answers.len())))
}

async fn insist<T, F>(call: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, BackendError>>,
{
    let mut pause = PAUSE_MIN;
    loop {
        match call().await {
            Ok(answer) => {
                if pause > PAUSE_MIN {
                    tracing::info!("the backend answers again");
                }
                return answer;
            }
            Err(error) => warn(&error, "the backend cannot be reached; the call is repeated"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

pub(super) fn warn(error: &BackendError, what_follows: &str) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(%error, cause, "{what_follows}");
}
