//! The builder of a scheduler: tasks, settings and a backend, checked together at start.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

#[cfg(feature = "cli")]
use symphra_scheduler_core::Timestamp;

use crate::StopReport;
use crate::backend::Backend;
#[cfg(any(test, feature = "test-util"))]
use crate::backend::MemoryBackend;
use crate::clock::Clock;
#[cfg(feature = "cli")]
use crate::config::ConfigError;
use crate::config::SchedulerConfig;
use crate::error::{Error, Problem};
#[cfg(any(test, feature = "test-util"))]
use crate::events::Recorder;
use crate::events::Teller;
use crate::executor::Provided;
use crate::foreground;
use crate::handle::SchedulerHandle;
use crate::launch::{Checked, launch};
use crate::logging::{Logger, LoggerAdapter};
use crate::registry;
use crate::task::{Task, TaskName};

/// A scheduler that has not started: tasks, settings, a backend.
///
/// ```no_run,standalone_crate
/// use symphra_scheduler::{Scheduler, interval};
///
/// #[interval(seconds = 10)]
/// async fn health_check() {
///     println!("ok");
/// }
///
/// #[tokio::main]
/// async fn main() -> Result<(), symphra_scheduler::Error> {
///     Scheduler::from_registry().run().await
/// }
/// ```
#[derive(Debug)]
#[must_use = "a scheduler does nothing until it is started"]
pub struct Scheduler(Box<Parts>);

#[derive(Debug)]
struct Parts {
    tasks: Vec<Task>,
    registry: Registry,
    expected: Vec<String>,
    /// The names of tasks that a filter has taken out: a configuration may still speak of them.
    filtered: Vec<String>,
    config: SchedulerConfig,
    backend: Option<Arc<dyn Backend>>,
    provided: Provided,
    teller: Teller,
    logger: Logger,
    clock: Clock,
    /// Under which name commands find it, if they may.
    #[cfg(feature = "cli")]
    control: Option<String>,
}

/// What the registry had to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registry {
    NotAsked,
    Empty,
    HasTasks,
}

impl Scheduler {
    /// A scheduler of all tasks that are linked into this program: every function with a task attribute.
    ///
    /// A crate whose items nobody mentions is not linked; name it with [`link_tasks!`](crate::link_tasks). If there is
    /// no task at all, start says so.
    pub fn from_registry() -> Self {
        let tasks = registry::linked_tasks();
        let registry = if tasks.is_empty() { Registry::Empty } else { Registry::HasTasks };
        Self::of(tasks, registry)
    }

    /// A scheduler without tasks, to be given by [`register`](Self::register).
    pub fn empty() -> Self {
        Self::of(Vec::new(), Registry::NotAsked)
    }

    fn of(tasks: Vec<Task>, registry: Registry) -> Self {
        Self(Box::new(Parts {
            tasks,
            registry,
            expected: Vec::new(),
            filtered: Vec::new(),
            config: SchedulerConfig::default(),
            backend: None,
            provided: Provided::default(),
            teller: Teller::default(),
            logger: Logger::default(),
            clock: Clock::default(),
            #[cfg(feature = "cli")]
            control: None,
        }))
    }

    /// The settings. Default: [`SchedulerConfig::default`].
    pub fn config(mut self, config: SchedulerConfig) -> Self {
        self.0.config = config;
        self
    }

    /// Where marks, runs and records are kept, opened by the program. Default: what the settings name
    /// ([`SchedulerConfig::backend`]), which is opened at start; a new [`MemoryBackend`](crate::MemoryBackend) if they name
    /// nothing.
    pub fn backend(mut self, backend: impl Backend) -> Self {
        self.0.backend = Some(Arc::new(backend));
        self
    }

