//! Stores stay as large as they are, however much runs: of what has ended as much is kept as tasks say, and a little more for a while.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, SqlSafeStr};
use symphra_scheduler::backend::{
    Backend, Claim, End, Finish, Holder, Registration, Retention, RunQuery, Submission, TaskKey, TaskRules,
};
use symphra_scheduler::{
    MemoryBackend, Origin, Outcome, PostgresBackend, RabbitMqBackend, RedisBackend, RunId, Schedule, SqliteBackend,
    TaskName, Timestamp, Timetable,
};
use symphra_scheduler_tests::services::{
    Redis, has_postgres, has_rabbitmq, has_redis, postgres_url, rabbitmq_url, redis_namespace,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How many runs end in one call.
const TOGETHER: usize = 50;

/// How many calls of that kind there are for each task: 2,000 runs of each.
const ROUNDS: usize = 40;

/// What is kept of each task, and how many of its runs may be there for a while beyond that: as many as end before a store looks,
/// with those of the call in which it does.
const KEPT: usize = 10 + 5;
const FOR_A_WHILE: usize = 50 + TOGETHER;

const TASKS: usize = 2;
const MOST: usize = TASKS * (KEPT + FOR_A_WHILE);

/// Runs of two tasks, far more than are kept, every third of which fails and each of which writes a log.
async fn under_load(store: &impl Backend) {
    let holder = Holder::new("a", DAY);
    let retention = Arc::new(Retention { runs: 10, failures: 5, failures_for: DAY });
    let rules = TaskRules { alive_max: None, retention, ..TaskRules::default() };
    let schedule = Schedule::interval(DAY).expect("a period");
    let timetable = Arc::new(Timetable::new(schedule, symphra_scheduler::chrono_tz::UTC));
    let tasks = ["pay", "ship"].map(|name| Registration {
        name: TaskName::new(name).expect("a name"),
        timetable: Arc::clone(&timetable),
        rules: rules.clone(),
    });
    let registered = store.register(&holder, &tasks).await.expect("they are registered");
    for round in 0..ROUNDS {
        for task in &registered {
            run_some(store, &holder, task.key, round).await;
        }
    }
    for task in &registered {
        let ended = store.ledger(task.key).await.expect("it is told");
        assert_eq!(ended.occurrences, 0, "triggers are no occurrences");
        let rows = store.runs(&RunQuery::of(task.key)).await.expect("they are listed");
        assert!((KEPT.min(10)..=KEPT + FOR_A_WHILE).contains(&rows.len()), "{} rows are listed", rows.len());
        let last = RunId::from_parts(Timestamp::from_millis(1), number(task.key, ROUNDS - 1, TOGETHER - 1));
        assert!(rows.iter().any(|row| row.id == last), "the last is there");
    }
}

fn number(task: TaskKey, round: usize, place: usize) -> u128 {
    u128::from(task.0) << 40 | (round * TOGETHER + place) as u128
}

async fn run_some(store: &impl Backend, holder: &Holder, task: TaskKey, round: usize) {
    let submissions: Vec<Submission> = (0..TOGETHER)
        .map(|place| RunId::from_parts(Timestamp::from_millis(1), number(task, round, place)))
        .map(|id| Submission { id, task, origin: Origin::Trigger(id), scheduled_at: None, overlap: None })
        .collect();
    store.submit(&submissions).await.expect("they are accepted");
    let claim_number = (round as u64) << 32 | task.0;
    let claim = Claim { number: claim_number, tasks: [task].into(), jobs: [].into(), max: TOGETHER };
    let claimed = store.claim(holder, &claim).await.expect("they are claimed").runs;
    assert_eq!(claimed.len(), TOGETHER);
    let ends: Vec<Finish> = (claimed.iter().enumerate())
        .map(|(place, run)| Finish {
            task,
            id: run.id,
            token: run.hold.token,
            end: End::Final(match place % 3 {
                0 => Outcome::TimedOut(DAY),
                _ => Outcome::Succeeded,
            }),
            started_at: Some(run.due_at),
            finished_at: run.due_at,
            log: Some("it has begun".into()),
        })
        .collect();
    store.finish(&ends).await.expect("they end");
}

#[tokio::test]
async fn memory_stays_as_large_as_it_is() {
    under_load(&MemoryBackend::new()).await;
}

#[tokio::test]
async fn what_an_owner_keeps_stays_as_large_as_it_is() {
    if has_rabbitmq() {
        let options = RabbitMqBackend::options().namespace(redis_namespace());
        under_load(&options.connect(rabbitmq_url()).await.expect("it opens")).await;
    }
}

#[tokio::test]
async fn the_tables_of_a_file_stay_as_large_as_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/store.db", folder.path().display());
    under_load(&SqliteBackend::options().namespace("flat").connect(&url).await.expect("it opens")).await;
    let mut file = sqlx::SqliteConnection::connect(&url).await.expect("it can be read by others");
    for (table, most) in [("history", MOST), ("logs", MOST), ("runs", 0)] {
        let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM flat_{table}")).into_sql_str();
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut file).await.expect("it is counted");
        assert!(usize::try_from(rows).is_ok_and(|rows| rows <= most), "{rows} rows of {table}");
    }
}

#[tokio::test]
async fn the_tables_of_a_database_stay_as_large_as_they_are() {
    if !has_postgres() {
        return;
    }
    let schema = format!("flat_{:x}", fastrand::u64(..));
    let options = PostgresBackend::options().schema(schema.clone()).namespace("flat").max_connections(3);
    under_load(&options.connect(postgres_url()).await.expect("it opens")).await;
    let mut server = sqlx::PgConnection::connect(postgres_url()).await.expect("it answers");
    for (table, most) in [("history", MOST), ("logs", MOST), ("runs", 0)] {
        let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {schema}.flat_{table}")).into_sql_str();
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut server).await.expect("it is counted");
        assert!(usize::try_from(rows).is_ok_and(|rows| rows <= most), "{rows} rows of {table}");
    }
}

#[tokio::test]
async fn the_keys_of_a_redis_stay_as_large_as_they_are() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    under_load(&RedisBackend::options().namespace("flat").connect(&server.url()).await.expect("it opens")).await;
    let count = |command: &str, key: &str| -> usize {
        let answer = server.ask(&format!("{command} {{symphra:flat}}:{key}"));
        answer.trim().trim_start_matches(':').parse().unwrap_or_else(|_| panic!("{command} {key}: {answer}"))
    };
    for (command, key, most) in
        [("HLEN", "ended", MOST), ("HLEN", "logs", MOST), ("ZCARD", "history", MOST), ("HLEN", "runs", 0)]
    {
        let entries = count(command, key);
        assert!(entries <= most, "{entries} of {key}");
    }
    assert_eq!(count("HLEN", "ended"), count("ZCARD", "history"), "each has its place in the order");
}
