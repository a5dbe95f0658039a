//! The SQLite backend: a file on the machine's own disk, shared by the processes of one host.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, Row, SqlSafeStr, Sqlite};

use super::BackendError;
use super::sql::{self, Database, Dialect, Failed, Names, Sql, Statements, StoreThread, Transaction};
use crate::Error;
use crate::migrate::Migrate;
use crate::secret::masked_url;

/// How long a step waits for another process that writes: longer than any step takes.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// How often a node looks for changes of other processes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Readers beside the one connection that writes.
const CONNECTIONS: u32 = 4;

/// A store in an SQLite file: durable, with nothing to install.
///
/// Any number of schedulers of one host may share the file, which has to be on a local disk. Every step is one transaction,
/// and with `synchronous = FULL`, the default, what was answered survives the loss of power.
///
/// ```no_run
/// use symphra_scheduler::{Scheduler, SqliteBackend};
///
/// # async fn start() -> Result<(), symphra_scheduler::Error> {
/// let backend = SqliteBackend::connect("sqlite://scheduler.db").await?;
/// Scheduler::from_registry().backend(backend).run().await
/// # }
/// ```
pub struct SqliteBackend(Sql<File>);

/// How a [`SqliteBackend`] is opened.
///
/// ```
/// use symphra_scheduler::SqliteBackend;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let url = format!("sqlite://{}", folder.path().join("scheduler.db").display());
/// // url: "sqlite:///var/lib/payroll/scheduler.db"
/// let backend = SqliteBackend::options().namespace("payroll").max_connections(2).connect(&url).await?;
/// # let _ = backend;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "options open nothing before `connect`"]
pub struct SqliteOptions {
    namespace: Option<String>,
    max_connections: u32,
    migrate: Migrate,
}

impl SqliteBackend {
    /// Opens the file that `url` names, and makes it if it is not there: `sqlite://scheduler.db`, relative to the working
    /// directory, or `sqlite:///var/lib/payroll/scheduler.db`. `?synchronous=normal` gives up the last moments before a loss
    /// of power, and with them may undo what was answered, for faster commits.
    ///
    /// # Errors
    /// [`Error::is_backend`] if the file cannot be opened, or was changed by a newer version that this one is too old for;
    /// [`Error::is_config`] if the URL or an option is not possible.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::options().connect(url).await
    }

    /// Opens the file of `pool`, the program's own: see [`SqliteOptions::from_pool`].
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn from_pool(pool: &SqlitePool) -> Result<Self, Error> {
        Self::options().from_pool(pool).await
    }

    /// Options to open a file otherwise than by [`connect`](Self::connect).
    pub fn options() -> SqliteOptions {
        SqliteOptions { namespace: None, max_connections: CONNECTIONS, migrate: Migrate::Auto }
    }
}

impl SqliteOptions {
    /// What sets programs apart that share the file: 1 to 32 of `a-z`, `0-9` and `_`. Default: the name of the program's
    /// file.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// How many connections read beside the one that writes, 1 at least. Default 4.
    pub const fn max_connections(mut self, max: u32) -> Self {
        self.max_connections = max;
        self
    }

    /// Whether tables are made and brought up to date. Default [`Migrate::Auto`].
    pub const fn migrate(mut self, migrate: Migrate) -> Self {
        self.migrate = migrate;
        self
    }

    /// Opens the file.
    ///
    /// # Errors
    /// As [`SqliteBackend::connect`].
    pub async fn connect(self, url: &str) -> Result<SqliteBackend, Error> {
        self.connect_in(url, None).await
    }

    /// Opens the file, and speaks to it in a dialect, else in the best that it understands.
    async fn connect_in(self, url: &str, dialect: Option<Dialect>) -> Result<SqliteBackend, Error> {
        refuse_memory(url, &masked_url(url))?;
        let (options, synchronous) = options(url)?;
        self.open(options.synchronous(synchronous), masked_url(url), dialect).await
    }

