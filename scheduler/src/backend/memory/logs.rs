//! Excerpts of what runs wrote: the newest of them, [`BYTES_MAX`] over all runs, and none of a run that is not kept.

use std::collections::{BTreeMap, HashMap};

use crate::backend::RunLog;
use crate::run::RunId;

/// Enough for thousands of runs that write much; a history of 100,000 such runs would be 800 MB.
const BYTES_MAX: usize = 16 << 20;

#[derive(Default)]
pub(super) struct Logs {
    /// By the order in which they came.
    logs: BTreeMap<u64, (RunId, RunLog)>,
    of_runs: HashMap<RunId, u64>,
    came: u64,
    bytes: usize,
}

impl Logs {
    /// Puts what an attempt wrote in the place of what the one before it did.
    pub(super) fn put(&mut self, run: RunId, log: RunLog) {
        self.forget_that_of(run);
        self.came += 1;
        self.bytes += log.text.len();
        self.logs.insert(self.came, (run, log));
        self.of_runs.insert(run, self.came);
        while self.bytes > BYTES_MAX
            && let Some((&oldest, &(run, _))) = self.logs.first_key_value()
        {
            self.of_runs.remove(&run);
            self.forget(oldest);
        }
    }

    pub(super) fn forget_that_of(&mut self, run: RunId) {
        // Most programs have none, and are not to look for them.
        if !self.of_runs.is_empty()
            && let Some(came) = self.of_runs.remove(&run)
        {
            self.forget(came);
        }
    }

    pub(super) fn of(&self, run: RunId) -> Option<RunLog> {
        self.of_runs.get(&run).and_then(|came| self.logs.get(came)).map(|(_, log)| log.clone())
    }

    fn forget(&mut self, came: u64) {
        if let Some((_, log)) = self.logs.remove(&came) {
            self.bytes -= log.text.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use symphra_scheduler_core::Timestamp;

    use super::*;

    #[test]
    fn the_oldest_go_first_and_each_run_has_one() {
        let run = |number: u128| RunId::from_parts(Timestamp::from_millis(1), number);
        let log = |text: &str| RunLog { attempt: 1, text: text.into() };
        let quarter = "x".repeat(BYTES_MAX / 4);
        let mut logs = Logs::default();
        for number in 1..=4 {
            logs.put(run(number), log(&quarter));
        }
        logs.put(run(1), log("again"));
        assert_eq!(logs.bytes, 3 * quarter.len() + 5, "what was there is replaced");
        logs.put(run(5), log(&quarter));
        let kept: Vec<u128> = (1..=5).filter(|&number| logs.of(run(number)).is_some()).collect();
        assert_eq!(kept, [1, 3, 4, 5], "that of run 1 is newer than that of run 2");
        for _ in 0..1_000 {
            logs.put(run(1), log("once more"));
        }
        logs.forget_that_of(run(3));
        assert_eq!((logs.logs.len(), logs.of_runs.len()), (3, 3), "nothing else is left");
        assert_eq!(logs.bytes, logs.logs.values().map(|(_, log)| log.text.len()).sum::<usize>());
    }
}
