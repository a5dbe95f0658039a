//! How jobs end in Redis, beyond the promises of every store: what is left of them and for how long, what a full memory, a
//! restart and a loss leave of them, and what becomes of those that nobody claims.

use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler::backend::{
    Backend, Begin, End, Enqueued, Finish, Holder, JobArguments, LetterQuery, NewJob, RunQuery,
};
use symphra_scheduler::{
    LetterFilter, Outcome, RedisBackend, RetryPolicy, RunFilter, RunId, RunState, Scheduler, Task,
};
use symphra_scheduler_tests::services::{Redis, has_redis};
use tokio::sync::watch;

use super::redis_jobs::{
    DAY, claim, claim_by, end_all, enqueue, ids, job, nothing_is_left, now, registered, registered_as, rules, unique,
};
use super::redis_losses::WORDS;
use super::redis_only::{node, open};

/// How long a test waits for a thing before it says that it never happens.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_full_memory_refuses_a_job_and_ends_are_stored_all_the_same() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let task = registered(&store).await;
    let jobs: Vec<NewJob> = (1..=4).map(|number| unique(job(task, number), &number.to_string(), Some(DAY))).collect();
    enqueue(&store, &jobs).await;
    let runs = claim(&store, task, 1, 2).await;
    server.ask("CONFIG SET maxmemory 1");
    for key in [None, Some("new")] {
        let new = job(task, 9);
        let new = key.map_or(new.clone(), |key| unique(new, key, None));
        let error = store.enqueue_jobs(&[new]).await.expect_err("there is no room");
        assert!(format!("{error:?}").contains("OOM"), "{error:?}");
    }
    let known = store.enqueue_jobs(&[unique(job(task, 9), "1", None)]).await.expect("it is answered");
    assert_eq!(known, [Enqueued::Known(jobs[0].id)], "what asks for no memory is answered");
    end_all(&store, &runs[..1], Outcome::Succeeded).await;
    end_all(&store, &runs[1..], Outcome::TimedOut(DAY)).await;
    store.cancel(jobs[2].id).await.expect("it is answered").expect("it is alive");
    server.ask("CONFIG SET maxmemory 0");
    let letters = store.dead_letters(&LetterQuery::default()).await.expect("they are listed");
    assert_eq!((letters.len(), letters[0].id), (1, runs[1].id), "it is a letter, with its arguments");
    assert_eq!(letters[0].arguments, jobs[1].arguments);
    assert_eq!(ids(&claim(&store, task, 2, 10).await), [jobs[3].id], "nothing of what was refused was done");
}

#[tokio::test]
async fn letters_and_keys_are_given_up_in_time() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let task = registered(&store).await;
    let year = 365 * DAY;
    let jobs = [unique(job(task, 1), "year", Some(year)), unique(job(task, 2), "day", Some(DAY)), job(task, 3)];
    enqueue(&store, &jobs).await;
    let runs = claim(&store, task, 1, 10).await;
    end_all(&store, &runs, Outcome::TimedOut(DAY)).await;
    assert!(!store.prune_jobs().await.expect("it is done"));
    assert_eq!(store.dead_letters(&LetterQuery::default()).await.expect("they are listed").len(), 3);
    let long_ago = now().minus(31 * DAY).as_millis();
    for index in ["dead", "dead:1"] {
        for old in [&jobs[0], &jobs[2]] {
            server.ask(&format!("ZADD {{symphra:billing}}:{index} {long_ago} {}", old.id));
        }
    }
    let listed = store.dead_letters(&LetterQuery::default()).await.expect("they are listed");
    assert_eq!(listed.iter().map(|letter| letter.id).collect::<Vec<_>>(), [jobs[1].id], "they are shown no more");
    store.prune_jobs().await.expect("it is done");
    let count = |key: &str| server.ask(&format!("HLEN {{symphra:billing}}:{key}")).trim().to_owned();
    assert_eq!((count("letters"), count("arguments"), count("keys")), (":1".into(), ":1".into(), ":2".into()));
    let known = store.enqueue_jobs(&[unique(job(task, 4), "year", None)]).await.expect("it is answered");
    assert_eq!(known, [Enqueued::Known(jobs[0].id)], "the key of one that is gone is held for its time");
    for (field, id) in [("1:year", jobs[0].id), ("1:day", jobs[1].id)] {
        server.ask(&format!("HSET {{symphra:billing}}:keys {field} \"{id} 5\""));
        server.ask(&format!("ZADD {{symphra:billing}}:freed 5 {field}"));
    }
    enqueue(&store, &[unique(job(task, 5), "year", None)]).await;
    store.prune_jobs().await.expect("it is done");
    assert_eq!(count("keys"), ":1", "but for that which another has by now");
    assert!(store.drop_letter(jobs[1].id).await.expect("it is answered"));
    store.cancel(job(task, 5).id).await.expect("it is answered").expect("it is alive");
    nothing_is_left(&server);
}

