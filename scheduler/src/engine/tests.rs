//! The engine under a virtual clock: whole schedulers on tokio's paused time, so that hours pass in milliseconds and
//! each instant is exact. No test here waits for real time.

mod clock;
mod clocks_differ;
mod dead_nodes;
mod deaths;
mod decide;
mod failing_store;
mod firing;
mod leases;
mod misfire;
mod once;
mod outages;
mod overlap;
mod panics;
mod queue;
mod restarts;
mod rig;
mod stopping;
mod store_clock;
mod two_nodes;
mod unregistering;
mod vain_claims;
mod zones;
