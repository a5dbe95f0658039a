//! What a file and an environment say, and what is said about what is wrong in them.

mod backend;
mod described;
mod waiting;

use std::path::Path;

use super::env::Environment;
use super::source::Origin;
use super::*;
use crate::RetryPolicy;
use crate::retention::Retention;
use crate::{ConfigError, Error, Schedule, Scheduler, Task};

/// Reads a file of this name and text, and the variables.
fn loaded<const N: usize>(
    name: &str,
    text: &str,
    variables: [(&str, &str); N],
) -> Result<SchedulerConfig, ConfigError> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(name), text).expect("a file");
    Origin::Load { folder: folder.path().into() }.read(&Environment::from(variables))
}

fn of_yaml(text: &str) -> SchedulerConfig {
    loaded("scheduler.yaml", text, []).expect("a right file")
}

/// The problems of a YAML file: line, key, message.
fn wrong(text: &str) -> Vec<(u32, String, String)> {
    let error = loaded("scheduler.yaml", text, []).expect_err("a wrong file");
    let told = error
        .problems()
        .iter()
        .map(|problem| (problem.line().unwrap_or(0), problem.key().to_owned(), problem.message().to_owned()));
    told.collect()
}

fn of_variables<const N: usize>(variables: [(&str, &str); N]) -> Result<SchedulerConfig, ConfigError> {
    Origin::Environment.read(&Environment::from(variables))
}

fn tick() -> Task {
    let schedule = Schedule::interval(Duration::from_secs(60)).expect("a period");
    Task::new("report", schedule, || async {}).max_instances(2).timeout(Duration::from_secs(5))
}

/// The task above as this configuration overrides it.
fn overridden(config: &SchedulerConfig) -> String {
    format!("{:?}", config.overrides.laid_over(vec![tick()]).remove(0))
}

fn start_error(config: SchedulerConfig) -> Error {
    Scheduler::empty().register(tick()).config(config).checked().err().expect("it cannot start")
}

