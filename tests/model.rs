//! A model of what fires an occurrence once and hands a dead node's runs over, looked through by the checker `stateright`: every
//! order of steps of small clusters, whose nodes crash, freeze and thaw, whose heartbeats, questions and answers are lost or late,
//! and whose store is away. Each world has a few troubles of its own, and all that they may lead to is seen.
//!
//! It is written from the code, in its names, and shares nothing with it: where the rules of marks, leases, contact, trust and
//! tokens change there, they change here. It leaves out machines that are suspended (their monotonic clock stands still), stores
//! that lose what they have answered, and clocks that run faster than others.
//!
//! A mutant is the model without one thing. Each has to break the promise that rests on it, so that no promise holds for want of
//! trouble; and each situation that a promise is about comes about in one of the worlds.
//!
//! The worlds have 634,728 states and 1,487,907 steps between them, and the mutants are found after fewer than 500,000 states:
//! together 32 s of processor time without optimization (Intel Xeon, Rust 1.95), 40 s on two cores that others used as well.

mod model {
    pub(crate) mod bounds;
    pub(crate) mod checked;
    pub(crate) mod mutant;
    pub(crate) mod node;
    pub(crate) mod promise;
    pub(crate) mod situation;
    pub(crate) mod store;
    pub(crate) mod world;
}

use std::collections::BTreeSet;
use std::time::Instant;

use model::bounds::{self, Bounds};
use model::mutant::Mutant;
use model::promise;
use stateright::{Checker, Expectation, HasDiscoveries, Model, Path};

/// Above this a world is no small one any more, and `.ci/run` would wait for it.
const STATES_MAX: usize = 200_000;

#[test]
fn the_promises_hold_in_every_order_of_steps() {
    let mut not_seen: BTreeSet<_> = model::situation::all().iter().map(|situation| situation.name).collect();
    for world in bounds::ALL {
        let began = Instant::now();
        let checker = world.checker().threads(2).target_state_count(50 * STATES_MAX).spawn_bfs().join();
        let (states, steps) = (checker.unique_state_count(), checker.state_count());
        println!("{}: {states} states, {steps} steps, {:?}", world.name, began.elapsed());
        assert!(states <= STATES_MAX, "the world {:?} has {states} states", world.name);
        for (name, path) in checker.discoveries() {
            let is_situation = world.property(name).expectation == Expectation::Sometimes;
            let steps = || path.clone().into_actions();
            assert!(is_situation, "in the world {:?} it does not hold that {name}: {:#?}", world.name, steps());
            not_seen.remove(name);
        }
    }
    assert!(not_seen.is_empty(), "in no world it comes about that {not_seen:?}");
}

#[test]
fn each_mutant_breaks_the_promise_that_rests_on_what_it_lacks() {
    let began = Instant::now();
    for mutant in Mutant::ALL {
        let (world, promise) = bounds::that_show(mutant);
        let world = Bounds { without: Some(mutant), ..world };
        let checker =
            world.checker().threads(2).finish_when(HasDiscoveries::AnyOf([promise].into())).spawn_bfs().join();
        let path = checker.discovery(promise).map(Path::into_actions);
        println!(
            "{mutant:?}: after {} states, in {:?} steps",
            checker.unique_state_count(),
            path.as_ref().map(Vec::len)
        );
        assert!(path.is_some(), "with {mutant:?} it still holds that {promise}");
    }
    println!("{:?}", began.elapsed());
}

#[test]
fn each_promise_is_broken_by_a_mutant() {
    let broken: BTreeSet<_> = Mutant::ALL.iter().map(|&mutant| bounds::that_show(mutant).1).collect();
    let promises: BTreeSet<_> = promise::all().iter().map(|promise| promise.name).collect();
    assert_eq!(broken, promises);
}
