//! The runs of one task that might be claimed: those that are queued, and those whose next attempt is due.
//!
//! They stand in lanes of which each run but the first need not be looked at: what keeps the first from beginning keeps the
//! others too. So a step costs the same whether ten runs wait or a hundred thousand.

use std::collections::{BTreeMap, BTreeSet};

use symphra_scheduler_core::Timestamp;

use super::{AliveRun, Rank};
use crate::run::{Origin, RunId, RunState};

/// The order in which runs of one lane begin: by the instant at which they were due; runs of a backfill, which all were
/// due at once, by their nominal instant; what is the same in both, as it came.
type Place = (Timestamp, Timestamp, u64, u32);

/// What decides whether a run may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Occurrences and runs at a start: a pause holds them back, and they need room.
    Scheduled,
    /// Triggers, which need room.
    Triggered,
    /// The runs of one backfill, which need room and go one after another.
    Backfilled(RunId),
    /// Runs beside all others, which need no room; a pause holds back those at a start.
    Beside,
    /// Next attempts, which have their room, of occurrences and runs at a start: a pause holds them back.
    ScheduledAgain,
    /// Next attempts, which have their room, of triggers and backfills.
    Again,
    /// Jobs that were given back: a pause holds them back, they need room, and not every node can read them.
    Job,
    /// Next attempts of jobs, which have their room; else as the others.
    JobAgain,
}

impl Lane {
    fn of(run: &AliveRun) -> Self {
        let is_scheduled = matches!(run.row.origin, Origin::Schedule | Origin::Start);
        match (run.row.state, run.row.origin) {
            (RunState::Retrying, Origin::Job(_)) => Self::JobAgain,
            (_, Origin::Job(_)) => Self::Job,
            (RunState::Retrying, _) if is_scheduled => Self::ScheduledAgain,
            (RunState::Retrying, _) => Self::Again,
            _ if run.beside => Self::Beside,
            (_, Origin::Backfill(whole)) => Self::Backfilled(whole),
            (_, Origin::Trigger(_)) => Self::Triggered,
            (_, Origin::Schedule | Origin::Start) => Self::Scheduled,
        }
    }
}

#[derive(Default)]
pub(super) struct Waiting {
    scheduled: BTreeSet<Place>,
    triggered: BTreeSet<Place>,
    backfilled: BTreeMap<RunId, BTreeSet<Place>>,
    beside: BTreeSet<Place>,
    scheduled_again: BTreeSet<Place>,
    again: BTreeSet<Place>,
    jobs: BTreeSet<Place>,
    jobs_again: BTreeSet<Place>,
    /// How many are of backfills.
    backfilled_len: usize,
    /// Under what the task stands among those that might have something to claim.
    pub(super) listed: Option<Rank>,
}

impl Waiting {
    pub(super) fn insert(&mut self, slot: u32, run: &AliveRun) {
        let lane = Lane::of(run);
        self.backfilled_len += usize::from(matches!(lane, Lane::Backfilled(_)));
        self.lane_mut(lane).insert(place(slot, run));
    }

