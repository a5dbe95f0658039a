//! Jobs on RabbitMQ: what of them outlives the node that owns the store, how large messages are, and who leaves them to others.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use symphra_scheduler::backend::{
    ARGUMENTS_BYTES_MAX, Backend, Begin, Claim, Claimed, End, Enqueued, Finish, Holder, JobArguments, LetterQuery,
    LetterRow, NewJob, Registration, RunQuery, Stored, TaskKey, TaskRules, Unique,
};
use symphra_scheduler::{
    Outcome, RabbitMqBackend, RunFilter, RunId, RunState, Schedule, Scheduler, SchedulerHandle, Task, TaskName,
    Timestamp, Timetable,
};
use symphra_scheduler_tests::services::{RabbitMq, has_rabbitmq, rabbitmq_url, redis_namespace};

use crate::rabbitmq_only::{MESSAGE_MAX, open, until};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a job waits for a node that knows its task.
const WAIT_MAX: Duration = Duration::from_secs(14 * 24 * 60 * 60);

fn node(name: &str) -> Holder {
    Holder::new(name, DAY)
}

/// A task whose jobs are read up to a version by a node.
async fn registered(store: &RabbitMqBackend, holder: &Holder, reads: u32) -> TaskKey {
    let schedule = Schedule::interval(DAY).expect("a period");
    let timetable = Arc::new(Timetable::new(schedule, symphra_scheduler::chrono_tz::UTC));
    let rules = TaskRules { alive_max: None, reads, ..TaskRules::default() };
    let task = Registration { name: TaskName::new("note").expect("a name"), timetable, rules };
    store.register(holder, &[task]).await.expect("it is registered").remove(0).key
}

fn now() -> Timestamp {
    Timestamp::from(symphra_scheduler::chrono::DateTime::<symphra_scheduler::chrono::Utc>::from(
        std::time::SystemTime::now(),
    ))
}

fn id(number: u128) -> RunId {
    RunId::from_parts(Timestamp::from_millis(1_000), number)
}

fn job(task: TaskKey, number: u128, json: &str) -> NewJob {
    let arguments = JobArguments { version: 1, json: json.into() };
    NewJob { id: id(number), task, arguments, begin: Begin::Now, priority: None, unique: None }
}

fn unique(task: TaskKey, number: u128, key: &str, at_least: Option<Duration>) -> NewJob {
    NewJob { unique: Some(Unique { key: key.into(), at_least }), ..job(task, number, "7") }
}

async fn enqueue(store: &RabbitMqBackend, job: NewJob) -> Enqueued {
    store.enqueue_jobs(&[job]).await.expect("it is answered").remove(0)
}

async fn claim(store: &RabbitMqBackend, task: TaskKey, number: u64, max: usize) -> Vec<Claimed> {
    let claim = Claim { number, tasks: [task].into(), jobs: [(task, 1)].into(), max };
    store.claim(&node("a"), &claim).await.expect("it is answered").runs
}

async fn end(store: &RabbitMqBackend, run: &Claimed, outcome: Outcome) {
    let (task, id, token, end) = (run.task, run.id, run.hold.token, End::Final(outcome));
    let finish = Finish { task, id, token, end, started_at: None, finished_at: now(), log: None };
    let stored = store.finish(&[finish]).await.expect("it is answered");
    assert!(matches!(stored[..], [Stored::Done { .. }]), "{stored:?}");
}

async fn letters(store: &RabbitMqBackend) -> Vec<LetterRow> {
    store.dead_letters(&LetterQuery::default()).await.expect("they are listed")
}

fn too_long() -> Outcome {
    Outcome::TimedOut(DAY)
}

