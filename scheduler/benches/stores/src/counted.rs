//! How many statements and commits a database was asked for: counted by the database, not by those who ask.
//!
//! PostgreSQL counts them itself (`pg_stat_statements`, `pg_stat_database`), and Redis its scripts (`INFO commandstats`). Of SQLite the statements are those of which
//! sqlx tells `tracing`, and the commits are read from the write-ahead log, of which a reader keeps every frame.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Executor, PgPool, Row};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::Failure;
use crate::place::Place;

/// Statements of SQLite since the program began.
static STATEMENTS: AtomicU64 = AtomicU64::new(0);

/// A server tells what a session has done once that is idle, a second later at the latest.
const SERVER_COUNTS_WITHIN: Duration = Duration::from_millis(1_500);

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Statements, without those that begin, set up and end transactions.
    pub statements: u64,
    /// Transactions that have changed something, or of PostgreSQL all that were committed.
    pub commits: u64,
    /// Pages that were written to the log of SQLite.
    pub pages: u64,
}

/// Counts from its making on.
#[derive(Debug)]
pub struct Counter {
    kind: Kind,
    before: Counts,
}

#[derive(Debug)]
enum Kind {
    Postgres { server: PgPool, name: String },
    /// It counts no statements.
    RabbitMq,
    Redis { server: redis::aio::MultiplexedConnection },
    Sqlite { file: std::path::PathBuf, _reader: Box<SqliteConnection> },
}

struct Statements;

impl<S: tracing::Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            STATEMENTS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Counter {
    /// Counts from now on what is asked of `place`, in which there is something already. Of SQLite the program is slower for
    /// it.
    ///
    /// # Errors
    /// The database cannot be looked at.
    pub async fn start(place: &Place) -> Result<Self, Failure> {
        let kind = match place {
            Place::Postgres { name, server, .. } => {
                let server = PgPool::connect(server).await?;
                server.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await?;
                Kind::Postgres { server, name: name.clone() }
            }
            Place::RabbitMq { .. } => Kind::RabbitMq,
            Place::Redis { url } => Kind::Redis { server: crate::place::connection(url).await? },
            Place::Sqlite { file } => {
                // A second counter of one process finds the subscriber there.
                let _ = tracing_subscriber::registry().with(Statements).try_init();
                let options = SqliteConnectOptions::new().filename(file).disable_statement_logging();
                let mut reader = SqliteConnection::connect_with(&options).await?;
                reader.execute("BEGIN").await?;
                sqlx::query("SELECT COUNT(*) FROM sqlite_master").fetch_one(&mut reader).await?;
                Kind::Sqlite { file: file.with_extension("db-wal"), _reader: Box::new(reader) }
            }
        };
        let before = kind.counts().await?;
        Ok(Self { kind, before })
    }

    /// What was counted since it began.
    ///
    /// # Errors
    /// The database cannot be looked at.
    pub async fn counts(&self) -> Result<Counts, Failure> {
        let (now, before) = (self.kind.counts().await?, self.before);
        Ok(Counts {
            statements: now.statements - before.statements,
            commits: now.commits - before.commits,
            pages: now.pages - before.pages,
        })
    }
}

impl Kind {
    async fn counts(&self) -> Result<Counts, Failure> {
        match self {
            Self::Postgres { server, name } => {
                tokio::time::sleep(SERVER_COUNTS_WITHIN).await;
                let counted = "SELECT d.xact_commit, (SELECT CAST(COALESCE(SUM(s.calls), 0) AS bigint) FROM \
                               pg_stat_statements AS s WHERE s.dbid = d.datid AND s.toplevel AND s.query !~* \
                               '^\\s*(BEGIN|COMMIT|ROLLBACK|SET)') FROM pg_stat_database AS d WHERE d.datname = $1";
                let row = sqlx::query(counted).bind(name).fetch_one(server).await?;
                let (commits, statements): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
                Ok(Counts { statements: statements.unsigned_abs(), commits: commits.unsigned_abs(), pages: 0 })
            }
            Self::RabbitMq => Ok(Counts::default()),
            Self::Redis { server } => {
                let told: String =
                    redis::cmd("INFO").arg("commandstats").query_async(&mut server.clone()).await?;
                // What a script asks is counted too: of ours only the scripts are those of a caller.
                let scripts = told.lines().filter(|line| line.starts_with("cmdstat_eval"));
                let calls = scripts.filter_map(|line| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok());
                Ok(Counts { statements: calls.sum(), ..Counts::default() })
            }
            Self::Sqlite { file, .. } => {
                let (commits, pages) = frames(file)?;
                Ok(Counts { statements: STATEMENTS.load(Ordering::Relaxed), commits, pages })
            }
        }
    }
}

/// The commits and the pages of a write-ahead log (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).
fn frames(log: &Path) -> Result<(u64, u64), Failure> {
    const HEADER: usize = 32;
    const FRAME_HEADER: usize = 24;
    let log = std::fs::read(log)?;
    let number = |at: usize| log.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
    let (page, salts) = (number(8) as usize, (number(16), number(20)));
    let (mut commits, mut pages) = (0, 0);
    let mut at = HEADER;
    while at + FRAME_HEADER + page <= log.len() && (number(at + 8), number(at + 12)) == salts {
        pages += 1;
        commits += u64::from(number(at + 4) != 0);
        at += FRAME_HEADER + page;
    }
    Ok((commits, pages))
}
