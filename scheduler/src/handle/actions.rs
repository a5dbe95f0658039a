//! What people have asked for: the audit log of the store.

use super::SchedulerHandle;
use crate::backend::Action;
use crate::error::Error;

impl SchedulerHandle {
    /// What people have asked of the schedulers on this store, by commands, the dashboard and its HTTP API: who, what, when, and
    /// what came of it. The last first, this many at most; [`ACTIONS_MAX`](crate::backend::ACTIONS_MAX) are kept.
    ///
    /// What a program does itself by this handle is none of it: its log tells that.
    ///
    /// ```
    /// use symphra_scheduler::{Error, SchedulerHandle};
    ///
    /// async fn print_audit(scheduler: &SchedulerHandle) -> Result<(), Error> {
    ///     for action in scheduler.actions(20).await? {
    ///         println!("{} {}: {}, {}", action.at, action.told.actor, action.told.change, action.told.outcome);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::is_backend`] if the store cannot be reached.
    pub async fn actions(&self, limit: usize) -> Result<Vec<Action>, Error> {
        Ok(self.0.backend.actions(limit).await?)
    }

    /// Where actions are kept.
    #[cfg(any(feature = "cli", feature = "dashboard"))]
    pub(crate) fn store(&self) -> &dyn crate::backend::Backend {
        &*self.0.backend
    }
}