/// Once out of the records of their owner, and once out of the image of the next.
#[tokio::test]
async fn jobs_letters_and_keys_outlive_each_owner_of_their_store() {
    if !has_rabbitmq() {
        return;
    }
    const ODD: &str = "\u{1}\"\\ \u{2028} ключ";
    let namespace = redis_namespace();
    let first = open(rabbitmq_url(), &namespace).await;
    let second = open(rabbitmq_url(), &namespace).await;
    let third = open(rabbitmq_url(), &namespace).await;
    let task = registered(&first, &node("a"), 1).await;
    // One that runs, one that has died and holds its key, one that has ended and does, one that waits for an hour.
    for job in [
        unique(task, 1, ODD, None),
        unique(task, 2, "dead", Some(DAY)),
        unique(task, 3, "ended", Some(DAY)),
        NewJob { begin: Begin::After(DAY), ..job(task, 4, "{\"later\":true}") },
    ] {
        assert_eq!(enqueue(&first, job).await, Enqueued::Queued);
    }
    let claimed = claim(&first, task, 1, 10).await;
    let by = |number| claimed.iter().find(|run| run.id == id(number)).expect("it was claimed");
    end(&first, by(2), too_long()).await;
    end(&first, by(3), Outcome::Succeeded).await;
    let many: Vec<NewJob> = (1_000..11_000).map(|number| job(task, number, &format!("[{number}]"))).collect();
    let answers = first.enqueue_jobs(&many).await.expect("they are enqueued");
    assert!(answers.iter().all(|&answer| answer == Enqueued::Queued));
    for number in 2..=4 {
        assert_eq!(enqueue(&first, NewJob { unique: None, ..unique(task, number, "", None) }).await, Enqueued::Queued);
    }

    let (mut before, mut claims) = (Some(first), 2);
    for store in [second, third] {
        drop(before.take());
        assert_eq!(enqueue(&store, unique(task, 20_001, ODD, None)).await, Enqueued::Known(id(1)), "it runs");
        assert_eq!(enqueue(&store, unique(task, 20_002, "dead", None)).await, Enqueued::Known(id(2)));
        assert_eq!(enqueue(&store, unique(task, 20_003, "ended", None)).await, Enqueued::Known(id(3)));
        assert_eq!(enqueue(&store, job(task, 3, "7")).await, Enqueued::Queued, "one that has ended is recognised");
        let dead = letters(&store).await;
        let [letter] = &dead[..] else { panic!("there is one: {dead:?}") };
        assert_eq!((letter.id, letter.state, &*letter.arguments.json), (id(2), RunState::TimedOut, "7"));
        let mut queued = RunQuery::of(task);
        queued.states = vec![RunState::Queued];
        let waiting = store.runs(&queued).await.expect("they are listed");
        assert_eq!(waiting.len(), 10_001 - 10 * (claims as usize - 2), "in pieces");
        assert_eq!(waiting[0].id, id(4), "the newest instant first");
        let some = claim(&store, task, claims, 10).await;
        let expected = 1_000 + 10 * u128::from(claims - 2);
        assert_eq!(
            some.iter().map(|run| run.id).collect::<Vec<_>>(),
            (expected..expected + 10).map(id).collect::<Vec<_>>()
        );
        let json = some[0].arguments.as_deref().map(|arguments| &*arguments.json);
        assert_eq!(json, Some(&*format!("[{expected}]")), "as they came, with their arguments");
        assert_eq!(claim(&store, task, claims, 10).await, some, "an answer that was lost");
        claims += 1;
        before = Some(store);
    }
    let store = before.expect("the last");
    end(&store, by(1), Outcome::Succeeded).await;
    assert_eq!(enqueue(&store, unique(task, 20_004, ODD, None)).await, Enqueued::Queued, "its end has freed the key");
    assert_eq!(store.run_again(id(2), id(20_005)).await.expect("it is answered"), Some(Enqueued::Queued));
    assert_eq!(enqueue(&store, unique(task, 20_006, "dead", None)).await, Enqueued::Known(id(20_005)));
    assert!(!store.drop_letter(id(2)).await.expect("it is answered"), "it is none any more");
}