    /// Opens the file of `pool`, the program's own, as it does: with its key, its parameters, its `synchronous`. The
    /// connections are the store's own, and live on its thread: a heartbeat waits neither for the program's queries nor for
    /// its runtime. The file is in WAL mode from then on.
    ///
    /// # Errors
    /// As [`SqliteBackend::connect`].
    pub async fn from_pool(self, pool: &SqlitePool) -> Result<SqliteBackend, Error> {
        let options = (*pool.connect_options()).clone();
        let shown = options.get_filename().display().to_string();
        refuse_memory(&shown, &shown)?;
        self.open(options, shown, None).await
    }

    async fn open(
        self,
        options: SqliteConnectOptions,
        shown: String,
        dialect: Option<Dialect>,
    ) -> Result<SqliteBackend, Error> {
        let namespace = super::namespace(self.namespace.as_deref())?;
        if self.max_connections == 0 {
            return Err(Error::setting("max_connections", "0".into(), "1 or more"));
        }
        let thread = StoreThread::start("sqlite").map_err(Error::store_thread)?;
        let file = options.get_filename().to_owned();
        if self.migrate == Migrate::Check && !file.exists() {
            // Who may make no tables makes no file either.
            return Err(failed(&shown, sql::Refused::not_there()));
        }
        let max_connections = self.max_connections;
        let names = Names::new(None, namespace.as_str());
        let (tables, how) = (names.clone(), self.migrate);
        let opened = thread
            .spawn(sql::while_busy::<File, _, _>(move || made(options.clone(), max_connections, tables.clone(), how)));
        let opened = opened.await.map_err(|gone| failed(&shown, gone))?;
        let database = match opened.map_err(|error| failed(&shown, error.during("open the file")))? {
            Ok(database) => database,
            Err(refused) => return Err(failed(&shown, refused)),
        };
        let statements = Statements::new(dialect.unwrap_or(database.dialect), &names);
        Ok(SqliteBackend(Sql::new(File(std::sync::Arc::new(database)), statements, thread)))
    }
}

#[cfg(feature = "conformance")]
impl SqliteBackend {
    /// Ends runs that nobody has claimed for so long, as the store does by itself each hour: for tests that cannot wait.
    ///
    /// # Errors
    /// [`Error::is_backend`] if the store cannot be reached.
    #[doc(hidden)]
    pub async fn end_unclaimed(&self, waited: Duration) -> Result<usize, Error> {
        self.0.end_unclaimed(waited).await
    }

    /// Gives up what is left of jobs when its time is over, as the store does by itself each hour: for tests that cannot wait.
    ///
    /// # Errors
    /// [`Error::is_backend`] if the store cannot be reached.
    #[doc(hidden)]
    pub async fn prune_jobs(&self) -> Result<(), Error> {
        self.0.prune_jobs().await
    }
}

impl sql::InSql for SqliteBackend {
    type Database = File;

    fn sql(&self) -> &Sql<File> {
        &self.0
    }
}

impl fmt::Debug for SqliteBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteBackend").finish_non_exhaustive()
    }
}

/// The connections to a file: SQLite has one writer at a time, so there is one connection that writes, and who wants to
/// write waits for it in line instead of trying again and again.
#[derive(Debug)]
pub(crate) struct Connections {
    writer: SqlitePool,
    readers: SqlitePool,
    /// What this SQLite understands.
    dialect: Dialect,
}

/// An opened file.
#[derive(Debug)]
pub(crate) struct File(std::sync::Arc<Connections>);

/// A file that is none cannot be shared by two connections, as one that writes and others that read.
fn refuse_memory(name: &str, shown: &str) -> Result<(), Error> {
    if ![":memory:", "mode=memory", "file:sqlx-in-memory"].iter().any(|part| name.contains(part)) {
        return Ok(());
    }
    let allowed = "the path of a file; what is to live in memory only is a MemoryBackend";
    Err(Error::setting("backend.url", format!("{shown:?}"), allowed))
}

