//! A store in Redis that has lost what it had answered: whoever knows that does nothing more with it, and says so.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler::backend::{
    Admission, Backend, BackendError, Claim, Command, End, Finish, Hold, Holding, LetterQuery, RunQuery, Submission,
    Token, Unregistration,
};
use symphra_scheduler::{Origin, Outcome, RedisBackend, RunId};
use symphra_scheduler_tests::services::{Redis, has_redis};

use super::redis_only::{firing, node, open, registered};

pub(super) const WORDS: &str = "Redis has lost what it had answered: it was emptied, or a failover or a restart has undone its last writes; \
                     start the programs on it again";

#[test]
fn the_words_of_a_loss_are_those_of_the_page() {
    let page = symphra_scheduler_tests::shown::page("docs/en/backends.md");
    assert!(page.contains(&format!("```text\n{WORDS}\n```")), "{WORDS}");
}

/// A server that tells what all its keys are.
fn server() -> Redis {
    Redis::start_with(&["--enable-debug-command", "yes"])
}

fn says_so<R: Debug>(call: &str, answer: Result<R, BackendError>) {
    let told = format!("{:?}", answer.expect_err(call));
    assert!(told.contains(WORDS), "{call}: {told}");
}

/// Makes each call that there is.
async fn each_call_fails(server: &Redis, store: &RedisBackend) {
    let (holder, before) = (node(), server.ask("DEBUG DIGEST"));
    assert!(before.starts_with('+'), "{before}");
    let (task, id) = (symphra_scheduler::backend::TaskKey(1), RunId::from_parts(symphra_scheduler::Timestamp::MIN, 7));
    says_so("changes", store.changes(Some(u64::from(u32::MAX))).await);
    says_so("changes", store.changes(None).await);
    says_so("heartbeat", store.heartbeat(&holder).await);
    says_so("look", store.look(&[task]).await);
    says_so("lost", store.lost(&[Holding { task, id, token: Token(1) }]).await);
    let claim = Claim { number: 99, tasks: Arc::new([task]), jobs: [].into(), max: 1 };
    says_so("claim", store.claim(&holder, &claim).await);
    let at = symphra_scheduler::Timestamp::MIN;
    let end = End::Final(Outcome::Succeeded);
    let end = Finish { task, id, token: Token(1), end, started_at: None, finished_at: at, log: None };
    says_so("finish", store.finish(&[end]).await);
    let trigger = Submission { id, task, origin: Origin::Trigger(id), scheduled_at: None, overlap: None };
    says_so("submit", store.submit(&[trigger]).await);
    says_so("control", store.control(&Command::Resume { task: None }).await);
    says_so("cancel", store.cancel(id).await);
    says_so("leave", store.leave(&holder).await);
    says_so("unregister", store.unregister(&holder, &[Unregistration { task, version: 1 }]).await);
    says_so("runs", store.runs(&RunQuery::default()).await);
    says_so("log", store.log(id).await);
    says_so("records", store.records(task).await);
    says_so("ledger", store.ledger(task).await);
    says_so("tasks", store.tasks().await);
    says_so("nodes", store.nodes().await);
    says_so("enqueue_jobs", store.enqueue_jobs(&[super::redis_jobs::job(task, 7)]).await);
    says_so("dead_letters", store.dead_letters(&LetterQuery::default()).await);
    says_so("run_again", store.run_again(id, id).await);
    says_so("drop_letter", store.drop_letter(id).await);
    assert_eq!(server.ask("DEBUG DIGEST"), before, "nothing is written");
}

async fn fire(store: &RedisBackend, task: &symphra_scheduler::backend::Registered) -> Hold {
    match store.enqueue(&node(), &[firing(task)]).await.expect("it fires").remove(0) {
        Admission::Claimed(hold) => hold,
        other => panic!("it is claimed: {other:?}"),
    }
}

/// What each process has been answered, as the store counts it: the process, the count, and what stands behind it.
fn callers(server: &Redis) -> Vec<(String, u64, String)> {
    let told = server.ask("HGETALL {symphra:billing}:callers");
    let words: Vec<&str> = told.lines().filter(|line| !line.starts_with(['*', '$'])).collect();
    let callers = words.chunks(2).map(|caller| {
        let (count, rest) = caller[1].split_once(' ').expect("a count and more");
        (caller[0].to_owned(), count.parse().expect("a count"), rest.to_owned())
    });
    callers.collect()
}

/// Takes the last answer of each process away.
fn set_back(server: &Redis) {
    for (caller, count, rest) in callers(server).into_iter().filter(|(_, count, _)| *count > 0) {
        let row = format!("\"{} {rest}\"", count - 1);
        assert_eq!(server.ask(&format!("HSET {{symphra:billing}}:callers {caller} {row}")), ":0\r\n");
    }
}

