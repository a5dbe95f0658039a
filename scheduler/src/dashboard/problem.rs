//! What is answered instead of what was asked for: an error in JSON where programs ask, a page where people do. What the
//! framework refuses by itself, in plain text, is told like everything else.

use axum::Json;
use axum::body::to_bytes;
use axum::http::header::{self, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

use super::BODY_BYTES_MAX;
use super::access::Reader;
use super::page::{self, SignIn};
use super::source::Failed;
use crate::clock::Clock;

/// The longest that is kept of what the framework says.
const TEXT_BYTES_MAX: usize = 4 * 1024;

/// The paths besides the API that programs ask for.
const FOR_PROGRAMS: [&str; 5] = ["/events", "/health", "/livez", "/metrics", "/readyz"];

/// The problem in the form in which this path answers.
pub(super) fn told(reader: &Reader, path: &str, failed: &Failed) -> Response {
    if path.starts_with("/api/") || FOR_PROGRAMS.contains(&path) {
        for_programs(failed)
    } else {
        on_page(reader, failed)
    }
}

pub(super) fn for_programs(failed: &Failed) -> Response {
    let Failed { kind, message, .. } = failed;
    let error = json!({ "error": { "kind": kind, "message": message } });
    with_advice((failed.status(), Json(error)).into_response(), failed)
}

pub(super) fn on_page(reader: &Reader, failed: &Failed) -> Response {
    let (status, frame) = (failed.status(), reader.frame(Clock::default().now()));
    let page = match status {
        StatusCode::UNAUTHORIZED => page::sign_in(&frame, SignIn::First),
        _ => page::problem(&frame, &failed.kind, &failed.message),
    };
    with_advice((status, Html(page.into_string())).into_response(), failed)
}

/// Says when to ask again, and how to show a token where one is missing.
fn with_advice(mut response: Response, failed: &Failed) -> Response {
    if let Some(seconds) = failed.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer realm=\"Symphra Scheduler\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

/// The response, unless the framework has refused the request by itself: then the problem, with its status.
pub(super) async fn instead_of_plain(reader: &Reader, method: &Method, path: &str, response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !status.is_client_error() || kind.is_some_and(|kind| !kind.starts_with("text/plain")) {
        return response;
    }
    let failed = match status {
        // Which are, the framework writes into the header later.
        StatusCode::METHOD_NOT_ALLOWED => Failed::new(
            "method_not_allowed",
            format!("{method} is not possible here; the header `Allow` names the methods that are"),
        ),
        StatusCode::PAYLOAD_TOO_LARGE => Failed::new(
            "too_large",
            format!("the body is longer than {BODY_BYTES_MAX} bytes, which is the most that is taken; shorten it"),
        ),
        StatusCode::NOT_FOUND => Failed::new("not_found", "there is nothing at this path"),
        _ => {
            let says = to_bytes(response.into_body(), TEXT_BYTES_MAX).await.unwrap_or_default();
            Failed::new("bad_request", String::from_utf8_lossy(&says))
        }
    };
    let mut told = told(reader, path, &failed);
    *told.status_mut() = status;
    told
}

impl Failed {
    pub(super) fn status(&self) -> StatusCode {
        match &*self.kind {
            "bad_request" => StatusCode::BAD_REQUEST,
            "unauthorized" => StatusCode::UNAUTHORIZED,
            "foreign_origin" | "read_only" => StatusCode::FORBIDDEN,
            "unknown_task" | "unknown_run" | "not_found" => StatusCode::NOT_FOUND,
            "method_not_allowed" => StatusCode::METHOD_NOT_ALLOWED,
            // What is asked is possible, but not as things stand.
            "failed" => StatusCode::CONFLICT,
            "too_slow" => StatusCode::REQUEST_TIMEOUT,
            "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
            "foreign_host" => StatusCode::MISDIRECTED_REQUEST,
            "too_many" => StatusCode::TOO_MANY_REQUESTS,
            "unsupported" => StatusCode::NOT_IMPLEMENTED,
            "backend" | "stopped" | "busy" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
