//! The thread on which a store works, with a runtime of its own.

use std::future::Future;
use std::io;
use std::sync::mpsc::sync_channel;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running thread; it ends when this is dropped, with all that was spawned on it.
#[derive(Debug)]
pub(crate) struct StoreThread {
    runtime: Handle,
    /// Nothing is ever sent: the thread ends when the sender is gone.
    _alive: oneshot::Sender<()>,
}

impl StoreThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the operating system says when it gives no thread, or the runtime cannot be built.
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        let (alive, ended) = oneshot::channel();
        let (report, built) = sync_channel(1);
        std::thread::Builder::new().name(format!("symphra-{name}")).spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return report.send(Err(error)).unwrap_or_default(),
            };
            // Whoever waits for it is there until it comes.
            report.send(Ok(runtime.handle().clone())).unwrap_or_default();
            // The error is the end of the sender.
            let _ = runtime.block_on(ended);
        })?;
        let runtime = built.recv().unwrap_or_else(|gone| Err(io::Error::other(gone)))?;
        Ok(Self { runtime, _alive: alive })
    }

    pub(crate) fn spawn<R: Send + 'static>(&self, work: impl Future<Output = R> + Send + 'static) -> JoinHandle<R> {
        self.runtime.spawn(work)
    }
}