#[tokio::test]
async fn letters_that_are_too_many_are_given_up_as_others_come() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let task = registered(&store).await;
    for round in 0..51_u64 {
        let first = u128::from(round) * 200;
        enqueue(&store, &(first..first + 200).map(|number| job(task, number)).collect::<Vec<_>>()).await;
        let runs = claim(&store, task, round + 1, 200).await;
        end_all(&store, &runs, Outcome::TimedOut(DAY)).await;
    }
    let mut all = LetterQuery::default();
    all.limit = Some(20_000);
    let letters = store.dead_letters(&all).await.expect("they are listed");
    assert_eq!(letters.len(), 10_000);
    assert!(letters.iter().all(|letter| letter.id >= job(task, 200).id), "the newest");
    for key in ["letters", "arguments"] {
        assert_eq!(server.ask(&format!("HLEN {{symphra:billing}}:{key}")), ":10000\r\n", "{key}");
    }
    assert_eq!(store.dead_letters(&LetterQuery::default()).await.expect("they are listed").len(), 1_000);
}

/// One that was made so many days ago.
fn made(job: NewJob, days_ago: u32) -> NewJob {
    let (at, number) = (now().minus(days_ago * DAY), job.arguments.json.parse().unwrap_or(0_u128));
    NewJob { id: RunId::from_parts(at, number), begin: Begin::At(at), ..job }
}

/// One that only a newer program reads.
fn newer(job: NewJob) -> NewJob {
    let arguments = JobArguments { version: 2, ..job.arguments };
    NewJob { arguments, ..job }
}

#[tokio::test]
async fn a_job_that_no_node_could_claim_is_a_dead_letter_after_so_long() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let gone = Holder::new("gone", DAY);
    let (task, lost) = (registered(&store).await, registered_as(&store, &gone, "lost", rules()).await);
    let jobs = [
        made(job(lost, 1), 20),
        made(job(lost, 2), 13),
        made(newer(job(task, 3)), 20),
        made(newer(job(task, 4)), 20),
        made(newer(job(task, 5)), 13),
        made(job(task, 6), 20),
    ];
    enqueue(&store, &jobs).await;
    let reading = [(task, 2)];
    let claim = symphra_scheduler::backend::Claim { number: 1, tasks: [task].into(), jobs: reading.into(), max: 2 };
    for run in store.claim(&node(), &claim).await.expect("it is answered").runs {
        let (id, token, end) = (run.id, run.hold.token, End::HandBack);
        let back = Finish { task, id, token, end, started_at: None, finished_at: now(), log: None };
        store.finish(&[back]).await.expect("it is answered");
    }
    assert_eq!(store.end_unclaimed(14 * DAY).await.expect("it is done"), 2, "what its node does not read");
    store.leave(&gone).await.expect("it is answered");
    assert_eq!(store.end_unclaimed(14 * DAY).await.expect("it is done"), 1, "and what no node knows");
    assert_eq!(store.end_unclaimed(14 * DAY).await.expect("it is done"), 0);
    let mut letters = store.dead_letters(&LetterQuery::default()).await.expect("they are listed");
    letters.sort_by_key(|letter| letter.arguments.json.clone());
    let mut died: Vec<RunId> = letters.iter().map(|letter| letter.id).collect();
    died.sort();
    let mut expected = [0, 2, 3].map(|place: usize| jobs[place].id);
    expected.sort();
    assert_eq!(died, expected);
    assert!(letters.iter().all(|letter| letter.state == RunState::Cancelled && letter.attempt == 0));
    assert!(letters.iter().all(|letter| letter.failure.is_some()), "they say why: {letters:?}");
}

/// More of them than one look takes, and one behind many that are young.
#[tokio::test]
async fn those_that_nobody_claims_end_however_many_wait_before_them() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let gone = Holder::new("gone", DAY);
    let lost = registered_as(&store, &gone, "lost", rules()).await;
    let young: Vec<NewJob> =
        (1..=1_500).map(|number| NewJob { priority: Some(9), ..made(job(lost, number), 1) }).collect();
    let old: Vec<NewJob> = (2_001..=2_300).map(|number| made(job(lost, number), 20)).collect();
    enqueue(&store, &young).await;
    enqueue(&store, &old).await;
    store.leave(&gone).await.expect("it is answered");
    assert_eq!(store.end_unclaimed(14 * DAY).await.expect("it is done"), 256);
    assert_eq!(store.end_unclaimed(14 * DAY).await.expect("it is done"), 44);
    let mut alive = RunQuery::of(lost);
    alive.states = vec![RunState::Queued];
    assert_eq!(store.runs(&alive).await.expect("they are listed").len(), 1_500);
    // The same of those whose task is known, and which nobody who is left can read.
    let known = registered(&store).await;
    let young: Vec<NewJob> =
        (1..=1_500).map(|number| NewJob { priority: Some(9), ..newer(made(job(known, 10_000 + number), 1)) }).collect();
    let old: Vec<NewJob> = (1..=300).map(|number| newer(made(job(known, 20_000 + number), 20))).collect();
    enqueue(&store, &young).await;
    enqueue(&store, &old).await;
    assert_eq!(store.end_unclaimed(14 * DAY).await.expect("it is done"), 256);
    assert_eq!(store.end_unclaimed(14 * DAY).await.expect("it is done"), 44);
}

