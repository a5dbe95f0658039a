//! The present by which the engine decides: the store's, corrected as it is measured. It never goes back but by a step.
//!
//! A step of the node's own clock is none of the store's as long as nothing says so: time goes on as it did, nothing fires,
//! and the heart beats at once. What it measures tells whether the store's clock was set too, as it is where both are one.

use chrono::TimeDelta;
use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::Turns;
use super::event::Event;
use super::notice::Notice;
use super::state::Now;
use crate::clock::{ClockStep, ClockWatch, Steps, StoreClock};

/// What is needed to tell the present.
pub(crate) struct Present {
    /// Wakes the engine when the node's own clock was set.
    pub(super) steps: Steps,
    watch: ClockWatch,
    began: Instant,
    /// The latest that was told: what is decided may hang on it, so that nothing earlier is.
    latest: Timestamp,
    /// The number of the measurement that is awaited, since the node's own clock was set.
    awaits: Option<u64>,
}

impl Present {
    /// To be made before the offset is measured: a step of the node's own clock is noticed from then on.
    pub(crate) fn new(clock: &StoreClock) -> Self {
        // First, so that no step lies between the two.
        let steps = Steps::of(clock.local());
        let watch = ClockWatch::new(clock.local());
        Self { steps, watch, began: clock.monotonic(), latest: Timestamp::MIN, awaits: None }
    }
}

impl Turns {
    pub(super) fn now(&mut self) -> Now {
        let clock = &self.engine.clock;
        let reading = self.engine.present.watch.read(clock.local());
        if let Some(step) = reading.step {
            self.engine.offset.own_clock_was_set(step);
            self.engine.present.awaits = Some(self.engine.link.measure());
        }
        let wall = clock.corrected(reading.wall).max(self.engine.present.latest);
        self.engine.present.latest = wall;
        let is_sure = self.engine.present.awaits.is_none();
        Now { wall, is_sure, at: reading.passed, passed: reading.passed.duration_since(self.engine.present.began) }
    }

    /// Takes in what a heartbeat has measured.
    pub(super) fn take_measured(&mut self) {
        let Some((measured, asked)) = self.engine.link.take_measured() else { return };
        // So that a step of the node's own clock is noticed first.
        self.now();
        if self.engine.present.awaits.is_some_and(|awaited| asked < awaited) {
            return;
        }
        self.engine.present.awaits = None;
        if let Some(step) = self.engine.offset.adopt(&measured) {
            self.engine.present.latest = Timestamp::MIN;
            if let ClockStep::Back(by) = step {
                let until = self.now().wall.plus(by);
                self.engine.counts.repeats(until);
            }
            self.decide(Event::ClockStepped(step));
        }
        self.say_offset();
    }

    /// Says that the node's clock is off, or is not any more, once each.
    pub(super) fn say_offset(&mut self) {
        if let Some(differs) = self.engine.offset.newly_said() {
            self.engine.counts.clock_differs(differs);
            let offset = TimeDelta::milliseconds(self.engine.clock.offset_millis());
            self.actions.notices.push(if differs { Notice::ClockDiffers(offset) } else { Notice::ClockAgrees(offset) });
        }
    }
}
