//! The tasks of a store, as a program without them sees them: where they stand and when they are due.

use std::collections::HashMap;

use symphra_scheduler_core::{Language, Timestamp};

use super::{Seen, Stored, count};
use crate::backend::{RunQuery, RunRow, TaskKey};
use crate::control::answer::{COUNT_MAX, INSTANTS_MAX, ON_PAGE};
use crate::control::day::{Day, DayView};
use crate::control::found::Searched;
use crate::control::view::{At, LedgerView, NextView, PauseView, RecordView, RunView, TaskPage, TaskView};
use crate::error::Error;
use crate::handle::Run;
use crate::run::RunState;
use crate::task::{Task, TaskStatus};

impl Stored {
    /// The tasks that fire, and where each stands.
    pub(super) async fn standing(&self) -> Result<Vec<Standing<'_>>, Error> {
        let mut alive = self.alive(None).await?;
        let firing = self.firing().await?;
        let keys: Vec<TaskKey> = firing.iter().map(|seen| seen.task.key).collect();
        let ended = self.last_states(&keys).await?;
        let standing = firing.into_iter().map(|seen| {
            let (alive, ended) = (alive.remove(&seen.task.key).unwrap_or_default(), ended.get(&seen.task.key).copied());
            Standing::new(self, seen, &alive, ended)
        });
        Ok(standing.collect())
    }

    pub(super) async fn listed(&self, status: Option<&str>, tag: Option<&str>) -> Result<Vec<TaskView>, Error> {
        let mut standing = self.standing().await?;
        standing.retain(|task| {
            status.is_none_or(|status| task.status() == status)
                && tag.is_none_or(|tag| task.tags().any(|known| known == tag))
        });
        Ok(standing.into_iter().map(Searched::into_view).collect())
    }

    /// The runs that are alive, by their tasks.
    pub(super) async fn alive(&self, task: Option<TaskKey>) -> Result<HashMap<TaskKey, Vec<RunRow>>, Error> {
        let states = RunState::ALL.into_iter().filter(|state| !state.is_final()).collect();
        let rows = self.backend.runs(&RunQuery { task, states, ..RunQuery::default() }).await?;
        let mut alive: HashMap<TaskKey, Vec<RunRow>> = HashMap::new();
        rows.into_iter().for_each(|row| alive.entry(row.task).or_default().push(row));
        Ok(alive)
    }

    /// How the runs ended that were the last to end, by their tasks.
    pub(super) async fn last_states(&self, tasks: &[TaskKey]) -> Result<HashMap<TaskKey, RunState>, Error> {
        let last = self.backend.last_ended(tasks).await?;
        Ok(last.into_iter().map(|run| (run.task, run.state)).collect())
    }

    /// The next occurrences.
    pub(super) fn next_of(&self, seen: &Seen, count: usize) -> Vec<At> {
        let zone = seen.plan.zone();
        self.instants(seen, None, count).into_iter().map(|at| At::new(at, zone)).collect()
    }

    /// The next instants before `end`; of a fixed delay only the next is known, and none while its run is alive.
    pub(super) fn instants(
        &self,
        Seen { task, plan, .. }: &Seen,
        end: Option<Timestamp>,
        count: usize,
    ) -> Vec<Timestamp> {
        let now = self.clock.now();
        let is_before = |at: &Timestamp| end.is_none_or(|end| *at < end);
        if task.is_exhausted() {
            return Vec::new();
        }
        match (plan.fixed_delay(), task.alive) {
            (None, _) => {
                std::iter::successors(plan.next(now), |&at| plan.next(at)).take_while(is_before).take(count).collect()
            }
            (Some(_), Some(_)) => Vec::new(),
            (Some(period), None) => {
                let first = task.last_end.map_or_else(|| plan.first_of_delay(), |end| end.plus(period));
                let next = plan.not_excepted_from(first.max(plan.since()));
                next.into_iter().filter(is_before).take(count).collect()
            }
        }
    }

    pub(super) async fn page(&self, task: &str) -> Result<TaskPage, Error> {
        let seen = self.see(task).await?;
        let (key, zone, name) = (seen.task.key, seen.plan.zone(), seen.name.clone());
        let alive = self.alive(Some(key)).await?.remove(&key).unwrap_or_default();
        let ended = self.last_states(&[key]).await?.remove(&key);
        let records = self.backend.records(key).await?;
        let runs = self.backend.runs(&RunQuery { limit: Some(ON_PAGE), ..RunQuery::of(key) }).await?;
        Ok(TaskPage {
            next_occurrences: self.next_of(&seen, ON_PAGE),
            task: Standing::new(self, seen, &alive, ended).into_view(),
            ledger: Some(LedgerView::of(self.backend.ledger(key).await?)),
            records: records.into_iter().map(|record| RecordView::of(record, zone)).collect(),
            latest_runs: runs.into_iter().map(|run| RunView::of(&Run::of(name.clone(), run), zone)).collect(),
        })
    }

    pub(super) async fn next(&self, task: Option<&str>, count: usize) -> Result<Vec<NextView>, Error> {
        let tasks = match task {
            Some(task) => vec![self.see(task).await?],
            None => self.firing().await?,
        };
        let count = count.min(COUNT_MAX).min((INSTANTS_MAX / tasks.len().max(1)).max(1));
        let views = tasks.iter().map(|seen| NextView {
            task: seen.name.to_string(),
            schedule: seen.plan.schedule().describe(),
            timezone: seen.plan.zone().to_string(),
            next: self.next_of(seen, count),
        });
        Ok(views.collect())
    }

    pub(super) async fn day(&self, page: usize) -> Result<DayView, Error> {
        let tasks = self.firing().await?;
        let mut day = Day::new(self.clock.now(), tasks.len());
        for seen in &tasks {
            day.add(seen.name.as_str(), &self.instants(seen, Some(day.end()), day.of_each()));
            // Others have their turn between two tasks.
            tokio::task::yield_now().await;
        }
        Ok(day.view(page))
    }
}

