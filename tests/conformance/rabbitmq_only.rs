//! What RabbitMQ adds to the promises of every store: how large messages are, what failed owners leave, and what happens while a
//! server takes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use symphra_scheduler::backend::{
    Backend, Claim, Command, End, Finish, Holder, Holding, Registered, Registration, Retention, RunQuery, Submission,
    Submitted, TaskKey, TaskRules, Token,
};
use symphra_scheduler::{Origin, Outcome, Overlap, RabbitMqBackend, RunId, Schedule, TaskName, Timestamp, Timetable};
use symphra_scheduler_tests::services::{RabbitMq, has_rabbitmq, rabbitmq_url, redis_namespace};
use tokio::task::JoinSet;

/// What RabbitMQ 4 takes if nothing is said, in bytes.
pub(crate) const MESSAGE_MAX: &str = "16777216";

/// How long anything may take, on a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

fn node() -> Holder {
    Holder::new("a", Duration::from_secs(600))
}

pub(crate) async fn open(url: &str, namespace: &str) -> RabbitMqBackend {
    RabbitMqBackend::options().namespace(namespace).connect(url).await.expect("it opens")
}

async fn registered(store: &RabbitMqBackend, count: usize) -> Vec<Registered> {
    let schedule = Schedule::interval(Duration::from_secs(3_600)).expect("a period");
    let timetable = Arc::new(Timetable::new(schedule, symphra_scheduler::chrono_tz::UTC));
    let retention = Arc::new(Retention { runs: 5_000, failures: 5_000, failures_for: Duration::from_secs(3_600) });
    let tasks = (0..count).map(|number| Registration {
        name: TaskName::new(&format!("task {number:05}")).expect("a name"),
        timetable: Arc::clone(&timetable),
        rules: TaskRules { retention: Arc::clone(&retention), ..TaskRules::default() },
    });
    let tasks: Vec<_> = tasks.collect();
    store.register(&node(), &tasks).await.expect("they are registered")
}

/// So many runs of a task, beside one another.
async fn submitted(store: &RabbitMqBackend, task: TaskKey, count: u128) {
    let submissions: Vec<Submission> = (1..=count)
        .map(|number| {
            let id = RunId::from_parts(Timestamp::from_millis(1), number);
            Submission { id, task, origin: Origin::Trigger(id), scheduled_at: None, overlap: Some(Overlap::Allow) }
        })
        .collect();
    let submitted = store.submit(&submissions).await.expect("they are submitted");
    assert!(submitted.iter().all(|it| matches!(it, Submitted::Queued { .. })), "{:?}", submitted.first());
}

