//! Tasks as programs declare them, where they stand, and what operators ask of them.
//!
//! What a timetable that is replaced still owes is worked out here, of a task as the script has shown it; the script compares
//! that with what is there by then, and asks again if something has changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use symphra_scheduler_core::Timestamp;

use super::store::{Failed, Nothing, Store, TOGETHER_MAX, keys};
use super::words::{At, HolderWord, Id, Key, PauseWord, RecordWord, whole};
use crate::TaskName;
use crate::backend::text;
use crate::backend::{
    BackendError, Changes, Command, Holder, Record, Registered, Registration, TaskKey, TaskRules, Unregistration,
};
use crate::schedule::{Delivery, Timetable};

/// How often a task is looked at anew that changes while its timetable is to be replaced.
const LOOKS_MAX: usize = 100;

/// A task as the script shows it.
#[derive(Deserialize)]
struct ViewWord {
    key: Key,
    name: String,
    version: u64,
    mark: At,
    behind: Option<At>,
    anchor: At,
    timetable: String,
    since: At,
    pause: Option<PauseWord>,
    resumed_at: Option<At>,
    last_end: Option<At>,
    alive: Option<Id>,
    latest: Option<String>,
    runs: u64,
    max_runs: Option<u64>,
}

impl ViewWord {
    fn read(self) -> Result<Registered, BackendError> {
        Ok(Registered {
            key: self.key.0,
            version: self.version,
            mark: self.mark.0,
            behind: self.behind.map(|at| at.0),
            anchor: self.anchor.0,
            timetable: text::read_timetable(&self.timetable)?,
            since: self.since.0,
            pause: self.pause.map(PauseWord::read),
            resumed_at: self.resumed_at.map(|at| at.0),
            last_end: self.last_end.map(|at| at.0),
            alive: self.alive.map(|id| id.0),
            latest: self.latest.as_deref().map(text::state).transpose()?,
            runs: self.runs,
            max_runs: self.max_runs,
            run_on_start: false,
            ended: None,
        })
    }
}

/// What a task was like when its next timetable was to count, and what the one before owed then.
#[derive(Serialize)]
struct Replacing {
    seen: Seen,
    #[serde(skip_serializing_if = "Option::is_none")]
    owed: Option<RecordWord>,
    #[serde(skip)]
    ended: Option<Record>,
}

#[derive(Serialize)]
struct Seen {
    at: At,
    mark: At,
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<At>,
    since: At,
    timetable: String,
    runs: u64,
}

impl Replacing {
    fn of(view: ViewWord, now: Timestamp) -> Result<Self, Failed> {
        let name = TaskName::new(&view.name).map_err(|error| BackendError::new("read its rows", error))?;
        let (mark, behind, since, runs) = (view.mark, view.behind, view.since, view.runs);
        let seen = Seen { at: At(now), mark, behind, since, timetable: view.timetable.clone(), runs };
        let ended = view.read()?.owed(&name, now);
        Ok(Self { seen, owed: ended.as_ref().map(RecordWord::of), ended })
    }
}

/// A task to be made known.
#[derive(Serialize)]
struct DeclaredWord<'a> {
    name: &'a str,
    timetable: String,
    is_delay: bool,
    /// Of a task with but one instant: the mark at first sight, if it is past.
    #[serde(skip_serializing_if = "Option::is_none")]
    only: Option<At>,
    at_start: bool,
    /// Up to which version the node reads the arguments of its jobs, if it is a task of jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    reads: Option<u32>,
    rules: RulesWord<'a>,
    #[serde(flatten)]
    replacing: Option<&'a Replacing>,
}

#[derive(Serialize)]
struct RulesWord<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    alive_max: Option<u32>,
    overlap: &'static str,
    at_most_once: bool,
    priority: i8,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_runs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_after: Option<u32>,
    disabled: bool,
    keep_runs: u32,
    keep_failures: u32,
    keep_failures_ms: u64,
}

impl<'a> RulesWord<'a> {
    fn of(rules: &'a TaskRules) -> Self {
        Self {
            alive_max: rules.alive_max,
            overlap: text::overlap(rules.overlap),
            at_most_once: rules.delivery == Delivery::AtMostOnce,
            priority: rules.priority,
            group: rules.group.as_ref().map(|group| &*group.name),
            group_max: rules.group.as_ref().map(|group| group.max),
            max_runs: rules.max_runs.map(whole),
            pause_after: rules.pause_after,
            disabled: rules.disabled,
            keep_runs: rules.retention.runs,
            keep_failures: rules.retention.failures,
            keep_failures_ms: super::words::millis(rules.retention.failures_for),
        }
    }
}

/// The mark of a task that is seen for the first time, if that is earlier than the store's present.
fn only_mark(timetable: &std::sync::Arc<Timetable>) -> Option<At> {
    timetable.only()?;
    let seen = Registered::at_first_sight(TaskKey(0), std::sync::Arc::clone(timetable), Timestamp::MAX);
    Some(At(seen.mark))
}

impl Store {
    pub(super) async fn register(&self, holder: &Holder, tasks: &[Registration]) -> Result<Vec<Registered>, Failed> {
        let mut registered = Vec::with_capacity(tasks.len());
        for some in tasks.chunks(TOGETHER_MAX) {
            registered.extend(self.register_some(holder, some).await?);
        }
        Ok(registered)
    }

