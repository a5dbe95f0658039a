//! The durable backends of Symphra Scheduler beside their peers and beside bare statements, on one machine in one run.
//!
//! Everything is measured on a database of its own, which is made for it: see [`place`]. What a contender does in the life
//! of a run is said where it is written: [`symphra`], [`bare`], and the program `peers`.

#[path = "../../peers/src/arguments.rs"]
pub mod arguments;
pub mod bare;
pub mod counted;
#[path = "../../peers/src/json.rs"]
pub mod json;
pub mod life;
pub mod nodes;
pub mod place;
pub mod punctual;
pub mod rabbit;
pub mod symphra;

/// Why a measurement ended without a figure.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
