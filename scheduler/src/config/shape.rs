//! The shapes of values: how each is read, what is allowed, and how a schema says it.
//!
//! A setting names its shape once; the reader, the messages and the JSON Schema all follow from it.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::config::{Value, ValueKind};
use chrono_tz::Tz;
use serde_json::{Value as Json, json};
use symphra_scheduler_core::{CronExpr, format_duration, nearest, parse_duration, parse_instant, parse_timezone};

use super::backend::one_of;
use super::read::{Reader, Section, Written};
use crate::schedule::{Moment, Schedule};

/// How a value is read, and how a schema describes it.
pub(super) trait Shape {
    type Value;

    /// The value; `None` if it is wrong, which the reader then knows.
    fn read(&self, written: &Written<'_>, reader: &mut Reader<'_>) -> Option<Self::Value>;

    fn schema(&self) -> Json;

    /// Whether a variable of the environment can say it.
    fn is_scalar(&self) -> bool {
        false
    }
}

/// One word, number or flag as it is written, its variables replaced.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    Flag(bool),
    Whole(i64),
    Decimal(f64),
    Text(String),
}

impl Raw {
    /// The text that was written.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Flag(flag) => flag.to_string().into(),
            Self::Whole(number) => number.to_string().into(),
            Self::Decimal(number) => number.to_string().into(),
            Self::Text(text) => text.as_str().into(),
        }
    }

    fn whole(&self) -> Option<i64> {
        match self {
            Self::Whole(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Flag(_) | Self::Decimal(_) => None,
        }
    }

    fn decimal(&self) -> Option<f64> {
        match self {
            Self::Decimal(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            #[expect(clippy::cast_precision_loss, reason = "a number of seconds that large is refused by its range")]
            Self::Whole(number) => Some(*number as f64),
            Self::Flag(_) => None,
        }
    }
}

/// Why a scalar is refused.
pub(super) enum Refused {
    /// It is not among what is allowed.
    NotAllowed,
    /// As a sentence says.
    Because(String),
}

impl<E: Display> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Because(error.to_string())
    }
}

/// The schema of a value in whose place a variable may stand as well: `${VAR}`.
fn or_variable(schema: Json) -> Json {
    json!({ "anyOf": [schema, { "type": "string", "pattern": r"\$\{" }] })
}

type Parse<T> = Box<dyn Fn(&Raw) -> Result<T, Refused>>;

/// A value of one word, number or flag.
pub(super) struct Scalar<T> {
    allowed: String,
    schema: Json,
    parse: Parse<T>,
}

impl<T: 'static> Scalar<T> {
    pub(super) fn new(
        allowed: impl Into<String>,
        schema: Json,
        parse: impl Fn(&Raw) -> Result<T, Refused> + 'static,
    ) -> Self {
        Self { allowed: allowed.into(), schema, parse: Box::new(parse) }
    }

    /// The same as another type.
    pub(super) fn map<U: 'static>(self, of: impl Fn(T) -> U + 'static) -> Scalar<U> {
        let Self { allowed, schema, parse } = self;
        Scalar { allowed, schema, parse: Box::new(move |raw| parse(raw).map(&of)) }
    }

    /// What is allowed, and the word `none`.
    pub(super) fn or_none(self) -> Scalar<Option<T>> {
        let Self { allowed, schema, parse } = self;
        Scalar {
            allowed: format!("{allowed}, or none"),
            schema: json!({ "anyOf": [schema, { "const": "none" }] }),
            parse: Box::new(move |raw| match raw {
                Raw::Text(text) if text == "none" => Ok(None),
                raw => parse(raw).map(Some),
            }),
        }
    }
}

impl<T> Shape for Scalar<T> {
    type Value = T;

    fn read(&self, written: &Written<'_>, reader: &mut Reader<'_>) -> Option<T> {
        let raw = reader.raw(written, &self.allowed)?;
        match (self.parse)(&raw) {
            Ok(value) => Some(value),
            Err(Refused::NotAllowed) => {
                reader.wrong(written, format!("is not possible; allowed is {}", self.allowed));
                None
            }
            // A reason quotes the value, which here came from a variable and may be secret.
            Err(Refused::Because(_)) if reader.is_replaced(written) => {
                reader.wrong(written, format!("is not possible once replaced; allowed is {}", self.allowed));
                None
            }
            Err(Refused::Because(says)) => {
                reader.wrong(written, format!("is not possible: {says}"));
                None
            }
        }
    }

    fn schema(&self) -> Json {
        self.schema.clone()
    }

    fn is_scalar(&self) -> bool {
        true
    }
}

