//! Where there is no Unix there is no daemon, and this says so.

use std::time::Duration;

use super::{DaemonStatus, DaemonStop, Hindrance, Pid};
use crate::config::DaemonConfig;
use crate::error::Error;
use crate::scheduler::Scheduler;

fn unsupported() -> Error {
    Error::refused("a daemon needs Unix; on this system use `run`, under a service manager where it shall stay")
}

pub(super) async fn start(_: Scheduler) -> Result<Pid, Error> {
    Err(unsupported())
}

pub(super) fn is_child() -> bool {
    false
}

pub(super) async fn status(_: &DaemonConfig) -> Result<DaemonStatus, Error> {
    Err(unsupported())
}

pub(super) async fn stop(_: &DaemonConfig, _: Duration) -> Result<DaemonStop, Error> {
    Err(unsupported())
}

/// There is no daemon here that anything could keep from starting.
pub(super) fn hindrances(_: &DaemonConfig) -> Vec<Hindrance> {
    Vec::new()
}
