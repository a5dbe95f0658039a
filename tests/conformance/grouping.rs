//! Callers that submit while a step is under way share the next one, on the stores in SQL.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqlSafeStr, SqliteConnection};
use symphra_scheduler::backend::{
    Backend, BackendError, Holder, Registered, Registration, Submission, Submitted, TaskRules,
};
use symphra_scheduler::{Origin, PostgresBackend, RunId, Schedule, SqliteBackend, TaskName, Timetable};
use symphra_scheduler_tests::services::{has_postgres, postgres_url};

const CALLERS: usize = 16;

const QUEUED: Submitted = Submitted::Queued { cancel: None };

/// A store, and a transaction of somebody else that lets no step begin.
enum Held {
    File(SqliteBackend, SqliteConnection),
    Server(PostgresBackend, PgConnection),
}

impl Held {
    async fn file() -> Self {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let url = format!("sqlite://{}/store.db", folder.display());
        let backend = SqliteBackend::options().namespace("shared").connect(&url).await.expect("it opens");
        Self::File(backend, SqliteConnection::connect(&url).await.expect("it opens"))
    }

    async fn server() -> Self {
        let schema = format!("shared_{:x}", fastrand::u64(..));
        let options = PostgresBackend::options().schema(schema.clone()).namespace("shared");
        let backend = options.connect(postgres_url()).await.expect("it opens");
        let mut other = PgConnection::connect(postgres_url()).await.expect("it answers");
        let path = AssertSqlSafe(format!("SET search_path TO {schema}")).into_sql_str();
        sqlx::query(path).execute(&mut other).await.expect("it is set");
        Self::Server(backend, other)
    }

    fn backend(&self) -> &dyn Backend {
        match self {
            Self::File(backend, _) => backend,
            Self::Server(backend, _) => backend,
        }
    }

    async fn task(&self) -> Registered {
        let schedule = Schedule::interval(Duration::from_secs(1)).expect("a valid period");
        let timetable = Arc::new(Timetable::new(schedule, symphra_scheduler::chrono_tz::UTC));
        let name = TaskName::new("pay").expect("a name");
        let holder = Holder::new("a", Duration::from_secs(30));
        let registration = Registration { name, timetable, rules: TaskRules::default() };
        self.backend().register(&holder, &[registration]).await.expect("it is registered").remove(0)
    }

    async fn version(&self) -> u64 {
        self.backend().changes(None).await.expect("it answers").version
    }

    /// Has all submissions made while no step can begin, each by a caller of its own; the answers, and how many steps there
    /// were.
    async fn submit(mut self, submissions: &[Submission]) -> (Vec<Result<Submitted, BackendError>>, u64) {
        let before = self.version().await;
        match &mut self {
            Self::File(_, other) => other.execute("BEGIN IMMEDIATE").await.map(drop),
            Self::Server(_, other) => other.execute("BEGIN; LOCK TABLE shared_tasks IN EXCLUSIVE MODE").await.map(drop),
        }
        .expect("it is held up");
        let (backend, other) = match &mut self {
            Self::File(backend, other) => (backend as &dyn Backend, other as &mut dyn Release),
            Self::Server(backend, other) => (backend as &dyn Backend, other as &mut dyn Release),
        };
        let calls: Vec<_> =
            submissions.iter().map(|submission| backend.submit(std::slice::from_ref(submission))).collect();
        other.release().await;
        let mut answers = Vec::new();
        for call in calls {
            answers.push(call.await.map(|mut answers| answers.remove(0)));
        }
        // Each step that lets runs wait tells of that, once.
        (answers, self.version().await - before)
    }
}

/// Lets steps begin.
trait Release {
    fn release(&mut self) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>>;
}

impl Release for SqliteConnection {
    fn release(&mut self) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async { self.execute("ROLLBACK").await.map(drop).expect("it ends") })
    }
}

impl Release for PgConnection {
    fn release(&mut self) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async { self.execute("ROLLBACK").await.map(drop).expect("it ends") })
    }
}

fn id(task: &Registered, number: usize) -> RunId {
    RunId::from_parts(task.mark, number as u128 + 1)
}

fn trigger(task: &Registered, number: usize) -> Submission {
    let id = id(task, number);
    Submission { id, task: task.key, origin: Origin::Trigger(id), scheduled_at: None, overlap: None }
}

async fn callers_share_two_steps(held: Held) {
    let task = held.task().await;
    let mut submissions: Vec<Submission> = (0..CALLERS).map(|number| trigger(&task, number)).collect();
    submissions[7].task = symphra_scheduler::backend::TaskKey(u64::from(u32::MAX));
    // Whoever has gone and comes again before the first call was answered is the same.
    submissions[9] = submissions[8].clone();
    let (answers, steps) = held.submit(&submissions).await;
    assert!((1..=2).contains(&steps), "{steps} steps for {CALLERS} callers");
    for (number, answer) in answers.into_iter().enumerate() {
        let own = if number == 7 { Submitted::UnknownTask } else { QUEUED };
        assert_eq!(answer.expect("it is answered"), own, "the answer of caller {number}");
    }
}

async fn an_error_is_of_who_caused_it(held: Held) {
    let task = held.task().await;
    let mut submissions: Vec<Submission> = (0..CALLERS).map(|number| trigger(&task, number)).collect();
    for number in [8, 9] {
        // Two runs of one instant of a backfill: there can be but one.
        submissions[number].origin = Origin::Backfill(id(&task, 1_000));
        submissions[number].scheduled_at = Some(task.mark);
    }
    let (answers, _) = held.submit(&submissions).await;
    for (number, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(answer) if number != 9 => assert_eq!(answer, QUEUED, "the answer of caller {number}"),
            Err(error) if number == 9 => {
                let cause = std::error::Error::source(&error).expect("it has a cause").to_string();
                assert!(cause.to_lowercase().contains("unique"), "{cause}");
            }
            other => panic!("caller {number} was told {other:?}"),
        }
    }
}

#[tokio::test]
async fn callers_of_a_file_share_two_steps() {
    callers_share_two_steps(Held::file().await).await;
}

#[tokio::test]
async fn callers_of_a_server_share_two_steps() {
    if has_postgres() {
        callers_share_two_steps(Held::server().await).await;
    }
}

#[tokio::test]
async fn an_error_of_a_file_is_of_who_caused_it() {
    an_error_is_of_who_caused_it(Held::file().await).await;
}

#[tokio::test]
async fn an_error_of_a_server_is_of_who_caused_it() {
    if has_postgres() {
        an_error_is_of_who_caused_it(Held::server().await).await;
    }
}
