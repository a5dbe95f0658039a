//! Jobs on the stores in SQL: enqueued in a transaction of the program's own, and given up in time.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool, SqlSafeStr, SqlitePool};
use symphra_scheduler::backend::{
    Backend, Begin, Claim, End, Enqueued, Finish, Holder, JobArguments, LetterQuery, NewJob, Registration, TaskKey,
    TaskRules, Unique,
};
use symphra_scheduler::{
    Outcome, PostgresBackend, RunFilter, RunId, RunState, Schedule, Scheduler, SqliteBackend, Task, TaskName,
    Timestamp, Timetable,
};
use symphra_scheduler_tests::services::{has_postgres, postgres_url};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a test waits for a thing before it says that it never happens.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store in a file, and the test's own way to it.
struct OnSqlite {
    url: String,
    pool: SqlitePool,
}

/// The same on a server.
struct OnPostgres {
    pool: PgPool,
    schema: String,
}

async fn on_sqlite() -> OnSqlite {
    let folder = tempfile::tempdir().expect("a folder").keep();
    let url = format!("sqlite://{}/store.db", folder.display());
    opened(&url).await;
    let pool = SqlitePool::connect(&url).await.expect("it opens");
    OnSqlite { url, pool }
}

async fn opened(url: &str) -> SqliteBackend {
    SqliteBackend::options().namespace("jobs").connect(url).await.expect("it opens")
}

async fn on_postgres() -> OnPostgres {
    let schema = format!("jobs_{:x}", fastrand::u64(..));
    let pool = PgPool::connect(postgres_url()).await.expect("it connects");
    OnPostgres { pool, schema }
}

impl OnSqlite {
    const fn has_many_writers(&self) -> bool {
        false
    }

    async fn open(&self) -> SqliteBackend {
        opened(&self.url).await
    }

    /// Changes rows behind the store's back; `{}` is the beginning of its tables' names.
    async fn tell(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.replace("{}", "jobs_")).into_sql_str();
        sqlx::query(sql).execute(&self.pool).await.expect("it is done");
    }

    async fn count(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.replace("{}", "jobs_")).into_sql_str();
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.expect("it is told")
    }
}

impl OnPostgres {
    const fn has_many_writers(&self) -> bool {
        true
    }

    async fn open(&self) -> PostgresBackend {
        let options = PostgresBackend::options().schema(self.schema.clone()).namespace("jobs").max_connections(3);
        options.connect(postgres_url()).await.expect("it opens")
    }

    async fn tell(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.replace("{}", &format!("{}.jobs_", self.schema))).into_sql_str();
        sqlx::query(sql).execute(&self.pool).await.expect("it is done");
    }

    async fn count(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.replace("{}", &format!("{}.jobs_", self.schema))).into_sql_str();
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.expect("it is told")
    }
}

const LETTERS: &str = "SELECT COUNT(*) FROM {}jobs WHERE stand = 'dead'";

async fn registered(store: &impl Backend, holder: &Holder) -> TaskKey {
    let schedule = Schedule::interval(DAY).expect("a period");
    let timetable = Arc::new(Timetable::new(schedule, symphra_scheduler::chrono_tz::UTC));
    let rules = TaskRules { alive_max: None, reads: 1, ..TaskRules::default() };
    let task = Registration { name: TaskName::new("note").expect("a name"), timetable, rules };
    store.register(holder, &[task]).await.expect("it is registered").remove(0).key
}

fn job(task: TaskKey, made: Timestamp, number: u128) -> NewJob {
    NewJob {
        id: RunId::from_parts(made, number),
        task,
        arguments: JobArguments { version: 1, json: "7".into() },
        begin: Begin::At(made),
        priority: None,
        unique: None,
    }
}

async fn enqueue(store: &impl Backend, job: NewJob) {
    assert_eq!(store.enqueue_jobs(&[job]).await.expect("it is answered"), [Enqueued::Queued]);
}

/// Claims a job, and ends it as one that took too long.
async fn fail(store: &impl Backend, node: &Holder, task: TaskKey, number: u64) {
    end(store, node, task, number, Outcome::TimedOut(DAY)).await;
}

