//! The one table of what can be asked and changed: out of it come the routes of the API, how its fields are read, and what
//! OpenAPI says of them.

use std::collections::BTreeMap;

use symphra_scheduler_core::{nearest, parse_instant};

use super::source::Failed;
use crate::control::{COUNT_MAX, How, Question, RunCursor};
use crate::run::{RunId, RunState};
use crate::schedule::Schedule;
use crate::task::TaskStatus;

/// One thing that can be asked or changed.
pub(super) struct Ask {
    /// Below `api/`.
    pub(super) path: &'static str,
    pub(super) does: Does,
    pub(super) summary: &'static str,
    pub(super) fields: &'static [Field],
    /// The name of the answer's schema.
    pub(super) answer: Shape,
    question: fn(&Given) -> Question,
}

/// Whether it changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    Look,
    Change,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One(&'static str),
    Many(&'static str),
}

/// What a question may say.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) needed: Needed,
    pub(super) says: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needed {
    Yes,
    No,
}

/// What the text of a field has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Instant,
    Run,
    Schedule,
    Status,
    States,
    /// In the list of runs.
    Place,
    Count,
    Flag,
}

const fn needed(name: &'static str, kind: Kind, says: &'static str) -> Field {
    Field { name, kind, needed: Needed::Yes, says }
}

const fn maybe(name: &'static str, kind: Kind, says: &'static str) -> Field {
    Field { name, kind, needed: Needed::No, says }
}

const TASK: Field = needed("task", Kind::Text, "The task's name.");
const OF_TASK: Field = maybe("task", Kind::Text, "Only of this task.");
const ALL: Field = maybe("all", Kind::Flag, "All tasks; instead of `task`.");
const COUNT: Field = maybe("count", Kind::Count, "How many, at most.");
const FROM: Field = maybe("from", Kind::Instant, "Only of this instant or later.");
const TO: Field = maybe("to", Kind::Instant, "Only of this instant or earlier.");
const LETTER: Field = needed("letter", Kind::Run, "The id of the letter's run.");
const RUN: Field = needed("run", Kind::Run, "The run's id.");

/// How many are answered if nobody says.
const COUNT_DEFAULT: usize = 20;

