//! `backend:`, a table, or its type or its URL alone.
//!
//! Here each value is read for itself. Whether they go together is judged once the layers are one:
//! [`BackendConfig::problems`].

use ::config::ValueKind;
use serde_json::{Value as Json, json};
use symphra_scheduler_core::nearest;

use super::super::backend::{BackendConfig, Kind, kind_names, one_of};
use super::super::read::{Reader, Section, Written, placed};
use super::super::registered;
use super::super::shape::{Raw, Refused, Scalar, Shape, flag, text, whole, word};
use crate::migrate::Migrate;
use crate::namespace::Namespace;

/// The longest URL, and the longest name of a schema.
const TEXT_BYTES_MAX: usize = 1_024;

/// What can be asked for.
fn allowed() -> String {
    one_of(&kind_names())
}

const URLS: &str = "a URL such as sqlite://scheduler.db, postgres://user:password@host:5432/database, redis://user:password@host:6379/0 or amqp://user:password@host:5672/vhost";

/// How the URLs of the stores of this version begin; what is replaced may be any of them.
const URL_PATTERNS: [(Kind, &str); 4] = [
    (Kind::Sqlite, r"^(sqlite://|\$\{)"),
    (Kind::Postgres, r"^(postgres(ql)?://|\$\{)"),
    (Kind::Redis, r"^(rediss?(\+sentinel|\+cluster)?://|\$\{)"),
    (Kind::RabbitMq, r"^(amqps?://|\$\{)"),
];

pub(in super::super) fn backend() -> Section<BackendConfig> {
    Section {
        settings: vec![
            placed("type", "Which kind of store. Default memory.", kind(), BackendConfig::kind_at),
            placed(
                "url",
                "Where the store is; its scheme says the type. Default for sqlite: sqlite://scheduler.db.",
                url(),
                BackendConfig::url_at,
            ),
            placed(
                "max_connections",
                "How many connections are open at most. Default 4 for sqlite, 8 for postgres, 2 for redis; rabbitmq needs one.",
                whole::<u32>(1..=i64::from(u32::MAX)),
                BackendConfig::max_connections_at,
            ),
            placed(
                "namespace",
                "Sets programs apart that share a store. Default: the name of the program's file.",
                namespace(),
                BackendConfig::namespace_at,
            ),
            placed(
                "migrate",
                "Whether tables are made at start (auto), or have to be there (check). Default auto.",
                word(Migrate::WORDS),
                BackendConfig::migrate_at,
            ),
            placed(
                "schema",
                "The schema of the tables. Default public.",
                text(TEXT_BYTES_MAX),
                BackendConfig::schema_at,
            ),
            placed(
                "notify",
                "Whether nodes wake one another by LISTEN and NOTIFY. Default true.",
                flag(),
                BackendConfig::notify_at,
            ),
        ],
        former: &[("name", "write type"), ("options", "write what stands in it beside the type, without `options`")],
    }
}

fn kind() -> Scalar<Kind> {
    Scalar::new(allowed(), json!({ "enum": kind_names() }), |raw| {
        let Raw::Text(asked) = raw else { return Err(Refused::NotAllowed) };
        Kind::of_word(asked).ok_or_else(|| match nearest(asked, kind_names()) {
            Some(near) => Refused::Because(format!("it is no backend; did you mean {near}?")),
            None => Refused::Because(format!("it is no backend; allowed is {}", allowed())),
        })
    })
}

fn url() -> Scalar<String> {
    let mut patterns = URL_PATTERNS.map(|(_, pattern)| json!({ "pattern": pattern })).to_vec();
    patterns.extend(registered::names().iter().map(|name| json!({ "pattern": format!("^{name}://") })));
    Scalar::new(URLS, json!({ "type": "string", "anyOf": patterns }), |raw| match raw {
        Raw::Text(url) if Kind::of_url(url).is_some() => Ok(url.clone()),
        _ => Err(Refused::NotAllowed),
    })
}

fn namespace() -> Scalar<String> {
    let schema = json!({ "type": "string", "pattern": "^[a-z][a-z0-9_]{0,31}$" });
    Scalar::new(Namespace::ALLOWED, schema, |raw| match raw {
        Raw::Text(name) if Namespace::new(name).is_some() => Ok(name.clone()),
        _ => Err(Refused::NotAllowed),
    })
}

/// Reads `backend:` into `layer`.
pub(in super::super) fn read(written: &Written<'_>, reader: &mut Reader<'_>, layer: BackendConfig) -> BackendConfig {
    if matches!(written.value.kind, ValueKind::Table(_) | ValueKind::Nil) {
        return backend().read(written, reader, layer);
    }
    let is_url = matches!(&written.value.kind, ValueKind::String(_))
        && matches!(reader.raw(written, &allowed()), Some(Raw::Text(text)) if text.contains("://"));
    let place = &written.place;
    match is_url {
        true => url().read(&written.as_key("backend.url"), reader).map(|url| layer.clone().url_at(url, place)),
        false => kind().read(written, reader).map(|kind| layer.clone().kind_at(kind, place)),
    }
    .unwrap_or(layer)
}

/// A table for each type, so that an editor knows which options it has.
pub(in super::super) fn schema() -> Json {
    let section = backend();
    let table = |kind: Kind, pattern: &str, keys: &[&str]| {
        let mut properties = section.properties();
        properties.retain(|key, _| keys.contains(&&**key));
        properties["type"]["enum"] = json!([kind.name()]);
        if let Some(url) = properties.get_mut("url").and_then(Json::as_object_mut) {
            url.remove("anyOf");
            if !pattern.is_empty() {
                url.insert("pattern".into(), pattern.into());
            }
        }
        json!({ "type": "object", "additionalProperties": false, "properties": properties })
    };
    let [(sqlite, sqlite_url), (postgres, postgres_url), (redis, redis_url), (rabbit, rabbit_url)] = URL_PATTERNS;
    let plain = ["type", "url", "max_connections", "namespace", "migrate"];
    let mut forms = vec![
        kind().schema(),
        url().schema(),
        table(Kind::Memory, "", &["type"]),
        table(sqlite, sqlite_url, &plain),
        table(postgres, postgres_url, &section.keys().collect::<Vec<_>>()),
        table(redis, redis_url, &plain),
        table(rabbit, rabbit_url, &plain),
    ];
    forms.extend(registered::names().into_iter().map(|name| table(Kind::Registered(name), "", &plain)));
    json!({
        "description": "Where marks, runs and records are kept: a table, or its type or its URL alone. Default: memory.",
        "anyOf": forms,
    })
}
