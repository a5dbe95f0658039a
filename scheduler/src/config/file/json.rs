//! JSON, strictly: no comments, no trailing commas.

use std::collections::HashMap;
use std::error::Error as StdError;

use ::config::{FileStoredFormat, Format, Map, Value, ValueKind};
use jsonc_parser::ast::{self, ObjectPropName};
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::{DEPTH_MAX, Lines, Malformed, repeated, too_deep, value};

#[derive(Clone, Debug)]
pub(super) struct Json;

impl FileStoredFormat for Json {
    fn file_extensions(&self) -> &'static [&'static str] {
        &["json"]
    }
}

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

impl Format for Json {
    fn parse(&self, _: Option<&String>, text: &str) -> Result<Map<String, Value>, Box<dyn StdError + Send + Sync>> {
        let parsed = parse_to_ast(text, &CollectOptions::default(), &STRICT).map_err(|error| Malformed {
            line: u32::try_from(error.line_display()).unwrap_or(u32::MAX),
            says: format!("{}, at column {}", error.kind(), error.column_display()),
        })?;
        let lines = Lines::of(text);
        match parsed.value {
            None => Ok(Map::new()),
            Some(ast::Value::Object(object)) => Ok(table(&object, &lines, 0)?),
            Some(_) => Err(Malformed { line: 1, says: "a configuration is an object, { … }".into() }.into()),
        }
    }
}

fn table(object: &ast::Object<'_>, lines: &Lines, depth: usize) -> Result<Map<String, Value>, Malformed> {
    let (mut table, mut seen) = (Map::new(), HashMap::new());
    for property in &object.properties {
        let key = match &property.name {
            ObjectPropName::String(name) => name.value.as_ref(),
            ObjectPropName::Word(name) => name.value,
        };
        let line = lines.line(property.range.start);
        if let Some(first) = seen.insert(key, line) {
            return Err(repeated(key, first, line));
        }
        table.insert(key.to_owned(), value(line, kind(&property.value, lines, depth + 1)?));
    }
    Ok(table)
}

fn kind(of: &ast::Value<'_>, lines: &Lines, depth: usize) -> Result<ValueKind, Malformed> {
    if depth > DEPTH_MAX {
        return Err(too_deep(lines.line(of.range().start)));
    }
    Ok(match of {
        ast::Value::NullKeyword(_) => ValueKind::Nil,
        ast::Value::BooleanLit(flag) => ValueKind::Boolean(flag.value),
        ast::Value::StringLit(text) => ValueKind::String(text.value.clone().into_owned()),
        ast::Value::NumberLit(number) => match number.value.parse() {
            Ok(whole) => ValueKind::I64(whole),
            Err(_) => ValueKind::Float(number.value.parse().unwrap_or(f64::NAN)),
        },
        ast::Value::Array(array) => {
            let elements = array
                .elements
                .iter()
                .map(|element| Ok(value(lines.line(element.range().start), kind(element, lines, depth + 1)?)));
            ValueKind::Array(elements.collect::<Result<_, Malformed>>()?)
        }
        ast::Value::Object(object) => ValueKind::Table(table(object, lines, depth)?),
    })
}
