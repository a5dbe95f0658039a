//! Requests to the dashboard, as they are written on the line, without the version and without chunks.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::Response;
use axum::{Router, http};
use symphra_scheduler::{Dashboard, SchedulerHandle};
use tower_service::Service as _;

use super::rig::{TASK, block_on, scheduler, spent, state};

/// What lets in.
pub const TOKEN: &str = "0123456789abcdef-token";

/// The longest answer: the pages of a few tasks.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Who may do what at a dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// Everybody looks, nobody changes.
    Read,
    /// Who shows the token does both, and others neither.
    Token,
    /// Everybody does both.
    Open,
}

/// The parts of a request.
struct Parts {
    method: Method,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
}

/// A request, to a dashboard of each kind: it is answered, not by an error of ours; nothing is changed without the right to it,
/// nothing shown; and what somebody wrote comes back escaped.
pub fn request(input: &[u8]) {
    let Some(parts) = Parts::of(input) else { return };
    let has_token = parts.headers.iter().any(|(_, value)| contains(value.as_bytes(), TOKEN.as_bytes()));
    for door in [Door::Read, Door::Token, Door::Open] {
        let handle = scheduler();
        let (before, after) = block_on(async {
            let before = state(&handle).await;
            answered(&parts, door, &handle, has_token).await;
            (before, state(&handle).await)
        });
        let may_write = door == Door::Open || door == Door::Token && has_token;
        assert!(may_write || before == after, "{door:?} has changed something: {before}\n{after}");
        if before != after {
            spent();
        }
    }
}

async fn answered(parts: &Parts, door: Door, handle: &SchedulerHandle, has_token: bool) {
    let response = router(door, handle).call(parts.request()).await.unwrap_or_else(|never| match never {});
    let (status, is_stream) = (response.status(), kind_of(&response).starts_with("text/event-stream"));
    let path = parts.uri.path();
    let is_probe = ["/health", "/livez", "/readyz"].iter().any(|probe| path.ends_with(probe));
    let is_stated = status == StatusCode::SERVICE_UNAVAILABLE && is_probe;
    assert!(!status.is_server_error() || is_stated, "{door:?} answers {status} to {path}");
    // That of live news has no end.
    if is_stream {
        assert!(door != Door::Token || has_token, "news without a token");
        return;
    }
    let (is_json, is_page) = (kind_of(&response) == "application/json", kind_of(&response).starts_with("text/html"));
    let body = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.expect("an answer of pages has an end");
    if is_json && !body.is_empty() {
        let read: Result<serde_json::Value, _> = serde_json::from_slice(&body);
        assert!(read.is_ok(), "{door:?} answers to {path} what is no JSON: {}", String::from_utf8_lossy(&body));
    }
    assert!(!is_page || !contains(&body, b"<fuzz"), "{path} shows unescaped: {}", String::from_utf8_lossy(&body));
    let may_look = door != Door::Token || has_token || parts.names(TASK);
    assert!(may_look || !contains(&body, TASK.as_bytes()), "{path} shows {TASK} to nobody");
}

fn router(door: Door, handle: &SchedulerHandle) -> Router {
    let dashboard: Dashboard = handle.dashboard();
    match door {
        Door::Read => dashboard,
        Door::Token => dashboard.token(TOKEN).expect("it is long"),
        Door::Open => dashboard.allow_writes(),
    }
    .into_router()
}

fn kind_of(response: &Response) -> &str {
    response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default()
}

fn contains(whole: &[u8], part: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

impl Parts {
    /// What HTTP allows of an input; nothing if there is no address in it.
    fn of(input: &[u8]) -> Option<Self> {
        let (head, body) = match input.windows(2).position(|two| two == b"\n\n") {
            Some(end) => (&input[..end], &input[end + 2..]),
            None => (input, &[][..]),
        };
        let mut lines = head.split(|&byte| byte == b'\n');
        let mut words = lines.next()?.splitn(2, |&byte| byte == b' ');
        let method = Method::from_bytes(words.next()?).unwrap_or(Method::GET);
        let uri = Uri::try_from(words.next()?).ok()?;
        let header = |line: &[u8]| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let value = line[colon + 1..].trim_ascii_start();
            Some((HeaderName::from_bytes(&line[..colon]).ok()?, HeaderValue::from_bytes(value).ok()?))
        };
        Some(Self { method, uri, headers: lines.filter_map(header).collect(), body: body.to_vec() })
    }

    fn request(&self) -> http::Request<Body> {
        let mut request = Request::new(Body::from(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        for (name, value) in &self.headers {
            request.headers_mut().append(name.clone(), value.clone());
        }
        request
    }

    /// Whether it says this itself.
    fn names(&self, word: &str) -> bool {
        let values = self.headers.iter().map(|(_, value)| value.as_bytes());
        let said = [self.uri.to_string().into_bytes(), self.body.clone()];
        said.iter().map(Vec::as_slice).chain(values).any(|said| contains(said, word.as_bytes()))
    }
}
