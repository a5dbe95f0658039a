//! What is there: runs, records, ledgers.

use serde::Deserialize;
use serde_json::json;
use symphra_scheduler_core::Timestamp;

use super::rows::{Ended, count, id};
use super::{Database, Failed, Shared, text};
use crate::backend::{Holding, Ledger, Record, RunQuery, RunRow, TaskKey};
use crate::run::RunId;

impl<D: Database> Shared<D> {
    pub(super) async fn runs(&self, query: &RunQuery) -> Result<Vec<RunRow>, Failed> {
        let mut step = self.read().await?;
        let input = json!({
            "task": query.task.map(id),
            "id": query.id.map(|id| id.to_string()),
            "from": query.from.map(Timestamp::as_millis),
            "to": query.to.map(Timestamp::as_millis),
            "all_states": query.states.is_empty().then_some(1),
            "states": query.states.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "limit": query.limit.map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX)),
        });
        let rows: Vec<Ended> = step.list(&self.statements.list, input).await?;
        Ok(rows.into_iter().map(Ended::row).collect::<Result<_, _>>()?)
    }

    pub(super) async fn lost(&self, held: &[Holding]) -> Result<Vec<RunId>, Failed> {
        let mut step = self.read().await?;
        let runs = step.runs(held.iter().map(|holding| holding.id.to_string())).await?;
        let is_lost = |holding: &&Holding| {
            let run = runs.get(&holding.id.to_string()).filter(|run| run.holder.is_some());
            run.is_none_or(|run| run.token != count(holding.token.0))
        };
        Ok(held.iter().filter(is_lost).map(|holding| holding.id).collect())
    }

    pub(super) async fn records(&self, task: TaskKey) -> Result<Vec<Record>, Failed> {
        #[derive(Deserialize)]
        struct Kept {
            records: Option<String>,
        }
        let mut step = self.read().await?;
        let mut kept: Vec<Kept> = step.list(&self.statements.records, json!({ "ids": [id(task)] })).await?;
        let records = kept.pop().and_then(|kept| kept.records);
        Ok(records.as_deref().map(text::read_records).transpose()?.unwrap_or_default())
    }

    pub(super) async fn ledger(&self, task: TaskKey) -> Result<Ledger, Failed> {
        #[derive(Deserialize)]
        struct Counts {
            occurrences: u64,
            runs: u64,
            recorded: u64,
        }
        let mut step = self.read().await?;
        let counts: Option<Counts> = step.ask(&self.statements.ledger, json!({ "id": id(task) })).await?;
        Ok(counts.map_or_else(Ledger::default, |counts| Ledger {
            occurrences: counts.occurrences,
            runs: counts.runs,
            recorded: counts.recorded,
        }))
    }
}
