//! Which node was in contact with the store when, as who made the troubles knows it; and so which node may have taken
//! over what another has begun. The engine's and the store's own account of it is not asked.
//!
//! Instants are milliseconds of the store's clock.

use super::world::LEASE;

/// The longest silence that breaks no contact, of this lease.
const SILENCE_MAX: i64 = LEASE / 3;

/// By how much a node's last heartbeat may be older than the beginning of a silence, or younger than its end: half a
/// silence between two, and then some for a beat that failed.
const BEAT_SLACK: i64 = 3_000;

/// Two silences so close to each other are one: no heartbeat has to lie between them.
const BETWEEN_BEATS: i64 = 2_000;

/// Spells of something, each from an instant to another.
#[derive(Debug, Default)]
pub(crate) struct Spells(Vec<(i64, i64)>);

impl Spells {
    /// Whether it is on from `now` on.
    pub(crate) fn set(&mut self, is_on: bool, now: i64) {
        match self.0.last_mut() {
            Some((_, until)) if *until == i64::MAX && !is_on => *until = now,
            Some((_, until)) if *until == i64::MAX || !is_on => {}
            Some((_, until)) if now - *until <= BETWEEN_BEATS => *until = i64::MAX,
            _ if is_on => self.0.push((now, i64::MAX)),
            _ => {}
        }
    }

    /// Those that have ended after `since`, if at all.
    fn after(&self, since: i64) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.0.iter().copied().filter(move |&(_, until)| until > since)
    }

    /// Whether there was none from `since` to now.
    pub(crate) fn are_none_since(&self, since: i64) -> bool {
        self.after(since).next().is_none()
    }
}

/// A node from its start to its end.
#[derive(Debug)]
pub(crate) struct Contact {
    started_at: i64,
    /// When no heartbeat of it gets through.
    pub(crate) silent: Spells,
    /// When anything at all is wrong with it.
    pub(crate) troubled: Spells,
    pub(crate) fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lives,
    Killed,
    /// It was asked to stop then, and has not come to its end.
    Stops(i64),
    Stopped(i64),
}

impl Contact {
    pub(crate) fn new(started_at: i64) -> Self {
        Self { started_at, silent: Spells::default(), troubled: Spells::default(), fate: Fate::Lives }
    }

    /// Whether nothing was wrong with it since then.
    pub(crate) fn is_well_since(&self, since: i64) -> bool {
        self.fate == Fate::Lives && self.started_at <= since && self.troubled.are_none_since(since)
    }

    /// Whether its lease may have run out by `now` on what it had begun at `since`.
    pub(crate) fn may_have_lost(&self, since: i64, now: i64) -> bool {
        let is_long = |(from, until): (i64, i64)| until.min(now) - from >= LEASE - BEAT_SLACK;
        matches!(self.fate, Fate::Stopped(_)) || self.silent.after(since).any(is_long)
    }

    /// Whether it may have taken over by `now` what `victim` had begun at `since`: the other's lease has run out, while it
    /// was in unbroken contact for as long.
    pub(crate) fn may_take_over(&self, victim: &Self, since: i64, now: i64) -> bool {
        if let Fate::Stopped(at) = victim.fate
            && at <= now
        {
            return true;
        }
        let ran_out = victim.silent.after(since).filter(|&(from, until)| until.min(now) - from >= LEASE - BEAT_SLACK);
        let mut ran_out = ran_out.map(|(from, until)| (from + LEASE - BEAT_SLACK, until.min(now)));
        ran_out.any(|(from, until)| self.was_heir_within(from, until))
    }

    /// Whether it was in contact for a lease at some instant from `from` to about `until`.
    fn was_heir_within(&self, from: i64, until: i64) -> bool {
        // A first heartbeat has no slack: it was answered at the start.
        let begun = self.started_at + LEASE;
        let breaks: Vec<(i64, i64)> =
            self.silent.after(i64::MIN).filter(|&(from, until)| until - from > SILENCE_MAX + BEAT_SLACK).collect();
        let is_heir_at = |at: i64| {
            let unbroken = |&(from, until): &(i64, i64)| {
                at <= from + SILENCE_MAX || at >= until.saturating_add(LEASE - BEAT_SLACK)
            };
            at >= begun && at <= until + BETWEEN_BEATS && breaks.iter().all(unbroken)
        };
        let ends = breaks.iter().map(|&(_, until)| until.saturating_add(LEASE - BEAT_SLACK));
        [from, begun].into_iter().chain(ends).any(|at| at >= from && is_heir_at(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that is there from the beginning, silent in these seconds.
    fn node(silent: &[(i64, i64)]) -> Contact {
        let mut node = Contact::new(0);
        for &(from, until) in silent {
            node.silent.set(true, from * 1_000);
            node.silent.set(false, until * 1_000);
        }
        node
    }

    #[test]
    fn who_is_silent_for_less_than_a_lease_loses_nothing() {
        let (short, long) = (node(&[(20, 26)]), node(&[(20, 32)]));
        assert!(!short.may_have_lost(10_000, 100_000) && long.may_have_lost(10_000, 100_000));
        assert!(!long.may_have_lost(33_000, 100_000), "what began afterwards");
        assert!(!long.may_have_lost(10_000, 25_000), "as yet");
    }

    #[test]
    fn silences_without_a_heartbeat_between_them_are_one() {
        assert!(node(&[(20, 25), (26, 31)]).may_have_lost(10_000, 100_000));
        assert!(!node(&[(20, 25), (29, 33)]).may_have_lost(10_000, 100_000));
    }

    #[test]
    fn only_who_was_in_contact_takes_over() {
        let victim = node(&[(20, 40)]);
        assert!(node(&[]).may_take_over(&victim, 15_000, 32_000));
        assert!(!node(&[(19, 38)]).may_take_over(&victim, 15_000, 41_000), "an outage hands nothing over");
        assert!(node(&[(2, 9)]).may_take_over(&victim, 15_000, 32_000), "it was back for a lease");
        assert!(!node(&[]).may_take_over(&node(&[(20, 25)]), 15_000, 60_000), "it was back in time");
        let mut young = Contact::new(35_000);
        assert!(!young.may_take_over(&victim, 15_000, 41_000));
        young.started_at = 25_000;
        assert!(young.may_take_over(&victim, 15_000, 41_000));
    }
}
