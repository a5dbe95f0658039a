//! What the store keeps is bounded by what there is, not by what there was.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::Store;
use super::owners::UNOWNED_MAX;
use crate::TaskName;
use crate::backend::{
    Claim, Group, Holder, Registered, Registration, RunQuery, Submission, Submitted, TaskRules, Unregistration,
};
use crate::run::{Origin, RunId};
use crate::schedule::{Schedule, Timetable};

#[test]
fn schedulers_that_come_and_go_leave_nothing_behind() {
    let (mut store, now, present) = (Store::default(), Timestamp::from_millis(0), Instant::now());
    let timetable = Arc::new(Timetable::new(Schedule::from_millis(1_000), Tz::UTC));
    let rules = TaskRules { run_on_start: true, ..TaskRules::default() };
    let task = Registration { name: TaskName::new("tick").expect("a valid name"), timetable, rules };
    let stays = Holder::new("stays", Duration::from_secs(600));
    store.holder(&stays, present);
    for start in 0..1_000 {
        let holder = Holder::new(format!("node {start}"), Duration::from_secs(600));
        let by = store.holder(&holder, present);
        let registered = store.register(by, std::slice::from_ref(&task), now, present);
        assert!(registered[0].run_on_start, "nobody who is there knows the task");
        store.leave(&holder, true, now, present);
    }
    assert_eq!(store.holders.len(), 2, "one that stays, and one place for those that come and go");
    assert!(store.tasks[0].owners().count() <= 1);
}

/// A store, and a node that stays.
struct Stage {
    store: Store,
    timetable: Arc<Timetable>,
    node: Holder,
    now: Timestamp,
    present: Instant,
}

impl Stage {
    fn new() -> Self {
        Self {
            store: Store::default(),
            timetable: Arc::new(Timetable::new(Schedule::from_millis(1_000), Tz::UTC)),
            node: Holder::new("node", Duration::from_secs(600)),
            now: Timestamp::from_millis(1_000_000),
            present: Instant::now(),
        }
    }

    fn declared(&self, number: u32) -> Registration {
        let name = TaskName::new(&format!("task {number}")).expect("a valid name");
        // A group is found by looking at all of them.
        let group = number.is_multiple_of(100).then(|| Group { name: Arc::from(format!("group {number}")), max: 1 });
        Registration {
            name,
            timetable: Arc::clone(&self.timetable),
            rules: TaskRules { group, ..TaskRules::default() },
        }
    }

    fn register(&mut self, numbers: std::ops::Range<u32>) -> Vec<Registered> {
        let tasks: Vec<_> = numbers.map(|number| self.declared(number)).collect();
        let by = self.store.holder(&self.node, self.present);
        self.store.register(by, &tasks, self.now, self.present)
    }

    fn unregister(&mut self, known: &[Registered]) {
        let given_up: Vec<_> =
            known.iter().map(|known| Unregistration { task: known.key, version: known.version }).collect();
        self.store.unregister(&self.node.clone(), &given_up, self.now);
    }

    /// Adds a run that waits.
    fn trigger(&mut self, of: &Registered, number: u128) -> RunId {
        let id = RunId::from_parts(self.now, number);
        let submission =
            Submission { id, task: of.key, origin: Origin::Trigger(id), scheduled_at: None, overlap: None };
        assert_eq!(self.store.submit(&submission, self.now), Submitted::Queued { cancel: None });
        id
    }

    fn claim(&mut self, of: &Registered, number: u64) -> usize {
        let claim = Claim { number, tasks: [of.key].into(), max: 1 };
        self.store.claim(&self.node.clone(), &claim, self.now, self.present).runs.len()
    }
}

