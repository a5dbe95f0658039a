//! Who holds runs: whose lease goes on, and who is in contact for long enough to take over from those whose does not.

use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::{Store, number};
use crate::backend::{Holder, NodeRow, Presence};

/// After so long a node that was not heard of, and holds nothing, may be forgotten.
const SILENT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A holder. Its times are on the time that passes: a wall clock that is set must not end the lease of a node that lives.
pub(super) struct HolderRow {
    pub(super) node: Arc<str>,
    pub(super) tzdb: &'static str,
    pub(super) lease: Duration,
    pub(super) silence_max: Duration,
    pub(super) last_beat: Instant,
    /// Since when no silence between two of its heartbeats was too long.
    pub(super) in_contact_since: Instant,
    pub(super) has_left: bool,
    /// How many runs it holds.
    pub(super) held: u32,
    pub(super) last_claim: Option<u64>,
}

impl HolderRow {
    fn new(holder: &Holder, now: Instant) -> Self {
        Self {
            node: Arc::clone(&holder.node),
            tzdb: holder.tzdb,
            lease: holder.lease,
            silence_max: holder.silence_max(),
            last_beat: now,
            in_contact_since: now,
            has_left: false,
            held: 0,
            last_claim: None,
        }
    }

    fn beat(&mut self, holder: &Holder, now: Instant) {
        if self.is_silent(now) {
            self.in_contact_since = now;
        }
        (self.lease, self.silence_max, self.last_beat) = (holder.lease, holder.silence_max(), now);
    }

    /// Whether its last heartbeat is too long ago for its contact to be unbroken.
    fn is_silent(&self, now: Instant) -> bool {
        now.duration_since(self.last_beat) > self.silence_max
    }

    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.node)
    }

    /// Whether its runs are its own.
    pub(super) fn lives(&self, now: Instant) -> bool {
        !self.has_left && now.duration_since(self.last_beat) <= self.lease
    }

    /// Whether `heir` may take over its runs: it has left, or its lease has run out before the eyes of `heir`, who was in
    /// contact all along.
    pub(super) fn leaves_to(&self, heir: &Self, now: Instant) -> bool {
        let saw_it = || !heir.is_silent(now) && now.duration_since(heir.in_contact_since) >= self.lease;
        self.has_left || (!self.lives(now) && saw_it())
    }

    pub(super) fn leave(&mut self) {
        self.has_left = true;
    }

    /// Whether its place may be given to another: it holds nothing, and was not heard of for very long.
    pub(super) fn may_be_forgotten(&self, now: Instant) -> bool {
        self.held == 0 && now.duration_since(self.last_beat) > SILENT_MAX.max(self.lease)
    }

    /// As it is told, at `wall` of the clock on which others tell instants.
    fn shown(&self, wall: Timestamp, now: Instant) -> NodeRow {
        let presence = match self.has_left {
            true => Presence::Left,
            false if self.lives(now) => Presence::Alive,
            false => Presence::Silent,
        };
        NodeRow {
            node: Arc::clone(&self.node),
            lease: self.lease,
            seen_at: wall.minus(now.duration_since(self.last_beat)),
            presence,
            held: u64::from(self.held),
            tzdb: self.tzdb.into(),
        }
    }
}

impl Store {
    pub(in super::super) fn nodes(&self, wall: Timestamp, now: Instant) -> Vec<NodeRow> {
        let mut nodes: Vec<_> = self.holders.iter().map(|holder| holder.shown(wall, now)).collect();
        nodes.sort_unstable_by(|a, b| a.node.cmp(&b.node));
        nodes
    }

    pub(in super::super) fn heartbeat(&mut self, holder: &Holder, now: Instant) {
        let index = self.holder(holder, now);
        self.holders[index as usize].beat(holder, now);
    }

    pub(super) fn known_holder(&self, holder: &Holder) -> Option<u32> {
        self.holders.iter().rposition(|row| row.node == holder.node).map(number)
    }

    /// The row of a holder; one that is new begins with a full lease, in the row of one that has left and holds nothing.
    pub(in super::super) fn holder(&mut self, holder: &Holder, now: Instant) -> u32 {
        if let Some(known) = self.known_holder(holder) {
            let row = &mut self.holders[known as usize];
            if row.has_left && row.may_be_forgotten(now) {
                // It was cut off for days, or it sleeps at night. Were it gone for ever, others would take what it gets from now on.
                *row = HolderRow::new(holder, now);
            }
            return known;
        }
        let row = HolderRow::new(holder, now);
        let Some(left) = self.holders.iter().position(|row| row.has_left && row.held == 0) else {
            self.holders.push(row);
            return number(self.holders.len() - 1);
        };
        self.holders[left] = row;
        let left = number(left);
        self.disown_all(left);
        left
    }
}
