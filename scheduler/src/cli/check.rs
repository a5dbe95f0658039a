//! Everything that would keep the program from starting, at once and without starting it: `check`.

use serde::Serialize;

use super::Output;
use super::output::Tone;
use crate::config::{ConfigError, ConfigProblem};
use crate::error::{Error, Problem};
use crate::launch::{self, Checked};
use crate::scheduler::Scheduler;
use crate::task::{Place, Source};

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct Findings {
    ok: bool,
    /// How many tasks there are.
    tasks: usize,
    problems: Vec<Found>,
    /// What is possible and perhaps not meant.
    notes: Vec<String>,
}

/// One thing that is wrong.
#[derive(Debug, Default, Serialize)]
struct Found {
    /// `config`, `task`, `duplicate_task`, `missing_state`, `missing_task` or `registry`.
    kind: &'static str,
    message: String,
    task: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    variable: Option<String>,
    key: Option<String>,
}

impl Findings {
    /// Of a program, and of what was read of its configuration. If that is wrong, the program is looked at without it.
    pub(crate) fn of(scheduler: Scheduler, wrong: Option<&ConfigError>) -> Self {
        let tasks = scheduler.declared().0.len();
        let mut findings = Self { ok: false, tasks, problems: Vec::new(), notes: Vec::new() };
        if let Some(error) = wrong {
            findings.problems.extend(error.problems().iter().map(Found::in_configuration));
            findings.notes.push("the tasks were checked without what the configuration says of them".to_owned());
        }
        match scheduler.checked() {
            Ok(checked) => findings.notes.extend(notes(&checked)),
            Err(error) => findings.problems.extend(Found::all(&error)),
        }
        findings.ok = findings.problems.is_empty();
        findings
    }

    pub(crate) const fn is_ok(&self) -> bool {
        self.ok
    }

    pub(crate) fn text(&self, output: &Output) -> String {
        let count = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        let mut lines = Vec::new();
        if self.ok {
            lines.push(format!("{}: {}", output.paint("ok", Tone::Good), count(self.tasks, "task")));
        } else {
            let problems = count(self.problems.len(), "problem");
            lines.push(format!("{} in {}:", output.paint(&problems, Tone::Bad), count(self.tasks, "task")));
        }
        lines.extend(self.problems.iter().map(|found| format!("  - {}", super::output::clean(&found.message))));
        let note = output.paint("note:", Tone::Warning);
        lines.extend(self.notes.iter().map(|says| format!("  {note} {}", super::output::clean(says))));
        lines.join("\n")
    }
}

/// What a start would say, and what does nothing.
fn notes(checked: &Checked) -> Vec<String> {
    let (zone, backend) = (checked.config.zone(), checked.capabilities());
    let mut notes = Vec::new();
    for task in &checked.tasks {
        notes.extend(launch::forgotten_anchor(
            task.name(),
            task.source(),
            task.timetable(zone).period_from_registration(),
            backend,
        ));
        if task.options().disabled {
            notes.push(format!("task \"{}\" ({}) is disabled: what falls due is recorded", task.name(), task.source()));
        }
    }
    notes
}

impl Found {
    fn in_configuration(problem: &ConfigProblem) -> Self {
        Self {
            kind: "config",
            message: problem.to_string(),
            file: problem.file().map(|file| file.display().to_string()),
            line: problem.line(),
            variable: problem.variable().map(str::to_owned),
            key: Some(problem.key().to_owned()).filter(|key| !key.is_empty()),
            ..Self::default()
        }
    }

    fn all(error: &Error) -> Vec<Self> {
        if error.problems().is_empty() {
            return vec![Self { kind: "registry", message: error.to_string(), ..Self::default() }];
        }
        error.problems().iter().map(Self::at_start).collect()
    }

    fn at_start(problem: &Problem) -> Self {
        let found = Self { message: problem.to_string(), ..Self::default() };
        let of = |kind, name: &String| Self {
            kind,
            task: Some(name.clone()),
            message: problem.to_string(),
            ..Self::default()
        };
        match problem {
            Problem::Setting { key, .. } => Self { kind: "config", key: Some((*key).to_owned()), ..found },
            Problem::Name { name, source, .. } | Problem::Task { name, source, .. } => {
                of("task", name).written(*source)
            }
            Problem::MissingState { name, source, .. } => of("missing_state", name).written(*source),
            Problem::Duplicate { name, second, .. } => of("duplicate_task", name).written(*second),
            Problem::Missing { name, .. } => of("missing_task", name),
            Problem::Overridden { name, place, .. } => of("config", name).placed(place.as_ref()),
            Problem::Configured { place, .. } => Self { kind: "config", ..found }.placed(place.as_ref()),
            Problem::DoubledState { .. } => Self { kind: "missing_state", ..found },
            Problem::EmptyRegistry | Problem::NothingLeft => Self { kind: "registry", ..found },
        }
    }

    fn placed(self, place: Option<&Place>) -> Self {
        let (file, line, variable) = match place {
            Some(Place::Line(file, line)) => (Some(file.display().to_string()), Some(*line), None),
            Some(Place::Variable(variable)) => (None, None, Some(variable.to_string())),
            None => (None, None, None),
        };
        Self { file, line, variable, ..self }
    }

    fn written(self, source: Source) -> Self {
        Self { file: Some(source.file().to_owned()), line: Some(source.line()), ..self }
    }
}
