//! Promises about jobs: enqueued with arguments, claimed by who can read them, unique by their keys.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use symphra_scheduler_core::Timestamp;

use super::{
    HOUR, SHORT, Subject, beat, cancel, control, declared, disk_full, end, give_back, id, ids, node, now, pass, pause,
    register, retry, row, runs, succeed, version,
};
use crate::backend::{
    Begin, Claim, Claimed, Claims, Command, End, Enqueued, Group, Holder, JOBS_WAITING_MAX, JobArguments, NewJob,
    RunQuery, Stored, TaskKey, TaskRules, Unique,
};
use crate::outcome::Outcome;
use crate::run::{Origin, RunId, RunState};
use crate::schedule::{Schedule, Timetable};

/// The version of arguments that nodes read, if a test does not say otherwise.
const READS: u32 = 3;

/// A task of jobs, in a store that has them.
pub(super) struct Jobs {
    pub(super) backend: Subject,
    pub(super) key: TaskKey,
}

impl Jobs {
    /// `None` in a store that has no jobs: what a backend says it cannot do is not checked.
    pub(super) async fn new(backend: &Subject, name: &str) -> Option<Self> {
        Self::with(backend, name, TaskRules { alive_max: None, reads: READS, ..TaskRules::default() }).await
    }

    pub(super) async fn with(backend: &Subject, name: &str, rules: TaskRules) -> Option<Self> {
        if !backend.capabilities().jobs {
            return None;
        }
        let timetable = Arc::new(Timetable::new(Schedule::never(), Tz::UTC));
        let key = register(backend, &node("a"), declared(name, &timetable, &rules)).await.key;
        Some(Self { backend: Arc::clone(backend), key })
    }

    pub(super) fn id(&self, number: u64) -> RunId {
        id(self.key, 4_000_000 + number)
    }

    pub(super) fn job(&self, number: u64) -> NewJob {
        NewJob {
            id: self.id(number),
            task: self.key,
            arguments: JobArguments { version: 1, json: format!("{{\"number\":{number}}}").into() },
            begin: Begin::Now,
            priority: None,
            unique: None,
        }
    }

    pub(super) fn unique(&self, number: u64, key: &str, at_least: Option<Duration>) -> NewJob {
        NewJob { unique: Some(Unique { key: key.into(), at_least }), ..self.job(number) }
    }

    pub(super) async fn enqueue(&self, job: NewJob) -> Enqueued {
        let answers = self.backend.enqueue_jobs(&[job]).await.expect("an enqueue is answered");
        assert_eq!(answers.len(), 1, "an enqueue has one answer for each job");
        answers[0]
    }

    /// What the claim `number` of `holder` gets, who reads arguments up to version `reads`.
    pub(super) async fn claim_reading(&self, holder: &Holder, number: u64, reads: u32) -> Claims {
        let claim = Claim { number, tasks: [self.key].into(), jobs: [(self.key, reads)].into(), max: 10 };
        self.backend.claim(holder, &claim).await.expect("a claim is answered")
    }

    pub(super) async fn claim(&self, holder: &Holder, number: u64) -> Vec<Claimed> {
        self.claim_reading(holder, number, READS).await.runs
    }

    pub(super) async fn end(&self, run: &Claimed, how: End) -> Stored {
        end(&self.backend, self.key, run.id, run.hold.token, how).await
    }

    pub(super) async fn fail(&self, run: &Claimed) {
        let stored = self.end(run, End::Final(disk_full())).await;
        assert!(matches!(stored, Stored::Done { .. }), "who holds a run can end it: {stored:?}");
    }
}

