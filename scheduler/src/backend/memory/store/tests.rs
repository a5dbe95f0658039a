//! What the store keeps is bounded by what there is, not by what there was.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::Store;
use crate::TaskName;
use crate::backend::{Holder, Registration, TaskRules};
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
    assert!(store.tasks[0].known_by().len() <= 1);
}
