//! The options that say how a task behaves: what is written into the program for each, and which of them contradict.

use super::*;

/// What an attribute with `option` hands to the runtime, without spaces and without the path to the runtime.
fn written(attribute: &str, function: &str) -> String {
    let text = task_in(&format!("{attribute} {function}"), |task| crate::expand::task(&task).to_string());
    let text = text.unwrap_or_else(|errors| panic!("{attribute}: {errors:#?}"));
    text.replace(' ', "").replace("::symphra_scheduler::__private::", "")
}

/// The calls on the runtime's task.
fn setters(option: &str) -> String {
    let text = written(&format!("#[every(5, {option})]"), "async fn report() {}");
    let (_, setters) = text.split_once(".options(|__task|__task").unwrap_or_else(|| panic!("{option}: {text}"));
    let (setters, _) = setters.rsplit_once(")}};").unwrap_or_else(|| panic!("{option}: {setters}"));
    setters.to_owned()
}

fn error_beside(options: &str) -> String {
    error_of(&format!("#[every(5, {options})]"))
}

#[test]
fn each_option_is_one_call_on_the_task() {
    for (option, setter) in [
        ("tags = [\"a\", \"b\"]", ".static_tags(&[\"a\",\"b\"])"),
        ("metadata(owner = \"x\", r#type = \"y\",)", ".static_metadata(&[(\"owner\",\"x\"),(\"type\",\"y\")])"),
        ("timezone = \"Europe/Paris\"", ".timezone(Tz::Europe__Paris)"),
        ("start = \"1970-01-01T00:00:01Z\"", ".starting(Moment::utc(1000i64))"),
        ("end = \"2100-01-01\"", ".ending(Moment::local(4102444800000i64))"),
        ("jitter = \"1m30s\"", ".jitter(Duration::from_millis(90000u64))"),
        ("jitter = \"1d\"", ".jitter(Duration::from_millis(86400000u64))"),
        ("delay = \"fixed_rate\"", ".delay(Delay::FixedRate)"),
        ("delay = \"fixed_delay\"", ".delay(Delay::FixedDelay)"),
        ("max_runs = 18446744073709551615", ".max_runs(18446744073709551615u64)"),
        ("max_instances = 3", ".max_instances(3u32)"),
        ("overlap = \"skip\"", ".overlap(Overlap::Skip)"),
        ("overlap = \"buffer_one\"", ".overlap(Overlap::BufferOne)"),
        ("overlap = \"buffer_all\"", ".overlap(Overlap::BufferAll)"),
        ("overlap = \"cancel_running\"", ".overlap(Overlap::CancelRunning)"),
        ("overlap = \"allow\"", ".overlap(Overlap::Allow)"),
        ("misfire = \"run_once\"", ".misfire(Misfire::RunOnce)"),
        ("misfire = \"skip\"", ".misfire(Misfire::Skip)"),
        ("misfire = \"run_all\", overlap = \"allow\"", ".overlap(Overlap::Allow).misfire(Misfire::RunAll)"),
        ("misfire = \"run_all\", overlap = \"buffer_all\"", ".overlap(Overlap::BufferAll).misfire(Misfire::RunAll)"),
        ("catch_up_window = \"6h\"", ".catch_up_window(Duration::from_millis(21600000u64))"),
        ("timeout = 30", ".timeout(Duration::from_millis(30000u64))"),
        ("timeout = 1.5", ".timeout(Duration::from_millis(1500u64))"),
        ("timeout = \"1ms\"", ".timeout(Duration::from_millis(1u64))"),
        ("timeout = \"30d\"", ".timeout(Duration::from_millis(2592000000u64))"),
        ("delivery = \"at_least_once\"", ".delivery(Delivery::AtLeastOnce)"),
        ("delivery = \"at_most_once\"", ".delivery(Delivery::AtMostOnce)"),
        ("priority = -100", ".priority(-100i8)"),
        ("priority = 100", ".priority(100i8)"),
        ("group = \"reports\"", ".group(\"reports\")"),
        ("enabled = true", ".enabled(true)"),
        ("enabled = false", ".enabled(false)"),
        ("run_on_start", ".run_on_start(true)"),
        ("run_on_start = false", ".run_on_start(false)"),
        ("pause_after = 5", ".pause_after(5u32)"),
        ("expect_success_within = \"2h\"", ".expect_success_within(Duration::from_millis(7200000u64))"),
    ] {
        assert_eq!(setters(option), setter, "{option}");
    }
}

