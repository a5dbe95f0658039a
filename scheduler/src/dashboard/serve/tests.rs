//! A dashboard on its own is asked by sockets: too many of them, slow ones, and ones that stall.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::door::{CONNECTIONS_MAX, HEAD_MAX, STALLED_MAX};
use super::*;
use crate::backend::MemoryBackend;

/// The longest that anything here may take on the clock of the test, on which waiting costs nothing.
const PATIENCE: Duration = Duration::from_secs(3_600);

const SECOND: Duration = Duration::from_secs(1);

/// A dashboard that is served beside a store in memory.
struct Served {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Served {
    async fn new() -> Self {
        let memory: Arc<dyn crate::backend::Backend> = Arc::new(MemoryBackend::new());
        let store = Arc::new(Alone::new("memory".to_owned(), Vec::new(), chrono_tz::UTC, move || {
            let memory = Arc::clone(&memory);
            Box::pin(async move { Ok(memory) })
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it has one");
        let (stop, stopped) = oneshot::channel::<()>();
        let dashboard = Dashboard::alone(Arc::clone(&store)).allow_writes();
        let serving = tokio::spawn(async move {
            serve(listener, dashboard, "", &store, async { drop(stopped.await) }).await;
        });
        Self { address, stop, serving }
    }

    async fn line(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    /// A line on which this was written.
    async fn wrote(&self, text: &str) -> TcpStream {
        let mut line = self.line().await;
        line.write_all(text.as_bytes()).await.expect("it is taken");
        line
    }

    async fn listens_to_news(&self) -> TcpStream {
        let mut line = self.wrote("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let head = read_until(&mut line, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        line
    }
}

/// What comes until that has come.
async fn read_until(line: &mut TcpStream, part: &str) -> String {
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).contains(part) {
        let mut some = [0; 4_096];
        let read = timeout(PATIENCE, line.read(&mut some)).await.expect("in time").expect("it reads");
        assert!(read > 0, "it was closed: {}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&some[..read]);
    }
    String::from_utf8(all).expect("text")
}

/// What comes until the line is closed, and how long that takes.
async fn closed(line: &mut TcpStream) -> (String, Duration) {
    let (began, mut all) = (Instant::now(), String::new());
    timeout(PATIENCE, line.read_to_string(&mut all)).await.expect("it is closed").expect("it reads");
    (all, began.elapsed())
}

const PROBE: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_and_a_line_on_which_nothing_is_asked_are_waited_for_half_a_minute() {
    let served = Served::new().await;
    let mut slow = served.wrote("GET /livez HTTP/1.1\r\nHost: local").await;
    let (said, after) = closed(&mut slow).await;
    assert!(said.is_empty() && after.abs_diff(HEAD_MAX) < SECOND, "{after:?}: {said}");

    let mut dripping = served.wrote("GET /livez HTTP/1.1\r\nX: ").await;
    let began = Instant::now();
    // A byte now and then wins nothing.
    while dripping.write_all(b"x").await.is_ok() {
        assert!(began.elapsed() < 2 * HEAD_MAX, "it is waited for all the same");
        tokio::time::sleep(5 * SECOND).await;
    }

    let mut idle = served.wrote(PROBE).await;
    let answer = read_until(&mut idle, "alive\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (said, after) = closed(&mut idle).await;
    assert!(said.is_empty() && after.abs_diff(HEAD_MAX) < SECOND, "{after:?}: {said}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_told_so_after_a_minute() {
    let served = Served::new().await;
    let head = "Host: localhost\r\nOrigin: http://localhost\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{";
    let mut slow = served.wrote(&format!("POST /api/pause HTTP/1.1\r\n{head}")).await;
    let (said, after) = closed(&mut slow).await;
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("\"too_slow\""), "{said}");
    assert!(after.abs_diff(60 * SECOND) < SECOND, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn news_are_listened_to_for_as_long_as_one_likes() {
    let served = Served::new().await;
    let (mut news, began) = (served.listens_to_news().await, Instant::now());
    while began.elapsed() < 10 * HEAD_MAX {
        read_until(&mut news, "\n\n").await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_of_his_answers_is_cut() {
    let served = Served::new().await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("it may be small");
    let mut line = socket.connect(served.address).await.expect("it listens");
    let asked = "GET /assets/style.css HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    let asks_on = async { while line.write_all(asked.as_bytes()).await.is_ok() {} };
    let began = Instant::now();
    timeout(PATIENCE, asks_on).await.expect("the line is cut");
    let after = began.elapsed();
    assert!(after.abs_diff(STALLED_MAX) < SECOND, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_connections_are_taken_than_there_may_be_and_those_who_listen_count() {
    let served = Served::new().await;
    let mut lines = Vec::new();
    for _ in 0..LISTENERS_MAX {
        lines.push(served.listens_to_news().await);
    }
    while lines.len() < CONNECTIONS_MAX {
        lines.push(served.line().await);
    }
    let mut one_more = served.wrote(PROBE).await;
    let waits = timeout(SECOND, read_until(&mut one_more, "alive\n")).await;
    assert!(waits.is_err(), "{waits:?}");
    lines.swap_remove(0);
    let began = Instant::now();
    read_until(&mut one_more, "alive\n").await;
    assert_eq!(began.elapsed(), Duration::ZERO, "it has the place of the one that was closed");
}

#[tokio::test(start_paused = true)]
async fn at_the_end_news_are_ended_and_who_is_slow_is_cut() {
    let served = Served::new().await;
    let mut news = served.listens_to_news().await;
    let mut slow = served.wrote("POST /api/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n").await;
    slow.write_all(b"Origin: http://localhost\r\n\r\n{").await.expect("it is taken");
    let mut idle = served.line().await;
    // An answer on a further line: those before it were taken.
    read_until(&mut served.wrote(PROBE).await, "alive\n").await;
    let began = Instant::now();
    served.stop.send(()).expect("it is served");
    let (rest, _) = closed(&mut news).await;
    assert!(rest.ends_with("0\r\n\r\n"), "the stream was ended, and not cut: {rest:?}");
    closed(&mut idle).await;
    timeout(PATIENCE, served.serving).await.expect("it ends").expect("without a panic");
    assert!(began.elapsed().abs_diff(GRACE) < SECOND, "{:?}", began.elapsed());
    assert!(TcpStream::connect(served.address).await.is_err(), "nobody listens");
}
