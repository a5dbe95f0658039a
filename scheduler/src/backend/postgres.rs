//! The PostgreSQL backend: any number of nodes on one database.

use std::fmt;
use std::str::FromStr;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use serde::Deserialize;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Postgres, Row, SqlSafeStr};
use tokio::sync::{Mutex, Notify};

use super::BackendError;
use super::sql::{self, Database, Dialect, Failed, Names, Refused, Sql, Statements, StoreThread, Transaction};
use crate::Error;
use crate::migrate::Migrate;
use crate::outcome::BoxError;
use crate::secret::masked_url;

/// How often a node looks for changes although nobody has told it of any.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The shortest time between two notifications: 20 a second.
const NOTIFY_EVERY: Duration = Duration::from_millis(50);

const CONNECTIONS: u32 = 8;

/// With fewer connections each batch goes by one: two of a firing, two of ends, and a heartbeat waits for none of them.
const TWO_AT_ONCE_CONNECTIONS: u32 = 5;

/// How long a connection is taken to stand after it was used. One that has rested for longer is asked before a step goes by
/// it: the server may have been started anew since.
const TRUSTED_FOR: Duration = Duration::from_millis(100);

/// How long a connection is waited for.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// How long a step waits for its answers: longer than the longest batch takes, and than a server waits for a node that fell
/// silent in the middle of a transaction.
const STEP_MAX: Duration = Duration::from_secs(10);

/// A transaction, which the server gives up when its node says nothing for five seconds: a node that is frozen, or whose
/// connection is, must not keep its rows locked for longer. And its statements find rows by the order of an index, of which
/// they want the first few: of a table that was filled just now the server has no statistics, and would sort a backlog for
/// them. Nor are they worth being compiled, which takes most of a second where such a table makes them look expensive. Said
/// with each, since poolers forget what is said to a session.
const BEGIN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL enable_bitmapscan = off; SET LOCAL \
                     jit = off";

/// The schema in which the tables are made.
const SCHEMA: &str = "public";

/// A store in PostgreSQL (12 or later): durable, for any number of nodes.
///
/// ```no_run
/// use symphra_scheduler::{PostgresBackend, Scheduler};
///
/// # async fn start() -> Result<(), symphra_scheduler::Error> {
/// let backend = PostgresBackend::connect("postgres://payroll@db.example/payroll").await?;
/// Scheduler::from_registry().backend(backend).run().await
/// # }
/// ```
pub struct PostgresBackend(Sql<Server>);

/// How a [`PostgresBackend`] is opened.
///
/// ```no_run
/// use symphra_scheduler::{Migrate, PostgresBackend};
///
/// # async fn open() -> Result<(), symphra_scheduler::Error> {
/// let options = PostgresBackend::options().namespace("payroll").schema("scheduler").notify(false).migrate(Migrate::Check);
/// let backend = options.connect("postgres://payroll@pooler.example/payroll").await?;
/// # let _ = backend;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "options open nothing before `connect`"]
pub struct PostgresOptions {
    namespace: Option<String>,
    schema: String,
    max_connections: u32,
    migrate: Migrate,
    notify: bool,
}

impl PostgresBackend {
    /// Connects to the database that `url` names, and makes the tables that are missing:
    /// `postgres://user:password@host:5432/database`, with the parameters of libpq (`sslmode`, `sslrootcert`,
    /// `application_name`).
    ///
    /// # Errors
    /// [`Error::is_backend`] if the database cannot be reached, or was changed by a newer version that this one is too old
    /// for; [`Error::is_config`] if the URL or an option is not possible.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::options().connect(url).await
    }

    /// Connects as `pool`, the program's own, does: see [`PostgresOptions::from_pool`].
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn from_pool(pool: &PgPool) -> Result<Self, Error> {
        Self::options().from_pool(pool).await
    }

    /// Options to connect otherwise than by [`connect`](Self::connect).
    pub fn options() -> PostgresOptions {
        PostgresOptions {
            namespace: None,
            schema: SCHEMA.into(),
            max_connections: CONNECTIONS,
            migrate: Migrate::Auto,
            notify: true,
        }
    }
}

impl PostgresOptions {
    /// What sets programs apart that share the database: 1 to 32 of `a-z`, `0-9` and `_`. Default: the name of the
    /// program's file.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The schema of the tables, which is made if it is not there. Default `public`.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// How many connections are open at most, 2 at least, and one more that listens. Default 8.
    pub const fn max_connections(mut self, max: u32) -> Self {
        self.max_connections = max;
        self
    }

    /// Whether tables are made and brought up to date. Default [`Migrate::Auto`].
    pub const fn migrate(mut self, migrate: Migrate) -> Self {
        self.migrate = migrate;
        self
    }