#[test]
fn a_history_is_set_at_the_top_or_in_its_table_and_by_layers() {
    let day = Duration::from_secs(24 * 60 * 60);
    let default = Retention::default();
    assert_eq!(*SchedulerConfig::new().retention(), default);
    let top = of_yaml("history: { runs: 500, failures_for: 90d }\n").retention();
    assert_eq!(*top, Retention { runs: 500, failures_for: 90 * day, ..default });
    let inside = of_yaml("scheduler:\n  history: { failures: 20 }\n").retention();
    assert_eq!(*inside, Retention { failures: 20, ..default });
    let text = "history: { runs: 500, failures: 20 }\n";
    let layers = loaded("scheduler.yaml", text, [("SCHEDULER_HISTORY_RUNS", "7")]).expect("both are right");
    let layers = SchedulerConfig::new().history(HistoryConfig::new().failures_for(day)).over(layers);
    assert_eq!(*layers.retention(), Retention { runs: 7, failures: 20, failures_for: day });

    let said = wrong("history:\n  runs: 0\n  failures: 100001\n  failures_for: 3651d\n  failure: 1\n");
    for (line, part) in [(2, "1 to 100000"), (3, "1 to 100000"), (4, "0s to 3650d"), (5, "did you mean failures?")] {
        assert!(said.iter().any(|(at, _, says)| *at == line && says.contains(part)), "{line} {part}: {said:?}");
    }
    let impossible = HistoryConfig::new().runs(0).failures(0).failures_for(Duration::MAX);
    let error = start_error(SchedulerConfig::new().history(impossible)).to_string();
    for part in ["history.runs = 0", "history.failures = 0", "history.failures_for", "1 to 100000", "0s to 3650d"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn the_three_formats_say_the_same() {
    let yaml = loaded(
        "scheduler.yaml",
        "scheduler:\n  max_workers: 16\n  shutdown_timeout: 10s\n  groups: { imports: 2 }\n\
         tasks:\n  report: { cron: 0 9 * * *, retry: { max_attempts: 5, jitter: false }, tags: [a, b] }\n",
        [],
    );
    let toml = loaded(
        "scheduler.toml",
        "max_workers = 16\nshutdown_timeout = 10\ngroups.imports = 2\n[tasks.report]\ncron = '0 9 * * *'\n\
         tags = ['a', 'b']\n[tasks.report.retry]\nmax_attempts = 5\njitter = false\n",
        [],
    );
    let json = loaded(
        "scheduler.json",
        r#"{"scheduler": {"max_workers": 16, "shutdown_timeout": "10s", "groups": {"imports": 2}},
            "tasks": {"report": {"cron": "0 9 * * *", "retry": {"max_attempts": 5, "jitter": false}, "tags": ["a", "b"]}}}"#,
        [],
    );
    let (yaml, toml, json) = (yaml.expect("yaml"), toml.expect("toml"), json.expect("json"));
    for config in [&yaml, &toml, &json] {
        assert_eq!((config.workers(), config.patience()), (16, Duration::from_secs(10)));
        assert_eq!(config.group_max("imports"), 2);
        let task = overridden(config);
        for part in ["Schedule::cron(\"0 0 9 * * *\")", "[\"a\", \"b\"]", "max_attempts: 5", "jitter: false"] {
            assert!(task.contains(part), "{part} is missing in {task}");
        }
    }
}

#[test]
fn the_environment_rules_over_the_file_and_code_over_both() {
    let text = "max_workers: 16\nqueue_size: 100\ntimezone: Asia/Shanghai\ntasks: { report: { enabled: true } }\n";
    let variables =
        [("SCHEDULER_QUEUE_SIZE", "200"), ("SCHEDULER_TIMEZONE", "UTC"), ("SCHEDULER_DISABLE", "report, x")];
    let config = loaded("scheduler.yaml", text, variables).expect("all is right").timezone(Tz::Europe__Paris);
    assert_eq!((config.workers(), config.queue(), config.zone()), (16, 200, Tz::Europe__Paris));
    assert!(overridden(&config).contains("disabled: true"));
    let config = config.task("report", TaskOverride::new().enabled(true));
    assert!(overridden(&config).contains("disabled: false"));
}

#[test]
fn the_examples_of_the_ancestor_work_as_they_stand() {
    let config = of_yaml("scheduler:\n  max_workers: 16\n  queue_size: 1500\n  timezone: Asia/Shanghai\n");
    assert_eq!((config.workers(), config.queue(), config.zone()), (16, 1_500, Tz::Asia__Shanghai));
    let variables =
        [("SCHEDULER_MAX_WORKERS", "20"), ("SCHEDULER_QUEUE_SIZE", "2000"), ("SCHEDULER_TIMEZONE", "Asia/Shanghai")];
    let config = of_variables(variables).expect("all is right");
    assert_eq!((config.workers(), config.queue(), config.zone()), (20, 2_000, Tz::Asia__Shanghai));
}

#[test]
fn the_store_is_judged_by_what_all_layers_say_together() {
    let rabbit = "backend: { type: rabbitmq, url: 'amqp://db/0', schema: jobs }";
    let schema = "backend.schema means nothing to the rabbitmq backend";
    let (kind, url) = ("SCHEDULER_BACKEND_TYPE", "SCHEDULER_BACKEND_URL");
    // Where the one problem stands, if there is one: a line of the file, or a variable.
    let in_file = |part: &'static str| Some((Some(1), None, part));
    let in_variable = |name: &'static str, part: &'static str| Some((None, Some(name), part));
    for (text, variables, told) in [
        (rabbit, [(kind, ""), (url, "")], in_file(schema)),
        (rabbit, [(kind, "memory"), (url, "")], None),
        (rabbit, [(kind, "postgres"), (url, "")], in_variable(kind, "backend.url is missing")),
        (rabbit, [(kind, ""), (url, "amqp://other/1")], in_file(schema)),
        (rabbit, [(kind, ""), (url, "amqps://mq")], in_file(schema)),
        ("backend: rabbitmq", [(kind, "memory"), (url, "")], None),
        ("backend: memory", [(kind, "rabbitmq"), (url, "")], in_variable(kind, "backend.url is missing")),
        ("backend: memory", [(kind, ""), (url, "amqp://db")], None),
        ("backend: { url: 'amqp://db' }", [(kind, "rabbitmq"), (url, "")], None),
        ("backend: { max_connections: 5 }", [(kind, "memory"), (url, "")], in_file("connects to nothing")),
        ("backend: { type: [1], url: 'sqlite://x.db' }", [(kind, ""), (url, "")], in_file("backend.type = […]")),
        ("", [(kind, "memory"), ("SCHEDULER_BACKEND_MAX_CONNECTIONS", "5")], {
            in_variable("SCHEDULER_BACKEND_MAX_CONNECTIONS", "connects to nothing")
        }),
    ] {
        let told = told.map(|(line, variable, part)| (line, variable.map(str::to_owned), part));
        match (loaded("scheduler.yaml", text, variables), told) {
            (Ok(_), None) => {}
            (Err(error), Some((line, variable, part))) => {
                let [problem] = error.problems() else { panic!("{text}, {variables:?}: {error}") };
                assert_eq!((problem.line(), problem.variable().map(str::to_owned)), (line, variable), "{error}");
                assert!(problem.message().contains(part), "{text}, {variables:?}: {error}");
            }
            (read, told) => panic!("{text}, {variables:?}: {read:?}, and not {told:?}"),
        }
    }
    // What is no key is told, whatever rules.
    let error =
        loaded("scheduler.yaml", "backend: { type: rabbitmq, pool: 5 }", [(kind, "memory")]).expect_err("a key");
    assert!(error.problems().len() == 1 && error.to_string().contains("backend.pool is no key"), "{error}");
}

#[test]
fn what_is_right_is_read_beside_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "backend: mysql\nmax_workers: many\nqueue_size: 7\ndaemon: { name: ../x, pid_file: /run/x.pid }\ntasks:\n  report: \
                { interval: 5s, priority: high }\n  other: { priority: 3 }\n";
    std::fs::write(folder.path().join("scheduler.yaml"), text).expect("a file");
    let variables = [("SCHEDULER_TIMEZONE", "Nowhere"), ("SCHEDULER_DISABLE", "report"), ("SCHEDULER_LEASE", "1m")];
    let read = Origin::Load { folder: folder.path().into() }.read_what_is_right(&Environment::from(variables));
    assert_eq!((read.config.workers(), read.config.queue(), read.config.zone()), (10, 7, Tz::UTC));
    assert_eq!(read.config.lease_length(), Duration::from_secs(60));
    assert_eq!(read.config.daemon, DaemonConfig::new().pid_file("/run/x.pid"));
    let wrong = read.wrong.expect("there is something").problems().to_vec();
    let keys: Vec<(&str, Option<u32>)> = wrong.iter().map(|problem| (problem.key(), problem.line())).collect();
    let expected = [
        ("backend", Some(1)),
        ("max_workers", Some(2)),
        ("daemon.name", Some(4)),
        ("tasks.report.priority", Some(6)),
        ("scheduler.timezone", None),
    ];
    assert_eq!(keys, expected);
    // Nothing of a task where something is wrong: its parts may be impossible without each other.
    assert_eq!(read.set_aside, ["report"]);
    let tasks = read.config.overrides.laid_over(vec![tick()]);
    let task = format!("{:?}", tasks[0]);
    assert!(task.contains("Schedule::interval(1m)") && task.contains("disabled: true"), "{task}");
}

