//! The dashboard: pages, an HTTP API and live news of a scheduler, as a router of axum that hangs wherever a program puts it,
//! or is served on its own beside a store.
//!
//! It knows no scheduling. Whatever it shows or changes goes through the questions of `control`, as commands do, so its JSON
//! is theirs. Invariant: nothing is read or changed before `access` has looked at who asks, and what programs wrote (errors,
//! logs) leaves only redacted and cut.

mod access;
mod api;
mod ask;
mod live;
mod openapi;
mod page;
mod probes;
mod problem;
#[cfg(feature = "cli")]
mod serve;
mod shown;
mod source;
mod web;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::middleware::from_fn_with_state;

use crate::error::Error;
use crate::handle::SchedulerHandle;
use access::{Attempts, Hosts, Sessions, Token};
use live::Listeners;
#[cfg(feature = "cli")]
pub(crate) use serve::serve;
use shown::Redact;
#[cfg(feature = "cli")]
pub(crate) use source::Alone;
use source::Source;

/// The longest body of a question: names, instants and reasons are short.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Pages and an HTTP API for a scheduler. It can only be looked at unless [`token`](Self::token) or
/// [`allow_writes`](Self::allow_writes) lets it be used.
///
/// ```
/// use symphra_scheduler::{Schedule, Scheduler, Task};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let scheduler = Scheduler::empty().register(Task::new("tick", Schedule::interval(std::time::Duration::from_secs(10))?, || async {})).start().await?;
/// let dashboard = scheduler.dashboard().token("long and hard to guess")?.allowed_hosts(["ops.example.com"]);
/// let service: axum::Router = axum::Router::new().nest_service("/scheduler", dashboard.into_router());
/// # drop(service);
/// # scheduler.stop().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "it serves nothing until its router is mounted"]
pub struct Dashboard {
    source: Source,
    writes: Writes,
    token: Option<Token>,
    redact: Redact,
    hosts: Hosts,
}

/// Whether somebody without a token may change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writes {
    Refused,
    Allowed,
}

/// What every request works with.
struct Shared {
    source: Source,
    writes: Writes,
    token: Option<Token>,
    redact: Redact,
    hosts: Hosts,
    attempts: Attempts,
    sessions: Sessions,
    listeners: Listeners,
}

impl SchedulerHandle {
    /// Pages and an HTTP API for this scheduler.
    pub fn dashboard(&self) -> Dashboard {
        Dashboard::of(Source::Running(self.clone()))
    }
}

impl Dashboard {
    fn of(source: Source) -> Self {
        let (redact, hosts) = (Redact::default(), Hosts::default());
        Self { source, writes: Writes::Refused, token: None, redact, hosts }
    }

    /// Lets whoever reaches it trigger, pause, cancel and so on, without a token. It is for places that only those reach who
    /// may do all of that: behind the program's own middleware, or on a developer's machine.
    pub fn allow_writes(mut self) -> Self {
        self.writes = Writes::Allowed;
        self
    }

    /// Answers nobody, not even for looking, who does not show this token: as `Authorization: Bearer …`, or by signing in
    /// on a page. Who shows it may change things too.
    ///
    /// After ten wrong ones within a minute nobody signs in until the minute is over, and further wrong ones are answered 429;
    /// sessions, and programs with the right one, go on.
    ///
    /// # Errors
    /// If it has less than 16 bytes, for it could be guessed, or holds what no header can: control characters, or what is
    /// not ASCII.
    pub fn token(mut self, token: impl Into<String>) -> Result<Self, Error> {
        self.token = Some(Token::new(token.into())?);
        Ok(self)
    }

    /// Passes errors, logs and notes through `redact` before anything shows them. They are cut at 8 KB afterwards.
    pub fn redact(mut self, redact: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.redact = Redact::with(Arc::new(redact));
        self
    }

    /// The names by which browsers may ask for it, besides `localhost` and addresses in numbers, without ports. A request
    /// by another name is refused: a foreign page could have its own name lead here.
    pub fn allowed_hosts<I>(mut self, hosts: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.hosts = self.hosts.and(hosts.into_iter().map(Into::into));
        self
    }

    /// The router. It can hang below any path: by `nest_service`, which answers the path with a slash at its end too, or by
    /// `nest`, which does not.
    ///
    /// Besides pages and API it has `livez` and `readyz` for probes, `health` (JSON, and 503 where not all is well), and with
    /// the feature `metrics` what a scrape of Prometheus gets at `metrics`.
    ///
    /// A request whose body is not there within a minute is answered 408. How many connections there may be, and how long the head
    /// of a request may take, is up to the server that the router hangs in: `axum::serve` bounds neither.
    pub fn into_router(self) -> Router {
        let Self { source, writes, token, redact, hosts } = self;
        let (attempts, sessions) = (Attempts::default(), Sessions::default());
        let listeners = Listeners::default();
        let shared = Arc::new(Shared { source, writes, token, redact, hosts, attempts, sessions, listeners });
        (web::routes())
            .merge(probes::routes())
            .merge(api::routes())
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(from_fn_with_state(Arc::clone(&shared), access::guard))
            .with_state(shared)
    }
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { writes, token, .. } = self;
        f.debug_struct("Dashboard").field("writes", writes).field("token", &token.as_ref().map(|_| "***")).finish()
    }
}

/// The path below which the router hangs, without a slash at its end: what the whole path has before the path within.
fn base_of(whole: &Uri, within: &Uri) -> String {
    let (whole, within) = (whole.path(), within.path());
    whole.strip_suffix(within).unwrap_or(whole).trim_end_matches('/').to_owned()
}