#[tokio::test]
async fn a_store_that_has_gone_back_by_one_step_is_noticed_by_every_call_until_the_next_start() {
    if !has_redis() {
        return;
    }
    let server = server();
    let store = open(&server).await.expect("it opens");
    let task = registered(&store, 1).await.remove(0);
    set_back(&server);
    says_so("enqueue", store.enqueue(&node(), &[firing(&task)]).await);
    each_call_fails(&server, &store).await;
    let next = open(&server).await.expect("it opens");
    for _ in 0..3 {
        next.heartbeat(&node()).await.expect("it goes on");
    }
    fire(&next, &task).await;
    each_call_fails(&server, &store).await;
}

/// Each kind of call compares, also those that only read: the first that is made notices.
#[tokio::test]
async fn each_call_notices_a_loss_by_itself() {
    if !has_redis() {
        return;
    }
    let server = server();
    let reads = ["look", "tasks", "log", "runs", "changes", "lost", "nodes", "records", "ledger"];
    let writes = ["heartbeat", "register", "claim", "finish", "submit", "control", "cancel", "leave", "unregister"];
    let of_jobs = ["enqueue_jobs", "dead_letters", "run_again", "drop_letter"];
    for call in reads.into_iter().chain(writes).chain(of_jobs) {
        let store = open(&server).await.expect("it opens");
        let task = registered(&store, 1).await.remove(0);
        let (key, id) = (task.key, firing(&task).id);
        set_back(&server);
        let before = server.ask("DEBUG DIGEST");
        let claim = Claim { number: 1, tasks: Arc::new([key]), jobs: [].into(), max: 1 };
        let (end, at) = (End::Final(Outcome::Succeeded), task.mark);
        let end = Finish { task: key, id, token: Token(1), end, started_at: None, finished_at: at, log: None };
        let trigger = Submission { id, task: key, origin: Origin::Trigger(id), scheduled_at: None, overlap: None };
        match call {
            "lost" => says_so(call, store.lost(&[Holding { task: key, id, token: Token(1) }]).await),
            "nodes" => says_so(call, store.nodes().await),
            "records" => says_so(call, store.records(key).await),
            "ledger" => says_so(call, store.ledger(key).await),
            "claim" => says_so(call, store.claim(&node(), &claim).await),
            "finish" => says_so(call, store.finish(&[end]).await),
            "submit" => says_so(call, store.submit(&[trigger]).await),
            "control" => says_so(call, store.control(&Command::Resume { task: None }).await),
            "cancel" => says_so(call, store.cancel(id).await),
            "leave" => says_so(call, store.leave(&node()).await),
            "unregister" => says_so(call, store.unregister(&node(), &[Unregistration { task: key, version: 1 }]).await),
            "look" => says_so(call, store.look(&[task.key]).await),
            "tasks" => says_so(call, store.tasks().await),
            "log" => says_so(call, store.log(id).await),
            "runs" => says_so(call, store.runs(&RunQuery::of(task.key)).await),
            "changes" => says_so(call, store.changes(None).await),
            "heartbeat" => says_so(call, store.heartbeat(&node()).await),
            "enqueue_jobs" => says_so(call, store.enqueue_jobs(&[super::redis_jobs::job(key, 7)]).await),
            "dead_letters" => says_so(call, store.dead_letters(&LetterQuery::default()).await),
            "run_again" => says_so(call, store.run_again(id, id).await),
            "drop_letter" => says_so(call, store.drop_letter(id).await),
            _ => says_so(call, store.register(&node(), &super::redis_only::declared(1)).await),
        }
        assert_eq!(server.ask("DEBUG DIGEST"), before, "nothing is written");
    }
}

/// It looks each second although nobody has called: who waits for a change that never comes is told.
#[tokio::test]
async fn who_waits_for_a_change_is_told_of_the_loss() {
    if !has_redis() {
        return;
    }
    let server = server();
    let store = open(&server).await.expect("it opens");
    registered(&store, 1).await;
    let waiting = store.changes(Some(1_000_000));
    server.ask("FLUSHALL");
    let told = tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it does not wait for ever");
    says_so("changes", told);
}

#[tokio::test]
async fn another_store_in_the_place_of_the_first_is_noticed() {
    if !has_redis() {
        return;
    }
    let server = server();
    let store = open(&server).await.expect("it opens");
    let task = registered(&store, 1).await.remove(0);
    server.ask("HSET {symphra:billing}:meta store another");
    says_so("enqueue", store.enqueue(&node(), &[firing(&task)]).await);
    each_call_fails(&server, &store).await;
    fire(&open(&server).await.expect("it opens"), &task).await;
}