/// In calls, records, images, claims and lists of letters; each fourth consists of what JSON writes six times as long.
#[tokio::test]
async fn the_longest_arguments_fit_into_messages_however_many_there_are() {
    if !has_rabbitmq() {
        return;
    }
    const JOBS: usize = 100;
    let server = RabbitMq::start_with(&[("rabbit max_message_size", MESSAGE_MAX)]);
    let namespace = redis_namespace();
    let owner = open(&server.url(), &namespace).await;
    let other = open(&server.url(), &namespace).await;
    let third = open(&server.url(), &namespace).await;
    let task = registered(&other, &node("a"), 1).await;
    let (worst, long) = ("\u{1}".repeat(ARGUMENTS_BYTES_MAX), "\\u0001".repeat(ARGUMENTS_BYTES_MAX / 6));
    let json = |number: u128| if number.is_multiple_of(4) { &*worst } else { &*long };
    let jobs: Vec<NewJob> = (1..=JOBS as u128).map(|number| job(task, number, json(number))).collect();
    let answers = other.enqueue_jobs(&jobs).await.expect("they are enqueued");
    assert!(answers.len() == JOBS && answers.iter().all(|&answer| answer == Enqueued::Queued), "{answers:?}");
    let mut runs: Vec<Claimed> = Vec::new();
    for number in 1.. {
        let some = claim(&other, task, number, JOBS).await;
        if some.is_empty() {
            break;
        }
        runs.extend(some);
    }
    assert_eq!(runs.len(), JOBS);
    let arguments = |run: &Claimed| run.arguments.as_deref().is_some_and(|it| &*it.json == json(number_of(run.id)));
    assert!(runs.iter().all(arguments), "each has its own");
    for run in &runs {
        end(&other, run, too_long()).await;
    }
    // The next owner reads it all, and so does whoever asks it.
    drop(owner);
    let dead = letters(&third).await;
    assert_eq!(dead.len(), JOBS);
    drop(other);
    let dead_then = letters(&third).await;
    assert_eq!(dead_then, dead);
    let mut first = LetterQuery::of(task);
    first.limit = Some(1);
    let one = third.dead_letters(&first).await.expect("it is listed");
    assert_eq!(one, dead[..1], "the last to die");
    assert_eq!(third.run_again(id(4), id(1_000)).await.expect("it is answered"), Some(Enqueued::Queued));
    let again = claim(&third, task, 1_000_000, JOBS).await;
    assert_eq!((again.len(), again[0].id), (1, id(1_000)));
    assert_eq!(again[0].arguments.as_deref().map(|it| it.json.len()), Some(ARGUMENTS_BYTES_MAX));
}

fn number_of(run: RunId) -> u128 {
    (1..=100).find(|&number| id(number) == run).expect("it is one of them")
}

#[tokio::test]
async fn a_job_that_no_node_can_claim_is_a_dead_letter_after_so_long() {
    if !has_rabbitmq() {
        return;
    }
    let store = open(rabbitmq_url(), &redis_namespace()).await;
    let task = registered(&store, &node("a"), 1).await;
    let made = now().minus(20 * DAY);
    let old = |number, version| NewJob {
        id: RunId::from_parts(made, number),
        arguments: JobArguments { version, json: "7".into() },
        begin: Begin::At(made),
        ..job(task, number, "")
    };
    let newer = Claim { number: 1, tasks: [task].into(), jobs: [(task, 2)].into(), max: 1 };
    // One that has begun and was given back, one that has not, and some that have their time.
    assert_eq!(enqueue(&store, old(1, 2)).await, Enqueued::Queued);
    let run = store.claim(&node("a"), &newer).await.expect("it is answered").runs.remove(0);
    let (id, token, end) = (run.id, run.hold.token, End::HandBack);
    let finish = Finish { task, id, token, end, started_at: None, finished_at: now(), log: None };
    store.finish(&[finish]).await.expect("it is answered");
    let later = NewJob { begin: Begin::At(now().plus(DAY)), ..old(4, 2) };
    for job in [old(2, 2), old(3, 1), later, job(task, 5, "7")] {
        assert_eq!(enqueue(&store, job).await, Enqueued::Queued);
    }
    let ended = async || store.end_unclaimed(WAIT_MAX).await.expect("it is looked");
    let dead = async || {
        let mut dead: Vec<RunId> = letters(&store).await.iter().map(|letter| letter.id).collect();
        dead.sort();
        dead
    };
    assert_eq!(ended().await, 2, "nobody reads them");
    assert_eq!(dead().await, [old(1, 2).id, old(2, 2).id]);
    assert_eq!(ended().await, 0, "a node reads the others, or they are not old");
    store.leave(&node("a")).await.expect("it is answered");
    // Of the others one is to begin later, and one is to begin since now, although its id is old.
    assert_eq!(ended().await, 1, "nobody knows its task");
    let all = letters(&store).await;
    assert!(all.iter().all(|letter| letter.state == RunState::Cancelled && letter.failure.is_some()), "{all:?}");
    assert_eq!(all.len(), 3);
}

