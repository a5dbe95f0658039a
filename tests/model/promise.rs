//! What has to hold: at each moment, or where nothing is left to do.

use stateright::Property;

use super::bounds::Bounds;
use super::world::{Broken, Is, LEASE, Node, OCCURRENCES, Occurrence, SILENCE, World};

pub(crate) const ONE_RUN: &str = "an occurrence becomes at most one run";
pub(crate) const NOT_EARLY: &str = "nothing is early";
pub(crate) const BALANCE: &str = "the ledger balances";
pub(crate) const ENDS: &str = "every occurrence ends as a run or in a record";
pub(crate) const ONE_LEASE: &str = "a run has at most one live lease";
pub(crate) const FENCED: &str = "a stale token changes nothing";
pub(crate) const TRUSTED: &str = "no attempt begins when its node's trust in its lease has ended";
pub(crate) const OWN: &str = "no attempt begins of a run that is another's";
pub(crate) const NOT_FOR_DEAD: &str = "who suffers only what all suffer is not taken for dead";
pub(crate) const HANDED_OVER: &str = "what a dead node held is handed over";
pub(crate) const ONCE: &str = "what may be executed once begins once";

pub(crate) fn all() -> Vec<Property<Bounds>> {
    vec![
        Property::always(ONE_RUN, |_, world: &World| lacks(world, Broken::TwoRuns)),
        Property::always(NOT_EARLY, |_, world: &World| lacks(world, Broken::Early)),
        Property::always(BALANCE, |_, world: &World| balances(world)),
        // There are no cycles, since time goes on; so this is asked where nothing is left to do.
        Property::eventually(ENDS, |bounds: &Bounds, world: &World| {
            bounds.is_done(world, |world| has_settled(bounds, world))
        }),
        Property::always(ONE_LEASE, |bounds: &Bounds, world: &World| {
            (0..OCCURRENCES).all(|occurrence| {
                let owns = |node: &Node, place: usize| node.owns(place, world.now, bounds);
                let places = [2 * occurrence, 2 * occurrence + 1];
                let owners = world.nodes.iter().map(|node| places.iter().filter(|&&place| owns(node, place)).count());
                owners.sum::<usize>() <= 1
            })
        }),
        Property::always(FENCED, |_, world: &World| lacks(world, Broken::StaleTokenChanged)),
        Property::always(TRUSTED, |_, world: &World| lacks(world, Broken::BegunWithoutTrust)),
        Property::always(OWN, |_, world: &World| lacks(world, Broken::BegunWhileAnothers)),
        Property::always(NOT_FOR_DEAD, |_, world: &World| lacks(world, Broken::TakenForDead)),
        Property::eventually(HANDED_OVER, |bounds: &Bounds, world: &World| bounds.is_done(world, nobody_dead_holds)),
        Property::always(ONCE, |_, world: &World| lacks(world, Broken::AgainThoughOnce)),
    ]
}

fn lacks(world: &World, broken: Broken) -> bool {
    !world.broken.contains(&broken)
}

/// Up to the mark every occurrence is a run or recorded, and counted; behind it none is.
fn balances(world: &World) -> bool {
    let store = &world.store;
    let (upto, ahead) = store.occurrences.split_at(usize::from(store.mark));
    let runs = upto.iter().filter(|occurrence| matches!(occurrence, Occurrence::Run(_))).count();
    let recorded = upto.iter().filter(|occurrence| matches!(occurrence, Occurrence::Recorded(_))).count();
    runs == usize::from(store.runs)
        && recorded == usize::from(store.recorded)
        && runs + recorded == usize::from(store.mark)
        && ahead.iter().all(|occurrence| *occurrence == Occurrence::Ahead)
}

fn has_settled(bounds: &Bounds, world: &World) -> bool {
    let runs = (0..OCCURRENCES).filter_map(|occurrence| world.store.run(occurrence));
    usize::from(world.store.mark) == bounds.due.len() && runs.into_iter().all(|run| run.is == Is::Ended)
}

fn nobody_dead_holds(world: &World) -> bool {
    (0..OCCURRENCES).filter_map(|occurrence| world.store.run(occurrence)).all(|run| match run.is {
        Is::Held(holder) => world.nodes[usize::from(holder)].is_running(),
        Is::Waiting | Is::Ended => true,
    })
}

impl Bounds {
    /// Whether `it` has come about where nothing is left to do. Behind what is broken nobody looks.
    fn is_done(&self, world: &World, it: impl Fn(&World) -> bool) -> bool {
        !world.broken.is_empty() || (self.is_over(world) && (self.nobody_can(world) || it(world)))
    }

    /// Whether all that was to be done in the time that the model looks at has been done.
    fn is_over(&self, world: &World) -> bool {
        let is_busy = || (0..self.nodes).any(|node| world.is_busy(node, self));
        world.now == self.horizon && world.store.is_up && !is_busy()
    }

    /// Whether no node has been there for long enough to take over, and to execute what it got.
    fn nobody_can(&self, world: &World) -> bool {
        let mut nodes = world.nodes.iter().zip(&world.store.holders);
        !nodes.any(|(node, holder)| {
            let is_in_contact = world.now - holder.last_beat <= SILENCE;
            node.is_running() && is_in_contact && world.now - holder.in_contact_since >= LEASE + 2
        })
    }
}
