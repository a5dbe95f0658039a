//! The schedule of an attribute: a cron expression, an interval or one instant.
//!
//! Each attribute writes it in its own words; here they become one of three values, checked as far as a program that
//! reads no clock can check them. What compiles today compiles for ever.

mod calendar;
mod cron;
mod interval;
mod moment;

use chrono_tz::Tz;
use proc_macro2::Span;
use symphra_scheduler_core::CronExpr;

use crate::attr::Arguments;
use crate::errors::Errors;
use crate::form::{Form, Word};

pub(crate) use cron::{expression as cron_expression, first_instant, first_occurrence};
pub(crate) use moment::Moment;

/// When a task runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Schedule {
    Cron(CronExpr),
    /// A fixed grid with this period.
    Interval {
        millis: u64,
    },
    Once(Moment),
    /// None: a job, which runs when it is enqueued.
    Job,
}

impl Schedule {
    /// Reads the schedule of an attribute; `None` if it is missing or wrong, which `errors` then says.
    pub(crate) fn read(form: Form, arguments: &Arguments, zone: Option<Tz>, errors: &mut Errors) -> Option<Self> {
        match form {
            Form::Interval | Form::Every => interval::read(form, arguments, errors),
            Form::Cron => {
                let Some(value) = arguments.bare() else { return missing(form, arguments, "cron expression", errors) };
                errors.take(cron::read(value, zone))
            }
            Form::Once => {
                let Some(value) = arguments.get("at") else { return missing(form, arguments, "instant", errors) };
                errors.take(Moment::read(value, word(form, "at"))).map(Self::Once)
            }
            Form::Hourly | Form::Daily | Form::Weekly | Form::Monthly => calendar::read(form, arguments, errors),
            Form::Scheduled => general(arguments, zone, errors),
            Form::Task => Some(Self::Job),
        }
    }
}

/// Reads `cron = …`, `interval = …` or `at = …`, of which exactly one stands.
fn general(arguments: &Arguments, zone: Option<Tz>, errors: &mut Errors) -> Option<Schedule> {
    let mut given = Form::Scheduled.schedule_words().iter().filter_map(|word| arguments.find(word.name));
    let Some((name, value)) = given.next() else {
        return missing(Form::Scheduled, arguments, "schedule", errors);
    };
    for (other, _) in given {
        let message = format!("a task has one schedule, and both `{name}` and `{other}` are given; remove one");
        errors.push(syn::Error::new(other.span(), message));
    }
    let schedule = match name.to_string().as_str() {
        "cron" => cron::read(value, zone),
        "interval" => interval::read_value(value),
        _ => Moment::read(value, word(Form::Scheduled, "at")).map(Schedule::Once),
    };
    errors.take(schedule)
}

/// Reports a schedule without one of its parts, at the whole attribute.
fn missing<T>(form: Form, arguments: &Arguments, what: &str, errors: &mut Errors) -> Option<T> {
    if arguments.is_complete() {
        let message = format!("#[{}] has no {what}; write for example `{}`", form.name(), form.example());
        errors.push(syn::Error::new(Span::call_site(), message));
    }
    None
}

fn word(form: Form, name: &str) -> &'static Word {
    form.word(name).expect("a word that is read is in the table")
}
