//! What is there: runs, logs, records, ledgers, tasks, nodes. What may be long is read in pages, so that nobody waits for it.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::store::{Failed, Nothing, Runs, Store, TOGETHER_MAX};
use super::words::{At, Id, Key, Number, RecordWord, RunWord};
use crate::TaskName;
use crate::backend::{
    ACTIONS_MAX, Action, BackendError, Ledger, NamedTask, NewAction, NodeRow, Presence, Record, RunCursor, RunLog,
    RunQuery, RunRow, RunRows, TaskKey,
};
use crate::run::RunId;

/// How many ended runs are read at once.
const PAGE: usize = 500;

impl Store {
    /// Keeps what somebody has asked for.
    pub(super) async fn note(&self, action: &NewAction) -> Result<(), Failed> {
        let NewAction { actor, task, change, outcome } = action;
        let task = task.as_deref().unwrap_or_default();
        let action = json!({ "actor": **actor, "task": task, "change": **change, "outcome": **outcome });
        let _: Nothing = self.call("note", &json!({ "action": action, "kept": ACTIONS_MAX })).await?;
        Ok(())
    }

    pub(super) async fn actions(&self, limit: usize) -> Result<Vec<Action>, Failed> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            rows: Vec<String>,
        }
        #[derive(Deserialize)]
        struct Kept {
            at: At,
            actor: String,
            /// Empty, if it was about none: tables of Lua lose what is nothing.
            task: String,
            change: String,
            outcome: String,
        }
        if limit == 0 {
            return Ok(Vec::new());
        }
        let found: Found = self.call("actions", &json!({ "limit": limit.min(ACTIONS_MAX) })).await?;
        let actions = found.rows.into_iter().rev().map(|row| {
            let Kept { at, actor, task, change, outcome } = serde_json::from_str(&row)?;
            let (actor, task) = (actor.into(), Some(task).filter(|task| !task.is_empty()).map(Into::into));
            Ok(Action::new(at.0, NewAction { actor, task, change: change.into(), outcome: outcome.into() }))
        });
        actions.collect()
    }

    /// All fields of a hash, page by page.
    async fn scan(&self, name: &str) -> Result<HashMap<String, String>, Failed> {
        #[derive(Deserialize)]
        struct Found {
            cursor: String,
            #[serde(default)]
            rows: Vec<String>,
        }
        let (mut all, mut cursor) = (HashMap::new(), "0".to_owned());
        loop {
            let asked = json!({ "of": name, "cursor": cursor, "max": TOGETHER_MAX });
            let found: Found = self.call("scan", &asked).await?;
            let mut rows = found.rows.into_iter();
            while let (Some(field), Some(value)) = (rows.next(), rows.next()) {
                all.insert(field, value);
            }
            if found.cursor == "0" {
                return Ok(all);
            }
            cursor = found.cursor;
        }
    }

    /// The values of fields of a hash, in their order.
    async fn get_all(&self, name: &str, fields: &[String]) -> Result<Vec<Option<String>>, Failed> {
        #[derive(Deserialize)]
        struct Found {
            rows: Vec<Value>,
        }
        let found: Found = self.call("get", &json!({ "of": name, "fields": fields })).await?;
        let rows = found.rows.into_iter().map(|row| match row {
            Value::String(row) => Some(row),
            _ => None,
        });
        Ok(rows.collect())
    }

    async fn get(&self, name: &str, field: String) -> Result<Option<String>, Failed> {
        Ok(self.get_all(name, &[field]).await?.pop().flatten())
    }

    /// A page of runs.
    pub(super) async fn runs_page(&self, query: &RunQuery) -> Result<RunRows, Failed> {
        let limit = query.limit.unwrap_or(usize::MAX);
        if let Some(id) = query.id {
            let found = self.run(id).await?.filter(|(end, row)| query.includes(row) && is_behind(query, *end, row));
            return Ok(RunRows { rows: found.into_iter().map(|(_, row)| row).take(limit).collect(), next: None });
        }
        let want = limit.saturating_add(1);
        let (mut listed, mut below) = (Vec::new(), query.after.map(|after| after.ends_below()));
        let ended_before = match query.after {
            Some(after) => after.ended_before(),
            None => Some(self.last_end().await?),
        };
        if let Some(ended_before) = ended_before {
            let rows = self.alive_and_ended_since(query, ended_before, want).await?;
            let place = |row: &RunRow| RunCursor::Alive { ended_before, scheduled_at: row.scheduled_at, id: row.id };
            listed.extend(rows.into_iter().map(|row| (place(&row), row)));
            below = Some(ended_before.saturating_add(1));
        }
        while listed.len() < want {
            let page = self.past(query.task, None, below).await?;
            let wanted = page.rows.into_iter().filter(|(_, row)| query.includes(row));
            listed.extend(wanted.map(|(end, row)| (RunCursor::Ended { end }, row)));
            below = page.below;
            if below.is_none() {
                break;
            }
        }
        Ok(RunRows::first_of(listed, limit))
    }

    pub(super) async fn last_ended(&self, tasks: &[TaskKey]) -> Result<Vec<RunRow>, Failed> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            rows: Vec<(Id, String)>,
        }
        let mut last = Vec::new();
        for some in tasks.chunks(PAGE) {
            let asked = json!({ "tasks": some.iter().copied().map(Key).collect::<Vec<_>>() });
            let found: Found = self.call("last_ended", &asked).await?;
            for (Id(id), row) in found.rows {
                last.push(read_run(&row, id)?);
            }
        }
        Ok(last)
    }

    /// Runs that are alive, and those whose ends have later numbers than `ended_before`, the newest instant first.
    async fn alive_and_ended_since(
        &self,
        query: &RunQuery,
        ended_before: u64,
        want: usize,
    ) -> Result<Vec<RunRow>, Failed> {
        // A run that goes on meanwhile is seen once more, and counts as it is seen last: so jobs that wait come first, and what has
        // ended comes last.
        let waiting = self.waiting_jobs(query, want).await?;
        let alive = match query.task {
            Some(task) => self.alive_of(task).await?,
            None => self.all_alive().await?,
        };
        let mut rows: HashMap<RunId, RunRow> = waiting.into_iter().chain(alive).map(|row| (row.id, row)).collect();
        let mut below = None;
        loop {
            let page = self.past(query.task, Some(ended_before), below).await?;
            rows.extend(page.rows.into_iter().map(|(_, row)| (row.id, row)));
            below = page.below;
            if below.is_none() {
                break;
            }
        }
        let is_behind = |row: &RunRow| query.after.is_none_or(|after| after.is_before_alive(row));
        let mut rows: Vec<RunRow> = rows.into_values().filter(|row| query.includes(row) && is_behind(row)).collect();
        rows.sort_unstable_by_key(|row| Reverse((row.scheduled_at, row.id)));
        rows.truncate(want);
        Ok(rows)
    }

    async fn last_end(&self) -> Result<u64, Failed> {
        #[derive(Deserialize)]
        struct Counted {
            last: Number,
        }
        let Counted { last: Number(last) } = self.call("last_end", &json!({})).await?;
        Ok(last)
    }

    /// A run, with the number of its end if it has ended.
    async fn run(&self, id: RunId) -> Result<Option<(Option<u64>, RunRow)>, Failed> {
        #[derive(Deserialize)]
        struct Found {
            of: Option<String>,
            #[serde(default)]
            row: String,
            number: Option<Number>,
        }
        let found: Found = self.call("find", &json!({ "run": Id(id) })).await?;
        let row = match found.of.as_deref() {
            None => return Ok(None),
            Some("jobs") => read_waiting(&found.row, id)?,
            Some(_) => read_run(&found.row, id)?,
        };
        Ok(Some((found.number.map(|Number(number)| number), row)))
    }

    async fn all_alive(&self) -> Result<Vec<RunRow>, Failed> {
        let rows = self.scan("runs").await?;
        rows.into_iter().map(|(id, row)| read_run(&row, crate::backend::text::run_id(&id)?)).collect()
    }

    async fn alive_of(&self, task: TaskKey) -> Result<Vec<RunRow>, Failed> {
        let alive: Runs = self.call("alive", &json!({ "task": Key(task) })).await?;
        let mut rows = Vec::with_capacity(alive.runs.len());
        for some in alive.runs.chunks(TOGETHER_MAX) {
            let ids: Vec<String> = some.iter().map(|id| id.0.to_string()).collect();
            let page = self.get_all("runs", &ids).await?;
            for (row, &Id(id)) in page.into_iter().zip(some) {
                rows.extend(row.map(|row| read_run(&row, id)).transpose()?);
            }
        }
        Ok(rows)
    }

    /// Ended runs whose ends have numbers above the one and below the other, the last first.
    async fn past(&self, task: Option<TaskKey>, above: Option<u64>, below: Option<u64>) -> Result<Past, Failed> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            rows: Vec<(Id, String, Number)>,
            below: Option<Number>,
        }
        let mut asked = json!({ "max": PAGE });
        if let Some(task) = task {
            asked["task"] = json!(Key(task));
        }
        for (name, bound) in [("above", above), ("below", below)] {
            if let Some(bound) = bound {
                asked[name] = json!(Number(bound));
            }
        }
        let found: Found = self.call("past", &asked).await?;
        let rows = found.rows.iter().map(|(Id(id), row, Number(end))| Ok((*end, read_run(row, *id)?)));
        Ok(Past { rows: rows.collect::<Result<_, Failed>>()?, below: found.below.map(|Number(below)| below) })
    }

    /// It is stored as the number of the attempt, a line break and the text.
    pub(super) async fn log(&self, run: RunId) -> Result<Option<RunLog>, Failed> {
        let Some(log) = self.get("logs", run.to_string()).await? else { return Ok(None) };
        let kept = log
            .split_once('\n')
            .and_then(|(attempt, text)| Some(RunLog { attempt: attempt.parse().ok()?, text: text.into() }));
        Ok(Some(kept.ok_or_else(|| BackendError::new("read its rows", "a log has no attempt"))?))
    }

    pub(super) async fn records(&self, task: TaskKey) -> Result<Vec<Record>, Failed> {
        let Some(records) = self.get("records", task.0.to_string()).await? else { return Ok(Vec::new()) };
        let records: Vec<RecordWord> = serde_json::from_str(&records)?;
        Ok(records.into_iter().map(RecordWord::read).collect::<Result<_, _>>()?)
    }

    pub(super) async fn ledger(&self, task: TaskKey) -> Result<Ledger, Failed> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Counts {
            runs: u64,
            recorded: u64,
        }
        let Some(task) = self.get("tasks", task.0.to_string()).await? else { return Ok(Ledger::default()) };
        let Counts { runs, recorded } = serde_json::from_str(&task)?;
        Ok(Ledger { occurrences: runs + recorded, runs, recorded })
    }

    pub(super) async fn tasks(&self) -> Result<Vec<NamedTask>, Failed> {
        let named = self.scan("names").await?.into_iter().map(|(name, key)| {
            let name = TaskName::new(&name).map_err(|error| BackendError::new("read its rows", error))?;
            let key = key.parse::<Key>().map_err(|error| BackendError::new("read its rows", error))?;
            Ok(NamedTask { name, key: key.0 })
        });
        let mut tasks = named.collect::<Result<Vec<_>, Failed>>()?;
        tasks.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(tasks)
    }

    pub(super) async fn all_tasks(&self) -> Result<Vec<TaskKey>, Failed> {
        Ok(self.tasks().await?.into_iter().map(|task| task.key).collect())
    }

    pub(super) async fn nodes(&self) -> Result<Vec<NodeRow>, Failed> {
        #[derive(Deserialize)]
        struct Seen {
            #[serde(default)]
            rows: Vec<Node>,
        }
        #[derive(Deserialize)]
        struct Node {
            node: String,
            lease_ms: u64,
            seen_at: i64,
            #[serde(default)]
            left: bool,
            lives: bool,
            held: u64,
            tzdb: String,
        }
        let seen: Seen = self.call("nodes", &json!({})).await?;
        let nodes = seen.rows.into_iter().map(|node| NodeRow {
            node: node.node.into(),
            lease: Duration::from_millis(node.lease_ms),
            seen_at: crate::backend::text::at(node.seen_at),
            presence: match (node.left, node.lives) {
                (true, _) => Presence::Left,
                (false, true) => Presence::Alive,
                (false, false) => Presence::Silent,
            },
            held: node.held,
            tzdb: node.tzdb.into(),
        });
        let mut nodes: Vec<NodeRow> = nodes.collect();
        nodes.sort_unstable_by(|a, b| a.node.cmp(&b.node));
        Ok(nodes)
    }

    /// Ends runs that have waited for longer than `wait_max` and whose task no node knows, `max` at most; tells how many.
    pub(super) async fn end_unclaimed(&self, wait_max: Duration, max: usize) -> Result<usize, Failed> {
        #[derive(Deserialize)]
        struct Ended {
            ended: usize,
            after: Option<String>,
        }
        let (mut ended, mut after) = (0, None::<String>);
        loop {
            let mut asked = json!({ "wait_ms": super::words::millis(wait_max), "max": max - ended });
            if let Some(after) = after {
                asked["after"] = after.into();
            }
            let step: Ended = self.call("unclaimed", &asked).await?;
            ended += step.ended;
            after = step.after;
            if after.is_none() || ended >= max {
                return Ok(ended);
            }
        }
    }
}

/// Runs with the numbers of their ends, and below which number there may be others.
struct Past {
    rows: Vec<(u64, RunRow)>,
    below: Option<u64>,
}

/// Whether a run, whose end has this number if it has ended, is behind the place from which on runs are asked for.
fn is_behind(query: &RunQuery, end: Option<u64>, row: &RunRow) -> bool {
    query.after.is_none_or(|after| match end {
        Some(end) if end < after.ends_below() => true,
        _ => after.is_before_alive(row),
    })
}

fn read_run(row: &str, id: RunId) -> Result<RunRow, Failed> {
    Ok(serde_json::from_str::<RunWord>(row)?.read(id)?)
}

/// A job that waits.
pub(super) fn read_waiting(row: &str, id: RunId) -> Result<RunRow, Failed> {
    Ok(serde_json::from_str::<RunWord>(row)?.read_waiting(id)?)
}
