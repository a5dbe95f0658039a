//! Rows as a crash at each step of a run's life leaves them, written by hand, and what a node that starts on them makes of
//! each.

use std::thread;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

use crate::checker::{Line, Seen};
use crate::rig::{Node, RECOVERY, Store, now};

/// The lease of the nodes that are dead. It ran out long ago; a node that starts waits for as long as it once more.
const LEASE_MS: i64 = 2_000;

/// How long a next attempt is still away.
const LATER_MS: i64 = 5_000;

/// The columns of a run in which cases differ, with what they have in common.
#[derive(Clone, Copy)]
struct Row {
    origin: &'static str,
    state: &'static str,
    attempt: u32,
    abandoned: u32,
    deaths: u32,
    /// Both words are written as they stand, since they may be NULL.
    holder: &'static str,
    put_off_by: &'static str,
    claim: &'static str,
    was: &'static str,
    cancelling: &'static str,
    due_in_ms: i64,
}

const HELD: Row = Row {
    origin: "schedule",
    state: "running",
    attempt: 1,
    abandoned: 0,
    deaths: 0,
    holder: "'dead'",
    put_off_by: "NULL",
    claim: "NULL",
    was: "NULL",
    cancelling: "NULL",
    due_in_ms: -60_000,
};

const QUEUED: Row = Row { state: "queued", attempt: 0, holder: "NULL", ..HELD };

const RETRYING: Row = Row { state: "retrying", holder: "NULL", put_off_by: "'dead'", ..HELD };

/// What was left of a task's only run, how it ends, and which attempts are seen to start.
struct Case {
    task: &'static str,
    options: &'static str,
    left: Row,
    ends: &'static str,
    starts: &'static [u32],
}

const fn case(task: &'static str, left: Row, ends: &'static str, starts: &'static [u32]) -> Case {
    Case { task, options: "", left, ends, starts }
}

const CASES: [Case; 14] = [
    // It was enqueued, and its node has heard of it or not; it had begun, or ended, and nobody was told.
    case("held", HELD, "succeeded:2", &[2]),
    Case { options: ",delivery=at_most_once", ..case("once", HELD, "abandoned:1", &[]) },
    case("third", Row { attempt: 3, abandoned: 2, deaths: 2, ..HELD }, "failed:3", &[]),
    case("cancelled", Row { cancelling: "'requested'", ..HELD }, "cancelled:1", &[]),
    // Its next attempt had been claimed, and that was heard of or not.
    case("claimed", Row { attempt: 2, claim: "5", was: "'retrying'", ..HELD }, "succeeded:3", &[3]),
    case("retrying", RETRYING, "succeeded:2", &[2]),
    case("later", Row { due_in_ms: LATER_MS, ..RETRYING }, "succeeded:2", &[2]),
    case("queued", QUEUED, "succeeded:1", &[1]),
    case("returned", Row { attempt: 1, abandoned: 1, ..QUEUED }, "succeeded:2", &[2]),
    case("triggered", Row { origin: "trigger", ..QUEUED }, "succeeded:1", &[1]),
    case("backfilled", Row { origin: "backfill", ..QUEUED }, "succeeded:1", &[1]),
    case("started", Row { origin: "trigger", ..HELD }, "succeeded:2", &[2]),
    // Its node had said good-bye, and was killed before it could hand back what it held.
    case("left", Row { holder: "'left'", ..HELD }, "succeeded:2", &[2]),
    Case { options: ",overlap=skip", ..case("full", HELD, "succeeded:2", &[2]) },
];

/// A connection by which rows are written that no program writes.
enum Hand {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Hand {
    async fn on(store: &Store) -> Self {
        if store.url.starts_with("sqlite:") {
            Self::Sqlite(SqliteConnection::connect(&store.url).await.expect("it opens"))
        } else {
            Self::Postgres(PgConnection::connect(&store.url).await.expect("it answers"))
        }
    }

    async fn write(&mut self, sql: String) {
        let done = match self {
            Self::Sqlite(file) => {
                sqlx::query(AssertSqlSafe(sql.clone())).execute(file).await.map(|done| done.rows_affected())
            }
            Self::Postgres(server) => {
                sqlx::query(AssertSqlSafe(sql.clone())).execute(server).await.map(|done| done.rows_affected())
            }
        };
        let rows = done.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(rows, 1, "{sql}");
    }

