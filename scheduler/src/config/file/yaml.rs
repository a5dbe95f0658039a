//! YAML 1.2 with its core schema: `yes` and `on` are words, `010` is ten. Anchors, aliases and `<<` are understood; tags
//! other than those of the core schema are not.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::iter::Peekable;

use ::config::{FileStoredFormat, Format, Map, Value, ValueKind};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::{DEPTH_MAX, Malformed, repeated, too_deep, value};

/// How many values a file may have once its aliases are replaced: a few short lines can stand for millions.
const VALUES_MAX: usize = 200_000;

/// How long they may be together: a few times what a file may have.
const BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Yaml;

impl FileStoredFormat for Yaml {
    fn file_extensions(&self) -> &'static [&'static str] {
        &["yaml", "yml"]
    }
}

impl Format for Yaml {
    fn parse(&self, _: Option<&String>, text: &str) -> Result<Map<String, Value>, Box<dyn StdError + Send + Sync>> {
        let mut reader =
            Reader { events: Parser::new_from_str(text).peekable(), anchors: HashMap::new(), values: 0, bytes: 0 };
        Ok(reader.file()?)
    }
}

/// The values of a text, in the order of the parser's events.
struct Reader<'a> {
    events: Peekable<Parser<'a, StrInput<'a>>>,
    anchors: HashMap<usize, Anchored>,
    values: usize,
    /// Of all scalars, those that an alias brings in counted each time.
    bytes: usize,
}

struct Anchored {
    kind: ValueKind,
    values: usize,
    bytes: usize,
}

/// An entry of a mapping while it is read: what `<<` brings in gives way to what is written out.
struct Entry {
    line: u32,
    kind: ValueKind,
    is_merged: bool,
}

