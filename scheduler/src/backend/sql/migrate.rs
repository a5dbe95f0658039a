//! The tables of a store, made and brought up to date when it is opened.
//!
//! Each migration names the oldest program that can work on what it leaves behind. So two successive versions of a program
//! share a store, and one that is too old for it is told so.

use serde::Deserialize;
use serde_json::json;

use super::dialect::{Dialect, Names};
use super::{Failed, Transaction};
use crate::migrate::Migrate;

/// One step of the tables.
pub(super) struct Migration {
    /// The statements, each ended by a semicolon at the end of a line.
    pub(super) statements: &'static str,
    /// The number of the oldest migration that a program must know to work on the tables after this one.
    admits: i64,
}

/// All of them, in their order; the first has the number 1.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { statements: include_str!("../../../migrations/0001_initial.sql"), admits: 1 },
    Migration { statements: include_str!("../../../migrations/0002_logs.sql"), admits: 1 },
    Migration { statements: include_str!("../../../migrations/0003_waiting.sql"), admits: 1 },
    // A program that knows no jobs cannot read the rows of their runs: its lists fail, its claims try again for ever, and the
    // death of a node would have it end a job without a letter. So none but those that know them go on.
    Migration { statements: include_str!("../../../migrations/0004_jobs.sql"), admits: 4 },
    Migration { statements: include_str!("../../../migrations/0005_nodes.sql"), admits: 4 },
    Migration { statements: include_str!("../../../migrations/0006_actions.sql"), admits: 4 },
];

/// The number of the last migration that this program knows.
fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// How far the tables of a store are.
#[derive(Deserialize)]
struct Reached {
    schema_version: i64,
    admits: i64,
}

/// Why a store cannot be used as it is.
#[derive(Debug)]
pub(crate) enum Refused {
    /// A newer program has changed the tables, and says that this one is too old for them.
    TooNew { reached: i64, admits: i64, known: i64 },
    /// Something is missing that this program may not make.
    Missing { reached: i64, known: i64 },
}

impl Refused {
    /// The version of the tables, if a program that may do so would bring them up to date.
    #[cfg(feature = "cli")]
    pub(crate) const fn version_below(&self) -> Option<i64> {
        match self {
            Self::Missing { reached, .. } => Some(*reached),
            Self::TooNew { .. } => None,
        }
    }

    /// The store has not been made.
    #[cfg(feature = "sqlite")]
    pub(crate) fn not_there() -> Self {
        Self::Missing { reached: 0, known: known() }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooNew { reached, admits, known } => write!(
                f,
                "its tables are at version {reached}, on which programs work that know version {admits} or later, and this \
                 one knows {known}: use a newer symphra-scheduler, or another namespace"
            ),
            Self::Missing { reached: 0, .. } => f.write_str(
                "it has no tables, and with migrate = \"check\" none are made: run the command `migrate`, or use migrate = \
                 \"auto\"",
            ),
            Self::Missing { reached, known } => write!(
                f,
                "its tables are at version {reached} and this program needs {known}: run its command `migrate`, or start it \
                 with migrate = \"auto\""
            ),
        }
    }
}

impl std::error::Error for Refused {}

/// Brings the tables up to date, in a transaction that no other program is in at the same time. `is_there` is whether the
/// table of the versions exists.
pub(crate) async fn migrate<T: Transaction>(
    tx: &mut T,
    dialect: Dialect,
    names: &Names,
    is_there: bool,
    how: Migrate,
) -> Result<Result<(), Refused>, Failed> {
    let known = known();
    let reached = match is_there {
        true => {
            let sql =
                dialect.say("SELECT {object}('schema_version', schema_version, 'admits', admits) FROM {meta}", names);
            let text = tx.ask(&sql, "{}").await?;
            let text = text.ok_or_else(|| Failed::broken("the store has no row of its own"))?;
            serde_json::from_str(&text).map_err(Failed::unreadable)?
        }
        false => Reached { schema_version: 0, admits: 0 },
    };
    let Reached { schema_version: reached, admits } = reached;
    if admits > known {
        return Ok(Err(Refused::TooNew { reached, admits, known }));
    }
    if reached >= known {
        return Ok(Ok(()));
    }
    if how == Migrate::Check {
        return Ok(Err(Refused::Missing { reached, known }));
    }
    for (number, migration) in (1..).zip(MIGRATIONS).skip_while(|&(number, _)| number <= reached) {
        for statement in migration.statements.split(";\n").filter(|statement| !statement.trim().is_empty()) {
            tx.change(&dialect.say(statement, names)).await?;
        }
        let sql = dialect.say(
            "UPDATE {meta} SET schema_version = CAST({in:number} AS {int}), admits = CAST({in:admits} AS {int})",
            names,
        );
        tx.tell(&sql, &json!({ "number": number, "admits": migration.admits }).to_string()).await?;
    }
    // By it a transaction on another store is told from one on this, though both have the same tasks under the same numbers.
    let store = format!("{:032x}", fastrand::u128(..));
    let sql = dialect.say("UPDATE {meta} SET store = {in:store} WHERE store IS NULL", names);
    tx.tell(&sql, &json!({ "store": store }).to_string()).await?;
    Ok(Ok(()))
}
