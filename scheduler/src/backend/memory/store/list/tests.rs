//! Claims look at what they get, not at what waits: counted, since time depends on the machine.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::Store;
use crate::TaskName;
use crate::backend::{
    Claim, Claimed, End, Finish, Group, Holder, Registration, Stored, Submission, Submitted, TaskKey, TaskRules,
};
use crate::outcome::Outcome;
use crate::run::{Origin, RunId};
use crate::schedule::{Schedule, Timetable};

thread_local! {
    /// How often a task was looked at for a run that may begin.
    pub(super) static LOOKS: Cell<usize> = const { Cell::new(0) };
}

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

struct Rig {
    store: Store,
    holder: Holder,
    keys: Arc<[TaskKey]>,
    present: Instant,
    claims: u64,
}

impl Rig {
    /// A store with `tasks` tasks that have one run at a time and share a group, each with `triggers` triggers that wait.
    fn new(tasks: u64, group_max: u32, triggers: u64) -> Self {
        let holder = Holder::new("a", Duration::from_secs(600));
        let (mut store, present) = (Store::default(), Instant::now());
        let timetable = Arc::new(Timetable::new(Schedule::from_millis(1_000), Tz::UTC));
        let group = Some(Group { name: Arc::from("shared"), max: group_max });
        let registrations: Vec<_> = (0..tasks)
            .map(|task| Registration {
                name: TaskName::new(&format!("task {task}")).expect("a valid name"),
                timetable: Arc::clone(&timetable),
                rules: TaskRules { group: group.clone(), ..TaskRules::default() },
            })
            .collect();
        let by = store.holder(&holder, present);
        let registered = store.register(by, &registrations, NOW, present);
        let keys: Arc<[TaskKey]> = registered.iter().map(|task| task.key).collect();
        for number in 0..triggers {
            for &task in &*keys {
                let id = RunId::from_parts(NOW, u128::from(number) << 32 | u128::from(task.0));
                let submission =
                    Submission { id, task, origin: Origin::Trigger(id), scheduled_at: None, overlap: None };
                assert_eq!(store.submit(&submission, NOW), Submitted::Queued { cancel: None });
            }
        }
        Self { store, holder, keys, present, claims: 0 }
    }

    fn claim(&mut self) -> Vec<Claimed> {
        self.claims += 1;
        let claim = Claim { number: self.claims, tasks: Arc::clone(&self.keys), jobs: [].into(), max: 128 };
        self.store.claim(&self.holder, &claim, NOW, self.present).runs
    }

    fn succeed(&mut self, run: &Claimed) {
        let (task, id, token) = (run.task, run.id, run.hold.token);
        let end = End::Final(Outcome::Succeeded);
        let finish = Finish { task, id, token, end, started_at: Some(NOW), finished_at: NOW, log: None };
        assert!(matches!(self.store.finish(&finish, NOW), Stored::Done { .. }));
    }
}

/// All of a hundred thousand triggers run, and for each of them two tasks are looked at, or three.
#[test]
fn whatever_waits_a_claim_looks_at_what_it_gets() {
    for (tasks, triggers, group_max) in [(10, 10_000, 5), (10, 10_000, 100), (1_000, 100, 5)] {
        let mut rig = Rig::new(tasks, group_max, triggers);
        LOOKS.set(0);
        let mut ran = 0;
        loop {
            let runs = rig.claim();
            assert!(runs.len() <= (group_max as usize).min(tasks as usize), "no more than may run at once");
            ran += runs.len();
            if runs.is_empty() {
                break;
            }
            runs.iter().for_each(|run| rig.succeed(run));
        }
        assert_eq!(ran as u64, tasks * triggers, "all have run");
        assert!(LOOKS.get() <= 3 * ran, "{tasks} tasks: {} looks for {ran} runs", LOOKS.get());
    }
}
