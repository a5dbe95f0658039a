//! The peers, as their documentation shows them: jobs are enqueued one after another, and then executed with a concurrency
//! of 16. They end when the database says that all jobs are done.
//!
//! `apalis-sqlite`, `apalis-postgres` and `apalis-redis`: jobs without schedule, mark or fencing token; an end is stored in the job's row.
//! apalis-sqlite sets `synchronous = OFF` on one connection as it makes its tables; here it gets WAL and `NORMAL`, less than
//! what ours is given. `graphile_worker`: a job that has succeeded is deleted, and no history is kept of it; with its local
//! queue (*batched*) jobs are fetched and completed many at a time, and are locked long before they begin.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use apalis::layers::WorkerBuilderExt;
use apalis::prelude::{BoxDynError, TaskSink, WorkerBuilder};
use apalis_postgres::PostgresStorage;
use apalis_redis::RedisStorage;
use apalis_sqlite::SqliteStorage;
use graphile_worker::{IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, WorkerContext, WorkerOptions};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgPool, Row, SqlitePool};

use symphra_scheduler_stores::Failure;
use symphra_scheduler_stores::arguments::Arguments;
use symphra_scheduler_stores::life::{Asked, Life, Measured, WORKERS};
use symphra_scheduler_stores::place::{Place, connection};

/// A peer that has done nothing for so long does nothing any more.
const STUCK: Duration = Duration::from_secs(60);

const UNDONE_APALIS_SQLITE: &str = "SELECT COUNT(*) FROM Jobs WHERE status <> 'Done'";
const UNDONE_APALIS_POSTGRES: &str = "SELECT COUNT(*) FROM apalis.jobs WHERE status <> 'Done'";
const UNDONE_GRAPHILE: &str = "SELECT COUNT(*) FROM graphile_worker._private_jobs";

static EXECUTED: AtomicU32 = AtomicU32::new(0);

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let asked = Asked::read(Arguments::read(std::env::args().skip(1))?).await?;
    let measured = match asked.contender() {
        "apalis" => apalis(&asked).await?,
        "graphile" => graphile(&asked, Graphile::Plain).await?,
        "graphile-batched" => graphile(&asked, Graphile::Batched).await?,
        other => return Err(format!("no peer is called {other}").into()),
    };
    asked.tell(measured).await
}

async fn execute(_: u32) -> Result<(), BoxDynError> {
    EXECUTED.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// apalis on any of the databases.
async fn apalis(asked: &Asked) -> Result<Measured, Failure> {
    let runs = asked.runs();
    match asked.place() {
        Place::Sqlite { file } => {
            let options = SqliteConnectOptions::new()
                .filename(file)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal);
            let tables = SqlitePool::connect_with(options.clone()).await?;
            SqliteStorage::setup(&tables).await?;
            let pool = SqlitePoolOptions::new().connect_with(options).await?;
            let counter = asked.count().await?;
            let mut storage = SqliteStorage::new(&pool);
            let enqueued = enqueue(&mut storage, runs).await?;
            let worker = WorkerBuilder::new("bench").backend(storage).concurrency(WORKERS).build(execute);
            let drained = drained(runs, worker.run(), || async {
                Ok(sqlx::query(UNDONE_APALIS_SQLITE).fetch_one(&tables).await?.try_get(0)?)
            });
            Ok((Life::in_two_parts(runs, enqueued, drained.await?), counter))
        }
        Place::Postgres { url, .. } => {
            let pool = PgPool::connect(url).await?;
            PostgresStorage::setup(&pool).await?;
            let counter = asked.count().await?;
            let mut storage = PostgresStorage::new(&pool);
            let enqueued = enqueue(&mut storage, runs).await?;
            let worker = WorkerBuilder::new("bench").backend(storage).concurrency(WORKERS).build(execute);
            let drained = drained(runs, worker.run(), || async {
                Ok(sqlx::query(UNDONE_APALIS_POSTGRES).fetch_one(&pool).await?.try_get(0)?)
            });
            Ok((Life::in_two_parts(runs, enqueued, drained.await?), counter))
        }
        Place::Redis { url } => {
            let counter = asked.count().await?;
            let mut storage = RedisStorage::new(apalis_redis::connect(url.as_str()).await?);
            let done = storage.get_config().done_jobs_set();
            let server = connection(url).await?;
            let enqueued = enqueue(&mut storage, runs).await?;
            let worker = WorkerBuilder::new("bench").backend(storage).concurrency(WORKERS).build(execute);
            let drained = drained(runs, worker.run(), || async {
                let stored: i64 = redis::cmd("SCARD").arg(&done).query_async(&mut server.clone()).await?;
                Ok(i64::from(runs) - stored)
            });
            Ok((Life::in_two_parts(runs, enqueued, drained.await?), counter))
        }
        Place::RabbitMq { .. } => Err("apalis is measured on files, PostgreSQL and Redis only".into()),
    }
}

