//! What is there: runs, records, ledgers, tasks, nodes.

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use symphra_scheduler_core::Timestamp;

use super::rows::{Ended, at, count, id};
use super::statements::Runs;
use super::{Database, Failed, Shared, text};
use crate::TaskName;
use crate::backend::{
    Action, Holding, Ledger, NamedTask, NewAction, NodeRow, Presence, Record, RunCursor, RunLog, RunQuery, RunRow,
    RunRows, TaskKey,
};
use crate::run::RunId;

/// Of how many tasks the last runs are read at once.
const TOGETHER_MAX: usize = 1_000;

/// A row, and the number of its end.
#[derive(Deserialize)]
struct Numbered<R = ()> {
    seq: u64,
    #[serde(flatten)]
    row: R,
}

/// What a statement of a list is told of whatever list it is.
fn asked(query: &RunQuery, limit: usize) -> Value {
    json!({
        "task": query.task.map(id),
        "id": query.id.map(|id| id.to_string()),
        "from": query.from.map(Timestamp::as_millis),
        "to": query.to.map(Timestamp::as_millis),
        "all_states": query.states.is_empty().then_some(1),
        "states": query.states.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "limit": i64::try_from(limit).unwrap_or(i64::MAX),
    })
}

fn alive_of(query: &RunQuery, ended_before: u64, limit: usize) -> Value {
    let mut asked = asked(query, limit.saturating_add(1));
    let (behind, behind_id) = match query.after {
        Some(RunCursor::Alive { scheduled_at, id, .. }) => (scheduled_at.as_millis(), id.to_string()),
        // No id has a letter that is behind this one.
        _ => (i64::MAX, "g".to_owned()),
    };
    asked["behind"] = behind.into();
    asked["behind_id"] = behind_id.into();
    asked["ended_before"] = count(ended_before).into();
    asked["last_end"] = i64::MAX.into();
    asked
}

fn ended_of(query: &RunQuery, ends_below: u64, limit: usize) -> Value {
    let mut asked = asked(query, limit);
    asked["ends_below"] = count(ends_below).into();
    asked
}

impl<D: Database> Shared<D> {
    /// A page of runs. What ends while it is read has a later number than the one that is read first.
    pub(super) async fn runs_page(&self, query: &RunQuery) -> Result<RunRows, Failed> {
        let limit = query.limit.unwrap_or(usize::MAX);
        let mut step = self.read().await?;
        let ended_before = match query.after {
            Some(after) => after.ended_before(),
            None => {
                let last: Option<Numbered> = step.ask(&self.statements.last_end, json!({})).await?;
                Some(last.map_or(0, |last| last.seq))
            }
        };
        let mut listed = Vec::new();
        if let Some(ended_before) = ended_before {
            let statement = &self.statements.list_alive[Runs::of(query) as usize];
            let rows: Vec<Numbered<Ended>> = step.list(statement, alive_of(query, ended_before, limit)).await?;
            for Numbered { row, .. } in rows {
                let row = row.row()?;
                listed.push((RunCursor::Alive { ended_before, scheduled_at: row.scheduled_at, id: row.id }, row));
            }
        }
        let left = limit.saturating_add(1).saturating_sub(listed.len());
        if left > 0 {
            let ends_below = match (ended_before, query.after) {
                (None, Some(after)) => after.ends_below(),
                (ended_before, _) => ended_before.unwrap_or(u64::MAX).saturating_add(1),
            };
            // On PostgreSQL an end that is numbered first may be stored last: who has it was alive a moment ago.
            let known: HashSet<RunId> = listed.iter().map(|(_, row)| row.id).collect();
            let statement = &self.statements.list_ended[Runs::of(query) as usize];
            let rows: Vec<Numbered<Ended>> = step.list(statement, ended_of(query, ends_below, left)).await?;
            for Numbered { seq: end, row } in rows {
                let row = row.row()?;
                if !known.contains(&row.id) {
                    listed.push((RunCursor::Ended { end }, row));
                }
            }
        }
        Ok(RunRows::first_of(listed, limit))
    }

    pub(super) async fn last_ended(&self, tasks: &[TaskKey]) -> Result<Vec<RunRow>, Failed> {
        let (mut step, mut last) = (self.read().await?, Vec::new());
        for some in tasks.chunks(TOGETHER_MAX) {
            let asked = json!({ "tasks": some.iter().map(|task| id(*task)).collect::<Vec<_>>() });
            let rows: Vec<Option<Numbered<Ended>>> = step.list(&self.statements.last_ended, asked).await?;
            for Numbered { row, .. } in rows.into_iter().flatten() {
                last.push(row.row()?);
            }
        }
        Ok(last)
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
        let input = json!({ "actor": **actor, "task": task.as_deref(), "change": **change, "outcome": **outcome });
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
