//! What operators ask, and the leases of nodes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use symphra_scheduler_core::Timestamp;

use super::declare::Replaced;
use super::rows::{at, id};
use super::step::Change;
use super::{Database, Failed, Shared, text, while_busy};
use crate::backend::{Changes, Command, Holder, Left, Pause, Record, Registered, TaskKey};

/// How long a node that is gone is listed.
const NODES_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

impl<D: Database> Shared<D> {
    pub(super) async fn control(&self, command: &Command) -> Result<Changes, Failed> {
        let mut step = self.begin().await?;
        let of = match command {
            Command::Pause { task, .. } | Command::Resume { task } => *task,
            Command::Reschedule { task, .. } | Command::ResetMark { task } => Some(*task),
        };
        match of {
            Some(task) => step.lock([id(task)]).await?,
            None => step.lock_all().await?,
        }
        let before = step.version;
        let now = step.now;
        let known = of.map(id).filter(|task| step.tasks.contains_key(task));
        let mut ended: Option<Record> = None;
        match (command, known) {
            (Command::Pause { task: None, by, reason }, _) => {
                let pause = Pause { by: Arc::clone(by), reason: reason.clone(), since: now };
                step.tell(&self.statements.pause_all, json!({ "paused": text::pause(&pause) })).await?;
            }
            (Command::Resume { task: None }, _) => {
                if step.pause_of_all.is_some() {
                    let input = json!({ "paused": Value::Null, "resumed_at": now.as_millis() });
                    step.tell(&self.statements.pause_all, input).await?;
                }
            }
            (_, None) => {}
            (Command::Pause { by, reason, .. }, Some(task)) => {
                let pause = Pause { by: Arc::clone(by), reason: reason.clone(), since: now };
                step.task_mut(task).paused = Some(text::pause(&pause));
            }
            (Command::Resume { .. }, Some(task)) => {
                if step.tasks[&task].is_paused() {
                    let row = step.task_mut(task);
                    (row.paused, row.resumed, row.resumed_at) = (None, 1, Some(now.as_millis()));
                }
            }
            (Command::Reschedule { timetable, .. }, Some(task)) => {
                let rescheduled = Some(text::timetable(timetable));
                let replaced = Replaced { task, declared: None, rescheduled, counts: Arc::clone(timetable) };
                ended = step.replace_timetables(vec![replaced]).await?.remove(&task);
            }
            (Command::ResetMark { .. }, Some(task)) => {
                let row = step.task_mut(task);
                let mark = row.mark.min(now.as_millis());
                row.reset_upto = Some(row.mark).max(row.reset_upto).filter(|_| row.mark > mark);
                row.behind = row.behind.filter(|&behind| behind < mark);
                (row.step_id, row.step) = (None, None);
                step.advance(task, mark);
            }
        }
        match (of, known) {
            (None, _) => step.log.push(Change::AllTasks),
            (Some(_), Some(task)) => step.log.push(Change::Task(task)),
            (Some(_), None) => {}
        }
        if matches!(command, Command::Resume { .. }) {
            step.log.push(Change::Runnable);
        }
        self.commit(step).await?;
        let changes = self.changes_since(before).await?;
        // What others have changed meanwhile comes to this node by another way, and is counted there.
        let Changes { version, tasks, runnable, .. } = changes;
        let mut changes = Changes { version, tasks, runnable, ..Changes::default() };
        if let Some(task) = known {
            changes.tasks.retain(|changed| changed.key == TaskKey(task.unsigned_abs()));
            if let [changed] = &mut changes.tasks[..] {
                changed.ended = ended.map(Box::new);
            }
        }
        Ok(changes)
    }

    /// Has the store know a holder that it has not seen yet.
    pub(super) async fn greet(&self, holder: &Holder) -> Result<(), Failed> {
        if self.greeted().contains(&holder.node) {
            return Ok(());
        }
        let mut step = self.begin().await?;
        step.tell(&self.statements.greet, node(holder)).await?;
        // Each start of a scheduler is another node, so there are no more of them to forget than were greeted.
        let kept_ms = u64::try_from(NODES_KEPT.as_millis()).unwrap_or(u64::MAX);
        step.tell(&self.statements.prune_nodes, json!({ "kept_ms": kept_ms })).await?;
        step.tell(&self.statements.forget, json!({})).await?;
        step.end_nothing().await?;
        self.commit(step).await?;
        self.greeted().insert(Arc::clone(&holder.node));
        Ok(())
    }

    pub(super) async fn heartbeat(&self, holder: &Holder) -> Result<Timestamp, Failed> {
        let has_started = self.greeted().contains(&holder.node);
        if has_started { self.beat(holder).await } else { while_busy::<D, _, _>(|| self.beat(holder)).await }
    }

    async fn beat(&self, holder: &Holder) -> Result<Timestamp, Failed> {
        #[derive(Deserialize)]
        struct Beat {
            now: i64,
        }
        let mut step = self.begin().await?;
        let beat: Option<Beat> = step.ask(&self.statements.beat, node(holder)).await?;
        let now = beat.ok_or_else(|| Failed::broken("a heartbeat has no answer"))?.now;
        self.commit(step).await?;
        Ok(at(now))
    }

    pub(super) async fn leave(&self, holder: &Holder) -> Result<Vec<Left>, Failed> {
        #[derive(Deserialize)]
        struct Leaving {
            held: i64,
        }
        self.greet(holder).await?;
        let mut step = self.begin().await?;
        let leaving: Option<Leaving> = step.ask(&self.statements.leave, json!({ "node": &*holder.node })).await?;
        if leaving.is_some_and(|leaving| leaving.held > 0) {
            step.log.push(Change::Runnable);
        }
        self.commit(step).await?;
        self.greeted().remove(&holder.node);
        Ok(Vec::new())
    }

    /// A set is whole whatever panics while it is locked.
    fn greeted(&self) -> MutexGuard<'_, HashSet<Arc<str>>> {
        self.greeted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn look(&self, tasks: &[TaskKey]) -> Result<Vec<Registered>, Failed> {
        let mut step = self.read().await?;
        let ids: Vec<i64> = tasks.iter().map(|&task| id(task)).collect();
        let mut seen: HashMap<TaskKey, Registered> =
            step.registered(&ids).await?.into_iter().map(|task| (task.key, task)).collect();
        Ok(tasks.iter().filter_map(|task| seen.remove(task)).collect())
    }
}

/// A holder, as the statements take it.
fn node(holder: &Holder) -> Value {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    json!({
        "node": &*holder.node,
        "lease_ms": millis(holder.lease),
        "silence_ms": millis(holder.silence_max()),
        "tzdb": holder.tzdb,
    })
}
