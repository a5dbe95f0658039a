//! Whether the owner of a store still is that, by what the state queue delivers to it.
//!
//! The queue is delivered to one node at a time, from its beginning on. So an owner gets what it has written, each message once
//! and in order. Whatever else comes tells that the queue was another's meanwhile: a partition of brokers took it away, and gave
//! it back when it had healed. The other may have answered, and what this node has in memory is no longer the store.

use super::message::{Head, Kind, Stamp};

/// What an owner has written and not got back.
pub(super) struct Fence {
    /// The node.
    name: String,
    claim: Stamp,
    /// The last message that has come back, and the part if it was one of an image. None before the claim has.
    back: Option<(u64, Option<u32>)>,
}

/// What a message is to an owner.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The next of what it has written itself.
    Own,
    /// That a node is there, which is nothing to it.
    Nothing,
    /// What one before it has written. As long as no image of its own is whole, this may be what the store can be rebuilt of.
    Before,
    /// Somebody else has had the queue.
    Another,
}

impl Fence {
    /// The fence of a node that owns the store when it gets `claim` back, and numbers what it writes then from 1.
    pub(super) fn new(name: &str, claim: Stamp) -> Self {
        Self { name: name.into(), claim, back: None }
    }

    pub(super) fn hear(&mut self, head: &Head) -> Heard {
        let Stamp { term, number } = head.stamp;
        match head.kind {
            Kind::Hello => return Heard::Nothing,
            // One that begins has been given the queue, whatever became of it.
            Kind::Begin => return Heard::Another,
            Kind::Claim | Kind::Image { .. } | Kind::Record if term < self.claim.term => return Heard::Before,
            Kind::Claim | Kind::Image { .. } | Kind::Record => {}
        }
        let part = if let Kind::Image { part, .. } = head.kind { Some(part) } else { None };
        let is_next = match (self.back, part) {
            (None, _) => head.kind == Kind::Claim && head.stamp == self.claim,
            (Some(_), _) if head.kind == Kind::Claim => false,
            (Some((back, Some(before))), Some(part)) if number == back => part == before + 1,
            (Some((back, _)), part) => number == back + 1 && part.unwrap_or(0) == 0,
        };
        if !is_next || term != self.claim.term || head.from != self.name {
            return Heard::Another;
        }
        self.back = Some(if self.back.is_none() { (0, None) } else { (number, part) });
        Heard::Own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: u32 = 2;

    fn head(kind: Kind, from: &str, term: u64, number: u64) -> Head {
        Head { kind, stamp: Stamp { term, number }, from: from.into() }
    }

    fn part(part: u32, from: &str, term: u64, number: u64) -> Head {
        head(Kind::Image { part, parts: PARTS }, from, term, number)
    }

    fn record(from: &str, term: u64, number: u64) -> Head {
        head(Kind::Record, from, term, number)
    }

    const CLAIM: Stamp = Stamp { term: 3, number: 77 };

    /// Of node "me" in term 3, which has its claim back, its first image, and a record.
    fn owner() -> Fence {
        let mut fence = Fence::new("me", CLAIM);
        let claim = Head { kind: Kind::Claim, stamp: CLAIM, from: "me".into() };
        for own in [claim, part(0, "me", 3, 1), part(1, "me", 3, 1), record("me", 3, 2)] {
            assert_eq!(fence.hear(&own), Heard::Own, "{own:?}");
        }
        fence
    }

    #[test]
    fn an_owner_gets_what_it_has_written_in_order() {
        let mut fence = owner();
        for own in [record("me", 3, 3), part(0, "me", 3, 4), part(1, "me", 3, 4), record("me", 3, 5)] {
            assert_eq!(fence.hear(&own), Heard::Own, "{own:?}");
        }
    }

    #[test]
    fn what_was_under_way_of_those_before_it_is_told_from_what_is_nothing() {
        let mut fence = owner();
        for other in [record("other", 2, 7), part(0, "other", 1, 1), head(Kind::Claim, "other", 2, 0)] {
            assert_eq!(fence.hear(&other), Heard::Before, "{other:?}");
        }
        assert_eq!(fence.hear(&head(Kind::Hello, "new", 0, 0)), Heard::Nothing);
        assert_eq!(fence.hear(&record("me", 3, 3)), Heard::Own);
    }

    /// The queue was another's for a while, which has written all or some of this.
    #[test]
    fn an_owner_that_is_given_the_queue_again_is_none() {
        for other in [
            head(Kind::Begin, "other", 0, 99),
            head(Kind::Claim, "other", 4, 0),
            part(0, "other", 4, 1),
            record("other", 4, 2),
        ] {
            assert_eq!(owner().hear(&other), Heard::Another, "{other:?}");
        }
    }

    #[test]
    fn what_it_gets_again_was_anothers_in_between() {
        for again in [part(0, "me", 3, 1), part(1, "me", 3, 1), record("me", 3, 2)] {
            assert_eq!(owner().hear(&again), Heard::Another, "{again:?}");
        }
    }

    /// One of this node's from before its connection was made anew, say.
    #[test]
    fn nothing_is_its_own_before_its_claim() {
        for other in [head(Kind::Claim, "me", 3, 76), head(Kind::Claim, "other", 3, 77), record("me", 3, 1)] {
            assert_eq!(Fence::new("me", CLAIM).hear(&other), Heard::Another, "{other:?}");
        }
        let mut fence = Fence::new("me", CLAIM);
        for before in [head(Kind::Claim, "other", 2, 5), record("other", 2, 7), part(0, "other", 2, 1)] {
            assert_eq!(fence.hear(&before), Heard::Before, "{before:?}");
        }
        assert_eq!(fence.hear(&head(Kind::Claim, "me", 3, 77)), Heard::Own);
    }

    #[test]
    fn what_is_left_out_was_anothers() {
        for later in [record("me", 3, 4), part(1, "me", 3, 3), part(0, "me", 3, 4)] {
            assert_eq!(owner().hear(&later), Heard::Another, "{later:?}");
        }
    }

    #[test]
    fn one_of_the_same_term_is_another() {
        for other in [record("other", 3, 3), part(0, "other", 3, 3), head(Kind::Claim, "other", 3, 0)] {
            assert_eq!(owner().hear(&other), Heard::Another, "{other:?}");
        }
    }
}
