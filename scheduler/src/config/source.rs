//! Where settings come from: a file, the environment, or both, with the environment above.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::config::{Map, Value, ValueKind};
use symphra_scheduler_core::nearest;

use super::env::{Environment, NotUtf8};
use super::error::{ConfigError, ConfigProblem};
use super::read::{Reader, Section, Written, in_order, unknown};
use super::settings::{self, FORMER, SCHEDULES};
use super::{BackendConfig, DaemonConfig, Overrides, SchedulerConfig, file};
use crate::logging::LoggingConfig;
use crate::task::{Place, TaskOverride};

/// How every variable begins.
const PREFIX: &str = "SCHEDULER_";

/// How the variables of the Python ancestor begin.
const FORMER_PREFIX: &str = "SYMPHRA_SCHEDULER_";

/// The tables of a file.
const TABLES: [&str; 5] = ["scheduler", "backend", "logging", "daemon", "tasks"];

/// What was read, so that it can be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// One file, and nothing else.
    File(PathBuf),
    /// The environment, and nothing else.
    Environment,
    /// The file that is named or found in the folder, if there is one, and above it the environment.
    Load { folder: PathBuf },
    /// A file, and above it the environment.
    #[cfg(feature = "cli")]
    LoadFrom(PathBuf),
}

impl SchedulerConfig {
    /// Reads `$SCHEDULER_CONFIG`, or else the first of `scheduler.yaml`, `scheduler.yml`, `scheduler.toml` and
    /// `scheduler.json` in the working directory, or else no file; then the environment, which rules over the file. What
    /// is set on the result rules over both.
    ///
    /// ```no_run
    /// use symphra_scheduler::{Scheduler, SchedulerConfig};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), symphra_scheduler::Error> {
    /// let config = SchedulerConfig::load()?.max_workers(20);
    /// Scheduler::from_registry().config(config).run().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] lists everything that is wrong in the file and in the environment.
    pub fn load() -> Result<Self, ConfigError> {
        Origin::Load { folder: PathBuf::new() }.read(&Environment::of_process())
    }

    /// Reads one file, YAML, TOML or JSON by its ending, and nothing of the environment but the variables that the file
    /// names.
    ///
    /// # Errors
    /// [`ConfigError`] lists everything that is wrong in it.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        Origin::File(path.into()).read(&Environment::of_process())
    }

    /// Reads the variables that begin with `SCHEDULER_`, and no file. A variable that is empty says nothing; one that
    /// nearly is a setting is an error, and all others are let be.
    ///
    /// # Errors
    /// [`ConfigError`] lists everything that is wrong in them.
    pub fn from_env() -> Result<Self, ConfigError> {
        Origin::Environment.read(&Environment::of_process())
    }

    /// As [`load`](Self::load), with the file at `path`, if there is one, instead of the one that is named or found; and
    /// whatever is wrong, what is right is read all the same.
    #[cfg(feature = "cli")]
    pub(crate) fn read_what_is_right(path: Option<&Path>) -> Read {
        let origin = match path {
            Some(path) => Origin::LoadFrom(path.into()),
            None => Origin::Load { folder: PathBuf::new() },
        };
        origin.read_what_is_right(&Environment::of_process())
    }

    /// As the functions above, with these variables instead of those of the process.
    #[cfg(feature = "test-util")]
    pub(crate) fn read_with(
        file: Option<PathBuf>,
        variables: impl IntoIterator<Item = (String, Option<String>)>,
    ) -> Result<Self, ConfigError> {
        let origin = file.map_or(Origin::Environment, Origin::File);
        origin.read(&variables.into_iter().collect())
    }

    /// Whether anything was read from a file or the environment.
    pub(crate) fn was_read(&self) -> bool {
        self.origin.is_some()
    }

    /// From what it was read, in words, if it was.
    #[cfg(feature = "cli")]
    pub(crate) fn read_from(&self) -> Option<String> {
        self.origin.as_ref().map(|origin| origin.words(&Environment::of_process()))
    }

    /// These settings with the overrides of tasks as they are written now, below those of the program's code. Nothing else
    /// is changed while a scheduler runs.
    ///
    /// # Errors
    /// Everything that is wrong in what was read, also where it is no override.
    pub(crate) fn read_again(&self) -> Result<Again, ConfigError> {
        let Some(origin) = &self.origin else { return Ok(Again { config: self.clone(), waiting: Vec::new() }) };
        let again = origin.clone().read(&Environment::of_process())?;
        let waiting = self.waiting(&again);
        let overrides = self.overrides.of_code().over(again.overrides);
        Ok(Again { config: Self { overrides, ..self.clone() }, waiting })
    }
}

