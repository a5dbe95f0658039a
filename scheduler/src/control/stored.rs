//! What a store answers to the questions of commands by itself, whether or not a program runs on it.
//!
//! It fires nothing and holds no run. A change is kept in the store, which every node heeds; what only a running program
//! knows is not here.

mod backfill;
mod letters;
mod tasks;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use chrono_tz::Tz;
use symphra_scheduler_core::{Timestamp, nearest};

use super::answer::{Actor, COUNT_MAX, cursor, instant, json, no_run, run_id};
use super::noted::Noted;
use super::view::{
    ActionView, At, ChangeView, ExplanationView, HealthView, LogView, NodeView, RunView, StaleView, runs_page,
};
use super::{How, Question};
use crate::backend::{
    Backend, BackendError, Command, NamedTask, Presence, Registered, RunQuery, RunRow, Submission, Submitted,
    TRIGGERS_WAITING_MAX, TaskKey,
};
use crate::clock::Clock;
use crate::error::Error;
use crate::handle::{AskedOf, Run, success_due};
use crate::run::{Origin, RunId, RunIds, RunState};
use crate::schedule::{Delay, Plan, Schedule, Timetable};
use crate::task::{Task, TaskName};

/// A store that is asked.
pub(crate) struct Stored {
    backend: Arc<dyn Backend>,
    /// What this program declares, with overrides; nothing, where the program is not known.
    declared: HashMap<Box<str>, Task>,
    /// In which instants without an offset are read that are of no task.
    zone: Tz,
    clock: Clock,
    actor: Actor,
    names: Vec<NamedTask>,
}

/// A task as its store sees it.
struct Seen {
    name: TaskName,
    task: Registered,
    plan: Plan,
}

impl Stored {
    /// Looks at a store that is open.
    pub(crate) async fn look(
        backend: Arc<dyn Backend>,
        declared: Vec<Task>,
        zone: Tz,
        clock: Clock,
    ) -> Result<Self, Error> {
        let names = backend.tasks().await?;
        let declared = declared.into_iter().map(|task| (task.name().into(), task)).collect();
        Ok(Self { backend, declared, zone, clock, actor: Actor::of_process(), names })
    }

