//! Every rule, on attributes written as a user writes them: what they become, and what is said where they are wrong.
//! Where a message points is shown by the ui cases of the workspace's tests.

use chrono_tz::Tz;
use syn::{ItemFn, Meta};

use super::*;
use crate::options::{Blocking, Overlap};

mod policies;

/// The task in `source`, a function with one of our attributes first, handed to `look`; or the messages of all errors.
fn task_in<T>(source: &str, look: impl FnOnce(Task<'_>) -> T) -> Result<T, Vec<String>> {
    let mut function: ItemFn = syn::parse_str(source).expect("the source is a function");
    let attribute = function.attrs.remove(0);
    let form = crate::function::schedule_attribute(&attribute, None).expect("its first attribute is ours");
    let tokens = match attribute.meta {
        Meta::List(list) => list.tokens,
        _ => TokenStream::new(),
    };
    let checked = super::task(form, tokens, &function);
    checked.map(look).map_err(|error| error.into_iter().map(|error| error.to_string()).collect())
}

fn errors_in(source: &str) -> Vec<String> {
    task_in(source, |_| ()).err().unwrap_or_default()
}

/// The errors of an attribute on a function without faults.
fn errors_of(attribute: &str) -> Vec<String> {
    errors_in(&format!("{attribute} async fn report() {{}}"))
}

/// The one error of an attribute on a function without faults.
fn error_of(attribute: &str) -> String {
    let errors = errors_of(attribute);
    assert_eq!(errors.len(), 1, "{attribute}: {errors:#?}");
    errors.concat()
}

fn schedule_of(attribute: &str) -> Schedule {
    let source = format!("{attribute} async fn report() {{}}");
    task_in(&source, |task| task.schedule).unwrap_or_else(|errors| panic!("{attribute}: {errors:#?}"))
}

fn cron(expression: &str) -> Schedule {
    Schedule::Cron(expression.parse().expect("the expression is valid"))
}

#[test]
fn intervals_are_exact_sums_of_their_units() {
    for (attribute, millis) in [
        ("#[interval(seconds = 10)]", 10_000),
        ("#[interval(milliseconds = 1)]", 1),
        ("#[interval(hours = 1, minutes = 30, seconds = 0.25)]", 5_400_250),
        ("#[interval(days = 1.5)]", 129_600_000),
        ("#[interval(seconds = 0.1, milliseconds = 1_000)]", 1_100),
        ("#[interval(minutes = 0, seconds = 30)]", 30_000),
        ("#[interval(\"1m30s\")]", 90_000),
        ("#[interval(30)]", 30_000),
        ("#[interval(0.5, name = \"half\")]", 500),
        ("#[every(\"500ms\")]", 500),
        ("#[scheduled(interval = \"1h30m\")]", 5_400_000),
        ("#[scheduled(interval = 30)]", 30_000),
        ("#[interval(days = 36500)]", 3_153_600_000_000),
    ] {
        assert_eq!(schedule_of(attribute), Schedule::Interval { millis }, "{attribute}");
    }
}

#[test]
fn an_impossible_interval_says_why() {
    for (attribute, says) in [
        ("#[interval(seconds = 0)]", "the interval is zero; the shortest is 1 ms"),
        ("#[interval(seconds = 0, minutes = 0.0)]", "the interval is zero"),
        ("#[interval(\"0s\")]", "the interval is zero"),
        ("#[interval(0)]", "the interval is zero"),
        ("#[interval(seconds = -5)]", "longer than zero; -5 is negative"),
        ("#[interval(seconds = 0.0001)]", "0.0001 seconds is no whole number of milliseconds"),
        ("#[interval(milliseconds = 0.5)]", "0.5 milliseconds is no whole number"),
        ("#[interval(days = 36500, milliseconds = 1)]", "the interval is too long; the longest is 100 years"),
        ("#[interval(days = 999999999999999999)]", "the interval is too long"),
        ("#[interval(seconds = 1e3)]", "a number such as 10 or 1.5, not 1e3"),
        ("#[interval(seconds = 5u64)]", "a number such as 10 or 1.5, not 5u64"),
        ("#[interval(seconds = \"10\")]", "a number such as 10 or 1.5, not \"10\""),
        (
            "#[interval(TEN)]",
            "`TEN` is neither an option of #[interval] nor a literal; an attribute sees only the text",
        ),
        ("#[interval(minute)]", "`minute` is an option of #[hourly]"),
        ("#[interval(secnods)]", "did you mean `seconds`?"),
        ("#[interval(seconds = TEN)]", "not TEN (an attribute sees only the text, not what a name stands for); "),
        ("#[interval(secs = 10)]", "unknown option `secs`"),
        ("#[interval(\"30\")]", "30s"),
        ("#[interval(\"1h30x\")]", "x"),
        ("#[interval]", "#[interval] has no interval; write for example `#[interval(seconds = 10)]`"),
        ("#[every(name = \"x\")]", "#[every] has no interval"),
        ("#[interval(30, seconds = 5)]", "given twice, as 30 and with `seconds`"),
        ("#[interval(30, \"5s\")]", "takes one schedule; `\"5s\"` is a second one"),
    ] {
        let error = error_of(attribute);
        assert!(error.contains(says), "{attribute}: {error}");
    }
}

#[test]
fn calendar_words_are_cron_expressions() {
    for (attribute, expression) in [
        ("#[cron(\"0 30 9 * * MON-FRI\")]", "0 30 9 * * MON-FRI"),
        ("#[scheduled(cron = \"@daily\")]", "0 0 0 * * *"),
        ("#[hourly]", "0 0 * * * *"),
        ("#[hourly(minute = 59)]", "0 59 * * * *"),
        ("#[daily]", "0 0 0 * * *"),
        ("#[daily(hour = 9, minute = 30)]", "0 30 9 * * *"),
        ("#[daily(at = \"09:30\")]", "0 30 9 * * *"),
        ("#[daily(at = \"9:05\")]", "0 5 9 * * *"),
        ("#[daily(at = \"23:59:58\")]", "58 59 23 * * *"),
        ("#[weekly(day = \"mon\", hour = 9)]", "0 0 9 * * 1"),
        ("#[weekly(day = \"SUN\")]", "0 0 0 * * 0"),
        ("#[weekly(day = 7, minute = 1)]", "0 1 0 * * 0"),
        ("#[monthly]", "0 0 0 1 * *"),
        ("#[monthly(day = 31, hour = 23, minute = 59)]", "0 59 23 31 * *"),
    ] {
        assert_eq!(schedule_of(attribute), cron(expression), "{attribute}");
    }
}

#[test]
fn a_wrong_calendar_word_says_what_is_allowed() {
    for (attribute, says) in [
        ("#[hourly(minute = 60)]", "`minute` is 60; allowed 0-59, for example `minute = 30`"),
        ("#[daily(hour = 24)]", "`hour` is 24; allowed 0-23"),
        ("#[daily(hour = -1)]", "`hour` is -1; allowed 0-23"),
        ("#[daily(hour = 1.5)]", "`hour` takes a whole number, not 1.5"),
        ("#[daily(hour = \"9\")]", "`hour` takes a whole number, not \"9\""),
        ("#[daily(at = \"24:00\")]", "`at` is \"24:00\"; a time of day is written \"HH:MM\""),
        ("#[daily(at = \"9.30\")]", "a time of day is written \"HH:MM\""),
        ("#[daily(at = \"09:30\", minute = 5)]", "given twice, with `at` and with `minute`"),
        ("#[daily(\"09:30\")]", "takes options only, and `\"09:30\"` has no name; write for example `#[daily(at = "),
        ("#[weekly]", "#[weekly] has no day; write for example `#[weekly(day = \"mon\", hour = 9)]`"),
        ("#[weekly(day = 8)]", "`day` is 8; allowed 0-7"),
        ("#[weekly(day = \"monday\")]", "or 0-7, where 0 and 7 are Sunday; did you mean \"mon\"?"),
        ("#[weekly(day = \"tus\")]", "did you mean"),
        ("#[monthly(day = 0)]", "`day` is 0; allowed 1-31"),
        ("#[monthly(day = 32)]", "`day` is 32; allowed 1-31"),
    ] {
        let error = error_of(attribute);
        assert!(error.contains(says), "{attribute}: {error}");
    }
}

#[test]
fn a_wrong_cron_expression_says_which_field_and_a_dead_one_says_why() {
    for (attribute, says) in [
        ("#[cron(\"0 0 25 * * *\")]", "hour field"),
        ("#[cron(\"* * *\")]", "3"),
        ("#[cron(5)]", "a cron expression is a string, not 5"),
        ("#[cron]", "#[cron] has no cron expression; write for example `#[cron(\"0 30 9 * * MON-FRI\")]`"),
        ("#[cron(timezone = \"UTC\")]", "#[cron] has no cron expression"),
        ("#[cron(\"0 0 0 30 2 *\")]", "\"0 0 0 30 2 *\" never fires: no date from 1970 to 2100"),
        ("#[scheduled(cron = \"0 0 0 31 2,4,6 *\")]", "never fires: no date"),
        (
            "#[cron(\"0 0 0 1 1 * 1970-2024\")]",
            "never fires again: its last occurrence was at 2024-01-01 00:00:00 (UTC)",
        ),
        (
            "#[cron(\"0 30-40 2 8 3 * 2026\", timezone = \"America/New_York\")]",
            "never fires: in America/New_York the clock skips every local time it names",
        ),
    ] {
        let error = error_of(attribute);
        assert!(error.contains(says), "{attribute}: {error}");
    }
}

#[test]
fn the_first_year_is_counted_on_the_clock_of_the_task() {
    schedule_of("#[cron(\"0 0 0 1 1 * 2025\", timezone = \"Asia/Tokyo\")]");
    schedule_of("#[cron(\"0 0 0 1 1 * 2025\", timezone = \"America/New_York\")]");
    let error = error_of("#[cron(\"59 59 23 31 12 * 2024\", timezone = \"America/New_York\")]");
    assert!(error.contains("2024-12-31 23:59:59 (America/New_York)"), "{error}");
}

#[test]
fn instants_are_absolute_with_an_offset_and_local_without() {
    for (at, moment) in [
        ("1970-01-01T08:00:01+08:00", Moment::Utc(1_000)),
        ("1970-01-01T00:00:01.250Z", Moment::Utc(1_250)),
        ("1970-01-01T00:00:01", Moment::Local(1_000)),
        ("1970-01-01 00:01", Moment::Local(60_000)),
        ("1970-01-02", Moment::Local(86_400_000)),
    ] {
        assert_eq!(schedule_of(&format!("#[once(at = {at:?})]")), Schedule::Once(moment), "{at}");
        assert_eq!(schedule_of(&format!("#[scheduled(at = {at:?})]")), Schedule::Once(moment), "{at}");
    }
}

#[test]
fn a_wrong_instant_shows_how_one_is_written() {
    for (attribute, says) in [
        ("#[once(at = \"tomorrow\")]", "`at` is \"tomorrow\"; an instant is written \"2026-12-31T23:59:59+08:00\""),
        ("#[once(at = \"2026-02-30T00:00:00Z\")]", "a date and time that exist"),
        ("#[once(at = \"2026-02-03T24:00:00\")]", "a date and time that exist"),
        ("#[once(at = \"1969-12-31T00:00:00Z\")]", "its year must lie in 1970 to 9999"),
        ("#[once(at = \"2026-01-01T00:00:00.0001Z\")]", "instants are whole milliseconds"),
        ("#[once(at = 5)]", "`at` takes a string, not 5"),
        ("#[once]", "#[once] has no instant"),
        ("#[daily(start = \"x\")]", "`start` is \"x\""),
        ("#[daily(end = \"\")]", "`end` is \"\""),
    ] {
        let error = error_of(attribute);
        assert!(error.contains(says), "{attribute}: {error}");
    }
}

#[test]
fn a_window_without_an_occurrence_is_refused_where_it_can_be_known() {
    for (attribute, says) in [
        ("#[daily(start = \"2026-01-02T00:00:00Z\", end = \"2026-01-01T00:00:00Z\")]", "`end` is before `start`"),
        ("#[daily(start = \"2026-01-02\", end = \"2026-01-01\")]", "`end` is before `start`"),
        (
            "#[daily(start = \"2026-01-02\", end = \"2026-01-01T15:59:59Z\", timezone = \"Asia/Shanghai\")]",
            "`end` is before `start`",
        ),
        (
            "#[monthly(start = \"2026-01-02\", end = \"2026-01-30\", timezone = \"UTC\")]",
            "its first occurrence, 2026-02-01 00:00:00 (UTC), is after `end`",
        ),
        ("#[cron(\"0 0 0 1 1 * 2026\", start = \"2027-01-01\", timezone = \"UTC\")]", "no occurrence from `start` on"),
        ("#[once(at = \"2026-01-01\", start = \"2026-01-02\")]", "`at` is before `start`"),
        ("#[once(at = \"2026-01-02\", end = \"2026-01-01\")]", "`at` is after `end`"),
        ("#[interval(5, end = \"2024-12-31T23:59:59\")]", "`end` is before 2025-01-01, so the task never runs"),
        ("#[interval(5, end = \"2024-12-31T09:59:59Z\")]", "`end` is before 2025-01-01"),
        ("#[every(5, end = \"2024-12-31T23:59:59Z\", timezone = \"UTC\")]", "`end` is before 2025-01-01"),
    ] {
        let error = error_of(attribute);
        assert!(error.contains(says), "{attribute}: {error}");
    }
    for attribute in [
        "#[daily(start = \"2026-01-02\", end = \"2026-01-01T23:00:00Z\")]",
        "#[daily(start = \"2026-01-02\", end = \"2026-01-02\", timezone = \"UTC\")]",
        "#[once(at = \"2026-01-02\", start = \"2026-01-02\", end = \"2026-01-02\")]",
        "#[monthly(start = \"2026-01-02\", end = \"2026-01-30\")]",
        "#[interval(5, end = \"2025-01-01\")]",
        "#[interval(5, end = \"2024-12-31T10:00:00Z\")]",
        "#[interval(5, end = \"2025-01-01T00:00:00Z\", timezone = \"UTC\")]",
    ] {
        assert_eq!(errors_of(attribute), [""; 0], "{attribute}");
    }
}

#[test]
fn a_constant_in_place_of_a_schedule_is_answered_with_a_literal() {
    assert_eq!(
        error_of("#[cron(EVERY)]"),
        "`EVERY` is neither an option of #[cron] nor a literal; an attribute sees only the text, not what a name stands \
         for: write the value itself, for example `#[cron(\"0 30 9 * * MON-FRI\")]`"
    );
    for attribute in
        ["#[cron(config::EVERY)]", "#[scheduled(cron = EVERY)]", "#[once(at = WHEN)]", "#[daily(hour = H)]"]
    {
        let error = error_of(attribute);
        assert!(
            error.contains("(an attribute sees only the text, not what a name stands for)"),
            "{attribute}: {error}"
        );
    }
}

#[test]
fn options_are_read_in_any_order() {
    let source = "#[cron(name = \"nightly report\", tags = [\"a\", \"b\",], \"@daily\", timezone = \"Asia/Shanghai\", \
                  start = \"1970-01-01T00:00:00Z\", end = \"2100-01-01\", max_instances = 3, overlap = \"skip\", \
                  crate = crate::vendored::scheduler,)] async fn report() {}";
    let expanded = task_in(source, |task| {
        assert_eq!(task.name.text, "nightly report");
        assert_eq!(task.options.tags, ["a", "b"]);
        assert_eq!(task.options.timezone, Some(Tz::Asia__Shanghai));
        assert_eq!(task.options.start, Some(Moment::Utc(0)));
        assert_eq!(task.options.end, Some(Moment::Local(4_102_444_800_000)));
        assert_eq!(task.options.max_instances, Some(3));
        assert_eq!(task.options.overlap, Some(Overlap::Skip));
        assert_eq!(task.options.blocking, Blocking::No);
        assert!(task.options.runtime.is_some());
        crate::expand::task(&task).to_string()
    });
    assert!(expanded.expect("the task is valid").contains("crate :: vendored :: scheduler :: __private"));
}

#[test]
fn a_task_is_called_like_its_function_unless_it_says_otherwise() {
    let name = |source| task_in(source, |task| task.name.text).expect("the task is valid");
    assert_eq!(name("#[hourly] async fn report() {}"), "report");
    assert_eq!(name("#[hourly] async fn r#type() {}"), "type");
    assert_eq!(name("#[hourly(name = \"日报\")] async fn report() {}"), "日报");
    let long = format!("#[hourly] async fn {}() {{}}", "x".repeat(129));
    assert!(errors_in(&long).concat().contains("129"), "{:?}", errors_in(&long));
}

#[test]
fn a_wrong_option_says_what_is_allowed() {
    for (option, says) in [
        ("nmae = \"x\"", "unknown option `nmae`; did you mean `name`?"),
        ("tiemzone = \"UTC\"", "unknown option `tiemzone`; did you mean `timezone`?"),
        (
            "colour = \"red\"",
            "unknown option `colour`; #[hourly] takes `minute`, `name`, `tags`, `metadata`, `timezone`, ",
        ),
        ("hour = 9", "`hour` is an option of #[daily], #[weekly], #[monthly], not of #[hourly]; "),
        ("minutes = 9", "`minutes` is an option of #[interval], #[every], not of #[hourly]; did you mean `minute`?"),
        ("retri(max_attempts = 5)", "unknown option `retri`; did you mean `retry`?"),
        ("verbose", "unknown option `verbose`"),
        ("name", "option `name` has no value; write `name = \"nightly_report\"`"),
        ("name =", "option `name` has no value"),
        ("tags(\"a\")", "option `tags` is written with `=`: `tags = [\"reports\", \"nightly\"]`"),
        ("minute = 1, minute = 2", "option `minute` is given more than once"),
        ("name = \"\"", "a task name cannot be empty"),
        ("name = \" x\"", "white space"),
        ("name = \"a\\tb\"", "control character"),
        ("name = 5", "option `name` takes a string, not 5"),
        ("name = b\"x\"", "option `name` takes a string"),
        ("name = concat!(\"a\", \"b\")", "option `name` takes a string"),
        ("tags = \"a\"", "option `tags` takes a list of strings, not \"a\"; write `tags = ["),
        ("tags = [a]", "option `tags` takes a list of strings"),
        ("tags = [\"a\", \"\"]", "a tag is not empty"),
        ("tags = [\"a\", \"a\"]", "tag \"a\" is given more than once"),
        ("timezone = \"Asia/Shanghia\"", "Asia/Shanghai"),
        ("timezone = \"asia/shanghai\"", "Asia/Shanghai"),
        ("max_instances = 0", "`max_instances` is 0; allowed 1-4294967295"),
        ("max_instances = 4294967296", "allowed 1-4294967295"),
        ("crate = \"x\"", "option `crate` takes a path without quotes"),
        ("3", "takes options only, and `3` has no name"),
        ("= 3", "takes options only"),
        ("minute = 5,, name = \"x\"", "nothing stands before this comma; remove it"),
    ] {
        let error = error_of(&format!("#[hourly({option})]"));
        assert!(error.contains(says), "{option}: {error}");
    }
}

#[test]
fn exactly_one_schedule_stands_in_the_general_form() {
    assert!(error_of("#[scheduled(name = \"x\")]").contains("#[scheduled] has no schedule"));
    assert!(error_of("#[scheduled(\"@daily\")]").contains("write for example `#[scheduled(cron = "));
    assert_eq!(
        error_of("#[scheduled(cron = \"@daily\", interval = \"1s\")]"),
        "a task has one schedule, and both `cron` and `interval` are given; remove one"
    );
}

#[test]
fn a_task_is_a_free_async_function_that_owns_its_arguments() {
    for (function, says) in [
        (
            "fn report() {}",
            "`report` is not async; a task is an async function: write `async fn report`, or add the option `blocking`",
        ),
        ("const fn report() {}", "a task cannot be `const`"),
        ("async unsafe fn report() {}", "a task cannot be `unsafe`"),
        ("async extern \"C\" fn report() {}", "a task cannot be `extern`"),
        ("async fn report<T>() {}", "a task is not generic, because nobody is there to choose `T`"),
        ("async fn report<const N: usize>() {}", "nobody is there to choose `N`"),
        ("async fn report<'a>() {}", "no lifetime parameters, because it outlives its caller; remove `'a`"),
        ("async fn report(&self) {}", "it has no `self`"),
        ("async fn report(name: &str) {}", "must own what it holds"),
        ("async fn report(names: Vec<(u8, &'a str)>) {}", "must own what it holds"),
        ("async fn report(name: Cow<'_, str>) {}", "must own what it holds"),
        ("async fn report(name: impl Display) {}", "`impl Trait` leaves it open"),
        ("async fn report(#[cfg(unix)] name: A) {}", "an argument of a task has no #[cfg]"),
        ("async fn report() -> impl Sized {}", "a task returns nothing, or `Result<T, E>`; write concrete types"),
        ("async fn report() -> Result<&str, E> {}", "and borrows nothing"),
        ("async fn report() -> ! {}", "and comes to an end"),
        ("#[interval(5)] async fn report() {}", "`report` already has a schedule, #[hourly]"),
        ("#[symphra_scheduler::hourly] async fn report() {}", "already has a schedule"),
    ] {
        let errors = errors_in(&format!("#[hourly] {function}"));
        assert_eq!(errors.len(), 1, "{function}: {errors:#?}");
        assert!(errors[0].contains(says), "{function}: {errors:#?}");
    }
    for function in [
        "async fn report(name: &'static str, call: fn(&str) -> u8) -> Result<u8, String> { Ok(0) }",
        "pub(crate) async fn report(State(pool): State<Pool>, mut run: RunContext) where String: Clone {}",
        "#[cached::twice] async fn report() {}",
        "#[other::once] async fn report() {}",
        "#[other::symphra_scheduler::once] async fn report() {}",
    ] {
        assert_eq!(errors_in(&format!("#[hourly] {function}")), [""; 0], "{function}");
    }
}

#[test]
fn an_attribute_behind_the_path_of_the_runtime_is_ours() {
    let with = |attribute| errors_in(&format!("#[hourly(crate = crate::vendored)] {attribute} async fn report() {{}}"));
    for ours in ["#[crate::vendored::once]", "#[once]", "#[::symphra_scheduler::once]"] {
        assert!(with(ours).concat().contains("`report` already has a schedule"), "{ours}: {:?}", with(ours));
    }
    for foreign in ["#[crate::once]", "#[vendored::once]", "#[crate::vendored::twice]"] {
        assert_eq!(with(foreign), [""; 0], "{foreign}");
    }
}

#[test]
fn all_errors_of_an_attribute_and_its_function_are_shown_at_once() {
    let errors = errors_in(
        "#[weekly(day = \"monday\", hour = 24, nmae = \"x\", timezone = \"Asia/Shanghia\", max_instances = 0)] \
         fn report(&self) -> impl Sized {}",
    );
    assert_eq!(errors.len(), 8, "{errors:#?}");
}
