//! What a page of runs costs in PostgreSQL: its planner finds the history by an index, for whatever page. Of SQLite the same is tested
//! where its statements are.

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlSafeStr};
use symphra_scheduler::PostgresBackend;
use symphra_scheduler::backend::{Backend, RunQuery, TaskKey};
use symphra_scheduler_tests::services::{Postgres, has_postgres};

/// What every such statement is told, whatever it looks for.
const ASKED: &str = r#"{"task": 7, "tasks": [7, 8], "id": "00000000-0000-7000-8000-000000000000", "all_states": 1, "states": [], "limit": 101,
    "ends_below": 10000, "ended_before": 19990, "last_end": 9223372036854775807, "behind": 9223372036854775807, "behind_id": "g"}"#;

async fn does(server: &mut PgConnection, statement: &str) {
    let statement = AssertSqlSafe(statement.to_owned()).into_sql_str();
    sqlx::raw_sql(statement).execute(server).await.expect("it is done");
}

/// The statements about the history that the server was sent, in their order, as its log has them.
async fn sent(server: &mut PgConnection) -> Vec<String> {
    let log: String =
        sqlx::query_scalar("SELECT pg_read_file(pg_current_logfile())").fetch_one(server).await.expect("it has a log");
    let executed =
        log.lines().filter(|line| line.contains("\"costs_history\" AS r") || line.contains("\"costs_history\" AS h"));
    executed.filter_map(|line| Some(line.split_once(" execute ")?.1.split_once(": ")?.1.to_owned())).collect()
}

/// How a statement is carried out: with a plan for these numbers, and with one for whatever numbers.
async fn plans(server: &mut PgConnection, number: usize, statement: &str) -> Vec<String> {
    does(server, &format!("PREPARE asked_{number} (text) AS {statement}")).await;
    let mut plans = Vec::new();
    for mode in ["force_custom_plan", "force_generic_plan"] {
        does(server, &format!("SET plan_cache_mode = {mode}")).await;
        let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE asked_{number} ('{ASKED}')")).into_sql_str();
        let lines: Vec<String> = sqlx::query_scalar(explain).fetch_all(&mut *server).await.expect("it is explained");
        plans.push(lines.join("\n"));
    }
    plans
}

#[tokio::test]
async fn postgres_finds_a_page_by_an_index_whatever_it_knows_of_the_numbers() {
    if !has_postgres() {
        return;
    }
    let server = Postgres::start_with(&["logging_collector=on".to_owned(), "log_statement=all".to_owned()]);
    let options = PostgresBackend::options().schema("costs").namespace("costs").max_connections(3);
    let store = options.connect(&server.url()).await.expect("it opens");
    let mut by_hand = PgConnection::connect(&server.url()).await.expect("it answers");
    does(
        &mut by_hand,
        "INSERT INTO costs.costs_history (id, task, origin, scheduled_at, due_at, state, attempt, finished_at) SELECT gen_random_uuid(), \
         1 + g % 2000, 'schedule', g, g, 'succeeded', 1, g FROM generate_series(1, 20000) AS g",
    )
    .await;
    does(&mut by_hand, "ANALYZE costs.costs_history").await;
    let mut one = RunQuery::default();
    one.id = Some("00000000-0000-7000-8000-000000000000".parse().expect("an id"));
    for mut query in [RunQuery::default(), RunQuery::of(TaskKey(7)), one] {
        query.limit = Some(1);
        store.runs_page(&query).await.expect("they are listed");
    }
    store.last_ended(&[TaskKey(7), TaskKey(8)]).await.expect("they are listed");
    let statements = sent(&mut by_hand).await;
    assert_eq!(
        statements.len(),
        7,
        "of each kind what is alive, and what has ended; and the last of tasks: {statements:?}"
    );
    // Of what is alive few have ended since, which its planner finds by whichever index.
    let found_by = ["history_", "history_pkey", "history_", "history_task", "history_", "history_id", "history_task"];
    for (number, (statement, index)) in statements.iter().zip(found_by).enumerate() {
        for plan in plans(&mut by_hand, number, statement).await {
            let is_found = plan.contains(&format!(" costs_{index}"));
            assert!(is_found && !plan.contains("Seq Scan on costs_history"), "{index}: {plan}");
            assert!(index != "history_pkey" || !plan.contains("Sort"), "in the order of the index: {plan}");
        }
    }
}