/// The arguments of a job as they were, and as they are.
#[derive(Serialize, Deserialize)]
struct Old {
    to: String,
}

#[derive(Serialize, Deserialize)]
struct New {
    to: String,
    language: String,
}

fn add_language(mut old: Value) -> Value {
    old["language"] = json!("en");
    old
}

/// What bodies have said.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    fn add(&self, what: String) {
        self.0.lock().expect("nobody panics").push(what);
    }

    async fn says(&self, what: &str) {
        until(what, async || self.0.lock().expect("nobody panics").iter().any(|said| said == what)).await;
    }
}

async fn older(namespace: &str, said: &Said) -> SchedulerHandle {
    let said = said.clone();
    let body = move |mail: Old| {
        said.add(format!("old: {}", mail.to));
        async {}
    };
    started(Task::job("send", body), namespace).await
}

async fn newer(namespace: &str, said: &Said) -> SchedulerHandle {
    let said = said.clone();
    let body = move |mail: New| {
        said.add(format!("new: {} in {}", mail.to, mail.language));
        async {}
    };
    started(Task::job("send", body).upgrade(&[add_language]), namespace).await
}

async fn started(task: Task, namespace: &str) -> SchedulerHandle {
    let store = open(rabbitmq_url(), namespace).await;
    Scheduler::empty().register(task).backend(store).start().await.expect("it starts")
}

/// One takes the place of the other, which is then rolled back.
#[tokio::test]
async fn two_versions_of_a_program_share_a_store() {
    if !has_rabbitmq() {
        return;
    }
    let (namespace, said) = (redis_namespace(), Said::default());
    let french = |to: &str| New { to: to.to_owned(), language: "fr".to_owned() };
    let old = older(&namespace, &said).await;
    old.enqueue("send", Old { to: "ada".to_owned() }).await.expect("it is enqueued");
    said.says("old: ada").await;
    let new = newer(&namespace, &said).await;
    // The older program owns the store.
    new.enqueue("send", french("bob")).await.expect("it is enqueued");
    said.says("new: bob in fr").await;
    old.stop().await.expect("it stops");
    new.enqueue("send", french("eve")).await.expect("it is enqueued");
    said.says("new: eve in fr").await;
    new.pause_task("send").await.expect("it pauses");
    let left = new.enqueue("send", french("zoe")).await.expect("it is enqueued");
    let back = older(&namespace, &said).await;
    new.stop().await.expect("it stops");
    back.enqueue("send", Old { to: "kim".to_owned() }).await.expect("it is enqueued");
    back.resume_task("send").await.expect("it goes on");
    said.says("old: kim").await;
    let runs = back.runs(&RunFilter::new().id(left)).await.expect("they are listed");
    assert_eq!((runs[0].state, runs[0].attempt), (RunState::Queued, 0), "it is left alone");
    let again = newer(&namespace, &said).await;
    said.says("new: zoe in fr").await;
    back.stop().await.expect("it stops");
    again.stop().await.expect("it stops");
}