    /// The same, asked by somebody else than whoever runs this process.
    #[cfg(feature = "dashboard")]
    pub(crate) fn for_actor(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    /// Whether no program has ever registered a task in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The answer. What changes something is kept in the store's audit log; that this failed is told after what was done.
    pub(crate) async fn answer(&self, question: &Question) -> Result<serde_json::Value, Error> {
        match question {
            Question::Backfill { task, from, to, rerun, how: How::Wait } => {
                // Who waits may go before the last of its runs has ended.
                let begun = self.noting(question, self.begun(task, from, to.as_deref(), *rerun, How::Wait)).await?;
                Ok(json(&self.ended(begun).await?))
            }
            question => self.noting(question, self.done(question)).await,
        }
    }

    /// What `asked` comes to, once the store keeps that it was asked for.
    async fn noting<T>(&self, question: &Question, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let answer = asked.await;
        if let Some(noted) = Noted::of(question) {
            let outcome = answer.as_ref().map(drop).map_err(|error| format!("{error:?}"));
            let kept = noted.keep(&*self.backend, &self.actor, outcome).await;
            if answer.is_ok() {
                kept.map_err(|error| {
                    BackendError::new("keep in the audit log what was asked for, and is done", error)
                })?;
            }
        }
        answer
    }

    async fn done(&self, question: &Question) -> Result<serde_json::Value, Error> {
        Ok(match question {
            Question::List { status, tag } => json(&self.listed(status.as_deref(), tag.as_deref()).await?),
            Question::Find(search) => json(&search.among(self.standing().await?)),
            Question::Show { task } => json(&self.page(task).await?),
            Question::Next { task, count } => json(&self.next(task.as_deref(), *count).await?),
            Question::Day { page } => json(&self.day(*page).await?),
            Question::Runs { task, states, from, to, after, count } => {
                let mut query = self.query(task.as_deref(), states, from.as_deref(), to.as_deref(), *count).await?;
                query.after = after.as_deref().map(cursor).transpose()?;
                json(&self.runs(&query).await?)
            }
            Question::Dead { task, count } => json(&self.letters(task.as_deref(), *count).await?),
            Question::Actions { count } => {
                let actions = self.backend.actions((*count).min(COUNT_MAX)).await?;
                json(&actions.iter().map(|action| ActionView::of(action, self.zone)).collect::<Vec<_>>())
            }
            Question::Log { run } => json(&self.log(run).await?),
            Question::Explain { task, at } => json(&self.explained(task, at).await?),
            Question::Nodes => json(&self.nodes().await?),
            Question::Health => json(&self.health().await?),
            Question::Backfill { task, from, to, rerun, how } => {
                let to = to.as_deref();
                match how {
                    How::Preview => json(&self.previewed(task, from, to, *rerun).await?),
                    How::Begin | How::Wait => json(&self.begun(task, from, to, *rerun, *how).await?.view),
                }
            }
            change => json(&self.changed(change).await?),
        })
    }

    fn declared(&self, name: &str) -> Option<&Task> {
        self.declared.get(name)
    }

    fn key(&self, name: &str) -> Result<TaskKey, Error> {
        let found = self.names.iter().find(|task| task.name.as_str() == name);
        found.map(|task| task.key).ok_or_else(|| match self.declared(name) {
            Some(task) => Error::refused(format!(
                "task \"{name}\" ({}) is not in the store yet: it comes there when the program starts",
                task.source()
            )),
            None => Error::unknown_task(name, nearest(name, self.names.iter().map(|task| task.name.as_str()))),
        })
    }

    async fn see(&self, name: &str) -> Result<Seen, Error> {
        let key = self.key(name)?;
        let mut seen = self.all(&[key]).await?;
        seen.pop().ok_or_else(|| Error::unknown_task(name, None))
    }

    async fn all(&self, keys: &[TaskKey]) -> Result<Vec<Seen>, Error> {
        let names: HashMap<TaskKey, &TaskName> = self.names.iter().map(|task| (task.key, &task.name)).collect();
        let seen = self.backend.look(keys).await?.into_iter().filter_map(|task| {
            let name = (*names.get(&task.key)?).clone();
            let plan = Plan::new(Arc::clone(&task.timetable), name.as_str(), task.anchor, task.since);
            Some(Seen { name, task, plan })
        });
        Ok(seen.collect())
    }

    /// The tasks that fire: those that the program declares; all of the store, where it is not known.
    async fn firing(&self) -> Result<Vec<Seen>, Error> {
        let fires = |task: &&NamedTask| self.declared.is_empty() || self.declared(task.name.as_str()).is_some();
        let keys: Vec<TaskKey> = self.names.iter().filter(fires).map(|task| task.key).collect();
        self.all(&keys).await
    }

    async fn query(
        &self,
        task: Option<&str>,
        states: &[String],
        from: Option<&str>,
        to: Option<&str>,
        count: usize,
    ) -> Result<RunQuery, Error> {
        let (key, zone) = match task {
            Some(task) => {
                let seen = self.see(task).await?;
                (Some(seen.task.key), seen.plan.zone())
            }
            None => (None, self.zone),
        };
        Ok(RunQuery {
            task: key,
            states: RunState::ALL.into_iter().filter(|state| states.contains(&state.to_string())).collect(),
            from: from.map(|text| instant(text, zone)).transpose()?,
            to: to.map(|text| instant(text, zone)).transpose()?,
            limit: Some(count.min(COUNT_MAX)),
            ..RunQuery::default()
        })
    }

    async fn runs(&self, query: &RunQuery) -> Result<Vec<RunView>, Error> {
        let mut query = query.clone();
        loop {
            let page = self.backend.runs_page(&query).await?;
            let (is_empty, next) = (page.rows.is_empty(), page.next);
            let runs = self.named(page.rows).await?;
            match next {
                // Runs of tasks that came after the look are not shown, and the list goes on behind them.
                Some(next) if runs.is_empty() && !is_empty => query.after = Some(next),
                next => return Ok(runs_page(runs, next)),
            }
        }
    }

    /// The runs of those tasks that were there at the look.
    async fn named(&self, rows: Vec<RunRow>) -> Result<Vec<RunView>, Error> {
        let mut keys: Vec<TaskKey> = rows.iter().map(|row| row.task).collect();
        keys.sort_unstable();
        keys.dedup();
        let seen = self.all(&keys).await?;
        let of: HashMap<TaskKey, (TaskName, Tz)> =
            seen.into_iter().map(|seen| (seen.task.key, (seen.name, seen.plan.zone()))).collect();
        let named = rows.into_iter().filter_map(|row| {
            let (name, zone) = of.get(&row.task)?;
            Some(RunView::of(&Run::of(name.clone(), row), *zone))
        });
        Ok(named.collect())
    }

    async fn log(&self, run: &str) -> Result<LogView, Error> {
        let id = run_id(run)?;
        let mut found = self.runs(&RunQuery { id: Some(id), ..RunQuery::default() }).await?;
        let run = found.pop().ok_or_else(|| no_run(id))?;
        Ok(LogView::of(run, self.backend.log(id).await?))
    }

    async fn explained(&self, task: &str, text: &str) -> Result<ExplanationView, Error> {
        let Seen { name, task, plan } = self.see(task).await?;
        let at = instant(text, plan.zone())?;
        let is_exhausted = task.is_exhausted();
        let asked = AskedOf { backend: &*self.backend, name: &name, key: task.key, plan: &plan, is_exhausted };
        let explanation = asked.explain(at, || self.clock.now()).await?;
        Ok(ExplanationView::of(name.to_string(), at, explanation, plan.zone()))
    }

    async fn nodes(&self) -> Result<Vec<NodeView>, Error> {
        let rows = self.backend.nodes().await?;
        Ok(rows.iter().map(|row| NodeView::of(row, self.backend.name(), self.zone)).collect())
    }

    /// Whether a node is there that may execute what waits.
    async fn has_node(&self) -> Result<bool, Error> {
        Ok(self.backend.nodes().await?.iter().any(|node| node.presence == Presence::Alive))
    }

    /// What can be told of how a program is without it: whether a node is there, and which tasks are stale.
    async fn health(&self) -> Result<HealthView, Error> {
        let now = self.clock.now();
        let alive = self.has_node().await?;
        let mut stale = Vec::new();
        let mut repeats_until: Option<Timestamp> = None;
        for Seen { name, task, plan } in self.firing().await? {
            repeats_until = repeats_until.max(Some(task.mark).filter(|&mark| mark > now && task.behind.is_some()));
            if task.pause.is_some() || task.is_exhausted() {
                continue;
            }
            let succeeded = vec![RunState::Succeeded];
            let query = RunQuery { states: succeeded, limit: Some(1), ..RunQuery::of(task.key) };
            let last = self.backend.runs(&query).await?.into_iter().find_map(|run| run.finished_at);
            let within = self.declared(name.as_str()).and_then(|task| task.options().expect_success_within);
            let since = last.unwrap_or(task.anchor).max(task.since).max(task.resumed_at.unwrap_or(Timestamp::MIN));
            if let Some(expected_by) = success_due(&plan, within, since).filter(|&by| now > by) {
                stale.push(StaleView {
                    task: name.to_string(),
                    last_success: last.map(|at| At::new(at, plan.zone())),
                    expected_by: At::new(expected_by, plan.zone()),
                });
            }
        }
        Ok(HealthView {
            well: alive && stale.is_empty() && repeats_until.is_none(),
            alive,
            ready: true,
            store: None,
            clock: None,
            stuck: Vec::new(),
            stale,
            workers_taken_by: Vec::new(),
            clock_repeats_until: repeats_until.map(|until| At::new(until, self.zone)),
        })
    }

    async fn changed(&self, change: &Question) -> Result<ChangeView, Error> {
        let view = |task: Option<&String>, done: &str| ChangeView {
            task: task.cloned(),
            done: done.to_owned(),
            run: None,
            schedule: None,
            next: None,
        };
        Ok(match change {
            Question::Trigger { task } => {
                let run = self.trigger(task).await?;
                ChangeView { run: Some(run.to_string()), ..view(Some(task), "triggered") }
            }
            Question::Pause { task, reason } => {
                let by = self.actor.name();
                let reason = reason.as_deref().map(Arc::from);
                self.control(Command::Pause { task: self.key_of(task.as_deref())?, by, reason }).await?;
                view(task.as_ref(), "paused")
            }
            Question::Resume { task } => {
                self.control(Command::Resume { task: self.key_of(task.as_deref())? }).await?;
                let next = match task {
                    Some(task) => self.next_of(&self.see(task).await?, 1).pop(),
                    None => None,
                };
                ChangeView { next, ..view(task.as_ref(), "resumed") }
            }
            Question::Reschedule { task, schedule } => {
                let schedule: Schedule = schedule.parse().map_err(|error| Error::refused(format!("{error}")))?;
                self.reschedule(task, schedule).await?;
                let next = self.next_of(&self.see(task).await?, 1).pop();
                ChangeView { schedule: Some(schedule.describe()), next, ..view(Some(task), "rescheduled") }
            }
            Question::Cancel { run } => {
                self.cancel(run).await?;
                ChangeView { run: Some(run.clone()), ..view(None, "cancelled") }
            }
            Question::RunAgain { letter } => {
                let (done, run) = self.run_again(letter).await?.told();
                ChangeView { run: Some(run.to_string()), ..view(None, done) }
            }
            Question::DropLetter { letter } => {
                self.drop_letter(letter).await?;
                ChangeView { run: Some(letter.clone()), ..view(None, "dropped") }
            }
            Question::Reset { task } => {
                self.control(Command::ResetMark { task: self.key(task)? }).await?;
                view(Some(task), "reset")
            }
            other => return Err(Error::refused(format!("{other:?} changes nothing"))),
        })
    }

    fn key_of(&self, task: Option<&str>) -> Result<Option<TaskKey>, Error> {
        task.map(|task| self.key(task)).transpose()
    }

    async fn control(&self, command: Command) -> Result<(), Error> {
        self.backend.control(&command).await?;
        Ok(())
    }

    async fn trigger(&self, name: &str) -> Result<RunId, Error> {
        let seen = self.see(name).await?;
        not_a_job(&seen, "is not triggered")?;
        let (task, id) = (seen.task.key, self.new_id());
        let submission = Submission { id, task, origin: Origin::Trigger(id), scheduled_at: None, overlap: None };
        match self.backend.submit(&[submission]).await?[..] {
            [Submitted::Queued { .. }] => Ok(id),
            [Submitted::TooMany] => Err(Error::refused(format!(
                "{TRIGGERS_WAITING_MAX} triggers and runs of backfills of task \"{name}\" wait already, which is the most \
                 that may"
            ))),
            _ => Err(Error::unknown_task(name, None)),
        }
    }

    /// The id of a run that is asked for here.
    fn new_id(&self) -> RunId {
        RunIds::new(fastrand::Rng::new()).next(self.clock.now())
    }

    async fn reschedule(&self, name: &str, schedule: Schedule) -> Result<(), Error> {
        let seen = self.see(name).await?;
        not_a_job(&seen, "has no schedule")?;
        let Seen { task, plan, .. } = seen;
        let timetable = Timetable { schedule, ..(**plan.timetable()).clone() };
        if timetable.delay == Delay::FixedDelay && schedule.period().is_none() {
            return Err(Error::refused(format!(
                "task \"{name}\": its delay is fixed, and only an interval can have one"
            )));
        }
        let timetable = Arc::new(timetable);
        let now = self.clock.now();
        if Plan::new(Arc::clone(&timetable), name, now, now).next(now).is_none() {
            let says = schedule.describe();
            return Err(Error::refused(format!("task \"{name}\": the schedule ({says}) has no occurrence after now")));
        }
        self.control(Command::Reschedule { task: task.key, timetable }).await
    }

    async fn cancel(&self, run: &str) -> Result<(), Error> {
        let id = run_id(run)?;
        if self.backend.cancel(id).await?.is_some() {
            return Ok(());
        }
        let query = RunQuery { id: Some(id), limit: Some(1), ..RunQuery::default() };
        Err(match self.backend.runs(&query).await?.first() {
            Some(ended) => Error::unknown_run(format!("run {id} has ended already: {}", ended.state)),
            None => no_run(id),
        })
    }
}

/// A job runs when its program enqueues it, and not otherwise: nobody else knows its arguments.
fn not_a_job(seen: &Seen, what: &str) -> Result<(), Error> {
    match seen.plan.schedule().is_never() {
        false => Ok(()),
        true => {
            Err(Error::refused(format!("task \"{}\" is a job, and {what}: it runs when it is enqueued", seen.name)))
        }
    }
}

fn count(runs: usize) -> u32 {
    u32::try_from(runs).unwrap_or(u32::MAX)
}
