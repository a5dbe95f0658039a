//! What the book says of the stores: its samples of SQL give what they say, and its options are those that there are.

use std::fs;
use std::path::Path;

use sqlx::Connection;
use sqlx::{AssertSqlSafe, SqlSafeStr};
use symphra_scheduler::backend::{Backend, RunQuery};
use symphra_scheduler::{
    Error, Migrate, PostgresBackend, RabbitMqBackend, RedisBackend, Schedule, Scheduler, SqliteBackend, Task,
};
use symphra_scheduler_tests::services::{
    Redis, has_postgres, has_rabbitmq, has_redis, postgres_url, rabbitmq_url, redis_url,
};

/// The statements of the blocks of SQL on the page: those for both databases, those of SQLite, those of PostgreSQL.
fn samples() -> [Vec<String>; 4] {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/en/backends.md");
    let page = fs::read_to_string(page).expect("a page of the book");
    let blocks = page.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let blocks: Vec<Vec<String>> = blocks.map(|block| block.lines().map(str::to_owned).collect()).collect();
    blocks.try_into().expect("rights, both, SQLite, PostgreSQL")
}

/// A program that has run a task on this store, and stopped.
async fn has_run_on(backend: impl Backend) {
    let (ran, mut runs) = tokio::sync::mpsc::channel(1);
    let once = Task::new("report", Schedule::cron("0 0 1 1 *").expect("an expression"), move || {
        let ran = ran.clone();
        async move { ran.send(()).await.expect("the test waits") }
    });
    let handle = Scheduler::empty().register(once).backend(backend).start().await.expect("it starts");
    handle.trigger_task("report").await.expect("it is triggered");
    runs.recv().await.expect("it runs");
    handle.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_store_is_opened_as_the_programs_own_pool_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let options =
        sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("own.db")).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.expect("it opens");
    let store = SqliteBackend::options().namespace("billing").from_pool(&pool).await.expect("it opens");
    has_run_on(store).await;
    let count = "SELECT COUNT(*) FROM billing_history";
    let kept: i64 = sqlx::query_scalar(count).fetch_one(&pool).await.expect("the program reads its own file");
    assert_eq!(kept, 1);
    let memory = sqlx::SqlitePool::connect("sqlite::memory:").await.expect("it opens");
    let error = SqliteBackend::from_pool(&memory).await.expect_err("no two connections share it");
    assert!(error.is_config() && error.to_string().contains("MemoryBackend"), "{error}");

    if !has_postgres() {
        return;
    }
    let schema = format!("own_{:x}", fastrand::u64(..));
    let pool = sqlx::PgPool::connect(postgres_url()).await.expect("it answers");
    let store = PostgresBackend::options().schema(schema.clone()).namespace("billing").from_pool(&pool).await;
    has_run_on(store.expect("it opens")).await;
    let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {schema}.billing_history")).into_sql_str();
    let kept: i64 = sqlx::query_scalar(count).fetch_one(&pool).await.expect("the program reads its own database");
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn a_file_of_somebody_else_is_left_as_it_is_by_who_may_make_no_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("other.db");
    let url = format!("sqlite://{}", file.display());
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let options = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Delete);
    let mut other = sqlx::SqliteConnection::connect_with(&options).await.expect("it opens");
    sqlx::query("CREATE TABLE theirs (id integer)").execute(&mut other).await.expect("it is theirs");
    other.close().await.expect("it closes");
    let before = fs::read(&file).expect("it is there");
    let options = SqliteBackend::options().namespace("billing").migrate(Migrate::Check);
    let error = options.connect(&url).await.expect_err("it has no tables of ours");
    assert!(format!("{error:?}").contains("it has no tables"), "{error:?}");
    assert_eq!(fs::read(&file).expect("it is there"), before);
    let ours = SqliteBackend::options().namespace("billing").connect(&url).await.expect("it opens");
    drop(ours);
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&mut sqlx::SqliteConnection::connect(&url).await.expect("it opens"))
        .await
        .expect("it tells");
    assert_eq!(mode, "wal");
}