    pub(super) fn remove(&mut self, slot: u32, run: &AliveRun) {
        let lane = Lane::of(run);
        let was_there = self.lane_mut(lane).remove(&place(slot, run));
        debug_assert!(was_there, "a run that waits is in its lane");
        if let Lane::Backfilled(whole) = lane {
            self.backfilled_len -= 1;
            if self.backfilled.get(&whole).is_some_and(BTreeSet::is_empty) {
                self.backfilled.remove(&whole);
            }
        }
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut BTreeSet<Place> {
        match lane {
            Lane::Scheduled => &mut self.scheduled,
            Lane::Triggered => &mut self.triggered,
            Lane::Backfilled(whole) => self.backfilled.entry(whole).or_default(),
            Lane::Beside => &mut self.beside,
            Lane::ScheduledAgain => &mut self.scheduled_again,
            Lane::Again => &mut self.again,
            Lane::Job => &mut self.jobs,
            Lane::JobAgain => &mut self.jobs_again,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queued() == 0 && [&self.scheduled_again, &self.again, &self.jobs_again].iter().all(|lane| lane.is_empty())
    }

    /// How many have not begun.
    pub(super) fn queued(&self) -> usize {
        self.scheduled.len() + self.submitted() + self.jobs.len()
    }

    /// The slots of jobs whose next attempt is due.
    pub(super) fn jobs_again(&self) -> impl Iterator<Item = u32> {
        self.jobs_again.iter().map(|place| place.3)
    }

    pub(super) fn has_jobs(&self) -> bool {
        !self.jobs.is_empty() || !self.jobs_again.is_empty()
    }

    /// How many were asked for by somebody.
    pub(super) fn submitted(&self) -> usize {
        self.triggered.len() + self.backfilled_len + self.beside.len()
    }

    /// The slots of the task's own occurrences, and runs at a start, that have not begun.
    pub(super) fn scheduled(&self) -> impl Iterator<Item = u32> {
        self.scheduled.iter().map(|place| place.3)
    }

    /// How many wait that one of `origin` is buffered behind. A backfill waits beside all others, and a trigger beside
    /// occurrences: they stand for nothing but themselves.
    pub(super) fn buffered(&self, origin: Origin) -> usize {
        match origin {
            Origin::Schedule | Origin::Start => self.scheduled.len(),
            Origin::Trigger(_) | Origin::Backfill(_) | Origin::Job(_) => {
                self.scheduled.len() + self.triggered.len() + self.beside.len()
            }
        }
    }

    /// The last of those that one of `origin` is buffered behind.
    pub(super) fn newest_buffered(&self, origin: Origin) -> Option<u32> {
        let triggered = match origin {
            Origin::Schedule | Origin::Start => None,
            Origin::Trigger(_) | Origin::Backfill(_) | Origin::Job(_) => self.triggered.last().max(self.beside.last()),
        };
        self.scheduled.last().max(triggered).map(|place| place.3)
    }

    /// The slots of all that have not begun.
    pub(super) fn all_queued(&self) -> impl Iterator<Item = u32> {
        let backfilled = self.backfilled.values().flatten();
        let asked_for = self.triggered.iter().chain(backfilled).chain(&self.beside);
        self.scheduled.iter().chain(asked_for).chain(&self.jobs).map(|place| place.3)
    }

    /// The instant at which the first of all was due.
    pub(super) fn first_due(&self) -> Option<Timestamp> {
        let asked_for = [&self.triggered, &self.beside, &self.again, &self.jobs, &self.jobs_again];
        let all = [&self.scheduled, &self.scheduled_again].into_iter().chain(asked_for).chain(self.backfilled.values());
        all.filter_map(BTreeSet::first).map(|place| place.0).min()
    }

    /// The first run of those that `may_begin` says may begin; it is asked for the first of each lane, and, of those beside
    /// others and of jobs, until one may.
    pub(super) fn first(&self, may_begin: impl Fn(u32, Lane) -> bool) -> Option<u32> {
        let lanes = [
            (&self.scheduled, Lane::Scheduled),
            (&self.triggered, Lane::Triggered),
            (&self.scheduled_again, Lane::ScheduledAgain),
            (&self.again, Lane::Again),
        ];
        let backfills = self.backfilled.iter().map(|(&whole, lane)| (lane, Lane::Backfilled(whole)));
        let firsts = lanes
            .into_iter()
            .chain(backfills)
            .filter_map(|(places, lane)| places.first().filter(|place| may_begin(place.3, lane)));
        let apart = [(&self.beside, Lane::Beside), (&self.jobs, Lane::Job), (&self.jobs_again, Lane::JobAgain)];
        let apart = apart.into_iter().filter_map(|(places, lane)| places.iter().find(|place| may_begin(place.3, lane)));
        firsts.chain(apart).min().map(|place| place.3)
    }
}

fn place(slot: u32, run: &AliveRun) -> Place {
    (run.row.due_at, run.row.scheduled_at, run.number, slot)
}