/// A job waits to be claimed, which all nodes are told, and is claimed with its arguments; it is a run like any other.
pub async fn a_job_is_claimed_with_its_arguments(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    let (before, seen) = (now(&backend).await, version(&backend).await);
    assert_eq!(jobs.enqueue(jobs.job(1)).await, Enqueued::Queued);
    assert!(super::changes(&backend, seen).await.runnable, "all nodes are told that there is something");
    let listed = row(&backend, jobs.id(1)).await;
    assert_eq!((listed.state, listed.attempt, listed.origin), (RunState::Queued, 0, Origin::Job(jobs.id(1))));
    let run = jobs.claim(&node("a"), 1).await.remove(0);
    assert_eq!((run.id, run.origin, run.was), (jobs.id(1), Origin::Job(jobs.id(1)), RunState::Queued));
    assert_eq!((run.attempt, run.scheduled_at), (1, listed.scheduled_at));
    assert!(before <= run.scheduled_at && run.scheduled_at <= now(&backend).await, "it is of the store's present");
    assert_eq!(run.arguments.as_deref(), Some(&jobs.job(1).arguments));
    let begun = row(&backend, run.id).await;
    assert_eq!((begun.state, begun.due_at), (RunState::Running, listed.due_at), "it is one run, before and after");
    assert_eq!(begun.due_at, run.scheduled_at, "which is due at its instant");
    succeed(&backend, jobs.key, run.id, run.hold).await;
    assert_eq!(row(&backend, run.id).await.state, RunState::Succeeded);
    assert_eq!(jobs.claim(&node("a"), 2).await, [], "it runs once");
    assert_eq!(backend.ledger(jobs.key).await.expect("it is told").occurrences, 0, "it is no occurrence");
}

/// The answers are in the order of the batch; a task that nobody knows has none.
pub async fn jobs_of_a_batch_have_their_answers(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    let stranger = NewJob { task: TaskKey(u64::from(u32::MAX)), ..jobs.job(9) };
    let batch = [jobs.unique(1, "k", None), stranger, jobs.unique(2, "k", None), jobs.job(3)];
    let answers = backend.enqueue_jobs(&batch).await.expect("an enqueue is answered");
    let expected = [Enqueued::Queued, Enqueued::UnknownTask, Enqueued::Known(jobs.id(1)), Enqueued::Queued];
    assert_eq!(answers, expected);
    let mut claimed = ids(&jobs.claim(&node("a"), 1).await);
    claimed.sort();
    assert_eq!(claimed, [jobs.id(1), jobs.id(3)]);
}

/// The same job again makes no second run, also when the first has ended.
pub async fn a_job_whose_answer_was_lost_is_recognised(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    for _ in 0..2 {
        assert_eq!(jobs.enqueue(jobs.job(1)).await, Enqueued::Queued);
    }
    let claimed = jobs.claim(&node("a"), 1).await;
    assert_eq!(claimed.len(), 1, "there is one run");
    assert_eq!(jobs.enqueue(jobs.job(1)).await, Enqueued::Queued, "while it runs");
    succeed(&backend, jobs.key, claimed[0].id, claimed[0].hold).await;
    assert_eq!(jobs.enqueue(jobs.job(1)).await, Enqueued::Queued, "and when it has ended");
    assert_eq!(jobs.claim(&node("a"), 2).await, [], "it has run");
}

/// The same claim again is answered with the jobs that it had got, and their arguments.
pub async fn a_lost_claim_of_a_job_is_recognised(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    jobs.enqueue(jobs.job(1)).await;
    let first = jobs.claim(&node("a"), 1).await;
    assert_eq!(jobs.claim(&node("a"), 1).await, first);
    assert!(first[0].arguments.is_some());
    assert_eq!(jobs.claim(&node("a"), 2).await, [], "another claim has nothing to get");
}

/// A job begins not before its instant, nor before its delay is over; a claim tells when.
pub async fn a_job_begins_not_before_its_instant(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    let later = now(&backend).await.plus(HOUR);
    jobs.enqueue(NewJob { begin: Begin::At(later), ..jobs.job(1) }).await;
    let claims = jobs.claim_reading(&node("a"), 1, READS).await;
    assert_eq!((claims.runs, claims.next_at), (Vec::new(), Some(later)));
    assert_eq!(row(&backend, jobs.id(1)).await.scheduled_at, later, "it is of its instant");
    jobs.enqueue(NewJob { begin: Begin::After(4 * SHORT), ..jobs.job(2) }).await;
    let claims = jobs.claim_reading(&node("a"), 2, READS).await;
    assert_eq!(claims.runs, []);
    let due = claims.next_at.expect("there is one that comes");
    assert!(due < later, "the earlier one is told: {due}");
    super::tick(&backend, due).await;
    let run = jobs.claim(&node("a"), 3).await.remove(0);
    assert_eq!((run.id, run.scheduled_at), (jobs.id(2), due));
    let past = Timestamp::from_millis(5);
    jobs.enqueue(NewJob { begin: Begin::At(past), ..jobs.job(3) }).await;
    assert_eq!(jobs.claim(&node("a"), 4).await[0].scheduled_at, past, "an instant that is past is now");
}