/// Runs that failed at length, listed, told to whoever comes next, and a pause of many tasks: each a little more than a message
/// may be.
#[tokio::test]
async fn no_message_is_larger_than_a_server_takes() {
    if !has_rabbitmq() {
        return;
    }
    const RUNS: usize = 360;
    let server = RabbitMq::start_with(&[("rabbit max_message_size", MESSAGE_MAX)]);
    let namespace = redis_namespace();
    let owner = open(&server.url(), &namespace).await;
    let other = open(&server.url(), &namespace).await;
    let tasks = registered(&other, 1_100).await;
    let task = tasks[0].key;
    submitted(&other, task, RUNS as u128).await;
    let claim = Claim { number: 1, tasks: [task].into(), jobs: [].into(), max: RUNS };
    let claims = other.claim(&node(), &claim).await.expect("they are claimed");
    assert_eq!(claims.runs.len(), RUNS);
    // As long as errors and excerpts of logs may be, and six times that when it is written down.
    let text = "\u{1}".repeat(8 * 1_024 - 8);
    let at = Timestamp::from_millis(2);
    let ended = claims.runs.iter().map(|run| Finish {
        task,
        id: run.id,
        token: run.hold.token,
        end: End::Retry { at: Timestamp::from_millis(4_102_444_800_000), failure: text.as_str().into() },
        started_at: Some(at),
        finished_at: at,
        log: Some(text.as_str().into()),
    });
    let ended: Vec<Finish> = ended.collect();
    // An end that had no answer within a second was sent again, and the second is told that it is stale.
    let stored = other.finish(&ended).await.expect("they are stored");
    assert_eq!(stored.len(), RUNS);
    let listed = other.runs(&RunQuery::of(task)).await.expect("they are listed");
    assert_eq!(listed.len(), RUNS);
    assert!(listed.iter().all(|run| run.failure.as_deref() == Some(text.as_str())));

    let reason = Some("\"".repeat(8_000).into());
    let version = other.changes(None).await.expect("it is told").version;
    let pause = Command::Pause { task: None, by: "me".into(), reason };
    let changes = other.control(&pause).await.expect("they are paused");
    assert_eq!(changes.tasks.len(), tasks.len());
    let changes = other.changes(Some(version)).await.expect("it is told");
    assert_eq!(changes.tasks.len(), tasks.len());

    // The next owner reads it all, and so does whoever asks it.
    drop(owner);
    let third = open(&server.url(), &namespace).await;
    drop(other);
    assert_eq!(third.runs(&RunQuery::of(task)).await.expect("they are listed").len(), RUNS);
    let looked = third.look(&tasks.iter().map(|task| task.key).collect::<Vec<_>>()).await.expect("they are looked at");
    assert_eq!(looked.len(), tasks.len());
    assert_eq!(third.tasks().await.expect("they are listed").len(), tasks.len());
    let log = third.log(claims.runs[0].id).await.expect("it is read").expect("it is kept");
    assert_eq!(log.text.len(), text.len());
    assert_eq!(registered(&third, tasks.len()).await.len(), tasks.len(), "with the pause of each");
}

/// The last runs of many tasks are too much for one message.
#[tokio::test]
async fn the_last_runs_of_many_tasks_are_told_in_pieces() {
    if !has_rabbitmq() {
        return;
    }
    const TASKS: usize = 300;
    let (namespace, server) = (redis_namespace(), rabbitmq_url());
    let _owner = open(server, &namespace).await;
    let store = open(server, &namespace).await;
    let tasks: Vec<TaskKey> = registered(&store, TASKS).await.iter().map(|task| task.key).collect();
    let submissions = (1..).zip(&tasks).map(|(number, &task)| {
        let id = RunId::from_parts(Timestamp::from_millis(1), number);
        Submission { id, task, origin: Origin::Trigger(id), scheduled_at: None, overlap: None }
    });
    store.submit(&submissions.collect::<Vec<_>>()).await.expect("they are submitted");
    let claim = Claim { number: 1, tasks: tasks.as_slice().into(), jobs: [].into(), max: TASKS };
    let holder = Holder::new("a".repeat(4_000), Duration::from_secs(600));
    let claimed = store.claim(&holder, &claim).await.expect("they are claimed").runs;
    assert_eq!(claimed.len(), TASKS);
    let at = Timestamp::from_millis(2);
    let ended = claimed.iter().map(|run| Finish {
        task: run.task,
        id: run.id,
        token: run.hold.token,
        end: End::Final(Outcome::Succeeded),
        started_at: Some(at),
        finished_at: at,
        log: None,
    });
    store.finish(&ended.collect::<Vec<_>>()).await.expect("they are stored");
    let last = store.last_ended(&tasks).await.expect("they are told");
    let of: BTreeSet<TaskKey> = last.iter().map(|run| run.task).collect();
    assert_eq!((last.len(), of), (TASKS, tasks.into_iter().collect()));
    assert!(last.iter().all(|run| run.node.as_deref() == Some(&*holder.node)));
}

#[tokio::test]
async fn a_reason_that_every_task_would_have_to_tell_is_refused_if_it_is_long() {
    if !has_rabbitmq() {
        return;
    }
    let store = open(rabbitmq_url(), &redis_namespace()).await;
    let pause = Command::Pause { task: None, by: "me".into(), reason: Some("x".repeat(9_000).into()) };
    let error = store.control(&pause).await.expect_err("it is long");
    assert!(format!("{error:?}").contains("9002 bytes, and on RabbitMQ 8192 are allowed"), "{error:?}");
}

