//! What the API is, for programs: OpenAPI 3.1, made of the same table as its routes, so that each is described.

use serde_json::{Map, Value, json};

use super::api::Served;
use super::ask::{Ask, Does, Field, Kind, Needed, Shape, states, statuses};
use crate::control::COUNT_MAX;

/// What the answers look like, by name.
const SCHEMAS: &str = include_str!("assets/schemas.json");

/// What may go wrong, and with which status.
const ERRORS: [(&str, &str); 11] = [
    ("400", "What is given is impossible, or something is missing"),
    ("401", "A token is needed"),
    ("403", "It can only be looked at, or the request comes from a foreign page"),
    ("404", "There is no such task or run"),
    ("405", "Not by this method"),
    ("408", "The body was too long in coming"),
    ("409", "Not as things stand"),
    ("413", "The body is too long"),
    ("421", "Asked for by a foreign name"),
    ("429", "Too many wrong tokens were shown; `Retry-After` says when to try again"),
    ("503", "The store does not answer, or the scheduler has stopped"),
];

pub(super) fn document() -> Value {
    let paths: Map<String, Value> =
        Served::all().map(|served| (format!("/{}", served.path()), methods(served))).collect();
    let schemas: Value = serde_json::from_str(SCHEMAS).expect("our own schemas are JSON, which a test reads");
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Symphra Scheduler",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Answers are those of the command line's `--json`. New fields may come.",
        },
        // Relative to where this document stands.
        "servers": [{ "url": "." }],
        "security": [{ "bearer": [] }, {}],
        "paths": paths,
        "components": { "schemas": schemas, "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } } },
    })
}

fn methods(served: Served) -> Value {
    match served {
        Served::Asked(ask) if ask.does == Does::Look => json!({ "get": operation(ask) }),
        Served::Asked(ask) => json!({ "post": operation(ask) }),
        Served::Document => json!({ "get": {
            "operationId": "openapi",
            "summary": "This document",
            "responses": { "200": { "description": "OpenAPI 3.1", "content": { "application/json": { "schema": { "type": "object" } } } } },
        } }),
    }
}

fn operation(ask: &Ask) -> Value {
    let mut operation = json!({ "operationId": ask.path, "summary": ask.summary, "responses": answers(ask.answer) });
    match ask.does {
        Does::Look => {
            let parameter = |field: &Field| {
                json!({
                    "name": field.name,
                    "in": "query",
                    "required": field.needed == Needed::Yes,
                    "description": field.says,
                    "schema": field.kind.schema(),
                })
            };
            operation["parameters"] = ask.fields.iter().map(parameter).collect();
        }
        Does::Change => {
            let fields: Map<String, Value> = (ask.fields.iter())
                .map(|field| {
                    let mut schema = field.kind.schema();
                    schema["description"] = field.says.into();
                    (field.name.to_owned(), schema)
                })
                .collect();
            let needed = ask.fields.iter().filter(|field| field.needed == Needed::Yes).map(|field| field.name);
            let needed: Vec<&str> = needed.collect();
            let schema =
                json!({ "type": "object", "properties": fields, "required": needed, "additionalProperties": false });
            operation["requestBody"] =
                json!({ "required": true, "content": { "application/json": { "schema": schema } } });
        }
    }
    operation
}

fn answers(shape: Shape) -> Value {
    let named = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let schema = match shape {
        Shape::One(name) => named(name),
        Shape::Many(name) => json!({ "type": "array", "items": named(name) }),
    };
    let mut all =
        json!({ "200": { "description": "The answer", "content": { "application/json": { "schema": schema } } } });
    for (status, says) in ERRORS {
        all[status] = json!({ "description": says, "content": { "application/json": { "schema": named("Error") } } });
    }
    all
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Text | Self::Schedule | Self::Place => json!({ "type": "string" }),
            Self::Instant => json!({ "type": "string", "examples": ["2026-12-31T09:30:00+08:00"] }),
            Self::Run => json!({ "type": "string", "format": "uuid" }),
            Self::Status => json!({ "type": "string", "enum": statuses() }),
            Self::States => json!({ "type": "string", "examples": [states()[..2].join(",")] }),
            Self::Count => json!({ "type": "integer", "minimum": 1, "maximum": COUNT_MAX }),
            Self::Flag => json!({ "type": "boolean" }),
        }
    }
}
