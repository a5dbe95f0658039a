//! News by server-sent events: only that something has changed, a few times a second at most, so that a page looks again.
//!
//! Invariant: a thousand events a second are as many messages as three, and a reader who takes none holds nothing up. He who
//! listens has a place in the engine's ring of events, or sees the latest look at a store, and has no queue.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures_core::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::source::{News, Source};

/// How many may listen at once; a page without a place is one that has to be reloaded.
pub(super) const LISTENERS_MAX: usize = 64;

/// How long nothing is said after something was said.
const QUIET: Duration = Duration::from_millis(400);

/// How often a comment keeps proxies from closing the line.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The places of those who listen.
pub(super) struct Listeners(Arc<Semaphore>);

impl Default for Listeners {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LISTENERS_MAX)))
    }
}

impl Listeners {
    /// The news; `None` where all places are taken.
    pub(super) fn listen(&self, source: &Source) -> Option<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>> {
        let place = Arc::clone(&self.0).try_acquire_owned().ok()?;
        let stream = Stated(Box::pin(Listening { news: source.news(), _place: place }.next(Duration::ZERO)));
        Some(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
    }
}

/// One who listens.
struct Listening {
    news: News,
    _place: OwnedSemaphorePermit,
}

impl Listening {
    /// Waits until something has changed; `None` once there will be no more news.
    async fn next(mut self, quiet: Duration) -> Option<Self> {
        sleep(quiet).await;
        // One message is for all that has come meanwhile.
        self.news.next().await?;
        Some(self)
    }
}

/// The stream of a response.
struct Stated(Pin<Box<dyn Future<Output = Option<Listening>> + Send>>);

impl Stream for Stated {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(match ready!(self.0.as_mut().poll(context)) {
            Some(listening) => {
                self.0 = Box::pin(listening.next(QUIET));
                Some(Ok(Event::default().data("changed")))
            }
            None => {
                // Who asks again after the end is told the same.
                self.0 = Box::pin(async { None });
                None
            }
        })
    }
}
