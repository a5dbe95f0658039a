//! What is there: runs, records, ledgers, tasks, nodes.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use symphra_scheduler_core::Timestamp;

use super::rows::{Ended, at, count, id};
use super::{Database, Failed, Shared, text};
use crate::TaskName;
use crate::backend::{
    Action, Holding, Ledger, NamedTask, NewAction, NodeRow, Presence, Record, RunLog, RunQuery, RunRow, TaskKey,
};
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

    pub(super) async fn run_log(&self, run: RunId) -> Result<Option<RunLog>, Failed> {
        #[derive(Deserialize)]
        struct Kept {
            attempt: u32,
            log: Box<str>,
        }
        let mut step = self.read().await?;
        let kept: Option<Kept> = step.ask(&self.statements.log, json!({ "id": run.to_string() })).await?;
        Ok(kept.map(|Kept { attempt, log }| RunLog { attempt, text: log }))
    }

    /// Keeps what somebody has asked for, in place of the oldest that is kept.
    pub(super) async fn note(&self, action: &NewAction) -> Result<(), Failed> {
        let mut step = self.begin().await?;
        let NewAction { actor, task, change, outcome } = action;
        let input = json!({ "actor": actor, "task": task, "change": change, "outcome": outcome });
        step.tell(&self.statements.note, input).await?;
        step.tell(&self.statements.prune_actions, json!({})).await?;
        self.commit(step).await
    }

    pub(super) async fn actions(&self, limit: usize) -> Result<Vec<Action>, Failed> {
        #[derive(Deserialize)]
        struct Kept {
            at: i64,
            actor: String,
            task: Option<String>,
            change: String,
            outcome: String,
        }
        let mut step = self.read().await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let kept: Vec<Kept> = step.list(&self.statements.actions, json!({ "limit": limit })).await?;
        let actions = kept.into_iter().map(|Kept { at: told_at, actor, task, change, outcome }| {
            let (actor, task) = (actor.into(), task.map(Into::into));
            Action::new(at(told_at), NewAction { actor, task, change: change.into(), outcome: outcome.into() })
        });
        Ok(actions.collect())
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

    pub(super) async fn tasks(&self) -> Result<Vec<NamedTask>, Failed> {
        #[derive(Deserialize)]
        struct Named {
            id: u64,
            name: String,
        }
        let mut step = self.read().await?;
        let named: Vec<Named> = step.list(&self.statements.names, json!({})).await?;
        let named = named.into_iter().map(|Named { id, name }| {
            let name = TaskName::new(&name).map_err(|_| Failed::broken("a stored name is none"))?;
            Ok(NamedTask { name, key: TaskKey(id) })
        });
        let mut tasks: Vec<NamedTask> = named.collect::<Result<_, Failed>>()?;
        // Databases order texts each in its own way.
        tasks.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(tasks)
    }

    pub(super) async fn nodes(&self) -> Result<Vec<NodeRow>, Failed> {
        #[derive(Deserialize)]
        struct Node {
            name: String,
            lease_ms: u64,
            seen_at: i64,
            has_left: i64,
            lives: i64,
            held: u64,
            tzdb: String,
        }
        let mut step = self.read().await?;
        let nodes: Vec<Node> = step.list(&self.statements.nodes, json!({})).await?;
        let mut nodes: Vec<NodeRow> = (nodes.into_iter())
            .map(|node| NodeRow {
                node: node.name.into(),
                lease: Duration::from_millis(node.lease_ms),
                seen_at: at(node.seen_at),
                presence: match (node.has_left, node.lives) {
                    (0, 0) => Presence::Silent,
                    (0, _) => Presence::Alive,
                    _ => Presence::Left,
                },
                held: node.held,
                tzdb: node.tzdb.into(),
            })
            .collect();
        nodes.sort_unstable_by(|a, b| a.node.cmp(&b.node));
        Ok(nodes)
    }
}
