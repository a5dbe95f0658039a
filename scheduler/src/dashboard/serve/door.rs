//! The door of a dashboard that listens by itself: how many connections it has at once, and how long whoever is slow holds one.
//!
//! Invariant: a connection on which nothing goes on is closed, whatever its other end does, and no more are open than are
//! named here. Those who listen to news hold theirs for as long as they take what is sent.

use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;

/// How many connections there may be: those of all who listen to news, and three times as many for whoever asks meanwhile.
/// Others wait in the system's queue. It stays far below the 1,024 files that a process may open on most systems.
pub(super) const CONNECTIONS_MAX: usize = 4 * super::LISTENERS_MAX;

/// How long the head of a request may take, counted from the answer before it, so also how long nothing may be asked.
pub(super) const HEAD_MAX: Duration = Duration::from_secs(30);

/// How long who is answered may take nothing of it.
pub(super) const STALLED_MAX: Duration = Duration::from_secs(30);

/// A listener, and the connections that it has taken.
pub(super) struct Door {
    listener: TcpListener,
    router: Router,
    http: Builder,
    open: JoinSet<()>,
    closing: GracefulShutdown,
}

impl Door {
    pub(super) fn new(listener: TcpListener, router: Router) -> Self {
        let mut http = Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
        Self { listener, router, http, open: JoinSet::new(), closing: GracefulShutdown::new() }
    }

    /// Takes connections, and answers on them; it does not end.
    pub(super) async fn serve(&mut self) {
        loop {
            while self.open.try_join_next().is_some() {}
            // How one has ended concerns only who was at its other end.
            while self.open.len() >= CONNECTIONS_MAX {
                let _ = self.open.join_next().await;
            }
            let (line, _) = Listener::accept(&mut self.listener).await;
            self.take(line);
        }
    }

    fn take(&mut self, line: TcpStream) {
        let mut line = TimeoutStream::new(line);
        line.set_write_timeout(Some(STALLED_MAX));
        let service = TowerToHyperService::new(self.router.clone());
        let connection = self.http.serve_connection(TokioIo::new(Box::pin(line)), service);
        let connection = self.closing.watch(connection);
        self.open.spawn(async {
            // It has failed for who was at its other end, and he has seen it.
            let _ = connection.await;
        });
    }

    /// Takes no more, and waits until what is under way is answered; what takes longer than `grace` is cut.
    pub(super) async fn close(self, grace: Duration) {
        let Self { listener, closing, mut open, .. } = self;
        drop(listener);
        let answered = async {
            closing.shutdown().await;
            while open.join_next().await.is_some() {}
        };
        // Late or not, what is left of them ends here.
        let _ = timeout(grace, answered).await;
    }
}
