//! The store's steps, as `backend/memory/store` makes them: each at once, on the store's clock.

use super::bounds::{Bounds, Delivery, Misfire, Overlap};
use super::mutant::Mutant;
use super::world::{
    Admission, Answer, Broken, DEATHS, End, Firing, GRACE, Is, LEASE, NODES, OCCURRENCES, Occurrence, Question, Reason,
    Run, SILENCE, Store, World,
};

/// The token of a run that is new.
const FIRST_TOKEN: u8 = 1;

impl World {
    /// Has the store do what `node` asks.
    pub(crate) fn reach(&mut self, node: u8, question: Question, bounds: &Bounds) -> Answer {
        match question {
            Question::Enqueue(firing) => Answer::Enqueued(firing, self.fire(node, firing, bounds)),
            Question::Claim(number) => Answer::Claimed(self.claim(node, number, bounds)),
            Question::Finish { occurrence, token, end } => {
                self.finish(node, occurrence as usize, token, end, bounds);
                Answer::Stored { occurrence, token }
            }
            Question::Lost(held) => {
                let is_stale = |place: usize| held[place].is_some_and(|token| !is_held(&self.store, place / 2, token));
                let by_run = bounds.without == Some(Mutant::LostByRunAlone);
                let is_lost = |place: usize| is_stale(place) || (by_run && is_stale(place ^ 1));
                let stale = std::array::from_fn(|place| held[place].filter(|_| is_lost(place)));
                Answer::Lost(stale)
            }
        }
    }

    /// `Store::fire`.
    fn fire(&mut self, node: u8, firing: Firing, bounds: &Bounds) -> Admission {
        let (now, store) = (self.now, &mut self.store);
        let is_repeated = store.last_step.is_some_and(|(step, _)| step == firing.step);
        let compares = bounds.without != Some(Mutant::NoMarkCompared);
        if (is_repeated || store.mark != firing.mark) && compares {
            return repeated(store, node, firing, bounds);
        }
        let occurrence = usize::from(firing.to - 1);
        let due = bounds.due[occurrence];
        if firing.runs && due > now {
            if bounds.without != Some(Mutant::EarlyAccepted) {
                return Admission::Early;
            }
            self.broken.push(Broken::Early);
        }
        if firing.runs && firing.accept_until.is_some_and(|until| now > until) {
            return Admission::Late;
        }
        let is_full = bounds.overlap == Overlap::Skip && is_alive(store);
        store.mark = firing.to;
        for passed in firing.mark..firing.to - u8::from(firing.runs) {
            store.occurrences[usize::from(passed)] = Occurrence::Recorded(Reason::Missed);
            store.recorded += 1;
        }
        let admission = match (firing.runs, is_full) {
            (false, _) => Admission::Recorded,
            (true, true) if bounds.without == Some(Mutant::OverlapNotRecorded) => Admission::Recorded,
            (true, true) => {
                store.occurrences[occurrence] = Occurrence::Recorded(Reason::Overlap);
                store.recorded += 1;
                Admission::Recorded
            }
            (true, false) => {
                if store.run(occurrence).is_some() {
                    self.broken.push(Broken::TwoRuns);
                }
                let (step, is, token) = (firing.step, Is::Held(node), FIRST_TOKEN);
                let run = Run { step, is, token, claim: None, deaths: 0, begun: 0 };
                self.store.occurrences[occurrence] = Occurrence::Run(run);
                self.store.runs += 1;
                Admission::Claimed { token }
            }
        };
        self.store.last_step = Some((firing.step, admission));
        admission
    }

    /// `Store::claim`.
    fn claim(&mut self, node: u8, number: u8, bounds: &Bounds) -> [Option<u8>; OCCURRENCES] {
        let mut got = [None; OCCURRENCES];
        let before = self.store.holders[usize::from(node)].last_claim.replace(number);
        if before > Some(number) && bounds.without != Some(Mutant::OldClaimTaken) {
            self.store.holders[usize::from(node)].last_claim = before;
            return got;
        }
        let is_repeated = before == Some(number) && bounds.without != Some(Mutant::RepeatedClaimNotRecognised);
        let gets_more = !is_repeated || bounds.without == Some(Mutant::RepeatedClaimGetsMore);
        for (occurrence, got) in got.iter_mut().enumerate() {
            let Some(&run) = self.store.run(occurrence) else { continue };
            match run.is {
                Is::Held(holder) if holder == node => {
                    *got = (is_repeated && run.claim == Some(number)).then_some(run.token);
                }
                Is::Held(holder) if gets_more && leaves_to(&self.store, holder, node, self.now, bounds) => {
                    *got = self.take_over(occurrence, holder, node, number, bounds);
                }
                Is::Waiting if gets_more => {
                    let keeps = bounds.without == Some(Mutant::TokenKeptByRetry);
                    *got = Some(give(&mut self.store, occurrence, node, number, u8::from(!keeps)));
                }
                Is::Waiting | Is::Held(_) | Is::Ended => {}
            }
        }
        got
    }

