//! Which store is used, as settings say it: plain data, in every build. What opens it is `launch`.
//!
//! Each value knows where it was written, so that what is wrong with the whole, once all layers are one, can be told with
//! both places.

use std::fmt;

use super::registered::{self, BackendSettings};
use crate::error::Problem;
use crate::migrate::Migrate;
use crate::namespace::Namespace;
use crate::secret::masked_url;
use crate::task::Place;

/// The file of an SQLite store where none is named.
const SQLITE_URL: &str = "sqlite://scheduler.db";

/// The fewest connections of a PostgreSQL store: a heartbeat does not wait for a batch.
const POSTGRES_CONNECTIONS_MIN: u32 = 2;

/// Where marks, runs and records are kept, for [`SchedulerConfig::backend`](crate::SchedulerConfig::backend).
///
/// The scheduler opens it when it starts, unless [`Scheduler::backend`](crate::Scheduler::backend) has set one. Setters do
/// not fail; what is impossible is an error at start. Neither `Debug` nor an error shows a password.
///
/// ```
/// use symphra_scheduler::{BackendConfig, SchedulerConfig};
///
/// let config = SchedulerConfig::new().backend(BackendConfig::of_url("sqlite://scheduler.db"));
/// # let _ = config;
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct BackendConfig {
    kind: Option<Said<Kind>>,
    url: Option<Said<String>>,
    max_connections: Option<Said<u32>>,
    namespace: Option<Said<String>>,
    schema: Option<Said<String>>,
    migrate: Option<Said<Migrate>>,
    notify: Option<Said<bool>>,
}

/// A value, and where it is written, if that is not the program's code.
#[derive(Clone, Debug, PartialEq)]
struct Said<T> {
    value: T,
    place: Option<Place>,
}

/// A kind of store that has a name, whether or not this program can use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Sqlite,
    Postgres,
    Redis,
    RabbitMq,
    /// One that the program has brought, under this name.
    Registered(&'static str),
}

/// A store that this program can open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chosen<'a> {
    Memory,
    Sqlite { url: &'a str },
    Postgres { url: &'a str },
    Redis { url: &'a str },
    RabbitMq { url: &'a str },
    Registered(&'static str),
}

/// Why a store cannot be used as it is described.
#[derive(Debug)]
pub(crate) struct BackendProblem {
    #[cfg_attr(not(feature = "config"), expect(dead_code, reason = "only what is read tells keys apart"))]
    pub(crate) key: &'static str,
    pub(crate) place: Option<Place>,
    pub(crate) says: String,
}

impl Kind {
    /// Those that this library has.
    pub(crate) const BUILT_IN: [Self; 5] = [Self::Memory, Self::Sqlite, Self::Postgres, Self::Redis, Self::RabbitMq];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::RabbitMq => "rabbitmq",
            Self::Registered(name) => name,
        }
    }

    /// How its URLs begin: those of one that the program has brought, with its name.
    pub(crate) const fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::Memory | Self::Registered(_) => &[],
            Self::Sqlite => &["sqlite"],
            Self::Postgres => &["postgres", "postgresql"],
            Self::Redis => &["redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"],
            Self::RabbitMq => &["amqp", "amqps"],
        }
    }

    /// The kind of a URL, by its scheme.
    pub(crate) fn of_url(url: &str) -> Option<Self> {
        let (scheme, _) = url.split_once("://")?;
        let built_in = Self::BUILT_IN.into_iter().find(|kind| kind.schemes().contains(&scheme));
        built_in.or_else(|| registered::known(scheme).map(Self::Registered))
    }

    /// Whether it is called so; the scheme of a URL is a name too.
    pub(crate) fn is_called(self, word: &str) -> bool {
        self.name() == word || self.schemes().contains(&word)
    }

    /// The kind that is called so.
    #[cfg(feature = "config")]
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        let built_in = Self::BUILT_IN.into_iter().find(|kind| kind.is_called(word));
        built_in.or_else(|| registered::known(word).map(Self::Registered))
    }

    /// Why this program has no such store, if it has none.
    pub(super) fn missing(self) -> Option<String> {
        let feature = self.name();
        match self {
            Self::Memory | Self::Registered(_) => None,
            Self::Sqlite if cfg!(feature = "sqlite") => None,
            Self::Postgres if cfg!(feature = "postgres") => None,
            Self::Redis if cfg!(feature = "redis") => None,
            Self::RabbitMq if cfg!(feature = "rabbitmq") => None,
            Self::Sqlite | Self::Postgres | Self::Redis | Self::RabbitMq => Some(format!(
                "needs the feature `{feature}`, without which this program is built; add it to symphra-scheduler in \
                 Cargo.toml, or use the memory backend"
            )),
        }
    }

    /// Whether a setting of this key means something to it.
    fn has(self, key: &str) -> bool {
        match self {
            Self::Memory => false,
            Self::Sqlite | Self::Redis | Self::RabbitMq | Self::Registered(_) => {
                !matches!(key, "backend.schema" | "backend.notify")
            }
            Self::Postgres => true,
        }
    }
}

