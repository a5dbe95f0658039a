//! TOML.

use std::error::Error as StdError;

use ::config::{FileStoredFormat, Format, Map, Value, ValueKind};
use ::toml::de::{DeTable, DeValue};

use super::{Lines, Malformed, value};

#[derive(Clone, Debug)]
pub(super) struct Toml;

impl FileStoredFormat for Toml {
    fn file_extensions(&self) -> &'static [&'static str] {
        &["toml"]
    }
}

impl Format for Toml {
    fn parse(&self, _: Option<&String>, text: &str) -> Result<Map<String, Value>, Box<dyn StdError + Send + Sync>> {
        let lines = Lines::of(text);
        // Its message alone: the whole error shows the line, in which a secret may stand.
        let root = DeTable::parse(text).map_err(|error| Malformed {
            line: lines.line(error.span().map_or(0, |span| span.start)),
            says: error.message().to_owned(),
        })?;
        Ok(table(root.get_ref(), &lines))
    }
}

// The parser itself bounds the depth, so that recursion is bounded here.
fn table(table: &DeTable<'_>, lines: &Lines) -> Map<String, Value> {
    let entries = table.iter().map(|(key, of)| {
        (key.get_ref().clone().into_owned(), value(lines.line(key.span().start), kind(of.get_ref(), lines)))
    });
    entries.collect()
}

fn kind(of: &DeValue<'_>, lines: &Lines) -> ValueKind {
    match of {
        DeValue::String(text) => ValueKind::String(text.clone().into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(whole) => ValueKind::I64(whole),
            Err(_) => ValueKind::Float(number.as_str().parse().unwrap_or(f64::INFINITY)),
        },
        DeValue::Float(number) => ValueKind::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => ValueKind::Boolean(*flag),
        DeValue::Datetime(instant) => ValueKind::String(instant.to_string()),
        DeValue::Array(elements) => {
            let elements = elements.iter();
            let read = elements.map(|element| value(lines.line(element.span().start), kind(element.get_ref(), lines)));
            ValueKind::Array(read.collect())
        }
        DeValue::Table(inner) => ValueKind::Table(table(inner, lines)),
    }
}