/// A whole number.
pub(super) fn whole<T: TryFrom<i64> + 'static>(range: RangeInclusive<i64>) -> Scalar<T> {
    let (least, most) = (*range.start(), *range.end());
    let (allowed, schema) = match most {
        i64::MAX => (format!("a whole number, {least} or more"), json!({ "type": "integer", "minimum": least })),
        _ => (
            format!("a whole number, {least} to {most}"),
            json!({ "type": "integer", "minimum": least, "maximum": most }),
        ),
    };
    Scalar::new(allowed, or_variable(schema), move |raw| {
        let number = raw.whole().filter(|number| range.contains(number)).ok_or(Refused::NotAllowed)?;
        T::try_from(number).map_err(|_| Refused::NotAllowed)
    })
}

/// A number, decimals allowed.
pub(super) fn decimal(range: RangeInclusive<f64>) -> Scalar<f64> {
    let (least, most) = (*range.start(), *range.end());
    let schema = json!({ "type": "number", "minimum": least, "maximum": most });
    Scalar::new(format!("a number, {least} to {most}"), or_variable(schema), move |raw| {
        raw.decimal().filter(|number| range.contains(number)).ok_or(Refused::NotAllowed)
    })
}

/// `true` or `false`.
pub(super) fn flag() -> Scalar<bool> {
    Scalar::new("true or false", or_variable(json!({ "type": "boolean" })), |raw| match raw {
        Raw::Flag(flag) => Ok(*flag),
        Raw::Text(text) => text.trim().parse().map_err(|_| Refused::NotAllowed),
        Raw::Whole(_) | Raw::Decimal(_) => Err(Refused::NotAllowed),
    })
}

/// A duration such as `1m30s`; a bare number is seconds.
pub(super) fn duration(least: Duration, most: Duration) -> Scalar<Duration> {
    let range = match most {
        Duration::MAX => format!("{} or more", format_duration(least)),
        most => format!("{} to {}", format_duration(least), format_duration(most)),
    };
    let allowed = format!("a duration such as \"1m30s\", {range}");
    let schema = json!({ "anyOf": [{ "type": "string", "pattern": DURATION }, { "type": "number", "minimum": 0 }] });
    Scalar::new(allowed, or_variable(schema), move |raw| {
        let duration = match (raw, raw.decimal()) {
            (_, Some(seconds)) => Duration::try_from_secs_f64(seconds).map_err(|_| Refused::NotAllowed)?,
            (Raw::Text(text), None) => parse_duration(text)?,
            _ => return Err(Refused::NotAllowed),
        };
        let duration = Duration::from_millis(u64::try_from(duration.as_millis()).map_err(|_| Refused::NotAllowed)?);
        if (least..=most).contains(&duration) { Ok(duration) } else { Err(Refused::NotAllowed) }
    })
}

/// A duration, as a schema knows it.
const DURATION: &str = r"^\s*([0-9]*\.?[0-9]+\s*(d|h|ms|m|s)\s*)+$";

/// The name of a time zone.
pub(super) fn zone() -> Scalar<Tz> {
    let schema = json!({ "type": "string", "examples": ["UTC", "Asia/Shanghai", "America/New_York"] });
    Scalar::new("the name of a time zone, such as Europe/Paris", schema, |raw| Ok(parse_timezone(&raw.text())?))
}

/// One of a few words.
pub(super) fn word<T: Copy + 'static>(words: &'static [(&'static str, T)]) -> Scalar<T> {
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let allowed = one_of(&names);
    let said = allowed.clone();
    Scalar::new(allowed, or_variable(json!({ "enum": names })), move |raw| {
        let text = raw.text();
        if let Some((_, choice)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*choice);
        }
        Err(match nearest(&text, words.iter().map(|(word, _)| *word)) {
            Some(near) => Refused::Because(format!("allowed is {said}; did you mean {near}?")),
            None => Refused::NotAllowed,
        })
    })
}

/// A text of 1 to `bytes_max` bytes.
pub(super) fn text(bytes_max: usize) -> Scalar<String> {
    let schema = json!({ "type": "string", "minLength": 1, "maxLength": bytes_max });
    Scalar::new(format!("a text of 1 to {bytes_max} bytes"), schema, move |raw| {
        let text = raw.text().into_owned();
        if text.is_empty() || text.len() > bytes_max { Err(Refused::NotAllowed) } else { Ok(text) }
    })
}

