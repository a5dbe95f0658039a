//! The model as the checker sees it: which steps there are from a moment, and what has to hold.

use stateright::{Model, Property};

use super::bounds::Bounds;
use super::world::{
    Beat, CALLS, Call, End, Holder, Holds, Lives, NODES, Node, OCCURRENCES, Occurrence, Question, Store, World,
};
use super::{promise, situation};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Time goes on, and every node beats; this node's heartbeat meets with this.
    Tick(Option<(u8, BeatTrouble)>),
    Fire {
        node: u8,
        ahead: u8,
    },
    Claim(u8),
    /// A question arrives, and its answer comes at once.
    Call(u8, usize),
    /// A question arrives, and its answer is on its way.
    CallOnly(u8, usize),
    /// A question arrives, its answer does not, and it is asked again.
    AnswerLost(u8, usize),
    /// A question is on its way for longer than a tick.
    Slow(u8, usize),
    /// It is taken for lost and asked again.
    GivenUp(u8, usize),
    Astray,
    AnswerCame(u8, usize),
    Begin(u8, usize),
    End(u8, usize, End),
    LookIntoDoubt(u8),
    Beat(u8),
    Freeze(u8),
    Thaw(u8),
    Crash(u8),
    Start(u8),
    OutageBegins,
    OutageEnds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BeatTrouble {
    Lost,
    AnswerLost,
    /// The process is frozen when it has read its clock, before it asks.
    FrozenAsking,
    /// The process is frozen when it has asked, and the answer waits for it.
    FrozenAsked,
}

impl Bounds {
    fn nodes(&self) -> impl Iterator<Item = u8> {
        0..self.nodes
    }

    fn is_troubled(&self, world: &World) -> bool {
        world.now <= self.troubles_until
    }

    fn may_tick(&self, world: &World) -> bool {
        let outlasts = !world.store.is_up && world.now >= self.troubles_until;
        !outlasts && world.now < self.horizon && !self.nodes().any(|node| world.is_busy(node, self))
    }

    fn tick(&self, world: &mut World, trouble: Option<(u8, BeatTrouble)>) {
        world.now += 1;
        let now = world.now;
        for number in self.nodes() {
            let index = usize::from(number);
            if !world.nodes[index].is_running() {
                continue;
            }
            for held in &mut world.nodes[index].holds {
                if let Holds::Executing { since_before, .. } = held {
                    *since_before = true;
                }
            }
            let met = trouble.filter(|&(who, _)| who == number).map(|(_, what)| what);
            let arrives = !matches!(met, Some(BeatTrouble::Lost | BeatTrouble::FrozenAsking)) && world.store.is_up;
            let stores = arrives.then(|| world.heartbeat(number, self));
            let node = &mut world.nodes[index];
            node.had_trouble |= met.is_some();
            match (met, stores) {
                (None, Some(stores)) => node.answered(now, stores, now, self),
                (Some(BeatTrouble::FrozenAsking), _) => {
                    (node.lives, node.beat) = (Lives::Frozen, Beat::Asked { at: now });
                }
                (Some(BeatTrouble::FrozenAsked), Some(stores)) => {
                    (node.lives, node.beat) = (Lives::Frozen, Beat::Answered { asked: now, stores });
                }
                _ => node.unanswered(),
            }
        }
    }

    /// The heartbeat of a node that was frozen.
    fn beat(&self, world: &mut World, number: u8) {
        let (now, index) = (world.now, usize::from(number));
        let asked = match world.nodes[index].beat {
            Beat::None => return,
            Beat::Answered { asked, stores } => return world.nodes[index].answered(asked, stores, now, self),
            Beat::Asked { at } => at,
            Beat::Due => now,
        };
        if world.store.is_up {
            let stores = world.heartbeat(number, self);
            world.nodes[index].answered(asked, stores, now, self);
        } else {
            world.nodes[index].unanswered();
        }
    }

