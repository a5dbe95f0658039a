//! What travels: calls and answers between nodes and the owner, and what the state queue keeps.
//!
//! Bodies are JSON; what a message is stands in its properties, so that an owner which gets its own messages back need not read
//! them.

use lapin::BasicProperties;
use serde::{Deserialize, Serialize};

use crate::backend::memory::replica::{Answer, At, Call, ImagePart, Question};
use crate::backend::weight::{BYTES_MAX, FULL};

/// The version of what this program writes into the state queue.
///
/// An owner that knows less than its predecessor reads what that has left, and writes it anew without what it does not know. So
/// whoever adds what must not be lost by that, or must not be passed over in a record, raises [`ADMITS`] to the new version.
pub(super) const KNOWN: u32 = 3;

/// The oldest version that a program must know to own what this one writes, and to call the owner. Version 2 has brought jobs, version 3
/// what people have asked for: an image that is written without them has lost them.
pub(super) const ADMITS: u32 = 3;

/// What is asked of the owner.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) enum Request {
    Call(Call),
    Question(Question),
    /// Whether a program that knows this version may work on the store.
    Open {
        known: u32,
    },
}

/// A request as it travels.
#[derive(Deserialize, Serialize)]
pub(super) struct Asked<R> {
    pub(super) from: Asker,
    pub(super) request: R,
}

/// Who asks, and what for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Asker {
    /// The node.
    pub(super) node: String,
    /// Which store has answered it before: what another says would be about other tasks.
    pub(super) store: Option<u64>,
    /// The number of the call, the same each time that it is tried.
    pub(super) number: u64,
    /// All calls of the node with lower numbers have ended there: one that comes after this is one that was tried before, and
    /// late. Made then, a claim would give runs to nobody, and a pause would come back that has been ended since.
    pub(super) ended_below: u64,
}

/// What is answered to a request.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) enum Reply {
    Answer {
        store: u64,
        answer: Answer,
    },
    Opened {
        store: u64,
        reached: u32,
        admits: u32,
    },
    /// There is another store by now than the one that had answered.
    Gone,
    /// It could not be read.
    Unread {
        why: String,
    },
    /// It has ended already where it was made: nobody waits.
    Late,
}

/// What all nodes are told: the number of the last change, by which owner.
#[derive(Deserialize, Serialize)]
pub(super) struct Told {
    pub(super) version: u64,
    pub(super) term: u64,
}

/// Calls that were made in one step, in their order. There are none in one that is written so that a question may be answered.
#[derive(Deserialize)]
#[cfg_attr(test, derive(Serialize))]
pub(super) struct Record {
    pub(super) reached: u32,
    pub(super) admits: u32,
    pub(super) calls: Vec<(At, Call)>,
}

/// A record that is written call by call.
pub(super) struct Recorded {
    body: Vec<u8>,
    is_empty: bool,
}

impl Default for Recorded {
    fn default() -> Self {
        let body = format!(r#"{{"reached":{KNOWN},"admits":{ADMITS},"calls":["#);
        Self { body: body.into_bytes(), is_empty: true }
    }
}

impl Recorded {
    /// Whether a call of so many bytes has room in it: in an empty one it has.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        self.is_empty || self.body.len() + bytes <= FULL
    }

    /// Adds a call that is [written] with its moment.
    pub(super) fn add(&mut self, call: &[u8]) {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.body.push(b',');
        }
        self.body.extend_from_slice(call);
    }

    pub(super) fn body(mut self) -> Vec<u8> {
        self.body.extend_from_slice(b"]}");
        self.body
    }
}

/// What every message of the state queue says of itself. Of a newer program's it may be all that can be read.
#[derive(Deserialize)]
pub(super) struct Said {
    pub(super) reached: u32,
    pub(super) admits: u32,
}

/// A part of the store as it stood.
#[derive(Deserialize, Serialize)]
pub(super) struct Image<P> {
    pub(super) reached: u32,
    pub(super) admits: u32,
    pub(super) store: u64,
    pub(super) at: At,
    pub(super) part: P,
}

/// The one that is read.
pub(super) type ReadImage = Image<ImagePart>;

/// A node has read all that there was, and says which store that was; none, if it begins one.
#[derive(Deserialize, Serialize)]
pub(super) struct Claimed {
    pub(super) reached: u32,
    pub(super) admits: u32,
    pub(super) store: Option<u64>,
}

