//! What keeps a scheduler from starting, in words: all of it at once, each with its place and the way out.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use symphra_scheduler::backend::Capabilities;
use symphra_scheduler::chrono::{DateTime, Utc};
use symphra_scheduler::test_util::Chaos;
use symphra_scheduler::{
    BackendConfig, Error, MemoryBackend, Overlap, Schedule, Scheduler, SchedulerConfig, SchedulerHandle, Task,
};

fn every_second() -> Schedule {
    Schedule::interval(Duration::from_secs(1)).expect("a valid period")
}

fn cron(expression: &str) -> Schedule {
    Schedule::cron(expression).expect("a valid expression")
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

async fn refused(scheduler: Scheduler) -> Error {
    match scheduler.start().await {
        Ok(started) => panic!("it must not start: {started:?}"),
        Err(error) => error,
    }
}

/// The words of an error hold each of `parts`.
fn says(error: &Error, parts: &[&str]) {
    let said = error.to_string();
    for part in parts {
        assert!(said.contains(part), "{part:?} is missing in: {said}");
    }
}

/// This file and `line`, as a message names them.
fn place(line: u32) -> String {
    format!("{}:{line}", file!())
}

#[tokio::test]
async fn every_problem_of_every_task_is_told_at_once() {
    let config = SchedulerConfig::new().max_workers(0).lease(Duration::from_secs(1)).node("");
    let error = refused(
        Scheduler::empty()
            .config(config)
            .register(Task::new(" padded", every_second(), async || {}))
            .register(Task::new("", every_second(), async || {}))
            .register(Task::new("twice", every_second(), async || {}))
            .register(Task::new("twice", every_second(), async || {}))
            .register(Task::new("none", every_second(), async || {}).max_instances(0))
            .register(Task::new("both", every_second(), async || {}).overlap(Overlap::Allow).max_instances(2))
            .register(Task::new("never", cron("0 0 0 30 2 *"), async || {}))
            .expect_tasks(["twise", "both"]),
    )
    .await;
    says(
        &error,
        &[
            "cannot start, for 10 reasons",
            "max_workers = 0",
            "lease = 1s",
            "node = \"\"",
            "\" padded\"",
            "\"\" (",
            "two tasks are named \"twice\"",
            "\"none\"",
            "\"both\"",
            "\"never\"",
            "\"twise\" is expected",
        ],
    );
    assert!(error.is_config() && error.is_duplicate_task() && error.is_unknown_task());
    assert!(!error.is_backend() && !error.is_stopped());
    assert_eq!(format!("{error:?}"), error.to_string(), "what main prints is the same");
}

#[tokio::test]
async fn a_name_that_is_no_name_is_told_with_its_place() {
    let long = "n".repeat(129);
    for (name, why) in [("", "empty"), (" a", "space"), ("a ", "space"), ("a\nb", "control"), (&*long, "128")] {
        let line = line!() + 1;
        let task = Task::new(name.to_owned(), every_second(), async || {});
        let error = refused(Scheduler::empty().register(task)).await;
        says(&error, &[why, &place(line)]);
        assert!(error.is_config(), "{error}");
    }
}

#[tokio::test]
async fn two_tasks_of_one_name_are_told_with_both_places() {
    let line = line!() + 1;
    let first = Task::new("report", every_second(), async || {});
    let second = Task::new("report", cron("@daily"), async || {});
    let error = refused(Scheduler::empty().register(first).register(second)).await;
    says(
        &error,
        &["two tasks are named \"report\"", &place(line), &place(line + 1), "give one of them another `name`"],
    );
    assert!(error.is_duplicate_task() && !error.is_config() && !error.is_unknown_task());
}

#[tokio::test]
async fn impossible_settings_are_told_with_what_is_allowed() {
    let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    let defaults = SchedulerConfig::new;
    for (config, parts) in [
        (defaults().max_workers(0), ["max_workers = 0", "1 to 10000000"]),
        (defaults().queue_size(0), ["queue_size = 0", "1 to 10000000"]),
        (defaults().queue_size(10_000_001), ["queue_size = 10000001", "1 to 10000000"]),
        (defaults().shutdown_timeout(days(31)), ["shutdown_timeout = 31d", "0s to 30d"]),
        (defaults().misfire_grace(days(31)), ["misfire_grace = 31d", "0s to 30d"]),
        (defaults().lease(Duration::from_secs(9)), ["lease = 9s", "10s to 30d"]),
        (defaults().node("a\tb"), ["node = \"a\\tb\"", "without control characters"]),
    ] {
        let error = refused(Scheduler::empty().config(config)).await;
        says(&error, &parts);
        assert!(error.is_config(), "{error}");
    }
}

#[tokio::test]
async fn a_schedule_without_an_occurrence_is_refused() {
    let task = |name: &'static str, schedule: Schedule| Task::new(name, schedule, async || {});
    for task in [
        task("no such day", cron("0 0 0 30 2 *")),
        task("no such time in the window", cron("0 0 12 * * *"))
            .start_at(at("2026-01-01T13:00:00Z"))
            .end_at(at("2026-01-02T11:00:00Z")),
        task("before its window", Schedule::once(at("2026-01-01T00:00:00Z"))).start_at(at("2026-01-01T00:00:01Z")),
        task("after its window", Schedule::once(at("2026-01-01T00:00:00Z"))).end_at(at("2025-12-31T23:59:59Z")),
    ] {
        let name = task.name().to_owned();
        let error = refused(Scheduler::empty().register(task)).await;
        says(&error, &[&name, "has no occurrence at all", file!()]);
        assert!(error.is_config(), "{error}");
    }
}

#[tokio::test]
async fn a_window_that_ends_before_it_starts_is_refused() {
    let (start, end) = (at("2026-06-02T00:00:00Z"), at("2026-06-01T00:00:00Z"));
    let line = line!() + 1;
    let task = Task::new("upside down", every_second(), async || {}).start_at(start).end_at(end);
    let error = refused(Scheduler::empty().register(task)).await;
    says(&error, &["\"upside down\"", &place(line), "end (2026-06-01", "lies before start (2026-06-02"]);
}

#[tokio::test]
async fn limits_that_contradict_each_other_are_refused() {
    let task = || Task::new("limited", every_second(), async || {});
    says(&refused(Scheduler::empty().register(task().max_instances(0))).await, &["max_instances = 0", "1 or more"]);
    let both = task().overlap(Overlap::Allow).max_instances(3);
    says(&refused(Scheduler::empty().register(both)).await, &["\"allow\"", "max_instances", "drop one of them"]);
}

#[tokio::test]
async fn what_the_backend_lacks_is_refused_by_name() {
    let task = |name: &'static str| Task::new(name, every_second(), async || {});
    let can = Capabilities::volatile().without_priority().without_max_runs();
    let line = line!() + 1;
    let both = Task::new("urgent", every_second(), async || {}).priority(5).max_runs(3);
    let scheduler = || Scheduler::empty().register(task("plain")).backend(Chaos::limited(MemoryBackend::new(), can));
    let error = refused(scheduler().register(both).register(task("last").max_runs(1))).await;
    let place = format!("task \"urgent\" ({}): priority = 5", place(line));
    says(
        &error,
        &[
            &place,
            "max_runs = 3",
            "task \"last\"",
            "max_runs = 1",
            "backend \"memory\"",
            "memory, sqlite, postgres, redis",
        ],
    );
    assert!(error.is_unsupported() && !error.is_config(), "{error}");

    let handle = scheduler().start().await.expect("what is a mere default is no request");
    let error = handle.register(task("later").priority(-1)).await.expect_err("it is refused while it runs too");
    says(&error, &["task \"later\"", "priority = -1", "drop it"]);
    assert!(error.is_unsupported(), "{error}");
    handle.stop().await.expect("it stops");

    let has_all = scheduler().backend(MemoryBackend::new()).register(task("fine").priority(5).max_runs(3));
    has_all.start().await.expect("a backend that can is not asked in vain").stop_now().await.expect("it stops");
}

#[tokio::test]
async fn a_task_that_is_expected_and_missing_is_told_with_the_nearest_name() {
    let task = Task::new("health_check", every_second(), async || {});
    let error = refused(Scheduler::empty().register(task).expect_tasks(["helth_check"])).await;
    says(&error, &["task \"helth_check\" is expected and not registered", "did you mean \"health_check\"?"]);
    assert!(error.is_unknown_task() && !error.is_config());
    let error = refused(Scheduler::empty().expect_tasks(["billing"])).await;
    says(&error, &["\"billing\"", "`link_tasks!`"]);
}

#[tokio::test]
async fn a_filter_leaves_out_what_would_be_wrong() {
    let scheduler = Scheduler::empty()
        .register(Task::new("good", every_second(), async || {}))
        .register(Task::new("bad", every_second(), async || {}).max_instances(0))
        .filter(|task| task.name() != "bad");
    let handle = scheduler.start().await.expect("it starts");
    assert_eq!(handle.list_tasks().len(), 1);
    handle.stop().await.expect("it stops");
}

#[tokio::test]
async fn an_empty_registry_is_an_error_that_says_what_to_do() {
    // This program has no task attribute.
    let error = refused(Scheduler::from_registry()).await;
    says(&error, &["the registry is empty", "link_tasks!(", "Scheduler::empty()"]);
    assert!(error.is_config());
}

#[test]
fn outside_a_runtime_start_says_where_to_call_it_from() {
    let start = pin!(Scheduler::empty().start());
    let polled: Poll<Result<SchedulerHandle, Error>> = start.poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Err(error)) = polled else { panic!("it must be refused at once: {polled:?}") };
    says(&error, &["outside a tokio runtime", "#[tokio::main]"]);
}

