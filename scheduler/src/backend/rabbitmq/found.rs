//! What an owner finds in the state queue, and the store that becomes of it: the last image that is whole, and the records after
//! it.
//!
//! Messages may come in any order and more than once. What an owner wrote after the next had begun was answered to nobody, and
//! is left out: the next one's image has a higher term.

use std::collections::{BTreeMap, HashMap};

use super::message::{Claimed, Head, KNOWN, Kind, ReadImage, Record, Said, Stamp};
use crate::backend::memory::replica::{At, Replica};
use crate::outcome::BoxError;

/// Which message it is, and whose: no two owners have one term, and if they had, what they wrote would not be mixed.
type Written = (Stamp, String);

#[derive(Default)]
pub(super) struct Found {
    images: BTreeMap<Written, Parts>,
    records: BTreeMap<Written, Message>,
    claims: Vec<Message>,
    /// The kind of a message that this program does not know.
    unknown: Option<String>,
    /// The highest term that was claimed.
    claimed: u64,
    /// What nothing has to be read of any more when this owner has its claim.
    spent: Vec<u64>,
}

/// A message: by which tag it is acknowledged, and what is in it.
struct Message {
    tag: u64,
    body: Vec<u8>,
}

struct Parts {
    count: u32,
    bodies: HashMap<u32, Message>,
}

/// A store as its last owner left it.
pub(super) struct Rebuilt {
    pub(super) replica: Replica,
    pub(super) store: u64,
    /// When the last call was made, if there was one.
    pub(super) at: Option<At>,
    /// All messages but those that the store was rebuilt of.
    pub(super) spent: Vec<u64>,
}

/// Why a store cannot be rebuilt.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// A newer program wrote it, and says that this one is too old for it.
    TooNew {
        reached: u32,
        admits: u32,
    },
    Message(BoxError),
}

impl Unreadable {
    pub(super) fn kind(kind: &str) -> Self {
        Self::Message(format!("there is a message of the kind {kind:?}").into())
    }
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self::Message(error.into())
    }
}

impl Found {
    pub(super) fn add(&mut self, head: &Head, tag: u64, body: Vec<u8>) {
        let found = Message { tag, body };
        let written = (head.stamp, head.from.clone());
        let again = match head.kind {
            Kind::Hello | Kind::Begin => Some(found),
            Kind::Claim => {
                self.claimed = self.claimed.max(head.stamp.term);
                self.claims.push(found);
                None
            }
            Kind::Record => self.records.insert(written, found),
            Kind::Image { part, parts } => {
                let image = self.images.entry(written).or_insert(Parts { count: parts, bodies: HashMap::new() });
                image.bodies.insert(part, found)
            }
        };
        self.spent.extend(again.map(|found| found.tag));
    }

    /// There is one that this program does not know: whether it may pass it over is not known either.
    pub(super) fn add_unknown(&mut self, kind: Option<&str>) {
        self.unknown = Some(kind.unwrap_or_default().to_owned());
    }

    /// The highest term under which anything was written or claimed.
    pub(super) fn term(&self) -> u64 {
        let written = self.images.keys().chain(self.records.keys());
        written.map(|(stamp, _)| stamp.term).max().unwrap_or(0).max(self.claimed)
    }

    /// The store; `fresh` names it if there was none.
    pub(super) fn rebuild(mut self, fresh: u64) -> Result<Rebuilt, Unreadable> {
        let unknown = self.unknown.take();
        let rebuilt = self.rebuild_known(fresh)?;
        match unknown {
            None => Ok(rebuilt),
            Some(kind) => Err(Unreadable::kind(&kind)),
        }
    }

