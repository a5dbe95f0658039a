//! What the bodies of drawn tasks do: how long they last, how they end, and whether they heed a request to end.

use std::time::Duration;

use fastrand::Rng;
use symphra_scheduler::{BoxError, Retry, RunContext};

use super::scenario::{BodySpec, millis, one_in};

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum How {
    Succeeded,
    Failed,
    FailedUntil(i64),
    FailedForGood,
    Panicked,
    Heeded,
    Dropped,
}

/// What the body of an attempt is to do.
#[derive(Clone, Copy)]
pub(crate) struct Act {
    pub(crate) millis: u64,
    pub(crate) ends: How,
    pub(crate) ignores_cancellation: bool,
}

/// What keeps the journal of an attempt. Dropped without having ended, the attempt was cut short.
pub(crate) trait Attempted: Send {
    fn act(&self) -> Act;

    fn end(self, how: How);
}

/// What the body of a drawn task does.
pub(crate) async fn work(going: impl Attempted, run: RunContext) -> Result<(), BoxError> {
    let act = going.act();
    let lasting = async {
        if act.millis > 0 {
            tokio::time::sleep(Duration::from_millis(act.millis)).await;
        }
    };
    tokio::select! {
        biased;
        () = lasting => {}
        () = run.cancelled(), if !act.ignores_cancellation => {
            going.end(How::Heeded);
            return Err("it was asked to end".into());
        }
    }
    going.end(act.ends);
    match act.ends {
        How::Failed => Err("it failed".into()),
        How::FailedUntil(wait) => Err(Retry::after(millis(wait), "not yet").into()),
        How::FailedForGood => Err(Retry::never("not ever").into()),
        // As a panic, without a word of the hook on each.
        How::Panicked => std::panic::resume_unwind(Box::new("a body that panics")),
        How::Succeeded | How::Heeded | How::Dropped => Ok(()),
    }
}

impl Act {
    pub(crate) fn draw(random: &mut Rng, body: BodySpec) -> Self {
        let millis = if one_in(random, 4) { 0 } else { random.u64(0..=body.duration_max) };
        let ends = if random.u8(..100) >= body.failures {
            How::Succeeded
        } else {
            match random.u8(..6) {
                0 => How::FailedUntil(random.i64(0..8_000)),
                1 => How::FailedForGood,
                2 => How::Panicked,
                _ => How::Failed,
            }
        };
        Self { millis, ends, ignores_cancellation: body.ignores_cancellation }
    }
}