/// Jobs are claimed by their priority, which is that of their task if they have none, and then by the instant at which they
/// were to begin, and then as they came.
pub async fn jobs_go_by_priority_and_then_by_instant(backend: Subject) {
    let rules = |priority| TaskRules { alive_max: None, priority, ..TaskRules::default() };
    let Some(jobs) = Jobs::with(&backend, "mail", rules(5)).await else { return };
    let Some(other) = Jobs::with(&backend, "bill", rules(20)).await else { return };
    let at = |millis| Begin::At(Timestamp::from_millis(millis));
    jobs.enqueue(NewJob { begin: at(300), ..jobs.job(1) }).await;
    jobs.enqueue(NewJob { begin: at(200), ..jobs.job(2) }).await;
    jobs.enqueue(NewJob { begin: at(900), priority: Some(50), ..jobs.job(3) }).await;
    jobs.enqueue(NewJob { begin: at(100), priority: Some(-1), ..jobs.job(4) }).await;
    jobs.enqueue(NewJob { begin: at(200), ..jobs.job(5) }).await;
    other.enqueue(NewJob { begin: at(800), ..other.job(1) }).await;
    let mut tasks = [jobs.key, other.key];
    tasks.sort();
    let mut order = Vec::new();
    for number in 1..=6 {
        let claim = Claim { number, tasks: tasks.into(), jobs: tasks.map(|task| (task, 1)).into(), max: 1 };
        order.extend(ids(&backend.claim(&node("a"), &claim).await.expect("a claim is answered").runs));
    }
    let expected = [jobs.id(3), other.id(1), jobs.id(2), jobs.id(5), jobs.id(1), jobs.id(4)];
    assert_eq!(order, expected);
}

/// As many jobs run at once as their task may have, and the end of one says that another may begin.
pub async fn as_many_jobs_run_at_once_as_may(backend: Subject) {
    let rules = TaskRules { alive_max: Some(2), ..TaskRules::default() };
    let Some(jobs) = Jobs::with(&backend, "mail", rules).await else { return };
    for number in 1..=4 {
        assert_eq!(jobs.enqueue(jobs.job(number)).await, Enqueued::Queued, "however many wait");
    }
    let first = jobs.claim(&node("a"), 1).await;
    assert_eq!(first.len(), 2);
    assert_eq!(jobs.claim(&node("b"), 1).await, [], "the task is full, for all nodes");
    let stored = jobs.end(&first[0], End::Final(Outcome::Succeeded)).await;
    assert_eq!(stored, Stored::Done { more: true }, "another may begin");
    let next = jobs.claim(&node("b"), 2).await;
    assert_eq!(next.len(), 1);
    let again = jobs.end(&next[0], retry(now(&backend).await.plus(HOUR))).await;
    assert!(matches!(again, Stored::Done { .. }));
    assert_eq!(jobs.claim(&node("b"), 3).await, [], "one that is tried again keeps its room");
}

/// A pause holds back jobs, those that wait and those that are tried again; they run when it ends.
pub async fn a_pause_holds_back_jobs(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    jobs.enqueue(jobs.job(1)).await;
    let run = jobs.claim(&node("a"), 1).await.remove(0);
    jobs.end(&run, retry(Timestamp::from_millis(1))).await;
    control(&backend, pause(Some(jobs.key))).await;
    assert_eq!(jobs.enqueue(jobs.job(2)).await, Enqueued::Queued, "it can be enqueued");
    assert_eq!(jobs.claim(&node("a"), 2).await, []);
    control(&backend, Command::Resume { task: Some(jobs.key) }).await;
    let mut claimed = ids(&jobs.claim(&node("a"), 3).await);
    claimed.sort();
    assert_eq!(claimed, [jobs.id(1), jobs.id(2)]);
}

/// Jobs of the tasks of one group share its room.
pub async fn jobs_share_the_room_of_their_group(backend: Subject) {
    let group = Some(Group { name: Arc::from("post"), max: 1 });
    let rules = TaskRules { alive_max: None, group, ..TaskRules::default() };
    let Some(jobs) = Jobs::with(&backend, "mail", rules.clone()).await else { return };
    let Some(other) = Jobs::with(&backend, "bill", rules).await else { return };
    jobs.enqueue(jobs.job(1)).await;
    jobs.enqueue(jobs.job(2)).await;
    other.enqueue(other.job(1)).await;
    let first = jobs.claim(&node("a"), 1).await;
    assert_eq!(first.len(), 1, "there is room for one");
    assert_eq!(other.claim(&node("b"), 1).await, []);
    let seen = version(&backend).await;
    let stored = jobs.end(&first[0], End::Final(Outcome::Succeeded)).await;
    assert_eq!(stored, Stored::Done { more: true });
    assert!(super::changes(&backend, seen).await.runnable, "who knows the other task is told");
    assert_eq!(other.claim(&node("b"), 2).await.len(), 1);
}