#[test]
fn a_retry_is_a_preset_or_what_differs_from_the_standard_policy() {
    for (option, policy) in [
        ("retry = \"none\"", "RetryPolicy::none()"),
        ("retry = \"default\"", "RetryPolicy::standard()"),
        ("retry = \"aggressive\"", "RetryPolicy::aggressive()"),
        ("retry(max_attempts = 1000,)", "RetryPolicy::standard().max_attempts(1000u32)"),
        ("retry(strategy = \"exponential\")", "RetryPolicy::standard().strategy(Backoff::Exponential)"),
        ("retry(strategy = \"fixed\")", "RetryPolicy::standard().strategy(Backoff::Fixed)"),
        ("retry(strategy = \"random\")", "RetryPolicy::standard().strategy(Backoff::Random)"),
        ("retry(wait_min = \"60s\")", "RetryPolicy::standard().wait_min(Duration::from_millis(60000u64))"),
        ("retry(wait_max = 1)", "RetryPolicy::standard().wait_max(Duration::from_millis(1000u64))"),
        (
            "retry(wait_max = \"30d\", wait_min = \"30d\")",
            "RetryPolicy::standard().wait_min(Duration::from_millis(2592000000u64))\
             .wait_max(Duration::from_millis(2592000000u64))",
        ),
        ("retry(multiplier = 1)", "RetryPolicy::standard().multiplier(1f64)"),
        ("retry(multiplier = 1.1, jitter = false)", "RetryPolicy::standard().multiplier(1.1f64).jitter(false)"),
        ("retry(when = crate::errors::transient)", "RetryPolicy::standard().when(crate::errors::transient)"),
    ] {
        assert_eq!(setters(option), format!(".retry({policy})"), "{option}");
    }
}

#[test]
fn an_except_is_read_in_the_zone_of_the_task() {
    let except = |text: &str| task_in(text, |task| task.options.except).expect("the task is valid");
    let christmas = "* * * 25 12 *".parse().expect("the expression is valid");
    assert_eq!(except("#[hourly(except = \"* * * 25 12 *\")] async fn report() {}"), Some(christmas));
    assert!(setters("except = \"* * * 25 12 *\"").starts_with(".except(CronExpr::from_bits(["));
    let error = error_beside("except = \"0 30-40 2 8 3 * 2026\", timezone = \"America/New_York\"");
    assert!(error.contains("in America/New_York the clock skips every local time it names"), "{error}");
    for (expression, says) in [
        ("\"0 0 25 * * *\"", "hour field"),
        ("\"0 0 0 30 2 *\"", "never fires"),
        ("5", "a cron expression is a string, not 5"),
    ] {
        let error = error_beside(&format!("except = {expression}"));
        assert!(error.contains(says), "{expression}: {error}");
    }
}

#[test]
fn what_is_not_written_is_not_handed_over() {
    let text = written("#[hourly(name = \"x\", blocking = false)]", "async fn report() {}");
    assert!(!text.contains(".options(") && !text.contains(".needs("), "{text}");
}

#[test]
fn the_needs_are_those_of_the_arguments() {
    let text = written("#[hourly]", "async fn report(State(pool): State<Pool>, run: RunContext) {}");
    assert!(text.contains(".needs(|__needs|{__needs.of::<State<Pool>>();__needs.of::<RunContext>();})"), "{text}");
}

