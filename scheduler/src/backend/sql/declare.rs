//! Tasks as programs declare them, and where they stand.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::rows::{Task, at, count};
use super::step::Change;
use super::{Database, Failed, Shared, Step, Transaction, text, while_busy};
use crate::TaskName;
use crate::backend::{Holder, Pause, Record, Registered, Registration, Retention, TaskKey, TaskRules, Unregistration};
use crate::schedule::{Delivery, Timetable};

/// How many tasks are registered, or looked at, in one step: few enough that nobody waits long for their locks.
pub(super) const TASKS_PER_STEP: usize = 1_000;

/// A task with its texts.
#[derive(Deserialize)]
struct Named {
    #[serde(flatten)]
    task: Task,
    name: String,
    declared: String,
}

/// A task as it is shown.
#[derive(Deserialize)]
struct Viewed {
    #[serde(flatten)]
    task: Task,
    name: String,
    declared: String,
    rescheduled: Option<String>,
    alive: Option<String>,
    latest: Option<String>,
}

/// A timetable that takes the place of another: of which task, what is declared, if that changes, and what an operator asks
/// for.
pub(super) struct Replaced {
    pub(super) task: i64,
    pub(super) declared: Option<String>,
    pub(super) rescheduled: Option<String>,
    pub(super) counts: Arc<Timetable>,
}

/// How much is kept, as its columns say it.
fn kept(retention: &Retention) -> (u32, u32, i64) {
    let failures_ms = i64::try_from(retention.failures_for.as_millis()).unwrap_or(i64::MAX);
    (retention.runs, retention.failures, failures_ms)
}

/// Whether this step has made a task: nobody has to be told of one that nobody knew.
#[derive(Clone, Copy, PartialEq)]
enum Sight {
    First,
    Again,
}

impl<D: Database> Shared<D> {
    pub(super) async fn unregister(&self, holder: &Holder, tasks: &[Unregistration]) -> Result<(), Failed> {
        self.outrun.forget(holder, tasks.iter().map(|given_up| given_up.task));
        for some in tasks.chunks(TASKS_PER_STEP) {
            let mut step = self.begin().await?;
            // In the order in which a registration locks them.
            step.lock(some.iter().map(|given_up| super::rows::id(given_up.task))).await?;
            let row = |given_up: &Unregistration| json!({ "task": super::rows::id(given_up.task), "version": count(given_up.version) });
            let given_up: Vec<_> = some.iter().map(row).collect();
            step.tell(&self.statements.unknow, json!({ "node": &*holder.node, "given_up": given_up })).await?;
            self.commit(step).await?;
        }
        Ok(())
    }

    pub(super) async fn register(&self, holder: &Holder, tasks: &[Registration]) -> Result<Vec<Registered>, Failed> {
        while_busy::<D, _, _>(|| self.greet(holder)).await?;
        let mut registered = Vec::with_capacity(tasks.len());
        for some in tasks.chunks(TASKS_PER_STEP) {
            registered.extend(while_busy::<D, _, _>(|| self.register_some(holder, some)).await?);
        }
        Ok(registered)
    }

    async fn register_some(&self, holder: &Holder, tasks: &[Registration]) -> Result<Vec<Registered>, Failed> {
        let mut step = self.begin().await?;
        let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
        let mut known = step.lock_named(&names).await?;
        let new: Vec<&Registration> = tasks.iter().filter(|task| !known.contains_key(task.name.as_str())).collect();
        if !new.is_empty() {
            step.insert_tasks(&new).await?;
            let names: Vec<&str> = new.iter().map(|task| task.name.as_str()).collect();
            known.extend(step.lock_named(&names).await?);
        }
        step.retain(&known, tasks).await?;
        let new: HashSet<&str> = new.iter().map(|task| task.name.as_str()).collect();
        step.declare_groups(tasks).await?;
        let mut ids = Vec::with_capacity(tasks.len());
        let mut replaced = Vec::new();
        // Of a task that was there the nodes are told, which is another change; of one that nobody knew they are not.
        let mut since = Vec::with_capacity(tasks.len());
        for task in tasks {
            let (id, declared) = known.get(task.name.as_str()).ok_or_else(|| Failed::broken("a task is gone"))?;
            ids.push(*id);
            let now_declared = text::timetable(&task.timetable);
            if *declared != now_declared {
                let counts = Arc::clone(&task.timetable);
                replaced.push(Replaced { task: *id, declared: Some(now_declared), rescheduled: None, counts });
            }
            let sight = if new.contains(task.name.as_str()) { Sight::First } else { Sight::Again };
            step.declare(*id, &task.rules, sight);
            let reads = task.rules.reads;
            since.push(json!({ "task": id, "since": step.version + i64::from(sight == Sight::Again), "reads": reads }));
        }
        let mut ended = step.replace_timetables(replaced).await?;
        let at_start = step.first_to_know(&ids, tasks, &holder.node, since).await?;
        self.commit(step).await?;

        let mut step = self.read().await?;
        let mut seen: HashMap<TaskKey, Registered> =
            step.registered(&ids).await?.into_iter().map(|task| (task.key, task)).collect();
        let registered = ids.iter().map(|&id| {
            let task = seen.remove(&TaskKey(id.unsigned_abs())).ok_or_else(|| Failed::broken("a task is gone"))?;
            let ended = ended.remove(&id).map(Box::new);
            Ok(Registered { run_on_start: at_start.contains(&id), ended, ..task })
        });
        registered.collect()
    }
}

