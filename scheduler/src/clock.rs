//! The only reader of clocks. Everything below the engine takes instants as arguments.
//!
//! [`Clock`] answers two questions: what the wall says ([`Clock::now`]), and how much time has passed
//! ([`Clock::monotonic`]). [`ClockWatch`] compares the two and so notices a step of the wall clock or a suspended
//! machine; [`Steps`] tells when it is worth comparing them. [`StoreClock`] is what schedules go by: the store's clock, which is a
//! node's own one and a measured offset.

mod offset;
mod steps;

#[cfg(any(test, feature = "test-util"))]
use std::sync::Arc;
#[cfg(any(test, feature = "test-util"))]
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use symphra_scheduler_core::Timestamp;
#[cfg(any(test, feature = "test-util"))]
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use offset::{Measurement, Offset, StoreClock};
pub(crate) use steps::Steps;

/// A step smaller than this is drift, which a time daemon slews and which no schedule notices.
const STEP_MIN: Duration = Duration::from_millis(20);

/// Two readings further apart than this do not describe one moment, so nothing is concluded from them.
const READING_SPREAD_MAX: Duration = Duration::from_millis(5);

/// A source of time.
#[derive(Clone, Debug, Default)]
pub(crate) enum Clock {
    /// The machine's clocks.
    #[default]
    System,
    /// Tokio's time, which a test pauses, laid over a chosen start, with steps.
    #[cfg(any(test, feature = "test-util"))]
    Virtual(Arc<Virtual>),
}

#[cfg(any(test, feature = "test-util"))]
#[derive(Debug)]
pub(crate) struct Virtual {
    origin: Timestamp,
    started: Instant,
    stepped_millis: AtomicI64,
    /// Tells that it was stepped; `None` if it keeps that to itself, as clocks of some systems do.
    told: Option<watch::Sender<()>>,
}

impl Clock {
    /// A clock that shows `origin` now, follows tokio's time and can be stepped.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn starting_at(origin: Timestamp) -> Self {
        Self::laid_over(origin, Some(watch::Sender::new(())))
    }

    /// The same, of whose steps nobody is told.
    #[cfg(test)]
    pub(crate) fn that_tells_nothing(origin: Timestamp) -> Self {
        Self::laid_over(origin, None)
    }

    #[cfg(any(test, feature = "test-util"))]
    fn laid_over(origin: Timestamp, told: Option<watch::Sender<()>>) -> Self {
        Self::Virtual(Arc::new(Virtual { origin, started: Instant::now(), stepped_millis: AtomicI64::new(0), told }))
    }

    /// Sets the wall of a virtual clock forward (or, negative, back) by `millis`.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn step(&self, millis: i64) {
        match self {
            Self::System => panic!("only a virtual clock can be stepped"),
            Self::Virtual(time) => {
                time.stepped_millis.fetch_add(millis, Ordering::SeqCst);
                if let Some(told) = &time.told {
                    told.send_replace(());
                }
            }
        }
    }

    /// What the wall clock says, rounded down to the millisecond, so that nothing seems due before it is.
    pub(crate) fn now(&self) -> Timestamp {
        match self {
            Self::System => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
                Err(before) => {
                    let before = i64::try_from(before.duration().as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
                    Timestamp::from_millis(-before)
                }
            },
            #[cfg(any(test, feature = "test-util"))]
            Self::Virtual(time) => {
                let shown = time.origin.plus(time.started.elapsed()).as_millis();
                Timestamp::from_millis(shown + time.stepped_millis.load(Ordering::SeqCst))
            }
        }
    }

    /// How long it is until the wall clock shows `at`, finer than [`now`](Self::now) rounds; zero if it has been.
    pub(crate) fn until(&self, at: Timestamp) -> Duration {
        match self {
            Self::System => {
                let millis = u64::try_from(at.as_millis()).unwrap_or(0);
                UNIX_EPOCH
                    .checked_add(Duration::from_millis(millis))
                    .and_then(|at| at.duration_since(SystemTime::now()).ok())
                    .unwrap_or_default()
            }
            #[cfg(any(test, feature = "test-util"))]
            Self::Virtual(_) => at.since(self.now()),
        }
    }

    /// Whether it follows tokio's time, which a thread of its own would not see pass.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) const fn is_virtual(&self) -> bool {
        matches!(self, Self::Virtual(_))
    }

    /// A reading that never goes back, for measuring how long something took.
    #[expect(clippy::unused_self, reason = "time comes from the clock that was passed in, whichever it is")]
    pub(crate) fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

/// How far the wall clock was set, against the time that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockStep {
    /// Set forward, or the machine was suspended.
    Forward(Duration),
    /// Set back.
    Back(Duration),
}

/// What a clock showed at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) wall: Timestamp,
    pub(crate) passed: Instant,
    /// The step since the reading before, if there was one.
    pub(crate) step: Option<ClockStep>,
}

/// Notices when the wall clock and the time that passed disagree.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    wall: Timestamp,
    passed: Instant,
}

impl ClockWatch {
    pub(crate) fn new(clock: &Clock) -> Self {
        Self { wall: clock.now(), passed: clock.monotonic() }
    }

    /// Reads the clock.
    pub(crate) fn read(&mut self, clock: &Clock) -> Reading {
        let before = clock.monotonic();
        let wall = clock.now();
        let passed = clock.monotonic();
        let expected = self.wall.plus(passed.duration_since(self.passed));
        if passed.duration_since(before) > READING_SPREAD_MAX {
            // Nobody knows whether the wall clock was set: the next reading tells.
            return Reading { wall: expected, passed, step: None };
        }
        let (ahead, behind) = (wall.since(expected), expected.since(wall));
        // Anew at each look, so that a slow drift never adds up to a step.
        *self = Self { wall, passed };
        let step = if ahead > behind { ClockStep::Forward(ahead) } else { ClockStep::Back(behind) };
        let is_step = ahead >= STEP_MIN || behind >= STEP_MIN;
        Reading { wall, passed, step: is_step.then_some(step) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_that_passes_is_no_step() {
        let clock = Clock::starting_at(Timestamp::from_millis(0));
        let mut watch = ClockWatch::new(&clock);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(watch.read(&clock).step, None);
        assert_eq!(clock.now(), Timestamp::from_millis(3_600_000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_drift_is_no_step_however_long_it_goes_on() {
        let clock = Clock::starting_at(Timestamp::from_millis(0));
        let mut watch = ClockWatch::new(&clock);
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(1)).await;
            clock.step(-1);
            assert_eq!(watch.read(&clock).step, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_is_told_once_with_its_size_and_direction() {
        let clock = Clock::starting_at(Timestamp::from_millis(0));
        let mut watch = ClockWatch::new(&clock);
        clock.step(5_000);
        assert_eq!(watch.read(&clock).step, Some(ClockStep::Forward(Duration::from_secs(5))));
        assert_eq!(watch.read(&clock).step, None);
        clock.step(-60_000);
        assert_eq!(watch.read(&clock).step, Some(ClockStep::Back(Duration::from_secs(60))));
    }
}