    /// Provides a value to tasks that take a [`State<T>`](crate::State) of its type: a pool, a client, a configuration.
    /// All runs share it; it need not be `Clone`. Two values of one type are an error at start, and so is a type that a
    /// task needs and nobody provides.
    ///
    /// A task that takes what nobody provides keeps the scheduler from starting:
    ///
    /// ```
    /// use symphra_scheduler::{Schedule, Scheduler, State, Task};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let greet = Task::new("greet", Schedule::cron("0 9 * * *")?, |shop: State<String>| async move {
    ///     println!("good morning, {}", *shop);
    /// });
    /// let error = Scheduler::empty().register(greet.clone()).start().await.unwrap_err();
    /// assert!(error.is_missing_state());
    /// let scheduler = Scheduler::empty().register(greet).state(String::from("Corner Shop")).start().await?;
    /// # scheduler.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.0.provided.add(value);
        self
    }

    /// Has the engine's own events go to `adapter` and not to `tracing`. The span of a run, and what its body logs, are
    /// `tracing`'s all the same.
    pub fn logger(mut self, adapter: impl LoggerAdapter) -> Self {
        self.0.logger = Logger::with_adapter(adapter);
        self
    }

    /// Adds a task that is built at run time.
    pub fn register(mut self, task: Task) -> Self {
        self.0.tasks.push(task);
        self
    }

    /// Keeps only the tasks for which `keep` is true; those registered later are not asked about.
    ///
    /// ```
    /// use symphra_scheduler::Scheduler;
    ///
    /// // This program runs what belongs to billing, whatever else it is linked with.
    /// let scheduler = Scheduler::from_registry().filter(|task| task.tag_list().iter().any(|tag| tag == "billing"));
    /// ```
    pub fn filter(mut self, mut keep: impl FnMut(&Task) -> bool) -> Self {
        let filtered = &mut self.0.filtered;
        self.0.tasks.retain(|task| {
            let keeps = keep(task);
            if !keeps {
                filtered.push(task.name().to_owned());
            }
            keeps
        });
        self
    }

    /// Tasks that must be registered: a missing one is an error at start.
    ///
    /// ```
    /// use symphra_scheduler::Scheduler;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let error = Scheduler::empty().expect_tasks(["report"]).start().await.unwrap_err();
    /// assert!(error.to_string().contains("report"), "{error}");
    /// # }
    /// ```
    pub fn expect_tasks<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.0.expected.extend(names.into_iter().map(Into::into));
        self
    }

    /// The tasks before any override, the names of those that a filter took out, and the settings.
    #[cfg(feature = "config")]
    pub(crate) fn declared(&self) -> (&[Task], &[String], &SchedulerConfig) {
        (&self.0.tasks, &self.0.filtered, &self.0.config)
    }

    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn clock(mut self, clock: Clock) -> Self {
        self.0.clock = clock;
        self
    }

    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn recorder(mut self, recorder: Recorder) -> Self {
        self.0.teller = Teller::recording(recorder);
        self
    }

    /// For the test kit: its store, unless the program has set one.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn backend_unless_set(mut self, backend: MemoryBackend) -> Self {
        self.0.backend.get_or_insert_with(|| Arc::new(backend));
        self
    }

    /// What the test kit or a restart changes of the settings, on top of what the program has set.
    #[cfg(any(test, feature = "test-util", feature = "daemon"))]
    pub(crate) fn adjust(mut self, adjust: impl FnOnce(SchedulerConfig) -> SchedulerConfig) -> Self {
        self.0.config = adjust(self.0.config);
        self
    }

    /// The tasks and the settings, if nothing keeps the scheduler from starting.
    #[cfg(any(test, feature = "test-util", feature = "cli"))]
    pub(crate) fn checked(self) -> Result<Checked, Error> {
        self.0.checked()
    }

    /// Has it opened to commands under this name while it runs in the foreground or as a daemon. Only the command line asks
    /// for that, so that enabling its feature changes no program.
    #[cfg(feature = "cli")]
    pub(crate) fn controlled(mut self, name: String) -> Self {
        self.0.control = Some(name);
        self
    }

    #[cfg(feature = "cli")]
    pub(crate) fn control_name(&self) -> Option<&str> {
        self.0.control.as_deref()
    }

    /// The backend that the program has opened itself.
    #[cfg(feature = "cli")]
    pub(crate) fn set_backend(&self) -> Option<Arc<dyn Backend>> {
        self.0.backend.clone()
    }

    /// The backend that it would start on, by name.
    #[cfg(feature = "cli")]
    pub(crate) fn backend_name(&self) -> &'static str {
        self.0.backend.as_ref().map_or_else(|| self.0.config.backend.kind().name(), |backend| backend.name())
    }

    /// The tasks with what the configuration says of them, whatever is wrong with them.
    #[cfg(feature = "cli")]
    pub(crate) fn overridden(&self) -> Vec<Task> {
        self.0.config.overrides().laid_over(self.0.tasks.clone())
    }

    /// What its clock says.
    #[cfg(feature = "cli")]
    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    #[cfg(any(feature = "daemon", feature = "logging"))]
    pub(crate) fn settings(&self) -> &SchedulerConfig {
        &self.0.config
    }

    /// What keeps it from starting, without starting it.
    #[cfg(any(feature = "daemon", feature = "logging"))]
    pub(crate) fn check(&self) -> Result<(), Error> {
        let tasks = self.0.config.overrides().laid_over(self.0.tasks.clone());
        self.0.named(&tasks).map(drop)
    }

    /// What is wrong in its configuration, and all else that keeps it from starting.
    #[cfg(feature = "cli")]
    pub(crate) fn refused(&self, wrong: ConfigError) -> Error {
        Error::start_and_configuration(wrong, self.check().err().map_or_else(Vec::new, Error::into_problems))
    }

    /// Starts the scheduler inside the present tokio runtime, and returns once its tasks are registered.
    ///
    /// The scheduler runs until [`stop`](SchedulerHandle::stop) or the end of the runtime; dropping the handle changes
    /// nothing. It touches neither signals nor the global log subscriber.
    ///
    /// All that is wrong is told at once:
    ///
    /// ```
    /// use symphra_scheduler::{Overlap, Schedule, Scheduler, Task};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let report = Task::new(" report", Schedule::cron("0 9 * * *")?, async || {}); // a name begins with no space
    /// let import = Task::new("import", Schedule::cron("0 9 * * *")?, async || {}).max_instances(0);
    /// let error = Scheduler::empty().register(report).register(import).start().await.unwrap_err().to_string();
    /// assert!(error.contains("begin or end with white space") && error.contains("max_instances"), "{error}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error`] lists all problems of all tasks and settings at once; or says that the backend could not be reached,
    /// or that there is no runtime.
    ///
    /// # Cancellation
    /// Nothing has started if the future is dropped before it is ready.
    pub async fn start(self) -> Result<SchedulerHandle, Error> {
        launch(self.0.checked()?).await
    }

    /// Runs in the foreground until Ctrl+C or SIGTERM (Ctrl+Break on Windows): prints the table of tasks, fires, drains,
    /// reports. A second signal stops at once. Both ends are `Ok`, so that `main` exits with code 0; an error makes it 1.
    ///
    /// SIGHUP has the overrides of tasks read again, if the settings came from a file or the environment
    /// (`SchedulerConfig::load`, feature `config`): all of them or, if anything is wrong, none. Other settings take a
    /// restart. But if it comes because the terminal that saw the program start was closed, it stops it like Ctrl+C.
    ///
    /// From the call on, these signals no longer end the process by themselves, also after it has returned: tokio keeps
    /// its handlers.
    ///
    /// With the feature `logging`, and if the program has set no subscriber of `tracing`, it installs one by
    /// [`SchedulerConfig::logging`] first.
    ///
    /// # Errors
    /// As [`start`](Self::start); and if the signals cannot be listened to.
    ///
    /// # Cancellation
    /// If the future is dropped, the scheduler stops at once.
    pub async fn run(self) -> Result<(), Error> {
        foreground::run(self).await
    }

    /// Runs in the foreground, without touching signals, until `until` is ready; then drains and reports.
    ///
    /// ```
    /// use symphra_scheduler::Scheduler;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), symphra_scheduler::Error> {
    /// let (quit, asked_to_quit) = tokio::sync::oneshot::channel::<()>();
    /// quit.send(()).expect("somebody listens");
    /// let report = Scheduler::empty()
    ///     .run_until(async {
    ///         let _ = asked_to_quit.await;
    ///     })
    ///     .await?;
    /// assert!(report.is_clean());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Cancellation
    /// If the future is dropped, the scheduler stops at once.
    pub async fn run_until(self, until: impl Future<Output = ()>) -> Result<StopReport, Error> {
        foreground::run_until(self, until).await
    }
}

