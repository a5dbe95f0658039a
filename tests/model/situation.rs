//! What has to come about somewhere: a promise that is kept only because nothing happens would be worth nothing.

use stateright::Property;

use super::bounds::{Bounds, Delivery};
use super::store::is_held;
use super::world::{
    Admission, Answer, Beat, CLAIM, Call, DOUBT_AFTER, ENQUEUE, HOLDS, Holds, Is, LEASE, Lives, Node, OCCURRENCES,
    Occurrence, Question, Reason, World,
};

pub(crate) fn all() -> Vec<Property<Bounds>> {
    vec![
        Property::sometimes("two nodes fire one occurrence", |_, world: &World| {
            let marks = world.nodes.iter().filter_map(|node| match asked(node, ENQUEUE) {
                Some(Question::Enqueue(firing)) => Some(firing.mark),
                _ => None,
            });
            let mut marks: Vec<u8> = marks.collect();
            marks.sort_unstable();
            marks.windows(2).any(|two| two[0] == two[1])
        }),
        Property::sometimes("a step is asked again that was made", |_, world: &World| {
            let made = world.store.last_step.map(|(step, _)| step);
            world.nodes.iter().any(
                |node| matches!(asked(node, ENQUEUE), Some(Question::Enqueue(firing)) if Some(firing.step) == made),
            )
        }),
        Property::sometimes("a claim is asked again that was made", |_, world: &World| {
            world.nodes.iter().zip(&world.store.holders).any(|(node, holder)| {
                matches!(asked(node, CLAIM), Some(Question::Claim(number)) if Some(number) == holder.last_claim)
            })
        }),
        Property::sometimes("a run is taken over", |_, world: &World| {
            runs(world).any(|run| run.deaths > 0 && matches!(run.is, Is::Held(_)))
        }),
        Property::sometimes("a run is taken over twice", |_, world: &World| runs(world).any(|run| run.deaths > 1)),
        Property::sometimes("a run that was taken over is ended by who had it", |_, world: &World| {
            world.nodes.iter().flat_map(|node| node.calls).flatten().any(|call| match call {
                Call::Asked { question: Question::Finish { occurrence, token, .. }, .. } => {
                    is_stale(world, usize::from(occurrence), token)
                }
                _ => false,
            })
        }),
        Property::sometimes("an answer brings a run that is another's by now", |_, world: &World| {
            world.nodes.iter().flat_map(|node| node.calls).flatten().any(|call| match call {
                Call::Answered(Answer::Enqueued(firing, Admission::Claimed { token })) => {
                    is_stale(world, usize::from(firing.to - 1), token)
                }
                Call::Answered(Answer::Claimed(got)) => (0..OCCURRENCES)
                    .any(|occurrence| got[occurrence].is_some_and(|token| is_stale(world, occurrence, token))),
                _ => false,
            })
        }),
        Property::sometimes(
            "a node is frozen for longer than its lease, with a run that waits in it",
            |_, world: &World| {
                world.nodes.iter().any(|node| {
                    let waits = node.holds.iter().any(|held| matches!(held, Holds::Waiting { .. }));
                    node.lives == Lives::Frozen && waits && world.now > node.good_until
                })
            },
        ),
        Property::sometimes("the answer to a heartbeat is read when its lease has run out", |_, world: &World| {
            let is_old = |node: &Node| matches!(node.beat, Beat::Answered { asked, .. } if world.now > asked + LEASE);
            world.nodes.iter().any(|node| node.is_running() && is_old(node))
        }),
        Property::sometimes("a heartbeat is asked long after the clock was read for it", |_, world: &World| {
            let is_old = |node: &Node| matches!(node.beat, Beat::Asked { at } if world.now >= at + DOUBT_AFTER);
            world.nodes.iter().any(|node| node.is_running() && is_old(node))
        }),
        Property::sometimes("a node asks what it has lost, and has lost something", |_, world: &World| {
            world.nodes.iter().flat_map(|node| node.calls).flatten().any(|call| match call {
                Call::Asked { question: Question::Lost(held), .. } => {
                    (0..HOLDS).any(|place| held[place].is_some_and(|token| is_stale(world, place / 2, token)))
                }
                _ => false,
            })
        }),
        Property::sometimes(
            "a node comes back after a long silence, and what waits in it is its own",
            |_, world: &World| {
                world.nodes.iter().any(|node| {
                    let is_own = |(place, held): (usize, &Holds)| match held {
                        Holds::Waiting { token } => is_held(&world.store, place / 2, *token),
                        _ => false,
                    };
                    node.is_in_doubt() && node.holds.iter().enumerate().any(is_own)
                })
            },
        ),
        Property::sometimes("an outage outlasts every lease", |bounds: &Bounds, world: &World| {
            let holders = &world.store.holders[..usize::from(bounds.nodes)];
            !world.store.is_up && holders.iter().all(|holder| world.now - holder.last_beat > LEASE)
        }),
        Property::sometimes("an occurrence is recorded as missed", |_, world: &World| {
            world.store.occurrences.contains(&Occurrence::Recorded(Reason::Missed))
        }),
        Property::sometimes("an occurrence is recorded for its overlap", |_, world: &World| {
            world.store.occurrences.contains(&Occurrence::Recorded(Reason::Overlap))
        }),
        Property::sometimes("a node fires ahead of the store's clock", |bounds: &Bounds, world: &World| {
            world.nodes.iter().any(|node| match asked(node, ENQUEUE) {
                Some(Question::Enqueue(firing)) => bounds.due[usize::from(firing.to - 1)] > world.now,
                _ => false,
            })
        }),
        Property::sometimes("an occurrence is late before it arrives", |_, world: &World| {
            world.nodes.iter().any(|node| match asked(node, ENQUEUE) {
                Some(Question::Enqueue(firing)) => firing.accept_until.is_some_and(|until| world.now > until),
                _ => false,
            })
        }),
        Property::sometimes("a run waits for its next attempt", |_, world: &World| {
            runs(world).any(|run| run.is == Is::Waiting)
        }),
        Property::sometimes("a question arrives after it was asked again and answered", |_, world: &World| {
            world.astray.is_some_and(|(node, question)| world.nodes[usize::from(node)].calls[question.kind()].is_none())
        }),
        Property::sometimes("a run ends by the death of its node", |bounds: &Bounds, world: &World| {
            bounds.delivery == Delivery::AtMostOnce && runs(world).any(|run| run.deaths > 0 && run.is == Is::Ended)
        }),
        Property::sometimes("a node that was started anew takes over", |bounds: &Bounds, world: &World| {
            let is_new = |number: u8| number >= bounds.nodes - bounds.troubles.restarts;
            runs(world).any(|run| run.deaths > 0 && matches!(run.is, Is::Held(holder) if is_new(holder)))
        }),
    ]
}

fn asked(node: &Node, kind: usize) -> Option<Question> {
    match node.calls[kind] {
        Some(Call::Asked { question, .. }) => Some(question),
        _ => None,
    }
}

fn runs(world: &World) -> impl Iterator<Item = &super::world::Run> {
    (0..OCCURRENCES).filter_map(|occurrence| world.store.run(occurrence))
}

fn is_stale(world: &World, occurrence: usize, token: u8) -> bool {
    !is_held(&world.store, occurrence, token)
}
