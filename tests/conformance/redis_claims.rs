//! Claims of a node that knows very many tasks: what they cost, and that nothing is left behind.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler::backend::{
    Admission, Backend, Claim, Claimed, End, Finish, Group, Holder, Registered, Stored, Submission, TaskKey,
};
use symphra_scheduler::{Origin, Outcome, RedisBackend, RunId};
use symphra_scheduler_tests::services::{Redis, has_redis};

use super::redis_only::{declared, firing, node, open, registered};

const TASKS: usize = 5_000;

/// How many bytes a claim is, and its answer, where it brings nothing: a few names, and no task's.
const CLAIM_BYTES_MAX: u64 = 2_000;

async fn trigger(store: &RedisBackend, tasks: &[Registered], round: u128) {
    let trigger = |(number, task): (usize, &Registered)| {
        let id = RunId::from_parts(task.anchor, round << 32 | number as u128);
        Submission { id, task: task.key, origin: Origin::Trigger(id), scheduled_at: None, overlap: None }
    };
    let triggers: Vec<Submission> = tasks.iter().enumerate().map(trigger).collect();
    store.submit(&triggers).await.expect("they are accepted");
}

fn keys(tasks: &[Registered]) -> Arc<[TaskKey]> {
    let mut keys: Vec<TaskKey> = tasks.iter().map(|task| task.key).collect();
    keys.sort();
    keys.into()
}

async fn claim(store: &RedisBackend, tasks: &Arc<[TaskKey]>, number: u64) -> Vec<Claimed> {
    let claim = Claim { number, tasks: Arc::clone(tasks), jobs: [].into(), max: 256 };
    store.claim(&node(), &claim).await.expect("a claim is answered").runs
}

async fn finish(store: &RedisBackend, runs: &[Claimed]) {
    let end = |run: &Claimed| {
        let end = End::Final(Outcome::Succeeded);
        let at = run.due_at;
        Finish {
            task: run.task,
            id: run.id,
            token: run.hold.token,
            end,
            started_at: Some(at),
            finished_at: at,
            log: None,
        }
    };
    let ends: Vec<Finish> = runs.iter().map(end).collect();
    store.finish(&ends).await.expect("they end");
}

/// Claims until nothing is left, each batch when the one before has ended; the tasks of which it got something, in order.
async fn drain(store: &RedisBackend, known: &Arc<[TaskKey]>, first: u64) -> Vec<TaskKey> {
    let mut got = Vec::new();
    for number in first.. {
        let runs = claim(store, known, number).await;
        if runs.is_empty() {
            break;
        }
        finish(store, &runs).await;
        got.extend(runs.into_iter().map(|run| run.task));
    }
    got
}

/// What the server has been sent and has answered.
fn bytes(server: &Redis) -> u64 {
    let told = server.ask("INFO stats");
    let read = |name| {
        let line = told.lines().find_map(|line| line.strip_prefix(name)).expect("it counts bytes");
        line.parse::<u64>().expect("a number of bytes")
    };
    read("total_net_input_bytes:") + read("total_net_output_bytes:")
}

#[tokio::test]
async fn what_waits_is_claimed_of_each_task_and_a_claim_does_not_grow_with_them() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let tasks = registered(&store, TASKS).await;
    trigger(&store, &tasks, 1).await;
    // Nobody knows the first thousand and more: they stand before the others.
    let known = keys(&tasks[1_200..]);
    let mut got = drain(&store, &known, 1).await;
    got.sort();
    assert_eq!(got, *known, "each once");
    let before = bytes(&server);
    assert!(claim(&store, &known, 1_000).await.is_empty());
    let (asked, more) = (bytes(&server) - before, server.ask("INFO stats").len() as u64);
    assert!(asked < CLAIM_BYTES_MAX + more, "{asked} bytes, of which INFO {more}");
    // As many tasks, but another set.
    let others = keys(&tasks[1_199..TASKS - 1]);
    trigger(&store, &[tasks[1_199].clone(), tasks[TASKS - 1].clone()], 2).await;
    let got = drain(&store, &others, 2_000).await;
    assert_eq!(got, [tasks[1_199].key; 2], "the one that nobody knew, and the new one");
    let got = drain(&store, &known, 3_000).await;
    assert_eq!(got, [tasks[TASKS - 1].key]);
}