async fn enqueue<S, K>(storage: &mut S, runs: u32) -> Result<Duration, Failure>
where
    S: TaskSink<u32, K>,
{
    let began = Instant::now();
    for number in 0..runs {
        storage.push(number).await.map_err(|_| "a job cannot be pushed")?;
    }
    Ok(began.elapsed())
}

/// How graphile_worker is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Graphile {
    /// By its defaults, which fetch and complete job by job.
    Plain,
    /// With its local queue and a delay in which completions gather.
    Batched,
}

#[derive(Deserialize, Serialize)]
struct Job(u32);

impl TaskHandler for Job {
    const IDENTIFIER: &'static str = "bench";

    async fn run(self, _: WorkerContext) -> impl IntoTaskHandlerResult {
        EXECUTED.fetch_add(1, Ordering::Relaxed);
        Ok::<(), String>(())
    }
}

/// graphile_worker on PostgreSQL.
async fn graphile(asked: &Asked, how: Graphile) -> Result<Measured, Failure> {
    let runs = asked.runs();
    let Place::Postgres { url, .. } = asked.place() else { return Err("graphile_worker is on PostgreSQL only".into()) };
    let pool = PgPool::connect(url).await?;
    let mut options = WorkerOptions::default()
        .concurrency(WORKERS)
        .listen_os_shutdown_signals(false)
        .define_job::<Job>()
        .pg_pool(pool.clone());
    if how == Graphile::Batched {
        let delay = Duration::from_millis(5);
        options = options.local_queue(LocalQueueConfig::default().with_size(500)).complete_job_batch_delay(delay);
    }
    let worker = Arc::new(options.init().await?);
    let counter = asked.count().await?;
    let utils = worker.create_utils();
    let began = Instant::now();
    for number in 0..runs {
        utils.add_job(Job(number), JobSpec::default()).await?;
    }
    let enqueued = began.elapsed();
    let runner = Arc::clone(&worker);
    let drained = drained(runs, async move { runner.run().await }, || async {
        Ok(sqlx::query(UNDONE_GRAPHILE).fetch_one(&pool).await?.try_get(0)?)
    });
    Ok((Life::in_two_parts(runs, enqueued, drained.await?), counter))
}

/// How long it takes until all is executed, and none is left undone in the database.
async fn drained<E, F>(
    runs: u32,
    worker: impl Future<Output = Result<(), E>> + Send + 'static,
    undone: impl Fn() -> F,
) -> Result<Duration, Failure>
where
    E: Into<Failure> + Send + 'static,
    F: Future<Output = Result<i64, Failure>>,
{
    let began = Instant::now();
    let worker = tokio::spawn(worker);
    let (mut executed, mut changed) = (0, Instant::now());
    while executed < runs {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let now = EXECUTED.load(Ordering::Relaxed);
        if now != executed {
            (executed, changed) = (now, Instant::now());
        }
        if changed.elapsed() > STUCK || worker.is_finished() {
            return Err(format!("only {executed} of {runs} jobs were executed").into());
        }
    }
    let executed = Instant::now();
    while undone().await? > 0 {
        if executed.elapsed() > STUCK {
            return Err(format!("{} of {runs} jobs are not stored as done", undone().await?).into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    worker.abort();
    Ok(began.elapsed())
}
