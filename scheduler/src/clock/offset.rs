//! The store's clock as a node knows it: its own clock, and the offset that it has measured. Pure, but for the readings of
//! [`Clock`], which its callers ask for.
//!
//! A question to the store and its answer leave a span within which the offset lies: the store's clock was read between the
//! two. A belief within that span stands, so that what jitters is the measurement and never the time; for a store whose
//! clock is the node's own the offset is exactly zero for ever. A belief outside it was wrong by no more than it was known to
//! be, and moves as little as it must; or else one of the two clocks was set, and it moves to the middle of the span.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::{Clock, ClockStep, STEP_MIN};

/// A question that was answered later than this says too little about the second from which on an offset is said.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);

/// With a shorter round trip an offset is known well enough to start with.
const ROUND_TRIP_GOOD: Duration = Duration::from_millis(10);

/// By how much two clocks drift apart at most, as a part of the time that passes: no kernel slews its clock faster than by
/// 500 in a million.
const DRIFT_PARTS: u32 = 2_000;

/// A greater offset is said.
const SAID_FROM_MILLIS: u64 = 1_000;

/// A lesser one is not any more; in between it stays as it was, so that an offset on the edge is not said again and again.
const SAID_UNTIL_MILLIS: u64 = 500;

/// The store's clock: the node's own, corrected. Clones show the same.
#[derive(Clone, Debug)]
pub(crate) struct StoreClock {
    local: Clock,
    offset_millis: Arc<AtomicI64>,
}

impl StoreClock {
    /// Until something else is measured, the node's own clock.
    pub(crate) fn new(local: Clock) -> Self {
        Self { local, offset_millis: Arc::default() }
    }

    /// The node's own clock.
    pub(crate) const fn local(&self) -> &Clock {
        &self.local
    }

    /// How far the store's clock is ahead of the node's own.
    pub(crate) fn offset_millis(&self) -> i64 {
        self.offset_millis.load(Ordering::Relaxed)
    }

    /// What the store's clock says, in whole milliseconds, as far as the node knows.
    pub(crate) fn now(&self) -> Timestamp {
        self.corrected(self.local.now())
    }

    /// What the store's clock says when the node's own says `wall`.
    pub(crate) fn corrected(&self, wall: Timestamp) -> Timestamp {
        Timestamp::from_millis(wall.as_millis().saturating_add(self.offset_millis()))
    }

    /// How long it is until the store's clock shows `at`; zero if it has been.
    pub(crate) fn until(&self, at: Timestamp) -> Duration {
        self.local.until(Timestamp::from_millis(at.as_millis().saturating_sub(self.offset_millis())))
    }

    /// A reading that never goes back, for measuring how long something took.
    pub(crate) fn monotonic(&self) -> Instant {
        self.local.monotonic()
    }

    /// Begins a measurement: the store is about to be asked.
    pub(crate) fn ask(&self) -> Question {
        Question { wall: self.local.now(), passed: self.local.monotonic() }
    }
}

/// When the store was asked what its clock says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    wall: Timestamp,
    passed: Instant,
}

impl Question {
    /// Ends the measurement: the store has just answered.
    pub(crate) fn answered(self, clock: &StoreClock, stores: Timestamp) -> Measurement {
        let (passed, wall) = (clock.local.monotonic(), clock.local.now());
        Measurement::new(self, Question { wall, passed }, stores)
    }
}

/// Within what the offset lay when the store was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measurement {
    least_millis: i64,
    most_millis: i64,
    round_trip: Duration,
    asked: Instant,
    answered: Instant,
    stores: Timestamp,
    /// Whether the node's clock was set between the question and the answer.
    is_torn: bool,
}

impl Measurement {
    fn new(asked: Question, answered: Question, stores: Timestamp) -> Self {
        let ahead_of = |wall: Timestamp| stores.as_millis().saturating_sub(wall.as_millis());
        let (least_millis, most_millis) = (ahead_of(answered.wall), ahead_of(asked.wall));
        let round_trip = answered.passed.duration_since(asked.passed);
        let shown = asked.wall.plus(round_trip);
        let is_torn = shown.since(answered.wall).max(answered.wall.since(shown)) >= STEP_MIN;
        Self {
            least_millis: least_millis.min(most_millis),
            most_millis: most_millis.max(least_millis),
            round_trip,
            asked: asked.passed,
            answered: answered.passed,
            stores,
            is_torn,
        }
    }

    /// When the store was asked.
    pub(crate) const fn asked(&self) -> Instant {
        self.asked
    }

    /// What the store's clock said.
    pub(crate) const fn stores(&self) -> Timestamp {
        self.stores
    }

