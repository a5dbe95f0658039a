//! A node's steps: what `engine/heartbeat`, `engine/link`, `node` and `engine/calls` make of answers, and of their absence.

use super::bounds::{Bounds, Delivery};
use super::mutant::Mutant;
use super::store::{is_claimable, step};
use super::world::{
    Admission, Answer, Beat, Broken, CALLS, CLAIM, Call, DOUBT_AFTER, Doubt, ENQUEUE, End, FINISH, Firing, Holds, Is,
    LEASE, LOST, Lives, Node, OCCURRENCES, Question, World,
};

impl Node {
    /// `Heart::beat` and `Link::answered`: a heartbeat was answered that was asked at `asked`, when the store's clock said
    /// `stores`.
    pub(crate) fn answered(&mut self, asked: u8, stores: u8, now: u8, bounds: &Bounds) {
        let by_store = match bounds.without {
            Some(Mutant::SilenceByOwnClock) => 0,
            _ => stores - self.stores,
        };
        let silence = by_store.max(asked - self.renewed);
        if silence >= DOUBT_AFTER && bounds.without != Some(Mutant::NoDoubt) {
            (self.doubt, self.holds_back) = (Some(Doubt::All), true);
        }
        let trusted_from = if bounds.without == Some(Mutant::TrustFromAnswer) { now } else { asked };
        (self.renewed, self.stores, self.good_until) = (asked, stores, trusted_from + LEASE);
        (self.is_unanswered, self.beat) = (false, Beat::None);
        self.trust_unless_in_doubt();
    }

    /// `Link::unanswered`.
    pub(crate) fn unanswered(&mut self) {
        (self.is_unanswered, self.holds_back, self.beat) = (true, true, Beat::None);
    }

    /// `Return::Trusted` of `Engine::heed_contact`: there is nobody to ask, so it is no step of its own.
    fn trust_unless_in_doubt(&mut self) {
        if self.doubt.is_none() && !self.asks_lost && !self.is_unanswered {
            self.holds_back = false;
        }
    }

    /// Whether the engine has to look what it still holds.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.holds_back && self.doubt.is_some() && !self.asks_lost && !self.is_unanswered
    }

    /// `Return::InDoubt` of `Engine::heed_contact`.
    pub(crate) fn look_into_it(&mut self, bounds: &Bounds) {
        let believes = bounds.without == Some(Mutant::LateAnswersBelieved);
        if self.doubt.take() == Some(Doubt::All) && !believes {
            self.doubted = [ENQUEUE, CLAIM, FINISH, LOST].map(|kind| kind <= CLAIM && self.calls[kind].is_some());
        }
        let held = self.holds.map(|held| match held {
            Holds::Waiting { token } | Holds::Executing { token, .. } => Some(token),
            Holds::Nothing | Holds::Ended { .. } => None,
        });
        self.asks_lost = true;
        self.ask(Question::Lost(held));
    }

    pub(crate) fn ask(&mut self, question: Question) {
        self.calls[question.kind()] = Some(Call::Asked { question, is_slow: false });
    }

    /// Whether it may have an attempt begin: `Lease::may_begin_at`.
    pub(crate) fn may_begin(&self, now: u8, bounds: &Bounds) -> bool {
        !self.holds_back && (now < self.good_until || bounds.without == Some(Mutant::NoTrustWindow))
    }

    /// Whether it takes what it has in this place for its own, beyond doubt.
    pub(crate) fn owns(&self, place: usize, now: u8, bounds: &Bounds) -> bool {
        matches!(self.lives, Lives::Running | Lives::Frozen)
            && matches!(self.holds[place], Holds::Waiting { .. } | Holds::Executing { .. })
            && self.may_begin(now, bounds)
    }

    /// Takes in an answer: `Engine::answered`, and `decide`.
    pub(crate) fn take_in(&mut self, answer: Answer, now: u8) {
        let kind = match answer {
            Answer::Enqueued(..) => ENQUEUE,
            Answer::Claimed(_) => CLAIM,
            Answer::Stored { .. } => FINISH,
            Answer::Lost(_) => LOST,
        };
        self.calls[kind] = None;
        if std::mem::take(&mut self.doubted[kind]) {
            self.doubt = self.doubt.or(Some(Doubt::Answered));
            self.holds_back = true;
        }
        match answer {
            Answer::Enqueued(firing, admission) => self.admitted(firing, admission, now),
            Answer::Claimed(got) => {
                for (occurrence, token) in got.into_iter().enumerate() {
                    if let Some(token) = token {
                        self.hold(occurrence, token);
                    }
                }
            }
            Answer::Stored { occurrence, token: ended } => {
                let places = self.holds.iter_mut().skip(2 * usize::from(occurrence)).take(2);
                for held in places.filter(|held| matches!(held, Holds::Ended { token, .. } if *token == ended)) {
                    *held = Holds::Nothing;
                }
                self.store_what_has_ended();
            }
            Answer::Lost(stale) => {
                for (held, stale) in self.holds.iter_mut().zip(stale) {
                    match *held {
                        Holds::Waiting { token } | Holds::Executing { token, .. } if stale == Some(token) => {
                            *held = Holds::Nothing;
                        }
                        _ => {}
                    }
                }
                self.asks_lost = false;
                self.trust_unless_in_doubt();
            }
        }
    }

    /// A run has been given to it.
    fn hold(&mut self, occurrence: usize, token: u8) {
        let mut places = self.holds.iter_mut().skip(2 * occurrence).take(2);
        let free = places.find(|held| **held == Holds::Nothing).expect("a run is held under two tokens at most");
        *free = Holds::Waiting { token };
    }

    fn admitted(&mut self, firing: Firing, admission: Admission, now: u8) {
        match admission {
            Admission::Claimed { token } => {
                self.mark = firing.to;
                self.hold(usize::from(firing.to - 1), token);
            }
            Admission::Queued | Admission::Recorded => self.mark = firing.to,
            Admission::MarkMoved { to } => self.mark = to,
            Admission::Early => self.fires_from = now + 1,
            // It is judged anew, by then as a misfire.
            Admission::Late => {}
        }
    }

    /// `State::store_what_has_ended`.
    pub(crate) fn store_what_has_ended(&mut self) {
        if self.calls[FINISH].is_some() {
            return;
        }
        let ended = self.holds.iter().enumerate().find_map(|(place, held)| match *held {
            Holds::Ended { token, end } => Some((u8::try_from(place / 2).ok()?, token, end)),
            _ => None,
        });
        if let Some((occurrence, token, end)) = ended {
            self.ask(Question::Finish { occurrence, token, end });
        }
    }
}