/// While a job with a key is alive there is no other with it: queued, running, between two attempts. When it has ended the
/// key is free. Keys are those of a task.
pub async fn a_unique_job_is_there_once(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    let Some(other) = Jobs::new(&backend, "bill").await else { return };
    assert_eq!(jobs.enqueue(jobs.unique(1, "ada", None)).await, Enqueued::Queued);
    let known = Enqueued::Known(jobs.id(1));
    assert_eq!(jobs.enqueue(jobs.unique(2, "ada", None)).await, known, "while it waits");
    assert_eq!(jobs.enqueue(jobs.unique(3, "bob", None)).await, Enqueued::Queued, "another key is free");
    assert_eq!(other.enqueue(other.unique(1, "ada", None)).await, Enqueued::Queued, "and so is that of another task");
    let claimed = jobs.claim(&node("a"), 1).await;
    let run = claimed.iter().find(|run| run.id == jobs.id(1)).expect("it is claimed");
    assert_eq!(jobs.enqueue(jobs.unique(4, "ada", None)).await, known, "while it runs");
    jobs.end(run, retry(Timestamp::from_millis(1))).await;
    assert_eq!(jobs.enqueue(jobs.unique(5, "ada", None)).await, known, "between two attempts");
    let run = jobs.claim(&node("a"), 2).await.remove(0);
    jobs.end(&run, End::Final(Outcome::Succeeded)).await;
    assert_eq!(jobs.enqueue(jobs.unique(6, "ada", None)).await, Enqueued::Queued, "its end frees the key");
    let run = jobs.claim(&node("a"), 3).await.remove(0);
    jobs.fail(&run).await;
    assert_eq!(jobs.enqueue(jobs.unique(7, "ada", None)).await, Enqueued::Queued, "also an end as a dead letter");
    cancel(&backend, jobs.id(7)).await.expect("it is alive");
    assert_eq!(jobs.enqueue(jobs.unique(8, "ada", None)).await, Enqueued::Queued, "and a cancellation");
}

/// A key is held for as long as was asked, from when the job was enqueued on, whether or not it has ended.
pub async fn a_key_is_held_for_as_long_as_was_asked(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    jobs.enqueue(jobs.unique(1, "long", Some(HOUR))).await;
    jobs.enqueue(jobs.unique(2, "short", Some(6 * SHORT))).await;
    let until = now(&backend).await.plus(6 * SHORT);
    for run in jobs.claim(&node("a"), 1).await {
        match run.id == jobs.id(1) {
            true => jobs.fail(&run).await,
            false => succeed(&backend, jobs.key, run.id, run.hold).await,
        }
    }
    assert_eq!(
        jobs.enqueue(jobs.unique(3, "long", None)).await,
        Enqueued::Known(jobs.id(1)),
        "it has failed, and holds"
    );
    if now(&backend).await < until {
        let answer = jobs.enqueue(jobs.unique(4, "short", None)).await;
        let is_late = now(&backend).await >= until;
        assert!(answer == Enqueued::Known(jobs.id(2)) || is_late, "it has succeeded, and holds: {answer:?}");
    }
    super::tick(&backend, until).await;
    let answer = jobs.enqueue(jobs.unique(5, "short", Some(HOUR))).await;
    assert!(matches!(answer, Enqueued::Queued | Enqueued::Known(_)), "the time is over: {answer:?}");
    assert_ne!(answer, Enqueued::Known(jobs.id(2)));
}

/// Of any number of callers who enqueue one key at the same time one makes the job, and all are told which it is.
pub async fn of_many_callers_with_one_key_one_makes_the_job(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    let callers = (1..=16).map(|number| {
        let (backend, job) = (Arc::clone(&backend), jobs.unique(number, "ada", None));
        tokio::spawn(async move {
            let answer = backend.enqueue_jobs(std::slice::from_ref(&job)).await.expect("an enqueue is answered")[0];
            match answer {
                Enqueued::Queued => job.id,
                Enqueued::Known(known) => known,
                other => panic!("there is room and a task: {other:?}"),
            }
        })
    });
    let mut told = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        told.push(caller.await.expect("a caller does not panic"));
    }
    told.dedup();
    assert_eq!(told.len(), 1, "all are told of one: {told:?}");
    assert_eq!(ids(&jobs.claim(&node("a"), 1).await), told, "and that one is there");
}