/// Has this many nodes open a store that is not there yet, all at once, and each run its task on it.
async fn start_at_once<B: Backend, F: Future<Output = Result<B, Error>> + Send + 'static>(open: impl Fn() -> F) {
    let nodes: Vec<_> = (0..8).map(|_| tokio::spawn(open())).collect();
    for node in nodes {
        let store = node.await.expect("nobody panics").expect("it opens");
        has_run_on(store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_at_once_make_their_store_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/store.db", folder.path().display());
    start_at_once(|| {
        let url = url.clone();
        async move { SqliteBackend::options().namespace("billing").connect(&url).await }
    })
    .await;
    let name = format!("together_{:x}", fastrand::u32(..));
    if has_postgres() {
        start_at_once(|| {
            let options = PostgresBackend::options().schema(name.clone()).namespace("billing");
            options.max_connections(2).connect(postgres_url())
        })
        .await;
    }
    if has_redis() {
        start_at_once(|| RedisBackend::options().namespace(name.clone()).connect(redis_url())).await;
    }
    if has_rabbitmq() {
        start_at_once(|| RabbitMqBackend::options().namespace(name.clone()).connect(rabbitmq_url())).await;
    }
}

/// Others may keep a file busy for longer than a step waits; a start fails for good, so it waits for longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_a_file_that_others_keep_busy() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/store.db", folder.path().display());
    let store = SqliteBackend::options().namespace("billing").connect(&url).await.expect("it opens");
    let mut other = sqlx::SqliteConnection::connect(&url).await.expect("it opens");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("nobody writes");
    let starting = tokio::spawn(has_run_on(store));
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    assert!(!starting.is_finished(), "it waits");
    sqlx::query("ROLLBACK").execute(&mut other).await.expect("it ends");
    starting.await.expect("it starts, and runs its task");
}

/// However often something happens, others are told of it 20 times a second at most: each `NOTIFY` is a commit.
#[tokio::test]
async fn postgres_notifies_at_most_twenty_times_a_second() {
    if !has_postgres() {
        return;
    }
    let name = format!("told_{:x}", fastrand::u32(..));
    let options = PostgresBackend::options().schema(name.clone()).namespace(name.clone());
    let store = options.connect(postgres_url()).await.expect("it opens");
    let mut listener = sqlx::postgres::PgListener::connect(postgres_url()).await.expect("it answers");
    listener.listen(&format!("{name}_changes")).await.expect("anybody may");
    let began = std::time::Instant::now();
    let handle = Scheduler::empty().register(report()).backend(store).start().await.expect("it starts");
    for _ in 0..300 {
        handle.trigger_task("report").await.expect("it is triggered");
    }
    handle.stop().await.expect("it stops");
    let mut told = 0;
    while let Ok(notification) = tokio::time::timeout(std::time::Duration::from_millis(500), listener.recv()).await {
        notification.expect("it is connected");
        told += 1;
    }
    let most = began.elapsed().as_millis() / 50 + 1;
    assert!(0 < told && told <= most, "{told} in {:?}", began.elapsed());
}

/// A table that was filled just now makes statements look expensive, and the server would compile each of them, for most of a
/// second; here it is told that all of them are worth it.
#[tokio::test]
async fn postgres_is_not_asked_to_compile_statements() {
    if !has_postgres() {
        return;
    }
    let mut spent = Vec::new();
    for eager in ["", "options[jit_above_cost]=0&options[jit_inline_above_cost]=0&options[jit_optimize_above_cost]=0"] {
        let url = format!("{}{}{eager}", postgres_url(), if postgres_url().contains('?') { '&' } else { '?' });
        let name = format!("compiled_{:x}", fastrand::u32(..));
        let options = PostgresBackend::options().schema(name.clone()).namespace(name);
        let store = options.connect(&url).await.expect("it opens");
        let began = std::time::Instant::now();
        has_run_on(store).await;
        spent.push(began.elapsed());
    }
    assert!(spent[1] < 5 * spent[0], "{:?} where nothing is compiled, {:?} where all would be", spent[0], spent[1]);
}

