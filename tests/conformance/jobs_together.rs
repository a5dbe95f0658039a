//! How much of jobs a claim brings from a store in SQL.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler::backend::{
    ARGUMENTS_BYTES_MAX, Backend, Begin, Claim, Claims, End, Finish, Holder, JobArguments, NewJob, Registration,
    TaskKey, TaskRules,
};
use symphra_scheduler::{Outcome, PostgresBackend, RunId, Schedule, SqliteBackend, TaskName, Timetable};
use symphra_scheduler_tests::services::{has_postgres, postgres_url};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn node() -> Holder {
    Holder::new("a", Duration::from_secs(600))
}

async fn claim(store: &impl Backend, task: TaskKey, number: u64) -> Claims {
    let claim = Claim { number, tasks: [task].into(), jobs: [(task, 1)].into(), max: 100 };
    store.claim(&node(), &claim).await.expect("a claim is answered")
}

/// Ends the runs of a claim, or gives them back before they have begun.
async fn finish(store: &impl Backend, claims: &Claims, end: fn() -> End) {
    let ends = claims.runs.iter().map(|run| Finish {
        task: run.task,
        id: run.id,
        token: run.hold.token,
        end: end(),
        started_at: None,
        finished_at: run.due_at,
        log: None,
    });
    store.finish(&ends.collect::<Vec<_>>()).await.expect("they end");
}

async fn four_megabytes_are_brought_and_it_is_said_that_there_is_more(store: impl Backend) {
    let timetable = Timetable::new(Schedule::interval(DAY).expect("a period"), symphra_scheduler::chrono_tz::UTC);
    let rules = TaskRules { alive_max: None, reads: 1, ..TaskRules::default() };
    let task = Registration { name: TaskName::new("note").expect("a name"), timetable: Arc::new(timetable), rules };
    let task = store.register(&node(), &[task]).await.expect("it is registered").remove(0);
    // As long as may be, in characters of several bytes.
    let longest: Arc<str> = format!("\"{}\"", "é".repeat((ARGUMENTS_BYTES_MAX - 2) / 2)).into();
    let job = |number| NewJob {
        id: RunId::from_parts(task.anchor, number),
        task: task.key,
        arguments: JobArguments { version: 1, json: Arc::clone(&longest) },
        begin: Begin::At(task.anchor),
        priority: None,
        unique: None,
    };
    for some in (0..40).map(job).collect::<Vec<_>>().chunks(10) {
        store.enqueue_jobs(some).await.expect("they are enqueued");
    }
    let first = claim(&store, task.key, 1).await;
    assert_eq!(first.runs.len(), 16, "4 MB");
    let is_whole =
        |claims: &Claims| claims.runs.iter().all(|run| run.arguments.as_ref().is_some_and(|it| it.json == longest));
    assert!(is_whole(&first));
    assert!(first.next_at.is_some(), "the others can be claimed at once");
    let again = claim(&store, task.key, 1).await;
    let ids = |claims: &Claims| claims.runs.iter().map(|run| run.id).collect::<BTreeSet<_>>();
    assert_eq!(ids(&again), ids(&first), "and the same claim has the same answer");
    // Those that have begun before are as long.
    finish(&store, &first, || End::HandBack).await;
    let mut got = BTreeSet::new();
    for (number, count) in [(2, 16), (3, 16), (4, 8), (5, 0)] {
        let claims = claim(&store, task.key, number).await;
        assert!(is_whole(&claims) && claims.runs.len() == count, "claim {number}: {} jobs", claims.runs.len());
        assert_eq!(claims.next_at.is_some(), number < 4, "claim {number}");
        got.extend(ids(&claims));
        finish(&store, &claims, || End::Final(Outcome::Succeeded)).await;
    }
    assert_eq!(got.len(), 40, "each once");
}

#[tokio::test]
async fn a_claim_of_a_file_brings_four_megabytes_and_says_that_there_is_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/store.db", folder.path().display());
    let store = SqliteBackend::connect(&url).await.expect("it opens");
    four_megabytes_are_brought_and_it_is_said_that_there_is_more(store).await;
}

#[tokio::test]
async fn a_claim_of_a_server_brings_four_megabytes_and_says_that_there_is_more() {
    if !has_postgres() {
        return;
    }
    let options = PostgresBackend::options().schema(format!("together_{:x}", fastrand::u64(..)));
    let store = options.connect(postgres_url()).await.expect("it opens");
    four_megabytes_are_brought_and_it_is_said_that_there_is_more(store).await;
}
