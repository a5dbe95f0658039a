//! What the model consists of: a store with its clock, nodes, calls between them, and what may still go wrong.
//!
//! Time is in ticks of 5/3 s, so that the shortest lease that a program may ask for is six of them: then every other span of
//! the code is a whole number of ticks too. Within a tick, steps come in any order.

/// How many nodes there may be, and how many occurrences.
pub(crate) const NODES: usize = 3;
pub(crate) const OCCURRENCES: usize = 3;

/// A node may hold a run twice, under a token that is stale and under one that is not.
pub(crate) const HOLDS: usize = 2 * OCCURRENCES;

/// A lease of 10 s.
pub(crate) const LEASE: u8 = 6;
/// `Holder::silence_max` of it: the longest silence that breaks no contact. A node beats at each tick, twice in that time.
pub(crate) const SILENCE: u8 = 2;
/// `WARN_BEFORE_END` before its end: after so long a silence a node doubts what it holds.
pub(crate) const DOUBT_AFTER: u8 = 3;
/// `misfire_grace`.
pub(crate) const GRACE: u8 = 1;
/// How often a run's node may die: `NODE_DEATHS_MAX`.
pub(crate) const DEATHS: u8 = 3;

/// All that there is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) now: u8,
    pub(crate) store: Store,
    pub(crate) nodes: [Node; NODES],
    /// A question that its node has given up and asked again, and that is still on its way.
    pub(crate) astray: Option<(u8, Question)>,
    /// What may still go wrong.
    pub(crate) left: Troubles,
    /// What has happened and must not.
    pub(crate) broken: Vec<Broken>,
}

/// How often what may go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Troubles {
    pub(crate) crashes: u8,
    pub(crate) restarts: u8,
    pub(crate) freezes: u8,
    /// Heartbeats or their answers, and answers to other calls, that are lost.
    pub(crate) losses: u8,
    /// Questions or answers that take their time.
    pub(crate) delays: u8,
    /// Questions that are asked again while the first is still on its way.
    pub(crate) strays: u8,
    pub(crate) outages: u8,
    /// Attempts that fail, and are tried again.
    pub(crate) failures: u8,
    /// Firings by a clock that is a tick ahead.
    pub(crate) early: u8,
}