    async fn register_some(&self, holder: &Holder, tasks: &[Registration]) -> Result<Vec<Registered>, Failed> {
        #[derive(Serialize)]
        struct Asked<'a> {
            holder: HolderWord<'a>,
            tasks: Vec<DeclaredWord<'a>>,
        }
        #[derive(Deserialize)]
        struct Answered {
            answers: Vec<Answer>,
            now: At,
        }
        #[derive(Deserialize)]
        struct Answer {
            seen: Option<ViewWord>,
            #[serde(default)]
            at_start: bool,
            again: Option<ViewWord>,
        }
        let mut registered: Vec<Option<Registered>> = tasks.iter().map(|_| None).collect();
        let mut replacing: BTreeMap<usize, Replacing> = BTreeMap::new();
        let mut wanted: Vec<usize> = (0..tasks.len()).collect();
        for _ in 0..LOOKS_MAX {
            let words = wanted.iter().map(|&place| {
                let task = &tasks[place];
                DeclaredWord {
                    name: task.name.as_str(),
                    timetable: text::timetable(&task.timetable),
                    is_delay: task.timetable.is_fixed_delay(),
                    only: only_mark(&task.timetable),
                    at_start: task.rules.run_on_start,
                    reads: (task.rules.reads > 0).then_some(task.rules.reads),
                    rules: RulesWord::of(&task.rules),
                    replacing: replacing.get(&place),
                }
            });
            let asked = Asked { holder: HolderWord::of(holder), tasks: words.collect() };
            let answered: Answered = self.call("register", &asked).await?;
            let mut again = Vec::new();
            for (place, answer) in std::mem::take(&mut wanted).into_iter().zip(answered.answers) {
                if let Some(view) = answer.again {
                    replacing.insert(place, Replacing::of(view, answered.now.0)?);
                    again.push(place);
                } else if let Some(view) = answer.seen {
                    let ended = replacing.remove(&place).and_then(|replaced| replaced.ended).map(Box::new);
                    registered[place] = Some(Registered { run_on_start: answer.at_start, ended, ..view.read()? });
                }
            }
            if again.is_empty() {
                return Ok(registered.into_iter().flatten().collect());
            }
            wanted = again;
        }
        Err(busy())
    }

    pub(super) async fn unregister(&self, holder: &Holder, tasks: &[Unregistration]) -> Result<(), Failed> {
        for some in tasks.chunks(TOGETHER_MAX) {
            let given_up = some.iter().map(|task| json!({ "task": Key(task.task), "version": task.version }));
            let asked = json!({ "node": &*holder.node, "tasks": given_up.collect::<Vec<_>>() });
            let _: Nothing = self.call("unregister", &asked).await?;
        }
        Ok(())
    }

    pub(super) async fn look(&self, tasks: &[TaskKey]) -> Result<Vec<Registered>, Failed> {
        #[derive(Deserialize)]
        struct Looked {
            #[serde(default)]
            tasks: Vec<ViewWord>,
        }
        let mut seen = Vec::with_capacity(tasks.len());
        for some in tasks.chunks(TOGETHER_MAX) {
            let looked: Looked = self.call("look", &json!({ "tasks": keys(some) })).await?;
            for view in looked.tasks {
                seen.push(view.read()?);
            }
        }
        Ok(seen)
    }

    pub(super) async fn control(&self, command: &Command) -> Result<Changes, Failed> {
        #[derive(Deserialize)]
        struct Answered {
            again: Option<ViewWord>,
            #[serde(default)]
            version: u64,
            #[serde(default)]
            tasks: Vec<ViewWord>,
            now: At,
        }
        let asked = command_word(command);
        let mut replacing: Option<Replacing> = None;
        for _ in 0..LOOKS_MAX {
            let mut asked = asked.clone();
            if let (Some(replacing), Some(asked)) = (&replacing, asked.as_object_mut())
                && let Value::Object(more) = serde_json::to_value(replacing)?
            {
                asked.extend(more);
            }
            let answered: Answered = self.call("control", &asked).await?;
            if let Some(view) = answered.again {
                replacing = Some(Replacing::of(view, answered.now.0)?);
                continue;
            }
            let is_of_all = matches!(command, Command::Pause { task: None, .. } | Command::Resume { task: None });
            let mut tasks = match is_of_all {
                true => self.look(&self.all_tasks().await?).await?,
                false => answered.tasks.into_iter().map(ViewWord::read).collect::<Result<Vec<_>, _>>()?,
            };
            if let [changed] = &mut tasks[..] {
                changed.ended = replacing.and_then(|replaced| replaced.ended).map(Box::new);
            }
            let runnable = matches!(command, Command::Resume { .. });
            return Ok(Changes { version: answered.version, tasks, runnable, ..Changes::default() });
        }
        Err(busy())
    }
}

/// Somebody was quicker each time.
fn busy() -> Failed {
    Failed::Row(BackendError::new("replace a schedule", format!("its task has changed {LOOKS_MAX} times meanwhile")))
}

fn command_word(command: &Command) -> Value {
    let with = |command: &str, task: Option<TaskKey>| match task {
        Some(task) => json!({ "command": command, "task": Key(task) }),
        None => json!({ "command": command }),
    };
    match command {
        Command::Pause { task, by, reason } => {
            let mut word = with("pause", *task);
            word["by"] = json!(&**by);
            if let Some(reason) = reason {
                word["reason"] = json!(&**reason);
            }
            word
        }
        Command::Resume { task } => with("resume", *task),
        Command::Reschedule { task, timetable } => {
            let mut word = with("reschedule", Some(*task));
            word["timetable"] = text::timetable(timetable).into();
            word["is_delay"] = timetable.is_fixed_delay().into();
            word
        }
        Command::ResetMark { task } => with("reset_mark", Some(*task)),
    }
}