    /// What becomes of a run whose holder is dead: `Store::orphans`.
    fn take_over(&mut self, occurrence: usize, holder: u8, node: u8, number: u8, bounds: &Bounds) -> Option<u8> {
        if !self.nodes[usize::from(holder)].had_trouble {
            self.broken.push(Broken::TakenForDead);
        }
        let ends_by_it = bounds.delivery == Delivery::AtMostOnce && bounds.without != Some(Mutant::OnceTakenOver);
        let run = self.store.run_mut(occurrence)?;
        run.deaths += 1;
        if ends_by_it || run.deaths >= DEATHS {
            run.is = Is::Ended;
            return None;
        }
        let keeps = bounds.without == Some(Mutant::TokenKept);
        Some(give(&mut self.store, occurrence, node, number, u8::from(!keeps)))
    }

    /// `Store::finish`.
    fn finish(&mut self, node: u8, occurrence: usize, token: u8, end: End, bounds: &Bounds) {
        let is_fenced = bounds.without != Some(Mutant::NoFencing);
        let Some(run) = self.store.run_mut(occurrence) else { return };
        let Is::Held(holder) = run.is else { return };
        if is_fenced && run.token != token {
            return;
        }
        if holder != node || run.token != token {
            self.broken.push(Broken::StaleTokenChanged);
        }
        run.is = if end == End::Final { Is::Ended } else { Is::Waiting };
    }

    /// `HolderRow::beat`, and what the store's clock says.
    pub(crate) fn heartbeat(&mut self, node: u8, bounds: &Bounds) -> u8 {
        let holder = &mut self.store.holders[usize::from(node)];
        let breaks = bounds.without != Some(Mutant::SilenceBreaksNothing);
        if self.now - holder.last_beat > SILENCE && breaks {
            holder.in_contact_since = self.now;
        }
        holder.last_beat = self.now;
        self.now
    }
}

/// `Store::repeated`: the answer to a step that was made before, or whose mark somebody else has moved.
fn repeated(store: &Store, node: u8, firing: Firing, bounds: &Bounds) -> Admission {
    let moved = Admission::MarkMoved { to: store.mark };
    if bounds.without == Some(Mutant::RepeatedStepNotRecognised) {
        return moved;
    }
    let made = (0..OCCURRENCES).filter_map(|occurrence| store.run(occurrence)).find(|run| run.step == firing.step);
    match made.map(|run| (run, run.is)) {
        // A claim has brought it since: given a second time, it would be executed twice.
        Some((run, Is::Held(holder))) if holder == node && run.claim.is_some() => return Admission::Queued,
        Some((run, Is::Held(holder))) if holder == node => return Admission::Claimed { token: run.token },
        Some((_, Is::Waiting)) => return Admission::Queued,
        _ => {}
    }
    match store.last_step {
        Some((step, Admission::Recorded)) if step == firing.step => Admission::Recorded,
        _ => moved,
    }
}

/// `Store::give`, of a run that has begun before.
fn give(store: &mut Store, occurrence: usize, node: u8, number: u8, by: u8) -> u8 {
    let run = store.run_mut(occurrence).expect("a run that is given is there");
    (run.is, run.claim) = (Is::Held(node), Some(number));
    run.token += by;
    run.token
}

/// `Store::held`.
pub(crate) fn is_held(store: &Store, occurrence: usize, token: u8) -> bool {
    store.run(occurrence).is_some_and(|run| matches!(run.is, Is::Held(_)) && run.token == token)
}

fn is_alive(store: &Store) -> bool {
    (0..OCCURRENCES).filter_map(|occurrence| store.run(occurrence)).any(|run| run.is != Is::Ended)
}

/// `HolderRow::leaves_to`.
fn leaves_to(store: &Store, holder: u8, heir: u8, now: u8, bounds: &Bounds) -> bool {
    let lives = now - store.holders[usize::from(holder)].last_beat <= LEASE;
    let heir = &store.holders[usize::from(heir)];
    let saw_it = now - heir.last_beat <= SILENCE && now - heir.in_contact_since >= LEASE;
    match bounds.without {
        Some(Mutant::NoHandOver) => false,
        Some(Mutant::NoContactAsked) => !lives,
        _ => !lives && saw_it,
    }
}

/// Whether a claim of this node would get something now, or end it.
pub(crate) fn is_claimable(world: &World, node: u8, bounds: &Bounds) -> bool {
    (0..OCCURRENCES).filter_map(|occurrence| world.store.run(occurrence)).any(|run| match run.is {
        Is::Held(holder) => holder != node && leaves_to(&world.store, holder, node, world.now, bounds),
        Is::Waiting => true,
        Is::Ended => false,
    })
}

/// The step that a node makes which believes the mark to stand at `mark`, and the time to be `clock`: `due::step` with the
/// policy `run_once`.
pub(crate) fn step(step: u8, mark: u8, clock: u8, bounds: &Bounds) -> Option<Firing> {
    let first = mark + 1;
    let due = *bounds.due.get(usize::from(mark)).filter(|&&due| due <= clock)?;
    if clock - due <= GRACE {
        return Some(Firing { step, mark, to: first, runs: true, accept_until: Some(due + GRACE) });
    }
    let late = bounds.due.iter().filter(|&&due| due + GRACE < clock).count();
    let to = u8::try_from(late).expect("occurrences are few");
    Some(Firing { step, mark, to, runs: bounds.misfire == Misfire::RunOnce, accept_until: None })
}

const _: () = assert!(NODES < 16, "the number of a step is its node's, and a count up to 15");
