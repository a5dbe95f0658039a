//! Backends that a program brings itself, under the names by which settings ask for them.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backend::Kind;
use crate::backend::{Backend, BackendError};
use crate::error::Error;
use crate::migrate::Migrate;
use crate::outcome::BoxError;
use crate::secret::masked_url;

/// How many backends a program may bring: their names are kept as long as it lives.
const REGISTERED_MAX: usize = 64;

const ALLOWED: &str = "1 to 32 of a-z, 0-9, - and _, the first a letter, that name no backend yet; 64 names at most";

type Opened = Pin<Box<dyn Future<Output = Result<Arc<dyn Backend>, BoxError>> + Send>>;

type Factory = Arc<dyn Fn(BackendSettings) -> Opened + Send + Sync>;

static REGISTERED: Mutex<BTreeMap<&'static str, Factory>> = Mutex::new(BTreeMap::new());

/// What settings say of a backend that the program has brought by [`register_backend`].
///
/// ```
/// use symphra_scheduler::{BackendSettings, Error, MemoryBackend, register_backend};
///
/// /// Opens `attic://<place>`.
/// async fn open(settings: BackendSettings) -> Result<MemoryBackend, String> {
///     let place = settings.url.as_deref().and_then(|url| url.strip_prefix("attic://")).ok_or("attic:// needs a place")?;
///     println!("the attic {place} for {}, {:?}", settings.namespace, settings.migrate);
///     Ok(MemoryBackend::new())
/// }
///
/// /// At the beginning of `main`.
/// fn bring() -> Result<(), Error> {
///     register_backend("attic", open)
/// }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct BackendSettings {
    /// Where the store is, if that is said: `name://` and what follows. `Debug` shows it without its password.
    pub url: Option<String>,
    /// How many connections are open at most, if that is said.
    pub max_connections: Option<u32>,
    /// What sets programs apart that share the store: as it is said, or else the name of the program's file.
    pub namespace: String,
    /// Whether what is missing in the store is made, or has to be there.
    pub migrate: Migrate,
}

impl fmt::Debug for BackendSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendSettings")
            .field("url", &self.url.as_deref().map(masked_url))
            .field("max_connections", &self.max_connections)
            .field("namespace", &self.namespace)
            .field("migrate", &self.migrate)
            .finish()
    }
}

/// Brings a backend of the program's own: from now on settings that say `backend: { type: name }`, or a URL that begins with
/// `name://`, have `factory` open it. It is called once for each start, and by each command that looks into the store.
///
/// `url` then begins with `name://` too.
///
/// Call it at the beginning of `main`, before settings are read: a name that nobody has brought is no backend. Of the settings
/// of `backend:` such a backend has `url`, `max_connections`, `namespace` and `migrate`; it is what it makes of them.
///
/// ```
/// use symphra_scheduler::{MemoryBackend, register_backend, registered_backends};
///
/// # fn main() -> Result<(), symphra_scheduler::Error> {
/// register_backend("attic", async |settings| {
///     println!("opens {:?} for {}", settings.url, settings.namespace);
///     Ok::<_, std::io::Error>(MemoryBackend::new())
/// })?;
/// assert!(registered_backends().iter().any(|name| name == "attic"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::is_config`] if the name is not 1 to 32 of `a-z`, `0-9`, `-` and `_`, the first a letter; if a backend has it, or a
/// URL of one begins with it; or if 64 were brought.
pub fn register_backend<B, E, F>(
    name: &str,
    factory: impl Fn(BackendSettings) -> F + Send + Sync + 'static,
) -> Result<(), Error>
where
    B: Backend + 'static,
    E: Into<BoxError>,
    F: Future<Output = Result<B, E>> + Send + 'static,
{
    let mut registered = registered();
    let is_taken = registered.contains_key(name) || Kind::BUILT_IN.iter().any(|kind| kind.is_called(name));
    if !is_possible(name) || is_taken || registered.len() >= REGISTERED_MAX {
        return Err(Error::setting("register_backend", format!("{name:?}"), ALLOWED));
    }
    let factory: Factory = Arc::new(move |settings| {
        let opening = factory(settings);
        Box::pin(async move {
            match opening.await {
                Ok(backend) => Ok(Arc::new(backend) as Arc<dyn Backend>),
                Err(error) => Err(error.into()),
            }
        })
    });
    registered.insert(String::leak(name.to_owned()), factory);
    Ok(())
}

/// The names of the backends that settings can ask for in this program: those that it is built with, and those that it has
/// brought by [`register_backend`], these in alphabetical order.
///
/// ```
/// use symphra_scheduler::registered_backends;
///
/// assert!(registered_backends().iter().any(|name| name == "memory"));
/// ```
#[must_use]
pub fn registered_backends() -> Vec<String> {
    let built_in = Kind::BUILT_IN.into_iter().filter(|kind| kind.missing().is_none()).map(Kind::name);
    built_in.chain(names()).map(str::to_owned).collect()
}

/// The names of those that the program has brought.
pub(crate) fn names() -> Vec<&'static str> {
    registered().keys().copied().collect()
}

/// The name as it was brought, if it was.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    registered().get_key_value(name).map(|(name, _)| *name)
}

/// Opens one.
///
/// # Errors
/// What its factory says.
pub(crate) async fn open(name: &'static str, settings: BackendSettings) -> Result<Arc<dyn Backend>, Error> {
    let factory = registered().get(name).cloned();
    let Some(factory) = factory else { unreachable!("what was brought stays") };
    factory(settings).await.map_err(|cause| BackendError::new(format!("open the backend {name}"), cause).into())
}

fn is_possible(name: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    name.len() <= 32 && name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(rest)
}

/// A panic while the lock is held leaves a map as good as any.
fn registered() -> MutexGuard<'static, BTreeMap<&'static str, Factory>> {
    REGISTERED.lock().unwrap_or_else(PoisonError::into_inner)
}
