//! Options that contradict each other, or the kind of schedule: the same rules that a task made at run time has to keep.
//!
//! An option counts as given where it stands, also if its value is wrong. What it is compared with has been read.

use proc_macro2::Ident;

use super::at;
use crate::attr::Arguments;
use crate::errors::Errors;
use crate::form::Form;
use crate::options::{Delay, Delivery, Misfire, Options, Overlap};

/// Puts each contradiction into `errors`, at the option that has no meaning; what `fixed_delay` excludes is not compared
/// with anything else.
pub(super) fn check(form: Form, arguments: &Arguments, options: &Options, errors: &mut Errors) {
    let mut no_meaning = |option: &str, beside: &str, why: &str| {
        if let Some(word) = arguments.given(option) {
            errors.push(without_meaning(word, beside, why));
        }
    };
    if options.delivery == Some(Delivery::AtMostOnce) {
        no_meaning("retry", "delivery = \"at_most_once\"", "is one attempt");
    }
    let is_interval = is_interval(form, arguments);
    let fixed_delay = is_interval && options.delay == Some(Delay::FixedDelay);
    if fixed_delay {
        for option in ["misfire", "catch_up_window", "overlap", "max_instances"] {
            no_meaning(option, "delay = \"fixed_delay\"", "is never missed and never overlaps itself");
        }
    } else {
        if options.overlap == Some(Overlap::Allow) {
            no_meaning("max_instances", "overlap = \"allow\"", "sets no limit");
        }
        if options.misfire == Some(Misfire::Skip) {
            no_meaning("catch_up_window", "misfire = \"skip\"", "catches nothing up");
        }
    }
    if let Some(word) = arguments.given("delay").filter(|_| !is_interval) {
        let message = "`delay` says from where the next instant of an interval counts, and this schedule is none; \
                       remove it";
        errors.push(syn::Error::new(word.span(), message));
    }
    // Beside `fixed_delay` the `overlap` that this asks for would be wrong too.
    if options.misfire == Some(Misfire::RunAll) && !fixed_delay && drops_what_is_caught_up(arguments, options) {
        let message = "`misfire = \"run_all\"` needs `overlap = \"buffer_all\"` or `overlap = \"allow\"` beside it, \
                       because any other drops what is caught up; add one of them";
        errors.push(at(arguments, "misfire", message));
    }
}

fn without_meaning(word: &Ident, beside: &str, why: &str) -> syn::Error {
    let message = format!("`{word}` has no meaning beside `{beside}`, which {why}; remove one of them");
    syn::Error::new(word.span(), message)
}

/// Whether the schedule is an interval, as far as it can be told without its value.
fn is_interval(form: Form, arguments: &Arguments) -> bool {
    match form {
        Form::Interval | Form::Every => true,
        Form::Scheduled => arguments.get("cron").is_none() && arguments.get("at").is_none(),
        Form::Cron | Form::Once | Form::Hourly | Form::Daily | Form::Weekly | Form::Monthly | Form::Task => false,
    }
}

fn drops_what_is_caught_up(arguments: &Arguments, options: &Options) -> bool {
    match options.overlap {
        Some(overlap) => !matches!(overlap, Overlap::BufferAll | Overlap::Allow),
        None => arguments.given("overlap").is_none(),
    }
}
