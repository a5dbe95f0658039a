//! The state queue as it is delivered to a node: how it waits in line for it, and how it comes to own the store.
//!
//! A node to which the queue is delivered marks its end, reads up to there, and claims a term higher than all that it has read.
//! When it gets its claim back, the store is its own: whoever comes later reads that claim. What is left of those before it that
//! the store was not rebuilt of goes then, so that takers who fail leave little more than the first of them.

use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer, PublisherConfirm};

use super::STEP_MAX;
use super::ask::Shared;
use super::fence::{Fence, Heard};
use super::found::{Found, Rebuilt, Unreadable};
use super::link::{Lost, next};
use super::message::{ADMITS, Claimed, Head, KNOWN, Kind, Stamp, written};
use super::owner::DELIVERY_MAX;
use super::place::{STATE, STATE_IN_HAND};

/// The state queue as it is delivered to this node.
pub(super) struct State {
    channel: Channel,
    deliveries: Consumer,
}

/// The queue is this node's.
pub(super) struct Owned {
    pub(super) rebuilt: Rebuilt,
    pub(super) term: u64,
    pub(super) fence: Fence,
}

impl State {
    /// Waits in line for the state queue.
    pub(super) async fn join(shared: &Shared, connection: &Connection) -> Result<Self, Lost> {
        let channel = shared.place.confirmed(connection).await?;
        channel.basic_qos(STATE_IN_HAND, BasicQosOptions::default()).await?;
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let deliveries = channel.basic_consume(shared.place.state(), shared.name().into(), options, none).await?;
        Ok(Self { channel, deliveries })
    }

    /// Says that a node is there.
    pub(super) async fn greet(&self, shared: &Shared) -> Result<(), Lost> {
        self.publish(shared, Kind::Hello, Stamp::default(), &[]).await?.await?;
        Ok(())
    }

    pub(super) async fn publish(
        &self,
        shared: &Shared,
        kind: Kind,
        stamp: Stamp,
        body: &[u8],
    ) -> Result<PublisherConfirm, Lost> {
        let properties = Head { kind, stamp, from: shared.name().into() }.properties();
        let options = BasicPublishOptions::default();
        Ok(self.channel.basic_publish(shared.place.exchange(), STATE.into(), options, body, properties).await?)
    }

    pub(super) async fn delivery(&mut self) -> Result<Delivery, Lost> {
        next(&mut self.deliveries).await
    }

    pub(super) async fn delivery_soon(&mut self) -> Result<Delivery, Lost> {
        let waiting = tokio::time::timeout(DELIVERY_MAX, self.delivery());
        waiting.await.unwrap_or_else(|_| Err(Lost::new("the state queue delivers nothing")))
    }

    /// Has a message go; the queue does not keep it any more.
    async fn drop(&self, tag: u64) -> Result<(), Lost> {
        Ok(self.channel.basic_ack(tag, BasicAckOptions::default()).await?)
    }

    /// Has all messages go that came before this one.
    pub(super) async fn drop_all_before(&self, tag: u64) -> Result<(), Lost> {
        match tag.checked_sub(1) {
            // Zero would be all.
            None | Some(0) => Ok(()),
            Some(before) => Ok(self.channel.basic_ack(before, BasicAckOptions { multiple: true }).await?),
        }
    }

    /// Waits for its turn, and comes to own the store.
    pub(super) async fn own(&mut self, shared: &Shared) -> Result<Owned, Lost> {
        let first = self.delivery().await?;
        shared.steps.pass("delivered");
        let (found, begin) = self.read(shared, first).await?;
        shared.steps.pass("read");
        let term = found.term() + 1;
        let rebuilt = match found.rebuild(fastrand::u64(1..)) {
            Ok(rebuilt) => rebuilt,
            Err(why) => {
                // It tries again for as long as it is there, and must not fill the queue by that.
                self.drop(begin).await?;
                return Err(Lost::unreadable(why));
            }
        };
        let mut spent = vec![begin];
        let fence = self.claim(shared, term, &rebuilt, &mut spent).await?;
        shared.steps.pass("owns");
        for &tag in rebuilt.spent.iter().chain(&spent) {
            self.drop(tag).await?;
        }
        Ok(Owned { rebuilt, term, fence })
    }

    /// All that stood in the queue when this node got it, and the tag of the mark at its end.
    async fn read(&mut self, shared: &Shared, first: Delivery) -> Result<(Found, u64), Lost> {
        // A mark of this node that led to nothing may stand in the queue still.
        let begin = Stamp { term: 0, number: fastrand::u64(..) };
        confirmed(self.publish(shared, Kind::Begin, begin, &[]).await?).await?;
        shared.steps.pass("begun");
        let (mut found, mut delivery) = (Found::default(), first);
        loop {
            let (head, tag) = (Head::read(&delivery.properties), delivery.delivery_tag);
            match head {
                Some(head) if head.kind == Kind::Begin && head.stamp == begin && head.from == shared.name() => {
                    return Ok((found, tag));
                }
                Some(head @ Head { kind: Kind::Claim | Kind::Image { .. } | Kind::Record, .. }) => {
                    found.add(&head, tag, delivery.data);
                }
                None => found.add_unknown(delivery.properties.kind().as_ref().map(|kind| kind.as_str())),
                // With them there may be more than are delivered at once. They woke whoever was first in line, which the mark does
                // from here on.
                _ => self.drop(tag).await?,
            }
            delivery = self.delivery_soon().await?;
        }
    }

    /// Claims the store. What comes meanwhile, and is nothing to anybody, is spent. What one before it wrote is not: it goes when
    /// the image of this owner is whole.
    async fn claim(
        &mut self,
        shared: &Shared,
        term: u64,
        rebuilt: &Rebuilt,
        spent: &mut Vec<u64>,
    ) -> Result<Fence, Lost> {
        let claim = Stamp { term, number: fastrand::u64(..) };
        let mut fence = Fence::new(shared.name(), claim);
        let store = rebuilt.at.is_some().then_some(rebuilt.store);
        let body = written(&Claimed { reached: KNOWN, admits: ADMITS, store });
        let confirm = self.publish(shared, Kind::Claim, claim, &body).await?;
        shared.steps.pass("claimed");
        loop {
            let delivery = self.delivery_soon().await?;
            let Some(head) = Head::read(&delivery.properties) else {
                let kind = delivery.properties.kind().as_ref().map_or("", |kind| kind.as_str());
                return Err(Lost::unreadable(Unreadable::kind(kind)));
            };
            match fence.hear(&head) {
                Heard::Own => {
                    confirmed(confirm).await?;
                    return Ok(fence);
                }
                Heard::Another => return Err(Lost::another()),
                // It was in the hand of somebody else while this node read what it took for all.
                Heard::Before if delivery.redelivered => {
                    return Err(Lost::new("the state queue has not delivered all"));
                }
                Heard::Before => {}
                Heard::Nothing => spent.push(delivery.delivery_tag),
            }
        }
    }
}

/// What came back was kept, so its confirm is there, or comes at once.
pub(super) async fn confirmed(confirm: PublisherConfirm) -> Result<(), Lost> {
    match tokio::time::timeout(STEP_MAX, confirm).await {
        Ok(confirmation) => match confirmation?.is_ack() {
            true => Ok(()),
            false => Err(Lost::new("the state queue has refused a message: it is full")),
        },
        Err(_) => Err(Lost::new("the state queue confirms nothing")),
    }
}
