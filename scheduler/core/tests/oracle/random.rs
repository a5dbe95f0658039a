//! A seeded source of choices: the same seed makes the same test.

/// SplitMix64, by Steele, Lea and Flood (OOPSLA 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From `low` through `high`.
    pub(crate) fn range(&mut self, low: u32, high: u32) -> u32 {
        low + (self.next() % u64::from(high - low + 1)) as u32
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }
}

/// `SYMPHRA_SEED`, else one from the clock; printed, so that a failure can be run again.
pub(crate) fn seed(test: &str) -> u64 {
    let seed = match std::env::var("SYMPHRA_SEED") {
        Ok(seed) => seed.parse().expect("SYMPHRA_SEED is a whole number"),
        Err(_) => std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970").as_nanos() as u64,
    };
    println!("{test}: SYMPHRA_SEED={seed}");
    seed
}

/// Whether the long form of a test was asked for.
pub(crate) fn is_nightly() -> bool {
    std::env::var_os("SYMPHRA_NIGHTLY").is_some_and(|value| value == "1")
}
