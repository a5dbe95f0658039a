//! The options that every attribute takes, read from their values.
//!
//! Rules about one option are here; rules about several together are in `validate.rs`.

use chrono_tz::Tz;
use symphra_scheduler_core::{check_task_name, nearest, parse_timezone};
use syn::Path;
use syn::spanned::Spanned;

use crate::attr::{Arguments, Value};
use crate::errors::Errors;
use crate::form::{OPTIONS, Word};
use crate::name::Name;
use crate::schedule::Moment;

/// The options of one task. A field is at its default where the option is absent, or wrong and already reported.
#[derive(Default)]
pub(crate) struct Options {
    /// `None`: the function's own name.
    pub(crate) name: Option<Name>,
    pub(crate) tags: Vec<String>,
    /// `None`: the scheduler's zone, which the macro does not know.
    pub(crate) timezone: Option<Tz>,
    pub(crate) start: Option<Moment>,
    pub(crate) end: Option<Moment>,
    /// `None`: the runtime's default.
    pub(crate) max_instances: Option<u32>,
    pub(crate) overlap: Overlap,
    /// `None`: `::symphra_scheduler`.
    pub(crate) runtime: Option<Path>,
}

/// What happens to an occurrence that falls due while the task is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Overlap {
    #[default]
    Skip,
    Allow,
}

impl Overlap {
    const ALL: [(&'static str, Self); 2] = [("skip", Self::Skip), ("allow", Self::Allow)];
}

impl Options {
    /// Reads the options; what is wrong goes into `errors`.
    pub(crate) fn read(arguments: &Arguments, errors: &mut Errors) -> Self {
        Self {
            name: read(arguments, errors, "name", task_name),
            tags: read(arguments, errors, "tags", tags).unwrap_or_default(),
            timezone: read(arguments, errors, "timezone", timezone),
            start: read(arguments, errors, "start", Moment::read),
            end: read(arguments, errors, "end", Moment::read),
            max_instances: read(arguments, errors, "max_instances", |value, word| value.whole(word, 1..=u32::MAX)),
            overlap: read(arguments, errors, "overlap", overlap).unwrap_or_default(),
            runtime: read(arguments, errors, "crate", |value, word| value.path(word)),
        }
    }
}

fn read<T>(
    arguments: &Arguments,
    errors: &mut Errors,
    name: &str,
    reading: impl FnOnce(&Value, &Word) -> syn::Result<T>,
) -> Option<T> {
    let word = OPTIONS.iter().find(|word| word.name == name).expect("an option that is read is in the table");
    let value = arguments.get(name)?;
    errors.take(reading(value, word))
}

fn task_name(value: &Value, word: &Word) -> syn::Result<Name> {
    let text = value.text(word)?;
    check_task_name(&text).map_err(|error| value.error(error))?;
    Ok(Name { text, span: value.span() })
}

fn tags(value: &Value, word: &Word) -> syn::Result<Vec<String>> {
    let mut errors = Errors::default();
    let mut tags = Vec::new();
    for literal in value.texts(word)? {
        let tag = literal.value();
        if tag.trim().is_empty() {
            errors.push(syn::Error::new(literal.span(), "a tag is not empty; write a word or remove it"));
        } else if tags.contains(&tag) {
            let message = format!("tag {tag:?} is given more than once; keep one of them");
            errors.push(syn::Error::new(literal.span(), message));
        }
        tags.push(tag);
    }
    errors.finish().map(|()| tags)
}

fn timezone(value: &Value, word: &Word) -> syn::Result<Tz> {
    parse_timezone(&value.text(word)?).map_err(|error| value.error(error))
}

fn overlap(value: &Value, word: &Word) -> syn::Result<Overlap> {
    let text = value.text(word)?;
    if let Some((_, overlap)) = Overlap::ALL.into_iter().find(|(allowed, _)| *allowed == text) {
        return Ok(overlap);
    }
    let allowed = Overlap::ALL.map(|(allowed, _)| format!("{allowed:?}")).join(" or ");
    let suggestion = nearest(&text, Overlap::ALL.map(|(allowed, _)| allowed))
        .map(|near| format!("; did you mean {near:?}?"))
        .unwrap_or_default();
    Err(value.error(format!("`overlap` is {text:?}; allowed {allowed}{suggestion}")))
}