    async fn count(&mut self, sql: String) -> i64 {
        let found = match self {
            Self::Sqlite(file) => sqlx::query_scalar(AssertSqlSafe(sql.clone())).fetch_one(file).await,
            Self::Postgres(server) => sqlx::query_scalar(AssertSqlSafe(sql.clone())).fetch_one(server).await,
        };
        found.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}

fn by_hand<T>(store: &Store, write: impl AsyncFnOnce(&mut Hand) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { write(&mut Hand::on(store).await).await })
}

async fn write_node(hand: &mut Hand, store: &Store, name: &str, seen_ago: i64, has_left: u8) {
    let (table, seen) = (store.table("nodes"), now() - seen_ago);
    hand.write(format!(
        "INSERT INTO {table} (name, lease_ms, silence_ms, seen_at, contact_since, lease_until, has_left, tzdb) VALUES \
         ('{name}', {LEASE_MS}, 600, {seen}, {seen}, {}, {has_left}, '2026a')",
        seen + LEASE_MS
    ))
    .await;
}

async fn write_run(hand: &mut Hand, store: &Store, place: usize, case: &Case, at: i64) {
    let (tasks, runs) = (store.table("tasks"), store.table("runs"));
    let Row { origin, state, attempt, abandoned, deaths, holder, put_off_by, claim, was, cancelling, due_in_ms } =
        case.left;
    let id = format!("0190aaaa-0000-7000-8000-{place:012x}");
    let is_queued = state == "queued";
    let is_asked_for = origin != "schedule";
    let origin_id = if is_asked_for { format!("'{id}'") } else { "NULL".into() };
    let began = if is_queued { "NULL" } else { "2" };
    let started = if attempt > 0 { at.to_string() } else { "NULL".into() };
    hand.write(format!(
        "INSERT INTO {runs} (id, task, origin, origin_id, scheduled_at, due_at, state, attempt, abandoned, deaths, token, \
         holder, claim, was, put_off_by, beside, made, began, cancelling, started_at) VALUES ('{id}', (SELECT id FROM {tasks} \
         WHERE name = '{}'), '{origin}', {origin_id}, {at}, {}, '{state}', {attempt}, {abandoned}, {deaths}, {}, {holder}, \
         {claim}, {was}, {put_off_by}, 0, 1, {began}, {cancelling}, {started})",
        case.task,
        now() + due_in_ms,
        attempt.max(1),
    ))
    .await;
    let (begun, queued) = (u8::from(!is_queued), u8::from(is_queued));
    let counted = u8::from(!is_asked_for);
    hand.write(format!(
        "UPDATE {tasks} SET made = 2, begun = {begun}, queued = {queued}, submitted = {}, occurrences = {counted}, runs = \
         {counted} WHERE name = '{}'",
        u8::from(is_queued && is_asked_for),
        case.task
    ))
    .await;
}

/// Waits until the newest run of a task is as wanted.
fn ends(node: &mut Node, store: &Store, task: &str, wanted: &str) {
    let began = Instant::now();
    loop {
        let runs = node.ask(&format!("runs {task}"));
        if runs.split(' ').any(|run| run == wanted) {
            return;
        }
        assert!(began.elapsed() < RECOVERY, "{task} is {runs} and not {wanted}:\n{}", store.story());
        thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn what_a_node_that_was_killed_has_left_comes_to_its_end(store: fn() -> Store) {
    let store = store();
    // One occurrence, which fell due a minute ago, and the next in an hour.
    let at = now() - 60_000;
    let mut tasks: Vec<String> = CASES
        .iter()
        .filter(|case| case.task != "full")
        .map(|Case { task, options, .. }| format!("task={task},every=3600000,start={at}{options}"))
        .collect();
    tasks.push(format!("task=full,every=500,start={at},overlap=skip"));
    // Of an occurrence that its mark has passed there is neither run nor record.
    tasks.push(format!("task=torn,every=500,start={at},misfire=run_all"));
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    store.node("first", &tasks).stop();
    let before = now();
    by_hand(&store, async |hand| {
        for (name, seen_ago, has_left) in
            [("dead", 60_000, 0), ("left", 60_000, 1), ("idle", 60_000, 0), ("forgotten", 3 * 86_400_000, 0)]
        {
            write_node(hand, &store, name, seen_ago, has_left).await;
        }
        for (place, case) in CASES.iter().enumerate() {
            write_run(hand, &store, place, case, at).await;
        }
        let table = store.table("tasks");
        hand.write(format!("UPDATE {table} SET mark = {before} WHERE name = 'torn'")).await;
    });
    let mut node = store.node("next", &tasks);
    for Case { task, left, ends: how, .. } in &CASES {
        ends(&mut node, &store, task, &format!("{at}:{how}"));
        // What somebody asked for is no occurrence.
        let counted = if left.origin == "schedule" { "1 1 0" } else { "0 0 0" };
        if *task != "full" {
            assert_eq!(node.ask(&format!("ledger {task}")), counted, "{task}");
        }
    }
    let lines = store.lines();
    for Case { task, starts, .. } in &CASES {
        let seen = lines.iter().filter(|line| line.task == *task && line.instant == at && line.seen == Seen::Start);
        let seen: Vec<u32> = seen.map(|line| line.attempt).collect();
        assert_eq!(seen, *starts, "the attempts of {task}:\n{}", store.story());
    }
    let later = lines.iter().find(|line| line.task == "later").expect("it was seen").at;
    assert!(later >= before + LATER_MS, "its next attempt was due later than {} ms after", later - before);

    // A dead node's run filled its task until it was taken over, and what fell due meanwhile says so.
    store.until("what was full runs again", |lines| {
        lines.iter().any(|line| line.task == "full" && line.instant > before)
    });
    assert!(node.ask("records full").starts_with("Overlap:"), "{}", node.ask("records full"));
    let [.., recorded] = node.balanced_ledger("full");
    assert!(recorded > 0, "{recorded}");
    // The mark is the truth: behind it nothing fires, before it everything.
    let is_torn = |line: &&Line| line.task == "torn" && line.node == "next";
    let after = at + (before - at) / 500 * 500 + 500;
    store.until("what was torn goes on", |lines| lines.iter().filter(is_torn).any(|line| line.instant == after));
    let first = store.lines().iter().filter(is_torn).map(|line| line.instant).min();
    assert_eq!(first, Some(after), "{}", store.story());

    let nodes = store.table("nodes");
    let there = |name: &str| format!("SELECT COUNT(*) FROM {nodes} WHERE name = '{name}'");
    let left = by_hand(&store, async |hand| [hand.count(there("idle")).await, hand.count(there("forgotten")).await]);
    assert_eq!(left, [1, 0], "a node that nobody has heard of for a day is forgotten");
    node.stop();
}
