//! What a running scheduler answers to each question.

pub(super) mod backfill;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use serde::Serialize;
use symphra_scheduler_core::{TZDB_VERSION, Timestamp, format_duration, parse_instant};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::day::{Day, DayView};
use super::noted::Noted;
use super::view::{
    ActionView, At, BackfillView, ChangeView, ExplanationView, HealthView, LedgerView, LetterView, LogView, NextView,
    NodeView, RecordView, RunView, TaskPage, TaskView, runs_page,
};
use super::{Answer, How, Question, kind_of};
use crate::backend::{BackendError, NodeRow, Presence, RunCursor, RunCursorError};
use crate::error::Error;
use crate::handle::{LetterFilter, Run, RunFilter, SchedulerHandle};
use crate::logging::Entry;
use crate::run::{RunId, RunState};
use crate::schedule::{Moment, Schedule};

/// How many of its runs and occurrences the page of a task shows.
pub(crate) const ON_PAGE: usize = 5;

/// Who asks, for the records of a pause and for the log.
#[derive(Clone, Debug)]
pub(crate) struct Actor(Arc<str>);

impl Actor {
    pub(crate) fn named(name: Arc<str>) -> Self {
        Self(name)
    }

    pub(crate) fn name(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

/// How long the store may say nothing before a command is told so. Shorter than the command waits.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// Answers one question: within [`ANSWER_PATIENCE`], unless it waits for runs.
pub(crate) async fn answer(
    handle: &SchedulerHandle,
    question: Question,
    actor: &Actor,
    progress: mpsc::Sender<(usize, usize)>,
) -> Answer {
    let noted = Noted::of(&question);
    let answered = match question {
        Question::Backfill { task, from, to, rerun, how: How::Wait } => {
            waited(handle, (task, from, to, rerun), (actor, noted), &progress).await.map(|view| json(&view))
        }
        question => noting(handle, (actor, noted), in_time(done(handle, question, actor))).await,
    };
    match answered {
        Ok(value) => Answer::Done(value),
        Err(error) => Answer::failed(kind_of(&error), format!("{error:?}")),
    }
}

async fn waited(
    handle: &SchedulerHandle,
    (task, from, to, rerun): (String, String, Option<String>, bool),
    (actor, noted): (&Actor, Option<Noted>),
    progress: &mpsc::Sender<(usize, usize)>,
) -> Result<BackfillView, Error> {
    // Listened to before anything begins, so that no end is missed.
    let events = handle.events();
    let beginning = in_time(async {
        let asked = backfill::Asked::of(handle, task, &from, to.as_deref(), rerun)?;
        asked.begun(handle, actor).await
    });
    // Who waits may go before the last of its runs has ended.
    let begun = noting(handle, (actor, noted), beginning).await?;
    begun.ended(handle, events, progress).await
}

/// What `asked` comes to, once the store keeps that it was asked for.
async fn noting<T>(
    handle: &SchedulerHandle,
    (actor, noted): (&Actor, Option<Noted>),
    asked: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let answered = asked.await;
    let outcome = answered.as_ref().map(drop).map_err(|error| format!("{error:?}"));
    if let Some(noted) = noted
        && let Err(error) = noted.keep(handle.store(), actor, outcome).await
    {
        handle.logger().write(Entry::ControlNotNoted { actor: &actor.0, error: &Error::from(error) });
    }
    answered
}

/// What `asked` comes to, unless the store says nothing: then nobody has to wait for ever, and others get an answer.
async fn in_time<T>(asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(ANSWER_PATIENCE, asked).await.unwrap_or_else(|_| {
        let says = format!(
            "it has said nothing for {}, and whether it has done what was asked is not known",
            format_duration(ANSWER_PATIENCE),
        );
        Err(BackendError::new("answer in time", says).into())
    })
}

/// The most occurrences of a task, and the most runs, that one question is answered with: what a person looks through.
pub(crate) const COUNT_MAX: usize = 1_000;

/// The most occurrences that one answer holds, whatever was asked.
pub(crate) const INSTANTS_MAX: usize = 100_000;

async fn done(handle: &SchedulerHandle, question: Question, actor: &Actor) -> Result<serde_json::Value, Error> {
    Ok(match question {
        Question::List { status, tag } => json(&listed(handle, status.as_deref(), tag.as_deref())),
        Question::Find(search) => json(&search.among(handle.list_tasks())),
        Question::Show { task } => json(&page(handle, &task).await?),
        Question::Next { task, count } => json(&next(handle, task.as_deref(), count).await?),
        Question::Day { page } => json(&day(handle, page).await),
        Question::Runs { task, states, from, to, after, count } => {
            let zone = zone_of(handle, task.as_deref())?;
            let mut filter = RunFilter::new().limit(count.min(COUNT_MAX));
            if let Some(task) = task {
                filter = filter.task(task);
            }
            for state in RunState::ALL.into_iter().filter(|state| states.contains(&state.to_string())) {
                filter = filter.state(state);
            }
            if let Some(from) = from {
                filter = filter.from(instant(&from, zone)?);
            }
            if let Some(to) = to {
                filter = filter.to(instant(&to, zone)?);
            }
            if let Some(after) = after {
                filter = filter.after(cursor(&after)?);
            }
            let page = handle.runs_page(&filter).await?;
            json(&runs_page(page.runs.iter().map(|run| run_view(handle, run)).collect(), page.next))
        }
        Question::Dead { task, count } => {
            let filter = LetterFilter::new().limit(count.min(COUNT_MAX));
            let filter = task.into_iter().fold(filter, LetterFilter::task);
            let letters = handle.dead_letters(&filter).await?;
            json(&letters.iter().map(|letter| LetterView::of(letter, handle.zone())).collect::<Vec<_>>())
        }
        Question::Actions { count } => {
            let actions = handle.actions(count.min(COUNT_MAX)).await?;
            json(&actions.iter().map(|action| ActionView::of(action, handle.zone())).collect::<Vec<_>>())
        }
        Question::Log { run } => {
            let id = run_id(&run)?;
            let found = handle.runs(&RunFilter::new().id(id)).await?;
            let run = found.first().ok_or_else(|| no_run(id))?;
            json(&LogView::of(run_view(handle, run), handle.run_log(id).await?))
        }
        Question::Explain { task, at } => json(&explained(handle, task, &at).await?),
        Question::Nodes => json(&nodes(handle).await?),
        Question::Health => json(&HealthView::of(&handle.health(), handle.zone())),
        Question::Backfill { task, from, to, rerun, how } => {
            let asked = backfill::Asked::of(handle, task, &from, to.as_deref(), rerun)?;
            match how {
                How::Preview => json(&asked.preview(handle).await?),
                How::Begin | How::Wait => json(&asked.begun(handle, actor).await?.view),
            }
        }
        change => {
            handle.logger().write(Entry::ControlAsked { actor: &actor.0, change: &format!("{change:?}") });
            json(&changed(handle, change, actor).await?)
        }
    })
}

/// The id in a question.
pub(super) fn run_id(text: &str) -> Result<RunId, Error> {
    text.parse().map_err(|error| Error::refused(format!("{text:?} is no run: {error}")))
}

/// The place in a question.
pub(super) fn cursor(text: &str) -> Result<RunCursor, Error> {
    text.parse().map_err(|error: RunCursorError| Error::refused(error.to_string()))
}

pub(super) fn no_run(id: RunId) -> Error {
    Error::unknown_run(format!("there is no run {id}, or it is older than what is kept"))
}

pub(super) fn json<T: Serialize>(value: &T) -> serde_json::Value {
    serde_json::to_value(value).expect("a view has string keys and no value that JSON lacks")
}

async fn changed(handle: &SchedulerHandle, change: Question, actor: &Actor) -> Result<ChangeView, Error> {
    let view = |task: Option<String>, done: &str| ChangeView {
        task,
        done: done.to_owned(),
        run: None,
        schedule: None,
        next: None,
    };
    Ok(match change {
        Question::Trigger { task } => {
            let run = handle.trigger_task(&task).await?;
            ChangeView { run: Some(run.to_string()), ..view(Some(task), "triggered") }
        }
        Question::Pause { task, reason } => {
            handle.pause_as(Arc::clone(&actor.0), task.as_deref(), reason.map(Arc::from)).await?;
            view(task, "paused")
        }
        Question::Resume { task } => {
            let next = match &task {
                Some(task) => {
                    handle.resume_task(task).await?;
                    next_of(handle, task)
                }
                None => {
                    handle.resume_all().await?;
                    None
                }
            };
            ChangeView { next, ..view(task, "resumed") }
        }
        Question::Reschedule { task, schedule } => {
            let schedule: Schedule = schedule.parse().map_err(|error| Error::refused(format!("{error}")))?;
            handle.reschedule(&task, schedule).await?;
            let next = next_of(handle, &task);
            ChangeView { schedule: Some(schedule.describe()), next, ..view(Some(task), "rescheduled") }
        }
        Question::Cancel { run } => {
            let id = run_id(&run)?;
            handle.cancel_run(id).await?;
            ChangeView { run: Some(run), ..view(None, "cancelled") }
        }
        Question::RunAgain { letter } => {
            let (done, run) = handle.again(run_id(&letter)?).await?.told();
            ChangeView { run: Some(run.to_string()), ..view(None, done) }
        }
        Question::DropLetter { letter } => {
            handle.drop_letter(run_id(&letter)?).await?;
            ChangeView { run: Some(letter), ..view(None, "dropped") }
        }
        Question::Reset { task } => {
            handle.reset_mark(&task).await?;
            view(Some(task), "reset")
        }
        other => return Err(Error::refused(format!("{other:?} changes nothing"))),
    })
}

fn next_of(handle: &SchedulerHandle, task: &str) -> Option<At> {
    let task = handle.task(task).ok()?;
    task.next.map(|next| At::new(next.into(), task.timezone))
}

/// The zone in which the instants of a task are read; without a task, that of the scheduler.
fn zone_of(handle: &SchedulerHandle, task: Option<&str>) -> Result<Tz, Error> {
    match task.map(|task| handle.task(task)) {
        Some(Ok(task)) => Ok(task.timezone),
        // A task that was unregistered still has runs.
        Some(Err(error)) if !error.is_unknown_task() => Err(error),
        _ => Ok(handle.zone()),
    }
}

/// The instant that is written; without an offset it is local to `zone`.
pub(super) fn instant(text: &str, zone: Tz) -> Result<Timestamp, Error> {
    let written = parse_instant(text).map_err(|says| Error::refused(format!("{text:?}: {says}")))?;
    Ok(Moment::from(written).resolve(zone))
}

fn listed(handle: &SchedulerHandle, status: Option<&str>, tag: Option<&str>) -> Vec<TaskView> {
    let mut tasks = handle.list_tasks();
    tasks.retain(|task| {
        status.is_none_or(|status| task.status.to_string() == status)
            && tag.is_none_or(|tag| task.tags.iter().any(|known| known == tag))
    });
    tasks.into_iter().map(TaskView::of).collect()
}

async fn page(handle: &SchedulerHandle, task: &str) -> Result<TaskPage, Error> {
    let info = handle.task(task)?;
    let zone = info.timezone;
    let next = handle.next_occurrences(task, ON_PAGE)?;
    let records = handle.records(task).await?;
    let runs = handle.runs(&RunFilter::new().task(task).limit(ON_PAGE)).await?;
    Ok(TaskPage {
        task: TaskView::of(info),
        next_occurrences: next.into_iter().map(|at| At::new(at.into(), zone)).collect(),
        ledger: Some(LedgerView::of(handle.ledger(task).await?)),
        records: records.into_iter().map(|record| RecordView::of(record, zone)).collect(),
        latest_runs: runs.iter().map(|run| run_view(handle, run)).collect(),
    })
}

/// The next occurrences of a task or of all: fewer of each where there are many tasks.
async fn next(handle: &SchedulerHandle, task: Option<&str>, count: usize) -> Result<Vec<NextView>, Error> {
    let tasks = match task {
        Some(task) => vec![handle.task(task)?],
        None => handle.list_tasks(),
    };
    let count = count.min(COUNT_MAX).min((INSTANTS_MAX / tasks.len().max(1)).max(1));
    let mut views = Vec::with_capacity(tasks.len());
    for task in tasks {
        let next = match handle.next_occurrences(task.name.as_str(), count) {
            Ok(next) => next,
            // It was unregistered just now.
            Err(error) if error.is_unknown_task() => continue,
            Err(error) => return Err(error),
        };
        // Others have their turn between two tasks.
        tokio::task::yield_now().await;
        views.push(NextView {
            task: task.name.to_string(),
            schedule: task.schedule.describe(),
            timezone: task.timezone.to_string(),
            next: next.into_iter().map(|at| At::new(at.into(), task.timezone)).collect(),
        });
    }
    Ok(views)
}

async fn day(handle: &SchedulerHandle, page: usize) -> DayView {
    let (now, tasks) = (handle.now(), handle.live_tasks());
    let mut day = Day::new(now, tasks.len());
    for task in tasks {
        day.add(task.name.as_str(), &task.instants(now, day.end(), day.of_each()));
        // Others have their turn between two tasks.
        tokio::task::yield_now().await;
    }
    day.view(page)
}

fn run_view(handle: &SchedulerHandle, run: &Run) -> RunView {
    RunView::of(run, handle.task(run.task.as_str()).map_or_else(|_| handle.zone(), |task| task.timezone))
}

async fn explained(handle: &SchedulerHandle, task: String, text: &str) -> Result<ExplanationView, Error> {
    let zone = handle.task(&task)?.timezone;
    let at = instant(text, zone)?;
    let explanation = handle.explain(&task, at).await?;
    Ok(ExplanationView::of(task, at, explanation, zone))
}

/// The nodes of the store: of this one more is known.
async fn nodes(handle: &SchedulerHandle) -> Result<Vec<NodeView>, Error> {
    let (own, zone) = (node(handle), handle.zone());
    let view = |row: &NodeRow| match row.node == *handle.name_in_store() {
        true => NodeView { presence: row.presence.to_string(), held_runs: row.held, ..own.clone() },
        false => NodeView::of(row, &own.backend, zone),
    };
    Ok(handle.nodes().await?.iter().map(view).collect())
}

fn node(handle: &SchedulerHandle) -> NodeView {
    let stats = handle.stats();
    NodeView {
        node: stats.node.to_string(),
        presence: Presence::Alive.to_string(),
        seen_at: None,
        held_runs: 0,
        backend: stats.backend.to_owned(),
        pid: Some(std::process::id()),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        tzdb: Some(TZDB_VERSION.to_owned()),
        uptime_seconds: Some(stats.uptime.as_secs()),
        tasks: Some(stats.tasks),
        active_workers: Some(stats.active_workers),
        max_workers: Some(stats.max_workers),
        queued_runs: Some(stats.queued_runs),
        queue_size: Some(stats.queue_size),
        ledger: Some(LedgerView::of(stats.ledger)),
    }
}
