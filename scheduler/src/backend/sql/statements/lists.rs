//! The statements that list runs, page by page: each page by the number of an end, or by the instant and the id of a run, and
//! never by how many runs were before it.

use super::super::dialect::object;
use super::super::rows::{ENDED, Type};
use crate::backend::RunQuery;

/// By what runs are looked for: each has a statement of its own, so that an index leads to them.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Runs {
    All,
    OfTask,
    One,
}

impl Runs {
    pub(in super::super) const fn of(query: &RunQuery) -> Self {
        match (query.id, query.task) {
            (Some(_), _) => Self::One,
            (None, Some(_)) => Self::OfTask,
            (None, None) => Self::All,
        }
    }
}

/// What is said of each way to look for runs.
pub(super) fn each_way(list: fn(&str) -> String, say: impl Fn(&str) -> String) -> [String; 3] {
    [Runs::All, Runs::OfTask, Runs::One].map(|runs| {
        let which = match runs {
            Runs::All => "",
            Runs::OfTask => "r.task = CAST({in:task} AS {int}) AND ",
            Runs::One => {
                "r.id = CAST({in:id} AS {id}) AND ({in:task} IS NULL OR r.task = CAST({in:task} AS {int})) AND "
            }
        };
        say(&list(&format!("{which}{ASKED_FOR}")))
    })
}

/// The runs that are asked for, the task and the id apart.
const ASKED_FOR: &str = "({in:from} IS NULL OR r.scheduled_at >= CAST({in:from} AS {int})) AND ({in:to} IS NULL OR r.scheduled_at <= \
                         CAST({in:to} AS {int})) AND ({in:all_states} IS NOT NULL OR r.state IN (SELECT e.value FROM {words:states}))";

/// Runs that are alive, jobs that wait among them, and those that have ended since the list was begun: the newest instant first.
pub(super) fn list_alive(which: &str) -> String {
    let alive: Vec<_> = ENDED
        .iter()
        .map(|(column, _)| match *column {
            "finished_at" => "CAST(NULL AS {int}) AS finished_at".to_owned(),
            "node" => "r.holder AS node".to_owned(),
            column => format!("r.{column}"),
        })
        .collect();
    let waits: Vec<_> = ENDED
        .iter()
        .map(|(column, kind)| match (*column, kind) {
            ("id" | "task" | "origin" | "origin_id" | "scheduled_at" | "due_at" | "state" | "attempt", _) => {
                format!("r.{column}")
            }
            (column, Type::Int) => format!("CAST(NULL AS {{int}}) AS {column}"),
            (column, _) => format!("CAST(NULL AS {{text}}) AS {column}"),
        })
        .collect();
    let jobs = "(SELECT run AS id, task, 'job' AS origin, run AS origin_id, scheduled_at, scheduled_at AS due_at, 'queued' AS state, \
                CAST(0 AS {int}) AS attempt FROM {jobs} WHERE stand = 'waits')";
    // Both bounds of an end are said, so that a database which does not look at the numbers does not expect many of them.
    let since = "r.seq > CAST({in:ended_before} AS {int}) AND r.seq <= CAST({in:last_end} AS {int})";
    let behind = |from: &str| {
        format!(
            "({from}.scheduled_at, CAST({from}.id AS {{text}})) < (CAST({{in:behind}} AS {{int}}), {{in:behind_id}}) ORDER BY \
             {from}.scheduled_at DESC, CAST({from}.id AS {{text}}) DESC LIMIT CAST({{in:limit}} AS {{int}})"
        )
    };
    format!(
        "SELECT {{array}}({}) FROM (SELECT * FROM (SELECT {}, CAST(0 AS {{int}}) AS seq FROM {{runs}} AS r WHERE {which} UNION ALL \
         SELECT * FROM (SELECT {}, CAST(0 AS {{int}}) AS seq FROM {jobs} AS r WHERE {which} AND {}) AS w UNION ALL SELECT {}, \
         r.seq FROM {{history}} AS r WHERE {which} AND {since}) AS l WHERE {}) AS h",
        object("h", ENDED, &[("seq", "h.seq")]),
        alive.join(", "),
        waits.join(", "),
        behind("r"),
        ended_columns(),
        behind("l"),
    )
}