#[test]
fn every_mistake_of_a_file_is_told_with_its_line() {
    let found = wrong(
        "scheduler:\n  max_workers: many\n  queue_sise: 5\n  timezone: Asia/Shangai\ntasks:\n  report:\n    \
         timeout: 0s\n    cron: 61 * * * *\n    retry: { max_attempts: 0, when: never }\nlogs: {}\n\
         node: \"a\\nb\"\ndaemon:\n  pid_file: /\n  log_file: ..\nlogging: { file: a/.. }\n",
    );
    let expected = [
        (2, "scheduler.max_workers", "allowed is a whole number, 1 to 10000000"),
        (3, "scheduler.queue_sise", "did you mean queue_size?"),
        (4, "scheduler.timezone", "Asia/Shanghai"),
        (7, "tasks.report.timeout", "allowed is a duration such as \"1m30s\", 1ms to 30d, or none"),
        (8, "tasks.report.cron", "allowed 0-59"),
        (9, "tasks.report.retry.max_attempts", "1 to 1000"),
        (9, "tasks.report.retry.when", "a predicate is code"),
        (10, "logs", "allowed here: scheduler, backend, logging, daemon, tasks"),
        (11, "node", "1 to 128 bytes without control characters"),
        (13, "daemon.pid_file", "the path of a file"),
        (14, "daemon.log_file", "the path of a file"),
        (15, "logging.file", "the path of a file"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((line, key, part), (at, of, says)) in expected.into_iter().zip(&found) {
        assert_eq!((line, key), (*at, of.as_str()));
        assert!(says.contains(part), "{part} is missing in {says}");
    }
}

#[test]
fn what_contradicts_itself_or_stands_twice_is_told() {
    for (text, line, part) in [
        ("max_workers: 1\nscheduler: { max_workers: 2 }", 1, "stands here and under scheduler"),
        ("tasks:\n  report:\n    cron: '* * * * *'\n    interval: 5s", 4, "a task has one schedule"),
        ("max_workers: 1\nmax_workers: 2", 2, "stands twice, first on line 1"),
        ("tasks: [report]", 1, "a table of keys and values"),
        ("max_workers:", 1, "has no value"),
        ("max_workers: [1]", 1, "allowed is a whole number"),
        ("tasks: { report: { enabled: yes } }", 1, "allowed is true or false"),
        ("tasks: { report: { overlap: skipp } }", 1, "did you mean skip?"),
        ("tasks: { report: { interval: -5 } }", 1, "a duration"),
        ("tasks: { report: { interval: 1e300 } }", 1, "a duration"),
        ("log_level: DEBUG", 1, "write logging.level"),
        ("a: b: c", 1, "column"),
        ("- a\n- b", 1, "a mapping of keys to values"),
        ("a: 1\n---\nb: 1", 2, "drop the second"),
        ("max_workers: !secret 5", 1, "the tag"),
        ("node: ${NOT_SET_ANYWHERE}", 1, "NOT_SET_ANYWHERE is not set"),
    ] {
        let found = wrong(text);
        assert!(found.len() == 1 && found[0].0 == line && found[0].2.contains(part), "{text}: {found:?}");
    }
}

#[test]
fn malformed_toml_and_json_are_told_with_their_line_and_without_the_text() {
    for (name, text, line) in [
        ("scheduler.toml", "a = 1\nnode = \"hunter2\nb = 2\n", 2),
        ("scheduler.toml", "a = 1\na = 2\n", 2),
        ("scheduler.json", "{\n  \"a\": 1,\n}", 2),
        ("scheduler.json", "{\n  \"a\": 1,\n  \"a\": 2\n}", 3),
        ("scheduler.json", "{\n  // a comment\n}", 2),
        ("scheduler.json", "[]", 1),
    ] {
        let error = loaded(name, text, []).expect_err(text);
        assert_eq!(error.problems()[0].line(), Some(line), "{text}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_is_found_and_cannot_be_read_is_no_file_less() {
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink("nowhere.yaml", folder.path().join("scheduler.yaml")).expect("a link");
    let error = Origin::Load { folder: folder.path().into() }.read(&Environment::default()).expect_err("it cannot");
    assert!(error.to_string().contains("scheduler.yaml: it cannot be read"), "{error}");
}

#[test]
fn anchors_and_merges_are_understood_and_bounded() {
    let config =
        of_yaml("tasks:\n  base: &base { timeout: 7s, priority: 3 }\n  report:\n    <<: *base\n    priority: 4\n");
    let task = overridden(&config);
    assert!(task.contains("timeout: Some(7s)") && task.contains("priority: 4"), "{task}");

    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, inner) in "bcdefgh".chars().zip("abcdefg".chars()) {
        bomb += &format!("{name}: &{name} [{}]\n", vec![format!("*{inner}"); 10].join(", "));
    }
    assert!(wrong(&bomb)[0].2.contains("more than 200000 values"));
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 20].join(", "));
    assert!(wrong(&long)[0].2.contains("more than 16777216 bytes, those of aliases included"));
    assert!(wrong(&format!("a: {}{}", "[".repeat(200), "]".repeat(200)))[0].2.contains("nested"));
}

#[test]
fn variables_in_a_file_are_replaced_and_never_shown() {
    let set = [("WORKERS", "7"), ("NODE", "hunter2")];
    let config = loaded("scheduler.yaml", "max_workers: ${WORKERS}\nnode: ${NODE}", set).expect("all is right");
    assert_eq!((config.workers(), config.node_name().as_deref()), (7, Some("hunter2")));
    let error = loaded("scheduler.yaml", "max_workers: ${NODE}", set).expect_err("no number");
    assert!(error.to_string().contains("\"${NODE}\"") && !error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn a_variable_that_nearly_is_a_setting_is_an_error_and_a_strange_one_is_not() {
    let service = [("SCHEDULER_SERVICE_HOST", "10.0.0.1"), ("SCHEDULER_PORT_80_TCP", "tcp://10.0.0.1:80")];
    assert!(of_variables(service).is_ok());
    for (variable, value, part) in [
        ("SCHEDULER_MAX_WORKER", "5", "did you mean SCHEDULER_MAX_WORKERS?"),
        ("SCHEDULER_max_workers", "5", "did you mean SCHEDULER_MAX_WORKERS?"),
        ("SCHEDULER_MAX_WORKERS", "many", "allowed is a whole number"),
        ("SYMPHRA_SCHEDULER_MAX_WORKERS", "5", "write SCHEDULER_MAX_WORKERS"),
        ("SYMPHRA_SCHEDULER_LOG_LEVEL", "INFO", "write logging.level"),
        ("SCHEDULER_BACKEND_TYPE", "rabbitmq", "backend.url is missing"),
    ] {
        let error = of_variables([(variable, value)]).expect_err(variable);
        assert_eq!(error.problems().len(), 1, "{error}");
        assert_eq!(error.problems()[0].variable(), Some(variable));
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(of_variables([("SCHEDULER_MAX_WORKERS", "")]).expect("an empty one says nothing").workers(), 10);
}

#[test]
fn a_password_is_in_no_error_and_in_no_debug() {
    let text = "backend: { type: redis, url: 'redis://u:hunter2@h', password: hunter2 }\nnode: [hunter2]\n\
                secret_token: hunter2\n";
    let error = loaded("scheduler.yaml", text, [("SCHEDULER_BACKEND_URL", "redis://u:hunter2@h")]).expect_err("wrong");
    assert!(error.problems().len() >= 3, "{error}");
    assert!(!format!("{error} {error:?} {:?}", error.problems()).contains("hunter2"), "{error}");
    let error = Error::from(error);
    assert!(error.is_config() && !format!("{error} {error:?}").contains("hunter2"), "{error}");
}

#[test]
fn a_secret_is_shown_in_no_reason_either() {
    let set = [("SECRET", "hunter2")];
    for text in [
        "timezone: ${SECRET}",
        "tasks: { report: { cron: '${SECRET} * * * *' } }",
        "tasks: { report: { interval: '${SECRET}' } }",
        "tasks: { report: { overlap: '${SECRET}' } }",
        "backend: ${SECRET}",
        "backend: { url: 'host=db password=hunter2' }",
        "backend: { url: 'jdbc:sqlserver://db;user=sa;password=hunter2' }",
        "backend: { url: 'stomp://hunter2@db' }",
        "backend: 'mysql://db?pwd=hunter2'",
        // Names of the user's own may tell of a secret, too.
        "groups: { api_token: hunter2 }",
        "groups: { job: 'https://ci:hunter2@host/?token=hunter2' }",
    ] {
        let error = loaded("scheduler.yaml", text, set).expect_err(text).to_string();
        assert!(!error.contains("hunter2"), "{text}: {error}");
    }
}

#[test]
fn an_override_of_a_task_that_is_not_there_names_its_place_and_the_nearest_task() {
    let error = start_error(of_yaml("tasks:\n  a: {}\n  reprot: { enabled: false }\n"));
    let said = error.to_string();
    assert!(error.is_unknown_task() && error.is_config(), "{said}");
    assert!(
        said.contains("scheduler.yaml:3: there is no task \"reprot\"") && said.contains("did you mean \"report\"?"),
        "{said}"
    );
    let error = start_error(of_variables([("SCHEDULER_DISABLE", "reprot")]).expect("all is right"));
    assert!(error.to_string().contains("SCHEDULER_DISABLE: there is no task \"reprot\""), "{error}");
}

#[test]
fn a_filtered_task_may_still_be_spoken_of() {
    let config = of_yaml("tasks: { report: { enabled: false }, other: {} }");
    let other = Task::new("other", Schedule::interval(Duration::from_secs(60)).expect("a period"), || async {});
    let scheduler = Scheduler::empty().register(tick()).register(other).filter(|task| task.name() == "report");
    assert!(scheduler.config(config).checked().is_ok());
}

#[test]
fn a_task_that_an_override_makes_impossible_names_the_override() {
    let said = start_error(of_yaml("tasks:\n  report:\n    overlap: allow\n")).to_string();
    assert!(said.contains("contradicts") && said.contains("scheduler.yaml:2"), "{said}");
    let config = of_yaml("tasks: { report: { overlap: allow, max_instances: none } }");
    assert!(Scheduler::empty().register(tick()).config(config).checked().is_ok());
}

#[test]
fn every_override_changes_its_option() {
    for (written, part) in [
        ("schedule: 30s", "Schedule::interval(30s)"),
        ("cron: '@daily'", "Schedule::cron"),
        ("interval: 2m", "Schedule::interval(2m)"),
        ("at: 2027-01-01T00:00:00Z", "Schedule::once(2027-01-01"),
        ("timezone: Asia/Tokyo", "timezone: Some(Asia/Tokyo)"),
        ("enabled: false", "disabled: true"),
        ("timeout: none", "timeout: None"),
        ("timeout: 9s", "timeout: Some(9s)"),
        ("retry: none", "max_attempts: 1,"),
        ("retry: aggressive", "max_attempts: 10,"),
        (
            "retry: { strategy: fixed, wait_min: 2s, wait_max: 3s, multiplier: 1.5 }",
            "strategy: Fixed, wait_min: 2s, wait_max: 3s, multiplier: 1.5",
        ),
        ("overlap: buffer_one", "overlap: Some(BufferOne)"),
        ("max_instances: 7", "max_instances: Some(7)"),
        ("misfire: skip", "misfire: Some(Skip)"),
        ("catch_up_window: 6h", "catch_up_window: Some(21600s)"),
        ("jitter: 5s", "jitter: Some(5s)"),
        ("start: 2026-01-01", "start: Some"),
        ("end: 2036-01-01", "end: Some"),
        ("except: '* * 25 12 *'", "except: Some"),
        ("max_runs: 3", "max_runs: Some(3)"),
        ("priority: -5", "priority: -5"),
        ("run_on_start: true", "run_on_start: true"),
        ("delay: fixed_delay", "delay: FixedDelay"),
        ("delivery: at_most_once", "delivery: AtMostOnce"),
        ("group: imports", "group: Some(\"imports\")"),
        ("pause_after: 4", "pause_after: Some(4)"),
        ("expect_success_within: 2h", "expect_success_within: Some(7200s)"),
        ("tags: one", "tags: [\"one\"]"),
        ("metadata: { owner: billing }", "metadata: [(\"owner\", \"billing\")]"),
    ] {
        let plain = format!("{:?}", tick());
        let task = overridden(&of_yaml(&format!("tasks:\n  report:\n    {written}\n")));
        assert!(task.contains(part) && !plain.contains(part), "{written}: {part} is missing in {task}");
    }
    let known: Vec<&str> = super::settings::task().keys().collect();
    assert_eq!(known.len(), 26, "an option was added: give it a row above");
}

#[test]
fn the_predicate_of_a_task_outlives_a_retry_from_a_file() {
    let task = tick().retry(RetryPolicy::standard().when(|_| false));
    let config = of_yaml("tasks: { report: { retry: aggressive } }");
    let task = format!("{:?}", config.overrides.laid_over(vec![task]).remove(0));
    assert!(task.contains("max_attempts: 10") && task.contains("when: Some"), "{task}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_by_its_path() {
    let none = SchedulerConfig::from_file("no/such/file.yaml").expect_err("no file").to_string();
    assert!(none.contains("no/such/file.yaml: it cannot be read"), "{none}");
    let variables = [("SCHEDULER_CONFIG", "no-such.toml")];
    let named = Origin::Load { folder: "folder".into() }.read(&Environment::from(variables)).expect_err("no file");
    assert!(named.to_string().contains("no-such.toml: it cannot be read"), "{named}");
    let strange = loaded("x.ini", "", [("SCHEDULER_CONFIG", "x.ini")]).expect_err("no format");
    assert!(strange.to_string().contains("name it .yaml, .yml, .toml or .json"), "{strange}");
    let folder = tempfile::tempdir().expect("a folder");
    let config = Origin::Load { folder: folder.path().into() }.read(&Environment::default());
    assert_eq!(config.expect("nothing to read").workers(), 10);
}

#[test]
fn the_schema_in_the_docs_is_that_of_the_settings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").join("docs/scheduler.schema.json");
    let schema = SchedulerConfig::json_schema();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &schema).expect("the schema is written");
    }
    let written = std::fs::read_to_string(path).expect("the schema");
    assert!(written == schema, "docs/scheduler.schema.json is another; run this test with BLESS=1 to renew it");
}

#[test]
fn every_impossible_setting_is_named_with_its_value_and_what_is_allowed() {
    let config = SchedulerConfig::new()
        .max_workers(0)
        .queue_size(usize::MAX)
        .shutdown_timeout(Duration::MAX)
        .misfire_grace(Duration::MAX)
        .lease(Duration::from_secs(1))
        .group("imports", 0)
        .node("a\nb");
    let said: Vec<String> = config.problems().iter().map(ToString::to_string).collect();
    for (part, line) in [
        "max_workers = 0",
        "queue_size = 1844",
        "shutdown_timeout = ",
        "misfire_grace = ",
        "lease = 1s",
        "groups = { imports: 0 }",
        "node = \"a\\nb\"",
    ]
    .iter()
    .zip(&said)
    {
        assert!(line.starts_with(part) && line.contains("allowed is"), "{part}: {line}");
    }
    assert_eq!(said.len(), 7);
}

#[test]
fn a_key_that_would_not_be_seen_is_named_all_the_same() {
    let text = "\"\": 1\n\"..\": 2\ntasks:\n  \"\\e[2J\":\n    \"\": 3\n";
    let named: Vec<_> = wrong(text).into_iter().map(|(line, key, says)| (line, says.starts_with(&key), key)).collect();
    let keys = [(1, r#""""#), (2, ".."), (5, r#"tasks."\u{1b}[2J"."""#)];
    assert_eq!(named, keys.map(|(line, key)| (line, true, key.to_owned())));
}

#[test]
fn the_defaults_are_possible() {
    assert!(SchedulerConfig::new().problems().is_empty());
}
