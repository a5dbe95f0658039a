//! The connection of a node, made anew for as long as the store is open.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_core::Stream;
use lapin::message::Delivery;
use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use tokio::time::{sleep, timeout};

use super::ask::{Link, Shared, Up};
use super::clock::present;
use super::found::Unreadable;
use super::message::{Reply, Request, Told};
use super::owner::{self, LOOK_AGAIN};
use super::state::State;
use super::{STEP_MAX, refused};
use crate::backend::memory::replica::{Answer, Question};
use crate::outcome::Failure;

/// How long it is waited before a connection is made anew: the first time, and at most. One that lasted longer, or by
/// which the owner has answered, begins it again: this node's own too, when it has come to own the store.
const AGAIN_FIRST: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(5);

/// How long a node that cannot read the state stays out of the line for it. Each time that it is given the queue, all that stands
/// there is delivered once more, and the nodes that can read it wait.
const UNREADABLE_AGAIN: Duration = Duration::from_secs(60);

/// How long the steps by which a node gets onto a connection take at most.
const LINK_MAX: Duration = Duration::from_secs(15);

/// Why nothing goes on while RabbitMQ reads nothing from a connection.
pub(super) const BLOCKED: &str = "RabbitMQ takes nothing from its connections, for it has no memory or no disk left";

/// Why a connection was given up.
#[derive(Clone, Debug)]
pub(super) enum Lost {
    /// It is gone, or this node's place on it: another is made soon.
    Connection(String),
    /// What the state queue holds is not for this program, which is so for long.
    Unreadable(String),
}

impl Lost {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self::Connection(why.into())
    }

    /// Whether the broker says that it has failed, and not that anything is wrong with what it was asked.
    pub(super) fn is_fault_of_broker(&self) -> bool {
        matches!(self, Self::Connection(why) if why.contains("INTERNAL_ERROR"))
    }

    /// The queue was another's, or is.
    pub(super) fn another() -> Self {
        Self::new("another node has owned the store meanwhile")
    }

    pub(super) fn unreadable(why: Unreadable) -> Self {
        match why {
            Unreadable::TooNew { reached, admits } => Self::Unreadable(refused::too_new(reached, admits)),
            Unreadable::Message(error) => Self::Unreadable(format!(
                "its state queue holds what this program cannot read: {error}; a newer version may have written it"
            )),
        }
    }
}

impl From<lapin::Error> for Lost {
    fn from(error: lapin::Error) -> Self {
        let mut why = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            let message = error.to_string();
            if !why.contains(&message) {
                why = format!("{why}: {message}");
            }
            cause = error.source();
        }
        Self::Connection(why)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Connection(why) | Self::Unreadable(why)) = self;
        f.write_str(why)
    }
}

/// The next message of a consumer, which ends with its channel.
pub(super) async fn next(consumer: &mut Consumer) -> Result<Delivery, Lost> {
    let next = std::future::poll_fn(|context| Pin::new(&mut *consumer).poll_next(context)).await;
    Ok(next.ok_or_else(|| Lost::new("RabbitMQ delivers nothing to it any more"))??)
}

/// Keeps a node connected, for ever, also where that panics.
pub(super) async fn watch(shared: Arc<Shared>) {
    loop {
        // It ends with the thread that this is on.
        let Err(ended) = tokio::spawn(keep(Arc::clone(&shared))).await.map(|never: Infallible| match never {});
        let why = match ended.try_into_panic() {
            Ok(panic) => Failure::panic(&*panic).to_string(),
            Err(ended) => ended.to_string(),
        };
        shared.link.send_replace(Link::Down(Lost::new(why)));
        sleep(AGAIN_MAX).await;
    }
}

async fn keep(shared: Arc<Shared>) -> Infallible {
    let mut again = AGAIN_FIRST;
    loop {
        let began = present();
        // It is dropped after the connection: see `owner::own`.
        let mut state = None;
        let has_answered = AtomicBool::new(false);
        let Err(lost) = link(&shared, &mut state, &has_answered).await;
        if has_answered.into_inner() || present().duration_since(began) > AGAIN_MAX {
            again = AGAIN_FIRST;
        }
        let wait = match lost {
            Lost::Connection(_) => again,
            Lost::Unreadable(_) => UNREADABLE_AGAIN,
        };
        shared.link.send_replace(Link::Down(lost));
        sleep(wait).await;
        again = (2 * again).min(AGAIN_MAX);
    }
}

