//! The HTTP API: answers, errors, and the document that describes it.

use std::time::Duration;

use serde_json::{Value, json};
use symphra_scheduler::logging::{LogEvent, LoggerAdapter};
use symphra_scheduler::test_util::{Chaos, Held};
use symphra_scheduler::{Dashboard, MemoryBackend, Schedule, Scheduler, Task};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::rig::{HOSTILE, PATIENCE, Served};

#[tokio::test]
async fn what_is_changed_by_the_api_is_changed_in_the_scheduler() {
    let served = Served::by(Dashboard::allow_writes).await;
    let run = served.post("/api/trigger", json!({ "task": "quiet" })).await.json();
    assert_eq!((&run["done"], &run["task"]), (&json!("triggered"), &json!("quiet")));
    let paused = served.post("/api/pause", json!({ "task": "quiet", "reason": "a move" })).await.json();
    assert_eq!(paused["done"], "paused");
    let pause = served.scheduler.task("quiet").expect("it is there").pause.expect("it is paused");
    assert_eq!((&*pause.by, pause.reason.as_deref()), ("dashboard", Some("a move")));
    let listed = served.get("/api/tasks?status=paused").await.json();
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["name"]), (Some(1), &json!("quiet")));
    assert_eq!(served.post("/api/resume", json!({ "task": "quiet" })).await.json()["done"], "resumed");
    assert!(served.scheduler.task("quiet").expect("it is there").pause.is_none());
    assert_eq!(served.post("/api/pause", json!({ "all": true })).await.json()["done"], "paused");
    assert_eq!(served.post("/api/resume", json!({ "all": true })).await.json()["done"], "resumed");
    let rescheduled = served.post("/api/reschedule", json!({ "task": "quiet", "schedule": "0 9 * * *" })).await;
    assert_eq!(rescheduled.json()["done"], "rescheduled");
    assert!(
        served.get("/api/next?task=quiet&count=2").await.json()[0]["next"].as_array().is_some_and(|all| all.len() == 2)
    );

    let actions = served.get("/api/actions").await.json();
    let told: Vec<(&str, &str)> = (actions.as_array().expect("a list").iter())
        .map(|action| (action["change"].as_str().unwrap_or_default(), action["outcome"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(told.len(), 6, "{told:?}");
    assert_eq!(told[5], ("trigger (task: quiet)", "done"), "the last one first");
    assert_eq!(told[4], ("pause (task: quiet, reason: a move)", "done"));
}

#[tokio::test]
async fn what_is_asked_wrongly_is_told_with_its_status() {
    let served = Served::by(Dashboard::allow_writes).await;
    for (path, status, kind) in [
        ("/api/task?task=nothing", 404, "unknown_task"),
        ("/api/task", 400, "bad_request"),
        ("/api/tasks?status=odd", 400, "bad_request"),
        ("/api/tasks?stats=paused", 400, "bad_request"),
        ("/api/tasks?tag=a&tag=b", 400, "bad_request"),
        ("/api/runs?count=0", 400, "bad_request"),
        ("/api/runs?count=1001", 400, "bad_request"),
        ("/api/runs?state=queued,odd", 400, "bad_request"),
        ("/api/runs?from=soon", 400, "bad_request"),
        ("/api/run?run=1", 400, "bad_request"),
        ("/api/run?run=0192f0c1-0000-7000-8000-000000000000", 404, "unknown_run"),
        ("/api/explain?task=quiet&at=soon", 400, "bad_request"),
        ("/api/nothing", 404, "not_found"),
    ] {
        assert_eq!(served.get(path).await.refused(status), kind, "{path}");
    }
    for (path, body, status) in [
        ("/api/trigger", "", 400),
        ("/api/trigger", "no JSON", 400),
        ("/api/trigger", "[]", 400),
        ("/api/trigger", r#"{"task":["quiet"]}"#, 400),
        ("/api/trigger", r#"{"task":"nothing"}"#, 404),
        ("/api/trigger", r#"{"task":"quiet","al":true}"#, 400),
        ("/api/pause", "{}", 400),
        ("/api/pause", r#"{"task":"quiet","all":true}"#, 400),
        ("/api/reschedule", r#"{"task":"quiet","schedule":"99 * * * *"}"#, 400),
        ("/api/cancel", r#"{"run":"0192f0c1-0000-7000-8000-000000000000"}"#, 404),
    ] {
        let origin = served.origin();
        let said = served.send("POST", path, &[("Origin", &origin)], body).await;
        assert_eq!(said.status, status, "{path} {body}: {said:?}");
        assert!(said.json()["error"]["message"].is_string());
    }
    let says = served.get("/api/tasks?stats=paused").await.json()["error"]["message"].to_string();
    assert!(says.contains("did you mean") && says.contains("status"), "{says}");
    let long = format!("{{\"task\":\"{}\"}}", "x".repeat(70_000));
    let origin = served.origin();
    assert_eq!(served.send("POST", "/api/trigger", &[("Origin", &origin)], &long).await.status, 413);
    served.scheduler.stop().await.expect("it stops");
    let origin = served.origin();
    let said = served.send("POST", "/api/trigger", &[("Origin", &origin)], r#"{"task":"quiet"}"#).await;
    assert_eq!(said.refused(503), "stopped");
    assert_eq!(served.get("/livez").await.status, 503, "a scheduler that has stopped is not alive");
}

#[tokio::test]
async fn what_a_program_wrote_leaves_redacted_and_cut() {
    let served = Served::by(|dashboard| dashboard.redact(|text| text.replace("hunter2", "[left out]"))).await;
    let run = served.has_run("fails").await;
    for path in ["/api/runs?task=fails".to_owned(), format!("/api/run?run={run}"), "/api/task?task=fails".to_owned()] {
        let said = served.get(&path).await;
        assert!(!said.body.contains("hunter2") && said.body.contains("[left out]"), "{path}");
    }
    let failure =
        served.get(&format!("/api/run?run={run}")).await.json()["failure"].as_str().expect("it failed").to_owned();
    assert!(failure.len() <= 8 * 1024 && failure.ends_with('…'), "{} bytes", failure.len());
    for path in ["/runs".to_owned(), format!("/run?id={run}"), "/task?name=fails".to_owned(), "/".to_owned()] {
        let body = served.get(&path).await.with(200);
        assert!(!body.contains("hunter2"), "{path}");
        assert!(!body.contains("<script>") && !body.contains(HOSTILE), "{path} escapes");
    }
    assert!(served.get(&format!("/run?id={run}")).await.body.contains("&lt;script&gt;"), "and shows it");
    assert!(served.get("/").await.body.contains("night&lt;b&gt;"), "tags too");
}

#[tokio::test]
async fn openapi_has_every_route_and_no_other() {
    let served = Served::by(Dashboard::allow_writes).await;
    let document = served.get("/api/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().expect("paths");
    for (path, methods) in paths {
        let methods = methods.as_object().expect("methods");
        assert_eq!(methods.len(), 1, "{path}");
        for (method, other) in [("get", "post"), ("post", "get")] {
            let said = match method {
                "get" => served.get(&format!("/api{path}")).await,
                _ => served.post(&format!("/api{path}"), json!({})).await,
            };
            let is_there = methods.contains_key(method);
            assert!(is_there == (said.status != 405 && !said.body.contains("not_found")), "{method} {path}: {said:?}");
            assert!(is_there != methods.contains_key(other));
        }
    }
    // As they stand in the brief of what there has to be: a route that is taken away is missed.
    let there: Vec<&str> = paths.keys().map(|path| path.trim_start_matches('/')).collect();
    for path in [
        "tasks",
        "task",
        "runs",
        "run",
        "next",
        "explain",
        "nodes",
        "health",
        "dead-letters",
        "preview",
        "trigger",
        "pause",
        "resume",
        "reschedule",
        "backfill",
        "cancel",
        "run-again",
        "drop-letter",
        "actions",
        "openapi.json",
    ] {
        assert!(there.contains(&path), "{path} is described");
    }
    assert_eq!(there.len(), 20, "{there:?}");
}

#[tokio::test]
async fn answers_are_what_openapi_says() {
    let served = Served::by(Dashboard::allow_writes).await;
    let run = served.has_run("fails").await;
    served.post("/api/pause", json!({ "task": "quiet", "reason": "a move" })).await;
    let document = served.get("/api/openapi.json").await.json();
    let now = "2026-06-01T00:00:00Z";
    for path in [
        "/tasks".to_owned(),
        "/task?task=fails".to_owned(),
        "/task?task=quiet".to_owned(),
        "/runs".to_owned(),
        format!("/run?run={run}"),
        "/next?count=2".to_owned(),
        format!("/explain?task=quiet&at={now}"),
        "/nodes".to_owned(),
        "/health".to_owned(),
        "/dead-letters".to_owned(),
        format!("/preview?task=quiet&from={now}"),
        "/actions".to_owned(),
    ] {
        let said = served.get(&format!("/api{path}")).await;
        assert_eq!(said.status, 200, "{path}: {said:?}");
        fits(&document, path.split('?').next().expect("a path"), "get", &said.json());
    }
    let said = served.post("/api/trigger", json!({ "task": "quiet" })).await;
    fits(&document, "/trigger", "post", &said.json());
    let said = served.post("/api/backfill", json!({ "task": "quiet", "from": now, "rerun": true })).await;
    fits(&document, "/backfill", "post", &said.json());
}

/// Whether an answer is what its schema says, and has no field of which that is silent.
fn fits(document: &Value, path: &str, method: &str, answer: &Value) {
    let schema = &document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{path} has a schema");
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&whole).expect("it is a schema");
    let problems: Vec<String> = validator.iter_errors(answer).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{path}: {problems:?} in {answer}");
    let described = document["components"]["schemas"].to_string();
    let one = if answer.is_array() { &answer[0] } else { answer };
    for field in one.as_object().into_iter().flat_map(|fields| fields.keys()) {
        assert!(described.contains(&format!("{field:?}")), "{path}: {field} is described");
    }
}

#[tokio::test]
async fn news_come_coalesced_and_to_so_many() {
    let served = Served::by(|dashboard| dashboard).await;
    let mut first = served.ask("GET", "/events", &[], "").await;
    let mut read = String::new();
    until(&mut first, &mut read, "text/event-stream").await;
    // A thousand changes, and at least one message; how many more depends on how long they take.
    for _ in 0..500 {
        served.scheduler.pause_task("quiet").await.expect("it is there");
        served.scheduler.resume_task("quiet").await.expect("it is there");
    }
    let asked = tokio::time::Instant::now();
    until(&mut first, &mut read, "data: changed").await;
    served.scheduler.pause_task("quiet").await.expect("it is there");
    until(&mut first, &mut read, "data: changed").await;
    assert!(asked.elapsed() < PATIENCE);

    let mut more = Vec::new();
    for _ in 1..64 {
        let mut listener = served.ask("GET", "/events", &[], "").await;
        until(&mut listener, &mut String::new(), "text/event-stream").await;
        more.push(listener);
    }
    assert_eq!(served.get("/events").await.status, 503, "all places are taken");
    drop(more);
}

/// Reads on until `wanted` has come, and forgets what stands before its end.
async fn until(stream: &mut tokio::net::TcpStream, read: &mut String, wanted: &str) {
    let mut some = [0; 4096];
    loop {
        if let Some(at) = read.find(wanted) {
            read.drain(..at + wanted.len());
            return;
        }
        let count = timeout(PATIENCE, stream.read(&mut some)).await.expect("in time").expect("it reads");
        assert!(count > 0, "it ended before {wanted:?} came: {read}");
        read.push_str(&String::from_utf8_lossy(&some[..count]));
    }
}

/// Who closes his connection before the answer leaves no gap in the audit log.
#[tokio::test]
async fn a_change_whose_asker_has_gone_is_seen_through_and_kept() {
    let (asked, was_asked) = tokio::sync::mpsc::unbounded_channel();
    let store = Chaos::new(MemoryBackend::new());
    let hour = Schedule::interval(Duration::from_secs(3_600)).expect("an hour is possible");
    let scheduler = Scheduler::empty().register(Task::new("quiet", hour, || async {})).backend(store.clone());
    let scheduler = scheduler.logger(Asked(asked)).start().await.expect("it starts");
    let served = Served::of(scheduler, Dashboard::allow_writes, |router| router).await;
    store.hold("control", Held::Call);
    let origin = served.origin();
    let body = json!({ "task": "quiet" }).to_string();
    let connection = served.ask("POST", "/api/pause", &[("Origin", &origin)], &body).await;
    let mut was_asked = was_asked;
    timeout(PATIENCE, was_asked.recv()).await.expect("in time").expect("the change is under way");
    drop(connection);
    // Another answer, by which the server has looked at its connections once more.
    assert_eq!(served.get("/api/nodes").await.status, 200);
    store.let_go("control");
    let kept = async {
        while served.scheduler.actions(1).await.expect("memory answers").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, kept).await.expect("it is kept");
    assert!(served.scheduler.task("quiet").expect("it is there").pause.is_some(), "and done");
}

/// Tells when somebody asks for a change.
struct Asked(tokio::sync::mpsc::UnboundedSender<()>);

impl LoggerAdapter for Asked {
    fn log(&self, event: &LogEvent<'_>) {
        if event.name() == "control.asked" {
            // Nobody may listen any more.
            let _ = self.0.send(());
        }
    }
}
