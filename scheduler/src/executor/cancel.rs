//! How a run is asked to end, and made to.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::outcome::CancelCause;

/// Why a body was asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Its attempt has taken longer than its timeout.
    TooLong,
    /// Its run is cancelled.
    Cancelled(CancelCause),
}

/// One run's cancellation: first a request, which the body may heed, then an order, which drops it at its next await.
#[derive(Debug, Default)]
pub(crate) struct Cancel {
    state: AtomicU8,
    asked: Notify,
    rest: Mutex<Rest>,
}

/// What is needed once a request has been made.
#[derive(Debug, Default)]
struct Rest {
    worker: Option<Waker>,
    why: Option<(Asked, Instant)>,
}

const GOES_ON: u8 = 0;
const ASKED: u8 = 1;
const ABORTED: u8 = 2;

impl Cancel {
    /// Asks the body to end: [`requested`](Self::requested) returns. The first reason stands, but a cancellation that
    /// the store has been told of stands above a timeout. A stop does not: the grace of the timeout goes on.
    pub(crate) fn ask(&self, why: Asked, now: Instant) {
        let worker = {
            let mut rest = self.rest();
            let is_told = !matches!(why, Asked::TooLong | Asked::Cancelled(CancelCause::Stopped));
            if rest.why.is_none() || (is_told && matches!(rest.why, Some((Asked::TooLong, _)))) {
                let asked_at = rest.why.map_or(now, |(_, at)| at);
                rest.why = Some((why, asked_at));
            }
            self.state.fetch_max(ASKED, Ordering::SeqCst);
            rest.worker.take()
        };
        self.tell(worker);
    }

    /// Makes the worker drop the body when it next has control.
    pub(crate) fn abort(&self, why: CancelCause, now: Instant) {
        let worker = {
            let mut rest = self.rest();
            rest.why.get_or_insert((Asked::Cancelled(why), now));
            self.state.fetch_max(ABORTED, Ordering::SeqCst);
            rest.worker.take()
        };
        self.tell(worker);
    }

    fn tell(&self, worker: Option<Waker>) {
        self.asked.notify_waiters();
        if let Some(worker) = worker {
            worker.wake();
        }
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.state.load(Ordering::SeqCst) >= ASKED
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.state.load(Ordering::SeqCst) == ABORTED
    }

    /// Why and when the body was asked to end.
    pub(crate) fn why(&self) -> Option<(Asked, Instant)> {
        if self.is_asked() { self.rest().why } else { None }
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

    /// Has the worker woken by a request or an order. To be followed by a look at both.
    pub(crate) fn wake_worker(&self, context: &Context<'_>) {
        match &mut self.rest().worker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
    }

    /// This value for the next run of the same worker, if nobody else holds it any more; else a new one.
    pub(crate) fn recycle(mut this: Arc<Self>) -> Arc<Self> {
        match Arc::get_mut(&mut this) {
            Some(cancel) => {
                *cancel.state.get_mut() = GOES_ON;
                *cancel.rest.get_mut().unwrap_or_else(PoisonError::into_inner) = Rest::default();
                this
            }
            None => Arc::default(),
        }
    }

    /// The lock guards two values that are replaced whole.
    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