/// A claim names its tasks, however many they are.
#[tokio::test]
async fn a_node_that_knows_very_many_tasks_claims_their_runs() {
    if !has_rabbitmq() {
        return;
    }
    let (namespace, server) = (redis_namespace(), rabbitmq_url());
    let owner = open(server, &namespace).await;
    let other = open(server, &namespace).await;
    let task = registered(&other, 1).await[0].key;
    submitted(&other, task, 2).await;
    let tasks: Arc<[TaskKey]> =
        std::iter::once(task).chain((1..100_000).map(|key| TaskKey(u64::MAX / 2 + key))).collect();
    let claim = |number| Claim { number, tasks: Arc::clone(&tasks), jobs: [].into(), max: 1 };
    assert_eq!(other.claim(&node(), &claim(1)).await.expect("it is claimed").runs.len(), 1);
    // The next owner has been told.
    drop(owner);
    assert_eq!(other.claim(&node(), &claim(2)).await.expect("it is claimed").runs.len(), 1);
}

async fn connected() -> Connection {
    Connection::connect(rabbitmq_url(), ConnectionProperties::default()).await.expect("it connects")
}

pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Publishes messages into the state queue, as failed owners leave them.
async fn left_behind(namespace: &str, messages: usize, properties: impl Fn(usize) -> BasicProperties, body: &[u8]) {
    let connection = connected().await;
    let channel = connection.create_channel().await.expect("a channel");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("it confirms");
    let exchange = format!("symphra.{namespace}");
    let mut confirms = Vec::new();
    for number in 0..messages {
        let options = BasicPublishOptions::default();
        let published =
            channel.basic_publish(exchange.as_str().into(), "state".into(), options, body, properties(number));
        confirms.push(published.await.expect("it is published"));
    }
    for confirm in confirms {
        assert!(confirm.await.expect("it is confirmed").is_ack());
    }
    connection.close(200, "".into()).await.expect("it closes");
}

#[tokio::test]
async fn what_failed_owners_have_left_is_read_however_much_it_is() {
    if !has_rabbitmq() {
        return;
    }
    let namespace = redis_namespace();
    let store = open(rabbitmq_url(), &namespace).await;
    let task = registered(&store, 1).await[0].key;
    drop(store);
    // More than are delivered at once.
    let kind = |number: usize| match number % 2 {
        0 => BasicProperties::default().with_type("hello".into()),
        _ => BasicProperties::default().with_type("begin".into()).with_message_id(format!("0 {number}").into()),
    };
    left_behind(&namespace, 70_000, kind, b"").await;
    let store = open(rabbitmq_url(), &namespace).await;
    assert_eq!(store.look(&[task]).await.expect("it is looked at").len(), 1);
}

/// Somebody else has begun to own the store, by all that this node can know.
#[tokio::test]
async fn an_owner_that_hears_of_another_gives_up_its_place_and_comes_back() {
    if !has_rabbitmq() {
        return;
    }
    let namespace = redis_namespace();
    let (store, listens) = counting("listens", &namespace).await;
    let task = registered(&store, 1).await[0].key;
    for (kind, id) in [("begin", "0 7"), ("claim", "90 7"), ("image", "95 1 0 2"), ("record", "99 2")] {
        let properties = |_| BasicProperties::default().with_type(kind.into()).with_message_id(id.into());
        let before = listens.load(Ordering::Relaxed);
        left_behind(&namespace, 1, properties, b"").await;
        until(kind, async || listens.load(Ordering::Relaxed) > before).await;
        assert_eq!(store.look(&[task]).await.expect("it is looked at").len(), 1);
    }
}