    /// Whether nodes wake one another by `LISTEN` and `NOTIFY`, which a pooler that hands out connections by transaction
    /// does not carry. Without it a node finds what others have changed within 5 s. Default true.
    pub const fn notify(mut self, notify: bool) -> Self {
        self.notify = notify;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// As [`PostgresBackend::connect`].
    pub async fn connect(self, url: &str) -> Result<PostgresBackend, Error> {
        let masked = masked_url(url);
        let is_ours = url.starts_with("postgres://") || url.starts_with("postgresql://");
        let allowed = "postgres://user:password@host:port/database";
        let options = PgConnectOptions::from_str(url).ok().filter(|_| is_ours);
        let options = options.ok_or_else(|| Error::setting("backend.url", format!("{masked:?}"), allowed))?;
        self.open(options, masked).await
    }

    /// Connects as `pool`, the program's own, does: to its server, with its user, certificates and parameters. The connections
    /// are the store's own, and live on its thread: a heartbeat waits neither for the program's queries nor for its runtime.
    ///
    /// # Errors
    /// As [`PostgresBackend::connect`].
    pub async fn from_pool(self, pool: &PgPool) -> Result<PostgresBackend, Error> {
        let options = (*pool.connect_options()).clone();
        let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
        let shown = format!("postgres://{user}@{host}:{port}/{}", options.get_database().unwrap_or(user));
        self.open(options, shown).await
    }

    async fn open(self, options: PgConnectOptions, shown: String) -> Result<PostgresBackend, Error> {
        let namespace = super::namespace(self.namespace.as_deref())?;
        if self.max_connections < 2 {
            let allowed = "2 or more: a heartbeat does not wait for a batch";
            return Err(Error::setting("max_connections", self.max_connections.to_string(), allowed));
        }
        if self.schema.is_empty() || self.schema.contains('\0') {
            return Err(Error::setting("backend.schema", format!("{:?}", self.schema), "the name of a schema"));
        }
        let names = Names::new(Some(self.schema.clone()), namespace.as_str());
        let thread = StoreThread::start("postgres").map_err(Error::store_thread)?;
        let failed = |cause: BoxError| Error::from(BackendError::new(format!("open {shown}"), cause));
        let tables = names.clone();
        let opened = thread.spawn(async move { self.open_here(options, &tables).await });
        let opened = opened.await.map_err(|gone| failed(gone.into()))?;
        let server = match opened.map_err(|error| failed(Box::new(error.during("make its tables"))))? {
            Ok(server) => server,
            Err(refused) => return Err(failed(refused.into())),
        };
        let statements = Statements::new(Dialect::Postgres, &names);
        Ok(PostgresBackend(Sql::new(server, statements, thread)))
    }

    async fn open_here(self, options: PgConnectOptions, names: &Names) -> Result<Result<Server, Refused>, Failed> {
        let options = options.application_name("symphra-scheduler").disable_statement_logging();
        let max_connections = self.max_connections;
        let pool = connections(max_connections).connect_with(options.clone()).await?;
        if let Err(refused) = migrate(&pool, &self.schema, names, self.migrate).await? {
            return Ok(Err(refused));
        }
        let channel = names.plain("changes");
        let channel = self.notify.then(|| Channel {
            name: channel,
            listener: Mutex::new(None),
            due: Notify::new(),
            is_renewed: Notify::new(),
        });
        Ok(Ok(Server { pool: RwLock::new(pool), options, max_connections, channel }))
    }
}

#[cfg(feature = "conformance")]
impl PostgresBackend {
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

impl sql::InSql for PostgresBackend {
    type Database = Server;

    fn sql(&self) -> &Sql<Server> {
        &self.0
    }
}

impl fmt::Debug for PostgresBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBackend").finish_non_exhaustive()
    }
}

/// Connections to a server.
pub(crate) struct Server {
    pool: RwLock<PgPool>,
    options: PgConnectOptions,
    max_connections: u32,
    channel: Option<Channel>,
}

fn connections(max: u32) -> PgPoolOptions {
    let options = PgPoolOptions::new().max_connections(max).acquire_timeout(CONNECT_MAX);
    // Where steps follow one another, a question before each would cost a good part of the step.
    options.test_before_acquire(false).before_acquire(|connection, at_rest| {
        Box::pin(async move {
            if at_rest.idle_for > TRUSTED_FOR {
                connection.ping().await?;
            }
            Ok(true)
        })
    })
}

