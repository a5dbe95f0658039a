//! How does a scheduler live inside an axum service? It starts before the first request and drains after the last; both share a cache.
//!
//! `cargo run -p examples --bin axum_service -- 127.0.0.1:3000`; port 0 takes a free one. Ctrl+C and SIGTERM stop it.
//! `/metrics` is for Prometheus; `/livez` and `/readyz` are for the probes of Kubernetes.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::{Router, response::IntoResponse, routing::get};
use symphra_scheduler::{PROMETHEUS_CONTENT_TYPE, Scheduler, SchedulerHandle, interval};
use tokio::net::TcpListener;

/// What tasks and requests share.
#[derive(Default)]
struct Cache(AtomicU64);

#[derive(Clone)]
struct Service {
    cache: Arc<Cache>,
    scheduler: SchedulerHandle,
}

/// The scheduler's `State`, by its path, since axum has one too.
#[interval(milliseconds = 100)]
async fn refresh_cache(cache: symphra_scheduler::State<Arc<Cache>>) {
    cache.0.fetch_add(1, Ordering::Relaxed);
}

async fn status(State(service): State<Service>) -> String {
    format!("refreshes: {}\n", service.cache.0.load(Ordering::Relaxed))
}

async fn metrics(State(service): State<Service>) -> impl IntoResponse {
    ([(CONTENT_TYPE, PROMETHEUS_CONTENT_TYPE)], service.scheduler.export_prometheus())
}

/// Restart the process if this fails.
async fn live(State(service): State<Service>) -> StatusCode {
    if service.scheduler.health().alive { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Its store answers.
async fn ready(State(service): State<Service>) -> StatusCode {
    if service.scheduler.health().ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned())).await?;
    let cache = Arc::new(Cache::default());
    let scheduler = Scheduler::from_registry().state(cache.clone()).start().await?;
    println!("listening on http://{}", listener.local_addr()?);

    let service = Router::new().route("/", get(status)).route("/metrics", get(metrics));
    let service = service.route("/livez", get(live)).route("/readyz", get(ready));
    let service = service.with_state(Service { cache, scheduler: scheduler.clone() });
    axum::serve(listener, service).with_graceful_shutdown(asked_to_stop()).await?;
    let report = scheduler.stop().await?;
    println!("stopped: {} runs, {} of them cancelled", scheduler.stats().total_runs, report.cancelled.len());
    Ok(())
}

/// Returns at Ctrl+C or SIGTERM; where they cannot be listened to, never.
async fn asked_to_stop() {
    #[cfg(unix)]
    use tokio::signal::unix;
    #[cfg(unix)]
    let terminated = async { unix::signal(unix::SignalKind::terminate()).ok()?.recv().await };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        Some(()) = terminated => {}
        else => std::future::pending().await,
    }
}