/// A message of the state queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A node is there: whoever is the first finds something.
    Hello,
    /// The queue was delivered to a node; what stood before this is all that there was. Its number is another each time.
    Begin,
    /// A node has read all that there was, and owns the store under this term when it gets this back.
    Claim,
    /// A part of an image, and how many there are.
    Image {
        part: u32,
        parts: u32,
    },
    Record,
}

/// Which message of its owner it is: the higher term is the later, and so is the higher number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub(super) term: u64,
    pub(super) number: u64,
}

/// What the properties of a message of the state queue say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) stamp: Stamp,
    /// Which node sent it.
    pub(super) from: String,
}

/// Messages that outlive the server's process.
const PERSISTENT: u8 = 2;

impl Head {
    pub(super) fn properties(&self) -> BasicProperties {
        let Stamp { term, number } = self.stamp;
        let (kind, id) = match self.kind {
            Kind::Hello => ("hello", String::new()),
            Kind::Begin => ("begin", format!("{term} {number}")),
            Kind::Claim => ("claim", format!("{term} {number}")),
            Kind::Image { part, parts } => ("image", format!("{term} {number} {part} {parts}")),
            Kind::Record => ("record", format!("{term} {number}")),
        };
        let properties = BasicProperties::default().with_type(kind.into()).with_message_id(id.into());
        properties.with_correlation_id(self.from.as_str().into()).with_delivery_mode(PERSISTENT)
    }

    /// What is said; nothing if it is of a kind that this program does not know, or not as it writes it.
    pub(super) fn read(properties: &BasicProperties) -> Option<Self> {
        let id = properties.message_id().as_ref().map_or("", |id| id.as_str());
        let mut numbers = id.split_ascii_whitespace().map(str::parse::<u64>);
        let mut next = || numbers.next().and_then(Result::ok);
        let kind = properties.kind().as_ref()?.as_str();
        let stamp = match kind {
            "hello" => Stamp::default(),
            _ => Stamp { term: next()?, number: next()? },
        };
        let kind = match kind {
            "hello" => Kind::Hello,
            "begin" => Kind::Begin,
            "claim" => Kind::Claim,
            "image" => Kind::Image { part: u32::try_from(next()?).ok()?, parts: u32::try_from(next()?).ok()? },
            "record" => Kind::Record,
            _ => return None,
        };
        let from = properties.correlation_id().as_ref().map_or("", |from| from.as_str()).to_owned();
        Some(Self { kind, stamp, from })
    }
}

pub(super) fn written(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("messages are plain values")
}

/// What is said of a message that RabbitMQ might not take.
pub(super) fn too_large(bytes: usize) -> String {
    format!("it has {bytes} bytes, and a message to RabbitMQ has {BYTES_MAX} at most")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use symphra_scheduler_core::Timestamp;

    use super::*;
    use crate::backend::Holder;

    #[test]
    fn a_record_is_read_as_it_was_written_and_is_closed_when_it_is_full() {
        let at = At { now: Timestamp::from_millis(1), passed_ns: 2 };
        let call = Call::Heartbeat { holder: Holder::new("n".repeat(FULL / 2), Duration::from_secs(60)) };
        let written = written(&(at, &call));
        for calls in 0..3 {
            let mut record = Recorded::default();
            let fit = (0..calls).take_while(|_| {
                let has_room = record.has_room_for(written.len());
                if has_room {
                    record.add(&written);
                }
                has_room
            });
            let fit = fit.count();
            assert_eq!(fit, calls.min(1), "two do not fit, and one always does");
            let record: Record = serde_json::from_slice(&record.body()).expect("it is read");
            assert_eq!((record.reached, record.admits, record.calls.len()), (KNOWN, ADMITS, fit));
        }
    }

    #[test]
    fn what_a_message_is_stands_in_its_properties() {
        let kinds = [Kind::Hello, Kind::Begin, Kind::Claim, Kind::Image { part: 3, parts: 7 }, Kind::Record];
        for kind in kinds {
            let is_numbered = kind != Kind::Hello;
            let stamp = if is_numbered { Stamp { term: 4, number: 99 } } else { Stamp::default() };
            let head = Head { kind, stamp, from: "node".into() };
            assert_eq!(Head::read(&head.properties()), Some(head));
        }
        assert_eq!(Head::read(&BasicProperties::default()), None);
        for (kind, id) in [("record", ""), ("claim", "4"), ("image", "4 99 3"), ("record", "4 x"), ("newer", "4 99")] {
            let properties = BasicProperties::default().with_type(kind.into()).with_message_id(id.into());
            assert_eq!(Head::read(&properties), None, "{kind} {id:?}");
        }
    }
}