    /// Whether it is exact enough to begin with.
    pub(crate) fn is_good(&self) -> bool {
        self.is_usable() && self.round_trip <= ROUND_TRIP_GOOD
    }

    /// Whether it says that the clock is off from what is believed.
    pub(crate) fn contradicts(&self, clock: &StoreClock) -> bool {
        self.is_usable() && !self.span().contains(&clock.offset_millis())
    }

    fn is_usable(&self) -> bool {
        !self.is_torn && self.round_trip <= ROUND_TRIP_MAX
    }

    const fn span(&self) -> std::ops::RangeInclusive<i64> {
        self.least_millis..=self.most_millis
    }
}

/// What a node believes of its offset, and how well it knows it. The only one that changes a [`StoreClock`].
#[derive(Debug)]
pub(crate) struct Offset {
    clock: StoreClock,
    /// By how much it may have been wrong when it was last measured.
    uncertain: Duration,
    measured_at: Option<Instant>,
    is_said: bool,
}

impl Offset {
    pub(crate) const fn new(clock: StoreClock) -> Self {
        Self { clock, uncertain: Duration::ZERO, measured_at: None, is_said: false }
    }

    /// Takes in a measurement, and tells if by it the store's clock was set. A lesser change is none of a clock: it was not
    /// known better, or has drifted.
    pub(crate) fn adopt(&mut self, measured: &Measurement) -> Option<ClockStep> {
        if !measured.is_usable() {
            return None;
        }
        let drift = self.measured_at.map_or(Duration::ZERO, |at| measured.answered.duration_since(at) / DRIFT_PARTS);
        let known_within = self.uncertain.saturating_add(drift);
        self.measured_at = Some(measured.answered);
        let believed = self.clock.offset_millis();
        let (least, most) = measured.span().into_inner();
        let nearest = believed.clamp(least, most);
        let off_by = Duration::from_millis(nearest.abs_diff(believed));
        let (is_step, offset) = if off_by > known_within.saturating_add(STEP_MIN) {
            (true, least + (most - least) / 2)
        } else {
            (false, nearest)
        };
        let edges = offset.abs_diff(least).max(most.abs_diff(offset)) + 1;
        let measured_within = Duration::from_millis(edges);
        self.uncertain = if is_step { measured_within } else { known_within.min(measured_within) };
        self.clock.offset_millis.store(offset, Ordering::Relaxed);
        let by = Duration::from_millis(offset.abs_diff(believed));
        let step = if offset > believed { ClockStep::Forward(by) } else { ClockStep::Back(by) };
        is_step.then_some(step)
    }

    /// The node's own clock was set. Nothing says that the store's was: it goes on as before until it is measured.
    pub(crate) fn own_clock_was_set(&mut self, step: ClockStep) {
        let by = match step {
            ClockStep::Forward(by) => millis(by),
            ClockStep::Back(by) => -millis(by),
        };
        self.clock.offset_millis.fetch_sub(by, Ordering::Relaxed);
        // Either is read in whole milliseconds.
        self.uncertain += Duration::from_millis(2);
    }

