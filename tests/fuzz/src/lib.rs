//! What is fuzzed: a function for each way in, which takes any bytes and panics where a promise is broken.
//!
//! libFuzzer calls them (`fuzz_targets`, for `cargo fuzz`), and so does `tests/fuzzing.rs`, which needs no fuzzer and runs with all
//! other tests. Inputs are text as far as that goes, so that the seeds beside this folder can be read and written by hand.

pub mod configuration;
pub mod control;
pub mod cron;
pub mod duration;
pub mod http;
pub mod rig;
pub mod stored;

/// A way in: its name, which is also that of its folder of seeds, and the function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 13] = [
    ("cron", cron::expression),
    ("duration", duration::duration),
    ("config_yaml", configuration::yaml),
    ("config_toml", configuration::toml),
    ("config_json", configuration::json),
    ("config_environment", configuration::environment),
    ("stored_timetable", stored::timetable),
    ("stored_words", stored::words),
    ("stored_messages", stored::messages),
    ("stored_rows", stored::rows),
    ("stored_arguments", stored::arguments),
    ("control", control::line),
    ("http", http::request),
];

/// The input as text; what is no UTF-8 in it is replaced.
pub(crate) fn text(input: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(input)
}

/// A number of 64 bits out of a text: the one that it is, or else one that depends on all of its bytes (FNV-1a).
pub(crate) fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or_else(|_| {
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    })
}