fn report() -> Task {
    Task::new("report", Schedule::cron("0 0 1 1 *").expect("an expression"), async || {})
}

/// A store of version 1 is one of version 2 but for a table. An operator who may make none is told what to do, a program that
/// may brings it up to date, and a program of a version to come says of itself who may work beside it.
#[tokio::test]
async fn a_store_of_an_older_version_is_brought_up_to_date_and_one_of_a_newer_says_who_may_use_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/store.db", folder.path().display());
    let sqlite = |how| {
        let (options, url) = (SqliteBackend::options().namespace("billing").migrate(how), url.clone());
        async move { options.connect(&url).await.map(|store| Box::new(store) as Box<dyn Backend>) }
    };
    has_run_on(SqliteBackend::options().namespace("billing").connect(&url).await.expect("it opens")).await;
    let mut file = sqlx::SqliteConnection::connect(&url).await.expect("it opens");
    let mut by_hand = async |statement: &str| {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()).into_sql_str()).execute(&mut file).await.expect("it is done");
    };
    versions(sqlite, &mut by_hand, "billing_").await;
    if !has_postgres() {
        return;
    }
    let schema = format!("versions_{:x}", fastrand::u32(..));
    let postgres = |how| {
        let options = PostgresBackend::options().schema(schema.clone()).namespace("billing").migrate(how);
        async move { options.connect(postgres_url()).await.map(|store| Box::new(store) as Box<dyn Backend>) }
    };
    has_run_on(
        PostgresBackend::options()
            .schema(schema.clone())
            .namespace("billing")
            .connect(postgres_url())
            .await
            .expect("it opens"),
    )
    .await;
    let mut server = sqlx::PgConnection::connect(postgres_url()).await.expect("it answers");
    let mut by_hand = async |statement: &str| {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()).into_sql_str())
            .execute(&mut server)
            .await
            .expect("it is done");
    };
    versions(postgres, &mut by_hand, &format!("{schema}.billing_")).await;
}

async fn versions<F: Future<Output = Result<Box<dyn Backend>, Error>>>(
    open: impl Fn(Migrate) -> F,
    by_hand: &mut impl AsyncFnMut(&str),
    prefix: &str,
) {
    by_hand(&format!("DROP TABLE {prefix}logs")).await;
    by_hand(&format!("DROP TABLE {prefix}jobs")).await;
    by_hand(&format!("DROP TABLE {prefix}actions")).await;
    by_hand(&format!("ALTER TABLE {prefix}known DROP COLUMN reads")).await;
    by_hand(&format!("ALTER TABLE {prefix}meta DROP COLUMN store")).await;
    by_hand(&format!("ALTER TABLE {prefix}history DROP COLUMN node")).await;
    for index in ["begun", "waiting", "lane"] {
        by_hand(&format!("DROP INDEX {prefix}runs_{index}")).await;
    }
    let plain = prefix.rsplit('.').next().unwrap_or(prefix);
    by_hand(&format!("CREATE INDEX {plain}runs_task ON {prefix}runs (task, due_at)")).await;
    by_hand(&format!("UPDATE {prefix}meta SET schema_version = 1, admits = 1")).await;
    let error = format!("{:?}", open(Migrate::Check).await.expect_err("it lacks a table"));
    assert!(error.contains("at version 1 and this program needs 6: run its command `migrate`"), "{error}");
    let store = open(Migrate::Auto).await.expect("it is brought up to date");
    let runs = store.runs(&RunQuery::default()).await.expect("what was there is there");
    assert_eq!(runs.len(), 1);
    assert_eq!(store.log(runs[0].id).await.expect("the table is there"), None);
    drop(store);
    drop(open(Migrate::Check).await.expect("it lacks nothing"));
    by_hand(&format!("UPDATE {prefix}meta SET schema_version = 7, admits = 4")).await;
    drop(open(Migrate::Auto).await.expect("a newer one admits it"));
    by_hand(&format!("UPDATE {prefix}meta SET admits = 7")).await;
    let error = format!("{:?}", open(Migrate::Auto).await.expect_err("it is too old"));
    assert!(
        error.contains("at version 7, on which programs work that know version 7 or later, and this one knows 6"),
        "{error}"
    );
}