/// A program that was rolled back sets aside so many of the jobs that it cannot read in each claim: the server does nothing else
/// meanwhile.
#[tokio::test]
async fn a_claim_sets_aside_no_more_jobs_than_it_may() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let task = registered(&store).await;
    let jobs: Vec<NewJob> = (1..=600).map(|number| newer(job(task, number))).collect();
    enqueue(&store, &jobs).await;
    let reading = [(task, 2)];
    let claim = symphra_scheduler::backend::Claim { number: 1, tasks: [task].into(), jobs: reading.into(), max: 600 };
    let runs = store.claim(&node(), &claim).await.expect("it is answered").runs;
    let again = |run: &symphra_scheduler::backend::Claimed| {
        let end = End::Retry { at: now(), failure: "it fails".into() };
        let (id, token) = (run.id, run.hold.token);
        Finish { task, id, token, end, started_at: Some(now()), finished_at: now(), log: None }
    };
    store.finish(&runs.iter().map(again).collect::<Vec<_>>()).await.expect("they end");
    let mut alive = RunQuery::of(task);
    alive.states = vec![RunState::Queued];
    for (number, set_aside) in [(2, 256), (3, 512), (4, 600)] {
        assert_eq!(ids(&super::redis_jobs::claim(&store, task, number, 10).await), []);
        assert_eq!(store.runs(&alive).await.expect("they are listed").len(), set_aside);
    }
}

