//! The JSON Schema of a configuration file: what it takes the reader takes, and what it refuses the reader refuses; and
//! the book's page of all settings is made of both.

#[path = "schema/reference.rs"]
mod reference;

use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::{Value as Json, json};
use symphra_scheduler::SchedulerConfig;
use toml::de::DeTable;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("a readable file")
}

fn schema() -> Json {
    serde_json::from_str(&SchedulerConfig::json_schema()).expect("a schema is JSON")
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).expect("a schema of draft 2020-12")
}

/// What the reader says to a file of this name and text.
fn read(name: &str, text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(name);
    fs::write(&file, text).expect("a file");
    SchedulerConfig::from_file(&file).map(|_| ()).map_err(|error| error.to_string())
}

/// The blocks of `language` in a text.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("```{language}\n");
    page.split(&start).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_file_in_the_book_is_what_the_program_says() {
    if std::env::var_os("BLESS").is_some() {
        fs::write(root().join("docs/scheduler.schema.json"), SchedulerConfig::json_schema())
            .expect("it can be written");
    }
    assert_eq!(text("docs/scheduler.schema.json"), SchedulerConfig::json_schema(), "write it anew with BLESS=1");
}

#[test]
fn what_is_right_is_valid_and_read() {
    let validator = validator();
    let valid = |what: &str, json: &Json| {
        let errors: Vec<String> = validator.iter_errors(json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{what}: {errors:?}");
    };
    let page = text("docs/en/configuration.md");
    // What the last block shows is wrong on purpose.
    let yaml = blocks(&page, "yaml");
    let mut examples = vec![text("examples/configuration/scheduler.yaml"), yaml[0].to_owned()];
    for (page, shown) in [("README.md", 1), ("docs/en/backends.md", 4), ("docs/en/metrics.md", 1)] {
        let text = text(page);
        let yaml = blocks(&text, "yaml");
        assert_eq!(yaml.len(), shown, "configurations of {page}");
        examples.extend(yaml.into_iter().map(str::to_owned));
    }
    let toml = blocks(&page, "toml");
    assert!(read("scheduler.toml", toml[1]).is_ok(), "{}", toml[1]);
    for example in examples {
        read("scheduler.yaml", &example).expect(&example);
        valid(&example, &serde_saphyr::from_str(&example).expect("YAML"));
    }
    for json in [
        json!({}),
        json!({ "scheduler": { "max_workers": 1, "lease": "1m30s", "shutdown_timeout": 0, "groups": { "imports": 2 } } }),
        json!({ "max_workers": 5, "backend": "memory", "node": "a", "misfire_grace": 1.5 }),
        json!({ "backend": { "type": "memory" }, "daemon": { "name": "reports", "startup_timeout": "5s" } }),
        json!({ "backend": "sqlite" }),
        json!({ "backend": "sqlite://a.db" }),
        json!({ "backend": { "type": "sqlite" } }),
        json!({ "backend": { "url": "sqlite://a.db", "max_connections": 2, "namespace": "pay", "migrate": "check" } }),
        json!({ "backend": { "type": "postgres", "url": "postgresql://db/a", "schema": "jobs", "notify": false } }),
        json!({ "backend": { "type": "redis", "url": "redis://localhost:6379/0", "max_connections": 50 } }),
        json!({ "backend": { "type": "rabbitmq", "url": "amqp://app@localhost:5672/jobs", "max_connections": 50 } }),
        json!({ "backend": "amqps://rabbit.example" }),
        json!({ "backend": "redis+sentinel://a:26379,b:26379/main" }),
        json!({ "tasks": { "a": {}, "b": { "interval": "30s", "tags": "one", "metadata": { "owner": "x" } } } }),
        json!({ "tasks": { "a": { "schedule": "0 9 * * MON-FRI", "retry": "none", "timeout": "none" } } }),
        json!({ "tasks": { "a": { "cron": "@daily", "retry": { "max_attempts": 3, "multiplier": 1.5, "jitter": true } } } }),
        json!({ "tasks": { "a": { "at": "2027-01-01T00:00:00Z", "priority": -100, "delivery": "at_most_once" } } }),
        json!({ "tasks": { "a": { "misfire": "run_all", "overlap": "buffer_all", "catch_up_window": "6h", "group": "g" } } }),
        json!({ "history": { "runs": 500, "failures_for": "90d" }, "scheduler": {} }),
        json!({ "max_workers": "${N:-4}", "lease": "${L:-1m}", "logging": { "format": "${F:-json}" } }),
        json!({ "tasks": { "a": { "enabled": "${ON:-true}", "retry": { "multiplier": "${M:-2.5}" } } } }),
        json!({ "tasks": { "a": { "start": "2026-01-01", "end": "none", "except": "* * 25 12 *", "max_runs": 1 } } }),
    ] {
        let text = json.to_string();
        valid(&text, &json);
        read("scheduler.json", &text).expect(&text);
    }
}

#[test]
fn what_is_wrong_is_neither_valid_nor_read() {
    let validator = validator();
    for json in [
        json!([]),
        json!({ "logs": {} }),
        json!({ "max_workers": 0 }),
        json!({ "max_workers": true }),
        json!({ "scheduler": { "queue_sise": 5 } }),
        json!({ "scheduler": { "lease": "soon" } }),
        json!({ "scheduler": { "shutdown_timeout": -1 } }),
        json!({ "node": "" }),
        json!({ "history": { "runs": 0 } }),
        json!({ "max_workers": "4 or $5" }),
        json!({ "groups": { "imports": 0 } }),
        json!({ "backend": "mysql" }),
        json!({ "backend": "mysql://db" }),
        json!({ "backend": { "type": "memory", "url": "x" } }),
        json!({ "backend": { "type": "memory", "namespace": "pay" } }),
        json!({ "backend": { "type": "sqlite", "url": "postgres://db/a" } }),
        json!({ "backend": { "type": "sqlite", "schema": "jobs" } }),
        json!({ "backend": { "url": "sqlite://a.db", "notify": false } }),
        json!({ "backend": { "type": "sqlite", "namespace": "Pay" } }),
        json!({ "backend": { "type": "sqlite", "migrate": "never" } }),
        json!({ "backend": { "type": "redis", "url": "sqlite://a.db" } }),
        json!({ "backend": { "type": "redis", "url": "redis://h", "schema": "jobs" } }),
        json!({ "backend": { "type": "rabbitmq", "url": "redis://h" } }),
        json!({ "backend": { "type": "rabbitmq", "url": "amqp://h", "notify": false } }),
        json!({ "daemon": { "nam": "a" } }),
        json!({ "tasks": [] }),
        json!({ "tasks": { "a": { "enabled": "yes" } } }),
        json!({ "tasks": { "a": { "overlap": "skipp" } } }),
        json!({ "tasks": { "a": { "retry": "often" } } }),
        json!({ "tasks": { "a": { "retry": { "max_attempts": 0 } } } }),
        json!({ "tasks": { "a": { "retry": { "when": "x" } } } }),
        json!({ "tasks": { "a": { "priority": 101 } } }),
        json!({ "tasks": { "a": { "max_runs": 0 } } }),
        json!({ "tasks": { "a": { "timeout": "a while" } } }),
        json!({ "tasks": { "a": { "tags": [[1]] } } }),
        json!({ "tasks": { "a": { "name": "b" } } }),
    ] {
        assert!(!validator.is_valid(&json), "valid: {json}");
        assert!(read("scheduler.json", &json.to_string()).is_err(), "read: {json}");
    }
    let wrong = text("examples/configuration/wrong.yaml");
    assert!(!validator.is_valid(&serde_saphyr::from_str(&wrong).expect("YAML")));
    assert!(read("scheduler.yaml", &wrong).is_err());
}

/// What a page has its reader write into `Cargo.toml` names features that there are, of the version that this is.
#[test]
fn dependencies_of_the_book_are_of_this_version_and_name_features_that_there_are() {
    let manifest = text("scheduler/Cargo.toml");
    let manifest = DeTable::parse(&manifest).expect("a manifest");
    let ours = manifest.get_ref()["features"].get_ref();
    let mut seen = 0;
    for name in ["configuration.md", "running.md", "start.md", "testing.md"] {
        let page = text(&format!("docs/en/{name}"));
        for block in blocks(&page, "toml").into_iter().filter(|block| block.contains("dependencies]")) {
            let shown = DeTable::parse(block).unwrap_or_else(|error| panic!("{name}: {error}"));
            for (_, dependencies) in shown.get_ref() {
                let wanted = dependencies.get_ref()["symphra-scheduler"].get_ref();
                let version = wanted.as_str().or_else(|| wanted["version"].get_ref().as_str()).expect("a version");
                assert!(env!("CARGO_PKG_VERSION").starts_with(&format!("{version}.")), "{name}: {version}");
                let features = wanted.get("features").and_then(|features| features.get_ref().as_array());
                for feature in features.into_iter().flatten() {
                    let feature = feature.get_ref().as_str().expect("a name");
                    assert!(ours.get(feature).is_some(), "{name}: there is no feature {feature}");
                }
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 4);
}
