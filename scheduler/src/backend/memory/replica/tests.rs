//! A store that is rebuilt out of its image after each call keeps all promises: nothing that matters is left out of an image.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono_tz::Tz;
use tokio::sync::watch;

use super::*;
use crate::TaskName;
use crate::backend::{
    ARGUMENTS_BYTES_MAX, Action, Backend, BackendFuture, Begin, Capabilities, JobArguments, NewAction, TaskRules,
};
use crate::schedule::{Schedule, Timetable};

/// So many of the first calls, and each of so many later, are followed by an image: one of thousands of runs takes its time.
const OFTEN: usize = 200;

#[derive(Debug)]
struct Reimaged {
    replica: Mutex<Option<Replica>>,
    calls: AtomicUsize,
    clock: Clock,
    began: Instant,
    version: watch::Sender<u64>,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").finish_non_exhaustive()
    }
}

impl Reimaged {
    fn new() -> Self {
        let began = Clock::System.monotonic();
        let (replica, version) = (Mutex::new(Some(Replica::new())), watch::Sender::new(0));
        Self { replica, calls: AtomicUsize::new(0), clock: Clock::System, began, version }
    }

    fn replica(&self) -> MutexGuard<'_, Option<Replica>> {
        self.replica.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at(&self) -> At {
        let passed = self.clock.monotonic().duration_since(self.began);
        At { now: self.clock.now(), passed_ns: u64::try_from(passed.as_nanos()).expect("a test is short") }
    }

    fn make(&self, call: Call) -> Answer {
        let mut there = self.replica();
        let mut replica = there.take().expect("it is put back");
        // As a record brings it to the next owner.
        let call: Call =
            serde_json::from_str(&serde_json::to_string(&call).expect("it is written")).expect("it is read");
        let answer = replica.call(&call, self.at());
        let version = replica.version();
        let made = self.calls.fetch_add(1, Ordering::Relaxed);
        if made < OFTEN || made.is_multiple_of(OFTEN) {
            let image = replica.image();
            let written: Vec<String> =
                image.iter().map(|part| serde_json::to_string(part).expect("it is written")).collect();
            let read = written.iter().map(|part| serde_json::from_str(part).expect("it is read"));
            replica = Replica::of_image(read.collect());
        }
        *there = Some(replica);
        self.version.send_replace(version);
        serde_json::from_str(&serde_json::to_string(&answer).expect("it is written")).expect("it is read")
    }

    fn ask(&self, question: Question) -> Answer {
        let answer = self.replica().as_ref().expect("it is there").ask(&question, self.at());
        serde_json::from_str(&serde_json::to_string(&answer).expect("it is written")).expect("it is read")
    }
}

macro_rules! answered {
    ($answer:expr, $kind:ident) => {{
        let Answer::$kind(held) = $answer else { panic!("another kind of answer") };
        Box::pin(std::future::ready(Ok(held)))
    }};
}

