//! What stores hold: timetables, words, rows, messages between nodes, arguments of jobs. Whatever is written there, reading it is
//! refused, or gives what can be gone on with.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use symphra_scheduler::backend::{Backend, Begin, Enqueued, JobArguments, NewJob};
use symphra_scheduler::test_util::doors;
use symphra_scheduler::{
    MemoryBackend, RetryPolicy, RunCursor, RunFilter, RunId, RunState, Scheduler, SchedulerHandle, Task, Timestamp,
};

use super::rig::block_on;
use super::text;

/// How many occurrences of a timetable are looked at.
const STEPS: usize = 10;

/// The timetable of a task, as JSON, and on the line before an instant from which on it is looked at.
pub fn timetable(input: &[u8]) {
    let text = text(input);
    let (from, stored) = text.split_once('\n').unwrap_or(("0", &text));
    let Some(read) = doors::timetable(stored) else { return };
    let written = doors::timetable_written(&read);
    let again = doors::timetable(&written).expect("what is written is read");
    assert_eq!(*again, *read, "{stored} is written as {written}");
    assert_eq!(doors::timetable_written(&again), written);

    let from = Timestamp::from_millis(from.trim().parse().unwrap_or(0));
    let looked = doors::occurrences(&read, from, STEPS);
    let mut before = from;
    for (at, last) in &looked.instants {
        assert!(*at > before, "{written} from {from}: {at} is not after {before}");
        assert_eq!(last, &Some(*at), "{written} from {from}: the last up to {at}");
        before = *at;
    }
    assert_eq!(looked.counted, looked.instants.len() as u64, "{written} from {from} to {before}");
}

/// Words of rows, and places in the list of runs, a line each.
pub fn words(input: &[u8]) {
    for word in text(input).lines() {
        for again in doors::words(word).into_iter().flatten() {
            assert!(again.eq_ignore_ascii_case(word) || again.parse::<RunId>().is_ok(), "{word:?} is {again:?}");
        }
        if let Ok(place) = word.parse::<RunCursor>() {
            assert_eq!(place.to_string(), word);
        }
    }
}

/// Rows as a store in Redis has them, a line each: JSON.
pub fn rows(input: &[u8]) {
    let read: usize = text(input).lines().map(doors::row).sum();
    assert!(read <= 9 * input.len(), "no more than there are");
}

/// Messages between nodes over RabbitMQ, a line each: JSON. Calls and questions among them are made on one store.
pub fn messages(input: &[u8]) {
    doors::messages(&text(input));
}

/// What the job below is called with.
#[derive(Debug, Deserialize, Serialize)]
struct Order {
    number: u64,
    #[serde(default)]
    lines: Vec<String>,
}

struct Jobs {
    backend: MemoryBackend,
    handle: SchedulerHandle,
}

async fn jobs() -> Jobs {
    let backend = MemoryBackend::new();
    // Two versions of its arguments were before this one.
    let task = Task::job("order", |_: Order| async {})
        .upgrade(&[
            |mut old| {
                if let Some(number) = old.get_mut("id").map(serde_json::Value::take) {
                    old["number"] = number;
                }
                old
            },
            |old| if old.is_u64() { serde_json::json!({ "number": old }) } else { old },
        ])
        .retry(RetryPolicy::none());
    let handle = Scheduler::empty().register(task).backend(backend.clone()).start().await.expect("it starts");
    Jobs { backend, handle }
}

/// What a job was enqueued with: the version of its arguments, and on the next line the arguments. Its run ends well, or as one
/// that has failed and is not tried again.
pub fn arguments(input: &[u8]) {
    let text = text(input);
    let (version, json) = text.split_once('\n').unwrap_or(("3", &text));
    let version = version.trim().parse().unwrap_or(3);
    block_on(async {
        let Jobs { backend, handle } = jobs().await;
        let mut events = handle.events();
        let id = RunId::from_parts(Timestamp::from_millis(1_700_000_000_000), 7);
        let task = backend.tasks().await.expect("memory answers")[0].key;
        let arguments = JobArguments { version, json: json.into() };
        let job = NewJob { id, task, arguments, begin: Begin::Now, priority: None, unique: None };
        let enqueued = backend.enqueue_jobs(&[job]).await.expect("memory answers");
        assert_eq!(enqueued, [Enqueued::Queued]);
        // What a newer program has enqueued waits for one.
        while (1..=3).contains(&version) {
            let runs = handle.runs(&RunFilter::new().id(id)).await.expect("memory answers");
            match runs.first().map(|run| run.state) {
                Some(RunState::Succeeded | RunState::Failed) => break,
                Some(RunState::Queued | RunState::Running) | None => {
                    let ended = tokio::time::timeout(Duration::from_secs(10), events.next()).await;
                    assert!(ended.is_ok(), "it does not run: {runs:?}");
                }
                Some(other) => panic!("it is {other}"),
            }
        }
        drop(handle.stop_now().await);
    });
}