#[tokio::test]
async fn a_task_is_found_by_its_name_or_the_nearest_is_named() {
    let scheduler = Scheduler::empty()
        .register(Task::new("send_report", every_second(), async || {}).tags(["mail"]))
        .register(Task::new("health_check", cron("0 30 9 * * MON-FRI"), async || {}))
        .start()
        .await
        .expect("it starts");
    let task = scheduler.task("send_report").expect("it is registered");
    assert_eq!(
        (task.name.as_str(), &task.tags[..], task.schedule),
        ("send_report", &["mail".into()][..], every_second())
    );
    let error = scheduler.task("send_raport").expect_err("there is no such task");
    says(&error, &["no task named \"send_raport\"", "did you mean \"send_report\"?"]);
    assert!(error.is_unknown_task());
    let error = scheduler.task("xyz").expect_err("there is no such task");
    assert!(!error.to_string().contains("did you mean"), "{error}");
    let names: Vec<String> = scheduler.list_tasks().iter().map(|task| task.name.to_string()).collect();
    assert_eq!(names, ["health_check", "send_report"], "by name");
    scheduler.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_an_error_at_start_that_names_its_url() {
    for (url, shown, why) in [
        ("sqlite:///no/such/folder/a.db", "sqlite:///no/such/folder/a.db", "unable to open database file"),
        ("postgres://app:hunter2@127.0.0.1:1/app", "postgres://app:***@127.0.0.1:1/app", ""),
    ] {
        let settings = SchedulerConfig::new().backend(BackendConfig::of_url(url));
        let error = Scheduler::empty().config(settings.clone()).start().await.expect_err("it cannot be opened");
        let says = format!("{error:?}");
        assert!(error.is_backend() && says.contains(shown) && says.contains(why), "{says}");
        assert!(!says.contains("hunter2"), "{says}");

        let handle = Scheduler::empty().config(settings).backend(MemoryBackend::new()).start().await;
        let handle = handle.expect("what code has opened rules over the settings");
        assert_eq!(handle.stats().backend, "memory");
        handle.stop().await.expect("it stops");
    }
}
