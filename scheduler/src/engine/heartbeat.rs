//! The heartbeat: renews the node's lease from a thread of its own, so that a blocked runtime does not lose it; and says
//! when it could not be renewed for so long that the node's runs may soon be another's.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::backend::{Backend, Holder};
use crate::clock::Clock;
use crate::logging::{Entry, Logger};
use crate::node::{Contact, Lease};

/// Heartbeats per lease. One that does not answer is given up after half the time to the next, so that at least one more
/// is made before the lease has ended.
const BEATS_PER_LEASE: u32 = 4;

/// How long before its lease ends a node that was cut off warns its runs.
const WARN_BEFORE_END: Duration = Duration::from_secs(5);

/// A running heartbeat. It ends when this is dropped.
pub(crate) struct Heartbeat {
    /// Nothing is ever sent: the thread wakes at once when the sender is gone.
    _alive: SyncSender<()>,
}

impl Heartbeat {
    /// Starts the thread. The first renewal is after a quarter of the lease.
    ///
    /// # Errors
    /// What the operating system says when it gives no thread or the runtime of the thread cannot be built.
    pub(crate) fn start(
        backend: Arc<dyn Backend>,
        holder: Arc<Holder>,
        lease: Arc<Lease>,
        clock: Clock,
        logger: Logger,
    ) -> io::Result<Self> {
        let (alive, ended) = sync_channel(0);
        let every = holder.lease / BEATS_PER_LEASE;
        let (report, built) = sync_channel(1);
        thread::Builder::new().name("symphra-heartbeat".into()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return report.send(Err(error)).unwrap_or_default(),
            };
            // Whoever waits for it is there until it comes.
            report.send(Ok(())).unwrap_or_default();
            let warn_after = holder.lease.saturating_sub(WARN_BEFORE_END);
            let mut renewed = clock.monotonic();
            let mut wait = every;
            while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                let asked = clock.monotonic();
                let patience = every / 2;
                let beat = async { tokio::time::timeout(patience, backend.heartbeat(&holder)).await };
                match runtime.block_on(beat) {
                    Ok(Ok(_)) => {
                        // The lease counts from the store's answer, which was not before the question.
                        renewed = asked;
                        lease.set(Contact::Fine);
                        wait = every;
                        continue;
                    }
                    Ok(Err(error)) => {
                        let source = std::error::Error::source(&error);
                        let cause = source.as_ref().map(|source| source as _);
                        logger.write(Entry::LeaseNotRenewed { error: &error, cause });
                    }
                    Err(_) => logger.write(Entry::LeaseUnanswered { patience: &format_args!("{patience:?}") }),
                }
                let cut_off = clock.monotonic().duration_since(renewed);
                lease.set(if cut_off >= warn_after { Contact::Lost } else { Contact::Failing });
                wait = match warn_after.checked_sub(cut_off) {
                    Some(left) if !left.is_zero() => every.min(left),
                    _ => every,
                };
            }
        })?;
        built.recv().unwrap_or_else(|gone| Err(io::Error::other(gone)))?;
        Ok(Self { _alive: alive })
    }
}
