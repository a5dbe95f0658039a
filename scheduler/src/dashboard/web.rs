//! The pages, by path: what each asks, and where its forms lead. What they look like is in `page`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Form, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use maud::Markup;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Shared;
use super::access::{LANGUAGE_COOKIE, Reader, SESSION_COOKIE, cookie};
use super::ask::{ASKS, Does, Given};
use super::page::{self, Frame, Language, RunSearch, SignIn, TaskQuery, TaskSearch, Told};
use super::problem::{for_programs, on_page as problem};
use super::source::Failed;
use crate::clock::Clock;
use crate::control::view::{LogView, TaskPage};
use crate::control::{COUNT_MAX, How, Question, RunCursor};
use crate::run::{RunId, RunState};

/// What handlers are given: what all requests share, and who reads.
type Asked = (State<Arc<Shared>>, Extension<Reader>);

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(tasks))
        // Links lead here: of a path below which something is nested, axum knows no other with a slash at its end.
        .route("/tasks", get(tasks))
        .route("/task", get(task))
        .route("/timeline", get(timeline))
        .route("/runs", get(runs))
        .route("/run", get(run))
        .route("/nodes", get(nodes))
        .route("/dead", get(letters))
        .route("/actions", get(actions))
        .route("/login", get(sign_in).post(signed_in))
        .route("/logout", post(signed_out))
        .route("/language", get(language))
        .route("/do/{what}", post(changed))
        .route("/assets/{name}", get(asset))
        .route("/events", get(events))
        .fallback(nothing)
}

/// What was just done, which a page says once.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Done {
    done: Option<String>,
}

/// Somebody who reads a page, and what answers him.
struct Visit<'a> {
    shared: &'a Shared,
    reader: &'a Reader,
    done: Option<&'a str>,
}

impl<'a> Visit<'a> {
    fn new(shared: &'a Shared, reader: &'a Reader, done: &'a Done) -> Self {
        Self { shared, reader, done: done.done.as_deref() }
    }

    async fn ask<T: DeserializeOwned>(&self, question: Question) -> Result<T, Failed> {
        let value = self.shared.ask(question, self.reader).await?;
        Ok(serde_json::from_value(value).expect("an answer is the view that it was made of"))
    }

    fn frame(&self) -> Frame<'a> {
        Frame { done: self.done, ..self.reader.frame(Clock::default().now()) }
    }

    fn shows(&self, made: Result<Markup, Failed>) -> Response {
        match made {
            Ok(page) => Html(page.into_string()).into_response(),
            Err(failed) => problem(self.reader, &failed),
        }
    }
}

async fn tasks(
    (State(shared), Extension(reader)): Asked,
    Query(search): Query<TaskSearch>,
    Query(done): Query<Done>,
) -> Response {
    let visit = Visit::new(&shared, &reader, &done);
    let made = async {
        let found = visit.ask(Question::Find(search.asked())).await?;
        Ok(page::tasks(&visit.frame(), &found, &search))
    };
    visit.shows(made.await)
}

async fn task(
    (State(shared), Extension(reader)): Asked,
    Query(query): Query<TaskQuery>,
    Query(done): Query<Done>,
) -> Response {
    let visit = Visit::new(&shared, &reader, &done);
    let made = async {
        let name = query.name.clone();
        let view: TaskPage = visit.ask(Question::Show { task: name.clone() }).await?;
        let (task, count) = (Some(name.clone()), page::HISTORY);
        let history: Vec<_> =
            visit.ask(Question::Runs { task, states: Vec::new(), from: None, to: None, after: None, count }).await?;
        let says = |failed: Failed| failed.message;
        let explained = match given(&query.at) {
            Some(at) => Some(visit.ask(Question::Explain { task: name.clone(), at }).await.map_err(says)),
            None => None,
        };
        let preview = match given(&query.from) {
            Some(from) => {
                let (to, rerun) = (given(&query.to), query.rerun == "on");
                let asked = Question::Backfill { task: name, from, to, rerun, how: How::Preview };
                Some(visit.ask(asked).await.map_err(says))
            }
            None => None,
        };
        Ok(page::task(&visit.frame(), &view, &history, &query, &Told { explained, preview }))
    };
    visit.shows(made.await)
}

