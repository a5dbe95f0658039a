//! A deterministic simulation: from one seed come tasks, options, bodies, commands, clock steps and faults of the store;
//! a model written from the contract (SPEC 1, 4, 5) watches what the real engine makes of them under virtual time.
//!
//! `SYMPHRA_SEED=7` replays one seed and prints its transcript; `SYMPHRA_NIGHTLY=1` plays 10,000 instead of 200.

mod simulation {
    pub(crate) mod calendar;
    pub(crate) mod journal;
    pub(crate) mod play;
    pub(crate) mod scenario;
    pub(crate) mod verdict;
}

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use simulation::play::{Played, play};

/// Seeds are small numbers, so that they can be read out.
const SEEDS: std::ops::Range<u64> = 0..1_000_000_000;

/// Of so many seeds the transcript is made twice.
const TWICE: u64 = 4;

#[test]
fn whatever_happens_the_promises_hold() {
    if let Ok(seed) = std::env::var("SYMPHRA_SEED") {
        let Played { violations, transcript } = play(seed.parse().expect("SYMPHRA_SEED is a number"));
        println!("{transcript}");
        assert!(violations.is_empty(), "seed {seed}:\n{}", violations.join("\n"));
        return;
    }
    let number = if std::env::var("SYMPHRA_NIGHTLY").is_ok_and(|asked| asked == "1") { 10_000 } else { 200 };
    let first = fastrand::u64(SEEDS);
    println!("seeds {first} to {}", first + number - 1);
    let (next, failed) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + number {
                return;
            }
            if let Err(says) = outcome(seed) {
                let says = format!("SYMPHRA_SEED={seed}: {says}");
                eprintln!("{says}");
                failed.lock().unwrap_or_else(PoisonError::into_inner).push(says);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(failed.is_empty(), "{} of {number} seeds fail:\n{}", failed.len(), failed.join("\n"));
}

/// What is wrong with a seed.
fn outcome(seed: u64) -> Result<(), String> {
    let played = catch_unwind(AssertUnwindSafe(|| play(seed)));
    let Played { violations, .. } = played.map_err(|_| "it panics".to_owned())?;
    if violations.is_empty() { Ok(()) } else { Err(violations[..violations.len().min(3)].join("\n    ")) }
}

#[test]
fn one_seed_gives_one_transcript() {
    let first = fastrand::u64(SEEDS);
    for seed in first..first + TWICE {
        let (once, again) = (play(seed).transcript, play(seed).transcript);
        let differs = once.lines().zip(again.lines()).find(|(once, again)| once != again);
        assert!(once == again, "seed {seed}: {differs:?}");
    }
}