impl World {
    /// Whether this node has something to do before time goes on.
    pub(crate) fn is_busy(&self, node: u8, bounds: &Bounds) -> bool {
        let it = &self.nodes[usize::from(node)];
        if !it.is_running() {
            return false;
        }
        let may_wait = self.now < bounds.troubles_until;
        let is_called = it.calls.iter().flatten().any(|call| match call {
            Call::Asked { is_slow, .. } => self.store.is_up && !(*is_slow && may_wait),
            Call::Answered(_) => !may_wait,
        });
        let is_at_work = it.holds.iter().any(|held| match held {
            Holds::Waiting { .. } => it.may_begin(self.now, bounds),
            Holds::Executing { since_before, .. } => *since_before,
            Holds::Nothing | Holds::Ended { .. } => false,
        });
        is_called
            || is_at_work
            || it.beat != Beat::None
            || it.is_in_doubt()
            || self.fires(node, 0, bounds).is_some()
            || self.claims(node, bounds)
    }

    /// What the node would fire if its clock were `ahead` of the store's.
    pub(crate) fn fires(&self, node: u8, ahead: u8, bounds: &Bounds) -> Option<Firing> {
        let it = &self.nodes[usize::from(node)];
        if !it.is_running() || it.calls[ENQUEUE].is_some() || it.fires_from > self.now {
            return None;
        }
        step(node * 16 + it.steps, it.mark, self.now + ahead, bounds)
    }

    /// Whether the node would claim. It does so each five seconds; a claim that gets nothing changes nothing, so it is left out.
    pub(crate) fn claims(&self, node: u8, bounds: &Bounds) -> bool {
        let it = &self.nodes[usize::from(node)];
        it.is_running() && it.calls[CLAIM].is_none() && is_claimable(self, node, bounds)
    }

    /// A worker takes a run.
    pub(crate) fn begin(&mut self, node: u8, place: usize, bounds: &Bounds) {
        let it = &mut self.nodes[usize::from(node)];
        let Holds::Waiting { token } = it.holds[place] else { return };
        // What the trust is worth, whatever the node believes: a lease from when the last answered heartbeat was asked.
        if self.now >= it.renewed + LEASE {
            self.broken.push(Broken::BegunWithoutTrust);
        }
        it.holds[place] = Holds::Executing { token, since_before: false };
        let Some(run) = self.store.run_mut(place / 2) else { return };
        if run.is != Is::Held(node) || run.token != token {
            self.broken.push(Broken::BegunWhileAnothers);
        }
        run.begun = (run.begun + 1).min(2);
        if bounds.delivery == Delivery::AtMostOnce && run.begun > 1 {
            self.broken.push(Broken::AgainThoughOnce);
        }
    }

    /// An attempt ends.
    pub(crate) fn end(&mut self, node: u8, place: usize, end: End) {
        let it = &mut self.nodes[usize::from(node)];
        let Holds::Executing { token, .. } = it.holds[place] else { return };
        it.holds[place] = Holds::Ended { token, end };
        it.store_what_has_ended();
    }

    /// The store has answered, and the answer arrives.
    pub(crate) fn call_through(&mut self, node: u8, kind: usize, bounds: &Bounds) {
        if let Some(answer) = self.call_answered(node, kind, bounds) {
            let now = self.now;
            self.nodes[usize::from(node)].take_in(answer, now);
        }
    }

    /// The store answers.
    pub(crate) fn call_answered(&mut self, node: u8, kind: usize, bounds: &Bounds) -> Option<Answer> {
        let Some(Call::Asked { question, .. }) = self.nodes[usize::from(node)].calls[kind] else { return None };
        Some(self.reach(node, question, bounds))
    }

    /// One that is gone asks nothing any more, but for what is on its way.
    pub(crate) fn crash(&mut self, node: u8) {
        let it = &mut self.nodes[usize::from(node)];
        let mut dead = Node::new(Lives::Dead);
        dead.had_trouble = true;
        for kind in 0..CALLS {
            // What an answer would say nobody hears.
            dead.calls[kind] = it.calls[kind].filter(|call| matches!(call, Call::Asked { .. }));
        }
        dead.calls[LOST] = None;
        *it = dead;
    }

    /// A start of a node: it is another holder, and knows what the store knows.
    pub(crate) fn start(&mut self, node: u8) {
        let it = &mut self.nodes[usize::from(node)];
        *it = Node::new(Lives::Running);
        (it.mark, it.renewed, it.stores, it.good_until) = (self.store.mark, self.now, self.now, self.now + LEASE);
        let holder = &mut self.store.holders[usize::from(node)];
        (holder.last_beat, holder.in_contact_since) = (self.now, self.now);
    }
}

const _: () = assert!(OCCURRENCES < 8);