/// A task and where it stands. What a page shows of it beside that is worked out only for those that are on it.
pub(super) struct Standing<'a> {
    stored: &'a Stored,
    seen: Seen,
    declared: Option<&'a Task>,
    status: TaskStatus,
    running: usize,
}

impl<'a> Standing<'a> {
    pub(super) fn new(stored: &'a Stored, seen: Seen, alive: &[RunRow], ended: Option<RunState>) -> Self {
        let status = if seen.task.pause.is_some() { TaskStatus::Paused } else { status(alive, ended) };
        let running = alive.iter().filter(|run| run.state == RunState::Running).count();
        Self { declared: stored.declared(seen.name.as_str()), stored, seen, status, running }
    }
}

impl Searched for Standing<'_> {
    fn name(&self) -> &str {
        self.seen.name.as_str()
    }

    fn status(&self) -> String {
        self.status.to_string()
    }

    fn tags(&self) -> impl Iterator<Item = &str> {
        self.declared.into_iter().flat_map(Task::tag_list).map(AsRef::as_ref)
    }

    fn schedule(&self) -> [String; 2] {
        let schedule = self.seen.plan.schedule();
        [schedule.describe(), schedule.describe_in(Language::Chinese)]
    }

    fn into_view(self) -> TaskView {
        let [schedule, schedule_zh] = self.schedule();
        let Seen { name, task, plan } = &self.seen;
        let zone = plan.zone();
        let options = self.declared.map(Task::options);
        TaskView {
            name: name.to_string(),
            schedule,
            schedule_zh,
            timezone: zone.to_string(),
            status: self.status(),
            next: self.stored.next_of(&self.seen, 1).pop(),
            pause: task.pause.as_ref().map(|pause| PauseView::of(pause, zone)),
            tags: self.tags().map(str::to_owned).collect(),
            metadata: options.map_or_else(Vec::new, |options| {
                options.metadata.shown().map(|(key, value)| (key.to_owned(), value.into_owned())).collect()
            }),
            priority: options.map_or(0, |options| options.priority),
            source: self.declared.map_or_else(String::new, |task| task.source().to_string()),
            running: count(self.running),
            total_runs: Some(task.runs),
            successful_runs: None,
            failed_runs: None,
        }
    }
}

/// Where a task stands that is not paused: `running` while any run is, else as its last run has ended.
fn status(alive: &[RunRow], ended: Option<RunState>) -> TaskStatus {
    for (state, status) in [(RunState::Running, TaskStatus::Running), (RunState::Retrying, TaskStatus::Retrying)] {
        if alive.iter().any(|run| run.state == state) {
            return status;
        }
    }
    match ended {
        _ if !alive.is_empty() => TaskStatus::Pending,
        None => TaskStatus::Pending,
        Some(RunState::Succeeded) => TaskStatus::Completed,
        Some(RunState::Cancelled) => TaskStatus::Cancelled,
        Some(_) => TaskStatus::Failed,
    }
}
