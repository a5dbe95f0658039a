//! What the crates of the workspace share: here a count, elsewhere a pool of connections. It knows none of them, and no scheduler.

use std::sync::atomic::{AtomicU64, Ordering};

/// The one store of the program.
#[derive(Debug, Default)]
pub struct Store {
    queries: AtomicU64,
}

impl Store {
    /// Asks the store; tells how many have asked before.
    pub async fn query(&self) -> u64 {
        self.queries.fetch_add(1, Ordering::Relaxed)
    }
}