#[tokio::test]
async fn jobs_and_letters_survive_a_restart_of_the_server() {
    if !has_redis() {
        return;
    }
    let mut server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let task = registered(&store).await;
    let jobs = [unique(job(task, 1), "one", None), job(task, 2), job(task, 3)];
    enqueue(&store, &jobs).await;
    let runs = claim(&store, task, 1, 2).await;
    end_all(&store, &runs[1..], Outcome::TimedOut(DAY)).await;
    server.stop();
    server.run();
    let again = async {
        loop {
            match store.dead_letters(&LetterQuery::default()).await {
                Ok(letters) => return letters,
                Err(failed) => assert!(!format!("{failed:?}").contains(WORDS), "nothing is lost: {failed:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let letters = tokio::time::timeout(PATIENCE, again).await.expect("it answers again");
    assert_eq!((letters[0].id, &letters[0].arguments), (runs[1].id, &jobs[1].arguments));
    assert_eq!(claim(&store, task, 2, 10).await[0].arguments.as_deref(), Some(&jobs[2].arguments));
    let known = store.enqueue_jobs(&[unique(job(task, 9), "one", None)]).await.expect("it is answered");
    assert_eq!(known, [Enqueued::Known(jobs[0].id)], "it runs, and has its key");
    end_all(&store, &runs[..1], Outcome::Succeeded).await;
}

/// A server whose machine crashes under `everysec` forgets a job that it has answered: whoever was told so does nothing more.
#[tokio::test]
async fn a_job_that_a_restart_has_undone_is_noticed_by_who_has_enqueued_it() {
    if !has_redis() {
        return;
    }
    let mut server = Redis::start();
    let (store, other) = (open(&server).await.expect("it opens"), open(&server).await.expect("it opens"));
    let task = registered(&store).await;
    other.look(&[task]).await.expect("it is seen");
    let kept = server.kept();
    enqueue(&store, &[job(task, 1)]).await;
    assert!(server.kept() > kept, "there is something to lose");
    server.stop();
    server.forget_beyond(kept);
    server.run();
    let noticing = async {
        while !format!("{:?}", store.enqueue_jobs(&[job(task, 1)]).await.expect_err("it has lost one")).contains(WORDS)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while other.heartbeat(&node()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, noticing).await.expect("it is told, and others go on");
    enqueue(&other, &[job(task, 1)]).await;
    assert_eq!(ids(&claim(&other, task, 1, 10).await), [job(task, 1).id]);
}

/// What a node that was killed held is done by another, each job to its end, and none is done by both but those in its hands.
#[tokio::test]
async fn the_jobs_of_a_node_that_was_killed_are_done_by_another() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let dying = Holder::new("dying", Duration::from_millis(300));
    let task = registered_as(&store, &dying, "note", rules()).await;
    enqueue(&store, &(1..=20).map(|number| job(task, number)).collect::<Vec<_>>()).await;
    let held = claim_by(&store, &dying, &[task], 1, 8).await.runs;
    let heir = Holder::new("heir", Duration::from_millis(300));
    let (mut done, mut number) = (Vec::new(), 0);
    let working = async {
        while done.len() < 20 {
            store.heartbeat(&heir).await.expect("it is answered");
            number += 1;
            let runs = claim_by(&store, &heir, &[task], number, 100).await.runs;
            assert!(runs.iter().all(|run| run.arguments.is_some()));
            end_all(&store, &runs, Outcome::Succeeded).await;
            done.extend(ids(&runs));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, working).await.expect("all are done");
    done.sort();
    assert_eq!(done, (1..=20).map(|number| job(task, number).id).collect::<Vec<_>>());
    let (id, token) = (held[0].id, held[0].hold.token);
    let late = End::Final(Outcome::Succeeded);
    let late = Finish { task, id, token, end: late, started_at: None, finished_at: now(), log: None };
    let stored = store.finish(&[late]).await.expect("it is answered");
    assert_eq!(stored, [symphra_scheduler::backend::Stored::Stale]);
    nothing_is_left(&server);
}

/// A store of the former version: it goes on with what it has, gets jobs, and admits no program that knows none.
#[tokio::test]
async fn a_store_without_jobs_gets_them() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    drop(open(&server).await.expect("it opens"));
    server.ask("HSET {symphra:billing}:meta schema_version 1 admits 1");
    let check = RedisBackend::options().namespace("billing").migrate(symphra_scheduler::Migrate::Check);
    let error = format!("{:?}", check.connect(&server.url()).await.expect_err("it lacks jobs"));
    assert!(error.contains("its keys are at version 1 and this program needs 2"), "{error}");
    let store = open(&server).await.expect("it is brought up to date");
    let task = registered(&store).await;
    // As a program that knows no jobs has noted that it knows the task.
    server.ask("HSET {symphra:billing}:knows:former 1 7s");
    enqueue(&store, &[job(task, 1)]).await;
    let versions = server.ask("HMGET {symphra:billing}:meta schema_version admits");
    assert_eq!(versions, "*2\r\n$1\r\n2\r\n$1\r\n2\r\n");
}

#[tokio::test]
async fn a_program_enqueues_and_looks_after_jobs_by_its_handle() {
    if !has_redis() {
        return;
    }
    let (server, done) = (Redis::start(), Arc::new(watch::Sender::new(0)));
    let start = async || {
        let done = Arc::clone(&done);
        let note = Task::job("note", move |order: i64| {
            done.send_modify(|done| *done += 1);
            async move { if order < 0 { Err(format!("no order {order}")) } else { Ok(()) } }
        });
        let (task, store) = (note.retry(RetryPolicy::none()), open(&server).await.expect("it opens"));
        Scheduler::empty().register(task).backend(store).start().await.expect("it starts")
    };
    let (one, other) = (start().await, start().await);
    let many = one.enqueue_all("note", 1..=2_500_i64).await.expect("they are enqueued");
    let mut counts = done.subscribe();
    let all_are_done = counts.wait_for(|&done| done == many.len());
    tokio::time::timeout(PATIENCE, all_are_done).await.expect("in time").expect("all are done");
    let stands = async |id: RunId, wanted: RunState| {
        let waiting = async {
            loop {
                let runs = other.runs(&RunFilter::new().id(id)).await.expect("they are listed");
                if runs.iter().any(|run| run.state == wanted) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{id} is {wanted} in the end"));
    };
    let soon = one.enqueue("note", 7_i64).delay(Duration::from_millis(500)).unique("soon").await;
    let soon = soon.expect("it is enqueued");
    stands(soon, RunState::Succeeded).await;
    let later = one.enqueue("note", 7_i64).delay(DAY).unique("later").await.expect("it is enqueued");
    assert_eq!(other.enqueue("note", 8_i64).unique("later").await.expect("it is known"), later);
    let fails = other.enqueue("note", -1_i64).await.expect("it is enqueued");
    stands(fails, RunState::Failed).await;
    let again = one.run_again(fails).await.expect("it is a letter");
    stands(again, RunState::Failed).await;
    one.drop_letter(again).await.expect("it has died again");
    assert_eq!(other.dead_letters(&LetterFilter::new()).await.expect("they are listed"), []);
    assert!(other.run_again(again).await.expect_err("it was dropped").is_unknown_run());
    assert_eq!(*done.borrow(), many.len() + 3, "each once");
    one.stop().await.expect("it stops");
    other.stop().await.expect("it stops");
}
