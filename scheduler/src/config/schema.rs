//! The JSON Schema of a configuration file, made from the table of settings, so that it cannot say anything else.

use serde_json::{Map, Value as Json, json};

use super::SchedulerConfig;
use super::settings;

impl SchedulerConfig {
    /// The JSON Schema (draft 2020-12) of a configuration file, for editors that complete and check it. It also stands in
    /// `docs/scheduler.schema.json`.
    #[must_use]
    pub fn json_schema() -> String {
        let scheduler = settings::scheduler();
        let mut properties: Map<String, Json> = Map::new();
        properties.insert("scheduler".into(), described("Settings of the scheduler.", scheduler.schema()));
        properties.insert("backend".into(), settings::backend::schema());
        properties.insert("logging".into(), described("How the log is written.", settings::logging().schema()));
        properties.insert("daemon".into(), described("Settings of a daemon.", settings::daemon().schema()));
        properties.insert(
            "tasks".into(),
            json!({
                "description": "What of tasks differs from their attributes, by task name.",
                "type": "object",
                "additionalProperties": settings::task().schema(),
            }),
        );
        properties.extend(scheduler.properties());
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Symphra Scheduler",
            "description": "The configuration of a program with a Symphra Scheduler.",
            "type": "object",
            "additionalProperties": false,
            "properties": properties,
        });
        format!("{schema:#}\n")
    }
}

fn described(about: &str, mut schema: Json) -> Json {
    if let Json::Object(keys) = &mut schema {
        keys.insert("description".into(), about.into());
    }
    schema
}
