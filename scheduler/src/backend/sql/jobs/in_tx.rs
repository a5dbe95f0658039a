//! Jobs that a program enqueues in a transaction of its own, on the database of its store: they are there if that is
//! committed, and never were if it is undone.
//!
//! The caller's transaction takes no lock that firings, claims and ends wait for, however long it takes; but a file of SQLite has
//! one writer, for whom all others wait. What it has enqueued
//! under a key, who enqueues under the same key waits for, and so does who runs that key's old letter again or drops it: a
//! [moment](Step::be_brief), and is then refused. Nodes are woken when it is committed, and find what it has brought.

use std::fmt;

use serde::Deserialize;
use serde_json::json;

use super::super::{Failed, Statements, Step, Transaction};
use super::{Backlog, Comes, id};
use crate::backend::{BackendError, BackendFuture, Enqueued, NewJob};

const DURING: &str = "enqueue a job in the caller's transaction";

/// What a transaction on the database of a store has to know to enqueue jobs there.
///
/// A backend in SQL makes it, and [`Enqueue::in_tx`](crate::Enqueue::in_tx) hands it to the transaction; a backend in front of
/// another passes it on:
///
/// ```
/// use symphra_scheduler::backend::{Backend, BackendFuture, JobStore};
///
/// fn job_store(inner: &dyn Backend) -> BackendFuture<'_, Option<JobStore<'_>>> {
///     inner.job_store()
/// }
/// ```
#[derive(Clone, Copy)]
pub struct JobStore<'a> {
    /// The kind of database.
    pub(in super::super) database: &'static str,
    /// Which store it is, whatever the database is called.
    pub(in super::super) id: &'a str,
    pub(in super::super) statements: &'a Statements,
    pub(in super::super) backlog: &'a Backlog,
    /// On which channel nodes are woken.
    pub(in super::super) channel: Option<&'a str>,
}

impl fmt::Debug for JobStore<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobStore").field("database", &self.database).finish_non_exhaustive()
    }
}

/// A transaction in which jobs can be enqueued: sqlx's `Transaction`, or a connection that is in one, of PostgreSQL or SQLite.
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use symphra_scheduler::{SchedulerHandle, task};
///
/// #[derive(Serialize, Deserialize)]
/// struct Invitation {
///     to: String,
/// }
///
/// #[task]
/// async fn send_invitation(invitation: Invitation) {
///     println!("to {}", invitation.to);
/// }
///
/// # async fn sign_up(pool: sqlx::SqlitePool, scheduler: SchedulerHandle) -> Result<(), Box<dyn std::error::Error>> {
/// let mut tx = pool.begin().await?;
/// sqlx::query("INSERT INTO users (address) VALUES ('ada@example.com')").execute(&mut *tx).await?;
/// scheduler.enqueue(send_invitation, Invitation { to: "ada@example.com".into() }).in_tx(&mut tx).await?;
/// tx.commit().await?; // both are there, or neither
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "no job can be enqueued in a `{Self}`",
    note = "it is `&mut tx` of a `sqlx::Transaction` or connection, of PostgreSQL (feature `postgres`) or SQLite (feature \
            `sqlite`)"
)]
pub trait JobTransaction: Send {
    /// Enqueues a job of the task named `task`.
    #[doc(hidden)]
    fn enqueue<'a>(&'a mut self, store: JobStore<'a>, task: &'a str, job: &'a NewJob) -> BackendFuture<'a, Enqueued>;
}

/// Enqueues a job by a connection whose transaction its caller ends.
async fn enqueue<T: Transaction>(
    tx: T,
    store: JobStore<'_>,
    database: &'static str,
    task: &str,
    job: &NewJob,
) -> Result<Enqueued, BackendError> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
        store: Option<String>,
    }
    if store.database != database {
        let says = format!("the transaction is of {database}, and the store is in {}", store.database);
        return Err(BackendError::new(DURING, says));
    }
    let enqueued = async {
        let mut step = Step::new(tx, store.statements);
        // It writes nothing. A transaction of SQLite that has read before it writes cannot always go on to write.
        step.tell(&store.statements.jobs.free_keys, json!({ "keys": [] })).await?;
        let found: Option<Named> = step.ask(&store.statements.jobs.name, json!({ "task": id(job.task) })).await?;
        if found.is_none_or(|found| found.name != task || found.store.as_deref() != Some(store.id)) {
            return Err(Failed::broken(
                "the transaction is on another database than the store, or in another schema; begin it by a pool on the URL that the \
                 backend was opened with",
            ));
        }
        let mut answers = step.enqueue_jobs(std::slice::from_ref(job), Comes::ByCaller, store.backlog).await?;
        if let Some(channel) = store.channel {
            let notify = "SELECT pg_notify(CAST($1 AS jsonb) ->> 'channel', '')";
            step.tell(notify, json!({ "channel": channel })).await?;
        }
        answers.pop().ok_or_else(|| Failed::broken("a job has no answer"))
    };
    enqueued.await.map_err(|failed: Failed| failed.during(DURING))
}

