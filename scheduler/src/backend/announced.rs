//! Who waits for changes of a store, in this process.

use tokio::sync::watch;

/// The number of the last change that is known.
#[derive(Debug)]
pub(super) struct Announced(watch::Sender<i64>);

impl Default for Announced {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Announced {
    pub(super) fn tell(&self, version: i64) {
        self.0.send_if_modified(|known| {
            let is_newer = version > *known;
            *known = version.max(*known);
            is_newer
        });
    }

    /// Returns when a change after `version` is known.
    pub(super) async fn after(&self, version: i64) {
        // The sender is here, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|&known| known > version).await;
    }
}
