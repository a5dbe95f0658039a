//! The HTTP API below `api/`: the questions of commands, answered in the JSON that commands print.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};
use axum::{Json, Router};
use serde_json::Value;

use super::access::Reader;
use super::ask::{ASKS, Ask, Does, Given};
use super::page::encoded;
use super::source::Failed;
use super::{Shared, openapi, problem};

/// What an address gives after its question mark.
type Fields = Query<Vec<(String, String)>>;

/// What there is below `api/`: out of it come the routes, and the document that describes them.
#[derive(Clone, Copy)]
pub(super) enum Served {
    Asked(&'static Ask),
    Document,
}

impl Served {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        ASKS.iter().map(Self::Asked).chain([Self::Document])
    }

    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Asked(ask) => ask.path,
            Self::Document => "openapi.json",
        }
    }

    fn route(self) -> MethodRouter<Arc<Shared>> {
        match self {
            Self::Asked(ask) if ask.does == Does::Look => get(
                move |State(shared): State<Arc<Shared>>, Extension(reader): Extension<Reader>, query: Fields| async move {
                    let Query(fields) = query;
                    let answered = looked(&shared, &reader, ask, &fields).await;
                    let further = answered.as_ref().ok().and_then(|value| further(ask, &fields, value));
                    (further, told(answered)).into_response()
                },
            ),
            Self::Asked(ask) => post(
                move |State(shared): State<Arc<Shared>>, Extension(reader): Extension<Reader>, body: Bytes| async move {
                    told(match given(&body) {
                        Ok(given) => shared.change(ask, &given, &reader).await,
                        Err(failed) => Err(failed),
                    })
                },
            ),
            Self::Document => get(|| async { Json(openapi::document()) }),
        }
    }
}

/// All of them; no other file has a route below `api/`.
pub(super) fn routes() -> Router<Arc<Shared>> {
    let add = |routes: Router<_>, served: Served| routes.route(&format!("/api/{}", served.path()), served.route());
    // What is not there is said in JSON too.
    Served::all().fold(Router::new(), add).route("/api/{*rest}", any(nothing))
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
        let answered = self.source.ask(question, &reader.actor()).await;
        answered.map(|value| self.redact.answer(value)).map_err(|failed| self.redact.failed(failed))
    }

    /// Changes something.
    pub(super) async fn change(&self, ask: &Ask, given: &Given, reader: &Reader) -> Result<Value, Failed> {
        self.ask(given.question(ask)?, reader).await
    }
}

/// An answer, or why there is none, with the status of that.
fn told(answered: Result<Value, Failed>) -> Response {
    match answered {
        Ok(value) => Json(value).into_response(),
        Err(failed) => problem::for_programs(&failed),
    }
}
