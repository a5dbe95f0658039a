//! The whole life of a run on a durable backend, beside bare statements on the same database in the same run.
//!
//! ```text
//! cargo run --release -- sqlite:///tmp/bench.db 5
//! cargo run --release -- postgres://postgres@127.0.0.1/test 5
//! ```
//!
//! Ours: batches of 256 occurrences are fired, which inserts and claims their runs, and are finished, which writes their
//! history and their tasks' marks, ledgers and last successes. The floor does the least that a queue must: it inserts a row
//! per run in one statement of its own, claims 64 at a time, and ends each by one statement. One JSON object a line.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono_tz::Tz;
use sqlx::{Executor, PgPool, Row, SqlitePool};
use symphra_scheduler::backend::{
    Admission, Backend, End, Finish, Firing, Holder, NewRun, Registered, Registration, TaskRules, Token,
};
use symphra_scheduler::{Outcome, PostgresBackend, RunId, Schedule, SqliteBackend, TaskName, Timetable};
use symphra_scheduler_core::Timestamp;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const BATCH: usize = 256;

/// Claims of the floor.
const CLAIMED: i64 = 64;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let url = words.next().ok_or("usage: stores URL [SECONDS]")?;
    let seconds = words.next().map_or(Ok(5), |word| word.parse())?;
    let length = Duration::from_secs(seconds);
    if url.starts_with("sqlite:") {
        let backend = SqliteBackend::options().namespace("bench").connect(&url).await?;
        ours("sqlite", &backend, length, None).await?;
        drop(backend);
        let options =
            url.parse::<sqlx::sqlite::SqliteConnectOptions>()?.synchronous(sqlx::sqlite::SqliteSynchronous::Full);
        bare_sqlite(&sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect_with(options).await?, length)
            .await
    } else {
        let pool = PgPool::connect(&url).await?;
        let backend = PostgresBackend::options().namespace("bench").connect(&url).await?;
        ours("postgres", &backend, length, Some(&pool)).await?;
        drop(backend);
        bare_postgres(&pool, length).await
    }
}

