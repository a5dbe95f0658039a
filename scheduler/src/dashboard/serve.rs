//! The dashboard on its own: the same router, served beside a store at an address of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::Dashboard;
use super::source::{Alone, Source};

/// How long answers that are under way may take when it is to end.
const GRACE: Duration = Duration::from_secs(2);

impl Dashboard {
    /// Pages and an HTTP API for a store without a scheduler.
    pub(crate) fn alone(store: Arc<Alone>) -> Self {
        Self::of(Source::Alone(store))
    }
}

/// Serves the dashboard of `store` until `stop` is ready. Those who listen to news are let go then, and whoever is slow is left.
///
/// # Errors
/// What the listener says.
pub(crate) async fn serve(
    listener: TcpListener,
    dashboard: Dashboard,
    store: &Alone,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    let serving = axum::serve(listener, dashboard.into_router()).with_graceful_shutdown(async move {
        // Either way it is over.
        drop(stopped.await);
    });
    let end = async move {
        stop.await;
        store.end();
        // It may have ended just now.
        let _ = stopping.send(());
        sleep(GRACE).await;
    };
    tokio::select! {
        served = async { serving.await } => served,
        () = end => Ok(()),
        () = store.follow() => unreachable!("it looks for ever"),
    }
}