    fn steps_of_node(&self, world: &World, node: u8, steps: &mut Vec<Step>) {
        let it = &world.nodes[usize::from(node)];
        let (left, is_troubled) = (&world.left, self.is_troubled(world));
        match it.lives {
            Lives::NotYet => {
                let another_died = world.nodes.iter().any(|other| other.lives == Lives::Dead);
                if left.restarts > 0 && another_died && is_troubled && world.store.is_up {
                    steps.push(Step::Start(node));
                }
                return;
            }
            Lives::Frozen => steps.push(Step::Thaw(node)),
            Lives::Running | Lives::Dead => {}
        }
        self.steps_of_calls(world, node, steps);
        if !it.is_running() {
            return;
        }
        if is_troubled && left.crashes > 0 {
            steps.push(Step::Crash(node));
        }
        if is_troubled && left.freezes > 0 {
            steps.push(Step::Freeze(node));
        }
        if world.fires(node, 0, self).is_some() {
            steps.push(Step::Fire { node, ahead: 0 });
        } else if left.early > 0 && world.fires(node, 1, self).is_some() {
            steps.push(Step::Fire { node, ahead: 1 });
        }
        if world.claims(node, self) {
            steps.push(Step::Claim(node));
        }
        if it.beat != Beat::None {
            steps.push(Step::Beat(node));
        }
        if it.is_in_doubt() {
            steps.push(Step::LookIntoDoubt(node));
        }
        for (place, held) in it.holds.iter().enumerate() {
            match held {
                Holds::Waiting { .. } if it.may_begin(world.now, self) => steps.push(Step::Begin(node, place)),
                Holds::Executing { .. } => {
                    steps.push(Step::End(node, place, End::Final));
                    if left.failures > 0 {
                        steps.push(Step::End(node, place, End::Again));
                    }
                }
                _ => {}
            }
        }
    }

    /// What becomes of the questions that are under way, and of their answers.
    fn steps_of_calls(&self, world: &World, node: u8, steps: &mut Vec<Step>) {
        let it = &world.nodes[usize::from(node)];
        let (left, is_troubled) = (&world.left, self.is_troubled(world));
        for kind in 0..CALLS {
            match it.calls[kind] {
                Some(Call::Asked { is_slow, .. }) if world.store.is_up => {
                    if it.is_running() {
                        steps.push(Step::Call(node, kind));
                    } else {
                        steps.push(Step::CallOnly(node, kind));
                    }
                    if it.is_running() && is_troubled {
                        if left.delays > 0 && !is_slow {
                            steps.extend([Step::Slow(node, kind), Step::CallOnly(node, kind)]);
                        }
                        if left.losses > 0 {
                            steps.push(Step::AnswerLost(node, kind));
                        }
                        if left.strays > 0 && is_slow && world.astray.is_none() {
                            steps.push(Step::GivenUp(node, kind));
                        }
                    }
                }
                Some(Call::Answered(_)) if it.is_running() => steps.push(Step::AnswerCame(node, kind)),
                _ => {}
            }
        }
    }
}

impl World {
    /// Counts what goes wrong by a step.
    fn charge(&mut self, step: Step) {
        let left = &mut self.left;
        match step {
            Step::Tick(Some((_, BeatTrouble::Lost | BeatTrouble::AnswerLost))) | Step::AnswerLost(..) => {
                left.losses -= 1
            }
            Step::Tick(Some(_)) | Step::Freeze(_) => left.freezes -= 1,
            Step::Slow(..) => left.delays -= 1,
            Step::CallOnly(node, _) if self.nodes[usize::from(node)].is_running() => left.delays -= 1,
            Step::GivenUp(..) => left.strays -= 1,
            Step::Crash(_) => left.crashes -= 1,
            Step::Start(_) => left.restarts -= 1,
            Step::OutageBegins => left.outages -= 1,
            Step::End(_, _, End::Again) => left.failures -= 1,
            Step::Fire { ahead: 1, .. } => left.early -= 1,
            _ => {}
        }
    }
}

