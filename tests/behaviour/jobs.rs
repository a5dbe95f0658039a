//! Jobs: when they run, with what, how they fail, and what cannot be enqueued.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use symphra_scheduler::backend::{Capabilities, JobArguments};
use symphra_scheduler::test_util::Chaos;
use symphra_scheduler::{
    Backoff, LetterFilter, MemoryBackend, Origin, RetryPolicy, RunContext, RunFilter, RunId, RunState, Scheduler,
    SchedulerHandle, State, Task,
};

use crate::kit::{at, began, every, second, seconds, start, start_one};

/// What a test enqueues.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Mail {
    to: String,
}

fn mail(to: &str) -> Mail {
    Mail { to: to.to_owned() }
}

async fn send(mail: Mail, run: RunContext) -> Result<(), String> {
    run.progress(&mail.to);
    if mail.to == "nobody" { Err("there is no such address".to_owned()) } else { Ok(()) }
}

/// Two attempts, five seconds apart.
fn sending() -> Task {
    let twice = RetryPolicy::standard().max_attempts(2).strategy(Backoff::Fixed).wait_min(seconds(5)).jitter(false);
    Task::job("send", send).retry(twice)
}

async fn state<B>(test: &crate::kit::Test<B>, id: RunId) -> RunState {
    test.runs(&RunFilter::new().id(id)).await.expect("they are listed")[0].state
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_at_once_or_when_it_is_asked_for() {
    let test = start_one(sending).await;
    let now = test.enqueue(send, mail("ada")).await.expect("it is enqueued");
    test.enqueue("send", mail("bob")).delay(seconds(30)).await.expect("it is enqueued");
    test.enqueue(send, mail("eve")).at(at(20).to_utc()).await.expect("it is enqueued");
    test.advance(seconds(60)).await;
    assert_eq!(began(&test, "send"), [(0, 0), (20, 20), (30, 30)]);
    let runs = test.runs(&RunFilter::new().id(now)).await.expect("they are listed");
    assert_eq!((runs[0].state, runs[0].origin), (RunState::Succeeded, Origin::Job(now)));
    assert_eq!(test.task("send").expect("it is there").schedule.describe(), "when it is enqueued");
    assert!(test.next_occurrences("send", 3).expect("it is there").is_empty(), "it has no occurrences");
}

#[tokio::test(start_paused = true)]
async fn a_job_without_arguments_is_enqueued_with_nothing() {
    async fn rebuild() {}
    let test = start(|| {
        let whole = Task::job("whole", |(): (), run: RunContext| async move { drop(run) });
        Scheduler::empty().register(Task::job("rebuild", rebuild)).register(whole)
    })
    .await;
    let first = test.enqueue(rebuild, ()).await.expect("it is enqueued");
    let second = test.enqueue("whole", ()).await.expect("it is enqueued");
    test.advance(seconds(1)).await;
    assert_eq!((state(&test, first).await, state(&test, second).await), (RunState::Succeeded, RunState::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn many_jobs_are_enqueued_at_once_and_run_side_by_side() {
    let build = || {
        let slow = Task::job("slow", |mail: Mail| async move {
            tokio::time::sleep(seconds(10)).await;
            drop(mail);
        });
        Scheduler::empty().register(slow)
    };
    let test = start(build).await;
    let ids = test.enqueue_all("slow", (0..5).map(|n| mail(&n.to_string()))).await.expect("they are enqueued");
    assert_eq!(ids.len(), 5);
    test.advance(seconds(11)).await;
    for id in ids {
        assert_eq!(state(&test, id).await, RunState::Succeeded);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_for_good_is_a_dead_letter_and_can_be_run_again() {
    let test = start_one(sending).await;
    let id = test.enqueue(send, mail("nobody")).await.expect("it is enqueued");
    test.advance(seconds(3)).await;
    assert_eq!(state(&test, id).await, RunState::Retrying);
    assert_eq!(test.dead_letters(&LetterFilter::new()).await.expect("they are listed"), [], "it is tried again");
    test.advance(seconds(3)).await;
    let letters = test.dead_letters(&LetterFilter::new().task("send")).await.expect("they are listed");
    let [letter] = &letters[..] else { panic!("there is one: {letters:?}") };
    assert_eq!((letter.id, letter.task.as_str(), letter.state, letter.attempt), (id, "send", RunState::Failed, 2));
    assert_eq!(letter.arguments, JobArguments { version: 1, json: r#"{"to":"nobody"}"#.into() });
    assert_eq!(letter.failure.as_deref(), Some("there is no such address"));
    assert_eq!(second(letter.died_at.to_utc()), 5);

    let again = test.run_again(id).await.expect("it is there");
    assert_ne!(again, id);
    assert!(test.run_again(id).await.expect_err("it is no letter any more").is_unknown_run());
    test.advance(seconds(6)).await;
    test.drop_letter(again).await.expect("it has died again");
    assert!(test.drop_letter(again).await.expect_err("it was dropped").is_unknown_run());
    assert_eq!(test.dead_letters(&LetterFilter::new()).await.expect("they are listed"), []);
}

#[tokio::test]
async fn letters_of_tasks_that_a_program_does_not_have_are_listed() {
    let store = MemoryBackend::new();
    let fails = || Task::job("fails", |_: u8| async { Err::<(), _>("for good") }).retry(RetryPolicy::none());
    let other = Scheduler::empty().register(fails()).backend(store.clone()).start().await.expect("it starts");
    let tick = Task::new("tick", every(10), async || {});
    let handle = Scheduler::empty().register(tick).backend(store).start().await.expect("it starts");
    let id = other.enqueue("fails", 1_u8).await.expect("it is enqueued");
    let until_some = async {
        loop {
            let listed = handle.dead_letters(&LetterFilter::new()).await.expect("they are listed");
            match listed.is_empty() {
                true => tokio::task::yield_now().await,
                false => break listed,
            }
        }
    };
    let listed = tokio::time::timeout(seconds(60), until_some).await.expect("it dies, and is listed");
    assert_eq!((listed.len(), listed[0].id, listed[0].task.as_str()), (1, id, "fails"));
    assert_eq!(handle.dead_letters(&LetterFilter::new().task("fails")).await.expect("it is known there"), listed);
    let unknown = handle.dead_letters(&LetterFilter::new().task("fail")).await.expect_err("nobody has it");
    assert!(unknown.is_unknown_task());
    other.stop().await.expect("it stops");
    handle.stop().await.expect("it stops");
}

#[tokio::test(start_paused = true)]
async fn while_a_job_with_a_key_is_alive_it_is_the_answer() {
    let test = start_one(sending).await;
    let first = test.enqueue(send, mail("ada")).unique("ada").delay(seconds(10)).await.expect("it is enqueued");
    assert_eq!(test.enqueue(send, mail("ada")).unique("ada").await.expect("it is there"), first);
    assert_ne!(test.enqueue(send, mail("ada")).await.expect("without a key it is another"), first);
    test.advance(seconds(11)).await;
    let second = test.enqueue(send, mail("ada")).unique("ada").unique_for(seconds(60)).await.expect("the key is free");
    assert_ne!(second, first);
    test.advance(seconds(30)).await;
    assert_eq!(test.enqueue(send, mail("ada")).unique("ada").await.expect("it is there"), second, "it has ended");
    test.advance(seconds(31)).await;
    assert_ne!(test.enqueue(send, mail("ada")).unique("ada").await.expect("the time is over"), second);
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_jobs_back_and_an_operator_cannot_trigger_them() {
    let test = start_one(sending).await;
    test.pause_task("send").await.expect("it pauses");
    test.enqueue(send, mail("ada")).await.expect("it is enqueued");
    test.advance(seconds(5)).await;
    assert_eq!(began(&test, "send"), []);
    test.resume_task("send").await.expect("it goes on");
    test.advance(seconds(5)).await;
    assert_eq!(began(&test, "send"), [(0, 5)]);
    let told = test.trigger_task("send").await.expect_err("nobody knows with what").to_string();
    assert_eq!(told, "task \"send\" is a job, and is not triggered: it runs when it is enqueued");
    let told = test.reschedule("send", every(10)).await.expect_err("it has no schedule").to_string();
    assert!(told.contains("is a job, and has no schedule"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_enqueued_is_told() {
    async fn other(_: Mail) {}
    let build = || {
        let tick = Task::new("tick", every(10), async || {});
        let twice = Task::job("again", send);
        Scheduler::empty().register(sending()).register(tick).register(twice)
    };
    let test = start(build).await;
    let told = async |job: symphra_scheduler::Enqueue<'_>| job.await.expect_err("it is refused");
    let unknown = told(test.enqueue("sned", mail("ada"))).await;
    assert!(unknown.is_unknown_task());
    assert_eq!(unknown.to_string(), "there is no task named \"sned\"; did you mean \"send\"?");
    let unknown = told(test.enqueue(other, mail("ada"))).await;
    assert!(unknown.is_unknown_task() && unknown.to_string().contains("\"other\""), "{unknown}");
    let wrong = told(test.enqueue("send", 7_u32)).await.to_string();
    assert!(wrong.contains("takes `") && wrong.contains("::Mail`, and was given `u32`"), "{wrong}");
    let scheduled = told(test.enqueue("tick", ())).await.to_string();
    assert!(scheduled.contains("\"tick\" has a schedule, and is no job"), "{scheduled}");
    let two = told(test.enqueue(send, mail("ada"))).await.to_string();
    assert_eq!(
        two,
        "`send` is the function of task \"send\" and of task \"again\"; enqueue the job by the name of one"
    );
    let long = told(test.enqueue("send", mail(&"x".repeat(256 * 1024)))).await.to_string();
    assert!(long.contains("take 262153 bytes as JSON, and at most 262144 (256 KB) may"), "{long}");
    let high = told(test.enqueue("send", mail("ada")).priority(101)).await.to_string();
    assert!(high.contains("priority = 101 is not possible"), "{high}");
    let key = told(test.enqueue("send", mail("ada")).unique("x".repeat(300))).await.to_string();
    assert!(key.contains("has 300 bytes, and at most 256"), "{key}");
    let keyless = told(test.enqueue("send", mail("ada")).unique_for(seconds(60))).await.to_string();
    assert!(keyless.contains("this one has none; add .unique(key)"), "{keyless}");
    let most = mail(&"x".repeat(256 * 1024 - 9));
    test.enqueue("send", most).await.expect("256 KB may be");
}

/// The arguments of a job as they have been, as they are, and as they will be.
#[derive(Serialize, Deserialize)]
struct Letter {
    to: String,
    language: String,
}

fn add_language(mut old: Value) -> Value {
    old["language"] = json!("en");
    old
}

fn rename_name(mut old: Value) -> Value {
    old["to"] = old["name"].take();
    old
}

/// What bodies have said.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    fn add(&self, what: String) {
        self.0.lock().expect("nobody panics").push(what);
    }

    /// All of it, as soon as there is something.
    async fn all(&self) -> Vec<String> {
        loop {
            let said = self.0.lock().expect("nobody panics").clone();
            if !said.is_empty() {
                return said;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// The arguments of a job as they were once.
#[derive(Serialize, Deserialize)]
struct Oldest {
    name: String,
}

fn oldest(name: &str) -> Oldest {
    Oldest { name: name.to_owned() }
}

/// A program that knows only the oldest version.
async fn old(store: &MemoryBackend, said: &Said) -> SchedulerHandle {
    let said = said.clone();
    let body = move |mail: Oldest| {
        said.add(mail.name);
        async {}
    };
    let scheduler = Scheduler::empty().register(Task::job("send", body)).backend(store.clone());
    scheduler.start().await.expect("it starts")
}

/// One that knows all of them.
async fn new(store: &MemoryBackend, said: &Said) -> SchedulerHandle {
    let said = said.clone();
    let body = move |mail: Letter| {
        said.add(format!("{} in {}", mail.to, mail.language));
        async {}
    };
    let task = Task::job("send", body).upgrade(&[rename_name, add_language]);
    Scheduler::empty().register(task).backend(store.clone()).start().await.expect("it starts")
}

#[tokio::test]
async fn what_an_older_program_has_enqueued_is_brought_up() {
    let (store, said) = (MemoryBackend::new().outliving_its_program(), Said::default());
    let before = old(&store, &said).await;
    before.pause_task("send").await.expect("it pauses");
    before.enqueue("send", oldest("ada")).await.expect("it is enqueued");
    before.stop().await.expect("it stops");
    let after = new(&store, &said).await;
    after.resume_task("send").await.expect("it goes on");
    assert_eq!(said.all().await, ["ada in en"]);
    after.stop().await.expect("it stops");
}

#[tokio::test]
async fn what_a_newer_program_has_enqueued_waits_for_one_that_knows_it() {
    let (store, said) = (MemoryBackend::new().outliving_its_program(), Said::default());
    let before = new(&store, &said).await;
    before.pause_task("send").await.expect("it pauses");
    let letter = Letter { to: "bob".to_owned(), language: "fr".to_owned() };
    let newer = before.enqueue("send", letter).await.expect("it is enqueued");
    before.stop().await.expect("it stops");

    let back = old(&store, &said).await;
    back.resume_task("send").await.expect("it goes on");
    back.enqueue("send", oldest("ada")).await.expect("it is enqueued");
    assert_eq!(said.all().await, ["ada"], "what comes behind it runs");
    let runs = back.runs(&RunFilter::new().id(newer)).await.expect("they are listed");
    assert_eq!((runs[0].state, runs[0].attempt), (RunState::Queued, 0), "it is left alone");
    back.stop().await.expect("it stops");

    let said = Said::default();
    let again = new(&store, &said).await;
    assert_eq!(said.all().await, ["bob in fr"]);
    again.stop().await.expect("it stops");
}

#[tokio::test]
async fn arguments_that_cannot_be_read_are_a_dead_letter_at_once() {
    let (store, said) = (MemoryBackend::new().outliving_its_program(), Said::default());
    let before = old(&store, &said).await;
    before.pause_task("send").await.expect("it pauses");
    before.enqueue("send", oldest("ada")).await.expect("it is enqueued");
    before.stop().await.expect("it stops");
    let after = Scheduler::empty().register(sending()).backend(store).start().await.expect("it starts");
    after.resume_task("send").await.expect("it goes on");
    let letter = loop {
        match after.dead_letters(&LetterFilter::new()).await.expect("they are listed").pop() {
            Some(letter) => break letter,
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!(letter.attempt, 1, "no further attempt would change it");
    let failure = letter.failure.as_deref().expect("it says why");
    assert!(failure.contains("the job's arguments, of version 1, are no `"), "{failure}");
    assert!(failure.contains("missing field `to`"), "{failure}");
    after.stop().await.expect("it stops");
}

#[tokio::test(start_paused = true)]
async fn a_job_heeds_its_timeout_and_gets_what_the_program_has() {
    let build = || {
        let hang = Task::job("hang", |_: u8, patience: State<Duration>| async move {
            tokio::time::sleep(*patience).await;
        });
        let hang = hang.timeout(seconds(2)).retry(RetryPolicy::none());
        Scheduler::empty().state(seconds(60)).register(hang)
    };
    let test = start(build).await;
    let id = test.enqueue("hang", 1_u8).await.expect("it is enqueued");
    test.advance(seconds(10)).await;
    assert_eq!(state(&test, id).await, RunState::TimedOut);
    let letters = test.dead_letters(&LetterFilter::new().id(id)).await.expect("they are listed");
    assert_eq!(letters[0].state, RunState::TimedOut);
}

#[tokio::test]
async fn a_job_on_a_backend_without_jobs_is_an_error_at_start() {
    let none = Chaos::limited(MemoryBackend::new(), Capabilities::volatile());
    let refused = Scheduler::empty().register(sending()).backend(none.clone()).start().await;
    let refused = refused.expect_err("it has no jobs");
    assert!(refused.is_unsupported());
    let told = refused.to_string();
    assert!(told.contains("it is a job (#[task] or Task::job), and the backend \"memory\" has no jobs"), "{told}");
    assert!(told.contains("use a backend that has: memory, sqlite, postgres, redis, rabbitmq"), "{told}");
    let tick = Task::new("tick", every(10), async || {});
    let plain = Scheduler::empty().register(tick).backend(none).start().await.expect("without jobs it starts");
    assert!(plain.dead_letters(&LetterFilter::new()).await.expect_err("it has none").is_unsupported());
    assert!(plain.register(sending()).await.expect_err("it has no jobs").is_unsupported());
    plain.stop().await.expect("it stops");
}

#[tokio::test(start_paused = true)]
async fn a_pointer_to_a_function_names_no_task() {
    fn ready(_: u8) -> std::future::Ready<()> {
        std::future::ready(())
    }
    let pointer: fn(u8) -> std::future::Ready<()> = ready;
    let test = start(move || Scheduler::empty().register(Task::job("ready", pointer))).await;
    let refused = test.enqueue(pointer, 1_u8).await.expect_err("another task may have such a pointer");
    assert!(refused.to_string().contains("is a pointer to a function"), "{refused}");
    test.enqueue("ready", 1_u8).await.expect("by its name it is enqueued");
}

#[tokio::test]
async fn what_has_no_meaning_for_a_job_is_an_error_at_start() {
    let task = sending().run_on_start(true).overlap(symphra_scheduler::Overlap::Skip);
    let told = Scheduler::empty().register(task).start().await.expect_err("it is a job").to_string();
    for option in ["run_on_start", "overlap"] {
        let says = format!("it is a job, which runs when it is enqueued: {option} has no meaning for it; drop it");
        assert!(told.contains(&says), "{told}");
    }
}
