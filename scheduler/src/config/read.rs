//! Reading values into settings: every mistake is noted with its place, and none hides another.

use std::path::Path;
use std::sync::Arc;

use ::config::{Map, Value, ValueKind};
use serde_json::{Map as JsonMap, Value as Json, json};
use symphra_scheduler_core::nearest;

use super::env::Environment;
use super::error::ConfigProblem;
use super::file::line_of;
use super::shape::{Raw, Shape};
use crate::secret::{is_secret, masked};
use crate::task::Place;

/// A value with its key and its place.
pub(super) struct Written<'a> {
    /// With the keys above it.
    pub(super) key: String,
    pub(super) value: &'a Value,
    pub(super) place: Place,
}

impl<'a> Written<'a> {
    /// The value of a key of this table.
    pub(super) fn entry(&self, key: &str, value: &'a Value, reader: &Reader<'_>) -> Self {
        // What would not be seen is quoted, so that a problem names it.
        let is_plain = !key.is_empty() && !key.contains(char::is_control);
        let key = if is_plain { key.to_owned() } else { format!("{key:?}") };
        let key = if self.key.is_empty() { key } else { format!("{}.{key}", self.key) };
        Self { key, value, place: reader.place(value, &self.place) }
    }

    /// The element of this list at a place.
    pub(super) fn element(&self, at: usize, value: &'a Value, reader: &Reader<'_>) -> Self {
        Self { key: format!("{}[{at}]", self.key), value, place: reader.place(value, &self.place) }
    }
}

impl Written<'_> {
    /// The same under the key that it stands for.
    pub(super) fn as_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), value: self.value, place: self.place.clone() }
    }
}

/// Reads values, and notes what is wrong with them.
pub(super) struct Reader<'a> {
    file: Option<Arc<Path>>,
    variables: &'a Environment,
    problems: Vec<ConfigProblem>,
}

impl<'a> Reader<'a> {
    pub(super) fn of_file(file: Arc<Path>, variables: &'a Environment) -> Self {
        Self { file: Some(file), variables, problems: Vec::new() }
    }

    pub(super) fn of_environment(variables: &'a Environment) -> Self {
        Self { file: None, variables, problems: Vec::new() }
    }

    /// How many mistakes were noted so far.
    pub(super) fn problems(&self) -> usize {
        self.problems.len()
    }

    pub(super) fn into_problems(self) -> Vec<ConfigProblem> {
        self.problems
    }

    /// Where a value stands; what has no line of its own stands where the value around it does.
    fn place(&self, value: &Value, around: &Place) -> Place {
        match &self.file {
            Some(file) if value.origin().is_some() => Place::Line(Arc::clone(file), line_of(value)),
            // The origin of a variable's value is its name.
            None => value.origin().map_or_else(|| around.clone(), |name| Place::Variable(name.into())),
            Some(_) => around.clone(),
        }
    }

    /// Notes that a value is wrong, as `says` completes: the value itself is shown as far as it may be.
    pub(super) fn wrong(&mut self, written: &Written<'_>, says: impl AsRef<str>) {
        let says = match shown(written) {
            Some(value) => format!("{} = {value} {}", written.key, says.as_ref()),
            None => format!("{} {}", written.key, says.as_ref()),
        };
        self.note(&written.place, &written.key, says);
    }

    pub(super) fn note(&mut self, place: &Place, key: &str, says: impl Into<String>) {
        self.problems.push(ConfigProblem::at(place.clone(), key, says));
    }

    /// The scalar that is written, its variables replaced.
    pub(super) fn raw(&mut self, written: &Written<'_>, allowed: &str) -> Option<Raw> {
        Some(match &written.value.kind {
            ValueKind::Boolean(flag) => Raw::Flag(*flag),
            ValueKind::I64(number) => Raw::Whole(*number),
            ValueKind::Float(number) => Raw::Decimal(*number),
            // A variable is what it is; only a file speaks of others.
            ValueKind::String(text) if self.file.is_none() => Raw::Text(text.clone()),
            ValueKind::String(text) => match self.variables.replaced(text) {
                Ok(text) => Raw::Text(text),
                Err(says) => {
                    self.wrong(written, format!("cannot be read: {says}"));
                    return None;
                }
            },
            ValueKind::Nil => {
                self.wrong(written, format!("has no value; write {allowed}, or drop the key"));
                return None;
            }
            _ => {
                self.wrong(written, format!("is not possible; allowed is {allowed}"));
                return None;
            }
        })
    }

    /// Whether what is read is not what is written: a variable stands in it.
    pub(super) fn is_replaced(&self, written: &Written<'_>) -> bool {
        matches!(&written.value.kind, ValueKind::String(text) if self.file.is_some() && text.contains('$'))
    }

    /// The entries of a table, in the order of their lines.
    pub(super) fn table<'v>(&mut self, written: &Written<'v>) -> Option<Vec<(&'v String, &'v Value)>> {
        match &written.value.kind {
            ValueKind::Table(table) => Some(in_order(table)),
            ValueKind::Nil => Some(Vec::new()),
            _ => {
                self.wrong(written, "is not possible; allowed is a table of keys and values");
                None
            }
        }
    }
}

