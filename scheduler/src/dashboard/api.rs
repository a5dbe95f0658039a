//! The HTTP API below `api/`: the questions of commands, answered in the JSON that commands print.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::access::Reader;
use super::ask::{ASKS, Ask, Does, Given};
use super::audit::Action;
use super::page::encoded;
use super::source::{self, Failed};
use super::{Shared, openapi};
use crate::clock::Clock;
use crate::control::view::At;

/// The longest that is kept of what was asked for: names and reasons are short.
const CHANGE_CHARS_MAX: usize = 500;

/// What an address gives after its question mark.
type Fields = Query<Vec<(String, String)>>;

pub(super) fn routes() -> Router<Arc<Shared>> {
    let mut routes = Router::new()
        .route("/api/openapi.json", get(|| async { Json(openapi::document()) }))
        .route("/api/actions", get(|State(shared): State<Arc<Shared>>| async move { Json(shared.actions.all()) }));
    for ask in ASKS {
        let path = format!("/api/{}", ask.path);
        routes =
            match ask.does {
                Does::Look => routes.route(
                    &path,
                    get(
                        move |State(shared): State<Arc<Shared>>,
                              Extension(reader): Extension<Reader>,
                              query: Fields| async move {
                            let Query(fields) = query;
                            let answered = looked(&shared, &reader, ask, &fields).await;
                            let further = answered.as_ref().ok().and_then(|value| further(ask, &fields, value));
                            (further, told(answered)).into_response()
                        },
                    ),
                ),
                Does::Change => {
                    routes.route(
                        &path,
                        post(
                            move |State(shared): State<Arc<Shared>>,
                                  Extension(reader): Extension<Reader>,
                                  body: Bytes| async move {
                                let given = given(&body);
                                told(match given {
                                    Ok(given) => shared.change(ask, &given, &reader).await,
                                    Err(failed) => Err(failed),
                                })
                            },
                        ),
                    )
                }
            };
    }
    // What is not there is said in JSON too.
    routes.route("/api/{*rest}", get(nothing).post(nothing))
}

async fn nothing() -> Response {
    told(Err(Failed::new("not_found", "there is nothing at this path; api/openapi.json lists what there is")))
}

async fn looked(shared: &Shared, reader: &Reader, ask: &Ask, fields: &[(String, String)]) -> Result<Value, Failed> {
    let given = Given::of(fields.iter().cloned())?;
    shared.ask(given.question(ask)?, reader).await
}

/// Where the next page of a list begins, as RFC 8288 has it: the same question with another place.
fn further(ask: &Ask, fields: &[(String, String)], value: &Value) -> Option<[(HeaderName, String); 1]> {
    let next = value.as_array()?.last()?.get("next_page")?.as_str()?;
    let asked = fields.iter().filter(|(name, _)| name != "after");
    let asked: String = asked.map(|(name, value)| format!("{}={}&", encoded(name), encoded(value))).collect();
    Some([(header::LINK, format!("<{}?{asked}after={}>; rel=\"next\"", ask.path, encoded(next)))])
}

/// The fields of a JSON object; of an empty body there are none.
fn given(body: &[u8]) -> Result<Given, Failed> {
    if body.is_empty() {
        return Ok(Given::default());
    }
    let wrong = |says: String| {
        Failed::new(
            "bad_request",
            format!("the body has to be a JSON object of texts, numbers, true and false: {says}"),
        )
    };
    let fields: serde_json::Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
    let fields = fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Bool(flag) => Ok((name, flag.to_string())),
        Value::Number(number) => Ok((name, number.to_string())),
        other => Err(wrong(format!("{name:?} is {other}"))),
    });
    Given::of(fields.collect::<Result<Vec<_>, _>>()?)
}

impl Shared {
    /// The answer as it may be shown.
    pub(super) async fn ask(&self, question: crate::control::Question, reader: &Reader) -> Result<Value, Failed> {
        let answered = source::ask(&self.handle, question, &reader.actor()).await;
        answered.map(|value| self.redact.answer(value)).map_err(|failed| self.redact.failed(failed))
    }

    /// Changes something, and keeps that it was asked for.
    pub(super) async fn change(&self, ask: &Ask, given: &Given, reader: &Reader) -> Result<Value, Failed> {
        let answered = self.ask(given.question(ask)?, reader).await;
        let outcome = match &answered {
            Ok(_) => "done".to_owned(),
            Err(Failed { message, .. }) => message.clone(),
        };
        let change: String = given.told_of(ask).chars().take(CHANGE_CHARS_MAX).collect();
        let at = At::new(Clock::default().now(), self.handle.zone());
        self.actions.note(Action { at, actor: reader.actor().name().to_string(), change, outcome });
        answered
    }
}

/// An answer, or why there is none, with the status of that.
fn told(answered: Result<Value, Failed>) -> Response {
    match answered {
        Ok(value) => Json(value).into_response(),
        Err(failed) => {
            let status = failed.status();
            let Failed { kind, message } = failed;
            (status, Json(json!({ "error": { "kind": kind, "message": message } }))).into_response()
        }
    }
}

impl Failed {
    pub(super) fn status(&self) -> StatusCode {
        match &*self.kind {
            "bad_request" => StatusCode::BAD_REQUEST,
            "unknown_task" | "unknown_run" | "not_found" => StatusCode::NOT_FOUND,
            "backend" | "stopped" | "busy" => StatusCode::SERVICE_UNAVAILABLE,
            "unsupported" => StatusCode::NOT_IMPLEMENTED,
            // What is asked is possible, but not as things stand.
            "failed" => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
