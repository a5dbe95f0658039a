//! Dead letters by commands: listed, run again and dropped, on a store whose program does not run.

use std::time::Duration;

use serde_json::{Value, json};
use symphra_scheduler::{RetryPolicy, Scheduler, SqliteBackend, Task};

use super::rig::{Home, Said, until};

/// A store in which two jobs have failed, the ids of their runs, and the folder in which it stands.
async fn with_letters() -> (Home, Vec<String>) {
    let home = Home::new();
    let backend = SqliteBackend::options().namespace("post").connect(&url(&home)).await.expect("it opens");
    let fails =
        Task::job("send", |mail: Value| async move { Err::<(), _>(format!("no \u{1b}[31mway to {}", mail["to"])) });
    let scheduler = Scheduler::empty().register(fails.retry(RetryPolicy::none())).backend(backend);
    let handle = scheduler.start().await.expect("it starts");
    let mut ids = Vec::new();
    for number in 1..=2 {
        let mail = json!({ "to": number, "api_token": "hunter2", "cc": [{ "password": "hunter2" }] });
        let job = handle.enqueue("send", mail).unique(number.to_string());
        ids.push(job.await.expect("it is enqueued").to_string());
        while handle.dead_letters(&Default::default()).await.expect("they are listed").len() < number {
            tokio::task::yield_now().await;
        }
    }
    handle.stop().await.expect("it stops");
    (home, ids)
}

fn url(home: &Home) -> String {
    format!("sqlite://{}", home.path("store.db").display())
}

fn symphra(home: &Home, arguments: &[&str]) -> Said {
    home.symphra(&[&["--url", &url(home), "--namespace", "post"], arguments].concat())
}

fn json_of(home: &Home, arguments: &[&str]) -> Value {
    let said = symphra(home, &[arguments, &["--json"]].concat()).well();
    serde_json::from_str(&said).expect("it is JSON")
}

#[tokio::test]
async fn letters_are_listed_without_what_is_secret_and_without_control_characters() {
    let (home, ids) = with_letters().await;
    let letters = json_of(&home, &["dead"]);
    let listed: Vec<&str> = letters.as_array().expect("a list").iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!(listed, [&*ids[1], &*ids[0]], "the last first");
    let letter = &letters[0];
    assert_eq!((&letter["task"], &letter["state"], &letter["attempt"]), (&json!("send"), &json!("failed"), &json!(1)));
    assert_eq!(letter["version"], 1);
    assert_eq!(letter["arguments"], json!({ "to": 2, "api_token": "***", "cc": [{ "password": "***" }] }));
    assert_eq!(json_of(&home, &["dead", "send", "-n", "1"]).as_array().map(Vec::len), Some(1));
    let table = symphra(&home, &["dead"]).well();
    assert!(
        table.contains("no \u{fffd}[31mway to 2") && !table.contains('\u{1b}') && !table.contains("hunter2"),
        "{table:?}"
    );
    symphra(&home, &["dead", "sned"]).fails(1, &["there is no task named \"sned\"; did you mean \"send\"?"]);
}

#[tokio::test]
async fn a_letter_whose_key_another_job_has_stays_and_that_job_is_told() {
    let (home, ids) = with_letters().await;
    let backend = SqliteBackend::options().namespace("post").connect(&url(&home)).await.expect("it opens");
    let send = Task::job("send", |_: Value| async {});
    let handle = Scheduler::empty().register(send).backend(backend).start().await.expect("it starts");
    let later = handle.enqueue("send", json!(1)).unique("1").delay(Duration::from_secs(3_600));
    let alive = later.await.expect("the key is free");
    handle.stop().await.expect("it stops");
    let again = json_of(&home, &["run-again", &ids[0]]);
    assert_eq!((&again["done"], &again["run"]), (&json!("known"), &json!(alive.to_string())));
    assert_eq!(json_of(&home, &["dead"]).as_array().map(Vec::len), Some(2), "it stays");
}

#[tokio::test]
async fn a_letter_is_run_again_or_dropped_by_its_id() {
    let (home, ids) = with_letters().await;
    let again = json_of(&home, &["run-again", &ids[0]]);
    assert_eq!(again["done"], "enqueued");
    let run = again["run"].as_str().expect("an id");
    until(|| json_of(&home, &["runs", "send", "--state", "queued"]), &["runs"], |runs| runs[0]["id"] == run);
    assert_eq!(symphra(&home, &["drop-letter", &ids[1]]).well().trim(), format!("dropped run {}", ids[1]));
    assert_eq!(json_of(&home, &["dead"]), json!([]));
    assert_eq!(symphra(&home, &["dead"]).well().trim(), "no dead letter");
    symphra(&home, &["drop-letter", &ids[1]]).fails(1, &["there is no dead letter"]);
    symphra(&home, &["trigger", "send"]).fails(1, &["task \"send\" is a job, and is not triggered"]);
    symphra(&home, &["reschedule", "send", "1h"]).fails(1, &["task \"send\" is a job, and has no schedule"]);
    assert_eq!(json_of(&home, &["list"])[0]["schedule"], "when it is enqueued");
    assert_eq!(json_of(&home, &["cancel", run])["done"], "cancelled", "a job that waits");
}
