//! The dashboard on its own: the same router, served beside a store at an address of its own.

mod door;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::Dashboard;
use super::live::LISTENERS_MAX;
use super::source::{Alone, Source};
use door::Door;

/// How long answers that are under way may take when it is to end.
const GRACE: Duration = Duration::from_secs(2);

impl Dashboard {
    /// Pages and an HTTP API for a store without a scheduler.
    pub(crate) fn alone(store: Arc<Alone>) -> Self {
        Self::of(Source::Alone(store))
    }
}

/// Serves the dashboard of `store` until `stop` is ready. Those who listen to news are let go then, and whoever is slow is cut.
pub(crate) async fn serve(listener: TcpListener, dashboard: Dashboard, store: &Alone, stop: impl Future<Output = ()>) {
    let mut door = Door::new(listener, dashboard.into_router());
    tokio::select! {
        () = door.serve() => unreachable!("it takes connections for ever"),
        () = store.follow() => unreachable!("it looks for ever"),
        () = stop => {}
    }
    store.end();
    door.close(GRACE).await;
}
