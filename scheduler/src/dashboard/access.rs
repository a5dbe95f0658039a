//! Who may look and who may change, decided before anything else of a request is looked at.
//!
//! Invariant: a request by a foreign name, one without the token where there is one, and a change that a foreign page could
//! have sent reach no handler. Secrets are compared in a time that does not tell how far they agree.

mod headers;
mod hosts;
mod sessions;

use std::sync::Arc;

use axum::Json;
use axum::extract::{OriginalUri, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use subtle::ConstantTimeEq;
use symphra_scheduler_core::Timestamp;

use super::page::{self, Frame, Language, Rights, Session, SignIn};
use super::{Shared, Writes, base_of};
use crate::clock::Clock;
use crate::control::Actor;
use crate::error::Error;
pub(super) use hosts::Hosts;
pub(super) use sessions::{Sessions, cookie};

/// The cookie of a session.
pub(super) const SESSION_COOKIE: &str = "symphra_session";

/// The cookie of the language that was chosen.
pub(super) const LANGUAGE_COOKIE: &str = "symphra_language";

/// The shortest token: 16 bytes that were drawn at random are not guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// The longest, for it travels in a header.
const TOKEN_BYTES_MAX: usize = 1024;

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
    let reader = reader(&shared, base_of(&whole, &within), request.headers());
    let mut response = match refusal(&shared, &reader, &request, &within) {
        Some(refused) => refused.told(&reader, &within, Clock::default().now()),
        None => {
            request.extensions_mut().insert(reader);
            next.run(request).await
        }
    };
    headers::put(response.headers_mut());
    response
}

fn reader(shared: &Shared, base: String, headers: &HeaderMap) -> Reader {
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
    Reader { base, language, rights, session, who }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Why a request is not let through.
struct Refused {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

fn refusal(shared: &Shared, reader: &Reader, request: &Request, within: &Uri) -> Option<Refused> {
    let refused = |status, kind, message| Some(Refused { status, kind, message });
    let headers = request.headers();
    if let Err(host) = shared.hosts.own(headers, within) {
        let message = format!(
            "this dashboard is not {host:?}; ask for it by its address or as localhost, or let the program name that host with \
             `allowed_hosts`"
        );
        return refused(StatusCode::MISDIRECTED_REQUEST, "foreign_host", message);
    }
    let path = within.path();
    let is_open = matches!(path, "/login" | "/livez" | "/readyz") || path.starts_with("/assets/");
    if reader.who == Who::Nobody && !is_open {
        let message =
            "a token is needed: as the header `Authorization: Bearer …`, or by signing in on the page".to_owned();
        return refused(StatusCode::UNAUTHORIZED, "unauthorized", message);
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    // A page of somebody else cannot send this header without being asked first, which is never allowed.
    if reader.who != Who::Bearer && !hosts::is_same_origin(headers, within) {
        let message = "a change has to come from a page of this dashboard, or with `Authorization: Bearer …`; send an \
                       `Origin` that is this dashboard's, if no browser sends one"
            .to_owned();
        return refused(StatusCode::FORBIDDEN, "foreign_origin", message);
    }
    if reader.rights == Rights::Read && !matches!(path, "/login" | "/logout") {
        let message = "this dashboard can only be looked at: the program gives it a `token`, or lets everybody change \
                       things with `allow_writes`"
            .to_owned();
        return refused(StatusCode::FORBIDDEN, "read_only", message);
    }
    None
}

impl Refused {
    fn told(self, reader: &Reader, within: &Uri, now: Timestamp) -> Response {
        let Self { status, kind, message } = self;
        let path = within.path();
        let mut response = if path.starts_with("/api/") || path == "/events" {
            (status, Json(json!({ "error": { "kind": kind, "message": message } }))).into_response()
        } else {
            let frame = Frame { rights: Rights::Read, ..reader.frame(now) };
            let page = match status {
                StatusCode::UNAUTHORIZED => page::sign_in(&frame, SignIn::First),
                _ => page::problem(&frame, kind, &message),
            };
            (status, axum::response::Html(page.into_string())).into_response()
        };
        if status == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Bearer realm=\"Symphra Scheduler\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl Reader {
    /// What pages are told of who reads them.
    pub(super) fn frame(&self, now: Timestamp) -> Frame<'_> {
        let Self { base, language, rights, session, .. } = self;
        Frame { base, language: *language, rights: *rights, session: *session, done: None, now }
    }
}