/// What was read again.
#[derive(Debug)]
pub(crate) struct Again {
    pub(crate) config: SchedulerConfig,
    /// The keys that were changed and count from the next start on.
    pub(crate) waiting: Vec<&'static str>,
}

/// What was read: the settings that are right, and what is wrong beside them.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) config: SchedulerConfig,
    /// The tasks of which something is said that is wrong: nothing of it is laid over them, for what is right of it may
    /// be impossible without the rest.
    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "only `check` goes on with what is right"))]
    pub(crate) set_aside: Vec<String>,
    pub(crate) wrong: Option<ConfigError>,
}

/// What one layer says.
#[derive(Default)]
struct Layer {
    config: SchedulerConfig,
    set_aside: Vec<String>,
}

impl Origin {
    pub(super) fn read(self, variables: &Environment) -> Result<SchedulerConfig, ConfigError> {
        let Read { config, wrong, .. } = self.read_what_is_right(variables);
        wrong.map_or(Ok(config), Err)
    }

    pub(super) fn read_what_is_right(self, variables: &Environment) -> Read {
        let mut problems = Vec::new();
        let file = self.file(variables).unwrap_or_else(|NotUtf8| {
            problems.push(not_utf8("SCHEDULER_CONFIG"));
            None
        });
        let below = file.map_or_else(Layer::default, |path| of_file(&path, variables, &mut problems));
        let above = match self {
            Self::File(_) => Layer::default(),
            _ => of_environment(variables, &mut problems),
        };
        let mut config = above.config.over(below.config);
        // A value that could not be read would make others look wrong.
        if problems.iter().all(|problem| !problem.key().starts_with("backend")) {
            problems.extend(config.backend.problems().into_iter().map(ConfigProblem::of_backend));
        }
        if problems.iter().any(|problem| problem.key().starts_with("backend")) {
            config.backend = BackendConfig::new();
        }
        problems.sort_by(ConfigProblem::in_order);
        let as_read = SchedulerConfig { overrides: Overrides::default(), ..config.clone() };
        Read {
            config: SchedulerConfig { origin: Some(self.made_absolute()), as_read: Some(Arc::new(as_read)), ..config },
            set_aside: below.set_aside,
            wrong: (!problems.is_empty()).then(|| ConfigError::new(problems)),
        }
    }

    /// The file that is read, if there is one.
    fn file(&self, variables: &Environment) -> Result<Option<PathBuf>, NotUtf8> {
        Ok(match self {
            Self::File(path) => Some(path.clone()),
            #[cfg(feature = "cli")]
            Self::LoadFrom(path) => Some(path.clone()),
            Self::Environment => None,
            Self::Load { folder } => match variables.get("SCHEDULER_CONFIG") {
                Some(path) => Some(folder.join(path?)),
                None => file::found_in(folder),
            },
        })
    }

    /// What is read, in words.
    #[cfg(feature = "cli")]
    fn words(&self, variables: &Environment) -> String {
        match (self, self.file(variables)) {
            (Self::File(path), _) => path.display().to_string(),
            (_, Ok(Some(path))) => format!("{} and the environment", path.display()),
            (_, Ok(None) | Err(NotUtf8)) => "the environment".to_owned(),
        }
    }