/// Each time that it is given the queue, all that stands there is delivered once more, and those wait that can read it.
#[tokio::test]
async fn a_node_that_cannot_read_the_state_says_so_and_stays_out_of_the_line() {
    if !has_rabbitmq() {
        return;
    }
    let namespace = redis_namespace();
    let (store, given) = counting("delivered", &namespace).await;
    let newer = |_| BasicProperties::default().with_type("image".into()).with_message_id("90 1 0 1".into());
    left_behind(&namespace, 1, newer, br#"{"reached":9,"admits":9}"#).await;
    until("it is given the queue again", async || given.load(Ordering::Relaxed) == 2).await;
    let is_said = |said: String| said.contains("its state is at version 9");
    until("it says so", async || store.heartbeat(&node()).await.is_err_and(|error| is_said(format!("{error:?}"))))
        .await;
    let other = RabbitMqBackend::options().namespace(&namespace).connect(rabbitmq_url()).await;
    assert!(is_said(format!("{:?}", other.expect_err("it is too new"))));
    // For nothing to happen there is no event.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(given.load(Ordering::Relaxed), 2);
}

/// How many messages the state queue has when nobody is there.
async fn left(namespace: &str) -> u32 {
    let connection = connected().await;
    let channel = connection.create_channel().await.expect("a channel");
    let mut left = 0;
    until("all have gone", async || {
        let (name, options) =
            (format!("symphra.{namespace}.state"), QueueDeclareOptions { passive: true, ..Default::default() });
        let queue =
            channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await.expect("it is there");
        left = queue.message_count();
        queue.consumer_count() == 0
    })
    .await;
    connection.close(200, "".into()).await.expect("it closes");
    left
}

#[tokio::test]
async fn owners_that_fail_before_their_image_is_whole_leave_no_more_than_one_of_them() {
    if !has_rabbitmq() {
        return;
    }
    let namespace = redis_namespace();
    let store = open(rabbitmq_url(), &namespace).await;
    let task = registered(&store, 1).await[0].key;
    drop(store);
    let mut counts = Vec::new();
    for _ in 0..5 {
        let failed = Arc::new(AtomicBool::new(false));
        let fails = Arc::clone(&failed);
        let options = RabbitMqBackend::options().namespace(&namespace).passing(move |step| {
            if step == "imaging" {
                fails.store(true, Ordering::Relaxed);
                panic!("an owner fails");
            }
        });
        let opening = tokio::spawn(options.connect(rabbitmq_url()));
        until("it fails", async || failed.load(Ordering::Relaxed)).await;
        opening.abort();
        counts.push(left(&namespace).await);
    }
    assert!(counts[4] <= counts[0] + 1, "{counts:?}");
    let store = open(rabbitmq_url(), &namespace).await;
    assert_eq!(store.look(&[task]).await.expect("it is looked at").len(), 1);
}

#[tokio::test]
async fn a_panic_of_the_connection_is_told_and_another_is_made() {
    if !has_rabbitmq() {
        return;
    }
    let panics = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&panics);
    let options = RabbitMqBackend::options().namespace(redis_namespace()).passing(move |step| {
        assert!(step != "written" || !armed.swap(false, Ordering::Relaxed), "it fails here");
    });
    let store = options.connect(rabbitmq_url()).await.expect("it opens");
    panics.store(true, Ordering::Relaxed);
    let error = store.heartbeat(&node()).await.expect_err("nobody answers");
    assert!(format!("{error:?}").contains("panicked: it fails here"), "{error:?}");
    until("it goes on", async || store.heartbeat(&node()).await.is_ok()).await;
}

/// A store whose owner counts how often it passes a step.
async fn counting(counted: &'static str, namespace: &str) -> (RabbitMqBackend, Arc<AtomicUsize>) {
    let passed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&passed);
    let options = RabbitMqBackend::options().namespace(namespace).passing(move |step| {
        counter.fetch_add(usize::from(step == counted), Ordering::Relaxed);
    });
    (options.connect(rabbitmq_url()).await.expect("it opens"), passed)
}

