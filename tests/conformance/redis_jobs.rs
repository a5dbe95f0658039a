//! Jobs in Redis, beyond the promises of every store: what a step costs however many wait, what goes into one, and in which
//! order they are claimed and listed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler::backend::{
    ARGUMENTS_BYTES_MAX, Backend, Begin, Claim, Claimed, Claims, End, Enqueued, Finish, Holder, JobArguments,
    LetterQuery, NewJob, Registration, RunQuery, Stored, TaskKey, TaskRules, UNIQUE_KEY_BYTES_MAX, Unique,
};
use symphra_scheduler::{Outcome, RedisBackend, RunId, RunState, Schedule, TaskName, Timestamp, Timetable};
use symphra_scheduler_tests::services::{Redis, has_redis};

use super::redis_only::{node, open};

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The keys that jobs have, none of which is left when nothing is.
pub(super) const KEYS: [&str; 11] =
    ["jobs", "arguments", "planned", "planned:1", "later", "waiting", "letters", "dead", "dead:1", "keys", "freed"];

pub(super) async fn registered_as(store: &RedisBackend, holder: &Holder, name: &str, rules: TaskRules) -> TaskKey {
    let schedule = Schedule::interval(DAY).expect("a period");
    let timetable = Arc::new(Timetable::new(schedule, symphra_scheduler::chrono_tz::UTC));
    let task = Registration { name: TaskName::new(name).expect("a name"), timetable, rules };
    store.register(holder, &[task]).await.expect("it is registered").remove(0).key
}

pub(super) fn rules() -> TaskRules {
    TaskRules { alive_max: None, reads: 1, ..TaskRules::default() }
}

pub(super) async fn registered(store: &RedisBackend) -> TaskKey {
    registered_as(store, &node(), "note", rules()).await
}

pub(super) fn now() -> Timestamp {
    Timestamp::from(symphra_scheduler::chrono::DateTime::<symphra_scheduler::chrono::Utc>::from(
        std::time::SystemTime::now(),
    ))
}

pub(super) fn job(task: TaskKey, number: u128) -> NewJob {
    NewJob {
        id: RunId::from_parts(Timestamp::from_millis(1_700_000_000_000), number),
        task,
        arguments: JobArguments { version: 1, json: number.to_string().into() },
        begin: Begin::Now,
        priority: None,
        unique: None,
    }
}

fn with_arguments(job: NewJob, json: &str) -> NewJob {
    NewJob { arguments: JobArguments { version: 1, json: json.into() }, ..job }
}

pub(super) fn unique(job: NewJob, key: &str, at_least: Option<Duration>) -> NewJob {
    NewJob { unique: Some(Unique { key: key.into(), at_least }), ..job }
}

pub(super) async fn enqueue(store: &RedisBackend, jobs: &[NewJob]) {
    let answers = store.enqueue_jobs(jobs).await.expect("an enqueue is answered");
    assert!(answers.len() == jobs.len() && answers.iter().all(|&answer| answer == Enqueued::Queued), "{answers:?}");
}

pub(super) async fn claim_by(
    store: &RedisBackend,
    holder: &Holder,
    tasks: &[TaskKey],
    number: u64,
    max: usize,
) -> Claims {
    let jobs: Vec<(TaskKey, u32)> = tasks.iter().map(|&task| (task, 1)).collect();
    let claim = Claim { number, tasks: tasks.into(), jobs: jobs.into(), max };
    store.claim(holder, &claim).await.expect("a claim is answered")
}

pub(super) async fn claim(store: &RedisBackend, task: TaskKey, number: u64, max: usize) -> Vec<Claimed> {
    claim_by(store, &node(), &[task], number, max).await.runs
}

pub(super) async fn end_all(store: &RedisBackend, runs: &[Claimed], outcome: Outcome) {
    let end = |run: &Claimed| Finish {
        task: run.task,
        id: run.id,
        token: run.hold.token,
        end: End::Final(outcome.clone()),
        started_at: Some(now()),
        finished_at: now(),
        log: None,
    };
    let ends: Vec<Finish> = runs.iter().map(end).collect();
    let stored = store.finish(&ends).await.expect("ends are answered");
    assert!(stored.iter().all(|stored| matches!(stored, Stored::Done { .. })), "{stored:?}");
}

pub(super) fn ids(runs: &[Claimed]) -> Vec<RunId> {
    runs.iter().map(|run| run.id).collect()
}

