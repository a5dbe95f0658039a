//! How a node asks the owner: within the process, if that is this node, else by a message. What gets no answer is asked again,
//! until there is one or the time is over: every call may be repeated.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, ConnectionStatus};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{timeout, timeout_at};

use super::STEP_MAX;
use super::clock::present;
use super::link::{BLOCKED, Lost};
use super::message::{Asked, Asker, Reply, Request, too_large, written};
use super::place::{CALL, Place};
use super::steps::Steps;
use crate::backend::BackendError;
use crate::backend::announced::Announced;
use crate::backend::line::{Failing, Line};
use crate::backend::memory::replica::Answer;
use crate::backend::weight::BYTES_MAX;
use crate::migrate::Migrate;

/// How long a call waits for a connection that is gone: one that comes back soon is no outage.
const LINK_MAX: Duration = Duration::from_secs(1);

/// How long an answer is waited for before it is asked again, the first time; then twice as long. A new owner tells all nodes of
/// itself, so this is for what was lost.
const AGAIN_FIRST: Duration = Duration::from_secs(1);

/// When it is tried again where the owner's queue is full.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// When it is tried again where RabbitMQ takes nothing.
const BLOCKED_AGAIN: Duration = Duration::from_millis(250);

/// What a store's calls and its connection share.
pub(super) struct Shared {
    pub(super) place: Place,
    pub(super) migrate: Migrate,
    pub(super) steps: Steps,
    /// What this node is called, otherwise for each backend that is opened.
    name: String,
    /// How many connections it has begun.
    links: AtomicU64,
    pub(super) link: watch::Sender<Link>,
    owner: watch::Sender<Owned>,
    answers: Mutex<HashMap<u64, oneshot::Sender<Reply>>>,
    /// The calls that are under way.
    calls: Mutex<Calls>,
    /// The store that has answered; zero before.
    store: AtomicU64,
    pub(super) announced: Announced,
    pub(super) submitting: Line,
}

/// The connection of a node.
#[derive(Clone, Default)]
pub(super) enum Link {
    /// There was none yet.
    #[default]
    Making,
    Up(Up),
    Down(Lost),
}

#[derive(Clone)]
pub(super) struct Up {
    pub(super) channel: Channel,
    pub(super) status: ConnectionStatus,
    /// The key of this node's queue.
    pub(super) key: ShortString,
}

/// Who is the owner, as far as it is known.
#[derive(Clone, Default)]
struct Owned {
    term: u64,
    here: Option<mpsc::Sender<Incoming>>,
}

/// Calls that have not ended, and how many there were.
#[derive(Default)]
struct Calls {
    made: u64,
    under_way: BTreeSet<u64>,
}

/// A request as the owner gets it.
pub(super) struct Incoming {
    pub(super) from: Option<Asker>,
    /// Or why it could not be read.
    pub(super) request: Result<Request, String>,
    pub(super) back: Back,
}

/// Where an answer goes.
pub(super) enum Back {
    Here(oneshot::Sender<Reply>),
    There { to: ShortString, number: ShortString, tag: u64 },
}

impl Back {
    pub(super) fn there(properties: &BasicProperties, tag: u64) -> Self {
        let to = properties.reply_to().clone().unwrap_or_default();
        Self::There { to, number: properties.correlation_id().clone().unwrap_or_default(), tag }
    }
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// There is no connection, or not for this program.
    Away(Lost),
    /// There was no answer in time.
    Silent(String),
    /// The store is another than the one that had answered.
    Gone,
    /// The owner could not read it: it is of another version, or the message would be too large.
    Unread(String),
    /// It may not be asked.
    Refused(String),
    /// The owner does not know which tasks are claimed, however often it is told.
    Forgotten,
    /// The answer is one to another question.
    Other,
}

impl Failing for Failed {
    fn is_of_a_row(&self) -> bool {
        matches!(self, Self::Unread(_) | Self::Refused(_))
    }