/// Who cannot read a job leaves it to others: one that waits, one that was given back, one that is tried again, one of a dead
/// node. What he can read he gets all the same.
pub async fn who_cannot_read_a_job_leaves_it(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    let newer = |number| NewJob { arguments: JobArguments { version: 2, json: "[]".into() }, ..jobs.job(number) };
    for number in 1..=4 {
        jobs.enqueue(newer(number)).await;
    }
    jobs.enqueue(jobs.job(5)).await;
    assert_eq!(ids(&jobs.claim_reading(&node("old"), 1, 1).await.runs), [jobs.id(5)], "what he can read");
    assert_eq!(jobs.claim_reading(&node("old"), 2, 0).await.runs, []);
    let dying = super::dying("new");
    beat(&backend, &dying).await;
    let claimed = jobs.claim_reading(&dying, 1, 2).await.runs;
    assert_eq!(claimed.len(), 4, "others get the others");
    let by = |number| claimed.iter().find(|run| run.id == jobs.id(number)).expect("it was claimed");
    give_back(&backend, by(1)).await;
    jobs.end(by(2), retry(Timestamp::from_millis(1))).await;
    succeed(&backend, jobs.key, by(4).id, by(4).hold).await;
    assert_eq!(jobs.claim_reading(&node("old"), 3, 1).await.runs, [], "given back, or tried again");
    let heir = super::mortal("heir");
    let mut got: Vec<RunId> = Vec::new();
    for number in 1..200 {
        beat(&backend, &heir).await;
        assert_eq!(jobs.claim_reading(&heir, 2 * number, 1).await.runs, [], "nor of a dead node");
        got.extend(ids(&jobs.claim_reading(&heir, 2 * number + 1, 2).await.runs));
        if got.len() == 3 {
            break;
        }
        pass(&backend, SHORT / 5).await;
    }
    got.sort();
    assert_eq!(got, [jobs.id(1), jobs.id(2), jobs.id(3)], "who can read them gets them");
}

/// A job that has begun and that the claimer cannot read, because it is tried again or of a dead node, gives its room back:
/// others are done, and it waits for who can read it.
pub async fn a_begun_job_that_cannot_be_read_gives_its_room_back(backend: Subject) {
    let rules = TaskRules { alive_max: Some(2), reads: 2, ..TaskRules::default() };
    let Some(jobs) = Jobs::with(&backend, "mail", rules).await else { return };
    let newer = |number| NewJob { arguments: JobArguments { version: 2, json: "[]".into() }, ..jobs.job(number) };
    for number in 1..=2 {
        jobs.enqueue(newer(number)).await;
    }
    let dying = super::dying("new");
    beat(&backend, &dying).await;
    let claimed = jobs.claim_reading(&dying, 1, 2).await.runs;
    assert_eq!(claimed.len(), 2, "the task is full");
    jobs.end(&claimed[0], retry(Timestamp::from_millis(1))).await;
    for number in 3..=4 {
        jobs.enqueue(jobs.job(number)).await;
    }
    let heir = super::mortal("heir");
    let mut got: Vec<Claimed> = Vec::new();
    for number in 1..200 {
        beat(&backend, &heir).await;
        got.extend(jobs.claim_reading(&heir, number, 1).await.runs);
        if got.len() == 2 {
            break;
        }
        pass(&backend, SHORT / 5).await;
    }
    got.sort_by_key(|run| run.id);
    assert_eq!(ids(&got), [jobs.id(3), jobs.id(4)], "what can be read is done");
    assert_eq!(row(&backend, jobs.id(1)).await.state, RunState::Queued);
    for run in &got {
        succeed(&backend, jobs.key, run.id, run.hold).await;
    }
    let mut later = jobs.claim_reading(&heir, 1_000, 2).await.runs;
    later.sort_by_key(|run| run.id);
    assert_eq!(ids(&later), [jobs.id(1), jobs.id(2)], "and the others by who can read them");
    assert_eq!((later[0].attempt, later[1].attempt), (2, 2));
    assert_eq!(jobs.end(&claimed[1], End::HandBack).await, Stored::Stale, "its first node has lost it");
}