    fn rebuild_known(mut self, fresh: u64) -> Result<Rebuilt, Unreadable> {
        let is_whole = |image: &Parts| image.bodies.len() == image.count as usize;
        let newest = self.images.iter().rfind(|(_, image)| is_whole(image)).map(|(written, _)| written.clone());
        let Some((stamp, from)) = newest else {
            self.has_been_none()?;
            return Ok(Rebuilt { replica: Replica::new(), store: fresh, at: None, spent: self.all_spent() });
        };
        let image = self.images.remove(&(stamp, from.clone()));
        let mut bodies: Vec<_> = image.into_iter().flat_map(|parts| parts.bodies).collect();
        bodies.sort_unstable_by_key(|(part, _)| *part);
        let (mut parts, mut store, mut at) = (Vec::with_capacity(bodies.len()), fresh, None);
        let mut is_older = false;
        for (_, Message { body, .. }) in bodies {
            let image = read(&body, |image: &ReadImage| Said { reached: image.reached, admits: image.admits })?;
            (store, at) = (image.store, Some(image.at));
            is_older |= image.reached < KNOWN;
            parts.push(image.part);
        }
        let mut replica = Replica::of_image(parts);
        for number in stamp.number + 1.. {
            let after = (Stamp { term: stamp.term, number }, from.clone());
            let Some(Message { body, .. }) = self.records.remove(&after) else { break };
            let record = read(&body, |record: &Record| Said { reached: record.reached, admits: record.admits })?;
            for (when, call) in record.calls {
                replica.call(&call, when);
                at = Some(when);
            }
        }
        if is_older {
            replica.forget_sets();
        }
        Ok(Rebuilt { replica, store, at, spent: self.all_spent() })
    }

    /// Where there is no image there has been no store: what was lost, or is delivered later, must not be begun anew.
    fn has_been_none(&self) -> Result<(), Unreadable> {
        if !self.records.is_empty() {
            return Err(Unreadable::Message("there are records, and no image that they follow".into()));
        }
        for Message { body, .. } in &self.claims {
            let claim = read(body, |claim: &Claimed| Said { reached: claim.reached, admits: claim.admits })?;
            if let Some(store) = claim.store {
                let why = format!("the store {store:x} was claimed, and there is no image of it");
                return Err(Unreadable::Message(why.into()));
            }
        }
        Ok(())
    }

    /// The tags of all that is left.
    fn all_spent(self) -> Vec<u64> {
        let parts = self.images.into_values().flat_map(|parts| parts.bodies.into_values());
        let left = parts.chain(self.records.into_values()).chain(self.claims).map(|found| found.tag);
        self.spent.into_iter().chain(left).collect()
    }
}

/// What a message says, if it is for this program: of a newer one's its version may be all that can be read.
fn read<M: serde::de::DeserializeOwned>(body: &[u8], says: fn(&M) -> Said) -> Result<M, Unreadable> {
    let read = serde_json::from_slice(body);
    let said = match &read {
        Ok(message) => says(message),
        Err(_) => serde_json::from_slice(body)?,
    };
    match said {
        Said { reached, admits } if admits > KNOWN => Err(Unreadable::TooNew { reached, admits }),
        _ => Ok(read?),
    }
}

#[cfg(test)]
mod older;
#[cfg(test)]
mod tests {
    use std::time::Duration;

    use symphra_scheduler_core::Timestamp;

    use super::super::message::{ADMITS, Image, written};
    use super::*;
    use crate::backend::Holder;
    use crate::backend::memory::replica::{Answer, Call, Question};

    const FRESH: u64 = 77;

    fn at(passed_ns: u64) -> At {
        At { now: Timestamp::from_millis(1_000), passed_ns }
    }

    fn head(kind: Kind, from: &str, term: u64, number: u64) -> Head {
        Head { kind, stamp: Stamp { term, number }, from: from.into() }
    }

    /// A store whose image has more than one part.
    fn replica() -> Replica {
        let mut replica = Replica::new();
        let tasks = vec![crate::backend::TaskKey(1)];
        let call = Call::Name { set: 1, total: 1, told: 0, tasks, jobs: Vec::new() };
        replica.call(&call, at(0));
        assert!(replica.image().len() > 1);
        replica
    }

    /// A queue, whose messages are numbered as they come.
    #[derive(Default)]
    struct Queue {
        found: Found,
        tag: u64,
    }

    impl Queue {
        fn add(&mut self, head: &Head, body: Vec<u8>) -> u64 {
            self.tag += 1;
            self.found.add(head, self.tag, body);
            self.tag
        }