/// A text of 1 to `bytes_max` bytes without control characters.
pub(super) fn line(bytes_max: usize) -> Scalar<String> {
    let schema = json!({ "type": "string", "minLength": 1, "maxLength": bytes_max });
    Scalar::new(format!("1 to {bytes_max} bytes without control characters"), schema, move |raw| {
        let text = raw.text().into_owned();
        let is_possible = (1..=bytes_max).contains(&text.len()) && !text.chars().any(char::is_control);
        if is_possible { Ok(text) } else { Err(Refused::NotAllowed) }
    })
}

/// A path in the file system.
pub(super) fn path() -> Scalar<PathBuf> {
    Scalar::new("a path", json!({ "type": "string", "minLength": 1 }), |raw| match raw {
        Raw::Text(text) if !text.is_empty() => Ok(PathBuf::from(text)),
        _ => Err(Refused::NotAllowed),
    })
}

/// A path whose last part is the name of a file.
pub(super) fn file() -> Scalar<PathBuf> {
    Scalar::new("the path of a file", json!({ "type": "string", "minLength": 1 }), |raw| match raw {
        Raw::Text(text) if Path::new(text).file_name().is_some() => Ok(PathBuf::from(text)),
        _ => Err(Refused::NotAllowed),
    })
}

/// A cron expression.
pub(super) fn cron() -> Scalar<CronExpr> {
    let schema = json!({ "type": "string", "examples": ["0 9 * * MON-FRI", "*/5 * * * * *"] });
    Scalar::new("a cron expression such as \"0 9 * * MON-FRI\"", schema, |raw| Ok(raw.text().parse::<CronExpr>()?))
}

/// The period of an interval; a bare number is seconds.
pub(super) fn period() -> Scalar<Schedule> {
    let every = duration(Duration::from_millis(1), crate::schedule::INTERVAL_MAX);
    let Scalar { allowed, schema, parse } = every;
    Scalar::new(allowed, schema, move |raw| Ok(Schedule::interval(parse(raw)?)?))
}

/// An instant, with an offset or local to the task's zone.
pub(super) fn instant() -> Scalar<Moment> {
    let schema = json!({ "type": "string", "examples": ["2026-12-31T23:59:59+08:00", "2026-12-31"] });
    Scalar::new(
        "an instant such as \"2026-12-31T23:59:59+08:00\"",
        schema,
        |raw| Ok(parse_instant(&raw.text())?.into()),
    )
}

/// Any schedule as it is written.
pub(super) fn schedule() -> Scalar<Schedule> {
    let schema = json!({ "type": "string", "examples": ["0 9 * * MON-FRI", "1m30s", "2026-12-31T23:59:59+08:00"] });
    Scalar::new("a cron expression, a period or an instant", schema, |raw| Ok(raw.text().parse::<Schedule>()?))
}

/// A list of texts; one text alone is a list of one.
pub(super) struct Texts(pub(super) Scalar<String>);

impl Shape for Texts {
    type Value = Vec<String>;

    fn read(&self, written: &Written<'_>, reader: &mut Reader<'_>) -> Option<Vec<String>> {
        let ValueKind::Array(elements) = &written.value.kind else {
            return self.0.read(written, reader).map(|one| vec![one]);
        };
        let texts: Vec<Option<String>> = (elements.iter().enumerate())
            .map(|(at, element)| self.0.read(&written.element(at, element, reader), reader))
            .collect();
        texts.into_iter().collect()
    }

    fn schema(&self) -> Json {
        json!({ "anyOf": [{ "type": "array", "items": self.0.schema() }, self.0.schema()] })
    }
}

/// A table of settings.
pub(super) struct Nested<L>(pub(super) fn() -> Section<L>);

impl<L: Default> Shape for Nested<L> {
    type Value = L;

    fn read(&self, written: &Written<'_>, reader: &mut Reader<'_>) -> Option<L> {
        Some((self.0)().read(written, reader, L::default()))
    }

    fn schema(&self) -> Json {
        (self.0)().schema()
    }
}

/// A table whose keys are the user's own.
pub(super) struct Keyed<S>(pub(super) S);

impl<S: Shape> Shape for Keyed<S> {
    type Value = Vec<(String, S::Value)>;

    fn read(&self, written: &Written<'_>, reader: &mut Reader<'_>) -> Option<Self::Value> {
        let entries: Vec<(&String, &Value)> = reader.table(written)?;
        let read: Vec<Option<(String, S::Value)>> = (entries.into_iter())
            .map(|(key, value)| {
                let inner = written.entry(key, value, reader);
                Some((key.clone(), self.0.read(&inner, reader)?))
            })
            .collect();
        read.into_iter().collect()
    }

    fn schema(&self) -> Json {
        json!({ "type": "object", "additionalProperties": self.0.schema() })
    }
}