/// Room that is freed by somebody who cannot read what waits for it is told to the others.
pub async fn room_for_what_its_giver_cannot_read_is_told(backend: Subject) {
    let rules = TaskRules { alive_max: Some(1), reads: 1, ..TaskRules::default() };
    let Some(jobs) = Jobs::with(&backend, "mail", rules).await else { return };
    jobs.enqueue(jobs.job(1)).await;
    let newer = JobArguments { version: 2, json: "[]".into() };
    jobs.enqueue(NewJob { arguments: newer, ..jobs.job(2) }).await;
    let run = jobs.claim_reading(&node("a"), 1, 1).await.runs.remove(0);
    let seen = version(&backend).await;
    succeed(&backend, jobs.key, run.id, run.hold).await;
    assert!(super::changes(&backend, seen).await.runnable, "who can read it need not find it by himself");
}

/// A job that waits is cancelled at once, and is none any more.
pub async fn a_waiting_job_is_cancelled_at_once(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    jobs.enqueue(jobs.job(1)).await;
    jobs.enqueue(NewJob { begin: Begin::After(HOUR), ..jobs.job(2) }).await;
    for number in 1..=2 {
        let cancelled = cancel(&backend, jobs.id(number)).await.expect("it is alive");
        assert_eq!((cancelled.id, cancelled.task, cancelled.was), (jobs.id(number), jobs.key, RunState::Queued));
        assert_eq!(row(&backend, jobs.id(number)).await.state, RunState::Cancelled);
    }
    assert_eq!(cancel(&backend, jobs.id(1)).await, None, "it has ended");
    assert_eq!(jobs.claim(&node("a"), 1).await, []);
    assert_eq!(backend.dead_letters(&crate::backend::LetterQuery::default()).await.expect("they are listed"), []);
}

/// Jobs that wait are listed among the runs, by what is asked.
pub async fn jobs_are_listed_among_the_runs(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    let Some(other) = Jobs::new(&backend, "bill").await else { return };
    let at = now(&backend).await;
    jobs.enqueue(NewJob { begin: Begin::At(at.minus(HOUR)), ..jobs.job(1) }).await;
    jobs.enqueue(NewJob { begin: Begin::At(at.plus(HOUR)), ..jobs.job(2) }).await;
    other.enqueue(other.job(1)).await;
    let listed = async |query: RunQuery| runs(&backend, &query).await.iter().map(|run| run.id).collect::<Vec<_>>();
    assert_eq!(listed(RunQuery::of(jobs.key)).await, [jobs.id(2), jobs.id(1)], "the newest instant first");
    assert_eq!(listed(RunQuery { to: Some(at), ..RunQuery::of(jobs.key) }).await, [jobs.id(1)]);
    let queued = RunQuery { states: vec![RunState::Queued], limit: Some(2), ..RunQuery::default() };
    assert_eq!(listed(queued).await, [jobs.id(2), other.id(1)]);
    let running = RunQuery { states: vec![RunState::Running], ..RunQuery::default() };
    assert_eq!(listed(running).await, []);
}

/// Of one task as many jobs may wait as the contract says; the next is refused, until one has begun. One whose key is held is
/// told so all the same, and another task has its own line.
pub async fn jobs_that_wait_are_bounded(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    let Some(other) = Jobs::new(&backend, "bill").await else { return };
    let most = JOBS_WAITING_MAX as u64;
    jobs.enqueue(jobs.unique(1, "ada", None)).await;
    for first in (2..=most).step_by(10_000) {
        let batch: Vec<NewJob> = (first..=most.min(first + 9_999)).map(|number| jobs.job(number)).collect();
        let answers = backend.enqueue_jobs(&batch).await.expect("an enqueue is answered");
        assert!(answers.iter().all(|&answer| answer == Enqueued::Queued), "as many as may wait are accepted");
    }
    assert_eq!(jobs.enqueue(jobs.job(most + 1)).await, Enqueued::TooMany, "the next is not");
    assert_eq!(jobs.enqueue(jobs.job(most)).await, Enqueued::Queued, "one that was accepted is recognised");
    assert_eq!(jobs.enqueue(jobs.unique(most + 2, "ada", None)).await, Enqueued::Known(jobs.id(1)));
    assert_eq!(other.enqueue(other.job(1)).await, Enqueued::Queued);
    assert_eq!(jobs.claim(&node("a"), 1).await.len(), 10);
    assert_eq!(jobs.enqueue(jobs.job(most + 3)).await, Enqueued::Queued, "another may wait in its place");
}