        /// A record in which a node beats.
        fn beat(&mut self, node: &str, from: &str, term: u64, number: u64) -> u64 {
            let holder = Holder::new(node, Duration::from_secs(60));
            let calls = vec![(at(number), Call::Heartbeat { holder })];
            self.add(
                &head(Kind::Record, from, term, number),
                written(&Record { reached: KNOWN, admits: ADMITS, calls }),
            )
        }

        /// A claim of a store, or of a new one.
        fn claim(&mut self, from: &str, term: u64, store: Option<u64>) -> u64 {
            let body = Claimed { reached: KNOWN, admits: ADMITS, store };
            self.add(&head(Kind::Claim, from, term, 9), written(&body))
        }

        /// The parts of an image of `replica`, but for so many at the end.
        fn image(&mut self, replica: &Replica, from: &str, (term, number): (u64, u64), admits: u32, left_out: usize) {
            let parts = replica.image();
            let count = u32::try_from(parts.len()).expect("there are few");
            for (part, body) in (0..count).zip(&parts).rev().skip(left_out) {
                let body = Image { reached: KNOWN, admits, store: 5, at: at(0), part: body };
                self.add(&head(Kind::Image { part, parts: count }, from, term, number), written(&body));
            }
        }

        fn nodes(self) -> Vec<String> {
            let Ok(Rebuilt { replica, .. }) = self.found.rebuild(FRESH) else { panic!("it is readable") };
            let Answer::Nodes { nodes, .. } = replica.ask(&Question::Nodes { after: None }, at(0)) else {
                panic!("nodes are told")
            };
            nodes.into_iter().map(|node| node.node.to_string()).collect()
        }
    }

    #[test]
    fn an_empty_queue_is_a_new_store() {
        let found = Found::default();
        assert_eq!(found.term(), 0);
        let Ok(Rebuilt { store, at, .. }) = found.rebuild(FRESH) else { panic!("it is one") };
        assert_eq!((store, at.is_none()), (FRESH, true));
    }

    #[test]
    fn records_follow_their_image_in_whatever_order_they_come() {
        let mut queue = Queue::default();
        queue.beat("b", "a", 1, 3);
        queue.image(&replica(), "a", (1, 1), ADMITS, 0);
        queue.beat("a", "a", 1, 2);
        queue.beat("a", "a", 1, 2);
        // One that was never kept: what follows it was answered to nobody.
        queue.beat("never", "a", 1, 5);
        assert_eq!(queue.nodes(), ["a", "b"]);
    }

    #[test]
    fn what_an_owner_wrote_after_the_next_had_begun_is_left_out() {
        let mut queue = Queue::default();
        queue.image(&replica(), "a", (1, 1), ADMITS, 0);
        queue.image(&replica(), "b", (2, 1), ADMITS, 0);
        queue.beat("a", "b", 2, 2);
        queue.beat("late", "a", 1, 2);
        assert_eq!(queue.nodes(), ["a"]);
    }

    #[test]
    fn an_image_that_was_not_finished_is_none() {
        let mut queue = Queue::default();
        queue.image(&replica(), "a", (1, 1), ADMITS, 0);
        queue.beat("a", "a", 1, 2);
        queue.image(&replica(), "b", (2, 1), ADMITS, 1);
        assert_eq!(queue.found.term(), 2, "its term is taken all the same");
        assert_eq!(queue.nodes(), ["a"]);
        let mut alone = Queue::default();
        alone.beat("a", "a", 1, 2);
        let rebuilt = alone.found.rebuild(FRESH);
        assert!(matches!(rebuilt, Err(Unreadable::Message(_))), "records without an image are no store");
    }

    /// Whoever claimed it may be about to write its image still.
    #[test]
    fn a_term_that_was_claimed_is_taken() {
        let mut queue = Queue::default();
        queue.image(&replica(), "a", (1, 1), ADMITS, 0);
        queue.claim("b", 2, Some(5));
        assert_eq!(queue.found.term(), 2);
        queue.beat("a", "a", 1, 2);
        assert_eq!(queue.found.term(), 2);
    }

