//! What has changed, for nodes that follow it.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;

use super::rows::Run;
use super::{Database, Failed, Shared, text};
use crate::backend::{Cancelled, Changes, TaskKey};

/// What the log of a store says.
#[derive(Deserialize)]
struct Log {
    version: i64,
    oldest: Option<i64>,
    changes: Option<Vec<ChangeRow>>,
}

#[derive(Deserialize)]
struct ChangeRow {
    kind: String,
    task: Option<i64>,
    run: Option<String>,
    cause: Option<String>,
    was: Option<String>,
    died: Option<String>,
}

impl<D: Database> Shared<D> {
    pub(super) async fn changes(&self, version: Option<u64>) -> Result<Changes, Failed> {
        let Some(since) = version else {
            let version = self.version().await?;
            self.announced.tell(version);
            return Ok(Changes { version: version.unsigned_abs(), ..Changes::default() });
        };
        let since = super::rows::count(since);
        self.changes_since(since).await
    }

    pub(super) async fn changes_since(&self, since: i64) -> Result<Changes, Failed> {
        let mut step = self.read().await?;
        let log: Option<Log> = step.ask(&self.statements.changes, json!({ "version": since })).await?;
        let log = log.ok_or_else(|| Failed::broken("the store has no row of its own"))?;
        let mut changes = Changes { version: log.version.unsigned_abs(), ..Changes::default() };
        let mut tasks = BTreeSet::new();
        let is_whole = log.version <= since || log.oldest.is_some_and(|oldest| oldest <= since + 1);
        let mut all = !is_whole;
        for change in log.changes.unwrap_or_default() {
            match (change.kind.as_str(), change.task, change.run.as_deref()) {
                ("task", Some(task), _) => drop(tasks.insert(task)),
                ("all_tasks", ..) => all = true,
                ("cancelled", Some(task), Some(run)) => changes.cancelled.push(Cancelled {
                    id: text::run_id(run)?,
                    task: TaskKey(task.unsigned_abs()),
                    cause: text::read_cause(change.cause.as_deref().unwrap_or_default()),
                    was: text::state(change.was.as_deref().unwrap_or_default())?,
                }),
                ("resumed", _, Some(run)) => changes.resumed.push(text::run_id(run)?),
                ("died", Some(task), Some(run)) => {
                    let (id, task) = (text::run_id(run)?, TaskKey(task.unsigned_abs()));
                    changes.died.push(text::read_died(id, task, change.died.as_deref().unwrap_or_default())?);
                }
                ("runnable", ..) => changes.runnable = true,
                // A kind that only a newer version knows: whatever it is about, all is looked at.
                _ => all = true,
            }
        }
        if !is_whole {
            changes.runnable = true;
            let asked: Vec<Run> = step.list(&self.statements.asked, json!({})).await?;
            for run in asked {
                let (id, task, was) = (run.run_id()?, TaskKey(run.task.unsigned_abs()), run.run_state()?);
                changes.cancelled.extend(run.cancelling().map(|cause| Cancelled { id, task, cause, was }));
                if run.holder.is_some() && run.put_off_by.is_some() {
                    changes.resumed.push(id);
                }
            }
        }
        if all {
            tasks = step.list::<i64>(&self.statements.all_ids, json!({})).await?.into_iter().collect();
        }
        let tasks: Vec<i64> = tasks.into_iter().collect();
        for some in tasks.chunks(super::declare::TASKS_PER_STEP) {
            changes.tasks.extend(step.registered(some).await?);
        }
        Ok(changes)
    }
}