pub(super) fn nothing_is_left(server: &Redis) {
    for key in KEYS {
        assert_eq!(server.ask(&format!("EXISTS {{symphra:billing}}:{key}")), ":0\r\n", "{key}");
    }
}

/// How often each command was called since the last time, those of the test apart.
fn commands(server: &Redis) -> BTreeMap<String, u64> {
    let told = server.ask("INFO commandstats");
    server.ask("CONFIG RESETSTAT");
    let lines = told.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(":calls="));
    let counts = lines.map(|(name, rest)| (name.to_owned(), rest.split(',').next().and_then(|n| n.parse().ok())));
    let counts = counts.map(|(name, count)| (name, count.expect("a count")));
    counts.filter(|(name, _)| !name.starts_with("config") && name != "info").collect()
}

#[tokio::test]
async fn a_claim_of_ten_costs_the_same_whether_ten_jobs_wait_or_a_hundred_thousand() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let task = registered(&store).await;
    let later = |job: NewJob| NewJob { begin: Begin::After(DAY), ..job };
    enqueue(&store, &(0..10).map(|number| job(task, number)).collect::<Vec<_>>()).await;
    enqueue(&store, &[later(job(task, 10))]).await;
    commands(&server);
    assert_eq!(claim(&store, task, 1, 10).await.len(), 10);
    let few: u64 = commands(&server).values().sum();
    for first in (100..99_000).step_by(1_000) {
        let some = (first..first + 1_000)
            .map(|number| if number % 2 == 0 { job(task, number) } else { later(job(task, number)) });
        enqueue(&store, &some.collect::<Vec<_>>()).await;
    }
    // What looks for changes each second comes between now and then: the least of some tries counts.
    let mut tries = Vec::new();
    for number in 2..=4 {
        commands(&server);
        let claims = claim_by(&store, &node(), &[task], number, 10).await;
        tries.push(commands(&server));
        assert_eq!(claims.runs.len(), 10);
        assert!(
            claims.next_at.is_some_and(|at| at > now().plus(DAY / 2)),
            "the first of those that come later is told"
        );
    }
    let sum = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
    let many = tries.into_iter().min_by_key(sum).expect("there are some");
    assert!(sum(&many) <= few + 20, "where ten wait there are {few} commands: {many:?}");
    assert!(many.values().all(|&calls| calls <= 30), "nothing is read one by one: {many:?}");
}

/// A task without jobs has no key of theirs, and pays one look of a claim at those that come later.
#[tokio::test]
async fn what_is_no_job_asks_for_nothing_of_jobs() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let tasks = super::redis_only::registered(&store, 1).await;
    let firing = super::redis_only::firing(&tasks[0]);
    store.enqueue(&node(), &[firing]).await.expect("it fires");
    nothing_is_left(&server);
    commands(&server);
    let claim = Claim { number: 1, tasks: [tasks[0].key].into(), jobs: [].into(), max: 10 };
    store.claim(&node(), &claim).await.expect("a claim is answered");
    let asked = commands(&server);
    assert_eq!((asked.get("hstrlen"), asked.get("zrange").map(|&calls| calls <= 4)), (None, Some(true)), "{asked:?}");
}

#[tokio::test]
async fn a_claim_brings_four_megabytes_of_arguments_and_says_that_there_is_more() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let task = registered(&store).await;
    // As long as may be, in characters of several bytes.
    let longest = format!("\"{}\"", "é".repeat((ARGUMENTS_BYTES_MAX - 2) / 2));
    let jobs: Vec<NewJob> = (0..40).map(|number| with_arguments(job(task, number), &longest)).collect();
    enqueue(&store, &jobs).await;
    let claims = claim_by(&store, &node(), &[task], 1, 100).await;
    assert_eq!(claims.runs.len(), 16, "4 MB");
    assert!(claims.next_at.is_some_and(|at| at <= now()), "the others can be claimed at once: {:?}", claims.next_at);
    assert!(claims.runs.iter().all(|run| run.arguments.as_ref().is_some_and(|with| *with.json == *longest)));
    let again = claim_by(&store, &node(), &[task], 1, 100).await;
    assert_eq!(ids(&again.runs), ids(&claims.runs), "and the same claim has the same answer");
    let mut got: BTreeSet<RunId> = ids(&claims.runs).into_iter().collect();
    end_all(&store, &claims.runs, Outcome::TimedOut(DAY)).await;
    for number in 2..=3 {
        let runs = claim(&store, task, number, 100).await;
        got.extend(ids(&runs));
        end_all(&store, &runs, Outcome::TimedOut(DAY)).await;
    }
    assert_eq!(got.len(), 40, "each once");
    let letters = store.dead_letters(&LetterQuery::default()).await.expect("they are listed");
    assert_eq!(letters.iter().map(|letter| letter.id).collect::<BTreeSet<_>>(), got, "letters come in pages");
    assert!(letters.is_sorted_by_key(|letter| std::cmp::Reverse(letter.died_at)));
    assert!(letters.iter().all(|letter| *letter.arguments.json == *longest));
}