    /// Who claimed it has read an image, which is lost, or still in the hand of somebody who has gone.
    #[test]
    fn a_store_that_was_claimed_and_has_no_image_is_not_begun_anew() {
        let mut queue = Queue::default();
        queue.claim("a", 1, None);
        queue.claim("b", 2, None);
        assert_eq!(queue.nodes(), [""; 0], "whoever began one has answered nobody before its image was whole");
        let mut queue = Queue::default();
        queue.claim("a", 1, None);
        queue.claim("b", 2, Some(5));
        queue.image(&replica(), "b", (2, 1), ADMITS, 1);
        assert!(
            matches!(queue.found.rebuild(FRESH), Err(Unreadable::Message(why)) if why.to_string().contains("store 5"))
        );
    }

    #[test]
    fn a_claim_that_only_a_newer_program_can_read_is_refused_where_no_image_is() {
        let mut queue = Queue::default();
        queue.add(&head(Kind::Claim, "a", 1, 2), r#"{"reached":9,"admits":9,"of":"?"}"#.into());
        assert!(matches!(queue.found.rebuild(FRESH), Err(Unreadable::TooNew { reached: 9, admits: 9 })));
    }

    #[test]
    fn a_kind_of_message_that_is_not_known_is_refused_unless_more_is_known_of_it() {
        let mut queue = Queue::default();
        queue.image(&replica(), "a", (1, 1), ADMITS, 0);
        queue.found.add_unknown(Some("newer"));
        assert!(
            matches!(queue.found.rebuild(FRESH), Err(Unreadable::Message(why)) if why.to_string().contains("newer"))
        );
        let mut queue = Queue::default();
        queue.image(&replica(), "a", (1, 1), KNOWN + 1, 0);
        queue.found.add_unknown(Some("newer"));
        assert!(matches!(queue.found.rebuild(FRESH), Err(Unreadable::TooNew { .. })));
    }

    #[test]
    fn what_two_owners_wrote_under_one_term_is_not_mixed() {
        let mut queue = Queue::default();
        let mut other = replica();
        other.call(&Call::Heartbeat { holder: Holder::new("other", Duration::from_secs(60)) }, at(1));
        queue.image(&replica(), "b", (1, 1), ADMITS, 0);
        queue.image(&other, "a", (1, 1), ADMITS, 1);
        queue.beat("of b", "b", 1, 2);
        queue.beat("of a", "a", 1, 3);
        assert_eq!(queue.nodes(), ["of b"]);
    }

    #[test]
    fn all_is_spent_but_what_the_store_was_rebuilt_of() {
        let mut queue = Queue::default();
        queue.image(&replica(), "a", (1, 1), ADMITS, 0);
        let (first, mut spent) = (queue.tag + 1, Vec::new());
        queue.beat("a", "a", 1, 2);
        spent.push(queue.beat("a", "a", 1, 4));
        spent.push(queue.claim("b", 2, Some(5)));
        let before = queue.tag;
        queue.image(&replica(), "b", (2, 1), ADMITS, 1);
        spent.extend(before + 1..=queue.tag);
        // What comes again replaces what came first.
        spent.push(first);
        queue.beat("a", "a", 1, 2);
        let Ok(rebuilt) = queue.found.rebuild(FRESH) else { panic!("it is readable") };
        let mut told = rebuilt.spent;
        told.sort_unstable();
        spent.sort_unstable();
        assert_eq!(told, spent);
    }

    #[test]
    fn what_only_a_newer_program_can_read_is_refused() {
        let mut queue = Queue::default();
        queue.image(&replica(), "a", (1, 1), KNOWN + 1, 0);
        let rebuilt = queue.found.rebuild(FRESH);
        assert!(matches!(rebuilt, Err(Unreadable::TooNew { admits, .. }) if admits == KNOWN + 1));
    }

    #[test]
    fn a_record_that_only_a_newer_program_can_read_is_refused_as_that() {
        let mut queue = Queue::default();
        queue.image(&replica(), "a", (1, 1), ADMITS, 0);
        let newer = r#"{"reached":9,"admits":9,"calls":[["?",{"Unheard":{}}]]}"#;
        queue.add(&head(Kind::Record, "a", 1, 2), newer.into());
        let rebuilt = queue.found.rebuild(FRESH);
        assert!(matches!(rebuilt, Err(Unreadable::TooNew { reached: 9, admits: 9 })));
    }
}
