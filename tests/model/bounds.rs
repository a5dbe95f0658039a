//! The worlds that are looked through: small ones, each with the troubles that belong together.

use super::mutant::Mutant;
use super::promise;
use super::world::Troubles;

/// How far the model looks, and what it leaves out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) name: &'static str,
    /// How many nodes; the last of them are those that are started anew.
    pub(crate) nodes: u8,
    /// When each occurrence is due.
    pub(crate) due: &'static [u8],
    pub(crate) overlap: Overlap,
    pub(crate) delivery: Delivery,
    pub(crate) misfire: Misfire,
    /// What goes wrong, and until when.
    pub(crate) troubles: Troubles,
    pub(crate) troubles_until: u8,
    /// How long it is looked on: for as long as all needs that may have to be waited for.
    pub(crate) horizon: u8,
    pub(crate) without: Option<Mutant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overlap {
    Skip,
    Allow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    AtLeastOnce,
    AtMostOnce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfire {
    RunOnce,
    Skip,
}

pub(crate) const ALL: [Bounds; 12] =
    [FIRED, RESTARTED, TWICE_DEAD, LATE, LOST, FROZEN, CUT_AND_FROZEN, ONCE, AWAY, AWAY_AND_DEAD, ASTRAY, LONG_ASTRAY];

const NONE: Troubles = Troubles {
    crashes: 0,
    restarts: 0,
    freezes: 0,
    losses: 0,
    delays: 0,
    strays: 0,
    outages: 0,
    failures: 0,
    early: 0,
};

/// Two nodes and one occurrence.
const PLAIN: Bounds = Bounds {
    name: "plain",
    nodes: 2,
    due: &[1],
    overlap: Overlap::Allow,
    delivery: Delivery::AtLeastOnce,
    misfire: Misfire::RunOnce,
    troubles: NONE,
    troubles_until: 2,
    horizon: 12,
    without: None,
};

/// Occurrences that overlap, a node that dies, an answer that is lost, and a clock that is ahead.
const FIRED: Bounds = Bounds {
    name: "fired",
    due: &[1, 2],
    overlap: Overlap::Skip,
    troubles: Troubles { crashes: 1, early: 1, losses: 1, ..NONE },
    ..PLAIN
};

/// A node dies, and another is started.
const RESTARTED: Bounds = Bounds {
    name: "restarted",
    nodes: 3,
    troubles: Troubles { crashes: 1, restarts: 1, failures: 1, ..NONE },
    ..PLAIN
};

/// Who has taken over dies too.
const TWICE_DEAD: Bounds = Bounds {
    name: "twice dead",
    nodes: 3,
    troubles: Troubles { crashes: 2, ..NONE },
    troubles_until: 9,
    horizon: 19,
    ..PLAIN
};

/// A node is frozen while questions and answers are under way.
const LATE: Bounds = Bounds {
    name: "late",
    troubles: Troubles { freezes: 1, delays: 1, failures: 1, ..NONE },
    troubles_until: 1,
    horizon: 11,
    ..PLAIN
};

/// Answers are lost, and what was asked is asked again.
const LOST: Bounds =
    Bounds { name: "lost", troubles: Troubles { crashes: 1, losses: 2, failures: 1, ..NONE }, ..PLAIN };

/// Both nodes are frozen, or one of them twice.
const FROZEN: Bounds =
    Bounds { name: "frozen", troubles: Troubles { freezes: 2, ..NONE }, troubles_until: 1, horizon: 11, ..PLAIN };

/// A heartbeat is lost, and then its node is frozen.
const CUT_AND_FROZEN: Bounds =
    Bounds { name: "cut and frozen", troubles: Troubles { freezes: 1, losses: 1, ..NONE }, ..PLAIN };

/// What may be executed once.
const ONCE: Bounds = Bounds { name: "once", delivery: Delivery::AtMostOnce, ..CUT_AND_FROZEN };

/// The store is away for longer than a lease.
const AWAY: Bounds = Bounds {
    name: "away",
    due: &[1, 4],
    misfire: Misfire::Skip,
    troubles: Troubles { outages: 1, ..NONE },
    troubles_until: 8,
    horizon: 18,
    ..PLAIN
};

/// The same, and a node dies.
const AWAY_AND_DEAD: Bounds =
    Bounds { name: "away and dead", due: &[1], troubles: Troubles { outages: 1, crashes: 1, ..NONE }, ..AWAY };

/// A question arrives after it was asked again.
const ASTRAY: Bounds =
    Bounds { name: "astray", troubles: Troubles { strays: 1, delays: 1, crashes: 1, failures: 1, ..NONE }, ..PLAIN };

/// One arrives after the next was asked, too: the run is tried often enough.
const LONG_ASTRAY: Bounds =
    Bounds { name: "long astray", troubles: Troubles { strays: 1, delays: 1, failures: 3, ..NONE }, ..PLAIN };

/// The world in which a mutant is seen, and the promise that it breaks.
pub(crate) fn that_show(mutant: Mutant) -> (Bounds, &'static str) {
    match mutant {
        Mutant::NoMarkCompared => (FIRED, promise::ONE_RUN),
        Mutant::RepeatedStepNotRecognised => (LOST, promise::ENDS),
        Mutant::RepeatedClaimNotRecognised => (LOST, promise::ENDS),
        Mutant::RepeatedClaimGetsMore => (ASTRAY, promise::ENDS),
        Mutant::EarlyAccepted => (FIRED, promise::NOT_EARLY),
        Mutant::OverlapNotRecorded => (FIRED, promise::BALANCE),
        Mutant::NoFencing => (LATE, promise::FENCED),
        Mutant::TokenKept => (LATE, promise::FENCED),
        Mutant::TokenKeptByRetry => (ASTRAY, promise::OWN),
        Mutant::NoContactAsked => (AWAY, promise::NOT_FOR_DEAD),
        Mutant::SilenceBreaksNothing => (AWAY, promise::NOT_FOR_DEAD),
        Mutant::NoHandOver => (TWICE_DEAD, promise::HANDED_OVER),
        Mutant::OnceTakenOver => (ONCE, promise::ONCE),
        Mutant::NoTrustWindow => (LATE, promise::TRUSTED),
        Mutant::TrustFromAnswer => (FROZEN, promise::TRUSTED),
        Mutant::NoDoubt => (FROZEN, promise::ONE_LEASE),
        Mutant::SilenceByOwnClock => (CUT_AND_FROZEN, promise::ONE_LEASE),
        Mutant::LateAnswersBelieved => (LATE, promise::ONE_LEASE),
        Mutant::LostByRunAlone => (LATE, promise::ENDS),
        Mutant::OldClaimTaken => (LONG_ASTRAY, promise::ENDS),
    }
}
