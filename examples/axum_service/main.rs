//! A web service with a scheduler inside: it starts with the service, and stops after the last request.
//!
//! `cargo run -p examples --bin axum_service -- 127.0.0.1:3000`; port 0 takes a free one. Ctrl+C and SIGTERM stop it.
//! `/metrics` is for Prometheus; `/livez` and `/readyz` are for the probes of Kubernetes.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use symphra_scheduler::{PROMETHEUS_CONTENT_TYPE, Scheduler, SchedulerHandle, interval};
use tokio::net::TcpListener;

/// What the task and the requests share.
static REFRESHES: AtomicU64 = AtomicU64::new(0);

#[interval(milliseconds = 100)]
async fn refresh_cache() {
    REFRESHES.fetch_add(1, Ordering::Relaxed);
}

async fn status() -> String {
    format!("refreshes: {}\n", REFRESHES.load(Ordering::Relaxed))
}

async fn metrics(State(scheduler): State<SchedulerHandle>) -> impl IntoResponse {
    ([(CONTENT_TYPE, PROMETHEUS_CONTENT_TYPE)], scheduler.export_prometheus())
}

/// Restart the process if this fails.
async fn live(State(scheduler): State<SchedulerHandle>) -> StatusCode {
    if scheduler.health().alive { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Its store answers.
async fn ready(State(scheduler): State<SchedulerHandle>) -> StatusCode {
    if scheduler.health().ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address).await?;

    let scheduler = Scheduler::from_registry().start().await?;
    println!("listening on http://{}", listener.local_addr()?);

    let service = Router::new()
        .route("/", get(status))
        .route("/metrics", get(metrics))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .with_state(scheduler.clone());
    axum::serve(listener, service).with_graceful_shutdown(asked_to_stop()).await?;

    let report = scheduler.stop().await?;
    println!("stopped: {} runs, {} of them cancelled", scheduler.stats().total_runs, report.cancelled.len());
    Ok(())
}

/// Returns at Ctrl+C or SIGTERM; where they cannot be listened to, never.
#[cfg(unix)]
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Returns at Ctrl+C; where it cannot be listened to, never.
#[cfg(not(unix))]
async fn asked_to_stop() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