    fn during(self, call: &'static str) -> BackendError {
        BackendError::new(call, self.to_string())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(Lost::Connection(why)) => write!(f, "RabbitMQ cannot be reached: {why}"),
            Self::Away(Lost::Unreadable(why)) => write!(f, "the store in RabbitMQ cannot be used: {why}"),
            Self::Silent(why) => write!(f, "there was no answer for {STEP_MAX:?}: {why}"),
            Self::Gone => f.write_str(
                "RabbitMQ has lost what it had answered: its state queue was deleted or emptied; start the programs on it \
                 again",
            ),
            Self::Unread(why) => write!(f, "what was asked, or the answer, could not be read: {why}"),
            Self::Refused(why) => f.write_str(why),
            Self::Forgotten => f.write_str(
                "the node that owns the store forgets the tasks of a claim as soon as it is told them: too many nodes claim too \
                 many different tasks",
            ),
            Self::Other => f.write_str("the node that owns the store has answered something else"),
        }
    }
}

/// What became of one try.
enum Tried {
    Again,
    Failed(Failed),
}

impl Shared {
    pub(super) fn new(place: Place, migrate: Migrate, steps: Steps) -> Self {
        Self {
            place,
            migrate,
            steps,
            name: format!("node.{:016x}", fastrand::u64(..)),
            links: AtomicU64::new(0),
            link: watch::Sender::default(),
            owner: watch::Sender::default(),
            answers: Mutex::default(),
            calls: Mutex::default(),
            store: AtomicU64::new(0),
            announced: Announced::default(),
            submitting: Line::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A key for the queues of a new connection. Those of the one before are there until RabbitMQ has noticed that it is lost, and
    /// are open to no other.
    pub(super) fn new_key(&self) -> String {
        format!("{}.{}", self.name, self.links.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether RabbitMQ takes nothing from this connection, because it has no memory or disk left.
    pub(super) fn is_blocked(&self) -> bool {
        matches!(&*self.link.borrow(), Link::Up(up) if up.status.blocked())
    }

    /// This node is the owner, until what this returns is dropped.
    pub(super) fn is_owner(&self, term: u64, here: mpsc::Sender<Incoming>) -> IsOwner<'_> {
        self.owner.send_replace(Owned { term, here: Some(here) });
        IsOwner(self)
    }

    /// Another node is the owner.
    pub(super) fn is_owned(&self, term: u64) {
        self.owner.send_if_modified(|owned| {
            let is_new = term > owned.term && owned.here.is_none();
            owned.term = term.max(owned.term);
            is_new
        });
    }

    /// An answer has come.
    pub(super) fn is_answered(&self, number: u64, reply: Reply) {
        if let Some(waiting) = self.waiting().remove(&number) {
            // Whoever asked may have gone.
            drop(waiting.send(reply));
        }
    }

    /// Asks the owner, for so long at most.
    pub(super) async fn ask(&self, request: Request, max: Duration) -> Result<Reply, Failed> {
        let deadline = present() + max;
        let call = self.begin();
        let (mut body, mut again) = (None, AGAIN_FIRST);
        loop {
            let mut owned = self.owner.subscribe();
            let here = owned.borrow_and_update().here.clone();
            let trying = async {
                match here {
                    Some(here) => self.ask_here(&here, call.from(), request.clone()).await,
                    None => {
                        let asked = || written(&Asked { from: call.from(), request: &request });
                        self.ask_there(call.number, body.get_or_insert_with(asked), &mut owned, again).await
                    }
                }
            };
            match timeout_at(deadline, trying).await {
                Ok(Ok(reply)) => return self.checked(reply),
                Ok(Err(Tried::Failed(failed))) => return Err(failed),
                Ok(Err(Tried::Again)) if present() < deadline => {}
                _ => return Err(Failed::Silent(self.why_silent())),
            }
            again = 2 * again;
            if owned.borrow().here.is_none() {
                // Either is a reason to ask again.
                drop(timeout(AGAIN_AFTER, owned.changed()).await);
            }
        }
    }

    /// Asks what has an answer that `read` gets out of it.
    pub(super) async fn get<A>(&self, request: Request, read: impl FnOnce(Answer) -> Option<A>) -> Result<A, Failed> {
        match self.ask(request, STEP_MAX).await? {
            Reply::Answer { answer, .. } => read(answer).ok_or(Failed::Other),
            _ => Err(Failed::Other),
        }
    }

    /// A call begins.
    fn begin(&self) -> Begun<'_> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.made += 1;
        let number = calls.made;
        calls.under_way.insert(number);
        Begun { shared: self, number }
    }

    async fn ask_here(&self, owner: &mpsc::Sender<Incoming>, from: Asker, request: Request) -> Result<Reply, Tried> {
        let (back, answered) = oneshot::channel();
        let incoming = Incoming { from: Some(from), request: Ok(request), back: Back::Here(back) };
        owner.send(incoming).await.map_err(|_| Tried::Again)?;
        answered.await.map_err(|_| Tried::Again)
    }

    /// Sends a message, and waits for the answer for as long as `patience`. Where there is no owner it goes nowhere.
    async fn ask_there(
        &self,
        number: u64,
        body: &[u8],
        owned: &mut watch::Receiver<Owned>,
        patience: Duration,
    ) -> Result<Reply, Tried> {
        if body.len() > BYTES_MAX {
            return Err(Tried::Failed(Failed::Unread(too_large(body.len()))));
        }
        let (up, mut link) = self.up().await.map_err(Tried::Failed)?;
        if up.status.blocked() {
            // What is published now waits in this process, also when whoever asked has gone.
            tokio::time::sleep(BLOCKED_AGAIN).await;
            return Err(Tried::Again);
        }
        let (answer, answered) = oneshot::channel();
        self.waiting().insert(number, answer);
        let _asked = Waits { shared: self, number };
        let properties = BasicProperties::default()
            .with_reply_to(up.key.clone())
            .with_correlation_id(number.to_string().into())
            .with_expiration(STEP_MAX.as_millis().to_string().into());
        let options = BasicPublishOptions::default();
        let exchange = self.place.exchange();
        let published = up.channel.basic_publish(exchange, CALL.into(), options, body, properties).await;
        match published.map_err(|_| Tried::Again)?.await {
            Ok(Confirmation::Ack(_)) => {}
            // The owner's queue is full, or the connection is gone.
            _ => return Err(Tried::Again),
        }
        tokio::select! {
            reply = answered => reply.map_err(|_| Tried::Again),
            _ = owned.changed() => Err(Tried::Again),
            _ = link.changed() => Err(Tried::Again),
            () = tokio::time::sleep(patience) => Err(Tried::Again),
        }
    }

    /// The connection, which is waited for if it is not long gone.
    async fn up(&self) -> Result<(Up, watch::Receiver<Link>), Failed> {
        let mut link = self.link.subscribe();
        let is_up = timeout(LINK_MAX, link.wait_for(|link| matches!(link, Link::Up(_)))).await;
        let seen = is_up.ok().and_then(Result::ok).map(|link| (*link).clone());
        match seen.unwrap_or_else(|| self.link.borrow().clone()) {
            Link::Up(up) => {
                link.mark_unchanged();
                Ok((up, link))
            }
            Link::Making => Err(Failed::Away(Lost::new("there is no connection yet"))),
            Link::Down(why) => Err(Failed::Away(why)),
        }
    }

    fn why_silent(&self) -> String {
        match &*self.link.borrow() {
            Link::Up(up) if up.status.blocked() => BLOCKED.into(),
            Link::Up(_) => "no node owns the store yet, or the one that does is cut off".into(),
            Link::Down(lost) => lost.to_string(),
            Link::Making => "there is no connection yet".into(),
        }
    }

    fn known_store(&self) -> Option<u64> {
        Some(self.store.load(Ordering::Acquire)).filter(|&store| store != 0)
    }

    fn checked(&self, reply: Reply) -> Result<Reply, Failed> {
        match reply {
            Reply::Gone => {
                // Who waits for a change is told, too.
                self.announced.tell(i64::MAX);
                Err(Failed::Gone)
            }
            Reply::Unread { why } => Err(Failed::Unread(why)),
            Reply::Late => Err(Failed::Other),
            Reply::Answer { store, .. } | Reply::Opened { store, .. } => {
                self.store.store(store, Ordering::Release);
                Ok(reply)
            }
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Reply>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// This node, as long as it is the owner.
pub(super) struct IsOwner<'a>(&'a Shared);

impl Drop for IsOwner<'_> {
    fn drop(&mut self) {
        self.0.owner.send_modify(|owned| owned.here = None);
    }
}

/// A call that is under way.
struct Begun<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Begun<'_> {
    fn from(&self) -> Asker {
        let calls = self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let ended_below = calls.under_way.first().copied().unwrap_or(self.number);
        let (node, store) = (self.shared.name.clone(), self.shared.known_store());
        Asker { node, store, number: self.number, ended_below }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner).under_way.remove(&self.number);
    }
}

/// Somebody who waits for an answer.
struct Waits<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.shared.waiting().remove(&self.number);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}