/// Runs that had ended before the list was begun, the last first.
pub(super) fn list_ended(which: &str) -> String {
    format!(
        "SELECT {{array}}({}) FROM (SELECT {}, r.seq FROM {{history}} AS r WHERE {which} AND r.seq < CAST({{in:ends_below}} AS \
         {{int}}) ORDER BY r.seq DESC LIMIT CAST({{in:limit}} AS {{int}})) AS h",
        object("h", ENDED, &[("seq", "h.seq")]),
        ended_columns(),
    )
}

/// Of each of some tasks the run that was the last to end, or nothing: a look of its own for each, for a join would be made by reading
/// the whole history.
pub(super) fn last_ended() -> String {
    format!(
        "SELECT {{array}}({{nested}}((SELECT {} FROM {{history}} AS h WHERE h.task = CAST(e.value AS {{int}}) ORDER BY h.seq DESC \
         LIMIT 1))) FROM {{words:tasks}}",
        object("h", ENDED, &[("seq", "h.seq")]),
    )
}

fn ended_columns() -> String {
    ENDED.iter().map(|(column, _)| format!("r.{column}")).collect::<Vec<_>>().join(", ")
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use sqlx::{AssertSqlSafe, Connection, Row, SqlSafeStr};

    use super::super::super::dialect::{Dialect, Names};
    use super::*;

    /// How SQLite looks for the rows of the history, as it says.
    async fn plan(file: &mut sqlx::SqliteConnection, statement: &str) -> String {
        let explained = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")).into_sql_str();
        let rows = sqlx::query(explained).bind("{}").fetch_all(file).await.expect("it is a statement");
        rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("\n")
    }

    #[tokio::test]
    async fn a_further_page_is_found_by_an_index_and_not_sorted() {
        let names = Names::new(None, "t");
        let mut file = sqlx::SqliteConnection::connect("sqlite::memory:").await.expect("it opens");
        for migration in super::super::super::migrate::MIGRATIONS {
            let said = AssertSqlSafe(Dialect::OlderSqlite.say(migration.statements, &names)).into_sql_str();
            sqlx::raw_sql(said).execute(&mut file).await.expect("it is made");
        }
        let say = |text: &str| Dialect::OlderSqlite.say(text, &names);
        let [all, of_task, one] = each_way(list_ended, say);
        for (statement, way) in [
            (&all, "SEARCH r USING INTEGER PRIMARY KEY (rowid<?)"),
            (&of_task, "SEARCH r USING INDEX t_history_task (task=? AND seq<?)"),
            (&one, "SEARCH r USING INDEX t_history_id (id=? AND rowid<?)"),
        ] {
            let plan = plan(&mut file, statement).await;
            assert!(plan.contains(way) && !plan.contains("TEMP B-TREE"), "{way}: {plan}");
        }
        let plan_of_last = plan(&mut file, &say(&last_ended())).await;
        let way = "SEARCH h USING INDEX t_history_task (task=?)";
        assert!(plan_of_last.contains(way) && !plan_of_last.contains("TEMP B-TREE"), "{plan_of_last}");
        let [all, of_task, one] = each_way(list_alive, say);
        for (statement, way) in [
            (&all, "SEARCH r USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
            (&of_task, "SEARCH r USING INDEX t_history_task (task=? AND seq>? AND seq<?)"),
            (&one, "SEARCH r USING INDEX t_history_id (id=? AND rowid>? AND rowid<?)"),
        ] {
            let plan = plan(&mut file, statement).await;
            assert!(plan.contains(way), "{way}: {plan}");
        }
    }
}