/// What must not happen, where it is seen in a step and not in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    TwoRuns,
    Early,
    StaleTokenChanged,
    BegunWithoutTrust,
    BegunWhileAnothers,
    TakenForDead,
    AgainThoughOnce,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    pub(crate) is_up: bool,
    /// How many occurrences have fired: the mark, as a number.
    pub(crate) mark: u8,
    /// The last step of the mark, by which a repeated one is recognised.
    pub(crate) last_step: Option<(u8, Admission)>,
    pub(crate) occurrences: [Occurrence; OCCURRENCES],
    pub(crate) holders: [Holder; NODES],
    /// The ledger.
    pub(crate) runs: u8,
    pub(crate) recorded: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Occurrence {
    Ahead,
    Recorded(Reason),
    Run(Run),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    Missed,
    Overlap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    /// The step that made it.
    pub(crate) step: u8,
    pub(crate) is: Is,
    pub(crate) token: u8,
    /// The number of the claim that has brought it to its holder.
    pub(crate) claim: Option<u8>,
    pub(crate) deaths: u8,
    /// How many attempts have begun anywhere, up to two.
    pub(crate) begun: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Is {
    Held(u8),
    /// Between two attempts, due at once.
    Waiting,
    Ended,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Holder {
    pub(crate) last_beat: u8,
    pub(crate) in_contact_since: u8,
    pub(crate) last_claim: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) lives: Lives,
    /// Whether anything has gone wrong with it that has not gone wrong with all.
    pub(crate) had_trouble: bool,
    /// Where it believes the mark to stand.
    pub(crate) mark: u8,
    /// Before this tick it does not fire again what the store has called early.
    pub(crate) fires_from: u8,
    /// How many steps and how many claims it has made.
    pub(crate) steps: u8,
    pub(crate) claims: u8,
    /// What it holds: two places for each run.
    pub(crate) holds: [Holds; HOLDS],
    /// The calls under way, one of each kind.
    pub(crate) calls: [Option<Call>; CALLS],
    pub(crate) beat: Beat,
    /// When the last heartbeat that was answered was asked, and what the store's clock said then.
    pub(crate) renewed: u8,
    pub(crate) stores: u8,
    /// From then on nothing begins.
    pub(crate) good_until: u8,
    /// `Lease::holds_back`, `State::is_unanswered`, `State::doubt` and `asks_lost` of the code.
    pub(crate) holds_back: bool,
    pub(crate) is_unanswered: bool,
    pub(crate) doubt: Option<Doubt>,
    pub(crate) asks_lost: bool,
    /// Of which kinds of call the answer that is under way is doubted.
    pub(crate) doubted: [bool; CALLS],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lives {
    NotYet,
    Running,
    Frozen,
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holds {
    Nothing,
    Waiting { token: u8 },
    Executing { token: u8, since_before: bool },
    Ended { token: u8, end: End },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Final,
    Again,
}

/// A heartbeat of a node that was frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Beat {
    None,
    /// It is time for one.
    Due,
    /// The clock was read, and nothing sent yet.
    Asked {
        at: u8,
    },
    /// The store has answered; nobody has read it.
    Answered {
        asked: u8,
        stores: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Doubt {
    Answered,
    All,
}

/// The kinds of call.
pub(crate) const CALLS: usize = 4;
pub(crate) const ENQUEUE: usize = 0;
pub(crate) const CLAIM: usize = 1;
pub(crate) const FINISH: usize = 2;
pub(crate) const LOST: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Asked { question: Question, is_slow: bool },
    Answered(Answer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    Enqueue(Firing),
    Claim(u8),
    Finish { occurrence: u8, token: u8, end: End },
    Lost([Option<u8>; HOLDS]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Enqueued(Firing, Admission),
    Claimed([Option<u8>; OCCURRENCES]),
    Stored {
        occurrence: u8,
        token: u8,
    },
    /// The tokens that are stale.
    Lost([Option<u8>; HOLDS]),
}

/// One step of the mark. What lies between the mark and `to`, and is not `run`, is recorded as missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Firing {
    pub(crate) step: u8,
    pub(crate) mark: u8,
    pub(crate) to: u8,
    /// Whether the last of them becomes a run.
    pub(crate) runs: bool,
    pub(crate) accept_until: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Admission {
    Claimed { token: u8 },
    Queued,
    Recorded,
    MarkMoved { to: u8 },
    Early,
    Late,
}

impl Question {
    pub(crate) fn kind(&self) -> usize {
        match self {
            Self::Enqueue(_) => ENQUEUE,
            Self::Claim(_) => CLAIM,
            Self::Finish { .. } => FINISH,
            Self::Lost(_) => LOST,
        }
    }
}

impl Node {
    pub(crate) fn new(lives: Lives) -> Self {
        Self {
            lives,
            had_trouble: false,
            mark: 0,
            fires_from: 0,
            steps: 0,
            claims: 0,
            holds: [Holds::Nothing; HOLDS],
            calls: [None; CALLS],
            beat: Beat::None,
            renewed: 0,
            stores: 0,
            good_until: LEASE,
            holds_back: false,
            is_unanswered: false,
            doubt: None,
            asks_lost: false,
            doubted: [false; CALLS],
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.lives == Lives::Running
    }
}

impl Store {
    pub(crate) fn run(&self, occurrence: usize) -> Option<&Run> {
        match &self.occurrences[occurrence] {
            Occurrence::Run(run) => Some(run),
            _ => None,
        }
    }

    pub(crate) fn run_mut(&mut self, occurrence: usize) -> Option<&mut Run> {
        match &mut self.occurrences[occurrence] {
            Occurrence::Run(run) => Some(run),
            _ => None,
        }
    }
}