/// One that has been replaced, and does not know it, would tell a run that another has for its caller's own.
#[tokio::test]
async fn which_runs_are_lost_and_what_has_changed_is_answered_behind_a_record() {
    if !has_rabbitmq() {
        return;
    }
    let (store, written) = counting("written", &redis_namespace()).await;
    let task = registered(&store, 1).await[0].key;
    let run = Holding { task, id: RunId::from_parts(Timestamp::from_millis(1), 1), token: Token(1) };
    let before = written.load(Ordering::Relaxed);
    assert_eq!(store.look(&[task]).await.expect("it is looked at").len(), 1);
    assert_eq!(written.load(Ordering::Relaxed), before, "what may have changed since is told so by what follows");
    assert_eq!(store.lost(&[run]).await.expect("it is told"), [run.id]);
    assert_eq!(written.load(Ordering::Relaxed), before + 1);
    store.changes(None).await.expect("it is told");
    assert_eq!(written.load(Ordering::Relaxed), before + 2);
}

/// Whether an error tells why nothing goes on.
fn is_said(said: &str) -> bool {
    said.contains("RabbitMQ takes nothing") && said.contains("it has no memory or no disk left")
}

#[tokio::test]
async fn what_a_server_does_not_take_is_said_and_is_not_sent_when_it_does_again() {
    if !has_rabbitmq() {
        return;
    }
    let server = RabbitMq::start();
    let namespace = redis_namespace();
    let owner = open(&server.url(), &namespace).await;
    let other = Arc::new(open(&server.url(), &namespace).await);
    let task = registered(&other, 1).await[0].key;
    server.ctl(&["set_vm_memory_high_watermark", "0"]);
    for store in [&owner, &*other] {
        let began = Instant::now();
        loop {
            // It is told so when it publishes something.
            let beaten = store.heartbeat(&node()).await;
            if beaten.is_err_and(|error| is_said(&format!("{error:?}"))) {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "nothing is said");
        }
    }
    let mut late = JoinSet::new();
    for number in 0..20 {
        let other = Arc::clone(&other);
        late.spawn(async move { other.heartbeat(&Holder::new(format!("late {number}"), PATIENCE)).await });
    }
    while let Some(beaten) = late.join_next().await {
        let said = format!("{:?}", beaten.expect("it does not panic").expect_err("nobody answers"));
        assert!(is_said(&said), "{said}");
    }
    server.ctl(&["set_vm_memory_high_watermark", "0.4"]);
    for store in [&owner, &*other] {
        let began = Instant::now();
        while store.heartbeat(&node()).await.is_err() {
            assert!(began.elapsed() < PATIENCE, "it does not go on");
        }
        assert_eq!(store.look(&[task]).await.expect("it is looked at").len(), 1);
    }
    let nodes = other.nodes().await.expect("they are listed");
    let late = nodes.iter().filter(|node| node.node.starts_with("late")).count();
    assert_eq!(late, 0, "whoever called was told that it failed long ago");
    drop(owner);
    other.heartbeat(&node()).await.expect("the next owner beats");
}

#[tokio::test]
async fn a_state_queue_that_was_deleted_is_a_loss_that_is_told_until_the_next_start() {
    if !has_rabbitmq() {
        return;
    }
    let (server, namespace) = (RabbitMq::start(), redis_namespace());
    let stores = [open(&server.url(), &namespace).await, open(&server.url(), &namespace).await];
    let task = registered(&stores[1], 1).await[0].key;
    stores[0].look(&[task]).await.expect("it is seen");
    server.ctl(&["delete_queue", &format!("symphra.{namespace}.state")]);
    let began = Instant::now();
    for store in &stores {
        while !is_gone(&store.look(&[task]).await) {
            assert!(began.elapsed() < PATIENCE, "nothing is said");
        }
        assert!(is_gone(&store.heartbeat(&node()).await), "nor does it go on");
    }
    drop(stores);
    let next = open(&server.url(), &namespace).await;
    assert!(next.tasks().await.expect("it is answered").is_empty(), "an empty store");
}

/// Whether a call has failed for what was lost.
fn is_gone<T: std::fmt::Debug>(answer: &Result<T, symphra_scheduler::backend::BackendError>) -> bool {
    format!("{answer:?}").contains("RabbitMQ has lost what it had answered")
}
