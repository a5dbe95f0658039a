//! Who waits for a lock on PostgreSQL and who leaves it alone, where another node was quicker the last time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqlSafeStr};
use symphra_scheduler::backend::{Admission, Backend, Firing, Holder, Registered, Registration, TaskRules};
use symphra_scheduler::{PostgresBackend, Reason, Record, RunId, Schedule, TaskName, Timestamp, Timetable};
use symphra_scheduler_tests::services::{has_postgres, postgres_url};

const PATIENCE: Duration = Duration::from_secs(20);

fn step(task: &Registered, number: u128, advance_to: Timestamp) -> Firing {
    let id = RunId::from_parts(task.mark, number);
    let (mark, since, behind) = (task.mark, task.since, task.behind);
    Firing { id, task: task.key, mark, advance_to, since, run: None, passed: None, behind }
}

async fn fire(store: &PostgresBackend, node: &str, firing: Firing) -> Admission {
    let holder = Holder::new(node, Duration::from_secs(30));
    store.enqueue(&holder, &[firing]).await.expect("it is answered").remove(0)
}

/// What a clock that was set back shows again is recorded by somebody, though each may have been outrun: it is not told again by
/// a mark that moves. What is still to come is left to who has the lock.
#[tokio::test]
async fn what_a_clock_shows_again_waits_for_the_lock_and_what_comes_does_not() {
    if !has_postgres() {
        return;
    }
    let schema = format!("outrun_{:x}", fastrand::u64(..));
    let options = PostgresBackend::options().schema(schema.clone()).namespace("outrun");
    let store = options.connect(postgres_url()).await.expect("it opens");
    let schedule = Schedule::interval(Duration::from_secs(1)).expect("a period");
    let timetable = Arc::new(Timetable::new(schedule, symphra_scheduler::chrono_tz::UTC));
    let task = Registration { name: TaskName::new("pay").expect("a name"), timetable, rules: TaskRules::default() };
    let quick = Holder::new("quick", Duration::from_secs(30));
    let task = store.register(&quick, &[task]).await.expect("it is registered").remove(0);
    let ahead = task.mark.plus(Duration::from_secs(3_600));
    assert_eq!(fire(&store, "quick", step(&task, 1, ahead)).await, Admission::Passed);
    for node in ["behind", "beside"] {
        let late = fire(&store, node, step(&task, 2, ahead)).await;
        assert_eq!(late, Admission::MarkMoved(ahead), "another was quicker");
    }
    let task = store.look(&[task.key]).await.expect("it is answered").remove(0);

    let mut other = PgConnection::connect(postgres_url()).await.expect("it answers");
    let hold = format!("BEGIN; SELECT * FROM {schema}.outrun_tasks FOR UPDATE");
    other.execute(AssertSqlSafe(hold).into_sql_str()).await.expect("nobody has locked it");
    let on = fire(&store, "beside", step(&task, 3, ahead.plus(Duration::from_secs(1)))).await;
    assert_eq!(on, Admission::MarkMoved(ahead), "it is left to who has the lock");
    let shown = Record::span(Reason::ClockSetBack, task.anchor, task.anchor.plus(Duration::from_secs(2)), 3);
    let again = fire(&store, "behind", Firing { passed: Some(shown), ..step(&task, 4, ahead) });
    let told = tokio::join!(again, async {
        let began = Instant::now();
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut other).await.expect("it tells") == 0 {
            assert!(began.elapsed() < PATIENCE, "it does not wait for the lock");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        other.execute("ROLLBACK").await.expect("it ends");
    });
    assert_eq!(told.0, Admission::Passed, "it is recorded");
    assert_eq!(store.ledger(task.key).await.expect("it is told").recorded, 3);
}