/// How a URL may begin.
fn url_schemes() -> String {
    let built_in = Kind::BUILT_IN.iter().filter_map(|kind| kind.schemes().first()).copied();
    let schemes: Vec<String> = built_in.chain(registered::names()).map(|scheme| format!("{scheme}://")).collect();
    one_of(&schemes)
}

/// The names of all kinds of stores.
#[cfg(feature = "config")]
pub(super) fn kind_names() -> Vec<&'static str> {
    Kind::BUILT_IN.into_iter().map(Kind::name).chain(registered::names()).collect()
}

/// One of these, in words.
pub(super) fn one_of<W: std::borrow::Borrow<str>>(words: &[W]) -> String {
    match words {
        [others @ .., last] if !others.is_empty() => format!("{} or {}", others.join(", "), last.borrow()),
        _ => words.join(", "),
    }
}

/// What may be shown of a URL: a password may stand anywhere in it.
fn scheme_of(url: &str) -> String {
    url.split_once("://").map_or_else(|| "…".to_owned(), |(scheme, _)| format!("{scheme}://…"))
}

macro_rules! setters {
    ($($(#[$doc:meta])* $public:ident, $placed:ident: $of:ty, $field:ident;)+) => {
        impl BackendConfig {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $public(mut self, $field: impl Into<$of>) -> Self {
                    self.$field = Some(Said { value: $field.into(), place: None });
                    self
                }

                #[cfg(feature = "config")]
                pub(super) fn $placed(mut self, $field: $of, place: &Place) -> Self {
                    self.$field = Some(Said { value: $field, place: Some(place.clone()) });
                    self
                }
            )+
        }
    };
}

setters! {
    /// Where the store is: `sqlite://scheduler.db`, `postgres://user:password@host:5432/database`,
    /// `redis://user:password@host:6379/0`, `amqp://user:password@host:5672/vhost`. Its scheme says which kind of store it is, so that a URL needs no type beside it.
    url, url_at: String, url;
    /// How many connections are open at most: of SQLite those that read, 1 or more, by default 4; of PostgreSQL 2 or more,
    /// by default 8; of Redis 1 or more, by default 2; of RabbitMQ 1 or more, and one is enough.
    max_connections, max_connections_at: u32, max_connections;
    /// What sets programs apart that share a store: 1 to 32 of `a-z`, `0-9` and `_`, the first a letter. Default: the name
    /// of the program's file.
    namespace, namespace_at: String, namespace;
    /// The schema of the tables in PostgreSQL. Default `public`.
    schema, schema_at: String, schema;
    /// Whether tables are made and brought up to date at start. Default [`Migrate::Auto`].
    migrate, migrate_at: Migrate, migrate;
    /// Whether nodes wake one another by `LISTEN` and `NOTIFY` of PostgreSQL, which a pooler that hands out connections by
    /// transaction does not carry. Default true.
    notify, notify_at: bool, notify;
}

impl BackendConfig {
    /// Nothing is said: the layers below decide, and without them it is memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A store in memory, which ends with the process.
    #[must_use]
    pub fn memory() -> Self {
        Self::of(Kind::Memory, None)
    }

    /// A store in an SQLite file, `scheduler.db` in the working directory unless [`url`](Self::url) names another. It needs
    /// the feature `sqlite`.
    #[must_use]
    pub fn sqlite() -> Self {
        Self::of(Kind::Sqlite, None)
    }

    /// A store in PostgreSQL, at [`url`](Self::url). It needs the feature `postgres`.
    #[must_use]
    pub fn postgres() -> Self {
        Self::of(Kind::Postgres, None)
    }

    /// A store in Redis, at [`url`](Self::url). It needs the feature `redis`.
    #[must_use]
    pub fn redis() -> Self {
        Self::of(Kind::Redis, None)
    }

    /// A store in RabbitMQ, at [`url`](Self::url). It needs the feature `rabbitmq`.
    #[must_use]
    pub fn rabbitmq() -> Self {
        Self::of(Kind::RabbitMq, None)
    }

    /// The store that a URL names.
    #[must_use]
    pub fn of_url(url: impl Into<String>) -> Self {
        Self::new().url(url)
    }

    fn of(kind: Kind, place: Option<Place>) -> Self {
        Self { kind: Some(Said { value: kind, place }), ..Self::default() }
    }

    #[cfg(feature = "config")]
    pub(super) fn kind_at(mut self, kind: Kind, place: &Place) -> Self {
        self.kind = Some(Said { value: kind, place: Some(place.clone()) });
        self
    }

    /// Without what says which store it is.
    #[cfg(feature = "cli")]
    pub(crate) fn anywhere(mut self) -> Self {
        (self.kind, self.url) = (None, None);
        self
    }

    /// These settings, and where they say nothing, those of `below`; of another store than this one only what holds for any.
    #[cfg(feature = "config")]
    pub(crate) fn over(self, mut below: Self) -> Self {
        let asks_for = |asked: &Self| (asked.kind.is_some() || asked.url.is_some()).then(|| asked.kind());
        if let (Some(store), Some(other)) = (asks_for(&self), asks_for(&below))
            && store != other
        {
            // The address of another store is not this one's.
            below = Self { namespace: below.namespace, migrate: below.migrate, ..Self::default() };
        }
        Self {
            kind: self.kind.or(below.kind),
            url: self.url.or(below.url),
            max_connections: self.max_connections.or(below.max_connections),
            namespace: self.namespace.or(below.namespace),
            schema: self.schema.or(below.schema),
            migrate: self.migrate.or(below.migrate),
            notify: self.notify.or(below.notify),
        }
    }

    /// What each key says, wherever it is written, to be compared and shown to nobody: a URL has its password in it.
    #[cfg(feature = "config")]
    pub(super) fn said(&self) -> Vec<(&'static str, String)> {
        fn said<T: fmt::Debug>(value: Option<&Said<T>>) -> String {
            format!("{:?}", value.map(|said| &said.value))
        }
        let Self { kind, url, max_connections, namespace, schema, migrate, notify } = self;
        vec![
            ("backend.type", said(kind.as_ref())),
            ("backend.url", said(url.as_ref())),
            ("backend.max_connections", said(max_connections.as_ref())),
            ("backend.namespace", said(namespace.as_ref())),
            ("backend.schema", said(schema.as_ref())),
            ("backend.migrate", said(migrate.as_ref())),
            ("backend.notify", said(notify.as_ref())),
        ]
    }

    /// The kind of store that is asked for.
    pub(crate) fn kind(&self) -> Kind {
        let said = self.kind.as_ref().map(|kind| kind.value);
        let by_url = || self.url.as_ref().and_then(|url| Kind::of_url(&url.value));
        said.or_else(by_url).unwrap_or(Kind::Memory)
    }

    /// Where the store is, the password masked.
    #[cfg(feature = "cli")]
    pub(crate) fn place(&self) -> String {
        match self.chosen() {
            Chosen::Memory => "memory".to_owned(),
            Chosen::Registered(name) => self.url.as_ref().map_or_else(|| name.to_owned(), |url| masked_url(&url.value)),
            Chosen::Sqlite { url } | Chosen::Postgres { url } | Chosen::Redis { url } | Chosen::RabbitMq { url } => {
                masked_url(url)
            }
        }
    }

    /// Whether a password stands in the URL, or may: in what is none it may be anywhere.
    #[cfg(feature = "cli")]
    pub(crate) fn tells_password(&self) -> bool {
        self.url.as_ref().is_some_and(|url| !url.value.contains("://") || crate::secret::has_secret(&url.value))
    }

    #[cfg(feature = "cli")]
    pub(crate) fn is_durable(&self) -> bool {
        self.kind() != Kind::Memory
    }

    /// The store, if there are no [`problems`](Self::problems).
    pub(crate) fn chosen(&self) -> Chosen<'_> {
        let url = self.url.as_ref().map(|url| url.value.as_str());
        match self.kind() {
            Kind::Sqlite => Chosen::Sqlite { url: url.unwrap_or(SQLITE_URL) },
            Kind::Postgres => Chosen::Postgres { url: url.unwrap_or_default() },
            Kind::Redis => Chosen::Redis { url: url.unwrap_or_default() },
            Kind::RabbitMq => Chosen::RabbitMq { url: url.unwrap_or_default() },
            Kind::Memory => Chosen::Memory,
            Kind::Registered(name) => Chosen::Registered(name),
        }
    }

    /// The folder of the file, if it is one in a folder that is not there.
    #[cfg(feature = "cli")]
    pub(crate) fn missing_folder(&self) -> Option<std::path::PathBuf> {
        let Chosen::Sqlite { url } = self.chosen() else { return None };
        let path = url.strip_prefix("sqlite://").unwrap_or(url).split('?').next().unwrap_or_default();
        let folder = std::path::Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty())?;
        (!folder.is_dir()).then(|| folder.to_owned())
    }

    pub(crate) fn connections_max(&self) -> Option<u32> {
        self.max_connections.as_ref().map(|max| max.value)
    }

    pub(crate) fn namespace_name(&self) -> Option<&str> {
        self.namespace.as_ref().map(|name| name.value.as_str())
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn schema_name(&self) -> Option<&str> {
        self.schema.as_ref().map(|name| name.value.as_str())
    }

    pub(crate) fn migration(&self) -> Migrate {
        self.migrate.as_ref().map(|migrate| migrate.value).unwrap_or_default()
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn notifies(&self) -> bool {
        self.notify.as_ref().is_none_or(|notify| notify.value)
    }

    /// What they say to the factory of a backend that the program has brought, if there are no
    /// [`problems`](Self::problems).
    pub(crate) fn settings(&self) -> BackendSettings {
        let namespace = self.namespace_name().map(str::to_owned);
        BackendSettings {
            url: self.url.as_ref().map(|url| url.value.clone()),
            max_connections: self.connections_max(),
            namespace: namespace.unwrap_or_else(|| Namespace::of_this_program().as_str().to_owned()),
            migrate: self.migration(),
        }
    }

    /// Each option that is said, its key and its place, the type apart.
    fn options(&self) -> impl Iterator<Item = (&'static str, Option<&Place>)> {
        fn said<'a, T>(key: &'static str, of: Option<&'a Said<T>>) -> Option<(&'static str, Option<&'a Place>)> {
            of.map(|said| (key, said.place.as_ref()))
        }
        let all = [
            said("backend.url", self.url.as_ref()),
            said("backend.max_connections", self.max_connections.as_ref()),
            said("backend.namespace", self.namespace.as_ref()),
            said("backend.schema", self.schema.as_ref()),
            said("backend.migrate", self.migrate.as_ref()),
            said("backend.notify", self.notify.as_ref()),
        ];
        all.into_iter().flatten()
    }

    /// Everything that is impossible in these settings, once all layers are one.
    pub(crate) fn problems(&self) -> Vec<BackendProblem> {
        let kind = self.kind();
        if let Some(problem) = self.not_there(kind) {
            // What else is said of a store that is not there cannot be judged.
            return vec![problem];
        }
        let mut found = Vec::new();
        let mut says = |key, place: Option<&Place>, says: String| {
            found.push(BackendProblem { key, place: place.cloned(), says });
        };
        for (key, place) in self.options().filter(|(key, _)| !kind.has(key)) {
            let why = if kind == Kind::Memory { ", which connects to nothing" } else { "" };
            says(key, place, format!("{key} means nothing to the {} backend{why}; drop it", kind.name()));
        }
        if kind == Kind::Memory {
            return found;
        }
        let by = self.kind.as_ref().and_then(|kind| kind.place.as_ref());
        match &self.url {
            Some(url) if Kind::of_url(&url.value) != Some(kind) => {
                let by = by.map_or_else(String::new, |place| format!(" ({place})"));
                let text = format!(
                    "backend.url = {:?} contradicts backend.type = {:?}{by}; allowed is a URL that begins with {}://",
                    scheme_of(&url.value),
                    kind.name(),
                    kind.schemes().first().copied().unwrap_or(kind.name()),
                );
                says("backend.url", url.place.as_ref(), text);
            }
            None if kind == Kind::Postgres => {
                let text =
                    "backend.url is missing: the postgres backend needs postgres://user:password@host:5432/database";
                says("backend.url", by, text.to_owned());
            }
            None if kind == Kind::Redis => {
                let text = "backend.url is missing: the redis backend needs redis://user:password@host:6379/0";
                says("backend.url", by, text.to_owned());
            }
            None if kind == Kind::RabbitMq => {
                let text = "backend.url is missing: the rabbitmq backend needs amqp://user:password@host:5672/vhost";
                says("backend.url", by, text.to_owned());
            }
            _ => {}
        }
        let least = if kind == Kind::Postgres { POSTGRES_CONNECTIONS_MIN } else { 1 };
        if let Some(max) = self.max_connections.as_ref().filter(|max| max.value < least) {
            let text = format!("backend.max_connections = {} is not possible; allowed is {least} or more", max.value);
            says("backend.max_connections", max.place.as_ref(), text);
        }
        if let Some(name) = self.namespace.as_ref().filter(|name| Namespace::new(&name.value).is_none()) {
            let text =
                format!("backend.namespace = {:?} is not possible; allowed is {}", name.value, Namespace::ALLOWED);
            says("backend.namespace", name.place.as_ref(), text);
        }
        found
    }

    /// That no such store is known, or that this program has none.
    fn not_there(&self, kind: Kind) -> Option<BackendProblem> {
        let (key, place, value, missing) = match (&self.kind, &self.url) {
            (Some(said), _) => ("backend.type", &said.place, kind.name().to_owned(), kind.missing()?),
            (None, Some(url)) => {
                let missing = match Kind::of_url(&url.value) {
                    Some(kind) => kind.missing()?,
                    None => format!("names no backend; allowed is {}", url_schemes()),
                };
                ("backend.url", &url.place, scheme_of(&url.value), missing)
            }
            (None, None) => return None,
        };
        Some(BackendProblem { key, place: place.clone(), says: format!("{key} = {value:?} {missing}") })
    }
}

impl From<BackendProblem> for Problem {
    fn from(BackendProblem { place, says, .. }: BackendProblem) -> Self {
        Self::Configured { place, says }
    }
}

impl fmt::Debug for BackendConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("BackendConfig");
        shown.field("type", &self.kind().name());
        if let Some(url) = &self.url {
            shown.field("url", &masked_url(&url.value));
        }
        shown
            .field("max_connections", &self.connections_max())
            .field("namespace", &self.namespace_name())
            .field("schema", &self.schema.as_ref().map(|schema| &schema.value))
            .field("migrate", &self.migration())
            .field("notify", &self.notify.as_ref().map(|notify| notify.value))
            .finish()
    }
}
