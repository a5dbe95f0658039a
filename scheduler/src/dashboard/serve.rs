//! The dashboard on its own: the same router, served beside a store at an address of its own.

mod door;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
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

/// Serves the dashboard of `store` below `prefix`, which may be empty, until `stop` is ready. Those who listen to news are let
/// go then, and whoever is slow is cut.
pub(crate) async fn serve(
    listener: TcpListener,
    dashboard: Dashboard,
    prefix: &str,
    store: &Alone,
    stop: impl Future<Output = ()>,
) {
    let router = dashboard.into_router();
    let router = if prefix.is_empty() { router } else { Router::new().nest_service(prefix, router) };
    let mut door = Door::new(listener, router);
    tokio::select! {
        () = door.serve() => unreachable!("it takes connections for ever"),
        () = store.follow() => unreachable!("it looks for ever"),
        () = stop => {}
    }
    store.end();
    door.close(GRACE).await;
}
