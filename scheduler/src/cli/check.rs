//! Everything that would keep the program from starting, at once and without starting it: `check`.

use std::time::Duration;

use serde::Serialize;
use symphra_scheduler_core::format_duration;

use super::Output;
use super::output::Tone;
use crate::backend::is_behind;
use crate::clock::Clock;
use crate::config::{BackendConfig, ConfigError, ConfigProblem, SchedulerConfig};
use crate::control::Server;
use crate::daemon::{self, Hindrance, Weight};
use crate::error::{Error, Problem};
use crate::launch::{self, Checked};
#[cfg(feature = "logging")]
use crate::logging;
use crate::migrate::Migrate;
use crate::scheduler::Scheduler;
use crate::task::{Place, Source};

/// How long a store is waited for.
const STORE_MAX: Duration = Duration::from_secs(15);

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
    /// `config`, `file`, `task`, `duplicate_task`, `missing_state`, `missing_task`, `unsupported` or `registry`.
    kind: &'static str,
    message: String,
    task: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    variable: Option<String>,
    key: Option<String>,
}

impl Findings {
    /// Of the program `name`, over which what is right in its configuration was laid; of what is `wrong` in that; and of
    /// the tasks of which therefore nothing was heeded.
    pub(crate) async fn of(
        scheduler: Scheduler,
        name: &str,
        wrong: Option<&ConfigError>,
        set_aside: &[String],
    ) -> Self {
        let tasks = scheduler.declared().0.len();
        let mut findings = Self { ok: false, tasks, problems: Vec::new(), notes: Vec::new() };
        let wrong = wrong.map_or(&[][..], ConfigError::problems);
        findings.problems.extend(wrong.iter().map(Found::in_configuration));
        if wrong.iter().any(|problem| problem.file().is_some() && problem.key().is_empty()) {
            findings.notes.push("all else was checked without what the file says, which cannot be read".to_owned());
        }
        findings.notes.extend(set_aside.iter().map(|task| {
            format!("task \"{task}\" was checked without what the configuration says of it, where something is wrong")
        }));
        let settings = scheduler.settings().clone();
        let has_own_backend = scheduler.set_backend().is_some();
        match scheduler.checked() {
            Ok(checked) => findings.notes.extend(notes(&checked)),
            Err(error) => findings.problems.extend(Found::all(error)),
        }
        findings.look_at_files(name, &settings);
        if !has_own_backend {
            findings.look_at_store(&settings.backend).await;
        }
        findings.ok = findings.problems.is_empty();
        findings
    }

    fn look_at_files(&mut self, name: &str, settings: &SchedulerConfig) {
        #[cfg(feature = "logging")]
        if let Some(error) = logging::hindrance(&settings.logging) {
            self.problems.push(Found::of_file("logging.file", format!("{error:?}")));
        }
        for Hindrance { key, says, weight } in daemon::hindrances(&settings.daemon) {
            match weight {
                Weight::Problem => self.problems.push(Found::of_file(key, says)),
                Weight::Note => self.notes.push(format!("as a daemon it would not start: {says}")),
            }
        }
        if let Some(error) = Server::hindrance(name) {
            self.notes.push(format!("commands would not reach it while it runs: {error}"));
        }
    }

    /// Whether the store that the settings name could be had: it is opened as by a program that may make no tables.
    async fn look_at_store(&mut self, settings: &BackendConfig) {
        if !settings.is_durable() || !settings.problems().is_empty() {
            return;
        }
        let looked_at = settings.clone().migrate(Migrate::Check);
        let opening = tokio::time::timeout(STORE_MAX, launch::open(&looked_at, &Clock::System));
        let says = match opening.await {
            Ok(Ok(_)) => return,
            // Its tables would be made, if there is a place for them, or brought up to date.
            Ok(Err(error)) if is_behind(&error) && settings.migration() == Migrate::Auto => {
                match settings.missing_folder() {
                    Some(folder) => format!("there is no folder {} for its file; make it", folder.display()),
                    None => return,
                }
            }
            Ok(Err(error)) => format!("{error:?}"),
            Err(_) => format!("{} does not answer within {}", settings.place(), format_duration(STORE_MAX)),
        };
        self.problems.push(Found::of_file("backend", says));
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

    /// A file or a folder that could not be had at start.
    fn of_file(key: &str, says: String) -> Self {
        Self { kind: "file", message: format!("{key}: {says}"), key: Some(key.to_owned()), ..Self::default() }
    }

    fn all(error: Error) -> Vec<Self> {
        let message = error.to_string();
        let found: Vec<Self> = error.into_problems().iter().map(Self::at_start).collect();
        if found.is_empty() { vec![Self { kind: "registry", message, ..Self::default() }] } else { found }
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
            Problem::Configuration(problem) => Self::in_configuration(problem),
            Problem::Setting { key, .. } => Self { kind: "config", key: Some((*key).to_owned()), ..found },
            Problem::Name { name, source, .. } | Problem::Task { name, source, .. } => {
                of("task", name).written(*source)
            }
            Problem::MissingState { name, source, .. } => of("missing_state", name).written(*source),
            Problem::Unsupported { name, source, .. } => of("unsupported", name).written(*source),
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
