//! Rows of a store in Redis, read as they are there: for fuzz targets, which come by `test_util::doors`.

use serde::de::DeserializeOwned;
use symphra_scheduler_core::Timestamp;

use super::words::{BecameWord, ClaimedWord, LetterWord, PauseWord, RecordWord, RunWord};
use crate::run::RunId;

/// A row, read as everything that rows are read as: how many of these it can be.
pub fn row(row: &str) -> usize {
    let (id, mut arguments) = (RunId::from_parts(Timestamp::from_millis(0), 0), std::iter::repeat(row.to_owned()));
    let read = [
        word(row).is_some_and(|word: RunWord| word.read(id).is_ok()),
        word(row).is_some_and(|word: RunWord| word.read_waiting(id).is_ok()),
        word(row).is_some_and(|word: LetterWord| word.read(id, row.to_owned()).is_ok()),
        word(row).is_some_and(|word: ClaimedWord| word.read(&mut arguments).is_ok()),
        word(row).is_some_and(|word: RecordWord| word.read().is_ok()),
        word(row).is_some_and(|word: PauseWord| !word.read().by.is_empty()),
        word(row).is_some_and(|word: BecameWord| word.admission().is_ok()),
        word(row).is_some_and(|word: BecameWord| word.enqueued().is_ok()),
        word(row).is_some_and(|word: BecameWord| word.submitted().is_ok()),
    ];
    read.into_iter().filter(|is_read| *is_read).count()
}

fn word<T: DeserializeOwned>(row: &str) -> Option<T> {
    serde_json::from_str(row).ok()
}