impl Parts {
    /// These parts, if nothing keeps the scheduler from starting; else everything that does.
    fn checked(mut self) -> Result<Checked, Error> {
        let tasks = self.config.overrides().laid_over(std::mem::take(&mut self.tasks));
        let (names, numbers) = self.named(&tasks)?;
        let Self { config, backend, provided, teller, logger, clock, .. } = self;
        let logger = logger.task_success(config.logging.says_success());
        Ok(Checked { tasks, names, numbers, config, backend, provided, teller, logger, clock })
    }

    /// The names of the tasks, over which the overrides were laid, and the place of each, if nothing keeps the scheduler
    /// from starting; else everything that does.
    fn named(&self, tasks: &[Task]) -> Result<(Vec<TaskName>, HashMap<TaskName, u32>), Error> {
        let mut problems = self.config.problems();
        if self.backend.is_none() {
            problems.extend(self.config.backend.problems().into_iter().map(Problem::from));
        }
        let overrides = self.config.overrides();
        problems.extend(overrides.unknown(tasks.iter().map(Task::name), &self.filtered));
        let mut names = Vec::with_capacity(tasks.len());
        let mut numbers: HashMap<TaskName, u32> = HashMap::with_capacity(tasks.len());
        let doubled = self.provided.doubled().iter();
        problems.extend(doubled.map(|name| Problem::DoubledState { name: (*name).to_owned() }));
        for (number, task) in (0..).zip(tasks) {
            let (name, found) = task.problems(self.config.zone());
            problems.extend(overrides.named_in(task.name(), found));
            problems.append(&mut task.unmet_needs(&self.provided));
            if let Some(backend) = &self.backend {
                problems.append(&mut task.unsupported(backend.name(), backend.capabilities()));
            }
            let Some(name) = name else { continue };
            match numbers.entry(name.clone()) {
                Entry::Occupied(first) => problems.push(Problem::Duplicate {
                    name: name.to_string(),
                    first: tasks[*first.get() as usize].source(),
                    second: task.source(),
                }),
                Entry::Vacant(free) => {
                    free.insert(number);
                }
            }
            names.push(name);
        }
        match self.registry {
            Registry::Empty => problems.push(Problem::EmptyRegistry),
            Registry::HasTasks if tasks.is_empty() => problems.push(Problem::NothingLeft),
            Registry::HasTasks | Registry::NotAsked => {
                let missing = self.expected.iter().filter(|name| !numbers.contains_key(name.as_str()));
                problems.extend(missing.map(|name| Problem::missing(name, names.iter().map(TaskName::as_str))));
            }
        }
        if problems.is_empty() { Ok((names, numbers)) } else { Err(Error::start(problems)) }
    }
}
