//! From an attribute and its function to a [`Task`], or to all errors of both.
//!
//! Rules that concern a schedule and its window are here, those of several options together in `contradictions`; each
//! option's own are where it is read.

mod contradictions;

use std::cmp::Ordering;

use chrono_tz::Tz;
use proc_macro2::TokenStream;
use symphra_scheduler_core::{Timestamp, check_task_name};
use syn::ItemFn;
use syn::ext::IdentExt;

use crate::attr::Arguments;
use crate::errors::Errors;
use crate::form::Form;
use crate::function;
use crate::model::Task;
use crate::name::Name;
use crate::options::Options;
use crate::schedule::{Moment, Schedule, first_instant, first_occurrence};

/// Checks the attribute and the function.
pub(crate) fn task(form: Form, tokens: TokenStream, function: &ItemFn) -> syn::Result<Task<'_>> {
    let mut errors = Errors::default();
    let (schedule, options) = attribute(form, tokens, &mut errors);
    function::check(form, function, &options, &mut errors);
    let name = match &options.name {
        Some(name) => name.clone(),
        None => named_like(function, &mut errors),
    };
    errors.finish()?;
    let schedule = schedule.expect("an attribute without a schedule has an error");
    Ok(Task { name, schedule, options, function })
}

/// Checks the attribute alone.
pub(crate) fn attribute(form: Form, tokens: TokenStream, errors: &mut Errors) -> (Option<Schedule>, Options) {
    let arguments = Arguments::parse(form, tokens, errors);
    let options = Options::read(&arguments, errors);
    let schedule = Schedule::read(form, &arguments, options.timezone, errors);
    contradictions::check(form, &arguments, &options, errors);
    let ordered = errors.take(window(&arguments, &options));
    if let (Some(()), Some(schedule)) = (ordered, &schedule) {
        errors.take(occurrence_in_window(&arguments, &options, schedule));
    }
    (schedule, options)
}

fn named_like(function: &ItemFn, errors: &mut Errors) -> Name {
    let ident = &function.sig.ident;
    let text = ident.unraw().to_string();
    let rule = check_task_name(&text);
    errors.take(rule.map_err(|error| syn::Error::new(ident.span(), format!("{error}; or write `name = \"…\"`"))));
    Name { text, span: ident.span() }
}

fn window(arguments: &Arguments, options: &Options) -> syn::Result<()> {
    let (Some(start), Some(end)) = (options.start, options.end) else { return Ok(()) };
    match end.order(start, options.timezone) {
        Some(Ordering::Less) => {
            Err(at(arguments, "end", "`end` is before `start`, so the task never runs; change one of them"))
        }
        _ => Ok(()),
    }
}

/// An error where the schedule has no occurrence from `start` to `end`, as far as that can be known here.
fn occurrence_in_window(arguments: &Arguments, options: &Options, schedule: &Schedule) -> syn::Result<()> {
    match schedule {
        Schedule::Cron(_) => cron_in_window(arguments, options, schedule),
        Schedule::Once(instant) => once_in_window(arguments, options, *instant),
        Schedule::Interval { .. } => interval_in_window(arguments, options),
        Schedule::Job => Ok(()),
    }
}

fn cron_in_window(arguments: &Arguments, options: &Options, schedule: &Schedule) -> syn::Result<()> {
    let (Schedule::Cron(expression), Some(zone)) = (schedule, options.timezone) else { return Ok(()) };
    let instant = |moment: Option<Moment>| moment.and_then(|moment| moment.to_utc(zone)).map(Timestamp::from_millis);
    let start = instant(options.start);
    match (first_occurrence(expression, zone, start.unwrap_or(Timestamp::MIN)), instant(options.end)) {
        (None, _) => {
            Err(at(arguments, "start", "the cron expression has no occurrence from `start` on; change one of them"))
        }
        (Some(first), Some(end)) if first > end => {
            let first = first.to_utc().with_timezone(&zone).format("%Y-%m-%d %H:%M:%S");
            let message = format!(
                "the task never runs: its first occurrence, {first} ({zone}), is after `end`; change one of them"
            );
            Err(at(arguments, "end", message))
        }
        _ => Ok(()),
    }
}

/// An interval has an occurrence in every window that is not past: without `start`, its grid begins at the first start
/// of the program.
fn interval_in_window(arguments: &Arguments, options: &Options) -> syn::Result<()> {
    // Without a zone, the one where a year begins first: what is past there is past everywhere.
    let zone = options.timezone.unwrap_or(Tz::Pacific__Kiritimati);
    let first = Moment::Utc(first_instant(zone).as_millis());
    match options.end.and_then(|end| end.order(first, Some(zone))) {
        Some(Ordering::Less) => {
            let message = "`end` is before 2025-01-01, so the task never runs; change it, or remove the task";
            Err(at(arguments, "end", message))
        }
        _ => Ok(()),
    }
}

fn once_in_window(arguments: &Arguments, options: &Options, instant: Moment) -> syn::Result<()> {
    let order = |bound: Option<Moment>| bound.and_then(|bound| instant.order(bound, options.timezone));
    if order(options.start) == Some(Ordering::Less) {
        return Err(at(arguments, "start", "`at` is before `start`, so the task never runs; change one of them"));
    }
    if order(options.end) == Some(Ordering::Greater) {
        return Err(at(arguments, "end", "`at` is after `end`, so the task never runs; change one of them"));
    }
    Ok(())
}

fn at(arguments: &Arguments, name: &str, message: impl std::fmt::Display) -> syn::Error {
    arguments.get(name).expect("an option that was read is among the arguments").error(message)
}

#[cfg(test)]
mod tests;