impl Server {
    /// The connections that are in use; a lock is held for no longer than it takes to share them.
    fn pool(&self) -> PgPool {
        self.pool.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How nodes wake one another.
struct Channel {
    name: String,
    listener: Mutex<Option<PgListener>>,
    /// Told when there is something that others are to be told.
    due: Notify,
    /// Told when the connections were given up.
    is_renewed: Notify,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// What of a store there is.
#[derive(Deserialize)]
struct There {
    schema: bool,
    meta: bool,
}

async fn migrate(pool: &PgPool, schema: &str, names: &Names, how: Migrate) -> Result<Result<(), Refused>, Failed> {
    let mut tx = Tx(pool.begin().await?);
    // Two nodes that start at once make the tables one after the other.
    let lock = serde_json::json!({ "name": names.table("meta") }).to_string();
    tx.tell("SELECT pg_advisory_xact_lock(hashtextextended(CAST($1 AS jsonb) ->> 'name', 0))", &lock).await?;
    let there = "SELECT json_build_object('schema', to_regnamespace(quote_ident(CAST($1 AS jsonb) ->> 'schema')) IS NOT \
                 NULL, 'meta', to_regclass(CAST($1 AS jsonb) ->> 'meta') IS NOT NULL)";
    let input = serde_json::json!({ "schema": schema, "meta": names.table("meta") }).to_string();
    let there = tx.ask(there, &input).await?.ok_or_else(|| Failed::broken("a look at the catalog gave nothing"))?;
    let there: There = serde_json::from_str(&there).map_err(Failed::unreadable)?;
    if !there.schema && how == Migrate::Auto {
        tx.change(&format!("CREATE SCHEMA \"{}\"", schema.replace('"', "\"\""))).await?;
    }
    let migrated = sql::migrate(&mut tx, Dialect::Postgres, names, there.meta, how).await?;
    if migrated.is_ok() {
        tx.commit().await?;
    }
    Ok(migrated)
}

impl Database for Server {
    type Tx = Tx;

    const NAME: &'static str = "postgres";

    const STEP_MAX: Option<Duration> = Some(STEP_MAX);

    fn makes_two_at_once(&self) -> bool {
        self.max_connections >= TWO_AT_ONCE_CONNECTIONS
    }

    /// It has whoever wants a lock wait in line.
    fn is_busy(_error: &sqlx::Error) -> bool {
        false
    }

    fn seats(&self) -> usize {
        (self.max_connections.saturating_sub(1) as usize / 2).max(1)
    }

    fn renew(&self) {
        let new = connections(self.max_connections).connect_lazy_with(self.options.clone());
        let silent = std::mem::replace(&mut *self.pool.write().unwrap_or_else(PoisonError::into_inner), new);
        // Those who wait for one of its connections fail at once; what goes on by one ends, or is given up too.
        drop(silent.close());
        if let Some(channel) = &self.channel {
            channel.is_renewed.notify_one();
        }
    }

    async fn begin(&self) -> Result<Tx, sqlx::Error> {
        self.pool().begin_with(BEGIN).await.map(Tx)
    }

    async fn read(&self) -> Result<Tx, sqlx::Error> {
        self.pool().begin_with(BEGIN).await.map(Tx)
    }

    fn wake(&self) {
        if let Some(channel) = &self.channel {
            channel.due.notify_one();
        }
    }

    fn channel(&self) -> Option<&str> {
        self.channel.as_ref().map(|channel| &*channel.name)
    }

    async fn wake_others(&self) {
        let Some(channel) = &self.channel else { return std::future::pending().await };
        channel.due.notified().await;
        let pool = self.pool();
        let tell = sqlx::query("SELECT pg_notify($1, '')").bind(&channel.name).execute(&pool);
        // Those who are not woken look for themselves after a while.
        drop(tokio::time::timeout(LOOK_EVERY, tell).await);
        tokio::time::sleep(NOTIFY_EVERY).await;
    }

    async fn woken(&self) {
        let Some(channel) = &self.channel else { return tokio::time::sleep(LOOK_EVERY).await };
        let mut listener = channel.listener.lock().await;
        if listener.is_none() {
            let listening = tokio::time::timeout(CONNECT_MAX, listen(&self.pool(), &channel.name)).await;
            *listener = listening.ok().and_then(Result::ok);
        }
        let Some(listening) = listener.as_mut() else { return tokio::time::sleep(LOOK_EVERY).await };
        let told = tokio::select! {
            told = tokio::time::timeout(LOOK_EVERY, listening.recv()) => told,
            // Its own connection may be silent too.
            () = channel.is_renewed.notified() => {
                *listener = None;
                return;
            }
        };
        if matches!(told, Ok(Err(_))) {
            *listener = None;
        }
        tokio::time::sleep(NOTIFY_EVERY).await;
    }
}

async fn listen(pool: &PgPool, channel: &str) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(channel).await?;
    Ok(listener)
}

/// A transaction on a server.
pub(crate) struct Tx(sqlx::Transaction<'static, Postgres>);

impl Transaction for Tx {
    async fn ask(&mut self, sql: &str, input: &str) -> Result<Option<String>, sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(sql.to_owned()).into_sql_str()).bind(input);
        let Some(row) = query.fetch_optional(&mut *self.0).await? else { return Ok(None) };
        let value = row.try_get_raw(0)?;
        if sqlx::ValueRef::is_null(&value) {
            return Ok(None);
        }
        value.as_str().map(|text| Some(text.to_owned())).map_err(sqlx::Error::Decode)
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