#[test]
fn a_blocking_task_is_an_ordinary_function_that_moves_to_its_thread() {
    for attribute in ["#[hourly(blocking)]", "#[hourly(blocking = true)]"] {
        let text = written(attribute, "fn report(a: A, b: B) {}");
        assert!(text.contains("start_blocking(__run,|__run|{let__argument_0=extract::<A>(__run)?;"), "{text}");
        assert!(text.contains("Ok(move||report(__argument_0,__argument_1))"), "{text}");
        assert!(!text.contains("unused_async"), "{text}");
    }
    for (source, says) in [
        (
            "#[hourly(blocking)] async fn report() {}",
            "a blocking task is an ordinary function; remove `async` or `blocking`",
        ),
        ("#[hourly(blocking = false)] fn report() {}", "`report` is not async"),
        ("#[hourly(blocking = 1)] fn report() {}", "option `blocking` takes true or false, not 1"),
        ("#[hourly(blocking = 1)] async fn report() {}", "option `blocking` takes true or false, not 1"),
        ("#[hourly(blokcing)] async fn report() {}", "unknown option `blokcing`; did you mean `blocking`?"),
        (
            "#[hourly(blocking)] const fn report() {}",
            "the scheduler calls it like any safe function; write `fn report`",
        ),
        ("#[hourly(blocking)] fn report(name: &str) {}", "must own what it holds"),
    ] {
        let errors = errors_in(source);
        assert_eq!(errors.len(), 1, "{source}: {errors:#?}");
        assert!(errors[0].contains(says), "{source}: {errors:#?}");
    }
}

#[test]
fn a_wrong_policy_says_what_is_allowed() {
    for (option, says) in [
        ("timeout = 0", "`timeout` is 0; allowed 1ms-30d, for example `timeout = \"30s\"`"),
        ("timeout = \"30d1ms\"", "`timeout` is \"30d1ms\"; allowed 1ms-30d"),
        ("timeout = -5", "`timeout` is -5; allowed 1ms-30d"),
        ("timeout = 0.0001", "`timeout` is 0.0001 seconds, which is no whole number of milliseconds"),
        ("timeout = \"30\"", "`timeout`: duration: \"30\" has no unit; write \"30s\""),
        ("timeout = true", "option `timeout` takes a duration, not true; write `timeout = \"30s\"`"),
        ("timeout = LONG", "not LONG (an attribute sees only the text, not what a name stands for)"),
        ("jitter = \"25h\"", "`jitter` is \"25h\"; allowed 0s-1d"),
        ("catch_up_window = \"6\"", "`catch_up_window`: duration: \"6\" has no unit"),
        ("catch_up_window = -1", "`catch_up_window` is -1; allowed 0s or more"),
        ("expect_success_within = 0", "`expect_success_within` is 0; allowed 1ms or more"),
        ("max_runs = 0", "`max_runs` is 0; allowed 1-18446744073709551615"),
        ("pause_after = 0", "`pause_after` is 0; allowed 1-4294967295"),
        ("priority = 101", "`priority` is 101; allowed -100 to 100, for example `priority = 10`"),
        ("priority = -101", "`priority` is -101; allowed -100 to 100"),
        ("priority = \"high\"", "option `priority` takes a whole number, not \"high\""),
        ("group = \"\"", "`group` is \"\"; a group is named like a task, and a task name cannot be empty"),
        ("enabled = \"no\"", "option `enabled` takes true or false, not \"no\"; write `enabled = false`"),
        ("enabled", "option `enabled` has no value; write `enabled = false`"),
        ("run_on_start = 1", "option `run_on_start` takes true or false, not 1"),
        ("run_on_start, run_on_start = false", "option `run_on_start` is given more than once"),
        ("metadata = \"x\"", "option `metadata` is written `metadata(owner = \"billing\")`"),
        ("metadata[owner = \"x\"]", "option `metadata` is written `metadata(owner = \"billing\")`"),
        ("metadata()", "`metadata` has nothing in its brackets; write for example `metadata(owner = \"billing\")`"),
        ("metadata(owner = 5)", "`owner` of `metadata` takes a string, not 5; write `owner = \"…\"`"),
        ("metadata(owner)", "`owner` of `metadata` has no value"),
        ("metadata(\"owner\" = \"x\")", "`metadata` takes keys with values, and `\"owner\" = \"x\"` is none"),
        ("metadata(a = \"x\", a = \"y\")", "`a` of `metadata` is given more than once; keep one of them"),
        ("metadata(a = \"x\"), metadata(b = \"y\")", "option `metadata` is given more than once"),
        (
            "overlap = \"sikp\"",
            "`overlap` is \"sikp\"; allowed \"skip\", \"buffer_one\", \"buffer_all\", \"cancel_running\" or \"allow\"; \
             did you mean \"skip\"?",
        ),
        ("overlap = skip", "option `overlap` takes a string, not skip"),
        (
            "misfire = \"run_al\"",
            "`misfire` is \"run_al\"; allowed \"run_once\", \"skip\" or \"run_all\"; did you mean",
        ),
        (
            "delay = \"fixed-rate\"",
            "`delay` is \"fixed-rate\"; allowed \"fixed_rate\" or \"fixed_delay\"; did you mean",
        ),
        ("delivery = \"exactly_once\"", "allowed \"at_least_once\" or \"at_most_once\""),
    ] {
        let error = error_beside(option);
        assert!(error.contains(says), "{option}: {error}");
    }
}

