//! How late bodies start, recorded by all contenders alike and at a price that none of them feels.
//!
//! A firing costs one reading of the wall clock and two or three relaxed additions in memory that only one thread
//! writes: no lock, no allocation, no shared cache line. Lateness is the time since the full second before the start of
//! the body, so a start that is a whole second late counts as on time: that is why the share of fired occurrences
//! stands beside it, and why [`Lateness::last_tenth`] tells of starts just before the second.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// More than the threads that run bodies here: two workers, and a scheduler's own.
const SHARDS: usize = 16;
/// Below this many microseconds every one has its bucket.
const LINEAR: usize = 64;
/// Above, each doubling is cut into this many buckets: a value is known to within 1/32.
const PER_OCTAVE: usize = 32;
/// 64 µs to beyond a second takes 14 doublings.
const BUCKETS: usize = LINEAR + 14 * PER_OCTAVE;

/// Where bodies record that they started.
#[derive(Debug)]
pub struct Recorder {
    /// Only starts within these full seconds count: `from ≤ second < until`.
    from: AtomicU64,
    until: AtomicU64,
    shards: Vec<Shard>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    buckets: [AtomicU32; BUCKETS],
    max_micros: AtomicU32,
}

/// What was recorded.
#[derive(Clone, Copy, Debug)]
pub struct Lateness {
    /// Bodies that started within the window.
    pub fired: u64,
    /// Half of the starts were at most this late.
    pub p50: Duration,
    /// 99 of 100 starts were at most this late.
    pub p99: Duration,
    /// The latest start.
    pub max: Duration,
    /// Starts in the last tenth of a second: either 0.9 s late or too early.
    pub last_tenth: u64,
}

impl Recorder {
    /// A recorder that counts nothing until it is opened, for ever: bodies hold a plain reference.
    pub fn leaked() -> &'static Self {
        let shard = |_| Shard { buckets: [const { AtomicU32::new(0) }; BUCKETS], max_micros: AtomicU32::new(0) };
        let shards = (0..SHARDS).map(shard).collect();
        Box::leak(Box::new(Self { from: AtomicU64::new(u64::MAX), until: AtomicU64::new(0), shards }))
    }

    /// Counts the starts from the full second `from` to before the full second `until`, both since 1970.
    pub fn open(&self, from: u64, until: u64) {
        self.until.store(until, Relaxed);
        self.from.store(from, Relaxed);
    }

    /// A body has started now.
    pub fn started(&self) {
        let now = since_1970();
        if now.as_secs() < self.from.load(Relaxed) || now.as_secs() >= self.until.load(Relaxed) {
            return;
        }
        let micros = now.subsec_micros();
        let shard = &self.shards[shard_of_this_thread()];
        shard.buckets[bucket(micros)].fetch_add(1, Relaxed);
        if micros > shard.max_micros.load(Relaxed) {
            shard.max_micros.fetch_max(micros, Relaxed);
        }
    }

    /// Adds up what was recorded so far.
    pub fn read(&self) -> Lateness {
        let mut counts = [0_u64; BUCKETS];
        for shard in &self.shards {
            for (count, bucket) in counts.iter_mut().zip(&shard.buckets) {
                *count += u64::from(bucket.load(Relaxed));
            }
        }
        let fired: u64 = counts.iter().sum();
        let max = self.shards.iter().map(|shard| shard.max_micros.load(Relaxed)).max().unwrap_or(0);
        let quantile = |percent: u64| {
            let mut wanted = (fired * percent).div_ceil(100);
            let reached = counts.iter().position(|&count| {
                wanted = wanted.saturating_sub(count);
                wanted == 0
            });
            // A bucket's upper edge may lie above what was seen.
            Duration::from_micros(upper_edge(reached.unwrap_or(0)).min(u64::from(max)))
        };
        Lateness {
            fired,
            p50: quantile(50),
            p99: quantile(99),
            max: Duration::from_micros(u64::from(max)),
            last_tenth: counts.iter().skip(bucket(900_000)).sum(),
        }
    }
}

/// The wall clock, as the time since 1970.
///
/// # Panics
/// The clock stands before 1970.
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands after 1970")
}

fn shard_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static SHARD: Cell<usize> = const { Cell::new(usize::MAX) });
    SHARD.with(|shard| {
        if shard.get() == usize::MAX {
            shard.set(NEXT.fetch_add(1, Relaxed) % SHARDS);
        }
        shard.get()
    })
}

fn bucket(micros: u32) -> usize {
    let micros = micros as usize;
    if micros < LINEAR {
        return micros;
    }
    let octave = (micros / LINEAR).ilog2() as usize;
    let within = (micros >> (octave + 1)) - PER_OCTAVE;
    LINEAR + octave * PER_OCTAVE + within
}

fn upper_edge(bucket: usize) -> u64 {
    if bucket < LINEAR {
        return bucket as u64;
    }
    let octave = (bucket - LINEAR) / PER_OCTAVE;
    let within = (bucket - LINEAR) % PER_OCTAVE;
    (((PER_OCTAVE + within + 1) << (octave + 1)) - 1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_microsecond_of_a_second_falls_into_a_bucket_that_reaches_it() {
        let mut last = 0;
        for micros in 0..1_000_000 {
            let bucket = bucket(micros);
            assert!(bucket == last || bucket == last + 1, "{micros} µs jumps from bucket {last} to {bucket}");
            let edge = upper_edge(bucket);
            assert!(edge >= u64::from(micros), "{micros} µs lies above the edge {edge} of its bucket");
            assert!(edge - u64::from(micros) <= u64::from(micros) / 31, "{micros} µs is read as {edge}");
            last = bucket;
        }
        assert!(last < BUCKETS);
    }

    #[test]
    fn starts_outside_the_window_are_not_counted() {
        let recorder = Recorder::leaked();
        recorder.started();
        let second = since_1970().as_secs();
        recorder.open(second, second + 3_600);
        recorder.started();
        recorder.open(second + 3_600, second + 7_200);
        recorder.started();
        assert_eq!(recorder.read().fired, 1);
    }
}