#[test]
fn tasks_that_no_node_has_are_bounded_with_all_that_they_have() {
    let mut stage = Stage::new();
    for number in 0..3 * UNOWNED_MAX {
        let known = stage.register(number..number + 1);
        // One has ended, and one waits.
        let id = stage.trigger(&known[0], number.into());
        assert!(stage.store.cancel(id, stage.now).is_some());
        stage.trigger(&known[0], (number + 1_000_000).into());
        stage.unregister(&known);
    }
    let (store, max) = (&stage.store, UNOWNED_MAX as usize);
    assert!(store.tasks.len() <= max + 2, "{} places of tasks", store.tasks.len());
    assert_eq!((store.keys.len(), store.named_tasks().len(), store.unowned.len as usize), (max, max, max));
    assert!(store.groups.len() <= max / 100 + 2, "{} groups", store.groups.len());
    assert_eq!((store.by_id.len(), store.alive.iter().count()), (max, max), "one run of each waits");
    assert_eq!(store.history.newest_first().count(), max, "and one of each has ended");
    let names = store.named_tasks();
    assert!(names.iter().any(|task| task.name == *"task 29999"), "the last are kept");
    assert!(names.iter().all(|task| task.name != *"task 19999"), "and the first are not");
}

#[test]
fn a_task_of_which_a_run_executes_is_not_forgotten() {
    let mut stage = Stage::new();
    let busy = stage.register(0..1).remove(0);
    stage.trigger(&busy, 1);
    assert_eq!(stage.claim(&busy, 1), 1);
    stage.unregister(std::slice::from_ref(&busy));
    for number in 1..UNOWNED_MAX + 100 {
        let known = stage.register(number..number + 1);
        stage.unregister(&known);
    }
    assert!(stage.store.look(busy.key).is_some());
    assert_eq!(stage.store.unowned.len, UNOWNED_MAX);
}

#[test]
fn the_key_of_a_forgotten_task_is_that_of_no_other() {
    let mut stage = Stage::new();
    let first = stage.register(0..1).remove(0);
    stage.unregister(std::slice::from_ref(&first));
    let others = stage.register(1..UNOWNED_MAX + 1);
    stage.unregister(&others);
    assert!(stage.store.look(first.key).is_none(), "it was forgotten");
    let heir = stage.register(UNOWNED_MAX + 1..UNOWNED_MAX + 2).remove(0);
    assert_eq!(super::index(heir.key), super::index(first.key), "another has its place");
    stage.trigger(&heir, 1);
    assert!(stage.store.look(first.key).is_none());
    let submission = Submission {
        id: RunId::from_parts(stage.now, 2),
        task: first.key,
        origin: Origin::Start,
        scheduled_at: None,
        overlap: None,
    };
    assert_eq!(stage.store.submit(&submission, stage.now), Submitted::UnknownTask);
    assert_eq!(stage.claim(&first, 1), 0);
    assert_eq!((stage.store.ledger(first.key).runs, stage.store.records(first.key).len()), (0, 0));
    stage.unregister(std::slice::from_ref(&first));
    assert_eq!(stage.store.runs(&RunQuery::of(first.key)), []);
    assert_eq!(stage.claim(&heir, 2), 1, "whoever has it now is not touched");
    let again = stage.register(0..1).remove(0);
    assert_ne!(again.key, first.key, "it is another task when it comes back");
}

#[test]
fn a_scheduler_that_is_started_anew_finds_all_its_tasks() {
    let mut stage = Stage::new();
    let known = stage.register(0..3 * UNOWNED_MAX);
    let stopped = stage.node.clone();
    stage.store.leave(&stopped, true, stage.now, stage.present);
    stage.node.node = Arc::from("the next start");
    stage.now = stage.now.plus(Duration::from_secs(60));
    let again = stage.register(0..3 * UNOWNED_MAX);
    let marks = |all: &[Registered]| all.iter().map(|task| (task.key, task.mark)).collect::<Vec<_>>();
    assert_eq!(marks(&again), marks(&known));
    assert_eq!(stage.store.unowned.len, 0);
    let stopped = stage.node.clone();
    stage.store.leave(&stopped, true, stage.now, stage.present);
    stage.node.node = Arc::from("a start with one task");
    stage.register(5..6);
    assert_eq!(stage.store.named_tasks().len(), UNOWNED_MAX as usize + 1, "what nobody has taken over is bounded");
}