/// A connection that is the caller's, as a transaction of a step.
struct Borrowed<'c, C>(&'c mut C);

#[cfg(feature = "postgres")]
mod postgres {
    use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row, SqlSafeStr};

    use super::{BackendFuture, Borrowed, Enqueued, JobStore, JobTransaction, NewJob, Transaction, enqueue};

    impl Transaction for Borrowed<'_, PgConnection> {
        async fn ask(&mut self, sql: &str, input: &str) -> Result<Option<String>, sqlx::Error> {
            let query = sqlx::query(AssertSqlSafe(sql.to_owned()).into_sql_str()).bind(input);
            let Some(row) = query.fetch_optional(&mut *self.0).await? else { return Ok(None) };
            let value = row.try_get_raw(0)?;
            if sqlx::ValueRef::is_null(&value) {
                return Ok(None);
            }
            value.as_str().map(|text| Some(text.to_owned())).map_err(sqlx::Error::Decode)
        }

        async fn tell(&mut self, sql: &str, input: &str) -> Result<u64, sqlx::Error> {
            let query = sqlx::query(AssertSqlSafe(sql.to_owned()).into_sql_str()).bind(input);
            Ok(query.execute(&mut *self.0).await?.rows_affected())
        }

        async fn change(&mut self, sql: &str) -> Result<(), sqlx::Error> {
            sqlx::query(AssertSqlSafe(sql.to_owned()).into_sql_str()).execute(&mut *self.0).await.map(drop)
        }

        /// The caller's to do.
        async fn commit(self) -> Result<(), sqlx::Error> {
            Ok(())
        }
    }

    impl JobTransaction for PgConnection {
        fn enqueue<'a>(
            &'a mut self,
            store: JobStore<'a>,
            task: &'a str,
            job: &'a NewJob,
        ) -> BackendFuture<'a, Enqueued> {
            Box::pin(enqueue(Borrowed(self), store, "postgres", task, job))
        }
    }

    impl JobTransaction for sqlx::Transaction<'_, Postgres> {
        fn enqueue<'a>(
            &'a mut self,
            store: JobStore<'a>,
            task: &'a str,
            job: &'a NewJob,
        ) -> BackendFuture<'a, Enqueued> {
            JobTransaction::enqueue(&mut **self, store, task, job)
        }
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use sqlx::{AssertSqlSafe, Row, SqlSafeStr, Sqlite, SqliteConnection};

    use super::{BackendFuture, Borrowed, Enqueued, JobStore, JobTransaction, NewJob, Transaction, enqueue};

    impl Transaction for Borrowed<'_, SqliteConnection> {
        async fn ask(&mut self, sql: &str, input: &str) -> Result<Option<String>, sqlx::Error> {
            let query = sqlx::query(AssertSqlSafe(sql.to_owned()).into_sql_str()).bind(input);
            query.fetch_optional(&mut *self.0).await?.map(|row| row.try_get(0)).transpose()
        }

        async fn tell(&mut self, sql: &str, input: &str) -> Result<u64, sqlx::Error> {
            let query = sqlx::query(AssertSqlSafe(sql.to_owned()).into_sql_str()).bind(input);
            Ok(query.execute(&mut *self.0).await?.rows_affected())
        }

        async fn change(&mut self, sql: &str) -> Result<(), sqlx::Error> {
            sqlx::query(AssertSqlSafe(sql.to_owned()).into_sql_str()).execute(&mut *self.0).await.map(drop)
        }

        /// The caller's to do.
        async fn commit(self) -> Result<(), sqlx::Error> {
            Ok(())
        }
    }

    impl JobTransaction for SqliteConnection {
        fn enqueue<'a>(
            &'a mut self,
            store: JobStore<'a>,
            task: &'a str,
            job: &'a NewJob,
        ) -> BackendFuture<'a, Enqueued> {
            Box::pin(enqueue(Borrowed(self), store, "sqlite", task, job))
        }
    }

    impl JobTransaction for sqlx::Transaction<'_, Sqlite> {
        fn enqueue<'a>(
            &'a mut self,
            store: JobStore<'a>,
            task: &'a str,
            job: &'a NewJob,
        ) -> BackendFuture<'a, Enqueued> {
            JobTransaction::enqueue(&mut **self, store, task, job)
        }
    }
}
