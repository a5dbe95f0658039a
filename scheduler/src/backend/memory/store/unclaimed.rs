//! Runs that no node can claim, because none knows their task any more, and nodes that nobody has heard of for long.

use std::time::Duration;

use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::control::Change;
use super::{Store, index};
use crate::backend::Cancelled;
use crate::outcome::{CancelCause, Outcome};
use crate::run::RunState;

impl Store {
    /// A store that outlives its programs.
    pub(in super::super) fn keeping_all_tasks() -> Self {
        let mut store = Self::default();
        store.unowned.max = u32::MAX;
        store
    }

    /// Ends runs that are older than `waited`, and of whose task no node is left, `max` at most; tells how many.
    pub(in super::super) fn end_unclaimed(
        &mut self,
        waited: Duration,
        max: usize,
        now: Timestamp,
        present: Instant,
    ) -> usize {
        let oldest = now.minus(waited);
        let is_gone = |holder: u32| {
            let row = &self.holders[holder as usize];
            row.has_left || present.duration_since(row.last_beat) > waited.max(row.lease)
        };
        let is_unclaimed = |slot: &u32| {
            let run = self.alive.get(*slot);
            let mut owners = self.tasks[index(run.row.task)].owners();
            run.row.id.made_at() < oldest && run.holder.is_none_or(is_gone) && owners.all(|owner| is_gone(owner.holder))
        };
        let mut unclaimed: Vec<u32> = self.by_id.values().copied().filter(is_unclaimed).collect();
        unclaimed.sort_unstable_by_key(|&slot| self.alive.get(slot).number);
        unclaimed.truncate(max);
        for &slot in &unclaimed {
            let run = &self.alive.get(slot).row;
            let was = if run.state == RunState::Retrying { RunState::Retrying } else { RunState::Queued };
            let (id, task, cause) = (run.id, run.task, CancelCause::Unclaimed);
            self.log.push(Change::Cancelled(Cancelled { id, task, cause, was }));
            self.end_run(slot, &Outcome::Cancelled(cause), None, now);
        }
        for row in &mut self.holders {
            if row.may_be_forgotten(present) {
                row.leave();
            }
        }
        unclaimed.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono_tz::Tz;

    use super::*;
    use crate::TaskName;
    use crate::backend::{Claim, Holder, Registration, Submission, TaskRules};
    use crate::run::{Origin, RunId};
    use crate::schedule::{Schedule, Timetable};

    const WAITED: Duration = Duration::from_secs(14 * 24 * 60 * 60);

    #[test]
    fn a_node_that_was_forgotten_holds_its_runs_when_it_comes_back() {
        let (mut store, now, began) = (Store::default(), Timestamp::from_millis(1_000_000), Instant::now());
        let node = |name: &str| Holder::new(name, Duration::from_secs(60));
        let timetable = Arc::new(Timetable::new(Schedule::from_millis(1_000), Tz::UTC));
        let rules = TaskRules::default();
        let task = Registration { name: TaskName::new("task").expect("a name"), timetable, rules };
        let by = store.holder(&node("sleeps"), began);
        let task = store.register(by, &[task], now, began)[0].key;
        let back = began + Duration::from_secs(25 * 60 * 60);
        store.heartbeat(&node("stays"), back);
        assert_eq!(store.end_unclaimed(WAITED, 1, now, back), 0);

        store.heartbeat(&node("sleeps"), back);
        let id = RunId::from_parts(now, 1);
        let run = Submission { id, task, origin: Origin::Trigger(id), scheduled_at: None, overlap: None };
        store.submit(&run, now);
        let claim = |number| Claim { number, tasks: [task].into(), jobs: [].into(), max: 1 };
        assert_eq!(store.claim(&node("sleeps"), &claim(1), now, back).runs.len(), 1);
        assert_eq!(store.claim(&node("stays"), &claim(1), now, back).runs, [], "it executes");
    }

    /// What it had under way when it left must not bring it back.
    #[test]
    fn a_node_that_has_left_is_gone_for_whatever_comes_late() {
        let (mut store, began) = (Store::default(), Instant::now());
        let node = Holder::new("node", Duration::from_secs(60));
        store.heartbeat(&node, began);
        store.leave(&node, true, Timestamp::from_millis(0), began);
        store.heartbeat(&node, began + Duration::from_secs(1));
        assert!(store.holders[0].has_left);
    }
}
