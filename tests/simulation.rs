//! Deterministic simulations: from one seed come tasks, options, bodies, commands, clock steps and faults, under virtual time.
//!
//! - `whatever_happens`: one engine, which a model written from the contract (SPEC 1, 4, 5) watches.
//! - `a_cluster`: several engines over one store. Nodes are killed, frozen and cut off, calls fail or lose their answers,
//!   notices come late, clocks are wrong; the bodies keep a journal, against which the store's account is held.
//! - `planted_bugs`: stores that break one promise each, all of which the simulation of a cluster has to notice.
//!
//! To replay a seed that was printed, with its transcript:
//!
//! ```text
//! SYMPHRA_SEED=7 cargo test -p symphra-scheduler-tests --test simulation -- --nocapture a_cluster_keeps
//! ```
//!
//! with `whatever_happens_the` in place of `a_cluster_keeps` for one engine, and with `SYMPHRA_BUG=` and a part of its name for a
//! planted bug. `SYMPHRA_NIGHTLY=1` plays 10,000 seeds of each instead of 200.

mod simulation {
    pub(crate) mod body;
    pub(crate) mod bugs;
    pub(crate) mod calendar;
    pub(crate) mod cluster {
        pub(crate) mod account;
        pub(crate) mod contact;
        pub(crate) mod journal;
        pub(crate) mod play;
        pub(crate) mod world;
    }
    pub(crate) mod journal;
    pub(crate) mod play;
    pub(crate) mod scenario;
    pub(crate) mod verdict;
}

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use simulation::bugs::{BUGS, Bug};
use simulation::{cluster, play};

/// Seeds are small numbers, so that they can be read out.
const SEEDS: Range<u64> = 0..1_000_000_000;

/// Of so many seeds the transcript is made twice.
const TWICE: u64 = 4;

/// Within so many seeds a planted bug has to be noticed.
const NOTICED_WITHIN: u64 = 300;

/// What became of a seed: what is wrong, and the transcript.
type Played = (Vec<String>, String);

fn one_engine(seed: u64) -> Played {
    let play::Played { violations, transcript } = play::play(seed);
    (violations, transcript)
}

fn a_cluster_of(seed: u64, bug: Option<Bug>) -> Played {
    let cluster::play::Played { violations, transcript } = cluster::play::play(seed, bug);
    (violations.into_iter().map(|violation| violation.says).collect(), transcript)
}

#[test]
fn whatever_happens_the_promises_hold() {
    many(one_engine, || fastrand::u64(SEEDS));
}

#[test]
fn a_cluster_keeps_its_promises_whatever_happens() {
    let asked = std::env::var("SYMPHRA_BUG").ok();
    let bug = asked.map(|asked| *BUGS.iter().find(|bug| bug.name.contains(&asked)).expect("a part of a bug's name"));
    // An ordinary run plays the same seeds until something is changed; a long one draws others.
    let first = || if is_nightly() { fastrand::u64(SEEDS) } else { 1 };
    many(|seed| a_cluster_of(seed, bug), first);
}

fn is_nightly() -> bool {
    std::env::var("SYMPHRA_NIGHTLY").is_ok_and(|asked| asked == "1")
}

/// Plays the seed that is asked for, or many.
fn many(play: impl Fn(u64) -> Played + Sync, first: impl Fn() -> u64) {
    if let Ok(seed) = std::env::var("SYMPHRA_SEED") {
        let (violations, transcript) = play(seed.parse().expect("SYMPHRA_SEED is a number"));
        println!("{transcript}");
        assert!(violations.is_empty(), "seed {seed}:\n{}", violations.join("\n"));
        return;
    }
    let number = if is_nightly() { 10_000 } else { 200 };
    let first = first();
    println!("seeds {first} to {}", first + number - 1);
    let (next, failed, began) = (AtomicU64::new(first), Mutex::new(Vec::new()), Instant::now());
    beside_each_other(|| {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + number {
                return;
            }
            if let Err(says) = outcome(&play, seed) {
                let says = format!("SYMPHRA_SEED={seed}: {says}");
                eprintln!("{says}");
                failed.lock().unwrap_or_else(PoisonError::into_inner).push(says);
            }
        }
    });
    let took = began.elapsed();
    println!("{number} seeds in {took:.1?}: {:.0} an hour", number as f64 / took.as_secs_f64() * 3_600.0);
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(failed.is_empty(), "{} of {number} seeds fail:\n{}", failed.len(), failed.join("\n"));
}

fn beside_each_other(work: impl Fn() + Sync) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(&work))));
}

/// What is wrong with a seed.
fn outcome(play: impl Fn(u64) -> Played, seed: u64) -> Result<(), String> {
    let played = catch_unwind(AssertUnwindSafe(|| play(seed)));
    let (violations, _) = played.map_err(|_| "it panics".to_owned())?;
    if violations.is_empty() { Ok(()) } else { Err(violations[..violations.len().min(3)].join("\n    ")) }
}

#[test]
fn one_seed_gives_one_transcript() {
    gives_one_transcript(one_engine);
}

#[test]
fn one_seed_of_a_cluster_gives_one_transcript() {
    gives_one_transcript(|seed| a_cluster_of(seed, None));
}

fn gives_one_transcript(play: impl Fn(u64) -> Played) {
    let first = fastrand::u64(SEEDS);
    for seed in first..first + TWICE {
        let (once, again) = (play(seed).1, play(seed).1);
        let differs = once.lines().zip(again.lines()).find(|(once, again)| once != again);
        assert!(once == again, "seed {seed}: {differs:?}");
    }
}

/// A simulation that notices nothing would find no bug either.
#[test]
fn planted_bugs_are_noticed_all_of_them() {
    if std::env::var_os("SYMPHRA_SEED").is_some() {
        return;
    }
    let first = fastrand::u64(SEEDS);
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    beside_each_other(|| {
        while let Some(bug) = BUGS.get(next.fetch_add(1, Ordering::Relaxed)) {
            let noticed = (first..first + NOTICED_WITHIN).find_map(|seed| Some((seed, noticed(*bug, seed)?)));
            found.lock().unwrap_or_else(PoisonError::into_inner).push((bug.name, noticed));
        }
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (bug, noticed) in &found {
        match noticed {
            Some((seed, promise)) => println!("{bug}: noticed in seed {seed}, the {}th: {promise}", seed - first + 1),
            None => println!("{bug}: NOT NOTICED in {NOTICED_WITHIN} seeds from {first}"),
        }
    }
    let missed: Vec<&str> = found.iter().filter(|(_, noticed)| noticed.is_none()).map(|&(bug, _)| bug).collect();
    println!("{} of {} planted bugs are noticed", BUGS.len() - missed.len(), BUGS.len());
    assert!(missed.is_empty(), "seeds from {first}: {missed:?}");
}

/// The promise that is seen broken where a bug is planted, and not without it.
fn noticed(bug: Bug, seed: u64) -> Option<&'static str> {
    let broken = |bug| match catch_unwind(AssertUnwindSafe(|| cluster::play::play(seed, bug))) {
        Ok(played) => played.violations.first().map(|violation| violation.promise),
        Err(_) => Some("nothing panics"),
    };
    broken(Some(bug)).filter(|_| broken(None).is_none())
}
