//! Symphra Scheduler beside its peers, measured in one run on one machine.
//!
//! [`firing`] asks how late, how dear and how large many tasks of one second are; [`next`] asks what one search for a
//! next occurrence costs. The three binaries are thin: `firing` and `next` measure time under the system's allocator,
//! `counted` runs the same programs under a counting one, so that no figure of time pays for the counting.
//! What they print is one JSON object a line; `../report` turns the lines into tables.

pub mod arguments;
pub mod firing;
pub mod heap;
pub mod json;
pub mod lateness;
pub mod next;
pub mod process;

/// What ends a measurement early: said on standard error, with exit code 1.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
