//! Who waits for changes, and how they are woken: at once by steps of this process, and by those of others through the
//! database.

use std::sync::Arc;

use super::{Database, Failed, Shared};
use serde::Deserialize;
use serde_json::json;

/// What a look at a store tells.
#[derive(Deserialize)]
struct Seen {
    version: i64,
    /// Whether jobs have come by callers' own transactions, of which nobody has told yet.
    fresh: i64,
}

/// Looks for changes of other processes whenever the database wakes it, as long as the store's thread is there.
pub(super) async fn follow<D: Database>(store: Arc<Shared<D>>) {
    loop {
        store.database.woken().await;
        // Where it cannot be asked, nobody waits for less long: who calls finds out for himself, and this looks again.
        let Ok(seen) = store.in_time(store.seen()).await else { continue };
        store.announced.tell(seen.version);
        if seen.fresh > 0 {
            drop(store.in_time(store.take_note_of_jobs()).await);
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
        Ok(self.seen().await?.version)
    }

    async fn seen(&self) -> Result<Seen, Failed> {
        let mut step = self.read().await?;
        let seen: Option<Seen> = step.ask(&self.statements.version, json!({})).await?;
        seen.ok_or_else(|| Failed::broken("the store has no row of its own"))
    }
}