/// All that can be asked and changed.
pub(super) const ASKS: &[Ask] = &[
    Ask {
        path: "tasks",
        does: Does::Look,
        summary: "The tasks",
        fields: &[
            maybe("status", Kind::Status, "Only tasks that stand so."),
            maybe("tag", Kind::Text, "Only tasks with this tag."),
        ],
        answer: Shape::Many("Task"),
        question: |given| Question::List { status: given.text("status"), tag: given.text("tag") },
    },
    Ask {
        path: "task",
        does: Does::Look,
        summary: "One task with what is kept of it",
        fields: &[TASK],
        answer: Shape::One("TaskPage"),
        question: |given| Question::Show { task: given.sure("task") },
    },
    Ask {
        path: "next",
        does: Does::Look,
        summary: "The next occurrences",
        fields: &[OF_TASK, maybe("count", Kind::Count, "How many of each task, at most.")],
        answer: Shape::Many("Next"),
        question: |given| Question::Next { task: given.text("task"), count: given.count(5) },
    },
    Ask {
        path: "runs",
        does: Does::Look,
        summary: "Runs, the newest first",
        fields: &[
            OF_TASK,
            maybe("state", Kind::States, "Only in these states, with commas between them."),
            FROM,
            TO,
            maybe("after", Kind::Place, "Only behind this place in the list: the `next_page` of the page before."),
            COUNT,
        ],
        answer: Shape::Many("Run"),
        question: |given| Question::Runs {
            task: given.text("task"),
            states: given.states(),
            from: given.text("from"),
            to: given.text("to"),
            after: given.text("after"),
            count: given.count(COUNT_DEFAULT),
        },
    },
    Ask {
        path: "run",
        does: Does::Look,
        summary: "One run, with what its last attempt wrote",
        fields: &[RUN],
        answer: Shape::One("RunLog"),
        question: |given| Question::Log { run: given.sure("run") },
    },
    Ask {
        path: "explain",
        does: Does::Look,
        summary: "What became of an instant of a task",
        fields: &[TASK, needed("at", Kind::Instant, "The instant; without an offset it is local to the task's zone.")],
        answer: Shape::One("Explanation"),
        question: |given| Question::Explain { task: given.sure("task"), at: given.sure("at") },
    },
    Ask {
        path: "nodes",
        does: Does::Look,
        summary: "The nodes",
        fields: &[],
        answer: Shape::Many("Node"),
        question: |_| Question::Nodes,
    },
    Ask {
        path: "health",
        does: Does::Look,
        summary: "Whether all is well; the status is 200 either way",
        fields: &[],
        answer: Shape::One("Health"),
        question: |_| Question::Health,
    },
    Ask {
        path: "dead-letters",
        does: Does::Look,
        summary: "Jobs that have failed for good, the last first",
        fields: &[OF_TASK, COUNT],
        answer: Shape::Many("Letter"),
        question: |given| Question::Dead { task: given.text("task"), count: given.count(COUNT_DEFAULT) },
    },
    Ask {
        path: "actions",
        does: Does::Look,
        summary: "What was asked for by commands and here, the last first",
        fields: &[COUNT],
        answer: Shape::Many("Action"),
        question: |given| Question::Actions { count: given.count(COUNT_DEFAULT) },
    },
    Ask {
        path: "preview",
        does: Does::Look,
        summary: "What a backfill would run",
        fields: &[TASK, needed("from", Kind::Instant, "The beginning of the range."), TO, RERUN],
        answer: Shape::One("Backfill"),
        question: |given| given.backfill(How::Preview),
    },
    Ask {
        path: "trigger",
        does: Does::Change,
        summary: "Runs a task now",
        fields: &[TASK],
        answer: Shape::One("Change"),
        question: |given| Question::Trigger { task: given.sure("task") },
    },
    Ask {
        path: "pause",
        does: Does::Change,
        summary: "Pauses a task: what falls due is recorded, and never caught up",
        fields: &[TASK_OR_ALL, ALL, maybe("reason", Kind::Text, "Why, which records tell.")],
        answer: Shape::One("Change"),
        question: |given| Question::Pause { task: given.text("task"), reason: given.text("reason") },
    },
    Ask {
        path: "resume",
        does: Does::Change,
        summary: "Ends the pause of a task",
        fields: &[TASK_OR_ALL, ALL],
        answer: Shape::One("Change"),
        question: |given| Question::Resume { task: given.text("task") },
    },
    Ask {
        path: "reschedule",
        does: Does::Change,
        summary: "Gives a task another schedule, from now on",
        fields: &[
            TASK,
            needed("schedule", Kind::Schedule, "A cron expression, a period such as 1m30s, or an instant."),
        ],
        answer: Shape::One("Change"),
        question: |given| Question::Reschedule { task: given.sure("task"), schedule: given.sure("schedule") },
    },
    Ask {
        path: "backfill",
        does: Does::Change,
        summary: "Runs the occurrences of a range that have no successful run",
        fields: &[TASK, needed("from", Kind::Instant, "The beginning of the range."), TO, RERUN],
        answer: Shape::One("Backfill"),
        question: |given| given.backfill(How::Begin),
    },
    Ask {
        path: "cancel",
        does: Does::Change,
        summary: "Cancels a run",
        fields: &[RUN],
        answer: Shape::One("Change"),
        question: |given| Question::Cancel { run: given.sure("run") },
    },
    Ask {
        path: "run-again",
        does: Does::Change,
        summary: "Enqueues the job of a dead letter again",
        fields: &[LETTER],
        answer: Shape::One("Change"),
        question: |given| Question::RunAgain { letter: given.sure("letter") },
    },
    Ask {
        path: "drop-letter",
        does: Does::Change,
        summary: "Removes a dead letter",
        fields: &[LETTER],
        answer: Shape::One("Change"),
        question: |given| Question::DropLetter { letter: given.sure("letter") },
    },
];

const RERUN: Field = maybe("rerun", Kind::Flag, "Also those that have a successful run.");
const TASK_OR_ALL: Field = maybe("task", Kind::Text, "The task's name; instead of `all`.");

/// The fields of a question, as they were written.
#[derive(Debug, Default)]
pub(super) struct Given(BTreeMap<String, String>);