/// How long the server takes for a claim, at best: in millionths of a second.
async fn claimed_in(server: &Redis, store: &RedisBackend, known: &Arc<[TaskKey]>, numbers: Range<u64>) -> u64 {
    let mut best = u64::MAX;
    for number in numbers {
        server.ask("CONFIG RESETSTAT");
        let runs = claim(store, known, number).await;
        let told = server.ask("INFO commandstats");
        assert_eq!(runs.len(), 256);
        finish(store, &runs).await;
        let line = told.lines().find(|line| line.starts_with("cmdstat_evalsha:")).expect("it has claimed");
        let spent = line.split([':', ',']).find_map(|part| part.strip_prefix("usec=")).expect("it is counted");
        best = best.min(spent.parse().expect("a number"));
    }
    best
}

#[tokio::test]
async fn a_claim_reads_of_a_backlog_about_what_it_takes() {
    const TASKS: usize = 100;
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let mut declared = declared(TASKS);
    declared.iter_mut().for_each(|task| task.rules.alive_max = None);
    let tasks = store.register(&node(), &declared).await.expect("they are registered");
    let known = keys(&tasks);
    for round in 0..10 {
        trigger(&store, &tasks, round).await;
    }
    let few = claimed_in(&server, &store, &known, 1..3).await;
    for round in 10..260 {
        trigger(&store, &tasks, round).await;
    }
    let many = claimed_in(&server, &store, &known, 100..105).await;
    assert!(many < 4 * few, "{few} us while few runs wait, {many} us while many do");
    // And all of it comes.
    let mut got = vec![0; TASKS];
    for number in 1_000.. {
        let runs = claim(&store, &known, number).await;
        if runs.is_empty() {
            break;
        }
        finish(&store, &runs).await;
        for run in runs {
            got[tasks.iter().position(|task| task.key == run.task).expect("it is one of them")] += 1;
        }
    }
    assert_eq!(got.iter().sum::<usize>(), 260 * TASKS - 7 * 256, "each once, but for those that came before");
}

#[tokio::test]
async fn no_task_of_a_large_group_is_left_behind() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let mut declared = declared(TASKS);
    for task in &mut declared {
        task.rules.group = Some(Group { name: "disk".into(), max: 100 });
    }
    let tasks = store.register(&node(), &declared).await.expect("they are registered");
    // One waits in each task, and then another one in the first thousand, which are always first.
    trigger(&store, &tasks, 1).await;
    trigger(&store, &tasks[..1_000], 2).await;
    let got = drain(&store, &keys(&tasks), 1).await;
    assert_eq!(got.len(), TASKS + 1_000);
    assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), tasks.iter().map(|task| task.key).collect());
}

/// Redis keeps few and short texts as a list, which is gone through from its beginning for each of a step's tasks.
#[tokio::test]
async fn rules_are_found_and_not_searched_for() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    registered(&store, 100).await;
    let kept_as = server.ask("OBJECT ENCODING {symphra:billing}:rules");
    assert!(kept_as.contains("hashtable"), "{kept_as}");
}

/// A program of an earlier day has written tokens as numbers.
#[tokio::test]
async fn a_run_that_an_older_program_has_held_is_taken_over_and_that_one_ends_nothing() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let task = registered(&store, 1).await.remove(0);
    let fired = firing(&task);
    let Admission::Claimed(first) = store.enqueue(&node(), std::slice::from_ref(&fired)).await.expect("it fires")[0]
    else {
        panic!("it is held");
    };
    let as_numbers = r#"EVAL "local rows = redis.call('HGETALL', KEYS[1]) for at = 1, #rows, 2 do local row, count = string.gsub(rows[at + 1], '\"token\":\"(%d+)\"', '\"token\":%1') redis.call('HSET', KEYS[1], rows[at], row) return count end" 1 {symphra:billing}:runs"#;
    assert!(server.ask(as_numbers).starts_with(":1"), "{}", server.ask(as_numbers));
    store.leave(&node()).await.expect("it leaves");
    let heir = Holder::new("b", Duration::from_secs(600));
    let wanted = Claim { number: 1, tasks: [task.key].into(), jobs: [].into(), max: 1 };
    let runs = store.claim(&heir, &wanted).await.expect("a claim is answered").runs;
    assert_eq!((runs.len(), runs[0].id, runs[0].attempt), (1, fired.id, 2));
    assert!(runs[0].hold.token > first.token, "{:?} after {first:?}", runs[0].hold);
    let end = |token| {
        let (end, at) = (End::Final(Outcome::Succeeded), fired.advance_to);
        [Finish { task: task.key, id: fired.id, token, end, started_at: None, finished_at: at, log: None }]
    };
    assert_eq!(store.finish(&end(first.token)).await.expect("it is answered"), [Stored::Stale]);
    let stored = store.finish(&end(runs[0].hold.token)).await.expect("it is answered");
    assert_eq!(stored, [Stored::Done { more: false }]);
}
