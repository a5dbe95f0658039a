//! A scheduler with a dashboard that is served, and requests as they are written on the line.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use serde_json::Value;
use symphra_scheduler::{Dashboard, RetryPolicy, RunFilter, Schedule, Scheduler, SchedulerHandle, Task};
use symphra_scheduler_tests::http_request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long anything at all may take, on a machine under load.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const TOKEN: &str = "0123456789abcdef-token";

/// What a hostile task says: it would run if it were not escaped.
pub(crate) const HOSTILE: &str = "<script>alert('x')</script>\u{202e} password is hunter2";

/// A dashboard that is served.
pub(crate) struct Served {
    pub(crate) scheduler: SchedulerHandle,
    pub(crate) address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Of a scheduler with a task that is quiet, and one that fails with a hostile error of 20 KB when it is triggered.
pub(crate) async fn scheduler() -> SchedulerHandle {
    let hour = Schedule::interval(Duration::from_secs(3_600)).expect("an hour is possible");
    let quiet = Task::new("quiet", hour, || async {}).tags(["night<b>"]);
    let fails = Task::new("fails", hour, || async { Err::<(), String>(format!("{HOSTILE} {}", "x".repeat(20_000))) })
        .retry(RetryPolicy::none());
    Scheduler::empty().register(quiet).register(fails).start().await.expect("it starts")
}

impl Served {
    pub(crate) async fn by(set: impl FnOnce(Dashboard) -> Dashboard) -> Self {
        Self::below("", set).await
    }

    /// The same, nested below a path.
    pub(crate) async fn below(prefix: &str, set: impl FnOnce(Dashboard) -> Dashboard) -> Self {
        Self::of(
            scheduler().await,
            set,
            |router| {
                if prefix.is_empty() { router } else { Router::new().nest(prefix, router) }
            },
        )
        .await
    }

    /// The same, hung wherever `hang` puts it.
    pub(crate) async fn hung(set: impl FnOnce(Dashboard) -> Dashboard, hang: impl FnOnce(Router) -> Router) -> Self {
        Self::of(scheduler().await, set, hang).await
    }

    /// The dashboard of a scheduler.
    pub(crate) async fn of(
        scheduler: SchedulerHandle,
        set: impl FnOnce(Dashboard) -> Dashboard,
        hang: impl FnOnce(Router) -> Router,
    ) -> Self {
        let router = hang(set(scheduler.dashboard()).into_router());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { scheduler, address, serving }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> Said {
        self.send("GET", path, &[], "").await
    }

    /// A form as one of the own pages sends it.
    pub(crate) async fn form(&self, path: &str, fields: &str) -> Said {
        let origin = self.origin();
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        self.send("POST", path, &[kind, ("Origin", &origin)], fields).await
    }

    pub(crate) async fn post(&self, path: &str, fields: Value) -> Said {
        let origin = self.origin();
        self.send("POST", path, &[("Origin", &origin)], &fields.to_string()).await
    }

    /// A request with these headers; `Host` is our own unless one of them is another.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Said {
        let mut stream = self.ask(method, path, headers, body).await;
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("in time").expect("an answer");
        Said::of(&String::from_utf8_lossy(&answer))
    }

    /// The same, and what is answered is left to be read.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let request = http_request(method, path, &self.address.to_string(), headers, body);
        stream.write_all(request.as_bytes()).await.expect("it takes the request");
        stream
    }

    /// Triggers a task, and waits until its run has ended; the id of the run.
    pub(crate) async fn has_run(&self, task: &str) -> String {
        // Listened to before it begins, so that no end is missed.
        let mut events = self.scheduler.events();
        let run = self.scheduler.trigger_task(task).await.expect("it is there");
        let ended = async {
            loop {
                let found = self.scheduler.runs(&RunFilter::new().id(run)).await.expect("the store answers");
                if found.iter().any(|run| run.finished_at.is_some()) {
                    return;
                }
                events.next().await.expect("the scheduler runs");
            }
        };
        timeout(PATIENCE, ended).await.expect("in time");
        run.to_string()
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Said {
    fn of(answer: &str) -> Self {
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let body =
            if head.to_lowercase().contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() };
        Self { status, head: head.to_owned(), body }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The body of an answer with this status.
    pub(crate) fn with(self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }

    /// The kind of the error that is told with this status.
    pub(crate) fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        self.json()["error"]["kind"].as_str().expect("an error has a kind").to_owned()
    }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).expect("a size");
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}