/// Claims a job, and ends it.
async fn end(store: &impl Backend, node: &Holder, task: TaskKey, number: u64, outcome: Outcome) {
    let claim = Claim { number, tasks: [task].into(), jobs: [(task, 1)].into(), max: 1 };
    let run = store.claim(node, &claim).await.expect("it is answered").runs.remove(0);
    let finish = Finish {
        task,
        id: run.id,
        token: run.hold.token,
        end: End::Final(outcome),
        started_at: None,
        finished_at: now(),
        log: None,
    };
    store.finish(&[finish]).await.expect("it is answered");
}

fn now() -> Timestamp {
    Timestamp::from(symphra_scheduler::chrono::DateTime::<symphra_scheduler::chrono::Utc>::from(
        std::time::SystemTime::now(),
    ))
}

/// The body of the job of these tests.
async fn note(_order: i64) {}

fn scheduler(backend: impl Backend) -> Scheduler {
    Scheduler::empty().register(Task::job("note", note)).backend(backend)
}

/// Waits until a run is there and stands so. It looks again and again: events tell of an end before the store has it.
async fn stands(handle: &symphra_scheduler::SchedulerHandle, id: RunId, state: RunState) {
    let waiting = async {
        loop {
            let runs = handle.runs(&RunFilter::new().id(id)).await.expect("they are listed");
            if runs.iter().any(|run| run.state == state) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("run {id} is {state} in the end"));
}

/// A test for each database, in the words of both.
macro_rules! on_both {
    ($($(#[$doc:meta])* $test:ident($store:ident) $body:block)+) => {
        mod sqlite {
            use super::*;
            $($(#[$doc])* #[tokio::test] async fn $test() {
                let $store = on_sqlite().await;
                $body
            })+
        }

        mod postgres {
            use super::*;
            $($(#[$doc])* #[tokio::test] async fn $test() {
                if has_postgres() {
                    let $store = on_postgres().await;
                    $body
                }
            })+
        }
    };
}

on_both! {
    a_job_is_there_when_the_transaction_of_its_caller_is_committed(store) {
        let handle = scheduler(store.open().await).start().await.expect("it starts");
        let mut tx = store.pool.begin().await.expect("it begins");
        let id = handle.enqueue(note, 7_i64).in_tx(&mut tx).await.expect("it is enqueued");
        let unique = handle.enqueue(note, 8_i64).unique("eight").in_tx(&mut tx).await.expect("it is enqueued");
        let again = handle.enqueue(note, 8_i64).unique("eight").in_tx(&mut tx).await.expect("it is known");
        assert_eq!(again, unique, "it sees itself");
        assert!(handle.runs(&RunFilter::new().id(id)).await.expect("they are listed").is_empty(), "nobody else sees it");
        tx.commit().await.expect("it is committed");
        stands(&handle, id, RunState::Succeeded).await;
        stands(&handle, unique, RunState::Succeeded).await;
        handle.stop().await.expect("it stops");
    }

    a_job_never_was_if_the_transaction_of_its_caller_is_undone(store) {
        let handle = scheduler(store.open().await).start().await.expect("it starts");
        let mut tx = store.pool.begin().await.expect("it begins");
        let undone = handle.enqueue(note, 7_i64).unique("seven").in_tx(&mut tx).await.expect("it is enqueued");
        tx.rollback().await.expect("it is undone");
        let made = handle.enqueue(note, 7_i64).unique("seven").await.expect("the key is free");
        assert_ne!(made, undone);
        stands(&handle, made, RunState::Succeeded).await;
        assert!(handle.runs(&RunFilter::new().id(undone)).await.expect("they are listed").is_empty());
        handle.stop().await.expect("it stops");
    }

    a_transaction_on_another_database_is_told(store) {
        let handle = scheduler(store.open().await).start().await.expect("it starts");
        let other = on_sqlite().await;
        let others = Scheduler::empty().register(Task::job("stranger", note)).backend(other.open().await);
        others.start().await.expect("it starts").stop().await.expect("it stops");
        let mut tx = other.pool.begin().await.expect("it begins");
        let refused = handle.enqueue(note, 7_i64).in_tx(&mut tx).await.expect_err("it is another database");
        assert!(refused.is_backend());
        let told = format!("{refused:?}");
        assert!(
            told.contains("on another database than the store") || told.contains("the transaction is of sqlite"),
            "{told}"
        );
        drop(tx);
        handle.stop().await.expect("it stops");
    }

    a_transaction_on_another_store_with_the_same_tasks_is_told(store) {
        let handle = scheduler(store.open().await).start().await.expect("it starts");
        let mut tx = store.pool.begin().await.expect("it begins");
        handle.enqueue(note, 7_i64).in_tx(&mut tx).await.expect("it is that of the store");
        tx.rollback().await.expect("it is undone");
        // As another database that has all that this one has.
        store.tell("UPDATE {}meta SET store = 'another'").await;
        let mut tx = store.pool.begin().await.expect("it begins");
        let refused = handle.enqueue(note, 7_i64).in_tx(&mut tx).await.expect_err("it is another store");
        assert!(format!("{refused:?}").contains("on another database than the store"), "{refused:?}");
        drop(tx);
        handle.stop().await.expect("it stops");
    }

    a_transaction_that_takes_its_time_holds_up_nobody(store) {
        let handle = scheduler(store.open().await).start().await.expect("it starts");
        let first = handle.enqueue(note, 1_i64).await.expect("it is enqueued");
        stands(&handle, first, RunState::Succeeded).await;
        let mut tx = store.pool.begin().await.expect("it begins");
        let slow = handle.enqueue(note, 2_i64).in_tx(&mut tx).await.expect("it is enqueued");
        if store.has_many_writers() {
            // A file has one writer at a time, whatever it writes.
            let second = handle.enqueue(note, 3_i64).await.expect("it is enqueued meanwhile");
            stands(&handle, second, RunState::Succeeded).await;
        }
        tx.commit().await.expect("it is committed");
        stands(&handle, slow, RunState::Succeeded).await;
        handle.stop().await.expect("it stops");
    }

    a_key_in_a_transaction_that_takes_its_time_is_waited_for_a_moment(store) {
        let handle = scheduler(store.open().await).start().await.expect("it starts");
        let mut tx = store.pool.begin().await.expect("it begins");
        let slow = handle.enqueue(note, 1_i64).unique("one").in_tx(&mut tx).await.expect("it is enqueued");
        if store.has_many_writers() {
            let error = handle.enqueue(note, 1_i64).unique("one").await.expect_err("whether it is free nobody knows");
            assert!(error.is_backend() && format!("{error:?}").contains("a transaction that has not ended holds the key \"one\""), "{error:?}");
            let other = handle.enqueue(note, 2_i64).unique("two").await.expect("others are enqueued meanwhile");
            stands(&handle, other, RunState::Succeeded).await;
        }
        tx.commit().await.expect("it is committed");
        stands(&handle, slow, RunState::Succeeded).await;
        handle.stop().await.expect("it stops");
    }

    many_callers_of_two_stores_get_one_job_for_a_key(store) {
        let (first, second) = (Arc::new(store.open().await), Arc::new(store.open().await));
        let key = registered(&*first, &Holder::new("a", DAY)).await;
        for round in 0..4 {
            let ada = Unique { key: format!("ada {round}").into(), at_least: None };
            let calls: Vec<_> = (0..32_u128)
                .map(|number| {
                    let store = Arc::clone(if number % 2 == 0 { &first } else { &second });
                    let job = NewJob { unique: Some(ada.clone()), ..job(key, now(), number) };
                    tokio::spawn(async move { (job.id, store.enqueue_jobs(&[job]).await) })
                })
                .collect();
            let (mut made, mut told) = (Vec::new(), Vec::new());
            for call in calls {
                match call.await.expect("it does not panic") {
                    (id, Ok(answer)) if answer == [Enqueued::Queued] => made.push(id),
                    (_, Ok(answer)) => match answer[..] {
                        [Enqueued::Known(id)] => told.push(id),
                        ref other => panic!("it is this one or another: {other:?}"),
                    },
                    (_, Err(failed)) => panic!("{failed:?}"),
                }
            }
            assert_eq!((made.len(), told.len()), (1, 31), "round {round}");
            assert!(told.iter().all(|id| *id == made[0]), "round {round}");
        }
    }

    who_waits_for_the_key_of_a_transaction_is_told_how_it_has_ended(store) {
        let backend = Arc::new(store.open().await);
        let (node, handle) = (Holder::new("a", DAY), scheduler(store.open().await).start().await.expect("it starts"));
        let key = registered(&*backend, &node).await;
        for is_committed in [true, false] {
            let ada = Unique { key: format!("ada {is_committed}").into(), at_least: Some(DAY) };
            let mut tx = store.pool.begin().await.expect("it begins");
            let theirs = handle.enqueue(note, 1_i64).unique(&*ada.key).unique_for(DAY).in_tx(&mut tx).await;
            let theirs = theirs.expect("it is enqueued");
            let job = NewJob { unique: Some(ada), ..job(key, now(), 7) };
            let id = job.id;
            let waiting = {
                let backend = Arc::clone(&backend);
                tokio::spawn(async move { backend.enqueue_jobs(&[job]).await })
            };
            // Within the moment for which it waits.
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(!waiting.is_finished(), "nobody knows yet");
            match is_committed {
                true => tx.commit().await.expect("it is committed"),
                false => tx.rollback().await.expect("it is undone"),
            }
            let answer = waiting.await.expect("it does not panic").expect("it is answered");
            assert_ne!(id, theirs);
            assert_eq!(answer, [if is_committed { Enqueued::Known(theirs) } else { Enqueued::Queued }]);
        }
        handle.stop().await.expect("it stops");
    }

    who_waits_for_a_key_leaves_connections_to_others(store) {
        let backend = Arc::new(store.open().await);
        let (node, handle) = (Holder::new("a", DAY), scheduler(store.open().await).start().await.expect("it starts"));
        let key = registered(&*backend, &node).await;
        let ada = Unique { key: "ada".into(), at_least: None };
        let mut tx = store.pool.begin().await.expect("it begins");
        handle.enqueue(note, 1_i64).unique("ada").in_tx(&mut tx).await.expect("it is enqueued");
        if store.has_many_writers() {
            let waiting: Vec<_> = (1..=6)
                .map(|number| {
                    let (backend, job) = (Arc::clone(&backend), NewJob { unique: Some(ada.clone()), ..job(key, now(), number) });
                    tokio::spawn(async move { backend.enqueue_jobs(&[job]).await })
                })
                .collect();
            // Until one of them waits for the key, the others for him.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let began = std::time::Instant::now();
            backend.heartbeat(&node).await.expect("it is answered");
            assert!(began.elapsed() < Duration::from_millis(1_500), "a heartbeat took {:?}", began.elapsed());
            let bob = Unique { key: "bob".into(), at_least: None };
            enqueue(&*backend, NewJob { unique: Some(bob), ..job(key, now(), 9) }).await;
            assert!(began.elapsed() < Duration::from_millis(3_500), "another key took {:?}", began.elapsed());
            waiting.into_iter().for_each(|one| one.abort());
        }
        tx.rollback().await.expect("it is undone");
        handle.stop().await.expect("it stops");
    }

    a_letter_that_a_transaction_has_locked_is_given_up_later(store) {
        let backend = store.open().await;
        let (node, handle) = (Holder::new("a", DAY), scheduler(store.open().await).start().await.expect("it starts"));
        handle.pause_task("note").await.expect("it pauses");
        let key = registered(&backend, &node).await;
        store.tell(&format!(
            "INSERT INTO {{}}jobs (run, task, stand, is_fresh, priority, scheduled_at, version, arguments, unique_key, holds_key, \
             unique_until, died_at, state, attempt) VALUES ('00000000-0000-7000-8000-000000000001', {}, 'dead', 0, 0, 0, 1, '7', \
             'ada', 1, 1, 1, 'failed', 1)",
            key.0
        ))
        .await;
        let mut tx = store.pool.begin().await.expect("it begins");
        handle.enqueue(note, 1_i64).unique("ada").in_tx(&mut tx).await.expect("its time is over");
        if store.has_many_writers() {
            backend.prune_jobs().await.expect("it waits for nobody");
            assert_eq!(store.count(LETTERS).await, 1, "it is left");
        }
        tx.commit().await.expect("it is committed");
        backend.prune_jobs().await.expect("it is done");
        assert_eq!(store.count(LETTERS).await, 0);
        handle.stop().await.expect("it stops");
    }

    a_letter_that_is_too_old_leaves_its_key_for_its_time(store) {
        let (backend, node) = (store.open().await, Holder::new("a", DAY));
        let key = registered(&backend, &node).await;
        let year = Unique { key: "ada".into(), at_least: Some(365 * DAY) };
        let unique = |number| NewJob { unique: Some(year.clone()), ..job(key, now(), number) };
        let first = unique(1);
        enqueue(&backend, first.clone()).await;
        fail(&backend, &node, key, 1).await;
        store.tell("UPDATE {}jobs SET died_at = 1").await;
        backend.prune_jobs().await.expect("it is done");
        assert_eq!(store.count(LETTERS).await, 0, "it is none any more");
        let answer = backend.enqueue_jobs(&[unique(2)]).await.expect("it is answered");
        assert_eq!(answer, [Enqueued::Known(first.id)], "its key is held");
    }

    a_job_that_no_node_claims_is_a_dead_letter_after_so_long(store) {
        let (backend, node) = (store.open().await, Holder::new("gone", DAY));
        let key = registered(&backend, &node).await;
        let made = now().minus(20 * DAY);
        enqueue(&backend, job(key, made, 1)).await;
        enqueue(&backend, job(key, now(), 2)).await;
        assert_eq!(backend.end_unclaimed(14 * DAY).await.expect("it is done"), 0, "a node knows the task");
        store.tell("UPDATE {}nodes SET lease_until = 1").await;
        assert_eq!(backend.end_unclaimed(14 * DAY).await.expect("it is done"), 1);
        let letters = backend.dead_letters(&LetterQuery::default()).await.expect("they are listed");
        assert_eq!((letters.len(), letters[0].id), (1, RunId::from_parts(made, 1)), "the other has time");
        assert_eq!((letters[0].state, letters[0].attempt), (RunState::Cancelled, 0));
        assert!(letters[0].failure.is_some(), "it says why: {letters:?}");
    }

    a_job_that_no_node_reads_is_a_dead_letter_after_so_long(store) {
        let (backend, node) = (store.open().await, Holder::new("a", DAY));
        let key = registered(&backend, &node).await;
        let made = now().minus(20 * DAY);
        let arguments = JobArguments { version: 2, json: "7".into() };
        let newer = |number| NewJob { arguments: arguments.clone(), ..job(key, made, number) };
        enqueue(&backend, newer(1)).await;
        let claim = Claim { number: 1, tasks: [key].into(), jobs: [(key, 2)].into(), max: 1 };
        let run = backend.claim(&node, &claim).await.expect("it is answered").runs.remove(0);
        let (id, token, end) = (run.id, run.hold.token, End::HandBack);
        let finish = Finish { task: key, id, token, end, started_at: None, finished_at: now(), log: None };
        backend.finish(&[finish]).await.expect("it is answered");
        enqueue(&backend, newer(2)).await;
        enqueue(&backend, job(key, made, 3)).await;
        // Those that wait come first, and then those that have begun.
        for _ in 0..2 {
            assert_eq!(backend.end_unclaimed(14 * DAY).await.expect("it is done"), 1);
        }
        assert_eq!(backend.end_unclaimed(14 * DAY).await.expect("it is done"), 0);
        let mut letters = backend.dead_letters(&LetterQuery::default()).await.expect("they are listed");
        letters.sort_by_key(|letter| letter.id);
        let letters: Vec<RunId> = letters.iter().map(|letter| letter.id).collect();
        assert_eq!(letters, [newer(1).id, newer(2).id], "its node knows the task, and reads the third");
    }

    letters_that_are_too_many_are_given_up_as_others_come(store) {
        let (backend, node) = (store.open().await, Holder::new("a", DAY));
        let key = registered(&backend, &node).await;
        let id = if store.has_many_writers() { "uuid" } else { "text" };
        let fill = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10010) INSERT INTO {{}}jobs (run, task, \
             stand, is_fresh, priority, scheduled_at, version, arguments, holds_key, died_at, state, attempt) SELECT \
             CAST('00000000-0000-7000-8000-' || substr('000000000000' || i, length('' || i) + 1) AS {id}), (SELECT MIN(id) FROM \
             {{}}tasks), 'dead', 0, 0, 0, 1, '7', 0, {}, 'failed', 1 FROM n",
            now().as_millis()
        );
        store.tell(&fill).await;
        enqueue(&backend, job(key, now(), 1)).await;
        enqueue(&backend, job(key, now(), 2)).await;
        fail(&backend, &node, key, 1).await;
        assert_eq!(store.count(LETTERS).await, 10_011, "not at each end");
        store.tell("UPDATE {}tasks SET kept = 100").await;
        end(&backend, &node, key, 2, Outcome::Succeeded).await;
        assert_eq!(store.count(LETTERS).await, 10_000, "the newest, whatever the end that it is done with");
        let listed = backend.dead_letters(&LetterQuery::default()).await.expect("they are listed");
        assert_eq!(listed.len(), 1_000, "if nobody says more");
        assert_eq!(listed[0].state, RunState::TimedOut, "the last first");
    }

    a_job_whose_run_is_gone_is_a_dead_letter_and_frees_its_key(store) {
        let (backend, node) = (store.open().await, Holder::new("a", DAY));
        let key = registered(&backend, &node).await;
        let ada = Unique { key: "ada".into(), at_least: None };
        let unique = |number| NewJob { unique: Some(ada.clone()), ..job(key, now(), number) };
        let lost = unique(1);
        enqueue(&backend, lost.clone()).await;
        let claim = Claim { number: 1, tasks: [key].into(), jobs: [(key, 1)].into(), max: 1 };
        assert_eq!(backend.claim(&node, &claim).await.expect("it is answered").runs.len(), 1);
        backend.prune_jobs().await.expect("it is done");
        assert_eq!(store.count(LETTERS).await, 0, "its run is there");
        store.tell("DELETE FROM {}runs").await;
        backend.prune_jobs().await.expect("it is done");
        let letters = backend.dead_letters(&LetterQuery::default()).await.expect("they are listed");
        assert_eq!((letters.len(), letters[0].id, letters[0].state), (1, lost.id, RunState::Abandoned));
        enqueue(&backend, unique(2)).await;
    }

    letters_are_given_up_in_time(store) {
        let (backend, node) = (store.open().await, Holder::new("a", DAY));
        let key = registered(&backend, &node).await;
        for number in 1..=2 {
            enqueue(&backend, job(key, now(), number.into())).await;
            fail(&backend, &node, key, number).await;
        }
        let listed = async || backend.dead_letters(&LetterQuery::default()).await.expect("they are listed").len();
        backend.prune_jobs().await.expect("it is done");
        assert_eq!((listed().await, store.count(LETTERS).await), (2, 2));
        let month = 30 * 24 * 60 * 60 * 1_000_i64 + 1_000;
        store.tell(&format!("UPDATE {{}}jobs SET died_at = died_at - {month} WHERE seq = (SELECT MIN(seq) FROM {{}}jobs)")).await;
        assert_eq!((listed().await, store.count(LETTERS).await), (1, 2), "it is not shown any more");
        backend.prune_jobs().await.expect("it is done");
        assert_eq!((listed().await, store.count(LETTERS).await), (1, 1), "and goes");
    }

    a_key_whose_time_is_over_is_given_up(store) {
        let (backend, node) = (store.open().await, Holder::new("a", DAY));
        let key = registered(&backend, &node).await;
        let unique = Some(Unique { key: "ada".into(), at_least: Some(DAY) });
        enqueue(&backend, NewJob { unique, ..job(key, now(), 1) }).await;
        let claim = Claim { number: 1, tasks: [key].into(), jobs: [(key, 1)].into(), max: 1 };
        let run = backend.claim(&node, &claim).await.expect("it is answered").runs.remove(0);
        let (id, token, end) = (run.id, run.hold.token, End::Final(Outcome::Succeeded));
        let finish = Finish { task: key, id, token, end, started_at: None, finished_at: now(), log: None };
        backend.finish(&[finish]).await.expect("it is answered");
        const KEPT: &str = "SELECT COUNT(*) FROM {}jobs WHERE stand = 'over' AND arguments = ''";
        backend.prune_jobs().await.expect("it is done");
        assert_eq!(store.count(KEPT).await, 1, "for its key alone");
        store.tell("UPDATE {}jobs SET unique_until = 1").await;
        backend.prune_jobs().await.expect("it is done");
        assert_eq!(store.count("SELECT COUNT(*) FROM {}jobs").await, 0);
    }

    a_store_without_jobs_gets_their_table(store) {
        drop(store.open().await);
        store.tell("DROP TABLE {}jobs").await;
        store.tell("DROP TABLE {}actions").await;
        store.tell("ALTER TABLE {}known DROP COLUMN reads").await;
        store.tell("ALTER TABLE {}meta DROP COLUMN store").await;
        store.tell("ALTER TABLE {}history DROP COLUMN node").await;
        store.tell("UPDATE {}meta SET schema_version = 3").await;
        let (backend, node) = (store.open().await, Holder::new("a", DAY));
        let key = registered(&backend, &node).await;
        enqueue(&backend, job(key, now(), 1)).await;
        assert_eq!(store.count("SELECT schema_version FROM {}meta").await, 6);
        assert_eq!(store.count("SELECT admits FROM {}meta").await, 4, "programs that know none cannot go on with it");
    }
}
