//! Runs and jobs that no node can claim, because none knows their task any more, or none reads what they are called with; and nodes
//! that nobody has heard of for long.

use std::time::Duration;

use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::control::Change;
use super::jobs::image::BYTES_MAX;
use super::owners::Owner;
use super::{Store, index};
use crate::backend::{Cancelled, RunRow};
use crate::outcome::{CancelCause, Outcome};
use crate::run::{RunId, RunState};

impl Store {
    /// A store that outlives its programs.
    pub(in super::super) fn keeping_all_tasks() -> Self {
        let mut store = Self::default();
        store.unowned.max = u32::MAX;
        store.jobs.set_bytes_max(BYTES_MAX);
        store
    }

    /// Ends runs and jobs that are older than `waited`, and that no node which is left can claim, `max` at most; tells how many.
    pub(in super::super) fn end_unclaimed(
        &mut self,
        waited: Duration,
        max: usize,
        now: Timestamp,
        present: Instant,
    ) -> usize {
        self.jobs.settle(now);
        let oldest = now.minus(waited);
        let is_gone = |holder: u32| {
            let row = &self.holders[holder as usize];
            row.has_left || present.duration_since(row.last_beat) > waited.max(row.lease)
        };
        let is_lost = |task: usize, version: Option<u32>| {
            let can_claim = |owner: &Owner| !is_gone(owner.holder) && version.is_none_or(|it| it <= owner.reads());
            !self.tasks[task].owners().any(can_claim)
        };
        let is_unclaimed = |slot: &u32| {
            let run = self.alive.get(*slot);
            let version = self.arguments_of(&run.row).map(|arguments| arguments.version);
            let is_free = run.row.id.made_at() < oldest && run.row.due_at < oldest && run.holder.is_none_or(is_gone);
            is_free && is_lost(index(run.row.task), version)
        };
        // The instant of a job that was enqueued for the past may be older than the job, and it may be to wait for long.
        let is_old = |row: &RunRow| row.id.made_at() < oldest && row.scheduled_at < oldest;
        let jobs =
            self.waiting_versions().filter(|(row, version)| is_old(row) && is_lost(index(row.task), Some(*version)));
        let mut jobs: Vec<RunId> = jobs.map(|(row, _)| row.id).collect();
        jobs.sort_unstable();
        let mut unclaimed: Vec<u32> = self.by_id.values().copied().filter(is_unclaimed).collect();
        unclaimed.sort_unstable_by_key(|&slot| self.alive.get(slot).number);
        unclaimed.truncate(max);
        jobs.truncate(max - unclaimed.len());
        unclaimed.extend(jobs.into_iter().filter_map(|id| self.wait_as_run(id)));
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
    use crate::backend::{Claim, End, Finish, Holder, Registration, Submission, TaskRules};
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

    #[test]
    fn what_no_node_knows_is_told_to_have_waited_as_it_did() {
        let (mut store, now, began) = (Store::default(), Timestamp::from_millis(1_000_000), Instant::now());
        let node = Holder::new("node", Duration::from_secs(60));
        let timetable = Arc::new(Timetable::new(Schedule::from_millis(1_000), Tz::UTC));
        let rules = TaskRules::default();
        let task = Registration { name: TaskName::new("task").expect("a name"), timetable, rules };
        let by = store.holder(&node, began);
        let task = store.register(by, &[task], now, began)[0].key;
        let [waits, retries] = [1, 2].map(|number| RunId::from_parts(now, number));
        let submit = |store: &mut Store, id| {
            let run = Submission { id, task, origin: Origin::Trigger(id), scheduled_at: None, overlap: None };
            store.submit(&run, now);
        };
        submit(&mut store, retries);
        let claim = Claim { number: 1, tasks: [task].into(), jobs: [].into(), max: 1 };
        let token = store.claim(&node, &claim, now, began).runs[0].hold.token;
        let end = End::Retry { at: now, failure: "once".into() };
        store.finish(&Finish { task, id: retries, token, end, started_at: None, finished_at: now, log: None }, now);
        submit(&mut store, waits);
        store.leave(&node, true, now, began);
        let version = store.version();
        assert_eq!(store.end_unclaimed(WAITED, 2, now.plus(2 * WAITED), began), 2);
        let told: Vec<_> = store.changes_since(version).cancelled.iter().map(|run| (run.id, run.was)).collect();
        assert_eq!(told, [(retries, RunState::Retrying), (waits, RunState::Queued)]);
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