impl Backend for Reimaged {
    fn name(&self) -> &'static str {
        "reimaged"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::durable().with_jobs()
    }

    fn register<'a>(&'a self, holder: &'a Holder, tasks: &'a [Registration]) -> BackendFuture<'a, Vec<Registered>> {
        answered!(self.make(Call::Register { holder: holder.clone(), tasks: tasks.to_vec() }), Registered)
    }

    fn unregister<'a>(&'a self, holder: &'a Holder, tasks: &'a [Unregistration]) -> BackendFuture<'a, ()> {
        self.make(Call::Unregister { holder: holder.clone(), tasks: tasks.to_vec() });
        Box::pin(std::future::ready(Ok(())))
    }

    fn look<'a>(&'a self, tasks: &'a [TaskKey]) -> BackendFuture<'a, Vec<Registered>> {
        let Answer::Looked { registered, .. } = self.ask(Question::Look { tasks: tasks.to_vec() }) else {
            panic!("another kind of answer")
        };
        Box::pin(std::future::ready(Ok(registered)))
    }

    fn heartbeat<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Timestamp> {
        answered!(self.make(Call::Heartbeat { holder: holder.clone() }), Beat)
    }

    fn enqueue<'a>(&'a self, holder: &'a Holder, firings: &'a [Firing]) -> BackendFuture<'a, Vec<Admission>> {
        answered!(self.make(Call::Enqueue { holder: holder.clone(), firings: firings.to_vec() }), Admissions)
    }

    fn claim<'a>(&'a self, holder: &'a Holder, claim: &'a Claim) -> BackendFuture<'a, Claims> {
        let set = claim.tasks.iter().fold(claim.tasks.len() as u64, |set, task| set.wrapping_mul(31) ^ task.0);
        let set = claim.jobs.iter().fold(set, |set, (_, version)| set.wrapping_mul(31) ^ u64::from(*version));
        let (total, told, tasks, jobs) = (claim.tasks.len(), 0, claim.tasks.to_vec(), claim.jobs.to_vec());
        self.make(Call::Name { set, total, told, tasks, jobs });
        let (holder, number, max) = (holder.clone(), claim.number, claim.max);
        answered!(self.make(Call::Claim { holder, number, set, max }), Claims)
    }

    fn finish<'a>(&'a self, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        answered!(self.make(Call::Finish { ended: ended.to_vec() }), Stored)
    }

    fn lost<'a>(&'a self, held: &'a [Holding]) -> BackendFuture<'a, Vec<RunId>> {
        answered!(self.ask(Question::Lost { held: held.to_vec() }), Lost)
    }

    fn submit<'a>(&'a self, submissions: &'a [Submission]) -> BackendFuture<'a, Vec<Submitted>> {
        answered!(self.make(Call::Submit { submissions: submissions.to_vec() }), Submitted)
    }

    fn control<'a>(&'a self, command: &'a Command) -> BackendFuture<'a, Changes> {
        let Answer::Changes { changes, .. } = self.make(Call::Control { command: command.clone() }) else {
            panic!("another kind of answer")
        };
        Box::pin(std::future::ready(Ok(changes)))
    }

    fn cancel(&self, run: RunId) -> BackendFuture<'_, Option<Cancelled>> {
        answered!(self.make(Call::Cancel { run }), Cancelled)
    }

    fn changes(&self, version: Option<u64>) -> BackendFuture<'_, Changes> {
        let mut told = self.version.subscribe();
        Box::pin(async move {
            if let Some(version) = version {
                told.wait_for(|&known| known > version).await.expect("it is there");
            }
            let answer = self.ask(Question::Changes { since: version });
            let Answer::Changes { changes, .. } = answer else { panic!("another kind of answer") };
            Ok(changes)
        })
    }

    fn leave<'a>(&'a self, holder: &'a Holder) -> BackendFuture<'a, Vec<Left>> {
        answered!(self.make(Call::Leave { holder: holder.clone() }), Left)
    }

    fn runs_page<'a>(&'a self, query: &'a RunQuery) -> BackendFuture<'a, RunRows> {
        answered!(self.ask(Question::RunsPage { query: query.clone() }), RunsPage)
    }

    fn log(&self, run: RunId) -> BackendFuture<'_, Option<RunLog>> {
        answered!(self.ask(Question::Log { run }), Log)
    }

    fn records(&self, task: TaskKey) -> BackendFuture<'_, Vec<Record>> {
        answered!(self.ask(Question::Records { task }), Records)
    }

    fn ledger(&self, task: TaskKey) -> BackendFuture<'_, Ledger> {
        answered!(self.ask(Question::Ledger { task }), Ledger)
    }

    fn tasks(&self) -> BackendFuture<'_, Vec<NamedTask>> {
        let Answer::Tasks { mut tasks, .. } = self.ask(Question::Tasks { from: 0 }) else {
            panic!("another kind of answer")
        };
        tasks.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Box::pin(std::future::ready(Ok(tasks)))
    }

    fn nodes(&self) -> BackendFuture<'_, Vec<NodeRow>> {
        let Answer::Nodes { nodes, .. } = self.ask(Question::Nodes { after: None }) else {
            panic!("another kind of answer")
        };
        Box::pin(std::future::ready(Ok(nodes)))
    }

    fn note<'a>(&'a self, action: &'a NewAction) -> BackendFuture<'a, ()> {
        self.make(Call::Note { action: action.clone() });
        Box::pin(std::future::ready(Ok(())))
    }

    fn actions(&self, limit: usize) -> BackendFuture<'_, Vec<Action>> {
        answered!(self.ask(Question::Actions { limit }), Actions)
    }

    fn enqueue_jobs<'a>(&'a self, jobs: &'a [NewJob]) -> BackendFuture<'a, Vec<Enqueued>> {
        answered!(self.make(Call::EnqueueJobs { jobs: jobs.to_vec() }), Enqueued)
    }

    fn dead_letters<'a>(&'a self, query: &'a LetterQuery) -> BackendFuture<'a, Vec<LetterRow>> {
        let Answer::Letters { letters, .. } = self.ask(Question::DeadLetters { query: query.clone(), after: None })
        else {
            panic!("another kind of answer")
        };
        Box::pin(std::future::ready(Ok(letters)))
    }

    fn run_again(&self, letter: RunId, again: RunId) -> BackendFuture<'_, Option<Enqueued>> {
        answered!(self.make(Call::RunAgain { letter, again }), RunAgain)
    }

    fn drop_letter(&self, letter: RunId) -> BackendFuture<'_, bool> {
        answered!(self.make(Call::DropLetter { letter }), Dropped)
    }
}

async fn empty_store() -> Reimaged {
    Reimaged::new()
}

crate::conformance_tests!(empty_store);

/// Whether a claim finds its set, which is used by that.
fn is_known(replica: &mut Replica, set: u64) -> bool {
    let at = At { now: Timestamp::from_millis(0), passed_ns: 0 };
    let holder = Holder::new("node", Duration::from_secs(60));
    !matches!(replica.call(&Call::Claim { holder, number: set, set, max: 1 }, at), Answer::UnknownSet)
}

fn told(replica: &mut Replica, set: u64, tasks: usize) {
    let at = At { now: Timestamp::from_millis(0), passed_ns: 0 };
    let tasks: Vec<TaskKey> = (0..).map(TaskKey).take(tasks).collect();
    replica.call(&Call::Name { set, total: tasks.len(), told: 0, tasks, jobs: Vec::new() }, at);
}

