//! Connections to a store in Redis: made when they are needed, shared by the calls that are under way, and made anew after one
//! has failed, for as long as somebody calls.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind};
use tokio::sync::Mutex;

use super::STEP_MAX;
use super::place::Place;
use super::store::Failed;

/// How long a connection is waited for.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(5);

pub(super) fn settings() -> AsyncConnectionConfig {
    let settings = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_MAX));
    settings.set_response_timeout(Some(STEP_MAX))
}

/// A connection, which any number of calls share.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(Box<ClusterConnection>),
}

impl Connection {
    async fn ask<R: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<R> {
        async fn by<R: FromRedisValue>(connection: &mut impl ConnectionLike, command: &Cmd) -> RedisResult<R> {
            command.query_async(connection).await
        }
        match self {
            Self::One(connection) => by(connection, command).await,
            Self::Cluster(connection) => by(&mut **connection, command).await,
        }
    }
}

/// The connections of a store.
pub(super) struct Link {
    place: Place,
    lines: Vec<Mutex<Line>>,
    turn: AtomicUsize,
}

/// A connection, if there is one, and how many there were before it.
#[derive(Default)]
struct Line {
    connection: Option<Connection>,
    number: u64,
}

impl Link {
    pub(super) fn new(place: Place, connections: u32) -> Self {
        let lines = (0..connections.max(1)).map(|_| Mutex::default()).collect();
        Self { place, lines, turn: AtomicUsize::new(0) }
    }

    /// Sends a command, which is written once there is a connection, and reads its answer.
    pub(super) async fn ask<R: FromRedisValue>(&self, command: impl FnOnce() -> Cmd) -> Result<R, Failed> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.lines.len();
        let mut is_asked = false;
        let asking = async {
            let (mut connection, number) = self.connection(&self.lines[turn]).await?;
            is_asked = true;
            let answer = connection.ask(&command()).await;
            if answer.as_ref().is_err_and(is_of_the_connection) {
                give_up(&self.lines[turn], number).await;
            }
            answer
        };
        if let Ok(answer) = tokio::time::timeout(STEP_MAX, asking).await {
            return Ok(answer?);
        }
        // While none is made there is none to give up.
        if is_asked {
            self.renew().await;
        }
        Err(Failed::Silent)
    }

    async fn connection(&self, line: &Mutex<Line>) -> RedisResult<(Connection, u64)> {
        let mut line = line.lock().await;
        if let Some(connection) = &line.connection {
            return Ok((connection.clone(), line.number));
        }
        let connecting = tokio::time::timeout(CONNECT_MAX, self.place.connect()).await;
        let silent = || RedisError::from((ErrorKind::Io, "no connection is made in time"));
        let connection = connecting.unwrap_or_else(|_| Err(silent()))?;
        line.number += 1;
        line.connection = Some(connection.clone());
        Ok((connection, line.number))
    }

    /// Gives up all connections: one of them is silent.
    async fn renew(&self) {
        for line in &self.lines {
            line.lock().await.connection = None;
        }
    }

    pub(super) async fn listen(&self, channel: &str) -> Option<PubSub> {
        let listening = tokio::time::timeout(CONNECT_MAX, self.place.listen(channel)).await;
        listening.ok().and_then(Result::ok)
    }
}

/// Has the next call make another connection, unless one has been made since.
async fn give_up(line: &Mutex<Line>, number: u64) {
    let mut line = line.lock().await;
    if line.number == number {
        line.connection = None;
    }
}

/// What a command of a script was refused with. Redis 6.2 tells it within the error of the script, as a generic one.
fn is_told(error: &RedisError, words: &[&str]) -> bool {
    let is_generic = error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError);
    is_generic && error.detail().is_some_and(|detail| words.iter().any(|word| detail.contains(word)))
}

/// Whether Redis has refused what it was asked, and might take something else.
pub(super) fn is_of_what_is_asked(error: &RedisError) -> bool {
    let is_generic = error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError);
    is_generic && !is_told(error, &NO_PRIMARY) && !is_told(error, &["OOM"])
}

/// How a server refuses that is no primary any more, or not yet.
const NO_PRIMARY: [&str; 3] = ["READONLY", "MASTERDOWN", "LOADING"];

/// Whether another connection may do what this one has not: a server may be gone, or be no primary any more.
fn is_of_the_connection(error: &RedisError) -> bool {
    if is_told(error, &NO_PRIMARY) {
        return true;
    }
    match error.kind() {
        ErrorKind::Server(kind) => !matches!(
            kind,
            ServerErrorKind::ResponseError
                | ServerErrorKind::ExecAbort
                | ServerErrorKind::NoScript
                | ServerErrorKind::NoPerm
                | ServerErrorKind::CrossSlot
        ),
        ErrorKind::Extension => false,
        _ => true,
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}
