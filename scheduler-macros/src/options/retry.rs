//! `retry`: a preset by its name, or parts that differ from the standard policy.

use std::time::Duration;

use proc_macro2::Ident;
use symphra_scheduler_core::{format_duration, nearest};
use syn::Path;

use super::duration::{self, DAY};
use super::words::{self, Backoff, Preset};
use crate::attr::{Arguments, List, Value};
use crate::errors::Errors;
use crate::form::{RETRY, Word};

// The limits and the standard waits of the runtime's `RetryPolicy`: what passes here must pass there.
const ATTEMPTS_MAX: u32 = 1_000;
const WAIT_LIMIT: Duration = Duration::from_secs(30 * DAY.as_secs());
const MULTIPLIER_MAX: f64 = 100.0;
const STANDARD_WAIT_MIN: Duration = Duration::from_secs(1);
const STANDARD_WAIT_MAX: Duration = Duration::from_secs(60);

/// How often a failed attempt is repeated, and when.
pub(crate) enum Retry {
    Preset(Preset),
    Parts(Box<Parts>),
}

/// What is written in the brackets; the rest is as in the standard policy.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) max_attempts: Option<u32>,
    pub(crate) strategy: Option<Backoff>,
    pub(crate) wait_min: Option<Duration>,
    pub(crate) wait_max: Option<Duration>,
    pub(crate) multiplier: Option<f64>,
    pub(crate) jitter: Option<bool>,
    pub(crate) when: Option<Path>,
}

/// Reads `retry = "…"` or `retry(…)`; what is wrong goes into `errors`.
pub(super) fn read(arguments: &Arguments, word: &Word, errors: &mut Errors) -> Option<Retry> {
    if let Some(value) = arguments.get("retry") {
        return errors.take(words::read(value, word)).map(Retry::Preset);
    }
    arguments.list("retry").map(|list| Retry::Parts(Box::new(parts(list, word, errors))))
}

fn parts(list: &List, word: &Word, errors: &mut Errors) -> Parts {
    let entries = list.entries(word, known, errors);
    let mut read = Reader { entries: &entries, errors };
    let wait = |value: &Value, word: &Word| duration::read(value, word, Duration::ZERO..=WAIT_LIMIT);
    let parts = Parts {
        max_attempts: read.part("max_attempts", |value, word| value.whole(word, 1..=ATTEMPTS_MAX)),
        strategy: read.part("strategy", words::read),
        wait_min: read.part("wait_min", wait),
        wait_max: read.part("wait_max", wait),
        multiplier: read.part("multiplier", multiplier),
        jitter: read.part("jitter", Value::flag),
        when: read.part("when", Value::path),
    };
    errors.take(waits(&entries, &parts));
    parts
}

struct Reader<'a> {
    entries: &'a [(Ident, Value)],
    errors: &'a mut Errors,
}

impl Reader<'_> {
    fn part<T>(&mut self, name: &str, reading: impl FnOnce(&Value, &Word) -> syn::Result<T>) -> Option<T> {
        let word = RETRY.iter().find(|word| word.name == name).expect("a key that is read is in the table");
        let value = value_of(self.entries, name)?;
        self.errors.take(reading(value, word))
    }
}

fn value_of<'a>(entries: &'a [(Ident, Value)], name: &str) -> Option<&'a Value> {
    entries.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn known(key: &Ident) -> syn::Result<()> {
    let written = key.to_string();
    if RETRY.iter().any(|word| word.name == written) {
        return Ok(());
    }
    let advice = match nearest(&written, RETRY.iter().map(|word| word.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let words: Vec<String> = RETRY.iter().map(|word| format!("`{}`", word.name)).collect();
            format!("`retry` takes {}", words.join(", "))
        }
    };
    Err(syn::Error::new(key.span(), format!("unknown key `{written}` of `retry`; {advice}")))
}

fn multiplier(value: &Value, word: &Word) -> syn::Result<f64> {
    let number = value.decimal().ok_or_else(|| value.not_a("a number", word))?.to_f64();
    if (1.0..=MULTIPLIER_MAX).contains(&number) {
        return Ok(number);
    }
    Err(value.out_of_range(word, 1, MULTIPLIER_MAX))
}

/// The shortest wait is not above the longest, also where one of them is left at its default.
fn waits(entries: &[(Ident, Value)], parts: &Parts) -> syn::Result<()> {
    let (min, max) = (parts.wait_min.unwrap_or(STANDARD_WAIT_MIN), parts.wait_max.unwrap_or(STANDARD_WAIT_MAX));
    if min <= max {
        return Ok(());
    }
    let (written_min, written_max) = (value_of(entries, "wait_min"), value_of(entries, "wait_max"));
    let (shown_min, shown_max) = (format_duration(min), format_duration(max));
    match (written_min, written_max) {
        (Some(value), Some(_)) if parts.wait_min.is_some() && parts.wait_max.is_some() => Err(value.error(format!(
            "`wait_min` is {shown_min}, above `wait_max`, which is {shown_max}; swap them or change one"
        ))),
        (Some(value), None) => Err(value.error(format!(
            "`wait_min` is {shown_min}, above `wait_max`, which is {shown_max} unless given; add a `wait_max`, or \
             shorten this"
        ))),
        (None, Some(value)) => Err(value.error(format!(
            "`wait_max` is {shown_max}, below `wait_min`, which is {shown_min} unless given; add a `wait_min`, or \
             lengthen this"
        ))),
        // One of the two is wrong by itself, and that is reported.
        _ => Ok(()),
    }
}
