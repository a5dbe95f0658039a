//! Calls of the backend: made at once, taken in when they answer, repeated for ever while the store cannot be reached.

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::event::{Batch, Event};
use super::link::Link;
use super::state::BATCH_MAX;
use crate::backend::{
    Backend, BackendError, BackendFuture, Changes, Claim, Finish, Holder, Holding, TaskKey, Unregistration,
};
use crate::run::RunId;

/// The first pause before a failed call is repeated; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause, so that a store that is back is used within five seconds.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// After so long without an answer a call that waits for changes, and had failed before, counts as one that got through.
const WAITS_FROM: Duration = Duration::from_secs(1);

/// What a call has answered.
pub(super) enum Answer {
    /// Something to decide about.
    Event(Event),
    /// Changes of the store, after which the next are to be waited for.
    Changes(Changes),
}

/// Calls that have not answered: at most one of each kind, and a look for each task at most.
#[derive(Default)]
pub(super) struct Calls(Vec<Pin<Box<dyn Future<Output = Answer> + Send>>>);

impl Calls {
    /// Begins a call; its answer, if it is there at once.
    pub(super) async fn begin(&mut self, call: impl Future<Output = Answer> + Send + 'static) -> Option<Answer> {
        let mut call: Pin<Box<dyn Future<Output = Answer> + Send>> = Box::pin(call);
        match poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => {
                self.0.push(call);
                None
            }
        }
    }

    /// An answer that is there already.
    pub(super) async fn ready(&mut self) -> Option<Answer> {
        poll_fn(|context| Poll::Ready(self.poll(context))).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Option<Answer> {
        for (index, call) in self.0.iter_mut().enumerate() {
            if let Poll::Ready(answer) = call.as_mut().poll(context) {
                drop(self.0.swap_remove(index));
                return Some(answer);
            }
        }
        None
    }

    /// The next answer; never, if no call is under way.
    ///
    /// # Cancellation
    /// Safe: a call that has not answered stays.
    pub(super) async fn next(&mut self) -> Answer {
        poll_fn(|context| self.poll(context).map_or(Poll::Pending, Poll::Ready)).await
    }
}

pub(super) async fn enqueue(link: Arc<Link>, backend: Arc<dyn Backend>, holder: Arc<Holder>, batch: Batch) -> Answer {
    let admissions = insist(&link, || answers_all(batch.firings.len(), backend.enqueue(&holder, &batch.firings))).await;
    Answer::Event(Event::Enqueued(batch, admissions))
}

pub(super) async fn finish(link: Arc<Link>, backend: Arc<dyn Backend>, ended: Vec<Finish>) -> Answer {
    let stored = insist(&link, || answers_all(ended.len(), backend.finish(&ended))).await;
    Answer::Event(Event::Stored(ended, stored))
}

pub(super) async fn claim(link: Arc<Link>, backend: Arc<dyn Backend>, holder: Arc<Holder>, claim: Claim) -> Answer {
    Answer::Event(Event::Claimed(insist(&link, || backend.claim(&holder, &claim)).await))
}

pub(super) async fn look(link: Arc<Link>, backend: Arc<dyn Backend>, keys: Vec<TaskKey>) -> Answer {
    let tasks = insist(&link, || backend.look(&keys)).await;
    Answer::Event(Event::Changed(Changes { tasks, ..Changes::default() }))
}

pub(super) async fn unregister(
    link: Arc<Link>,
    backend: Arc<dyn Backend>,
    holder: Arc<Holder>,
    tasks: Vec<Unregistration>,
) -> Answer {
    insist(&link, || backend.unregister(&holder, &tasks)).await;
    Answer::Event(Event::Unregistered)
}

pub(super) async fn leave(link: Arc<Link>, backend: Arc<dyn Backend>, holder: Arc<Holder>) -> Answer {
    Answer::Event(Event::Left(insist(&link, || backend.leave(&holder)).await))
}

pub(super) async fn changes(link: Arc<Link>, backend: Arc<dyn Backend>, version: u64) -> Answer {
    Answer::Changes(repeat(&link, Some(WAITS_FROM), || backend.changes(Some(version))).await)
}

/// Which of these runs the node has lost, asked in batches.
pub(super) async fn lost(link: Arc<Link>, backend: Arc<dyn Backend>, held: Vec<Holding>) -> Answer {
    let mut lost = HashSet::new();
    for batch in each_run_once(held) {
        let ids: HashSet<RunId> = insist(&link, || backend.lost(&batch)).await.into_iter().collect();
        lost.extend(batch.into_iter().filter(|run| ids.contains(&run.id)));
    }
    Answer::Event(Event::Lost(lost))
}

/// Batches, each of which names a run once. A node may hold a run under two tokens, if an answer that was late has brought the
/// stale one: answers name runs and not tokens, so in one batch both would be lost.
fn each_run_once(mut held: Vec<Holding>) -> Vec<Vec<Holding>> {
    let mut batches = Vec::new();
    while !held.is_empty() {
        let mut named = HashSet::new();
        let (once, again): (Vec<Holding>, Vec<Holding>) = held.into_iter().partition(|run| named.insert(run.id));
        batches.extend(once.chunks(BATCH_MAX).map(<[Holding]>::to_vec));
        held = again;
    }
    batches
}

/// A backend that answers for more or less than it was asked has failed: nobody knows which answer is whose.
async fn answers_all<T>(asked: usize, call: BackendFuture<'_, Vec<T>>) -> Result<Vec<T>, BackendError> {
    let answers = call.await?;
    if answers.len() == asked {
        return Ok(answers);
    }
    Err(BackendError::new("answer each entry of a batch", format!("{asked} were asked and {} answered", answers.len())))
}

/// Repeats a call until it is answered.
async fn insist<T, F>(link: &Link, call: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, BackendError>>,
{
    repeat(link, None, call).await
}

/// Repeats a call until it is answered. One that has failed counts as got through when it is answered, or when it has been
/// waiting for as long as `waits_from`.
async fn repeat<T, F>(link: &Link, waits_from: Option<Duration>, call: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, BackendError>>,
{
    let mut pause = PAUSE_MIN;
    let mut is_failing = false;
    loop {
        let mut call = pin!(call());
        let answer = match waits_from.filter(|_| is_failing) {
            Some(patience) => match tokio::time::timeout(patience, call.as_mut()).await {
                Ok(answer) => answer,
                Err(_) => {
                    link.got_through();
                    is_failing = false;
                    call.await
                }
            },
            None => call.await,
        };
        match answer {
            Ok(answer) => {
                if is_failing {
                    link.got_through();
                }
                return answer;
            }
            Err(error) => {
                link.count_error();
                if !std::mem::replace(&mut is_failing, true) {
                    link.failed(&error);
                }
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