pub(super) fn in_order(table: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by(|a, b| (line_of(a.1), a.0).cmp(&(line_of(b.1), b.0)));
    entries
}

/// Of what names a store, only what kind of store it is.
fn scheme_of(text: &str) -> String {
    text.split_once("://").map_or_else(|| "…".to_owned(), |(scheme, _)| format!("{scheme}://…"))
}

/// What may be shown of a value: as it is written, so never what a variable says, and never a secret.
pub(super) fn shown(written: &Written<'_>) -> Option<String> {
    let last = written.key.rsplit('.').next().unwrap_or_default();
    match &written.value.kind {
        ValueKind::Nil => None,
        _ if is_secret(last) => None,
        ValueKind::Boolean(flag) => Some(flag.to_string()),
        ValueKind::I64(number) => Some(number.to_string()),
        ValueKind::Float(number) => Some(number.to_string()),
        // A store may be named by more than a URL, and a password may stand anywhere in it.
        ValueKind::String(text) if last == "url" => Some(format!("{:?}", scheme_of(text))),
        ValueKind::String(text) => Some(format!("{:?}", masked(text))),
        ValueKind::Table(_) => Some("{…}".into()),
        _ => Some("[…]".into()),
    }
}

/// A key, what it says, its shape, and where its value goes.
pub(super) struct Setting<L> {
    pub(super) key: &'static str,
    about: &'static str,
    schema: Json,
    pub(super) is_scalar: bool,
    read: Read<L>,
}

type Read<L> = Box<dyn Fn(&Written<'_>, &mut Reader<'_>, L) -> L>;

/// The setting named `key`; `set` lays its value over what is there.
pub(super) fn setting<L, S: Shape + 'static>(
    key: &'static str,
    about: &'static str,
    shape: S,
    set: impl Fn(L, S::Value) -> L + 'static,
) -> Setting<L> {
    Setting {
        key,
        about,
        schema: shape.schema(),
        is_scalar: shape.is_scalar(),
        read: Box::new(move |written, reader, layer| match shape.read(written, reader) {
            Some(value) => set(layer, value),
            None => layer,
        }),
    }
}

/// The same, whose value is kept with its place.
pub(super) fn placed<L, S: Shape + 'static>(
    key: &'static str,
    about: &'static str,
    shape: S,
    set: impl Fn(L, S::Value, &Place) -> L + 'static,
) -> Setting<L> {
    Setting {
        key,
        about,
        schema: shape.schema(),
        is_scalar: shape.is_scalar(),
        read: Box::new(move |written, reader, layer| match shape.read(written, reader) {
            Some(value) => set(layer, value, &written.place),
            None => layer,
        }),
    }
}

/// The keys of one table.
pub(super) struct Section<L> {
    pub(super) settings: Vec<Setting<L>>,
    /// Keys that other versions of this product had, and what to write instead.
    pub(super) former: &'static [(&'static str, &'static str)],
}

impl<L> Section<L> {
    pub(super) fn get(&self, key: &str) -> Option<&Setting<L>> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.settings.iter().map(|setting| setting.key)
    }

    /// Reads one value into `layer`.
    pub(super) fn read_one(&self, setting: &Setting<L>, written: &Written<'_>, reader: &mut Reader<'_>, layer: L) -> L {
        (setting.read)(written, reader, layer)
    }

    /// Reads a table into `layer`.
    pub(super) fn read(&self, written: &Written<'_>, reader: &mut Reader<'_>, mut layer: L) -> L {
        for (key, value) in reader.table(written).unwrap_or_default() {
            let inner = written.entry(key, value, reader);
            match self.get(key) {
                Some(setting) => layer = (setting.read)(&inner, reader, layer),
                None => unknown(&inner, key, self.keys(), self.former, reader),
            }
        }
        layer
    }

    pub(super) fn schema(&self) -> Json {
        json!({ "type": "object", "additionalProperties": false, "properties": self.properties() })
    }

    pub(super) fn properties(&self) -> JsonMap<String, Json> {
        let described = self.settings.iter().map(|setting| {
            let mut schema = setting.schema.clone();
            if let Json::Object(schema) = &mut schema {
                schema.insert("description".into(), setting.about.into());
            }
            (setting.key.to_owned(), schema)
        });
        described.collect()
    }
}

/// Notes a key that means nothing.
pub(super) fn unknown(
    written: &Written<'_>,
    key: &str,
    known: impl Iterator<Item = &'static str> + Clone,
    former: &[(&str, &str)],
    reader: &mut Reader<'_>,
) {
    let advice = match (former.iter().find(|(name, _)| *name == key), nearest(key, known.clone())) {
        (Some((_, instead)), _) => (*instead).to_owned(),
        (None, Some(near)) => format!("did you mean {near}?"),
        (None, None) => format!("allowed here: {}", known.collect::<Vec<_>>().join(", ")),
    };
    reader.note(&written.place, &written.key, format!("{} is no key that is known; {advice}", written.key));
}