#[tokio::test]
async fn after_a_server_was_emptied_and_one_program_has_started_anew_the_other_executes_nothing() {
    if !has_redis() {
        return;
    }
    let server = server();
    let (one, other) = (open(&server).await.expect("it opens"), open(&server).await.expect("it opens"));
    let known = registered(&one, 3).await;
    registered(&other, 3).await;
    server.ask("FLUSHALL");
    drop(one);
    let anew = open(&server).await.expect("it opens");
    // More steps than were lost, and the same numbers for other tasks.
    let tasks = registered(&anew, 3).await;
    for _ in 0..20 {
        anew.heartbeat(&node()).await.expect("it goes on");
    }
    assert_eq!(tasks[2].key, known[2].key, "numbers are given again");
    let id = RunId::from_parts(tasks[2].anchor, 5);
    let trigger = Submission { id, task: tasks[2].key, origin: Origin::Trigger(id), scheduled_at: None, overlap: None };
    anew.submit(&[trigger]).await.expect("it waits");
    let claim = Claim { number: 1, tasks: Arc::new([known[2].key]), jobs: [].into(), max: 1 };
    says_so("claim", other.claim(&node(), &claim).await);
    says_so("enqueue", other.enqueue(&node(), &[firing(&known[2])]).await);
    each_call_fails(&server, &other).await;
    assert_eq!(anew.claim(&node(), &claim).await.expect("a claim is answered").runs.len(), 1);
}

/// What `appendonly no` means: the server comes back from a restart with nothing.
#[tokio::test]
async fn a_server_that_keeps_nothing_comes_back_empty_and_what_has_fired_fires_again_after_the_next_start() {
    if !has_redis() {
        return;
    }
    let mut server = server();
    let store = open(&server).await.expect("it opens");
    let task = registered(&store, 1).await.remove(0);
    fire(&store, &task).await;
    server.stop();
    server.forget_beyond(0);
    server.run();
    assert!(server.ask("DBSIZE").starts_with(":0"), "it has kept nothing");
    is_told(&store).await;
    each_call_fails(&server, &store).await;
    let next = open(&server).await.expect("it opens");
    let known = registered(&next, 1).await.remove(0);
    fire(&next, &known).await;
    assert_eq!(next.ledger(known.key).await.expect("it is told").runs, 1, "what was counted before is gone");
}

#[tokio::test]
async fn a_task_that_the_store_does_not_know_any_more_is_a_loss() {
    if !has_redis() {
        return;
    }
    let server = server();
    for call in ["enqueue", "claim", "look"] {
        let store = open(&server).await.expect("it opens");
        let tasks = registered(&store, 2).await;
        let keys: Arc<[_]> = tasks.iter().map(|task| task.key).collect();
        server.ask(&format!("HDEL {{symphra:billing}}:tasks {}", keys[0].0));
        store.look(&keys).await.expect("the other is there");
        let claim = |number, tasks| Claim { number, tasks, jobs: [].into(), max: 1 };
        store.claim(&node(), &claim(1, keys)).await.expect("the other is there");
        let before = server.ask("DEBUG DIGEST");
        let lost: Arc<[_]> = Arc::new([tasks[0].key]);
        match call {
            "enqueue" => says_so(call, store.enqueue(&node(), &[firing(&tasks[1]), firing(&tasks[0])]).await),
            "claim" => says_so(call, store.claim(&node(), &claim(2, lost)).await),
            _ => says_so(call, store.look(&lost).await),
        }
        assert_eq!(server.ask("DEBUG DIGEST"), before, "nothing is written");
        server.ask("FLUSHALL");
    }
}