impl Model for Bounds {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let starters = self.nodes - self.troubles.restarts;
        let node =
            |number: usize| Node::new(if number < usize::from(starters) { Lives::Running } else { Lives::NotYet });
        let store = Store {
            is_up: true,
            mark: 0,
            last_step: None,
            occurrences: [Occurrence::Ahead; OCCURRENCES],
            holders: [Holder::default(); NODES],
            runs: 0,
            recorded: 0,
        };
        let nodes = std::array::from_fn(node);
        vec![World { now: 0, store, nodes, astray: None, left: self.troubles, broken: Vec::new() }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if !world.broken.is_empty() {
            return;
        }
        for node in self.nodes() {
            self.steps_of_node(world, node, steps);
        }
        let (left, is_troubled) = (&world.left, self.is_troubled(world));
        if world.astray.is_some() && world.store.is_up {
            steps.push(Step::Astray);
        }
        if !world.store.is_up {
            steps.push(Step::OutageEnds);
        } else if is_troubled && left.outages > 0 {
            steps.push(Step::OutageBegins);
        }
        if !self.may_tick(world) {
            return;
        }
        steps.push(Step::Tick(None));
        for node in self.nodes().filter(|&node| is_troubled && world.nodes[usize::from(node)].is_running()) {
            if left.losses > 0 && world.store.is_up {
                let lost = [BeatTrouble::Lost, BeatTrouble::AnswerLost];
                steps.extend(lost.map(|trouble| Step::Tick(Some((node, trouble)))));
            }
            if left.freezes > 0 {
                let frozen = [BeatTrouble::FrozenAsking, BeatTrouble::FrozenAsked];
                let frozen = frozen.into_iter().filter(|&how| how == BeatTrouble::FrozenAsking || world.store.is_up);
                steps.extend(frozen.map(|trouble| Step::Tick(Some((node, trouble)))));
            }
        }
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        world.charge(step);
        match step {
            Step::Tick(trouble) => self.tick(&mut world, trouble),
            Step::Fire { node, ahead } => {
                let firing = world.fires(node, ahead, self)?;
                let it = &mut world.nodes[usize::from(node)];
                it.steps += 1;
                it.ask(Question::Enqueue(firing));
            }
            Step::Claim(node) => {
                let it = &mut world.nodes[usize::from(node)];
                it.claims += 1;
                it.ask(Question::Claim(it.claims));
            }
            Step::Call(node, kind) => world.call_through(node, kind, self),
            Step::CallOnly(node, kind) => {
                let answer = world.call_answered(node, kind, self)?;
                let it = &mut world.nodes[usize::from(node)];
                it.calls[kind] = (it.lives != Lives::Dead).then_some(Call::Answered(answer));
            }
            Step::AnswerLost(node, kind) => drop(world.call_answered(node, kind, self)),
            Step::Slow(node, kind) => {
                if let Some(Call::Asked { is_slow, .. }) = &mut world.nodes[usize::from(node)].calls[kind] {
                    *is_slow = true;
                }
            }
            Step::GivenUp(node, kind) => {
                let call = &mut world.nodes[usize::from(node)].calls[kind];
                let Some(Call::Asked { question, is_slow }) = call else { return None };
                (world.astray, *is_slow) = (Some((node, *question)), false);
            }
            Step::Astray => {
                let (node, question) = world.astray.take()?;
                world.reach(node, question, self);
            }
            Step::AnswerCame(node, kind) => {
                let it = &mut world.nodes[usize::from(node)];
                let Some(Call::Answered(answer)) = it.calls[kind] else { return None };
                it.take_in(answer, world.now);
            }
            Step::Begin(node, place) => world.begin(node, place, self),
            Step::End(node, place, end) => world.end(node, place, end),
            Step::LookIntoDoubt(node) => world.nodes[usize::from(node)].look_into_it(self),
            Step::Beat(node) => self.beat(&mut world, node),
            Step::Freeze(node) => {
                let it = &mut world.nodes[usize::from(node)];
                (it.lives, it.had_trouble) = (Lives::Frozen, true);
            }
            Step::Thaw(node) => {
                let it = &mut world.nodes[usize::from(node)];
                it.lives = Lives::Running;
                if it.beat == Beat::None {
                    it.beat = Beat::Due;
                }
            }
            Step::Crash(node) => world.crash(node),
            Step::Start(node) => world.start(node),
            Step::OutageBegins => world.store.is_up = false,
            Step::OutageEnds => {
                world.store.is_up = true;
                // Each beats as soon as it can, and one of them is the first.
                for node in world.nodes.iter_mut().filter(|node| node.is_running()) {
                    node.beat = Beat::Due;
                }
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promise::all().into_iter().chain(situation::all()).collect()
    }
}