/// Fires and finishes batches for `length`.
async fn ours(name: &str, backend: &dyn Backend, length: Duration, postgres: Option<&PgPool>) -> Result<(), Failure> {
    let holder = Holder::new("bench", Duration::from_secs(60));
    let schedule = Schedule::interval(Duration::from_millis(1))?;
    let timetable = Arc::new(Timetable::new(schedule, Tz::UTC));
    let declare = |number: usize| -> Result<Registration, Failure> {
        let name = TaskName::new(&format!("task {number}"))?;
        Ok(Registration { name, timetable: Arc::clone(&timetable), rules: TaskRules::default() })
    };
    let tasks: Vec<Registration> = (0..BATCH).map(declare).collect::<Result<_, _>>()?;
    let mut tasks = backend.register(&holder, &tasks).await?;
    let commits_before = commits(postgres).await?;
    let began = Instant::now();
    let (mut runs, mut fired, mut finished) = (0_u32, Duration::ZERO, Duration::ZERO);
    while began.elapsed() < length {
        let firings: Vec<Firing> = tasks.iter().map(next).collect();
        let asked = Instant::now();
        let admissions = backend.enqueue(&holder, &firings).await?;
        fired += asked.elapsed();
        let ended = firings.iter().zip(&admissions).map(|(firing, admission)| match admission {
            Admission::Claimed(hold) => Ok(end(firing, hold.token)),
            other => Err(format!("a run was not claimed: {other:?}")),
        });
        let ended: Vec<Finish> = ended.collect::<Result<_, _>>()?;
        let asked = Instant::now();
        backend.finish(&ended).await?;
        finished += asked.elapsed();
        for (task, firing) in tasks.iter_mut().zip(&firings) {
            task.mark = firing.advance_to;
        }
        runs += u32::try_from(firings.len())?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let commits = commits(postgres).await?.zip(commits_before).map(|(after, before)| after - before);
    let rate = |spent: Duration| f64::from(runs) / spent.as_secs_f64();
    println!(
        "{{\"store\": \"{name}\", \"runs\": {runs}, \"runs_per_s\": {:.0}, \"enqueued_per_s\": {:.0}, \"finished_per_s\": \
         {:.0}, \"commits_per_run\": {}}}",
        f64::from(runs) / seconds,
        rate(fired),
        rate(finished),
        commits.map_or("null".into(), |commits| format!("{:.4}", commits as f64 / f64::from(runs)))
    );
    Ok(())
}

fn next(task: &Registered) -> Firing {
    let at = task.mark.plus(Duration::from_millis(1));
    let origin = symphra_scheduler::Origin::Schedule;
    let run = NewRun { origin, scheduled_at: at, due_at: at, missed: None, accept_until: None };
    Firing {
        id: RunId::from(uuid::Uuid::now_v7()),
        task: task.key,
        mark: task.mark,
        advance_to: at,
        since: task.since,
        run: Some(run),
        passed: None,
        behind: None,
    }
}

fn end(firing: &Firing, token: Token) -> Finish {
    let at: Timestamp = firing.advance_to;
    let end = End::Final(Outcome::Succeeded);
    Finish { task: firing.task, id: firing.id, token, end, started_at: Some(at), finished_at: at }
}

/// Transactions that the database has committed.
async fn commits(pool: Option<&PgPool>) -> Result<Option<i64>, Failure> {
    let Some(pool) = pool else { return Ok(None) };
    // The server counts what a session has done when that is idle.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let row =
        sqlx::query("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()").fetch_one(pool);
    Ok(Some(row.await?.try_get(0)?))
}

async fn bare_sqlite(pool: &SqlitePool, length: Duration) -> Result<(), Failure> {
    pool.execute("DROP TABLE IF EXISTS bare").await?;
    pool.execute("CREATE TABLE bare (id integer PRIMARY KEY, state text NOT NULL, body text NOT NULL)").await?;
    pool.execute("CREATE INDEX bare_queued ON bare (id) WHERE state = 'queued'").await?;
    let began = Instant::now();
    let mut made = 0_u32;
    while began.elapsed() < length / 2 {
        sqlx::query("INSERT INTO bare (state, body) VALUES ('queued', $1)").bind("{}").execute(pool).await?;
        made += 1;
    }
    let made_in = began.elapsed();
    let began = Instant::now();
    let mut done = 0_u32;
    loop {
        let claim = "UPDATE bare SET state = 'running' WHERE id IN (SELECT id FROM bare WHERE state = 'queued' ORDER BY id \
                     LIMIT $1) RETURNING id";
        let claimed = sqlx::query(claim).bind(CLAIMED).fetch_all(pool).await?;
        if claimed.is_empty() {
            break;
        }
        for row in claimed {
            let id: i64 = row.try_get(0)?;
            sqlx::query("UPDATE bare SET state = 'done' WHERE id = $1").bind(id).execute(pool).await?;
            done += 1;
        }
    }
    report("bare-sqlite", made, made_in, done, began.elapsed());
    pool.execute("DROP TABLE bare").await?;
    Ok(())
}

async fn bare_postgres(pool: &PgPool, length: Duration) -> Result<(), Failure> {
    pool.execute("DROP TABLE IF EXISTS bare").await?;
    pool.execute("CREATE TABLE bare (id bigserial PRIMARY KEY, state text NOT NULL, body text NOT NULL)").await?;
    pool.execute("CREATE INDEX bare_queued ON bare (id) WHERE state = 'queued'").await?;
    let began = Instant::now();
    let mut made = 0_u32;
    while began.elapsed() < length / 2 {
        sqlx::query("INSERT INTO bare (state, body) VALUES ('queued', $1)").bind("{}").execute(pool).await?;
        made += 1;
    }
    let made_in = began.elapsed();
    let began = Instant::now();
    let mut done = 0_u32;
    loop {
        let claim = "UPDATE bare SET state = 'running' WHERE id IN (SELECT id FROM bare WHERE state = 'queued' ORDER BY id \
                     LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING id";
        let claimed = sqlx::query(claim).bind(CLAIMED).fetch_all(pool).await?;
        if claimed.is_empty() {
            break;
        }
        for row in claimed {
            let id: i64 = row.try_get(0)?;
            sqlx::query("UPDATE bare SET state = 'done' WHERE id = $1").bind(id).execute(pool).await?;
            done += 1;
        }
    }
    report("bare-postgres", made, made_in, done, began.elapsed());
    pool.execute("DROP TABLE bare").await?;
    Ok(())
}

fn report(name: &str, made: u32, made_in: Duration, done: u32, done_in: Duration) {
    let (enqueue, drain) = (f64::from(made) / made_in.as_secs_f64(), f64::from(done) / done_in.as_secs_f64());
    let whole = 1.0 / (1.0 / enqueue + 1.0 / drain);
    println!(
        "{{\"store\": \"{name}\", \"runs\": {done}, \"runs_per_s\": {whole:.0}, \"enqueued_per_s\": {enqueue:.0}, \
         \"finished_per_s\": {drain:.0}}}"
    );
}
