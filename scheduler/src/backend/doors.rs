//! What stores hold, read as they read it: for fuzz targets, which come by `test_util::doors`.

use std::sync::Arc;

use super::text;
use crate::schedule::Timetable;

#[cfg(feature = "rabbitmq")]
pub use super::rabbitmq::doors::messages;
#[cfg(feature = "redis")]
pub use super::redis::doors::row;

/// A timetable as it is stored; nothing if it is refused.
#[must_use]
pub fn timetable(stored: &str) -> Option<Arc<Timetable>> {
    text::read_timetable(stored).ok()
}

/// A timetable as it is written.
#[must_use]
pub fn timetable_written(timetable: &Timetable) -> String {
    text::timetable(timetable)
}

/// A word as the reason of a record, the state of a run and the id of one, each as it is written again; nothing where it is
/// refused.
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
#[must_use]
pub fn words(word: &str) -> [Option<String>; 3] {
    let reason = text::read_reason(word).ok().map(|reason| text::reason(reason).to_owned());
    let state = text::state(word).ok().map(|state| state.to_string());
    [reason, state, text::run_id(word).ok().map(|id| id.to_string())]
}