/// What was given after the copy, and lost with it, is not given again.
#[tokio::test]
async fn a_token_is_not_given_twice_although_the_store_has_forgotten_it() {
    if !has_redis() {
        return;
    }
    let server = server();
    let store = open(&server).await.expect("it opens");
    let task = registered(&store, 1).await.remove(0);
    let keys =
        ["meta", "callers", "tasks", "rules", "names", "timetables"].map(|key| format!("{{symphra:billing}}:{key}"));
    for key in &keys {
        assert!(server.ask(&format!("COPY {key} {key}:copy")).starts_with(":1"), "{key}");
    }
    let first = fire(&store, &task).await;
    server.ask("DEL {symphra:billing}:runs {symphra:billing}:begun {symphra:billing}:held:a");
    for key in &keys {
        server.ask(&format!("RENAME {key}:copy {key}"));
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    says_so("enqueue", store.enqueue(&node(), &[firing(&task)]).await);
    let next = open(&server).await.expect("it opens");
    let again = fire(&next, &task).await;
    assert!(again.token > first.token, "{again:?} after {first:?}");
    assert!(first.token.0 > 1_000_000_000_000 && again.token.0 < 1 << 53, "{again:?}");
    let (id, at, end) = (firing(&task).id, task.anchor, End::Final(Outcome::Succeeded));
    let end = Finish { task: task.key, id, token: first.token, end, started_at: None, finished_at: at, log: None };
    let stored = next.finish(&[end]).await.expect("it is answered");
    assert_eq!(stored, [symphra_scheduler::backend::Stored::Stale], "what was begun before the loss ends nothing");
}

/// A server that goes back to what it had kept before `lost` was done, as one does whose machine crashes under `everysec`, and
/// on which another program makes many more steps than were lost.
async fn goes_back_and_on(server: &mut Redis, lost: impl AsyncFnOnce()) {
    let kept = server.kept();
    lost().await;
    assert!(server.kept() > kept, "there is something to lose");
    server.stop();
    server.forget_beyond(kept);
    server.run();
    let other = open(server).await.expect("it opens");
    for task in registered(&other, 20).await {
        drop(other.enqueue(&node(), &[firing(&task)]).await.expect("it is answered"));
        other.heartbeat(&node()).await.expect("it goes on");
    }
}

/// After a restart the first calls meet connections that are gone.
async fn is_told(store: &RedisBackend) {
    let telling = async {
        loop {
            let error = store.heartbeat(&node()).await.expect_err("it has lost something");
            let told = format!("{error:?}");
            if told.contains(WORDS) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), telling).await.expect("it is told");
}

#[tokio::test]
async fn what_others_do_after_a_loss_does_not_hide_it_from_who_wrote_what_is_lost() {
    if !has_redis() {
        return;
    }
    let mut server = server();
    let store = open(&server).await.expect("it opens");
    let task = registered(&store, 1).await.remove(0);
    goes_back_and_on(&mut server, async || _ = fire(&store, &task).await).await;
    is_told(&store).await;
    each_call_fails(&server, &store).await;
}

#[tokio::test]
async fn what_others_do_after_a_loss_does_not_hide_it_from_who_has_only_read_what_is_lost() {
    if !has_redis() {
        return;
    }
    let mut server = server();
    let (writing, reading) = (open(&server).await.expect("it opens"), open(&server).await.expect("it opens"));
    let task = registered(&writing, 1).await.remove(0);
    reading.look(&[task.key]).await.expect("it is seen");
    let lost = async || {
        fire(&writing, &task).await;
        let seen = reading.look(&[task.key]).await.expect("it is seen").remove(0);
        assert!(seen.mark > task.mark, "it has fired");
        drop(writing);
    };
    goes_back_and_on(&mut server, lost).await;
    is_told(&reading).await;
    each_call_fails(&server, &reading).await;
}

#[tokio::test]
async fn who_was_answered_nothing_that_is_lost_goes_on() {
    if !has_redis() {
        return;
    }
    let mut server = server();
    let (writing, other) = (open(&server).await.expect("it opens"), open(&server).await.expect("it opens"));
    let task = registered(&writing, 1).await.remove(0);
    other.look(&[task.key]).await.expect("it is seen");
    goes_back_and_on(&mut server, async || {
        fire(&writing, &task).await;
        drop(writing);
    })
    .await;
    let going = async {
        while other.heartbeat(&node()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), going).await.expect("it goes on");
}

#[tokio::test]
async fn a_store_in_which_nothing_happens_counts_no_answers() {
    if !has_redis() {
        return;
    }
    let server = server();
    let store = open(&server).await.expect("it opens");
    let task = registered(&store, 1).await.remove(0);
    store.look(&[task.key]).await.expect("it is seen");
    let before = (callers(&server), server.kept());
    for _ in 0..3 {
        store.look(&[task.key]).await.expect("it is seen");
        store.changes(None).await.expect("it is answered");
    }
    assert_eq!((callers(&server), server.kept()), before);
}

#[tokio::test]
async fn processes_that_are_gone_for_a_fortnight_are_forgotten_and_others_are_not() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    if !has_redis() {
        return;
    }
    let server = server();
    let store = open(&server).await.expect("it opens");
    let task = registered(&store, 1).await.remove(0);
    for (name, days) in [("gone", 15), ("silent", 13)] {
        for number in 0..100 {
            let seen_at = task.anchor.as_millis() - days * DAY_MS;
            server.ask(&format!("HSET {{symphra:billing}}:callers {name}{number} \"7 9 {seen_at}\""));
            server.ask(&format!("ZADD {{symphra:billing}}:seen {seen_at} {name}{number}"));
        }
    }
    // It is looked for them when another process comes.
    open(&server).await.expect("it opens").heartbeat(&node()).await.expect("it is answered");
    let is_kept = |name: &str| server.ask(&format!("HEXISTS {{symphra:billing}}:callers {name}")) == ":1\r\n";
    assert!(!is_kept("gone0") && !is_kept("gone99"));
    assert!(is_kept("silent0") && is_kept("silent99"));
    store.heartbeat(&node()).await.expect("it is known");
}
