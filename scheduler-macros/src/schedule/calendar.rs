//! `#[hourly]`, `#[daily]`, `#[weekly]` and `#[monthly]`: cron expressions in words.
//!
//! They are built as text and go through the same parser as `#[cron]`, so both mean the same by construction.

use std::ops::RangeInclusive;

use chrono::{NaiveTime, Timelike};
use symphra_scheduler_core::{CronExpr, nearest};

use super::{Schedule, missing, word};
use crate::attr::{Arguments, Value};
use crate::errors::Errors;
use crate::form::Form;

const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Reads the schedule of one of the four attributes.
pub(super) fn read(form: Form, arguments: &Arguments, errors: &mut Errors) -> Option<Schedule> {
    // All parts are read before any is asked for, so that all errors are shown.
    let time = time(form, arguments, errors);
    let day = match form {
        Form::Weekly => weekday(arguments, errors),
        Form::Monthly => whole(form, arguments, "day", 1..=31, 1, errors),
        _ => Some(0),
    };
    let (Time { hour, minute, second }, day) = (time?, day?);
    let text = match form {
        Form::Hourly => format!("{second} {minute} * * * *"),
        Form::Weekly => format!("{second} {minute} {hour} * * {day}"),
        Form::Monthly => format!("{second} {minute} {hour} {day} * *"),
        _ => format!("{second} {minute} {hour} * * *"),
    };
    let expression: CronExpr = text.parse().expect("numbers within their ranges make a cron expression");
    Some(Schedule::Cron(expression))
}

struct Time {
    hour: u32,
    minute: u32,
    second: u32,
}

fn time(form: Form, arguments: &Arguments, errors: &mut Errors) -> Option<Time> {
    let hour = match form {
        Form::Hourly => Some(0),
        _ => whole(form, arguments, "hour", 0..=23, 0, errors),
    };
    let minute = whole(form, arguments, "minute", 0..=59, 0, errors);
    let Some((_, at)) = arguments.find("at") else {
        return Some(Time { hour: hour?, minute: minute?, second: 0 });
    };
    for name in ["hour", "minute"] {
        if let Some((other, _)) = arguments.find(name) {
            let message = format!("the time is given twice, with `at` and with `{name}`; remove one");
            errors.push(syn::Error::new(other.span(), message));
        }
    }
    errors.take(time_of_day(form, at))
}

fn time_of_day(form: Form, value: &Value) -> syn::Result<Time> {
    let text = value.text(word(form, "at"))?;
    let time = NaiveTime::parse_from_str(&text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(&text, "%H:%M:%S"));
    match time {
        Ok(time) => Ok(Time { hour: time.hour(), minute: time.minute(), second: time.second() }),
        Err(_) => Err(value.error(format!(
            "`at` is {text:?}; a time of day is written \"HH:MM\" or \"HH:MM:SS\", from \"00:00\" to \"23:59:59\""
        ))),
    }
}

/// The whole number given to `name`, or `default` without it.
fn whole(
    form: Form,
    arguments: &Arguments,
    name: &str,
    allowed: RangeInclusive<u32>,
    default: u32,
    errors: &mut Errors,
) -> Option<u32> {
    match arguments.get(name) {
        Some(value) => errors.take(value.whole(word(form, name), allowed)),
        None => Some(default),
    }
}

fn weekday(arguments: &Arguments, errors: &mut Errors) -> Option<u32> {
    match arguments.get("day") {
        Some(value) => errors.take(weekday_in(value)),
        None => missing(Form::Weekly, arguments, "day", errors),
    }
}

fn weekday_in(value: &Value) -> syn::Result<u32> {
    let word = word(Form::Weekly, "day");
    let Some(text) = value.as_text() else {
        return value.whole(word, 0..=7);
    };
    let name = text.to_ascii_lowercase();
    if let Some(day) = DAYS.iter().position(|day| *day == name) {
        return Ok(u32::try_from(day).expect("a week has seven days"));
    }
    // "monday" is far from "mon" letter by letter, and yet the commonest slip.
    let near = DAYS.into_iter().find(|day| name.starts_with(day)).or_else(|| nearest(&name, DAYS));
    let suggestion = near.map(|day| format!("; did you mean {day:?}?")).unwrap_or_default();
    let allowed = "\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\", or 0-7, where 0 and 7 are Sunday";
    Err(value.error(format!("`day` is {text:?}; allowed {allowed}{suggestion}")))
}
