//! The owner of a store: the one node that the state queue is delivered to. It has the store in memory, makes every step of it,
//! and answers when the record of the step has come back to it.
//!
//! That is the fence. What is delivered to a node was kept by the queue while that node was the one it is delivered to: an owner
//! that has lost its place, and does not know it yet, gets nothing any more and answers nobody. So no step is answered that the
//! next owner does not find. One that gets its place back is told so by [what comes](super::fence), and gives it up.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, Consumer, PublisherConfirm};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::UNCLAIMED_MAX;
use super::ask::{Back, Incoming, Shared};
use super::clock::{OwnersClock, present};
use super::fence::{Fence, Heard};
use super::found::Rebuilt;
use super::link::{Lost, next};
use super::message::{
    ADMITS, Asked, Asker, Head, Image, KNOWN, Kind, Recorded, Reply, Request, Stamp, Told, too_large, written,
};
use super::place::TOLD;
use super::state::{Owned, State, confirmed};
use crate::backend::memory::replica::{At, Call, Replica};
use crate::backend::text;
use crate::backend::weight::BYTES_MAX;

/// How many records are under way at once. Whoever calls meanwhile goes into the next together, so few are quicker than many.
const UNDER_WAY_MAX: usize = 4;

/// How many calls one record holds at most.
const TOGETHER_MAX: usize = 128;

/// How many calls wait in this process. Beyond it those who call wait to be among them.
const CALLS_MAX: usize = 256;

/// When the records are folded into an image: after so many, or when they are so large, or twice as large as the image before. Of a
/// large store that is seldom, for its image takes long; with its parts they stay below what is delivered at once.
const RECORDS_MAX: usize = 10_000;
const RECORDS_OF_LARGE_MAX: usize = 30_000;
const RECORDS_BYTES_MIN: usize = 4 << 20;

/// So many records to a part of the image.
const RECORDS_TO_A_PART: usize = 20;

/// And after so long. RabbitMQ closes a channel that has had a message in hand for its `consumer_timeout`, 30 minutes if nothing
/// is said.
const FOLD_EVERY: Duration = Duration::from_secs(10 * 60);

/// How often the other nodes are told of changes at most.
const TELL_EVERY: Duration = Duration::from_millis(50);

/// How often it is looked for runs that no node knows.
const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);

/// How many of them are ended in one step: those of a task that was removed with all its backlog are gone within a day, and a
/// step takes some tens of milliseconds.
const TIDY_MAX: usize = 4_096;

/// Of how many nodes it is remembered which of their calls have ended. Each start of a program is another.
const NODES_MAX: usize = 1_024;

/// How long an owner waits for what the queue has for it. It is delivered as fast as the network carries it.
pub(super) const DELIVERY_MAX: Duration = Duration::from_secs(30);

/// How often it is looked whether RabbitMQ takes messages again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A record that has not come back, and the answers that wait for that.
struct UnderWay {
    number: u64,
    since: Instant,
    confirm: PublisherConfirm,
    answers: Vec<(Back, Reply)>,
    /// The version of the store after it.
    version: u64,
}

/// Waits until this node is the owner, and is that for as long as the connection stands.
///
/// `state` is borrowed, and outlives the connection. To end its consumer alone would give the queue to the next in line while what
/// it holds is still in this node's hand: that node would find nothing, and begin another store.
pub(super) async fn own(
    shared: &Arc<Shared>,
    connection: &Connection,
    state: &mut State,
    key: &str,
) -> Result<(), Lost> {
    let Owned { rebuilt, term, fence } = state.own(shared).await?;
    let Rebuilt { replica, store, at, .. } = rebuilt;
    let calls = connection.create_channel().await?;
    let mut owner = Owner {
        shared,
        state,
        fence,
        calls,
        replica,
        store,
        at: Stamp { term, number: 0 },
        clock: OwnersClock::going_on_from(at),
        under_way: VecDeque::new(),
        unfolded: Unfolded::default(),
        ended: HashMap::new(),
        certain: 0,
        told: 0,
        told_at: None,
    };
    owner.fold().await?;
    owner.certain = owner.replica.version();
    let (calling, mut called) = mpsc::channel(CALLS_MAX);
    let queue = shared.place.declare_calls(&owner.calls, key).await?;
    let options = BasicConsumeOptions { exclusive: true, ..BasicConsumeOptions::default() };
    let there = owner.calls.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
    owner.tell().await?;
    shared.steps.pass("listens");
    let _owned = shared.is_owner(owner.at.term, calling.clone());
    tokio::select! {
        lost = listen(there, calling) => lost,
        lost = owner.run(&mut called) => lost,
    }
}

