//! The clock of a store in RabbitMQ, which has none: that of its owner's machine.

use std::time::Duration;

use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use crate::backend::memory::replica::At;
use crate::clock::Clock;

/// How far the clocks of two owners may differ without the store's clock going back: it stands still for so long at most.
const STANDS_MAX: Duration = Duration::from_secs(1);

/// The time that passes in this process.
pub(super) fn present() -> Instant {
    Clock::System.monotonic()
}

/// What is past for the store, and what its clock shows.
pub(super) struct OwnersClock {
    wall: Clock,
    began: Instant,
    /// How much time had passed for the store when this owner began.
    passed: Duration,
    /// What the store's clock had shown by then, if that of this machine was so little behind that it stands still for it.
    stands_at: Option<Timestamp>,
}

impl OwnersClock {
    /// The clock of an owner that goes on where the last step was made.
    pub(super) fn going_on_from(last: Option<At>) -> Self {
        Self::of(Clock::System, last)
    }

    fn of(wall: Clock, last: Option<At>) -> Self {
        let (passed, now) = (Duration::from_nanos(last.map_or(0, |at| at.passed_ns)), wall.now());
        // Decided once. A clock that is further behind comes that near later on, and would jump to what was shown.
        let stands_at = last.map(|at| at.now).filter(|&shown| shown > now && shown.since(now) <= STANDS_MAX);
        Self { began: wall.monotonic(), wall, passed, stands_at }
    }

    pub(super) fn at(&self) -> At {
        let (now, owned) = (self.wall.now(), self.wall.monotonic().duration_since(self.began));
        let held = self.stands_at.filter(|&shown| shown > now && owned <= STANDS_MAX);
        let passed = self.passed + owned;
        At { now: held.unwrap_or(now), passed_ns: u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: i64 = 1_000_000;

    /// The clock of an owner on a machine whose clock is so far behind what the last owner's had shown.
    fn behind(behind_ms: i64) -> (Clock, OwnersClock) {
        let wall = Clock::starting_at(Timestamp::from_millis(SHOWN - behind_ms));
        let last = At { now: Timestamp::from_millis(SHOWN), passed_ns: 7_000_000 };
        (wall.clone(), OwnersClock::of(wall, Some(last)))
    }

    /// What it shows after so long, and how much has passed for the store.
    async fn after(clock: &OwnersClock, ms: u64) -> (i64, u64) {
        tokio::time::advance(Duration::from_millis(ms)).await;
        let At { now, passed_ns } = clock.at();
        (now.as_millis() - SHOWN, passed_ns / 1_000_000)
    }

    #[tokio::test(start_paused = true)]
    async fn it_stands_still_until_a_clock_that_is_little_behind_has_come_up() {
        let (_, clock) = behind(800);
        assert_eq!(after(&clock, 0).await, (0, 7));
        assert_eq!(after(&clock, 799).await, (0, 806));
        assert_eq!(after(&clock, 11).await, (10, 817));
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_back_to_a_clock_that_is_far_behind_and_jumps_no_more() {
        let (_, clock) = behind(10_000);
        assert_eq!(after(&clock, 0).await.0, -10_000);
        assert_eq!(after(&clock, 9_500).await.0, -500);
        assert_eq!(after(&clock, 600).await.0, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn it_stands_still_for_its_last_owner_and_not_for_a_clock_that_is_set() {
        let (wall, clock) = behind(800);
        assert_eq!(after(&clock, 2_000).await.0, 1_200);
        wall.step(-1_500);
        assert_eq!(after(&clock, 0).await.0, -300);
    }
}
