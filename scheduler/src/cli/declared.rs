//! The tasks as the program declares them, with overrides laid over: what can be told when nothing is running.

use symphra_scheduler_core::Timestamp;

use super::args::LiveCommand;
use super::view::{At, NextView, TaskPage, TaskView};
use super::{Failure, Output, text};
use crate::control::INSTANTS_MAX;
use crate::error::Error;
use crate::schedule::Plan;
use crate::scheduler::Scheduler;
use crate::task::Task;

/// The status of a task of which nothing more is known, and of one that would not fire.
const STATUSES: [&str; 2] = ["declared", "disabled"];

/// How many occurrences the page of a task lists.
const PAGE_OCCURRENCES: usize = 5;

/// Prints what `command` asks, if it can be told without a running program. A status can not.
pub(super) fn answer(command: &LiveCommand, scheduler: &Scheduler, output: &Output) -> Option<Result<u8, Failure>> {
    let now = scheduler.now();
    let declared = Declared { tasks: scheduler.overridden(), zone: scheduler.settings().zone(), now };
    match command {
        LiveCommand::List { status: None, tag } => {
            let has_tag = |task: &&Task| tag.as_ref().is_none_or(|tag| task.tag_list().iter().any(|one| one == tag));
            let views: Vec<_> = declared.tasks.iter().filter(has_tag).map(|task| declared.view(task)).collect();
            output.note(NOT_RUNNING);
            output.show(&views, |views, output| text::tasks(views, output));
        }
        LiveCommand::Show { task } => {
            let task = match declared.task(task) {
                Ok(task) => task,
                Err(unknown) => return Some(Err(unknown)),
            };
            let page = TaskPage {
                task: declared.view(task),
                next_occurrences: declared.next(task, PAGE_OCCURRENCES),
                ledger: None,
                records: Vec::new(),
                latest_runs: Vec::new(),
            };
            output.note(NOT_RUNNING);
            output.show(&page, text::page);
        }
        LiveCommand::Next { task, count } => {
            let tasks = match task.as_ref().map(|name| declared.task(name)).transpose() {
                Ok(task) => task.map_or_else(|| declared.tasks.iter().collect(), |task| vec![task]),
                Err(unknown) => return Some(Err(unknown)),
            };
            let of_each = (INSTANTS_MAX / tasks.len().max(1)).max(1);
            let count = usize::try_from(*count).unwrap_or(usize::MAX).min(of_each);
            let views: Vec<_> = tasks.into_iter().map(|task| declared.next_view(task, count)).collect();
            output.note(NOT_RUNNING);
            output.show(&views, |views, output| text::next(views, output));
        }
        _ => return None,
    }
    Some(Ok(0))
}

const NOT_RUNNING: &str = "the program is not running; this is what it declares";

/// The tasks by name, seen from a moment.
struct Declared {
    tasks: Vec<Task>,
    zone: chrono_tz::Tz,
    now: Timestamp,
}

impl Declared {
    fn task(&self, name: &str) -> Result<&Task, Failure> {
        let known = self.tasks.iter().map(Task::name);
        let found = self.tasks.iter().find(|task| task.name() == name);
        found.ok_or_else(|| Error::unknown_task(name, symphra_scheduler_core::nearest(name, known)).into())
    }

    /// The next occurrences, as if the program were registered for the first time now.
    fn next(&self, task: &Task, count: usize) -> Vec<At> {
        if task.options().disabled {
            return Vec::new();
        }
        let timetable = task.timetable(self.zone);
        let zone = timetable.zone;
        let plan = Plan::new(timetable.into(), task.name(), self.now, Timestamp::MIN);
        let next = std::iter::successors(plan.next(self.now), |&at| plan.next(at));
        next.take(count).map(|at| At::new(at, zone)).collect()
    }

    fn next_view(&self, task: &Task, count: usize) -> NextView {
        NextView {
            task: task.name().to_owned(),
            schedule: task.schedule().describe(),
            timezone: task.timetable(self.zone).zone.to_string(),
            next: self.next(task, count),
        }
    }

    fn view(&self, task: &Task) -> TaskView {
        let options = task.options();
        TaskView {
            name: task.name().to_owned(),
            schedule: task.schedule().describe(),
            schedule_zh: task.schedule().describe_in(symphra_scheduler_core::Language::Chinese),
            timezone: task.timetable(self.zone).zone.to_string(),
            status: STATUSES[usize::from(options.disabled)].to_owned(),
            next: self.next(task, 1).pop(),
            pause: None,
            tags: options.tags.iter().map(ToString::to_string).collect(),
            metadata: options.metadata.shown().map(|(key, value)| (key.to_owned(), value.into_owned())).collect(),
            priority: options.priority,
            source: task.source().to_string(),
            running: 0,
            total_runs: Some(0),
            successful_runs: Some(0),
            failed_runs: Some(0),
        }
    }
}
