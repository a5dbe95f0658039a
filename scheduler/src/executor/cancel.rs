//! How a run is asked to end, and made to.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use tokio::sync::Notify;

const GOES_ON: u8 = 0;
const ASKED: u8 = 1;
const ABORTED: u8 = 2;

/// One run's cancellation: first a request, which the body may heed, then an order, which drops it at its next await.
#[derive(Debug, Default)]
pub(crate) struct Cancel {
    state: AtomicU8,
    asked: Notify,
    worker: Mutex<Option<Waker>>,
}

impl Cancel {
    /// Asks the body to end: [`requested`](Self::requested) returns.
    pub(crate) fn ask(&self) {
        self.state.fetch_max(ASKED, Ordering::SeqCst);
        self.asked.notify_waiters();
    }

    /// Makes the worker drop the body when it next has control.
    pub(crate) fn abort(&self) {
        self.state.fetch_max(ABORTED, Ordering::SeqCst);
        self.asked.notify_waiters();
        let waker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.state.load(Ordering::SeqCst) >= ASKED
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.state.load(Ordering::SeqCst) == ABORTED
    }

    /// Returns when the body has been asked to end.
    pub(crate) async fn requested(&self) {
        let notified = self.asked.notified();
        tokio::pin!(notified);
        // Listening begins before the look, so that a request between the two is not lost.
        notified.as_mut().enable();
        if !self.is_asked() {
            notified.await;
        }
    }

    /// Has the worker woken by [`abort`](Self::abort). To be followed by a look at [`is_aborted`](Self::is_aborted).
    pub(crate) fn wake_on_abort(&self, context: &Context<'_>) {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *worker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
    }

    /// This value for the next run of the same worker, if nobody else holds it any more; else a new one.
    pub(crate) fn recycle(mut this: Arc<Self>) -> Arc<Self> {
        match Arc::get_mut(&mut this) {
            Some(cancel) => {
                *cancel.state.get_mut() = GOES_ON;
                *cancel.worker.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
                this
            }
            None => Arc::default(),
        }
    }
}