fn options(url: &str) -> Result<(SqliteConnectOptions, SqliteSynchronous), Error> {
    let refuse = |allowed| Err(Error::setting("backend.url", format!("{:?}", masked_url(url)), allowed));
    let (plain, query) = url.split_once('?').unwrap_or((url, ""));
    let mut synchronous = SqliteSynchronous::Full;
    for part in query.split('&').filter(|part| !part.is_empty()) {
        synchronous = match part.split_once('=') {
            Some(("synchronous", word)) if word.eq_ignore_ascii_case("full") => SqliteSynchronous::Full,
            Some(("synchronous", word)) if word.eq_ignore_ascii_case("normal") => SqliteSynchronous::Normal,
            Some(("synchronous", _)) => return refuse("?synchronous=full or ?synchronous=normal"),
            _ => return refuse("no parameter but ?synchronous=normal"),
        };
    }
    if !plain.starts_with("sqlite://") || plain.len() == "sqlite://".len() {
        return refuse("sqlite:// and the path of a file, as in sqlite://scheduler.db");
    }
    match SqliteConnectOptions::from_str(plain) {
        Ok(options) => Ok((options, synchronous)),
        Err(_) => refuse("sqlite:// and the path of a file, as in sqlite://scheduler.db"),
    }
}

async fn open(options: SqliteConnectOptions, readers: u32) -> Result<Connections, sqlx::Error> {
    let options = options
        .create_if_missing(true)
        .busy_timeout(BUSY_MAX)
        // Statements are the store's own, and their names of tables its namespace: a fixed number of them.
        .statement_cache_capacity(128);
    let pool = SqlitePoolOptions::new().idle_timeout(None).max_lifetime(None).test_before_acquire(false);
    // SQLite ends a transaction itself where the disk is full or broken. sqlx does not come to know, takes the connection for
    // one in a transaction for ever, and begins none on it: such a connection is replaced.
    let pool = pool.before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }));
    let writer = pool.clone().max_connections(1).connect_with(options.clone()).await?;
    let readers = pool.max_connections(readers).min_connections(0).connect_lazy_with(options);
    let dialect = match sqlx::query("SELECT 1 FROM jsonb_each('[]')").fetch_optional(&writer).await {
        Ok(_) => Dialect::Sqlite,
        Err(sqlx::Error::Database(error)) if error.message().contains("jsonb_each") => Dialect::OlderSqlite,
        Err(error) => return Err(error),
    };
    Ok(Connections { writer, readers, dialect })
}

/// Whether others had the file locked for too long (`SQLITE_BUSY`, and its extended codes).
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code % 256 == 5)
}

/// The file, opened, and its tables, made.
async fn made(
    options: SqliteConnectOptions,
    readers: u32,
    names: Names,
    how: Migrate,
) -> Result<Result<Connections, sql::Refused>, Failed> {
    let options = match how {
        Migrate::Auto => options.journal_mode(SqliteJournalMode::Wal),
        // It may be somebody else's.
        Migrate::Check => options,
    };
    let connections = open(options, readers).await?;
    Ok(match migrate(&connections, &names, how).await? {
        Ok(()) => {
            sqlx::query("PRAGMA journal_mode = WAL").execute(&connections.writer).await?;
            Ok(connections)
        }
        Err(refused) => Err(refused),
    })
}

