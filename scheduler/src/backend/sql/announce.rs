//! Who waits for changes, and how they are woken: at once by steps of this process, and by those of others through the
//! database.

use std::sync::Arc;

use super::{Database, Failed, Shared};
use serde::Deserialize;
use serde_json::json;

/// Looks for changes of other processes whenever the database wakes it, as long as the store's thread is there.
pub(super) async fn follow<D: Database>(store: Arc<Shared<D>>) {
    loop {
        store.database.woken().await;
        // Where it cannot be asked, nobody waits for less long: who calls finds out for himself, and this looks again.
        if let Ok(version) = store.in_time(store.version()).await {
            store.announced.tell(version);
        }
    }
}

/// Tells other processes of changes, as long as the store's thread is there.
pub(super) async fn tell<D: Database>(store: Arc<Shared<D>>) {
    loop {
        store.database.wake_others().await;
    }
}

impl<D: Database> Shared<D> {
    /// The number of the store's last change.
    pub(super) async fn version(&self) -> Result<i64, Failed> {
        #[derive(Deserialize)]
        struct Seen {
            version: i64,
        }
        let mut step = self.read().await?;
        let seen: Option<Seen> = step.ask(&self.statements.version, json!({})).await?;
        Ok(seen.ok_or_else(|| Failed::broken("the store has no row of its own"))?.version)
    }
}
