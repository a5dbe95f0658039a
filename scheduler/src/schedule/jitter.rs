//! How far an occurrence is moved, so that tasks with one instant do not all start together.
//!
//! Deterministic: every node, and every start of a program, moves an occurrence of a task by the same time.

use std::time::Duration;

use symphra_scheduler_core::Timestamp;

/// What sets a task apart from others: the same for the same name, in every version of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JitterSeed(u64);

impl JitterSeed {
    /// FNV-1a, 64 bits (RFC 9923).
    pub(crate) fn of(name: &str) -> Self {
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        Self(hash)
    }

    /// From zero to `longest`, both included, evenly over the occurrences.
    pub(crate) fn of_occurrence(self, at: Timestamp, longest: Duration) -> Duration {
        let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        let mut random = fastrand::Rng::with_seed(self.0 ^ at.as_millis().unsigned_abs().rotate_left(32));
        Duration::from_millis(random.u64(0..=millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_for_the_same_occurrence_and_spread_over_the_others() {
        let (longest, seed) = (Duration::from_secs(10), JitterSeed::of("report"));
        let mut sum = 0;
        for minute in 0..1_000 {
            let at = Timestamp::from_millis(minute * 60_000);
            let jitter = seed.of_occurrence(at, longest);
            assert!(jitter <= longest);
            assert_eq!(jitter, JitterSeed::of("report").of_occurrence(at, longest));
            sum += jitter.as_millis();
        }
        assert!((4_500_000..5_500_000).contains(&sum), "{sum}");
        let at = Timestamp::from_millis(0);
        assert_ne!(seed.of_occurrence(at, longest), JitterSeed::of("import").of_occurrence(at, longest));
    }
}
