//! The options that every attribute takes, read from their values.
//!
//! Rules about one option are here; rules about several together are in `validate/contradictions.rs`.

mod duration;
mod retry;
mod words;

use std::time::Duration;

use chrono_tz::Tz;
use symphra_scheduler_core::{CronExpr, check_task_name, parse_timezone};
use syn::Path;
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use crate::attr::{Arguments, Value};
use crate::errors::Errors;
use crate::form::{Form, OPTIONS, Word};
use crate::name::Name;
use crate::schedule::{Moment, cron_expression};

pub(crate) use retry::{Parts, Retry};
pub(crate) use words::{Delay, Delivery, Misfire, Overlap};

/// The priority that comes first; with a minus the one that comes last.
const PRIORITY_MAX: i8 = 100;

/// The options of one task. `None` and an empty list are options that are absent, or wrong and already reported; the
/// runtime then takes its default.
#[derive(Default)]
pub(crate) struct Options {
    /// `None`: the function's own name.
    pub(crate) name: Option<Name>,
    pub(crate) tags: Vec<String>,
    pub(crate) metadata: Vec<(String, String)>,
    /// `None`: the scheduler's zone, which the macro does not know.
    pub(crate) timezone: Option<Tz>,
    pub(crate) start: Option<Moment>,
    pub(crate) end: Option<Moment>,
    pub(crate) except: Option<CronExpr>,
    pub(crate) jitter: Option<Duration>,
    pub(crate) delay: Option<Delay>,
    pub(crate) max_runs: Option<u64>,
    pub(crate) max_instances: Option<u32>,
    pub(crate) overlap: Option<Overlap>,
    pub(crate) misfire: Option<Misfire>,
    pub(crate) catch_up_window: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Retry>,
    pub(crate) delivery: Option<Delivery>,
    pub(crate) priority: Option<i8>,
    pub(crate) group: Option<String>,
    pub(crate) enabled: Option<bool>,
    pub(crate) run_on_start: Option<bool>,
    pub(crate) pause_after: Option<u32>,
    pub(crate) expect_success_within: Option<Duration>,
    /// Of a job: what brings its arguments from one version to the next.
    pub(crate) upgrade: Vec<Path>,
    pub(crate) blocking: Blocking,
    /// `None`: `::symphra_scheduler`.
    pub(crate) runtime: Option<Path>,
}

/// Whether the function is an ordinary one that runs on the blocking pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Blocking {
    #[default]
    No,
    Yes,
    /// The option is wrong, which is reported; the function is not judged by it.
    Unknown,
}

impl Options {
    /// Reads the options; what is wrong goes into `errors`.
    pub(crate) fn read(arguments: &Arguments, errors: &mut Errors) -> Self {
        let mut read = Reader { arguments, errors };
        // Before `except`, which is read in it.
        let timezone = read.option("timezone", timezone);
        let millisecond = Duration::from_millis(1);
        Self {
            name: read.option("name", task_name),
            tags: read.option("tags", tags).unwrap_or_default(),
            metadata: metadata(arguments, read.errors),
            timezone,
            start: read.option("start", Moment::read),
            end: read.option("end", Moment::read),
            except: read.option("except", |value, _| cron_expression(value, timezone)),
            jitter: read.duration("jitter", Duration::ZERO, duration::DAY),
            delay: read.option("delay", words::read),
            max_runs: read.option("max_runs", |value, word| value.whole(word, 1..=u64::MAX)),
            max_instances: read.option("max_instances", |value, word| value.whole(word, 1..=u32::MAX)),
            overlap: read.option("overlap", words::read),
            misfire: read.option("misfire", words::read),
            catch_up_window: read.duration("catch_up_window", Duration::ZERO, duration::LONGEST),
            timeout: read.duration("timeout", millisecond, 30 * duration::DAY),
            retry: retry::read(arguments, word("retry"), read.errors),
            delivery: read.option("delivery", words::read),
            priority: read.option("priority", |value, word| value.whole(word, -PRIORITY_MAX..=PRIORITY_MAX)),
            group: read.option("group", group),
            enabled: read.option("enabled", Value::flag),
            run_on_start: read.option("run_on_start", Value::flag),
            pause_after: read.option("pause_after", |value, word| value.whole(word, 1..=u32::MAX)),
            expect_success_within: read.duration("expect_success_within", millisecond, duration::LONGEST),
            upgrade: arguments
                .get("upgrade")
                .map_or_else(Vec::new, |value| read.errors.take(value.paths(upgrade_word())).unwrap_or_default()),
            blocking: blocking(arguments, read.option("blocking", Value::flag)),
            runtime: read.option("crate", Value::path),
        }
    }
}

struct Reader<'a> {
    arguments: &'a Arguments,
    errors: &'a mut Errors,
}

impl Reader<'_> {
    fn option<T>(&mut self, name: &str, reading: impl FnOnce(&Value, &Word) -> syn::Result<T>) -> Option<T> {
        let value = self.arguments.get(name)?;
        self.errors.take(reading(value, word(name)))
    }

    fn duration(&mut self, name: &str, shortest: Duration, longest: Duration) -> Option<Duration> {
        self.option(name, |value, word| duration::read(value, word, shortest..=longest))
    }
}

/// It is an option of one attribute, and not among those of all.
fn upgrade_word() -> &'static Word {
    Form::Task.word("upgrade").expect("an option that is read is in the table")
}

fn word(name: &str) -> &'static Word {
    OPTIONS.iter().find(|word| word.name == name).expect("an option that is read is in the table")
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

fn metadata(arguments: &Arguments, errors: &mut Errors) -> Vec<(String, String)> {
    let Some(list) = arguments.list("metadata") else { return Vec::new() };
    let mut facts = Vec::new();
    for (key, value) in list.entries(word("metadata"), |_| Ok(()), errors) {
        let text = value.as_text().ok_or_else(|| {
            let advice = value.name_advice();
            value.error(format!("`{key}` of `metadata` takes a string, not {value}{advice}; write `{key} = \"…\"`"))
        });
        facts.extend(errors.take(text).map(|text| (key.unraw().to_string(), text)));
    }
    facts
}

fn timezone(value: &Value, word: &Word) -> syn::Result<Tz> {
    parse_timezone(&value.text(word)?).map_err(|error| value.error(error))
}

fn group(value: &Value, word: &Word) -> syn::Result<String> {
    let text = value.text(word)?;
    match check_task_name(&text) {
        Ok(()) => Ok(text),
        Err(error) => Err(value.error(format!("`group` is {text:?}; a group is named like a task, and {error}"))),
    }
}

fn blocking(arguments: &Arguments, read: Option<bool>) -> Blocking {
    match read {
        Some(true) => Blocking::Yes,
        None if arguments.given("blocking").is_some() => Blocking::Unknown,
        _ => Blocking::No,
    }
}
