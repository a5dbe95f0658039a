//! Bare statements, or commands: the least that a queue has to do. A row is inserted for each run, claimed, and marked as done; no
//! schedule, no mark, no lease, no retry, no history of its own.
//!
//! *Per step*: one statement inserts a run, one claims 64, one ends a run, each a transaction. *Batched*: one statement
//! inserts 256, one claims 256, one ends them.

use std::time::Instant;

use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Executor, PgPool, Row, SqlitePool};

use crate::Failure;
use crate::life::{BATCH, Life};
use crate::place::{Place, connection};

/// How many runs are claimed at once where each step is a statement.
const CLAIMED: i64 = 64;

const CREATE_SQLITE: &str = "CREATE TABLE bare (id integer PRIMARY KEY, state text NOT NULL, body text NOT NULL)";
const CREATE_POSTGRES: &str = "CREATE TABLE bare (id bigserial PRIMARY KEY, state text NOT NULL, body text NOT NULL)";
const INDEX: &str = "CREATE INDEX bare_queued ON bare (id) WHERE state = 'queued'";
const INSERT: &str = "INSERT INTO bare (state, body) VALUES ('queued', '{}')";
const END: &str = "UPDATE bare SET state = 'done' WHERE id = $1";

/// A database with the one table.
#[derive(Debug)]
pub enum Bare {
    /// A file, by one connection, at `synchronous = FULL`.
    Sqlite(SqlitePool),
    /// A server, by one connection.
    Postgres(PgPool),
    /// A server of Redis, by one connection: a hash of states, and a list of those that wait.
    Redis(redis::aio::MultiplexedConnection),
}

impl Bare {
    /// Makes the table.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn open(place: &Place) -> Result<Self, Failure> {
        match place {
            Place::Sqlite { file } => {
                let options = SqliteConnectOptions::new()
                    .filename(file)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full);
                let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
                pool.execute(CREATE_SQLITE).await?;
                pool.execute(INDEX).await?;
                Ok(Self::Sqlite(pool))
            }
            Place::Postgres { url, .. } => {
                let pool = PgPoolOptions::new().max_connections(1).connect(url).await?;
                pool.execute(CREATE_POSTGRES).await?;
                pool.execute(INDEX).await?;
                Ok(Self::Postgres(pool))
            }
            Place::RabbitMq { .. } => Err("messages are measured by themselves".into()),
            Place::Redis { url } => Ok(Self::Redis(connection(url).await?)),
        }
    }

    /// The whole life of `runs` runs, a statement for each step.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn per_step(&self, runs: u32) -> Result<Life, Failure> {
        let began = Instant::now();
        for number in 0..runs {
            match self {
                Self::Sqlite(pool) => drop(sqlx::query(INSERT).execute(pool).await?),
                Self::Postgres(pool) => drop(sqlx::query(INSERT).execute(pool).await?),
                Self::Redis(server) => queue(server, number..number + 1).await?,
            }
        }
        let enqueued = began.elapsed();
        let began = Instant::now();
        loop {
            let claimed = self.claim(CLAIMED).await?;
            if claimed.is_empty() {
                break;
            }
            for id in claimed {
                match self {
                    Self::Sqlite(pool) => drop(sqlx::query(END).bind(id).execute(pool).await?),
                    Self::Postgres(pool) => drop(sqlx::query(END).bind(id).execute(pool).await?),
                    Self::Redis(server) => say(server, "done", &[id]).await?,
                }
            }
        }
        Ok(Life::in_two_parts(runs, enqueued, began.elapsed()))
    }

    /// The whole life of `runs` runs, a statement for 256 of them.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn batched(&self, runs: u32) -> Result<Life, Failure> {
        let batch = i64::try_from(BATCH)?;
        let began = Instant::now();
        let mut left = i64::from(runs);
        while left > 0 {
            let count = left.min(batch);
            left -= count;
            match self {
                Self::Sqlite(pool) => {
                    let bodies = serde_json::to_string(&vec!["{}"; usize::try_from(count)?])?;
                    let insert = "INSERT INTO bare (state, body) SELECT 'queued', value FROM json_each($1)";
                    sqlx::query(insert).bind(bodies).execute(pool).await?;
                }
                Self::Postgres(pool) => {
                    let insert = "INSERT INTO bare (state, body) SELECT 'queued', unnest($1::text[])";
                    sqlx::query(insert).bind(vec!["{}"; usize::try_from(count)?]).execute(pool).await?;
                }
                Self::Redis(server) => {
                    let first = u32::try_from(left)?;
                    queue(server, first..first + u32::try_from(count)?).await?;
                }
            }
        }
        let enqueued = began.elapsed();
        let began = Instant::now();
        loop {
            let claimed = self.claim(batch).await?;
            if claimed.is_empty() {
                break;
            }
            match self {
                Self::Sqlite(pool) => {
                    let end = "UPDATE bare SET state = 'done' WHERE id IN (SELECT value FROM json_each($1))";
                    sqlx::query(end).bind(serde_json::to_string(&claimed)?).execute(pool).await?;
                }
                Self::Postgres(pool) => {
                    let end = "UPDATE bare SET state = 'done' WHERE id = ANY($1)";
                    sqlx::query(end).bind(claimed).execute(pool).await?;
                }
                Self::Redis(server) => say(server, "done", &claimed).await?,
            }
        }
        Ok(Life::in_two_parts(runs, enqueued, began.elapsed()))
    }

    async fn claim(&self, max: i64) -> Result<Vec<i64>, Failure> {
        Ok(match self {
            Self::Sqlite(pool) => {
                let claim = "UPDATE bare SET state = 'running' WHERE id IN (SELECT id FROM bare WHERE state = 'queued' ORDER \
                             BY id LIMIT $1) RETURNING id";
                let rows = sqlx::query(claim).bind(max).fetch_all(pool).await?;
                rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?
            }
            Self::Postgres(pool) => {
                let claim = "UPDATE bare SET state = 'running' WHERE id IN (SELECT id FROM bare WHERE state = 'queued' ORDER \
                             BY id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING id";
                let rows = sqlx::query(claim).bind(max).fetch_all(pool).await?;
                rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?
            }
            Self::Redis(server) => {
                let mut server = server.clone();
                let claimed: Option<Vec<i64>> =
                    redis::cmd("LPOP").arg("waiting").arg(max).query_async(&mut server).await?;
                let claimed = claimed.unwrap_or_default();
                if !claimed.is_empty() {
                    say(&server, "running", &claimed).await?;
                }
                claimed
            }
        })
    }
}

/// Has runs wait, in one transaction.
async fn queue(server: &redis::aio::MultiplexedConnection, runs: std::ops::Range<u32>) -> Result<(), Failure> {
    let (mut rows, mut waiting) = (redis::cmd("HSET"), redis::cmd("RPUSH"));
    rows.arg("states");
    waiting.arg("waiting");
    for run in runs {
        rows.arg(run).arg("queued");
        waiting.arg(run);
    }
    let mut both = redis::pipe();
    both.atomic().add_command(rows).add_command(waiting);
    Ok(both.query_async(&mut server.clone()).await?)
}

async fn say(server: &redis::aio::MultiplexedConnection, state: &str, runs: &[i64]) -> Result<(), Failure> {
    let mut rows = redis::cmd("HSET");
    rows.arg("states");
    for run in runs {
        rows.arg(*run).arg(state);
    }
    Ok(rows.query_async(&mut server.clone()).await?)
}