/// Has the owner hear of what other nodes call.
async fn listen(mut there: Consumer, calling: mpsc::Sender<Incoming>) -> Result<(), Lost> {
    loop {
        let Delivery { properties, data, delivery_tag, .. } = next(&mut there).await?;
        let back = Back::there(&properties, delivery_tag);
        let incoming = match serde_json::from_slice::<Asked<Request>>(&data) {
            Ok(Asked { from, request }) => Incoming { from: Some(from), request: Ok(request), back },
            Err(error) => Incoming { from: None, request: Err(error.to_string()), back },
        };
        // The owner ends with this.
        if calling.send(incoming).await.is_err() {
            return Err(Lost::new("the owner has ended"));
        }
    }
}

/// What has been written since the last image.
struct Unfolded {
    records: usize,
    bytes: usize,
    image_parts: usize,
    image_bytes: usize,
    since: Instant,
}

impl Default for Unfolded {
    fn default() -> Self {
        Self { records: 0, bytes: 0, image_parts: 0, image_bytes: 0, since: present() }
    }
}

impl Unfolded {
    fn is_much(&self) -> bool {
        let bytes_max = RECORDS_BYTES_MIN.max(2 * self.image_bytes);
        let records_max = (self.image_parts * RECORDS_TO_A_PART).clamp(RECORDS_MAX, RECORDS_OF_LARGE_MAX);
        self.records >= records_max || self.bytes >= bytes_max || present().duration_since(self.since) >= FOLD_EVERY
    }
}

struct Owner<'a> {
    shared: &'a Arc<Shared>,
    state: &'a mut State,
    fence: Fence,
    /// By which calls come and answers go.
    calls: Channel,
    replica: Replica,
    store: u64,
    /// The last message of this owner.
    at: Stamp,
    clock: OwnersClock,
    under_way: VecDeque<UnderWay>,
    unfolded: Unfolded,
    /// Below which numbers the calls of each node have ended.
    ended: HashMap<String, u64>,
    /// The version of which everybody may know.
    certain: u64,
    /// The version that the other nodes know of, and when they were told.
    told: u64,
    told_at: Option<Instant>,
}

/// What an owner does next.
enum Next {
    Called(Incoming),
    Delivered(Option<Head>),
    Due,
}

