//! Where the tasks of one scheduler run: a tokio runtime. In the test kit many nodes share one, and each of them can be
//! frozen and killed there as a process can.
//!
//! What a body spawns by itself is its program's own, and is not heeded.

#[cfg(any(test, feature = "test-util"))]
mod life;

use tokio::runtime::{Handle, TryCurrentError};
use tokio::task::JoinHandle;

#[cfg(any(test, feature = "test-util"))]
pub(crate) use life::Life;

/// What spawns the tasks of one scheduler.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    runtime: Handle,
    #[cfg(any(test, feature = "test-util"))]
    life: Option<Life>,
}

impl Process {
    /// That of the task which asks.
    pub(crate) fn current() -> Result<Self, TryCurrentError> {
        Ok(Self {
            runtime: Handle::try_current()?,
            #[cfg(any(test, feature = "test-util"))]
            life: Life::current(),
        })
    }

    /// How many of its tasks can run at the same moment.
    pub(crate) fn threads(&self) -> usize {
        self.runtime.metrics().num_workers()
    }

    pub(crate) fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        #[cfg(any(test, feature = "test-util"))]
        if let Some(life) = &self.life {
            return self.runtime.spawn(life.clone().lives(task));
        }
        self.runtime.spawn(task)
    }
}