#[test]
fn the_set_that_was_used_least_is_forgotten_first() {
    let mut replica = Replica::new();
    for set in 0..SETS_MAX as u64 {
        told(&mut replica, set, 1);
    }
    assert!(is_known(&mut replica, 0));
    told(&mut replica, 9_999, 1);
    assert!(is_known(&mut replica, 0) && is_known(&mut replica, 9_999));
    assert!(!is_known(&mut replica, 1));
}

#[test]
fn sets_are_bounded_by_how_many_tasks_they_have() {
    let mut replica = Replica::new();
    for set in 0..4 {
        told(&mut replica, set, SETS_TASKS_MAX / 3);
    }
    assert_eq!([0, 1, 2, 3].map(|set| is_known(&mut replica, set)), [false, true, true, true]);
    told(&mut replica, 4, SETS_TASKS_MAX + 1);
    assert_eq!([3, 4].map(|set| is_known(&mut replica, set)), [false, true]);
}

const AT: At = At { now: Timestamp::from_millis(1_000_000), passed_ns: 0 };

/// Tasks of jobs, any number of which may run at once.
fn with_tasks(count: usize) -> (Replica, Holder, Vec<TaskKey>) {
    let (mut replica, holder) = (Replica::new(), Holder::new("node", Duration::from_secs(60)));
    let timetable = Arc::new(Timetable::new(Schedule::never(), Tz::UTC));
    let rules = TaskRules { alive_max: None, reads: 1, ..TaskRules::default() };
    let name = |number| TaskName::new(&format!("task {number}")).expect("a name");
    let declared =
        |number| Registration { name: name(number), timetable: Arc::clone(&timetable), rules: rules.clone() };
    let tasks = (0..count).map(declared).collect();
    let Answer::Registered(known) = replica.call(&Call::Register { holder: holder.clone(), tasks }, AT) else {
        panic!("they are registered")
    };
    (replica, holder, known.iter().map(|task| task.key).collect())
}

fn enqueue(replica: &mut Replica, task: TaskKey, number: u128, json: &Arc<str>) -> Enqueued {
    let arguments = JobArguments { version: 1, json: Arc::clone(json) };
    let (id, begin) = (RunId::from_parts(AT.now, number), Begin::Now);
    let jobs = vec![NewJob { id, task, arguments, begin, priority: None, unique: None }];
    let Answer::Enqueued(enqueued) = replica.call(&Call::EnqueueJobs { jobs }, AT) else { panic!("it is answered") };
    enqueued[0]
}

#[test]
fn which_tasks_of_a_set_are_jobs_is_told_in_pieces_and_is_in_the_image() {
    let (mut replica, holder, tasks) = with_tasks(4);
    let jobs = [(tasks[1], 1), (tasks[3], 1)];
    for (number, &task) in (0..).zip(&tasks) {
        assert_eq!(enqueue(&mut replica, task, number, &"7".into()), Enqueued::Queued);
    }
    for (told, some) in [(0, &tasks[..2]), (2, &tasks[2..])] {
        let jobs = jobs_of(&jobs, some).to_vec();
        replica.call(&Call::Name { set: 1, total: tasks.len(), told, tasks: some.to_vec(), jobs }, AT);
    }
    let mut replica = Replica::of_image(replica.image());
    let claim = Call::Claim { holder, number: 1, set: 1, max: 9 };
    let Answer::Claims(claims) = replica.call(&claim, AT) else { panic!("it is known") };
    assert_eq!(claims.runs.iter().map(|run| run.task).collect::<Vec<_>>(), [tasks[1], tasks[3]]);
}

#[test]
fn those_of_a_piece_that_are_jobs_are_told_with_it() {
    let tasks = [2, 4, 6].map(TaskKey);
    let jobs = [0, 2, 3, 6, 7].map(|task| (TaskKey(task), 1));
    assert_eq!(jobs_of(&jobs, &tasks), &jobs[1..4]);
    assert_eq!(jobs_of(&jobs, &tasks[1..2]), []);
    assert_eq!(jobs_of(&jobs, &[]), []);
    assert_eq!(jobs_of(&[], &tasks), []);
}

/// It is written anew as a whole, again and again.
#[test]
fn arguments_are_bounded_where_a_store_is_written_as_an_image() {
    let (mut replica, _, tasks) = with_tasks(1);
    let longest: Arc<str> = "x".repeat(ARGUMENTS_BYTES_MAX).into();
    let mut enqueue = |number| enqueue(&mut replica, tasks[0], number, &longest);
    assert!((0..256).all(|number| enqueue(number) == Enqueued::Queued), "64 MB may be");
    assert_eq!(enqueue(256), Enqueued::TooMany);
    let image = replica.image();
    let mut replica = Replica::of_image(image);
    let mut enqueue = |number| self::enqueue(&mut replica, tasks[0], number, &longest);
    assert_eq!((enqueue(256), enqueue(255)), (Enqueued::TooMany, Enqueued::Queued), "whoever reads it knows so");
}
