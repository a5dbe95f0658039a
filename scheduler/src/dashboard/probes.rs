//! What other programs look at to know how this one is: probes of whoever starts it anew, its health in JSON, its metrics.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::access::Reader;
use super::{Shared, problem};
use crate::control::Question;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
}

/// Whether the process has to be started anew. The state of its store does not matter here.
async fn alive(State(shared): State<Arc<Shared>>) -> Response {
    probe(shared.source.is_alive(), "alive", "the timer stands still")
}

/// Whether it can do its work.
async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    probe(shared.source.is_ready().await, "ready", "the store does not answer, or the timer stands still")
}

fn probe(is_well: bool, well: &'static str, unwell: &'static str) -> Response {
    let (status, says) = if is_well { (StatusCode::OK, well) } else { (StatusCode::SERVICE_UNAVAILABLE, unwell) };
    (status, format!("{says}\n")).into_response()
}

/// The health that `api/health` tells, with a status that says whether all is well.
async fn health(State(shared): State<Arc<Shared>>, Extension(reader): Extension<Reader>) -> Response {
    match shared.ask(Question::Health, &reader).await {
        Ok(health) => {
            let status = if health["well"] == true { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, Json(health)).into_response()
        }
        Err(failed) => problem::for_programs(&failed),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    match shared.source.metrics() {
        #[cfg(feature = "metrics")]
        Ok(text) => {
            ([(axum::http::header::CONTENT_TYPE, crate::handle::PROMETHEUS_CONTENT_TYPE)], text).into_response()
        }
        #[cfg(not(feature = "metrics"))]
        Ok(text) => text.into_response(),
        Err(failed) => problem::for_programs(&failed),
    }
}