impl Owner<'_> {
    async fn run(&mut self, called: &mut mpsc::Receiver<Incoming>) -> Result<(), Lost> {
        let mut tidy_at = present() + TIDY_EVERY;
        loop {
            // Whatever is written while RabbitMQ takes nothing piles up in this process.
            let is_blocked = self.shared.is_blocked();
            if self.under_way.is_empty() && self.unfolded.is_much() && !is_blocked {
                self.fold().await?;
            }
            let takes_calls = self.under_way.len() < UNDER_WAY_MAX && !self.unfolded.is_much() && !is_blocked;
            let due = self.due(tidy_at);
            let happened = tokio::select! {
                biased;
                delivery = self.state.delivery() => Next::Delivered(Head::read(&delivery?.properties)),
                call = called.recv(), if takes_calls => match call {
                    Some(call) => Next::Called(call),
                    None => return Err(Lost::new("nobody can call the owner")),
                },
                () = tokio::time::sleep_until(due) => Next::Due,
            };
            match happened {
                Next::Delivered(Some(head)) => self.delivered(&head).await?,
                Next::Delivered(None) => {}
                Next::Called(first) => {
                    let mut together = vec![first];
                    while together.len() < TOGETHER_MAX
                        && let Ok(next) = called.try_recv()
                    {
                        together.push(next);
                    }
                    self.make(together).await?;
                }
                Next::Due if is_blocked => {
                    // What is under way has its time from when RabbitMQ takes it.
                    self.under_way.iter_mut().for_each(|record| record.since = present());
                }
                Next::Due => {
                    let is_late = |oldest: &UnderWay| present().duration_since(oldest.since) >= DELIVERY_MAX;
                    if self.under_way.front().is_some_and(is_late) {
                        return Err(Lost::new("the state queue does not give back what was written"));
                    }
                    if tidy_at <= present() {
                        tidy_at = present() + TIDY_EVERY;
                        let waited_ms = u64::try_from(UNCLAIMED_MAX.as_millis()).unwrap_or(u64::MAX);
                        let tidy = Request::Call(Call::EndUnclaimed { waited_ms, max: TIDY_MAX });
                        let (back, _) = tokio::sync::oneshot::channel();
                        self.make(vec![Incoming { from: None, request: Ok(tidy), back: Back::Here(back) }]).await?;
                    }
                    self.tell().await?;
                }
            }
        }
    }

    /// When something is due although nothing happens.
    fn due(&self, tidy_at: Instant) -> Instant {
        if self.shared.is_blocked() {
            return present() + LOOK_AGAIN;
        }
        let fold = self.unfolded.since + FOLD_EVERY;
        let late = self.under_way.front().map_or(fold, |oldest| oldest.since + DELIVERY_MAX);
        late.min(self.tell_at().unwrap_or(late)).min(tidy_at)
    }

    /// When the other nodes are to be told of what has changed.
    fn tell_at(&self) -> Option<Instant> {
        (self.told < self.certain).then(|| self.told_at.map_or_else(present, |at| at + TELL_EVERY))
    }

    /// Makes the steps that are asked for, and writes them down: as one record, if they are not too much for that.
    async fn make(&mut self, together: Vec<Incoming>) -> Result<(), Lost> {
        let mut step = Step::default();
        for Incoming { from, request, back } in together {
            let is_late = from.as_ref().is_some_and(|from| self.is_late(from));
            let known = from.and_then(|from| from.store);
            let reply = match request {
                _ if is_late => Reply::Late,
                _ if known.is_some_and(|known| known != self.store) => Reply::Gone,
                Ok(Request::Call(call)) => {
                    let at = self.clock.at();
                    let body = written(&(at, &call));
                    if !step.record.has_room_for(body.len()) {
                        self.write(std::mem::take(&mut step)).await?;
                    }
                    match body.len() <= BYTES_MAX {
                        true => {
                            step.record.add(&body);
                            step.is_to_be_written = true;
                            Reply::Answer { store: self.store, answer: self.replica.call(&call, at) }
                        }
                        false => Reply::Unread { why: too_large(body.len()) },
                    }
                }
                Ok(Request::Question(question)) => {
                    step.is_to_be_written |= question.is_about_the_present();
                    Reply::Answer { store: self.store, answer: self.replica.ask(&question, self.clock.at()) }
                }
                Ok(Request::Open { .. }) => Reply::Opened { store: self.store, reached: KNOWN, admits: ADMITS },
                Err(why) => Reply::Unread { why },
            };
            step.answers.push((back, reply));
        }
        self.write(step).await
    }

    async fn write(&mut self, Step { record, mut answers, is_to_be_written }: Step) -> Result<(), Lost> {
        if !is_to_be_written {
            return match self.under_way.back_mut() {
                // What it has seen is not yet certain.
                Some(last) => {
                    last.answers.append(&mut answers);
                    Ok(())
                }
                None => self.answer(answers).await,
            };
        }
        let body = record.body();
        self.at.number += 1;
        let confirm = self.state.publish(self.shared, Kind::Record, self.at, &body).await?;
        self.shared.steps.pass("written");
        self.unfolded.records += 1;
        self.unfolded.bytes += body.len();
        let (number, version) = (self.at.number, self.replica.version());
        self.under_way.push_back(UnderWay { number, since: present(), confirm, answers, version });
        Ok(())
    }

    /// Whether a call has ended where it was made: it was tried more than once.
    fn is_late(&mut self, from: &Asker) -> bool {
        if self.ended.len() >= NODES_MAX && !self.ended.contains_key(&from.node) {
            // Of those that are there the next call tells it again.
            self.ended.clear();
        }
        let ended = self.ended.entry(from.node.clone()).or_default();
        *ended = from.ended_below.max(*ended);
        from.number < *ended
    }

    async fn delivered(&mut self, head: &Head) -> Result<(), Lost> {
        match self.fence.hear(head) {
            Heard::Own => {}
            Heard::Nothing | Heard::Before => {
                self.unfolded.records += 1;
                return Ok(());
            }
            Heard::Another => return Err(Lost::another()),
        }
        let is_next = |oldest: &mut UnderWay| head.stamp.number == oldest.number;
        let Some(back) = self.under_way.pop_front_if(is_next) else { return Err(Lost::another()) };
        confirmed(back.confirm).await?;
        self.shared.steps.pass("back");
        self.answer(back.answers).await?;
        self.shared.steps.pass("answered");
        self.certain = back.version;
        self.shared.announced.tell(text::count(self.certain));
        if self.told_at.is_none_or(|at| present().duration_since(at) >= TELL_EVERY) {
            self.tell().await?;
        }
        Ok(())
    }

    async fn answer(&mut self, answers: Vec<(Back, Reply)>) -> Result<(), Lost> {
        for (back, reply) in answers {
            match back {
                // Whoever asked may have gone.
                Back::Here(back) => drop(back.send(reply)),
                Back::There { to, number, tag } => {
                    let properties = BasicProperties::default().with_type("reply".into()).with_correlation_id(number);
                    let (exchange, options) = (self.shared.place.exchange(), BasicPublishOptions::default());
                    self.calls.basic_publish(exchange, to, options, &bounded(&reply), properties).await?;
                    self.calls.basic_ack(tag, BasicAckOptions::default()).await?;
                }
            }
        }
        Ok(())
    }

    /// Tells the other nodes what the last change is, and who is the owner.
    async fn tell(&mut self) -> Result<(), Lost> {
        if self.told == self.certain && self.told_at.is_some() {
            return Ok(());
        }
        (self.told, self.told_at) = (self.certain, Some(present()));
        let body = written(&Told { version: self.certain, term: self.at.term });
        let properties = BasicProperties::default().with_type("told".into());
        let (exchange, options) = (self.shared.place.exchange(), BasicPublishOptions::default());
        self.calls.basic_publish(exchange, TOLD.into(), options, &body, properties).await?;
        Ok(())
    }

    /// Writes an image of the store, and lets go of all that stood before it. The store goes on as whoever reads the image would.
    async fn fold(&mut self) -> Result<(), Lost> {
        debug_assert!(self.under_way.is_empty(), "an image is of what is certain");
        let parts = self.replica.image();
        self.at.number += 1;
        let (at, store): (At, u64) = (self.clock.at(), self.store);
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let (mut confirms, mut image_bytes) = (Vec::with_capacity(parts.len()), 0);
        for (part, image) in (0..count).zip(&parts) {
            let body = written(&Image { reached: KNOWN, admits: ADMITS, store, at, part: image });
            image_bytes += body.len();
            confirms.push(self.state.publish(self.shared, Kind::Image { part, parts: count }, self.at, &body).await?);
            self.shared.steps.pass("imaging");
            // On this thread connections are kept alive, too.
            tokio::task::yield_now().await;
        }
        let before = std::mem::replace(&mut self.replica, Replica::new());
        self.replica = before.going_on_as(parts);
        let (mut first, mut left) = (None, count);
        while left > 0 {
            let delivery = self.state.delivery_soon().await?;
            match Head::read(&delivery.properties).map(|head| self.fence.hear(&head)) {
                Some(Heard::Own) => {
                    first.get_or_insert(delivery.delivery_tag);
                    left -= 1;
                }
                Some(Heard::Another) => return Err(Lost::another()),
                Some(Heard::Nothing | Heard::Before) | None => {}
            }
        }
        self.shared.steps.pass("imaged");
        for confirm in confirms {
            confirmed(confirm).await?;
        }
        self.shared.steps.pass("folding");
        if let Some(first) = first {
            self.state.drop_all_before(first).await?;
        }
        self.shared.steps.pass("folded");
        self.unfolded = Unfolded { image_bytes, image_parts: count as usize, ..Unfolded::default() };
        Ok(())
    }
}

/// What is made together.
#[derive(Default)]
struct Step {
    record: Recorded,
    answers: Vec<(Back, Reply)>,
    /// Whether the answers have to wait for a record.
    is_to_be_written: bool,
}

/// A reply as it travels. What is too large would end the owner's connection, and the next one's.
fn bounded(reply: &Reply) -> Vec<u8> {
    let body = written(reply);
    match body.len() <= BYTES_MAX {
        true => body,
        false => written(&Reply::Unread { why: too_large(body.len()) }),
    }
}
