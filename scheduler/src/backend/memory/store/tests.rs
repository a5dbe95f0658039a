//! What the store keeps is bounded by what there is, not by what there was.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::Store;
use super::jobs::CLAIMED_BYTES_MAX;
use super::owners::UNOWNED_MAX;
use crate::TaskName;
use crate::backend::{
    ARGUMENTS_BYTES_MAX, Begin, Claim, End, Enqueued, Finish, Group, Holder, JobArguments, LETTERS_KEPT_FOR,
    LETTERS_LISTED, LETTERS_MAX, LetterQuery, NewJob, Registered, Registration, RunQuery, Stored, Submission,
    Submitted, TaskRules, Unique, Unregistration,
};
use crate::outcome::Outcome;
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
        let claim = Claim { number, tasks: [of.key].into(), jobs: [].into(), max: 1 };
        self.store.claim(&self.node.clone(), &claim, self.now, self.present).runs.len()
    }
}

impl Stage {
    /// Enqueues a job, and has it end at once.
    fn job(&mut self, of: &Registered, number: u64, unique: Option<Unique>, outcome: Outcome) {
        self.job_with("[]".into(), of, number, unique, outcome);
    }

    fn job_with(&mut self, json: Arc<str>, of: &Registered, number: u64, unique: Option<Unique>, outcome: Outcome) {
        let id = RunId::from_parts(self.now, number.into());
        let arguments = JobArguments { version: 1, json };
        let job = NewJob { id, task: of.key, arguments, begin: Begin::Now, priority: None, unique };
        assert_eq!(self.store.enqueue_jobs(&[job], self.now), [Enqueued::Queued]);
        let claim = Claim { number, tasks: [of.key].into(), jobs: [(of.key, 1)].into(), max: 1 };
        let run = self.store.claim(&self.node.clone(), &claim, self.now, self.present).runs.remove(0);
        let (task, token, now) = (run.task, run.hold.token, self.now);
        let end = Finish { task, id, token, end: End::Final(outcome), started_at: None, finished_at: now, log: None };
        assert!(matches!(self.store.finish(&end, now), Stored::Done { .. }));
    }

    fn letters(&self) -> usize {
        let all = LetterQuery { limit: Some(usize::MAX), ..LetterQuery::default() };
        self.store.dead_letters(&all, self.now).len()
    }
}

#[test]
fn letters_are_given_up_by_number_and_age_and_keys_in_time() {
    let mut stage = Stage::new();
    let known = stage.register(1..2).remove(0);
    for number in 0..LETTERS_MAX as u64 + 5 {
        stage.job(&known, number, None, Outcome::TimedOut(Duration::from_secs(1)));
    }
    assert_eq!((stage.letters(), stage.store.kept_of_jobs()), (LETTERS_MAX, LETTERS_MAX));
    let listed = stage.store.dead_letters(&LetterQuery::default(), stage.now);
    assert_eq!(listed.len(), LETTERS_LISTED, "if nobody says more");
    stage.now = stage.now.plus(LETTERS_KEPT_FOR);
    assert_eq!(stage.letters(), LETTERS_MAX, "for so long");
    stage.now = stage.now.plus(Duration::from_millis(1));
    assert_eq!(stage.letters(), 0, "and no longer");
    let unique = |key: &str| Some(Unique { key: key.into(), at_least: Some(Duration::from_secs(60)) });
    stage.job(&known, 1_000_000, unique("a"), Outcome::TimedOut(Duration::from_secs(1)));
    assert_eq!((stage.letters(), stage.store.kept_of_jobs()), (1, 1), "the next to die clears them away");
    stage.job(&known, 1_000_001, unique("b"), Outcome::Succeeded);
    assert_eq!(stage.store.kept_of_jobs(), 2, "what has succeeded is there for its key");
    stage.now = stage.now.plus(Duration::from_secs(60));
    stage.job(&known, 1_000_002, unique("a"), Outcome::Succeeded);
    assert_eq!(stage.store.kept_of_jobs(), 2, "until its time is over; the letter stays");
}

#[test]
fn letters_give_way_to_what_is_enqueued() {
    let mut stage = Stage::new();
    let known = stage.register(1..3);
    // So many fill the store, with the reason of each; they share one text.
    let longest: Arc<str> = "x".repeat(ARGUMENTS_BYTES_MAX).into();
    let fit: u64 = 1_023;
    for number in 0..fit + 5 {
        stage.job_with(Arc::clone(&longest), &known[0], number, None, Outcome::TimedOut(Duration::from_secs(1)));
    }
    assert_eq!(stage.letters() as u64, fit, "the oldest have given way");
    stage.job_with(Arc::clone(&longest), &known[1], 1_000_000, None, Outcome::Succeeded);
    assert_eq!(stage.letters() as u64, fit - 1, "to jobs of other tasks too");
    stage.now = stage.now.plus(LETTERS_KEPT_FOR + Duration::from_millis(1));
    stage.job(&known[1], 1_000_001, None, Outcome::Succeeded);
    assert_eq!(stage.store.kept_of_jobs(), 0, "what is enqueued clears away those that are too old");
}