impl<T: Transaction> Step<'_, T> {
    /// Locks tasks by their names: the key of each, and what is declared.
    async fn lock_named(&mut self, names: &[&str]) -> Result<HashMap<String, (i64, String)>, Failed> {
        let found: Vec<Named> = self.look(&self.sql.lock_named, json!({ "names": names })).await?;
        let mut known = HashMap::with_capacity(found.len());
        for Named { task, name, declared } in found {
            known.insert(name, (task.id, declared));
            self.adopt(task);
        }
        Ok(known)
    }

    /// Inserts tasks that are seen for the first time, but for those that somebody else has inserted meanwhile.
    async fn insert_tasks(&mut self, new: &[&Registration]) -> Result<(), Failed> {
        let now = self.now;
        let rows = new.iter().map(|task| {
            let seen = Registered::at_first_sight(TaskKey(0), Arc::clone(&task.timetable), now);
            let (keep_runs, keep_failures, keep_failures_ms) = kept(&task.rules.retention);
            json!({
                "keep_runs": keep_runs,
                "keep_failures": keep_failures,
                "keep_failures_ms": keep_failures_ms,
                "name": task.name.as_str(),
                "declared": text::timetable(&task.timetable),
                "since": seen.since.as_millis(),
                "declared_at": now.as_millis(),
                "mark": seen.mark.as_millis(),
                "anchor": seen.anchor.as_millis(),
                "is_delay": i64::from(task.timetable.is_fixed_delay()),
            })
        });
        let input = json!({ "tasks": rows.collect::<Vec<_>>() });
        self.tell(&self.sql.insert_tasks, input).await?;
        Ok(())
    }

    /// Takes over how much of the history of tasks is kept.
    async fn retain(&mut self, known: &HashMap<String, (i64, String)>, tasks: &[Registration]) -> Result<(), Failed> {
        let rows = tasks.iter().filter_map(|task| {
            let (id, _) = known.get(task.name.as_str())?;
            let (keep_runs, keep_failures, keep_failures_ms) = kept(&task.rules.retention);
            Some(json!({
                "id": id,
                "keep_runs": keep_runs,
                "keep_failures": keep_failures,
                "keep_failures_ms": keep_failures_ms,
            }))
        });
        let input = json!({ "tasks": rows.collect::<Vec<_>>() });
        self.tell(&self.sql.retain, input).await?;
        Ok(())
    }

    async fn declare_groups(&mut self, tasks: &[Registration]) -> Result<(), Failed> {
        let groups = tasks.iter().filter_map(|task| task.rules.group.as_ref());
        let groups: BTreeMap<&str, u32> = groups.map(|group| (&*group.name, group.max)).collect();
        if !groups.is_empty() {
            let rows: Vec<_> = groups.iter().map(|(name, max)| json!({ "name": name, "max": max })).collect();
            self.tell(&self.sql.save_groups, json!({ "groups": rows })).await?;
        }
        Ok(())
    }

    /// Takes over the rules of a task as they are declared.
    fn declare(&mut self, id: i64, rules: &TaskRules, sight: Sight) {
        let now = self.now.as_millis();
        let row = self.task_mut(id);
        let is_new = sight == Sight::First;
        let disabled = i64::from(rules.disabled);
        if !is_new && row.disabled != disabled {
            row.declared_at = now;
            if row.resumed != 0 {
                row.resumed = 0;
            } else if row.paused.is_none() && row.disabled != 0 {
                // The end of a pause, like an operator's: what fell due in it is not caught up.
                row.resumed_at = Some(now);
            }
        }
        row.alive_max = rules.alive_max.map(i64::from);
        row.overlap = text::overlap(rules.overlap).into();
        row.at_most_once = i64::from(rules.delivery == Delivery::AtMostOnce);
        row.priority = i64::from(rules.priority);
        row.grp = rules.group.as_ref().map(|group| group.name.to_string());
        row.max_runs = rules.max_runs.map(count);
        row.pause_after = rules.pause_after.map(i64::from);
        row.disabled = disabled;
        if !is_new {
            self.log.push(Change::Task(id));
        }
    }

    /// Has other timetables count from now on. What those before still owed is recorded in this step, and is the answer.
    pub(super) async fn replace_timetables(
        &mut self,
        replaced: Vec<Replaced>,
    ) -> Result<BTreeMap<i64, Record>, Failed> {
        let mut ended = BTreeMap::new();
        if replaced.is_empty() {
            return Ok(ended);
        }
        let ids: Vec<i64> = replaced.iter().map(|replaced| replaced.task).collect();
        let now = self.now;
        for (before, name) in self.viewed(&ids).await? {
            let id = super::rows::id(before.key);
            // As it was declared until now, but for what this step has changed of it.
            let before = Registered { max_runs: self.tasks[&id].max_runs.map(i64::unsigned_abs), ..before };
            if let Some(owed) = before.owed(&name, now) {
                self.record(id, owed.clone());
                ended.insert(id, owed);
            }
        }
        let mut texts = Vec::with_capacity(replaced.len());
        for Replaced { task, declared, rescheduled, counts } in replaced {
            texts.push(json!({ "id": task, "declared": declared, "rescheduled": rescheduled }));
            let row = self.task_mut(task);
            row.since = now.as_millis();
            row.behind = (row.mark > row.since).then_some(row.since);
            row.is_delay = i64::from(counts.is_fixed_delay());
        }
        self.tell(&self.sql.declare, json!({ "texts": texts })).await?;
        Ok(ended)
    }

    /// Notes that the node knows those of the tasks that ask for a run at a start, and answers with those that no other
    /// live node knows.
    async fn first_to_know(
        &mut self,
        ids: &[i64],
        tasks: &[Registration],
        node: &str,
        since: Vec<Value>,
    ) -> Result<BTreeSet<i64>, Failed> {
        let at_start = ids.iter().zip(tasks).filter(|(_, task)| task.rules.run_on_start);
        let at_start: BTreeSet<i64> = at_start.map(|(&id, _)| id).collect();
        let elsewhere: Vec<i64> = match at_start.is_empty() {
            true => Vec::new(),
            false => self.list(&self.sql.known, json!({ "ids": at_start, "node": node })).await?,
        };
        self.tell(&self.sql.know, json!({ "node": node, "since": since })).await?;
        Ok(at_start.into_iter().filter(|id| !elsewhere.contains(id)).collect())
    }

    /// Where tasks stand, as their nodes are told.
    pub(super) async fn registered(&mut self, ids: &[i64]) -> Result<Vec<Registered>, Failed> {
        Ok(self.viewed(ids).await?.into_iter().map(|(task, _)| task).collect())
    }

    /// Where tasks stand, in the order of their keys, with their names.
    async fn viewed(&mut self, ids: &[i64]) -> Result<Vec<(Registered, TaskName)>, Failed> {
        let seen: Vec<Viewed> = self.look(&self.sql.view, json!({ "ids": ids })).await?;
        seen.into_iter().map(|seen| self.show(seen)).collect()
    }

    fn show(&self, seen: Viewed) -> Result<(Registered, TaskName), Failed> {
        let Viewed { task, name, declared, rescheduled, alive, latest } = seen;
        let name = TaskName::new(&name).map_err(|_| Failed::broken("a stored name is none"))?;
        let resumed_at = task.resumed_at.max(self.all_resumed_at);
        let registered = Registered {
            key: task.key(),
            version: self.version.unsigned_abs(),
            mark: at(task.mark),
            behind: task.behind.map(at),
            anchor: at(task.anchor),
            timetable: text::read_timetable(rescheduled.as_deref().unwrap_or(&declared))?,
            since: at(task.since),
            pause: self.pause(&task)?,
            resumed_at: resumed_at.map(at),
            last_end: task.last_end.map(at),
            alive: alive.as_deref().map(text::run_id).transpose()?,
            latest: latest.as_deref().map(text::state).transpose()?,
            runs: task.runs.unsigned_abs(),
            max_runs: task.max_runs.map(i64::unsigned_abs),
            run_on_start: false,
            ended: None,
        };
        Ok((registered, name))
    }

    /// Why no occurrence of the task becomes a run.
    pub(super) fn pause(&self, task: &Task) -> Result<Option<Pause>, Failed> {
        if let Some(paused) = &task.paused {
            return Ok(Some(text::read_pause(paused)?));
        }
        if task.disabled != 0 && task.resumed == 0 {
            return Ok(Some(Pause::declared(at(task.declared_at))));
        }
        Ok(self.pause_of_all.clone())
    }
}
