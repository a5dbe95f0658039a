//! What a program can rely on: each policy, option and request, under virtual time, with exact lists of runs and records.
//!
//! Only the public API and the test kit are used. Instants are told in seconds after the start of a test, which is
//! [`kit::START`].

#[path = "behaviour/a_year.rs"]
mod a_year;
#[path = "behaviour/cancelling.rs"]
mod cancelling;
#[path = "behaviour/controlling.rs"]
mod controlling;
#[path = "behaviour/drawn.rs"]
mod drawn;
#[path = "behaviour/explaining.rs"]
mod explaining;
#[path = "behaviour/jobs.rs"]
mod jobs;
#[path = "behaviour/kit.rs"]
mod kit;
#[path = "behaviour/limits.rs"]
mod limits;
#[path = "behaviour/metrics.rs"]
mod metrics;
#[path = "behaviour/misfiring.rs"]
mod misfiring;
#[path = "behaviour/mistakes.rs"]
mod mistakes;
#[path = "behaviour/overlapping.rs"]
mod overlapping;
#[path = "behaviour/pausing.rs"]
mod pausing;
#[path = "behaviour/racing.rs"]
mod racing;
#[path = "behaviour/retrying.rs"]
mod retrying;
#[path = "behaviour/starting.rs"]
mod starting;
#[path = "behaviour/state.rs"]
mod state;
#[path = "behaviour/stepping.rs"]
mod stepping;
#[path = "behaviour/timing_out.rs"]
mod timing_out;