#[test]
fn a_wrong_retry_says_what_is_allowed() {
    for (option, says) in [
        ("retry = \"agressive\"", "allowed \"none\", \"default\" or \"aggressive\"; did you mean \"aggressive\"?"),
        ("retry = 5", "option `retry` takes a string, not 5; write `retry(max_attempts = 5)`"),
        ("retry", "option `retry` has no value; write `retry(max_attempts = 5)`"),
        ("retry()", "`retry` has nothing in its brackets; write for example `retry(max_attempts = 5)`"),
        ("retry { max_attempts = 5 }", "option `retry` is written `retry(max_attempts = 5)`"),
        ("retry(5)", "`retry` takes keys with values, and `5` is none"),
        ("retry(max_attempts)", "`max_attempts` of `retry` has no value"),
        ("retry(max_attempts = )", "`max_attempts` of `retry` has no value"),
        ("retry(max_attempts = 5,, jitter = true)", "nothing stands before this comma; remove it"),
        ("retry(max_attemps = 5)", "unknown key `max_attemps` of `retry`; did you mean `max_attempts`?"),
        ("retry(times = 5)", "unknown key `times` of `retry`; `retry` takes `max_attempts`, `strategy`, `wait_min`, "),
        ("retry(jitter = true, jitter = false)", "`jitter` of `retry` is given more than once; keep one of them"),
        ("retry = \"none\", retry(max_attempts = 5)", "option `retry` is given more than once"),
        ("retry(max_attempts = 0)", "`max_attempts` is 0; allowed 1-1000, for example `max_attempts = 5`"),
        ("retry(max_attempts = 1001)", "`max_attempts` is 1001; allowed 1-1000"),
        ("retry(strategy = \"exponental\")", "did you mean \"exponential\"?"),
        ("retry(wait_max = \"31d\")", "`wait_max` is \"31d\"; allowed 0s-30d"),
        ("retry(multiplier = 0.5)", "`multiplier` is 0.5; allowed 1-100, for example `multiplier = 2.0`"),
        ("retry(multiplier = 100.1)", "`multiplier` is 100.1; allowed 1-100"),
        ("retry(multiplier = \"2\")", "option `multiplier` takes a number, not \"2\""),
        ("retry(jitter = \"1s\")", "option `jitter` takes true or false, not \"1s\"; write `jitter = false`"),
        ("retry(when = \"is_transient\")", "option `when` takes a path without quotes"),
        (
            "retry(wait_min = \"2m\", wait_max = \"1m\")",
            "`wait_min` is 2m, above `wait_max`, which is 1m; swap them or change one",
        ),
        ("retry(wait_min = \"2m\")", "`wait_min` is 2m, above `wait_max`, which is 1m unless given; add a `wait_max`"),
        ("retry(wait_max = 0.5)", "`wait_max` is 500ms, below `wait_min`, which is 1s unless given; add a `wait_min`"),
        ("retry(wait_min = \"2m\", wait_max = \"31d\")", "`wait_max` is \"31d\"; allowed 0s-30d"),
    ] {
        let error = error_beside(option);
        assert!(error.contains(says), "{option}: {error}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let fixed = "beside `delay = \"fixed_delay\"`, which is never missed and never overlaps itself; remove one of them";
    for (options, says) in [
        ("overlap = \"allow\", max_instances = 2", "`max_instances` has no meaning beside `overlap = \"allow\"`"),
        (
            "delivery = \"at_most_once\", retry(max_attempts = 2)",
            "`retry` has no meaning beside `delivery = \"at_most_once\"`, which is one attempt; remove one of them",
        ),
        ("delivery = \"at_most_once\", retry = \"none\"", "`retry` has no meaning beside"),
        ("delay = \"fixed_delay\", misfire = \"skip\"", fixed),
        ("delay = \"fixed_delay\", misfire = \"run_all\"", "`misfire` has no meaning beside `delay"),
        ("delay = \"fixed_delay\", catch_up_window = \"1h\"", "`catch_up_window` has no meaning beside `delay"),
        ("delay = \"fixed_delay\", overlap = \"skip\"", "`overlap` has no meaning beside `delay"),
        ("delay = \"fixed_delay\", max_instances = 1", "`max_instances` has no meaning beside `delay"),
        ("misfire = \"run_all\"", "needs `overlap = \"buffer_all\"` or `overlap = \"allow\"` beside it"),
        ("misfire = \"run_all\", overlap = \"buffer_one\"", "needs `overlap = \"buffer_all\"` or"),
        ("misfire = \"run_all\", overlap = \"bufer_all\"", "did you mean \"buffer_all\"?"),
        ("misfire = \"skip\", catch_up_window = \"1h\"", "beside `misfire = \"skip\"`, which catches nothing up"),
    ] {
        let error = error_beside(options);
        assert!(error.contains(says), "{options}: {error}");
    }
}

#[test]
fn only_an_interval_has_a_delay() {
    for attribute in ["interval(5, ", "every(5, ", "scheduled(interval = 5, "] {
        for delay in ["fixed_rate", "fixed_delay"] {
            assert_eq!(errors_of(&format!("#[{attribute}delay = {delay:?})]")), [""; 0], "{attribute} {delay}");
        }
    }
    for attribute in ["hourly(", "cron(\"@daily\", ", "once(at = \"2100-01-01\", ", "scheduled(cron = \"@daily\", "] {
        for delay in ["fixed_rate", "fixed_delay"] {
            let error = error_of(&format!("#[{attribute}delay = {delay:?})]"));
            assert!(error.contains("and this schedule is none; remove it"), "{attribute} {delay}: {error}");
        }
    }
}

#[test]
fn all_contradictions_of_an_attribute_are_shown_at_once() {
    let errors = errors_of(
        "#[every(5, delay = \"fixed_delay\", misfire = \"skip\", catch_up_window = \"1h\", overlap = \"allow\", \
         max_instances = 2, delivery = \"at_most_once\", retry(wait_min = \"2m\", max_attempts = 0), timeout = 0)]",
    );
    // The timeout, the attempts, the waits, `retry` beside `delivery`, and four options beside `delay`.
    assert_eq!(errors.len(), 8, "{errors:#?}");
}