    /// The same when the working directory is another.
    fn made_absolute(self) -> Self {
        let absolute = |path: PathBuf| match std::env::current_dir() {
            Ok(folder) => folder.join(path),
            Err(_) => path,
        };
        match self {
            Self::File(path) => Self::File(absolute(path)),
            #[cfg(feature = "cli")]
            Self::LoadFrom(path) => Self::LoadFrom(absolute(path)),
            Self::Environment => Self::Environment,
            Self::Load { folder } => Self::Load { folder: absolute(folder) },
        }
    }
}

fn of_file(path: &Path, variables: &Environment, problems: &mut Vec<ConfigProblem>) -> Layer {
    let root = match file::values(path) {
        Ok(root) => root,
        Err(problem) => {
            problems.push(problem);
            return Layer::default();
        }
    };
    let file: Arc<Path> = path.into();
    let mut reader = Reader::of_file(Arc::clone(&file), variables);
    let root = Value::new(None, ValueKind::Table(root));
    let written = Written { key: String::new(), value: &root, place: Place::Line(file, 1) };
    let layer = read_root(&written, &mut reader);
    problems.append(&mut reader.into_problems());
    layer
}

fn read_root(root: &Written<'_>, reader: &mut Reader<'_>) -> Layer {
    let scheduler = settings::scheduler();
    let Layer { mut config, mut set_aside } = Layer::default();
    let entries = reader.table(root).unwrap_or_default();
    let inside: Vec<&str> = (entries.iter())
        .filter(|(key, _)| *key == "scheduler")
        .filter_map(|(_, value)| match &value.kind {
            ValueKind::Table(table) => Some(table.keys().map(String::as_str)),
            _ => None,
        })
        .flatten()
        .collect();
    for (key, value) in entries {
        let written = root.entry(key, value, reader);
        match (key.as_str(), scheduler.get(key)) {
            ("scheduler", _) => config = scheduler.read(&written, reader, config),
            ("backend", _) => {
                let backend = settings::backend::read(&written, reader, BackendConfig::new());
                config = config.backend(backend);
            }
            ("logging", _) => {
                let logging = settings::logging().read(&written, reader, LoggingConfig::new());
                config = config.logging(logging);
            }
            ("daemon", _) => {
                let daemon = settings::daemon().read(&written, reader, DaemonConfig::new());
                config = config.daemon(daemon);
            }
            ("tasks", _) => config = read_tasks(&written, reader, config, &mut set_aside),
            (_, Some(_)) if inside.contains(&key.as_str()) => {
                reader.note(&written.place, key, format!("{key} stands here and under scheduler; keep one of them"));
            }
            (_, Some(setting)) => config = scheduler.read_one(setting, &written, reader, config),
            (_, None) => unknown(&written, key, TABLES.into_iter().chain(scheduler.keys()), FORMER, reader),
        }
    }
    Layer { config, set_aside }
}

fn read_tasks(
    tasks: &Written<'_>,
    reader: &mut Reader<'_>,
    mut config: SchedulerConfig,
    set_aside: &mut Vec<String>,
) -> SchedulerConfig {
    let section = settings::task();
    for (name, value) in reader.table(tasks).unwrap_or_default() {
        let written = tasks.entry(name, value, reader);
        let before = reader.problems();
        one_schedule(&written, reader);
        let mut changed = section.read(&written, reader, TaskOverride::new());
        if reader.problems() > before {
            // The name stays, for it may be that of no task.
            changed = TaskOverride::new();
            set_aside.push(name.clone());
        }
        config = config.task(name, changed.written_at(written.place));
    }
    config
}

/// Notes that more than one key says when a task runs.
fn one_schedule(task: &Written<'_>, reader: &mut Reader<'_>) {
    let ValueKind::Table(table) = &task.value.kind else { return };
    let given: Vec<_> = in_order(table).into_iter().filter(|(key, _)| SCHEDULES.contains(&key.as_str())).collect();
    for (key, value) in given.iter().skip(1) {
        let written = task.entry(key, value, reader);
        let first = given[0].0;
        reader.note(
            &written.place,
            &written.key,
            format!("{} contradicts {first} beside it: a task has one schedule", written.key),
        );
    }
}

fn not_utf8(variable: &str) -> ConfigProblem {
    ConfigProblem::at(Place::Variable(variable.into()), "", "its value is not UTF-8")
}

