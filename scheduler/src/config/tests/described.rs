//! What the table of settings calls a default is what holds where nothing is said.

use serde_json::Value as Json;

use crate::SchedulerConfig;
use crate::config::{defaults, history::HistoryConfig};
use crate::logging::{LogFormat, LoggingConfig, Rotation};
use crate::parse_duration;

/// What the description of the setting at `path` calls its default.
fn described(path: &str) -> String {
    let schema: Json = serde_json::from_str(&SchedulerConfig::json_schema()).expect("a schema is JSON");
    let pointer = format!("/properties/{}/description", path.replace('.', "/properties/"));
    let says = schema.pointer(&pointer).and_then(Json::as_str).expect(path);
    let (_, default) = says.split_once("Default ").expect("it names its default");
    default.trim_end_matches('.').to_owned()
}

#[test]
fn what_a_description_calls_the_default_is_it() {
    let history = HistoryConfig::default().retention();
    let logging = LoggingConfig::new();
    for (path, default) in [
        ("max_workers", defaults::MAX_WORKERS.to_string()),
        ("queue_size", defaults::QUEUE_SIZE.to_string()),
        ("timezone", defaults::TIMEZONE.to_string()),
        ("groups", format!("{} for each", defaults::GROUP_MAX)),
        ("history.runs", history.runs.to_string()),
        ("history.failures", history.failures.to_string()),
        ("logging.task_success", logging.says_success().to_string()),
    ] {
        assert_eq!(described(path), default, "{path}");
    }
    for (path, default) in [
        ("shutdown_timeout", defaults::SHUTDOWN_TIMEOUT),
        ("misfire_grace", defaults::MISFIRE_GRACE),
        ("lease", defaults::LEASE),
        ("history.failures_for", history.failures_for),
        ("daemon.startup_timeout", crate::DaemonConfig::new().patience()),
    ] {
        assert_eq!(parse_duration(&described(path)).ok(), Some(default), "{path}");
    }
    assert_eq!(described("logging.format").parse::<LogFormat>(), Ok(LogFormat::default()));
    assert_eq!(described("logging.rotation").parse::<Rotation>(), Ok(Rotation::default()));
    #[cfg(feature = "metrics")]
    {
        let (tasks, histograms) = crate::config::MetricsConfig::new().labels();
        assert_eq!(described("metrics.task_limit"), tasks.to_string());
        assert_eq!(described("metrics.task_histograms"), histograms.to_string());
    }
}