#[test]
fn a_claim_brings_as_many_arguments_as_one_message_holds_and_says_that_others_wait() {
    let mut stage = Stage::new();
    let known = stage.register(1..2).remove(0);
    let most = CLAIMED_BYTES_MAX / ARGUMENTS_BYTES_MAX;
    let lengths = std::iter::repeat_n(ARGUMENTS_BYTES_MAX, most + 1).chain([2 * CLAIMED_BYTES_MAX, 1]);
    for (number, length) in (0_u64..).zip(lengths) {
        let arguments = JobArguments { version: 1, json: "x".repeat(length).into() };
        let (id, begin) = (RunId::from_parts(stage.now, number.into()), Begin::Now);
        let job = NewJob { id, task: known.key, arguments, begin, priority: None, unique: None };
        assert_eq!(stage.store.enqueue_jobs(&[job], stage.now), [Enqueued::Queued]);
    }
    let rules = TaskRules { alive_max: None, ..TaskRules::default() };
    stage.store.tasks[0].rules = rules.into();
    let mut claim = |number| {
        let claim = Claim { number, tasks: [known.key].into(), jobs: [(known.key, 1)].into(), max: 100 };
        let claims = stage.store.claim(&stage.node.clone(), &claim, stage.now, stage.present);
        (claims.runs.len(), claims.next_at == Some(stage.now))
    };
    assert_eq!(claim(1), (most, true));
    assert_eq!(claim(1), (most, true), "the same again has no more either");
    assert_eq!(claim(2), (1, true), "what is too long for any message with others");
    assert_eq!(claim(3), (1, true), "comes alone");
    assert_eq!(claim(4), (1, false));
}

#[test]
fn many_jobs_are_told_as_one_change() {
    let mut stage = Stage::new();
    let known = stage.register(1..2).remove(0);
    let before = stage.store.version();
    let job = |number| NewJob {
        id: RunId::from_parts(stage.now, number),
        task: known.key,
        arguments: JobArguments { version: 1, json: "[]".into() },
        begin: Begin::Now,
        priority: None,
        unique: None,
    };
    let jobs: Vec<NewJob> = (0..2_000).map(job).collect();
    assert!(stage.store.enqueue_jobs(&jobs, stage.now).iter().all(|&answer| answer == Enqueued::Queued));
    assert_eq!(stage.store.version(), before + 1);
}

/// One that was enqueued long ago to begin now, and that is tried again, has not waited for long.
#[cfg(feature = "rabbitmq")]
#[test]
fn a_delayed_job_that_is_tried_again_has_its_time_to_be_claimed() {
    let (mut stage, day) = (Stage::new(), Duration::from_secs(24 * 60 * 60));
    let known = stage.register(1..2).remove(0);
    stage.now = stage.now.plus(100 * day);
    let id = RunId::from_parts(stage.now.minus(20 * day), 1);
    let arguments = JobArguments { version: 1, json: "[]".into() };
    let begin = Begin::At(stage.now);
    let job = NewJob { id, task: known.key, arguments, begin, priority: None, unique: None };
    assert_eq!(stage.store.enqueue_jobs(&[job], stage.now), [Enqueued::Queued]);
    let claim = Claim { number: 1, tasks: [known.key].into(), jobs: [(known.key, 1)].into(), max: 1 };
    let run = stage.store.claim(&stage.node.clone(), &claim, stage.now, stage.present).runs.remove(0);
    let end = End::Retry { at: stage.now, failure: "it fails".into() };
    let (token, at) = (run.hold.token, stage.now);
    let end = Finish { task: known.key, id, token, end, started_at: Some(at), finished_at: at, log: None };
    assert!(matches!(stage.store.finish(&end, at), Stored::Done { .. }));
    stage.store.leave(&stage.node.clone(), true, at, stage.present);
    let mut end_unclaimed = |now| stage.store.end_unclaimed(14 * day, 10, now, stage.present);
    assert_eq!(end_unclaimed(at.plus(14 * day)), 0, "for so long from its next attempt on");
    assert_eq!(end_unclaimed(at.plus(15 * day)), 1);
}

#[test]
fn a_job_is_recognised_when_many_have_ended_since() {
    let mut stage = Stage::new();
    let known = stage.register(1..2).remove(0);
    for number in 0..10_000 {
        stage.job(&known, number, None, Outcome::Succeeded);
    }
    let (id, arguments) = (RunId::from_parts(stage.now, 0), JobArguments { version: 1, json: "[]".into() });
    let first = NewJob { id, task: known.key, arguments, begin: Begin::Now, priority: None, unique: None };
    assert_eq!(stage.store.enqueue_jobs(std::slice::from_ref(&first), stage.now), [Enqueued::Queued]);
    assert_eq!(stage.store.kept_of_jobs(), 0, "it is not made again");
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
    assert_eq!(stage.store.runs_page(&RunQuery::of(first.key)).rows, []);
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