#[tokio::test]
async fn two_claimers_at_once_get_each_of_ten_thousand_jobs_once_and_nothing_is_left() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = Arc::new(open(&server).await.expect("it opens"));
    let task = registered(&store).await;
    let jobs: Vec<NewJob> = (0..10_000).map(|number| unique(job(task, number), &number.to_string(), None)).collect();
    enqueue(&store, &jobs).await;
    let claimers = ["one", "other"].map(|name| {
        let (server, holder) = (server.url(), Holder::new(name, DAY));
        tokio::spawn(async move {
            let store = RedisBackend::options().namespace("billing").connect(&server).await.expect("it opens");
            let mut got = Vec::new();
            for number in 1.. {
                let runs = claim_by(&store, &holder, &[task], number, 200).await.runs;
                if runs.is_empty() {
                    break;
                }
                end_all(&store, &runs, Outcome::Succeeded).await;
                got.extend(ids(&runs));
            }
            got
        })
    });
    let mut got = Vec::new();
    for claimer in claimers {
        got.extend(claimer.await.expect("it does not panic"));
    }
    assert_eq!((got.len(), got.iter().collect::<BTreeSet<_>>().len()), (10_000, 10_000));
    nothing_is_left(&server);
}

/// The versions that a node reads stand beside the tasks that it has named, where these are many.
#[tokio::test]
async fn a_node_of_very_many_tasks_gets_the_jobs_that_it_can_read() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let mut declared = super::redis_only::declared(3_000);
    declared.iter_mut().for_each(|task| task.rules = rules());
    let tasks = store.register(&node(), &declared).await.expect("they are registered");
    let mut tasks: Vec<TaskKey> = tasks.iter().map(|task| task.key).collect();
    tasks.sort();
    let newer = |number: u128, task| {
        let arguments = JobArguments { version: 2, json: "2".into() };
        NewJob { arguments, ..job(task, number) }
    };
    let (old, new, none) = (tasks[5], tasks[2_500], tasks[2_999]);
    enqueue(&store, &[job(old, 1), newer(2, old), newer(3, new), job(none, 4)]).await;
    let got = async |number, reads: &dyn Fn(TaskKey) -> Option<u32>| {
        let jobs: Vec<(TaskKey, u32)> = tasks.iter().filter_map(|&task| Some((task, reads(task)?))).collect();
        let claim = Claim { number, tasks: tasks.clone().into(), jobs: jobs.into(), max: 100 };
        let mut got = ids(&store.claim(&node(), &claim).await.expect("a claim is answered").runs);
        got.sort();
        got
    };
    assert_eq!(got(1, &|_| None).await, [], "of a task that is none of jobs there is none");
    assert_eq!(got(2, &|task| (task != none).then_some(1)).await, [job(old, 1).id]);
    assert_eq!(got(3, &|task| (task != none).then_some(1)).await, []);
    let both = |task| (task != none).then_some(if task == new { 2 } else { 1 });
    assert_eq!(got(4, &both).await, [job(new, 3).id], "another version is another set");
    assert_eq!(got(5, &|_| Some(2)).await, [job(old, 2).id, job(none, 4).id]);
}

#[tokio::test]
async fn keys_and_arguments_of_any_characters_are_kept_as_they_are() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let (task, other) = (registered(&store).await, registered_as(&store, &node(), "other", rules()).await);
    let longest = "ä".repeat(UNIQUE_KEY_BYTES_MAX / 2);
    let keys =
        ["", " ", ":", "1:a", "a:b", "a\nb", "\0", "a\0b", "{}", "\"", "\\", "null", "\u{7f}\u{2028}😀", &longest];
    for (number, key) in (1..).zip(keys) {
        let made = unique(with_arguments(job(task, number), &format!("{key:?} ☃ \0")), key, Some(DAY));
        enqueue(&store, &[made.clone(), unique(job(other, 1_000 + number), key, None)]).await;
        let again = store.enqueue_jobs(&[unique(job(task, 2_000), key, None)]).await.expect("it is answered");
        assert_eq!(again, [Enqueued::Known(made.id)], "{key:?}");
        let run = claim(&store, task, u64::try_from(number).expect("few"), 1).await;
        assert_eq!(run[0].arguments.as_deref(), Some(&made.arguments), "{key:?}");
        end_all(&store, &run, Outcome::TimedOut(DAY)).await;
        let letters = store.dead_letters(&LetterQuery::of(task)).await.expect("they are listed");
        assert_eq!(letters[0].arguments, made.arguments, "{key:?}");
        let again = job(task, 3_000 + number).id;
        assert_eq!(store.run_again(made.id, again).await.expect("it is answered"), Some(Enqueued::Queued), "{key:?}");
        store.cancel(again).await.expect("it is answered").expect("it is alive");
    }
}

