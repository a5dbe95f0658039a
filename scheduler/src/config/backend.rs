//! Which store is asked for: gathered from every layer, and judged once they lie over each other.

use ::config::ValueKind;
use serde_json::{Value as Json, json};

use super::error::ConfigProblem;
use super::read::{Reader, Written, in_order, shown, unknown};
use super::shape::Raw;
use crate::task::Place;

/// Stores that exist, each behind the feature of its name, with the schemes of their URLs.
const STORES: [(&str, &[&str]); 4] = [
    ("sqlite", &["sqlite"]),
    ("postgres", &["postgres", "postgresql"]),
    ("redis", &["redis", "rediss", "redis+sentinel"]),
    ("rabbitmq", &["amqp", "amqps"]),
];

/// The store of this version.
const MEMORY: &str = "memory";

/// What is allowed, in words.
const ALLOWED: &str = "memory, the only backend of this version";

/// The keys of `backend:`.
pub(super) const KEYS: [&str; 3] = ["type", "url", "max_connections"];

const FORMER: &[(&str, &str)] =
    &[("name", "write type"), ("options", "write what stands in it beside the type, without `options`")];

/// What a layer says of the store. Without `Debug`: a URL has a password.
#[derive(Default)]
pub(super) struct Asked {
    kind: Option<Said>,
    url: Option<Said>,
    max_connections: Option<Said>,
}

/// A value with its place, as it may be shown, and as it is read.
struct Said {
    key: String,
    place: Place,
    shown: Option<String>,
    text: String,
}

impl Said {
    fn wrong(&self, says: &str) -> ConfigProblem {
        let says = match &self.shown {
            Some(value) => format!("{} = {value} {says}", self.key),
            None => format!("{} {says}", self.key),
        };
        ConfigProblem::at(self.place.clone(), self.key.as_str(), says)
    }

    /// The store that is named so, if there is one.
    fn store(&self) -> Option<&'static str> {
        if self.text == MEMORY {
            return Some(MEMORY);
        }
        let scheme = self.text.split_once("://").map(|(scheme, _)| scheme);
        let store = STORES.iter().find(|(name, schemes)| match scheme {
            Some(scheme) => schemes.contains(&scheme),
            None => *name == self.text || schemes.contains(&self.text.as_str()),
        });
        store.map(|(name, _)| *name)
    }

    /// Why there is no such backend here.
    fn not_here(&self) -> ConfigProblem {
        self.wrong(&match self.store() {
            Some(name) => format!(
                "is not possible: that backend needs the feature `{name}`, which this version of symphra-scheduler \
                 does not have; allowed is {ALLOWED}"
            ),
            None => format!("is no backend; allowed is {ALLOWED}"),
        })
    }
}

impl Asked {
    /// `backend:`, a table or the type alone.
    pub(super) fn read(written: &Written<'_>, reader: &mut Reader<'_>) -> Self {
        let mut asked = Self::default();
        let ValueKind::Table(table) = &written.value.kind else {
            asked.kind = text(written, reader);
            return asked;
        };
        for (key, value) in in_order(table) {
            let inner = written.inner(&format!(".{key}"), value, reader);
            match key.as_str() {
                "type" => asked.kind = text(&inner, reader),
                "url" => asked.url = text(&inner, reader),
                "max_connections" => asked.max_connections = scalar(&inner, reader, "a whole number"),
                _ => unknown(&inner, key, KEYS.into_iter(), FORMER, reader),
            }
        }
        // Of a store whose kind cannot be read nothing more can be said.
        if table.contains_key("type") && asked.kind.is_none() { Self::default() } else { asked }
    }

    /// What says which store it is.
    fn head(&self) -> Option<&Said> {
        self.kind.as_ref().or(self.url.as_ref())
    }

    /// This, and where it says nothing, what is `below`: but nothing of that if this asks for another store, whose
    /// address and connections those are not.
    pub(super) fn over(self, below: Self) -> Self {
        let of = |asked: &Self| asked.head().map(|said| said.store().map_or_else(|| said.text.clone(), str::to_owned));
        if let (Some(store), Some(other)) = (of(&self), of(&below))
            && store != other
        {
            return self;
        }
        Self {
            kind: self.kind.or(below.kind),
            url: self.url.or(below.url),
            max_connections: self.max_connections.or(below.max_connections),
        }
    }

    /// What is asked for and not there, as one problem; or what means nothing to the memory backend.
    pub(super) fn problems(&self) -> Vec<ConfigProblem> {
        if let Some(head) = self.head().filter(|head| head.store() != Some(MEMORY)) {
            return vec![head.not_here()];
        }
        let idle = [&self.url, &self.max_connections].into_iter().flatten();
        let says = "means nothing to the memory backend, which connects to nothing; drop it";
        idle.map(|said| said.wrong(says)).collect()
    }
}

/// A text; what is no text is noted.
fn text(written: &Written<'_>, reader: &mut Reader<'_>) -> Option<Said> {
    if !matches!(written.value.kind, ValueKind::String(_) | ValueKind::Nil) {
        reader.wrong(written, format!("is not possible; allowed is {ALLOWED}"));
        return None;
    }
    scalar(written, reader, ALLOWED)
}

fn scalar(written: &Written<'_>, reader: &mut Reader<'_>, allowed: &str) -> Option<Said> {
    let raw: Raw = reader.raw(written, allowed)?;
    Some(Said {
        key: written.key.clone(),
        place: written.place.clone(),
        shown: shown(written),
        text: raw.text().into_owned(),
    })
}

pub(super) fn schema() -> Json {
    json!({
        "description": "Where marks, runs and records are kept. Default: memory.",
        "anyOf": [
            { "enum": ["memory"] },
            { "type": "object", "additionalProperties": false, "properties": { "type": { "enum": ["memory"] } } }
        ]
    })
}
