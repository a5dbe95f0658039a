//! What is fuzzed (`tests/fuzz`), without a fuzzer: the inputs that are kept, then others that are made of them, for a few seconds
//! each. An input that fails is written to a file, which `cargo fuzz` takes too.
//!
//! `SYMPHRA_SEED` makes the same inputs again; `SYMPHRA_NIGHTLY=1` goes on for a minute each; `SYMPHRA_FUZZ_INPUT=FILE` runs that
//! file alone.

#[expect(unreachable_pub, reason = "it is a library where a fuzzer calls it")]
#[path = "fuzz/src/lib.rs"]
mod fuzz;
mod fuzzing {
    pub(crate) mod mutation;
}

use std::cell::Cell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use fuzz::TARGETS;
use fuzzing::mutation::Mutation;

/// How long one input may take. They take milliseconds; a machine may be busy.
const HANGS_AFTER: Duration = Duration::from_secs(60);

thread_local! {
    /// How often something has panicked on this thread, also where that was caught: in a task of a runtime.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// Counts panics, and tells of them as before.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            before(panic);
        }));
    });
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a seed").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has seeds", folder.display());
    files.iter().map(|file| fs::read(file).expect("a readable seed")).collect()
}

/// Where an input that fails is written to.
fn failed(name: &str, input: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzzing");
    fs::create_dir_all(&folder).expect("a folder for what fails");
    let file = folder.join(name);
    fs::write(&file, input).expect("it can be written");
    file
}

/// Whether the promises hold of an input.
fn holds(run: fn(&[u8]), input: &[u8]) -> bool {
    let before = PANICS.get();
    catch_unwind(AssertUnwindSafe(|| run(input))).is_ok() && PANICS.get() == before
}

/// Runs the inputs on a thread of their own, so that one which hangs is found out.
fn explore(name: &'static str, run: fn(&[u8])) {
    count_panics();
    if let Ok(file) = std::env::var("SYMPHRA_FUZZ_INPUT") {
        run(&fs::read(file).expect("SYMPHRA_FUZZ_INPUT is a file"));
        return;
    }
    let seed = std::env::var("SYMPHRA_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    let is_long = std::env::var("SYMPHRA_NIGHTLY").is_ok_and(|asked| asked == "1");
    let lasts = Duration::from_secs(if is_long { 60 } else { 2 });
    let current = Arc::new(Mutex::new(Vec::new()));
    let (made, ended) = channel();
    let writing = Arc::clone(&current);
    let worker = std::thread::spawn(move || {
        let kept = seeds(name);
        let (mut mutation, began) = (Mutation::new(seed, &kept), Instant::now());
        let mut count = 0_usize;
        loop {
            let input = match kept.get(count) {
                Some(seed) => seed.clone(),
                None if began.elapsed() < lasts => mutation.next(),
                None => return Ok(count),
            };
            writing.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&input);
            if !holds(run, &input) {
                return Err(input);
            }
            count += 1;
            // Whoever waits has gone where an earlier input has hung.
            _ = made.send(());
        }
    });
    let hung = loop {
        match ended.recv_timeout(HANGS_AFTER) {
            Ok(()) => {}
            Err(RecvTimeoutError::Disconnected) => break false,
            Err(RecvTimeoutError::Timeout) => break true,
        }
    };
    let (input, says) = if hung {
        (current.lock().unwrap_or_else(PoisonError::into_inner).clone(), "takes too long")
    } else {
        match worker.join().expect("it catches what an input does") {
            Ok(count) => {
                println!("{name}: {count} inputs, SYMPHRA_SEED={seed}");
                return;
            }
            Err(input) => (input, "breaks a promise"),
        }
    };
    let (file, shown) = (failed(name, &input), input.escape_ascii());
    panic!("SYMPHRA_SEED={seed}: this input of {name} {says}; it is in {}\n{shown}", file.display());
}

macro_rules! explored {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            let (name, run) = TARGETS.into_iter().find(|(name, _)| *name == stringify!($name)).expect("it is one");
            explore(name, run);
        })+

        #[test]
        fn each_target_is_explored_and_has_its_fuzzer() {
            let explored = [$(stringify!($name)),+];
            assert_eq!(explored, TARGETS.map(|(name, _)| name));
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
            for name in explored {
                assert!(folder.join(format!("fuzz_targets/{name}.rs")).is_file(), "{name} has no fuzz target");
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in the manifest");
            }
        }
    };
}

explored! {
    cron duration config_yaml config_toml config_json config_environment stored_timetable stored_words stored_messages
    stored_rows stored_arguments control http
}