impl Given {
    /// Of a query or a form: an empty field is one that was not filled in.
    pub(super) fn of(fields: impl IntoIterator<Item = (String, String)>) -> Result<Self, Failed> {
        let mut given = BTreeMap::new();
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            if given.insert(name.clone(), value).is_some() {
                return Err(wrong(format!("{name:?} is given twice; give it once")));
            }
        }
        Ok(Self(given))
    }

    /// The question, if all that is given is possible and all that is needed is given.
    pub(super) fn question(&self, ask: &Ask) -> Result<Question, Failed> {
        for (name, value) in &self.0 {
            match ask.fields.iter().find(|field| field.name == name) {
                Some(field) => field.kind.check(value).map_err(|says| wrong(format!("{name}: {says}")))?,
                None => {
                    let names = || ask.fields.iter().map(|field| field.name);
                    let meant = nearest(name, names()).map(|name| format!("; did you mean \"{name}\"?"));
                    let allowed = names().collect::<Vec<_>>().join(", ");
                    let allowed = if allowed.is_empty() { "nothing".to_owned() } else { allowed };
                    return Err(wrong(format!(
                        "{name:?} is not known here; allowed is {allowed}{}",
                        meant.unwrap_or_default()
                    )));
                }
            }
        }
        for field in ask.fields.iter().filter(|field| field.needed == Needed::Yes) {
            if !self.0.contains_key(field.name) {
                return Err(wrong(format!("{:?} is missing: {}", field.name, field.says)));
            }
        }
        // Who forgets to name a task does not mean all of them.
        if ask.fields.iter().any(|field| field.name == "all") && self.0.contains_key("task") == self.flag("all") {
            return Err(wrong("give \"task\", or \"all\" as true, and not both".to_owned()));
        }
        Ok((ask.question)(self))
    }

    /// Adds what a form leaves unsaid.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    fn sure(&self, name: &str) -> String {
        self.text(name).expect("what is needed was looked for")
    }

    fn flag(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| matches!(&**value, "true" | "on"))
    }

    fn count(&self, otherwise: usize) -> usize {
        self.0.get("count").map_or(otherwise, |count| count.parse().expect("it was checked"))
    }

    fn states(&self) -> Vec<String> {
        self.0.get("state").map_or_else(Vec::new, |states| states.split(',').map(str::to_owned).collect())
    }

    fn backfill(&self, how: How) -> Question {
        let (task, from, to) = (self.sure("task"), self.sure("from"), self.text("to"));
        Question::Backfill { task, from, to, rerun: self.flag("rerun"), how }
    }
}

fn wrong(message: String) -> Failed {
    Failed::new("bad_request", message)
}

impl Kind {
    fn check(self, text: &str) -> Result<(), String> {
        let one_of = |all: &[String], text: &str| match all.iter().any(|one| one == text) {
            true => Ok(()),
            false => Err(format!("{text:?} is not possible; allowed is {}", all.join(", "))),
        };
        match self {
            Self::Text => Ok(()),
            Self::Instant => parse_instant(text).map(drop).map_err(|says| format!("{text:?}: {says}")),
            Self::Run => text.parse::<RunId>().map(drop).map_err(|says| format!("{text:?} is no run: {says}")),
            Self::Schedule => text.parse::<Schedule>().map(drop).map_err(|says| says.to_string()),
            Self::Status => one_of(&statuses(), text),
            Self::States => text.split(',').try_for_each(|state| one_of(&states(), state)),
            Self::Place => text.parse::<RunCursor>().map(drop).map_err(|says| says.to_string()),
            Self::Count => match text.parse::<usize>() {
                Ok(1..=COUNT_MAX) => Ok(()),
                _ => Err(format!("{text:?} is not possible; allowed is 1 to {COUNT_MAX}")),
            },
            Self::Flag => one_of(&["true", "false", "on"].map(str::to_owned), text),
        }
    }
}

pub(super) fn statuses() -> Vec<String> {
    TaskStatus::ALL.map(|status| status.to_string()).to_vec()
}

pub(super) fn states() -> Vec<String> {
    RunState::ALL.map(|state| state.to_string()).to_vec()
}
