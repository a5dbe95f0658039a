//! Durations: a string such as `"1m30s"`, or a bare number of seconds; in whole milliseconds.

use std::ops::RangeInclusive;
use std::time::Duration;

use symphra_scheduler_core::{format_duration, parse_duration};

use crate::attr::Value;
use crate::form::Word;

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest duration that a program can hold in milliseconds, for options without a limit of their own.
pub(super) const LONGEST: Duration = Duration::from_millis(u64::MAX);

/// Reads a duration within `allowed`.
pub(super) fn read(value: &Value, word: &Word, allowed: RangeInclusive<Duration>) -> syn::Result<Duration> {
    let out_of_range = || {
        let (low, high) = (format_duration(*allowed.start()), *allowed.end());
        if high == LONGEST {
            let name = word.name;
            return value.error(format!("`{name}` is {value}; allowed {low} or more, for example `{}`", word.example));
        }
        value.out_of_range(word, low, format_duration(high))
    };
    let duration = match value.as_text() {
        Some(text) => parse_duration(&text).map_err(|error| value.error(format!("`{}`: {error}", word.name)))?,
        None => {
            let number = value.decimal().ok_or_else(|| value.not_a("a duration", word))?;
            let millis = number.times(1_000).ok_or_else(|| {
                value.error(format!("`{}` is {value} seconds, which is no whole number of milliseconds", word.name))
            })?;
            u64::try_from(millis).map(Duration::from_millis).map_err(|_| out_of_range())?
        }
    };
    if allowed.contains(&duration) { Ok(duration) } else { Err(out_of_range()) }
}
