//! The store that settings name, opened: the one place that knows which type is which backend.

use std::sync::Arc;

#[cfg(feature = "postgres")]
use crate::backend::PostgresBackend;
#[cfg(feature = "rabbitmq")]
use crate::backend::RabbitMqBackend;
#[cfg(feature = "redis")]
use crate::backend::RedisBackend;
#[cfg(feature = "sqlite")]
use crate::backend::SqliteBackend;
use crate::backend::{Backend, MemoryBackend};
use crate::clock::Clock;
use crate::config::BackendConfig;
use crate::config::backend::Chosen;
use crate::config::registered;
use crate::error::Error;

/// Opens the store, or makes it, as its settings say.
///
/// # Errors
/// What is wrong with the settings; or that the store cannot be opened, with its URL, the password masked, and the reason.
pub(crate) async fn open(config: &BackendConfig, clock: &Clock) -> Result<Arc<dyn Backend>, Error> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(Error::start(problems.into_iter().map(Into::into).collect()));
    }
    Ok(match config.chosen() {
        #[cfg(feature = "sqlite")]
        Chosen::Sqlite { url } => {
            let mut options = SqliteBackend::options().migrate(config.migration());
            if let Some(namespace) = config.namespace_name() {
                options = options.namespace(namespace);
            }
            if let Some(max) = config.connections_max() {
                options = options.max_connections(max);
            }
            Arc::new(options.connect(url).await?)
        }
        #[cfg(feature = "postgres")]
        Chosen::Postgres { url } => {
            let mut options = PostgresBackend::options().migrate(config.migration()).notify(config.notifies());
            if let Some(namespace) = config.namespace_name() {
                options = options.namespace(namespace);
            }
            if let Some(schema) = config.schema_name() {
                options = options.schema(schema);
            }
            if let Some(max) = config.connections_max() {
                options = options.max_connections(max);
            }
            Arc::new(options.connect(url).await?)
        }
        #[cfg(feature = "redis")]
        Chosen::Redis { url } => {
            let mut options = RedisBackend::options().migrate(config.migration());
            if let Some(namespace) = config.namespace_name() {
                options = options.namespace(namespace);
            }
            if let Some(max) = config.connections_max() {
                options = options.max_connections(max);
            }
            Arc::new(options.connect(url).await?)
        }
        #[cfg(feature = "rabbitmq")]
        Chosen::RabbitMq { url } => {
            let mut options = RabbitMqBackend::options().migrate(config.migration());
            if let Some(namespace) = config.namespace_name() {
                options = options.namespace(namespace);
            }
            Arc::new(options.connect(url).await?)
        }
        Chosen::Registered(name) => registered::open(name, config.settings()).await?,
        // Of what this program is built without, the problems have told.
        _ => Arc::new(MemoryBackend::with_clock(clock.clone())),
    })
}
