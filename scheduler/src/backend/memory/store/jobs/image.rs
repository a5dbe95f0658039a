//! The jobs of a store as values that can be written down and become the same again, but for which of those that wait may begin by
//! now: that shows with the next claim.

use serde::{Deserialize, Serialize};

use super::{JobRow, Jobs, Stand};
use crate::backend::weight::Weigh;
use crate::run::RunId;

/// How many bytes the arguments of all jobs may have together where the store is written as an image: that is done anew each ten
/// minutes, and with each new owner, and whoever calls meanwhile waits.
pub(in super::super) const BYTES_MAX: usize = 64 << 20;

#[derive(Deserialize, Serialize)]
pub(in crate::backend) struct JobImage {
    id: RunId,
    row: JobRow,
    /// Whether its key is its own: another may have that by now.
    has_key: bool,
}

impl Jobs {
    pub(in super::super) const fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    pub(in super::super) const fn made(&self) -> u64 {
        self.made
    }

    pub(in super::super) const fn set_made(&mut self, made: u64) {
        self.made = made;
    }

    /// All that there are, in the order in which they came.
    pub(in super::super) fn image(&self) -> impl Iterator<Item = JobImage> {
        let mut rows: Vec<(&RunId, &JobRow)> = self.rows.iter().collect();
        rows.sort_unstable_by_key(|(_, row)| row.number);
        rows.into_iter().map(|(&id, row)| {
            let key = row.key.as_ref().map(|key| (row.task, key.clone()));
            let has_key = key.is_some_and(|key| self.keys.get(&key) == Some(&id));
            JobImage { id, row: row.clone(), has_key }
        })
    }

    pub(in super::super) fn add_image(&mut self, JobImage { id, row, has_key }: JobImage) {
        let (task, number, bytes) = (row.task, row.number, row.bytes());
        self.bytes += bytes;
        if let Some(key) = row.key.clone().filter(|_| has_key) {
            self.keys.insert((task, key), id);
        }
        match &row.stand {
            Stand::Waits => _ = self.of(task).later.insert((row.scheduled_at, number, id)),
            Stand::Begun => {}
            Stand::Over => self.over.extend(row.unique_until.map(|until| (until, id))),
            Stand::Dead(death) => {
                let died = (death.at, number, id);
                self.dead_bytes += bytes;
                self.dead.insert(died);
                self.of(task).dead.insert(died);
            }
        }
        self.rows.insert(id, row);
    }

    /// Those that were there, the first to go first.
    pub(in super::super) fn gone(&self) -> Vec<RunId> {
        self.gone.in_order.iter().copied().collect()
    }

    pub(in super::super) fn add_gone(&mut self, ids: Vec<RunId>) {
        ids.into_iter().for_each(|id| self.gone.remember(id, super::GONE_MAX));
    }
}

impl Weigh for JobImage {
    fn weight(&self) -> usize {
        let failure = if let Stand::Dead(death) = &self.row.stand { death.failure.as_deref() } else { None };
        let key = self.row.key.as_ref().map_or(0, |key| key.len());
        400 + self.row.arguments.json.len() + key + failure.map_or(0, str::len)
    }
}