async fn migrate(connections: &Connections, names: &Names, how: Migrate) -> Result<Result<(), sql::Refused>, Failed> {
    let mut tx = Tx(connections.writer.begin_with("BEGIN IMMEDIATE").await?);
    let name = serde_json::json!({ "name": names.plain("meta") }).to_string();
    let there = tx.ask(
        "SELECT json_object('there', COUNT(*)) FROM sqlite_master WHERE type = 'table' AND name = ($1 ->> 'name')",
        &name,
    );
    let is_there = there.await?.is_some_and(|there| there != r#"{"there":0}"#);
    let migrated = sql::migrate(&mut tx, Dialect::Sqlite, names, is_there, how).await?;
    if migrated.is_ok() {
        tx.commit().await?;
    }
    Ok(migrated)
}

fn failed(url: &str, cause: impl Into<crate::outcome::BoxError>) -> Error {
    BackendError::new(format!("open {url}"), cause).into()
}

impl Database for File {
    type Tx = Tx;

    const NAME: &'static str = "sqlite";

    /// A file answers, or fails: another writer is waited for no longer than [`BUSY_MAX`].
    const STEP_MAX: Option<Duration> = None;

    /// One writes at a time.
    fn makes_two_at_once(&self) -> bool {
        false
    }

    fn seats(&self) -> usize {
        1
    }

    fn renew(&self) {}

    fn is_busy(error: &sqlx::Error) -> bool {
        is_busy(error)
    }

    async fn begin(&self) -> Result<Tx, sqlx::Error> {
        self.0.writer.begin_with("BEGIN IMMEDIATE").await.map(Tx)
    }

    async fn read(&self) -> Result<Tx, sqlx::Error> {
        self.0.readers.begin().await.map(Tx)
    }

    /// Those who write in this process are told without; others look.
    fn wake(&self) {}

    fn channel(&self) -> Option<&str> {
        None
    }

    async fn wake_others(&self) {
        std::future::pending().await
    }

    async fn woken(&self) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A transaction on a file.
pub(crate) struct Tx(sqlx::Transaction<'static, Sqlite>);

impl Transaction for Tx {
    async fn ask(&mut self, sql: &str, input: &str) -> Result<Option<String>, sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(sql.to_owned()).into_sql_str()).bind(input);
        query.fetch_optional(&mut *self.0).await?.map(|row| row.try_get(0)).transpose()
    }

    async fn tell(&mut self, sql: &str, input: &str) -> Result<u64, sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(sql.to_owned()).into_sql_str()).bind(input);
        Ok(query.execute(&mut *self.0).await?.rows_affected())
    }

    async fn change(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        sqlx::query(AssertSqlSafe(sql.to_owned()).into_sql_str()).execute(&mut *self.0).await?;
        Ok(())
    }

    async fn commit(self) -> Result<(), sqlx::Error> {
        self.0.commit().await
    }
}

/// The suite in the words for an SQLite that is older than the one of this build.
#[cfg(all(test, feature = "conformance"))]
mod tests {
    use std::cell::Cell;

    use super::*;

    async fn empty_store() -> SqliteBackend {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let url = format!("sqlite://{}/store.db", folder.display());
        let options = SqliteBackend::options().namespace("older");
        options.connect_in(&url, Some(Dialect::OlderSqlite)).await.expect("it opens")
    }

    crate::conformance_tests!(empty_store);

    /// What a second connection is told while the first one writes.
    async fn busy() -> Failed {
        let folder = tempfile::tempdir().expect("a folder");
        let options: SqliteConnectOptions =
            format!("sqlite://{}/store.db", folder.path().display()).parse().expect("a URL");
        let options = options.create_if_missing(true).busy_timeout(Duration::ZERO);
        let mut first = sqlx::SqliteConnection::connect_with(&options).await.expect("it opens");
        let _writing = first.begin_with("BEGIN IMMEDIATE").await.expect("it is free");
        let mut second = sqlx::SqliteConnection::connect_with(&options).await.expect("it opens");
        Failed::Database(second.begin_with("BEGIN IMMEDIATE").await.expect_err("it is locked"))
    }

    #[tokio::test]
    async fn a_file_that_others_keep_busy_is_tried_again_and_no_other_failure_is() {
        let calls = Cell::new(0);
        let after = async |busy_calls: u32| {
            calls.set(0);
            let tried = sql::while_busy::<File, _, _>(async || {
                calls.set(calls.get() + 1);
                if calls.get() <= busy_calls { Err(busy().await) } else { Ok(()) }
            });
            (tried.await.is_ok(), calls.get())
        };
        assert_eq!(after(0).await, (true, 1));
        assert_eq!(after(2).await, (true, 3));
        assert_eq!(after(u32::MAX).await, (false, sql::START_TRIES_MAX), "not for ever");
        calls.set(0);
        let broken = sql::while_busy::<File, _, _>(async || {
            calls.set(calls.get() + 1);
            Err::<(), _>(Failed::broken("a row is gone"))
        });
        assert!(broken.await.is_err() && calls.get() == 1);
    }

    #[tokio::test]
    async fn this_sqlite_is_not_older() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = format!("sqlite://{}/store.db", folder.path().display()).parse().expect("a URL");
        assert_eq!(super::open(options, 1).await.expect("it opens").dialect, Dialect::Sqlite);
    }
}