#[tokio::test]
async fn the_samples_of_the_book_look_into_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/store.db", folder.path().display());
    has_run_on(SqliteBackend::options().namespace("billing").connect(&url).await.expect("it opens")).await;
    let mut connection = sqlx::SqliteConnection::connect(&url).await.expect("it can be read by others");
    let [_, both, sqlite, _] = samples();
    assert_eq!((both.len(), sqlite.len()), (6, 1), "the page shows samples");
    for (number, sample) in both.into_iter().chain(sqlite).enumerate() {
        let query = sqlx::query(AssertSqlSafe(sample.clone()).into_sql_str());
        let rows = query.fetch_all(&mut connection).await.unwrap_or_else(|error| panic!("{sample}: {error}"));
        // Nothing is alive and there is no job; all else has a row.
        assert_eq!(rows.len(), usize::from(!matches!(number, 1 | 3)), "{sample}");
    }
}

#[tokio::test]
async fn the_samples_of_the_book_look_into_a_database_with_the_rights_that_it_names() {
    if !has_postgres() {
        return;
    }
    let schema = format!("jobs_{:x}", fastrand::u32(..));
    let user = format!("payroll_{:x}", fastrand::u32(..));
    let options = || PostgresBackend::options().schema(schema.clone()).namespace("billing");
    drop(options().connect(postgres_url()).await.expect("it opens"));
    let mut owner = sqlx::PgConnection::connect(postgres_url()).await.expect("it answers");
    let [rights, both, _, postgres] = samples();
    let mut asked =
        vec![format!("CREATE ROLE {user} LOGIN PASSWORD 'hunter2'"), format!("SET search_path TO {schema}")];
    asked.extend(rights.iter().map(|right| right.replace("jobs", &schema).replace("payroll", &user)));
    for statement in asked {
        let query = sqlx::query(AssertSqlSafe(statement.clone()).into_sql_str());
        query.execute(&mut owner).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    // The program's own user may do what it has to, and make nothing.
    let (_, place) = postgres_url().rsplit_once('@').expect("a URL with a user");
    let url = format!("postgres://{user}:hunter2@{place}");
    let store = options().migrate(Migrate::Check).connect(&url).await.expect("its rights suffice");
    has_run_on(store).await;
    for (number, sample) in both.into_iter().chain(postgres).enumerate() {
        let query = sqlx::query(AssertSqlSafe(sample.clone()).into_sql_str());
        let rows = query.fetch_all(&mut owner).await.unwrap_or_else(|error| panic!("{sample}: {error}"));
        assert_eq!(rows.len(), usize::from(!matches!(number, 1 | 3)), "{sample}");
    }
    // As after a migration that has brought a table of which nobody has thought.
    let revoked = format!("REVOKE ALL ON {schema}.billing_logs FROM {user}");
    sqlx::query(AssertSqlSafe(revoked).into_sql_str()).execute(&mut owner).await.expect("it is the owner's");
    let store = options().migrate(Migrate::Check).connect(&url).await.expect("it opens");
    let error = Scheduler::empty().register(report()).backend(store).start().await.expect_err("it could end no run");
    assert!(format!("{error:?}").contains("permission denied for table billing_logs"), "{error:?}");
}

#[tokio::test]
async fn the_samples_of_the_book_look_into_a_redis() {
    if !has_redis() {
        return;
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/en/backends.md");
    let page = fs::read_to_string(page).expect("a page of the book");
    let block = page.split("```redis\n").nth(1).and_then(|rest| rest.split("```").next()).expect("there are samples");
    let server = Redis::start();
    let store = RedisBackend::options().namespace("billing").connect(&server.url()).await.expect("it opens");
    has_run_on(store).await;
    assert_eq!(block.lines().count(), 10, "the page shows samples");
    for sample in block.lines() {
        let answer = server.ask(sample);
        // Nothing is alive and there is no job, all else has a row.
        let is_empty = ["runs", "jobs", "letters"].iter().any(|key| sample.ends_with(&format!("}}:{key}")));
        assert_eq!(answer.starts_with("*0"), is_empty, "{sample}: {answer}");
        assert!(answer.starts_with('*'), "{sample}: {answer}");
    }
}

#[tokio::test]
async fn a_backend_that_the_program_brings_is_asked_for_like_any_other() {
    use std::sync::Mutex;
    use symphra_scheduler::{
        BackendConfig, BackendSettings, MemoryBackend, SchedulerConfig, register_backend, registered_backends,
    };

    static ASKED: Mutex<Vec<BackendSettings>> = Mutex::new(Vec::new());
    let factory = async |settings: BackendSettings| {
        let is_wrong = settings.url.as_deref() == Some("attic://locked");
        ASKED.lock().expect("nobody panics").push(settings);
        if is_wrong { Err(std::io::Error::other("the door is locked")) } else { Ok(MemoryBackend::new()) }
    };
    register_backend("attic", factory).expect("nobody has this name");
    for taken in ["attic", "memory", "redis", "rediss", "amqp", "", "Attic", "9", "at tic", &"a".repeat(33)] {
        let error = register_backend(taken, factory).expect_err(taken);
        let told = error.to_string();
        assert!(error.is_config() && told.contains("register_backend") && told.contains("1 to 32 of a-z"), "{told}");
    }
    let there = registered_backends();
    assert!(["memory", "sqlite", "rabbitmq", "attic"].iter().all(|name| there.iter().any(|there| there == name)));

    let folder = tempfile::tempdir().expect("a folder");
    let config = |text: &str| {
        let file = folder.path().join("scheduler.yaml");
        fs::write(&file, text).expect("a file");
        SchedulerConfig::from_file(&file)
    };
    let start = |config: SchedulerConfig| {
        let idle = Task::new("idle", Schedule::cron("0 0 1 1 *").expect("an expression"), || async {});
        Scheduler::empty().register(idle).config(config).start()
    };
    let text = "backend: { type: attic, url: 'attic://user:hunter2@roof', max_connections: 3, namespace: shop, migrate: check }";
    let handle = start(config(text).expect("it is right")).await.expect("it is opened");
    handle.stop().await.expect("it stops");
    let asked = ASKED.lock().expect("nobody panics").pop().expect("it was opened");
    assert_eq!(asked.url.as_deref(), Some("attic://user:hunter2@roof"));
    assert_eq!((asked.max_connections, &*asked.namespace, asked.migrate), (Some(3), "shop", Migrate::Check));
    assert!(!format!("{asked:?}").contains("hunter2"), "{asked:?}");
    for short in ["backend: attic", "backend: 'attic://roof'"] {
        start(config(short).expect("it is right")).await.expect("it is opened").stop().await.expect("it stops");
    }
    let error = start(SchedulerConfig::new().backend(BackendConfig::of_url("attic://locked"))).await;
    let told = format!("{:?}", error.expect_err("its factory fails"));
    assert!(told.contains("open the backend attic") && told.contains("the door is locked"), "{told}");

    for (text, part) in [
        ("backend: { type: attic, schema: jobs }", "backend.schema means nothing to the attic backend"),
        ("backend: { type: attic, url: 'sqlite://a' }", "a URL that begins with attic://"),
        ("backend: atic", "did you mean attic?"),
        ("backend: cellar", "allowed is memory, sqlite, postgres, redis, rabbitmq or attic"),
    ] {
        let told = match config(text) {
            Err(error) => error.to_string(),
            Ok(config) => start(config).await.expect_err(text).to_string(),
        };
        assert!(told.contains(part), "{text}: {told}");
    }
}
