//! The heartbeat: renews the node's lease from a thread of its own, so that a blocked runtime does not lose it; and says
//! when it could not be renewed for so long that the node's runs may soon be another's.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::link::{Link, Silence};
use crate::backend::{Backend, BackendError, Holder};
use crate::clock::{Measurement, StoreClock};
use crate::node::Contact;
#[cfg(any(test, feature = "test-util"))]
use crate::process::Process;

/// Heartbeats in the longest silence that does not break the contact: one may fail or be slow.
const BEATS_PER_SILENCE: u32 = 2;

/// The pause after a heartbeat that failed, as a part of the time between two; each further one is twice as long, up to
/// half of that time.
const PAUSES_PER_BEAT: u32 = 8;

/// How long before its lease ends a node that was cut off warns its runs.
const WARN_BEFORE_END: Duration = Duration::from_secs(5);

/// A running heartbeat. It ends when this is dropped.
pub(crate) struct Heartbeat {
    /// Nothing is ever sent: the heart stops when the sender is gone.
    _alive: oneshot::Sender<Infallible>,
}

impl Heartbeat {
    /// Starts the thread; on a virtual clock a task of the present runtime, where alone that clock's time passes. A first
    /// heartbeat has been answered before.
    ///
    /// # Errors
    /// What the operating system says when it gives no thread or the runtime of the thread cannot be built.
    pub(crate) fn start(
        backend: Arc<dyn Backend>,
        holder: Arc<Holder>,
        clock: StoreClock,
        link: Arc<Link>,
    ) -> io::Result<Self> {
        let (alive, ended) = oneshot::channel();
        let every = holder.silence_max() / BEATS_PER_SILENCE;
        let warn_after = holder.lease.saturating_sub(WARN_BEFORE_END);
        let renewed = clock.monotonic();
        link.renewed(renewed + holder.lease);
        let pause = every / PAUSES_PER_BEAT;
        #[cfg(any(test, feature = "test-util"))]
        let is_virtual = clock.local().is_virtual();
        let heart = Heart { backend, holder, clock, link, every, warn_after, renewed, stores: None, pause };
        #[cfg(any(test, feature = "test-util"))]
        if is_virtual {
            let process = Process::current().map_err(io::Error::other)?;
            drop(process.spawn(heart.beat_until(ended)));
            return Ok(Self { _alive: alive });
        }
        let (report, built) = sync_channel(1);
        thread::Builder::new().name("symphra-heartbeat".into()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return report.send(Err(error)).unwrap_or_default(),
            };
            // Whoever waits for it is there until it comes.
            report.send(Ok(())).unwrap_or_default();
            runtime.block_on(heart.beat_until(ended));
        })?;
        built.recv().unwrap_or_else(|gone| Err(io::Error::other(gone)))?;
        Ok(Self { _alive: alive })
    }
}

struct Heart {
    backend: Arc<dyn Backend>,
    holder: Arc<Holder>,
    clock: StoreClock,
    link: Arc<Link>,
    every: Duration,
    /// After how long without an answer the node's runs are warned.
    warn_after: Duration,
    /// When the last heartbeat that was answered was made: the lease counts from the answer, which was not before.
    renewed: Instant,
    /// What the store's clock said then.
    stores: Option<Timestamp>,
    /// How long to wait after a heartbeat that fails.
    pause: Duration,
}

impl Heart {
    async fn beat_until(mut self, mut ended: oneshot::Receiver<Infallible>) {
        let mut wait = self.every;
        loop {
            let link = Arc::clone(&self.link);
            let beat = async {
                tokio::select! {
                    // By a fixed order, not by chance, so that a seed gives one transcript.
                    biased;
                    () = link.beat_is_wanted() => {}
                    () = tokio::time::sleep(wait) => {}
                }
                self.beat().await
            };
            tokio::select! {
                biased;
                _ = &mut ended => return,
                next = beat => wait = next,
            }
        }
    }

    /// Beats once, and tells in how long to do so again.
    async fn beat(&mut self) -> Duration {
        let asked = self.link.asked();
        let question = self.clock.ask();
        // So that the next is made in time although this one hangs.
        let patience = self.every / 2;
        let error = match tokio::time::timeout(patience, self.backend.heartbeat(&self.holder)).await {
            Ok(Ok(stores)) => {
                let measured = question.answered(&self.clock, stores);
                let good_until = measured.asked() + self.holder.lease;
                self.link.answered(self.silence(&measured), measured, good_until, asked);
                (self.renewed, self.stores) = (measured.asked(), Some(stores));
                self.pause = self.every / PAUSES_PER_BEAT;
                return self.every;
            }
            Ok(Err(error)) => error,
            Err(_) => BackendError::new("answer a heartbeat", format!("there was no answer within {patience:?}")),
        };
        let cut_off = self.clock.monotonic().duration_since(self.renewed);
        self.link.unanswered(&error, if cut_off >= self.warn_after { Contact::Lost } else { Contact::Failing });
        let pause = self.pause;
        self.pause = (pause * 2).min(self.every / 2);
        match self.warn_after.checked_sub(cut_off) {
            Some(left) if !left.is_zero() => pause.min(left),
            _ => pause,
        }
    }

    /// How long it was silent before a heartbeat that was answered. Of a machine that was suspended only the store's clock
    /// tells.
    fn silence(&self, answered: &Measurement) -> Silence {
        let by_store = self.stores.map_or(Duration::ZERO, |before| answered.stores().since(before));
        match answered.asked().duration_since(self.renewed).max(by_store) {
            silence if silence >= self.warn_after => Silence::ALease,
            silence if silence > self.holder.silence_max() => Silence::Long,
            _ => Silence::Short,
        }
    }
}