impl<'a> Reader<'a> {
    fn file(&mut self) -> Result<Map<String, Value>, Malformed> {
        let mut root = None;
        loop {
            let (event, line) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(Malformed { line, says: "a configuration is one document; drop the second".into() });
                }
                Event::DocumentStart(_) => {
                    let (event, line) = self.next()?;
                    root = Some((self.kind(event, line, 0)?, line));
                }
                _ => return Err(Malformed { line, says: "this stands outside the document".into() }),
            }
        }
        match root {
            None | Some((ValueKind::Nil, _)) => Ok(Map::new()),
            Some((ValueKind::Table(table), _)) => Ok(table),
            Some((_, line)) => {
                Err(Malformed { line, says: "a configuration is a mapping of keys to values, `key: value`".into() })
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, u32), Malformed> {
        match self.events.next() {
            Some(Ok((event, span))) => Ok((event, line_of(&span))),
            Some(Err(error)) => Err(malformed(&error)),
            None => Ok((Event::StreamEnd, 1)),
        }
    }

    fn kind(&mut self, event: Event<'a>, line: u32, depth: usize) -> Result<ValueKind, Malformed> {
        if depth > DEPTH_MAX {
            return Err(too_deep(line));
        }
        let before = (self.values, self.bytes);
        self.count(1, 0, line)?;
        let (kind, anchor) = match event {
            Event::Alias(anchor) => {
                let Some(&Anchored { values, bytes, .. }) = self.anchors.get(&anchor) else {
                    return Err(Malformed { line, says: "an alias stands inside what it names".into() });
                };
                // Before anything is copied.
                self.count(values, bytes, line)?;
                return Ok(self.anchors[&anchor].kind.clone());
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(0, text.len(), line)?;
                (scalar(&text, style, tag.as_deref(), line)?, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                known(tag.as_deref(), "seq", line)?;
                (self.sequence(depth)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                known(tag.as_deref(), "map", line)?;
                (self.mapping(depth)?, anchor)
            }
            _ => return Err(Malformed { line, says: "a value is missing here".into() }),
        };
        if anchor > 0 {
            self.anchors.insert(
                anchor,
                Anchored { kind: kind.clone(), values: self.values - before.0, bytes: self.bytes - before.1 },
            );
        }
        Ok(kind)
    }

    fn sequence(&mut self, depth: usize) -> Result<ValueKind, Malformed> {
        let mut elements = Vec::new();
        loop {
            let (event, line) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(ValueKind::Array(elements));
            }
            elements.push(value(line, self.kind(event, line, depth + 1)?));
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<ValueKind, Malformed> {
        let mut entries: HashMap<String, Entry> = HashMap::new();
        loop {
            let (event, line) = self.next()?;
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(Malformed { line, says: "a key is a word, not a list or a mapping".into() }),
            };
            let (event, value_line) = self.next()?;
            let kind = self.kind(event, value_line, depth + 1)?;
            if key == "<<" {
                merge(&mut entries, kind, line)?;
                continue;
            }
            match entries.get(&key).filter(|known| !known.is_merged) {
                Some(first) => return Err(repeated(&key, first.line, line)),
                None => entries.insert(key, Entry { line, kind, is_merged: false }),
            };
        }
        let table = entries.into_iter().map(|(key, entry)| (key, value(entry.line, entry.kind)));
        Ok(ValueKind::Table(table.collect()))
    }

    fn count(&mut self, values: usize, bytes: usize, line: u32) -> Result<(), Malformed> {
        self.values += values;
        self.bytes += bytes;
        if self.values > VALUES_MAX {
            return Err(Malformed { line, says: format!("there are more than {VALUES_MAX} values up to here") });
        }
        if self.bytes > BYTES_MAX {
            let says = format!("the values up to here have more than {BYTES_MAX} bytes, those of aliases included");
            return Err(Malformed { line, says });
        }
        Ok(())
    }
}

/// Lays what `<<` names under what is there.
fn merge(entries: &mut HashMap<String, Entry>, from: ValueKind, line: u32) -> Result<(), Malformed> {
    let tables = match from {
        ValueKind::Table(table) => vec![table],
        ValueKind::Array(all) => {
            let tables = all.into_iter().map(|one| one.into_table().ok());
            tables.collect::<Option<Vec<_>>>().ok_or_else(|| no_mapping(line))?
        }
        _ => return Err(no_mapping(line)),
    };
    for (key, merged) in tables.into_iter().flatten() {
        let line = super::line_of(&merged);
        entries.entry(key).or_insert(Entry { line, kind: merged.kind, is_merged: true });
    }
    Ok(())
}

fn no_mapping(line: u32) -> Malformed {
    Malformed { line, says: "`<<` takes a mapping, or a list of them".into() }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, line: u32) -> Result<ValueKind, Malformed> {
    let is_text = match tag {
        Some(tag) if tag.is_yaml_core_schema() => tag.suffix == "str",
        Some(tag) => return Err(unknown(tag, line)),
        None => style != ScalarStyle::Plain,
    };
    Ok(if is_text { ValueKind::String(text.to_owned()) } else { plain(text) })
}

/// A plain scalar by the core schema (YAML 1.2.2, 10.3.2).
fn plain(text: &str) -> ValueKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return ValueKind::Nil,
        "true" | "True" | "TRUE" => return ValueKind::Boolean(true),
        "false" | "False" | "FALSE" => return ValueKind::Boolean(false),
        _ => {}
    }
    let whole = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(digits), _) => i64::from_str_radix(digits, 16).ok(),
        (_, Some(digits)) => i64::from_str_radix(digits, 8).ok(),
        (None, None) => text.parse().ok(),
    };
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    match (whole, text.parse()) {
        (Some(whole), _) => ValueKind::I64(whole),
        (None, Ok(decimal)) if has_digit => ValueKind::Float(decimal),
        _ => ValueKind::String(text.to_owned()),
    }
}

fn known(tag: Option<&Tag>, name: &str, line: u32) -> Result<(), Malformed> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == name) => Err(unknown(tag, line)),
        _ => Ok(()),
    }
}

fn unknown(tag: &Tag, line: u32) -> Malformed {
    Malformed { line, says: format!("the tag {}{} means nothing here; drop it", tag.handle, tag.suffix) }
}

fn malformed(error: &ScanError) -> Malformed {
    let (mark, says) = (error.marker(), error.info());
    Malformed { line: number(mark.line()), says: format!("{says}, at column {}", mark.col() + 1) }
}

fn line_of(span: &Span) -> u32 {
    number(span.start.line())
}

fn number(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX).max(1)
}