/// A field that was filled in.
fn given(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Number {
    page: String,
}

async fn timeline((State(shared), Extension(reader)): Asked, Query(number): Query<Number>) -> Response {
    let done = Done::default();
    let visit = Visit::new(&shared, &reader, &done);
    let made = async {
        let day = visit.ask(Question::Day { page: number.page.parse().unwrap_or(1) }).await?;
        Ok(page::timeline(&visit.frame(), &day))
    };
    visit.shows(made.await)
}

async fn runs(
    (State(shared), Extension(reader)): Asked,
    Query(search): Query<RunSearch>,
    Query(done): Query<Done>,
) -> Response {
    let visit = Visit::new(&shared, &reader, &done);
    let made = async {
        let states: Vec<String> = given(&search.state).into_iter().collect();
        if let Some(wrong) = states.iter().find(|state| RunState::ALL.iter().all(|known| known.to_string() != **state))
        {
            let allowed = RunState::ALL.map(|state| state.to_string()).join(", ");
            return Err(Failed::new("bad_request", format!("state: {wrong:?} is not possible; allowed is {allowed}")));
        }
        let after = given(&search.after);
        if let Some(Err(wrong)) = after.as_ref().map(|after| after.parse::<RunCursor>()) {
            return Err(Failed::new("bad_request", format!("after: {wrong}")));
        }
        let (task, from, to) = (given(&search.task), given(&search.from), given(&search.to));
        let runs: Vec<_> = visit.ask(Question::Runs { task, states, from, to, after, count: page::RUNS_SHOWN }).await?;
        Ok(page::runs(&visit.frame(), &runs, &search))
    };
    visit.shows(made.await)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Id {
    id: String,
}

async fn run((State(shared), Extension(reader)): Asked, Query(id): Query<Id>, Query(done): Query<Done>) -> Response {
    let visit = Visit::new(&shared, &reader, &done);
    let made = async {
        id.id
            .parse::<RunId>()
            .map_err(|error| Failed::new("bad_request", format!("id: {:?} is no run: {error}", id.id)))?;
        let view: LogView = visit.ask(Question::Log { run: id.id }).await?;
        Ok(page::run(&visit.frame(), &view))
    };
    visit.shows(made.await)
}

async fn nodes((State(shared), Extension(reader)): Asked) -> Response {
    let done = Done::default();
    let visit = Visit::new(&shared, &reader, &done);
    let made = async {
        let nodes: Vec<_> = visit.ask(Question::Nodes).await?;
        let health = visit.ask(Question::Health).await?;
        Ok(page::nodes(&visit.frame(), &nodes, &health))
    };
    visit.shows(made.await)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OfTask {
    task: String,
}

async fn letters(
    (State(shared), Extension(reader)): Asked,
    Query(of): Query<OfTask>,
    Query(done): Query<Done>,
) -> Response {
    let visit = Visit::new(&shared, &reader, &done);
    let made = async {
        let letters: Vec<_> = visit.ask(Question::Dead { task: given(&of.task), count: COUNT_MAX.min(200) }).await?;
        Ok(page::letters(&visit.frame(), &letters, &of.task))
    };
    visit.shows(made.await)
}

async fn actions((State(shared), Extension(reader)): Asked) -> Response {
    let done = Done::default();
    let visit = Visit::new(&shared, &reader, &done);
    let made = async {
        let all: Vec<_> = visit.ask(Question::Actions { count: page::ACTIONS_SHOWN }).await?;
        Ok(page::actions(&visit.frame(), &all))
    };
    visit.shows(made.await)
}

async fn sign_in((_, Extension(reader)): Asked) -> Response {
    Html(page::sign_in(&reader.frame(Clock::default().now()), SignIn::First).into_string()).into_response()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Shown {
    token: String,
}

async fn signed_in((State(shared), Extension(reader)): Asked, Form(shown): Form<Shown>) -> Response {
    let attempt = match shared.attempts.begin(Clock::default().monotonic()) {
        Ok(attempt) => attempt,
        Err(wait) => return problem(&reader, &Failed::too_many(wait)),
    };
    if !shared.token.as_ref().is_some_and(|token| token.is(shown.token.trim())) {
        let page = page::sign_in(&reader.frame(Clock::default().now()), SignIn::Refused);
        return (StatusCode::UNAUTHORIZED, Html(page.into_string())).into_response();
    }
    attempt.was_right();
    match shared.sessions.begin(Clock::default().monotonic()) {
        Ok(id) => with_cookie(see(&reader, "/tasks"), &reader, SESSION_COOKIE, &id, ""),
        Err(error) => problem(&reader, &Failed::new("random", format!("the system gives no random bytes: {error}"))),
    }
}

async fn signed_out((State(shared), Extension(reader)): Asked, headers: HeaderMap) -> Response {
    if let Some(id) = cookie(&headers, SESSION_COOKIE) {
        shared.sessions.end(id);
    }
    with_cookie(see(&reader, "/login"), &reader, SESSION_COOKIE, "", "; Max-Age=0")
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct To {
    to: String,
}

async fn language((_, Extension(reader)): Asked, Query(to): Query<To>) -> Response {
    let chosen = Language::chosen(Some(&to.to), None);
    with_cookie(see(&reader, "/tasks"), &reader, LANGUAGE_COOKIE, chosen.tag(), "; Max-Age=31536000")
}

/// Sends on to another page.
fn see(reader: &Reader, path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, format!("{}{path}", reader.base))]).into_response()
}

/// No script reads it, and no foreign page has it sent.
fn with_cookie(mut response: Response, reader: &Reader, name: &str, value: &str, lasts: &str) -> Response {
    let path = if reader.base.is_empty() { "/" } else { &reader.base };
    let cookie = format!("{name}={value}; Path={path}; HttpOnly; SameSite=Strict{}{lasts}", reader.line.flag());
    // A path that came in a request line is one that a header can hold.
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

async fn changed(
    (State(shared), Extension(reader)): Asked,
    Path(what): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let Some(ask) = ASKS.iter().find(|ask| ask.does == Does::Change && ask.path == what) else {
        return problem(&reader, &Failed::new("not_found", format!("there is no change {what:?}")));
    };
    let given = match Given::of(fields) {
        // The button for all tasks names none.
        Ok(given) if matches!(ask.path, "pause" | "resume") && given.text("task").is_none() => {
            given.with("all", "true")
        }
        Ok(given) => given,
        Err(failed) => return problem(&reader, &failed),
    };
    match shared.change(ask, &given, &reader).await {
        Ok(answer) => {
            let done = match ask.path {
                "backfill" => "backfilled",
                _ => answer["done"].as_str().unwrap_or_default(),
            };
            see(&reader, &page_of(ask.path, &given, done))
        }
        Err(failed) => problem(&reader, &failed),
    }
}

/// The page that shows what was changed.
fn page_of(what: &str, given: &Given, done: &str) -> String {
    let done = page::encoded(done);
    match (what, given.text("task"), given.text("run")) {
        ("run-again" | "drop-letter", ..) => format!("/dead?done={done}"),
        (_, Some(task), _) => format!("/task?name={}&done={done}", page::encoded(&task)),
        (_, _, Some(run)) => format!("/run?id={}&done={done}", page::encoded(&run)),
        _ => format!("/tasks?done={done}"),
    }
}

async fn asset(Path(name): Path<String>) -> Response {
    match page::asset(&name) {
        Some((kind, content)) => {
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "private, max-age=300")], content).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn events((State(shared), _): Asked) -> Response {
    match shared.listeners.listen(&shared.source) {
        Some(news) => news.into_response(),
        None => for_programs(&Failed::new("busy", "too many pages listen; reload to see what is new")),
    }
}

async fn nothing((_, Extension(reader)): Asked) -> Response {
    problem(&reader, &Failed::new("not_found", "there is no such page"))
}