    /// Whether it is more than a second, if that has changed since it was last asked.
    pub(crate) fn newly_said(&mut self) -> Option<bool> {
        let millis = self.clock.offset_millis().unsigned_abs();
        let is_said = if self.is_said { millis >= SAID_UNTIL_MILLIS } else { millis > SAID_FROM_MILLIS };
        (std::mem::replace(&mut self.is_said, is_said) != is_said).then_some(is_said)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node's clock beside a store's, which is ahead of it, and the answers that take their time on the way.
    struct Stage {
        local: Clock,
        stores: Clock,
        clock: StoreClock,
        offset: Offset,
    }

    impl Stage {
        fn new(ahead_millis: i64) -> Self {
            let local = Clock::starting_at(Timestamp::from_millis(1_780_000_000_000));
            let stores = Clock::starting_at(local.now());
            stores.step(ahead_millis);
            let clock = StoreClock::new(local.clone());
            Self { local, stores, offset: Offset::new(clock.clone()), clock }
        }

        /// Measures, with this long a way there and back.
        async fn measure(&mut self, there: u64, back: u64) -> Option<ClockStep> {
            let question = self.clock.ask();
            tokio::time::advance(Duration::from_millis(there)).await;
            let stores = self.stores.now();
            tokio::time::advance(Duration::from_millis(back)).await;
            let measured = question.answered(&self.clock, stores);
            self.offset.adopt(&measured)
        }

        /// By how much the corrected clock is ahead of the store's.
        fn wrong(&self) -> i64 {
            self.clock.now().as_millis() - self.stores.now().as_millis()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_one_clock_the_offset_is_exactly_zero() {
        let mut stage = Stage::new(0);
        for (there, back) in [(0, 0), (3, 40), (700, 1), (1, 0)] {
            assert_eq!(stage.measure(there, back).await, None);
            assert_eq!(stage.clock.offset_millis(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_measurement_takes_the_middle_of_question_and_answer() {
        let mut stage = Stage::new(30_000);
        stage.measure(4, 4).await;
        assert_eq!((stage.clock.offset_millis(), stage.wrong()), (30_000, 0));
        let mut stage = Stage::new(-30_000);
        stage.measure(0, 8).await;
        assert_eq!(stage.wrong(), -4, "it is wrong by no more than half the round trip");
    }

    #[tokio::test(start_paused = true)]
    async fn what_jitters_moves_nothing_and_what_is_exact_moves_it_as_little_as_it_must() {
        let mut stage = Stage::new(5_000);
        stage.measure(0, 100).await;
        assert_eq!(stage.wrong(), -50);
        for (there, back) in [(90, 60), (0, 300), (80, 50)] {
            assert_eq!(stage.measure(there, back).await, None);
            assert_eq!(stage.wrong(), -50, "the belief lies within {there} and {back}");
        }
        assert_eq!(stage.measure(3, 3).await, None, "it was not known better: no clock was set");
        assert_eq!(stage.wrong(), -3);
        assert_eq!(stage.measure(0, 1).await, None);
        assert_eq!(stage.wrong(), -1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_trip_that_is_too_long_says_nothing() {
        let mut stage = Stage::new(30_000);
        assert_eq!(stage.measure(600, 600).await, None);
        assert_eq!(stage.clock.offset_millis(), 0);
        stage.measure(500, 500).await;
        assert_eq!(stage.clock.offset_millis(), 30_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_of_the_stores_clock_is_told_with_its_size_and_direction() {
        let mut stage = Stage::new(0);
        stage.measure(1, 1).await;
        stage.stores.step(3_600_000);
        assert_eq!(stage.measure(1, 1).await, Some(ClockStep::Forward(Duration::from_secs(3_600))));
        stage.stores.step(-60_000);
        assert_eq!(stage.measure(1, 1).await, Some(ClockStep::Back(Duration::from_secs(60))));
        assert_eq!(stage.measure(1, 1).await, None, "once");
        assert_eq!(stage.wrong(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_of_the_nodes_own_clock_is_none_of_the_stores() {
        let mut stage = Stage::new(0);
        stage.measure(1, 1).await;
        stage.local.step(45_000);
        stage.offset.own_clock_was_set(ClockStep::Forward(Duration::from_secs(45)));
        assert_eq!(stage.wrong(), 0, "it goes on as before");
        assert_eq!(stage.measure(1, 1).await, None);
        assert_eq!(stage.clock.offset_millis(), -45_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_between_question_and_answer_is_not_measured_by_them() {
        let mut stage = Stage::new(100_000);
        let question = stage.clock.ask();
        let stores = stage.stores.now();
        stage.local.step(45_000);
        let torn = question.answered(&stage.clock, stores);
        assert_eq!((stage.offset.adopt(&torn), stage.clock.offset_millis()), (None, 0));
        assert!(!torn.contradicts(&stage.clock));
    }

    /// A clock that runs by 400 in a million too fast, not measured for an hour.
    #[tokio::test(start_paused = true)]
    async fn what_has_drifted_for_long_was_not_set() {
        let mut stage = Stage::new(0);
        stage.measure(1, 1).await;
        tokio::time::advance(Duration::from_secs(3_600)).await;
        stage.local.step(1_440);
        assert_eq!(stage.measure(1, 1).await, None);
        assert!(stage.wrong().abs() <= 1, "{}", stage.wrong());
        stage.local.step(1_440);
        assert!(stage.measure(1, 1).await.is_some(), "the same within moments is a step");
    }

    #[tokio::test(start_paused = true)]
    async fn an_offset_is_said_from_a_second_on_and_until_half_a_second() {
        let mut stage = Stage::new(1_000);
        stage.measure(0, 0).await;
        assert_eq!(stage.offset.newly_said(), None);
        for (by, said) in [(1, Some(true)), (-2, None), (2, None), (-501, None), (-1, Some(false)), (500, None)] {
            stage.stores.step(by);
            stage.measure(0, 0).await;
            assert_eq!(stage.offset.newly_said(), said, "at {}", stage.clock.offset_millis());
        }
    }
}