/// One connection, until it is lost.
async fn link(shared: &Arc<Shared>, state: &mut Option<State>, has_answered: &AtomicBool) -> Result<Infallible, Lost> {
    let connecting = async { Ok(shared.place.connect().await?) };
    let connection = in_time(connecting).await?;
    let lost = on(shared, &connection, state, has_answered).await;
    let status = connection.status();
    if status.blocked() {
        // Nothing is written now, not even that a connection is closed: each that is given up stays, with its thread.
        shared.link.send_replace(Link::Down(Lost::new(BLOCKED)));
        while status.blocked() && status.connected() {
            sleep(LOOK_AGAIN).await;
        }
    }
    // What is not closed in time ends with its socket.
    drop(timeout(Duration::from_secs(1), connection.close(200, "".into())).await);
    match lost {
        Err(lost) => Err(lost),
        Ok(()) => Err(Lost::new("the connection was given up")),
    }
}

/// What a node does on a connection.
async fn on(
    shared: &Arc<Shared>,
    connection: &Connection,
    state: &mut Option<State>,
    has_answered: &AtomicBool,
) -> Result<(), Lost> {
    let key = shared.new_key();
    let making = async {
        let channel = shared.place.confirmed(connection).await?;
        shared.place.declare(&channel, shared.migrate).await?;
        let inbox = shared.place.declare_inbox(&channel, &key).await?;
        let options = BasicConsumeOptions { no_ack: true, exclusive: true, ..BasicConsumeOptions::default() };
        let inbox = channel.basic_consume(inbox, "".into(), options, FieldTable::default()).await?;
        let state = state.insert(State::join(shared, connection).await?);
        state.greet(shared).await?;
        Ok((channel, inbox, state))
    };
    let (channel, inbox, state) = in_time(making).await?;
    let (status, reply_to) = (connection.status().clone(), key.as_str().into());
    shared.link.send_replace(Link::Up(Up { channel: Channel::clone(&channel), status, key: reply_to }));
    tokio::select! {
        lost = hear(shared, inbox) => lost,
        lost = owner::own(shared, connection, state, &key) => lost,
        never = look_up(shared, has_answered) => never,
    }
}

async fn in_time<R>(making: impl Future<Output = Result<R, Lost>>) -> Result<R, Lost> {
    timeout(LINK_MAX, making).await.unwrap_or_else(|_| Err(Lost::new("it does not answer")))
}

/// Reads what a node is told, and the answers to what it has asked.
async fn hear(shared: &Shared, mut inbox: Consumer) -> Result<(), Lost> {
    loop {
        let Delivery { properties, data, .. } = next(&mut inbox).await?;
        match properties.kind().as_ref().map(|kind| kind.as_str()) {
            Some("told") => {
                if let Ok(Told { version, term }) = serde_json::from_slice(&data) {
                    shared.is_owned(term);
                    shared.announced.tell(crate::backend::text::count(version));
                }
            }
            Some("reply") => {
                let number = properties.correlation_id().as_ref().and_then(|number| number.as_str().parse().ok());
                if let Some(number) = number {
                    let unread = |error: serde_json::Error| Reply::Unread { why: error.to_string() };
                    shared.is_answered(number, serde_json::from_slice(&data).unwrap_or_else(unread));
                }
            }
            _ => {}
        }
    }
}

/// Learns what was told while there was no connection.
async fn look_up<R>(shared: &Shared, has_answered: &AtomicBool) -> R {
    let question = || Request::Question(Question::Changes { since: None });
    loop {
        if let Ok(Reply::Answer { answer: Answer::Changes { changes, .. }, .. }) =
            shared.ask(question(), STEP_MAX).await
        {
            shared.announced.tell(crate::backend::text::count(changes.version));
            has_answered.store(true, Ordering::Relaxed);
            break;
        }
        sleep(AGAIN_MAX).await;
    }
    std::future::pending().await
}
