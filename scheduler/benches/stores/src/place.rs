//! Databases of their own for measurements: a file in a folder, or a database on a server. Of Redis it is the one that is named,
//! which has to be empty, and of RabbitMQ a namespace of its own.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::{AssertSqlSafe, PgPool, SqlSafeStr};

use crate::Failure;

/// A database that was made for a measurement.
#[derive(Clone, Debug)]
pub enum Place {
    /// A file of SQLite.
    Sqlite {
        /// The file.
        file: PathBuf,
    },
    /// A database of PostgreSQL.
    Postgres {
        /// Its URL.
        url: String,
        /// Its name.
        name: String,
        /// The URL of another database on the same server, from which this one is looked at.
        server: String,
    },
    /// A virtual host of RabbitMQ.
    RabbitMq {
        /// Its URL.
        url: String,
    },
    /// A database of Redis.
    Redis {
        /// Its URL.
        url: String,
    },
}

impl Place {
    /// A new database under `url`: `sqlite://` and a folder, or the URL of a PostgreSQL server.
    ///
    /// # Errors
    /// The URL is of no database; the server refuses.
    pub async fn new(url: &str) -> Result<Self, Failure> {
        let name = format!("bench_{}_{}", std::process::id(), SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos());
        if let Some(folder) = url.strip_prefix("sqlite://") {
            std::fs::create_dir_all(folder)?;
            return Ok(Self::Sqlite { file: PathBuf::from(folder).join(name).with_extension("db") });
        }
        if url.starts_with("amqp://") {
            return Ok(Self::RabbitMq { url: url.into() });
        }
        if url.starts_with("redis://") {
            let size: u64 = redis::cmd("DBSIZE").query_async(&mut connection(url).await?).await?;
            return if size == 0 { Ok(Self::Redis { url: url.into() }) } else { Err("the database is not empty".into()) };
        }
        let (server, _) =
            url.rsplit_once('/').filter(|_| url.starts_with("postgres://")).ok_or("not a URL of a store")?;
        let pool = PgPool::connect(url).await?;
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")).into_sql_str()).execute(&pool).await?;
        Ok(Self::Postgres { url: format!("{server}/{name}"), name, server: url.into() })
    }

    /// The URL by which a program opens it.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite { file } => format!("sqlite://{}", file.display()),
            Self::Postgres { url, .. } | Self::RabbitMq { url } | Self::Redis { url } => url.clone(),
        }
    }

    /// The database, in one word.
    #[must_use]
    pub const fn store(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres { .. } => "postgres",
            Self::RabbitMq { .. } => "rabbitmq",
            Self::Redis { .. } => "redis",
        }
    }

    /// Removes it.
    ///
    /// # Errors
    /// The file cannot be removed; the server refuses.
    pub async fn remove(self) -> Result<(), Failure> {
        match self {
            Self::Sqlite { file } => {
                for ending in ["db", "db-wal", "db-shm"] {
                    match std::fs::remove_file(file.with_extension(ending)) {
                        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                        _ => {}
                    }
                }
            }
            Self::Postgres { name, server, .. } => {
                let pool = PgPool::connect(&server).await?;
                let drop = format!("DROP DATABASE {name} WITH (FORCE)");
                sqlx::query(AssertSqlSafe(drop).into_sql_str()).execute(&pool).await?;
            }
            Self::RabbitMq { url } => remove_queue(&url).await?,
            Self::Redis { url } => redis::cmd("FLUSHDB").query_async(&mut connection(&url).await?).await?,
        }
        Ok(())
    }
}

/// Removes what a store has made in RabbitMQ.
async fn remove_queue(url: &str) -> Result<(), Failure> {
    let connection = lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.queue_delete("symphra.bench.state".into(), lapin::options::QueueDeleteOptions::default()).await?;
    Ok(())
}

/// A connection to a Redis, whose answers are waited for.
///
/// # Errors
/// It does not answer.
pub async fn connection(url: &str) -> Result<redis::aio::MultiplexedConnection, Failure> {
    let settings = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    Ok(redis::Client::open(url)?.get_multiplexed_async_connection_with_config(&settings).await?)
}