#[tokio::test]
async fn jobs_of_any_priority_and_instant_go_in_their_order() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let task = registered(&store).await;
    let in_1970 = Timestamp::from_millis(0);
    let in_2200 = Timestamp::from_millis(7_258_118_400_000);
    let (first, last) = (Timestamp::from_millis(1), now());
    let wanted =
        [(100, in_1970), (100, in_1970), (7, last), (0, first), (0, first), (0, last), (-1, in_1970), (-100, first)];
    let numbered = (1_u128..).zip(wanted);
    let jobs: Vec<NewJob> = numbered
        .map(|(number, (priority, at))| NewJob { priority: Some(priority), begin: Begin::At(at), ..job(task, number) })
        .collect();
    // As they came is the order of those that are alike.
    let mut mixed: Vec<NewJob> = [7, 0, 4, 1, 3, 6, 2, 5].map(|place| jobs[place].clone()).into();
    mixed.swap(2, 4);
    enqueue(&store, &mixed).await;
    let far = [in_2200, Timestamp::MAX]
        .map(|at| NewJob { begin: Begin::At(at), ..job(task, at.as_millis().unsigned_abs().into()) });
    enqueue(&store, &far).await;
    enqueue(&store, &[NewJob { begin: Begin::After(Duration::MAX), ..job(task, 99) }]).await;
    let mut order = Vec::new();
    for number in 1..=8 {
        let claims = claim_by(&store, &node(), &[task], number, 1).await;
        order.extend(ids(&claims.runs));
        assert_eq!(claims.next_at, Some(in_2200));
    }
    assert_eq!(order, jobs.iter().map(|job| job.id).collect::<Vec<_>>());
    let mut waiting = RunQuery::of(task);
    (waiting.states, waiting.limit) = (vec![RunState::Queued], Some(2));
    let listed = store.runs(&waiting).await.expect("they are listed");
    assert_eq!(listed.iter().map(|run| run.id).collect::<Vec<_>>()[0], far[1].id, "the newest instant first");
    waiting.to = Some(in_2200);
    assert_eq!(store.runs(&waiting).await.expect("they are listed")[0].id, far[0].id);
}

/// Many jobs of one instant are listed each once, page by page.
#[tokio::test]
async fn jobs_of_one_instant_are_listed_each_once() {
    if !has_redis() {
        return;
    }
    let server = Redis::start();
    let store = open(&server).await.expect("it opens");
    let (task, other) = (registered(&store).await, registered_as(&store, &node(), "other", rules()).await);
    let at = Begin::At(now().minus(DAY));
    for task in [task, other] {
        let first = u128::from(task.0) * 10_000;
        let jobs: Vec<NewJob> =
            (first..first + 2_500).map(|number| NewJob { begin: at, ..job(task, number) }).collect();
        enqueue(&store, &jobs).await;
    }
    let mut some = RunQuery::of(other);
    some.limit = Some(1_700);
    for (query, count) in [(RunQuery::of(task), 2_500), (RunQuery::default(), 5_000), (some, 1_700)] {
        let listed = store.runs(&query).await.expect("they are listed");
        assert!(listed.is_sorted_by_key(|run| std::cmp::Reverse(run.id)), "the last first");
        assert_eq!((listed.len(), listed.iter().map(|run| run.id).collect::<BTreeSet<_>>().len()), (count, count));
    }
    let runs = claim(&store, task, 1, 200).await;
    end_all(&store, &runs, Outcome::TimedOut(DAY)).await;
    let letters = store.dead_letters(&LetterQuery::default()).await.expect("they are listed");
    let mut some = LetterQuery::of(task);
    some.limit = Some(150);
    assert_eq!((letters.len(), store.dead_letters(&some).await.expect("they are listed").len()), (200, 150));
}
