//! Intervals: units that are added up, one string, or a bare number of seconds; exact, in whole milliseconds.

use proc_macro2::TokenStream;
use quote::ToTokens;
use symphra_scheduler_core::parse_duration;

use super::{Schedule, missing};
use crate::attr::{Arguments, Value};
use crate::errors::Errors;
use crate::form::Form;

/// 100 years of 365 days, the runtime's own limit: what is longer is a mistake in a unit.
const MILLIS_MAX: i128 = 100 * 365 * 86_400_000;

/// Reads the interval of `#[interval]` or `#[every]`.
pub(super) fn read(form: Form, arguments: &Arguments, errors: &mut Errors) -> Option<Schedule> {
    let units: Vec<_> = form.schedule_words().iter().filter_map(|word| arguments.find(word.name)).collect();
    match (arguments.bare(), units.as_slice()) {
        (Some(value), []) => errors.take(read_value(value)),
        (Some(value), [(unit, _), ..]) => {
            errors.push(value.error(format!(
                "the interval is given twice, as {value} and with `{unit}`; a value without a name is the whole \
                 interval: remove one"
            )));
            None
        }
        (None, []) => missing(form, arguments, "interval", errors),
        (None, units) => sum(units, errors),
    }
}

/// Reads an interval in one value: a string such as `"1m30s"`, or a number of seconds.
pub(super) fn read_value(value: &Value) -> syn::Result<Schedule> {
    if let Some(text) = value.as_text() {
        let duration = parse_duration(&text).map_err(|error| value.error(error))?;
        let millis = i128::try_from(duration.as_millis()).unwrap_or(i128::MAX);
        return period(millis).map_err(|message| value.error(message));
    }
    let millis = millis(value, "seconds")?;
    period(millis).map_err(|message| value.error(message))
}

fn sum(units: &[&(syn::Ident, Value)], errors: &mut Errors) -> Option<Schedule> {
    let parts: Vec<_> = units.iter().map(|(unit, value)| errors.take(millis(value, &unit.to_string()))).collect();
    let total = parts.into_iter().sum::<Option<i128>>()?;
    let mut tokens = TokenStream::new();
    for (_, value) in units {
        value.to_tokens(&mut tokens);
    }
    errors.take(period(total).map_err(|message| syn::Error::new_spanned(tokens, message)))
}

/// How many milliseconds `value` times `unit` is.
fn millis(value: &Value, unit: &str) -> syn::Result<i128> {
    let number = value.decimal().ok_or_else(|| {
        value.error(format!(
            "an interval in {unit} is a number such as 10 or 1.5, not {value}{}; or write one string: `\"1h30m\"`",
            value.name_advice()
        ))
    })?;
    if number.is_negative() {
        return Err(value.error(format!("an interval is longer than zero; {value} is negative")));
    }
    number.times(millis_per(unit)).ok_or_else(|| {
        value.error(format!("{value} {unit} is no whole number of milliseconds; 1 ms is the finest an interval can be"))
    })
}

fn millis_per(unit: &str) -> u64 {
    match unit {
        "milliseconds" => 1,
        "seconds" => 1_000,
        "minutes" => 60_000,
        "hours" => 3_600_000,
        "days" => 86_400_000,
        _ => unreachable!("{unit} is in the table of units and has no length"),
    }
}

fn period(millis: i128) -> Result<Schedule, String> {
    match millis {
        ..=0 => Err("the interval is zero; the shortest is 1 ms, for example `milliseconds = 1`".to_owned()),
        1..=MILLIS_MAX => {
            Ok(Schedule::Interval { millis: u64::try_from(millis).expect("the longest fits in 64 bits") })
        }
        _ => Err("the interval is too long; the longest is 100 years of 365 days".to_owned()),
    }
}