/// A setting that a variable can say: its table, its key.
fn variables_known() -> Vec<(&'static str, &'static str)> {
    fn of<L>(table: &'static str, section: &Section<L>) -> Vec<(&'static str, &'static str)> {
        section.settings.iter().filter(|setting| setting.is_scalar).map(|setting| (table, setting.key)).collect()
    }
    let mut known = of("scheduler", &settings::scheduler());
    known.extend(of("history", &settings::history()));
    #[cfg(feature = "metrics")]
    known.extend(of("metrics", &settings::metrics()));
    known.extend(of("logging", &settings::logging()));
    known.extend(of("daemon", &settings::daemon()));
    known.extend(of("backend", &settings::backend::backend()));
    known
}

fn variable_name(table: &str, key: &str) -> String {
    let key = key.to_uppercase();
    if table == "scheduler" { format!("{PREFIX}{key}") } else { format!("{PREFIX}{}_{key}", table.to_uppercase()) }
}

/// The variables, brought into the form of a file and read like one.
fn of_environment(variables: &Environment, problems: &mut Vec<ConfigProblem>) -> Layer {
    let mut root: Map<String, Map<String, Value>> = Map::new();
    let known = variables_known();
    for (table, key) in &known {
        let name = variable_name(table, key);
        match variables.get(&name) {
            None => {}
            Some(Err(NotUtf8)) => problems.push(not_utf8(&name)),
            Some(Ok(text)) => {
                let value = Value::new(Some(&name), text);
                root.entry((*table).to_owned()).or_default().insert((*key).to_owned(), value);
            }
        }
    }
    let tables = root.into_iter().map(|(table, values)| (table, Value::new(None, ValueKind::Table(values))));
    let root = Value::new(None, ValueKind::Table(tables.collect()));
    let mut reader = Reader::of_environment(variables);
    let written = Written { key: String::new(), value: &root, place: Place::Variable(PREFIX.into()) };
    let mut layer = read_root(&written, &mut reader);
    problems.append(&mut reader.into_problems());

    match variables.get("SCHEDULER_DISABLE") {
        None => {}
        Some(Err(NotUtf8)) => problems.push(not_utf8("SCHEDULER_DISABLE")),
        Some(Ok(names)) => {
            for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let place = Place::Variable("SCHEDULER_DISABLE".into());
                layer.config = layer.config.task(name, TaskOverride::new().enabled(false).written_at(place));
            }
        }
    }
    nearly_known(variables, &known, problems);
    layer
}

/// Notes variables that look like a setting and are none. Others are let be: a cluster may set variables for a service
/// that is called "scheduler".
fn nearly_known(variables: &Environment, known: &[(&str, &str)], problems: &mut Vec<ConfigProblem>) {
    let mut names: Vec<String> = known.iter().map(|(table, key)| variable_name(table, key)).collect();
    names.extend(["SCHEDULER_CONFIG".to_owned(), "SCHEDULER_DISABLE".to_owned()]);
    let suffixes: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix(PREFIX)).collect();
    for variable in variables.names() {
        let upper = variable.to_uppercase();
        if let Some(key) = upper.strip_prefix(FORMER_PREFIX) {
            let former = FORMER.iter().find(|(former, _)| former.to_uppercase() == key);
            let says = match (former, suffixes.contains(&key)) {
                (Some((_, instead)), _) => format!("it is a name of the Python ancestor; {instead}"),
                (None, true) => format!("it is a name of the Python ancestor; write {PREFIX}{key}"),
                (None, false) => continue,
            };
            problems.push(ConfigProblem::at(Place::Variable(variable.into()), "", says));
            continue;
        }
        let Some(key) = upper.strip_prefix(PREFIX) else { continue };
        if suffixes.contains(&key) && variable == upper {
            continue;
        }
        if let Some(near) = nearest(key, suffixes.iter().copied()) {
            let says = format!("it is no setting; did you mean {PREFIX}{near}?");
            problems.push(ConfigProblem::at(Place::Variable(variable.into()), "", says));
        }
    }
}
