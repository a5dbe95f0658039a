//! Who may look and who may change, decided before anything else of a request is looked at.
//!
//! Invariant: a request by a foreign name, one without the token where there is one, and a change that a foreign page could
//! have sent reach no handler. Secrets are compared in a time that does not tell how far they agree.

mod attempts;
mod headers;
mod hosts;
mod line;
mod sessions;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{OriginalUri, Request, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq;
use symphra_scheduler_core::{Timestamp, format_duration};
use tokio::time::timeout;

use super::page::{Frame, Language, Rights, Session};
use super::source::Failed;
use super::{Shared, Writes, base_of, problem};
use crate::clock::Clock;
use crate::control::Actor;
use crate::error::Error;
pub(super) use attempts::Attempts;
pub(super) use hosts::Hosts;
pub(super) use line::Line;
pub(super) use sessions::{Sessions, cookie};

/// The cookie of a session.
pub(super) const SESSION_COOKIE: &str = "symphra_session";

/// The cookie of the language that was chosen.
pub(super) const LANGUAGE_COOKIE: &str = "symphra_language";

/// The shortest token: 16 bytes that were drawn at random are not guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// The longest, for it travels in a header.
const TOKEN_BYTES_MAX: usize = 1024;

/// How long a request may take from its head to the head of its answer. All questions are answered sooner; what is slow is the
/// body of who sends it a byte at a time. News, once they have begun, go on.
const REQUEST_MAX: Duration = Duration::from_secs(60);

/// What has to be shown.
#[derive(Clone)]
pub(super) struct Token(String);

impl Token {
    pub(super) fn new(token: String) -> Result<Self, Error> {
        let allowed =
            format!("{TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} bytes of visible ASCII or spaces, none at its ends");
        let possible = (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len())
            && token.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
            && token.trim() == token;
        // What it is may not stand in an error.
        let length = token.len();
        possible.then_some(Self(token)).ok_or_else(|| {
            Error::refused(format!(
                "the token of the dashboard ({length} bytes, not shown) is impossible; allowed is {allowed}"
            ))
        })
    }

    pub(super) fn is(&self, shown: &str) -> bool {
        self.0.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

/// Who has been let in.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) base: String,
    pub(super) language: Language,
    pub(super) rights: Rights,
    pub(super) session: Session,
    pub(super) line: Line,
    who: Who,
}

/// By what somebody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// There is no token.
    Anybody,
    Bearer,
    Session,
    /// There is a token, and it was not shown.
    Nobody,
}

impl Reader {
    pub(super) fn actor(&self) -> Actor {
        Actor::named(Arc::from(match self.who {
            Who::Bearer => "dashboard (token)",
            Who::Session => "dashboard (session)",
            Who::Anybody | Who::Nobody => "dashboard",
        }))
    }
}

/// Lets through who may be here, and puts the headers of every answer on it.
pub(super) async fn guard(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let within = request.uri().clone();
    let whole =
        request.extensions().get::<OriginalUri>().map_or_else(|| within.clone(), |OriginalUri(whole)| whole.clone());
    let reader = reader(&shared, base_of(&whole, &within), request.headers(), &within);
    let mut response = match refusal(&shared, &reader, &request, &within) {
        Some(failed) => {
            let shown = Reader { rights: Rights::Read, ..reader };
            problem::told(&shown, within.path(), &failed)
        }
        None => {
            let method = request.method().clone();
            request.extensions_mut().insert(reader.clone());
            match timeout(REQUEST_MAX, next.run(request)).await {
                Ok(response) => problem::instead_of_plain(&reader, &method, within.path(), response).await,
                Err(_) => problem::told(&reader, within.path(), &too_slow()),
            }
        }
    };
    headers::put(response.headers_mut());
    response
}

fn too_slow() -> Failed {
    let most = format_duration(REQUEST_MAX);
    Failed::new("too_slow", format!("the request was not there, and answered, within {most}; send its body at once"))
}

fn reader(shared: &Shared, base: String, headers: &HeaderMap, within: &Uri) -> Reader {
    let who = match &shared.token {
        None => Who::Anybody,
        Some(token) if bearer(headers).is_some_and(|shown| token.is(shown)) => Who::Bearer,
        Some(_)
            if cookie(headers, SESSION_COOKIE)
                .is_some_and(|id| shared.sessions.has(id, Clock::default().monotonic())) =>
        {
            Who::Session
        }
        Some(_) => Who::Nobody,
    };
    let rights = match (who, shared.writes) {
        (Who::Bearer | Who::Session, _) | (Who::Anybody, Writes::Allowed) => Rights::Write,
        (Who::Anybody, Writes::Refused) | (Who::Nobody, _) => Rights::Read,
    };
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let language = Language::chosen(cookie(headers, LANGUAGE_COOKIE), accepted);
    let session = if who == Who::Session { Session::SignedIn } else { Session::Open };
    let line = Line::of(headers, within);
    Reader { base, language, rights, session, line, who }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Why a request is not let through.
fn refusal(shared: &Shared, reader: &Reader, request: &Request, within: &Uri) -> Option<Failed> {
    let refused = |kind, message: &str| Some(Failed::new(kind, message));
    let headers = request.headers();
    if let Err(host) = shared.hosts.own(headers, within) {
        let fix = shared.source.advice(
            "let the program name that host with `allowed_hosts`",
            "start it with --allowed-host and that name",
        );
        let says = format!("this dashboard is not {host:?}; ask for it by its address or as localhost, or {fix}");
        return refused("foreign_host", &says);
    }
    let path = within.path();
    let is_open = matches!(path, "/login" | "/livez" | "/readyz") || path.starts_with("/assets/");
    if reader.who == Who::Nobody && !is_open {
        let wrong = bearer(headers).map(|shown| shared.attempts.wrong(shown, Clock::default().monotonic()));
        if let Some(Err(wait)) = wrong {
            return Some(Failed::too_many(wait));
        }
        let says = "a token is needed: as the header `Authorization: Bearer …`, or by signing in on the page";
        return refused("unauthorized", says);
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    // A page of somebody else cannot send this header without being asked first, which is never allowed.
    if reader.who != Who::Bearer && !hosts::is_same_origin(headers, within) {
        let says = "a change has to come from a page of this dashboard, or with `Authorization: Bearer …`; send an `Origin` \
                    that is this dashboard's, if no browser sends one";
        return refused("foreign_origin", says);
    }
    if reader.rights == Rights::Read && !matches!(path, "/login" | "/logout") {
        let fix = shared.source.advice(
            "the program gives it a `token`, or lets everybody change things with `allow_writes`",
            "start it with a token, or with --allow-writes, which lets everybody who reaches it change things",
        );
        return refused("read_only", &format!("this dashboard can only be looked at: {fix}"));
    }
    None
}

impl Reader {
    /// What pages are told of who reads them.
    pub(super) fn frame(&self, now: Timestamp) -> Frame<'_> {
        let Self { base, language, rights, session, .. } = self;
        Frame { base, language: *language, rights: *rights, session: *session, done: None, now }
    }
}
